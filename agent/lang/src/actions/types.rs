//! The payloads of [`LogicalAction`](super::LogicalAction): parsed, independent of datapath and chassis.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use super::options::OptionDef;
use crate::{ConstantSet, FieldRef, Integer};

/// The two logical pipelines of a datapath.
#[derive(Copy, Clone, Debug, Eq, PartialEq, Hash)]
pub enum Pipeline {
    /// `ingress`: from the inport to the choice of outport.
    Ingress,
    /// `egress`: from the outport to delivery.
    Egress,
}

impl Pipeline {
    /// Number of logical tables (OVN 26.03: `LOG_PIPELINE_INGRESS_LEN`, `LOG_PIPELINE_EGRESS_LEN`).
    pub fn n_tables(self) -> u8 {
        match self {
            Pipeline::Ingress => 34,
            Pipeline::Egress => 16,
        }
    }

    /// OVN's word for it.
    pub fn name(self) -> &'static str {
        match self {
            Pipeline::Ingress => "ingress",
            Pipeline::Egress => "egress",
        }
    }
}

/// `next`: continue in another logical table.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct Next {
    /// Pipeline to go to.
    pub pipeline: Pipeline,
    /// Logical table to go to.
    pub table: u8,
    /// Pipeline the action stands in; only the canonical text needs it.
    pub source_pipeline: Pipeline,
    /// Logical table the action stands in; only the canonical text needs it.
    pub source_table: u8,
}

/// Right-hand side of `field = constant`.
#[derive(Clone, Debug, PartialEq)]
pub enum Immediate {
    /// A number, perhaps masked.
    Integer(Integer),
    /// A logical port or multicast group, resolved when encoding.
    Port(Arc<str>),
}

/// Which of a router's two conntrack zones is meant; a switch has one zone per port and ignores it.
#[derive(Copy, Clone, Debug, Eq, PartialEq, Hash)]
pub enum NatZone {
    /// reg11.
    Dnat,
    /// reg12.
    Snat,
}

impl NatZone {
    /// OVN's word for it.
    pub fn name(self) -> &'static str {
        match self {
            NatZone::Dnat => "dnat",
            NatZone::Snat => "snat",
        }
    }
}

/// The conntrack actions that take a zone name and recirculate to the next table.
#[derive(Copy, Clone, Debug, Eq, PartialEq, Hash)]
pub enum CtZoneOp {
    /// `ct_next`: track.
    Next,
    /// `ct_commit_to_zone`: commit.
    CommitToZone,
    /// `ct_commit_nat`: commit, with NAT as already set up.
    CommitNat,
}

impl CtZoneOp {
    /// OVN's keyword.
    pub fn name(self) -> &'static str {
        match self {
            CtZoneOp::Next => "ct_next",
            CtZoneOp::CommitToZone => "ct_commit_to_zone",
            CtZoneOp::CommitNat => "ct_commit_nat",
        }
    }
}

/// The four NAT actions.
#[derive(Copy, Clone, Debug, Eq, PartialEq, Hash)]
pub enum CtNatOp {
    /// `ct_dnat`.
    Dnat,
    /// `ct_snat`.
    Snat,
    /// `ct_dnat_in_czone`: in the zone common to both directions.
    DnatInCzone,
    /// `ct_snat_in_czone`.
    SnatInCzone,
}

impl CtNatOp {
    /// OVN's keyword.
    pub fn name(self) -> &'static str {
        match self {
            CtNatOp::Dnat => "ct_dnat",
            CtNatOp::Snat => "ct_snat",
            CtNatOp::DnatInCzone => "ct_dnat_in_czone",
            CtNatOp::SnatInCzone => "ct_snat_in_czone",
        }
    }
}

/// `ct_dnat(...)` and its relatives.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CtNat {
    /// Which one.
    pub op: CtNatOp,
    /// New address; without one the packet is tracked and an existing translation applied.
    pub addr: Option<IpAddr>,
    /// First and, if given, last port of the range to choose from.
    pub ports: Option<(u16, Option<u16>)>,
    /// Logical table to continue in.
    pub table: u8,
}

