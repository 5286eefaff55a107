//! What becomes of Chassis rows and settings: the tunnel ports with names, labels and options, and what is said about those that cannot be.
//! Sheet 01 section 5.

use ovsdb::tables::local::{Bridge, Interface};
use ovsdb::tables::southbound::{Chassis, Encap, SbGlobal};
use ovsdb::{Str, Uuid};

use super::vswitchd::Switch;
use crate::facts::RefusedTunnels;
use crate::pools::uuid_of;
use crate::view::testbed::{BRIDGE, HV1, HV2, HV3, Testbed, map, names, set};

/// hv1 has these encaps; there is no other chassis.
fn bed(types: &str, ips: &str) -> (Testbed, Switch) {
    let mut bed = Testbed::new();
    bed.agent.set_external(|external| external.features.known = true);
    bed.setting("ovn-encap-type", types);
    bed.setting("ovn-encap-ip", ips);
    for uuid in [HV2, HV3] {
        bed.delete(|u| &mut u.chassis, uuid);
    }
    let all = types.split(',').flat_map(|kind| ips.split(',').map(move |ip| (kind, ip)));
    let encaps: Vec<(&str, &str)> = all.collect();
    chassis(&mut bed, "hv1", &encaps, |_| {});
    (bed, Switch::default())
}

fn chassis_uuid(name: &str) -> Uuid {
    if name == "hv1" { HV1 } else { uuid_of(name) }
}

/// A chassis with Encap rows, as far as there are none with these types and addresses.
fn chassis(bed: &mut Testbed, name: &str, encaps: &[(&str, &str)], change: impl FnOnce(&mut Chassis)) {
    let encaps: Vec<Uuid> = encaps
        .iter()
        .map(|(kind, ip)| {
            let uuid = uuid_of(&format!("{kind} {ip}"));
            if bed.agent.model().sb.encap.row_by_uuid(&uuid).is_none() {
                let row = Encap {
                    r#type: Str::from(*kind),
                    ip: Str::from(*ip),
                    chassis_name: name.into(),
                    ..Default::default()
                };
                bed.put(|u| &mut u.encap, uuid, row);
            }
            uuid
        })
        .collect();
    let mut row = Chassis { name: name.into(), encaps: encaps.into(), ..Default::default() };
    change(&mut row);
    bed.put(|u| &mut u.chassis, chassis_uuid(name), row);
}

fn encap_options(bed: &mut Testbed, kind: &str, ip: &str, options: &[(&str, &str)]) {
    let uuid = uuid_of(&format!("{kind} {ip}"));
    let mut row = bed.agent.model().sb.encap.row_by_uuid(&uuid).unwrap().clone();
    row.options = map(options);
    bed.put(|u| &mut u.encap, uuid, row);
}

