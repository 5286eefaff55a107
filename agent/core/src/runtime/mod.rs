//! [`Runtime`]: the whole agent between its sockets. It owns the [`Agent`], the switch session and the state of the
//! transactions, and decides what is done when; it does no I/O. Its driver feeds [`Event`]s, calls [`Runtime::work`] and
//! carries out [`Effect`]s.
//!
//! Rules, each of which has its place here:
//! - Nothing is computed before both databases are here and the switch has been read back, except that the integration
//!   bridge is made, since without it there is no switch to connect to.
//! - The switch is not touched before the desired state is complete: Southbound fetched, under the conditions that follow from
//!   it ([`conditions`]), our Chassis row in it, the tables of the kernel that EVPN needs read once ([`neighbours`]), settled.
//! - One transaction in flight per database; what is refused or undone is tried again only after a back-off ([`database`],
//!   [`contest`]), and ports are not taken back from other chassis all the time ([`claims`]).
//! - nb_cfg, `up` and `ovn-installed` are reported for what the switch has acknowledged ([`promise`]).

#[cfg(test)]
mod acknowledgements;
mod claims;
pub mod conditions;
mod contest;
mod database;
mod delay;
mod identity;
mod neighbours;
mod promise;
mod refusals;
mod retries;
pub mod survey;
#[cfg(test)]
mod tests;
mod zones;

use bytes::{Bytes, BytesMut};
use ofproto_client::Meter;
use ofproto_client::connection::Config as SwitchConfig;
pub use ofproto_client::connection::Time;
use ofproto_client::message::PacketOut;
use ovsdb::condition::Conditions;
use ovsdb::tables::{Database as _, Updates as _, local, southbound};
use ovsdb::transaction::{Operation, Outcome, Transaction};
use ovsdb::{RowId, Str};
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use crate::agent::{Agent, Progress};
use crate::ahead::Threads;
use crate::engine::{NodeId, Tally};
use crate::facts::{
    IntegrationBridge, Interest, NorthdOption, PersistedZones, RefusedTunnels, Setting, ThisChassis, Zones,
};
use crate::kernel::{Neighbour, NeighbourTable};
use crate::model::{Config, External, LocalSchema};
use crate::plug::Representors;
use crate::pools;
use crate::switch::{Notice, Session, Target};
use crate::writeback::cleanup;
use crate::zones::{UserZones, ZoneKind};
use claims::Claims;
use conditions::Monitoring;
use database::{Part, Refusal, Side};
use delay::NbCfgDelay;
use identity::Identity;
use neighbours::NeighbourTables;
use promise::Promises;
use retries::Retries;
use zones::{Seen, ZoneFlushes};

/// Default of external_ids:ovn-agent-audit-interval: within five minutes whatever somebody else did to the switch is repaired.
const AUDIT_INTERVAL_MS: u64 = 300_000;
/// Rows of a first Southbound that are taken at a time: two milliseconds.
const PORTION: usize = 500;
/// The version that northd must have for ovn-match-northd-version: of OVN, the Southbound's schema, the actions. Sheet 01 section 1.5.
pub const INTERNAL_VERSION: &str = "26.03.1-21.8.0-82.14";
/// How diagnostics begin that are as they should be in many deployments.
const NOTES: [&str; 3] = ["Not claiming lport", "Mismatch iface-id-ver", "bridge not found for localnet port"];
/// So much of a refused write is quoted in the log, characters.
const LONGEST_QUOTE: usize = 400;
/// Numbers of the steps of the clean-up at the end, where units have theirs.
const CLEAN_UP: u32 = 1 << 31;

/// The switch is gone when so many connections in a row came to nothing.
const LOST_AFTER: u32 = 2;

/// A database of ours.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Db {
    /// OVN_Southbound.
    Southbound,
    /// The hypervisor's Open_vSwitch.
    Local,
}

impl Db {
    /// The database's name.
    pub fn name(self) -> &'static str {
        match self {
            Db::Southbound => "OVN_Southbound",
            Db::Local => "Open_vSwitch",
        }
    }
}

/// The two clocks.
#[derive(Copy, Clone, Debug, Default)]
pub struct Now {
    /// Milliseconds since any fixed point; never goes back.
    pub monotonic: Time,
    /// Milliseconds since 1970, for timestamps that are written to databases.
    pub wall_ms: i64,
}

