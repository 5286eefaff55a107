//! Port security: which sources a VIF may claim and what may be delivered to it. `consider_port_sec_flows` of
//! controller/lflow.c, OVN 26.03; sheet 02 section 5.5.

use ofproto_client::{Action, Field, Match};
use ovsdb::{RowId, Uuid};
use std::net::{Ipv4Addr, Ipv6Addr};

use super::addresses::parse_mac;
use super::layout::{self, flag};
use super::words::{self, Actions, with};
use crate::facts::{BoundHere, Datapath, IsLocal, ThisChassis};
use crate::reader::Reader;
use crate::rows::{Chassis, DatapathBinding, PortBinding};
use crate::units::Output;

/// Flows of one Port_Binding that is bound here.
pub fn port_security(r: &Reader<'_>, row: RowId, out: &mut Output) {
    let Some(port) = r.row::<PortBinding>(row) else { return };
    if port.port_security().is_empty() {
        return;
    }
    let ours = r.fact(ThisChassis).and_then(|chassis| r.row::<Chassis>(chassis)).map(|chassis| chassis.uuid());
    // Of the ports on our chassis those that a VIF carries, which external ports do not have.
    if ours.is_none() || port.chassis() != ours || !r.fact(BoundHere(row)).is_here() {
        return;
    }
    let Some(datapath) = r.find_id::<DatapathBinding>(&port.datapath()).filter(|dp| r.fact(IsLocal(*dp))) else {
        return;
    };
    let Some(datapath) = r.fact(Datapath(datapath)) else { return };
    let Ok(port_key) = u32::try_from(port.tunnel_key()) else { return };
    let mut flows = Flows { datapath_key: datapath.key, port_key, uuid: port.uuid(), out };
    let mut any = false;
    for text in port.port_security().iter() {
        match Entry::parse(text) {
            Some(entry) => {
                any = true;
                flows.entry(&entry);
            }
            None => {
                let lport = port.logical_port();
                flows.out.diagnostics.push(format!("Port_Binding {lport}: port_security \"{text}\" is malformed"));
            }
        }
    }
    if any {
        flows.defaults();
    }
}

/// An Ethernet address or a range of them, by the length of the prefix that counts.
#[derive(Copy, Clone, Debug, PartialEq)]
struct MacRange {
    mac: u64,
    length: u8,
}

/// One element of Port_Binding.port_security.
#[derive(Debug, Default, PartialEq)]
struct Entry {
    vrrp: bool,
    /// The port's own Ethernet address.
    physical: u64,
    /// VRRP addresses for IPv4, and for IPv6.
    virtual_v4: Vec<MacRange>,
    virtual_v6: Vec<MacRange>,
    /// Addresses with prefix lengths.
    v4: Vec<(u32, u8)>,
    v6: Vec<(u128, u8)>,
}

/// VRRP's address ranges (RFC 9568 section 7.3).
const VRRP_V4: u64 = 0x0000_5e00_0100;
const VRRP_V6: u64 = 0x0000_5e00_0200;
const VRRP_LENGTH: u8 = 40;

impl Entry {
    /// `[VRRPv3 ]MAC [IP[/LEN] | vMAC[/LEN]]...`
    fn parse(text: &str) -> Option<Self> {
        let mut words = text.split_whitespace().peekable();
        let vrrp = words.next_if_eq(&"VRRPv3").is_some();
        let mut entry = Self { vrrp, physical: parse_mac(words.next()?)?, ..Self::default() };
        for word in words {
            let (address, length) = match word.split_once('/') {
                Some((address, length)) => (address, Some(length)),
                None => (word, None),
            };
            if let Ok(ip) = address.parse::<Ipv4Addr>() {
                entry.v4.push((ip.to_bits(), prefix_length(length, 32)?));
            } else if let Ok(ip) = address.parse::<Ipv6Addr>() {
                entry.v6.push((ip.to_bits(), prefix_length(length, 128)?));
            } else {
                entry.add_virtual(parse_mac(address)?, prefix_length(length, 48)?)?;
            }
        }
        if vrrp && entry.virtual_v4.is_empty() && entry.virtual_v6.is_empty() {
            entry.virtual_v4.push(MacRange { mac: VRRP_V4, length: VRRP_LENGTH });
            entry.virtual_v6.push(MacRange { mac: VRRP_V6, length: VRRP_LENGTH });
        }
        Some(entry)
    }

