//! Logical ports: their types, and where they are bound.

use ovsdb::tables::Table;
use ovsdb::{RowId, Str, Uuid};
use smallvec::SmallVec;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::datapaths::{datapath_of, of_type};
use super::evpn::is_evpn_key;
use crate::facts::{
    BoundByDatapath, BoundHere, BoundPorts, BoundThrough, CanBind, ChassisName, EvpnNetwork, EvpnSwitch, EvpnVteps,
    HaRole as HaRoleFact, IfaceIds, IsLocal, IsRelated, LocalDatapaths, Placement as PlacementOf, PortByName,
    PortKind as PortKindFact, RefChassisUp, SessionUp, ThisChassis, VifInterface,
};
use crate::list::List;
use crate::model::Plug;
use crate::reader::Reader;
use crate::rows::{Chassis, DatapathBinding, HaChassis, HaChassisGroup, Interface, MulticastGroup, PortBinding};
use crate::view::flag;

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

impl Bound {
    /// Whether the port is bound here in either way.
    pub fn is_here(self) -> bool {
        self != Bound::No
    }
}

// ===== names and types =====

/// See [`PortByName`].
pub fn port_by_name(r: &Reader<'_>, lport: Str) -> Option<RowId> {
    r.lookup_one(|table: &Table<PortBinding>| table.by_logical_port(&lport))
}

/// See [`crate::facts::PortKey`].
pub fn port_key(r: &Reader<'_>, datapath: RowId, name: Str) -> Option<u32> {
    let datapath = r.row::<DatapathBinding>(datapath)?.uuid();
    if let Some(port) = r.fact(PortByName(name.clone())).and_then(|row| r.row::<PortBinding>(row))
        && port.datapath() == datapath
    {
        return u32::try_from(port.tunnel_key()).ok();
    }
    let group = r.lookup_one(|table: &Table<MulticastGroup>| table.by_name_and_datapath(&name, datapath))?;
    u32::try_from(r.row::<MulticastGroup>(group)?.tunnel_key()).ok()
}

/// See [`crate::facts::PortKind`].
pub fn port_kind(r: &Reader<'_>, port: RowId) -> PortKind {
    let Some(pb) = r.row::<PortBinding>(port) else { return PortKind::Unknown };
    match pb.r#type().as_str() {
        "" if pb.parent_port().is_some_and(|parent| !parent.is_empty()) => PortKind::Container,
        "" => PortKind::Vif,
        "patch" => PortKind::Patch,
        "chassisredirect" => PortKind::ChassisRedirect,
        "l3gateway" => PortKind::L3Gateway,
        "localnet" => PortKind::Localnet,
        "localport" => PortKind::Localport,
        "l2gateway" => PortKind::L2Gateway,
        "virtual" => PortKind::Virtual,
        "external" => PortKind::External,
        "remote" => PortKind::Remote,
        "vtep" => PortKind::Vtep,
        "mirror" => PortKind::Mirror,
        _ => PortKind::Unknown,
    }
}

/// See [`crate::facts::PeerPort`].
pub fn peer_port(r: &Reader<'_>, port: RowId) -> Option<RowId> {
    let pb = r.row::<PortBinding>(port)?;
    if !matches!(pb.r#type().as_str(), "patch" | "l3gateway") {
        return None;
    }
    r.fact(PortByName(pb.options().get("peer")?.clone()))
}

// ===== binding =====

/// See [`CanBind`]. lport.c `lport_can_bind_on_this_chassis`, OVN 26.03.
pub fn can_bind(r: &Reader<'_>, port: RowId) -> Bound {
    let (Some(pb), Some(us)) = (r.row::<PortBinding>(port), r.fact(ThisChassis).and_then(|row| r.row::<Chassis>(row)))
    else {
        return Bound::No;
    };
    if pb.requested_chassis() == Some(us.uuid()) {
        return Bound::Main;
    }
    if pb.requested_additional_chassis().contains(&us.uuid()) {
        return Bound::Additional;
    }
    let Some(requested) = pb.options().get("requested-chassis").filter(|text| !text.is_empty()) else {
        return Bound::Main;
    };
    let mut names = requested.split(',').filter(|name| !name.is_empty());
    match names.position(|name| us.name() == name || us.hostname() == name) {
        Some(0) => Bound::Main,
        Some(_) => Bound::Additional,
        None => Bound::No,
    }
}

