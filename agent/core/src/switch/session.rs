//! [`Session`]: one switch over the life of the agent, through any number of connections. Sans-IO, like the connection below it.
//!
//! A new connection first discovers ([`super::discovery`]): features, the Geneve option, and what is installed. From then on
//! [`Session::push`] starts a [`Batch`] of what differs, and [`Session::proceed`] collects and sends it, slice by slice; the
//! sequence number that the push was given comes back as [`Notice::Acknowledged`] once the switch has answered the barrier
//! behind it. An error is matched to its message by xid: that flow, group or meter is quarantined and named, what else did not happen
//! is sent again, the connection stays. Between batches the [audit](super::audit) compares the switch with what is believed.

use bytes::BytesMut;
use ofproto_client::connection::{Config, Connection, Event, Time};
use ofproto_client::message::{Message, Xid};
use ofproto_client::{Group, Meter};
use std::collections::{BTreeMap, VecDeque};

use super::audit::{Audit, AuditCounters, Believed, Outcome};
use super::batch::Batch;
use super::discovery::{self, Discovery};
use super::flow_table::FlowTable;
use super::packets::Packets;
use super::quarantine::{Culprit, Quarantines};
use crate::model::SwitchFeatures;
use crate::pools::Pools;

/// A switch that owes an answer and says nothing for so long is spoken of.
const SILENT_MS: u64 = 10_000;
/// And one that says nothing while it is being read is given up, since nothing is lost by that.
const SILENT_DISCOVERY_MS: u64 = 60_000;

/// What a session tells its owner.
#[derive(Clone, Debug, PartialEq)]
pub enum Notice {
    /// Everything was read back: what the switch can do, and the tun_metadata field of the Geneve option.
    Ready {
        /// What the switch can do.
        features: SwitchFeatures,
        /// Number of the tun_metadata field; `None`: no field is left, so Geneve cannot work.
        geneve_option: Option<u8>,
    },
    /// All pushes up to this sequence number have been carried out.
    Acknowledged(u64),
    /// The switch refused this. It is left alone for a while, and with it what needs it.
    Refused {
        /// What.
        culprit: Culprit,
        /// The switch's reason, or ours.
        why: String,
    },
    /// Something else went wrong, so that a batch has to be tried again after a pause.
    Failed(String),
    /// Something worth a word, after which everything goes on.
    Remark(String),
    /// A pass of the audit is complete; what was wrong is repaired by the next push.
    Audited(AuditCounters),
    /// The connection is over, and why.
    Down(String),
}

/// The desired state that a session works towards.
pub struct Target<'a> {
    /// Desired and installed flows.
    pub flows: &'a mut FlowTable,
    /// Groups, by id.
    pub pools: &'a mut Pools,
    /// Meters, sorted by id.
    pub meters: &'a [Meter],
}

/// One switch.
#[derive(Default)]
pub struct Session {
    pub(super) connection: Option<Connection>,
    pub(super) discovery: Option<Discovery>,
    pub(super) groups: BTreeMap<u32, Group>,
    /// Number of buckets of groups that are in `groups` without content, since that cannot be read.
    pub(super) unseen_groups: BTreeMap<u32, u16>,
    pub(super) meters: BTreeMap<u32, Meter>,
    /// One at a time: each builds on the one before, which may still be refused.
    pub(super) batch: Option<Batch>,
    pub(super) quarantines: Quarantines,
    pub(super) audit: Audit,
    pub(super) packets: Packets,
    pub(super) notices: VecDeque<Notice>,
    /// Flow mods sent over the life of the session.
    pub(super) flow_mods: u64,
    /// The switch had flows when it was read.
    pub(super) found_flows: bool,
    /// Groups or meters have to be compared with the desired ones again.
    pub(super) touched: bool,
    /// Commits in a row that failed.
    pub(super) failures: u32,
    silence: Silence,
}

/// How long the switch has said nothing.
#[derive(Debug, Default)]
struct Silence {
    since: Time,
    said: bool,
}

impl Session {
    // ===== the socket =====

    /// A socket to the bridge was opened. Whatever was known of the switch is forgotten.
    pub fn connected(&mut self, now: Time, config: Config, target: &mut Target<'_>) {
        self.connection = Some(Connection::new(now, config));
        self.discovery = None;
        self.batch = None;
        self.quarantines.clear();
        self.packets.forget();
        self.groups.clear();
        self.unseen_groups.clear();
        self.meters.clear();
        self.failures = 0;
        self.silence = Silence { since: now, said: false };
        self.audit.restart(now, target);
        target.flows.forget_installed();
    }

    /// Bytes arrived.
    pub fn received(&mut self, now: Time, bytes: &[u8], target: &mut Target<'_>) {
        if std::mem::take(&mut self.silence.said) {
            let seconds = now.0.saturating_sub(self.silence.since.0) / 1000;
            self.notices.push_back(Notice::Remark(format!("the switch answers again, after {seconds} s")));
        }
        self.silence.since = now;
        if let Some(connection) = &mut self.connection {
            connection.handle_bytes(now, bytes);
        }
        self.events(now, target);
    }

