//! What is written for a port, by its type and by who has it: sheet 01 sections 6.3, 6.4 and 7.1.

use ovsdb::tables::southbound::{Chassis, Encap, PortBinding};
use ovsdb::{Str, Uuid};
use std::sync::Arc;

use crate::model::Plug;
use crate::view::testbed::{HV1, HV2, Testbed, map, set};
use crate::writeback::WriteKey;

type Change = fn(&mut PortBinding);

/// Readable names in place of UUIDs and JSON's punctuation.
fn words(text: &str, names: &[(Uuid, &str)]) -> String {
    let text = text.replace(['[', ']', '"', '{', '}', ',', ':'], " ");
    let mut text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for (uuid, name) in names {
        text = text.replace(&format!("uuid {uuid}"), name);
    }
    for (long, short) in [
        ("op update table Port_Binding where _uuid == port row", "update"),
        ("op mutate table Port_Binding where _uuid == port mutations", "mutate"),
        ("set true", "true"),
        ("set false", "false"),
        ("set hv", "hv"),
        ("set e1", "e1"),
        ("set e2", "e2"),
        ("set e3", "e3"),
    ] {
        text = text.replace(long, short);
    }
    text
}

/// What the port's unit wants of the Southbound.
fn wanted(bed: &Testbed, port: Uuid) -> String {
    let row = bed.row::<PortBinding>(port);
    let names = [(HV1, "hv1"), (HV2, "hv2"), (port, "port"), (E1, "e1"), (E2, "e2"), (E3, "e3")];
    words(&bed.agent.write(&WriteKey::Port(row)).southbound.to_string(), &names)
}

const E1: Uuid = Uuid([0xe1; 16]);
const E2: Uuid = Uuid([0xe2; 16]);
const E3: Uuid = Uuid([0xe3; 16]);

