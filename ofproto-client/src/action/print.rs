//! Actions as `ovs-ofctl` prints them. `Display` of [`Action`] and [`ActionList`].
//!
//! Source: the `format_*` functions of `lib/ofp-actions.c`, `lib/learn.c`, `lib/bundle.c`, Open vSwitch 3.7.

use std::fmt::{self, Write};

use super::{
    ALG_FTP, ALG_TFTP, Action, ActionList, Bundle, Controller, Ct, CtZone, Learn, LearnDst, LearnSrc, Nat, NatAddr,
    PORT_IN_PORT, PORT_NONE, REASON_ACTION, Sample, SampleId,
};
use crate::digits::{write_bytes, write_dec};
use crate::text::{PORT_MAX, port_to_16, write_hex, write_ipv4, write_ipv6, write_port, write_value};

/// `OFPP_CONTROLLER`, 16 bits.
const PORT_CONTROLLER: u16 = 0xfffd;

/// Names of [`Bundle::fields`].
pub(super) const HASH_FIELDS: [&str; 7] =
    ["eth_src", "symmetric_l4", "symmetric_l3l4", "symmetric_l3l4+udp", "nw_src", "nw_dst", "symmetric_l3"];
/// Names of [`Bundle::algorithm`].
pub(super) const BUNDLE_ALGORITHMS: [&str; 2] = ["active_backup", "hrw"];
/// Names of [`Controller::reason`].
pub(super) const REASONS: [&str; 6] = ["no_match", "action", "invalid_ttl", "action_set", "group", "packet_out"];

/// The actions, comma-separated; nothing for none.
fn write_actions<F: Write>(f: &mut F, actions: &[Action]) -> fmt::Result {
    for (i, action) in actions.iter().enumerate() {
        if i > 0 {
            f.write_char(',')?;
        }
        write_action(f, action)?;
    }
    Ok(())
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_action(f, self)
    }
}

/// `ovs-ofctl`'s text, `drop` for the empty list.
impl fmt::Display for ActionList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("drop");
        }
        match self.decode() {
            Ok(actions) => write_actions(f, &actions),
            Err(error) => write!(f, "<{error}>"),
        }
    }
}

impl fmt::Debug for ActionList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn write_action<F: Write>(f: &mut F, action: &Action) -> fmt::Result {
    match action {
        Action::Output { port, max_len } => write_output(f, *port, *max_len),
        Action::OutputReg { src, .. } => write!(f, "output:{src}"),
        Action::Group(id) => write!(f, "group:{id}"),
        Action::PushVlan(tpid) => write!(f, "push_vlan:{tpid:#x}"),
        Action::PopVlan => f.write_str("pop_vlan"),
        Action::SetQueue(queue) => write!(f, "set_queue:{queue}"),
        Action::SetTtl(ttl) => write!(f, "mod_nw_ttl:{ttl}"),
        Action::DecTtl(ids) if ids.as_slice() == [0] => f.write_str("dec_ttl"),
        Action::DecTtl(ids) => {
            f.write_str("dec_ttl(")?;
            write_list(f, ids, |f, id| write!(f, "{id}"))?;
            f.write_char(')')
        }
        Action::SetField { field, value, mask } => {
            f.write_str("set_field:")?;
            write_value(f, *field, *value & *mask & field.all_ones(), *mask)?;
            f.write_str("->")?;
            f.write_str(field.name())
        }
        Action::Move { src, dst } => write!(f, "move:{src}->{dst}"),
        Action::Meter(id) => write!(f, "meter:{id}"),
        Action::Note(bytes) => {
            f.write_str("note:")?;
            write_hex_bytes(f, bytes)
        }
        Action::Bundle(bundle) => write_bundle(f, bundle),
        Action::Resubmit { in_port, table, with_ct } => write_resubmit(f, *in_port, *table, *with_ct),
        Action::Learn(learn) => write_learn(f, learn),
        Action::StackPush(subfield) => write!(f, "push:{subfield}"),
        Action::StackPop(subfield) => write!(f, "pop:{subfield}"),
        Action::Sample(sample) => write_sample(f, sample),
        Action::Conjunction { clause, n_clauses, id } => {
            write!(f, "conjunction({id},{}/{n_clauses})", u16::from(*clause) + 1)
        }
        Action::Ct(ct) => write_ct(f, ct),
        Action::Nat(nat) => write_nat(f, nat),
        Action::Controller(controller) => write_controller(f, controller),
        Action::Clone(actions) if actions.is_empty() => f.write_str("clone(drop)"),
        Action::Clone(actions) => {
            f.write_str("clone(")?;
            write_actions(f, actions)?;
            f.write_char(')')
        }
        Action::CtClear => f.write_str("ct_clear"),
        Action::CheckPktLarger { pkt_len, dst } => write!(f, "check_pkt_larger({pkt_len})->{dst}"),
    }
}

fn write_list<F: Write, T>(f: &mut F, list: &[T], each: impl Fn(&mut F, &T) -> fmt::Result) -> fmt::Result {
    for (i, item) in list.iter().enumerate() {
        if i > 0 {
            f.write_char(',')?;
        }
        each(f, item)?;
    }
    Ok(())
}

