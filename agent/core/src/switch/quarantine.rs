//! [`Quarantines`]: what the switch refused, left alone for a while and tried again with growing delays. What is wanted otherwise in
//! the meantime is free at once. Flows that need a refused group or meter, or that a full table has no room for, wait with it.

use ofproto_client::connection::Time;
use ofproto_client::{Group, Meter};
use std::collections::{BTreeMap, BTreeSet};

use super::flow_table::{Change, FlowId, FlowTable, Installed};

/// How long something refused is left alone at first; doubles with every refusal, up to [`RETRY_MAX_MS`].
pub const RETRY_FIRST_MS: u64 = 5_000;
/// See [`RETRY_FIRST_MS`].
pub const RETRY_MAX_MS: u64 = 300_000;

/// Something that the switch can refuse.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Culprit {
    /// A flow, by its entry of the flow table.
    Flow(FlowId),
    /// A group.
    Group(u32),
    /// A meter.
    Meter(u32),
    /// A table that is full takes no more flows.
    Table(u8),
}

/// What exactly was refused. Something else in its place has not been.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// What the flow should have been; `None`: gone.
    Flow(Option<Installed>),
    /// The group.
    Group(Group),
    /// The meter.
    Meter(Meter),
    /// Nothing in particular: a full table.
    Any,
}

#[derive(Debug)]
struct Quarantine {
    content: Content,
    until: Time,
    delay_ms: u64,
    /// The time is over: it may be sent again, and is forgotten once the switch has taken it.
    retried: bool,
    /// It was sent again.
    sent: bool,
    /// Flows that wait for it.
    held: BTreeSet<FlowId>,
    /// Flows for which a full table has room.
    admitted: BTreeSet<FlowId>,
}

/// Everything that is left alone.
#[derive(Debug, Default)]
pub struct Quarantines(BTreeMap<Culprit, Quarantine>);

impl Quarantines {
    /// Nothing is known of the switch any more.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Whether nothing is left alone.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The switch refused this.
    pub fn refuse(&mut self, now: Time, culprit: Culprit, content: Content) {
        let former = self.0.remove(&culprit);
        let delay_ms = former
            .as_ref()
            .filter(|former| former.content == content)
            .map_or(RETRY_FIRST_MS, |former| (former.delay_ms * 2).min(RETRY_MAX_MS));
        let held = former.map(|former| former.held).unwrap_or_default();
        let until = Time(now.0 + delay_ms);
        let admitted = BTreeSet::new();
        self.0.insert(culprit, Quarantine { content, until, delay_ms, retried: false, sent: false, held, admitted });
    }

    /// The table had no room for more than these flows.
    pub fn refuse_all_but(&mut self, now: Time, table: u8, admitted: BTreeSet<FlowId>) {
        let culprit = Culprit::Table(table);
        self.refuse(now, culprit, Content::Any);
        if let Some(quarantine) = self.0.get_mut(&culprit) {
            quarantine.admitted = admitted;
        }
    }

    /// Whether the group may not be sent now.
    pub fn holds_group(&mut self, group: &Group) -> bool {
        self.holds(Culprit::Group(group.id), |content| matches!(content, Content::Group(refused) if refused == group))
    }

    /// Whether the meter may not be sent now.
    pub fn holds_meter(&mut self, meter: &Meter) -> bool {
        self.holds(Culprit::Meter(meter.id), |content| matches!(content, Content::Meter(refused) if refused == meter))
    }

