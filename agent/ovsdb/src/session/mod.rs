//! The client of one database, without sockets and clock: [`Session`].
//!
//! A session outlives connections. The driver says when one stands and ends ([`Session::handle_connected`],
//! [`Session::handle_disconnected`]), feeds what it reads ([`Session::receive_buffer`] and [`Session::handle_received`], or
//! [`Session::handle_bytes`]), writes what [`Session::poll_transmit`] gives, calls [`Session::handle_timeout`] at
//! [`Session::poll_timeout`], and passes on what [`Session::poll_event`] gives.
//!
//! On each connection it asks for the schema and then for the monitored data: by `monitor_cond_since` with the id of the
//! last transaction seen, so that a server that remembers it sends only what is new; by `monitor_cond` and at last by
//! `monitor` from servers that know no better. Conditions that change later are sent one request at a time. A request for
//! conditions that was under way when a connection broke leaves open which rows the data held has, so the next
//! connection then starts from nothing.
//!
//! A server that has lost its cluster or is behind it shows that in the database `_Server`, which is watched (`Membership`); such a
//! connection is given up before anything of its data is delivered, or as soon as it shows.

mod event;
mod membership;

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use rustc_hash::FxHashMap;

pub use event::{Disconnect, Event, SessionError, TransactionId, UpdateVersion};
use membership::Membership;
pub use membership::Unfit;

use crate::condition::{Conditions, MonitorRequest};
use crate::datum::string;
use crate::frame::{DEFAULT_MESSAGE_LIMIT, Frame, Framer};
use crate::rpc::{self, Message, Method, Payload, RemoteError, RpcError, Span};
use crate::schema::Schema;
use crate::tables::Database;
use crate::time::Time;
use crate::transaction::{Outcome, Transaction};
use crate::value::Uuid;

/// What a session is for.
#[derive(Clone, Debug)]
pub struct SessionConfig {
    /// The database's name.
    pub database: String,
    /// What to monitor, as far as the server has it; nothing when empty.
    pub monitor: MonitorRequest,
    /// Which rows to monitor at first.
    pub conditions: Conditions,
    /// After how long a silence to send a probe, and after how long a silence behind it to give up; zero for never.
    pub probe_interval: Duration,
    /// The most bytes of one message.
    pub message_limit: usize,
    /// Keep to servers that are part of their cluster and no older than what was seen before; see [`Unfit`].
    pub watch_server: bool,
    /// How many transactions may wait for their answers at once; further ones queue.
    pub max_outstanding: usize,
}

impl SessionConfig {
    /// A session that monitors every declared table and column of a database.
    pub fn replicating<D: Database>() -> SessionConfig {
        SessionConfig { monitor: MonitorRequest::everything::<D>(), ..SessionConfig::new(D::NAME) }
    }

    /// A session with `database` that monitors nothing: 5 s probes (OVS's default), one transaction at a time.
    pub fn new(database: impl Into<String>) -> SessionConfig {
        SessionConfig {
            database: database.into(),
            monitor: MonitorRequest::default(),
            conditions: Conditions::default(),
            probe_interval: Duration::from_secs(5),
            message_limit: DEFAULT_MESSAGE_LIMIT,
            watch_server: true,
            max_outstanding: 1,
        }
    }
}

/// The client of one database.
#[derive(Debug)]
pub struct Session {
    config: SessionConfig,
    state: State,
    framer: Framer,
    out: String,
    events: VecDeque<Event>,
    next_request: u64,
    pending: FxHashMap<u64, Pending>,
    /// Transactions that wait for earlier ones.
    queue: VecDeque<(TransactionId, Transaction)>,
    /// When the last bytes came.
    received: Time,
    /// When a probe was sent that no bytes have followed.
    probed: Option<Time>,
    /// Of the connection before, too: transaction ids mean nothing under another schema.
    schema: Option<Arc<Schema>>,
    /// The monitor request as far as the schema has it.
    monitor: MonitorRequest,
    last_txn_id: Option<Uuid>,
    conditions: ConditionState,
    membership: Membership,
}

/// How far the connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Disconnected,
    /// `get_schema` is under way.
    Schema,
    /// A monitor request of this notation is under way.
    Monitor(UpdateVersion),
    /// Updates of this notation may come; `None` when nothing is monitored.
    Live(Option<UpdateVersion>),
}

