//! The part of [`Session`] that brings the switch to the desired state: [`Session::push`] and [`Session::proceed`].

use ofproto_client::connection::{Bundle, Connection, Time};
use ofproto_client::message::Message;
use ofproto_client::{Group, GroupModCommand, Meter, MeterModCommand};

use super::batch::{
    self, Alone, BUNDLE_MESSAGES, Batch, FlowOp, GroupOp, ONE_BUNDLE, Op, add_group_mod, flow_mod, flow_op, meter_mod,
};
use super::flow_table::Change;
use super::quarantine::Culprit;
use super::session::{Notice, Session, Target};

/// Bytes that the switch may have to confirm before more are sent. It bounds what is queued here and in the socket, and how long an
/// answer of ours to the switch waits behind it.
pub const WINDOW: u64 = 1 << 20;
/// Entries of the flow table looked at in one go; a group counts for [`GROUP_COST`] of them.
const COLLECTED: usize = 4_000;
const GROUP_COST: usize = 40;
/// Operations sent in one go.
const SENT: usize = 512;

impl Session {
    /// Starts to send what differs, after it has had the switch forget the tracked connections of the zones in `flush`.
    /// `sequence` is acknowledged when the switch has it all; it never goes back.
    /// Returns false if nothing can be sent now; call again after the next received bytes. If it returns true,
    /// [`Session::proceed`] is to be called, and the desired state must not change while [`Session::is_collecting`].
    pub fn push(&mut self, now: Time, sequence: u64, flush: &[u16], target: &mut Target<'_>) -> bool {
        if !self.is_ready() || self.batch.is_some() {
            return false;
        }
        // Batches may follow one another without a pause: a slice of the audit goes in between.
        self.proceed_audit(now, target);
        // Ids that nothing refers to any more are free: the meters themselves are deleted at the end of this batch.
        target.pools.meters.take_changed();
        let groups = target.pools.groups.take_changed();
        self.touched = false;
        self.quarantines.keep_meters(target.meters);
        let (touched, groups) = (target.flows.take_touched(), groups.into_iter().collect());
        // What a switch without flows does to packets it does in the middle of an update too.
        let atomic = std::mem::take(&mut self.found_flows);
        self.asked(now, self.owes());
        self.batch = Some(Batch::new(sequence, flush, touched, groups, atomic));
        self.proceed(now, target);
        true
    }

    /// Whether a push is still being put together: the desired state must not change.
    pub fn is_collecting(&self) -> bool {
        self.batch.as_ref().is_some_and(Batch::is_collecting)
    }

    /// Whether a push is not acknowledged yet.
    pub fn is_busy(&self) -> bool {
        self.batch.is_some()
    }

    /// Whether groups or meters of the switch are known to differ from those that were sent: a reason to push.
    pub fn is_touched(&self) -> bool {
        self.touched
    }

    /// Whether [`Session::proceed`] has something to do at once.
    pub fn can_proceed(&self, now: Time) -> bool {
        let room = self.connection.as_ref().is_some_and(|connection| connection.bytes_in_flight() < WINDOW);
        match &self.batch {
            Some(batch) => batch.is_collecting() || (batch.barrier.is_none() && room),
            None => self.is_ready() && self.audit.poll_timeout().is_some_and(|at| at <= now),
        }
    }

    /// Goes on with what was started, for about a millisecond. Says whether there is more to do at once; if not, the next received
    /// bytes or the next timeout are to be waited for.
    pub fn proceed(&mut self, now: Time, target: &mut Target<'_>) -> bool {
        if !self.is_ready() {
            return false;
        }
        let Some(mut batch) = self.batch.take() else { return self.proceed_audit(now, target) };
        if batch.is_collecting() {
            if self.collect(&mut batch, target) {
                self.batch = Some(batch);
                return true;
            }
            self.collected(&mut batch);
        }
        let Some(mut connection) = self.connection.take() else { return false };
        if batch.barrier.is_none() {
            self.send_slice(&mut connection, &mut batch, target);
        }
        self.connection = Some(connection);
        if batch.barrier.is_some() && batch.is_empty() {
            self.quarantines.taken();
            self.notices.push_back(Notice::Acknowledged(batch.sequence));
        } else {
            self.batch = Some(batch);
        }
        self.can_proceed(now)
    }

    /// The switch has answered the barrier behind the batch.
    pub(super) fn finished(&mut self, now: Time, target: &Target<'_>) {
        let Some(batch) = self.batch.take() else { return };
        // With a group or meter go the flows that refer to it, such as one whose change was refused.
        if batch.uproots && (batch.failed || !self.quarantines.is_empty()) {
            self.audit.request();
        }
        if batch.failed {
            return;
        }
        self.failures = 0;
        self.quarantines.taken();
        if self.quarantines.iter().any(|(culprit, _)| matches!(culprit, Culprit::Table(_))) {
            for (table, ..) in batch.deletions().filter_map(|flow| target.flows.flow_key(flow)) {
                self.quarantines.room_in(now, table);
            }
        }
        self.notices.push_back(Notice::Acknowledged(batch.sequence));
    }

