//! Conntrack zones: sheet 01 section 7.5.

use ovsdb::{Str, Uuid};

use crate::facts::{AllZoneKeys, PortZones, Zone, ZoneKeys, ZoneRange, ZoneUsers, Zones};
use crate::view::testbed::{HV1, HV2, Testbed, map, names};
use crate::zones::ZoneKind;

fn zones(bed: &Testbed) -> Vec<(String, u16)> {
    let mut zones: Vec<_> = bed.ask(Zones).iter().map(|(name, zone)| (name.to_string(), *zone)).collect();
    zones.sort();
    zones
}

fn zone(bed: &Testbed, name: &str) -> u16 {
    bed.ask(Zone(Str::from(name)))
}

fn persist(bed: &mut Testbed, zones: &[(&str, &str)]) {
    bed.bridge.external_ids = map(zones);
    bed.bridge_changed();
}

/// A switch with a VIF called `name`.
fn vif(bed: &mut Testbed, datapath: Uuid, name: &str) -> ovsdb::RowId {
    let (_, port) = bed.port(datapath, name, "", |_| {});
    bed.vif(name);
    port
}

#[test]
fn persisted_zones_stay_and_new_users_get_the_lowest_free_ones() {
    let mut bed = Testbed::new();
    let ls = bed.datapath("ls", 1);
    persist(
        &mut bed,
        &[
            ("ct-zone-b", "2"),
            ("ct-zone-gone", "1"),
            ("ct-zone-ls_snat", "7"),
            ("ct-zone-", "9"),
            ("ct-zone-c", "x"),
            ("ovn-nb-cfg", "4"),
        ],
    );
    assert!(zones(&bed).is_empty());
    for name in ["c", "b", "a"] {
        vif(&mut bed, ls, name);
    }
    // The connections of who had zone 1 are still to be flushed.
    let expected = [("a", 3), ("b", 2), ("c", 4), ("ls_dnat", 5), ("ls_snat", 7)];
    assert_eq!(zones(&bed), expected.map(|(name, zone)| (name.to_owned(), zone)));
    // Written back, nothing moves when a user comes that sorts in front, and a zone is free again when its user goes.
    let written: Vec<(String, String)> =
        zones(&bed).iter().map(|(n, z)| (format!("ct-zone-{n}"), z.to_string())).collect();
    persist(&mut bed, &written.iter().map(|(n, z)| (n.as_str(), z.as_str())).collect::<Vec<_>>());
    let port = vif(&mut bed, ls, "0");
    assert_eq!((zone(&bed, "0"), zone(&bed, "a"), zone(&bed, "c")), (1, 3, 4));
    let port_zones = bed.ask(PortZones(port));
    assert_eq!((port_zones.ct, port_zones.dnat, port_zones.snat), (1, 5, 7));
    // Before it is persisted, what the flows in the switch were made with counts.
    bed.agent.set_external(|external| external.zones_in_use = [("0".into(), 6)].into_iter().collect());
    bed.agent.settle();
    assert_eq!(zone(&bed, "0"), 6);
    let a = bed.agent.model().sb.port_binding.by_logical_port("a").next().unwrap();
    let a = bed.agent.model().sb.port_binding.uuid(a);
    bed.delete(|u| &mut u.port_binding, a);
    assert_eq!((zone(&bed, "0"), zone(&bed, "a")), (6, 0));
    // Once its key is gone, a's zone is free.
    vif(&mut bed, ls, "d");
    assert_eq!(zone(&bed, "d"), 1);
    bed.agent.set_external(|external| external.zones_in_use = [("0".into(), 6), ("d".into(), 1)].into_iter().collect());
    persist(&mut bed, &[("ct-zone-b", "2"), ("ct-zone-c", "4"), ("ct-zone-ls_dnat", "5"), ("ct-zone-ls_snat", "7")]);
    vif(&mut bed, ls, "e");
    assert_eq!((zone(&bed, "0"), zone(&bed, "d"), zone(&bed, "e")), (6, 1, 3));
}

