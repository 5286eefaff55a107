//! One batch of messages: what differs between desired and installed, in the order of ofctrl.c `ofctrl_put` (OVN 26.03):
//! flushes of conntrack zones, meters, then in one bundle new groups, flows, old groups; then old meters.

use ofproto_client::connection::{BundleXids, Connection, Time};
use ofproto_client::message::{Message, Xid};
use ofproto_client::{
    Flow, FlowMod, FlowModCommand, Group, GroupMod, GroupModCommand, Meter, MeterMod, MeterModCommand,
};
use std::collections::BTreeMap;

use super::flow_table::{Change, FlowId, Installed};
use super::session::{Session, Target};
use crate::pools::Pools;

/// A flow mod that was sent.
#[derive(Debug)]
pub struct Sent {
    /// Its xid.
    pub xid: Xid,
    /// The entry of the flow table.
    pub flow: FlowId,
    /// What the switch had before.
    pub before: Option<Installed>,
}

/// Messages that were sent together, until their barrier is answered.
#[derive(Debug, Default)]
pub struct Batch {
    /// The request after them all.
    pub barrier: Xid,
    /// Acknowledged with the barrier.
    pub sequence: u64,
    /// The flow mods.
    pub flows: Vec<Sent>,
    /// The commit was refused: nothing in the bundle happened.
    pub failed: bool,
    bundle: Option<BundleXids>,
    /// Groups that were changed, as they were before.
    groups: Vec<(u32, Option<Group>)>,
    others: Vec<Xid>,
}

impl Batch {
    /// An empty batch.
    pub fn new(sequence: u64) -> Self {
        Self { sequence, ..Self::default() }
    }

    /// Whether nothing was sent.
    pub fn is_empty(&self) -> bool {
        self.bundle.is_none() && self.others.is_empty()
    }

    /// Whether the message with this xid belongs to the batch.
    pub fn contains(&self, xid: Xid) -> bool {
        self.in_bundle(xid) || self.others.contains(&xid)
    }

    /// Whether the message with this xid belongs to the batch's bundle.
    pub fn in_bundle(&self, xid: Xid) -> bool {
        self.bundle.as_ref().is_some_and(|bundle| bundle.part(xid).is_some())
    }

    /// Whether the message with this xid committed the bundle.
    pub fn is_commit(&self, xid: Xid) -> bool {
        self.bundle.as_ref().is_some_and(|bundle| bundle.commit == xid)
    }

    /// Takes the flow mod with this xid out of the batch.
    pub fn take_flow(&mut self, xid: Xid) -> Option<Sent> {
        let at = self.flows.iter().position(|sent| sent.xid == xid)?;
        Some(self.flows.remove(at))
    }

    /// The commit was refused: nothing in the bundle happened. Puts the groups back, and returns the flow mods to undo.
    pub fn fail(&mut self, groups: &mut BTreeMap<u32, Group>, pools: &mut Pools) -> Vec<Sent> {
        self.failed = true;
        for (id, before) in self.groups.drain(..).rev() {
            match before {
                Some(group) => groups.insert(id, group),
                None => groups.remove(&id),
            };
        }
        pools.groups.touch_all();
        std::mem::take(&mut self.flows)
    }
}

impl Session {
    /// Has the switch forget the tracked connections of these zones.
    pub(super) fn send_flushes(&mut self, connection: &mut Connection, zones: &[u16], batch: &mut Batch) {
        for zone in zones {
            self.send_alone(connection, &Message::CtFlushZone(*zone), batch);
        }
    }

    /// Queues everything that differs and adds to the batch what has to be remembered of it.
    pub(super) fn send_differences(
        &mut self,
        now: Time,
        connection: &mut Connection,
        target: &mut Target<'_>,
        batch: &mut Batch,
    ) {
        let old_meters = self.send_new_meters(connection, target.meters, batch);
        // Ids that nothing refers to any more are free: the meters themselves are deleted at the end of this batch.
        target.pools.meters.take_changed();
        let (new_groups, old_groups) = self.group_differences(target.pools);
        let mut problems = Vec::new();
        let mut bundle = connection.bundle();
        let mut add = |message: Message, problems: &mut Vec<String>| match bundle.add(&message) {
            Ok(xid) => Some(xid),
            Err(error) => {
                problems.push(error.to_string());
                None
            }
        };
        for (command, group) in new_groups {
            batch.groups.push((group.id, self.groups.insert(group.id, group.clone())));
            target.pools.groups.set_in_switch(group.id, true);
            add(Message::GroupMod(Box::new(GroupMod { command, group })), &mut problems);
        }
        for flow in target.flows.take_changed() {
            if self.is_quarantined(now, flow) {
                continue;
            }
            let Some((message, after)) = flow_mod(target, flow) else { continue };
            if let Some(xid) = add(message, &mut problems) {
                batch.flows.push(Sent { xid, flow, before: target.flows.installed(flow).cloned() });
                target.flows.set_installed(flow, after);
            }
        }
        for group in old_groups {
            batch.groups.push((group.id, self.groups.remove(&group.id)));
            target.pools.groups.set_in_switch(group.id, false);
            let delete = GroupMod { command: GroupModCommand::Delete, group };
            add(Message::GroupMod(Box::new(delete)), &mut problems);
        }
        batch.bundle = bundle.commit();
        for meter in old_meters {
            self.send_meter(connection, MeterModCommand::Delete, meter, batch);
        }
        problems.into_iter().for_each(|problem| self.refused(problem));
    }

