//! What was observed of the kernel: the neighbour tables of the network devices that EVPN datapaths name. A routing daemon
//! writes there what it hears from its BGP peers: tunnel endpoints, MAC addresses behind them, IP addresses of those. What an entry
//! means is decided here, by the rules of controller/neighbor-exchange-netlink.c, OVN 26.03; sheet 03 section 9.3.
//!
//! A driver gives the whole table of a device as a value ([`Kernel::observe`]); what differs from the former value is found here,
//! entry by entry, so that one entry more wakes what asked for that entry and nothing else. Entry types: [`Kernel`],
//! [`Neighbour`].

use ovsdb::Str;
use smallvec::SmallVec;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, Hash};
use std::net::{IpAddr, Ipv6Addr};

use crate::engine::Key;
use crate::pools::hash;
use crate::units::EvpnUnit;
use ovsdb::differences::differing;

/// UDP port of VXLAN when an entry names none.
pub const VXLAN_PORT: u16 = 4789;
/// Binding keys are told apart by this many bits; there are no more endpoints of one VNI than that.
pub const KEY_BITS: u32 = 16;

/// Which table of a device.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NeighbourTable {
    /// The forwarding database (AF_BRIDGE): of a VXLAN device its remote endpoints and the addresses behind them.
    Fdb,
    /// ARP and IPv6 neighbour discovery (AF_INET and AF_INET6): of a bridge.
    Ip,
}

/// One entry of a neighbour table, as the kernel has it.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Neighbour {
    /// Ethernet address (NDA_LLADDR); 0 when there is none.
    pub mac: u64,
    /// NDA_DST: the IP address of a neighbour, the remote endpoint of an entry of a forwarding database.
    pub ip: Option<IpAddr>,
    /// UDP port of the remote endpoint (NDA_PORT); 0 for the default.
    pub port: u16,
    /// NDA_VLAN; 0 for none.
    pub vlan: u16,
    /// NUD_NOARP: valid without being asked for.
    pub noarp: bool,
    /// NUD_PERMANENT.
    pub permanent: bool,
    /// NTF_EXT_LEARNED: a routing daemon put it there.
    pub extern_learned: bool,
}

impl Neighbour {
    /// Of the kind that OVN itself writes, to announce what is here; never learned from.
    fn is_announced(&self) -> bool {
        self.noarp && !self.permanent && !self.extern_learned
    }

    /// The remote tunnel endpoint that the entry stands for.
    fn vtep(&self) -> Option<(IpAddr, u16)> {
        let flood = self.mac == 0 && self.noarp && self.permanent;
        let ip = self.ip.filter(|ip| (flood || self.extern_learned) && !ip.is_unspecified())?;
        Some((ip, if self.port == 0 { VXLAN_PORT } else { self.port }))
    }

    /// The MAC address that the entry puts behind a remote endpoint.
    fn remote_mac(&self) -> Option<(u64, IpAddr)> {
        let ip = self.ip.filter(|ip| self.extern_learned && !ip.is_unspecified())?;
        (self.mac != 0).then_some((self.mac, ip))
    }

    /// The IP address that the entry resolves.
    fn address(&self) -> Option<(IpAddr, u64)> {
        let ip = self.ip.filter(|ip| self.noarp && self.extern_learned && !ip.is_unspecified())?;
        (self.mac != 0).then_some((ip, self.mac))
    }
}

/// An IP address of either family in 16 bytes, IPv4 mapped into IPv6: half the size of what else holds one.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MappedIp([u8; 16]);

impl From<IpAddr> for MappedIp {
    fn from(ip: IpAddr) -> Self {
        Self(match ip {
            IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
            IpAddr::V6(ip) => ip.octets(),
        })
    }
}

impl From<MappedIp> for IpAddr {
    fn from(ip: MappedIp) -> Self {
        Ipv6Addr::from(ip.0).to_canonical()
    }
}