/// Something happened outside.
#[derive(Debug)]
pub enum Event {
    /// Rows of the Southbound; all of them if it `replaces`.
    SouthboundData {
        /// The rows.
        updates: Box<southbound::Updates>,
        /// What is not in it is no more.
        replaces: bool,
        /// It answers the monitor request on a new connection.
        initial: bool,
    },
    /// Rows of the local database; all of them if it `replaces`.
    LocalData {
        /// The rows.
        updates: Box<local::Updates>,
        /// What is not in it is no more.
        replaces: bool,
        /// It answers the monitor request on a new connection.
        initial: bool,
    },
    /// What the local database's server can store; before its data.
    LocalSchema(LocalSchema),
    /// The Southbound's data is under the conditions of this number, or of a later one: [`Effect::SouthboundConditions`].
    SouthboundConditions(u64),
    /// The Southbound's server refuses the conditions of this number.
    SouthboundConditionsRefused(u64),
    /// What became of the question of this number: [`Effect::SouthboundSurvey`].
    SouthboundSurveyed {
        /// The question's.
        number: u64,
        /// What became of it.
        outcome: Outcome,
    },
    /// The connection to a database ended.
    Disconnected(Db),
    /// What became of a transaction.
    TransactionDone {
        /// Which database.
        db: Db,
        /// As in [`Effect::Transact`].
        id: u64,
        /// What became of it.
        outcome: Outcome,
    },
    /// A socket to the switch was opened.
    SwitchConnected,
    /// Bytes from the switch.
    SwitchBytes(Bytes),
    /// The switch's socket was closed, by the peer or with an error.
    SwitchClosed(Option<String>),
    /// A socket to the switch cannot be opened.
    SwitchUnreachable,
    /// A neighbour table of the kernel was read: [`Effect::WatchNeighbours`].
    Neighbours {
        /// Name of the device.
        device: Str,
        /// Which table.
        table: NeighbourTable,
        /// All its entries; `None`: it cannot be read now, what was known holds.
        entries: Option<Vec<Neighbour>>,
    },
    /// The devices that stand for functions of network cards were looked at: these there are.
    Representors(Representors),
    /// Derive everything again.
    Recompute,
    /// The Southbound's cluster was made anew: what servers say of its age means nothing any more.
    ClusterReset,
    /// Compare the whole switch with what it should have, now.
    Audit,
    /// Hand this packet to the switch, if there is one.
    PacketOut(Box<PacketOut>),
    /// End: with clean-up as ovn-controller does it, or leaving everything for a successor.
    Exit {
        /// `exit --restart`.
        restart: bool,
    },
}

/// Something to be done outside.
#[derive(Debug)]
pub enum Effect {
    /// Send a transaction; [`Event::TransactionDone`] is to follow.
    Transact {
        /// Which database.
        db: Db,
        /// Unique for the database.
        id: u64,
        /// What.
        transaction: Transaction,
    },
    /// Monitor the Southbound under these conditions, from now on; [`Event::SouthboundConditions`] is to follow. They come before
    /// the first remotes.
    SouthboundConditions {
        /// Grows.
        sequence: u64,
        /// Which rows.
        conditions: Conditions,
    },
    /// Ask the Southbound this, which changes nothing; [`Event::SouthboundSurveyed`] is to follow.
    SouthboundSurvey {
        /// Grows.
        number: u64,
        /// Selects.
        transaction: Transaction,
    },
    /// Connect to the Southbound at these remotes (ovn-remote's notation), from now on.
    SouthboundRemotes {
        /// Comma separated; empty: to none.
        remotes: String,
        /// ovn-remote-probe-interval, if it is set.
        probe: Option<Duration>,
    },
    /// Accept servers of the Southbound with older data than was seen before: `sb-cluster-state-reset`.
    ForgetClusterIndex,
    /// The local database's SSL row for connections from now on; `None`: there is none, and what the command line says counts.
    Tls(Option<TlsFiles>),
    /// Keep a connection to the switch at this target (ovn-bridge-remote's notation), from now on; `None`: to none.
    SwitchTarget(Option<String>),
    /// Bytes for the switch.
    SwitchBytes(Bytes),
    /// The connection to the switch is of no use any more: close it and make another.
    SwitchReconnect,
    /// Read these tables of the kernel, each device by its name, and again whenever they change: [`Event::Neighbours`]. From now
    /// on no others. A device that does not exist has no entries.
    WatchNeighbours(BTreeSet<(Str, NeighbourTable)>),
    /// A line for the log.
    Log {
        /// How important.
        level: Level,
        /// Which part it is from.
        module: &'static str,
        /// The line.
        text: String,
    },
    /// The switch holds the first complete desired state.
    Ready,
    /// Everything there was to clean up is cleaned up: the process ends.
    Exited,
}

/// The SSL row of the local database: names of files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// Our private key.
    pub private_key: Str,
    /// Our certificate.
    pub certificate: Str,
    /// What the peer's certificate must lead to; `none`: to nothing.
    pub ca_cert: Str,
    /// A CA file that does not exist is made of what the first peer shows.
    pub bootstrap_ca_cert: bool,
}

/// Importance of a line for the log, in OVS's words.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Something failed.
    Error,
    /// Something is not as it should be.
    Warn,
    /// Something of interest happened.
    Info,
    /// Details.
    Debug,
}

/// Settings of a [`Runtime`].
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Settings of the core.
    pub config: Config,
    /// Where Open vSwitch's sockets are: its bridges listen at `unix:<rundir>/<bridge>.mgmt`.
    pub ovs_rundir: String,
    /// Threads for bulk work, see [`Agent::set_threads`].
    pub threads: Threads,
}