/// hv1 has the Encap rows e1 (the default) and e2, hv2 has e3.
fn with_encaps(bed: &mut Testbed) {
    for (uuid, ip, default) in [(E1, "192.0.2.1", true), (E2, "192.0.2.2", false), (E3, "192.0.2.3", false)] {
        let options = if default { map(&[("is_default", "true")]) } else { map(&[]) };
        let row = Encap { r#type: "geneve".into(), ip: ip.into(), options, ..Encap::default() };
        bed.put(|u| &mut u.encap, uuid, row);
    }
    for (uuid, name, encaps) in [(HV1, "hv1", set(&[E1, E2])), (HV2, "hv2", set(&[E3]))] {
        bed.put(|u| &mut u.chassis, uuid, Chassis { name: name.into(), encaps, ..Chassis::default() });
    }
    bed.setting("ovn-encap-ip", "192.0.2.1,192.0.2.2");
    bed.setting("ovn-encap-ip-default", "192.0.2.1");
}

/// The switch has the flows of a port, as it is plugged in now.
fn install(bed: &mut Testbed, lport: &str, interface: Uuid) {
    let ofport = bed.agent.model().local.interface.row_by_uuid(&interface).unwrap().ofport.unwrap();
    let plug = Plug { interface, ofport: u16::try_from(ofport).unwrap() };
    let lport = Str::from(lport);
    bed.agent.set_external(|external| external.installed_ports = Arc::new([(lport, plug)].into()));
    bed.agent.settle();
}

#[test]
fn a_vif_is_claimed_where_it_is_plugged_in_and_up_when_it_is_installed() {
    let cases: [(&str, Change, &str); 12] = [
        ("new", |_| {}, "update chassis hv1"),
        ("another's", |pb| pb.chassis = Some(HV2), "update chassis hv1"),
        (
            "another's that is up",
            |pb| {
                pb.chassis = Some(HV2);
                pb.up = Some(true);
            },
            "update chassis hv1 up false",
        ),
        ("ours, northd does not want to know", |pb| pb.chassis = Some(HV1), ""),
        (
            "ours, to be up",
            |pb| {
                pb.chassis = Some(HV1);
                pb.up = Some(false);
            },
            "update up true",
        ),
        (
            "ours and up",
            |pb| {
                pb.chassis = Some(HV1);
                pb.up = Some(true);
            },
            "",
        ),
        ("requested elsewhere", |pb| pb.options = map(&[("requested-chassis", "hv2")]), ""),
        (
            "requested elsewhere, ours still",
            |pb| {
                pb.options = map(&[("requested-chassis", "hv2")]);
                pb.chassis = Some(HV1);
                pb.up = Some(true);
            },
            "update chassis set up false",
        ),
        (
            "additional",
            |pb| pb.options = map(&[("requested-chassis", "hv2,hv1")]),
            "mutate additional_chassis insert hv1",
        ),
        (
            "additional, and the main one still",
            |pb| {
                pb.options = map(&[("requested-chassis", "hv2,hv1")]);
                pb.chassis = Some(HV1);
                pb.up = Some(true);
            },
            "mutate additional_chassis insert hv1 update chassis set",
        ),
        (
            "main, and additional still",
            |pb| pb.additional_chassis = set(&[HV1, HV2]),
            "mutate additional_chassis delete hv1 update chassis hv1",
        ),
        (
            "another version of the interface",
            |pb| {
                pb.options = map(&[("iface-id-ver", "7")]);
                pb.chassis = Some(HV1);
            },
            "update chassis set",
        ),
    ];
    let mut bed = Testbed::new();
    let ls = bed.datapath("ls", 1);
    for (case, change, expected) in cases {
        let (port, _) = bed.port(ls, case, "", change);
        let interface = bed.vif(case);
        if case != "another's that is up" {
            install(&mut bed, case, interface);
        }
        assert_eq!(wanted(&bed, port), expected, "{case}");
    }
}

#[test]
fn a_vif_is_not_up_before_the_flows_of_its_present_interface_are_installed() {
    let mut bed = Testbed::new();
    let ls = bed.datapath("ls", 1);
    let (port, row) = bed.port(ls, "p", "", |pb| {
        pb.chassis = Some(HV1);
        pb.up = Some(false);
    });
    let first = bed.vif("p");
    let marks = |bed: &Testbed| bed.agent.write(&WriteKey::Port(row)).local.to_string().contains("ovn-installed");
    assert_eq!((wanted(&bed, port).as_str(), marks(&bed)), ("", false), "not installed");
    install(&mut bed, "p", first);
    assert_eq!((wanted(&bed, port).as_str(), marks(&bed)), ("update up true", true));
    // The flows lead to another number than the interface has now.
    let ofport = bed.agent.model().local.interface.row_by_uuid(&first).unwrap().ofport;
    bed.change_interface(first, |row| row.ofport = Some(77));
    assert_eq!((wanted(&bed, port).as_str(), marks(&bed)), ("", false), "another ofport");
    bed.change_interface(first, |row| row.ofport = ofport);
    assert!(marks(&bed));
    // Another interface takes its place, by chance with the same number.
    bed.change_interface(first, |row| row.external_ids = map(&[]));
    let second = bed.vif("p");
    bed.change_interface(second, |row| row.ofport = ofport);
    assert_eq!((wanted(&bed, port).as_str(), marks(&bed)), ("", false), "another interface");
    install(&mut bed, "p", second);
    assert!(marks(&bed));
}

#[test]
fn a_vif_is_released_with_all_that_we_wrote() {
    let mut bed = Testbed::new();
    with_encaps(&mut bed);
    let ls = bed.datapath("ls", 1);
    let cases: [(&str, Change, &str); 5] = [
        (
            "ours",
            |pb| {
                pb.chassis = Some(HV1);
                pb.encap = Some(E1);
                pb.up = Some(true);
            },
            "update chassis set encap set up false",
        ),
        (
            "another's",
            |pb| {
                pb.chassis = Some(HV2);
                pb.encap = Some(E3);
                pb.up = Some(true);
            },
            "",
        ),
        (
            "additional",
            |pb| {
                pb.chassis = Some(HV2);
                pb.additional_chassis = set(&[HV1]);
                pb.additional_encap = set(&[E1, E3]);
            },
            "mutate additional_chassis delete hv1 mutate additional_encap delete e1",
        ),
        ("nobody's, what is left of us", |pb| pb.additional_encap = set(&[E2]), "mutate additional_encap delete e2"),
        ("nobody's", |_| {}, ""),
    ];
    for (case, change, expected) in cases {
        let (port, _) = bed.port(ls, case, "", change);
        assert_eq!(wanted(&bed, port), expected, "{case}");
    }
}

#[test]
fn the_encap_is_that_of_the_interface_when_there_are_several() {
    let mut bed = Testbed::new();
    let ls = bed.datapath("ls", 1);
    bed.port(ls, "vm", "", |pb| pb.chassis = Some(HV1));
    let interface = bed.vif("vm");
    let ours = |pb: &mut PortBinding| pb.chassis = Some(HV1);
    let (vif, _) = bed.port(ls, "p", "", ours);
    let own = bed.vif("p");
    let (child, _) = bed.port(ls, "c", "", |pb| {
        ours(pb);
        pb.parent_port = Some("vm".into());
    });
    let (gateway, _) = bed.port(ls, "gw", "l3gateway", |pb| {
        ours(pb);
        pb.options = map(&[("l3gateway-chassis", "hv1")]);
    });
    for port in [vif, child, gateway] {
        bed.change_port(port, |pb| pb.encap = Some(E3));
        assert_eq!(wanted(&bed, port), "update encap set", "we have one encap at most");
        bed.change_port(port, |pb| pb.encap = None);
        assert_eq!(wanted(&bed, port), "");
    }
    with_encaps(&mut bed);
    for port in [vif, child, gateway] {
        assert_eq!(wanted(&bed, port), "update encap e1", "the default");
    }
    for (interface, lport) in [(interface, "vm"), (own, "p")] {
        let ids = [("iface-id", lport), ("encap-ip", "192.0.2.2")];
        bed.change_interface(interface, |row| row.external_ids = map(&ids));
    }
    assert_eq!(wanted(&bed, vif), "update encap e2");
    assert_eq!(wanted(&bed, child), "update encap e2", "a child's is that of its parent");
    bed.change_port(vif, |pb| pb.encap = Some(E2));
    assert_eq!(wanted(&bed, vif), "");
    let ids = [("iface-id", "p"), ("encap-ip", "198.51.100.1")];
    bed.change_interface(own, |row| row.external_ids = map(&ids));
    assert_eq!(wanted(&bed, vif), "update encap set", "not an encap of ours");
    // As an additional chassis.
    let ids = [("iface-id", "p"), ("encap-ip", "192.0.2.2")];
    bed.change_interface(own, |row| row.external_ids = map(&ids));
    bed.change_port(vif, |pb| {
        pb.requested_chassis = Some(HV2);
        pb.requested_additional_chassis = set(&[HV1]);
        pb.options = map(&[("requested-chassis", "hv2,hv1")]);
        pb.additional_encap = set(&[E1, E3]);
    });
    assert_eq!(
        wanted(&bed, vif),
        "mutate additional_chassis insert hv1 mutate additional_encap delete e1 \
         mutate additional_encap insert e2 update chassis set encap set"
    );
}

#[test]
fn a_child_goes_where_its_parent_is_and_not_before_it() {
    let mut bed = Testbed::new();
    let ls = bed.datapath("ls", 1);
    let (parent, _) = bed.port(ls, "vm", "", |_| {});
    let interface = bed.vif("vm");
    let hung: [(&str, &str, Change); 3] = [
        ("c", "", |pb| pb.parent_port = Some("vm".into())),
        ("m", "mirror", |pb| pb.mirror_port = Some("vm".into())),
        ("v", "virtual", |pb| pb.virtual_parent = Some("vm".into())),
    ];
    let children = hung.map(|(name, kind, change)| bed.port(ls, name, kind, change).0);
    for child in children {
        bed.agent.set_external(|external| external.installed_ports = Arc::default());
        bed.agent.settle();
        bed.change_port(parent, |pb| pb.chassis = None);
        assert_eq!(wanted(&bed, child), "update chassis hv1", "together with its parent");
        bed.change_port(parent, |pb| pb.chassis = Some(HV2));
        assert_eq!(wanted(&bed, child), "", "its parent is taken first");
        bed.change_port(parent, |pb| pb.chassis = Some(HV1));
        bed.change_port(child, |pb| {
            pb.chassis = Some(HV2);
            pb.up = Some(true);
        });
        assert_eq!(wanted(&bed, child), "update chassis hv1 up false");
        bed.change_port(child, |pb| {
            pb.chassis = Some(HV1);
            pb.up = Some(false);
        });
        assert_eq!(wanted(&bed, child), "", "its parent's flows are not installed");
        install(&mut bed, "vm", interface);
        assert_eq!(wanted(&bed, child), "update up true");
        bed.change_port(child, |pb| pb.up = Some(true));
    }
    // The parent goes.
    bed.change_interface(interface, |row| row.ofport = Some(-1));
    for (child, kept) in children.into_iter().zip(["", "", " virtual_parent set"]) {
        assert_eq!(wanted(&bed, child), format!("update chassis set{kept} up false"));
    }
}

#[test]
fn ports_without_interfaces_are_whose_the_configuration_says() {
    let mut bed = Testbed::new();
    let (ls, lr) = (bed.datapath("ls", 1), bed.datapath("lr", 2));
    let (ours, _) = bed.ha_group(&[(Some(HV1), 1)], &[]);
    let (theirs, _) = bed.ha_group(&[(Some(HV2), 1)], &[]);
    bed.vif("meta");
    let l2 = |name: &str| map(&[("l2gateway-chassis", name)]);
    let l3 = |name: &str| map(&[("l3gateway-chassis", name)]);
    let none = || map(&[]);
    let (mine, up, gone) = ("update chassis hv1", "update up true", "update chassis set up false");
    // Type, options, group; what is wanted of one that is nobody's, of one that is ours and down, and of one that is ours and up.
    let cases = [
        ("our l2gateway", "l2gateway", l2("hv1"), None, [mine, up, ""]),
        ("their l2gateway", "l2gateway", l2("hv2"), None, ["", "update chassis set", gone]),
        ("our l3gateway", "l3gateway", l3("hv1"), None, [mine, up, ""]),
        ("their l3gateway", "l3gateway", l3("hv2"), None, ["", "update chassis set", gone]),
        ("active", "chassisredirect", none(), Some(ours), [mine, up, ""]),
        ("no member", "chassisredirect", none(), Some(theirs), ["", "update chassis set", gone]),
        ("active for an external port", "external", none(), Some(ours), [mine, up, ""]),
        ("no group", "external", none(), None, ["", "update chassis set", gone]),
        ("patch", "patch", none(), None, ["", "update chassis set", gone]),
        ("localnet", "localnet", none(), None, ["", "update chassis set", gone]),
        // Others write these.
        ("remote", "remote", none(), None, ["", "", ""]),
        ("vtep", "vtep", none(), None, ["", "", ""]),
        ("a type of tomorrow", "teapot", none(), None, ["", "", ""]),
    ];
    for (case, kind, options, group, expected) in cases {
        let (port, _) = bed.port(if kind == "chassisredirect" { lr } else { ls }, case, kind, |pb| {
            pb.options = options;
            pb.ha_chassis_group = group;
        });
        let mut all = vec![wanted(&bed, port)];
        for up in [false, true] {
            bed.change_port(port, |pb| {
                pb.chassis = Some(HV1);
                pb.up = Some(up);
            });
            all.push(wanted(&bed, port));
        }
        assert_eq!(all, expected, "{case}");
        bed.change_port(port, |pb| pb.chassis = Some(HV2));
        let taken = if expected[0].is_empty() { "" } else { mine };
        assert_eq!(wanted(&bed, port), taken, "{case}, with another chassis");
        bed.delete(|u| &mut u.port_binding, port);
    }
    // A patch port that is asked for by chassis.
    let (port, _) = bed.port(lr, "patch", "patch", |pb| pb.requested_chassis = Some(HV1));
    assert_eq!(wanted(&bed, port), mine);
    // Whoever has a localport plugged in makes it nobody's.
    let (port, _) = bed.port(ls, "meta", "localport", |pb| pb.chassis = Some(HV2));
    assert_eq!(wanted(&bed, port), "update chassis set");
    bed.change_port(port, |pb| pb.chassis = None);
    assert_eq!(wanted(&bed, port), "");
    let (port, _) = bed.port(ls, "not plugged in", "localport", |pb| pb.chassis = Some(HV2));
    assert_eq!(wanted(&bed, port), "");
}

#[test]
fn what_keeps_a_port_from_being_bound_is_said() {
    let mut bed = Testbed::new();
    let ls = bed.datapath("ls", 1);
    let said = |bed: &Testbed, port| bed.agent.write(&WriteKey::Port(bed.row::<PortBinding>(port))).diagnostics;
    let (port, _) = bed.port(ls, "p", "", |_| {});
    bed.vif("p");
    assert_eq!(said(&bed, port), Vec::<String>::new());
    let second = bed.bridge_port("other", |_, row| row.external_ids = map(&[("iface-id", "p")])).1;
    assert_eq!(
        said(&bed, port),
        [
            "Invalid configuration: iface-id p is configured on interfaces : [tap-p] and [other]. Ignoring the configuration \
          on interface [other]"
        ]
    );
    bed.change_interface(second, |row| row.ofport = Some(-1));
    assert_eq!(said(&bed, port), Vec::<String>::new(), "it is not there");
    bed.change_port(port, |pb| {
        pb.options = map(&[("requested-chassis", "hv2")]);
        pb.chassis = Some(HV2);
    });
    assert_eq!(said(&bed, port), ["Not claiming lport p, chassis hv1 requested-chassis hv2 pb->chassis hv2"]);
    bed.change_port(port, |pb| pb.options = map(&[("iface-id-ver", "1")]));
    assert_eq!(said(&bed, port), ["Mismatch iface-id-ver for lport p, expected 1, found <empty>"]);
    let (odd, _) = bed.port(ls, "odd", "teapot", |_| {});
    assert_eq!(
        said(&bed, odd),
        ["Unknown port binding type [teapot] of lport odd. Does the ovn-controller need an update ?"]
    );
}