/// See [`BoundHere`].
pub fn bound_here(r: &Reader<'_>, port: RowId) -> Bound {
    let Some(pb) = r.row::<PortBinding>(port) else { return Bound::No };
    match r.fact(PortKindFact(port)) {
        PortKind::Vif => match r.fact(VifInterface(pb.logical_port().clone())) {
            Some(vif) if has_wanted_version(r, port, vif.interface) => r.fact(CanBind(port)),
            _ => Bound::No,
        },
        PortKind::Container => child(r, port, pb.parent_port()),
        PortKind::Mirror => child(r, port, pb.mirror_port()),
        // The VIF that answers for a virtual port is found by its packets, and written into virtual_parent.
        PortKind::Virtual => match parent_bound(r, pb.virtual_parent()) {
            Bound::No => Bound::No,
            _ => Bound::Main,
        },
        _ => Bound::No,
    }
}

/// See [`BoundPorts`]. One question for each interface: what is behind it is kept by itself.
pub fn bound_ports(r: &Reader<'_>) -> List<RowId> {
    let mut ports: Vec<RowId> = Vec::new();
    for iface_id in r.fact(IfaceIds).iter() {
        ports.extend(r.fact(BoundThrough(iface_id.clone())).iter());
    }
    ports.sort_unstable();
    ports.dedup();
    ports.into()
}

/// See [`BoundThrough`].
pub fn bound_through(r: &Reader<'_>, iface_id: Str) -> List<RowId> {
    let parent = r.fact(PortByName(iface_id.clone())).filter(|&parent| r.fact(BoundHere(parent)).is_here());
    let Some(parent) = parent else { return List::default() };
    let children = r
        .lookup(|table: &Table<PortBinding>| table.by_parent_port(&iface_id))
        .into_iter()
        .chain(r.lookup(|table: &Table<PortBinding>| table.by_mirror_port(&iface_id)))
        .chain(r.lookup(|table: &Table<PortBinding>| table.by_virtual_parent(&iface_id)));
    std::iter::once(parent).chain(children.filter(|&child| r.fact(BoundHere(child)).is_here())).collect()
}

/// See [`crate::facts::LocalportOf`].
pub fn localport_of(r: &Reader<'_>, iface_id: Str) -> Option<RowId> {
    r.fact(PortByName(iface_id)).filter(|&port| r.fact(PortKindFact(port)) == PortKind::Localport)
}

/// Where a port that is bound here is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Placement {
    /// Row in Datapath_Binding.
    pub datapath: Option<RowId>,
    /// logical_port.
    pub lport: Str,
    /// What a VIF is plugged into that the Southbound says is ours.
    pub plug: Option<Plug>,
}

/// See [`crate::facts::Placement`].
pub fn placement(r: &Reader<'_>, port: RowId) -> Placement {
    let Some(pb) = r.row::<PortBinding>(port) else { return Placement::default() };
    let lport = pb.logical_port().clone();
    let plug = || {
        let us = our_uuid(r).filter(|_| r.fact(PortKindFact(port)) == PortKind::Vif)?;
        let vif = r.fact(VifInterface(lport.clone()))?;
        let ours = pb.chassis() == Some(us) || pb.additional_chassis().contains(&us);
        let interface = r.row::<Interface>(vif.interface).filter(|_| ours)?.uuid();
        Some(Plug { interface, ofport: vif.ofport })
    };
    Placement { datapath: datapath_of(r, port), plug: plug(), lport }
}

/// See [`BoundByDatapath`].
pub fn bound_by_datapath(r: &Reader<'_>) -> List<(RowId, List<RowId>)> {
    let bound = r.fact(BoundPorts);
    let mut pairs: Vec<(RowId, RowId)> =
        bound.iter().filter_map(|&port| Some((r.fact(PlacementOf(port)).datapath?, port))).collect();
    pairs.sort_unstable();
    let one = |same: &[(RowId, RowId)]| Some((same.first()?.0, same.iter().map(|(_, port)| *port).collect()));
    pairs.chunk_by(|(a, _), (b, _)| a == b).filter_map(one).collect()
}

/// See [`crate::facts::PluggedPorts`].
pub fn plugged_ports(r: &Reader<'_>) -> Arc<BTreeMap<Str, Plug>> {
    let placed = r.fact(BoundPorts);
    let placed = placed.iter().map(|&port| r.fact(PlacementOf(port)));
    Arc::new(placed.filter_map(|placement| Some((placement.lport, placement.plug?))).collect())
}

