//! [`Batch`]: what differs between desired and installed at one moment, in the order of ofctrl.c `ofctrl_put` (OVN 26.03): flushes of
//! conntrack zones, meters, then in bundles new groups, flows, old groups; then old meters.
//!
//! A batch is *collected* first, a slice at a time, during which the desired state must not change: that is the moment. Then it is
//! *sent*, a slice at a time, as fast as the switch confirms it. Between slices the agent does other things.
//!
//! What the switch has already is changed by one ordered atomic bundle. A switch that has no flows at all, and large
//! differences later, get bundles of [`BUNDLE_MESSAGES`], because Open vSwitch does nothing else while it commits: added flows come first,
//! those of the last table in front, so that no packet reaches a table before what it needs there, and deletions at the end.

use ofproto_client::Meter;
use ofproto_client::connection::{Bundle, BundlePart, BundleXids, Connection, KEPT_CAPACITY, PausedBundle};
use ofproto_client::message::{EncodeError, Message, Xid};
use ofproto_client::{
    ActionList, FlowModCommand, FlowModRef, Group, GroupMod, GroupModCommand, MeterMod, MeterModCommand,
};
use std::ops::Range;

use super::flow_table::{Change, FlowId, FlowTable, Installed};
use super::quarantine::Content;

/// Messages of a bundle where it need not be one. Open vSwitch 3.1 commits as many in about 20 ms.
pub const BUNDLE_MESSAGES: usize = 5_000;
/// Up to so many flows a difference is one bundle, later too.
pub const ONE_BUNDLE: usize = 20_000;

/// So many bytes end a slice: what the transmit buffer takes without growing.
const SLICE_BYTES: usize = KEPT_CAPACITY - 4096;

/// Something to be done in a bundle.
#[derive(Debug)]
pub enum Op {
    /// About a flow.
    Flow {
        /// What.
        kind: FlowOp,
        /// The entry of the flow table.
        flow: FlowId,
        /// What the switch had before; of a deletion, once that is sent.
        before: Option<Box<Installed>>,
    },
    /// About a group.
    Group(Box<GroupOp>),
    /// Nothing any more: it was refused, or turned out to be unnecessary.
    Void,
}

/// What is done about a flow.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum FlowOp {
    /// Add.
    Add,
    /// Change the actions in place, so that statistics survive.
    Modify,
    /// Add in place of the one there is: the only way to a new cookie (ofctrl.c `installed_flow_mod`).
    Replace,
    /// Delete.
    Delete,
}

/// What is done about a group.
#[derive(Debug)]
pub struct GroupOp {
    /// What.
    pub command: GroupModCommand,
    /// The group.
    pub group: Group,
    /// What the switch had before; of a deletion, once that is sent.
    pub before: Option<Group>,
}

/// A message outside of bundles.
#[derive(Debug)]
pub enum Alone {
    /// A flush of a conntrack zone.
    Flush,
    /// A meter.
    Meter {
        /// What was done.
        command: MeterModCommand,
        /// The meter.
        meter: Meter,
        /// What the switch had before.
        before: Option<Meter>,
    },
}

/// Which messages of a bundle belong to which operations.
#[derive(Debug, Default)]
struct Part {
    ops: Range<usize>,
    /// (message, operation): from this message on the operations follow one by one. Some take several messages, some none.
    runs: Vec<(usize, usize)>,
}

impl Part {
    fn starting_at(op: usize) -> Self {
        Self { ops: op..op, runs: Vec::new() }
    }

    fn add(&mut self, message: usize, op: usize) {
        let expected = self.runs.last().map(|&(first, at)| at + (message - first));
        if expected != Some(op) {
            self.runs.push((message, op));
        }
    }

    fn op(&self, message: usize) -> Option<usize> {
        let run = self.runs.partition_point(|&(first, _)| first <= message).checked_sub(1)?;
        let &(first, op) = self.runs.get(run)?;
        Some(op + (message - first)).filter(|op| self.ops.contains(op))
    }
}

/// A bundle that was committed.
#[derive(Debug)]
struct Committed {
    xids: BundleXids,
    part: Part,
}

/// Where an xid belongs in a batch.
#[derive(Debug, PartialEq, Eq)]
pub enum Place {
    /// To an operation, and to the rest of its bundle.
    Op(usize, Range<usize>),
    /// It committed these operations.
    Commit(Range<usize>),
    /// To the request that opened a bundle: nothing of these operations happened or will.
    Open(Range<usize>),
    /// To a message outside of bundles.
    Alone(usize),
}

