//! Who binds a port, who is related, who is active: sheet 01 sections 6.2 to 6.4 and 6.6.

use ovsdb::tables::southbound::{Chassis, HaChassis, PortBinding};
use ovsdb::{Str, Uuid};

use crate::facts::{
    BoundHere, BoundPorts, CanBind, ChassisResident, HaOrder, HaRole, IsRelated, IsRelatedKey, LocalBackend, PortKey,
    PortKind,
};
use crate::view::ports::{Bound, HaRole as Role, PortKind as Kind};
use crate::view::testbed::{HV1, HV2, HV3, Testbed, map, names, set};

#[test]
fn requested_chassis_decides_who_may_bind() {
    type Change = fn(&mut PortBinding);
    let cases: [(&str, Change, Bound); 10] = [
        ("nothing requested", |_| {}, Bound::Main),
        ("empty option", |pb| pb.options = map(&[("requested-chassis", "")]), Bound::Main),
        ("our name", |pb| pb.options = map(&[("requested-chassis", "hv1")]), Bound::Main),
        ("our host name", |pb| pb.options = map(&[("requested-chassis", "hv1.example,hv2")]), Bound::Main),
        ("second in the list", |pb| pb.options = map(&[("requested-chassis", "hv2,,hv1")]), Bound::Additional),
        ("others only", |pb| pb.options = map(&[("requested-chassis", "hv2,hv3")]), Bound::No),
        (
            "the column wins",
            |pb| {
                pb.requested_chassis = Some(HV1);
                pb.options = map(&[("requested-chassis", "hv2")])
            },
            Bound::Main,
        ),
        (
            "additional column",
            |pb| {
                pb.requested_chassis = Some(HV2);
                pb.requested_additional_chassis = set(&[HV1, HV3])
            },
            Bound::Additional,
        ),
        ("another column, no option", |pb| pb.requested_chassis = Some(HV2), Bound::Main),
        (
            "another column and option",
            |pb| {
                pb.requested_chassis = Some(HV2);
                pb.options = map(&[("requested-chassis", "hv2")])
            },
            Bound::No,
        ),
    ];
    let mut bed = Testbed::new();
    let ls = bed.datapath("ls", 1);
    for (at, (case, change, expected)) in cases.into_iter().enumerate() {
        let name = format!("lp{at}");
        let (_, port) = bed.port(ls, &name, "", change);
        assert_eq!(bed.ask(CanBind(port)), expected, "{case}");
        assert_eq!(bed.ask(BoundHere(port)), Bound::No, "{case}: no interface");
        bed.vif(&name);
        assert_eq!(bed.ask(BoundHere(port)), expected, "{case}: with an interface");
        assert_eq!(bed.ask(IsRelated(port)), expected != Bound::No, "{case}");
    }
}

#[test]
fn a_vif_needs_an_interface_with_an_ofport_and_the_wanted_version() {
    let mut bed = Testbed::new();
    let ls = bed.datapath("ls", 1);
    let (uuid, port) = bed.port(ls, "lp", "", |_| {});
    let interface = bed.vif("lp");
    assert_eq!(bed.ask(BoundHere(port)), Bound::Main);
    for ofport in [None, Some(-1), Some(0), Some(65535)] {
        bed.change_interface(interface, |row| row.ofport = ofport);
        assert_eq!(bed.ask(BoundHere(port)), Bound::No, "{ofport:?}");
    }
    bed.change_interface(interface, |row| row.ofport = Some(7));
    assert_eq!(bed.ask(BoundPorts).as_ref(), [port]);
    bed.change_port(uuid, |pb| pb.options = map(&[("iface-id-ver", "2")]));
    assert_eq!(bed.ask(BoundHere(port)), Bound::No);
    assert!(!bed.ask(LocalBackend(Str::from("lp"))));
    bed.change_interface(interface, |row| row.external_ids = map(&[("iface-id", "lp"), ("iface-id-ver", "2")]));
    assert_eq!(bed.ask(BoundHere(port)), Bound::Main);
    assert!(bed.ask(LocalBackend(Str::from("lp"))));
    // Off the bridge it is nobody's.
    let ports = std::mem::take(&mut bed.bridge.ports);
    bed.bridge_changed();
    assert_eq!(bed.ask(BoundHere(port)), Bound::No);
    bed.bridge.ports = ports;
    bed.bridge_changed();
    assert_eq!(bed.ask(BoundHere(port)), Bound::Main);
    bed.delete(|u| &mut u.port_binding, uuid);
    assert!(bed.ask(BoundPorts).is_empty());
}

