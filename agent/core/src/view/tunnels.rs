//! The tunnel ports there are on the integration bridge (not those there should be: see `writeback::tunnels`).

use ovsdb::{RowId, Str};
use std::sync::Arc;

use crate::reader::Reader;

/// Encapsulation of a tunnel.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TunnelKind {
    /// Geneve, preferred.
    #[default]
    Geneve,
    /// VXLAN.
    Vxlan,
}

/// A tunnel port that works.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tunnel {
    /// Name of the chassis at the other end.
    pub chassis: Str,
    /// Encapsulation.
    pub kind: TunnelKind,
    /// OpenFlow port.
    pub ofport: u16,
    /// From external_ids:ovn-chassis-id `chassis@remote%local`, or else options:remote_ip.
    pub remote_ip: Str,
    /// Likewise, options:local_ip; empty when neither has it.
    pub local_ip: Str,
    /// Row in Interface.
    pub interface: RowId,
}

/// The shared ports of flow-based tunnelling.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FlowBased {
    /// ofport of the Geneve port.
    pub geneve: Option<u16>,
    /// ofport of the VXLAN port.
    pub vxlan: Option<u16>,
}

/// See [`crate::facts`].
pub fn tunnels(_r: &Reader<'_>) -> Arc<[Tunnel]> {
    Default::default()
}

/// See [`crate::facts`].
pub fn tunnels_to(_r: &Reader<'_>, _chassis: Str) -> Arc<[Tunnel]> {
    Default::default()
}

/// See [`crate::facts`].
pub fn flow_based(_r: &Reader<'_>) -> Option<Arc<FlowBased>> {
    Default::default()
}

/// See [`crate::facts`].
pub fn active_tunnels(_r: &Reader<'_>) -> Arc<[Str]> {
    Default::default()
}