/// Differences that are collected, sent, and waited for.
#[derive(Debug, Default)]
pub struct Batch {
    /// Acknowledged with the barrier.
    pub sequence: u64,
    /// Zones to flush in front.
    pub flush: Vec<u16>,
    /// What was touched and has not been looked at.
    pub touched: std::vec::IntoIter<FlowId>,
    /// Groups that may differ and have not been looked at.
    pub touched_groups: std::vec::IntoIter<u32>,
    collected: Collected,
    ops: Vec<Op>,
    /// Number of the next operation to send.
    next: usize,
    /// The bundle that is being written.
    open: PausedBundle,
    part: Part,
    committed: Vec<Committed>,
    /// What was sent outside of bundles.
    pub alone: Vec<(Xid, Alone)>,
    /// All in one bundle.
    pub atomic: bool,
    /// The request after them all, once they are sent.
    pub barrier: Option<Xid>,
    /// Something in it did not happen: it acknowledges nothing.
    pub failed: bool,
    /// Meters and flushes in front of the bundles were sent.
    pub begun: bool,
    /// It deletes groups or meters.
    pub uproots: bool,
    /// It is in its order.
    sorted: bool,
}

#[derive(Debug, Default)]
struct Collected {
    new_groups: Vec<Op>,
    /// By table.
    adds: Vec<Vec<Op>>,
    changes: Vec<Op>,
    deletes: Vec<Vec<Op>>,
    old_groups: Vec<Op>,
    flows: usize,
}

impl Batch {
    /// A batch of what differs among what was touched, in one bundle if it is to be `atomic`.
    pub fn new(sequence: u64, flush: &[u16], touched: Vec<FlowId>, groups: Vec<u32>, atomic: bool) -> Self {
        Self {
            sequence,
            flush: flush.to_vec(),
            touched: touched.into_iter(),
            touched_groups: groups.into_iter(),
            atomic,
            ..Self::default()
        }
    }

    /// Whether it may still be added to.
    pub fn is_collecting(&self) -> bool {
        !self.sorted
    }

    /// A flow differs.
    pub fn add_flow(&mut self, table: u8, op: Op) {
        let Op::Flow { kind, .. } = &op else { return };
        self.collected.flows += 1;
        let by_table = match kind {
            FlowOp::Add => &mut self.collected.adds,
            FlowOp::Delete => &mut self.collected.deletes,
            FlowOp::Modify | FlowOp::Replace => return self.collected.changes.push(op),
        };
        let table = usize::from(table);
        if by_table.len() <= table {
            by_table.resize_with(table + 1, Vec::new);
        }
        by_table[table].push(op);
    }

    /// A group differs.
    pub fn add_group(&mut self, op: GroupOp) {
        let groups = match op.command {
            GroupModCommand::Delete => &mut self.collected.old_groups,
            _ => &mut self.collected.new_groups,
        };
        groups.push(Op::Group(Box::new(op)));
    }

    /// Everything is collected: puts it in order. Returns how many flow mods that are.
    pub fn sort(&mut self) -> usize {
        let Collected { new_groups, mut adds, changes, deletes, old_groups, flows } =
            std::mem::take(&mut self.collected);
        adds.reverse();
        self.ops = new_groups;
        self.ops.reserve_exact(flows + old_groups.len());
        self.ops.extend(adds.into_iter().flatten());
        self.ops.extend(changes);
        self.ops.extend(deletes.into_iter().flatten());
        self.uproots = !old_groups.is_empty();
        self.ops.extend(old_groups);
        self.sorted = true;
        flows
    }

    /// Whether nothing is to be sent and nothing was.
    pub fn is_empty(&self) -> bool {
        self.ops.is_empty() && self.alone.is_empty()
    }

    /// Whether all operations are in bundles that are committed.
    pub fn is_written(&self) -> bool {
        self.sorted && self.next == self.ops.len() && self.open.xids().is_none()
    }

    /// The entries of flows that were deleted.
    pub fn deletions(&self) -> impl Iterator<Item = FlowId> + '_ {
        self.ops.iter().filter_map(|op| match op {
            Op::Flow { kind: FlowOp::Delete, flow, .. } => Some(*flow),
            _ => None,
        })
    }

    /// One operation.
    pub fn op(&mut self, number: usize) -> Option<&mut Op> {
        self.ops.get_mut(number)
    }

    /// Operations, to undo them: they are taken out.
    pub fn take(&mut self, range: Range<usize>) -> Vec<Op> {
        self.ops.get_mut(range).into_iter().flatten().map(|op| std::mem::replace(op, Op::Void)).collect()
    }

    /// Where this xid belongs.
    pub fn place(&self, xid: Xid) -> Option<Place> {
        if let Some(at) = self.alone.iter().position(|(of, _)| *of == xid) {
            return Some(Place::Alone(at));
        }
        let of = |xids: &BundleXids, part: &Part| {
            let mut ops = part.ops.clone();
            Some(match xids.part(xid)? {
                BundlePart::Commit => Place::Commit(ops),
                BundlePart::Open => Place::Open(ops),
                BundlePart::Message(message) => {
                    let op = part.op(message as usize)?;
                    ops.start = op;
                    Place::Op(op, ops)
                }
            })
        };
        let open = self.open.xids().and_then(|xids| match of(xids, &self.part)? {
            // Nothing is committed yet: `commit` is a copy of `open`.
            Place::Commit(ops) => Some(Place::Open(ops)),
            place => Some(place),
        });
        open.or_else(|| self.committed.iter().find_map(|bundle| of(&bundle.xids, &bundle.part)))
    }

    /// Gives up what is not committed. Returns the operations to undo.
    pub fn abandon(&mut self) -> Vec<Op> {
        let from = if self.open.xids().is_some() { self.part.ops.start } else { self.next };
        self.open = PausedBundle::default();
        self.next = self.ops.len();
        self.take(from..self.ops.len())
    }

    /// Sends up to `count` operations, and not many more than [`SLICE_BYTES`]. `add` sends one and says how many messages that took.
    pub fn send(
        &mut self,
        connection: &mut Connection,
        count: usize,
        bundle_messages: usize,
        mut add: impl FnMut(&mut Bundle<'_>, &mut Op) -> usize,
    ) {
        let mut bundle = std::mem::take(&mut self.open).resume(connection);
        for _ in 0..count {
            let Some(op) = self.ops.get_mut(self.next) else { break };
            if bundle.is_empty() {
                self.part = Part::starting_at(self.next);
            }
            let first = bundle.len();
            let messages = add(&mut bundle, op);
            (first..first + messages).for_each(|message| self.part.add(message, self.next));
            self.next += 1;
            self.part.ops.end = self.next;
            if (!self.atomic && bundle.len() >= bundle_messages) || bundle.bytes_queued() >= SLICE_BYTES {
                break;
            }
        }
        let full = !self.atomic && bundle.len() >= bundle_messages;
        if full || self.next == self.ops.len() {
            if let Some(xids) = bundle.commit() {
                self.committed.push(Committed { xids, part: std::mem::take(&mut self.part) });
            }
        } else {
            self.open = bundle.pause();
        }
    }
}