    /// The socket was closed, or failed.
    pub fn closed(&mut self, now: Time, error: Option<&std::io::Error>, target: &mut Target<'_>) {
        if let Some(connection) = &mut self.connection {
            connection.handle_closed(error);
        }
        self.events(now, target);
    }

    /// To be called when [`Session::poll_timeout`] has come.
    pub fn timeout(&mut self, now: Time, target: &mut Target<'_>) {
        if let Some(connection) = &mut self.connection {
            connection.handle_timeout(now);
        }
        for free in self.quarantines.release(now, target.flows) {
            match free {
                Culprit::Group(id) => target.pools.groups.touch(id),
                Culprit::Meter(_) => self.touched = true,
                Culprit::Flow(_) | Culprit::Table(_) => {}
            }
        }
        self.listen(now);
        self.events(now, target);
    }

    /// When to call [`Session::timeout`].
    pub fn poll_timeout(&self) -> Option<Time> {
        let Some(connection) = &self.connection else { return None };
        let silence = self.owes().then(|| Time(self.silence.since.0 + self.patience()));
        let audit = if self.may_audit() { self.audit.poll_timeout() } else { None };
        [connection.poll_timeout(), self.quarantines.poll_timeout(), silence, audit].into_iter().flatten().min()
    }

    /// Moves the bytes to send into `out`.
    pub fn transmit(&mut self, out: &mut BytesMut) -> usize {
        self.connection.as_mut().map_or(0, |connection| connection.poll_transmit(out))
    }

    /// Changes after how long a silence the switch is probed, from now on.
    pub fn set_probe_interval(&mut self, interval: Option<std::time::Duration>) {
        if let Some(connection) = &mut self.connection {
            connection.set_probe_interval(interval);
        }
    }

    /// Whether there is a connection that has not ended.
    pub fn is_connected(&self) -> bool {
        self.connection.as_ref().is_some_and(Connection::is_ready)
    }

    /// The next thing to tell, oldest first.
    pub fn poll_notice(&mut self) -> Option<Notice> {
        self.notices.pop_front()
    }

    /// Flow mods sent over the life of the session.
    pub fn flow_mods(&self) -> u64 {
        self.flow_mods
    }

