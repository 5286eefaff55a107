//! This chassis: its name, its settings, its Chassis row, its bridge, and northd's options.

use ovsdb::{RowId, Str};
use std::sync::Arc;

use crate::reader::Reader;

/// What a dropped packet does when drop debugging is on: SB_Global.options debug_drop_collector_set and
/// debug_drop_domain_id (physical.c `put_drop`, OVN 26.03).
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct DropSampling {
    /// Flow_Sample_Collector_Set id, known to exist here.
    pub collector_set: u32,
    /// Observation domain: the configured id shifted left by 24.
    pub domain: u32,
}

/// See [`crate::facts`].
pub fn chassis_name(_r: &Reader<'_>) -> Option<Str> {
    Default::default()
}

/// See [`crate::facts`].
pub fn setting(_r: &Reader<'_>, _key: &'static str) -> Option<Str> {
    Default::default()
}

/// See [`crate::facts`].
pub fn this_chassis(_r: &Reader<'_>) -> Option<RowId> {
    Default::default()
}

/// See [`crate::facts`].
pub fn northd_option(_r: &Reader<'_>, _key: &'static str) -> Option<Str> {
    Default::default()
}

/// See [`crate::facts`].
pub fn integration_bridge(_r: &Reader<'_>) -> Option<RowId> {
    Default::default()
}

/// See [`crate::facts`].
pub fn capability(_r: &Reader<'_>, _key: &'static str) -> Option<Str> {
    Default::default()
}

/// See [`crate::facts`].
pub fn bridge_mappings(_r: &Reader<'_>) -> Arc<[(Str, Str)]> {
    Default::default()
}

/// See [`crate::facts`].
pub fn encap_ips(_r: &Reader<'_>) -> Arc<[Str]> {
    Default::default()
}

/// See [`crate::facts`].
pub fn collector_set(_r: &Reader<'_>, _id: i64) -> bool {
    Default::default()
}

/// See [`crate::facts`].
pub fn drop_sampling(_r: &Reader<'_>) -> Option<DropSampling> {
    Default::default()
}