fn write_hex_bytes<F: Write>(f: &mut F, bytes: &[u8]) -> fmt::Result {
    write_bytes(f, bytes, b'.')
}

fn write_output<F: Write>(f: &mut F, port: u32, max_len: u16) -> fmt::Result {
    let Some(port) = port_to_16(port) else {
        return write!(f, "output:{port}");
    };
    if port < PORT_MAX {
        f.write_str("output:")?;
    }
    write_port(f, port)?;
    if port == PORT_CONTROLLER { write!(f, ":{max_len}") } else { Ok(()) }
}

fn write_resubmit<F: Write>(f: &mut F, in_port: u16, table: u8, with_ct: bool) -> fmt::Result {
    if in_port != PORT_IN_PORT && table == 255 && !with_ct {
        f.write_str("resubmit:")?;
        return write_port(f, in_port);
    }
    f.write_str("resubmit(")?;
    if in_port != PORT_IN_PORT {
        write_port(f, in_port)?;
    }
    f.write_char(',')?;
    if table != 255 {
        write_dec(f, u128::from(table))?;
    }
    f.write_str(if with_ct { ",ct)" } else { ")" })
}

fn write_bundle<F: Write>(f: &mut F, bundle: &Bundle) -> fmt::Result {
    let fields = HASH_FIELDS.get(usize::from(bundle.fields)).unwrap_or(&"<unknown>");
    let algorithm = BUNDLE_ALGORITHMS.get(usize::from(bundle.algorithm)).unwrap_or(&"<unknown>");
    let name = if bundle.dst.is_some() { "bundle_load" } else { "bundle" };
    write!(f, "{name}({fields},{},{algorithm},ofport,", bundle.basis)?;
    if let Some(dst) = bundle.dst {
        write!(f, "{dst},")?;
    }
    f.write_str("members:")?;
    write_list(f, &bundle.members, |f, port| write_port(f, *port))?;
    f.write_char(')')
}

fn write_learn<F: Write>(f: &mut F, learn: &Learn) -> fmt::Result {
    write!(f, "learn(table={}", learn.table)?;
    for (name, value) in [
        ("idle_timeout", learn.idle_timeout),
        ("hard_timeout", learn.hard_timeout),
        ("fin_idle_timeout", learn.fin_idle),
        ("fin_hard_timeout", learn.fin_hard),
    ] {
        if value != 0 {
            write!(f, ",{name}={value}")?;
        }
    }
    if learn.priority != 32768 {
        write!(f, ",priority={}", learn.priority)?;
    }
    if learn.flags & super::LEARN_SEND_FLOW_REM != 0 {
        f.write_str(",send_flow_rem")?;
    }
    if learn.flags & super::LEARN_DELETE_LEARNED != 0 {
        f.write_str(",delete_learned")?;
    }
    if learn.cookie != 0 {
        write!(f, ",cookie={:#x}", learn.cookie)?;
    }
    if learn.limit != 0 {
        write!(f, ",limit={}", learn.limit)?;
    }
    for spec in &learn.specs {
        f.write_char(',')?;
        match (spec.src, spec.dst) {
            (LearnSrc::Imm(value), LearnDst::Match(dst)) if dst.ofs == 0 && dst.n_bits == dst.field.n_bits() => {
                write!(f, "{}=", dst.field.name())?;
                write_value(f, dst.field, value, u128::MAX)?;
            }
            (LearnSrc::Imm(value), LearnDst::Match(dst)) => {
                write!(f, "{dst}=")?;
                write_learn_imm(f, value)?;
            }
            (LearnSrc::Field(src), LearnDst::Match(dst)) => {
                write!(f, "{dst}")?;
                if (src.field, src.ofs) != (dst.field, dst.ofs) {
                    write!(f, "={src}")?;
                }
            }
            (LearnSrc::Imm(value), LearnDst::Load(dst)) => {
                f.write_str("load:")?;
                write_learn_imm(f, value)?;
                write!(f, "->{dst}")?;
            }
            (LearnSrc::Field(src), LearnDst::Load(dst)) => write!(f, "load:{src}->{dst}")?,
            (LearnSrc::Field(src), LearnDst::Output) => write!(f, "output:{src}")?,
            (LearnSrc::Imm(value), LearnDst::Output) => write!(f, "output:{value}")?,
        }
    }
    f.write_char(')')
}

/// `ds_put_hex`: always with `0x`, zero is `0`.
fn write_learn_imm<F: Write>(f: &mut F, value: u128) -> fmt::Result {
    write_hex(f, value)
}