#[test]
fn children_are_bound_as_their_parent_is() {
    let mut bed = Testbed::new();
    let ls = bed.datapath("ls", 1);
    let parent = |pb: &mut PortBinding| pb.parent_port = Some(Str::from("vm"));
    let (_, child) = bed.port(ls, "child", "", parent);
    let (_, mirror) = bed.port(ls, "mirror", "mirror", |pb| pb.mirror_port = Some(Str::from("vm")));
    let (_, virtual_port) = bed.port(ls, "vip", "virtual", |pb| pb.virtual_parent = Some(Str::from("vm")));
    let (_, idle) = bed.port(ls, "idle-vip", "virtual", |_| {});
    let (_, elsewhere) = bed.port(ls, "elsewhere", "", |pb| {
        pb.parent_port = Some(Str::from("vm"));
        pb.options = map(&[("requested-chassis", "hv2")]);
    });
    let all = [child, mirror, virtual_port, idle, elsewhere];
    let bound = |bed: &Testbed| all.map(|port| bed.ask(BoundHere(port)));
    assert_eq!(
        [Kind::Container, Kind::Mirror, Kind::Virtual],
        [child, mirror, virtual_port].map(|p| bed.ask(PortKind(p)))
    );

    bed.vif("vm");
    assert_eq!(bound(&bed), [Bound::No; 5], "there is no parent");
    let (vm, _) = bed.port(ls, "vm", "", |_| {});
    assert_eq!(bound(&bed), [Bound::Main, Bound::Main, Bound::Main, Bound::No, Bound::No]);
    assert_eq!(bed.ask(BoundPorts).len(), 4);
    bed.change_port(vm, |pb| pb.requested_additional_chassis = set(&[HV1]));
    assert_eq!(bound(&bed), [Bound::Additional, Bound::Additional, Bound::Main, Bound::No, Bound::No]);
    bed.change_port(vm, |pb| pb.r#type = Str::from("localport"));
    assert_eq!(bound(&bed), [Bound::No; 5], "only a VIF has children");
}

#[test]
fn a_child_of_itself_is_not_bound() {
    let mut bed = Testbed::new();
    let ls = bed.datapath("ls", 1);
    let (_, port) = bed.port(ls, "odd", "", |pb| pb.parent_port = Some(Str::from("odd")));
    bed.vif("odd");
    assert_eq!(bed.ask(BoundHere(port)), Bound::No);
    assert_eq!(bed.agent.take_work().cycles, 0);
}

#[test]
fn related_ports_follow_their_type() {
    let mut bed = Testbed::new();
    let (ls, far) = (bed.datapath("ls", 1), bed.datapath("ls-far", 2));
    let (ours, _) = bed.ha_group(&[(Some(HV1), 1), (Some(HV2), 2)], &[]);
    let (theirs, _) = bed.ha_group(&[(Some(HV2), 2)], &[]);
    bed.port(ls, "vif", "", |_| {});
    bed.vif("vif");
    let (_, localport) = bed.port(ls, "meta", "localport", |_| {});
    let cases = [
        ("patch, anywhere", far, "patch", map(&[]), None, true),
        ("vtep, anywhere", far, "vtep", map(&[]), None, true),
        ("remote, anywhere", far, "remote", map(&[]), None, true),
        ("localport without interface", ls, "localport", map(&[]), None, false),
        ("localnet here", ls, "localnet", map(&[]), None, true),
        ("localnet elsewhere", far, "localnet", map(&[]), None, false),
        ("our l2gateway", far, "l2gateway", map(&[("l2gateway-chassis", "hv1")]), None, true),
        ("their l2gateway", far, "l2gateway", map(&[("l2gateway-chassis", "hv2")]), None, false),
        ("our l3gateway", far, "l3gateway", map(&[("l3gateway-chassis", "hv1")]), None, true),
        ("their l3gateway", far, "l3gateway", map(&[("l3gateway-chassis", "hv2")]), None, false),
        ("standby member", far, "chassisredirect", map(&[]), Some(ours), true),
        ("no member", far, "chassisredirect", map(&[]), Some(theirs), false),
        ("external, member", far, "external", map(&[]), Some(ours), true),
        ("external, no group", far, "external", map(&[]), None, false),
        ("VIF elsewhere", ls, "", map(&[]), None, false),
        ("unknown type", ls, "teapot", map(&[]), None, false),
    ];
    for (at, (case, datapath, port_type, options, group, expected)) in cases.into_iter().enumerate() {
        let (_, port) = bed.port(datapath, &format!("p{at}"), port_type, |pb| {
            pb.options = options;
            pb.ha_chassis_group = group;
            pb.tunnel_key = 100;
        });
        assert_eq!(bed.ask(IsRelated(port)), expected, "{case}");
        let uuid = bed.agent.model().sb.port_binding.uuid(port);
        let key = if datapath == ls { 1 } else { 2 };
        assert_eq!(bed.ask(IsRelatedKey(key, 100)), expected, "{case} by key");
        bed.delete(|u| &mut u.port_binding, uuid);
    }
    assert!(!bed.ask(IsRelated(localport)));
    bed.vif("meta");
    assert!(bed.ask(IsRelated(localport)));
    assert_eq!(bed.ask(BoundHere(localport)), Bound::No);
    assert!(!bed.ask(IsRelatedKey(9, 1)));
}

#[test]
fn names_are_keys_of_ports_or_else_of_multicast_groups() {
    let mut bed = Testbed::new();
    let (ls, other) = (bed.datapath("ls", 1), bed.datapath("ls2", 2));
    bed.port(ls, "lp", "", |pb| pb.tunnel_key = 5);
    bed.multicast_group(ls, "_MC_flood", 32768);
    let (ls, other) = (bed.row::<crate::rows::DatapathBinding>(ls), bed.row::<crate::rows::DatapathBinding>(other));
    let key = |datapath, name: &str| bed.ask(PortKey(datapath, Str::from(name)));
    assert_eq!(key(ls, "lp"), Some(5));
    assert_eq!(key(other, "lp"), None);
    assert_eq!(key(ls, "_MC_flood"), Some(32768));
    assert_eq!(key(other, "_MC_flood"), None);
}

#[test]
fn the_active_member_of_a_group_follows_priorities_and_bfd() {
    struct Case {
        what: &'static str,
        members: &'static [(Option<Uuid>, i64)],
        refs: &'static [Uuid],
        up: &'static [&'static str],
        role: Role,
    }
    let (one, two, three) = (Some(HV1), Some(HV2), Some(HV3));
    let cases: [Case; 12] = [
        Case { what: "nobody", members: &[], refs: &[], up: &[], role: Role::None },
        Case { what: "no member", members: const { &[(Some(HV2), 1)] }, refs: &[], up: &["hv2"], role: Role::None },
        Case { what: "the only member", members: const { &[(Some(HV1), 1)] }, refs: &[], up: &[], role: Role::Active },
        Case {
            what: "the only one that is there",
            members: const { &[(Some(HV1), 1), (None, 9)] },
            refs: &[],
            up: &[],
            role: Role::Active,
        },
        Case {
            what: "cut off",
            members: const { &[(Some(HV1), 9), (Some(HV2), 1)] },
            refs: &[],
            up: &[],
            role: Role::Standby,
        },
        Case {
            what: "best",
            members: const { &[(Some(HV1), 9), (Some(HV2), 1)] },
            refs: &[],
            up: &["hv2"],
            role: Role::Active,
        },
        Case {
            what: "second",
            members: const { &[(Some(HV1), 1), (Some(HV2), 9)] },
            refs: &[],
            up: &["hv2"],
            role: Role::Standby,
        },
        Case {
            what: "best is gone, a reference sees us",
            members: const { &[(Some(HV1), 1), (Some(HV2), 9)] },
            refs: &[HV3],
            up: &["hv3"],
            role: Role::Active,
        },
        Case {
            what: "best is gone, no reference sees us",
            members: const { &[(Some(HV1), 1), (Some(HV2), 9)] },
            refs: &[],
            up: &["hv3"],
            role: Role::Standby,
        },
        Case {
            what: "tie: the later name",
            members: const { &[(Some(HV1), 5), (Some(HV2), 5)] },
            refs: &[],
            up: &["hv2"],
            role: Role::Standby,
        },
        Case {
            what: "best of three is gone",
            members: const { &[(Some(HV1), 5), (Some(HV2), 9), (Some(HV3), 1)] },
            refs: &[],
            up: &["hv3"],
            role: Role::Active,
        },
        Case {
            what: "middle of three",
            members: const { &[(Some(HV1), 5), (Some(HV2), 9), (Some(HV3), 1)] },
            refs: &[],
            up: &["hv2", "hv3"],
            role: Role::Standby,
        },
    ];
    for case in cases {
        let mut bed = Testbed::new();
        for name in ["hv2", "hv3"] {
            bed.tunnel(name, if case.up.contains(&name) { "up" } else { "down" });
        }
        let ls = bed.datapath("lr", 1);
        let (group, row) = bed.ha_group(case.members, case.refs);
        bed.port(ls, "cr-lrp", "chassisredirect", |pb| pb.ha_chassis_group = Some(group));
        assert_eq!(bed.ask(HaRole(row)), case.role, "{}", case.what);
        assert_eq!(bed.ask(ChassisResident(Str::from("cr-lrp"))), case.role == Role::Active, "{}", case.what);
    }
    let mut bed = Testbed::new();
    let (_, row) = bed.ha_group(&[(one, 5), (two, 9), (three, 5), (None, 100)], &[]);
    assert_eq!(names(&bed.ask(HaOrder(row))), ["hv2", "hv3", "hv1"]);
}

