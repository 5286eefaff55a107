//! Which datapaths are local, and what is special about each: sheet 01 section 6.5, sheet 02 section 4.1.

use ovsdb::{Str, Uuid};

use crate::facts::{
    BoundPorts, Datapath, ExternalPorts, LocalMembers, LocalnetPort, MultichassisPorts, PatchOfport, PeerPorts,
    VtepPort,
};
use crate::rows::{DatapathBinding, LogicalDpGroup};
use crate::view::testbed::{HV1, HV2, Testbed, map, set};

#[test]
fn what_is_bound_here_makes_a_datapath_local() {
    let mut bed = Testbed::new();
    let (mine, _) = bed.ha_group(&[(Some(HV1), 1), (Some(HV2), 2)], &[]);
    let (other, _) = bed.ha_group(&[(Some(HV2), 2)], &[]);
    bed.vif("vif");
    bed.vif("meta");
    let cases = [
        ("a VIF", "vif", "", map(&[]), None, true),
        ("a VIF elsewhere", "far", "", map(&[]), None, false),
        ("a localport", "meta", "localport", map(&[]), None, false),
        ("a localnet port", "ln", "localnet", map(&[("network_name", "phys")]), None, false),
        ("our l2gateway", "l2", "l2gateway", map(&[("l2gateway-chassis", "hv1")]), None, true),
        ("our l3gateway", "l3", "l3gateway", map(&[("l3gateway-chassis", "hv1")]), None, true),
        ("their l3gateway", "l3", "l3gateway", map(&[("l3gateway-chassis", "hv2")]), None, false),
        ("a gateway's name on another type", "l3", "patch", map(&[("l3gateway-chassis", "hv1")]), None, false),
        ("a chassisredirect port, standby", "cr", "chassisredirect", map(&[]), Some(mine), true),
        ("a chassisredirect port of others", "cr", "chassisredirect", map(&[]), Some(other), false),
        ("an external port, standby", "ext", "external", map(&[]), Some(mine), true),
        ("a VIF with a group", "far", "", map(&[]), Some(mine), false),
    ];
    for (case, name, port_type, options, group, expected) in cases {
        let dp = bed.datapath("ls", 1);
        let (port, _) = bed.port(dp, name, port_type, |pb| {
            pb.options = options;
            pb.ha_chassis_group = group;
        });
        assert_eq!(!bed.local_datapaths().is_empty(), expected, "{case}");
        bed.delete(|u| &mut u.port_binding, port);
        assert!(bed.local_datapaths().is_empty(), "{case}: gone again");
        bed.delete(|u| &mut u.datapath_binding, dp);
    }
}

#[test]
fn peers_follow_and_leave() {
    let mut bed = Testbed::new();
    let dps: Vec<Uuid> = (1..=5).map(|n| bed.datapath(&format!("ls{n}"), n)).collect();
    let links: Vec<_> =
        (0..4).map(|n| bed.patch((dps[n], &n.to_string()), (dps[n + 1], &(n + 1).to_string()), [&[], &[]])).collect();
    bed.port(dps[0], "lp", "", |_| {});
    assert!(bed.local_datapaths().is_empty());
    let interface = bed.vif("lp");
    assert_eq!(bed.local_datapaths(), ["ls1", "ls2", "ls3", "ls4", "ls5"]);
    // A link in the middle goes: what is beyond is not local any more.
    let [(one_end, _), _] = links[2];
    bed.change_port(one_end, |pb| pb.options = map(&[]));
    assert_eq!(bed.local_datapaths(), ["ls1", "ls2", "ls3"]);
    bed.change_port(one_end, |pb| pb.options = map(&[("peer", "3-2")]));
    assert_eq!(bed.local_datapaths().len(), 5);
    let middle = bed.row::<DatapathBinding>(dps[2]);
    assert_eq!(bed.ask(PeerPorts(middle)).as_ref(), [(links[1][1].1, links[1][0].1), (links[2][0].1, links[2][1].1)]);
    bed.change_interface(interface, |row| row.ofport = Some(-1));
    assert!(bed.local_datapaths().is_empty());
    assert!(bed.ask(BoundPorts).is_empty());
    assert_eq!(bed.agent.take_work().cycles, 0);
}