#[test]
fn a_requested_snat_zone_is_taken_from_whoever_has_it() {
    let mut bed = Testbed::new();
    let lr = bed.datapath("lr", 1);
    persist(&mut bed, &[("ct-zone-lp", "5"), ("ct-zone-lr_snat", "6"), ("ct-zone-lr_dnat", "1")]);
    let ls = bed.datapath("ls", 2);
    bed.patch((lr, "lr"), (ls, "ls"), [&[], &[]]);
    vif(&mut bed, ls, "lp");
    assert_eq!((zone(&bed, "lp"), zone(&bed, "lr_snat")), (5, 6));
    let request = |bed: &mut Testbed, zone: &str| {
        let mut row = bed.agent.model().sb.datapath_binding.row_by_uuid(&lr).unwrap().clone();
        row.external_ids = map(&[("name", "lr"), ("snat-ct-zone", zone)]);
        bed.put(|u| &mut u.datapath_binding, lr, row);
    };
    request(&mut bed, "5");
    assert_eq!((zone(&bed, "lr_snat"), zone(&bed, "lr_dnat")), (5, 1));
    assert_eq!((zone(&bed, "lp"), zone(&bed, "ls_dnat"), zone(&bed, "ls_snat")), (2, 3, 4));
    bed.setting("ct-zone-range", "10-20");
    assert_eq!((zone(&bed, "lr_snat"), zone(&bed, "lr_dnat"), zone(&bed, "lp")), (5, 11, 10));
    request(&mut bed, "-1");
    assert_eq!(zone(&bed, "lr_snat"), 12, "six is out of range");
    bed.setting("ct-zone-range", "1-");
    assert_eq!(zone(&bed, "lr_snat"), 6, "the persisted one");
}

#[test]
fn zone_ranges() {
    let mut bed = Testbed::new();
    for (text, expected) in [
        ("", (1, 65535)),
        ("10-20", (10, 20)),
        ("10", (10, 65535)),
        ("10-99999", (10, 65535)),
        ("10-x", (10, 65535)),
        ("0-20", (1, 65535)),
        ("x-20", (1, 65535)),
    ] {
        bed.setting("ct-zone-range", text);
        assert_eq!(bed.ask(ZoneRange), expected, "{text}");
    }
    bed.setting("ct-zone-range", "4-5");
    let ls = bed.datapath("ls", 1);
    vif(&mut bed, ls, "a");
    assert_eq!(zones(&bed), [("a".to_owned(), 4), ("ls_dnat".to_owned(), 5)], "and none is left");
}

#[test]
fn names_of_the_older_form_are_understood() {
    let mut bed = Testbed::new();
    let lr = bed.datapath("ls", 1);
    vif(&mut bed, lr, "z");
    persist(
        &mut bed,
        &[(&format!("ct-zone-{lr}_dnat"), "8"), (&format!("ct-zone-{lr}_snat"), "9"), ("ct-zone-ls_snat", "3")],
    );
    assert_eq!((zone(&bed, "ls_dnat"), zone(&bed, "ls_snat")), (8, 3));
}

#[test]
fn who_has_a_zone() {
    let mut bed = Testbed::new();
    let (ls, far) = (bed.datapath("ls", 1), bed.datapath("ls-far", 2));
    let (active, _) = bed.ha_group(&[(Some(HV1), 1)], &[]);
    let (standby, _) = bed.ha_group(&[(Some(HV1), 1), (Some(HV2), 2)], &[]);
    let lr = bed.datapath("lr", 3);
    vif(&mut bed, ls, "vif");
    bed.port(ls, "vif-far", "", |_| {});
    bed.port(ls, "meta", "localport", |_| {});
    bed.vif("meta");
    bed.port(ls, "meta-far", "localport", |_| {});
    bed.port(ls, "ln", "localnet", |_| {});
    bed.port(far, "ln-far", "localnet", |_| {});
    bed.port(lr, "l3", "l3gateway", |pb| pb.options = map(&[("l3gateway-chassis", "hv1")]));
    bed.port(lr, "l3-far", "l3gateway", |pb| pb.options = map(&[("l3gateway-chassis", "hv2")]));
    bed.port(lr, "cr", "chassisredirect", |pb| pb.ha_chassis_group = Some(active));
    bed.port(lr, "cr-standby", "chassisredirect", |pb| pb.ha_chassis_group = Some(standby));
    bed.port(far, "patch-acl", "patch", |pb| pb.options = map(&[("enable_router_port_acl", "true")]));
    bed.port(ls, "patch", "patch", |pb| pb.options = map(&[("enable_router_port_acl", "false")]));
    bed.port(ls, "vif_dnat", "", |_| {});
    bed.vif("vif_dnat");
    let users = ZoneKind::ALL.map(|kind| names(&bed.ask(ZoneUsers(kind))).join(" "));
    assert_eq!(users, ["lr_dnat lr_snat ls_dnat ls_snat vif_dnat", "cr l3 ln meta patch-acl vif"]);
}