    /// A VRRP address: inside one of the two ranges, its masked part zero, and not the range's first address alone.
    fn add_virtual(&mut self, mac: u64, length: u8) -> Option<()> {
        let host = low_bits(48 - length) as u64;
        let valid = self.vrrp && length >= VRRP_LENGTH && mac & host == 0 && !(length == 48 && mac & 0xff == 0);
        let list = match mac & !0xff {
            VRRP_V4 if valid => &mut self.virtual_v4,
            VRRP_V6 if valid => &mut self.virtual_v6,
            _ => return None,
        };
        list.push(MacRange { mac, length });
        Some(())
    }

    fn physical(&self) -> MacRange {
        MacRange { mac: self.physical, length: 48 }
    }

    /// What the sender's address may be in IPv4 packets.
    fn sources_v4(&self) -> Vec<MacRange> {
        if self.vrrp { self.virtual_v4.clone() } else { vec![self.physical()] }
    }

    /// Likewise in IPv6 packets.
    fn sources_v6(&self) -> Vec<MacRange> {
        if self.vrrp { self.virtual_v6.clone() } else { vec![self.physical()] }
    }

    /// All of them, each once.
    fn sources(&self) -> Vec<MacRange> {
        let mut all = self.sources_v4();
        for source in self.sources_v6() {
            if !all.contains(&source) {
                all.push(source);
            }
        }
        all
    }

    fn has_ips(&self) -> bool {
        !self.v4.is_empty() || !self.v6.is_empty()
    }
}

/// An address allows its whole subnet if its host part is zero, else only itself. Value and mask.
fn allowed(address: u128, length: u8, width: u8) -> (u128, u128) {
    let all = low_bits(width);
    let host = low_bits(width - length);
    if address & host == 0 { (address, all & !host) } else { (address, all) }
}

fn prefix_length(text: Option<&str>, width: u8) -> Option<u8> {
    let Some(text) = text else { return Some(width) };
    text.parse().ok().filter(|length| *length <= width)
}

fn low_bits(n: u8) -> u128 {
    1u128.checked_shl(u32::from(n)).map_or(u128::MAX, |bit| bit - 1)
}

/// The link-local address made from the first address of a range, as far as the range determines it. Value and mask.
fn link_local(range: MacRange) -> (u128, u128) {
    let mac = u128::from(range.mac);
    let eui64 = ((mac & 0xffff_ff00_0000) << 16 | 0xff_fe00_0000 | mac & 0xff_ffff) ^ (2 << 56);
    let mask = !low_bits(48 - range.length);
    ((0xfe80 << 112 | eui64) & mask, mask)
}

/// The flows of one port while they are being made.
struct Flows<'o> {
    datapath_key: u32,
    port_key: u32,
    uuid: Uuid,
    out: &'o mut Output,
}