/// The ports of br-int, `name type label: options`, sorted, once agent and switch have settled.
fn ports(bed: &mut Testbed, switch: &mut Switch) -> Vec<String> {
    switch.settle(bed);
    let local = &bed.agent.model().local;
    let bridge = local.bridge.row_by_uuid(&BRIDGE).unwrap();
    let mut all: Vec<String> = bridge
        .ports
        .iter()
        .filter_map(|uuid| local.port.row_by_uuid(uuid))
        .map(|port| {
            let interface = local.interface.row_by_uuid(port.interfaces.only().unwrap()).unwrap();
            let options: Vec<String> = interface.options.iter().map(|(key, value)| format!("{key}={value}")).collect();
            let label = port.external_ids.get("ovn-chassis-id").cloned().unwrap_or_default();
            format!("{} {} {label}: {}", port.name, interface.r#type, options.join(" "))
        })
        .collect();
    all.sort();
    all
}

/// The same without the options.
fn labels(bed: &mut Testbed, switch: &mut Switch) -> Vec<String> {
    ports(bed, switch).iter().map(|port| port.split(": ").next().unwrap().to_owned()).collect()
}

fn said(bed: &Testbed, word: &str) -> Vec<String> {
    let lines = bed.agent.diagnostics().into_iter().map(|(_, line)| line);
    lines.filter(|line| line.contains(word)).collect()
}

#[test]
fn one_tunnel_for_each_pair_of_encaps_of_the_best_type() {
    type Encaps = &'static [(&'static str, &'static str)];
    let cases: &[(&str, &str, Encaps, &[&str])] = &[
        ("geneve", "1.0.0.1", &[("geneve", "1.0.0.2")], &["ovn-peer-0 geneve peer@1.0.0.2%1.0.0.1"]),
        ("geneve,vxlan", "1.0.0.1", &[("vxlan", "1.0.0.2")], &["ovn-peer-0 vxlan peer@1.0.0.2%1.0.0.1"]),
        (
            "geneve,vxlan",
            "1.0.0.1",
            &[("vxlan", "1.0.0.2"), ("geneve", "1.0.0.3")],
            &["ovn-peer-0 geneve peer@1.0.0.3%1.0.0.1"],
        ),
        ("vxlan", "1.0.0.1", &[("geneve", "1.0.0.2")], &[]),
        ("geneve", "1.0.0.1", &[("stt", "1.0.0.2")], &[]),
        (
            "geneve",
            "1.0.0.1,1.0.0.9",
            &[("geneve", "1.0.0.2"), ("geneve", "1.0.0.3")],
            &[
                "ovn-peer-0 geneve peer@1.0.0.2%1.0.0.1",
                "ovn-peer-1 geneve peer@1.0.0.2%1.0.0.9",
                "ovn-peer-2 geneve peer@1.0.0.3%1.0.0.1",
                "ovn-peer-3 geneve peer@1.0.0.3%1.0.0.9",
            ],
        ),
        (
            "geneve",
            "1.0.0.1,fd00::1",
            &[("geneve", "1.0.0.2"), ("geneve", "fd00::2")],
            &["ovn-peer-0 geneve peer@1.0.0.2%1.0.0.1", "ovn-peer-1 geneve peer@fd00::2%fd00::1"],
        ),
        (
            "geneve",
            "fd00::1",
            &[("geneve", "fd00::2"), ("geneve", "FD00:0::2")],
            &["ovn-peer-0 geneve peer@FD00:0::2%fd00::1"],
        ),
        ("geneve", "1.0.0.1", &[("geneve", "fd00::2")], &[]),
        ("geneve", "1.0.0.1", &[("geneve", "1.0.0.1")], &[]),
    ];
    for (types, ips, encaps, expected) in cases {
        let (mut bed, mut switch) = bed(types, ips);
        chassis(&mut bed, "peer", encaps, |_| {});
        assert_eq!(labels(&mut bed, &mut switch), *expected, "{types} {ips} {encaps:?}");
        let peer = said(&bed, "peer");
        assert_eq!(peer.is_empty(), !expected.is_empty(), "{types} {ips} {encaps:?}: {peer:?}");
        bed.delete(|u| &mut u.chassis, chassis_uuid("peer"));
        assert_eq!(labels(&mut bed, &mut switch), Vec::<String>::new());
    }
}

#[test]
fn which_chassis_get_tunnels() {
    let zones = |zones: &[&str]| set(&zones.iter().map(|zone| Str::from(*zone)).collect::<Vec<_>>());
    for (ours, theirs, wanted) in [
        (&[][..], &[][..], true),
        (&["a"], &[], false),
        (&[], &["a"], false),
        (&["a", "b"], &["b", "c"], true),
        (&["a"], &["b"], false),
    ] {
        let (mut bed, mut switch) = bed("geneve", "1.0.0.1");
        chassis(&mut bed, "hv1", &[("geneve", "1.0.0.1")], |row| row.transport_zones = zones(ours));
        chassis(&mut bed, "peer", &[("geneve", "1.0.0.2")], |row| row.transport_zones = zones(theirs));
        assert_eq!(!ports(&mut bed, &mut switch).is_empty(), wanted, "zones {ours:?} {theirs:?}");
    }
    for (interconn, remote, vtep, wanted) in [
        ("false", "true", "false", false),
        ("true", "true", "false", true),
        ("true", "false", "false", true),
        ("false", "false", "true", true),
    ] {
        let (mut bed, mut switch) = bed("geneve", "1.0.0.1");
        let other_config = map(&[("is-interconn", interconn)]);
        chassis(&mut bed, "hv1", &[("geneve", "1.0.0.1")], |row| row.other_config = other_config);
        let other_config = map(&[("is-remote", remote), ("is-vtep", vtep)]);
        chassis(&mut bed, "peer", &[("geneve", "1.0.0.2")], |row| row.other_config = other_config);
        assert_eq!(!ports(&mut bed, &mut switch).is_empty(), wanted, "{interconn} {remote} {vtep}");
    }
}

#[test]
fn options_come_from_the_peer_from_us_and_from_northd() {
    let (mut bed, mut switch) = bed("geneve", "1.0.0.1");
    chassis(&mut bed, "peer", &[("geneve", "1.0.0.2")], |_| {});
    let base = "ovn-peer-0 geneve peer@1.0.0.2%1.0.0.1: ";
    let check = |bed: &mut Testbed, switch: &mut Switch, options: &str| {
        assert_eq!(ports(bed, switch), [format!("{base}{options}")]);
        assert_eq!(switch.made, 1, "the port is changed in place");
    };
    check(&mut bed, &mut switch, "key=flow local_ip=1.0.0.1 remote_ip=1.0.0.2");
    encap_options(&mut bed, "geneve", "1.0.0.2", &[("csum", "false"), ("dst_port", "7000"), ("other", "x")]);
    check(&mut bed, &mut switch, "csum=false dst_port=7000 key=flow local_ip=1.0.0.1 remote_ip=1.0.0.2");
    encap_options(&mut bed, "geneve", "1.0.0.2", &[("csum", "yes"), ("is_default", "true")]);
    check(&mut bed, &mut switch, "key=flow local_ip=1.0.0.1 remote_ip=1.0.0.2");
    bed.setting("ovn-encap-tos", "inherit");
    bed.setting("ovn-encap-df_default", "false");
    bed.setting("ovn-encap-csum", "false");
    check(&mut bed, &mut switch, "df_default=false key=flow local_ip=1.0.0.1 remote_ip=1.0.0.2 tos=inherit");
    bed.setting("ovn-encap-tos-hv1", "none");
    bed.setting("ovn-encap-df_default-hv1", "true");
    check(&mut bed, &mut switch, "df_default=true key=flow local_ip=1.0.0.1 remote_ip=1.0.0.2");
    let options = map(&[("ipsec_encapsulation", "true"), ("ipsec_forceencaps", "false")]);
    let global = SbGlobal { ipsec: true, options, ..Default::default() };
    bed.put(|u| &mut u.sb_global, Uuid([0xdd; 16]), global);
    check(
        &mut bed,
        &mut switch,
        "df_default=true ipsec_encapsulation=yes key=flow local_ip=1.0.0.1 remote_ip=1.0.0.2 remote_name=peer",
    );
}

#[test]
fn a_legacy_label_is_written_anew_and_the_port_stays() {
    let (mut bed, mut switch) = bed("geneve", "1.0.0.1");
    let (port, _) = bed.bridge_port("ovn-old-7", |port, interface| {
        port.external_ids = map(&[("ovn-chassis-id", "peer@1.0.0.2")]);
        interface.r#type = "geneve".into();
        interface.options = map(&[("key", "flow"), ("local_ip", "1.0.0.1"), ("remote_ip", "1.0.0.2")]);
    });
    chassis(&mut bed, "peer", &[("geneve", "1.0.0.2")], |_| {});
    let expected = ["ovn-old-7 geneve peer@1.0.0.2%1.0.0.1"];
    assert_eq!(labels(&mut bed, &mut switch), expected);
    assert!(bed.agent.model().local.port.row_by_uuid(&port).is_some());
    assert_eq!(switch.made, 0);
}

#[test]
fn names_have_the_lowest_number_that_is_free() {
    let (mut bed, mut switch) = bed("geneve", "1.0.0.1");
    bed.bridge_port("ovn-comput-1", |_, _| {});
    let all = ["compute-a", "compute-b", "compute-c"];
    for (at, name) in all.iter().enumerate() {
        chassis(&mut bed, name, &[("geneve", &format!("1.0.1.{at}"))], |_| {});
    }
    let found = labels(&mut bed, &mut switch);
    assert_eq!(found[0], "ovn-comput-0 geneve compute-a@1.0.1.0%1.0.0.1");
    assert_eq!(found[2], "ovn-comput-2 geneve compute-b@1.0.1.1%1.0.0.1");
    assert_eq!(found[3], "ovn-comput-3 geneve compute-c@1.0.1.2%1.0.0.1");
    // On a host with several agents names tell them apart.
    bed.open_vswitch.other_config = map(&[("ovn-chassis-idx-hv1", "3")]);
    bed.setting("any", "");
    chassis(&mut bed, "compute-d", &[("geneve", "1.0.1.9")], |_| {});
    assert!(labels(&mut bed, &mut switch).contains(&"ovn3-compu-0 geneve compute-d@1.0.1.9%1.0.0.1".to_owned()));
}

#[test]
fn a_port_follows_its_chassis_in_place() {
    let (mut bed, mut switch) = bed("geneve,vxlan", "1.0.0.1");
    chassis(&mut bed, "peer", &[("geneve", "1.0.0.2")], |_| {});
    chassis(&mut bed, "twin", &[("geneve", "1.0.0.3")], |_| {});
    assert_eq!(ports(&mut bed, &mut switch).len(), 2);
    let steps: &[(&[(&str, &str)], &str)] = &[
        (&[("geneve", "1.0.0.7")], "ovn-peer-0 geneve peer@1.0.0.7%1.0.0.1"),
        (&[("vxlan", "1.0.0.7")], "ovn-peer-0 vxlan peer@1.0.0.7%1.0.0.1"),
        (&[("geneve", "1.0.0.8"), ("vxlan", "1.0.0.7")], "ovn-peer-0 geneve peer@1.0.0.8%1.0.0.1"),
    ];
    for (encaps, expected) in steps {
        chassis(&mut bed, "peer", encaps, |_| {});
        assert_eq!(labels(&mut bed, &mut switch)[0], *expected);
    }
    assert_eq!((switch.made, switch.highest), (2, 2));
    // They change places: labels move, ports stay.
    chassis(&mut bed, "peer", &[("geneve", "1.0.0.3")], |_| {});
    chassis(&mut bed, "twin", &[("geneve", "1.0.0.8")], |_| {});
    let expected = ["ovn-peer-0 geneve twin@1.0.0.8%1.0.0.1", "ovn-twin-0 geneve peer@1.0.0.3%1.0.0.1"];
    assert_eq!(labels(&mut bed, &mut switch), expected);
    assert_eq!((switch.made, switch.highest), (2, 2));
}

#[test]
fn a_chassis_that_shares_an_endpoint_gets_the_port_when_the_other_goes() {
    let (mut bed, mut switch) = bed("geneve", "1.0.0.1");
    for name in ["b", "a"] {
        chassis(&mut bed, name, &[("geneve", "1.0.0.2")], |_| {});
    }
    switch.settle(&mut bed);
    assert_eq!(labels(&mut bed, &mut switch), ["ovn-a-0 geneve a@1.0.0.2%1.0.0.1"]);
    assert_eq!(said(&bed, "same"), ["chassis a, b have the same geneve encap ip 1.0.0.2: one tunnel, to a"]);
    bed.delete(|u| &mut u.chassis, chassis_uuid("a"));
    assert_eq!(labels(&mut bed, &mut switch), ["ovn-a-0 geneve b@1.0.0.2%1.0.0.1"]);
    // It keeps the port when the other comes back.
    chassis(&mut bed, "a", &[("geneve", "1.0.0.2")], |_| {});
    assert_eq!(labels(&mut bed, &mut switch), ["ovn-a-0 geneve b@1.0.0.2%1.0.0.1"]);
    assert_eq!(said(&bed, "same"), ["chassis a, b have the same geneve encap ip 1.0.0.2: one tunnel, to b"]);
    assert_eq!(switch.made, 1);
}

#[test]
fn ports_that_nobody_wants_go_and_those_of_others_stay() {
    let (mut bed, mut switch) = bed("geneve", "1.0.0.1");
    chassis(&mut bed, "peer", &[("geneve", "1.0.0.2")], |_| {});
    let tunnel = |remote: &'static str| {
        move |_: &mut ovsdb::tables::local::Port, interface: &mut Interface| {
            interface.r#type = "geneve".into();
            interface.options = map(&[("key", "flow"), ("local_ip", "1.0.0.1"), ("remote_ip", remote)]);
        }
    };
    for (name, id, remote) in [
        ("ovn-gone-0", "gone@1.0.0.9%1.0.0.1", "1.0.0.9"),
        ("odd", "nonsense", "1.0.0.8"),
        ("ovn-geneve", "flow", "1.0.0.7"),
    ] {
        bed.bridge_port(name, |port, interface| {
            tunnel(remote)(port, interface);
            port.external_ids = map(&[("ovn-chassis-id", id)]);
        });
    }
    bed.bridge_port("by-hand", tunnel("1.0.0.6"));
    assert_eq!(labels(&mut bed, &mut switch), ["by-hand geneve ", "ovn-peer-0 geneve peer@1.0.0.2%1.0.0.1"]);
}

