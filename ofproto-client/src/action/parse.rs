//! Actions from `ovs-ofctl` text. Entry: [`parse_actions`]; [`Action`] and [`ActionList`] also implement `FromStr`.
//!
//! Accepts all that `ovs-ofctl dump-flows` and `dump-groups` print for the actions we have, and the older spellings OVN
//! uses in its group strings.

use std::str::FromStr;

use super::print::{BUNDLE_ALGORITHMS, HASH_FIELDS, REASONS};
use super::{
    ALG_FTP, ALG_TFTP, Action, ActionList, Bundle, Controller, Ct, CtZone, Learn, LearnDst, LearnSpec, LearnSrc, Nat,
    NatAddr, NatRange, PORT_IN_PORT, PORT_NONE, REASON_ACTION, Sample, SampleId,
};
use crate::error::Error;
use crate::field::Field;
use crate::flow_match::port_to_32;
use crate::text::{Read, Span, parse_value};

/// Deepest nesting of `clone` and `ct` that is read, as for wire bytes.
const MAX_DEPTH: usize = 64;

impl FromStr for Action {
    type Err = Error;

    fn from_str(text: &str) -> Result<Action, Error> {
        parse_action(Span::new(text).trim(), 0)
    }
}

impl FromStr for ActionList {
    type Err = Error;

    fn from_str(text: &str) -> Result<ActionList, Error> {
        Ok(ActionList::from(parse_actions(Span::new(text))?.as_slice()))
    }
}

/// A comma-separated list; `drop` alone or nothing is the empty one.
pub(crate) fn parse_actions(text: Span<'_>) -> Read<Vec<Action>> {
    parse_list(text, 0)
}

fn parse_list(text: Span<'_>, depth: usize) -> Read<Vec<Action>> {
    if text.trim().text == "drop" {
        return Ok(Vec::new());
    }
    text.items().map(|item| parse_action(item, depth)).collect()
}

fn parse_action(item: Span<'_>, depth: usize) -> Read<Action> {
    if depth > MAX_DEPTH {
        return item.error("action", "nested too deeply");
    }
    let end = item.text.find([':', '(', '=']).unwrap_or(item.text.len());
    let (name, rest) = item.text.split_at(end);
    let after = Span { text: rest.get(1..).unwrap_or_default(), at: item.at + end + 1 };
    if rest.starts_with([':', '=']) {
        return parse_colon(item, name, after);
    }
    if name == "check_pkt_larger" {
        return parse_check_pkt_larger(item);
    }
    let (_, inside) = item.call("action")?;
    if let Some(action) = parse_plain(name, inside) {
        return Ok(action);
    }
    let Some(inside) = inside else {
        return parse_port(item);
    };
    match name {
        "ct" => parse_ct(inside, depth),
        "nat" => parse_nat(inside),
        "clone" => Ok(Action::Clone(parse_list(inside, depth + 1)?)),
        "learn" => parse_learn(inside),
        "resubmit" => parse_resubmit(inside),
        "conjunction" => parse_conjunction(inside),
        "controller" => parse_controller(inside),
        "sample" => parse_sample(inside),
        "bundle" | "bundle_load" => parse_bundle(item, inside, name == "bundle_load"),
        "dec_ttl" => {
            let ids = inside.items().map(|id| id.u16("dec_ttl")).collect::<Read<Vec<u16>>>()?;
            Ok(Action::DecTtl(ids))
        }
        "load" | "set_field" | "move" | "output" | "group" | "meter" | "set_queue" | "push" | "pop" | "note" => {
            parse_colon(item, name, inside)
        }
        _ => item.error("action", "unknown action"),
    }
}

/// Actions without arguments.
fn parse_plain(name: &str, inside: Option<Span<'_>>) -> Option<Action> {
    if inside.is_some_and(|inside| !inside.is_empty()) {
        return None;
    }
    match name {
        "pop_vlan" | "strip_vlan" => Some(Action::PopVlan),
        "ct_clear" => Some(Action::CtClear),
        "dec_ttl" if inside.is_none() => Some(Action::DecTtl(vec![0])),
        "nat" => Some(Action::Nat(Box::new(Nat { flags: 0, range: NatRange::NONE }))),
        "ct" if inside.is_none() => Some(Action::Ct(Box::new(empty_ct()))),
        _ => None,
    }
}

