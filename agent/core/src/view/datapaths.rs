//! Local datapaths: which are, and what is special about each.

use ovsdb::{RowId, Str};
use std::sync::Arc;

use crate::reader::Reader;

/// What a Datapath_Binding is, from its own row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Datapath {
    /// tunnel_key.
    pub key: u32,
    /// A logical switch, not a router (type, or else external_ids).
    pub is_switch: bool,
    /// external_ids:interconn-ts is present.
    pub is_transit_switch: bool,
    /// external_ids:name; empty when missing.
    pub name: Str,
    /// external_ids:snat-ct-zone is present, with this value if it is a zone number.
    pub snat_ct_zone: Option<Option<u16>>,
    /// First 32 bits of the UUID.
    pub cookie: u32,
}

/// See [`crate::facts`].
pub fn local_datapaths(_r: &Reader<'_>) -> Arc<[RowId]> {
    Default::default()
}

/// See [`crate::facts`].
pub fn is_local(_r: &Reader<'_>, _datapath: RowId) -> bool {
    Default::default()
}

/// See [`crate::facts`].
pub fn peer_datapaths(_r: &Reader<'_>, _datapath: RowId) -> Arc<[RowId]> {
    Default::default()
}

/// See [`crate::facts`].
pub fn datapath(_r: &Reader<'_>, _row: RowId) -> Option<Datapath> {
    Default::default()
}

/// See [`crate::facts`].
pub fn peer_ports(_r: &Reader<'_>, _datapath: RowId) -> Arc<[(RowId, RowId)]> {
    Default::default()
}

/// See [`crate::facts`].
pub fn localnet_port(_r: &Reader<'_>, _datapath: RowId) -> Option<RowId> {
    Default::default()
}

/// See [`crate::facts`].
pub fn vtep_port(_r: &Reader<'_>, _datapath: RowId) -> Option<RowId> {
    Default::default()
}

/// See [`crate::facts`].
pub fn external_ports(_r: &Reader<'_>, _datapath: RowId) -> Arc<[RowId]> {
    Default::default()
}

/// See [`crate::facts`].
pub fn multichassis_ports(_r: &Reader<'_>, _datapath: RowId) -> Arc<[RowId]> {
    Default::default()
}

/// See [`crate::facts`].
pub fn local_members(_r: &Reader<'_>, _group: RowId) -> Arc<[RowId]> {
    Default::default()
}