fn write_sample<F: Write>(f: &mut F, sample: &Sample) -> fmt::Result {
    write!(f, "sample(probability={},collector_set_id={}", sample.probability, sample.collector_set_id)?;
    for (name, id) in [("obs_domain_id", sample.obs_domain), ("obs_point_id", sample.obs_point)] {
        match id {
            SampleId::Imm(value) => write!(f, ",{name}={value}")?,
            SampleId::Field(src) => write!(f, ",{name}={src}")?,
        }
    }
    if sample.sampling_port != PORT_NONE {
        f.write_str(",sampling_port=")?;
        write_port(f, sample.sampling_port)?;
    }
    f.write_str(match sample.direction {
        1 => ",ingress)",
        2 => ",egress)",
        _ => ")",
    })
}

fn write_ct<F: Write>(f: &mut F, ct: &Ct) -> fmt::Result {
    let mut first = true;
    let mut comma = |f: &mut F| {
        let done = if first { Ok(()) } else { f.write_char(',') };
        first = false;
        done
    };
    f.write_str("ct")?;
    f.write_char('(')?;
    for (name, set) in [("commit", ct.commit), ("force", ct.force)] {
        if set {
            comma(f)?;
            f.write_str(name)?;
        }
    }
    if let Some(table) = ct.recirc_table {
        comma(f)?;
        write!(f, "table={table}")?;
    }
    match ct.zone {
        CtZone::Imm(0) => (),
        CtZone::Imm(zone) => {
            comma(f)?;
            write!(f, "zone={zone}")?;
        }
        CtZone::Field(src) => {
            comma(f)?;
            write!(f, "zone={src}")?;
        }
    }
    let mut actions = ct.actions.as_slice();
    if let Some((Action::Nat(nat), rest)) = actions.split_first() {
        comma(f)?;
        write_nat(f, nat)?;
        actions = rest;
    }
    if !actions.is_empty() {
        comma(f)?;
        f.write_str("exec(")?;
        write_actions(f, actions)?;
        f.write_char(')')?;
    }
    if ct.alg != 0 {
        comma(f)?;
        match ct.alg {
            ALG_FTP => f.write_str("alg=ftp")?,
            ALG_TFTP => f.write_str("alg=tftp")?,
            other => write!(f, "alg={other}")?,
        }
    }
    f.write_char(')')
}

fn write_nat<F: Write>(f: &mut F, nat: &Nat) -> fmt::Result {
    f.write_str("nat")?;
    if nat.flags & (Nat::SRC | Nat::DST) == 0 {
        return Ok(());
    }
    f.write_str(if nat.flags & Nat::SRC != 0 { "(src" } else { "(dst" })?;
    let range = nat.range.canonical();
    let bracket = range.proto.is_some();
    match range.addr {
        NatAddr::None => return f.write_char(')'),
        NatAddr::V4(min, max) => {
            f.write_char('=')?;
            write_ipv4(f, min)?;
            if let Some(max) = max.filter(|max| *max != min) {
                f.write_char('-')?;
                write_ipv4(f, max)?;
            }
        }
        NatAddr::V6(min, max) => {
            f.write_char('=')?;
            write_bracketed(f, min, bracket)?;
            if let Some(max) = max.filter(|max| *max != min) {
                f.write_char('-')?;
                write_bracketed(f, max, bracket)?;
            }
        }
    }
    if let Some((min, max)) = range.proto {
        write!(f, ":{min}")?;
        if let Some(max) = max.filter(|max| *max != min) {
            write!(f, "-{max}")?;
        }
    }
    for (flag, name) in [(Nat::PERSISTENT, "persistent"), (Nat::HASH, "hash"), (Nat::RANDOM, "random")] {
        if nat.flags & flag != 0 {
            write!(f, ",{name}")?;
        }
    }
    f.write_char(')')
}

fn write_bracketed<F: Write>(f: &mut F, addr: u128, bracket: bool) -> fmt::Result {
    if !bracket {
        return write_ipv6(f, addr);
    }
    f.write_char('[')?;
    write_ipv6(f, addr)?;
    f.write_char(']')
}

fn write_controller<F: Write>(f: &mut F, it: &Controller) -> fmt::Result {
    let plain = it.reason == REASON_ACTION && it.controller_id == 0 && it.userdata.is_empty();
    if plain && !it.pause && it.meter_id == 0 {
        return write!(f, "CONTROLLER:{}", it.max_len);
    }
    f.write_str("controller(")?;
    let mut separator = "";
    if it.reason != REASON_ACTION {
        match REASONS.get(usize::from(it.reason)) {
            Some(name) => write!(f, "reason={name}")?,
            None => write!(f, "reason={}", it.reason)?,
        }
        separator = ",";
    }
    if it.max_len != 0xffff {
        write!(f, "{separator}max_len={}", it.max_len)?;
        separator = ",";
    }
    if it.controller_id != 0 {
        write!(f, "{separator}id={}", it.controller_id)?;
        separator = ",";
    }
    if !it.userdata.is_empty() {
        write!(f, "{separator}userdata=")?;
        write_hex_bytes(f, &it.userdata)?;
        separator = ",";
    }
    if it.pause {
        write!(f, "{separator}pause")?;
        separator = ",";
    }
    if it.meter_id != 0 {
        write!(f, "{separator}meter_id={}", it.meter_id)?;
    }
    f.write_char(')')
}
