//! What kinds of chassis there are, and their MAC addresses.

use ovsdb::tables::{ColumnReads, Table, Tracked};
use ovsdb::{RowId, Str};

use crate::facts::ThisChassis;
use crate::flows::addresses::mac_mappings;
use crate::flows::ovs_order::hmap_order_by_hash;
use crate::list::List;
use crate::reader::Reader;
use crate::rows::Chassis;
use crate::view::flag;

/// What Chassis.other_config says a chassis is.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct ChassisTraits {
    /// There is a row of that name at all.
    pub exists: bool,
    /// `is-remote`: of another availability zone.
    pub is_remote: bool,
    /// `is-vtep`: a VTEP gateway.
    pub is_vtep: bool,
}

/// See [`crate::facts::ChassisByName`].
pub fn chassis_by_name(r: &Reader<'_>, name: Str) -> ChassisTraits {
    let Some(row) = r.lookup_one(|table: &Table<Chassis>| table.by_name(&name)) else {
        return ChassisTraits::default();
    };
    let Some(chassis) = r.row::<Chassis>(row) else { return ChassisTraits::default() };
    ChassisTraits {
        exists: true,
        is_remote: flag(chassis.other_config(), "is-remote"),
        is_vtep: flag(chassis.other_config(), "is-vtep"),
    }
}

/// See [`crate::facts::RemoteChassis`].
pub fn remote_chassis(r: &Reader<'_>) -> List<Str> {
    let marked: Vec<RowId> = if r.config().read_only {
        let uuid = |row: &RowId| r.row::<Chassis>(*row).map_or(0, |chassis| chassis.uuid().short());
        hmap_order_by_hash(r.all::<Chassis>(), uuid)
    } else {
        r.lookup(|table: &Table<Chassis>| table.by_remote(true)).into_vec()
    };
    let chassis = marked.into_iter().filter_map(|row| r.row::<Chassis>(row));
    chassis.filter(|chassis| flag(chassis.other_config(), "is-remote")).map(|chassis| chassis.name().clone()).collect()
}

/// See [`crate::facts::ChassisMac`]. chassis.c `chassis_get_mac`, OVN 26.03.
pub fn chassis_mac(r: &Reader<'_>, network: Str) -> Option<u64> {
    let chassis = r.row::<Chassis>(r.fact(ThisChassis)?)?;
    let mappings = chassis_mac_mappings(&chassis)?;
    mac_mappings(mappings).find_map(|(of, mac)| mac.filter(|_| of == network.as_str()))
}

/// `ovn-chassis-mac-mappings` of a chassis; its `ovn-chassis-mac-mappings-NAME` wins.
pub fn chassis_mac_mappings<'a, L: ColumnReads + ?Sized>(chassis: &Tracked<'a, Chassis, L>) -> Option<&'a Str> {
    let config = chassis.other_config();
    let own = format!("ovn-chassis-mac-mappings-{}", chassis.name());
    config.get(own.as_str()).or_else(|| config.get("ovn-chassis-mac-mappings")).filter(|text| !text.is_empty())
}
