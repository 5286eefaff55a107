//! Writeback: what the databases should hold because of us, as transactions that bring them there. A write unit reads both what
//! is wanted and what is observed, and its output is the difference: once the database has it, the unit runs again (its
//! reads changed) and wants nothing. Entry types: [`WriteKey`], [`run`].

pub mod bfd;
mod bridge;
mod chassis;
pub mod cleanup;
mod evpn_ports;
mod host;
mod mirrors;
mod nb_cfg;
mod numbers;
mod operations;
mod patch_ports;
mod port;
mod qos;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tunnel_churn;
#[cfg(test)]
mod tunnel_tests;
mod tunnels;
pub mod vif_plug;
#[cfg(test)]
mod vswitchd;
pub mod zones;

use ovsdb::RowId;

use crate::reader::Reader;
use crate::units::Output;

pub use numbers::TunnelNumbers;
pub use tunnels::{NewTunnel, create_tunnels};

/// Which write unit.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum WriteKey {
    /// The integration bridge exists and is as it should be.
    IntegrationBridge,
    /// Settings of the Open_vSwitch row that we need.
    Host,
    /// Our Chassis, Encap and Chassis_Private rows.
    Chassis,
    /// The name of this host in our Chassis row.
    Hostname,
    /// The tunnel ports to a chassis that are missing (row in Chassis).
    PeerTunnels(RowId),
    /// One tunnel port (row in Port).
    TunnelPort(RowId),
    /// The ports of flow-based tunnelling that are missing.
    SharedTunnels,
    /// Has the switch try again what it has refused.
    Retry,
    /// The VXLAN ports of EVPN.
    EvpnPorts,
    /// The patch ports of localnet and l2gateway ports.
    PatchPorts,
    /// Zones persisted in Bridge.external_ids.
    Zones,
    /// Limits of connections in our zones.
    ZoneLimits,
    /// `ovn-installed` of interfaces that are no logical port's any more.
    Interfaces,
    /// Mirrors to remote addresses and local interfaces.
    Mirrors,
    /// Queues of the interfaces through which physical networks leave this host.
    Qos,
    /// nb_cfg acknowledgement in both databases.
    NbCfg,
    /// BFD of the interfaces of a tunnel port (a row in Port).
    Bfd(RowId),
    /// An interface (row) that we plugged in, which goes when its port is not for this chassis.
    Unplug(RowId),
    /// Claim, release and `up` of one Port_Binding, and `ovn-installed` of its interface.
    Port(RowId),
}

impl WriteKey {
    /// The units of which there is exactly one.
    pub const SINGLE: &'static [WriteKey] = &[
        WriteKey::IntegrationBridge,
        WriteKey::Host,
        WriteKey::Chassis,
        WriteKey::Hostname,
        WriteKey::SharedTunnels,
        WriteKey::Retry,
        WriteKey::EvpnPorts,
        WriteKey::PatchPorts,
        WriteKey::Zones,
        WriteKey::ZoneLimits,
        WriteKey::Interfaces,
        WriteKey::Mirrors,
        WriteKey::Qos,
        WriteKey::NbCfg,
    ];

    /// See [`UnitKey::kind`](crate::units::UnitKey::kind).
    pub fn kind(&self) -> &'static str {
        match self {
            WriteKey::IntegrationBridge => "WriteIntegrationBridge",
            WriteKey::Host => "WriteHost",
            WriteKey::Chassis => "WriteChassis",
            WriteKey::Hostname => "WriteHostname",
            WriteKey::PeerTunnels(_) => "WritePeerTunnels",
            WriteKey::TunnelPort(_) => "WriteTunnelPort",
            WriteKey::SharedTunnels => "WriteSharedTunnels",
            WriteKey::Retry => "WriteRetry",
            WriteKey::EvpnPorts => "WriteEvpnPorts",
            WriteKey::PatchPorts => "WritePatchPorts",
            WriteKey::Zones => "WriteZones",
            WriteKey::ZoneLimits => "WriteZoneLimits",
            WriteKey::Interfaces => "WriteInterfaces",
            WriteKey::Mirrors => "WriteMirrors",
            WriteKey::Qos => "WriteQos",
            WriteKey::NbCfg => "WriteNbCfg",
            WriteKey::Bfd(_) => "WriteBfd",
            WriteKey::Unplug(_) => "WriteUnplug",
            WriteKey::Port(_) => "WritePort",
        }
    }
}

/// Runs a write unit.
pub fn run(key: &WriteKey, r: &Reader<'_>, out: &mut Output) {
    if r.config().read_only {
        return;
    }
    match key {
        WriteKey::IntegrationBridge => bridge::integration_bridge(r, out),
        WriteKey::Host => host::host(r, out),
        WriteKey::Chassis => chassis::chassis(r, out),
        WriteKey::Hostname => chassis::hostname_changed(r, out),
        WriteKey::PeerTunnels(chassis) => tunnels::peer_tunnels(r, *chassis, out),
        WriteKey::TunnelPort(port) => tunnels::tunnel_port(r, *port, out),
        WriteKey::SharedTunnels => tunnels::shared_tunnels(r, out),
        WriteKey::Retry => tunnels::retry(r, out),
        WriteKey::EvpnPorts => evpn_ports::evpn_ports(r, out),
        WriteKey::PatchPorts => patch_ports::patch_ports(r, out),
        WriteKey::Zones => zones::zones(r, out),
        WriteKey::ZoneLimits => zones::limits(r, out),
        WriteKey::Interfaces => port::interfaces(r, out),
        WriteKey::Mirrors => mirrors::mirrors(r, out),
        WriteKey::Qos => qos::qos(r, out),
        WriteKey::NbCfg => nb_cfg::nb_cfg(r, out),
        WriteKey::Bfd(row) => bfd::bfd(r, *row, out),
        WriteKey::Unplug(row) => vif_plug::unplug(r, *row, out),
        WriteKey::Port(row) => port::port(r, *row, out),
    }
}