/// See [`crate::facts::PortsHere`].
pub fn ports_here(r: &Reader<'_>) -> List<RowId> {
    let mut ports: Vec<RowId> = r.fact(IfaceIds).iter().filter_map(|lport| r.fact(PortByName(lport.clone()))).collect();
    if let Some(us) = r.fact(ThisChassis).and_then(|row| r.row::<Chassis>(row)).map(|chassis| chassis.uuid()) {
        ports.extend(r.lookup(|table: &Table<PortBinding>| table.by_chassis(us)));
        ports.extend(r.lookup(|table: &Table<PortBinding>| table.by_additional_chassis(us)));
        ports.extend(r.lookup(|table: &Table<PortBinding>| table.by_requested_chassis(us)));
    }
    ports.sort_unstable();
    ports.dedup();
    ports.into()
}

/// See [`crate::facts::GatewayPorts`].
pub fn gateway_ports(r: &Reader<'_>) -> List<RowId> {
    let Some(name) = r.fact(ChassisName).filter(|_| r.fact(ThisChassis).is_some()) else { return List::default() };
    let is_type = |port: &RowId, text: &str| r.row::<PortBinding>(*port).is_some_and(|pb| pb.r#type() == text);
    let l2 = r.lookup(|table: &Table<PortBinding>| table.by_l2gateway_chassis(&name));
    let l3 = r.lookup(|table: &Table<PortBinding>| table.by_l3gateway_chassis(&name));
    let mut ports: Vec<RowId> = l2
        .into_iter()
        .filter(|port| is_type(port, "l2gateway"))
        .chain(l3.into_iter().filter(|port| is_type(port, "l3gateway")))
        .collect();
    ports.sort_unstable();
    ports.into()
}

/// See [`crate::facts::IsGateway`].
pub fn is_gateway(r: &Reader<'_>, port: RowId) -> bool {
    let Some(pb) = r.row::<PortBinding>(port) else { return false };
    let key = match pb.r#type().as_str() {
        "l2gateway" => "l2gateway-chassis",
        "l3gateway" => "l3gateway-chassis",
        _ => return false,
    };
    let name = r.fact(ChassisName);
    name.is_some() && pb.options().get(key) == name.as_ref() && r.fact(ThisChassis).is_some()
}

/// See [`crate::facts::LocalBackend`].
pub fn local_backend(r: &Reader<'_>, lport: Str) -> bool {
    let Some(vif) = r.fact(VifInterface(lport.clone())) else { return false };
    let Some(port) = r.fact(PortByName(lport)) else { return false };
    r.fact(PortKindFact(port)) == PortKind::Vif && has_wanted_version(r, port, vif.interface)
}

// ===== related ports =====

/// See [`IsRelated`].
pub fn is_related(r: &Reader<'_>, port: RowId) -> bool {
    match r.fact(PortKindFact(port)) {
        PortKind::Vif | PortKind::Container | PortKind::Mirror | PortKind::Virtual => r.fact(BoundHere(port)).is_here(),
        PortKind::Patch | PortKind::Vtep | PortKind::Remote => true,
        PortKind::Localport => has_interface(r, port),
        PortKind::Localnet => datapath_of(r, port).is_some_and(|datapath| r.fact(IsLocal(datapath))),
        PortKind::L2Gateway | PortKind::L3Gateway => r.fact(crate::facts::IsGateway(port)),
        PortKind::ChassisRedirect | PortKind::External => ha_role_of(r, port) != HaRole::None,
        PortKind::Unknown => false,
    }
}

/// See [`crate::facts::IsRelatedKey`].
pub fn is_related_key(r: &Reader<'_>, datapath_key: u32, port_key: u32) -> bool {
    let Some(datapath) = r.lookup_one(|table: &Table<DatapathBinding>| table.by_tunnel_key(i64::from(datapath_key)))
    else {
        return false;
    };
    if is_evpn_key(port_key) {
        return has_endpoints(r, datapath);
    }
    let Some(datapath) = r.row::<DatapathBinding>(datapath) else { return false };
    r.lookup_one(|table: &Table<PortBinding>| table.by_dp_key(datapath.uuid(), i64::from(port_key)))
        .is_some_and(|port| r.fact(IsRelated(port)))
}

/// Whether a datapath has EVPN endpoints. OVN 26.03.1 forgets their keys, so that what matches `from_evpn_vtep` never gets into
/// the switch; 26.03.2 takes them for related always. Without endpoints such flows would match nothing.
fn has_endpoints(r: &Reader<'_>, datapath: RowId) -> bool {
    let Some(switch) = r.fact(EvpnSwitch(datapath)) else { return false };
    let holder = r.fact(EvpnNetwork(switch.vni)).map(|(holder, _)| holder);
    holder == Some(datapath) && !r.fact(EvpnVteps(switch.vni)).is_empty()
}

