//! Headers as views of bytes, in network order and without alignment. They can be read from a packet, edited in place, and written.
//! Entry types: [`Ethernet`], [`Ipv4`], [`Ipv6`], [`Arp`], [`Tcp`], [`Udp`], [`Sctp`], [`Icmp`].

use zerocopy::byteorder::network_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Numbers in [`Ethernet::ethertype`].
pub mod ethertype {
    /// IPv4.
    pub const IPV4: u16 = 0x0800;
    /// ARP.
    pub const ARP: u16 = 0x0806;
    /// RARP.
    pub const RARP: u16 = 0x8035;
    /// A VLAN tag.
    pub const VLAN: u16 = 0x8100;
    /// IPv6.
    pub const IPV6: u16 = 0x86dd;
}

/// Numbers in [`Ipv4::protocol`] and [`Ipv6::next_header`].
pub mod protocol {
    /// ICMP over IPv4.
    pub const ICMP: u8 = 1;
    /// IGMP.
    pub const IGMP: u8 = 2;
    /// TCP.
    pub const TCP: u8 = 6;
    /// UDP.
    pub const UDP: u8 = 17;
    /// ICMP over IPv6.
    pub const ICMPV6: u8 = 58;
    /// SCTP.
    pub const SCTP: u8 = 132;
}

/// Numbers in [`Icmp::kind`] over IPv4.
pub mod icmp {
    /// Echo reply.
    pub const ECHO_REPLY: u8 = 0;
    /// Echo request.
    pub const ECHO_REQUEST: u8 = 8;
}

/// Numbers in [`Icmp::kind`] over IPv6.
pub mod icmpv6 {
    /// Echo request.
    pub const ECHO_REQUEST: u8 = 128;
    /// Echo reply.
    pub const ECHO_REPLY: u8 = 129;
    /// Neighbour solicitation.
    pub const NEIGHBOUR_SOLICITATION: u8 = 135;
    /// Neighbour advertisement.
    pub const NEIGHBOUR_ADVERTISEMENT: u8 = 136;
}

/// Bits in [`Tcp::offset_and_flags`].
pub mod tcp {
    /// The sender has sent everything.
    pub const FIN: u16 = 1;
    /// A connection begins.
    pub const SYN: u16 = 2;
    /// A connection is over.
    pub const RST: u16 = 4;
}

/// An Ethernet header without tags.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Ethernet {
    /// Receiver.
    pub destination: [u8; 6],
    /// Sender.
    pub source: [u8; 6],
    /// What follows, see [`ethertype`].
    pub ethertype: U16,
}

/// What is behind the ethertype [`ethertype::VLAN`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned)]
#[repr(C)]
pub struct VlanTag {
    /// Priority (3 bits), drop eligibility (1), VLAN (12).
    pub tci: U16,
    /// What follows.
    pub ethertype: U16,
}

/// An ARP or RARP packet for Ethernet and IPv4.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Arp {
    /// 1: Ethernet.
    pub hardware: U16,
    /// [`ethertype::IPV4`].
    pub protocol: U16,
    /// Bytes of an Ethernet address.
    pub hardware_length: u8,
    /// Bytes of an IPv4 address.
    pub protocol_length: u8,
    /// 1: request, 2: reply.
    pub operation: U16,
    /// Sender's Ethernet address.
    pub sender_mac: [u8; 6],
    /// Sender's IPv4 address.
    pub sender_ip: U32,
    /// Target's Ethernet address.
    pub target_mac: [u8; 6],
    /// Target's IPv4 address.
    pub target_ip: U32,
}

/// An IPv4 header without options.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Ipv4 {
    /// 4 and the number of 32-bit words of the header.
    pub version_and_length: u8,
    /// DSCP (6 bits) and ECN (2).
    pub traffic_class: u8,
    /// Bytes from here to the end of the packet.
    pub total_length: U16,
    /// Tells fragments of one packet from those of another.
    pub identification: U16,
    /// See the constants.
    pub fragment: U16,
    /// Hops left.
    pub ttl: u8,
    /// What follows, see [`protocol`].
    pub protocol: u8,
    /// Over the header.
    pub checksum: U16,
    /// Sender.
    pub source: U32,
    /// Receiver.
    pub destination: U32,
}

