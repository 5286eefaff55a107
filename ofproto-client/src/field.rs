//! Fields: the OXM/NXM fields Open vSwitch knows, and bit ranges of them. Entry types: [`Field`], [`Subfield`].
//!
//! A value or mask of any field is a right-aligned `u128` in host order: an IPv4 address is its 32-bit number, an Ethernet
//! address its 48-bit number. Tunnel options longer than 16 bytes do not fit and are a decode error.

mod table;

use std::fmt;

pub(crate) use table::Format;
use table::ROWS;

/// An OXM/NXM field that Open vSwitch knows: a dense id, in the order Open vSwitch serialises a match (`nx_put_raw`), so
/// that prerequisites come before the fields that need them.
#[derive(Copy, Clone, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub struct Field(u8);

/// OXM classes that hold fields we know.
const CLASS_NXM_0: u32 = 0x0000;
const CLASS_NXM_1: u32 = 0x0001;
const CLASS_OPENFLOW_BASIC: u32 = 0x8000;
const CLASS_PACKET_REGS: u32 = 0x8001;
const CLASS_ERICSSON: u32 = 0x1000;

/// Length byte of a tunnel option in a header without a value: Open vSwitch declares 124 bytes.
const TUN_METADATA_LEN: u32 = 124;
/// No field.
const NONE: u8 = 0xff;

impl Field {
    /// `reg0` to `reg15`; a higher `n` is taken modulo 16.
    pub const fn reg(n: u8) -> Field {
        Field(Field::REG0.0 + (n & 15))
    }

    /// `xreg0` to `xreg7`; a higher `n` is taken modulo 8.
    pub const fn xreg(n: u8) -> Field {
        Field(Field::XREG0.0 + (n & 7))
    }

    /// `xxreg0` to `xxreg3`; a higher `n` is taken modulo 4.
    pub const fn xxreg(n: u8) -> Field {
        Field(Field::XXREG0.0 + (n & 3))
    }

    /// `tun_metadata0` to `tun_metadata63`; a higher `n` is taken modulo 64.
    pub const fn tun_metadata(n: u8) -> Field {
        Field(Field::TUN_METADATA0.0 + (n & 63))
    }

    /// Width in bits. Tunnel options say 992 (their greatest width).
    pub fn n_bits(self) -> u16 {
        self.row().n_bits
    }

    /// Width in bytes of a value on the wire. Tunnel options say 16: what a value may have here.
    pub fn n_bytes(self) -> usize {
        usize::from(self.row().n_bytes)
    }

    /// Whether a match may use any mask.
    pub fn is_maskable(self) -> bool {
        self.row().maskable
    }

    /// Whether actions may change it.
    pub fn is_writable(self) -> bool {
        self.row().writable
    }

