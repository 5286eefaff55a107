//! [`Session`]: one switch over the life of the agent, through any number of connections. Sans-IO, like the connection below it.
//!
//! A new connection first discovers ([`super::discovery`]): features, the Geneve option, and what is installed. From then on
//! [`Session::push`] sends what differs, in ordered atomic bundles, with a barrier after each; the sequence number that a
//! push was given comes back as [`Notice::Acknowledged`] once the switch has answered the barrier. An error is matched to
//! its message by xid: that flow is quarantined and named, the rest of its bundle is sent again, the connection stays.

use bytes::BytesMut;
use ofproto_client::connection::{Config, Connection, Event, Time};
use ofproto_client::message::{Message, SwitchError, Xid};
use std::collections::{BTreeMap, VecDeque};

use super::discovery::Discovery;
use super::flow_table::{FlowId, FlowTable};
use super::update::{Batch, Sent};
use crate::model::SwitchFeatures;
use crate::pools::Pools;
use ofproto_client::{Group, Meter};

/// How long a refused flow is left alone at first; doubles with every refusal, up to [`RETRY_MAX_MS`].
const RETRY_FIRST_MS: u64 = 5_000;
const RETRY_MAX_MS: u64 = 300_000;
/// No new batch is started while more bytes than this are unconfirmed.
const MAX_BYTES_IN_FLIGHT: u64 = 4 << 20;

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
    /// The switch refused this flow. It is left alone for a while.
    FlowRefused {
        /// The entry of the flow table.
        flow: FlowId,
        /// The switch's reason.
        error: SwitchError,
    },
    /// The switch refused something else, or something could not be encoded.
    Refused(String),
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
    connection: Option<Connection>,
    discovery: Option<Discovery>,
    pub(super) groups: BTreeMap<u32, Group>,
    pub(super) meters: BTreeMap<u32, Meter>,
    batches: VecDeque<Batch>,
    pub(super) quarantine: BTreeMap<FlowId, Quarantine>,
    notices: VecDeque<Notice>,
    /// Flow mods sent over the life of the session.
    flow_mods: u64,
}

/// A flow that the switch refused.
pub(super) struct Quarantine {
    until: Time,
    delay_ms: u64,
    /// The time is over: it may be sent again, and is forgotten once the switch has taken it.
    retried: bool,
}

impl Session {
    // ===== the socket =====

    /// A socket to the bridge was opened. Whatever was known of the switch is forgotten.
    pub fn connected(&mut self, now: Time, config: Config, target: &mut Target<'_>) {
        self.connection = Some(Connection::new(now, config));
        self.discovery = None;
        self.batches.clear();
        self.quarantine.clear();
        self.groups.clear();
        self.meters.clear();
        target.flows.forget_installed();
    }

    /// Bytes arrived.
    pub fn received(&mut self, now: Time, bytes: &[u8], target: &mut Target<'_>) {
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
        for (id, quarantine) in self.quarantine.iter_mut().filter(|(_, q)| !q.retried && q.until <= now) {
            quarantine.retried = true;
            target.flows.touch(*id);
        }
        self.events(now, target);
    }

    /// When to call [`Session::timeout`].
    pub fn poll_timeout(&self) -> Option<Time> {
        let probe = self.connection.as_ref().and_then(Connection::poll_timeout);
        let retry = self.quarantine.values().filter(|q| !q.retried).map(|q| q.until).min();
        [probe, retry].into_iter().flatten().min()
    }

