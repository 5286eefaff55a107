//! After any sequence of changes the facts are those of an agent that sees the same databases for the first time.

use ovsdb::tables::{RowId, RowUpdate, Table, local, southbound};
use ovsdb::{Str, Uuid};

use crate::Agent;
use crate::facts::{
    BfdWanted, BoundPorts, HaRole, IsRelated, LocalDatapaths, LocalnetPort, PeerPorts, PortZones, RelatedPorts,
    SessionUp, Tunnels, Zones,
};
use crate::model::External;
use crate::rows::{Bridge, ModelRow};
use crate::view::testbed::{HV1, HV2, HV3, Testbed, map, set};

/// A sequence of numbers that is the same in every run (the constants are Knuth's MMIX ones).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }
}

/// The rows of a table as insertions.
fn rows<R: ModelRow>(table: &Table<R>) -> Vec<(Uuid, RowUpdate<R>)> {
    table.iter().map(|(row, value)| (table.uuid(row), RowUpdate::Insert(value.clone()))).collect()
}

/// An agent that is given everything at once.
fn afresh(agent: &Agent) -> Agent {
    let (sb, ovs) = (&agent.model().sb, &agent.model().local);
    let mut fresh = Agent::new(External::default());
    fresh.southbound(southbound::Updates {
        chassis: rows(&sb.chassis),
        datapath_binding: rows(&sb.datapath_binding),
        port_binding: rows(&sb.port_binding),
        ha_chassis: rows(&sb.ha_chassis),
        ha_chassis_group: rows(&sb.ha_chassis_group),
        ..Default::default()
    });
    fresh.local(local::Updates {
        open_vswitch: rows(&ovs.open_vswitch),
        bridge: rows(&ovs.bridge),
        port: rows(&ovs.port),
        interface: rows(&ovs.interface),
        ..Default::default()
    });
    fresh.settle();
    fresh
}

/// The facts as text, with UUIDs in the place of rows.
fn state(agent: &Agent) -> Vec<String> {
    let sb = &agent.model().sb;
    let port = |row: RowId| sb.port_binding.uuid(row);
    let datapath = |row: RowId| sb.datapath_binding.uuid(row);
    let sorted = |mut uuids: Vec<Uuid>| {
        uuids.sort();
        uuids
    };
    let mut state = vec![
        format!("local {:?}", sorted(agent.ask(LocalDatapaths).iter().map(|&row| datapath(row)).collect())),
        format!("bound {:?}", sorted(agent.ask(BoundPorts).iter().map(|&row| port(row)).collect())),
        format!("zones {:?}", agent.ask(Zones)),
        format!("active {:?}", ["hv2", "hv3"].map(|name| agent.ask(SessionUp(Str::from(name))))),
        format!("watched {:?}", ["hv2", "hv3"].map(|name| agent.ask(BfdWanted(Str::from(name))))),
        format!("tunnels {:?}", agent.ask(Tunnels).iter().map(|t| (t.chassis.clone(), t.ofport)).collect::<Vec<_>>()),
    ];
    for (row, _) in sb.datapath_binding.iter() {
        let peers: Vec<_> = agent.ask(PeerPorts(row)).iter().map(|&(a, b)| (port(a), port(b))).collect();
        let (localnet, related) = (agent.ask(LocalnetPort(row)).map(port), agent.ask(RelatedPorts(row)));
        state.push(format!("datapath {} {peers:?} {localnet:?} {related:?}", datapath(row)));
    }
    for (row, _) in sb.port_binding.iter() {
        state.push(format!("port {} {} {:?}", port(row), agent.ask(IsRelated(row)), agent.ask(PortZones(row))));
    }
    for (row, _) in sb.ha_chassis_group.iter() {
        state.push(format!("group {} {:?}", sb.ha_chassis_group.uuid(row), agent.ask(HaRole(row))));
    }
    state.sort();
    state
}

