//! The tunnel ports there are on the integration bridge (not those there should be: see `writeback::tunnels`).

use ovsdb::tables::Table;
use ovsdb::tables::column::tunnel_chassis;
use ovsdb::{RowId, Str, Uuid};
use std::collections::BTreeMap;
use std::sync::Arc;

use super::interfaces::{is_on_bridge, usable_ofport};
use crate::facts::{ChassisName, Setting, ThisChassis, TunnelAt, TunnelTable, TunnelsTo};
use crate::flows::ovs_order::hmap_order;
use crate::list::List;
use crate::reader::Reader;
use crate::rows::{Chassis, Encap, Interface, Port};
use crate::view::{flag, is_true};

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
    /// From external_ids:ovn-chassis-id `chassis@remote%local`.
    pub remote_ip: Str,
    /// Likewise; empty when it was written before there was one, and then it fits any.
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

/// The far end of a flow-based tunnel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FlowBasedEnd {
    /// Encapsulation.
    pub kind: TunnelKind,
    /// Port of the switch for this kind of tunnel.
    pub ofport: u16,
    /// Where to.
    pub remote_ip: Str,
}

impl TunnelKind {
    /// From Interface.type or Encap.type; other types are no tunnels of ours.
    pub fn from_type(text: &str) -> Option<Self> {
        match text {
            "geneve" => Some(Self::Geneve),
            "vxlan" => Some(Self::Vxlan),
            _ => None,
        }
    }

    /// The type in both databases.
    pub fn name(self) -> &'static str {
        match self {
            Self::Geneve => "geneve",
            Self::Vxlan => "vxlan",
        }
    }
}

/// See [`crate::facts::Tunnels`]. The order is by chassis, then as in [`TunnelsTo`].
pub fn tunnels(r: &Reader<'_>) -> List<Tunnel> {
    let mut chassis: Vec<Str> = r
        .lookup(|table: &Table<Port>| table.by_tunnel(true))
        .into_iter()
        .filter_map(|row| tunnel_chassis(r.row::<Port>(row)?.external_ids().get("ovn-chassis-id")))
        .collect();
    chassis.sort();
    chassis.dedup();
    chassis.into_iter().flat_map(|name| r.fact(TunnelsTo(name)).to_vec()).collect()
}

/// See [`TunnelsTo`]. What ovn-controller takes when any of several tunnels will do is the first of the chain in its hash table
/// of all tunnels. The order here is that of a table with nothing but this chassis' tunnels, so that it does not depend on how
/// many chassis there are; offline, where nothing changes, it is that of the reference.
pub fn tunnels_to(r: &Reader<'_>, chassis: Str) -> List<Tunnel> {
    if r.fact(ChassisName).is_none_or(|own| own == chassis) {
        return List::default();
    }
    if r.config().read_only {
        return r.fact(TunnelTable).get(&chassis).cloned().unwrap_or_default();
    }
    let ports = r.lookup(|table: &Table<Port>| table.by_tunnel_chassis(&chassis));
    let tunnels = ports.into_iter().filter_map(|row| r.fact(TunnelAt(row)));
    hmap_order(tunnels, |tunnel| &tunnel.chassis).into()
}

/// The one tunnel that is used for a chassis when it does not matter which.
pub fn any_tunnel(r: &Reader<'_>, chassis: &Str) -> Option<Tunnel> {
    r.fact(TunnelsTo(chassis.clone())).first().cloned()
}

/// See [`TunnelTable`]. local_data.c `local_nonvif_data_run`, OVN 26.03.
pub fn tunnel_table(r: &Reader<'_>) -> Arc<BTreeMap<Str, List<Tunnel>>> {
    let own = r.fact(ChassisName);
    let ports = r.lookup(|table: &Table<Port>| table.by_tunnel(true)).into_iter();
    let tunnels = ports.filter_map(|row| r.fact(TunnelAt(row)).filter(|tunnel| own.as_ref() != Some(&tunnel.chassis)));
    let mut by_chassis: BTreeMap<Str, Vec<Tunnel>> = BTreeMap::new();
    for tunnel in hmap_order(tunnels, |tunnel| &tunnel.chassis) {
        by_chassis.entry(tunnel.chassis.clone()).or_default().push(tunnel);
    }
    Arc::new(by_chassis.into_iter().map(|(chassis, tunnels)| (chassis, tunnels.into())).collect())
}