/// `name:argument`.
fn parse_colon(item: Span<'_>, name: &str, argument: Span<'_>) -> Read<Action> {
    match name {
        "output" if argument.text.contains('[') => Ok(Action::OutputReg { src: argument.subfield()?, max_len: 0xffff }),
        "output" => parse_port(argument),
        "CONTROLLER" | "controller" => Ok(Action::Output { port: 0xffff_fffd, max_len: argument.u16("CONTROLLER")? }),
        "group" => Ok(Action::Group(argument.u32("group")?)),
        "meter" => Ok(Action::Meter(argument.u32("meter")?)),
        "set_queue" => Ok(Action::SetQueue(argument.u32("set_queue")?)),
        "push_vlan" => Ok(Action::PushVlan(argument.u16("push_vlan")?)),
        "mod_nw_ttl" => Ok(Action::SetTtl(argument.u8("mod_nw_ttl")?)),
        "push" => Ok(Action::StackPush(argument.subfield()?)),
        "pop" => Ok(Action::StackPop(argument.subfield()?)),
        "note" => Ok(Action::Note(parse_bytes(argument)?)),
        "resubmit" => Ok(Action::Resubmit { in_port: argument.port16()?, table: 255, with_ct: false }),
        "load" => {
            let (value, dst) = arrow(argument)?;
            let dst = dst.subfield()?;
            Ok(Action::load(dst, value.number("load", dst.n_bits)?))
        }
        "set_field" => {
            let (value, field) = arrow(argument)?;
            let field = field.field()?;
            let (value, mask) = parse_value(field, value)?;
            Ok(Action::SetField { field, value, mask })
        }
        "move" => {
            let (src, dst) = arrow(argument)?;
            let (src, dst) = (src.subfield()?, dst.subfield()?);
            if src.n_bits != dst.n_bits {
                return argument.error("move", format!("{} bits to {} bits", src.n_bits, dst.n_bits));
            }
            Ok(Action::Move { src, dst })
        }
        _ => item.error("action", "unknown action"),
    }
}

fn arrow(text: Span<'_>) -> Read<(Span<'_>, Span<'_>)> {
    text.split_once("->").map_or_else(|| text.error("action", "missing \"->\""), Ok)
}

/// `output` in one of its short forms: a number or the name of a reserved port.
fn parse_port(text: Span<'_>) -> Read<Action> {
    let starts_right = text.text.starts_with(|c: char| c.is_ascii_digit() || c.is_ascii_uppercase());
    if !starts_right {
        return text.error("action", "unknown action");
    }
    let port = port_to_32(u128::from(text.port16()?)) as u32;
    Ok(Action::Output { port, max_len: if port == 0xffff_fffd { 0xffff } else { 0 } })
}

/// Hexadecimal bytes, with or without dots.
fn parse_bytes(text: Span<'_>) -> Read<Box<[u8]>> {
    let mut out = Vec::with_capacity(text.text.len() / 3 + 1);
    let mut high = None;
    for digit in text.text.bytes() {
        let value = (digit as char).to_digit(16);
        match (digit, high.take(), value) {
            (b'.', None, _) => (),
            (_, None, Some(value)) => high = Some(value as u8),
            (_, Some(high), Some(value)) => out.push(high << 4 | value as u8),
            _ => return text.error("bytes", "not hexadecimal bytes"),
        }
    }
    if high.is_some() { text.error("bytes", "half a byte at the end") } else { Ok(out.into()) }
}

/// `key=value`, `key:value` or `key(value)` apart, or a key alone.
fn key_value<'a>(item: Span<'a>) -> (&'a str, Span<'a>) {
    let end = item.text.find(['=', ':', '(']).unwrap_or(item.text.len());
    let (key, rest) = item.text.split_at(end);
    let mut value = rest.get(1..).unwrap_or_default();
    if rest.starts_with('(') {
        value = value.strip_suffix(')').unwrap_or(value);
    }
    (key, Span { text: value, at: item.at + end + 1 })
}

