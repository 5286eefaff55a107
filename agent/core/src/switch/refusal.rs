//! The part of [`Session`] that deals with errors from the switch.
//!
//! Open vSwitch refuses a message of a bundle when it is added: the bundle commits without it. Or at the commit, when the message does
//! not fit the state of the switch: nothing of the bundle happened, and all but the guilty is sent again.

use ofproto_client::connection::{Connection, Time};
use ofproto_client::message::{ErrorCode, SwitchError, Xid};
use ofproto_client::{Group, GroupModCommand, GroupType, Meter, MeterModCommand};
use std::collections::BTreeSet;
use std::ops::Range;

use super::batch::{Alone, Batch, FlowOp, Op, Place, content};
use super::quarantine::{Content, Culprit};
use super::session::{Notice, Session, Target};

/// After so many commits in a row that failed a bundle has one message.
const HOPELESS: u32 = 13;

impl Session {
    /// The switch refused the message with this xid.
    pub(super) fn error(
        &mut self,
        now: Time,
        connection: &mut Connection,
        xid: Xid,
        error: SwitchError,
        target: &mut Target<'_>,
    ) {
        if self.packet_refused(xid, &error) || self.unanswered(connection, xid, target) {
            return;
        }
        let Some(mut batch) = self.batch.take() else {
            self.fail(format!("{error} (xid {:#x})", xid.0));
            return;
        };
        match batch.place(xid) {
            Some(Place::Op(op, rest)) => self.op_refused(now, &mut batch, op, rest, &error, target),
            Some(Place::Commit(ops)) => {
                batch.failed = true;
                self.failures += 1;
                let undone = batch.take(ops);
                self.undo(undone, target);
                // A timeout leaves it open whether some of it was carried out. And a message that alone is refused again and again,
                // with no word about why, is not to be sent without a pause.
                if error.code != ErrorCode::BUNDLE_MESSAGE_FAILED || self.failures > HOPELESS {
                    self.audit.request();
                    self.fail(format!("{error} for the commit of a bundle"));
                }
            }
            Some(Place::Open(_)) => {
                batch.failed = true;
                let undone = batch.abandon();
                self.undo(undone, target);
                self.audit.request();
                self.fail(format!("{error} for a bundle"));
            }
            Some(Place::Alone(at)) => {
                let (_, what) = batch.alone.swap_remove(at);
                self.alone_refused(now, &mut batch, what, &error);
            }
            None => self.fail(format!("{error} (xid {:#x})", xid.0)),
        }
        self.batch = Some(batch);
    }

    /// An operation was refused: alone if the bundle is committed without it, else with the whole bundle, of which an error follows.
    fn op_refused(
        &mut self,
        now: Time,
        batch: &mut Batch,
        number: usize,
        rest: Range<usize>,
        error: &SwitchError,
        target: &mut Target<'_>,
    ) {
        let Some(op) = batch.op(number) else { return };
        let content = content(op, target.flows);
        // A group may take several messages, of which each may be refused.
        let op = std::mem::replace(op, Op::Void);
        match &op {
            Op::Flow { kind: FlowOp::Add, flow, .. } if error.code == ErrorCode::TABLE_FULL => {
                self.table_full(now, batch, *flow, rest, error, target);
                self.undo(vec![op], target);
            }
            Op::Flow { flow, .. } => {
                let flow = *flow;
                let explained = matches!(&content, Content::Flow(Some(wanted)) if self.quarantines.explains(wanted));
                self.undo(vec![op], target);
                if !explained {
                    // The group or meter that it needs may have gone.
                    if is_about_groups_or_meters(error.code) {
                        self.audit.request();
                    }
                    self.refuse(now, Culprit::Flow(flow), content, error.to_string());
                }
            }
            Op::Group(group) => {
                let (id, command) = (group.group.id, group.command);
                self.undo(vec![op], target);
                match (command, error.code) {
                    (GroupModCommand::Add, ErrorCode::GROUP_EXISTS) if !self.groups.contains_key(&id) => {
                        self.groups.insert(id, unknown_group(id));
                        target.pools.groups.touch(id);
                        self.audit.request();
                    }
                    (GroupModCommand::Modify, ErrorCode::UNKNOWN_GROUP) if self.groups.contains_key(&id) => {
                        self.groups.remove(&id);
                        target.pools.groups.touch(id);
                        self.audit.request();
                    }
                    _ => self.refuse(now, Culprit::Group(id), content, error.to_string()),
                }
            }
            Op::Void => {}
        }
    }

