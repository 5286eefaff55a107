//! Interfaces that the CMS has us plug in: sheet 01 section 7.3.

use ovsdb::tables::RowId;
use ovsdb::tables::southbound::PortBinding;
use ovsdb::{Str, Uuid};
use std::sync::Arc;

use super::words;
use crate::rows::Interface;
use crate::view::testbed::{BRIDGE, HV1, HV2, Testbed, map, set};
use crate::writeback::WriteKey;

/// A hypervisor with both providers, and logical port `lp` that asks to be plugged in here.
fn asked(options: &[(&str, &str)]) -> (Testbed, Uuid, RowId) {
    let mut bed = Testbed::new();
    bed.agent.set_external(|external| {
        external.config.dummy_vif_plug = true;
        external.config.representors = true;
    });
    let ls = bed.datapath("ls", 1);
    let options: Vec<_> = [("requested-chassis", "hv1")].iter().chain(options).copied().collect();
    let (port, row) = bed.port(ls, "lp", "", |pb| {
        pb.requested_chassis = Some(HV1);
        pb.options = map(&options);
    });
    (bed, port, row)
}

/// What the port's unit wants done, and what it says.
fn wants(bed: &Testbed, row: RowId) -> (String, Vec<String>) {
    let out = bed.agent.write(&WriteKey::Port(row));
    (words(&out.local.to_string()), out.diagnostics)
}

/// An interface that was plugged in for `lp`, without an OpenFlow port yet.
fn plugged(bed: &mut Testbed, name: &str) -> Uuid {
    let (_, interface) = bed.bridge_port(name, |_, interface| {
        interface.r#type = "internal".into();
        interface.options = map(&[("vif-plug-dummy-option", "value")]);
        interface.external_ids = map(&[("iface-id", "lp"), ("ovn-plugged", "dummy")]);
        interface.ofport = None;
    });
    interface
}

fn unplug(bed: &Testbed, interface: Uuid) -> String {
    words(&bed.agent.write(&WriteKey::Unplug(bed.row::<Interface>(interface))).local.to_string())
}

const DUMMY: (&str, &str) = ("vif-plug-type", "dummy");

