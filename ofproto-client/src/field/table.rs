//! The table of fields: ids in the order Open vSwitch serialises a match, with names, widths and headers. Entry type: [`Row`].
//!
//! Source: `include/openvswitch/meta-flow.h` (field comments) and `nx_put_raw` (order) of Open vSwitch 3.7.

use crate::field::Field;

/// How `ovs-ofctl` writes a value of the field.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(crate) enum Format {
    /// Decimal, hexadecimal when masked.
    Dec,
    /// Hexadecimal.
    Hex,
    /// Six colon-separated bytes.
    Eth,
    /// Dotted quad.
    Ipv4,
    /// RFC 5952 text.
    Ipv6,
    /// `no`, `yes`, `first`, `later`, `not_later`.
    Frag,
    /// Names joined by `|`, or `+`/`-` terms.
    TcpFlags,
    /// `+`/`-` terms.
    CtState,
    /// `oam` term.
    TunFlags,
    /// A 16-bit port number or name.
    Port16,
    /// A 32-bit port number or name.
    Port32,
}

/// One field.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    /// Second accepted name, or empty.
    pub(crate) alias: &'static str,
    pub(crate) nxm_name: &'static str,
    /// NXM header with zero length where there is one, else OXM.
    pub(crate) nxm: u32,
    /// OXM header with zero length where there is one, else NXM.
    pub(crate) oxm: u32,
    pub(crate) n_bytes: u8,
    pub(crate) n_bits: u16,
    pub(crate) maskable: bool,
    pub(crate) writable: bool,
    pub(crate) format: Format,
}

const MASK: bool = true;
const EXACT: bool = false;
const RW: bool = true;
const RO: bool = false;

#[allow(clippy::too_many_arguments)]
const fn row(
    name: &'static str,
    alias: &'static str,
    nxm_name: &'static str,
    nxm: u32,
    oxm: u32,
    n_bytes: u8,
    n_bits: u16,
    maskable: bool,
    writable: bool,
    format: Format,
) -> Row {
    Row { name, alias, nxm_name, nxm, oxm, n_bytes, n_bits, maskable, writable, format }
}