    /// Whether this may not be done about a flow now: it was refused itself, or something that it needs.
    pub fn holds_flow(&mut self, flow: FlowId, table: u8, change: &Change) -> bool {
        if self.0.is_empty() {
            return false;
        }
        let wanted = match change {
            Change::Add(wanted) | Change::Modify(wanted) => Some(wanted),
            Change::Delete => None,
        };
        let same = |content: &Content| matches!(content, Content::Flow(refused) if refused.as_ref() == wanted);
        if self.holds(Culprit::Flow(flow), same) {
            return true;
        }
        let Some(wanted) = wanted else { return false };
        let adds = matches!(change, Change::Add(_));
        let needs = |culprit: &Culprit| match *culprit {
            Culprit::Group(id) => wanted.actions.refers_to_group(id),
            Culprit::Meter(id) => wanted.actions.refers_to_meter(id),
            Culprit::Table(full) => adds && full == table,
            Culprit::Flow(_) => false,
        };
        for (_, quarantine) in self.0.iter_mut().filter(|(culprit, _)| needs(culprit)) {
            if !quarantine.retried && !quarantine.admitted.contains(&flow) {
                quarantine.held.insert(flow);
                return true;
            }
        }
        false
    }

    fn holds(&mut self, culprit: Culprit, same: impl Fn(&Content) -> bool) -> bool {
        match self.0.get_mut(&culprit) {
            Some(quarantine) if same(&quarantine.content) => {
                quarantine.sent = quarantine.retried;
                !quarantine.retried
            }
            Some(_) => {
                self.0.remove(&culprit);
                false
            }
            None => false,
        }
    }

    /// Whether the flow needs a group or meter that was refused: then that is what is wrong.
    pub fn explains(&self, wanted: &Installed) -> bool {
        self.0.keys().any(|culprit| match *culprit {
            Culprit::Group(id) => wanted.actions.refers_to_group(id),
            Culprit::Meter(id) => wanted.actions.refers_to_meter(id),
            _ => false,
        })
    }

    /// What nobody wants is nothing to wait for.
    pub fn forget(&mut self, culprit: Culprit) {
        if !self.0.is_empty() {
            self.0.remove(&culprit);
        }
    }

    /// Of the meters these are wanted, sorted by id.
    pub fn keep_meters(&mut self, wanted: &[Meter]) {
        let is_wanted = |id: &u32| wanted.binary_search_by_key(id, |meter| meter.id).is_ok();
        self.0.retain(|culprit, _| !matches!(culprit, Culprit::Meter(id) if !is_wanted(id)));
    }

    /// Frees what has waited long enough, with the flows that wait for it. Returns what that is.
    pub fn release(&mut self, now: Time, flows: &mut FlowTable) -> Vec<Culprit> {
        let due = self.0.iter_mut().filter(|(_, quarantine)| !quarantine.retried && quarantine.until <= now);
        let mut free = Vec::new();
        for (&culprit, quarantine) in due {
            quarantine.retried = true;
            if let Culprit::Flow(flow) = culprit {
                flows.touch(flow);
            }
            std::mem::take(&mut quarantine.held).into_iter().for_each(|flow| flows.touch(flow));
            free.push(culprit);
        }
        free
    }

    /// There is room again in a table that was full.
    pub fn room_in(&mut self, now: Time, table: u8) {
        if let Some(quarantine) = self.0.get_mut(&Culprit::Table(table)) {
            quarantine.until = quarantine.until.min(now);
        }
    }

    /// The switch has taken everything that was tried again.
    pub fn taken(&mut self) {
        let over = |culprit: &Culprit, it: &Quarantine| it.sent || it.retried && matches!(culprit, Culprit::Table(_));
        self.0.retain(|culprit, quarantine| !over(culprit, quarantine));
    }

    /// When to call [`Quarantines::release`].
    pub fn poll_timeout(&self) -> Option<Time> {
        self.0.values().filter(|quarantine| !quarantine.retried).map(|quarantine| quarantine.until).min()
    }