    // ===== collecting =====

    /// Looks at some of what was touched. Says whether there is more.
    fn collect(&mut self, batch: &mut Batch, target: &mut Target<'_>) -> bool {
        let mut budget = COLLECTED;
        while budget > GROUP_COST {
            let Some(id) = batch.touched_groups.next() else { break };
            budget -= GROUP_COST;
            self.collect_group(id, batch, target);
        }
        for _ in 0..budget {
            let Some(flow) = batch.touched.next() else { break };
            let Some(change) = target.flows.examine(flow) else {
                self.quarantines.forget(Culprit::Flow(flow));
                continue;
            };
            let Some((table, ..)) = target.flows.flow_key(flow) else { continue };
            if self.quarantines.holds_flow(flow, table, &change) {
                continue;
            }
            batch.add_flow(table, flow_op(flow, &change, target.flows.installed(flow)));
            // A deletion is believed when it is sent: until then the entry has to stay.
            if let Change::Add(wanted) | Change::Modify(wanted) = change {
                target.flows.set_installed(flow, Some(wanted));
            }
        }
        batch.touched.len() > 0 || batch.touched_groups.len() > 0
    }

    fn collect_group(&mut self, id: u32, batch: &mut Batch, target: &mut Target<'_>) {
        let wanted = match target.pools.groups.wanted(id).map(|text| group_of(id, text)) {
            Some(Ok(group)) => Some(group),
            Some(Err(why)) => {
                self.notices.push_back(Notice::Refused { culprit: Culprit::Group(id), why });
                None
            }
            None => None,
        };
        if wanted.is_none() {
            self.quarantines.forget(Culprit::Group(id));
        }
        let installed = self.groups.get(&id);
        let command = match (&wanted, installed) {
            (Some(_), None) => GroupModCommand::Add,
            (Some(group), Some(installed)) if group != installed => GroupModCommand::Modify,
            (None, Some(_)) => GroupModCommand::Delete,
            _ => return,
        };
        if let Some(group) = &wanted
            && self.unseen_groups.remove(&id).is_some_and(|buckets| usize::from(buckets) == group.buckets.len())
        {
            // Its content cannot be read, but its number is the hash of it.
            target.pools.groups.set_in_switch(id, true);
            self.groups.insert(id, group.clone());
            return;
        }
        match wanted {
            Some(group) if self.quarantines.holds_group(&group) => {}
            Some(group) => {
                target.pools.groups.set_in_switch(id, true);
                let before = self.groups.insert(id, group.clone());
                batch.add_group(GroupOp { command, group, before });
            }
            None => {
                let Some(group) = installed.cloned() else { return };
                batch.add_group(GroupOp { command, group, before: None });
            }
        }
    }

    fn collected(&mut self, batch: &mut Batch) {
        let flows = batch.sort();
        self.flow_mods += flows as u64;
        batch.atomic |= flows <= ONE_BUNDLE;
        // Each failure costs the whole bundle; in small ones the guilty are found soon.
        batch.atomic &= self.failures < 3;
    }

    /// Messages of a bundle that need not be one.
    fn bundle_messages(&self) -> usize {
        (BUNDLE_MESSAGES >> self.failures.min(12)).max(1)
    }

    // ===== sending =====

    /// Sends some of the batch, and the barrier behind its end.
    fn send_slice(&mut self, connection: &mut Connection, batch: &mut Batch, target: &mut Target<'_>) {
        if !std::mem::replace(&mut batch.begun, true) {
            for zone in std::mem::take(&mut batch.flush) {
                self.send_alone(connection, &Message::CtFlushZone(zone), Alone::Flush, batch);
            }
            self.send_new_meters(connection, target.meters, batch);
        }
        if !batch.is_written() {
            if connection.bytes_in_flight() >= WINDOW {
                return;
            }
            let (sizes, messages) = (self.bundle_messages(), SENT);
            let mut refused = Vec::new();
            batch.send(connection, messages, sizes, |bundle, op| self.send_op(bundle, op, target, &mut refused));
            self.notices.extend(refused);
        }
        if batch.is_written() {
            self.send_old_meters(connection, target.meters, batch);
            // An empty batch has nothing to wait for.
            batch.barrier = Some(if batch.is_empty() { Default::default() } else { connection.send_barrier() });
        } else {
            // Tells how far the switch is.
            connection.send_barrier();
        }
    }

