//! Flow mods and flow descriptions on the wire (OpenFlow 1.5.1, 7.3.4.1 and 7.3.5.2): [`FlowStatsRequest`],
//! [`FlowStats`], [`RejectedFlow`].

use std::borrow::Borrow;
use std::time::Duration;

use bytes::{BufMut, BytesMut};

use super::wire::{DecodeError, Problem, Reader, pad8, patch_u16};
use crate::action::{ActionList, decode_actions};
use crate::flow::{Flow, FlowMod, FlowModCommand, GROUP_ANY, NO_BUFFER, PORT_ANY, TABLE_ALL};
use crate::flow_match::Match;

/// Which flows to describe. The default is all of them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct FlowStatsRequest {
    /// Table, [`TABLE_ALL`] for all.
    pub table: u8,
    /// Only flows that output to this port; [`PORT_ANY`] does not restrict.
    pub out_port: u32,
    /// Only flows that go to this group; [`GROUP_ANY`] does not restrict.
    pub out_group: u32,
    /// Only flows with this cookie, under the mask.
    pub cookie: u64,
    /// Which bits of the cookie count.
    pub cookie_mask: u64,
    /// Only flows whose match is as specific as this or more.
    pub match_: Match,
}

impl Default for FlowStatsRequest {
    fn default() -> Self {
        FlowStatsRequest {
            table: TABLE_ALL,
            out_port: PORT_ANY,
            out_group: GROUP_ANY,
            cookie: 0,
            cookie_mask: 0,
            match_: Match::new(),
        }
    }
}

impl FlowStatsRequest {
    pub(super) fn decode(r: &mut Reader<'_>) -> Result<FlowStatsRequest, DecodeError> {
        let table = r.u8()?;
        r.skip(3)?;
        let (out_port, out_group) = (r.u32()?, r.u32()?);
        r.skip(4)?;
        let (cookie, cookie_mask) = (r.u64()?, r.u64()?);
        Ok(FlowStatsRequest { table, out_port, out_group, cookie, cookie_mask, match_: take_match(r)? })
    }

    pub(super) fn encode(&self, out: &mut BytesMut) {
        out.put_u32(u32::from(self.table) << 24);
        out.put_u32(self.out_port);
        out.put_u32(self.out_group);
        out.put_u32(0);
        out.put_u64(self.cookie);
        out.put_u64(self.cookie_mask);
        put_match(&self.match_, out);
    }
}

/// A flow of the switch with its statistics. What the switch does not report is `None`.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct FlowStats {
    /// The flow.
    pub flow: Flow,
    /// Seconds, 0 is none.
    pub idle_timeout: u16,
    /// Seconds, 0 is none.
    pub hard_timeout: u16,
    /// `OFPFF_*`.
    pub flags: u16,
    /// For eviction.
    pub importance: u16,
    /// How long the flow has been there.
    pub duration: Option<Duration>,
    /// How long it has not been hit.
    pub idle_time: Option<Duration>,
    /// Packets.
    pub n_packets: Option<u64>,
    /// Bytes.
    pub n_bytes: Option<u64>,
}

/// A flow of the switch that this crate cannot express, for example one with a goto-table instruction.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RejectedFlow {
    /// OpenFlow table.
    pub table: u8,
    /// Priority.
    pub priority: u16,
    /// Cookie.
    pub cookie: u64,
    /// What is wrong with the rest.
    pub error: DecodeError,
}

const OXS_BASIC: u16 = 0x8002;
const OXS_DURATION: u8 = 0;
const OXS_IDLE_TIME: u8 = 1;
const OXS_PACKET_COUNT: u8 = 4;
const OXS_BYTE_COUNT: u8 = 5;

impl FlowStats {
    /// Decodes all entries of one reply part. An entry that cannot be expressed costs only itself.
    pub(super) fn decode_all(r: &mut Reader<'_>) -> Result<(Vec<FlowStats>, Vec<RejectedFlow>), DecodeError> {
        let (mut flows, mut rejected) = (Vec::new(), Vec::new());
        while !r.is_empty() {
            let length = r.u16()?;
            let Some(rest) = usize::from(length).checked_sub(2) else {
                return Err(r.error(Problem::Length(length.into())));
            };
            let mut entry = r.sub("ofp_flow_desc", rest)?;
            let mut stats = FlowStats::decode_fixed(&mut entry)?;
            match stats.decode_rest(&mut entry) {
                Ok(()) => flows.push(stats),
                Err(error) => {
                    let Flow { table, priority, cookie, .. } = stats.flow;
                    rejected.push(RejectedFlow { table, priority, cookie, error });
                }
            }
        }
        Ok((flows, rejected))
    }

