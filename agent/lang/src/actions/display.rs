//! OVN's canonical action text (`ovnacts_format` of OVN 26.03).
//!
//! Entry type: [`ActionsDisplay`]; single actions implement `Display` themselves.

use std::fmt::{self, Display, Formatter};
use std::net::{IpAddr, Ipv6Addr};

use super::LogicalAction;
use super::types::*;
use crate::{OvnField, quote};

/// Prints a list of actions the way `ovnacts_format` does; an empty list is `drop;`.
pub struct ActionsDisplay<'a>(pub &'a [LogicalAction]);

impl Display for ActionsDisplay<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Some((first, rest)) = self.0.split_first() else {
            return f.write_str("drop;");
        };
        first.fmt(f)?;
        rest.iter().try_for_each(|action| write!(f, " {action}"))
    }
}

impl Display for LogicalAction {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            LogicalAction::Output => f.write_str("output;"),
            LogicalAction::Next(next) => next.fmt(f),
            LogicalAction::Load { dst, value } => match value {
                Immediate::Integer(value) => write!(f, "{dst} = {value};"),
                Immediate::Port(name) => write!(f, "{dst} = {};", quote(name)),
            },
            LogicalAction::Move { dst, src } => write!(f, "{dst} = {src};"),
            LogicalAction::Exchange { a, b } => write!(f, "{a} <-> {b};"),
            LogicalAction::Push(field) => write!(f, "push({field});"),
            LogicalAction::Pop(field) => write!(f, "pop({field});"),
            LogicalAction::DecTtl => f.write_str("ip.ttl--;"),
            LogicalAction::OvnFieldLoad { field, value } => {
                // OVN prints the low or, for ICMPv6, the high 16 bits of the value; the whole value can be parsed again.
                let name = match field {
                    OvnField::Icmp4FragMtu => "icmp4.frag_mtu",
                    OvnField::Icmp6FragMtu => "icmp6.frag_mtu",
                };
                write!(f, "{name} = {value};")
            }
            LogicalAction::CtZone { op, zone, .. } => write!(f, "{}({});", op.name(), zone.name()),
            LogicalAction::CtNat(nat) => nat.fmt(f),
            LogicalAction::CtLb(lb) => lb.fmt(f),
            LogicalAction::Select(select) => select.fmt(f),
            LogicalAction::CtClear => f.write_str("ct_clear;"),
            LogicalAction::Nest { op: NestOp::CtCommit, actions } if actions.is_empty() => f.write_str("ct_commit;"),
            LogicalAction::Nest { op, actions } => write!(f, "{} {{ {} }};", op.name(), ActionsDisplay(actions)),
            LogicalAction::Visit(op) => write!(f, "{};", op.name()),
            LogicalAction::Punt(op) => write!(f, "{};", op.name()),
            LogicalAction::SetQueue(id) => write!(f, "set_queue({id});"),
            LogicalAction::SetMeter { rate, burst: 0 } => write!(f, "set_meter({rate});"),
            LogicalAction::SetMeter { rate, burst } => write!(f, "set_meter({rate}, {burst});"),
            LogicalAction::Log(log) => log.fmt(f),
            LogicalAction::CheckPktLarger { dst, len } => write!(f, "{dst} = check_pkt_larger({len});"),
            LogicalAction::FwdGroup(group) => group.fmt(f),
            LogicalAction::CommitLbAff(affinity) => affinity.fmt(f),
            LogicalAction::Sample(sample) => sample.fmt(f),
            LogicalAction::Mirror(port) => write!(f, "mirror(\"{port}\");"),
            LogicalAction::CommitEcmpNh { family, proto } => {
                let ipv6 = family.pick("false", "true");
                write!(f, "commit_ecmp_nh(ipv6 = {ipv6}, proto = {});", proto.name())
            }
            _ => self.fmt_call(f),
        }
    }
}

impl LogicalAction {
    /// The actions that read as function calls over fields.
    fn fmt_call(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let kind = self.kind();
        match self {
            LogicalAction::GetMac { port, ip, .. } => write!(f, "{kind}({port}, {ip});"),
            LogicalAction::PutMac { port, ip, mac, .. } => write!(f, "{kind}({port}, {ip}, {mac});"),
            LogicalAction::LookupMac { dst, port, ip, mac, .. } => write!(f, "{dst} = {kind}({port}, {ip}, {mac});"),
            LogicalAction::LookupMacIp { dst, port, ip, .. } => write!(f, "{dst} = {kind}({port}, {ip});"),
            LogicalAction::PutOptions(put) => {
                write!(f, "{} = {kind}(", put.dst)?;
                for (i, option) in put.options.iter().enumerate() {
                    write!(f, "{}{option}", if i > 0 { ", " } else { "" })?;
                }
                f.write_str(");")
            }
            LogicalAction::DhcpRelayCheck(check) => {
                write!(f, "{} = {kind}({}, {});", check.dst, check.relay, check.server)
            }
            LogicalAction::TriggerEvent(options) => {
                write!(f, "{kind}(event = \"empty_lb_backends\"")?;
                options.iter().try_for_each(|option| write!(f, ", {option}"))?;
                f.write_str(");")
            }
            LogicalAction::BindVport { vport, parent } => write!(f, "{kind}(\"{vport}\", {parent});"),
            LogicalAction::HandleSvcCheck(port) => write!(f, "{kind}({port});"),
            LogicalAction::Result { dst, .. } => write!(f, "{dst} = {kind}();"),
            LogicalAction::PutFdb { port, mac } => write!(f, "{kind}({port}, {mac});"),
            LogicalAction::GetFdb { dst, mac, .. } => write!(f, "{dst} = {kind}({mac});"),
            LogicalAction::LookupFdb { dst, port, mac } => write!(f, "{dst} = {kind}({port}, {mac});"),
            // Everything else is printed by `Display` itself.
            _ => Ok(()),
        }
    }
}