impl Ipv4 {
    /// [`Ipv4::version_and_length`] of a header without options.
    pub const PLAIN: u8 = 0x45;
    /// In [`Ipv4::fragment`]: it is not the last fragment.
    pub const MORE_FRAGMENTS: u16 = 0x2000;
}

/// An IPv6 header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Ipv6 {
    /// 6 (4 bits), traffic class (8), flow label (20).
    pub version_class_and_label: U32,
    /// Bytes behind this header.
    pub payload_length: U16,
    /// What follows, see [`protocol`].
    pub next_header: u8,
    /// Hops left.
    pub hop_limit: u8,
    /// Sender.
    pub source: [u8; 16],
    /// Receiver.
    pub destination: [u8; 16],
}

/// A TCP header without options.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Tcp {
    /// Sender.
    pub source: U16,
    /// Receiver.
    pub destination: U16,
    /// Of the first byte of data.
    pub sequence: U32,
    /// Of the byte that is expected next.
    pub acknowledgement: U32,
    /// Number of 32-bit words of the header (4 bits) and flags (12), see [`tcp`].
    pub offset_and_flags: U16,
    /// Bytes that may be sent without acknowledgement.
    pub window: U16,
    /// Over a pseudo header, this header and the data.
    pub checksum: U16,
    /// End of urgent data.
    pub urgent: U16,
}

/// A UDP header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Udp {
    /// Sender.
    pub source: U16,
    /// Receiver.
    pub destination: U16,
    /// Bytes of header and data.
    pub length: U16,
    /// As TCP's; 0: none.
    pub checksum: U16,
}

/// The common header of SCTP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Sctp {
    /// Sender.
    pub source: U16,
    /// Receiver.
    pub destination: U16,
    /// Tells one association from the next.
    pub verification_tag: U32,
    /// See [`crate::checksum::crc32c`].
    pub checksum: [u8; 4],
}

/// The header of ICMP over IPv4 and over IPv6, and of IGMP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Icmp {
    /// See [`icmp`] and [`icmpv6`].
    pub kind: u8,
    /// What of the kind.
    pub code: u8,
    /// Over header and data, with a pseudo header over IPv6 only.
    pub checksum: U16,
    /// Identifier and sequence number of an echo, flags of an advertisement, group of IGMP, ...
    pub rest: U32,
}

/// The option of neighbour discovery that holds an Ethernet address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned)]
#[repr(C)]
pub struct LinkAddressOption {
    /// See the constants.
    pub kind: u8,
    /// In units of 8 bytes: 1.
    pub length: u8,
    /// The address.
    pub address: [u8; 6],
}

impl LinkAddressOption {
    /// [`LinkAddressOption::kind`]: the address of who sends.
    pub const SOURCE: u8 = 1;
    /// [`LinkAddressOption::kind`]: the address of who is spoken of.
    pub const TARGET: u8 = 2;
}

/// What checksums over IPv4 begin with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Immutable, IntoBytes, KnownLayout, Unaligned)]
#[repr(C)]
pub struct PseudoHeader4 {
    /// Sender.
    pub source: U32,
    /// Receiver.
    pub destination: U32,
    /// 0.
    pub zero: u8,
    /// Of the packet.
    pub protocol: u8,
    /// Bytes behind the IPv4 header.
    pub length: U16,
}

/// What checksums over IPv6 begin with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Immutable, IntoBytes, KnownLayout, Unaligned)]
#[repr(C)]
pub struct PseudoHeader6 {
    /// Sender.
    pub source: [u8; 16],
    /// Receiver.
    pub destination: [u8; 16],
    /// Bytes behind the IPv6 header.
    pub length: U32,
    /// 0.
    pub zero: [u8; 3],
    /// Of the packet.
    pub protocol: u8,
}