/// The low bits of the binding key that an endpoint gets if no other endpoint of the VNI wants them: a hash of its address, so
/// that it is the same after a restart.
pub fn preferred_key(ip: IpAddr) -> u16 {
    (hash(&ip.to_string()) >> (64 - KEY_BITS)) as u16
}

/// UDP ports of an endpoint, sorted.
pub type Ports = SmallVec<[u16; 4]>;
/// Endpoints that a MAC address is behind, sorted.
pub type Remotes = SmallVec<[IpAddr; 1]>;

/// The observed tables by device. Nothing is kept of a device without entries that mean anything.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Kernel {
    fdb: BTreeMap<Str, Fdb>,
    addresses: BTreeMap<Str, BTreeMap<IpAddr, u64>>,
}

/// What a forwarding database says.
#[derive(Clone, Debug, Default, PartialEq)]
struct Fdb {
    vteps: BTreeMap<IpAddr, Ports>,
    /// The endpoints by [`preferred_key`].
    buckets: BTreeMap<u16, BTreeSet<IpAddr>>,
    macs: BTreeMap<u64, Remotes>,
}

/// What another table of a device changes.
#[derive(Debug, Default)]
pub struct KernelChanges {
    /// What was read and is different now.
    pub keys: Vec<Key>,
    /// Units to make.
    pub add: Vec<EvpnUnit>,
    /// Units to remove.
    pub remove: Vec<EvpnUnit>,
}

impl Kernel {
    /// A table of a device has these entries now and no others.
    pub fn observe(&mut self, device: &Str, table: NeighbourTable, entries: &[Neighbour]) -> KernelChanges {
        let mut changes = KernelChanges::default();
        let learned = entries.iter().filter(|entry| entry.vlan == 0 && !entry.is_announced());
        match table {
            NeighbourTable::Fdb => {
                let new = Fdb::of(learned);
                let old = self.fdb.remove(device).unwrap_or_default();
                old.differences(&new, device, &mut changes);
                if new != Fdb::default() {
                    self.fdb.insert(device.clone(), new);
                }
            }
            NeighbourTable::Ip => {
                let new: BTreeMap<IpAddr, u64> = learned.filter_map(Neighbour::address).collect();
                let old = self.addresses.remove(device).unwrap_or_default();
                differing(&old, &new, |ip, existed, exists| {
                    changes.keys.push(address_key(device, *ip));
                    changes.unit(EvpnUnit::Address { device: device.clone(), ip: *ip }, existed, exists);
                });
                if !new.is_empty() {
                    self.addresses.insert(device.clone(), new);
                }
            }
        }
        changes
    }

    /// The tables that were observed and have entries.
    pub fn tables(&self) -> impl Iterator<Item = (&Str, NeighbourTable)> {
        let fdb = self.fdb.keys().map(|device| (device, NeighbourTable::Fdb));
        fdb.chain(self.addresses.keys().map(|device| (device, NeighbourTable::Ip)))
    }

    /// The remote endpoints of a VXLAN device with their UDP ports.
    pub fn vteps<'k>(&'k self, device: &str) -> impl Iterator<Item = (IpAddr, &'k Ports)> + use<'k> {
        self.fdb.get(device).into_iter().flat_map(|fdb| fdb.vteps.iter().map(|(ip, ports)| (*ip, ports)))
    }

    /// The remote endpoints of a VXLAN device that prefer one key.
    pub fn bucket<'k>(&'k self, device: &str, key: u16) -> impl Iterator<Item = (IpAddr, &'k Ports)> + use<'k> {
        let fdb = self.fdb.get(device);
        let bucket = fdb.and_then(|fdb| fdb.buckets.get(&key)).into_iter().flatten();
        bucket.filter_map(move |ip| Some((*ip, fdb?.vteps.get(ip)?)))
    }

    /// The MAC addresses behind remote endpoints.
    pub fn macs<'k>(&'k self, device: &str) -> impl Iterator<Item = (u64, &'k Remotes)> + use<'k> {
        self.fdb.get(device).into_iter().flat_map(|fdb| fdb.macs.iter().map(|(mac, remotes)| (*mac, remotes)))
    }

    /// The remote endpoints that a MAC address is behind.
    pub fn remotes(&self, device: &str, mac: u64) -> &[IpAddr] {
        self.fdb.get(device).and_then(|fdb| fdb.macs.get(&mac)).map_or(&[], |remotes| remotes.as_slice())
    }

    /// The IP addresses that a bridge resolves.
    pub fn addresses(&self, device: &str) -> impl Iterator<Item = (IpAddr, u64)> + use<'_> {
        self.addresses.get(device).into_iter().flatten().map(|(ip, mac)| (*ip, *mac))
    }

    /// The MAC address of an IP address on a bridge.
    pub fn mac_of(&self, device: &str, ip: IpAddr) -> Option<u64> {
        self.addresses.get(device)?.get(&ip).copied()
    }
}