impl Display for OptionValue {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} = {}", self.def.name, self.value)
    }
}

impl Display for Next {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.pipeline != self.source_pipeline {
            write!(f, "next(pipeline={}, table={});", self.pipeline.name(), self.table)
        } else if self.table != self.source_table.saturating_add(1) {
            write!(f, "next({});", self.table)
        } else {
            f.write_str("next;")
        }
    }
}

impl Display for CtNat {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(self.op.name())?;
        if let Some(addr) = self.addr {
            write!(f, "({}", IpText(addr))?;
            match self.ports {
                None => {}
                Some((low, None)) => write!(f, ",{low}")?,
                Some((low, Some(high))) => write!(f, ",{low}-{high}")?,
            }
            f.write_str(")")?;
        }
        f.write_str(";")
    }
}

impl Display for CtLb {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(self.op.name())?;
        if self.backends.is_empty() {
            return f.write_str(";");
        }
        f.write_str("(backends=")?;
        for (i, backend) in self.backends.iter().enumerate() {
            if i > 0 {
                f.write_str(",")?;
            }
            if let Some(lport) = &backend.lport {
                write!(f, "\"{lport}\":")?;
            }
            write!(f, "{}", Endpoint(backend.ip, backend.port))?;
        }
        if let Some(fields) = &self.hash_fields {
            write!(f, "; hash_fields=\"{fields}\"")?;
        }
        f.write_str(match self.flag {
            CtLbFlag::None => ");",
            CtLbFlag::SkipSnat => "; skip_snat);",
            CtLbFlag::ForceSnat => "; force_snat);",
        })
    }
}

impl Display for Select {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let hashed = self.hash_fields.is_some();
        write!(f, "{} = select({}", self.dst, if hashed { "values=(" } else { "" })?;
        for (i, (id, weight)) in self.members.iter().enumerate() {
            write!(f, "{}{id}={weight}", if i > 0 { ", " } else { "" })?;
        }
        match &self.hash_fields {
            None => f.write_str(");"),
            Some(fields) => write!(f, "); hash_fields=\"{fields}\");"),
        }
    }
}

impl Display for Log {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("log(")?;
        if let Some(name) = &self.name {
            write!(f, "name=\"{name}\", ")?;
        }
        write!(f, "verdict={}, severity={}", self.verdict.name(), self.severity.name())?;
        if let Some(meter) = &self.meter {
            write!(f, ", meter=\"{meter}\"")?;
        }
        f.write_str(");")
    }
}

impl Display for FwdGroup {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("fwd_group(")?;
        if self.liveness {
            f.write_str("liveness=\"true\", ")?;
        }
        for (i, child) in self.children.iter().enumerate() {
            write!(f, "{}\"{child}\"", if i > 0 { ", " } else { "childports=" })?;
        }
        f.write_str(");")
    }
}

impl Display for CommitLbAff {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let endpoint = |ip, port| match (ip, port) {
            // OVN puts brackets around IPv6 even without a port.
            (IpAddr::V6(ip), 0) => format!("[{}]", Ipv6Text(ip)),
            _ => Endpoint(ip, port).to_string(),
        };
        let (vip, backend) = (endpoint(self.vip, self.vip_port), endpoint(self.backend, self.backend_port));
        write!(f, "commit_lb_aff(vip = \"{vip}\", backend = \"{backend}\"")?;
        if let Some(proto) = self.proto {
            write!(f, ", proto = {}", proto.name())?;
        }
        write!(f, ", timeout = {});", self.timeout)
    }
}

impl Display for Sample {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Sample { probability, collector_set, obs_domain, .. } = self;
        write!(f, "sample(probability={probability},collector_set={collector_set},obs_domain={obs_domain},obs_point=")?;
        match &self.obs_point {
            ObsPoint::Number(number) => write!(f, "{number});"),
            ObsPoint::Cookie => f.write_str("$cookie);"),
            ObsPoint::Field(field) => write!(f, "{field});"),
        }
    }
}

/// `address`, `address:port` or `[address]:port`; port 0 is none.
pub(super) struct Endpoint(pub(super) IpAddr, pub(super) u16);

impl Display for Endpoint {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match (self.0, self.1) {
            (ip, 0) => write!(f, "{}", IpText(ip)),
            (IpAddr::V4(ip), port) => write!(f, "{ip}:{port}"),
            (IpAddr::V6(ip), port) => write!(f, "[{}]:{port}", Ipv6Text(ip)),
        }
    }
}

/// An address as inet_ntop() prints it.
struct IpText(IpAddr);

impl Display for IpText {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.0 {
            IpAddr::V4(ip) => ip.fmt(f),
            IpAddr::V6(ip) => Ipv6Text(ip).fmt(f),
        }
    }
}

/// An IPv6 address as inet_ntop() prints it: other than Rust, it also writes `::1.2.3.4` for IPv4-compatible addresses.
struct Ipv6Text(Ipv6Addr);

impl Display for Ipv6Text {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match (self.0.segments(), self.0.to_ipv4()) {
            ([0, 0, 0, 0, 0, 0, high, _], Some(ip)) if high != 0 => write!(f, "::{ip}"),
            _ => self.0.fmt(f),
        }
    }
}