    /// What the switch refused and is left alone now, with the number of flows that wait for each.
    pub fn quarantined(&self) -> impl Iterator<Item = (Culprit, usize)> + '_ {
        self.quarantines.iter()
    }

    // ===== the audit =====

    /// The audit and what it has found.
    pub fn audit(&self) -> &AuditCounters {
        self.audit.counters()
    }

    /// Whether a pass of the audit is running or asked for.
    pub fn audit_is_running(&self) -> bool {
        self.audit.is_running()
    }

    /// A pass of the audit at once.
    pub fn request_audit(&mut self) {
        self.audit.request();
    }

    /// Within this time the audit finds what differs.
    pub fn set_audit_interval(&mut self, now: Time, interval_ms: Option<u64>) {
        self.audit.set_interval(now, interval_ms);
    }

    /// Nothing that was sent is unconfirmed.
    fn may_audit(&self) -> bool {
        self.batch.is_none() && self.is_ready()
    }

    /// Does what is due of the audit.
    pub(super) fn proceed_audit(&mut self, now: Time, target: &mut Target<'_>) -> bool {
        if !self.may_audit() {
            return false;
        }
        let owed = self.owes();
        let Some(mut connection) = self.connection.take() else { return false };
        let outcome = self.audit.proceed(now, &mut connection, target);
        self.connection = Some(connection);
        self.asked(now, owed);
        match outcome {
            Some(Outcome::Complete(found)) => {
                self.notices.push_back(Notice::Audited(found));
                false
            }
            Some(Outcome::Goes) => true,
            None => false,
        }
    }

    // ===== inside =====

    /// Everything was read back, and the connection stands.
    pub(super) fn is_ready(&self) -> bool {
        self.is_connected() && self.discovery.as_ref().is_some_and(Discovery::is_complete)
    }

    /// Something went wrong that is nobody's fault in particular.
    pub(super) fn fail(&mut self, what: String) {
        self.notices.push_back(Notice::Failed(what));
    }

    /// Whether the switch owes an answer.
    pub(super) fn owes(&self) -> bool {
        self.is_connected() && (!self.is_ready() || self.batch.is_some() || self.audit.awaits())
    }

    /// Something was sent. If the switch owed nothing before, what it did not say then is no silence.
    pub(super) fn asked(&mut self, now: Time, owed: bool) {
        if !owed {
            self.silence.since = now;
        }
    }

    fn patience(&self) -> u64 {
        match (self.silence.said, self.is_ready()) {
            (false, _) => SILENT_MS,
            (true, false) => SILENT_DISCOVERY_MS,
            (true, true) => u64::MAX / 2,
        }
    }

    fn listen(&mut self, now: Time) {
        if !self.owes() || now.0.saturating_sub(self.silence.since.0) < self.patience() {
            return;
        }
        let seconds = now.0.saturating_sub(self.silence.since.0) / 1000;
        if std::mem::replace(&mut self.silence.said, true) {
            let error = std::io::Error::other(format!("nothing from the switch for {seconds} s while it is read"));
            if let Some(connection) = &mut self.connection {
                connection.handle_closed(Some(&error));
            }
            return;
        }
        let bytes = self.connection.as_ref().map_or(0, Connection::bytes_in_flight);
        let text = format!("nothing from the switch for {seconds} s, {bytes} bytes are not confirmed");
        self.notices.push_back(Notice::Remark(text));
    }

    fn events(&mut self, now: Time, target: &mut Target<'_>) {
        while let Some(mut connection) = self.connection.take() {
            let event = connection.poll_event();
            let over = matches!(event, Some(Event::Closed(_)));
            match event {
                None => {
                    self.connection = Some(connection);
                    return;
                }
                Some(Event::Connected { .. }) => {
                    self.silence.since = now;
                    self.discovery = Some(Discovery::start(&mut connection));
                }
                Some(Event::Message { xid, message }) => self.message(now, &mut connection, xid, message, target),
                Some(Event::Error { xid, error }) => self.error(now, &mut connection, xid, error, target),
                Some(Event::Undecodable { xid, message_type, error }) => {
                    let text = format!("{message_type} with xid {:#x} from the switch: {error}", xid.0);
                    self.notices.push_back(Notice::Remark(text));
                    // Who waits for it waits in vain.
                    self.unanswered(&mut connection, xid, target);
                }
                Some(Event::Closed(error)) => {
                    self.discovery = None;
                    self.batch = None;
                    self.audit.restart(now, target);
                    self.notices.push_back(Notice::Down(error.to_string()));
                }
            }
            if !over {
                self.connection = Some(connection);
            }
        }
    }

    fn message(&mut self, now: Time, connection: &mut Connection, xid: Xid, message: Message, target: &mut Target<'_>) {
        if let Some(discovery) = self.discovery.as_mut().filter(|d| !d.is_complete()) {
            discovery.message(connection, xid, message, target.flows);
            self.check_discovery(target);
            return;
        }
        match message {
            Message::BarrierReply if self.batch.as_ref().is_some_and(|batch| batch.barrier == Some(xid)) => {
                self.finished(now, target);
            }
            Message::TlvTableReply(table) => {
                let mut believed = Believed { groups: &mut self.groups, meters: &mut self.meters };
                let wanted = self.discovery.as_ref().and_then(|discovery| discovery.geneve_option);
                if self.audit.options(xid, &mut believed, target) && discovery::geneve_option(&table) != wanted {
                    // Flows are made for a field that is another now: everything is read, and made, again.
                    let error = std::io::Error::other("audit: the Geneve option of OVN went or has another field");
                    connection.handle_closed(Some(&error));
                }
            }
            Message::MultipartReply(reply) => {
                let mut believed = Believed { groups: &mut self.groups, meters: &mut self.meters };
                let drift = self.audit.counters().drift();
                self.audit.message(connection, xid, *reply, &mut believed, target);
                // Meters are compared by push; flows and groups are touched themselves.
                self.touched |= self.audit.counters().drift() != drift;
            }
            _ => {}
        }
    }

    /// The switch refused a request that is no modification, or its reply makes no sense. Says whether somebody waited for it.
    pub(super) fn unanswered(&mut self, connection: &mut Connection, xid: Xid, target: &mut Target<'_>) -> bool {
        if let Some(discovery) = self.discovery.as_mut().filter(|d| !d.is_complete()) {
            discovery.refused(connection, xid);
            self.check_discovery(target);
            return true;
        }
        self.audit.refused(xid, target)
    }

    fn check_discovery(&mut self, target: &mut Target<'_>) {
        let Some(discovery) = self.discovery.as_mut().filter(|d| d.is_complete()) else { return };
        let (groups, unseen) = discovery.take_groups();
        self.groups = groups;
        for size in unseen {
            let group = Group {
                id: size.id,
                group_type: ofproto_client::GroupType::Select,
                buckets: Vec::new(),
                selection_method: None,
            };
            self.groups.insert(size.id, group);
            self.unseen_groups.insert(size.id, size.n_buckets);
        }
        self.meters = std::mem::take(&mut discovery.meters).into_iter().map(|meter| (meter.id, meter)).collect();
        // Content that another agent gave an id keeps it.
        let offered = self.groups.values().map(|group| (Group { id: 0, ..group.clone() }.to_string(), group.id));
        target.pools.groups.offer(offered);
        target.pools.groups.touch_all();
        // Those that nobody wants are to go.
        self.groups.keys().for_each(|id| target.pools.groups.touch(*id));
        self.touched = true;
        // One is there from the beginning: NORMAL, where fail_mode is not secure.
        self.found_flows = discovery.adopted > 1;
        let ready = Notice::Ready { features: discovery.features.clone(), geneve_option: discovery.geneve_option };
        for entry in std::mem::take(&mut discovery.foreign) {
            let text = format!("something in the switch that is not ours and cannot be compared: {entry}");
            self.notices.push_back(Notice::Remark(text));
        }
        self.notices.push_back(ready);
    }
}