    /// What is left alone now, with the number of flows that wait for each.
    pub fn iter(&self) -> impl Iterator<Item = (Culprit, usize)> + '_ {
        self.0.iter().map(|(culprit, quarantine)| (*culprit, quarantine.held.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::NodeId;
    use crate::units::DesiredFlow;
    use ofproto_client::{Flow, Match};

    fn wanted(text: &str) -> Installed {
        let flow: Flow = format!("table=9 actions={text}").parse().unwrap();
        Installed { cookie: 0, actions: flow.actions }
    }

    #[test]
    fn delays_double_and_end_with_other_content() {
        let (mut quarantines, mut flows) = (Quarantines::default(), FlowTable::default());
        let flow = DesiredFlow {
            table: 9,
            priority: 1,
            cookie: 0,
            match_: Match::default(),
            actions: wanted("resubmit(,3)").actions,
        };
        let id = flows.replace(NodeId(1), &[], vec![flow])[0];
        flows.take_touched();
        assert_eq!(flows.examine(id), Some(Change::Add(wanted("resubmit(,3)"))));
        let (change, other) = (Change::Add(wanted("resubmit(,3)")), Change::Add(wanted("resubmit(,4)")));
        let mut now = Time(0);
        for delay in [5_000, 10_000, 20_000, 40_000, 80_000, 160_000, 300_000, 300_000] {
            quarantines.refuse(now, Culprit::Flow(id), Content::Flow(Some(wanted("resubmit(,3)"))));
            assert!(quarantines.holds_flow(id, 9, &change));
            assert_eq!(quarantines.poll_timeout(), Some(Time(now.0 + delay)));
            assert_eq!(quarantines.release(Time(now.0 + delay - 1), &mut flows), []);
            now = Time(now.0 + delay);
            assert_eq!(quarantines.release(now, &mut flows), [Culprit::Flow(id)]);
            assert_eq!(flows.take_touched(), [id]);
            flows.examine(id);
            quarantines.taken();
            assert_eq!(quarantines.iter().count(), 1, "it was not tried in what the switch has taken");
            assert!(!quarantines.holds_flow(id, 9, &change), "it may be tried again");
        }
        quarantines.refuse(now, Culprit::Flow(id), Content::Flow(Some(wanted("resubmit(,3)"))));
        assert!(!quarantines.holds_flow(id, 9, &other), "that was not refused");
        assert!(!quarantines.holds_flow(id, 9, &change), "and with it the quarantine is over");
    }

    #[test]
    fn flows_wait_for_what_they_need() {
        let (mut quarantines, mut flows) = (Quarantines::default(), FlowTable::default());
        let group: Group = "group_id=7,type=select,bucket=actions=resubmit(,3)".parse().unwrap();
        quarantines.refuse(Time(0), Culprit::Group(7), Content::Group(group.clone()));
        quarantines.refuse(Time(0), Culprit::Meter(8), Content::Meter(Meter { id: 8, ..Meter::default() }));
        quarantines.refuse(Time(0), Culprit::Table(3), Content::Any);
        let mut held = |table, text: &str| {
            (quarantines.holds_flow(FlowId(0), table, &Change::Add(wanted(text))), quarantines.explains(&wanted(text)))
        };
        assert_eq!(held(9, "group:7"), (true, true));
        assert_eq!(held(9, "group:8"), (false, false));
        assert_eq!(held(9, "clone(meter:8,resubmit(,3))"), (true, true));
        assert_eq!(held(9, "controller(userdata=00,meter_id=8)"), (true, true));
        assert_eq!(held(9, "controller(userdata=00.00.00.08)"), (false, false));
        assert_eq!(held(3, "resubmit(,4)"), (true, false));
        assert!(!quarantines.holds_flow(FlowId(0), 3, &Change::Modify(wanted("resubmit(,4)"))), "takes no room");
        assert!(!quarantines.holds_flow(FlowId(0), 3, &Change::Delete));
        assert!(quarantines.holds_group(&group));
        assert_eq!(quarantines.iter().map(|(_, held)| held).sum::<usize>(), 3);
        quarantines.room_in(Time(1), 3);
        assert_eq!(quarantines.release(Time(1), &mut flows), [Culprit::Table(3)]);
        quarantines.taken();
        assert_eq!(quarantines.iter().count(), 2);
    }
}