    /// The name `ovs-ofctl` prints in `set_field` and `learn`, e.g. `ip_src`, `reg0`.
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// The name `ovs-ofctl` prints in `move`, `push`, `load` and zones, e.g. `NXM_NX_REG0`, `OXM_OF_METADATA`.
    pub fn nxm_name(self) -> &'static str {
        self.row().nxm_name
    }

    /// Header for OpenFlow 1.5 messages: OXM where the field has one. The length counts value and mask.
    pub fn oxm_header(self, masked: bool) -> u32 {
        self.header(self.row().oxm, masked)
    }

    /// Header for the places that always use NXM where the field has one (stack, learn, zones): `mf_nxm_header`.
    pub fn nxm_header(self, masked: bool) -> u32 {
        self.header(self.row().nxm, masked)
    }

    /// By any of its names: `nw_src`, `ip_src`, `NXM_OF_IP_SRC`, `OXM_OF_IPV4_SRC`.
    pub fn from_name(name: &str) -> Option<Field> {
        let found = ROWS.iter().position(|row| row.name == name || row.nxm_name == name || row.alias == name);
        let index = found.or_else(|| {
            let (_, canonical) = OTHER_NAMES.iter().find(|(other, _)| *other == name)?;
            ROWS.iter().position(|row| row.name == *canonical)
        });
        index.and_then(|index| u8::try_from(index).ok()).map(Field)
    }

    /// The field and the has-mask bit of an OXM or NXM header. The length byte is not looked at.
    pub fn from_oxm(header: u32) -> Option<(Field, bool)> {
        let number = ((header >> 9) & 0x7f) as usize;
        let class = match header >> 16 {
            CLASS_NXM_0 => 0,
            CLASS_NXM_1 => 1,
            CLASS_OPENFLOW_BASIC => 2,
            CLASS_PACKET_REGS => 3,
            CLASS_ERICSSON => 4,
            _ => return None,
        };
        let id = BY_HEADER[class][number];
        (id != NONE).then_some((Field(id), header & 0x100 != 0))
    }

    /// All fields, in order.
    pub fn all() -> impl Iterator<Item = Field> {
        (0..ROWS.len() as u8).map(Field)
    }

    /// The whole field as a subfield.
    pub fn whole(self) -> Subfield {
        Subfield { field: self, ofs: 0, n_bits: self.n_bits() }
    }

    /// Every bit of the value's bytes: the mask that makes a set-field unmasked.
    pub fn all_ones(self) -> u128 {
        ones(8 * self.n_bytes() as u16)
    }

    /// The bits a match on the field can look at; a mask of all of them is an exact match.
    pub fn match_bits(self) -> u128 {
        match self {
            Field::VLAN_VID => 0x1fff,
            // Open vSwitch keeps eight bits.
            Field::CT_STATE => 0xff,
            _ => ones(self.n_bits()),
        }
    }

    /// Whether the field is one of `tun_metadata0` to `tun_metadata63`, whose length on the wire varies.
    pub fn is_tun_metadata(self) -> bool {
        (Field::TUN_METADATA0.0..=Field::TUN_METADATA63.0).contains(&self.0)
    }

    pub(crate) const fn id(self) -> u8 {
        self.0
    }

    /// The field of a dense id.
    pub(crate) fn from_id(id: u8) -> Option<Field> {
        (usize::from(id) < ROWS.len()).then_some(Field(id))
    }

    pub(crate) fn format(self) -> Format {
        self.row().format
    }

    /// `n` of `regN`.
    pub(crate) fn reg_index(self) -> Option<u8> {
        self.index_in(Field::REG0, 16)
    }

    /// `n` of `xregN`.
    pub(crate) fn xreg_index(self) -> Option<u8> {
        self.index_in(Field::XREG0, 8)
    }

    /// `n` of `xxregN`.
    pub(crate) fn xxreg_index(self) -> Option<u8> {
        self.index_in(Field::XXREG0, 4)
    }

    /// `n` of `tun_metadataN`.
    pub fn tun_metadata_index(self) -> Option<u8> {
        self.index_in(Field::TUN_METADATA0, 64)
    }

    fn index_in(self, first: Field, count: u8) -> Option<u8> {
        self.0.checked_sub(first.0).filter(|index| *index < count)
    }

    fn header(self, base: u32, masked: bool) -> u32 {
        let length = if self.is_tun_metadata() { TUN_METADATA_LEN } else { u32::from(self.row().n_bytes) };
        if masked { base | 0x100 | (2 * length).min(0xff) } else { base | length }
    }

    /// An OXM header whose length byte is for `length` bytes of value: tunnel options have no fixed one.
    pub(crate) fn oxm_header_with_length(self, masked: bool, length: usize) -> u32 {
        let length = length as u32 & 0x7f;
        if masked { self.row().oxm | 0x100 | (2 * length) } else { self.row().oxm | length }
    }

    fn row(self) -> &'static table::Row {
        // A Field is only made from ids below ROWS.len(), which a test checks.
        &ROWS[usize::from(self.0)]
    }
}

impl fmt::Debug for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Bits `ofs..ofs + n_bits` of a field; bit 0 is the least significant.
#[derive(Copy, Clone, Debug, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub struct Subfield {
    /// The field.
    pub field: Field,
    /// First bit.
    pub ofs: u16,
    /// Number of bits, at least 1.
    pub n_bits: u16,
}

impl Subfield {
    /// Bits `ofs..ofs + n_bits` of `field`.
    pub const fn new(field: Field, ofs: u16, n_bits: u16) -> Subfield {
        Subfield { field, ofs, n_bits }
    }

    /// The mask that covers the bits.
    pub fn mask(self) -> u128 {
        ones(self.n_bits).checked_shl(u32::from(self.ofs)).unwrap_or(0)
    }

    /// `ofs << 6 | (n_bits - 1)`, the 16-bit form of several Nicira actions.
    pub(crate) fn ofs_nbits(self) -> u16 {
        (self.ofs << 6) | (self.n_bits.wrapping_sub(1) & 0x3f)
    }

    /// Whether the bits lie inside the field.
    pub(crate) fn fits(self) -> bool {
        self.n_bits > 0 && u32::from(self.ofs) + u32::from(self.n_bits) <= u32::from(self.field.n_bits())
    }
}

/// As `ovs-ofctl` prints it: `NXM_NX_REG0[]`, `NXM_NX_REG0[3]`, `NXM_NX_REG0[0..15]`.
impl fmt::Display for Subfield {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Subfield { field, ofs, n_bits } = *self;
        if ofs == 0 && n_bits == field.n_bits() {
            write!(f, "{}[]", field.nxm_name())
        } else if n_bits == 1 {
            write!(f, "{}[{ofs}]", field.nxm_name())
        } else {
            write!(f, "{}[{ofs}..{}]", field.nxm_name(), u32::from(ofs) + u32::from(n_bits) - 1)
        }
    }
}

/// `n_bits` low ones; 128 or more give all ones.
pub(crate) const fn ones(n_bits: u16) -> u128 {
    if n_bits >= 128 { u128::MAX } else { (1 << n_bits) - 1 }
}