    /// Sends the meters that the switch lacks or has otherwise; returns those that it should not have.
    fn send_new_meters(&mut self, connection: &mut Connection, wanted: &[Meter], batch: &mut Batch) -> Vec<Meter> {
        for meter in wanted {
            let command = match self.meters.get(&meter.id) {
                None => MeterModCommand::Add,
                Some(installed) if installed == meter => continue,
                Some(_) => MeterModCommand::Modify,
            };
            self.send_meter(connection, command, meter.clone(), batch);
        }
        let unwanted = |id: &u32| wanted.binary_search_by_key(id, |meter| meter.id).is_err();
        self.meters.values().filter(|meter| unwanted(&meter.id)).cloned().collect()
    }

    fn send_meter(&mut self, connection: &mut Connection, command: MeterModCommand, meter: Meter, batch: &mut Batch) {
        match command {
            MeterModCommand::Delete => self.meters.remove(&meter.id),
            _ => self.meters.insert(meter.id, meter.clone()),
        };
        self.send_alone(connection, &Message::MeterMod(MeterMod { command, meter }), batch);
    }

    /// Sends a message outside of the bundle.
    fn send_alone(&mut self, connection: &mut Connection, message: &Message, batch: &mut Batch) {
        match connection.send(message) {
            Ok(xid) => batch.others.push(xid),
            Err(error) => self.refused(error.to_string()),
        }
    }

    /// Groups to add or modify, and groups to delete.
    fn group_differences(&mut self, pools: &mut Pools) -> (Vec<(GroupModCommand, Group)>, Vec<Group>) {
        let mut ids = pools.groups.take_changed();
        ids.extend(self.groups.keys().filter(|id| pools.groups.wanted(**id).is_none()));
        let (mut new, mut old) = (Vec::new(), Vec::new());
        for id in ids {
            let wanted = match pools.groups.wanted(id).map(|text| group_of(id, text)) {
                Some(Ok(group)) => Some(group),
                Some(Err(why)) => {
                    self.refused(why);
                    None
                }
                None => None,
            };
            match (wanted, self.groups.get(&id)) {
                (Some(group), None) => new.push((GroupModCommand::Add, group)),
                (Some(group), Some(installed)) if group != *installed => new.push((GroupModCommand::Modify, group)),
                (None, Some(installed)) => old.push(installed.clone()),
                _ => {}
            }
        }
        (new, old)
    }
}

/// The group with this id and text (an extend-table key of sheet 02 section 3.5).
pub fn group_of(id: u32, text: &str) -> Result<Group, String> {
    format!("group_id={id},{text}").parse().map_err(|error| format!("group {id} \"{text}\": {error}"))
}

/// The message that brings an entry from installed to desired, and what is installed after it.
fn flow_mod(target: &Target<'_>, id: FlowId) -> Option<(Message, Option<Installed>)> {
    let change = target.flows.change(id)?;
    let (table, priority, match_) = target.flows.flow_key(id)?;
    let before = target.flows.installed(id);
    let (command, after) = match change {
        Change::Add(wanted) => (FlowModCommand::Add, Some(wanted)),
        // In place, so that statistics survive; a new cookie needs an add, which replaces (ofctrl.c `installed_flow_mod`).
        Change::Modify(wanted) if before.is_some_and(|b| b.cookie == wanted.cookie) => {
            (FlowModCommand::ModifyStrict, Some(wanted))
        }
        Change::Modify(wanted) => (FlowModCommand::Add, Some(wanted)),
        Change::Delete => (FlowModCommand::DeleteStrict, None),
    };
    let (cookie, actions) = after.as_ref().map_or((0, Default::default()), |a| (a.cookie, a.actions.clone()));
    let flow = Flow { table, priority, cookie, match_: match_.clone(), actions };
    Some((Message::FlowMod(Box::new(FlowMod::new(command, &flow))), after))
}