    fn decode_fixed(r: &mut Reader<'_>) -> Result<FlowStats, DecodeError> {
        r.skip(2)?;
        let mut stats = FlowStats::default();
        stats.flow.table = r.u8()?;
        r.skip(1)?;
        stats.flow.priority = r.u16()?;
        stats.idle_timeout = r.u16()?;
        stats.hard_timeout = r.u16()?;
        stats.flags = r.u16()?;
        stats.importance = r.u16()?;
        stats.flow.cookie = r.u64()?;
        Ok(stats)
    }

    fn decode_rest(&mut self, r: &mut Reader<'_>) -> Result<(), DecodeError> {
        self.flow.match_ = take_match(r)?;
        r.skip(2)?;
        let length = usize::from(r.u16()?);
        let Some(payload) = length.checked_sub(4) else { return Err(r.error(Problem::Length(length))) };
        let mut fields = r.sub("ofp_stats", payload)?;
        r.skip(pad8(length))?;
        while !fields.is_empty() {
            self.decode_statistic(&mut fields)?;
        }
        self.flow.actions = take_instructions(r)?;
        Ok(())
    }

    fn decode_statistic(&mut self, fields: &mut Reader<'_>) -> Result<(), DecodeError> {
        let (class, field, length) = (fields.u16()?, fields.u8()? >> 1, fields.u8()?);
        let mut value = fields.sub("OXS field", length.into())?;
        match (class, field) {
            (OXS_BASIC, OXS_DURATION) => self.duration = Some(Duration::new(value.u32()?.into(), value.u32()?)),
            (OXS_BASIC, OXS_IDLE_TIME) => self.idle_time = Some(Duration::new(value.u32()?.into(), value.u32()?)),
            (OXS_BASIC, OXS_PACKET_COUNT) => self.n_packets = Some(value.u64()?),
            (OXS_BASIC, OXS_BYTE_COUNT) => self.n_bytes = Some(value.u64()?),
            _ => {}
        }
        Ok(())
    }

    pub(super) fn encode(&self, out: &mut BytesMut) {
        let start = out.len();
        out.put_u32(0);
        out.put_u8(self.flow.table);
        out.put_u8(0);
        out.put_u16(self.flow.priority);
        out.put_u16(self.idle_timeout);
        out.put_u16(self.hard_timeout);
        out.put_u16(self.flags);
        out.put_u16(self.importance);
        out.put_u64(self.flow.cookie);
        put_match(&self.flow.match_, out);
        self.encode_statistics(out);
        put_instructions(&self.flow.actions, out);
        let length = out.len() - start;
        patch_u16(out, start, length);
    }

    fn encode_statistics(&self, out: &mut BytesMut) {
        let start = out.len();
        out.put_u32(0);
        let as_word = |duration: Duration| duration.as_secs() << 32 | u64::from(duration.subsec_nanos());
        let fields = [
            (OXS_DURATION, self.duration.map(as_word)),
            (OXS_IDLE_TIME, self.idle_time.map(as_word)),
            (OXS_PACKET_COUNT, self.n_packets),
            (OXS_BYTE_COUNT, self.n_bytes),
        ];
        for (field, value) in fields {
            if let Some(value) = value {
                out.put_u16(OXS_BASIC);
                out.put_u8(field << 1);
                out.put_u8(8);
                out.put_u64(value);
            }
        }
        let length = out.len() - start;
        patch_u16(out, start + 2, length);
        out.put_bytes(0, pad8(length));
    }
}

const FLOW_MOD_COMMANDS: [FlowModCommand; 5] = [
    FlowModCommand::Add,
    FlowModCommand::Modify,
    FlowModCommand::ModifyStrict,
    FlowModCommand::Delete,
    FlowModCommand::DeleteStrict,
];