/// The rules of `need_add_peer_to_local`, in order, from a switch with our VIF to a router and the other way round.
#[test]
fn a_peer_is_local_unless_only_its_gateway_needs_it() {
    struct Case {
        what: &'static str,
        vif_on_switch: bool,
        /// Members of the group of the router port's chassisredirect port; none: there is no such port.
        group: Option<&'static [(Option<Uuid>, i64)]>,
        always_redirect: bool,
        expected: bool,
    }
    const OURS: &[(Option<Uuid>, i64)] = &[(Some(HV1), 1), (Some(HV2), 2)];
    const THEIRS: &[(Option<Uuid>, i64)] = &[(Some(HV2), 2)];
    let cases = [
        Case {
            what: "switch, gateway ours",
            vif_on_switch: true,
            group: Some(OURS),
            always_redirect: false,
            expected: true,
        },
        Case {
            what: "switch, gateway theirs",
            vif_on_switch: true,
            group: Some(THEIRS),
            always_redirect: false,
            expected: false,
        },
        Case {
            what: "switch, named port missing",
            vif_on_switch: true,
            group: None,
            always_redirect: false,
            expected: false,
        },
        Case {
            what: "router, distributed",
            vif_on_switch: false,
            group: Some(THEIRS),
            always_redirect: false,
            expected: true,
        },
        Case {
            what: "router, always redirected, theirs",
            vif_on_switch: false,
            group: Some(THEIRS),
            always_redirect: true,
            expected: false,
        },
        Case {
            what: "router, always redirected, ours",
            vif_on_switch: false,
            group: Some(OURS),
            always_redirect: true,
            expected: true,
        },
        Case {
            what: "router, named port missing",
            vif_on_switch: false,
            group: None,
            always_redirect: false,
            expected: false,
        },
    ];
    for case in cases {
        let mut bed = Testbed::new();
        let (ls, lr) = (bed.datapath("ls", 1), bed.datapath("lr", 2));
        // A second switch behind the router, without gateway, brings the router in when the VIF is not on the first.
        let inner = bed.datapath("ls-inner", 3);
        bed.patch((ls, "ls"), (lr, "lr"), [&[], &[("chassis-redirect-port", "cr-lr-ls")]]);
        bed.patch((inner, "in"), (lr, "lr"), [&[], &[]]);
        bed.port(if case.vif_on_switch { ls } else { inner }, "lp", "", |_| {});
        if let Some(members) = case.group {
            let (group, _) = bed.ha_group(members, &[]);
            bed.port(lr, "cr-lr-ls", "chassisredirect", |pb| {
                pb.ha_chassis_group = Some(group);
                if case.always_redirect {
                    pb.options = map(&[("always-redirect", "true")]);
                }
            });
        }
        bed.vif("lp");
        let wanted = if case.vif_on_switch { "lr" } else { "ls" };
        assert_eq!(bed.local_datapaths().iter().any(|name| name == wanted), case.expected, "{}", case.what);
    }
}

#[test]
fn a_gateway_router_brings_its_switch_when_both_ends_are_ours() {
    let mut bed = Testbed::new();
    let (ls, lr) = (bed.datapath("ls", 1), bed.datapath("lr", 2));
    let (_, a) = bed.port(lr, "lr-ls", "l3gateway", |pb| {
        pb.options = map(&[("l3gateway-chassis", "hv1"), ("peer", "ls-lr")]);
        pb.chassis = Some(HV1);
    });
    let (uuid, b) = bed.port(ls, "ls-lr", "l3gateway", |pb| {
        pb.options = map(&[("l3gateway-chassis", "hv2"), ("peer", "lr-ls")]);
        pb.chassis = Some(HV2);
    });
    assert_eq!(bed.local_datapaths(), ["lr"]);
    bed.change_port(uuid, |pb| pb.chassis = Some(HV1));
    assert_eq!(bed.local_datapaths(), ["lr", "ls"]);
    let (ls, lr) = (bed.row::<DatapathBinding>(ls), bed.row::<DatapathBinding>(lr));
    assert_eq!(bed.ask(PeerPorts(lr)).as_ref(), [(a, b)]);
    assert_eq!(bed.ask(PeerPorts(ls)).as_ref(), [(b, a)]);
}

/// The router's side says no, the switch's side yes: when both are local anyway, both know the pair.
#[test]
fn a_pair_of_ports_is_known_on_both_sides() {
    let mut bed = Testbed::new();
    let (ls, lr) = (bed.datapath("ls", 1), bed.datapath("lr", 2));
    let [(_, at_switch), (_, at_router)] =
        bed.patch((ls, "ls"), (lr, "lr"), [&[], &[("chassis-redirect-port", "cr-lr-ls")]]);
    let (group, _) = bed.ha_group(&[(Some(HV2), 1)], &[]);
    bed.port(lr, "cr-lr-ls", "chassisredirect", |pb| pb.ha_chassis_group = Some(group));
    let (ls_row, lr_row) = (bed.row::<DatapathBinding>(ls), bed.row::<DatapathBinding>(lr));
    bed.port(ls, "lp", "", |_| {});
    bed.vif("lp");
    assert_eq!(bed.local_datapaths(), ["ls"]);
    assert!(bed.ask(PeerPorts(ls_row)).is_empty());
    bed.port(lr, "gw", "l3gateway", |pb| pb.options = map(&[("l3gateway-chassis", "hv1")]));
    assert_eq!(bed.local_datapaths(), ["lr", "ls"]);
    assert_eq!(bed.ask(PeerPorts(lr_row)).as_ref(), [(at_router, at_switch)]);
    assert_eq!(bed.ask(PeerPorts(ls_row)).as_ref(), [(at_switch, at_router)]);
}

