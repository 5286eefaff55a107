//! [`Audit`]: compares, slowly and a slice at a time, what the switch has with what it is believed to have. Whatever differs, because
//! somebody else changed the switch or because a message was lost on us, is taken over as installed; the next push repairs it.
//!
//! A pass reads Geneve options, groups, meters, then flows table by table; a table that is large is cut by the low bits of the cookie, so that no
//! answer has many more than [`SLICE_FLOWS`] flows. One slice is asked for at a time. Slices are spread over the interval, so that the switch
//! hardly notices; on request they follow one another. Flows that the switch learns are left alone.

use ofproto_client::connection::{Connection, Time};
use ofproto_client::flow::TABLE_ALL;
use ofproto_client::message::{
    FlowStats, FlowStatsRequest, Message, MultipartReply, MultipartReplyBody, MultipartRequest, Xid,
};
use ofproto_client::meter::METER_ALL;
use ofproto_client::{Group, Meter};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::discovery::{self, GroupReader};
use super::flow_table::{Finding, Installed};
use super::session::Target;

/// Flows in a slice, more or less; a large table is cut in at most [`TABLE_SLICES`].
pub const SLICE_FLOWS: u32 = 1_000;
/// Every slice costs the switch a walk over the table.
const TABLE_SLICES: u32 = 64;
/// Entries looked at in one go for what was not seen.
const SWEEP: usize = 5_000;
/// Open vSwitch has flows of its own there, which it shows to those who ask for this table.
const INTERNAL_TABLE: u8 = 254;
/// How often a slice that cannot be compared, because groups or meters were changed meanwhile, is asked for again.
const RETRIES: u8 = 10;

/// What the audit has found since the start.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditCounters {
    /// Passes that were completed.
    pub passes: u64,
    /// Answers that were compared.
    pub slices: u64,
    /// Flows compared.
    pub flows: u64,
    /// Flows that were not there.
    pub flows_missing: u64,
    /// Flows with other actions or another cookie.
    pub flows_changed: u64,
    /// Flows that we did not send.
    pub flows_foreign: u64,
    /// Groups that were not there, were others, or were not ours.
    pub groups: u64,
    /// Meters that were not there, were others, or were not ours.
    pub meters: u64,
}

impl AuditCounters {
    /// Names and values, for the coverage counters.
    pub fn named(&self) -> [(&'static str, u64); 8] {
        [
            ("switch_audit_pass", self.passes),
            ("switch_audit_slice", self.slices),
            ("switch_audit_flow", self.flows),
            ("switch_audit_flow_missing", self.flows_missing),
            ("switch_audit_flow_changed", self.flows_changed),
            ("switch_audit_flow_foreign", self.flows_foreign),
            ("switch_audit_group", self.groups),
            ("switch_audit_meter", self.meters),
        ]
    }

    /// Everything that was not as it should be.
    pub fn drift(&self) -> u64 {
        self.flows_missing + self.flows_changed + self.flows_foreign + self.groups + self.meters
    }

    fn since(&self, before: &AuditCounters) -> AuditCounters {
        AuditCounters {
            passes: self.passes - before.passes,
            slices: self.slices - before.slices,
            flows: self.flows - before.flows,
            flows_missing: self.flows_missing - before.flows_missing,
            flows_changed: self.flows_changed - before.flows_changed,
            flows_foreign: self.flows_foreign - before.flows_foreign,
            groups: self.groups - before.groups,
            meters: self.meters - before.meters,
        }
    }
}

/// The audit of one switch.
#[derive(Debug, Default)]
pub struct Audit {
    /// In which whatever differs is found; `None`: only on request.
    interval_ms: Option<u64>,
    /// When the next slice is due, or the next pass.
    next: Option<Time>,
    pass: Option<Pass>,
    /// Somebody asked for a pass.
    requested: bool,
    counters: AuditCounters,
}

#[derive(Debug)]
struct Pass {
    slices: VecDeque<Slice>,
    /// Between two slices; 0: one after the other.
    pace_ms: u64,
    began: Time,
    /// Slices that are over.
    over: u64,
    asked: Option<Asked>,
    before: AuditCounters,
}

impl Pass {
    /// A slice is over. When the next is due: a pass takes its time and no more, however long the switch takes for its answers.
    fn slice_over(&mut self) -> Time {
        self.over += 1;
        Time(self.began.0 + self.over * self.pace_ms)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Slice {
    /// The table of Geneve options.
    Options,
    Groups {
        retries: u8,
    },
    Meters {
        retries: u8,
    },
    Flows {
        table: u8,
        cookie: u64,
        mask: u64,
    },
    /// What was not seen, from this entry of the flow table on.
    Unseen {
        from: usize,
    },
}

/// The slice that is being read.
#[derive(Debug)]
struct Asked {
    slice: Slice,
    xid: Option<Xid>,
    groups: GroupReader,
    meters: Vec<Meter>,
    /// Groups or meters were sent meanwhile: nothing can be said about them.
    stale: bool,
}

/// Groups and meters that the switch is believed to have.
pub struct Believed<'a> {
    /// By id.
    pub groups: &'a mut BTreeMap<u32, Group>,
    /// By id.
    pub meters: &'a mut BTreeMap<u32, Meter>,
}

/// What an audit has to tell.
#[derive(Debug, PartialEq)]
pub enum Outcome {
    /// There is more to do.
    Goes,
    /// A pass is complete; these are its findings.
    Complete(AuditCounters),
}

impl Audit {
    /// Within this time whatever differs is found, from now on. `None`: nothing is done unless it is asked for.
    pub fn set_interval(&mut self, now: Time, interval_ms: Option<u64>) {
        if self.interval_ms != interval_ms {
            self.interval_ms = interval_ms;
            if self.pass.is_none() {
                self.next = interval_ms.map(|ms| Time(now.0 + ms / 2));
            }
        }
    }