#[rustfmt::skip]
pub(crate) static ROWS: [Row; 161] = [
    row("packet_type", "", "OXM_OF_PACKET_TYPE", 0x8000_5800, 0x8000_5800, 4, 32, EXACT, RO, Format::Hex),
    row("dp_hash", "", "NXM_NX_DP_HASH", 0x0001_4600, 0x0001_4600, 4, 32, MASK, RO, Format::Hex),
    row("recirc_id", "", "NXM_NX_RECIRC_ID", 0x0001_4800, 0x0001_4800, 4, 32, EXACT, RO, Format::Dec),
    row("conj_id", "", "NXM_NX_CONJ_ID", 0x0001_4a00, 0x0001_4a00, 4, 32, EXACT, RO, Format::Dec),
    row("in_port", "", "NXM_OF_IN_PORT", 0x0000_0000, 0x0000_0000, 2, 16, EXACT, RW, Format::Port16),
    row("in_port_oxm", "", "OXM_OF_IN_PORT", 0x8000_0000, 0x8000_0000, 4, 32, EXACT, RW, Format::Port32),
    row("actset_output", "", "ONFOXM_ET_ACTSET_OUTPUT", 0x8000_5600, 0x8000_5600, 4, 32, EXACT, RO, Format::Port32),
    row("eth_src", "dl_src", "NXM_OF_ETH_SRC", 0x0000_0400, 0x8000_0800, 6, 48, MASK, RW, Format::Eth),
    row("eth_dst", "dl_dst", "NXM_OF_ETH_DST", 0x0000_0200, 0x8000_0600, 6, 48, MASK, RW, Format::Eth),
    row("eth_type", "dl_type", "NXM_OF_ETH_TYPE", 0x0000_0600, 0x8000_0a00, 2, 16, EXACT, RO, Format::Hex),
    row("vlan_tci", "", "NXM_OF_VLAN_TCI", 0x0000_0800, 0x0000_0800, 2, 16, MASK, RW, Format::Hex),
    row("vlan_vid", "", "OXM_OF_VLAN_VID", 0x8000_0c00, 0x8000_0c00, 2, 12, MASK, RW, Format::Dec),
    row("vlan_pcp", "", "OXM_OF_VLAN_PCP", 0x8000_0e00, 0x8000_0e00, 1, 3, EXACT, RW, Format::Dec),
    row("mpls_tc", "", "OXM_OF_MPLS_TC", 0x8000_4600, 0x8000_4600, 1, 3, EXACT, RW, Format::Dec),
    row("mpls_bos", "", "OXM_OF_MPLS_BOS", 0x8000_4800, 0x8000_4800, 1, 1, EXACT, RO, Format::Dec),
    row("mpls_ttl", "", "NXM_NX_MPLS_TTL", 0x0001_3c00, 0x0001_3c00, 1, 8, EXACT, RW, Format::Dec),
    row("mpls_label", "", "OXM_OF_MPLS_LABEL", 0x8000_4400, 0x8000_4400, 4, 20, EXACT, RW, Format::Dec),
    row("ip_src", "nw_src", "NXM_OF_IP_SRC", 0x0000_0e00, 0x8000_1600, 4, 32, MASK, RW, Format::Ipv4),
    row("ip_dst", "nw_dst", "NXM_OF_IP_DST", 0x0000_1000, 0x8000_1800, 4, 32, MASK, RW, Format::Ipv4),
    row("ipv6_src", "", "NXM_NX_IPV6_SRC", 0x0001_2600, 0x8000_3400, 16, 128, MASK, RW, Format::Ipv6),
    row("ipv6_dst", "", "NXM_NX_IPV6_DST", 0x0001_2800, 0x8000_3600, 16, 128, MASK, RW, Format::Ipv6),
    row("ip_frag", "nw_frag", "NXM_NX_IP_FRAG", 0x0001_3400, 0x0001_3400, 1, 2, MASK, RO, Format::Frag),
    row("ip_dscp", "", "OXM_OF_IP_DSCP", 0x8000_1000, 0x8000_1000, 1, 6, EXACT, RW, Format::Dec),
    row("nw_ecn", "ip_ecn", "NXM_NX_IP_ECN", 0x0001_3800, 0x8000_1200, 1, 2, EXACT, RW, Format::Dec),
    row("nw_ttl", "", "NXM_NX_IP_TTL", 0x0001_3a00, 0x0001_3a00, 1, 8, EXACT, RW, Format::Dec),
    row("ipv6_label", "", "NXM_NX_IPV6_LABEL", 0x0001_3600, 0x8000_3800, 4, 20, MASK, RW, Format::Hex),
    row("nw_proto", "ip_proto", "NXM_OF_IP_PROTO", 0x0000_0c00, 0x8000_1400, 1, 8, EXACT, RO, Format::Dec),
    row("tcp_src", "tp_src", "NXM_OF_TCP_SRC", 0x0000_1200, 0x8000_1a00, 2, 16, MASK, RW, Format::Dec),
    row("tcp_dst", "tp_dst", "NXM_OF_TCP_DST", 0x0000_1400, 0x8000_1c00, 2, 16, MASK, RW, Format::Dec),
    row("tcp_flags", "", "NXM_NX_TCP_FLAGS", 0x0001_4400, 0x8000_5400, 2, 12, MASK, RO, Format::TcpFlags),
    row("udp_src", "", "NXM_OF_UDP_SRC", 0x0000_1600, 0x8000_1e00, 2, 16, MASK, RW, Format::Dec),
    row("udp_dst", "", "NXM_OF_UDP_DST", 0x0000_1800, 0x8000_2000, 2, 16, MASK, RW, Format::Dec),
    row("sctp_src", "", "OXM_OF_SCTP_SRC", 0x8000_2200, 0x8000_2200, 2, 16, MASK, RW, Format::Dec),
    row("sctp_dst", "", "OXM_OF_SCTP_DST", 0x8000_2400, 0x8000_2400, 2, 16, MASK, RW, Format::Dec),
    row("icmp_type", "icmpv4_type", "NXM_OF_ICMP_TYPE", 0x0000_1a00, 0x8000_2600, 1, 8, EXACT, RW, Format::Dec),
    row("icmp_code", "icmpv4_code", "NXM_OF_ICMP_CODE", 0x0000_1c00, 0x8000_2800, 1, 8, EXACT, RW, Format::Dec),
    row("icmpv6_type", "", "NXM_NX_ICMPV6_TYPE", 0x0001_2a00, 0x8000_3a00, 1, 8, EXACT, RW, Format::Dec),
    row("icmpv6_code", "", "NXM_NX_ICMPV6_CODE", 0x0001_2c00, 0x8000_3c00, 1, 8, EXACT, RW, Format::Dec),
    row("nd_target", "", "NXM_NX_ND_TARGET", 0x0001_2e00, 0x8000_3e00, 16, 128, MASK, RW, Format::Ipv6),
    row("nd_sll", "", "NXM_NX_ND_SLL", 0x0001_3000, 0x8000_4000, 6, 48, MASK, RW, Format::Eth),
    row("nd_tll", "", "NXM_NX_ND_TLL", 0x0001_3200, 0x8000_4200, 6, 48, MASK, RW, Format::Eth),
    row("nd_reserved", "", "ERICOXM_OF_ICMPV6_ND_RESERVED", 0x1000_0200, 0x1000_0200, 4, 32, EXACT, RW, Format::Hex),
    row("nd_options_type", "", "ERICOXM_OF_ICMPV6_ND_OPTIONS_TYPE", 0x1000_0400, 0x1000_0400, 1, 8, EXACT, RW, Format::Dec),
    row("arp_op", "", "NXM_OF_ARP_OP", 0x0000_1e00, 0x8000_2a00, 2, 16, EXACT, RW, Format::Dec),
    row("arp_spa", "", "NXM_OF_ARP_SPA", 0x0000_2000, 0x8000_2c00, 4, 32, MASK, RW, Format::Ipv4),
    row("arp_tpa", "", "NXM_OF_ARP_TPA", 0x0000_2200, 0x8000_2e00, 4, 32, MASK, RW, Format::Ipv4),
    row("arp_sha", "", "NXM_NX_ARP_SHA", 0x0001_2200, 0x8000_3000, 6, 48, MASK, RW, Format::Eth),
    row("arp_tha", "", "NXM_NX_ARP_THA", 0x0001_2400, 0x8000_3200, 6, 48, MASK, RW, Format::Eth),
    row("tun_id", "tunnel_id", "NXM_NX_TUN_ID", 0x0001_2000, 0x8000_4c00, 8, 64, MASK, RW, Format::Hex),
    row("tun_flags", "", "NXM_NX_TUN_FLAGS", 0x0001_d000, 0x0001_d000, 2, 1, MASK, RW, Format::TunFlags),
    row("tun_src", "", "NXM_NX_TUN_IPV4_SRC", 0x0001_3e00, 0x0001_3e00, 4, 32, MASK, RW, Format::Ipv4),
    row("tun_dst", "", "NXM_NX_TUN_IPV4_DST", 0x0001_4000, 0x0001_4000, 4, 32, MASK, RW, Format::Ipv4),
    row("tun_ipv6_src", "", "NXM_NX_TUN_IPV6_SRC", 0x0001_da00, 0x0001_da00, 16, 128, MASK, RW, Format::Ipv6),
    row("tun_ipv6_dst", "", "NXM_NX_TUN_IPV6_DST", 0x0001_dc00, 0x0001_dc00, 16, 128, MASK, RW, Format::Ipv6),
    row("tun_gbp_id", "", "NXM_NX_TUN_GBP_ID", 0x0001_4c00, 0x0001_4c00, 2, 16, MASK, RW, Format::Dec),
    row("tun_gbp_flags", "", "NXM_NX_TUN_GBP_FLAGS", 0x0001_4e00, 0x0001_4e00, 1, 8, MASK, RW, Format::Hex),
    row("tun_metadata0", "", "NXM_NX_TUN_METADATA0", 0x0001_5000, 0x0001_5000, 16, 992, MASK, RW, Format::Hex),
    row("tun_metadata1", "", "NXM_NX_TUN_METADATA1", 0x0001_5200, 0x0001_5200, 16, 992, MASK, RW, Format::Hex),
    row("tun_metadata2", "", "NXM_NX_TUN_METADATA2", 0x0001_5400, 0x0001_5400, 16, 992, MASK, RW, Format::Hex),
    row("tun_metadata3", "", "NXM_NX_TUN_METADATA3", 0x0001_5600, 0x0001_5600, 16, 992, MASK, RW, Format::Hex),
    row("tun_metadata4", "", "NXM_NX_TUN_METADATA4", 0x0001_5800, 0x0001_5800, 16, 992, MASK, RW, Format::Hex),
    row("tun_metadata5", "", "NXM_NX_TUN_METADATA5", 0x0001_5a00, 0x0001_5a00, 16, 992, MASK, RW, Format::Hex),
    row("tun_metadata6", "", "NXM_NX_TUN_METADATA6", 0x0001_5c00, 0x0001_5c00, 16, 992, MASK, RW, Format::Hex),
    row("tun_metadata7", "", "NXM_NX_TUN_METADATA7", 0x0001_5e00, 0x0001_5e00, 16, 992, MASK, RW, Format::Hex),
    row("tun_metadata8", "", "NXM_NX_TUN_METADATA8", 0x0001_6000, 0x0001_6000, 16, 992, MASK, RW, Format::Hex),
    row("tun_metadata9", "", "NXM_NX_TUN_METADATA9", 0x0001_6200, 0x0001_6200, 16, 992, MASK, RW, Format::Hex),
    row("tun_metadata10", "", "NXM_NX_TUN_METADATA10", 0x0001_6400, 0x0001_6400, 16, 992, MASK, RW, Format::Hex),
    row("tun_metadata11", "", "NXM_NX_TUN_METADATA11", 0x0001_6600, 0x0001_6600, 16, 992, MASK, RW, Format::Hex),
    row("tun_metadata12", "", "NXM_NX_TUN_METADATA12", 0x0001_6800, 0x0001_6800, 16, 992, MASK, RW, Format::Hex),
    row("tun_metadata13", "", "NXM_NX_TUN_METADATA13", 0x0001_6a00, 0x0001_6a00, 16, 992, MASK, RW, Format::Hex),
    row("tun_metadata14", "", "NXM_NX_TUN_METADATA14", 0x0001_6c00, 0x0001_6c00, 16, 992, MASK, RW, Format::Hex),
    row("tun_metadata15", "", "NXM_NX_TUN_METADATA15", 0x0001_6e00, 0x0001_6e00, 16, 992, MASK, RW, Format::Hex),
    row("tun_metadata16", "", "NXM_NX_TUN_METADATA16", 0x0001_7000, 0x0001_7000, 16, 992, MASK, RW, Format::Hex),
    row("tun_metadata17", "", "NXM_NX_TUN_METADATA17", 0x0001_7200, 0x0001_7200, 16, 992, MASK, RW, Format::Hex),
    row("tun_metadata18", "", "NXM_NX_TUN_METADATA18", 0x0001_7400, 0x0001_7400, 16, 992, MASK, RW, Format::Hex),
    row("tun_metadata19", "", "NXM_NX_TUN_METADATA19", 0x0001_7600, 0x0001_7600, 16, 992, MASK, RW, Format::Hex),
    row("tun_metadata20", "", "NXM_NX_TUN_METADATA20", 0x0001_7800, 0x0001_7800, 16, 992, MASK, RW, Format::Hex),
    row("tun_metadata21", "", "NXM_NX_TUN_METADATA21", 0x0001_7a00, 0x0001_7a00, 16, 992, MASK, RW, Format::Hex),
    row("tun_metadata22", "", "NXM_NX_TUN_METADATA22", 0x0001_7c00, 0x0001_7c00, 16, 992, MASK, RW, Format::Hex),
    row("tun_metadata23", "", "NXM_NX_TUN_METADATA23", 0x0001_7e00, 0x0001_7e00, 16, 992, MASK, RW, Format::Hex),
    row("tun_metadata24", "", "NXM_NX_TUN_METADATA24", 0x0001_8000, 0x0001_8000, 16, 992, MASK, RW, Format::Hex),
    row("tun_metadata25", "", "NXM_NX_TUN_METADATA25", 0x0001_8200, 0x0001_8200, 16, 992, MASK, RW, Format::Hex),
    row("tun_metadata26", "", "NXM_NX_TUN_METADATA26", 0x0001_8400, 0x0001_8400, 16, 992, MASK, RW, Format::Hex),
    row("tun_metadata27", "", "NXM_NX_TUN_METADATA27", 0x0001_8600, 0x0001_8600, 16, 992, MASK, RW, Format::Hex),
    row("tun_metadata28", "", "NXM_NX_TUN_METADATA28", 0x0001_8800, 0x0001_8800, 16, 992, MASK, RW, Format::Hex),
    row("tun_metadata29", "", "NXM_NX_TUN_METADATA29", 0x0001_8a00, 0x0001_8a00, 16, 992, MASK, RW, Format::Hex),
    row("tun_metadata30", "", "NXM_NX_TUN_METADATA30", 0x0001_8c00, 0x0001_8c00, 16, 992, MASK, RW, Format::Hex),
    row("tun_metadata31", "", "NXM_NX_TUN_METADATA31", 0x0001_8e00, 0x0001_8e00, 16, 992, MASK, RW, Format::Hex),
    row("tun_metadata32", "", "NXM_NX_TUN_METADATA32", 0x0001_9000, 0x0001_9000, 16, 992, MASK, RW, Format::Hex),
    row("tun_metadata33", "", "NXM_NX_TUN_METADATA33", 0x0001_9200, 0x0001_9200, 16, 992, MASK, RW, Format::Hex),
    row("tun_metadata34", "", "NXM_NX_TUN_METADATA34", 0x0001_9400, 0x0001_9400, 16, 992, MASK, RW, Format::Hex),
    row("tun_metadata35", "", "NXM_NX_TUN_METADATA35", 0x0001_9600, 0x0001_9600, 16, 992, MASK, RW, Format::Hex),
    row("tun_metadata36", "", "NXM_NX_TUN_METADATA36", 0x0001_9800, 0x0001_9800, 16, 992, MASK, RW, Format::Hex),
    row("tun_metadata37", "", "NXM_NX_TUN_METADATA37", 0x0001_9a00, 0x0001_9a00, 16, 992, MASK, RW, Format::Hex),
    row("tun_metadata38", "", "NXM_NX_TUN_METADATA38", 0x0001_9c00, 0x0001_9c00, 16, 992, MASK, RW, Format::Hex),
    row("tun_metadata39", "", "NXM_NX_TUN_METADATA39", 0x0001_9e00, 0x0001_9e00, 16, 992, MASK, RW, Format::Hex),
    row("tun_metadata40", "", "NXM_NX_TUN_METADATA40", 0x0001_a000, 0x0001_a000, 16, 992, MASK, RW, Format::Hex),
    row("tun_metadata41", "", "NXM_NX_TUN_METADATA41", 0x0001_a200, 0x0001_a200, 16, 992, MASK, RW, Format::Hex),
    row("tun_metadata42", "", "NXM_NX_TUN_METADATA42", 0x0001_a400, 0x0001_a400, 16, 992, MASK, RW, Format::Hex),
    row("tun_metadata43", "", "NXM_NX_TUN_METADATA43", 0x0001_a600, 0x0001_a600, 16, 992, MASK, RW, Format::Hex),
    row("tun_metadata44", "", "NXM_NX_TUN_METADATA44", 0x0001_a800, 0x0001_a800, 16, 992, MASK, RW, Format::Hex),
    row("tun_metadata45", "", "NXM_NX_TUN_METADATA45", 0x0001_aa00, 0x0001_aa00, 16, 992, MASK, RW, Format::Hex),
    row("tun_metadata46", "", "NXM_NX_TUN_METADATA46", 0x0001_ac00, 0x0001_ac00, 16, 992, MASK, RW, Format::Hex),
    row("tun_metadata47", "", "NXM_NX_TUN_METADATA47", 0x0001_ae00, 0x0001_ae00, 16, 992, MASK, RW, Format::Hex),
    row("tun_metadata48", "", "NXM_NX_TUN_METADATA48", 0x0001_b000, 0x0001_b000, 16, 992, MASK, RW, Format::Hex),
    row("tun_metadata49", "", "NXM_NX_TUN_METADATA49", 0x0001_b200, 0x0001_b200, 16, 992, MASK, RW, Format::Hex),
    row("tun_metadata50", "", "NXM_NX_TUN_METADATA50", 0x0001_b400, 0x0001_b400, 16, 992, MASK, RW, Format::Hex),
    row("tun_metadata51", "", "NXM_NX_TUN_METADATA51", 0x0001_b600, 0x0001_b600, 16, 992, MASK, RW, Format::Hex),
    row("tun_metadata52", "", "NXM_NX_TUN_METADATA52", 0x0001_b800, 0x0001_b800, 16, 992, MASK, RW, Format::Hex),
    row("tun_metadata53", "", "NXM_NX_TUN_METADATA53", 0x0001_ba00, 0x0001_ba00, 16, 992, MASK, RW, Format::Hex),
    row("tun_metadata54", "", "NXM_NX_TUN_METADATA54", 0x0001_bc00, 0x0001_bc00, 16, 992, MASK, RW, Format::Hex),
    row("tun_metadata55", "", "NXM_NX_TUN_METADATA55", 0x0001_be00, 0x0001_be00, 16, 992, MASK, RW, Format::Hex),
    row("tun_metadata56", "", "NXM_NX_TUN_METADATA56", 0x0001_c000, 0x0001_c000, 16, 992, MASK, RW, Format::Hex),
    row("tun_metadata57", "", "NXM_NX_TUN_METADATA57", 0x0001_c200, 0x0001_c200, 16, 992, MASK, RW, Format::Hex),
    row("tun_metadata58", "", "NXM_NX_TUN_METADATA58", 0x0001_c400, 0x0001_c400, 16, 992, MASK, RW, Format::Hex),
    row("tun_metadata59", "", "NXM_NX_TUN_METADATA59", 0x0001_c600, 0x0001_c600, 16, 992, MASK, RW, Format::Hex),
    row("tun_metadata60", "", "NXM_NX_TUN_METADATA60", 0x0001_c800, 0x0001_c800, 16, 992, MASK, RW, Format::Hex),
    row("tun_metadata61", "", "NXM_NX_TUN_METADATA61", 0x0001_ca00, 0x0001_ca00, 16, 992, MASK, RW, Format::Hex),
    row("tun_metadata62", "", "NXM_NX_TUN_METADATA62", 0x0001_cc00, 0x0001_cc00, 16, 992, MASK, RW, Format::Hex),
    row("tun_metadata63", "", "NXM_NX_TUN_METADATA63", 0x0001_ce00, 0x0001_ce00, 16, 992, MASK, RW, Format::Hex),
    row("reg0", "", "NXM_NX_REG0", 0x0001_0000, 0x0001_0000, 4, 32, MASK, RW, Format::Hex),
    row("reg1", "", "NXM_NX_REG1", 0x0001_0200, 0x0001_0200, 4, 32, MASK, RW, Format::Hex),
    row("reg2", "", "NXM_NX_REG2", 0x0001_0400, 0x0001_0400, 4, 32, MASK, RW, Format::Hex),
    row("reg3", "", "NXM_NX_REG3", 0x0001_0600, 0x0001_0600, 4, 32, MASK, RW, Format::Hex),
    row("reg4", "", "NXM_NX_REG4", 0x0001_0800, 0x0001_0800, 4, 32, MASK, RW, Format::Hex),
    row("reg5", "", "NXM_NX_REG5", 0x0001_0a00, 0x0001_0a00, 4, 32, MASK, RW, Format::Hex),
    row("reg6", "", "NXM_NX_REG6", 0x0001_0c00, 0x0001_0c00, 4, 32, MASK, RW, Format::Hex),
    row("reg7", "", "NXM_NX_REG7", 0x0001_0e00, 0x0001_0e00, 4, 32, MASK, RW, Format::Hex),
    row("reg8", "", "NXM_NX_REG8", 0x0001_1000, 0x0001_1000, 4, 32, MASK, RW, Format::Hex),
    row("reg9", "", "NXM_NX_REG9", 0x0001_1200, 0x0001_1200, 4, 32, MASK, RW, Format::Hex),
    row("reg10", "", "NXM_NX_REG10", 0x0001_1400, 0x0001_1400, 4, 32, MASK, RW, Format::Hex),
    row("reg11", "", "NXM_NX_REG11", 0x0001_1600, 0x0001_1600, 4, 32, MASK, RW, Format::Hex),
    row("reg12", "", "NXM_NX_REG12", 0x0001_1800, 0x0001_1800, 4, 32, MASK, RW, Format::Hex),
    row("reg13", "", "NXM_NX_REG13", 0x0001_1a00, 0x0001_1a00, 4, 32, MASK, RW, Format::Hex),
    row("reg14", "", "NXM_NX_REG14", 0x0001_1c00, 0x0001_1c00, 4, 32, MASK, RW, Format::Hex),
    row("reg15", "", "NXM_NX_REG15", 0x0001_1e00, 0x0001_1e00, 4, 32, MASK, RW, Format::Hex),
    row("xreg0", "", "OXM_OF_PKT_REG0", 0x8001_0000, 0x8001_0000, 8, 64, MASK, RW, Format::Hex),
    row("xreg1", "", "OXM_OF_PKT_REG1", 0x8001_0200, 0x8001_0200, 8, 64, MASK, RW, Format::Hex),
    row("xreg2", "", "OXM_OF_PKT_REG2", 0x8001_0400, 0x8001_0400, 8, 64, MASK, RW, Format::Hex),
    row("xreg3", "", "OXM_OF_PKT_REG3", 0x8001_0600, 0x8001_0600, 8, 64, MASK, RW, Format::Hex),
    row("xreg4", "", "OXM_OF_PKT_REG4", 0x8001_0800, 0x8001_0800, 8, 64, MASK, RW, Format::Hex),
    row("xreg5", "", "OXM_OF_PKT_REG5", 0x8001_0a00, 0x8001_0a00, 8, 64, MASK, RW, Format::Hex),
    row("xreg6", "", "OXM_OF_PKT_REG6", 0x8001_0c00, 0x8001_0c00, 8, 64, MASK, RW, Format::Hex),
    row("xreg7", "", "OXM_OF_PKT_REG7", 0x8001_0e00, 0x8001_0e00, 8, 64, MASK, RW, Format::Hex),
    row("xxreg0", "", "NXM_NX_XXREG0", 0x0001_de00, 0x0001_de00, 16, 128, MASK, RW, Format::Hex),
    row("xxreg1", "", "NXM_NX_XXREG1", 0x0001_e000, 0x0001_e000, 16, 128, MASK, RW, Format::Hex),
    row("xxreg2", "", "NXM_NX_XXREG2", 0x0001_e200, 0x0001_e200, 16, 128, MASK, RW, Format::Hex),
    row("xxreg3", "", "NXM_NX_XXREG3", 0x0001_e400, 0x0001_e400, 16, 128, MASK, RW, Format::Hex),
    row("pkt_mark", "", "NXM_NX_PKT_MARK", 0x0001_4200, 0x0001_4200, 4, 32, MASK, RW, Format::Hex),
    row("ct_state", "", "NXM_NX_CT_STATE", 0x0001_d200, 0x0001_d200, 4, 32, MASK, RO, Format::CtState),
    row("ct_zone", "", "NXM_NX_CT_ZONE", 0x0001_d400, 0x0001_d400, 2, 16, EXACT, RO, Format::Hex),
    row("ct_mark", "", "NXM_NX_CT_MARK", 0x0001_d600, 0x0001_d600, 4, 32, MASK, RW, Format::Hex),
    row("ct_label", "", "NXM_NX_CT_LABEL", 0x0001_d800, 0x0001_d800, 16, 128, MASK, RW, Format::Hex),
    row("ct_nw_src", "", "NXM_NX_CT_NW_SRC", 0x0001_f000, 0x0001_f000, 4, 32, MASK, RO, Format::Ipv4),
    row("ct_ipv6_src", "", "NXM_NX_CT_IPV6_SRC", 0x0001_f400, 0x0001_f400, 16, 128, MASK, RO, Format::Ipv6),
    row("ct_nw_dst", "", "NXM_NX_CT_NW_DST", 0x0001_f200, 0x0001_f200, 4, 32, MASK, RO, Format::Ipv4),
    row("ct_ipv6_dst", "", "NXM_NX_CT_IPV6_DST", 0x0001_f600, 0x0001_f600, 16, 128, MASK, RO, Format::Ipv6),
    row("ct_nw_proto", "", "NXM_NX_CT_NW_PROTO", 0x0001_ee00, 0x0001_ee00, 1, 8, EXACT, RO, Format::Dec),
    row("ct_tp_src", "", "NXM_NX_CT_TP_SRC", 0x0001_f800, 0x0001_f800, 2, 16, MASK, RO, Format::Dec),
    row("ct_tp_dst", "", "NXM_NX_CT_TP_DST", 0x0001_fa00, 0x0001_fa00, 2, 16, MASK, RO, Format::Dec),
    row("metadata", "", "OXM_OF_METADATA", 0x8000_0400, 0x8000_0400, 8, 64, MASK, RW, Format::Hex),
];