#[test]
fn a_priority_costs_the_same_however_many_refer_to_the_group() {
    let work = |refs: usize| {
        let mut bed = Testbed::new();
        let mut others: Vec<Uuid> = Vec::new();
        for number in 0..refs {
            let uuid = bed.uuid();
            let name = Str::from(format!("other{number}"));
            others.push(bed.put(|u| &mut u.chassis, uuid, Chassis { name, ..Chassis::default() }));
        }
        let lr = bed.datapath("lr", 1);
        let (group, row) = bed.ha_group(&[(Some(HV1), 5), (Some(HV2), 9)], &others);
        bed.port(lr, "cr-lrp", "chassisredirect", |pb| pb.ha_chassis_group = Some(group));
        assert_eq!(bed.ask(HaRole(row)), Role::Standby, "no session to anybody");
        let group = bed.agent.model().sb.ha_chassis_group.row(row).unwrap();
        let member = *group.ha_chassis.iter().nth(1).unwrap();
        bed.agent.take_work();
        bed.put(|u| &mut u.ha_chassis, member, HaChassis { chassis: Some(HV2), priority: 7, ..HaChassis::default() });
        let work = bed.agent.take_work();
        (work.facts, work.units, work.reads)
    };
    let (few, many) = (work(3), work(300));
    assert_eq!(few, many);
    assert!(few.0 >= 2, "its role and its order: {few:?}");
}

#[test]
fn residency_of_other_ports_is_their_chassis() {
    let mut bed = Testbed::new();
    let ls = bed.datapath("ls", 1);
    let (uuid, _) = bed.port(ls, "lp", "", |_| {});
    let resident = |bed: &Testbed, name: &str| bed.ask(ChassisResident(Str::from(name)));
    bed.vif("lp");
    assert!(!resident(&bed, "lp"), "not before the database says so");
    bed.change_port(uuid, |pb| pb.chassis = Some(HV1));
    assert!(resident(&bed, "lp"));
    bed.change_port(uuid, |pb| pb.chassis = Some(HV2));
    assert!(!resident(&bed, "lp"));
    assert!(!resident(&bed, "unknown"));
}