#[test]
fn ports_left_on_another_bridge_go() {
    let (mut bed, _) = bed("geneve", "1.0.0.1");
    let mut on_other_bridge = Vec::new();
    for (name, id) in [("ovn-peer-0", "peer@1.0.0.2%1.0.0.1"), ("ovn5-peer-0", "peer@1.0.0.2%1.0.0.9"), ("veth", "")] {
        let (port, interface) = (uuid_of(name), uuid_of(&format!("if {name}")));
        bed.put_local(|u| &mut u.interface, interface, Interface { name: name.into(), ..Default::default() });
        let external_ids = if id.is_empty() { map(&[]) } else { map(&[("ovn-chassis-id", id)]) };
        let row = ovsdb::tables::local::Port {
            name: name.into(),
            interfaces: set(&[interface]),
            external_ids,
            ..Default::default()
        };
        on_other_bridge.push(bed.put_local(|u| &mut u.port, port, row));
    }
    let row = Bridge { name: "br-old".into(), ports: set(&on_other_bridge), ..Default::default() };
    bed.put_local(|u| &mut u.bridge, uuid_of("br-old"), row);
    let text = bed.agent.transactions().1.to_string();
    assert_eq!(text.matches("[\"ports\",\"delete\"").count(), 1, "{text}");
    assert!(
        text.contains(&format!("[\"ports\",\"delete\",[\"set\",[[\"uuid\",\"{}\"]]]]", on_other_bridge[0])),
        "{text}"
    );
}