fn parse_resubmit(inside: Span<'_>) -> Read<Action> {
    let (port, rest) = inside.split_once(",").unwrap_or((inside, Span { text: "", at: inside.at + inside.text.len() }));
    let (table, ct) = match rest.split_once(",") {
        Some((table, ct)) => (table, ct.trim().text),
        None => (rest, ""),
    };
    if !matches!(ct, "" | "ct") {
        return rest.error("resubmit", "expected \"ct\"");
    }
    let (port, table) = (port.trim(), table.trim());
    Ok(Action::Resubmit {
        in_port: if port.is_empty() { PORT_IN_PORT } else { port.port16()? },
        table: if table.is_empty() { 255 } else { table.u8("resubmit table")? },
        with_ct: ct == "ct",
    })
}

fn parse_conjunction(inside: Span<'_>) -> Read<Action> {
    let parts = inside.split_once(",").and_then(|(id, rest)| rest.split_once("/").map(|(k, n)| (id, k, n)));
    let Some((id, clause, n_clauses)) = parts else {
        return inside.error("conjunction", "expected \"ID,K/N\"");
    };
    let k = clause.trim().u8("conjunction clause")?;
    let n_clauses = n_clauses.trim().u8("conjunction clauses")?;
    match k.checked_sub(1) {
        Some(index) if k <= n_clauses => {
            Ok(Action::Conjunction { clause: index, n_clauses, id: id.u32("conjunction")? })
        }
        _ => clause.error("conjunction", "clause out of range"),
    }
}

fn parse_check_pkt_larger(item: Span<'_>) -> Read<Action> {
    let (call, dst) = arrow(item)?;
    let (_, inside) = call.call("check_pkt_larger")?;
    let Some(length) = inside else {
        return item.error("check_pkt_larger", "missing length");
    };
    let dst_bits = dst.subfield()?;
    if dst_bits.n_bits != 1 {
        return dst.error("check_pkt_larger", "needs one bit");
    }
    Ok(Action::CheckPktLarger { pkt_len: length.u16("check_pkt_larger")?, dst: dst_bits })
}

fn parse_controller(inside: Span<'_>) -> Read<Action> {
    let mut out = Controller::new([]);
    for item in inside.items() {
        let (key, value) = key_value(item);
        match key {
            "reason" => match REASONS.iter().position(|name| *name == value.text) {
                Some(reason) => out.reason = reason as u8,
                None => out.reason = value.u8("controller reason")?,
            },
            "max_len" => out.max_len = value.u16("controller max_len")?,
            "id" => out.controller_id = value.u16("controller id")?,
            "userdata" => out.userdata = parse_bytes(value)?,
            "pause" => out.pause = true,
            "meter_id" => out.meter_id = value.u32("controller meter_id")?,
            _ => return item.error("controller", "unknown argument"),
        }
    }
    if out == (Controller { max_len: out.max_len, ..Controller::new([]) }) && out.reason == REASON_ACTION {
        return Ok(Action::Output { port: 0xffff_fffd, max_len: out.max_len });
    }
    Ok(Action::Controller(Box::new(out)))
}

fn parse_sample(inside: Span<'_>) -> Read<Action> {
    let mut out = Sample {
        probability: 0,
        collector_set_id: 0,
        obs_domain: SampleId::Imm(0),
        obs_point: SampleId::Imm(0),
        sampling_port: PORT_NONE,
        direction: 0,
    };
    let id = |value: Span<'_>| match value.text.contains('[') {
        true => value.subfield().map(SampleId::Field),
        false => value.u32("sample").map(SampleId::Imm),
    };
    for item in inside.items() {
        let (key, value) = key_value(item);
        match key {
            "probability" => out.probability = value.u16("sample probability")?,
            "collector_set_id" => out.collector_set_id = value.u32("sample collector_set_id")?,
            "obs_domain_id" => out.obs_domain = id(value)?,
            "obs_point_id" => out.obs_point = id(value)?,
            "sampling_port" => out.sampling_port = value.port16()?,
            "ingress" => out.direction = 1,
            "egress" => out.direction = 2,
            _ => return item.error("sample", "unknown argument"),
        }
    }
    if out.probability == 0 { inside.error("sample", "needs a probability") } else { Ok(Action::Sample(Box::new(out))) }
}