/// See [`crate::facts::FlowBasedTunnels`].
pub fn flow_based(r: &Reader<'_>) -> Option<Arc<FlowBased>> {
    if !is_true(r.fact(Setting("ovn-enable-flow-based-tunnels")).as_ref()) {
        return None;
    }
    let mut shared = FlowBased::default();
    for row in r.lookup(|table: &Table<Port>| table.by_chassis_id("flow")) {
        let Some(port) = r.row::<Port>(row) else { continue };
        let kind = port.external_ids().get("ovn-tunnel-type").and_then(|text| TunnelKind::from_type(text));
        let Some(uuid) = port.interfaces().only() else { continue };
        let ofport = r.find::<Interface>(uuid).and_then(|interface| usable_ofport(interface.ofport()));
        if ofport.is_none() || !is_on_bridge(r, port.uuid()) {
            continue;
        }
        match kind {
            Some(TunnelKind::Geneve) => shared.geneve = shared.geneve.or(ofport),
            Some(TunnelKind::Vxlan) => shared.vxlan = shared.vxlan.or(ofport),
            None => {}
        }
    }
    Some(Arc::new(shared))
}

/// To the chassis with this UUID, or the given encap of it: Geneve if both have it, else VXLAN.
pub fn flow_based_end(r: &Reader<'_>, chassis: Uuid, encap: Option<Uuid>, shared: &FlowBased) -> Option<FlowBasedEnd> {
    let ours = encaps_of(r, r.fact(ThisChassis).and_then(|row| r.row::<Chassis>(row))?.uuid());
    let theirs = encaps_of(r, chassis);
    let both = |kind: TunnelKind| [&ours, &theirs].iter().all(|side| side.iter().any(|one| one.kind == kind.name()));
    let (kind, ofport) = if both(TunnelKind::Geneve) {
        (TunnelKind::Geneve, shared.geneve?)
    } else if both(TunnelKind::Vxlan) {
        (TunnelKind::Vxlan, shared.vxlan?)
    } else {
        return None;
    };
    let wanted = encap.and_then(|uuid| r.find::<Encap>(&uuid)).filter(|encap| encap.r#type() == kind.name());
    let remote_ip = match wanted {
        Some(encap) => encap.ip().clone(),
        None => {
            let of_kind = || theirs.iter().filter(|one| one.kind == kind.name());
            of_kind().find(|one| one.is_default).or_else(|| of_kind().next())?.ip.clone()
        }
    };
    Some(FlowBasedEnd { kind, ofport, remote_ip })
}

/// What matters of an Encap row.
struct ChassisEncap {
    kind: Str,
    ip: Str,
    is_default: bool,
}

/// The encaps of a chassis, in UUID order.
fn encaps_of(r: &Reader<'_>, chassis: Uuid) -> Vec<ChassisEncap> {
    let Some(chassis) = r.find::<Chassis>(&chassis) else { return Vec::new() };
    let encaps = chassis.encaps().iter().filter_map(|uuid| r.find::<Encap>(uuid));
    let of = |encap: ovsdb::tables::Tracked<'_, Encap, Reader<'_>>| ChassisEncap {
        kind: encap.r#type().clone(),
        ip: encap.ip().clone(),
        is_default: flag(encap.options(), "default-encap-ip"),
    };
    encaps.map(of).collect()
}

/// See [`TunnelAt`].
pub fn tunnel_at(r: &Reader<'_>, row: RowId) -> Option<Tunnel> {
    let port = r.row::<Port>(row)?;
    if !is_on_bridge(r, port.uuid()) {
        return None;
    }
    let id = port.external_ids().get("ovn-chassis-id")?;
    let chassis = tunnel_chassis(Some(id))?;
    let ips = id.split_once('@').map_or("", |(_, ips)| ips);
    let (remote, local) = ips.split_once('%').unwrap_or((ips, ""));
    port.interfaces().iter().filter_map(|uuid| r.find::<Interface>(uuid)).find_map(|interface| {
        let ofport = usable_ofport(interface.ofport())?;
        let kind = TunnelKind::from_type(interface.r#type())?;
        if interface.error().is_some_and(|error| !error.is_empty()) {
            return None;
        }
        Some(Tunnel {
            chassis: chassis.clone(),
            kind,
            ofport,
            remote_ip: Str::from(remote),
            local_ip: Str::from(local),
            interface: interface.row_id(),
        })
    })
}