/// The three load-balancing actions.
#[derive(Copy, Clone, Debug, Eq, PartialEq, Hash)]
pub enum CtLbOp {
    /// `ct_lb`: flags in ct_label (deprecated).
    Label,
    /// `ct_lb_mark`: flags in ct_mark.
    Mark,
    /// `ct_lb_mark_local`: only backends bound here.
    MarkLocal,
}

impl CtLbOp {
    /// OVN's keyword.
    pub fn name(self) -> &'static str {
        match self {
            CtLbOp::Label => "ct_lb",
            CtLbOp::Mark => "ct_lb_mark",
            CtLbOp::MarkLocal => "ct_lb_mark_local",
        }
    }
}

/// Which SNAT hint a load-balanced connection carries.
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq, Hash)]
pub enum CtLbFlag {
    /// No hint.
    #[default]
    None,
    /// `skip_snat`.
    SkipSnat,
    /// `force_snat`.
    ForceSnat,
}

/// One backend of a load-balancing action.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Backend {
    /// Logical port the backend lives on (`ct_lb_mark_local` only).
    pub lport: Option<Box<str>>,
    /// Address.
    pub ip: IpAddr,
    /// Port; 0 leaves the packet's port alone.
    pub port: u16,
}

/// `ct_lb_mark(...)` and its relatives.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CtLb {
    /// Which one.
    pub op: CtLbOp,
    /// Logical table to continue in.
    pub table: u8,
    /// Backends in textual order; empty means "apply the connection's translation".
    pub backends: Vec<Backend>,
    /// OVS field list for `selection_method=hash`; otherwise dp_hash.
    pub hash_fields: Option<Box<str>>,
    /// SNAT hint.
    pub flag: CtLbFlag,
}

/// `field = select(...)`.
#[derive(Clone, Debug, PartialEq)]
pub struct Select {
    /// Where the chosen id goes.
    pub dst: FieldRef,
    /// Logical table to continue in.
    pub table: u8,
    /// (id, weight), at least two.
    pub members: Vec<(u16, u16)>,
    /// OVS field list for `selection_method=hash`; otherwise dp_hash.
    pub hash_fields: Option<Box<str>>,
}

/// Actions with a nested list in braces.
#[derive(Copy, Clone, Debug, Eq, PartialEq, Hash)]
pub enum NestOp {
    /// `ct_commit { ... }`: commit with mark and label.
    CtCommit,
    /// `clone { ... }`.
    Clone,
    /// `arp { ... }`: ask for the next hop's address.
    Arp,
    /// `nd_ns { ... }`.
    NdNs,
    /// `nd_na { ... }`: answer a neighbour solicitation.
    NdNa,
    /// `nd_na_router { ... }`: the same with the router flag.
    NdNaRouter,
    /// `icmp4 { ... }`.
    Icmp4,
    /// `icmp4_error { ... }`.
    Icmp4Error,
    /// `icmp6 { ... }`.
    Icmp6,
    /// `icmp6_error { ... }`.
    Icmp6Error,
    /// `tcp_reset { ... }`.
    TcpReset,
    /// `sctp_abort { ... }`.
    SctpAbort,
    /// `reject { ... }`: TCP reset, SCTP abort or ICMP unreachable as fits.
    Reject,
}