fn parse_bundle(whole: Span<'_>, inside: Span<'_>, load: bool) -> Read<Action> {
    let Some((arguments, members)) = inside.split_once("members:").or_else(|| inside.split_once("slaves:")) else {
        return whole.error("bundle", "missing \"members:\"");
    };
    let arguments: Vec<Span<'_>> = arguments.items().collect();
    let (fields, basis, algorithm, dst) = match arguments.as_slice() {
        [fields, basis, algorithm, _] if !load => (fields, basis, algorithm, None),
        [fields, basis, algorithm, _, dst] if load => (fields, basis, algorithm, Some(dst.subfield()?)),
        _ => return whole.error("bundle", "wrong number of arguments"),
    };
    let index = |names: &[&str], name: &Span<'_>| match names.iter().position(|known| *known == name.text) {
        Some(index) => Ok(index as u16),
        None => name.error("bundle", "unknown name"),
    };
    Ok(Action::Bundle(Box::new(Bundle {
        algorithm: index(&BUNDLE_ALGORITHMS, algorithm)?,
        fields: index(&HASH_FIELDS, fields)?,
        basis: basis.u16("bundle basis")?,
        members: members.items().map(Span::port16).collect::<Read<Vec<u16>>>()?,
        dst,
    })))
}

fn empty_ct() -> Ct {
    Ct { commit: false, force: false, zone: CtZone::Imm(0), recirc_table: None, alg: 0, actions: Vec::new() }
}

fn parse_ct(inside: Span<'_>, depth: usize) -> Read<Action> {
    let mut ct = empty_ct();
    let mut nat = None;
    for item in inside.items() {
        let (key, value) = key_value(item);
        match key {
            "commit" => ct.commit = true,
            "force" => ct.force = true,
            "table" => ct.recirc_table = Some(value.u8("ct table")?),
            "zone" if value.text.contains('[') => ct.zone = CtZone::Field(value.subfield()?),
            "zone" => ct.zone = CtZone::Imm(value.u16("ct zone")?),
            "nat" => nat = Some(parse_nat(value)?),
            "exec" => ct.actions = parse_list(value, depth + 1)?,
            "alg" => {
                ct.alg = match value.text {
                    "ftp" => ALG_FTP,
                    "tftp" => ALG_TFTP,
                    _ => value.u16("ct alg")?,
                }
            }
            _ => return item.error("ct", "unknown argument"),
        }
    }
    if let Some(nat) = nat {
        ct.actions.insert(0, nat);
    }
    Ok(Action::Ct(Box::new(ct)))
}

fn parse_nat(inside: Span<'_>) -> Read<Action> {
    let mut nat = Nat { flags: 0, range: NatRange::NONE };
    for item in inside.items() {
        let (key, value) = match item.split_once("=") {
            Some((key, value)) => (key.text, value),
            None => (item.text, Span { text: "", at: item.at + item.text.len() }),
        };
        nat.flags |= match key {
            "src" => Nat::SRC,
            "dst" => Nat::DST,
            "persistent" => Nat::PERSISTENT,
            "hash" => Nat::HASH,
            "random" => Nat::RANDOM,
            _ => return item.error("nat", "unknown argument"),
        };
        if !value.is_empty() {
            nat.range = parse_nat_range(value)?;
        }
    }
    Ok(Action::Nat(Box::new(nat)))
}

