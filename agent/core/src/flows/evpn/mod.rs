//! EVPN: tunnels to endpoints that a routing daemon found, and what it says is behind them. `physical_consider_evpn_*` of
//! controller/physical.c, OVN 26.03; sheet 02 sections 4.2, 4.9 and 5.3.
//!
//! An endpoint stands for a logical port, whose key is its binding key: packets from it come in on that port, and packets to it go
//! out on it in table 45. Every endpoint, MAC address and IP address is a unit of its own; the copies to all endpoints are one
//! unit of each VNI.

#[cfg(test)]
mod tests;

use ofproto_client::action::{LEARN_DELETE_LEARNED, Learn, LearnDst, LearnSpec, LearnSrc};
use ofproto_client::{Action, Field, Match, Subfield};
use ovsdb::{Str, Uuid};
use std::fmt::{self, Display, Write as _};
use std::net::IpAddr;
use std::sync::Arc;

use super::encap::{put_tunnel_destination, put_tunnel_source};
use super::layout::{self, flag};
use super::neighbours::{EVPN_HIGH, EVPN_LOW, Neighbour};
use super::words::{self, Actions, with, with_flag};
use crate::facts::{
    BridgeNetworks, Datapath, EvpnBinding, EvpnLocalIp, EvpnLocalIps, EvpnNetwork, EvpnNetworks, EvpnVteps, IsLocal,
    PeerPorts, VxlanNetworks,
};
use crate::kernel::MappedIp;
use crate::pools::uuid_of;
use crate::reader::Reader;
use crate::rows::{DatapathBinding, PortBinding};
use crate::units::{EvpnUnit, Output};
use crate::view::datapaths::datapath_of;
use crate::view::evpn::{Binding, Bound};

/// Priority of what comes from an endpoint.
const FROM_ENDPOINT: u16 = 1050;
/// Priority of what goes to an endpoint, or to all.
const TO_ENDPOINT: u16 = 50;
/// The same, for what may go out where it came in.
const TO_ENDPOINT_LOOPBACK: u16 = 55;
/// Priority of learning.
const LEARN: u16 = 100;
/// Priority of MAC addresses, told or learned.
const KNOWN_MAC: u16 = 150;
/// Keys of the multicast groups that go to all endpoints: `_MC_flood`, `_MC_unknown`, `_MC_flood_l2`.
const FLOODED: [u32; 3] = [32_768, 32_769, 32_772];
/// Where a VXLAN header has its VNI.
const VNI: Subfield = Subfield { field: Field::TUN_ID, ofs: 0, n_bits: 24 };
/// The part of the metadata that a datapath key takes.
const DATAPATH: Subfield = Subfield { field: Field::METADATA, ofs: 0, n_bits: 32 };
/// The result of `get_remote_fdb`.
const REMOTE_OUTPORT: Field = Field::REG1;

/// Flows of a unit.
pub fn evpn(r: &Reader<'_>, unit: &EvpnUnit, out: &mut Output) {
    match unit {
        EvpnUnit::Network(vni) => network(r, *vni, out),
        EvpnUnit::Vtep { device, ip } => {
            for &vni in r.fact(VxlanNetworks(device.clone())).iter() {
                vtep(r, vni, *ip, out);
            }
        }
        EvpnUnit::Mac { device, mac } => {
            for &vni in r.fact(VxlanNetworks(device.clone())).iter() {
                remote_mac(r, vni, device, *mac, out);
            }
        }
        EvpnUnit::Address { device, ip } => {
            let Some(mac) = r.mac_of(device, *ip) else { return };
            for &vni in r.fact(BridgeNetworks(device.clone())).iter() {
                address(r, vni, *ip, mac, out);
            }
        }
    }
}

/// What an EVPN object is called by, in `evpn/*` lists: made from what it is, so that it is the same in every run. The first 32 bits are the
/// cookie of its flows. ovn-controller makes random ones.
pub fn object_uuid(kind: &str, of: impl Display) -> Uuid {
    uuid_of(&format!("{kind} {of}"))
}

impl Binding {
    /// See [`object_uuid`].
    pub fn uuid(&self) -> Uuid {
        object_uuid("binding", format_args!("{} {}", self.vni, self.remote))
    }
}

/// An Ethernet address as text.
pub struct Mac(pub u64);

