//! The logical action language: what stands in SB Logical_Flow.actions (ovn-sb(5)), as of OVN 26.03, all 82 actions.
//!
//! Entry types: [`parse_actions`] turns text into [`LogicalAction`]s and prerequisites for the match, independent of
//! datapath and chassis; [`encode_actions`] turns these into OpenFlow actions for one datapath, asking its
//! [`EncodeContext`] for everything that lives outside the logical flow. `Display` prints OVN's canonical text.

mod display;
mod encode;
mod options;
mod parse;
mod types;

use std::sync::Arc;

pub use display::ActionsDisplay;
pub use encode::{EncodeContext, EncodeParams, Opcode, Tables, encode_actions};
pub use options::{OptionDef, OptionTable, OptionType};
pub use parse::{ActionParse, parse_actions};
pub use types::*;

use crate::{FieldRef, OvnField};

/// Number of actions that OVN 26.03 has; ovn-northd and ovn-controller compare it as a part of their internal version.
pub const N_ACTIONS: usize = 82;

/// One logical action. Actions that differ in a name or an opcode only share a variant with an `op`.
#[derive(Clone, Debug, PartialEq)]
pub enum LogicalAction {
    /// `output;` deliver to the outport.
    Output,
    /// `next;`
    Next(Next),
    /// `dst = constant;`
    Load {
        /// Destination.
        dst: FieldRef,
        /// What to store.
        value: Immediate,
    },
    /// `dst = src;`
    Move {
        /// Destination.
        dst: FieldRef,
        /// Source, of the same width.
        src: FieldRef,
    },
    /// `a <-> b;`
    Exchange {
        /// Left field.
        a: FieldRef,
        /// Right field, of the same width.
        b: FieldRef,
    },
    /// `push(field);`
    Push(FieldRef),
    /// `pop(field);`
    Pop(FieldRef),
    /// `ip.ttl--;`
    DecTtl,
    /// `icmp4.frag_mtu = N;`
    OvnFieldLoad {
        /// Which pseudo field.
        field: OvnField,
        /// MTU in octets.
        value: u32,
    },
    /// `ct_next(dnat);`, `ct_commit_to_zone(dnat);`, `ct_commit_nat(dnat);`
    CtZone {
        /// Which one.
        op: CtZoneOp,
        /// Zone on a router.
        zone: NatZone,
        /// Logical table to continue in.
        table: u8,
    },
    /// `ct_dnat(...);` and its relatives.
    CtNat(CtNat),
    /// `ct_lb_mark(...);` and its relatives.
    CtLb(Box<CtLb>),
    /// `dst = select(...);`
    Select(Box<Select>),
    /// `ct_clear;`
    CtClear,
    /// Actions with a nested list: `clone { ... };`, `arp { ... };`, `ct_commit { ... };`
    Nest {
        /// Which one.
        op: NestOp,
        /// The list; empty is `drop;`.
        actions: Vec<LogicalAction>,
    },
    /// A visit to a helper table: `flood_remote;`
    Visit(VisitOp),
    /// Handing the packet to ovn-controller: `igmp;`
    Punt(PuntOp),
    /// `get_arp(port, ip);`, `get_nd(port, ip);` set eth.dst from the MAC bindings.
    GetMac {
        /// ARP or ND.
        family: Family,
        /// Outport.
        port: FieldRef,
        /// Next hop.
        ip: FieldRef,
    },
    /// `put_arp(port, ip, mac);`, `put_nd(...);` learn a MAC binding.
    PutMac {
        /// ARP or ND.
        family: Family,
        /// Inport.
        port: FieldRef,
        /// Address to learn.
        ip: FieldRef,
        /// Its Ethernet address.
        mac: FieldRef,
    },
    /// `dst = lookup_arp(port, ip, mac);`, `lookup_nd(...)`: is the binding known?
    LookupMac {
        /// ARP or ND.
        family: Family,
        /// Where the answer goes, one bit.
        dst: FieldRef,
        /// Inport.
        port: FieldRef,
        /// Address.
        ip: FieldRef,
        /// Ethernet address.
        mac: FieldRef,
    },
    /// `dst = lookup_arp_ip(port, ip);`, `lookup_nd_ip(...)`: is any binding of the address known?
    LookupMacIp {
        /// ARP or ND.
        family: Family,
        /// Where the answer goes, one bit.
        dst: FieldRef,
        /// Outport.
        port: FieldRef,
        /// Address.
        ip: FieldRef,
    },
    /// `dst = put_dhcp_opts(...);` and its relatives.
    PutOptions(Box<PutOptions>),
    /// `dst = dhcp_relay_req_chk(relay, server);`
    DhcpRelayCheck(Box<DhcpRelayCheck>),
    /// `set_queue(id);` with id up to 61440.
    SetQueue(u32),
    /// `set_meter(rate, burst);`
    SetMeter {
        /// kbit/s, at least 1.
        rate: u64,
        /// kbit, 0 if not given.
        burst: u64,
    },
    /// `log(...);`
    Log(Box<Log>),
    /// `dst = check_pkt_larger(len);`
    CheckPktLarger {
        /// Where the answer goes, one bit.
        dst: FieldRef,
        /// Octets.
        len: u16,
    },
    /// `trigger_event(event = "empty_lb_backends", ...);`
    TriggerEvent(Vec<OptionValue>),
    /// `bind_vport("vport", parent);`
    BindVport {
        /// Logical port of type virtual.
        vport: Arc<str>,
        /// String field that holds its parent.
        parent: FieldRef,
    },
    /// `handle_svc_check(port);`
    HandleSvcCheck(FieldRef),
    /// `fwd_group(...);`
    FwdGroup(Box<FwdGroup>),
    /// `dst = name();`
    Result {
        /// Which one.
        op: ResultOp,
        /// Where the answer goes.
        dst: FieldRef,
    },
    /// `put_fdb(port, mac);`
    PutFdb {
        /// Inport.
        port: FieldRef,
        /// Ethernet address to learn.
        mac: FieldRef,
    },
    /// `dst = get_fdb(mac);`, `dst = get_remote_fdb(mac);`
    GetFdb {
        /// True for `get_remote_fdb`: the EVPN table.
        remote: bool,
        /// Port field or a 32 bit field.
        dst: FieldRef,
        /// Ethernet address to look for.
        mac: FieldRef,
    },
    /// `dst = lookup_fdb(port, mac);`
    LookupFdb {
        /// Where the answer goes, one bit.
        dst: FieldRef,
        /// Inport.
        port: FieldRef,
        /// Ethernet address.
        mac: FieldRef,
    },
    /// `commit_ecmp_nh(ipv6 = ..., proto = ...);`
    CommitEcmpNh {
        /// Address family of the connection.
        family: Family,
        /// Its protocol.
        proto: L4Proto,
    },
    /// `commit_lb_aff(...);`
    CommitLbAff(Box<CommitLbAff>),
    /// `sample(...);`
    Sample(Box<Sample>),
    /// `mirror("port");`
    Mirror(Arc<str>),
}