/// The agent between its sockets. See the module.
pub struct Runtime {
    agent: Agent,
    options: Options,
    switch: Session,
    southbound: Side,
    local: Side,
    /// What is left of a first Southbound, and whether it is [`Event::SouthboundData::initial`]: taken in portions, so that the driver gets its
    /// turn in between.
    arriving: Option<(Box<southbound::Updates>, bool)>,
    monitoring: Monitoring,
    claims: Claims,
    identity: Identity,
    effects: VecDeque<Effect>,
    promises: Promises,
    nb_cfg_delay: NbCfgDelay,
    zones: ZoneFlushes,
    neighbours: NeighbourTables,
    retries: Retries,
    meters: Vec<Meter>,
    /// The session's read-back is complete.
    switch_ready: bool,
    /// It was, once.
    was_ready: bool,
    /// Connections to the switch that came to nothing since it was ready last.
    failed_attempts: u32,
    /// Why the switch is not ready, as said: attempts fail again and again in the same ways.
    down: BTreeSet<String>,
    /// The first push was acknowledged.
    announced: bool,
    /// After a refusal nothing is pushed before this.
    push_pause: PushPause,
    followed: Followed,
    /// The version of northd, if we wait for ours.
    other_northd: Option<Str>,
    complaints: BTreeSet<String>,
    stopping: Option<Stopping>,
}

/// What the driver was told last.
#[derive(Debug, Default, PartialEq)]
struct Followed {
    remotes: Option<(String, Option<Duration>)>,
    tls: Option<TlsFiles>,
    switch_target: Option<String>,
    bridge: String,
    /// Of which bridge, and its value.
    fail_mode: Option<(RowId, Option<Str>)>,
    /// The switch is to be audited once Open_vSwitch.cur_cfg is that.
    audit_after: Option<i64>,
}

/// Pause after batches that were refused as a whole.
#[derive(Debug, Default)]
struct PushPause {
    until: Time,
    delay_ms: u64,
    /// `until` has not come yet.
    armed: bool,
}

/// How far the exit is.
#[derive(Debug, PartialEq)]
enum Stopping {
    CleaningUp,
    Done,
}

impl Runtime {
    /// A runtime that has observed nothing.
    pub fn new(options: Options) -> Self {
        let mut agent = Agent::new(External { config: options.config.clone(), ..External::default() });
        agent.set_threads(options.threads);
        Self {
            agent,
            options,
            switch: Session::default(),
            southbound: Side::default(),
            local: Side::default(),
            arriving: None,
            monitoring: Monitoring::default(),
            claims: Claims::default(),
            identity: Identity::default(),
            effects: VecDeque::new(),
            promises: Promises::default(),
            nb_cfg_delay: NbCfgDelay::default(),
            zones: ZoneFlushes::default(),
            neighbours: NeighbourTables::default(),
            retries: Retries::default(),
            meters: Vec::new(),
            switch_ready: false,
            was_ready: false,
            failed_attempts: 0,
            down: BTreeSet::new(),
            announced: false,
            push_pause: PushPause::default(),
            followed: Followed::default(),
            other_northd: None,
            complaints: BTreeSet::new(),
            stopping: None,
        }
    }

    // ===== inputs =====

    /// Takes what happened. Cheap; what follows from it is derived by [`Runtime::work`].
    pub fn handle(&mut self, now: Now, event: Event) {
        match event {
            Event::SouthboundData { updates, replaces, initial } => {
                self.admit(usize::MAX);
                if replaces && updates.len() > PORTION && self.agent.model().sb.is_empty() {
                    self.arriving = Some((updates, initial));
                } else {
                    self.southbound.data(initial);
                    if replaces { self.agent.southbound_replaced(*updates) } else { self.agent.southbound(*updates) }
                }
            }
            Event::LocalData { updates, replaces, initial } => {
                self.local.data(initial);
                if replaces { self.agent.local_replaced(*updates) } else { self.agent.local(*updates) }
            }
            Event::LocalSchema(schema) => self.agent.set_external(|external| external.local_schema = schema),
            Event::SouthboundConditions(sequence) => self.monitoring.acknowledged(sequence),
            Event::SouthboundConditionsRefused(sequence) => self.monitoring.refused(sequence),
            Event::SouthboundSurveyed { number, outcome } => {
                let ports = &self.agent.model().sb.port_binding;
                let find = |name: &Str| ports.by_logical_port(name).find_map(|id| Some(ports.row(id)?.datapath));
                self.monitoring.surveyed(number, |datapaths| survey::answer(datapaths, &outcome, find));
            }
            Event::Disconnected(db) => {
                self.admit(usize::MAX);
                if db == Db::Southbound {
                    self.monitoring.disconnected();
                }
                self.side(db).connected = false;
            }
            Event::TransactionDone { db, id, outcome } => {
                if let Some(refusal) = self.side(db).done(now.monotonic, id, outcome) {
                    let text = self.refused(db, &refusal);
                    self.log(Level::Warn, "ovsdb", text);
                }
            }
            Event::SwitchConnected => {
                let config = self.switch_config();
                self.with_switch(|switch, target| switch.connected(now.monotonic, config, target));
            }
            Event::SwitchBytes(bytes) => {
                self.with_switch(|switch, target| switch.received(now.monotonic, &bytes, target));
            }
            Event::SwitchClosed(error) => {
                let error = error.map(std::io::Error::other);
                self.with_switch(|switch, target| switch.closed(now.monotonic, error.as_ref(), target));
            }
            Event::SwitchUnreachable => self.attempt_failed(),
            Event::Neighbours { device, table, entries } => {
                self.neighbours.observed(&mut self.agent, device, table, entries.as_deref());
            }
            Event::Representors(all) => self.agent.set_external(|external| external.representors = Arc::new(all)),
            Event::Recompute => self.agent.recompute(),
            Event::ClusterReset => self.effects.push_back(Effect::ForgetClusterIndex),
            Event::Audit => self.switch.request_audit(),
            // Its outcome is the switch's affair, like that of a packet on a wire; `notices` sends it.
            Event::PacketOut(packet) => _ = self.switch.send_packet(*packet),
            Event::Exit { restart } => self.exit(restart),
        }
        self.notices(now);
    }

