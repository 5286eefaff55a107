//! Patch ports between the integration bridge and the bridges of physical networks. `patch_run` of controller/patch.c,
//! OVN 26.03; sheet 01 section 7.6.

use ovsdb::datum::Datum;
use ovsdb::tables::{Table, Tracked};
use ovsdb::transaction::{Mutator, Transaction};
use ovsdb::{Str, Uuid};
use std::collections::{BTreeMap, BTreeSet};

use super::operations::NewPort;
use crate::facts::{BridgeMappings, GatewayPorts, IntegrationBridge, LocalnetPorts, Setting, ThisChassis};
use crate::reader::Reader;
use crate::rows::{Bridge, Interface, Port, PortBinding};
use crate::units::Output;

/// external_ids keys that mark our patch ports.
const LOCALNET: &str = "ovn-localnet-port";
const L2GATEWAY: &str = "ovn-l2gateway-port";

/// A pair of patch ports that should exist.
struct Wanted {
    key: &'static str,
    lport: Str,
    bridge: Str,
}

/// See [`super::WriteKey::PatchPorts`].
pub fn patch_ports(r: &Reader<'_>, out: &mut Output) {
    let Some(integration) = r.fact(IntegrationBridge).and_then(|row| r.row::<Bridge>(row)) else { return };
    if r.fact(ThisChassis).is_none() {
        return;
    }
    let mut plan = Plan { r, local: Transaction::new(), next: 0, kept: BTreeSet::new() };
    check_mappings(r, out);
    for wanted in wanted(r, out) {
        let bridge = r.lookup_one(|t: &Table<Bridge>| t.by_name(&wanted.bridge)).and_then(|row| r.row::<Bridge>(row));
        let Some(bridge) = bridge else { continue };
        let here = Str::from(format!("patch-{}-to-{}", integration.name(), wanted.lport));
        let there = Str::from(format!("patch-{}-to-{}", wanted.lport, integration.name()));
        plan.ensure(&integration, &wanted, &here, &there);
        plan.ensure(&bridge, &wanted, &there, &here);
    }
    plan.remove_unwanted(&integration);
    if !plan.local.is_empty() {
        out.local.comment("ovn-agent: modifying patch ports");
        out.local.operations.append(&mut plan.local.operations);
    }
}

/// Says what of ovn-bridge-mappings cannot be used.
fn check_mappings(r: &Reader<'_>, out: &mut Output) {
    let text = r.fact(Setting("ovn-bridge-mappings")).unwrap_or_default();
    for item in text.split(',').filter(|_| !text.is_empty()) {
        match item.split_once(':') {
            Some((network, bridge)) if !network.is_empty() && !bridge.is_empty() => {
                if r.lookup_one(|t: &Table<Bridge>| t.by_name(bridge)).is_none() {
                    out.diagnostics.push(format!("Bridge '{bridge}' not found for network '{network}'"));
                }
            }
            // What follows is not looked at, see `view::chassis::bridge_mappings`.
            _ => return out.diagnostics.push(format!("Invalid ovn-bridge-mappings configuration: '{text}'")),
        }
    }
}