/// `1.1.1.1[-1.1.1.9][:80[-90]]`, `fd00::1[-fd00::9]`, `[fd00::1][-[fd00::9]]:80[-90]`.
fn parse_nat_range(text: Span<'_>) -> Read<NatRange> {
    let v6 = text.text.starts_with('[') || text.text.matches(':').count() > 1;
    let bracketed = text.text.starts_with('[');
    let (addrs, ports) = match (v6, bracketed) {
        (false, _) => text.split_once(":").map_or((text, None), |(addrs, ports)| (addrs, Some(ports))),
        (true, false) => (text, None),
        (true, true) => match text.rsplit_once("]") {
            Some((addrs, ports)) => (addrs, ports.strip_prefix(":")),
            None => return text.error("nat range", "missing \"]\""),
        },
    };
    let field = if v6 { Field::IPV6_SRC } else { Field::IPV4_SRC };
    let addr = |span: Span<'_>| {
        let inner = span.strip_prefix("[").unwrap_or(span);
        let text = inner.text.strip_suffix(']').unwrap_or(inner.text);
        parse_value(field, Span { text, at: inner.at }).map(|(value, _)| value)
    };
    let (min, max) = addrs.split_once("-").map_or((addrs, None), |(min, max)| (min, Some(max)));
    let (min, max) = (addr(min)?, max.map(addr).transpose()?);
    let proto = match ports {
        None => None,
        Some(ports) => {
            let (min, max) = ports.split_once("-").map_or((ports, None), |(min, max)| (min, Some(max)));
            Some((min.u16("nat port")?, max.map(|max| max.u16("nat port")).transpose()?))
        }
    };
    let addr = if v6 { NatAddr::V6(min, max) } else { NatAddr::V4(min as u32, max.map(|max| max as u32)) };
    Ok(NatRange { addr, proto }.canonical())
}

fn parse_learn(inside: Span<'_>) -> Read<Action> {
    let mut learn = Learn::new(1);
    for item in inside.items() {
        let (key, value) = match item.split_once("=") {
            Some((key, value)) => (key.text, value),
            None => (item.text, Span { text: "", at: item.at + item.text.len() }),
        };
        match key {
            "table" => learn.table = value.u8("learn table")?,
            "priority" => learn.priority = value.u16("learn priority")?,
            "idle_timeout" => learn.idle_timeout = value.u16("learn idle_timeout")?,
            "hard_timeout" => learn.hard_timeout = value.u16("learn hard_timeout")?,
            "fin_idle_timeout" => learn.fin_idle = value.u16("learn fin_idle_timeout")?,
            "fin_hard_timeout" => learn.fin_hard = value.u16("learn fin_hard_timeout")?,
            "cookie" => learn.cookie = value.u64("learn cookie")?,
            "limit" => learn.limit = value.u32("learn limit")?,
            "send_flow_rem" => learn.flags |= super::LEARN_SEND_FLOW_REM,
            "delete_learned" => learn.flags |= super::LEARN_DELETE_LEARNED,
            _ => learn.specs.push(parse_learn_spec(item)?),
        }
    }
    Ok(Action::Learn(Box::new(learn)))
}

fn parse_learn_spec(item: Span<'_>) -> Read<LearnSpec> {
    if let Some(load) = item.strip_prefix("load:") {
        let (src, dst) = arrow(load)?;
        let dst = dst.subfield()?;
        let src = if src.text.contains('[') {
            LearnSrc::Field(src.subfield()?)
        } else {
            LearnSrc::Imm(src.number("learn", dst.n_bits)?)
        };
        return learn_spec(item, src, LearnDst::Load(dst), dst.n_bits);
    }
    if let Some(output) = item.strip_prefix("output:") {
        let src = output.subfield()?;
        return learn_spec(item, LearnSrc::Field(src), LearnDst::Output, src.n_bits);
    }
    let Some((name, value)) = item.split_once("=") else {
        let dst = item.subfield()?;
        return learn_spec(item, LearnSrc::Field(dst), LearnDst::Match(dst), dst.n_bits);
    };
    let dst = name.subfield()?;
    let src = if value.text.contains('[') {
        LearnSrc::Field(value.subfield()?)
    } else if name.text.contains('[') {
        LearnSrc::Imm(value.number("learn", dst.n_bits)?)
    } else {
        let (number, mask) = parse_value(dst.field, value)?;
        if mask & dst.field.all_ones() != dst.field.all_ones() {
            return value.error("learn", "a mask is not possible here");
        }
        LearnSrc::Imm(number)
    };
    learn_spec(item, src, LearnDst::Match(dst), dst.n_bits)
}

fn learn_spec(item: Span<'_>, src: LearnSrc, dst: LearnDst, n_bits: u16) -> Read<LearnSpec> {
    match src {
        LearnSrc::Field(src) if src.n_bits != n_bits => item.error("learn", "widths differ"),
        LearnSrc::Imm(_) if n_bits > 128 => item.error("learn", "wider than 128 bits"),
        _ => Ok(LearnSpec { src, dst, n_bits }),
    }
}