    /// Adds an operation to the bundle. Returns how many messages that took.
    fn send_op(
        &mut self,
        bundle: &mut Bundle<'_>,
        op: &mut Op,
        target: &mut Target<'_>,
        refused: &mut Vec<Notice>,
    ) -> usize {
        match op {
            Op::Flow { kind, flow, before } => {
                let id = *flow;
                if *kind == FlowOp::Delete && !self.start_deletion(id, before, target) {
                    *op = Op::Void;
                    return 0;
                }
                let Some(message) = flow_mod(target.flows, *kind, id) else { return 0 };
                let added = bundle.add_flow_mod(&message);
                if *kind == FlowOp::Delete {
                    // Touched, its number stays its own until the next batch, should this one have to be undone.
                    target.flows.touch(id);
                    target.flows.set_installed(id, None);
                }
                let Err(error) = added else { return 1 };
                refused.push(Notice::Refused { culprit: Culprit::Flow(id), why: batch::too_long(&error) });
                target.flows.set_installed(id, None);
                let had = std::mem::replace(kind, FlowOp::Delete) != FlowOp::Add;
                // With what it was before it would be wrong; without it, it is missing.
                let deletion = flow_mod(target.flows, FlowOp::Delete, id).filter(|_| had);
                match deletion.map(|message| bundle.add_flow_mod(&message)) {
                    Some(Ok(_)) => 1,
                    _ => {
                        *op = Op::Void;
                        0
                    }
                }
            }
            Op::Group(group) => {
                let id = group.group.id;
                if group.command == GroupModCommand::Delete {
                    if target.pools.groups.wanted(id).is_some() {
                        // Somebody wants it again, as it is or otherwise.
                        target.pools.groups.touch(id);
                        *op = Op::Void;
                        return 0;
                    }
                    group.before = self.groups.remove(&id);
                    self.unseen_groups.remove(&id);
                    target.pools.groups.set_in_switch(id, false);
                }
                self.audit.groups_or_meters_sent();
                let before = bundle.len();
                if let Err(error) = add_group_mod(bundle, group.command, &group.group) {
                    // A bucket alone is longer than a message; there is no such action.
                    refused.push(Notice::Refused { culprit: Culprit::Group(id), why: batch::too_long(&error) });
                }
                bundle.len() - before
            }
            Op::Void => 0,
        }
    }

    /// Whether a flow that was to be deleted is still to be.
    fn start_deletion(
        &self,
        id: super::FlowId,
        before: &mut Option<Box<super::Installed>>,
        target: &Target<'_>,
    ) -> bool {
        if target.flows.change(id) != Some(Change::Delete) {
            return false;
        }
        *before = target.flows.installed(id).map(|installed| Box::new(installed.clone()));
        true
    }

    /// Sends the meters that the switch lacks or has otherwise.
    fn send_new_meters(&mut self, connection: &mut Connection, wanted: &[Meter], batch: &mut Batch) {
        for meter in wanted {
            let command = match self.meters.get(&meter.id) {
                None => MeterModCommand::Add,
                Some(installed) if installed == meter => continue,
                Some(_) => MeterModCommand::Modify,
            };
            if !self.quarantines.holds_meter(meter) {
                self.send_meter(connection, command, meter.clone(), batch);
            }
        }
    }

    /// Deletes the meters that nobody wants.
    fn send_old_meters(&mut self, connection: &mut Connection, wanted: &[Meter], batch: &mut Batch) {
        let unwanted = |id: &u32| wanted.binary_search_by_key(id, |meter| meter.id).is_err();
        let old: Vec<Meter> = self.meters.values().filter(|meter| unwanted(&meter.id)).cloned().collect();
        for meter in old {
            batch.uproots = true;
            self.send_meter(connection, MeterModCommand::Delete, meter, batch);
        }
    }

    fn send_meter(&mut self, connection: &mut Connection, command: MeterModCommand, meter: Meter, batch: &mut Batch) {
        let before = match command {
            MeterModCommand::Delete => self.meters.remove(&meter.id),
            _ => self.meters.insert(meter.id, meter.clone()),
        };
        self.audit.groups_or_meters_sent();
        let message = meter_mod(command, meter.clone());
        self.send_alone(connection, &message, Alone::Meter { command, meter, before }, batch);
    }

    /// Sends a message outside of bundles.
    fn send_alone(&mut self, connection: &mut Connection, message: &Message, what: Alone, batch: &mut Batch) {
        match connection.send(message) {
            Ok(xid) => batch.alone.push((xid, what)),
            Err(error) => self.fail(error.to_string()),
        }
    }
}

/// The group with this id and text (an extend-table key of sheet 02 section 3.5).
pub fn group_of(id: u32, text: &str) -> Result<Group, String> {
    format!("group_id={id},{text}").parse().map_err(|error| format!("group {id} \"{text}\": {error}"))
}