impl Fdb {
    fn of<'n>(entries: impl Iterator<Item = &'n Neighbour>) -> Self {
        let mut fdb = Self::default();
        for entry in entries {
            if let Some((ip, port)) = entry.vtep() {
                insert_sorted(fdb.vteps.entry(ip).or_default(), port);
                fdb.buckets.entry(preferred_key(ip)).or_default().insert(ip);
            }
            if let Some((mac, ip)) = entry.remote_mac() {
                insert_sorted(fdb.macs.entry(mac).or_default(), ip);
            }
        }
        fdb
    }

    fn differences(&self, new: &Self, device: &Str, changes: &mut KernelChanges) {
        let mut vteps_differ = false;
        differing(&self.vteps, &new.vteps, |ip, existed, exists| {
            vteps_differ = true;
            changes.keys.push(bucket_key(device, preferred_key(*ip)));
            changes.unit(EvpnUnit::Vtep { device: device.clone(), ip: *ip }, existed, exists);
        });
        if vteps_differ {
            changes.keys.push(vteps_key(device));
        }
        differing(&self.macs, &new.macs, |mac, existed, exists| {
            changes.keys.push(mac_key(device, *mac));
            changes.unit(EvpnUnit::Mac { device: device.clone(), mac: *mac }, existed, exists);
        });
    }
}

impl KernelChanges {
    fn unit(&mut self, unit: EvpnUnit, existed: bool, exists: bool) {
        match (existed, exists) {
            (false, true) => self.add.push(unit),
            (true, false) => self.remove.push(unit),
            _ => {}
        }
    }
}

/// "Which endpoints does the device have, with which ports?"
pub fn vteps_key(device: &str) -> Key {
    key(0, device, 0u8)
}

/// "Which of them prefer this key?"
pub fn bucket_key(device: &str, bucket: u16) -> Key {
    key(1, device, bucket)
}

/// "What is this MAC address behind?"
pub fn mac_key(device: &str, mac: u64) -> Key {
    key(2, device, mac)
}

/// "What is the MAC address of this IP address?"
pub fn address_key(device: &str, ip: IpAddr) -> Key {
    key(3, device, ip)
}

fn key(question: u8, device: &str, of: impl Hash) -> Key {
    Key::Neighbour(rustc_hash::FxBuildHasher.hash_one((question, device, of)))
}

