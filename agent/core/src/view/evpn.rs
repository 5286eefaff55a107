//! EVPN: which logical switches take part, with which devices of the kernel, and the tunnels that follow from what the kernel's
//! tables say. controller/neighbor.c, controller/evpn-binding.c and the `evpn_local_ip_*` functions of controller/physical.c, OVN
//! 26.03; sheet 03 sections 9.1 to 9.4.
//!
//! Binding keys need no allocator that remembers: the key of an endpoint is a hash of its address, and the few endpoints whose
//! hashes are equal share out what is left in the order of their addresses. So the keys are a function of what is there, and stay
//! the same over a restart.

use ovsdb::tables::Table;
use ovsdb::{RowId, Str};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use super::flag;
use super::interfaces::{is_on_bridge, usable_ofport};
use crate::facts::{
    Datapath, EvpnDevices, EvpnKey, EvpnLocalIp, EvpnLocalIps, EvpnNetwork, EvpnNetworks, EvpnOverflowKeys, EvpnSwitch,
    EvpnTunnelPort, EvpnVteps, IsLocal, ThisChassis,
};
use crate::kernel::{KEY_BITS, MappedIp, Ports, VXLAN_PORT, preferred_key};
use crate::list::List;
use crate::reader::Reader;
use crate::rows::{Chassis, DatapathBinding, Interface, Port};

/// The bit of a port key that says "EVPN endpoint"; the lowest binding key.
pub const EVPN_KEY_FLAG: u32 = 1 << 31;
/// VNIs have 24 bits.
const MAX_VNI: i64 = (1 << 24) - 1;

/// Whether a port key is that of an EVPN endpoint, or the flag alone as in `from_evpn_vtep`.
pub fn is_evpn_key(key: u32) -> bool {
    key & !((1 << KEY_BITS) - 1) == EVPN_KEY_FLAG
}

/// A local logical switch with a VNI.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Switch {
    /// external_ids:dynamic-routing-vni.
    pub vni: u32,
    /// tunnel_key.
    pub datapath_key: u32,
    /// VXLAN devices: external_ids:dynamic-routing-vxlan-ifname.
    pub vxlan_devices: Vec<Str>,
    /// Bridges: external_ids:dynamic-routing-bridge-ifname. The first is used.
    pub bridges: Vec<Str>,
    /// Seconds for which learned remote MAC addresses last, 0 for ever: external_ids:fdb_age_threshold.
    pub fdb_age_threshold: u16,
    /// external_ids:dynamic-routing-arp-prefer-local.
    pub arp_prefer_local: bool,
}

/// The devices of the kernel that matter, each with the VNIs of the switches that name it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Devices {
    /// VXLAN devices.
    pub vxlan: BTreeMap<Str, Vec<u32>>,
    /// Bridges.
    pub bridges: BTreeMap<Str, Vec<u32>>,
}

/// Our own tunnel addresses: Chassis.other_config:ovn-evpn-local-ip.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LocalIps {
    /// Addresses for one VNI, by VNI and whether it is IPv6.
    by_vni: BTreeMap<(u32, bool), IpAddr>,
    /// Addresses for any other VNI.
    default: BTreeMap<bool, IpAddr>,
    /// What could not be used.
    pub problems: Vec<String>,
}

/// A tunnel to a remote endpoint, in one VNI.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// The VNI.
    pub vni: u32,
    /// tunnel_key of the switch.
    pub datapath_key: u32,
    /// The endpoint.
    pub remote: IpAddr,
    /// Our address of the same family.
    pub local: Option<IpAddr>,
    /// OpenFlow port of the VXLAN port with the endpoint's UDP port.
    pub ofport: u16,
    /// What stands for the endpoint as a logical port.
    pub key: u32,
    /// Seconds for which learned MAC addresses last, 0 for ever.
    pub fdb_age_threshold: u16,
}

/// Whether there is a tunnel to an endpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Bound {
    /// The VNI is on no local switch, or its devices do not have the endpoint.
    #[default]
    NotHere,
    /// No VXLAN port has any of these UDP ports.
    NoPort(Ports),
    /// All keys are taken.
    NoKey,
    /// There is.
    Here(Arc<Binding>),
}

impl Bound {
    /// The tunnel, if there is one.
    pub fn here(self) -> Option<Arc<Binding>> {
        match self {
            Bound::Here(binding) => Some(binding),
            _ => None,
        }
    }
}

