//! Who watches whom by BFD, and what a change of one session costs: sheet 01 sections 6.6 and 7.4.

use ovsdb::Uuid;
use ovsdb::tables::southbound::{Chassis, HaChassis, HaChassisGroup};

use crate::facts::{BfdRole, BfdWanted, HaRole, SessionUp};
use crate::view::bfd::BfdRole as Role;
use crate::view::ports::HaRole as Active;
use crate::view::testbed::{HV1, HV2, HV3, Testbed, map, set};
use crate::writeback::WriteKey;

#[test]
fn a_chassis_is_alive_when_a_session_with_it_is_up() {
    let mut bed = Testbed::new();
    let interface = bed.tunnel("hv2", "up");
    bed.tunnel("hv3", "down");
    let up = |bed: &Testbed| ["hv1", "hv2", "hv3"].map(|name| bed.ask(SessionUp(name.into())));
    assert_eq!(up(&bed), [false, true, false]);
    bed.change_interface(interface, |row| row.bfd = map(&[("enable", "false")]));
    assert_eq!(up(&bed), [false; 3]);
    let second = bed.tunnel("hv2", "up");
    assert_eq!(up(&bed), [false, true, false], "one of several will do");
    bed.change_interface(second, |row| row.options = map(&[]));
    assert_eq!(up(&bed), [false; 3], "no tunnel");
    bed.change_interface(interface, |row| row.bfd = map(&[("enable", "true")]));
    bed.agent.set_external(|external| external.switch_lost = true);
    bed.agent.settle();
    assert_eq!(up(&bed), [false; 3], "nobody writes the states any more");
    bed.agent.set_external(|external| external.switch_lost = false);
    bed.agent.settle();
    assert_eq!(up(&bed), [false, true, false]);
    bed.bridge.ports = set(&[]);
    bed.bridge_changed();
    assert_eq!(up(&bed), [false; 3], "on another bridge");
}

/// Members by number of hypervisor, references; what we are; whether we watch hv2 and hv3.
type Case = (&'static [Uuid], &'static [Uuid], Role, [bool; 2]);

#[test]
fn members_watch_each_other_and_their_references() {
    let cases: [Case; 8] = [
        (&[], &[HV1], Role::None, [false, false]),
        (&[HV1], &[HV2, HV3], Role::None, [false, false]),
        (&[HV1, HV2], &[], Role::Member, [true, false]),
        (&[HV1, HV2], &[HV3], Role::Member, [true, true]),
        (&[HV2, HV3], &[HV1], Role::Reference, [true, true]),
        (&[HV2, HV3], &[], Role::None, [false, false]),
        (&[HV2], &[HV1], Role::None, [false, false]),
        (&[HV1, HV2, HV3], &[HV1], Role::Member, [true, true]),
    ];
    for (members, references, role, watched) in cases {
        let mut bed = Testbed::new();
        let members: Vec<_> = members.iter().map(|chassis| (Some(*chassis), 1)).collect();
        let (_, row) = bed.ha_group(&members, references);
        assert_eq!(bed.ask(BfdRole(row)), role, "{members:?} {references:?}");
        let watches = ["hv2", "hv3"].map(|name| bed.ask(BfdWanted(name.into())));
        assert_eq!(watches, watched, "{members:?} {references:?}");
    }
    // A member that is not there counts as one, and cannot be watched.
    let mut bed = Testbed::new();
    bed.ha_group(&[(Some(HV1), 1), (None, 2)], &[HV3]);
    assert!(bed.ask(BfdWanted("hv3".into())) && !bed.ask(BfdWanted("hv2".into())));
    // A reference of another availability zone is not watched, a member is.
    let remote =
        |name: &str| Chassis { name: name.into(), other_config: map(&[("is-remote", "true")]), ..Default::default() };
    bed.put(|u| &mut u.chassis, HV3, remote("hv3"));
    assert!(!bed.ask(BfdWanted("hv3".into())));
    bed.ha_group(&[(Some(HV1), 1), (Some(HV3), 2)], &[]);
    assert!(bed.ask(BfdWanted("hv3".into())));
}

/// A gateway with `others` chassis that refer to its group, each with a tunnel whose session is up, and the units of
/// [`WriteKey::Bfd`] settled.
fn gateway(others: usize) -> (Testbed, Uuid, HaChassisGroup) {
    let mut bed = Testbed::new();
    bed.northd(&[("bfd-mult", "3")]);
    let mut references = Vec::new();
    for n in 0..others {
        let (uuid, name) = (bed.uuid(), format!("far{n}"));
        references.push(bed.put(
            |u| &mut u.chassis,
            uuid,
            Chassis { name: name.as_str().into(), ..Default::default() },
        ));
        session(&mut bed, &name);
    }
    session(&mut bed, "hv2");
    let (group, _) = bed.ha_group(&[(Some(HV1), 1), (Some(HV2), 9)], &references);
    let datapath = bed.datapath("lr", 1);
    bed.port(datapath, "cr-lrp", "chassisredirect", |pb| pb.ha_chassis_group = Some(group));
    let row = bed.agent.model().sb.ha_chassis_group.row_by_uuid(&group).unwrap().clone();
    (bed, group, row)
}