#[test]
fn no_tunnel_is_made_that_the_switch_would_refuse() {
    let (mut bed, mut switch) = bed("geneve", "1.0.0.1");
    let (_, by_hand) = bed.bridge_port("by-hand", |_, interface| {
        interface.r#type = "geneve".into();
        interface.options = map(&[("key", "flow"), ("local_ip", "1.0.0.1"), ("remote_ip", "1.0.0.2")]);
        interface.ofport = Some(7);
    });
    chassis(&mut bed, "peer", &[("geneve", "1.0.0.2")], |_| {});
    assert_eq!(labels(&mut bed, &mut switch), ["by-hand geneve "]);
    let expected =
        ["no tunnel to chassis peer: port by-hand of bridge br-int is a geneve tunnel from 1.0.0.1 to 1.0.0.2 already"];
    assert_eq!(said(&bed, "peer"), expected);
    // It becomes something else: ours is made, and not before.
    for options in [
        &[("key", "5"), ("local_ip", "1.0.0.1"), ("remote_ip", "1.0.0.2")][..],
        &[("key", "flow"), ("local_ip", "1.0.0.1"), ("remote_ip", "1.0.0.2"), ("dst_port", "9")],
        &[("key", "flow"), ("local_ip", "1.0.0.5"), ("remote_ip", "1.0.0.2")],
    ] {
        let (mut other, _) = self::bed("geneve", "1.0.0.1");
        other.bridge_port("by-hand", |_, interface| {
            interface.r#type = "geneve".into();
            interface.options = map(options);
        });
        chassis(&mut other, "peer", &[("geneve", "1.0.0.2")], |_| {});
        assert!(other.agent.transactions().1.to_string().contains("ovn-peer-0"), "{options:?}");
        assert_eq!(said(&other, "peer"), Vec::<String>::new());
    }
    bed.change_interface(by_hand, |row| row.options = map(&[("key", "5"), ("remote_ip", "1.0.0.2")]));
    assert!(labels(&mut bed, &mut switch).contains(&"ovn-peer-0 geneve peer@1.0.0.2%1.0.0.1".to_owned()));
}