impl NestOp {
    /// OVN's keyword.
    pub fn name(self) -> &'static str {
        match self {
            NestOp::CtCommit => "ct_commit",
            NestOp::Clone => "clone",
            NestOp::Arp => "arp",
            NestOp::NdNs => "nd_ns",
            NestOp::NdNa => "nd_na",
            NestOp::NdNaRouter => "nd_na_router",
            NestOp::Icmp4 => "icmp4",
            NestOp::Icmp4Error => "icmp4_error",
            NestOp::Icmp6 => "icmp6",
            NestOp::Icmp6Error => "icmp6_error",
            NestOp::TcpReset => "tcp_reset",
            NestOp::SctpAbort => "sctp_abort",
            NestOp::Reject => "reject",
        }
    }

    /// The prerequisite that replaces those of the nested actions; `None` if these count themselves.
    pub(crate) fn prerequisite(self) -> Option<&'static str> {
        match self {
            NestOp::Clone | NestOp::Reject => None,
            NestOp::CtCommit | NestOp::Arp | NestOp::NdNs => Some("ip"),
            NestOp::NdNa | NestOp::NdNaRouter => Some("nd_ns"),
            NestOp::Icmp4 | NestOp::Icmp4Error => Some("ip4"),
            NestOp::Icmp6 | NestOp::Icmp6Error => Some("ip6"),
            NestOp::TcpReset => Some("tcp"),
            NestOp::SctpAbort => Some("sctp"),
        }
    }
}

/// Actions that are just a visit to a helper table.
#[derive(Copy, Clone, Debug, Eq, PartialEq, Hash)]
pub enum VisitOp {
    /// `ct_snat_to_vip`.
    CtSnatToVip,
    /// `mac_cache_use`.
    MacCacheUse,
    /// `flood_remote`.
    FloodRemote,
}

impl VisitOp {
    /// OVN's keyword.
    pub fn name(self) -> &'static str {
        match self {
            VisitOp::CtSnatToVip => "ct_snat_to_vip",
            VisitOp::MacCacheUse => "mac_cache_use",
            VisitOp::FloodRemote => "flood_remote",
        }
    }
}

/// Actions that hand the packet to ovn-controller without arguments.
#[derive(Copy, Clone, Debug, Eq, PartialEq, Hash)]
pub enum PuntOp {
    /// `igmp`.
    Igmp,
    /// `handle_dhcpv6_reply`.
    Dhcpv6Reply,
    /// `handle_bfd_msg()`.
    BfdMsg,
}

impl PuntOp {
    /// Text before the semicolon.
    pub fn name(self) -> &'static str {
        match self {
            PuntOp::Igmp => "igmp",
            PuntOp::Dhcpv6Reply => "handle_dhcpv6_reply",
            PuntOp::BfdMsg => "handle_bfd_msg()",
        }
    }
}

/// `field = name()` actions.
#[derive(Copy, Clone, Debug, Eq, PartialEq, Hash)]
pub enum ResultOp {
    /// `dns_lookup`: answered by ovn-controller.
    DnsLookup,
    /// `chk_lb_hairpin`.
    ChkLbHairpin,
    /// `chk_lb_hairpin_reply`.
    ChkLbHairpinReply,
    /// `check_in_port_sec`.
    CheckInPortSec,
    /// `check_out_port_sec`.
    CheckOutPortSec,
    /// `chk_ecmp_nh_mac`.
    ChkEcmpNhMac,
    /// `chk_ecmp_nh`.
    ChkEcmpNh,
    /// `chk_lb_aff`.
    ChkLbAff,
    /// `ct_nw_dst`: original IPv4 destination of the connection.
    CtNwDst,
    /// `ct_ip6_dst`.
    CtIp6Dst,
    /// `ct_tp_dst`.
    CtTpDst,
    /// `ct_proto`.
    CtProto,
    /// `ct_state_save`.
    CtStateSave,
}

impl ResultOp {
    /// All of them.
    pub const ALL: [ResultOp; 13] = [
        ResultOp::DnsLookup,
        ResultOp::ChkLbHairpin,
        ResultOp::ChkLbHairpinReply,
        ResultOp::CheckInPortSec,
        ResultOp::CheckOutPortSec,
        ResultOp::ChkEcmpNhMac,
        ResultOp::ChkEcmpNh,
        ResultOp::ChkLbAff,
        ResultOp::CtNwDst,
        ResultOp::CtIp6Dst,
        ResultOp::CtTpDst,
        ResultOp::CtProto,
        ResultOp::CtStateSave,
    ];