/// See [`crate::facts::RelatedPorts`].
pub fn related_ports(r: &Reader<'_>, datapath: RowId) -> List<Str> {
    const OTHER_TYPES: [&str; 9] =
        ["patch", "vtep", "remote", "localport", "localnet", "l2gateway", "l3gateway", "chassisredirect", "external"];
    let mut ports: SmallVec<[RowId; 16]> = r.entry(BoundByDatapath, &datapath).iter().copied().collect();
    for port_type in OTHER_TYPES {
        ports.extend(of_type(r, datapath, port_type).into_iter().filter(|&port| r.fact(IsRelated(port))));
    }
    let names = ports.into_iter().filter_map(|port| Some(r.row::<PortBinding>(port)?.logical_port().clone()));
    let mut names: Vec<Str> = names.collect();
    names.sort();
    names.into()
}

// ===== residency and gateway groups =====

/// See [`crate::facts::ChassisResident`]. lflow.c `is_chassis_resident_cb`, OVN 26.03.
pub fn chassis_resident(r: &Reader<'_>, lport: Str) -> bool {
    let Some(port) = r.fact(PortByName(lport)) else { return false };
    if r.fact(PortKindFact(port)) == PortKind::ChassisRedirect {
        return ha_role_of(r, port) == HaRole::Active;
    }
    let chassis = r.row::<PortBinding>(port).and_then(|pb| pb.chassis());
    chassis.is_some() && chassis == our_uuid(r)
}

/// See [`crate::facts::HaRole`]. ha-chassis.c `ha_chassis_group_is_active`, OVN 26.03.
pub fn ha_role(r: &Reader<'_>, group: RowId) -> HaRole {
    let (Some(row), Some(us)) = (r.row::<HaChassisGroup>(group), our_uuid(r)) else { return HaRole::None };
    let members = members(r, row.ha_chassis().iter());
    let Some(own) = members.iter().find(|member| member.chassis == us) else { return HaRole::None };
    // A member without a Chassis row is a hypervisor that is not there.
    if members.len() == 1 {
        return HaRole::Active;
    }
    let is_active = |name: &Str| r.fact(SessionUp(name.clone()));
    let candidates = members.iter().filter(|member| member.chassis == us || is_active(&member.name));
    let Some(best) = candidates.clone().min_by(|a, b| a.rank(b)) else { return HaRole::Standby };
    if candidates.count() == 1 {
        // Without a session to anybody it is us who are cut off.
        return if r.fact(RefChassisUp(group)) { HaRole::Active } else { HaRole::Standby };
    }
    if best.chassis == own.chassis { HaRole::Active } else { HaRole::Standby }
}

/// See [`RefChassisUp`].
pub fn ref_chassis_up(r: &Reader<'_>, group: RowId) -> bool {
    let Some(group) = r.row::<HaChassisGroup>(group) else { return false };
    let mut refs = group.ref_chassis().iter().filter_map(|uuid| r.find::<Chassis>(uuid));
    refs.any(|chassis| r.fact(SessionUp(chassis.name().clone())))
}

/// See [`crate::facts::HaOrder`].
pub fn ha_order(r: &Reader<'_>, group: RowId) -> List<Str> {
    let Some(row) = r.row::<HaChassisGroup>(group) else { return List::default() };
    let mut members = members(r, row.ha_chassis().iter());
    members.sort_by(Member::rank);
    members.into_iter().map(|member| member.name).collect()
}

/// See [`crate::facts::HaContains`].
pub fn ha_contains(r: &Reader<'_>, group: Uuid) -> bool {
    let (Some(row), Some(us)) = (r.find::<HaChassisGroup>(&group), our_uuid(r)) else { return false };
    row.ha_chassis().iter().any(|uuid| r.find::<HaChassis>(uuid).and_then(|member| member.chassis()) == Some(us))
}

/// See [`crate::facts::HaGroups`].
pub fn ha_groups(r: &Reader<'_>) -> List<RowId> {
    let Some(us) = our_uuid(r) else { return List::default() };
    let mut groups: Vec<RowId> = Vec::new();
    for member in r.lookup(|table: &Table<HaChassis>| table.by_chassis(us)) {
        let Some(member) = r.row::<HaChassis>(member) else { continue };
        groups.extend(r.lookup(|table: &Table<HaChassisGroup>| table.by_ha_chassis(member.uuid())));
    }
    groups.sort_unstable();
    groups.dedup();
    groups.into()
}

