//! Which tunnels there should be: [`LocalEnd`] is our side, [`Peer`] what one chassis asks for, [`Endpoint`] what Open vSwitch tells
//! tunnels apart by, [`TunnelPlan`] what is to be done for one chassis. `encaps_run` of controller/encaps.c, OVN 26.03; sheet 01 section 5.
//!
//! Everything is found by address and by name through indexes, so that one more chassis costs the same on a big deployment as on a
//! small one. Several chassis that share an endpoint have one tunnel port between them: it keeps the chassis it is labelled
//! with while that one wants it, else it gets the first by name.

use ovsdb::tables::column::{canonical_address, tunnel_chassis};
use ovsdb::tables::{Table, Tracked};
use ovsdb::{RowId, Set, Str, Uuid};
use smallvec::SmallVec;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use super::interfaces::{is_on_bridge, usable_ofport};
use super::tunnels::TunnelKind;
use crate::facts::{
    self, BridgeName, ChassisName, EncapIps, EndpointPeers, EndpointPorts, IntegrationBridge, NorthdOption, Setting,
};
use crate::facts::{ThisChassis, TunnelPlan};
use crate::list::List;
use crate::reader::Reader;
use crate::rows::{Bridge, Chassis, Encap, Interface, OpenVSwitch, Port, SbGlobal};
use crate::view::{flag, is_true};

/// Port.external_ids key of tunnel ports.
pub const MARK: &str = "ovn-chassis-id";
/// Interface.ofport of an interface that the switch has refused: OVS's way to say so, and OFPP_NONE.
const REFUSED: [i64; 2] = [-1, 65_535];

/// Our side of all tunnels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LocalEnd {
    /// Our name.
    pub name: Str,
    /// The integration bridge.
    pub bridge: Uuid,
    /// Our encaps, as the Southbound has them: kind and address, sorted, each once.
    pub encaps: Vec<(TunnelKind, Str)>,
    /// All addresses that are ours, in their usual spelling.
    pub addresses: Vec<Str>,
    /// Our transport zones.
    pub zones: Set<Str>,
    /// Chassis of other availability zones get tunnels too.
    pub interconn: bool,
    /// One port for each kind instead of one for each peer (ovn-enable-flow-based-tunnels).
    pub flow_based: bool,
    /// Tunnels are encrypted by ovs-monitor-ipsec, which looks for `remote_name`.
    pub ipsec: bool,
    /// Interface.options that all tunnels have.
    pub options: BTreeMap<Str, Str>,
    /// What names of ports begin with: `ovn`, and the index of this chassis on a host with several.
    pub prefix: Str,
}

impl LocalEnd {
    /// Our addresses for this kind of tunnel.
    pub fn addresses(&self, kind: TunnelKind) -> impl Iterator<Item = &Str> {
        self.encaps.iter().filter(move |(of, _)| *of == kind).map(|(_, address)| address)
    }

    /// Those from which a tunnel to `remote` can lead: Open vSwitch has none from IPv4 to IPv6.
    fn addresses_for(&self, kind: TunnelKind, remote: &str) -> impl Iterator<Item = &Str> {
        let remote = remote.parse::<IpAddr>().ok();
        let fits = move |local: &&Str| match (remote, local.parse::<IpAddr>()) {
            (Some(remote), Ok(local)) => remote.is_ipv4() == local.is_ipv4(),
            // What is no address is for Open vSwitch to judge.
            _ => true,
        };
        self.addresses(kind).filter(fits)
    }
}

/// A chassis that there should be tunnels to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Peer {
    /// Its name.
    pub name: Str,
    /// How, the best that both sides can do; `None`: nothing in common.
    pub kind: Option<TunnelKind>,
    /// Its addresses for that, with the Encap rows; sorted.
    pub encaps: Vec<(Str, RowId)>,
    /// Those that are ours: no tunnel.
    pub ours: Vec<Str>,
}

/// What Open vSwitch tells tunnels apart by, the key being `flow` always. Addresses are in their usual spelling.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint {
    /// Encapsulation.
    pub kind: TunnelKind,
    /// Address of the peer.
    pub remote: Str,
    /// Our address.
    pub local: Str,
}