#[test]
fn any_sequence_of_changes_ends_as_if_seen_at_once() {
    let mut most_local = 0;
    for seed in 0..4 {
        let mut numbers = Numbers(seed);
        let mut bed = Testbed::new();
        let uuid = bed.uuid();
        bed.put_local(|u| &mut u.bridge, uuid, Bridge { name: Str::from("br-phys"), ..Default::default() });
        bed.setting("ovn-bridge-mappings", "phys:br-phys");
        let datapaths: Vec<Uuid> =
            (0..6).map(|n| bed.datapath(&format!("{}{n}", if n % 2 == 0 { "ls" } else { "lr" }), n + 1)).collect();
        let groups =
            [bed.ha_group(&[(Some(HV1), 1), (Some(HV2), 2)], &[HV3]).0, bed.ha_group(&[(Some(HV3), 2)], &[]).0];
        let tunnels = [bed.tunnel("hv2", "up"), bed.tunnel("hv3", "down")];
        let interfaces: Vec<Uuid> = (0..4).map(|n| bed.vif(&format!("p{n}"))).collect();
        let mut ports: Vec<Uuid> = Vec::new();
        for step in 0..90 {
            match numbers.below(9) {
                0..=3 => {
                    // The first have interfaces; the others come in pairs.
                    let number = numbers.below(18);
                    let kinds: &[&str] = match number {
                        0..4 => &["", "", "", "localport"],
                        4..6 => &["", "virtual", "chassisredirect", "localnet"],
                        _ => &["patch", "patch", "patch", "patch", "l3gateway"],
                    };
                    let kind = kinds[numbers.below(kinds.len())];
                    let name = format!("p{number}");
                    let (peer, redirect) = (format!("p{}", number ^ 1), format!("p{}", numbers.below(6)));
                    let gateway = ["hv1", "hv2"][numbers.below(2)];
                    let (group, chassis) = (groups[numbers.below(2)], [None, Some(HV1), Some(HV2)][numbers.below(3)]);
                    let parent = format!("p{}", numbers.below(4));
                    let datapath = datapaths[numbers.below(datapaths.len())];
                    let child = numbers.below(3) == 0;
                    if bed.agent.model().sb.port_binding.by_logical_port(&name).next().is_some() {
                        continue;
                    }
                    let mut options =
                        vec![("peer", peer.as_str()), ("l3gateway-chassis", gateway), ("network_name", "phys")];
                    if numbers.below(5) == 0 {
                        options.push(("chassis-redirect-port", redirect.as_str()));
                    }
                    let (port, _) = bed.port(datapath, &name, kind, |pb| {
                        pb.options = map(&options);
                        pb.chassis = chassis;
                        pb.ha_chassis_group = (kind == "chassisredirect").then_some(group);
                        pb.parent_port = (child && kind.is_empty()).then(|| Str::from(parent.as_str()));
                        pb.virtual_parent = (kind == "virtual").then(|| Str::from(parent.as_str()));
                    });
                    ports.push(port);
                }
                4 if !ports.is_empty() => {
                    let port = ports.swap_remove(numbers.below(ports.len()));
                    bed.delete(|u| &mut u.port_binding, port);
                }
                5 if !ports.is_empty() => {
                    let (port, peer) = (ports[numbers.below(ports.len())], format!("p{}", numbers.below(18)));
                    bed.change_port(port, |pb| pb.options = map(&[("peer", &peer), ("l3gateway-chassis", "hv1")]));
                }
                6 => {
                    let (interface, ofport) = (interfaces[numbers.below(4)], [Some(-1), Some(50)][numbers.below(2)]);
                    bed.change_interface(interface, |row| row.ofport = ofport);
                }
                7 => {
                    let state = ["up", "down"][numbers.below(2)];
                    bed.change_interface(tunnels[numbers.below(2)], |row| row.bfd_status = map(&[("state", state)]));
                }
                _ if !ports.is_empty() => {
                    let port = ports[numbers.below(ports.len())];
                    let requested = [set(&[]), set(&[HV1])][numbers.below(2)].clone();
                    let chassis = [None, Some(HV1)][numbers.below(2)];
                    bed.change_port(port, |pb| {
                        pb.requested_additional_chassis = requested;
                        pb.chassis = chassis;
                    });
                }
                _ => {}
            }
            most_local = most_local.max(bed.local_datapaths().len());
            assert_eq!(state(&bed.agent), state(&afresh(&bed.agent)), "seed {seed}, step {step}");
        }
        assert_eq!(bed.agent.take_work().cycles, 0);
    }
    assert!(most_local >= 4, "this tested little: {most_local} local datapaths at most");
}