/// What a request of ours was about.
#[derive(Debug)]
enum Pending {
    Server,
    Schema,
    Monitor(MonitorPending),
    Conditions(Conditions, u64),
    Transaction {
        id: TransactionId,
        operations: usize,
    },
    /// The answer does not matter.
    Ignored,
}

/// A monitor request under way.
#[derive(Debug)]
struct MonitorPending {
    conditions: Conditions,
    sequence: u64,
    /// It names the transaction to continue from.
    resumes: bool,
}

#[derive(Debug, Default)]
struct ConditionState {
    /// What the user wants, and its sequence number.
    wanted: Conditions,
    wanted_sequence: u64,
    /// What the data held is under, as sent to the server; `None` when that is open. Without it, data cannot be continued.
    acked: Option<Conditions>,
    acked_sequence: u64,
    /// A `monitor_cond_change` is under way.
    in_flight: bool,
    /// This sequence was refused on this connection and is not tried again.
    refused_sequence: Option<u64>,
}

impl Session {
    /// A session without a connection.
    pub fn new(config: SessionConfig) -> Session {
        Session {
            state: State::Disconnected,
            framer: Framer::new(config.message_limit),
            out: String::new(),
            events: VecDeque::new(),
            next_request: 0,
            pending: FxHashMap::default(),
            queue: VecDeque::new(),
            received: Time::default(),
            probed: None,
            schema: None,
            monitor: MonitorRequest::default(),
            last_txn_id: None,
            membership: Membership::default(),
            conditions: ConditionState { wanted: config.conditions.clone(), ..ConditionState::default() },
            config,
        }
    }

    // ===== For the driver =====

    /// A connection stands.
    pub fn handle_connected(&mut self, now: Time) {
        self.disconnect(Disconnect::Requested);
        self.framer = Framer::new(self.config.message_limit);
        self.out.clear();
        self.received = now;
        self.probed = None;
        self.conditions.refused_sequence = None;
        // The server then tells us that the database goes away or is converted instead of closing the connection.
        self.request("set_db_change_aware", Pending::Ignored, |out| out.push_str("[true]"));
        self.membership.connected();
        if self.config.watch_server {
            let params = Membership::request(&self.config.database);
            self.request("monitor_cond", Pending::Server, |out| out.push_str(&params));
        }
        self.request_schema();
    }

    /// The connection is over. Outstanding transactions are reported lost first.
    pub fn handle_disconnected(&mut self, why: Disconnect) {
        self.disconnect(why);
    }

    /// Where to append bytes that were read; [`Session::handle_received`] takes them from there.
    pub fn receive_buffer(&mut self) -> &mut Vec<u8> {
        self.framer.buffer()
    }

    /// Bytes were appended to [`Session::receive_buffer`].
    pub fn handle_received(&mut self, now: Time) {
        self.received = now;
        self.probed = None;
        while self.state != State::Disconnected {
            match self.framer.next_frame() {
                Ok(Some(frame)) => {
                    if let Err(why) = self.handle_frame(frame) {
                        self.disconnect(why);
                    }
                }
                Ok(None) => break,
                Err(error) => self.disconnect(error.into()),
            }
        }
    }

    /// Bytes were read.
    pub fn handle_bytes(&mut self, now: Time, bytes: &[u8]) {
        self.framer.push(bytes);
        self.handle_received(now);
    }

    /// The moment of [`Session::poll_timeout`] has come.
    pub fn handle_timeout(&mut self, now: Time) {
        if self.poll_timeout().is_none_or(|timeout| now < timeout) {
            return;
        }
        match self.probed {
            None => {
                self.probed = Some(now);
                self.request("echo", Pending::Ignored, |out| out.push_str("[]"));
            }
            Some(_) => self.disconnect(Disconnect::Silent(self.config.probe_interval)),
        }
    }

    /// When to call [`Session::handle_timeout`].
    pub fn poll_timeout(&self) -> Option<Time> {
        if self.state == State::Disconnected || self.config.probe_interval.is_zero() {
            return None;
        }
        Some(self.probed.unwrap_or(self.received).after(self.config.probe_interval))
    }