impl Endpoint {
    /// Of an interface that is a tunnel. `None` for other interfaces and for flow-based tunnels.
    pub fn of(interface: &Tracked<'_, Interface, Reader<'_>>) -> Option<Self> {
        let kind = TunnelKind::from_type(interface.r#type())?;
        let option = |key| interface.options().get(key).map(canonical_address);
        let remote = option("remote_ip").filter(|remote| remote != "flow")?;
        Some(Self { kind, remote, local: option("local_ip").unwrap_or_default() })
    }
}

/// A port, on any bridge, that leads to an endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointPort {
    /// The Port's name.
    pub name: Str,
    /// The Port.
    pub port: Uuid,
    /// Name of its bridge.
    pub bridge: Str,
    /// Port.external_ids:ovn-chassis-id of ports of ours on the integration bridge.
    pub label: Option<Str>,
    /// The switch has it.
    pub works: bool,
}

/// A tunnel that should exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedTunnel {
    /// Name of the chassis at the other end.
    pub chassis: Str,
    /// Where it leads.
    pub endpoint: Endpoint,
    /// Interface.options, complete.
    pub options: BTreeMap<Str, Str>,
}

impl WantedTunnel {
    /// Port.external_ids:ovn-chassis-id.
    pub fn label(&self) -> String {
        let option = |key: &str| self.options.get(key).map_or("", |text| text.as_str());
        format!("{}@{}%{}", self.chassis, option("remote_ip"), option("local_ip"))
    }
}

/// What is to be done for the tunnels of one chassis, beyond ports that are there already.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Ports labelled with this chassis that lead to nobody any more, and where they are to lead. The switch keeps their
    /// OpenFlow ports.
    pub retarget: Vec<(Uuid, WantedTunnel)>,
    /// To be made.
    pub create: Vec<WantedTunnel>,
    /// What cannot be, and why.
    pub diagnostics: Vec<String>,
}