    /// A pass at once; one that is running goes on without pauses and is followed by another.
    pub fn request(&mut self) {
        self.requested = true;
        if let Some(pass) = &mut self.pass {
            pass.pace_ms = 0;
        }
        self.next = Some(Time(0));
    }

    /// Whether a pass is running or asked for.
    pub fn is_running(&self) -> bool {
        self.pass.is_some() || self.requested
    }

    /// Whether an answer is awaited.
    pub fn awaits(&self) -> bool {
        self.pass.as_ref().is_some_and(|pass| pass.asked.is_some())
    }

    /// What was found since the start.
    pub fn counters(&self) -> &AuditCounters {
        &self.counters
    }

    /// Another connection, which begins by reading everything back: that is a pass.
    pub fn restart(&mut self, now: Time, target: &mut Target<'_>) {
        self.pass = None;
        self.requested = false;
        self.next = self.interval_ms.map(|ms| Time(now.0 + ms / 2));
        target.flows.end_slice();
    }

    /// When to call [`Audit::proceed`].
    pub fn poll_timeout(&self) -> Option<Time> {
        if self.awaits() { None } else { self.next }
    }

    /// Groups or meters are being sent.
    pub fn groups_or_meters_sent(&mut self) {
        if let Some(asked) = self.pass.as_mut().and_then(|pass| pass.asked.as_mut()) {
            asked.stale = true;
        }
    }

    /// Does the next step if it is due. Only while nothing that was sent is unconfirmed.
    pub fn proceed(&mut self, now: Time, connection: &mut Connection, target: &mut Target<'_>) -> Option<Outcome> {
        if self.awaits() || self.next.is_none_or(|next| now < next) {
            return None;
        }
        if self.pass.is_none() {
            self.begin(now, target);
        }
        let pass = self.pass.as_mut()?;
        let Some(slice) = pass.slices.pop_front() else {
            return Some(Outcome::Complete(self.end(now)));
        };
        if let Slice::Unseen { from } = slice {
            let (missing, rest) = target.flows.sweep_unseen(from, SWEEP, is_audited);
            self.counters.flows_missing += missing.len() as u64;
            if let Some(from) = rest {
                pass.slices.push_front(Slice::Unseen { from });
            }
            self.next = Some(now);
            return Some(Outcome::Goes);
        }
        let request = match slice {
            Slice::Options => None,
            Slice::Meters { .. } => Some(MultipartRequest::MeterConfig(METER_ALL)),
            Slice::Flows { table, cookie, mask } => Some(MultipartRequest::Flows(FlowStatsRequest {
                table,
                cookie,
                cookie_mask: mask,
                ..FlowStatsRequest::default()
            })),
            Slice::Groups { .. } | Slice::Unseen { .. } => None,
        };
        let groups = match slice {
            Slice::Groups { .. } => GroupReader::start(connection),
            _ => GroupReader::default(),
        };
        let message = match request {
            Some(request) => Some(Message::MultipartRequest(Box::new(request))),
            None => (slice == Slice::Options).then_some(Message::TlvTableRequest),
        };
        let xid = message.and_then(|message| connection.send(&message).ok());
        target.flows.begin_slice();
        pass.asked = Some(Asked { slice, xid, groups, meters: Vec::new(), stale: false });
        Some(Outcome::Goes)
    }