    // ===== work =====

    /// Derives at most `budget` nodes; when nothing is left to derive, sends what differs. To be called after events, again
    /// while it says [`Progress::More`], and when [`Runtime::poll_timeout`] has come.
    pub fn work(&mut self, now: Now, budget: usize) -> Progress {
        if self.switch.poll_timeout().is_some_and(|at| at <= now.monotonic) {
            self.with_switch(|switch, target| switch.timeout(now.monotonic, target));
            self.notices(now);
        }
        self.push_pause.armed &= now.monotonic < self.push_pause.until;
        if self.stopping.is_some() {
            self.clean_up(now);
            return Progress::Settled;
        }
        if self.admit(PORTION) {
            return Progress::More;
        }
        if !self.local.synced {
            return Progress::Settled;
        }
        if self.agent.work_facts(budget) == Progress::More {
            return Progress::More;
        }
        // First: the rows of a former name are needed.
        if let Some(former) = self.identity.follow(&mut self.agent, self.claims.is_double()) {
            let text = format!("Chassis {former} has another name now: the rows of the former one are removed");
            self.log(Level::Info, "chassis", text);
        }
        if !self.follow_interest(now) {
            return Progress::More;
        }
        self.follow_settings(now);
        self.with_switch(|switch, target| switch.proceed(now.monotonic, target));
        self.notices(now);
        if self.switch.is_collecting() {
            // What is pushed is one state, not a mixture.
            return Progress::More;
        }
        // With everything at hand each unit runs once: logical flows depend on the switch's features and Geneve option.
        if self.southbound.synced && !self.was_ready && self.followed.switch_target.is_some() {
            return Progress::Settled;
        }
        // The same goes for what is still to be asked for, except that there must be a Chassis row to ask with.
        if self.southbound.synced && self.monitoring.is_beginning() && self.agent.ask(ThisChassis).is_some() {
            return Progress::Settled;
        }
        if self.follow_northd_version() && self.followed.switch_target.is_some() {
            return Progress::Settled;
        }
        self.agent.set_wall_clock_ms(now.wall_ms);
        if let Some(nb_cfg) = self.nb_cfg_delay.due(now.monotonic) {
            self.agent.set_external(|external| external.acknowledged_nb_cfg = nb_cfg);
        }
        if self.agent.work(budget) == Progress::More {
            return Progress::More;
        }
        if let Some(watch) = self.neighbours.follow(&mut self.agent) {
            self.effects.push_back(Effect::WatchNeighbours(watch));
        }
        if !self.agent.is_settled() {
            return Progress::More;
        }
        self.retry_tunnels(now);
        self.log_complaints();
        let (southbound, local) = self.agent.writes();
        let part = |(unit, transaction): (NodeId, Transaction)| Part { unit: unit.0, transaction };
        self.write(now, southbound.into_iter().map(part).collect(), local.into_iter().map(part).collect());
        self.push(now);
        self.transmit();
        // A push of nothing is acknowledged at once, and what it acknowledges is to be written.
        let more = !self.agent.is_settled() || self.switch.can_proceed(now.monotonic);
        if more { Progress::More } else { Progress::Settled }
    }

    /// When to call [`Runtime::work`] again if nothing happens.
    pub fn poll_timeout(&self) -> Option<Time> {
        let pause = self.push_pause.armed.then_some(self.push_pause.until);
        let sides = [&self.southbound, &self.local].into_iter().filter_map(Side::poll_timeout);
        let others = [
            pause,
            self.switch.poll_timeout(),
            self.retries.poll_timeout(),
            self.monitoring.poll_timeout(),
            self.nb_cfg_delay.poll_timeout(),
        ];
        sides.chain(others.into_iter().flatten()).min()
    }

