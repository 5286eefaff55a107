//! A packet from values of OpenFlow fields. Entry: [`compose()`].

use ofproto_client::{Field, Match};
use zerocopy::IntoBytes;

use crate::checksum::{Internet, crc32c};
use crate::wire::{
    Arp, Ethernet, Icmp, Ipv4, Ipv6, LinkAddressOption, PseudoHeader4, PseudoHeader6, Sctp, Tcp, Udp, VlanTag,
    ethertype, icmp, icmpv6, protocol, tcp,
};

/// What is in packets whose protocols can carry anything: 0 to 63.
pub const PAYLOAD: [u8; 64] = {
    let mut payload = [0; 64];
    let mut i = 0;
    while i < payload.len() {
        payload[i] = i as u8;
        i += 1;
    }
    payload
};

/// Bit of a TCI that says that there is a tag.
const TAGGED: u16 = 0x1000;
/// Bits of ip_frag: a fragment; not the first one.
const FRAGMENT: u8 = 1;
const LATER: u8 = 2;
/// Where later fragments are in their packets, in units of 8 bytes.
const LATER_OFFSET: u16 = 100;

/// The frame of which a switch would extract these values. What `fields` says nothing about is 0, masks do not matter, fields that a packet of this
/// kind does not have are ignored. Lengths and checksums are right. (`flow_compose` with a payload of 64 bytes, Open vSwitch 3.7, which however
/// leaves what is neither an ARP request nor a reply without addresses, and SCTP without checksum.)
///
/// A packet of an unknown kind ends behind the header that says so. Later fragments end behind the IP header.
pub fn compose(fields: &Match) -> Vec<u8> {
    let fields = Fields(fields);
    let mut frame = Vec::with_capacity(128);
    let kind = fields.u16(Field::ETH_TYPE);
    let tci = fields.u16(Field::VLAN_TCI);
    let tagged = tci & TAGGED != 0;
    let ethernet = Ethernet {
        destination: fields.mac(Field::ETH_DST),
        source: fields.mac(Field::ETH_SRC),
        ethertype: if tagged { ethertype::VLAN } else { kind }.into(),
    };
    frame.extend_from_slice(ethernet.as_bytes());
    if tagged {
        // The drop eligibility is not a field: its bit says that there is a tag.
        let tag = VlanTag { tci: (tci & !TAGGED).into(), ethertype: kind.into() };
        frame.extend_from_slice(tag.as_bytes());
    }
    match kind {
        ethertype::IPV4 => ipv4(fields, &mut frame),
        ethertype::IPV6 => ipv6(fields, &mut frame),
        ethertype::ARP | ethertype::RARP => arp(fields, &mut frame),
        _ => {}
    }
    frame
}

/// Values by field.
#[derive(Clone, Copy)]
struct Fields<'a>(&'a Match);

impl Fields<'_> {
    fn value(self, field: Field) -> u128 {
        self.0.get(field).map_or(0, |(value, _)| value)
    }

    fn u8(self, field: Field) -> u8 {
        self.value(field) as u8
    }

    fn u16(self, field: Field) -> u16 {
        self.value(field) as u16
    }

    fn u32(self, field: Field) -> u32 {
        self.value(field) as u32
    }

    fn mac(self, field: Field) -> [u8; 6] {
        let [_, _, mac @ ..] = (self.value(field) as u64).to_be_bytes();
        mac
    }

    fn ipv6(self, field: Field) -> [u8; 16] {
        self.value(field).to_be_bytes()
    }

    /// DSCP and ECN.
    fn traffic_class(self) -> u8 {
        self.u8(Field::IP_DSCP) << 2 | self.u8(Field::IP_ECN)
    }
}