    /// Every further flow for the table would be refused too, each with a bundle of its own: they wait together.
    fn table_full(
        &mut self,
        now: Time,
        batch: &mut Batch,
        flow: super::FlowId,
        rest: Range<usize>,
        error: &SwitchError,
        target: &mut Target<'_>,
    ) {
        let Some((table, ..)) = target.flows.flow_key(flow) else { return };
        let mut adds = |range: Range<usize>| -> BTreeSet<super::FlowId> {
            let flows = range.filter_map(|number| match batch.op(number) {
                Some(Op::Flow { kind: FlowOp::Add, flow, .. }) => Some(*flow),
                _ => None,
            });
            flows.filter(|flow| target.flows.flow_key(*flow).is_some_and(|(of, ..)| of == table)).collect()
        };
        let (admitted, more) = (adds(0..rest.start), adds(rest).len());
        self.quarantines.refuse_all_but(now, table, admitted);
        let why = format!("{error}: no room for {} more flows", more + 1);
        self.notices.push_back(Notice::Refused { culprit: Culprit::Table(table), why });
    }

    fn alone_refused(&mut self, now: Time, batch: &mut Batch, what: Alone, error: &SwitchError) {
        match what {
            Alone::Flush => self.fail(format!("{error} for a flush of a conntrack zone")),
            Alone::Meter { command: MeterModCommand::Delete, .. } => {}
            Alone::Meter { command, meter, before } => {
                batch.failed = true;
                let id = meter.id;
                let was = before.is_some();
                match before {
                    Some(before) => self.meters.insert(id, before),
                    None => self.meters.remove(&id),
                };
                self.touched = true;
                match (command, error.code) {
                    (MeterModCommand::Add, ErrorCode::METER_EXISTS) if !was => {
                        self.meters.insert(id, Meter { id, ..Meter::default() });
                    }
                    (MeterModCommand::Modify, ErrorCode::UNKNOWN_METER) if was => {
                        self.meters.remove(&id);
                    }
                    _ => self.refuse(now, Culprit::Meter(id), Content::Meter(meter), error.to_string()),
                }
            }
        }
    }

    fn refuse(&mut self, now: Time, culprit: Culprit, content: Content, why: String) {
        self.quarantines.refuse(now, culprit, content);
        self.notices.push_back(Notice::Refused { culprit, why });
    }

    /// These operations did not happen: what was there before is there, and what is wanted is to be looked at again.
    fn undo(&mut self, ops: Vec<Op>, target: &mut Target<'_>) {
        for op in ops.into_iter().rev() {
            match op {
                // One that was not sent has changed nothing.
                Op::Flow { kind: FlowOp::Delete, flow, before: None } => target.flows.touch(flow),
                Op::Flow { flow, before, .. } => {
                    target.flows.set_installed(flow, before.map(|before| *before));
                    target.flows.touch(flow);
                }
                Op::Group(group) => {
                    let id = group.group.id;
                    match (group.command, group.before) {
                        (GroupModCommand::Delete, None) => {}
                        (_, Some(before)) => {
                            self.groups.insert(id, before);
                            target.pools.groups.set_in_switch(id, true);
                        }
                        (_, None) => {
                            self.groups.remove(&id);
                            target.pools.groups.set_in_switch(id, false);
                        }
                    }
                    target.pools.groups.touch(id);
                }
                Op::Void => {}
            }
        }
    }
}

/// A group that is there, with content that nobody wants.
fn unknown_group(id: u32) -> Group {
    Group { id, group_type: GroupType::All, buckets: Vec::new(), selection_method: None }
}

/// Whether the error is about a group or meter that a flow refers to: `OFPBAC_BAD_OUT_GROUP`, `OFPGMFC_*`, `OFPMMFC_*`.
fn is_about_groups_or_meters(code: ErrorCode) -> bool {
    matches!(code, ErrorCode::Standard { error_type: 6 | 12, .. } | ErrorCode::Standard { error_type: 2, code: 9 })
}