#[rustfmt::skip]
impl Field {
    /// Packet type; a match on Ethernet (0) is implied and vanishes from a canonical match.
    pub const PACKET_TYPE: Field = Field(0);
    /// Datapath hash.
    pub const DP_HASH: Field = Field(1);
    /// Recirculation id.
    pub const RECIRC_ID: Field = Field(2);
    /// Id of a conjunctive match.
    pub const CONJ_ID: Field = Field(3);
    /// Ingress port, 16 bits (matches hold it as [`Field::IN_PORT_OXM`]).
    pub const IN_PORT: Field = Field(4);
    /// Ingress port, 32 bits.
    pub const IN_PORT_OXM: Field = Field(5);
    /// Output port in the action set.
    pub const ACTSET_OUTPUT: Field = Field(6);
    /// Ethernet source.
    pub const ETH_SRC: Field = Field(7);
    /// Ethernet destination.
    pub const ETH_DST: Field = Field(8);
    /// Ethernet type.
    pub const ETH_TYPE: Field = Field(9);
    /// 802.1Q TCI with the CFI bit meaning "tagged" (matches hold it as VLAN_VID and VLAN_PCP).
    pub const VLAN_TCI: Field = Field(10);
    /// VLAN id; bit 12 means "tagged".
    pub const VLAN_VID: Field = Field(11);
    /// VLAN priority.
    pub const VLAN_PCP: Field = Field(12);
    /// MPLS traffic class.
    pub const MPLS_TC: Field = Field(13);
    /// MPLS bottom of stack.
    pub const MPLS_BOS: Field = Field(14);
    /// MPLS TTL.
    pub const MPLS_TTL: Field = Field(15);
    /// MPLS label.
    pub const MPLS_LABEL: Field = Field(16);
    /// IPv4 source.
    pub const IPV4_SRC: Field = Field(17);
    /// IPv4 destination.
    pub const IPV4_DST: Field = Field(18);
    /// IPv6 source.
    pub const IPV6_SRC: Field = Field(19);
    /// IPv6 destination.
    pub const IPV6_DST: Field = Field(20);
    /// Fragmentation: bit 0 any fragment, bit 1 later fragment.
    pub const IP_FRAG: Field = Field(21);
    /// DSCP, the 6-bit OXM form.
    pub const IP_DSCP: Field = Field(22);
    /// ECN.
    pub const IP_ECN: Field = Field(23);
    /// IP TTL or hop limit.
    pub const IP_TTL: Field = Field(24);
    /// IPv6 flow label.
    pub const IPV6_LABEL: Field = Field(25);
    /// IP protocol.
    pub const IP_PROTO: Field = Field(26);
    /// TCP source port.
    pub const TCP_SRC: Field = Field(27);
    /// TCP destination port.
    pub const TCP_DST: Field = Field(28);
    /// TCP flags.
    pub const TCP_FLAGS: Field = Field(29);
    /// UDP source port.
    pub const UDP_SRC: Field = Field(30);
    /// UDP destination port.
    pub const UDP_DST: Field = Field(31);
    /// SCTP source port.
    pub const SCTP_SRC: Field = Field(32);
    /// SCTP destination port.
    pub const SCTP_DST: Field = Field(33);
    /// ICMP type.
    pub const ICMPV4_TYPE: Field = Field(34);
    /// ICMP code.
    pub const ICMPV4_CODE: Field = Field(35);
    /// ICMPv6 type.
    pub const ICMPV6_TYPE: Field = Field(36);
    /// ICMPv6 code.
    pub const ICMPV6_CODE: Field = Field(37);
    /// ND target.
    pub const ND_TARGET: Field = Field(38);
    /// ND source link-layer address.
    pub const ND_SLL: Field = Field(39);
    /// ND target link-layer address.
    pub const ND_TLL: Field = Field(40);
    /// Reserved word of an ND message.
    pub const ND_RESERVED: Field = Field(41);
    /// Type of the first ND option.
    pub const ND_OPTIONS_TYPE: Field = Field(42);
    /// ARP operation.
    pub const ARP_OP: Field = Field(43);
    /// ARP source protocol address.
    pub const ARP_SPA: Field = Field(44);
    /// ARP target protocol address.
    pub const ARP_TPA: Field = Field(45);
    /// ARP source hardware address.
    pub const ARP_SHA: Field = Field(46);
    /// ARP target hardware address.
    pub const ARP_THA: Field = Field(47);
    /// Tunnel key.
    pub const TUN_ID: Field = Field(48);
    /// Tunnel flags: bit 0 OAM.
    pub const TUN_FLAGS: Field = Field(49);
    /// Outer IPv4 source.
    pub const TUN_SRC: Field = Field(50);
    /// Outer IPv4 destination.
    pub const TUN_DST: Field = Field(51);
    /// Outer IPv6 source.
    pub const TUN_IPV6_SRC: Field = Field(52);
    /// Outer IPv6 destination.
    pub const TUN_IPV6_DST: Field = Field(53);
    /// VXLAN group policy id.
    pub const TUN_GBP_ID: Field = Field(54);
    /// VXLAN group policy flags.
    pub const TUN_GBP_FLAGS: Field = Field(55);
    /// Tunnel option 0; at most 16 bytes here.
    pub const TUN_METADATA0: Field = Field(56);
    /// Tunnel option 1; at most 16 bytes here.
    pub const TUN_METADATA1: Field = Field(57);
    /// Tunnel option 2; at most 16 bytes here.
    pub const TUN_METADATA2: Field = Field(58);
    /// Tunnel option 3; at most 16 bytes here.
    pub const TUN_METADATA3: Field = Field(59);
    /// Tunnel option 4; at most 16 bytes here.
    pub const TUN_METADATA4: Field = Field(60);
    /// Tunnel option 5; at most 16 bytes here.
    pub const TUN_METADATA5: Field = Field(61);
    /// Tunnel option 6; at most 16 bytes here.
    pub const TUN_METADATA6: Field = Field(62);
    /// Tunnel option 7; at most 16 bytes here.
    pub const TUN_METADATA7: Field = Field(63);
    /// Tunnel option 8; at most 16 bytes here.
    pub const TUN_METADATA8: Field = Field(64);
    /// Tunnel option 9; at most 16 bytes here.
    pub const TUN_METADATA9: Field = Field(65);
    /// Tunnel option 10; at most 16 bytes here.
    pub const TUN_METADATA10: Field = Field(66);
    /// Tunnel option 11; at most 16 bytes here.
    pub const TUN_METADATA11: Field = Field(67);
    /// Tunnel option 12; at most 16 bytes here.
    pub const TUN_METADATA12: Field = Field(68);
    /// Tunnel option 13; at most 16 bytes here.
    pub const TUN_METADATA13: Field = Field(69);
    /// Tunnel option 14; at most 16 bytes here.
    pub const TUN_METADATA14: Field = Field(70);
    /// Tunnel option 15; at most 16 bytes here.
    pub const TUN_METADATA15: Field = Field(71);
    /// Tunnel option 16; at most 16 bytes here.
    pub const TUN_METADATA16: Field = Field(72);
    /// Tunnel option 17; at most 16 bytes here.
    pub const TUN_METADATA17: Field = Field(73);
    /// Tunnel option 18; at most 16 bytes here.
    pub const TUN_METADATA18: Field = Field(74);
    /// Tunnel option 19; at most 16 bytes here.
    pub const TUN_METADATA19: Field = Field(75);
    /// Tunnel option 20; at most 16 bytes here.
    pub const TUN_METADATA20: Field = Field(76);
    /// Tunnel option 21; at most 16 bytes here.
    pub const TUN_METADATA21: Field = Field(77);
    /// Tunnel option 22; at most 16 bytes here.
    pub const TUN_METADATA22: Field = Field(78);
    /// Tunnel option 23; at most 16 bytes here.
    pub const TUN_METADATA23: Field = Field(79);
    /// Tunnel option 24; at most 16 bytes here.
    pub const TUN_METADATA24: Field = Field(80);
    /// Tunnel option 25; at most 16 bytes here.
    pub const TUN_METADATA25: Field = Field(81);
    /// Tunnel option 26; at most 16 bytes here.
    pub const TUN_METADATA26: Field = Field(82);
    /// Tunnel option 27; at most 16 bytes here.
    pub const TUN_METADATA27: Field = Field(83);
    /// Tunnel option 28; at most 16 bytes here.
    pub const TUN_METADATA28: Field = Field(84);
    /// Tunnel option 29; at most 16 bytes here.
    pub const TUN_METADATA29: Field = Field(85);
    /// Tunnel option 30; at most 16 bytes here.
    pub const TUN_METADATA30: Field = Field(86);
    /// Tunnel option 31; at most 16 bytes here.
    pub const TUN_METADATA31: Field = Field(87);
    /// Tunnel option 32; at most 16 bytes here.
    pub const TUN_METADATA32: Field = Field(88);
    /// Tunnel option 33; at most 16 bytes here.
    pub const TUN_METADATA33: Field = Field(89);
    /// Tunnel option 34; at most 16 bytes here.
    pub const TUN_METADATA34: Field = Field(90);
    /// Tunnel option 35; at most 16 bytes here.
    pub const TUN_METADATA35: Field = Field(91);
    /// Tunnel option 36; at most 16 bytes here.
    pub const TUN_METADATA36: Field = Field(92);
    /// Tunnel option 37; at most 16 bytes here.
    pub const TUN_METADATA37: Field = Field(93);
    /// Tunnel option 38; at most 16 bytes here.
    pub const TUN_METADATA38: Field = Field(94);
    /// Tunnel option 39; at most 16 bytes here.
    pub const TUN_METADATA39: Field = Field(95);
    /// Tunnel option 40; at most 16 bytes here.
    pub const TUN_METADATA40: Field = Field(96);
    /// Tunnel option 41; at most 16 bytes here.
    pub const TUN_METADATA41: Field = Field(97);
    /// Tunnel option 42; at most 16 bytes here.
    pub const TUN_METADATA42: Field = Field(98);
    /// Tunnel option 43; at most 16 bytes here.
    pub const TUN_METADATA43: Field = Field(99);
    /// Tunnel option 44; at most 16 bytes here.
    pub const TUN_METADATA44: Field = Field(100);
    /// Tunnel option 45; at most 16 bytes here.
    pub const TUN_METADATA45: Field = Field(101);
    /// Tunnel option 46; at most 16 bytes here.
    pub const TUN_METADATA46: Field = Field(102);
    /// Tunnel option 47; at most 16 bytes here.
    pub const TUN_METADATA47: Field = Field(103);
    /// Tunnel option 48; at most 16 bytes here.
    pub const TUN_METADATA48: Field = Field(104);
    /// Tunnel option 49; at most 16 bytes here.
    pub const TUN_METADATA49: Field = Field(105);
    /// Tunnel option 50; at most 16 bytes here.
    pub const TUN_METADATA50: Field = Field(106);
    /// Tunnel option 51; at most 16 bytes here.
    pub const TUN_METADATA51: Field = Field(107);
    /// Tunnel option 52; at most 16 bytes here.
    pub const TUN_METADATA52: Field = Field(108);
    /// Tunnel option 53; at most 16 bytes here.
    pub const TUN_METADATA53: Field = Field(109);
    /// Tunnel option 54; at most 16 bytes here.
    pub const TUN_METADATA54: Field = Field(110);
    /// Tunnel option 55; at most 16 bytes here.
    pub const TUN_METADATA55: Field = Field(111);
    /// Tunnel option 56; at most 16 bytes here.
    pub const TUN_METADATA56: Field = Field(112);
    /// Tunnel option 57; at most 16 bytes here.
    pub const TUN_METADATA57: Field = Field(113);
    /// Tunnel option 58; at most 16 bytes here.
    pub const TUN_METADATA58: Field = Field(114);
    /// Tunnel option 59; at most 16 bytes here.
    pub const TUN_METADATA59: Field = Field(115);
    /// Tunnel option 60; at most 16 bytes here.
    pub const TUN_METADATA60: Field = Field(116);
    /// Tunnel option 61; at most 16 bytes here.
    pub const TUN_METADATA61: Field = Field(117);
    /// Tunnel option 62; at most 16 bytes here.
    pub const TUN_METADATA62: Field = Field(118);
    /// Tunnel option 63; at most 16 bytes here.
    pub const TUN_METADATA63: Field = Field(119);
    /// Register 0.
    pub const REG0: Field = Field(120);
    /// Register 1.
    pub const REG1: Field = Field(121);
    /// Register 2.
    pub const REG2: Field = Field(122);
    /// Register 3.
    pub const REG3: Field = Field(123);
    /// Register 4.
    pub const REG4: Field = Field(124);
    /// Register 5.
    pub const REG5: Field = Field(125);
    /// Register 6.
    pub const REG6: Field = Field(126);
    /// Register 7.
    pub const REG7: Field = Field(127);
    /// Register 8.
    pub const REG8: Field = Field(128);
    /// Register 9.
    pub const REG9: Field = Field(129);
    /// Register 10.
    pub const REG10: Field = Field(130);
    /// Register 11.
    pub const REG11: Field = Field(131);
    /// Register 12.
    pub const REG12: Field = Field(132);
    /// Register 13.
    pub const REG13: Field = Field(133);
    /// Register 14.
    pub const REG14: Field = Field(134);
    /// Register 15.
    pub const REG15: Field = Field(135);
    /// Registers 0 (high half) and 1.
    pub const XREG0: Field = Field(136);
    /// Registers 2 (high half) and 3.
    pub const XREG1: Field = Field(137);
    /// Registers 4 (high half) and 5.
    pub const XREG2: Field = Field(138);
    /// Registers 6 (high half) and 7.
    pub const XREG3: Field = Field(139);
    /// Registers 8 (high half) and 9.
    pub const XREG4: Field = Field(140);
    /// Registers 10 (high half) and 11.
    pub const XREG5: Field = Field(141);
    /// Registers 12 (high half) and 13.
    pub const XREG6: Field = Field(142);
    /// Registers 14 (high half) and 15.
    pub const XREG7: Field = Field(143);
    /// Registers 0 (highest) to 3.
    pub const XXREG0: Field = Field(144);
    /// Registers 4 (highest) to 7.
    pub const XXREG1: Field = Field(145);
    /// Registers 8 (highest) to 11.
    pub const XXREG2: Field = Field(146);
    /// Registers 12 (highest) to 15.
    pub const XXREG3: Field = Field(147);
    /// Packet mark.
    pub const PKT_MARK: Field = Field(148);
    /// Connection state.
    pub const CT_STATE: Field = Field(149);
    /// Connection tracking zone.
    pub const CT_ZONE: Field = Field(150);
    /// Connection mark.
    pub const CT_MARK: Field = Field(151);
    /// Connection label.
    pub const CT_LABEL: Field = Field(152);
    /// IPv4 source of the original direction.
    pub const CT_NW_SRC: Field = Field(153);
    /// IPv6 source of the original direction.
    pub const CT_IPV6_SRC: Field = Field(154);
    /// IPv4 destination of the original direction.
    pub const CT_NW_DST: Field = Field(155);
    /// IPv6 destination of the original direction.
    pub const CT_IPV6_DST: Field = Field(156);
    /// IP protocol of the original direction.
    pub const CT_NW_PROTO: Field = Field(157);
    /// L4 source of the original direction.
    pub const CT_TP_SRC: Field = Field(158);
    /// L4 destination of the original direction.
    pub const CT_TP_DST: Field = Field(159);
    /// OpenFlow metadata.
    pub const METADATA: Field = Field(160);
}