    /// OVN's keyword.
    pub fn name(self) -> &'static str {
        match self {
            ResultOp::DnsLookup => "dns_lookup",
            ResultOp::ChkLbHairpin => "chk_lb_hairpin",
            ResultOp::ChkLbHairpinReply => "chk_lb_hairpin_reply",
            ResultOp::CheckInPortSec => "check_in_port_sec",
            ResultOp::CheckOutPortSec => "check_out_port_sec",
            ResultOp::ChkEcmpNhMac => "chk_ecmp_nh_mac",
            ResultOp::ChkEcmpNh => "chk_ecmp_nh",
            ResultOp::ChkLbAff => "chk_lb_aff",
            ResultOp::CtNwDst => "ct_nw_dst",
            ResultOp::CtIp6Dst => "ct_ip6_dst",
            ResultOp::CtTpDst => "ct_tp_dst",
            ResultOp::CtProto => "ct_proto",
            ResultOp::CtStateSave => "ct_state_save",
        }
    }

    /// Width the destination must have, in bits.
    pub fn n_bits(self) -> u16 {
        match self {
            ResultOp::CtNwDst => 32,
            ResultOp::CtIp6Dst => 128,
            ResultOp::CtTpDst => 16,
            ResultOp::CtProto | ResultOp::CtStateSave => 8,
            _ => 1,
        }
    }
}

/// IPv4 or IPv6, where an action exists once for each.
#[derive(Copy, Clone, Debug, Eq, PartialEq, Hash)]
pub enum Family {
    /// ARP, 32 bit addresses.
    V4,
    /// ND, 128 bit addresses.
    V6,
}

impl Family {
    /// Width of an address, in bits.
    pub fn n_bits(self) -> u16 {
        match self {
            Family::V4 => 32,
            Family::V6 => 128,
        }
    }

    /// One of two names.
    pub(crate) fn pick(self, v4: &'static str, v6: &'static str) -> &'static str {
        match self {
            Family::V4 => v4,
            Family::V6 => v6,
        }
    }
}

/// The option-writing actions.
#[derive(Copy, Clone, Debug, Eq, PartialEq, Hash)]
pub enum PutOptionsOp {
    /// `put_dhcp_opts`.
    Dhcpv4,
    /// `put_dhcpv6_opts`.
    Dhcpv6,
    /// `put_nd_ra_opts`.
    NdRa,
}

impl PutOptionsOp {
    /// OVN's keyword.
    pub fn name(self) -> &'static str {
        match self {
            PutOptionsOp::Dhcpv4 => "put_dhcp_opts",
            PutOptionsOp::Dhcpv6 => "put_dhcpv6_opts",
            PutOptionsOp::NdRa => "put_nd_ra_opts",
        }
    }
}

/// `name = value` among the arguments of an option-writing action.
#[derive(Clone, Debug, PartialEq)]
pub struct OptionValue {
    /// Which option.
    pub def: Arc<OptionDef>,
    /// Its value, at least one constant.
    pub value: ConstantSet,
}

/// `field = put_dhcp_opts(...)` and its relatives.
#[derive(Clone, Debug, PartialEq)]
pub struct PutOptions {
    /// Which one.
    pub op: PutOptionsOp,
    /// Where success goes, one bit.
    pub dst: FieldRef,
    /// In textual order.
    pub options: Vec<OptionValue>,
}

/// `field = dhcp_relay_req_chk(relay, server)` and the check of the response.
#[derive(Clone, Debug, PartialEq)]
pub struct DhcpRelayCheck {
    /// True for `dhcp_relay_resp_chk`.
    pub response: bool,
    /// Where success goes, one bit.
    pub dst: FieldRef,
    /// Our address as relay.
    pub relay: Ipv4Addr,
    /// The server's address.
    pub server: Ipv4Addr,
}