impl Flows<'_> {
    fn inport(&self) -> Match {
        words::inport(self.datapath_key, self.port_key)
    }

    fn outport(&self) -> Match {
        words::outport(self.datapath_key, self.port_key)
    }

    fn add(&mut self, table: u8, priority: u16, match_: Match, actions: &[Action]) {
        self.out.flow(table, priority, u64::from(self.uuid.short()), match_, actions);
    }

    /// The check failed.
    fn fail(&mut self, table: u8, priority: u16, match_: Match) {
        self.add(table, priority, match_, &[Action::load(verdict(), 1)]);
    }

    /// The check succeeded.
    fn ok(&mut self, table: u8, priority: u16, match_: Match) {
        self.add(table, priority, match_, &[Action::load(verdict(), 0)]);
    }

    /// Goes on with the part for ARP and ND.
    fn check_nd(&mut self, priority: u16, match_: Match) {
        let mut actions = Actions::new();
        actions.resubmit(layout::CHK_IN_PORT_SEC_ND);
        self.add(layout::CHK_IN_PORT_SEC, priority, match_, &actions.0);
    }

    fn defaults(&mut self) {
        let arp = with(self.inport(), Field::ETH_TYPE, words::ETH_ARP);
        self.fail(layout::CHK_IN_PORT_SEC, 80, self.inport());
        self.check_nd(95, arp.clone());
        self.fail(layout::CHK_IN_PORT_SEC_ND, 80, arp);
        for kind in [135u8, 136] {
            let nd = with(with(icmp6(self.inport()), Field::ICMPV6_TYPE, kind), Field::IP_TTL, 255u8);
            self.fail(layout::CHK_IN_PORT_SEC_ND, 80, nd);
        }
        self.fail(layout::CHK_OUT_PORT_SEC, 80, self.outport());
    }

    fn entry(&mut self, entry: &Entry) {
        self.ingress(entry);
        self.arp(entry);
        self.nd(entry);
        self.egress(entry);
    }

    fn ingress(&mut self, entry: &Entry) {
        const TABLE: u8 = layout::CHK_IN_PORT_SEC;
        if !entry.has_ips() {
            for source in entry.sources() {
                self.check_nd(90, eth(self.inport(), Field::ETH_SRC, source));
            }
            return;
        }
        for source in entry.sources_v4().into_iter().filter(|_| !entry.v4.is_empty()) {
            let ip = with(eth(self.inport(), Field::ETH_SRC, source), Field::ETH_TYPE, words::ETH_IP);
            for &(address, length) in &entry.v4 {
                let (value, mask) = allowed(u128::from(address), length, 32);
                self.ok(TABLE, 90, masked(ip.clone(), Field::IPV4_SRC, value, mask));
            }
            let dhcp = with(with(ip, Field::IPV4_SRC, 0u32), Field::IPV4_DST, u32::MAX);
            let dhcp = with(with(dhcp, Field::IP_PROTO, 17u8), Field::UDP_SRC, 68u16);
            self.ok(TABLE, 90, with(dhcp, Field::UDP_DST, 67u16));
        }
        for source in entry.sources_v6().into_iter().filter(|_| !entry.v6.is_empty()) {
            let from = eth(self.inport(), Field::ETH_SRC, source);
            let ip6 = with(from.clone(), Field::ETH_TYPE, words::ETH_IPV6);
            for (value, mask) in own_v6(entry, source) {
                self.check_nd(90, masked(ip6.clone(), Field::IPV6_SRC, value, mask));
            }
            // Before it has an address: MLD reports, and duplicate address detection.
            let unspecified =
                masked(with(icmp6(from), Field::IPV6_SRC, 0u8), Field::IPV6_DST, 0xff02 << 112, 0xffff << 112);
            let unspecified = with(unspecified, Field::ICMPV6_CODE, 0u8);
            for kind in [131u8, 143] {
                self.ok(TABLE, 90, with(unspecified.clone(), Field::ICMPV6_TYPE, kind));
            }
            self.check_nd(90, with(unspecified, Field::ICMPV6_TYPE, 135u8));
        }
    }

    fn arp(&mut self, entry: &Entry) {
        if entry.v4.is_empty() && entry.has_ips() {
            return;
        }
        let arp = eth(self.inport(), Field::ETH_SRC, entry.physical());
        let arp = with(arp, Field::ETH_TYPE, words::ETH_ARP);
        for sender in entry.sources_v4() {
            let from = eth(arp.clone(), Field::ARP_SHA, sender);
            if entry.v4.is_empty() {
                self.ok(layout::CHK_IN_PORT_SEC_ND, 90, from.clone());
            }
            for &(address, length) in &entry.v4 {
                let (value, mask) = allowed(u128::from(address), length, 32);
                self.ok(layout::CHK_IN_PORT_SEC_ND, 90, masked(from.clone(), Field::ARP_SPA, value, mask));
            }
        }
    }

    fn nd(&mut self, entry: &Entry) {
        const TABLE: u8 = layout::CHK_IN_PORT_SEC_ND;
        let nd = icmp6(eth(self.inport(), Field::ETH_SRC, entry.physical()));
        let nd = with(with(nd, Field::IP_TTL, 255u8), Field::ICMPV6_CODE, 0u8);
        let solicitation = with(nd.clone(), Field::ICMPV6_TYPE, 135u8);
        let advertisement = with(nd, Field::ICMPV6_TYPE, 136u8);
        let none = MacRange { mac: 0, length: 48 };
        for address in [none].into_iter().chain(entry.sources_v6()) {
            self.ok(TABLE, 90, eth(solicitation.clone(), Field::ND_SLL, address));
        }
        // What is advertised goes with the port's own address, also where virtual ones are in use.
        let own = if entry.v6.is_empty() { Vec::new() } else { own_v6(entry, entry.physical()) };
        for address in [none].into_iter().chain(entry.sources_v6()) {
            let from = eth(advertisement.clone(), Field::ND_TLL, address);
            if own.is_empty() {
                self.ok(TABLE, 90, from.clone());
            }
            for &(value, mask) in &own {
                self.ok(TABLE, 90, masked(from.clone(), Field::ND_TARGET, value, mask));
            }
        }
    }

    fn egress(&mut self, entry: &Entry) {
        const TABLE: u8 = layout::CHK_OUT_PORT_SEC;
        for destination in entry.sources() {
            self.ok(TABLE, 85, eth(self.outport(), Field::ETH_DST, destination));
        }
        // Each family is closed only for the addresses that belong to it.
        let families = [(entry.sources_v4(), words::ETH_IP), (entry.sources_v6(), words::ETH_IPV6)];
        for (destinations, eth_type) in families.into_iter().filter(|_| entry.has_ips()) {
            for destination in destinations {
                let to = eth(self.outport(), Field::ETH_DST, destination);
                self.fail(TABLE, 90, with(to, Field::ETH_TYPE, eth_type));
            }
        }
        for destination in entry.sources_v4().into_iter().filter(|_| !entry.v4.is_empty()) {
            let ip = with(eth(self.outport(), Field::ETH_DST, destination), Field::ETH_TYPE, words::ETH_IP);
            let mut to: Vec<(u128, u128)> = vec![(u128::from(u32::MAX), low_bits(32)), (0xe000_0000, 0xf000_0000)];
            for &(address, length) in &entry.v4 {
                to.push(allowed(u128::from(address), length, 32));
                let host = low_bits(32 - length);
                if u128::from(address) & host != 0 {
                    to.push((u128::from(address) | host, low_bits(32)));
                }
            }
            for (value, mask) in to {
                self.ok(TABLE, 95, masked(ip.clone(), Field::IPV4_DST, value, mask));
            }
        }
        for destination in entry.sources_v6().into_iter().filter(|_| !entry.v6.is_empty()) {
            let ip6 = with(eth(self.outport(), Field::ETH_DST, destination), Field::ETH_TYPE, words::ETH_IPV6);
            self.ok(TABLE, 95, masked(ip6.clone(), Field::IPV6_DST, 0xff << 120, 0xff << 120));
            for (value, mask) in own_v6(entry, destination) {
                self.ok(TABLE, 95, masked(ip6.clone(), Field::IPV6_DST, value, mask));
            }
        }
    }
}