    /// Moves the bytes to send into `out`.
    pub fn transmit(&mut self, out: &mut BytesMut) -> usize {
        self.connection.as_mut().map_or(0, |connection| connection.poll_transmit(out))
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

    // ===== the desired state =====

    /// Sends what differs, after it has had the switch forget the tracked connections of the zones in `flush`.
    /// `sequence` is acknowledged when the switch has it all; it never goes back.
    /// Returns false if nothing can be sent now; call again after the next received bytes.
    pub fn push(&mut self, now: Time, sequence: u64, flush: &[u16], target: &mut Target<'_>) -> bool {
        let ready = self.discovery.as_ref().is_some_and(Discovery::is_complete);
        if !ready || !self.is_connected() {
            return false;
        }
        let Some(mut connection) = self.connection.take() else { return false };
        // One at a time: a batch builds on the one before, which may still be refused.
        let room = connection.bytes_in_flight() < MAX_BYTES_IN_FLIGHT && self.batches.is_empty();
        if room {
            let mut batch = Batch::new(sequence);
            self.send_flushes(&mut connection, flush, &mut batch);
            self.send_differences(now, &mut connection, target, &mut batch);
            self.flow_mods += batch.flows.len() as u64;
            match (batch.is_empty(), self.batches.back_mut()) {
                (false, _) => {
                    batch.barrier = connection.send_barrier();
                    self.batches.push_back(batch);
                }
                (true, Some(last)) => last.sequence = sequence,
                (true, None) => self.notices.push_back(Notice::Acknowledged(sequence)),
            }
        }
        self.connection = Some(connection);
        room
    }

    /// Whether flow `id` may not be sent now because the switch refused it a short while ago.
    pub(super) fn is_quarantined(&self, now: Time, id: FlowId) -> bool {
        self.quarantine.get(&id).is_some_and(|q| !q.retried && q.until > now)
    }

    /// Something that could not be sent.
    pub(super) fn refused(&mut self, what: String) {
        self.notices.push_back(Notice::Refused(what));
    }

    // ===== inside =====

    fn events(&mut self, now: Time, target: &mut Target<'_>) {
        while let Some(mut connection) = self.connection.take() {
            let event = connection.poll_event();
            let over = matches!(event, Some(Event::Closed(_)));
            match event {
                None => {
                    self.connection = Some(connection);
                    return;
                }
                Some(Event::Connected { .. }) => self.discovery = Some(Discovery::start(&mut connection)),
                Some(Event::Message { xid, message }) => self.message(&mut connection, xid, message, target),
                Some(Event::Error { xid, error }) => self.error(now, &mut connection, xid, error, target),
                Some(Event::Undecodable { xid, message_type, error }) => {
                    self.refused(format!("{message_type} with xid {:#x} from the switch: {error}", xid.0));
                }
                Some(Event::Closed(error)) => {
                    self.discovery = None;
                    self.batches.clear();
                    self.notices.push_back(Notice::Down(error.to_string()));
                }
            }
            if !over {
                self.connection = Some(connection);
            }
        }
    }

    fn message(&mut self, connection: &mut Connection, xid: Xid, message: Message, target: &mut Target<'_>) {
        if let Some(discovery) = self.discovery.as_mut().filter(|d| !d.is_complete()) {
            discovery.message(connection, xid, message, target.flows);
            self.check_discovery(target);
            return;
        }
        if message == Message::BarrierReply && self.batches.front().is_some_and(|batch| batch.barrier == xid) {
            let Some(batch) = self.batches.pop_front() else { return };
            for sent in &batch.flows {
                self.quarantine.remove(&sent.flow);
            }
            if !batch.failed {
                self.notices.push_back(Notice::Acknowledged(batch.sequence));
            }
        }
    }

    fn check_discovery(&mut self, target: &mut Target<'_>) {
        let Some(discovery) = self.discovery.as_mut().filter(|d| d.is_complete()) else { return };
        self.groups = std::mem::take(&mut discovery.groups).into_iter().map(|group| (group.id, group)).collect();
        self.meters = std::mem::take(&mut discovery.meters).into_iter().map(|meter| (meter.id, meter)).collect();
        // Content that another agent gave an id keeps it.
        let offered = self.groups.values().map(|group| (Group { id: 0, ..group.clone() }.to_string(), group.id));
        target.pools.groups.offer(offered);
        target.pools.groups.touch_all();
        let ready = Notice::Ready { features: discovery.features.clone(), geneve_option: discovery.geneve_option };
        let foreign = std::mem::take(&mut discovery.foreign);
        for flow in foreign {
            self.refused(format!("a flow of the switch that is not ours and cannot be compared: {flow}"));
        }
        self.notices.push_back(ready);
    }

    fn error(&mut self, now: Time, connection: &mut Connection, xid: Xid, error: SwitchError, target: &mut Target<'_>) {
        if let Some(discovery) = self.discovery.as_mut().filter(|d| !d.is_complete()) {
            discovery.refused(connection, xid);
            self.check_discovery(target);
            return;
        }
        let Some(batch) = self.batches.iter_mut().find(|batch| batch.contains(xid)) else {
            self.refused(format!("{error} (xid {:#x})", xid.0));
            return;
        };
        // A message can be refused when it is added: the bundle is committed without it. Or at the commit: nothing is applied.
        let guilty = batch.take_flow(xid);
        let undone = if batch.is_commit(xid) { batch.fail(&mut self.groups, target.pools) } else { Vec::new() };
        for Sent { flow, before, .. } in undone.into_iter().rev() {
            target.flows.set_installed(flow, before);
            target.flows.touch(flow);
        }
        let guilty = guilty.map(|sent| {
            target.flows.set_installed(sent.flow, sent.before);
            sent.flow
        });
        match guilty {
            Some(flow) => {
                let delay_ms =
                    self.quarantine.get(&flow).map_or(RETRY_FIRST_MS, |q| (q.delay_ms * 2).min(RETRY_MAX_MS));
                let until = Time(now.0 + delay_ms);
                self.quarantine.insert(flow, Quarantine { until, delay_ms, retried: false });
                self.notices.push_back(Notice::FlowRefused { flow, error });
            }
            None => self.refused(format!("{error} (xid {:#x})", xid.0)),
        }
    }
}