/// Localnet ports of local datapaths and l2gateway ports of ours, whose network is mapped.
fn wanted(r: &Reader<'_>, out: &mut Output) -> Vec<Wanted> {
    let mappings: BTreeMap<Str, Str> = r.fact(BridgeMappings).iter().cloned().collect();
    let mut wanted = Vec::new();
    let mut consider = |port: Tracked<'_, PortBinding, Reader<'_>>, key| {
        let (kind, lport) = (port.r#type(), port.logical_port());
        let Some(network) = port.options().get("network_name") else {
            out.diagnostics.push(format!("{kind} port '{lport}' has no network name."));
            return;
        };
        match mappings.get(network) {
            Some(bridge) => wanted.push(Wanted { key, lport: lport.clone(), bridge: bridge.clone() }),
            None => {
                let end = if key == LOCALNET { "; skipping" } else { "" };
                out.diagnostics
                    .push(format!("bridge not found for {kind} port '{lport}' with network name '{network}'{end}"));
            }
        }
    };
    for row in r.fact(LocalnetPorts).iter() {
        if let Some(port) = r.row::<PortBinding>(*row) {
            consider(port, LOCALNET);
        }
    }
    for row in r.fact(GatewayPorts).iter() {
        if let Some(port) = r.row::<PortBinding>(*row).filter(|port| port.r#type().as_str() == "l2gateway") {
            consider(port, L2GATEWAY);
        }
    }
    wanted.sort_by(|a, b| a.lport.cmp(&b.lport));
    wanted
}

struct Plan<'p, 'a> {
    r: &'p Reader<'a>,
    local: Transaction,
    next: usize,
    /// Ports that are as they should be.
    kept: BTreeSet<Uuid>,
}

impl Plan<'_, '_> {
    /// Makes the patch port on `bridge` unless there is one with this peer, whatever its name.
    fn ensure(&mut self, bridge: &Tracked<'_, Bridge, Reader<'_>>, wanted: &Wanted, name: &Str, peer: &Str) {
        for row in self.r.lookup(|table: &Table<Interface>| table.by_peer(peer)) {
            let Some(interface) = self.r.row::<Interface>(row).filter(|interface| interface.r#type() == "patch") else {
                continue;
            };
            for row in self.r.lookup(|table: &Table<Port>| table.by_interface(interface.uuid())) {
                let Some(port) = self.r.row::<Port>(row) else { continue };
                if !self.r.lookup(|table: &Table<Bridge>| table.by_port(port.uuid())).contains(&bridge.row_id()) {
                    continue;
                }
                self.kept.insert(port.uuid());
                if port.external_ids().get(wanted.key) != Some(&wanted.lport) {
                    let ids: Datum = [(wanted.key, wanted.lport.clone())].into_iter().collect();
                    self.local.mutate("Port", port.uuid(), vec![("external_ids", Mutator::Insert, ids)]);
                }
                return;
            }
        }
        let (interface, port) = (format!("patch_if{}", self.next), format!("patch{}", self.next));
        self.next += 1;
        let options = [("peer", peer.clone())].into_iter().collect();
        let external_ids = [(wanted.key, wanted.lport.clone())].into_iter().collect();
        let new = NewPort { bridge: bridge.uuid(), name, kind: "patch", options, external_ids };
        new.create(&interface, &port, &mut self.local);
    }

    /// Ports that carry a mark of OVN's patch ports, those of long ago included, and are not wanted. A host may have several chassis,
    /// each with an integration bridge: ours are those on our bridge and those that lead there.
    fn remove_unwanted(&mut self, integration: &Tracked<'_, Bridge, Reader<'_>>) {
        let marked = [
            self.r.lookup(|table: &Table<Port>| table.by_localnet(true)),
            self.r.lookup(|table: &Table<Port>| table.by_l2gateway(true)),
            self.r.lookup(|table: &Table<Port>| table.by_l3gateway(true)),
            self.r.lookup(|table: &Table<Port>| table.by_logical_patch(true)),
        ];
        let marked = marked.into_iter().flatten().filter_map(|row| self.r.row::<Port>(row));
        // One by one, so that other ports of the bridge are no reason to look again.
        let bridges = |port: Uuid| self.r.lookup(|table: &Table<Bridge>| table.by_port(port));
        let is_here = |port: &Marked<'_, '_>| bridges(port.uuid()).contains(&integration.row_id());
        let (here, elsewhere): (Vec<_>, Vec<_>) = marked.partition(is_here);
        let names: BTreeSet<Str> = here.iter().map(|port| port.name().clone()).collect();
        let start = format!("patch-{}-to-", integration.name());
        // By the name that its other end has, or had.
        let leads_here =
            |port: &&Marked<'_, '_>| self.peers(port).any(|peer| names.contains(&peer) || peer.starts_with(&start));
        let mut unwanted: BTreeMap<Uuid, BTreeSet<Uuid>> = BTreeMap::new();
        for port in here.iter().chain(elsewhere.iter().filter(leads_here)).map(|port| port.uuid()) {
            for bridge in self.r.lookup(|table: &Table<Bridge>| table.by_port(port)) {
                let Some(bridge) = self.r.row::<Bridge>(bridge).filter(|_| !self.kept.contains(&port)) else {
                    continue;
                };
                unwanted.entry(bridge.uuid()).or_default().insert(port);
            }
        }
        for (bridge, ports) in unwanted {
            let ports = ports.into_iter().collect::<Datum>();
            self.local.mutate("Bridge", bridge, vec![("ports", Mutator::Delete, ports)]);
        }
    }

    /// What the interfaces of a port name as their peers.
    fn peers(&self, port: &Marked<'_, '_>) -> impl Iterator<Item = Str> {
        let interfaces = port.interfaces().iter().filter_map(|uuid| self.r.find::<Interface>(uuid));
        let peers: Vec<Str> = interfaces.filter_map(|interface| interface.options().get("peer").cloned()).collect();
        peers.into_iter()
    }
}

type Marked<'r, 'a> = Tracked<'r, Port, Reader<'a>>;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::testbed::{Testbed, map, set};
    use crate::writeback::WriteKey;

    /// What the unit wants, and what it says.
    fn run(bed: &Testbed) -> (String, Vec<String>) {
        let out = bed.agent.write(&WriteKey::PatchPorts);
        (out.local.to_string(), out.diagnostics)
    }

    /// A hypervisor with `phys` on br-phys, and a local switch with the localnet port `ln` of that network.
    fn with_localnet() -> (Testbed, Uuid, Uuid) {
        let mut bed = Testbed::new();
        let bridge = bed.uuid();
        bed.put_local(|u| &mut u.bridge, bridge, Bridge { name: "br-phys".into(), ..Default::default() });
        bed.setting("ovn-bridge-mappings", "phys:br-phys");
        let ls = bed.datapath("ls", 1);
        bed.port(ls, "ln", "localnet", |pb| pb.options = map(&[("network_name", "phys")]));
        bed.port(ls, "p", "", |_| {});
        (bed, bridge, ls)
    }

    fn patch(bed: &mut Testbed, name: &str, peer: &str, mark: Option<&str>) -> Uuid {
        let change = |port: &mut Port, interface: &mut Interface| {
            port.external_ids = mark.map_or_else(|| map(&[]), |key| map(&[(key, "ln")]));
            interface.r#type = "patch".into();
            interface.options = map(&[("peer", peer)]);
        };
        bed.bridge_port(name, change).0
    }

    #[test]
    fn a_pair_of_ports_exists_as_long_as_its_logical_port_is_local() {
        let (mut bed, other_bridge, _) = with_localnet();
        assert_eq!(run(&bed), ("[]".to_owned(), vec![]), "the switch is not local");
        let interface = bed.vif("p");
        let (wanted, said) = run(&bed);
        for part in [
            r#""name":"patch-br-int-to-ln","type":"patch","options":["map",[["peer","patch-ln-to-br-int"]]]"#,
            r#""name":"patch-ln-to-br-int","type":"patch","options":["map",[["peer","patch-br-int-to-ln"]]]"#,
            r#""external_ids":["map",[["ovn-localnet-port","ln"]]]"#,
        ] {
            assert!(wanted.contains(part), "{part}: {wanted}");
        }
        assert!(said.is_empty(), "{said:?}");
        // Theirs on br-phys, under another name; ours on br-int; and some that are not for us.
        let far = patch(&mut bed, "somebody-made-it", "patch-br-int-to-ln", Some(LOCALNET));
        let near = patch(&mut bed, "patch-br-int-to-ln", "patch-ln-to-br-int", Some(LOCALNET));
        let theirs = patch(&mut bed, "patch-tun", "patch-int", None);
        bed.put_local(
            |u| &mut u.bridge,
            other_bridge,
            Bridge { name: "br-phys".into(), ports: set(&[far]), ..Default::default() },
        );
        bed.bridge.ports = bed.bridge.ports.iter().copied().filter(|port| *port != far).collect();
        bed.bridge_changed();
        assert_eq!(run(&bed).0, "[]", "as it should be");
        let old = patch(&mut bed, "old", "older", Some("ovn-logical-patch-port"));
        let (wanted, _) = run(&bed);
        assert!(wanted.contains(&old.to_string()) && !wanted.contains(&theirs.to_string()), "{wanted}");
        assert!(!wanted.contains("insert\",\"table") && !wanted.contains(&near.to_string()), "{wanted}");
        bed.change_interface(interface, |row| row.ofport = Some(-1));
        let (wanted, _) = run(&bed);
        assert!([far, near, old].iter().all(|port| wanted.contains(&port.to_string())), "{wanted}");
        assert!(!wanted.contains(&theirs.to_string()), "{wanted}");
        // Those of another chassis on this host, which has an integration bridge of its own.
        let another = bed.uuid();
        let [near, far] = [("patch-br-2-to-ln", "patch-ln-to-br-2"), ("patch-ln-to-br-2", "patch-br-2-to-ln")]
            .map(|(name, peer)| patch(&mut bed, name, peer, Some(LOCALNET)));
        bed.bridge.ports = bed.bridge.ports.iter().copied().filter(|port| ![near, far].contains(port)).collect();
        bed.bridge_changed();
        for (uuid, name, port) in [(another, "br-2", near), (other_bridge, "br-phys", far)] {
            let row = Bridge { name: name.into(), ports: set(&[port]), ..Default::default() };
            bed.put_local(|u| &mut u.bridge, uuid, row);
        }
        let (wanted, _) = run(&bed);
        assert!(![near, far].iter().any(|port| wanted.contains(&port.to_string())), "{wanted}");
    }

    #[test]
    fn what_cannot_be_mapped_is_said() {
        let (mut bed, _, ls) = with_localnet();
        bed.vif("p");
        bed.port(ls, "l2", "l2gateway", |pb| {
            pb.options = map(&[("network_name", "other"), ("l2gateway-chassis", "hv1")]);
        });
        bed.port(ls, "odd", "localnet", |_| {});
        let l2 = "bridge not found for l2gateway port 'l2' with network name 'other'";
        assert_eq!(run(&bed).1, ["localnet port 'odd' has no network name.", l2]);
        bed.setting("ovn-bridge-mappings", "phys:nowhere");
        let missing = "Bridge 'nowhere' not found for network 'phys'";
        let ln = "bridge not found for localnet port 'ln' with network name 'phys'; skipping";
        assert_eq!(run(&bed).1, [missing, ln, "localnet port 'odd' has no network name.", l2]);
        bed.setting("ovn-bridge-mappings", "phys:br-phys,other:");
        assert_eq!(run(&bed).1[0], "Invalid ovn-bridge-mappings configuration: 'phys:br-phys,other:'");
        assert!(run(&bed).0.contains("patch-br-int-to-ln"), "what comes before it holds");
    }
}