#[test]
fn a_port_that_the_switch_refuses_is_named_with_its_peer_and_the_cause() {
    let (mut bed, mut switch) = bed("geneve", "1.0.0.1");
    chassis(&mut bed, "peer", &[("geneve", "1.0.0.2")], |_| {});
    switch.settle(&mut bed);
    let ours = bed.agent.model().local.interface.by_name("ovn-peer-0").next().unwrap();
    let ours = bed.agent.model().local.interface.uuid(ours);
    let before = switch.transactions;
    for (ofport, error, expected) in [
        (-1, Some("File exists"), "tunnel port ovn-peer-0 to chassis peer (1.0.0.2) does not work: File exists"),
        (65535, None, "tunnel port ovn-peer-0 to chassis peer (1.0.0.2) does not work: no OpenFlow port"),
        (7, Some("bad MTU"), "tunnel port ovn-peer-0 to chassis peer (1.0.0.2) does not work: bad MTU"),
    ] {
        bed.change_interface(ours, |row| (row.ofport, row.error) = (Some(ofport), error.map(Str::from)));
        assert_eq!(said(&bed, "ovn-peer-0"), [expected]);
        assert!(!switch.carry_out(&mut bed), "nothing is written");
        assert_eq!(names(&bed.ask(RefusedTunnels)), if ofport == 7 { vec![] } else { vec!["ovn-peer-0"] });
    }
    assert_eq!(switch.transactions, before);
    // It is tried again by way of next_cfg, once for each wish.
    bed.agent.set_external(|external| external.wanted_next_cfg = 1);
    bed.agent.settle();
    let wish = bed.agent.transactions().1.to_string();
    assert!(wish.contains("\"table\":\"Open_vSwitch\"") && wish.contains("\"row\":{\"next_cfg\":1}"), "{wish}");
    bed.open_vswitch.next_cfg = 1;
    bed.setting("any", "");
    assert!(!bed.agent.transactions().1.to_string().contains("\"next_cfg\":1"));
    // Somebody else's port has the place: ours goes, and comes back when that one goes.
    bed.change_interface(ours, |row| (row.ofport, row.error) = (Some(-1), Some("File exists".into())));
    bed.bridge = bed.agent.model().local.bridge.row_by_uuid(&BRIDGE).unwrap().clone();
    let (_, by_hand) = bed.bridge_port("by-hand", |_, interface| {
        interface.r#type = "geneve".into();
        interface.options = map(&[("key", "flow"), ("local_ip", "1.0.0.1"), ("remote_ip", "1.0.0.2")]);
        interface.ofport = None;
    });
    let cause = "does not work: File exists; port by-hand of bridge br-int has the same options";
    assert_eq!(said(&bed, cause).len(), 1, "{:?}", said(&bed, "ovn-peer-0"));
    bed.change_interface(by_hand, |row| row.ofport = Some(9));
    assert!(switch.carry_out(&mut bed));
    assert_eq!(said(&bed, "port by-hand of bridge br-int is a geneve tunnel").len(), 1);
    assert!(bed.ask(RefusedTunnels).is_empty(), "nothing to be tried again");
}