    /// The next thing to do, oldest first.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    // ===== looking =====

    /// The core, for the control commands.
    pub fn agent(&self) -> &Agent {
        &self.agent
    }

    /// See [`Agent::take_tally`].
    pub fn take_tally(&mut self) -> Tally {
        self.agent.take_tally()
    }

    /// The number of the latest push to the switch, and of the latest that it has acknowledged.
    pub fn pushes(&self) -> (u64, u64) {
        self.promises.progress()
    }

    /// `debug/delay-nb-cfg-report`: acknowledged configurations are reported so late from now on.
    pub fn delay_nb_cfg(&mut self, delay_ms: u64) {
        self.nb_cfg_delay.set(delay_ms);
    }

    /// `lflow-cache/flush`: forgets compiled texts.
    pub fn flush_cached_texts(&mut self) {
        self.agent.flush_cached_texts();
    }

    /// Flow mods sent since the start.
    pub fn flow_mods(&self) -> u64 {
        self.switch.flow_mods()
    }

    /// How often Open vSwitch was asked to try refused tunnel ports again.
    pub fn tunnel_retries(&self) -> u64 {
        self.retries.attempts
    }

    /// How often other rows of the Southbound were asked for.
    pub fn condition_changes(&self) -> u64 {
        self.monitoring.changes()
    }

    /// The switch: what it was sent, what it refused, what the audit found.
    pub fn switch(&self) -> &Session {
        &self.switch
    }

    /// Whether a transaction is on its way.
    pub fn is_busy(&self, db: Db) -> bool {
        match db {
            Db::Southbound => self.southbound.is_busy(),
            Db::Local => self.local.is_busy(),
        }
    }

    /// Whether the Southbound is connected and its data is here.
    pub fn is_connected(&self, db: Db) -> bool {
        match db {
            Db::Southbound => self.southbound.connected,
            Db::Local => self.local.connected,
        }
    }

    // ===== inside =====

    /// Takes at most `n` rows of what is arriving. Says whether there was something.
    fn admit(&mut self, n: usize) -> bool {
        let Some((updates, initial)) = &mut self.arriving else { return false };
        let (portion, initial) = (updates.take(n), *initial);
        if updates.is_empty() {
            self.arriving = None;
            self.southbound.data(initial);
        }
        self.agent.southbound(portion);
        true
    }

    fn side(&mut self, db: Db) -> &mut Side {
        match db {
            Db::Southbound => &mut self.southbound,
            Db::Local => &mut self.local,
        }
    }

    fn log(&mut self, level: Level, module: &'static str, text: String) {
        self.effects.push_back(Effect::Log { level, module, text });
    }

