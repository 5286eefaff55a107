//! Logical ports: their types, and where they are bound.

use ovsdb::{RowId, Str};
use std::sync::Arc;

use crate::reader::Reader;

/// Port_Binding.type, with the distinction of VIFs that hang on another one.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum PortKind {
    /// A VIF: type "" without parent_port.
    #[default]
    Vif,
    /// A VLAN child of another VIF: type "" with parent_port.
    Container,
    /// Mirror port, attached to mirror_port.
    Mirror,
    /// Virtual IP port, bound by the agent when a virtual parent answers for it.
    Virtual,
    /// localport
    Localport,
    /// localnet
    Localnet,
    /// l2gateway
    L2Gateway,
    /// l3gateway
    L3Gateway,
    /// chassisredirect
    ChassisRedirect,
    /// external
    External,
    /// patch
    Patch,
    /// remote
    Remote,
    /// vtep
    Vtep,
    /// A type that we do not know.
    Unknown,
}

/// How this chassis binds a port.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Bound {
    /// Not here.
    #[default]
    No,
    /// Here, as the main chassis.
    Main,
    /// Here, as one of the additional chassis.
    Additional,
}

/// Role of this chassis in an HA chassis group (sheet 01 section 6.6).
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum HaRole {
    /// No member.
    #[default]
    None,
    /// A member, but another one is active.
    Standby,
    /// The active member.
    Active,
}

/// See [`crate::facts`].
pub fn port_by_name(_r: &Reader<'_>, _lport: Str) -> Option<RowId> {
    Default::default()
}

/// See [`crate::facts`].
pub fn port_key(_r: &Reader<'_>, _datapath: RowId, _name: Str) -> Option<u32> {
    Default::default()
}

/// See [`crate::facts`].
pub fn port_kind(_r: &Reader<'_>, _port: RowId) -> PortKind {
    Default::default()
}

/// See [`crate::facts`].
pub fn bound_here(_r: &Reader<'_>, _port: RowId) -> Bound {
    Default::default()
}

/// See [`crate::facts`].
pub fn is_related(_r: &Reader<'_>, _port: RowId) -> bool {
    Default::default()
}

/// See [`crate::facts`].
pub fn is_related_key(_r: &Reader<'_>, _datapath_key: u32, _port_key: u32) -> bool {
    Default::default()
}

/// See [`crate::facts`].
pub fn chassis_resident(_r: &Reader<'_>, _lport: Str) -> bool {
    Default::default()
}

/// See [`crate::facts`].
pub fn ha_role(_r: &Reader<'_>, _group: RowId) -> HaRole {
    Default::default()
}

/// See [`crate::facts`].
pub fn ha_order(_r: &Reader<'_>, _group: RowId) -> Arc<[Str]> {
    Default::default()
}
