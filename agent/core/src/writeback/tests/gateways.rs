//! Who claims ports that are no VIFs, and who gives them back: sheet 01 section 6.4.

use ovsdb::Uuid;
use ovsdb::tables::southbound::PortBinding;

use super::words;
use crate::facts::{IsZoneUser, RelatedPorts};
use crate::view::testbed::{HV1, HV2, Testbed, map, names};
use crate::writeback::WriteKey;

/// What is done to the row of a port of that type.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Done {
    Nothing,
    Claimed,
    /// It was claimed before, and now is up.
    Up,
    Released,
}
use Done::{Claimed, Nothing, Released, Up};

struct Case {
    what: &'static str,
    kind: &'static str,
    options: &'static [(&'static str, &'static str)],
    /// Priorities of hv1 and hv2 in the HA_Chassis_Group, 0 for no member; whether the session with hv2 is up.
    group: Option<(i64, i64, bool)>,
    chassis: Option<Uuid>,
    done: Done,
    /// The datapath is local (because of the port, as it has no other).
    local: bool,
}

const fn case(what: &'static str, kind: &'static str, options: &'static [(&'static str, &'static str)]) -> Case {
    Case { what, kind, options, group: None, chassis: None, done: Nothing, local: false }
}

const fn ha(what: &'static str, kind: &'static str, group: (i64, i64, bool)) -> Case {
    Case { what, kind, options: &[], group: Some(group), chassis: None, done: Nothing, local: true }
}

const CASES: &[Case] = &[
    Case { done: Claimed, local: true, ..case("ours by name", "l2gateway", &[("l2gateway-chassis", "hv1")]) },
    Case { chassis: Some(HV1), done: Up, local: true, ..case("claimed", "l2gateway", &[("l2gateway-chassis", "hv1")]) },
    Case {
        chassis: Some(HV2),
        done: Claimed,
        local: true,
        ..case("moved here", "l2gateway", &[("l2gateway-chassis", "hv1")])
    },
    Case { chassis: Some(HV1), done: Released, ..case("moved away", "l2gateway", &[("l2gateway-chassis", "hv2")]) },
    Case { chassis: Some(HV2), ..case("theirs", "l2gateway", &[("l2gateway-chassis", "hv2")]) },
    case("the other option", "l2gateway", &[("l3gateway-chassis", "hv1")]),
    Case {
        local: true,
        ..case("requested elsewhere", "l2gateway", &[("l2gateway-chassis", "hv1"), ("requested-chassis", "hv2")])
    },
    Case { done: Claimed, local: true, ..case("ours by name", "l3gateway", &[("l3gateway-chassis", "hv1")]) },
    Case { chassis: Some(HV1), done: Up, local: true, ..case("claimed", "l3gateway", &[("l3gateway-chassis", "hv1")]) },
    Case { chassis: Some(HV1), done: Released, ..case("moved away", "l3gateway", &[("l3gateway-chassis", "hv2")]) },
    case("no host names", "l3gateway", &[("l3gateway-chassis", "hv1.example")]),
    Case { done: Claimed, ..ha("the only member", "chassisredirect", (1, 0, false)) },
    Case { done: Claimed, ..ha("the best", "chassisredirect", (2, 1, true)) },
    Case { chassis: Some(HV2), done: Claimed, ..ha("the best, back", "chassisredirect", (2, 1, true)) },
    Case { chassis: Some(HV1), done: Up, ..ha("the best, claimed", "chassisredirect", (2, 1, true)) },
    ha("the second", "chassisredirect", (1, 2, true)),
    Case { chassis: Some(HV2), ..ha("the second, while the best has it", "chassisredirect", (1, 2, true)) },
    Case { chassis: Some(HV1), done: Released, ..ha("the best is back", "chassisredirect", (1, 2, true)) },
    Case { chassis: Some(HV1), done: Released, ..ha("cut off", "chassisredirect", (2, 1, false)) },
    Case {
        chassis: Some(HV1),
        done: Released,
        local: false,
        ..ha("no member any more", "chassisredirect", (0, 1, true))
    },
    Case { done: Claimed, ..ha("the best", "external", (2, 1, true)) },
    Case { chassis: Some(HV1), done: Released, ..ha("the best is back", "external", (1, 2, true)) },
    case("no group", "external", &[]),
    Case { chassis: Some(HV1), done: Released, ..case("no group any more", "external", &[]) },
    // Of these nobody is ever the chassis.
    Case { chassis: Some(HV1), done: Released, ..case("was something else", "localnet", &[]) },
    Case { chassis: Some(HV1), done: Released, ..case("was something else", "localport", &[]) },
    Case { chassis: Some(HV2), ..case("of another availability zone", "remote", &[]) },
    Case { chassis: Some(HV2), ..case("of a ramp switch", "vtep", &[]) },
    case("unknown", "teapot", &[]),
];