#[test]
fn special_ports_of_a_datapath() {
    let mut bed = Testbed::new();
    let ls = bed.datapath("ls", 1);
    let row = bed.row::<DatapathBinding>(ls);
    let (_, unmapped) = bed.port(ls, "ln0", "localnet", |pb| pb.options = map(&[("network_name", "other")]));
    let (_, mapped) = bed.port(ls, "ln1", "localnet", |pb| pb.options = map(&[("network_name", "phys")]));
    let (_, vtep) = bed.port(ls, "vtep", "vtep", |_| {});
    let (_, external) = bed.port(ls, "ext", "external", |_| {});
    bed.port(ls, "lp", "", |_| {});
    let (multi, multi_row) = bed.port(ls, "multi", "", |pb| pb.additional_chassis = set(&[HV2]));
    assert_eq!(bed.ask(LocalnetPort(row)), None);
    bed.setting("ovn-bridge-mappings", "phys:br-phys");
    assert_eq!(bed.ask(LocalnetPort(row)), None, "there is no such bridge");
    let bridge = crate::rows::Bridge { name: Str::from("br-phys"), ..Default::default() };
    let uuid = bed.uuid();
    bed.put_local(|u| &mut u.bridge, uuid, bridge);
    assert_eq!(bed.ask(LocalnetPort(row)), Some(mapped));
    assert_ne!(mapped, unmapped);
    assert_eq!(bed.ask(VtepPort(row)), Some(vtep));
    assert_eq!(bed.ask(ExternalPorts(row)).as_ref(), [external]);
    assert_eq!(bed.ask(MultichassisPorts(row)).as_ref(), [multi_row]);
    bed.change_port(multi, |pb| pb.additional_chassis = set(&[]));
    assert!(bed.ask(MultichassisPorts(row)).is_empty());

    assert_eq!(bed.ask(PatchOfport(Str::from("ln1"))), None);
    let (_, interface) = bed.bridge_port("patch-br-int-to-ln1", |port, interface| {
        port.external_ids = map(&[("ovn-localnet-port", "ln1")]);
        interface.r#type = Str::from("patch");
        interface.ofport = Some(12);
    });
    assert_eq!(bed.ask(PatchOfport(Str::from("ln1"))), Some(12));
    bed.change_interface(interface, |row| row.ofport = Some(-1));
    assert_eq!(bed.ask(PatchOfport(Str::from("ln1"))), None);
}

#[test]
fn a_datapath_in_the_new_and_the_older_form() {
    let mut bed = Testbed::new();
    let ids = [
        ("logical-router", "f47ac10b-58cc-4372-a567-0e02b2c3d479"),
        ("name", "r"),
        ("snat-ct-zone", "9"),
        ("interconn-ts", "ts"),
    ];
    let uuid = bed.uuid();
    bed.put(
        |u| &mut u.datapath_binding,
        uuid,
        DatapathBinding { tunnel_key: 4, external_ids: map(&ids), ..Default::default() },
    );
    let router = bed.ask(Datapath(bed.row::<DatapathBinding>(uuid))).unwrap();
    assert_eq!((router.key, router.is_switch, router.is_transit_switch, router.name.as_str()), (4, false, true, "r"));
    assert_eq!((router.snat_ct_zone, router.cookie), (Some(Some(9)), uuid.short()));
    let ids = [("logical-switch", "f47ac10b-58cc-4372-a567-0e02b2c3d479"), ("snat-ct-zone", "x")];
    bed.put(|u| &mut u.datapath_binding, uuid, DatapathBinding { external_ids: map(&ids), ..Default::default() });
    let switch = bed.ask(Datapath(bed.row::<DatapathBinding>(uuid))).unwrap();
    assert_eq!((switch.is_switch, switch.is_transit_switch, switch.snat_ct_zone), (true, false, Some(None)));
}

#[test]
fn the_local_members_of_a_group() {
    let mut bed = Testbed::new();
    let dps: Vec<Uuid> = (1..=4).map(|n| bed.datapath(&format!("ls{n}"), n)).collect();
    for n in [1, 3] {
        bed.port(dps[n], &format!("lp{n}"), "", |_| {});
        bed.vif(&format!("lp{n}"));
    }
    let uuid = bed.uuid();
    bed.put(|u| &mut u.logical_dp_group, uuid, LogicalDpGroup { datapaths: set(&dps[..3]) });
    let group = bed.row::<LogicalDpGroup>(uuid);
    assert_eq!(bed.ask(LocalMembers(group)).as_ref(), [bed.row::<DatapathBinding>(dps[1])]);
}