impl LogicalAction {
    /// The ovnact's name in lower case, as in `enum ovnact_type` of OVN 26.03: one word per kind, 82 in all.
    pub fn kind(&self) -> &'static str {
        match self {
            LogicalAction::Output => "output",
            LogicalAction::Next(_) => "next",
            LogicalAction::Load { .. } => "load",
            LogicalAction::Move { .. } => "move",
            LogicalAction::Exchange { .. } => "exchange",
            LogicalAction::Push(_) => "push",
            LogicalAction::Pop(_) => "pop",
            LogicalAction::DecTtl => "dec_ttl",
            LogicalAction::OvnFieldLoad { .. } => "ovnfield_load",
            LogicalAction::CtZone { op, .. } => op.name(),
            LogicalAction::CtNat(nat) => nat.op.name(),
            LogicalAction::CtLb(lb) => lb.op.name(),
            LogicalAction::Select(_) => "select",
            LogicalAction::CtClear => "ct_clear",
            LogicalAction::Nest { op, .. } => op.name(),
            LogicalAction::Visit(op) => op.name(),
            LogicalAction::Punt(op) => op.name().trim_end_matches("()"),
            LogicalAction::GetMac { family, .. } => family.pick("get_arp", "get_nd"),
            LogicalAction::PutMac { family, .. } => family.pick("put_arp", "put_nd"),
            LogicalAction::LookupMac { family, .. } => family.pick("lookup_arp", "lookup_nd"),
            LogicalAction::LookupMacIp { family, .. } => family.pick("lookup_arp_ip", "lookup_nd_ip"),
            LogicalAction::PutOptions(put) => put.op.name(),
            LogicalAction::DhcpRelayCheck(check) if check.response => "dhcp_relay_resp_chk",
            LogicalAction::DhcpRelayCheck(_) => "dhcp_relay_req_chk",
            LogicalAction::SetQueue(_) => "set_queue",
            LogicalAction::SetMeter { .. } => "set_meter",
            LogicalAction::Log(_) => "log",
            LogicalAction::CheckPktLarger { .. } => "check_pkt_larger",
            LogicalAction::TriggerEvent(_) => "trigger_event",
            LogicalAction::BindVport { .. } => "bind_vport",
            LogicalAction::HandleSvcCheck(_) => "handle_svc_check",
            LogicalAction::FwdGroup(_) => "fwd_group",
            LogicalAction::Result { op, .. } => op.name(),
            LogicalAction::PutFdb { .. } => "put_fdb",
            LogicalAction::GetFdb { remote: false, .. } => "get_fdb",
            LogicalAction::GetFdb { remote: true, .. } => "get_remote_fdb",
            LogicalAction::LookupFdb { .. } => "lookup_fdb",
            LogicalAction::CommitEcmpNh { .. } => "commit_ecmp_nh",
            LogicalAction::CommitLbAff(_) => "commit_lb_aff",
            LogicalAction::Sample(_) => "sample",
            LogicalAction::Mirror(_) => "mirror",
        }
    }

    /// What ovn-controller warns about when it meets the action, if anything.
    pub fn deprecation(&self) -> Option<&'static str> {
        match self {
            LogicalAction::CtLb(lb) if lb.op == CtLbOp::Label => {
                Some("The \"ct_lb\" action is deprecated please consider using a different action.")
            }
            _ => None,
        }
    }
}