#[test]
fn gateways_are_claimed_by_whom_they_name() {
    for Case { what, kind, options, group, chassis, done, local } in CASES {
        let mut bed = Testbed::new();
        let ls = bed.datapath("ls", 1);
        let group = group.map(|(ours, theirs, up)| {
            bed.tunnel("hv2", if up { "up" } else { "down" });
            let members: Vec<_> =
                [(Some(HV1), ours), (Some(HV2), theirs)].into_iter().filter(|(_, priority)| *priority > 0).collect();
            bed.ha_group(&members, &[]).0
        });
        let (_, row) = bed.port(ls, "p", kind, |pb| {
            pb.options = map(options);
            (pb.ha_chassis_group, pb.chassis, pb.up) = (group, *chassis, Some(*done == Released));
        });
        let wanted = words(&bed.agent.write(&WriteKey::Port(row)).southbound.to_string());
        let expected = match done {
            Nothing => String::new(),
            Claimed => format!("row chassis set uuid {HV1}"),
            Up => "row up set true".to_owned(),
            Released => "row chassis set up set false".to_owned(),
        };
        let same = wanted.ends_with(&expected) && wanted.is_empty() == expected.is_empty();
        assert!(same, "{kind}, {what}: wanted {wanted}, expected {expected}");
        assert_eq!(bed.local_datapaths().contains(&"ls".to_owned()), *local, "{kind}, {what}: local");
        // Also a port without a datapath here is seen to while it is ours.
        let has_unit = bed.agent.transactions().0.to_string().contains("Port_Binding");
        assert_eq!(has_unit, *done != Nothing, "{kind}, {what}: unit");
    }
}

#[test]
fn a_virtual_port_is_where_its_parent_is() {
    type Change = fn(&mut PortBinding);
    let cases: [(&str, bool, Change, &str); 5] = [
        ("nobody answered yet", true, |_| {}, ""),
        ("the parent is here", true, |pb| pb.virtual_parent = Some("vm".into()), "row chassis set uuid"),
        (
            "the parent is unplugged",
            false,
            |pb| (pb.chassis, pb.virtual_parent) = (Some(HV1), Some("vm".into())),
            "row chassis set virtual_parent set",
        ),
        ("another answered", true, |pb| (pb.chassis, pb.virtual_parent) = (Some(HV2), Some("other".into())), ""),
        (
            "another answered, and we had it",
            true,
            |pb| (pb.chassis, pb.virtual_parent) = (Some(HV1), Some("other".into())),
            "row chassis set virtual_parent set",
        ),
    ];
    for (what, plugged, change, expected) in cases {
        let mut bed = Testbed::new();
        let ls = bed.datapath("ls", 1);
        bed.port(ls, "vm", "", |pb| pb.chassis = Some(HV1));
        bed.port(ls, "other", "", |pb| pb.chassis = Some(HV2));
        if plugged {
            bed.vif("vm");
        }
        let (_, row) = bed.port(ls, "vip", "virtual", change);
        let wanted = words(&bed.agent.write(&WriteKey::Port(row)).southbound.to_string());
        assert!(wanted.contains(expected) && wanted.is_empty() == expected.is_empty(), "{what}: {wanted}");
        let datapath = bed.row::<crate::rows::DatapathBinding>(ls);
        let related = bed.ask(RelatedPorts(datapath));
        assert_eq!(names(&related).contains(&"vip"), expected.contains("uuid"), "{what}: {related:?}");
    }
}

#[test]
fn a_localport_has_a_zone_where_it_has_an_interface_and_no_chassis() {
    let mut bed = Testbed::new();
    let ls = bed.datapath("ls", 1);
    let (_, row) = bed.port(ls, "meta", "localport", |_| {});
    assert!(!bed.ask(IsZoneUser(row)));
    bed.vif("meta");
    assert!(bed.local_datapaths().is_empty(), "it makes no datapath local");
    assert!(bed.agent.write(&WriteKey::Port(row)).southbound.is_empty());
    bed.port(ls, "vm", "", |_| {});
    bed.vif("vm");
    assert!(bed.ask(IsZoneUser(row)));
}