/// Adds a group mod to a bundle, in as many messages as it takes. Returns how many.
pub fn add_group_mod(bundle: &mut Bundle<'_>, command: GroupModCommand, group: &Group) -> Result<usize, EncodeError> {
    let mut group = group.clone();
    if command == GroupModCommand::Delete {
        group.buckets.clear();
    }
    let parts = GroupMod { command, group }.split();
    for part in &parts {
        bundle.add_group_mod(part)?;
    }
    Ok(parts.len())
}

/// The flow mod for an operation.
pub fn flow_mod(flows: &FlowTable, kind: FlowOp, id: FlowId) -> Option<FlowModRef<'_>> {
    static NONE: ActionList = ActionList::DROP;
    let (table, priority, match_) = flows.flow_key(id)?;
    let command = match kind {
        FlowOp::Add | FlowOp::Replace => FlowModCommand::Add,
        FlowOp::Modify => FlowModCommand::ModifyStrict,
        FlowOp::Delete => FlowModCommand::DeleteStrict,
    };
    if kind == FlowOp::Delete {
        return Some(FlowModRef::to(command, table, priority, match_, &NONE));
    }
    let wanted = flows.installed(id)?;
    Some(FlowModRef { cookie: wanted.cookie, ..FlowModRef::to(command, table, priority, match_, &wanted.actions) })
}

/// The message about a meter.
pub fn meter_mod(command: MeterModCommand, meter: Meter) -> Message {
    Message::MeterMod(MeterMod { command, meter })
}

/// What was refused when an operation was.
pub fn content(op: &Op, flows: &FlowTable) -> Content {
    match op {
        Op::Flow { kind: FlowOp::Delete, .. } => Content::Flow(None),
        Op::Flow { flow, .. } => Content::Flow(flows.installed(*flow).cloned()),
        Op::Group(group) => Content::Group(group.group.clone()),
        Op::Void => Content::Any,
    }
}

/// For people: why a flow cannot be sent.
pub fn too_long(error: &EncodeError) -> String {
    format!("it does not fit in one message: {error}")
}

/// What has to be done about an entry of the flow table, as an operation.
pub fn flow_op(flow: FlowId, change: &Change, before: Option<&Installed>) -> Op {
    let kind = match change {
        Change::Add(_) => FlowOp::Add,
        Change::Modify(wanted) if before.is_some_and(|before| before.cookie == wanted.cookie) => FlowOp::Modify,
        Change::Modify(_) => FlowOp::Replace,
        Change::Delete => FlowOp::Delete,
    };
    let before = before.filter(|_| kind != FlowOp::Delete).map(|before| Box::new(before.clone()));
    Op::Flow { kind, flow, before }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_is_small() {
        assert_eq!(size_of::<Op>(), 16);
    }

    #[test]
    fn messages_lead_to_operations() {
        let mut part = Part::starting_at(10);
        // 10 and 11 take a message each, 12 none, 13 three, 14 one.
        for (message, op) in [(0, 10), (1, 11), (2, 13), (3, 13), (4, 13), (5, 14), (6, 15)] {
            part.add(message, op);
            part.ops.end = op + 1;
        }
        let ops: Vec<_> = (0..8).map(|message| part.op(message)).collect();
        let expected = [10, 11, 13, 13, 13, 14, 15].map(Some);
        assert_eq!(ops[..7], expected);
        assert_eq!(ops[7], None);
    }
}