/// What an ACL decided (OVN: `enum log_verdict`).
#[derive(Copy, Clone, Debug, Eq, PartialEq, Hash)]
#[repr(u8)]
pub enum Verdict {
    /// `allow`.
    Allow = 0,
    /// `drop`.
    Drop = 1,
    /// `reject`.
    Reject = 2,
    /// `pass`.
    Pass = 3,
}

impl Verdict {
    /// All of them.
    pub const ALL: [Verdict; 4] = [Verdict::Allow, Verdict::Drop, Verdict::Reject, Verdict::Pass];

    /// OVN's word for it.
    pub fn name(self) -> &'static str {
        match self {
            Verdict::Allow => "allow",
            Verdict::Drop => "drop",
            Verdict::Reject => "reject",
            Verdict::Pass => "pass",
        }
    }
}

/// Severity of an ACL log line; values are those of RFC 5424.
#[derive(Copy, Clone, Debug, Eq, PartialEq, Hash)]
#[repr(u8)]
pub enum Severity {
    /// `alert`.
    Alert = 1,
    /// `warning`.
    Warning = 4,
    /// `notice`.
    Notice = 5,
    /// `info`.
    Info = 6,
    /// `debug`.
    Debug = 7,
}

impl Severity {
    /// All of them.
    pub const ALL: [Severity; 5] =
        [Severity::Alert, Severity::Warning, Severity::Notice, Severity::Info, Severity::Debug];

    /// OVN's word for it.
    pub fn name(self) -> &'static str {
        match self {
            Severity::Alert => "alert",
            Severity::Warning => "warning",
            Severity::Notice => "notice",
            Severity::Info => "info",
            Severity::Debug => "debug",
        }
    }
}

/// `log(...)`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Log {
    /// Name of the ACL, under 64 octets.
    pub name: Option<Box<str>>,
    /// What was decided.
    pub verdict: Verdict,
    /// How loud.
    pub severity: Severity,
    /// SB meter that limits the packets sent up.
    pub meter: Option<Box<str>>,
}

/// `fwd_group(...)`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FwdGroup {
    /// Leave out children whose tunnel is down.
    pub liveness: bool,
    /// Logical ports to choose from.
    pub children: Vec<Box<str>>,
}

/// The L4 protocols OVN knows ports of.
#[derive(Copy, Clone, Debug, Eq, PartialEq, Hash)]
#[repr(u8)]
pub enum L4Proto {
    /// TCP.
    Tcp = 6,
    /// UDP.
    Udp = 17,
    /// SCTP.
    Sctp = 132,
}

impl L4Proto {
    /// All of them.
    pub const ALL: [L4Proto; 3] = [L4Proto::Tcp, L4Proto::Udp, L4Proto::Sctp];

    /// OVN's word for it.
    pub fn name(self) -> &'static str {
        match self {
            L4Proto::Tcp => "tcp",
            L4Proto::Udp => "udp",
            L4Proto::Sctp => "sctp",
        }
    }
}

/// `commit_lb_aff(...)`: remember which backend a client was given.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CommitLbAff {
    /// The virtual address, of the backend's family.
    pub vip: IpAddr,
    /// Its port, 0 if all ports.
    pub vip_port: u16,
    /// The chosen backend.
    pub backend: IpAddr,
    /// Its port, 0 if unchanged.
    pub backend_port: u16,
    /// Protocol, present exactly if the vip has a port.
    pub proto: Option<L4Proto>,
    /// Idle timeout in seconds.
    pub timeout: u16,
}

/// Where the observation point of a sample comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum ObsPoint {
    /// A number.
    Number(u32),
    /// `$cookie`: the first 32 bits of the lflow's UUID.
    Cookie,
    /// A 32 bit field.
    Field(FieldRef),
}

/// `sample(...)`.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Of 65535, at least 1.
    pub probability: u16,
    /// Flow_Sample_Collector_Set id.
    pub collector_set: u32,
    /// Upper 8 bits of the observation domain; the datapath key is the rest.
    pub obs_domain: u8,
    /// Observation point.
    pub obs_point: ObsPoint,
}
