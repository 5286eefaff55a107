//! The ports and interfaces of the integration bridge.

use ovsdb::tables::Table;
use ovsdb::{RowId, Str, Uuid};

use crate::facts::{BridgeName, IntegrationBridge, PortByName, PortKind as PortKindFact, UsedIfaceId, VifInterface};
use crate::list::List;
use crate::reader::Reader;
use crate::rows::{Bridge, Interface, Port};
use crate::view::ports::PortKind;

/// A port of the integration bridge with its first interface.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct BridgePort {
    /// Row in Port.
    pub port: RowId,
    /// Row in Interface.
    pub interface: RowId,
}

/// An interface that a logical port is plugged into.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vif {
    /// Row in Interface.
    pub interface: RowId,
    /// OpenFlow port, 1..=0xfeff.
    pub ofport: u16,
    /// external_ids:encap-ip, if set.
    pub encap_ip: Option<Str>,
    /// Interface.mtu, 0 when unknown.
    pub mtu: u32,
    /// Other interfaces of the bridge have the same iface-id, and are not used.
    pub rivals: bool,
}

/// A usable ofport: 1 to 0xfeff. -1, 0 and OFPP_NONE are not (sheet 01 section 5.6).
pub fn usable_ofport(ofport: Option<i64>) -> Option<u16> {
    ofport.and_then(|p| u16::try_from(p).ok()).filter(|p| (1..0xff00).contains(p))
}

/// See [`crate::facts::BridgePorts`].
pub fn bridge_ports(r: &Reader<'_>) -> List<BridgePort> {
    let Some(bridge) = r.fact(IntegrationBridge).and_then(|row| r.row::<Bridge>(row)) else { return List::default() };
    let mut ports = Vec::with_capacity(bridge.ports().len());
    for uuid in bridge.ports() {
        let Some(port) = r.find::<Port>(uuid) else { continue };
        let Some(interface) = port.interfaces().iter().next().and_then(|uuid| r.find_id::<Interface>(uuid)) else {
            continue;
        };
        if port.name() != bridge.name() {
            ports.push(BridgePort { port: port.row_id(), interface });
        }
    }
    ports.into()
}

/// See [`crate::facts::IfaceIds`].
pub fn iface_ids(r: &Reader<'_>) -> List<Str> {
    let interfaces = r.lookup(|table: &Table<Interface>| table.by_vif(true));
    let mut ids: Vec<Str> = interfaces.into_iter().filter_map(|row| r.fact(UsedIfaceId(row))).collect();
    ids.sort();
    ids.dedup();
    ids.into()
}

/// See [`UsedIfaceId`].
pub fn used_iface_id(r: &Reader<'_>, interface: RowId) -> Option<Str> {
    let id = r.row::<Interface>(interface)?.external_ids().get("iface-id")?.clone();
    r.fact(VifInterface(id.clone())).is_some().then_some(id)
}

/// See [`crate::facts::HasStrayMark`].
pub fn has_stray_mark(r: &Reader<'_>, interface: RowId) -> bool {
    let Some(row) = r.row::<Interface>(interface) else { return false };
    let lport = row.external_ids().get("iface-id").cloned().unwrap_or_default();
    let port = r.fact(PortByName(lport.clone())).filter(|port| r.fact(PortKindFact(*port)) == PortKind::Vif);
    let speaks = port.is_some() && r.fact(VifInterface(lport)).is_some_and(|vif| vif.interface == interface);
    !speaks && port_of(r, row.uuid()).is_some()
}

/// See [`VifInterface`]. Of several interfaces with one iface-id the first in Bridge.ports order has it, as after a recompute
/// of ovn-controller (binding.c `build_local_bindings`, OVN 26.03).
pub fn vif_interface(r: &Reader<'_>, lport: Str) -> Option<Vif> {
    let mut best: Option<((Uuid, Uuid), Vif)> = None;
    for row in r.lookup(|table: &Table<Interface>| table.by_iface_id(&lport)) {
        let Some(interface) = r.row::<Interface>(row) else { continue };
        let Some(ofport) = usable_ofport(interface.ofport()) else { continue };
        let Some(port) = port_of(r, interface.uuid()) else { continue };
        let order = (port, interface.uuid());
        let rivals = best.is_some();
        if let Some((known, vif)) = &mut best {
            vif.rivals = true;
            if *known < order {
                continue;
            }
        }
        let vif = Vif {
            interface: row,
            ofport,
            encap_ip: interface.external_ids().get("encap-ip").cloned(),
            mtu: interface.mtu().and_then(|mtu| u32::try_from(mtu).ok()).unwrap_or(0),
            rivals,
        };
        best = Some((order, vif));
    }
    best.map(|(_, vif)| vif)
}

/// See [`crate::facts::PatchOfport`].
pub fn patch_ofport(r: &Reader<'_>, lport: Str) -> Option<u16> {
    let localnet = r.lookup(|table: &Table<Port>| table.by_localnet_port(&lport));
    let l2gateway = r.lookup(|table: &Table<Port>| table.by_l2gateway_port(&lport));
    localnet.into_iter().chain(l2gateway).find_map(|row| {
        let port = r.row::<Port>(row)?;
        port.interfaces()
            .iter()
            .filter_map(|uuid| r.find::<Interface>(uuid))
            .filter(|interface| interface.r#type() == "patch")
            .find_map(|interface| usable_ofport(interface.ofport()))
            .filter(|_| is_on_bridge(r, port.uuid()))
    })
}

/// Whether a Port, by its UUID, is on the integration bridge and not the bridge's own.
pub fn is_on_bridge(r: &Reader<'_>, port: Uuid) -> bool {
    let Some(bridge) = r.fact(IntegrationBridge) else { return false };
    if !r.lookup(|table: &Table<Bridge>| table.by_port(port)).contains(&bridge) {
        return false;
    }
    r.find::<Port>(&port).is_some_and(|port| r.fact(BridgeName(bridge)).is_some_and(|name| *port.name() != name))
}

/// The Port on the integration bridge that an Interface belongs to, both by UUID.
pub fn port_of(r: &Reader<'_>, interface: Uuid) -> Option<Uuid> {
    r.lookup(|table: &Table<Port>| table.by_interface(interface))
        .into_iter()
        .filter_map(|row| Some(r.row::<Port>(row)?.uuid()))
        .find(|&port| is_on_bridge(r, port))
}