    fn with_switch<T>(&mut self, act: impl FnOnce(&mut Session, &mut Target<'_>) -> T) -> T {
        let (flows, pools, _) = self.agent.switch_side();
        let result = act(&mut self.switch, &mut Target { flows, pools, meters: &self.meters });
        self.transmit();
        result
    }

    fn transmit(&mut self) {
        let mut out = BytesMut::new();
        if self.switch.transmit(&mut out) > 0 {
            self.effects.push_back(Effect::SwitchBytes(out.freeze()));
        }
    }

    fn write(&mut self, now: Now, southbound: Vec<Part>, local: Vec<Part>) {
        let at = now.monotonic;
        let said = self.claims.consider(at, &self.agent, &mut self.southbound, &southbound);
        said.into_iter().for_each(|text| self.log(Level::Warn, "binding", text));
        for (db, wanted) in [(Db::Southbound, southbound), (Db::Local, local)] {
            let Some((id, transaction)) = self.side(db).next(at, wanted) else { continue };
            let side = if db == Db::Southbound { &self.southbound } else { &self.local };
            let news = side.sent().iter().flat_map(|sent| self.claims.announcements(&self.agent, sent));
            let news: Vec<String> = news.collect();
            news.into_iter().for_each(|text| self.log(Level::Info, "binding", text));
            self.effects.push_back(Effect::Transact { db, id, transaction });
        }
    }

    /// A refused write in an operator's words: whose it is, why, and what it was.
    fn refused(&self, db: Db, Refusal { part, error }: &Refusal) -> String {
        let name = db.name();
        match part {
            Some(part) => {
                let whose = claims::describe(&self.agent, part);
                let mut what = part.transaction.to_string();
                if let Some((end, _)) = what.char_indices().nth(LONGEST_QUOTE) {
                    what.truncate(end);
                    what.push_str("...");
                }
                format!("{name}: transaction failed: what {whose} needs is refused: {}: {what}", error.error)
            }
            None => format!("{name}: transaction failed: {}", error.error),
        }
    }

    /// Asks for what is needed of the Southbound, when that is news. Says whether it is known yet what that is.
    fn follow_interest(&mut self, now: Now) -> bool {
        let interest = self.agent.ask(Interest);
        if !self.agent.has_settled_facts() {
            return false;
        }
        let synced = self.southbound.synced;
        if let Some((sequence, conditions)) = self.monitoring.follow(now.monotonic, interest, synced) {
            self.log(Level::Debug, "ovsdb", format!("OVN_Southbound: conditions {sequence}: {conditions}"));
            self.effects.push_back(Effect::SouthboundConditions { sequence, conditions });
        }
        if let Some((number, datapaths)) = self.monitoring.poll_survey() {
            let transaction = survey::request(&datapaths);
            self.log(Level::Debug, "ovsdb", format!("OVN_Southbound: question {number}: {transaction}"));
            self.effects.push_back(Effect::SouthboundSurvey { number, transaction });
        }
        true
    }

    /// Tells the driver where the Southbound and the switch are, when that is news.
    fn follow_settings(&mut self, now: Now) {
        let audit = self.agent.ask(Setting("ovn-agent-audit-interval")).and_then(|text| text.parse::<u64>().ok());
        let audit = audit.unwrap_or(AUDIT_INTERVAL_MS);
        self.switch.set_audit_interval(now.monotonic, (audit > 0).then_some(audit));
        self.switch.set_probe_interval(self.switch_probe());
        // Before the remotes that need it. The table has one row at most; `update_ssl_config` of controller/ovn-controller.c, OVN 26.03.
        let tls = self.agent.model().local.ssl.iter().next().map(|(_, row)| TlsFiles {
            private_key: row.private_key.clone(),
            certificate: row.certificate.clone(),
            ca_cert: row.ca_cert.clone(),
            bootstrap_ca_cert: row.bootstrap_ca_cert,
        });
        if tls != self.followed.tls {
            self.followed.tls.clone_from(&tls);
            self.effects.push_back(Effect::Tls(tls));
        }
        let remotes = self.agent.ask(Setting("ovn-remote")).unwrap_or_default().to_string();
        let probe = self.agent.ask(Setting("ovn-remote-probe-interval")).and_then(|text| text.parse::<u64>().ok());
        let probe = probe.map(|ms| Duration::from_millis(if ms == 0 { 0 } else { ms.max(1000) }));
        let wanted = Some((remotes.clone(), probe));
        if wanted != self.followed.remotes {
            if remotes.is_empty() {
                self.log(Level::Warn, "main", "Open_vSwitch has no external_ids:ovn-remote".to_owned());
            }
            self.followed.remotes = wanted;
            self.effects.push_back(Effect::SouthboundRemotes { remotes, probe });
        }
        let row = self.agent.ask(IntegrationBridge);
        self.follow_fail_mode(row);
        let bridge = row.and_then(|row| self.agent.model().local.bridge.row(row)).map(|bridge| bridge.name.to_string());
        let target = bridge.as_ref().map(|bridge| match self.agent.ask(Setting("ovn-bridge-remote")) {
            Some(remote) => remote.to_string(),
            None => format!("unix:{}/{bridge}.mgmt", self.options.ovs_rundir),
        });
        if target != self.followed.switch_target {
            self.followed.switch_target.clone_from(&target);
            self.followed.bridge = bridge.unwrap_or_default();
            self.effects.push_back(Effect::SwitchTarget(target));
        }
    }

    /// Open vSwitch drops all flows when fail_mode of the bridge is changed, and changed back by us, and the connection stays: what is left is
    /// looked at at once, and again when Open vSwitch has told in the usual way (cur_cfg) that it has seen the change.
    fn follow_fail_mode(&mut self, bridge: Option<RowId>) {
        let model = self.agent.model();
        let now = bridge.and_then(|row| Some((row, model.local.bridge.row(row)?.fail_mode.clone())));
        let cur_cfg = model.local.open_vswitch.iter().next().map_or(0, |(_, row)| row.cur_cfg);
        let before = std::mem::replace(&mut self.followed.fail_mode, now);
        let (before, now) = (before.as_ref(), self.followed.fail_mode.as_ref());
        let same_bridge = before.map(|(row, _)| row) == now.map(|(row, _)| row);
        // Also while the switch is being read: what is read may be from before, and what is sent gone with it.
        if before != now && same_bridge {
            self.followed.audit_after = Some(self.have_configuration_read());
            self.switch.request_audit();
        } else if self.followed.audit_after.is_some_and(|at| cur_cfg >= at) {
            self.followed.audit_after = None;
            self.switch.request_audit();
        }
    }

    /// With ovn-match-northd-version nothing is derived or written while northd is of another version; the switch keeps its flows. Says
    /// whether that is so (`check_northd_version` of controller/ovn-controller.c, OVN 26.03).
    fn follow_northd_version(&mut self) -> bool {
        let theirs = match self.agent.ask(Setting("ovn-match-northd-version")) {
            Some(setting) if setting.eq_ignore_ascii_case("true") && self.southbound.synced => {
                self.agent.ask(NorthdOption("northd_internal_version")).unwrap_or_default()
            }
            _ => Str::from(INTERNAL_VERSION),
        };
        let frozen = theirs != INTERNAL_VERSION;
        let told = frozen.then_some(theirs);
        if told != self.other_northd {
            if let Some(theirs) = &told {
                let text = format!("controller version - {INTERNAL_VERSION} mismatch with northd version - {theirs}");
                self.log(Level::Warn, "main", text);
            }
            self.other_northd = told;
        }
        frozen
    }

    /// Probes are for remote switches, and off as a rule; whole seconds.
    fn switch_probe(&self) -> Option<Duration> {
        let probe = self.agent.ask(Setting("ovn-bridge-remote-probe-interval"));
        let seconds = probe.and_then(|text| text.parse::<u64>().ok()).map_or(0, |ms| ms / 1000);
        (seconds > 0).then(|| Duration::from_secs(seconds))
    }

    /// Settings of a new connection to the switch.
    fn switch_config(&self) -> SwitchConfig {
        let bridge = self.followed.bridge.clone();
        SwitchConfig { bridge, probe_interval: self.switch_probe(), ..SwitchConfig::default() }
    }

    fn push(&mut self, now: Now) {
        let complete = self.southbound.synced && self.switch_ready && self.agent.ask(ThisChassis).is_some();
        let complete = complete && (self.announced || self.neighbours.are_known());
        if !complete || self.push_pause.armed || self.monitoring.is_holding() {
            return;
        }
        let meters = self.agent.desired_meters();
        let mut wanted = promise::current(&self.agent);
        if !self.monitoring.is_settled() {
            // There may be more to this configuration than what is here.
            let acknowledged = self.agent.model().external.acknowledged_nb_cfg;
            wanted.nb_cfg = self.promises.latest_nb_cfg().unwrap_or(acknowledged);
        }
        let [nat, ports] = ZoneKind::ALL.map(|kind| self.agent.ask(PersistedZones(kind)));
        let zones = Seen { zones: self.agent.ask(Zones), persisted: UserZones { nat, ports } };
        let flushes = self.zones.observe(&zones);
        self.follow_flushes();
        let (flows, pools, _) = self.agent.switch_side();
        let differs = flows.has_changed() || pools.groups.has_changed() || meters != self.meters;
        let differs = differs || self.switch.is_touched();
        if !differs && !flushes && self.promises.is_latest(&wanted) {
            return;
        }
        self.meters = meters;
        let sequence = self.promises.next_sequence();
        let flush = self.zones.due(&zones);
        if self.with_switch(|switch, target| switch.push(now.monotonic, sequence, &flush, target)) {
            let installed = promise::remaining(&self.agent.model().external.installed_ports, &wanted);
            self.promises.made(wanted);
            if let Some(installed) = installed {
                self.agent.set_external(|external| external.installed_ports = Arc::new(installed));
            }
            let in_use = self.zones.pushed(sequence, &zones);
            self.agent.set_external(|external| external.zones_in_use = in_use);
        }
        self.notices(now);
    }

    /// What the switch session has to tell.
    fn notices(&mut self, now: Now) {
        let mut failed = false;
        while let Some(notice) = self.switch.poll_notice() {
            match notice {
                Notice::Ready { features, geneve_option } => {
                    self.switch_ready = true;
                    self.was_ready = true;
                    self.down.clear();
                    self.failed_attempts = 0;
                    self.switch_lost(false);
                    let installed = self.agent.flows().installed_len();
                    self.log(Level::Info, "ofctrl", format!("switch read back: {installed} flows installed"));
                    self.agent.set_external(|external| {
                        external.features = features;
                        external.geneve_option = geneve_option;
                    });
                }
                Notice::Acknowledged(sequence) => self.acknowledged(now.monotonic, sequence),
                Notice::Refused { culprit, why } => {
                    let text = refusals::describe(&self.agent, culprit, &why);
                    self.log(Level::Warn, "ofctrl", text);
                }
                Notice::Failed(what) => {
                    failed = true;
                    self.log(Level::Warn, "ofctrl", what);
                }
                Notice::Remark(what) => self.log(Level::Warn, "ofctrl", what),
                Notice::Audited(found) => {
                    let (level, text) = refusals::audited(&found);
                    self.log(level, "ofctrl", text);
                }
                Notice::Down(why) => {
                    if !self.switch_ready {
                        self.attempt_failed();
                    }
                    self.switch_ready = false;
                    self.promises.forget();
                    self.zones.forget();
                    let text = format!("connection to the switch lost: {why}");
                    // Bounded, should the texts differ.
                    if self.down.len() < 100 && self.down.insert(text.clone()) {
                        self.log(Level::Warn, "ofctrl", text);
                    }
                    self.effects.push_back(Effect::SwitchReconnect);
                }
            }
        }
        if failed {
            let pause = &mut self.push_pause;
            pause.delay_ms = (pause.delay_ms * 2).clamp(1000, 30_000);
            pause.until = Time(now.monotonic.0 + pause.delay_ms);
            pause.armed = true;
        }
        self.transmit();
    }

    /// A connection to the switch could not be made. That is no reason to hand gateways over to others when the next one can: a
    /// switch that closes its connections because its configuration changed often closes the first new one as well.
    fn attempt_failed(&mut self) {
        self.failed_attempts = self.failed_attempts.saturating_add(1);
        if self.failed_attempts >= LOST_AFTER {
            self.switch_lost(true);
        }
    }

    /// The switch is gone, or back. Of interest only if it was here: before, nothing is claimed.
    fn switch_lost(&mut self, lost: bool) {
        let lost = lost && self.was_ready;
        if self.agent.model().external.switch_lost != lost {
            self.agent.set_external(|external| external.switch_lost = lost);
        }
    }

    fn acknowledged(&mut self, now: Time, sequence: u64) {
        self.push_pause = PushPause::default();
        self.zones.acknowledged(sequence);
        self.follow_flushes();
        let Some(promise) = self.promises.acknowledged(sequence) else { return };
        let nb_cfg = self.nb_cfg_delay.acknowledged(now, promise.nb_cfg);
        self.agent.set_external(|external| {
            external.acknowledged_nb_cfg = nb_cfg.unwrap_or(external.acknowledged_nb_cfg);
            external.installed_ports = promise.ports;
        });
        if !self.announced {
            self.announced = true;
            self.effects.push_back(Effect::Ready);
        }
    }

    /// Tells the core which zones are flushed.
    fn follow_flushes(&mut self) {
        let flushed = self.zones.flushed();
        if *self.agent.model().external.flushed_zones != flushed {
            self.agent.set_external(|external| external.flushed_zones = Arc::new(flushed));
        }
    }

    /// See [`retries`].
    fn retry_tunnels(&mut self, now: Now) {
        let refused = self.agent.ask(RefusedTunnels);
        if self.retries.due(now.monotonic, refused) {
            self.have_configuration_read();
            self.agent.settle();
        }
    }

    /// Has Open vSwitch look at its configuration again. When it has, cur_cfg is the number that is returned.
    fn have_configuration_read(&mut self) -> i64 {
        let seen = self.agent.model().local.open_vswitch.iter().next().map_or(0, |(_, row)| row.next_cfg);
        let wanted = seen.wrapping_add(1);
        self.agent.set_external(|external| external.wanted_next_cfg = wanted);
        wanted
    }

    /// Each line once, when it is new.
    fn log_complaints(&mut self) {
        let now: BTreeSet<String> = self.agent.diagnostics().into_iter().map(|(_, text)| text).collect();
        if now == self.complaints {
            return;
        }
        let new: Vec<String> = now.difference(&self.complaints).cloned().collect();
        self.complaints = now;
        for text in new {
            let level = if NOTES.iter().any(|note| text.starts_with(note)) { Level::Info } else { Level::Warn };
            self.log(level, "main", text);
        }
    }

    /// Sheet 01 section 1.4. Once a caller asked for `--restart` it stays that.
    fn exit(&mut self, restart: bool) {
        if self.stopping == Some(Stopping::Done) {
            return;
        }
        let keep = restart
            || !self.southbound.synced
            || self.agent.ask(Setting("ovn-cleanup-on-exit")).is_some_and(|v| v.eq_ignore_ascii_case("false"));
        let how = match (keep, restart) {
            (false, _) => "True",
            (true, true) => "False (--restart)",
            (true, false) => "False",
        };
        self.log(Level::Info, "main", format!("Exiting ovn-controller, resource cleanup: {how}"));
        if keep {
            self.stopping = Some(Stopping::Done);
            self.effects.push_back(Effect::Exited);
        } else {
            self.stopping = Some(Stopping::CleaningUp);
        }
    }

    fn clean_up(&mut self, now: Now) {
        if self.stopping != Some(Stopping::CleaningUp) {
            return;
        }
        let (southbound, local) = cleanup::transactions(&self.agent);
        // Step by step: what the server refuses stays, and keeps neither the rest nor the end from coming.
        let parts = |all: Transaction| -> Vec<Part> {
            let mut parts: Vec<Part> = all.operations.into_iter().map(step).collect();
            parts.retain(|part| !part.transaction.is_empty());
            parts
        };
        let (southbound, local) = (parts(southbound), parts(local));
        if self.southbound.has_refused(&southbound) && self.local.has_refused(&local) {
            self.stopping = Some(Stopping::Done);
            self.effects.push_back(Effect::Exited);
            return;
        }
        self.write(now, southbound, local);
    }
}

/// A step of the clean-up, as if it were a unit's.
fn step(operation: Operation) -> Part {
    let mut transaction = Transaction::new();
    transaction.push(operation);
    let number = pools::hash(&transaction.to_string()) as u32;
    Part { unit: CLEAN_UP | number, transaction }
}