/// See [`crate::facts::HaPorts`].
pub fn ha_ports(r: &Reader<'_>, group: RowId) -> List<RowId> {
    let Some(group) = r.row::<HaChassisGroup>(group) else { return List::default() };
    let is_ha = |port: &RowId| {
        r.row::<PortBinding>(*port).is_some_and(|pb| matches!(pb.r#type().as_str(), "chassisredirect" | "external"))
    };
    r.lookup(|table: &Table<PortBinding>| table.by_ha_chassis_group(group.uuid())).into_iter().filter(is_ha).collect()
}

/// See [`crate::facts::HaDatapaths`].
pub fn ha_datapaths(r: &Reader<'_>, group: RowId) -> List<RowId> {
    let ports = r.fact(crate::facts::HaPorts(group));
    let mut datapaths: Vec<RowId> = ports.iter().filter_map(|&port| datapath_of(r, port)).collect();
    datapaths.sort_unstable();
    datapaths.dedup();
    datapaths.into()
}

/// Role of this chassis in the group of a port, [`HaRole::None`] when it has no group.
pub fn ha_role_of(r: &Reader<'_>, port: RowId) -> HaRole {
    let group = r.row::<PortBinding>(port).and_then(|pb| pb.ha_chassis_group());
    let group = group.and_then(|group| r.find_id::<HaChassisGroup>(&group));
    group.map_or(HaRole::None, |group| r.fact(HaRoleFact(group)))
}

/// Whether an interface is plugged in for the port itself.
pub fn has_interface(r: &Reader<'_>, port: RowId) -> bool {
    r.row::<PortBinding>(port).is_some_and(|pb| r.fact(VifInterface(pb.logical_port().clone())).is_some())
}

/// UUID of our Chassis row.
pub fn our_uuid(r: &Reader<'_>) -> Option<Uuid> {
    Some(r.row::<Chassis>(r.fact(ThisChassis)?)?.uuid())
}

/// A member of a group that has a Chassis row.
struct Member {
    chassis: Uuid,
    name: Str,
    priority: i64,
}

impl Member {
    /// Best first: by priority and then by name, both descending (ha-chassis.c `compare_chassis_prio_`, OVN 26.03).
    fn rank(&self, other: &Self) -> std::cmp::Ordering {
        other.priority.cmp(&self.priority).then_with(|| other.name.cmp(&self.name))
    }
}

fn members<'u>(r: &Reader<'_>, uuids: impl Iterator<Item = &'u Uuid>) -> SmallVec<[Member; 4]> {
    let member = |uuid: &Uuid| {
        let row = r.find::<HaChassis>(uuid)?;
        let chassis = r.find::<Chassis>(&row.chassis()?)?;
        Some(Member { chassis: chassis.uuid(), name: chassis.name().clone(), priority: row.priority() })
    };
    uuids.filter_map(member).collect()
}

/// A port that hangs on a VIF is bound where and as the VIF is, if it may be bound here at all
/// (binding.c `consider_container_lport`, OVN 26.03).
fn child(r: &Reader<'_>, port: RowId, parent: Option<&Str>) -> Bound {
    match parent_bound(r, parent) {
        bound if bound.is_here() && r.fact(CanBind(port)).is_here() => bound,
        _ => Bound::No,
    }
}

fn parent_bound(r: &Reader<'_>, parent: Option<&Str>) -> Bound {
    let Some(parent) = parent.filter(|name| !name.is_empty()) else { return Bound::No };
    match r.fact(PortByName(parent.clone())) {
        // Only a VIF can be a parent; this also ends a chain of ports that name each other.
        Some(port) if r.fact(PortKindFact(port)) == PortKind::Vif => r.fact(BoundHere(port)),
        _ => Bound::No,
    }
}

/// Whether an interface with the port's iface-id really is the port's: Port_Binding.options:iface-id-ver, when set, must be the
/// interface's external_ids:iface-id-ver.
pub fn has_wanted_version(r: &Reader<'_>, port: RowId, interface: RowId) -> bool {
    let Some(wanted) = r.row::<PortBinding>(port).and_then(|pb| pb.options().get("iface-id-ver")) else { return true };
    r.row::<Interface>(interface).is_some_and(|interface| interface.external_ids().get("iface-id-ver") == Some(wanted))
}

/// Whether any localnet port of a local datapath has the option localnet_learn_fdb. ovn-controller keeps one flag for the
/// whole process, that of the port it looked at last; any is what the option's users mean.
pub fn learns_fdb_on_localnet(r: &Reader<'_>) -> bool {
    let local = r.fact(LocalDatapaths);
    let mut localnet = local.iter().flat_map(|&datapath| of_type(r, datapath, "localnet"));
    localnet.any(|port| r.row::<PortBinding>(port).is_some_and(|pb| flag(pb.options(), "localnet_learn_fdb")))
}