    /// Bytes to write, all that there are.
    pub fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        (!self.out.is_empty()).then(|| std::mem::take(&mut self.out).into_bytes())
    }

    /// Puts an event of the driver's in line behind the session's.
    pub fn report(&mut self, event: Event) {
        self.events.push_back(event);
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// How many events wait; a driver whose user is slow stops reading on it.
    pub fn events_waiting(&self) -> usize {
        self.events.len()
    }

    /// Whether the session wants the connection that it was told of. After each call that may have ended it (protocol
    /// errors, silence) the driver closes the socket if not.
    pub fn is_connected(&self) -> bool {
        self.state != State::Disconnected
    }

    /// Whether the monitored data has been delivered on this connection: a sign of a good server, on which
    /// [`crate::reconnect::Reconnect`] forgets earlier failures.
    pub fn is_live(&self) -> bool {
        matches!(self.state, State::Live(_))
    }

    // ===== For the user =====

    /// The database's name.
    pub fn database(&self) -> &str {
        &self.config.database
    }

    /// Changes which rows are monitored. `sequence` grows from call to call; [`Event::ConditionsAcked`] names it, or a later
    /// one, once the data is under these conditions.
    pub fn set_conditions(&mut self, sequence: u64, conditions: Conditions) {
        self.conditions.wanted = conditions;
        self.conditions.wanted_sequence = sequence;
        self.send_conditions();
    }

    /// Sends a transaction, or queues it behind others. Without a connection it is lost at once.
    pub fn transact(&mut self, id: TransactionId, transaction: Transaction) {
        if !matches!(self.state, State::Monitor(_) | State::Live(_)) {
            self.events.push_back(Event::TransactionReply { id, outcome: Outcome::Lost { sent: false } });
            return;
        }
        self.queue.push_back((id, transaction));
        self.send_transactions();
    }

    /// Changes the probe interval, from now on.
    pub fn set_probe_interval(&mut self, interval: Duration) {
        self.config.probe_interval = interval;
    }

    /// The next monitor request fetches everything anew, unless updates come before it: for a driver that is about to
    /// disconnect.
    pub fn forget_last_txn_id(&mut self) {
        self.last_txn_id = None;
    }

    /// Servers whose data is older than what was seen before are good again: the cluster was made anew
    /// (`sb-cluster-state-reset`).
    pub fn forget_index(&mut self) {
        self.membership.forget_index();
    }

    /// The id of the last transaction whose data was delivered, if the server names them.
    pub fn last_txn_id(&self) -> Option<Uuid> {
        self.last_txn_id
    }

    // ===== Requests =====

    fn request(&mut self, method: &'static str, pending: Pending, params: impl FnOnce(&mut String)) {
        self.next_request += 1;
        self.pending.insert(self.next_request, pending);
        self.out.push_str("{\"id\":");
        let _ = write!(self.out, "{}", self.next_request);
        self.out.push_str(",\"method\":\"");
        self.out.push_str(method);
        self.out.push_str("\",\"params\":");
        params(&mut self.out);
        self.out.push('}');
    }

    fn request_schema(&mut self) {
        self.state = State::Schema;
        let mut params = String::from("[");
        string(&mut params, &self.config.database);
        params.push(']');
        self.request("get_schema", Pending::Schema, |out| out.push_str(&params));
    }

    fn request_monitor(&mut self, version: UpdateVersion) {
        let Some(schema) = self.schema.clone() else { return };
        self.state = State::Monitor(version);
        // To continue from a transaction means from the conditions its data was under; newer ones follow by themselves.
        let resume = self.last_txn_id.zip(self.conditions.acked.clone()).filter(|_| version == UpdateVersion::V3);
        let (resume, conditions, sequence) = match (resume, version) {
            (Some((id, acked)), _) => (Some(id), acked, self.conditions.acked_sequence),
            (None, UpdateVersion::V1) => (None, Conditions::default(), self.conditions.wanted_sequence),
            (None, _) if self.conditions.refused_sequence == Some(self.conditions.wanted_sequence) => {
                (None, Conditions::default(), self.conditions.wanted_sequence)
            }
            (None, _) => (None, self.conditions.wanted.known_to(&schema), self.conditions.wanted_sequence),
        };
        let mut params = self.monitor_id_after("[", Some(&self.config.database));
        params.push(',');
        self.monitor.write(&mut params, (version != UpdateVersion::V1).then_some(&conditions));
        if version == UpdateVersion::V3 {
            let _ = write!(params, ",\"{}\"", resume.unwrap_or(Uuid::NIL));
        }
        params.push(']');
        let pending = Pending::Monitor(MonitorPending { conditions, sequence, resumes: resume.is_some() });
        self.request(monitor_method(version), pending, |out| out.push_str(&params));
    }

    /// `before`, the first parameter if there is one, and the monitor's id.
    fn monitor_id_after(&self, before: &str, first: Option<&str>) -> String {
        let mut text = before.to_owned();
        if let Some(first) = first {
            string(&mut text, first);
            text.push(',');
        }
        text.push_str("[\"monid\",");
        string(&mut text, &self.config.database);
        text.push(']');
        text
    }

    /// Sends the wanted conditions if they differ and no earlier request is under way.
    fn send_conditions(&mut self) {
        let (State::Live(version), Some(schema)) = (self.state, self.schema.clone()) else { return };
        let state = &mut self.conditions;
        let sequence = state.wanted_sequence;
        if state.in_flight || sequence == state.acked_sequence || state.refused_sequence == Some(sequence) {
            return;
        }
        // A plain monitor delivers every row, which is more than any condition asks for.
        let wanted = state.wanted.known_to(&schema);
        let change = match version {
            Some(UpdateVersion::V2 | UpdateVersion::V3) => self.monitor.change(state.acked.as_ref(), &wanted),
            Some(UpdateVersion::V1) | None => None,
        };
        match change {
            None => {
                state.acked_sequence = sequence;
                state.acked = Some(wanted);
                self.events.push_back(Event::ConditionsAcked { sequence });
            }
            Some(change) => {
                state.in_flight = true;
                let id = self.monitor_id_after("", None);
                self.request("monitor_cond_change", Pending::Conditions(wanted, sequence), |out| {
                    let _ = write!(out, "[{id},{id},{change}]");
                });
            }
        }
    }

    fn send_transactions(&mut self) {
        let outstanding =
            self.pending.values().filter(|pending| matches!(pending, Pending::Transaction { .. })).count();
        for _ in outstanding..self.config.max_outstanding.max(1) {
            let Some((id, transaction)) = self.queue.pop_front() else { return };
            let database = self.config.database.clone();
            let pending = Pending::Transaction { id, operations: transaction.operations.len() };
            self.request("transact", pending, |out| transaction.write(out, &database));
        }
    }

    // ===== Messages =====

    fn handle_frame(&mut self, frame: Frame) -> Result<(), Disconnect> {
        match rpc::parse(&frame)? {
            Message::Reply { id, result } => match self.pending.remove(&id) {
                None => self.unexpected(format!("reply to request {id}")),
                Some(Pending::Ignored) => {}
                // A server without the database `_Server`, or without conditions, is in no cluster.
                Some(Pending::Server) => {
                    if let Ok(result) = result {
                        self.handle_server(&frame, result)?;
                    }
                }
                Some(Pending::Schema) => self.handle_schema(&frame, result)?,
                Some(Pending::Monitor(request)) => self.handle_monitor_reply(frame, result, request)?,
                Some(Pending::Conditions(conditions, sequence)) => {
                    self.handle_conditions_reply(result.err(), conditions, sequence);
                }
                Some(Pending::Transaction { id, operations }) => {
                    let outcome = match result {
                        Ok(result) => Outcome::parse(result.text(&frame), operations)?,
                        Err(error) => Outcome::refused(error),
                    };
                    self.events.push_back(Event::TransactionReply { id, outcome });
                    self.send_transactions();
                }
            },
            Message::Request { id, method, params } => self.handle_request(&frame, id, &method, params)?,
            Message::Notification { method, params } => match method {
                Method::Update => self.handle_update(frame, UpdateVersion::V1, params)?,
                Method::Update2 => self.handle_update(frame, UpdateVersion::V2, params)?,
                Method::Update3 => self.handle_update(frame, UpdateVersion::V3, params)?,
                Method::MonitorCanceled => self.handle_monitor_canceled(&frame, params),
                Method::Echo | Method::Other(_) => self.unexpected(format!("notification {method}")),
            },
        }
        Ok(())
    }

    /// Answers the server's probes; it has nothing else to ask.
    fn handle_request(&mut self, frame: &Frame, id: Span, method: &Method, params: Span) -> Result<(), RpcError> {
        let id = id.text(frame);
        let _ = match method {
            Method::Echo => {
                let params = rpc::check(frame, params, "params")?.text(frame);
                write!(self.out, "{{\"id\":{id},\"result\":{params},\"error\":null}}")
            }
            other => {
                let answer = write!(self.out, "{{\"id\":{id},\"result\":null,\"error\":\"unknown method\"}}");
                self.unexpected(format!("request {other}"));
                answer
            }
        };
        Ok(())
    }

    fn handle_server(&mut self, frame: &Frame, update: Span) -> Result<(), Disconnect> {
        let update = self.membership.update(update.text(frame));
        update.map_err(|error| malformed(frame, format!("update of _Server: {error}")))?;
        self.membership.check().map_err(Disconnect::Unfit)
    }

    fn handle_schema(&mut self, frame: &Frame, result: Result<Span, RemoteError>) -> Result<(), Disconnect> {
        let result = result.map_err(|error| self.refused("get_schema", error))?;
        let schema = Schema::parse(result.text(frame))?;
        if self.schema.as_deref() != Some(&schema) {
            self.last_txn_id = None;
            self.schema = Some(Arc::new(schema));
        }
        let Some(schema) = self.schema.clone() else { return Ok(()) };
        let (monitor, lacking) = self.config.monitor.intersect(&schema);
        self.monitor = monitor;
        self.events.push_back(Event::Connected { schema, lacking });
        if self.monitor.tables.is_empty() {
            self.state = State::Live(None);
            self.send_conditions();
        } else {
            self.request_monitor(UpdateVersion::V3);
        }
        Ok(())
    }

    fn handle_monitor_reply(
        &mut self,
        frame: Frame,
        result: Result<Span, RemoteError>,
        request: MonitorPending,
    ) -> Result<(), Disconnect> {
        let State::Monitor(version) = self.state else {
            self.unexpected("reply to a monitor request".to_owned());
            return Ok(());
        };
        let result = match (result, version) {
            (Ok(result), _) => result,
            (Err(error), UpdateVersion::V3) if error.is_unknown_method() => {
                self.request_monitor(UpdateVersion::V2);
                return Ok(());
            }
            (Err(error), UpdateVersion::V2) if error.is_unknown_method() => {
                self.request_monitor(UpdateVersion::V1);
                return Ok(());
            }
            // One bad condition must not cost the data: without conditions there is more of it, which does no harm.
            (Err(error), UpdateVersion::V2 | UpdateVersion::V3) if !request.conditions.is_everything() => {
                self.conditions.acked = None;
                self.refuse_conditions(self.conditions.wanted_sequence, error);
                self.request_monitor(version);
                return Ok(());
            }
            (Err(error), _) => return Err(self.refused(monitor_method(version), error)),
        };
        let (found, last_txn_id, payload) = match version {
            UpdateVersion::V1 | UpdateVersion::V2 => (false, None, result),
            UpdateVersion::V3 => match result.elements(&frame).as_deref() {
                Some([found, id, payload]) => {
                    let found = match found.text(&frame) {
                        "true" => true,
                        "false" => false,
                        other => return Err(malformed(&frame, format!("\"found\" of a monitor reply is {other}"))),
                    };
                    (found, transaction_id(&frame, *id)?, *payload)
                }
                _ => return Err(malformed(&frame, "the reply to monitor_cond_since has not three elements".into())),
            },
        };
        if found && !request.resumes {
            return Err(malformed(&frame, "the server continues from a transaction that we did not name".into()));
        }
        self.last_txn_id = last_txn_id;
        self.state = State::Live(Some(version));
        let payload = Payload::new(frame, payload);
        self.events.push_back(Event::InitialData { payload, version, found, last_txn_id });
        self.conditions.in_flight = false;
        self.ack_conditions(request.conditions, request.sequence);
        self.send_conditions();
        Ok(())
    }

    fn ack_conditions(&mut self, conditions: Conditions, sequence: u64) {
        let news = sequence != self.conditions.acked_sequence;
        self.conditions.acked = Some(conditions);
        self.conditions.acked_sequence = sequence;
        if news {
            self.events.push_back(Event::ConditionsAcked { sequence });
        }
    }

    fn handle_conditions_reply(&mut self, error: Option<RemoteError>, conditions: Conditions, sequence: u64) {
        self.conditions.in_flight = false;
        match error {
            None => self.ack_conditions(conditions, sequence),
            Some(error) => {
                // The server may have taken some tables' conditions before it came to the one that it refused.
                self.conditions.acked = None;
                self.refuse_conditions(sequence, error);
            }
        }
        self.send_conditions();
    }

    fn refuse_conditions(&mut self, sequence: u64, error: RemoteError) {
        self.conditions.refused_sequence = Some(sequence);
        let database = self.config.database.clone();
        self.events.push_back(Event::Error(SessionError::ConditionsRefused { database, sequence, error }));
    }

    fn handle_update(&mut self, frame: Frame, version: UpdateVersion, params: Span) -> Result<(), Disconnect> {
        let elements = params.elements(&frame);
        let (id, last_txn_id, payload) = match (elements.as_deref(), version) {
            (Some([id, payload]), UpdateVersion::V1 | UpdateVersion::V2) => (*id, None, *payload),
            (Some([id, last, payload]), UpdateVersion::V3) => (*id, transaction_id(&frame, *last)?, *payload),
            _ => return Err(malformed(&frame, format!("wrong number of parameters of an update ({version:?})"))),
        };
        if self.config.watch_server && version == UpdateVersion::V2 && is_monitor(id.text(&frame), membership::MONITOR)
        {
            return self.handle_server(&frame, payload);
        }
        if self.state != State::Live(Some(version)) || !self.is_our_monitor(id.text(&frame)) {
            self.unexpected(format!("update ({version:?}) of monitor {}", id.text(&frame)));
            return Ok(());
        }
        self.last_txn_id = last_txn_id;
        let payload = Payload::new(frame, payload);
        self.events.push_back(Event::Update { payload, version, last_txn_id });
        Ok(())
    }

    /// The database was removed or converted to another schema: start again, with the schema.
    fn handle_monitor_canceled(&mut self, frame: &Frame, params: Span) {
        let ours = params.elements(frame).is_some_and(|elements| match elements.as_slice() {
            [id] => self.is_our_monitor(id.text(frame)),
            _ => false,
        });
        if !ours || !matches!(self.state, State::Live(Some(_))) {
            self.unexpected(format!("monitor_canceled {}", params.text(frame)));
            return;
        }
        self.abandon_conditions();
        for pending in self.pending.values_mut() {
            if matches!(pending, Pending::Conditions(..)) {
                *pending = Pending::Ignored;
            }
        }
        self.request_schema();
    }

    fn is_our_monitor(&self, id: &str) -> bool {
        is_monitor(id, &self.monitor_id_after("", None))
    }

    // ===== Ends =====

    /// A change of conditions under way will not be answered: which rows the data has is open.
    fn abandon_conditions(&mut self) {
        if std::mem::take(&mut self.conditions.in_flight) {
            self.conditions.acked = None;
        }
    }

    fn disconnect(&mut self, why: Disconnect) {
        if std::mem::replace(&mut self.state, State::Disconnected) == State::Disconnected {
            return;
        }
        self.abandon_conditions();
        self.framer = Framer::new(self.config.message_limit);
        self.out.clear();
        let mut requests: Vec<_> = self.pending.drain().collect();
        requests.sort_unstable_by_key(|(request, _)| *request);
        let sent = requests.into_iter().filter_map(|(_, pending)| match pending {
            Pending::Transaction { id, .. } => Some((id, true)),
            _ => None,
        });
        for (id, sent) in sent.chain(self.queue.drain(..).map(|(id, _)| (id, false))) {
            self.events.push_back(Event::TransactionReply { id, outcome: Outcome::Lost { sent } });
        }
        self.events.push_back(Event::Disconnected { why });
    }

    fn refused(&self, method: &'static str, error: RemoteError) -> Disconnect {
        Disconnect::Refused { database: self.config.database.clone(), method, error }
    }

    fn unexpected(&mut self, what: String) {
        let database = self.config.database.clone();
        self.events.push_back(Event::Error(SessionError::Unexpected { database, what }));
    }
}

/// Whether `id` is that of the monitor `ours`. The server repeats it as its own writer spells it, which differs from ours at most in
/// white space.
fn is_monitor(id: &str, ours: &str) -> bool {
    id == ours
        || match (serde_json::from_str::<[String; 2]>(id), serde_json::from_str::<[String; 2]>(ours)) {
            (Ok(id), Ok(ours)) => id == ours,
            _ => false,
        }
}

fn monitor_method(version: UpdateVersion) -> &'static str {
    match version {
        UpdateVersion::V1 => "monitor",
        UpdateVersion::V2 => "monitor_cond",
        UpdateVersion::V3 => "monitor_cond_since",
    }
}

/// A transaction's id; `None` for the nil id of servers that keep no history.
fn transaction_id(frame: &Frame, span: Span) -> Result<Option<Uuid>, Disconnect> {
    let text = span.text(frame);
    text.strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'))
        .and_then(Uuid::parse)
        .map(|id| Some(id).filter(|id| *id != Uuid::NIL))
        .ok_or_else(|| malformed(frame, format!("transaction id {text} is no uuid")))
}

fn malformed(frame: &Frame, what: String) -> Disconnect {
    RpcError { offset: frame.offset, what }.into()
}
