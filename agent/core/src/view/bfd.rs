//! BFD sessions over tunnels: with which chassis we have one, and whether it is up. controller/bfd.c and controller/ha-chassis.c, OVN
//! 26.03; sheet 01 sections 6.6 and 7.4.
//!
//! Every question is about one chassis or one group, so that a session that goes down wakes the groups which its chassis is a
//! member of, and a reference that is added wakes the one tunnel that it needs.

use ovsdb::tables::Table;
use ovsdb::{RowId, Str};
use std::collections::BTreeMap;
use std::sync::Arc;

use super::interfaces::is_on_bridge;
use super::ports::our_uuid;
use crate::facts::{BfdRole as BfdRoleOf, HaContains, HaGroups};
use crate::reader::Reader;
use crate::rows::{Chassis, HaChassis, HaChassisGroup, Interface, Port, SbGlobal};
use crate::view::flag;

/// What this chassis is to an HA_Chassis_Group whose members watch each other.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum BfdRole {
    /// Nothing; or the group has one member, who has nobody to watch.
    #[default]
    None,
    /// A member: it has sessions with the other members and with all references.
    Member,
    /// A reference, which sends to whichever member is active: it has sessions with the members.
    Reference,
}

/// See [`crate::facts::SessionUp`]. bfd.c `bfd_calculate_active_tunnels`, OVN 26.03.
///
/// What the database says of sessions is what the switch wrote last. Without a switch that is of another time: a chassis whose
/// switch was killed would be active for ever.
pub fn session_up(r: &Reader<'_>, chassis: Str) -> bool {
    if r.switch_lost() {
        return false;
    }
    r.lookup(|table: &Table<Port>| table.by_tunnel_chassis(&chassis)).into_iter().any(|row| {
        let Some(port) = r.row::<Port>(row) else { return false };
        let mut interfaces = port.interfaces().iter().filter_map(|uuid| r.find::<Interface>(uuid));
        interfaces.any(|interface| {
            interface.bfd_status().get("state").is_some_and(|state| state == "up")
                && interface.bfd().get("enable").is_some_and(|enable| enable == "true")
                && interface.options().contains_key("remote_ip")
        }) && is_on_bridge(r, port.uuid())
    })
}

/// See [`crate::facts::BfdRole`].
pub fn bfd_role(r: &Reader<'_>, group: RowId) -> BfdRole {
    let (Some(row), Some(us)) = (r.row::<HaChassisGroup>(group), our_uuid(r)) else { return BfdRole::None };
    if row.ha_chassis().len() < 2 {
        return BfdRole::None;
    }
    if r.fact(HaContains(row.uuid())) {
        return BfdRole::Member;
    }
    // By the index: the references of a group may be all chassis, and which others there are is of no interest.
    match r.lookup(|table: &Table<HaChassisGroup>| table.by_ref_chassis(us)).contains(&group) {
        true => BfdRole::Reference,
        false => BfdRole::None,
    }
}

/// See [`crate::facts::BfdWanted`]. bfd.c `bfd_calculate_chassis`, OVN 26.03.
pub fn bfd_wanted(r: &Reader<'_>, chassis: Str) -> bool {
    let Some(peer) = r.lookup_one(|table: &Table<Chassis>| table.by_name(&chassis)) else { return false };
    let Some(peer) = r.row::<Chassis>(peer) else { return false };
    for member in r.lookup(|table: &Table<HaChassis>| table.by_chassis(peer.uuid())) {
        let Some(member) = r.row::<HaChassis>(member) else { continue };
        let groups = r.lookup(|table: &Table<HaChassisGroup>| table.by_ha_chassis(member.uuid()));
        if groups.into_iter().any(|group| r.fact(BfdRoleOf(group)) != BfdRole::None) {
            return true;
        }
    }
    if flag(peer.other_config(), "is-remote") {
        return false;
    }
    let referring = r.lookup(|table: &Table<HaChassisGroup>| table.by_ref_chassis(peer.uuid()));
    referring.into_iter().any(|group| r.fact(BfdRoleOf(group)) == BfdRole::Member)
}

/// Whether any group needs sessions of this chassis.
pub fn is_bfd_needed(r: &Reader<'_>) -> bool {
    let referring = our_uuid(r).map(|us| r.lookup(|table: &Table<HaChassisGroup>| table.by_ref_chassis(us)));
    let groups = r.fact(HaGroups);
    let mut groups = groups.iter().copied().chain(referring.into_iter().flatten());
    groups.any(|group| r.fact(BfdRoleOf(group)) != BfdRole::None)
}

/// See [`crate::facts::BfdSettings`]. bfd.c `bfd_run`, OVN 26.03.
pub fn bfd_settings(r: &Reader<'_>) -> Arc<BTreeMap<Str, Str>> {
    let mut settings = BTreeMap::from([(Str::from("enable"), Str::from("true"))]);
    if let Some(global) = r.only::<SbGlobal>() {
        for (option, setting) in [
            ("bfd-min-rx", "min_rx"),
            ("bfd-decay-min-rx", "decay_min_rx"),
            ("bfd-min-tx", "min_tx"),
            ("bfd-mult", "mult"),
        ] {
            if let Some(value) = global.options().get(option) {
                settings.insert(setting.into(), value.clone());
            }
        }
        // Without this the switch would take BFD packets of logical ports for its own.
        settings.insert("check_tnl_key".into(), "true".into());
    }
    Arc::new(settings)
}
