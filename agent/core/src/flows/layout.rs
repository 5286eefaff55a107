//! OpenFlow tables, registers and flag bits, each named once (those that logical actions refer to, in `ovn-lang`). Sheet 02
//! section 1.

use ofproto_client::{Field, Subfield};
use ovn_lang::actions::Tables;

/// Ingress from ports and tunnels.
pub const PHY_TO_LOG: u8 = 0;
/// First table of the logical ingress pipeline.
pub const LOG_INGRESS: u8 = Tables::LOG_INGRESS_PIPELINE;
/// Target of logical `output` in ingress; detects packets too large for a tunnel.
pub const OUTPUT_LARGE_PKT_DETECT: u8 = Tables::OUTPUT_INIT;
/// Answers too large packets.
pub const OUTPUT_LARGE_PKT_PROCESS: u8 = 43;
/// To tunnels.
pub const REMOTE_OUTPUT: u8 = Tables::REMOTE_OUTPUT;
/// To EVPN VTEPs.
pub const REMOTE_VTEP_OUTPUT: u8 = 45;
/// Local delivery.
pub const LOCAL_OUTPUT: u8 = 46;
/// Drops what would go out where it came in.
pub const CHECK_LOOPBACK: u8 = 47;
/// First table of the logical egress pipeline.
pub const LOG_EGRESS: u8 = Tables::LOG_EGRESS_PIPELINE;
/// Target of logical `output` in egress.
pub const SAVE_INPORT: u8 = Tables::SAVE_INPORT;
/// Real output.
pub const LOG_TO_PHY: u8 = 65;
/// IP to MAC.
pub const MAC_BINDING: u8 = Tables::MAC_BINDING;
/// Is this (ip, mac, port) known?
pub const MAC_LOOKUP: u8 = Tables::MAC_LOOKUP;
/// Load balancer hairpin detection.
pub const CHK_LB_HAIRPIN: u8 = Tables::CHK_LB_HAIRPIN;
/// Learned hairpin replies.
pub const CHK_LB_HAIRPIN_REPLY: u8 = Tables::CHK_LB_HAIRPIN_REPLY;
/// `ct_snat_to_vip`.
pub const CT_SNAT_HAIRPIN: u8 = Tables::CT_SNAT_HAIRPIN;
/// MAC to logical port.
pub const GET_FDB: u8 = Tables::GET_FDB;
/// Is this (mac, inport) known?
pub const LOOKUP_FDB: u8 = Tables::LOOKUP_FDB;
/// Port security, ingress.
pub const CHK_IN_PORT_SEC: u8 = Tables::CHK_IN_PORT_SEC;
/// ARP and ND part of ingress port security.
pub const CHK_IN_PORT_SEC_ND: u8 = 74;
/// Port security, egress.
pub const CHK_OUT_PORT_SEC: u8 = Tables::CHK_OUT_PORT_SEC;
/// MAC bindings in use, by their counters.
pub const MAC_CACHE_USE: u8 = Tables::MAC_CACHE_USE;
/// Restores zones for ICMP errors from tunnels.
pub const CT_ZONE_LOOKUP: u8 = 80;
/// Copies ct_nw_dst.
pub const CT_ORIG_NW_DST_LOAD: u8 = Tables::CT_ORIG_NW_DST_LOAD;
/// Copies ct_ipv6_dst.
pub const CT_ORIG_IP6_DST_LOAD: u8 = Tables::CT_ORIG_IP6_DST_LOAD;
/// Copies ct_tp_dst.
pub const CT_ORIG_TP_DST_LOAD: u8 = Tables::CT_ORIG_TP_DST_LOAD;
/// Floods to every chassis of other availability zones.
pub const FLOOD_REMOTE_CHASSIS: u8 = Tables::FLOOD_REMOTE_CHASSIS;
/// Saves ct_state bits.
pub const CT_STATE_SAVE: u8 = Tables::CT_STATE_SAVE;
/// Copies ct_nw_proto.
pub const CT_ORIG_PROTO_LOAD: u8 = Tables::CT_ORIG_PROTO_LOAD;
/// MAC to remote EVPN port.
pub const GET_REMOTE_FDB: u8 = Tables::GET_REMOTE_FDB;
/// Data-plane learning of EVPN MACs.
pub const LEARN_REMOTE_FDB: u8 = 88;

/// The logical flags register.
pub const FLAGS: Field = Field::REG10;
/// The DNAT zone.
pub const DNAT_ZONE: Field = Field::REG11;
/// The SNAT zone.
pub const SNAT_ZONE: Field = Field::REG12;
/// The logical port's zone.
pub const CT_ZONE: Subfield = Subfield { field: Field::REG13, ofs: 0, n_bits: 16 };
/// Index into the local encap IPs.
pub const ENCAP_ID: Subfield = Subfield { field: Field::REG13, ofs: 16, n_bits: 16 };
/// The logical input port.
pub const INPORT: Field = Field::REG14;
/// The logical output port.
pub const OUTPORT: Field = Field::REG15;

/// Bits of [`FLAGS`]. Sheet 02 section 1.3.
pub mod flag {
    /// Do not drop what goes out where it came in.
    pub const ALLOW_LOOPBACK: u16 = 0;
    /// Came from a VTEP gateway's tunnel.
    pub const RCV_FROM_RAMP: u16 = 1;
    /// Never tunnel.
    pub const LOCAL_ONLY: u16 = 4;
    /// Came from a VLAN child port.
    pub const NESTED_CONTAINER: u16 = 5;
    /// Result of a MAC lookup.
    pub const LOOKUP_MAC: u16 = 6;
    /// Result of a hairpin lookup.
    pub const LOOKUP_LB_HAIRPIN: u16 = 7;
    /// Result of an FDB lookup.
    pub const LOOKUP_FDB: u16 = 8;
    /// Came from a localport.
    pub const LOCALPORT: u16 = 10;
    /// Result of a port security check: 1 is failed.
    pub const CHECK_PORT_SEC: u16 = 12;
    /// Came in on a localnet port.
    pub const LOCALNET: u16 = 15;
    /// Came from a tunnel.
    pub const RX_FROM_TUNNEL: u16 = 16;
    /// Tunnel in spite of [`LOCAL_ONLY`].
    pub const OVERRIDE_LOCAL_ONLY: u16 = 18;
    /// Second pass for network functions.
    pub const RECIRC: u16 = 24;
}