#[test]
fn no_two_users_share_a_zone_that_neither_asked_for() {
    let mut bed = Testbed::new();
    let ls = bed.datapath("ls", 1);
    for name in ["a", "b"] {
        vif(&mut bed, ls, name);
    }
    persist(&mut bed, &[("ct-zone-a", "5"), ("ct-zone-b", "5"), ("ct-zone-ls_dnat", "6"), ("ct-zone-ls_snat", "6")]);
    assert_eq!((zone(&bed, "a"), zone(&bed, "ls_dnat")), (5, 6));
    assert_eq!((zone(&bed, "b"), zone(&bed, "ls_snat")), (1, 2));
    // Nor do a port and a datapath.
    vif(&mut bed, ls, "c");
    persist(&mut bed, &[("ct-zone-a", "5"), ("ct-zone-c", "6"), ("ct-zone-ls_dnat", "6"), ("ct-zone-ls_snat", "2")]);
    assert_eq!(["a", "b", "c", "ls_dnat", "ls_snat"].map(|name| zone(&bed, name)), [5, 1, 3, 6, 2]);
}

#[test]
fn a_zone_is_read_by_itself() {
    let mut bed = Testbed::new();
    let ls = bed.datapath("ls", 1);
    let port = vif(&mut bed, ls, "b");
    let zones = bed.ask(Zones);
    bed.agent.set_external(|external| external.zones_in_use = zones);
    bed.agent.settle();
    assert_ne!(bed.ask(PortZones(port)).ct, 0);
    // Of the readers of zones only those of the new ones run, and all see what they should when zones do move.
    vif(&mut bed, ls, "a");
    let before = (zone(&bed, "a"), zone(&bed, "b"), bed.ask(PortZones(port)).ct);
    assert_eq!(before.1, before.2);
    bed.setting("ct-zone-range", "100-200");
    assert!((100..=200).contains(&zone(&bed, "b")));
    assert_eq!(zone(&bed, "b"), bed.ask(PortZones(port)).ct);
    assert_eq!(bed.agent.take_work().cycles, 0);
}

/// The keys are those of external_ids, however they changed, and those of a kind that did not change are the same list.
#[test]
fn keys_follow_external_ids() {
    let mut bed = Testbed::new();
    let mut random = 1_u64;
    let mut below = |limit: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % limit
    };
    for _ in 0..200 {
        let keys = bed.ask(AllZoneKeys).entries().clone();
        let mut ids: Vec<(Str, Str)> = bed.bridge.external_ids.pairs().cloned().collect();
        for _ in 0..=below(3) {
            let name = ["ct-zone-p", "ct-zone-ls_dnat", "ct-zone-ls_snat", "ovn-nb-cfg"][below(4) as usize];
            let key = Str::from(format!("{name}{}", ["", "0", "1", "_dnat"][below(4) as usize]));
            ids.retain(|(known, _)| *known != key);
            if below(3) > 0 {
                ids.push((key, Str::from(below(3).to_string())));
            }
        }
        bed.bridge.external_ids = ids.into_iter().collect();
        bed.bridge_changed();
        for kind in ZoneKind::ALL {
            let is_ours = |key: &str| key.strip_prefix("ct-zone-").map(ZoneKind::of) == Some(kind);
            let pairs = bed.bridge.external_ids.pairs().filter(|(key, _)| is_ours(key)).cloned();
            let (former, now) = (keys.of(kind), bed.ask(ZoneKeys(kind)));
            assert_eq!(*now, *pairs.collect::<Vec<_>>());
            assert_eq!(former.is(&now), **former == *now);
        }
    }
}

/// After the database was fetched anew no block is the one that it was; that costs one walk, not one at each change from then on.
#[test]
fn external_ids_that_were_fetched_anew_are_walked_once() {
    let mut bed = Testbed::new();
    let ids = |nb_cfg: &str| {
        let zones = (1..3000).map(|zone| (Str::from(format!("ct-zone-p{zone:04}")), Str::from(zone.to_string())));
        zones.chain([("ovn-nb-cfg".into(), nb_cfg.into())]).collect::<ovsdb::Map<Str, Str>>()
    };
    let mut nb_cfg = |ids: ovsdb::Map<Str, Str>| {
        bed.bridge.external_ids = ids;
        bed.bridge_changed();
        let known = bed.ask(AllZoneKeys);
        assert_eq!(known.entries().of(ZoneKind::Port).len(), 2999);
        bed.bridge.external_ids.beside(known.external_ids()).map(Iterator::count)[1]
    };
    let fetched = ids("2");
    assert_eq!([ids("1"), fetched.clone()].map(&mut nb_cfg), [0, 0]);
    let diff: ovsdb::Map<Str, Str> = [("ovn-nb-cfg".into(), "3".into())].into_iter().collect();
    assert!((1..200).contains(&nb_cfg(fetched.with_diff(&diff))));
}
