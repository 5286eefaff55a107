//! Conntrack zones by user name: those persisted in Bridge.external_ids stay, new users get the lowest free ones.

use ovsdb::{RowId, Str};
use std::sync::Arc;

use crate::reader::Reader;

/// The zones of a port binding; 0 is none. physical.c `get_zone_ids`, OVN 26.03.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct PortZones {
    /// Zone of the logical port itself.
    pub ct: u16,
    /// The datapath's DNAT zone.
    pub dnat: u16,
    /// The datapath's SNAT zone.
    pub snat: u16,
}

/// See [`crate::facts`].
pub fn zones(_r: &Reader<'_>) -> Arc<[(Str, u16)]> {
    Default::default()
}

/// See [`crate::facts`].
pub fn zone(_r: &Reader<'_>, _name: Str) -> u16 {
    Default::default()
}

/// See [`crate::facts`].
pub fn port_zones(_r: &Reader<'_>, _port: RowId) -> PortZones {
    Default::default()
}