/// A tunnel whose session is up and configured as it should be.
fn session(bed: &mut Testbed, chassis: &str) -> Uuid {
    let interface = bed.tunnel(chassis, "up");
    bed.change_interface(interface, |row| {
        row.bfd = map(&[("check_tnl_key", "true"), ("enable", "true"), ("mult", "3")]);
    });
    interface
}

/// Facts and units that each change of groups and sessions costs, with many references of our group and with few.
#[test]
fn the_work_for_a_session_or_a_group_does_not_grow_with_other_chassis() {
    let measure = |others: usize| {
        let (mut bed, group, row) = gateway(others);
        let mut work = Vec::new();
        let mut note = |bed: &mut Testbed, what: &str| {
            let done = bed.agent.take_work();
            work.push((what.to_owned(), [done.facts, done.units, done.reads]));
        };
        let first = bed.agent.model().local.interface.by_bfd_enable("true").next().unwrap();
        let first = bed.agent.model().local.interface.uuid(first);
        let _ = bed.agent.take_work();
        bed.change_interface(first, |row| row.bfd_status = map(&[("state", "up"), ("flap_count", "9")]));
        note(&mut bed, "another column of the state of a reference");
        bed.change_interface(first, |row| row.bfd_status = map(&[("state", "down")]));
        note(&mut bed, "the session with a reference goes down");
        let best = bed.agent.model().local.interface.by_name("ovn-hv2-0").next().unwrap();
        let best = bed.agent.model().local.interface.uuid(best);
        bed.change_interface(best, |row| row.bfd_status = map(&[("state", "down")]));
        note(&mut bed, "the session with the active member goes down");
        let uuid = bed.uuid();
        bed.put(|u| &mut u.chassis, uuid, Chassis { name: "late".into(), ..Default::default() });
        session(&mut bed, "late");
        let _ = bed.agent.take_work();
        let mut changed = row.clone();
        changed.ref_chassis = row.ref_chassis.iter().copied().chain([uuid]).collect();
        bed.put(|u| &mut u.ha_chassis_group, group, changed.clone());
        note(&mut bed, "a reference is added");
        let member = bed.uuid();
        bed.put(|u| &mut u.ha_chassis, member, HaChassis { chassis: Some(HV3), priority: 5, ..Default::default() });
        changed.ha_chassis = row.ha_chassis.iter().copied().chain([member]).collect();
        bed.put(|u| &mut u.ha_chassis_group, group, changed);
        note(&mut bed, "a member is added");
        bed.ha_group(&[(Some(uuid), 5)], &[]);
        note(&mut bed, "a group of others is added");
        work
    };
    let (few, many) = (measure(3), measure(60));
    for (few, many) in few.iter().zip(&many) {
        println!("{}: {:?} with 3 references, {:?} with 60", few.0, few.1, many.1);
    }
    assert_eq!(few, many);
}

#[test]
fn who_is_active_follows_the_sessions() {
    let (mut bed, group, _) = gateway(2);
    let row = bed.row::<HaChassisGroup>(group);
    assert_eq!(bed.ask(HaRole(row)), Active::Standby);
    let best = bed.agent.model().local.interface.by_name("ovn-hv2-0").next().unwrap();
    let best = bed.agent.model().local.interface.uuid(best);
    bed.change_interface(best, |row| row.bfd_status = map(&[("state", "down")]));
    assert_eq!(bed.ask(HaRole(row)), Active::Active, "references see us");
    bed.agent.set_external(|external| external.switch_lost = true);
    bed.agent.settle();
    assert_eq!(bed.ask(HaRole(row)), Active::Standby, "without a switch we are no gateway");
    bed.agent.set_external(|external| external.switch_lost = false);
    bed.agent.settle();
    bed.change_interface(best, |row| row.bfd_status = map(&[("state", "up")]));
    assert_eq!(bed.ask(HaRole(row)), Active::Standby, "the better one is back");
    assert!(
        bed.agent
            .write(&WriteKey::Bfd(bed.agent.model().local.port.by_name("ovn-hv2-0").next().unwrap()))
            .local
            .is_empty()
    );
}