    fn begin(&mut self, now: Time, target: &mut Target<'_>) {
        let slices = slices(target.flows.sizes());
        let pace_ms = match self.interval_ms.filter(|_| !self.requested) {
            // What changes behind a pass is seen by the next: two of them in the interval.
            Some(ms) => ms / 2 / slices.len() as u64,
            None => 0,
        };
        self.requested = false;
        target.flows.begin_pass();
        self.pass = Some(Pass { slices, pace_ms, began: now, over: 0, asked: None, before: self.counters });
    }

    fn end(&mut self, now: Time) -> AuditCounters {
        self.counters.passes += 1;
        let (before, pace_ms) = self.pass.take().map(|pass| (pass.before, pass.pace_ms)).unwrap_or_default();
        let next = self.interval_ms.map(|ms| Time(now.0 + if pace_ms == 0 { ms / 2 } else { pace_ms }));
        self.next = if self.requested { Some(now) } else { next };
        self.counters.since(&before)
    }

    /// Takes a message if it answers a question of the audit.
    pub fn message(
        &mut self,
        connection: &mut Connection,
        xid: Xid,
        reply: MultipartReply,
        believed: &mut Believed<'_>,
        target: &mut Target<'_>,
    ) {
        let Some(asked) = self.pass.as_mut().and_then(|pass| pass.asked.as_mut()) else { return };
        let MultipartReply { more, body } = reply;
        match body {
            MultipartReplyBody::Flows { flows, .. } if asked.xid == Some(xid) => {
                for flow in flows {
                    compare_flow(flow, target, &mut self.counters);
                }
            }
            MultipartReplyBody::Meters { meters, .. } if asked.xid == Some(xid) => asked.meters.extend(meters),
            body => asked.groups.part(connection, xid, body, more),
        }
        let ours = asked.xid.is_none() || asked.xid == Some(xid);
        if ours && !more && asked.groups.is_complete() {
            self.answered(believed, target);
        }
    }

    /// A table of Geneve options arrived. Says whether that is an answer to the audit.
    pub fn options(&mut self, xid: Xid, believed: &mut Believed<'_>, target: &mut Target<'_>) -> bool {
        let asked = self.pass.as_ref().and_then(|pass| pass.asked.as_ref());
        let ours = asked.is_some_and(|asked| asked.slice == Slice::Options && asked.xid == Some(xid));
        if ours {
            self.answered(believed, target);
        }
        ours
    }

    /// The switch refused a request.
    pub fn refused(&mut self, xid: Xid, target: &mut Target<'_>) -> bool {
        let Some(pass) = self.pass.as_mut() else { return false };
        let Some(asked) = pass.asked.as_mut() else { return false };
        if asked.xid != Some(xid) && !asked.groups.awaits(xid) {
            return false;
        }
        // Without the whole answer nothing can be said about what is missing.
        pass.slices.retain(|slice| !matches!(slice, Slice::Unseen { .. }));
        pass.asked = None;
        target.flows.end_slice();
        self.next = Some(pass.slice_over());
        true
    }