fn arp(fields: Fields<'_>, frame: &mut Vec<u8>) {
    let arp = Arp {
        hardware: 1.into(),
        protocol: ethertype::IPV4.into(),
        hardware_length: 6,
        protocol_length: 4,
        operation: fields.u16(Field::ARP_OP).into(),
        sender_mac: fields.mac(Field::ARP_SHA),
        sender_ip: fields.u32(Field::ARP_SPA).into(),
        target_mac: fields.mac(Field::ARP_THA),
        target_ip: fields.u32(Field::ARP_TPA).into(),
    };
    frame.extend_from_slice(arp.as_bytes());
}

fn ipv4(fields: Fields<'_>, frame: &mut Vec<u8>) {
    let (source, destination) = (fields.u32(Field::IPV4_SRC), fields.u32(Field::IPV4_DST));
    let protocol = fields.u8(Field::IP_PROTO);
    let segment = segment(fields, protocol, |length| {
        let pseudo = PseudoHeader4 {
            source: source.into(),
            destination: destination.into(),
            zero: 0,
            protocol,
            length: length.into(),
        };
        Internet::new().over(pseudo.as_bytes())
    });
    let fragment = match fields.u8(Field::IP_FRAG) {
        frag if frag & FRAGMENT == 0 => 0,
        frag if frag & LATER == 0 => Ipv4::MORE_FRAGMENTS,
        _ => Ipv4::MORE_FRAGMENTS | LATER_OFFSET,
    };
    let mut header = Ipv4 {
        version_and_length: Ipv4::PLAIN,
        traffic_class: fields.traffic_class(),
        total_length: ((size_of::<Ipv4>() + segment.len()) as u16).into(),
        fragment: fragment.into(),
        ttl: fields.u8(Field::IP_TTL),
        protocol,
        source: source.into(),
        destination: destination.into(),
        ..Ipv4::default()
    };
    header.checksum = Internet::new().over(header.as_bytes()).finish().into();
    frame.extend_from_slice(header.as_bytes());
    frame.extend_from_slice(&segment);
}

fn ipv6(fields: Fields<'_>, frame: &mut Vec<u8>) {
    let (source, destination) = (fields.ipv6(Field::IPV6_SRC), fields.ipv6(Field::IPV6_DST));
    let protocol = fields.u8(Field::IP_PROTO);
    let segment = segment(fields, protocol, |length| {
        let length = u32::from(length).into();
        let pseudo = PseudoHeader6 { source, destination, length, protocol, ..PseudoHeader6::default() };
        Internet::new().over(pseudo.as_bytes())
    });
    let class = u32::from(fields.traffic_class());
    let header = Ipv6 {
        version_class_and_label: (6 << 28 | class << 20 | fields.u32(Field::IPV6_LABEL)).into(),
        payload_length: (segment.len() as u16).into(),
        next_header: protocol,
        hop_limit: fields.u8(Field::IP_TTL),
        source,
        destination,
    };
    frame.extend_from_slice(header.as_bytes());
    frame.extend_from_slice(&segment);
}

/// What is behind the IP header. `pseudo` is the checksum over the pseudo header, for a segment of so many bytes.
fn segment(fields: Fields<'_>, protocol: u8, pseudo: impl Fn(u16) -> Internet) -> Vec<u8> {
    let is_ipv4 = fields.u16(Field::ETH_TYPE) == ethertype::IPV4;
    if fields.u8(Field::IP_FRAG) & (FRAGMENT | LATER) == FRAGMENT | LATER {
        return Vec::new();
    }
    match protocol {
        protocol::TCP => with_tcp(fields, pseudo),
        protocol::UDP => with_udp(fields, pseudo),
        protocol::SCTP => with_sctp(fields),
        protocol::ICMP if is_ipv4 => {
            let (kind, code) = (fields.u8(Field::ICMPV4_TYPE), fields.u8(Field::ICMPV4_CODE));
            let echo = code == 0 && matches!(kind, icmp::ECHO_REQUEST | icmp::ECHO_REPLY);
            with_icmp(kind, code, if echo { &PAYLOAD } else { &[] }, |_| Internet::new())
        }
        protocol::IGMP if is_ipv4 => with_icmp(0, 0, &[], |_| Internet::new()),
        protocol::ICMPV6 if !is_ipv4 => {
            let (kind, code) = (fields.u8(Field::ICMPV6_TYPE), fields.u8(Field::ICMPV6_CODE));
            match (code, kind) {
                (0, icmpv6::ECHO_REQUEST | icmpv6::ECHO_REPLY) => with_icmp(kind, code, &PAYLOAD, pseudo),
                (0, icmpv6::NEIGHBOUR_SOLICITATION | icmpv6::NEIGHBOUR_ADVERTISEMENT) => {
                    with_icmp(kind, code, &neighbour(fields), pseudo)
                }
                _ => with_icmp(kind, code, &[], pseudo),
            }
        }
        _ => Vec::new(),
    }
}