#[test]
fn a_port_is_plugged_in_when_the_cms_asks_for_it_here() {
    let (mut bed, port, row) = asked(&[DUMMY, ("vif-plug-mtu-request", "1400")]);
    let (wanted, said) = wants(&bed, row);
    let name = port.to_string().replace('-', "_");
    for part in [
        "op comment comment Plugging port lp into br-int for lport lp on this chassis. op".to_owned(),
        format!(
            "op insert table Interface uuid-name plug_if_{name} row name lp external_ids map iface-id lp ovn-plugged dummy options map vif-plug-dummy-option value type internal mtu_request 1400"
        ),
        format!("op insert table Port uuid-name plug_{name} row name lp interfaces named-uuid plug_if_{name}"),
        format!("table Bridge where _uuid == uuid {BRIDGE} mutations ports insert named-uuid plug_{name}"),
    ] {
        assert!(wanted.contains(&part), "{part}\n{wanted}");
    }
    assert_eq!(said, Vec::<String>::new());
    type Change = fn(&mut PortBinding);
    let cases: [(&str, Change, &str); 5] = [
        ("another chassis", |pb| pb.requested_chassis = Some(HV2), ""),
        (
            "only an additional chassis",
            |pb| (pb.requested_chassis, pb.requested_additional_chassis) = (Some(HV2), set(&[HV1])),
            "",
        ),
        ("no type", |pb| pb.options = map(&[]), ""),
        ("another type of port", |pb| pb.r#type = "localport".into(), ""),
        (
            "no such provider",
            |pb| pb.options = map(&[("vif-plug-type", "other")]),
            "Unable to open VIF plug provider for vif-plug-type: 'other' lport lp",
        ),
    ];
    for (what, change, expected) in cases {
        let (mut bed, port, row) = asked(&[DUMMY]);
        bed.change_port(port, change);
        let expected: Vec<&str> = Some(expected).into_iter().filter(|text| !text.is_empty()).collect();
        assert_eq!(
            wants(&bed, row),
            (String::new(), expected.iter().map(|text| (*text).to_owned()).collect()),
            "{what}"
        );
    }
    bed.agent.set_external(|external| external.config.dummy_vif_plug = false);
    assert_eq!(wants(&bed, row).0, "", "the provider is not there");
}

#[test]
fn a_plugged_port_is_kept_as_the_provider_says() {
    let (mut bed, port, row) = asked(&[DUMMY]);
    let interface = plugged(&mut bed, "lp");
    assert_eq!(wants(&bed, row), (String::new(), vec![]), "without an OpenFlow port yet");
    bed.change_interface(interface, |row| row.ofport = Some(7));
    assert_eq!(wants(&bed, row), (String::new(), vec![]));
    type Change = fn(&mut Interface);
    let cases: [(Change, &str); 5] = [
        (|row| row.r#type = "".into(), "row type internal"),
        (|row| row.mtu_request = Some(9000), "row mtu_request set"),
        (
            |row| row.options = map(&[("vif-plug-dummy-option", "x"), ("other", "y")]),
            "options delete set vif-plug-dummy-option options insert map vif-plug-dummy-option value",
        ),
        (
            |row| row.external_ids = map(&[("iface-id", "lp"), ("ovn-plugged", "older"), ("x", "y")]),
            "external_ids delete set ovn-plugged external_ids insert map ovn-plugged dummy",
        ),
        (|row| row.options = map(&[("vif-plug-dummy-option", "value"), ("other", "y")]), ""),
    ];
    for (change, expected) in cases {
        let mut bed = asked(&[DUMMY]).0;
        let interface = plugged(&mut bed, "lp");
        bed.change_interface(interface, change);
        let (wanted, _) = wants(&bed, row);
        assert!(wanted.ends_with(expected) && wanted.is_empty() == expected.is_empty(), "{expected}\n{wanted}");
    }
    bed.change_port(port, |pb| pb.options = map(&[DUMMY, ("vif-plug-mtu-request", "9000")]));
    assert!(wants(&bed, row).0.ends_with("row mtu_request set 9000"), "{:?}", wants(&bed, row));
    assert_eq!(unplug(&bed, interface), "", "it is wanted");
}

#[test]
fn interfaces_of_others_are_left_alone() {
    let (mut bed, _, row) = asked(&[DUMMY]);
    let vif = bed.vif("lp");
    let (wanted, said) = wants(&bed, row);
    assert!(
        wanted.is_empty()
            && said.len() == 1
            && said[0].contains("not maintained by OVN already exists")
            && said[0].contains(&vif.to_string()),
        "{said:?}"
    );
    // One of the name that the provider gives, without the mark.
    let (mut bed, _, row) = asked(&[DUMMY]);
    bed.bridge_port("lp", |_, _| {});
    let (wanted, said) = wants(&bed, row);
    assert!(
        wanted.is_empty()
            && said == ["lport lp cannot be plugged in: there is an interface lp that is not maintained by OVN"],
        "{said:?}"
    );
    // One that the provider would call otherwise today.
    let (mut bed, _, row) = asked(&[DUMMY]);
    let old = plugged(&mut bed, "old");
    bed.change_interface(old, |row| row.ofport = Some(7));
    let (wanted, said) = wants(&bed, row);
    assert!(
        wanted.is_empty() && said.len() == 1 && said[0].contains("please recreate port: lp (old is to become lp)"),
        "{said:?}"
    );
}

#[test]
fn a_port_is_unplugged_when_it_is_not_for_this_chassis_any_more() {
    let (mut bed, port, _) = asked(&[DUMMY]);
    let interface = plugged(&mut bed, "lp");
    let is_removal = |text: &str| {
        text.contains("Unplugging port lp from br-int for iface-id lp on this chassis.")
            && text.contains("ports delete uuid")
    };
    assert_eq!(unplug(&bed, interface), "");
    bed.change_port(port, |pb| pb.options = map(&[("requested-chassis", "hv1")]));
    assert_eq!(unplug(&bed, interface), "", "nobody asks for it any more, but it may stay");
    bed.change_port(port, |pb| {
        pb.requested_chassis = Some(HV2);
        pb.options = map(&[("requested-chassis", "hv2")]);
    });
    assert!(is_removal(&unplug(&bed, interface)));
    bed.delete(|u| &mut u.port_binding, port);
    assert!(is_removal(&unplug(&bed, interface)));
    assert_eq!(bed.agent.transactions().1.to_string().matches("Unplugging").count(), 1, "the unit is there");
    bed.agent.set_external(|external| external.config.dummy_vif_plug = false);
    bed.agent.settle();
    let out = bed.agent.write(&WriteKey::Unplug(bed.row::<Interface>(interface)));
    assert_eq!(out.diagnostics, ["Unable to open VIF plug provider for vif-plug-type dummy iface-id lp"]);
    bed.agent.set_external(|external| external.config.dummy_vif_plug = true);
    bed.delete(|u| &mut u.chassis, HV1);
    assert_eq!(unplug(&bed, interface), "", "we are not registered: nothing is known of requests");
    bed.change_interface(interface, |row| row.external_ids = map(&[("iface-id", "lp")]));
    assert_eq!(bed.agent.transactions().1.to_string().matches("Unplugging").count(), 0, "nor is it ours");
}

#[test]
fn representors_are_found_by_the_function_that_they_stand_for() {
    let representors = [((0x0200_0000_0001, None), "pf0hpf"), ((0x0200_0000_0001, Some(3)), "pf0vf3")];
    let all = Arc::new(representors.iter().map(|(key, name)| (*key, Str::from(*name))).collect());
    let pf = "vif-plug:representor:pf-mac";
    let vf = "vif-plug:representor:vf-num";
    for (options, name, said) in [
        (&[(pf, "02:00:00:00:00:01"), (vf, "3")][..], "pf0vf3", ""),
        (&[(pf, "02:00:00:00:00:01")], "pf0hpf", ""),
        (&[(pf, "02:00:00:00:00:01"), (vf, "")], "pf0hpf", ""),
        (&[(pf, "02:00:00:00:00:01"), (vf, "4")], "", "no representor of pf-mac '02:00:00:00:00:01' vf-num '4'"),
        (&[(pf, "02:00:00:00:00:02")], "", "no representor of pf-mac '02:00:00:00:00:02'"),
        (&[(pf, "02:00"), (vf, "3")], "", "pf-mac '02:00' is not an Ethernet address"),
        (&[(pf, "02:00:00:00:00:01"), (vf, "x")], "", "vf-num 'x' is not a number up to 65535"),
        (&[(vf, "3")], "", "option vif-plug:representor:pf-mac is missing"),
    ] {
        let options: Vec<_> = [("vif-plug-type", "representor")].iter().chain(options).copied().collect();
        let (mut bed, _, row) = asked(&options);
        bed.agent.set_external(|external| external.representors = Arc::clone(&all));
        let (wanted, diagnostics) = wants(&bed, row);
        assert_eq!(
            wanted.contains(&format!(
                "row name {name} external_ids map iface-id lp ovn-plugged representor options map op"
            )),
            !name.is_empty(),
            "{wanted}"
        );
        assert!(
            diagnostics.len() == usize::from(!said.is_empty()) && diagnostics.iter().all(|text| text.ends_with(said)),
            "{diagnostics:?}"
        );
    }
}