/// The bit that says whether the check failed.
fn verdict() -> ofproto_client::Subfield {
    ofproto_client::Subfield { field: layout::FLAGS, ofs: flag::CHECK_PORT_SEC, n_bits: 1 }
}

/// The entry's IPv6 addresses and the link-local one that goes with `source`.
fn own_v6(entry: &Entry, source: MacRange) -> Vec<(u128, u128)> {
    let own = entry.v6.iter().map(|&(address, length)| allowed(address, length, 128));
    [link_local(source)].into_iter().chain(own).collect()
}

fn icmp6(match_: Match) -> Match {
    with(with(match_, Field::ETH_TYPE, words::ETH_IPV6), Field::IP_PROTO, 58u8)
}

fn eth(match_: Match, field: Field, range: MacRange) -> Match {
    masked(match_, field, u128::from(range.mac), low_bits(48) & !low_bits(48 - range.length))
}

fn masked(mut match_: Match, field: Field, value: u128, mask: u128) -> Match {
    match_.set_masked(field, value, mask);
    match_
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries() {
        let entry = Entry::parse("00:00:00:00:00:01 10.0.0.4/24 10.1.0.0/16 fd00::1").unwrap();
        assert_eq!(entry.v4, [(0x0a000004, 24), (0x0a010000, 16)]);
        assert_eq!(allowed(0x0a000004, 24, 32), (0x0a000004, 0xffff_ffff));
        assert_eq!(allowed(0x0a010000, 16, 32), (0x0a010000, 0xffff_0000));
        assert_eq!(entry.v6.len(), 1);
        assert_eq!(
            Entry::parse("VRRPv3 00:00:00:00:00:01").unwrap().virtual_v6,
            [MacRange { mac: VRRP_V6, length: 40 }]
        );
        let bad = [
            "",
            "1",
            "00:00:00:00:00:01 10.0.0.1/33",
            "00:00:00:00:00:01 00:00:5e:00:01:05",
            "VRRPv3 x",
            "VRRPv3 00:00:00:00:00:01 00:00:5e:00:03:05",
            "VRRPv3 00:00:00:00:00:01 00:00:5e:00:01:00",
        ];
        for text in bad {
            assert_eq!(Entry::parse(text), None, "{text}");
        }
    }

    #[test]
    fn link_local_of_an_address_and_of_a_range() {
        let (value, mask) = link_local(MacRange { mac: 0xf000_0000_0011, length: 48 });
        assert_eq!((Ipv6Addr::from_bits(value).to_string(), mask), ("fe80::f200:ff:fe00:11".to_owned(), u128::MAX));
        let (value, mask) = link_local(MacRange { mac: VRRP_V6, length: 40 });
        assert_eq!(
            (Ipv6Addr::from_bits(value).to_string(), mask),
            ("fe80::200:5eff:fe00:200".to_owned(), u128::MAX << 8)
        );
    }
}