fn with_tcp(fields: Fields<'_>, pseudo: impl Fn(u16) -> Internet) -> Vec<u8> {
    let words = (size_of::<Tcp>() / 4) as u16;
    let flags = fields.u16(Field::TCP_FLAGS);
    let header = Tcp {
        source: fields.u16(Field::TCP_SRC).into(),
        destination: fields.u16(Field::TCP_DST).into(),
        offset_and_flags: (words << 12 | flags).into(),
        ..Tcp::default()
    };
    let payload: &[u8] = if flags & (tcp::SYN | tcp::FIN | tcp::RST) == 0 { &PAYLOAD } else { &[] };
    let length = size_of::<Tcp>() + payload.len();
    let sum = pseudo(length as u16).over(header.as_bytes()).over(payload);
    [Tcp { checksum: sum.finish().into(), ..header }.as_bytes(), payload].concat()
}

fn with_udp(fields: Fields<'_>, pseudo: impl Fn(u16) -> Internet) -> Vec<u8> {
    let length = (size_of::<Udp>() + PAYLOAD.len()) as u16;
    let header = Udp {
        source: fields.u16(Field::UDP_SRC).into(),
        destination: fields.u16(Field::UDP_DST).into(),
        length: length.into(),
        ..Udp::default()
    };
    // 0 would say that there is none.
    let sum = match pseudo(length).over(header.as_bytes()).over(&PAYLOAD).finish() {
        0 => 0xffff,
        sum => sum,
    };
    [Udp { checksum: sum.into(), ..header }.as_bytes(), &PAYLOAD].concat()
}

fn with_sctp(fields: Fields<'_>) -> Vec<u8> {
    let header = Sctp {
        source: fields.u16(Field::SCTP_SRC).into(),
        destination: fields.u16(Field::SCTP_DST).into(),
        ..Sctp::default()
    };
    Sctp { checksum: crc32c(header.as_bytes()), ..header }.as_bytes().to_vec()
}

fn with_icmp(kind: u8, code: u8, body: &[u8], pseudo: impl Fn(u16) -> Internet) -> Vec<u8> {
    let header = Icmp { kind, code, ..Icmp::default() };
    let length = size_of::<Icmp>() + body.len();
    let sum = pseudo(length as u16).over(header.as_bytes()).over(body);
    [Icmp { checksum: sum.finish().into(), ..header }.as_bytes(), body].concat()
}

/// The body of a neighbour solicitation or advertisement: the target, and what addresses are known.
fn neighbour(fields: Fields<'_>) -> Vec<u8> {
    let mut body = fields.ipv6(Field::ND_TARGET).to_vec();
    for (kind, field) in [(LinkAddressOption::SOURCE, Field::ND_SLL), (LinkAddressOption::TARGET, Field::ND_TLL)] {
        let address = fields.mac(field);
        if address != [0; 6] {
            body.extend_from_slice(LinkAddressOption { kind, length: 1, address }.as_bytes());
        }
    }
    body
}