#[test]
fn flow_based_tunnels_have_one_port_for_each_type() {
    let (mut bed, mut switch) = bed("geneve,vxlan", "1.0.0.1");
    chassis(&mut bed, "peer", &[("geneve", "1.0.0.2")], |_| {});
    assert_eq!(labels(&mut bed, &mut switch), ["ovn-peer-0 geneve peer@1.0.0.2%1.0.0.1"]);
    bed.setting("ovn-encap-tos", "7");
    bed.setting("ovn-enable-flow-based-tunnels", "true");
    let options = "key=flow local_ip=flow remote_ip=flow tos=7";
    let expected = [format!("ovn-geneve geneve flow: {options}"), format!("ovn-vxlan vxlan flow: {options}")];
    assert_eq!(ports(&mut bed, &mut switch), expected);
    let local = &bed.agent.model().local;
    let row = local.port.by_name("ovn-vxlan").next().and_then(|row| local.port.row(row)).unwrap();
    assert_eq!(row.external_ids.get("ovn-tunnel-type").map(Str::as_str), Some("vxlan"));
    // IPsec has no part in it.
    bed.put(|u| &mut u.sb_global, Uuid([0xdd; 16]), SbGlobal { ipsec: true, ..Default::default() });
    assert_eq!(ports(&mut bed, &mut switch), expected);
    assert_eq!(said(&bed, "IPsec").len(), 1);
    bed.setting("ovn-enable-flow-based-tunnels", "false");
    assert_eq!(labels(&mut bed, &mut switch), ["ovn-peer-0 geneve peer@1.0.0.2%1.0.0.1"]);
}