pub(super) fn decode_flow_mod(r: &mut Reader<'_>) -> Result<FlowMod, DecodeError> {
    let (cookie, cookie_mask, table, command) = (r.u64()?, r.u64()?, r.u8()?, r.u8()?);
    let command = *FLOW_MOD_COMMANDS.get(usize::from(command)).ok_or_else(|| r.bad_value("command", command))?;
    let (idle_timeout, hard_timeout, priority) = (r.u16()?, r.u16()?, r.u16()?);
    r.skip(4)?;
    let (out_port, out_group, flags, importance) = (r.u32()?, r.u32()?, r.u16()?, r.u16()?);
    let match_ = take_match(r)?;
    let actions = take_instructions(r)?;
    Ok(FlowMod {
        command,
        table,
        priority,
        cookie,
        cookie_mask,
        idle_timeout,
        hard_timeout,
        flags,
        importance,
        out_port,
        out_group,
        match_,
        actions,
    })
}

pub(crate) fn encode_flow_mod<M: Borrow<Match>, A: Borrow<ActionList>>(flow_mod: &FlowMod<M, A>, out: &mut BytesMut) {
    let command = FLOW_MOD_COMMANDS.iter().position(|&c| c == flow_mod.command).unwrap_or(0) as u8;
    // Written in one piece: there may be half a million in a row.
    let mut fixed = [0; 40];
    let mut rest = &mut fixed[..];
    rest.put_u64(flow_mod.cookie);
    rest.put_u64(flow_mod.cookie_mask);
    rest.put_u8(flow_mod.table);
    rest.put_u8(command);
    rest.put_u16(flow_mod.idle_timeout);
    rest.put_u16(flow_mod.hard_timeout);
    rest.put_u16(flow_mod.priority);
    rest.put_u32(NO_BUFFER);
    rest.put_u32(flow_mod.out_port);
    rest.put_u32(flow_mod.out_group);
    rest.put_u16(flow_mod.flags);
    rest.put_u16(flow_mod.importance);
    out.put_slice(&fixed);
    put_match(flow_mod.match_.borrow(), out);
    put_instructions(flow_mod.actions.borrow(), out);
}

const APPLY_ACTIONS: u16 = 4;

/// Only apply-actions, or nothing for no actions, which is how OVN writes every flow.
fn take_instructions(r: &mut Reader<'_>) -> Result<ActionList, DecodeError> {
    let mut actions = ActionList::default();
    while !r.is_empty() {
        let (kind, length) = (r.u16()?, usize::from(r.u16()?));
        if kind != APPLY_ACTIONS {
            return Err(r.bad_value("instruction", kind));
        }
        let Some(rest) = length.checked_sub(4) else { return Err(r.error(Problem::Length(length))) };
        let mut instruction = r.sub("apply-actions instruction", rest)?;
        instruction.skip(4)?;
        actions = canonical_actions(&mut instruction)?;
    }
    Ok(actions)
}

fn put_instructions(actions: &ActionList, out: &mut BytesMut) {
    if !actions.is_empty() {
        out.put_u16(APPLY_ACTIONS);
        out.put_u16((actions.as_bytes().len() + 8) as u16);
        out.put_u32(0);
        out.put_slice(actions.as_bytes());
    }
}

/// The rest of `r` as an action list in the form in which this crate writes it, so that equal lists have equal bytes.
pub(super) fn canonical_actions(r: &mut Reader<'_>) -> Result<ActionList, DecodeError> {
    let at = r.clone();
    let actions = decode_actions(r.rest()).map_err(|error| at.inner(error))?;
    Ok(ActionList::from(actions.as_slice()))
}

const OXM_MATCH: u16 = 1;

/// `ofp_match`: type, length, OXM fields, padding.
pub(super) fn take_match(r: &mut Reader<'_>) -> Result<Match, DecodeError> {
    let kind = r.u16()?;
    let length = usize::from(r.u16()?);
    if kind != OXM_MATCH {
        return Err(r.bad_value("match type", kind));
    }
    let Some(fields) = length.checked_sub(4) else { return Err(r.error(Problem::Length(length))) };
    let mut fields = r.sub("ofp_match", fields)?;
    r.skip(pad8(length))?;
    take_oxm(&mut fields)
}

/// The rest of `r` as bare OXM fields.
pub(super) fn take_oxm(r: &mut Reader<'_>) -> Result<Match, DecodeError> {
    let at = r.clone();
    Match::decode_oxm(r.rest()).map_err(|error| at.inner(error))
}

pub(super) fn put_match(match_: &Match, out: &mut BytesMut) {
    match_.encode(out);
}

/// The fields of a match without header and padding.
pub(super) fn put_oxm_fields(match_: &Match, out: &mut BytesMut) {
    match_.encode_oxm(out);
}
