//! The databases' side of the driver: for each a task with the socket (`ovsdb::transport`) and one that decodes, both on the I/O thread. What is long is
//! decoded on a thread of tokio's pool, so that neither probes nor the engine wait for a Southbound of 70 MB; what is short, which is all but the
//! first data, wakes nobody but the engine.

use ovn_core::model::LocalSchema;
use ovn_core::runtime::{Db, Event};
use ovsdb::reconnect::{DEFAULT_MAX_BACKOFF, Reconnect};
use ovsdb::rpc::Payload;
use ovsdb::schema::Schema;
use ovsdb::session::{Disconnect, Event as DbEvent, Session, SessionConfig, SessionError, Unfit, UpdateVersion};
use ovsdb::tables::decode::{Strings, decode};
use ovsdb::tables::{Updates as _, local, southbound};
use ovsdb::transport::{self, Command};
use ovsdb::{Database, Local, Southbound};
use std::time::Duration;
use tokio::sync::mpsc;

use super::{Message, ToEngine};
use crate::observe::coverage::{Happened, count};
use crate::observe::{Level, log};

/// How many commands may wait for a database's task. The engine has one write in flight at a time.
const COMMANDS: usize = 64;
/// A write, and a question that need not wait for it: a cluster takes its time for writes.
const OUTSTANDING: usize = 2;
/// Marks the ids of questions ([`ovn_core::runtime::Effect::SouthboundSurvey`]) among those of transactions.
pub const SURVEYS: u64 = 1 << 63;
/// So many events are passed on together at most.
const TOGETHER: usize = 16;
/// How many events may wait to be decoded; then the socket is left alone.
const EVENTS: usize = 256;
/// What is longer, in bytes, is decoded on another thread. So much takes half a millisecond.
const SHORT: usize = 64 * 1024;

/// A database that is monitored. (The local one as a whole, so that there are no conditions to be acknowledged.)
pub trait Monitored: Database<Updates: Send> + 'static {
    /// Which.
    const DB: Db;
    /// What a connection counts as.
    const CONNECTED: Happened;
    /// The event that carries its rows.
    fn data(updates: Self::Updates, replaces: bool, initial: bool) -> Event;
    /// What the engine has to know of the server's schema.
    fn schema(_schema: &Schema) -> Option<Event> {
        None
    }
}

impl Monitored for Southbound {
    const DB: Db = Db::Southbound;
    const CONNECTED: Happened = Happened::SouthboundConnected;
    fn data(updates: southbound::Updates, replaces: bool, initial: bool) -> Event {
        Event::SouthboundData { updates: Box::new(updates), replaces, initial }
    }
}

impl Monitored for Local {
    const DB: Db = Db::Local;
    const CONNECTED: Happened = Happened::LocalConnected;
    fn data(updates: local::Updates, replaces: bool, initial: bool) -> Event {
        Event::LocalData { updates: Box::new(updates), replaces, initial }
    }

    fn schema(schema: &Schema) -> Option<Event> {
        let prefixes = schema.column("Flow_Table", "prefixes");
        Some(Event::LocalSchema(LocalSchema {
            zone_limits: schema.column("CT_Zone", "limit").is_some(),
            flow_table_prefixes: prefixes.map_or(0, |column| column.kind.max.unwrap_or(u32::MAX)),
        }))
    }
}

/// Starts the tasks of a database in the runtime of the caller. `reconnect` may have no remotes yet.
pub fn start<D: Monitored>(reconnect: Reconnect, engine: ToEngine) -> mpsc::Sender<Command> {
    let (commands, command_receiver) = mpsc::channel(COMMANDS);
    let (event_sender, events) = mpsc::channel(EVENTS);
    // A local socket tells when its peer is gone; probes are for the network (set with the remotes).
    let config = SessionConfig {
        probe_interval: Duration::ZERO,
        max_outstanding: OUTSTANDING,
        ..SessionConfig::replicating::<D>()
    };
    tokio::spawn(transport::run(Session::new(config), reconnect, command_receiver, event_sender));
    let pump = Pump { engine, commands: commands.clone(), remote: String::new(), reporter: Reporter::default() };
    tokio::spawn(pump.run::<D>(events));
    commands
}

/// Decodes what a database says and passes it on to the engine.
struct Pump {
    engine: ToEngine,
    commands: mpsc::Sender<Command>,
    /// Of the present connection.
    remote: String,
    reporter: Reporter,
}

impl Pump {
    async fn run<D: Monitored>(mut self, mut events: mpsc::Receiver<DbEvent>) {
        let mut ready: Vec<Event> = Vec::with_capacity(TOGETHER);
        while let Some(first) = events.recv().await {
            // What was read together wakes the engine once: an update, and the answer to the transaction that made it.
            let mut next = Some(first);
            while let Some(event) = next {
                ready.extend(self.for_engine::<D>(event).await);
                next = if ready.len() < TOGETHER { events.try_recv().ok() } else { None };
            }
            for event in ready.drain(..) {
                if self.engine.send(Message::Event(event)).is_err() {
                    return;
                }
            }
        }
    }