/// Names `ovs-ofctl` accepts besides those in the table, with the field's own name.
const OTHER_NAMES: &[(&str, &str)] = &[
    ("OXM_OF_ETH_SRC", "eth_src"),
    ("OXM_OF_ETH_DST", "eth_dst"),
    ("OXM_OF_ETH_TYPE", "eth_type"),
    ("OXM_OF_IPV4_SRC", "ip_src"),
    ("OXM_OF_IPV4_DST", "ip_dst"),
    ("OXM_OF_IPV6_SRC", "ipv6_src"),
    ("OXM_OF_IPV6_DST", "ipv6_dst"),
    ("OXM_OF_IPV6_FLABEL", "ipv6_label"),
    ("OXM_OF_IP_PROTO", "nw_proto"),
    ("OXM_OF_IP_ECN", "nw_ecn"),
    ("OXM_OF_TCP_SRC", "tcp_src"),
    ("OXM_OF_TCP_DST", "tcp_dst"),
    ("OXM_OF_TCP_FLAGS", "tcp_flags"),
    ("OXM_OF_UDP_SRC", "udp_src"),
    ("OXM_OF_UDP_DST", "udp_dst"),
    ("OXM_OF_ICMPV4_TYPE", "icmp_type"),
    ("OXM_OF_ICMPV4_CODE", "icmp_code"),
    ("OXM_OF_ICMPV6_TYPE", "icmpv6_type"),
    ("OXM_OF_ICMPV6_CODE", "icmpv6_code"),
    ("OXM_OF_IPV6_ND_TARGET", "nd_target"),
    ("OXM_OF_IPV6_ND_SLL", "nd_sll"),
    ("OXM_OF_IPV6_ND_TLL", "nd_tll"),
    ("OXM_OF_ARP_OP", "arp_op"),
    ("OXM_OF_ARP_SPA", "arp_spa"),
    ("OXM_OF_ARP_TPA", "arp_tpa"),
    ("OXM_OF_ARP_SHA", "arp_sha"),
    ("OXM_OF_ARP_THA", "arp_tha"),
    ("OXM_OF_TUNNEL_ID", "tun_id"),
    ("OXM_OF_ACTSET_OUTPUT", "actset_output"),
    ("nw_tos_shifted", "ip_dscp"),
];

/// Field ids by class (see [`Field::from_oxm`]) and number.
static BY_HEADER: [[u8; 128]; 5] = by_header();

const fn by_header() -> [[u8; 128]; 5] {
    let mut out = [[NONE; 128]; 5];
    let mut id = 0;
    while id < ROWS.len() {
        let headers = [ROWS[id].nxm, ROWS[id].oxm];
        let mut h = 0;
        while h < 2 {
            let class = match headers[h] >> 16 {
                CLASS_NXM_0 => 0,
                CLASS_NXM_1 => 1,
                CLASS_OPENFLOW_BASIC => 2,
                CLASS_PACKET_REGS => 3,
                _ => 4,
            };
            out[class][((headers[h] >> 9) & 0x7f) as usize] = id as u8;
            h += 1;
        }
        id += 1;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_headers_lead_back_to_the_field() {
        assert!(ROWS.len() < usize::from(NONE));
        for field in Field::all() {
            assert_eq!(Field::from_name(field.name()), Some(field));
            assert_eq!(Field::from_name(field.nxm_name()), Some(field));
            for masked in [false, true] {
                assert_eq!(Field::from_oxm(field.oxm_header(masked)), Some((field, masked)), "{field:?}");
                assert_eq!(Field::from_oxm(field.nxm_header(masked)), Some((field, masked)), "{field:?}");
            }
            assert!(usize::from(field.n_bits()) <= 8 * field.n_bytes() || field.is_tun_metadata());
        }
        for (other, own) in OTHER_NAMES {
            assert_eq!(Field::from_name(other), Field::from_name(own), "{other}");
        }
    }

    #[test]
    fn known_headers() {
        for (header, field) in [
            (0x0001_0004, Field::REG0),
            (0x8000_0004, Field::IN_PORT_OXM),
            (0x0000_0002, Field::IN_PORT),
            (0x8000_0408, Field::METADATA),
            (0x8001_0808, Field::xreg(4)),
            (0x0001_de10, Field::XXREG0),
            (0x0001_d204, Field::CT_STATE),
            (0x8000_4c08, Field::TUN_ID),
        ] {
            assert_eq!(Field::from_oxm(header), Some((field, false)));
            assert_eq!(field.oxm_header(false), header);
        }
        assert_eq!(Field::METADATA.oxm_header(true), 0x8000_0510);
        assert_eq!(Field::ETH_SRC.nxm_header(false), 0x0000_0406);
        assert_eq!(Field::from_oxm(0x8000_fe04), None);
    }

    #[test]
    fn subfield_text() {
        assert_eq!(Subfield::new(Field::reg(13), 0, 16).to_string(), "NXM_NX_REG13[0..15]");
        assert_eq!(Subfield::new(Field::reg(10), 7, 1).to_string(), "NXM_NX_REG10[7]");
        assert_eq!(Field::METADATA.whole().to_string(), "OXM_OF_METADATA[]");
    }
}