impl Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, byte) in self.0.to_be_bytes()[2..].iter().enumerate() {
            if at > 0 {
                f.write_char(':')?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

/// From and to an endpoint, and learning what is behind it.
fn vtep(r: &Reader<'_>, vni: u32, ip: IpAddr, out: &mut Output) {
    let binding = match r.fact(EvpnBinding(vni, MappedIp::from(ip))) {
        Bound::Here(binding) => binding,
        Bound::NotHere => return,
        Bound::NoPort(ports) => {
            let ports: Vec<String> = ports.iter().map(u16::to_string).collect();
            let ports = ports.join(", ");
            out.diagnostics.push(format!(
                "EVPN endpoint {ip} of VNI {vni}: no VXLAN port with destination port {ports} (ovn-evpn-vxlan-ports)"
            ));
            return;
        }
        Bound::NoKey => {
            out.diagnostics.push(format!("EVPN endpoint {ip} of VNI {vni}: tunnel ids exhausted"));
            return;
        }
    };
    let Some(local) = binding.local else {
        let family = if ip.is_ipv6() { "IPv6" } else { "IPv4" };
        out.diagnostics.push(format!(
            "EVPN endpoint {ip}: failed to get local tunnel ip for VNI {vni}: ovn-evpn-local-ip has no {family} address"
        ));
        return;
    };
    let cookie = u64::from(binding.uuid().short());
    out.flow(layout::PHY_TO_LOG, FROM_ENDPOINT, cookie, from_endpoint(&binding, local), &{
        let mut actions = Actions::new();
        actions.load(DATAPATH, binding.datapath_key).set(layout::INPORT, binding.key);
        actions.resubmit(layout::LEARN_REMOTE_FDB).resubmit(layout::LOG_INGRESS);
        actions.0
    });
    let to = words::outport(binding.datapath_key, binding.key);
    let mut header = Actions::new();
    put_tunnel_source(&mut header, local);
    put_tunnel_destination(&mut header, ip);
    header.load(VNI, vni);
    let mut actions = header.clone();
    actions.output(binding.ofport);
    out.flow(layout::REMOTE_VTEP_OUTPUT, TO_ENDPOINT, cookie, to.clone(), &actions.0);
    header.clear_in_port().output(binding.ofport);
    let loopback = with_flag(to, flag::ALLOW_LOOPBACK, true);
    out.flow(layout::REMOTE_VTEP_OUTPUT, TO_ENDPOINT_LOOPBACK, cookie, loopback, &header.0);

    let from = words::inport(binding.datapath_key, binding.key);
    let learn = Action::Learn(Box::new(learn_source(&binding, cookie)));
    out.flow(layout::LEARN_REMOTE_FDB, LEARN, cookie, from, &[learn]);
}

fn from_endpoint(binding: &Binding, local: IpAddr) -> Match {
    let match_ = with(words::in_port(binding.ofport), Field::TUN_ID, binding.vni);
    match (binding.remote, local) {
        (IpAddr::V4(remote), IpAddr::V4(local)) => {
            with(with(match_, Field::TUN_SRC, remote.to_bits()), Field::TUN_DST, local.to_bits())
        }
        (remote, local) => with(with(match_, Field::TUN_IPV6_SRC, bits(remote)), Field::TUN_IPV6_DST, bits(local)),
    }
}

fn bits(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().to_bits(),
        IpAddr::V6(ip) => ip.to_bits(),
    }
}

/// The flow that is learned looks like those of [`remote_mac`].
fn learn_source(binding: &Binding, cookie: u64) -> Learn {
    let spec = |src: Field, dst: LearnDst, n_bits| LearnSpec { src: LearnSrc::Field(src.whole()), dst, n_bits };
    let same = |src: Field, dst: Field| spec(src, LearnDst::Match(dst.whole()), dst.n_bits());
    let mut learn = Learn::new(layout::GET_REMOTE_FDB);
    learn.cookie = cookie;
    learn.flags = LEARN_DELETE_LEARNED;
    learn.priority = KNOWN_MAC;
    learn.hard_timeout = binding.fdb_age_threshold;
    learn.specs = vec![
        same(Field::METADATA, Field::METADATA),
        same(Field::ETH_SRC, Field::ETH_DST),
        spec(layout::INPORT, LearnDst::Load(REMOTE_OUTPORT.whole()), REMOTE_OUTPORT.n_bits()),
    ];
    learn
}

/// A MAC address that is behind an endpoint: found there without learning, and not learned from there.
fn remote_mac(r: &Reader<'_>, vni: u32, device: &Str, mac: u64, out: &mut Output) {
    let remotes = r.mac_remotes(device, mac);
    let Some(binding) = mac_binding(r, vni, remotes) else {
        let remotes: Vec<String> = remotes.iter().map(ToString::to_string).collect();
        let (mac, remotes) = (Mac(mac), remotes.join(", "));
        out.diagnostics.push(format!("EVPN MAC {mac} of VNI {vni}: no tunnel to {remotes}"));
        return;
    };
    let cookie = u64::from(mac_uuid(vni, mac).short());
    let there = with(with(words::any(), Field::METADATA, binding.datapath_key), Field::ETH_DST, mac);
    let mut actions = Actions::new();
    actions.set(REMOTE_OUTPORT, binding.key);
    out.flow(layout::GET_REMOTE_FDB, KNOWN_MAC, cookie, there, &actions.0);
    let from = with(words::inport(binding.datapath_key, binding.key), Field::ETH_SRC, mac);
    out.flow(layout::LEARN_REMOTE_FDB, KNOWN_MAC, cookie, from, &[]);
}

/// The first of the endpoints that there is a tunnel to.
pub fn mac_binding(r: &Reader<'_>, vni: u32, remotes: &[IpAddr]) -> Option<Arc<Binding>> {
    remotes.iter().find_map(|ip| r.fact(EvpnBinding(vni, MappedIp::from(*ip))).here())
}

/// See [`object_uuid`].
pub fn mac_uuid(vni: u32, mac: u64) -> Uuid {
    object_uuid("fdb", format_args!("{vni} {}", Mac(mac)))
}

/// An IP address of the network, for the routers that are attached to the switch.
fn address(r: &Reader<'_>, vni: u32, ip: IpAddr, mac: u64, out: &mut Output) {
    let Some((row, switch)) = r.fact(EvpnNetwork(vni)) else { return };
    let priority = if switch.arp_prefer_local { EVPN_LOW } else { EVPN_HIGH };
    let uuid = address_uuid(vni, ip, mac);
    for &(_, peer) in r.fact(PeerPorts(row)).iter() {
        let router = datapath_of(r, peer).filter(|router| r.fact(IsLocal(*router)));
        let router = router.and_then(|router| r.fact(Datapath(router))).filter(|router| !router.is_switch);
        let key = r.row::<PortBinding>(peer).and_then(|port| u32::try_from(port.tunnel_key()).ok());
        if let (Some(router), Some(port_key)) = (router, key) {
            Neighbour { datapath_key: router.key, port_key, ip, mac }.lookup_flows(priority, uuid, out);
        }
    }
}

/// See [`object_uuid`].
pub fn address_uuid(vni: u32, ip: IpAddr, mac: u64) -> Uuid {
    object_uuid("arp", format_args!("{vni} {} {ip}", Mac(mac)))
}

/// Copies to all endpoints of a VNI; and what is wrong with its settings.
fn network(r: &Reader<'_>, vni: u32, out: &mut Output) {
    let Some((row, switch)) = r.fact(EvpnNetwork(vni)) else { return };
    let name = |row| r.row::<DatapathBinding>(row).map(|binding| binding.uuid()).unwrap_or_default();
    for &(_, other) in r.fact(EvpnNetworks).iter().filter(|(other, _)| *other == vni).skip(1) {
        out.diagnostics.push(format!("Datapath_Binding {} with duplicate VNI {vni}", name(other)));
    }
    for (names, key) in
        [(&switch.vxlan_devices, "dynamic-routing-vxlan-ifname"), (&switch.bridges, "dynamic-routing-bridge-ifname")]
    {
        if names.is_empty() {
            out.diagnostics.push(format!("Datapath_Binding {} misses {key}", name(row)));
        }
    }
    if switch.bridges.len() > 1 {
        let (row, first) = (name(row), &switch.bridges[0]);
        out.diagnostics.push(format!("Datapath_Binding {row} names several bridge devices: only {first} is used"));
    }
    out.diagnostics.extend(r.fact(EvpnLocalIps).problems.iter().cloned());

    let bindings: Vec<Arc<Binding>> = bindings(r, vni).collect();
    let local = [r.fact(EvpnLocalIp(vni, false)), r.fact(EvpnLocalIp(vni, true))];
    if bindings.is_empty() || local == [None, None] {
        return;
    }
    let mut actions = Actions::new();
    actions.load(VNI, vni);
    // ovn-controller delivers locally after the copies of each family; its tests expect that.
    for (at, local) in local.into_iter().enumerate() {
        let Some(local) = local else { continue };
        if at == 1 && actions.0.len() > 1 {
            actions.set(Field::TUN_SRC, 0u8).set(Field::TUN_DST, 0u8);
        }
        put_tunnel_source(&mut actions, local);
        for binding in bindings.iter().filter(|binding| binding.remote.is_ipv6() == local.is_ipv6()) {
            put_tunnel_destination(&mut actions, binding.remote);
            actions.output(binding.ofport);
        }
        actions.resubmit(layout::LOCAL_OUTPUT);
    }
    let cookie = u64::from(group_uuid(vni).short());
    for key in FLOODED {
        let match_ = words::outport(switch.datapath_key, key);
        out.flow(layout::REMOTE_VTEP_OUTPUT, TO_ENDPOINT, cookie, match_, &actions.0);
    }
}

/// The tunnels of a VNI, in the order of their endpoints.
pub fn bindings<'r>(r: &'r Reader<'_>, vni: u32) -> impl Iterator<Item = Arc<Binding>> + 'r {
    let vteps = r.fact(EvpnVteps(vni)).to_vec();
    vteps.into_iter().filter_map(move |ip| r.fact(EvpnBinding(vni, MappedIp::from(ip))).here())
}

/// See [`object_uuid`].
pub fn group_uuid(vni: u32) -> Uuid {
    object_uuid("multicast", vni)
}
