//! Writeback: what the databases should hold because of us, as operations that bring them there. A write unit reads both what
//! is wanted and what is observed, and its output is the difference: once the database has it, the unit runs again (its
//! reads changed) and wants nothing. Entry types: [`WriteKey`], [`Operation`].

use ovsdb::RowId;

use crate::reader::Reader;
use crate::units::Output;

/// Which write unit.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum WriteKey {
    /// The integration bridge exists and is as it should be.
    IntegrationBridge,
    /// Our Chassis, Encap and Chassis_Private rows.
    Chassis,
    /// The tunnel ports.
    Tunnels,
    /// The patch ports of localnet and l2gateway ports.
    PatchPorts,
    /// Zones persisted in Bridge.external_ids.
    Zones,
    /// nb_cfg acknowledgement in both databases.
    NbCfg,
    /// Claim, release and `up` of one Port_Binding, and `ovn-installed` of its interface.
    Port(RowId),
}

impl WriteKey {
    /// The units of which there is exactly one.
    pub const SINGLE: &'static [WriteKey] = &[
        WriteKey::IntegrationBridge,
        WriteKey::Chassis,
        WriteKey::Tunnels,
        WriteKey::PatchPorts,
        WriteKey::Zones,
        WriteKey::NbCfg,
    ];
}

/// One operation on one of the databases.
#[derive(Clone, Debug, PartialEq)]
pub struct Operation {}

/// Runs a write unit.
pub fn run(_key: &WriteKey, _r: &Reader<'_>, _out: &mut Output) {}