    fn answered(&mut self, believed: &mut Believed<'_>, target: &mut Target<'_>) {
        let Some(pass) = self.pass.as_mut() else { return };
        let Some(asked) = pass.asked.take() else { return };
        target.flows.end_slice();
        self.counters.slices += 1;
        self.next = Some(pass.slice_over());
        match asked.slice {
            Slice::Groups { retries } if asked.stale => {
                pass.slices.extend((retries < RETRIES).then_some(Slice::Groups { retries: retries + 1 }));
            }
            Slice::Meters { retries } if asked.stale => {
                pass.slices.extend((retries < RETRIES).then_some(Slice::Meters { retries: retries + 1 }));
            }
            Slice::Groups { .. } => {
                let (actual, unseen) = asked.groups.finish();
                let keep = discovery::unseen_groups(&unseen, believed.groups);
                let different = compare(believed.groups, actual, &keep);
                self.counters.groups += different.len() as u64;
                different.into_iter().for_each(|id| target.pools.groups.touch(id));
            }
            Slice::Meters { .. } => {
                let actual = asked.meters.into_iter().map(|meter| (meter.id, meter)).collect();
                let different = compare(believed.meters, actual, &BTreeSet::new());
                self.counters.meters += different.len() as u64;
            }
            Slice::Options | Slice::Flows { .. } | Slice::Unseen { .. } => {}
        }
    }
}

/// The slices of a pass over tables of these sizes.
fn slices(sizes: &[u32; 256]) -> VecDeque<Slice> {
    let mut slices = VecDeque::from([Slice::Options, Slice::Groups { retries: 0 }, Slice::Meters { retries: 0 }]);
    let all: u32 = sizes.iter().sum();
    if all <= SLICE_FLOWS {
        slices.push_back(Slice::Flows { table: TABLE_ALL, cookie: 0, mask: 0 });
    } else {
        // Somebody may have put flows into a table that we do not use.
        for table in (0..INTERNAL_TABLE).filter(|table| is_audited(*table)) {
            let wanted = sizes[usize::from(table)].div_ceil(SLICE_FLOWS).next_power_of_two().min(TABLE_SLICES);
            let mask = u64::from(wanted.max(1) - 1);
            slices.extend((0..=mask).map(|cookie| Slice::Flows { table, cookie, mask }));
        }
    }
    slices.push_back(Slice::Unseen { from: 0 });
    slices
}

fn is_audited(table: u8) -> bool {
    !discovery::LEARNED_TABLES.contains(&table)
}

fn compare_flow(stats: FlowStats, target: &mut Target<'_>, counters: &mut AuditCounters) {
    if discovery::is_learned(&stats) {
        return;
    }
    counters.flows += 1;
    let flow = stats.flow;
    // A learned flow of this table may last for ever, and is not to be told from one that somebody added.
    if flow.table == discovery::REMOTE_FDB && !target.flows.knows(flow.table, flow.priority, &flow.match_) {
        return;
    }
    let actual = Installed { cookie: flow.cookie, actions: flow.actions };
    match target.flows.observe(flow.table, flow.priority, flow.match_, actual) {
        Finding::Right => {}
        Finding::Changed => counters.flows_changed += 1,
        Finding::Foreign => counters.flows_foreign += 1,
    }
}

/// Brings what is believed to what is there, but for those to `keep`, and returns the ids of what differed.
fn compare<T: PartialEq>(believed: &mut BTreeMap<u32, T>, actual: BTreeMap<u32, T>, keep: &BTreeSet<u32>) -> Vec<u32> {
    let mut different: Vec<u32> =
        believed.keys().filter(|id| !actual.contains_key(id) && !keep.contains(id)).copied().collect();
    different.iter().for_each(|id| drop(believed.remove(id)));
    for (id, there) in actual {
        if believed.get(&id) != Some(&there) {
            different.push(id);
            believed.insert(id, there);
        }
    }
    different
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_are_small_and_cover_everything() {
        let mut sizes = [0; 256];
        sizes[9] = 900;
        assert_eq!(slices(&sizes).len(), 5, "a small switch is read at once");
        sizes[10] = 5_000;
        sizes[11] = 500_000;
        sizes[69] = 5_000;
        let all = slices(&sizes);
        let of = |table: u8| all.iter().filter(|s| matches!(s, Slice::Flows { table: of, .. } if *of == table)).count();
        assert_eq!([of(9), of(10), of(11), of(69), of(200)], [1, 8, 64, 0, 1]);
        assert_eq!(all.back(), Some(&Slice::Unseen { from: 0 }));
        let covered = |cookie: u64| {
            all.iter()
                .filter(|s| matches!(s, Slice::Flows { table: 10, cookie: of, mask } if cookie & mask == *of))
                .count()
        };
        assert!([0, 1, 0xdead_beef, u64::MAX].into_iter().all(|cookie| covered(cookie) == 1));
    }

    #[test]
    fn differences_of_groups_and_meters() {
        let map = |pairs: &[(u32, char)]| pairs.iter().copied().collect::<BTreeMap<_, _>>();
        let mut believed = map(&[(1, 'a'), (2, 'b'), (3, 'c'), (5, 'e')]);
        let different = compare(&mut believed, map(&[(1, 'a'), (3, 'x'), (4, 'd')]), &BTreeSet::from([5]));
        assert_eq!(different, [2, 3, 4]);
        assert_eq!(believed, map(&[(1, 'a'), (3, 'x'), (4, 'd'), (5, 'e')]));
    }
}