    /// What the engine is told of it.
    async fn for_engine<D: Monitored>(&mut self, event: DbEvent) -> Option<Event> {
        match event {
            DbEvent::InitialData { payload, version, found, .. } => {
                let updates = self.decode::<D>(payload, version).await?;
                Some(D::data(updates, !found, true))
            }
            DbEvent::Update { payload, version, .. } => {
                let updates = self.decode::<D>(payload, version).await?;
                Some(D::data(updates, false, false))
            }
            DbEvent::TransactionReply { id, outcome } if id.0 & SURVEYS != 0 => {
                Some(Event::SouthboundSurveyed { number: id.0 & !SURVEYS, outcome })
            }
            DbEvent::TransactionReply { id, outcome } => Some(Event::TransactionDone { db: D::DB, id: id.0, outcome }),
            DbEvent::SocketConnected { remote } => {
                self.reporter.connected(&remote, D::CONNECTED);
                self.remote = remote;
                None
            }
            DbEvent::Disconnected { why } => {
                let (level, module) = match why {
                    Disconnect::Unfit(Unfit::Stale) => (Level::Warn, "ovsdb_cs"),
                    Disconnect::Unfit(_) => (Level::Info, "ovsdb_cs"),
                    _ => (Level::Info, "reconnect"),
                };
                log(level, module, format_args!("{}: {why}", self.remote));
                Some(Event::Disconnected(D::DB))
            }
            DbEvent::Connected { schema, lacking } => {
                for what in lacking {
                    log(Level::Dbg, "ovsdb", format_args!("{}: the server's schema lacks {what:?}", D::NAME));
                }
                D::schema(&schema)
            }
            DbEvent::Unreachable { remote, error, retry } => {
                self.reporter.unreachable(&remote, &error, retry);
                None
            }
            DbEvent::ConditionsAcked { sequence } => Some(Event::SouthboundConditions(sequence)),
            DbEvent::Error(error @ SessionError::ConditionsRefused { sequence, .. }) => {
                log(Level::Warn, "ovsdb", error);
                Some(Event::SouthboundConditionsRefused(sequence))
            }
            DbEvent::Note(text) => {
                log(Level::Info, "stream_ssl", text);
                None
            }
            DbEvent::Error(error) => {
                log(Level::Warn, "ovsdb", error);
                None
            }
        }
    }

    async fn decode<D: Monitored>(&self, payload: Payload, version: UpdateVersion) -> Option<D::Updates> {
        // Strings are shared among what is decoded together; to look at those of earlier payloads would be to keep them.
        let short = payload.as_str().len() <= SHORT;
        let decode = move || decode::<D>(payload.as_str(), version.format(), &mut Strings::shared());
        let decoded = if short {
            decode()
        } else {
            // It fails only when the process ends.
            tokio::task::spawn_blocking(decode).await.ok()?
        };
        match decoded {
            Ok(updates) => {
                for row in updates.rejected() {
                    log(Level::Warn, "ovsdb", format_args!("{}: row skipped: {row}", D::NAME));
                }
                Some(updates)
            }
            Err(error) => {
                log(Level::Err, "ovsdb", format_args!("{}: update cannot be read, fetching anew: {error}", D::NAME));
                // The engine keeps what it has until the new data is here.
                let _ = self.commands.send(Command::Reconnect { from_scratch: true }).await;
                None
            }
        }
    }
}

/// Tells the log of connections, in the words of `reconnect` of Open vSwitch.
#[derive(Debug, Default)]
struct Reporter {
    /// An attempt with the longest pause behind it was told of; there is nothing new to say after that.
    silent: bool,
}

impl Reporter {
    fn connected(&mut self, remote: &str, what: Happened) {
        self.silent = false;
        count(what);
        log(Level::Info, "reconnect", format_args!("{remote}: connected"));
    }

    fn unreachable(&mut self, remote: &str, error: &str, retry: Duration) {
        if self.silent {
            return;
        }
        // Open vSwitch has the words of strerror(3) only.
        let end = error.find(" (os error ").filter(|_| error.ends_with("))")).unwrap_or(error.len());
        let close = if end < error.len() { ")" } else { "" };
        log(Level::Info, "reconnect", format_args!("{}{close}", &error[..end]));
        self.silent = retry >= DEFAULT_MAX_BACKOFF.mul_f64(0.75);
        if self.silent {
            let text = "continuing to reconnect in the background but suppressing further logging";
            log(Level::Info, "reconnect", format_args!("{remote}: {text}"));
        } else if retry >= Duration::from_millis(500) {
            let seconds = (retry.as_millis() + 500) / 1000;
            log(Level::Info, "reconnect", format_args!("{remote}: waiting {seconds} seconds before reconnect"));
        }
    }
}