fn insert_sorted<T: Ord, const N: usize>(list: &mut SmallVec<[T; N]>, value: T) {
    if let Err(at) = list.binary_search(&value) {
        list.insert(at, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(mac: u64, ip: &str, state: &str) -> Neighbour {
        Neighbour {
            mac,
            ip: ip.parse().ok(),
            noarp: state.contains('n'),
            permanent: state.contains('p'),
            extern_learned: state.contains('e'),
            ..Neighbour::default()
        }
    }

    fn learned(table: NeighbourTable, entries: &[Neighbour]) -> String {
        let (mut kernel, device) = (Kernel::default(), Str::from("vx"));
        kernel.observe(&device, table, entries);
        let vteps = kernel.vteps("vx").map(|(ip, ports)| format!("vtep {ip} {ports:?}"));
        let macs = kernel.macs("vx").map(|(mac, remotes)| format!("mac {mac:x} {remotes:?}"));
        let addresses = kernel.addresses("vx").map(|(ip, mac)| format!("ip {ip} {mac:x}"));
        vteps.chain(macs).chain(addresses).collect::<Vec<_>>().join(", ")
    }

    /// The rules of ne_is_valid_remote_vtep, ne_is_valid_static_fdb and ne_is_valid_static_arp.
    #[test]
    fn entries_are_told_apart_as_ovn_controller_does() {
        use NeighbourTable::{Fdb, Ip};
        for (table, entry, expected) in [
            (Fdb, entry(0, "192.0.2.1", "np"), "vtep 192.0.2.1 [4789]"),
            (Fdb, Neighbour { port: 4790, ..entry(0, "fd00::1", "np") }, "vtep fd00::1 [4790]"),
            (Fdb, entry(0, "192.0.2.1", "n"), ""),
            (Fdb, entry(0, "", "np"), ""),
            (Fdb, entry(7, "192.0.2.1", "np"), ""),
            (Fdb, entry(7, "192.0.2.1", "e"), "vtep 192.0.2.1 [4789], mac 7 [192.0.2.1]"),
            (Fdb, entry(7, "192.0.2.1", "ne"), "vtep 192.0.2.1 [4789], mac 7 [192.0.2.1]"),
            (Fdb, entry(7, "192.0.2.1", "n"), ""),
            (Fdb, entry(7, "", "ne"), ""),
            (Fdb, Neighbour { vlan: 5, ..entry(7, "192.0.2.1", "e") }, ""),
            (Ip, entry(7, "10.0.0.1", "ne"), "ip 10.0.0.1 7"),
            (Ip, entry(7, "10.0.0.1", "e"), ""),
            (Ip, entry(7, "10.0.0.1", "np"), ""),
            (Ip, entry(0, "10.0.0.1", "ne"), ""),
        ] {
            assert_eq!(learned(table, &[entry]), expected, "{table:?} {entry:?}");
        }
    }

    #[test]
    fn only_what_differs_is_told() {
        let (mut kernel, device) = (Kernel::default(), Str::from("vx"));
        let (one, two) = (entry(7, "192.0.2.1", "e"), entry(8, "192.0.2.1", "e"));
        let changes = kernel.observe(&device, NeighbourTable::Fdb, &[one]);
        assert_eq!((changes.add.len(), changes.remove.len(), changes.keys.len()), (2, 0, 3));
        let changes = kernel.observe(&device, NeighbourTable::Fdb, &[two, one]);
        assert_eq!(changes.add, [EvpnUnit::Mac { device: device.clone(), mac: 8 }]);
        assert_eq!(changes.keys, [mac_key("vx", 8)], "the endpoint and the other address are as they were");
        let changes = kernel.observe(&device, NeighbourTable::Fdb, &[one, two, two]);
        assert!(changes.add.is_empty() && changes.keys.is_empty());
        let moved = entry(7, "192.0.2.2", "e");
        let changes = kernel.observe(&device, NeighbourTable::Fdb, &[moved, two]);
        assert_eq!(changes.add, [EvpnUnit::Vtep { device: device.clone(), ip: "192.0.2.2".parse().unwrap() }]);
        assert!(changes.keys.contains(&mac_key("vx", 7)) && !changes.keys.contains(&mac_key("vx", 8)));
        let changes = kernel.observe(&device, NeighbourTable::Fdb, &[]);
        assert_eq!(changes.remove.len(), 4);
        assert_eq!(kernel, Kernel::default());
    }

    #[test]
    fn mapped_addresses_are_the_same_addresses() {
        for text in ["192.0.2.1", "fd00::1", "::1"] {
            let ip: IpAddr = text.parse().unwrap();
            assert_eq!(IpAddr::from(MappedIp::from(ip)), ip);
        }
    }
}