/// See [`EvpnSwitch`].
pub fn switch(r: &Reader<'_>, row: RowId) -> Option<Arc<Switch>> {
    let binding = r.row::<DatapathBinding>(row)?;
    let ids = binding.external_ids();
    let number = |key| ids.get(key).and_then(|text| text.trim().parse::<i64>().ok());
    let vni = number("dynamic-routing-vni").filter(|vni| (0..=MAX_VNI).contains(vni))?;
    let datapath = r.fact(Datapath(row)).filter(|datapath| datapath.is_switch && r.fact(IsLocal(row)))?;
    let names = |key| -> Vec<Str> {
        let text = ids.get(key).map_or("", |text| text.as_str());
        text.split(',').map(str::trim).filter(|name| !name.is_empty()).map(Str::from).collect()
    };
    Some(Arc::new(Switch {
        vni: vni as u32,
        datapath_key: datapath.key,
        vxlan_devices: names("dynamic-routing-vxlan-ifname"),
        bridges: names("dynamic-routing-bridge-ifname"),
        fdb_age_threshold: number("fdb_age_threshold").map_or(0, |age| age.clamp(0, i64::from(u16::MAX)) as u16),
        arp_prefer_local: flag(ids, "dynamic-routing-arp-prefer-local"),
    }))
}

/// See [`EvpnNetworks`]. Of several switches with one VNI the first by UUID has it.
pub fn networks(r: &Reader<'_>) -> List<(u32, RowId)> {
    let rows = r.lookup(|table: &Table<DatapathBinding>| table.by_evpn(true));
    let mut networks: Vec<(u32, RowId)> =
        rows.into_iter().filter_map(|row| Some((r.fact(EvpnSwitch(row))?.vni, row))).collect();
    // Stable: the rows of one VNI stay in the order of their UUIDs.
    networks.sort_by_key(|(vni, _)| *vni);
    networks.into()
}

/// See [`EvpnNetwork`].
pub fn network(r: &Reader<'_>, vni: u32) -> Option<(RowId, Arc<Switch>)> {
    let networks = r.fact(EvpnNetworks);
    let (_, row) =
        networks.get(networks.partition_point(|(other, _)| *other < vni)).filter(|(other, _)| *other == vni)?;
    Some((*row, r.fact(EvpnSwitch(*row))?))
}

/// See [`EvpnDevices`].
pub fn devices(r: &Reader<'_>) -> Arc<Devices> {
    let mut devices = Devices::default();
    let vnis: BTreeSet<u32> = r.fact(EvpnNetworks).iter().map(|(vni, _)| *vni).collect();
    for vni in vnis {
        let Some((_, switch)) = r.fact(EvpnNetwork(vni)) else { continue };
        let mut add = |map: fn(&mut Devices) -> &mut BTreeMap<Str, Vec<u32>>, device: &Str| {
            let vnis = map(&mut devices).entry(device.clone()).or_default();
            if !vnis.contains(&vni) {
                vnis.push(vni);
            }
        };
        switch.vxlan_devices.iter().for_each(|device| add(|devices| &mut devices.vxlan, device));
        switch.bridges.first().into_iter().for_each(|device| add(|devices| &mut devices.bridges, device));
    }
    Arc::new(devices)
}

/// See [`crate::facts::VxlanNetworks`].
pub fn vxlan_networks(r: &Reader<'_>, device: Str) -> List<u32> {
    r.fact(EvpnDevices).vxlan.get(&device).map(|vnis| vnis.iter().copied().collect()).unwrap_or_default()
}

/// See [`crate::facts::BridgeNetworks`].
pub fn bridge_networks(r: &Reader<'_>, device: Str) -> List<u32> {
    r.fact(EvpnDevices).bridges.get(&device).map(|vnis| vnis.iter().copied().collect()).unwrap_or_default()
}

/// See [`EvpnLocalIps`].
pub fn local_ips(r: &Reader<'_>) -> Arc<LocalIps> {
    let chassis = r.fact(ThisChassis).and_then(|row| r.row::<Chassis>(row));
    let text = chassis.and_then(|chassis| chassis.other_config().get("ovn-evpn-local-ip").cloned()).unwrap_or_default();
    Arc::new(LocalIps::parse(&text))
}