/// See [`facts::LocalEnd`].
pub fn local_end(r: &Reader<'_>) -> Option<Arc<LocalEnd>> {
    let bridge = r.fact(IntegrationBridge).and_then(|row| r.row::<Bridge>(row))?;
    let us = r.fact(ThisChassis).and_then(|row| r.row::<Chassis>(row))?;
    if !r.features().known {
        return None;
    }
    let name = r.fact(ChassisName)?;
    let mut encaps: Vec<(TunnelKind, Str)> = us
        .encaps()
        .iter()
        .filter_map(|uuid| r.find::<Encap>(uuid))
        .filter_map(|encap| Some((TunnelKind::from_type(encap.r#type())?, encap.ip().clone())))
        .collect();
    encaps.sort();
    encaps.dedup();
    let settings = r.fact(EncapIps);
    let mut addresses: Vec<Str> =
        encaps.iter().map(|(_, ip)| ip).chain(settings.iter()).map(canonical_address).collect();
    addresses.sort();
    addresses.dedup();
    let ipsec = r.only::<SbGlobal>().is_some_and(|global| global.ipsec());
    Some(Arc::new(LocalEnd {
        bridge: bridge.uuid(),
        encaps,
        addresses,
        zones: us.transport_zones().clone(),
        interconn: flag(us.other_config(), "is-interconn"),
        flow_based: is_true(r.fact(Setting("ovn-enable-flow-based-tunnels")).as_ref()),
        ipsec,
        options: common_options(r, ipsec),
        prefix: name_prefix(r),
        name,
    }))
}

/// What the keys of indexes in Open_vSwitch.other_config begin with; the name of a chassis follows.
pub const INDEX: &str = "ovn-chassis-idx-";

/// `ovn`, and the index of this chassis on a host with several: other_config:ovn-chassis-idx-NAME.
pub fn name_prefix(r: &Reader<'_>) -> Str {
    let name = r.fact(ChassisName).unwrap_or_default();
    let ovs = r.only::<OpenVSwitch>();
    let index = ovs.and_then(|ovs| ovs.other_config().get(format!("{INDEX}{name}").as_str()).cloned());
    format!("ovn{}", index.unwrap_or_default()).into()
}

/// Options that all tunnels have.
fn common_options(r: &Reader<'_>, ipsec: bool) -> BTreeMap<Str, Str> {
    let mut options = BTreeMap::from([(Str::from("key"), Str::from("flow"))]);
    if let Some(tos) = r.fact(Setting("ovn-encap-tos")).filter(|tos| tos.as_str() != "none") {
        options.insert("tos".into(), tos);
    }
    if let Some(df) = r.fact(Setting("ovn-encap-df_default")) {
        options.insert("df_default".into(), df);
    }
    if ipsec {
        for key in ["ipsec_encapsulation", "ipsec_forceencaps"] {
            if is_true(r.fact(NorthdOption(key)).as_ref()) {
                options.insert(key.into(), "yes".into());
            }
        }
    }
    options
}

/// See [`facts::Peer`].
pub fn peer(r: &Reader<'_>, row: RowId) -> Option<Arc<Peer>> {
    let us = r.fact(facts::LocalEnd).filter(|us| !us.flow_based)?;
    let chassis = r.row::<Chassis>(row).filter(|chassis| *chassis.name() != us.name)?;
    let remote = flag(chassis.other_config(), "is-remote");
    if (remote && !us.interconn) || !zones_overlap(&us.zones, chassis.transport_zones()) {
        return None;
    }
    let rows: SmallVec<[_; 2]> = chassis.encaps().iter().filter_map(|uuid| r.find::<Encap>(uuid)).collect();
    let kind = [TunnelKind::Geneve, TunnelKind::Vxlan].into_iter().find(|kind| {
        us.addresses(*kind).next().is_some()
            && rows.iter().any(|encap| TunnelKind::from_type(encap.r#type()) == Some(*kind))
    });
    let mut peer = Peer { name: chassis.name().clone(), kind, ..Peer::default() };
    for encap in rows.iter().filter(|encap| kind.is_some() && TunnelKind::from_type(encap.r#type()) == kind) {
        if us.addresses.contains(&canonical_address(encap.ip())) {
            peer.ours.push(encap.ip().clone());
        } else {
            peer.encaps.push((encap.ip().clone(), encap.row_id()));
        }
    }
    peer.encaps.sort();
    peer.ours.sort();
    Some(Arc::new(peer))
}

/// Both in no zone, or in a common one.
fn zones_overlap(ours: &Set<Str>, theirs: &Set<Str>) -> bool {
    (ours.is_empty() && theirs.is_empty()) || ours.iter().any(|zone| theirs.contains(zone))
}

/// See [`EndpointPeers`].
pub fn endpoint_peers(r: &Reader<'_>, kind: TunnelKind, remote: Str) -> List<(Str, RowId)> {
    let mut peers: Vec<(Str, RowId)> = Vec::new();
    for row in r.lookup(|table: &Table<Encap>| table.by_address(&remote)) {
        let Some(encap) = r.row::<Encap>(row).filter(|encap| TunnelKind::from_type(encap.r#type()) == Some(kind))
        else {
            continue;
        };
        for chassis in r.lookup(|table: &Table<Chassis>| table.by_encap(encap.uuid())) {
            if let Some(peer) = r.fact(facts::Peer(chassis)).filter(|peer| peer.kind == Some(kind))
                && peer.encaps.iter().any(|(_, of)| *of == row)
                && peers.iter().all(|(known, _)| *known != peer.name)
            {
                peers.push((peer.name.clone(), row));
            }
        }
    }
    peers.sort_by(|(a, _), (b, _)| a.cmp(b));
    peers.into()
}

/// See [`EndpointPorts`].
pub fn endpoint_ports(r: &Reader<'_>, endpoint: Endpoint) -> List<EndpointPort> {
    let mut ports = Vec::new();
    for row in r.lookup(|table: &Table<Interface>| table.by_remote_address(&endpoint.remote)) {
        let Some(interface) =
            r.row::<Interface>(row).filter(|interface| Endpoint::of(interface) == Some(endpoint.clone()))
        else {
            continue;
        };
        let works = usable_ofport(interface.ofport()).is_some() && interface.error().is_none_or(|text| text.is_empty());
        for port in r.lookup(|table: &Table<Port>| table.by_interface(interface.uuid())) {
            let Some(port) = r.row::<Port>(port) else { continue };
            let mark = port.external_ids().get(MARK);
            let ours = mark.is_some() && is_on_bridge(r, port.uuid());
            if !ours && !has_our_key(&interface) {
                continue;
            }
            let bridges = r.lookup(|table: &Table<Bridge>| table.by_port(port.uuid()));
            let Some(bridge) = bridges.first().and_then(|row| r.fact(BridgeName(*row))) else { continue };
            ports.push(EndpointPort {
                name: port.name().clone(),
                port: port.uuid(),
                bridge,
                label: mark.filter(|_| ours).cloned(),
                works,
            });
        }
    }
    // Those that work first: of several only one can.
    ports.sort_by(|a, b| (!a.works, &a.name, a.port).cmp(&(!b.works, &b.name, b.port)));
    ports.into()
}

/// Whether Open vSwitch would take the interface and a tunnel of ours with the same addresses for one: the key comes from the flow, and
/// the UDP port is the usual one.
fn has_our_key(interface: &Tracked<'_, Interface, Reader<'_>>) -> bool {
    let option = |key| interface.options().get(key).map(|text| text.as_str());
    let usual = match TunnelKind::from_type(interface.r#type()) {
        Some(TunnelKind::Vxlan) => "4789",
        _ => "6081",
    };
    option("in_key").or_else(|| option("key")) == Some("flow") && option("dst_port").is_none_or(|port| port == usual)
}

/// The port of somebody else that has this endpoint in the switch: Open vSwitch would refuse ours.
pub fn occupant(ports: &[EndpointPort]) -> Option<&EndpointPort> {
    ports.iter().find(|port| port.label.is_none() && port.works)
}

/// The port of ours that has this endpoint, others of ours being superfluous.
pub fn holder(ports: &[EndpointPort]) -> Option<&EndpointPort> {
    ports.iter().find(|port| port.label.is_some())
}

/// The tunnel that should lead to `endpoint`, if any should. `label` is that of the port there is.
pub fn wanted_at(r: &Reader<'_>, us: &LocalEnd, endpoint: &Endpoint, label: Option<&Str>) -> Option<WantedTunnel> {
    let local =
        us.addresses_for(endpoint.kind, &endpoint.remote).find(|local| canonical_address(local) == endpoint.local)?;
    let peers = r.fact(EndpointPeers(endpoint.kind, endpoint.remote.clone()));
    let labelled = tunnel_chassis(label);
    let (chassis, encap) = peers.iter().find(|(name, _)| labelled.as_ref() == Some(name)).or_else(|| peers.first())?;
    let encap = r.row::<Encap>(*encap)?;
    let mut options = us.options.clone();
    if us.ipsec {
        options.insert("remote_name".into(), chassis.clone());
    }
    options.insert("remote_ip".into(), encap.ip().clone());
    options.insert("local_ip".into(), local.clone());
    if let Some(csum) = encap.options().get("csum").filter(|csum| ["true", "false"].contains(&csum.as_str())) {
        options.insert("csum".into(), csum.clone());
    }
    if let Some(port) = encap.options().get("dst_port") {
        options.insert("dst_port".into(), port.clone());
    }
    Some(WantedTunnel { chassis: chassis.clone(), endpoint: endpoint.clone(), options })
}

/// See [`TunnelPlan`].
pub fn tunnel_plan(r: &Reader<'_>, row: RowId) -> Option<Arc<Plan>> {
    let us = r.fact(facts::LocalEnd)?;
    let peer = r.fact(facts::Peer(row))?;
    let mut plan = Plan::default();
    let Some(kind) = peer.kind else {
        plan.diagnostics.push(format!("No supported encaps for '{}'", peer.name));
        return Some(Arc::new(plan));
    };
    for ip in &peer.ours {
        plan.diagnostics.push(format!("Chassis {} has encap ip {ip}, which is our own: no tunnel to it", peer.name));
    }
    let mut missing = Vec::new();
    let remotes: BTreeSet<Str> = peer.encaps.iter().map(|(ip, _)| canonical_address(ip)).collect();
    for remote in remotes {
        let peers = r.fact(EndpointPeers(kind, remote.clone()));
        // The first by name speaks and acts for all that share the endpoint.
        if peers.first().is_none_or(|(first, _)| *first != peer.name) {
            continue;
        }
        if us.addresses_for(kind, &remote).next().is_none() {
            plan.diagnostics
                .push(format!("no address of ours is of the family of {remote}: no tunnel to {}", peer.name));
        }
        for (at, local) in us.addresses_for(kind, &remote).enumerate() {
            let endpoint = Endpoint { kind, remote: remote.clone(), local: canonical_address(local) };
            let ports = r.fact(EndpointPorts(endpoint.clone()));
            let label = holder(&ports).and_then(|port| port.label.as_ref());
            let Some(wanted) = wanted_at(r, &us, &endpoint, label) else { continue };
            if at == 0 && peers.len() > 1 {
                plan.diagnostics.push(shared(&peers, &wanted));
            }
            if let Some(other) = occupant(&ports) {
                plan.diagnostics.push(format!(
                    "no tunnel to chassis {}: port {} of bridge {} is a {} tunnel from {} to {} already",
                    wanted.chassis,
                    other.name,
                    other.bridge,
                    kind.name(),
                    endpoint.local,
                    endpoint.remote,
                ));
            } else if label.is_none() {
                missing.push(wanted);
            }
        }
    }
    let mut missing = missing.into_iter();
    let spare = if missing.len() > 0 { spare_ports(r, &us, &peer.name) } else { Vec::new() };
    plan.retarget = spare.into_iter().zip(missing.by_ref()).collect();
    plan.create = missing.collect();
    Some(Arc::new(plan))
}

fn shared(peers: &[(Str, RowId)], wanted: &WantedTunnel) -> String {
    let names: Vec<&str> = peers.iter().map(|(name, _)| name.as_str()).collect();
    format!(
        "chassis {} have the same {} encap ip {}: one tunnel, to {}",
        names.join(", "),
        wanted.endpoint.kind.name(),
        wanted.endpoint.remote,
        wanted.chassis
    )
}

/// Ports of ours labelled with a chassis that lead to nobody, by name.
fn spare_ports(r: &Reader<'_>, us: &LocalEnd, chassis: &Str) -> Vec<Uuid> {
    let rows = r.lookup(|table: &Table<Port>| table.by_tunnel_chassis(chassis));
    let ports = rows.into_iter().filter_map(|row| r.row::<Port>(row)).filter(|port| is_on_bridge(r, port.uuid()));
    let mut spare: Vec<(Str, Uuid)> = ports
        .filter(|port| wanted_of(r, us, port).is_none() && port.interfaces().len() == 1)
        .map(|port| (port.name().clone(), port.uuid()))
        .collect();
    spare.sort();
    spare.into_iter().map(|(_, port)| port).collect()
}

/// The tunnel that a port of ours is there for, where it leads now.
pub fn wanted_of(r: &Reader<'_>, us: &LocalEnd, port: &Tracked<'_, Port, Reader<'_>>) -> Option<WantedTunnel> {
    let interface = port.interfaces().iter().find_map(|uuid| r.find::<Interface>(uuid))?;
    let endpoint = Endpoint::of(&interface)?;
    let ports = r.fact(EndpointPorts(endpoint.clone()));
    if occupant(&ports).is_some() || holder(&ports).is_none_or(|holder| holder.port != port.uuid()) {
        return None;
    }
    wanted_at(r, us, &endpoint, port.external_ids().get(MARK))
}

/// Where a port of ours that leads to nobody is to lead.
pub fn retargeted(r: &Reader<'_>, port: &Tracked<'_, Port, Reader<'_>>) -> Option<WantedTunnel> {
    let chassis = tunnel_chassis(port.external_ids().get(MARK))?;
    let row = r.lookup_one(|table: &Table<Chassis>| table.by_name(&chassis))?;
    let plan = r.fact(TunnelPlan(row))?;
    plan.retarget.iter().find(|(of, _)| *of == port.uuid()).map(|(_, wanted)| wanted.clone())
}

/// See [`facts::RefusedTunnels`].
pub fn refused_tunnels(r: &Reader<'_>) -> List<Str> {
    let Some(us) = r.fact(facts::LocalEnd) else { return List::default() };
    let mut refused = Vec::new();
    for number in REFUSED {
        for row in r.lookup(|table: &Table<Interface>| table.by_ofport(number)) {
            let Some(interface) = r.row::<Interface>(row) else { continue };
            let port = r.lookup_one(|table: &Table<Port>| table.by_interface(interface.uuid()));
            let Some(port) = port.and_then(|row| r.row::<Port>(row)) else { continue };
            let shared = us.flow_based && port.external_ids().contains_key(MARK) && is_on_bridge(r, port.uuid());
            if shared || (port.external_ids().contains_key(MARK) && wanted_of(r, &us, &port).is_some()) {
                refused.push(port.name().clone());
            }
        }
    }
    refused.sort();
    refused.into()
}