impl LocalIps {
    /// `IP` or `VNI-IP`, separated by commas. A bad item costs that item; of two for the same the first holds.
    fn parse(text: &str) -> Self {
        let mut ips = Self::default();
        for item in text.split(',').map(str::trim).filter(|item| !item.is_empty()) {
            if let Err(why) = ips.add(item) {
                ips.problems.push(format!("ovn-evpn-local-ip: {why}"));
            }
        }
        ips
    }

    fn add(&mut self, item: &str) -> Result<(), String> {
        let (vni, ip) = item.split_once('-').map_or((None, item), |(vni, ip)| (Some(vni), ip));
        let ip: IpAddr = ip.parse().map_err(|_| format!("invalid IP {ip} in \"{item}\""))?;
        let family = ip.is_ipv6();
        let known = match vni {
            None => self.default.get(&family).copied(),
            Some(vni) => {
                let number = vni.parse().ok().filter(|number| i64::from(*number) <= MAX_VNI);
                let number = number.ok_or_else(|| format!("invalid VNI {vni} in \"{item}\""))?;
                let known = self.by_vni.get(&(number, family)).copied();
                self.by_vni.entry((number, family)).or_insert(ip);
                known
            }
        };
        match known {
            Some(known) => Err(format!("\"{item}\" comes after {known} for the same")),
            None => {
                if vni.is_none() {
                    self.default.insert(family, ip);
                }
                Ok(())
            }
        }
    }

    fn for_vni(&self, vni: u32, ipv6: bool) -> Option<IpAddr> {
        self.by_vni.get(&(vni, ipv6)).or_else(|| self.default.get(&ipv6)).copied()
    }
}

/// See [`EvpnLocalIp`].
pub fn local_ip(r: &Reader<'_>, vni: u32, ipv6: bool) -> Option<IpAddr> {
    r.fact(EvpnLocalIps).for_vni(vni, ipv6)
}

/// See [`EvpnTunnelPort`].
pub fn tunnel_port(r: &Reader<'_>, udp_port: u16) -> Option<u16> {
    r.lookup(|table: &Table<Port>| table.by_evpn_tunnel(true)).into_iter().find_map(|row| {
        let port = r.row::<Port>(row)?;
        if !flag(port.external_ids(), "ovn-evpn-tunnel") || !is_on_bridge(r, port.uuid()) {
            return None;
        }
        let interface = port.interfaces().iter().next().and_then(|uuid| r.find::<Interface>(uuid))?;
        let has = match interface.options().get("dst_port") {
            Some(text) => text.parse().ok()?,
            None => VXLAN_PORT,
        };
        usable_ofport(interface.ofport()).filter(|_| has == udp_port)
    })
}

/// See [`EvpnVteps`].
pub fn vteps(r: &Reader<'_>, vni: u32) -> List<IpAddr> {
    let Some((_, switch)) = r.fact(EvpnNetwork(vni)) else { return List::default() };
    let vteps: BTreeSet<IpAddr> =
        switch.vxlan_devices.iter().flat_map(|device| r.vteps(device)).map(|(ip, _)| ip).collect();
    vteps.into_iter().collect()
}

/// See [`EvpnKey`].
pub fn key(r: &Reader<'_>, vni: u32, ip: MappedIp) -> Option<u32> {
    let (_, switch) = r.fact(EvpnNetwork(vni))?;
    let ip = IpAddr::from(ip);
    let preferred = preferred_key(ip);
    let rivals: BTreeSet<IpAddr> =
        switch.vxlan_devices.iter().flat_map(|device| r.vtep_bucket(device, preferred)).map(|(ip, _)| ip).collect();
    if rivals.first() == Some(&ip) {
        return Some(EVPN_KEY_FLAG | u32::from(preferred));
    }
    let overflow = r.fact(EvpnOverflowKeys(vni));
    overflow.binary_search_by_key(&ip, |(other, _)| *other).ok().map(|at| overflow[at].1)
}

/// See [`EvpnOverflowKeys`].
pub fn overflow_keys(r: &Reader<'_>, vni: u32) -> List<(IpAddr, u32)> {
    share_out(&r.fact(EvpnVteps(vni)), 1 << KEY_BITS, preferred_key)
}

/// Keys for those endpoints (sorted) whose preferred key a lower one has: for each in turn the next above that nobody has or
/// prefers. Whoever comes when all are taken gets none.
fn share_out(vteps: &[IpAddr], keys: u32, preferred: impl Fn(IpAddr) -> u16) -> List<(IpAddr, u32)> {
    let mut taken: BTreeSet<u32> = BTreeSet::new();
    let second: Vec<IpAddr> = vteps.iter().copied().filter(|ip| !taken.insert(u32::from(preferred(*ip)))).collect();
    let place = |ip: IpAddr| {
        let start = u32::from(preferred(ip));
        let key = (1..keys).map(|step| (start + step) % keys).find(|key| !taken.contains(key))?;
        taken.insert(key);
        Some((ip, EVPN_KEY_FLAG | key))
    };
    second.into_iter().map_while(place).collect()
}

/// See [`crate::facts::EvpnBinding`].
pub fn binding(r: &Reader<'_>, vni: u32, ip: MappedIp) -> Bound {
    let Some((_, switch)) = r.fact(EvpnNetwork(vni)) else { return Bound::NotHere };
    let remote = IpAddr::from(ip);
    let mut ports = Ports::new();
    for device in &switch.vxlan_devices {
        let here = r.vtep_bucket(device, preferred_key(remote)).filter(|(ip, _)| *ip == remote);
        ports.extend(here.flat_map(|(_, ports)| ports.iter().copied()));
    }
    if ports.is_empty() {
        return Bound::NotHere;
    }
    ports.sort_unstable();
    ports.dedup();
    let Some(ofport) = ports.iter().find_map(|port| r.fact(EvpnTunnelPort(*port))) else {
        return Bound::NoPort(ports);
    };
    let Some(key) = r.fact(EvpnKey(vni, ip)) else { return Bound::NoKey };
    Bound::Here(Arc::new(Binding {
        vni,
        datapath_key: switch.datapath_key,
        remote,
        local: r.fact(EvpnLocalIp(vni, remote.is_ipv6())),
        ofport,
        key,
        fdb_age_threshold: switch.fdb_age_threshold,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_addresses_are_for_a_vni_or_for_all() {
        let ips = LocalIps::parse(
            "192.0.2.1, 10-192.0.2.10,fd00::1,10-fd00::10,,192.0.2.2,x,16777216-192.0.2.3,1-2-3,10-192.0.2.4",
        );
        let find = |vni, ipv6| ips.for_vni(vni, ipv6).map(|ip| ip.to_string()).unwrap_or_default();
        assert_eq!([find(10, false), find(10, true)], ["192.0.2.10", "fd00::10"]);
        assert_eq!([find(11, false), find(11, true)], ["192.0.2.1", "fd00::1"]);
        assert_eq!(ips.problems.len(), 5, "{:?}", ips.problems);
        assert_eq!(LocalIps::parse("10-192.0.2.1").for_vni(11, false), None);
    }

    #[test]
    fn equal_hashes_share_out_what_is_left() {
        let ips: Vec<IpAddr> = (1..=8).map(|n| IpAddr::from([192, 0, 2, n])).collect();
        let last = |ip: IpAddr| match ip {
            IpAddr::V4(ip) => u16::from(ip.octets()[3]),
            IpAddr::V6(_) => 0,
        };
        // All prefer 6 but for the last one, which prefers 0.
        let keys = share_out(&ips, 8, |ip| if last(ip) == 8 { 0 } else { 6 });
        let keys: Vec<(u16, u32)> = keys.iter().map(|(ip, key)| (last(*ip), key - EVPN_KEY_FLAG)).collect();
        assert_eq!(keys, [(2, 7), (3, 1), (4, 2), (5, 3), (6, 4), (7, 5)]);
        let keys = share_out(&ips, 4, |_| 3);
        assert_eq!(keys.len(), 3, "four keys for eight endpoints, one of them by right");
        assert!(share_out(&ips, 1 << KEY_BITS, last).is_empty());
    }

    #[test]
    fn evpn_keys_are_known_by_their_bits() {
        for (key, expected) in
            [(0x8000_0000, true), (0x8000_ffff, true), (0x8001_0000, false), (1, false), (0xc000_0000, false)]
        {
            assert_eq!(is_evpn_key(key), expected, "{key:#x}");
        }
    }
}
