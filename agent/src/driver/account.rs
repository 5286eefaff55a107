//! [`Account`]: what the engine does and how long it takes, for control commands and metrics. The engine tells it of every turn; nothing depends on it.

use ovn_core::engine::Tally;
use ovn_core::facts::{BoundPorts, LocalDatapaths};
use ovn_core::runtime::{Db, Event, Runtime};
use ovn_core::switch::Culprit;
use ovsdb::transaction::Outcome;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::turns::{Start, Turns};
use crate::metrics::{Metrics, kind, peer, transactions};
use crate::observe::coverage::{Coverage, Happened, count, counted};
use crate::observe::journal::{Journal, Sent};
use crate::observe::stopwatch::{FLOW_GENERATION, FLOW_INSTALLATION, Stopwatches};
use crate::observe::{Level, log};

/// Default of `inc-engine/compute-log-timeout`.
const LOG_AFTER: Duration = Duration::from_millis(500);
/// Gauges are read so often at most.
const GAUGES: Duration = Duration::from_secs(1);

/// What was done so far.
#[derive(Debug)]
pub struct Account {
    /// How long turns took.
    pub turns: Turns,
    /// The last changes.
    pub journal: Journal,
    /// Counters.
    pub coverage: Coverage,
    /// Times.
    pub stopwatches: Stopwatches,
    /// A change that takes the engine longer is logged; `None`: none.
    pub log_after: Option<Duration>,
    metrics: Arc<Metrics>,
    /// What ran since the start, the change that is being derived left out.
    ran: Tally,
    /// The same since `inc-engine/clear-stats`.
    shown: Tally,
    /// As the metrics have it.
    told_flow_mods: u64,
    /// Somebody may look at the metrics.
    served: bool,
    audit: [(&'static str, u64); 8],
    transactions: u64,
    acknowledged: u64,
    /// When gauges are read again.
    gauges: Instant,
}

impl Account {
    /// Nothing was done yet. `served`: somebody may look at the metrics.
    pub fn new(now: Instant, metrics: Arc<Metrics>, served: bool) -> Self {
        Self {
            turns: Turns::default(),
            journal: Journal::default(),
            coverage: Coverage::new(now),
            stopwatches: Stopwatches::default(),
            log_after: Some(LOG_AFTER),
            metrics,
            ran: Tally::default(),
            shown: Tally::default(),
            told_flow_mods: 0,
            served,
            audit: Default::default(),
            transactions: 0,
            acknowledged: 0,
            gauges: now,
        }
    }

    /// An event is about to be handled.
    pub fn arrives(&mut self, now: Instant, event: &Event, runtime: &Runtime) {
        let what = match event {
            Event::SouthboundData { .. } => Db::Southbound.name(),
            Event::LocalData { .. } => Db::Local.name(),
            Event::SouthboundConditions(_) | Event::SouthboundConditionsRefused(_) => "conditions",
            Event::Neighbours { .. } => "kernel",
            Event::Representors(_) => "representors",
            Event::SwitchConnected | Event::SwitchBytes(_) | Event::SwitchClosed(_) => "switch",
            Event::Recompute => "recompute",
            Event::TransactionDone { db, outcome, .. } => {
                self.transaction(*db, outcome);
                "transaction"
            }
            _ => "other",
        };
        if matches!(event, Event::SwitchConnected) {
            count(Happened::SwitchConnected);
        }
        let sent = self.sent_so_far(runtime);
        self.journal.arrived(now, what, sent);
    }

    fn transaction(&self, db: Db, outcome: &Outcome) {
        let (what, word) = match outcome {
            Outcome::Committed(_) => (Happened::TxnSuccess, "committed"),
            Outcome::Failed(_) => (Happened::TxnError, "refused"),
            Outcome::Lost { .. } => (Happened::TxnUncommitted, "lost"),
        };
        count(what);
        self.metrics.transactions.get_or_create(&transactions(db.name(), word)).inc();
    }

    fn sent_so_far(&self, runtime: &Runtime) -> Sent {
        Sent { flow_mods: runtime.flow_mods(), transactions: self.transactions }
    }

    /// A transaction was sent.
    pub fn sent(&mut self) {
        self.transactions += 1;
    }

    /// A turn of the engine has ended.
    pub fn turn(&mut self, start: Start) {
        let length = start.elapsed();
        self.turns.add(start);
        self.metrics.turn.observe(length.as_secs_f64());
        self.journal.busy(length);
    }

    /// After a turn; `settled` if nothing is left to derive.
    pub fn follow(&mut self, now: Instant, runtime: &mut Runtime, settled: bool) {
        let (pushed, acknowledged) = runtime.pushes();
        if settled && self.journal.is_open() {
            let (ran, sent) = (runtime.take_tally(), self.sent_so_far(runtime));
            self.ran.include(&ran);
            self.shown.include(&ran);
            if self.served {
                self.metrics.ran(&ran);
            }
            self.metrics.flow_mods.inc_by(sent.flow_mods - self.told_flow_mods);
            self.told_flow_mods = sent.flow_mods;
            if let Some(change) = self.journal.settled(now, ran, sent, pushed, acknowledged) {
                self.stopwatches.add(FLOW_GENERATION, change.busy);
                self.metrics.busy.observe(change.busy.as_secs_f64());
                if self.log_after.is_some_and(|most| change.busy > most) {
                    let text =
                        format_args!("node: flow-generation, {} took {}ms", change.summary(), change.busy.as_millis());
                    log(Level::Info, "inc_proc_eng", text);
                }
            }
        }
        if acknowledged != self.acknowledged || settled {
            self.acknowledged = acknowledged;
            let flow_mods = runtime.flow_mods();
            let late = flow_mods - self.told_flow_mods.min(flow_mods);
            for time in self.journal.acknowledged(now, acknowledged, late) {
                self.stopwatches.add(FLOW_INSTALLATION, time);
                self.metrics.installed.observe(time.as_secs_f64());
            }
            if late > 0 {
                self.metrics.flow_mods.inc_by(late);
                self.told_flow_mods = flow_mods;
            }
        }
        if self.coverage.is_due(now) {
            self.look(now, runtime);
        }
        // Some take a look at every flow.
        if self.served && now >= self.gauges {
            self.gauges = now + GAUGES;
            self.gauges(runtime);
        }
    }

    /// Reads what metrics show as it is now.
    fn gauges(&mut self, runtime: &Runtime) {
        let (agent, metrics) = (runtime.agent(), &self.metrics);
        let number = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        let (groups, meters) = agent.id_counts();
        for (name, count) in [("flow", agent.flows().desired_len()), ("group", groups), ("meter", meters)] {
            metrics.desired.get_or_create(&kind(name)).set(number(count));
        }
        metrics.installed_flows.set(number(agent.flows().installed_len()));
        metrics.local_datapaths.set(number(agent.ask(LocalDatapaths).len()));
        metrics.bound_ports.set(number(agent.ask(BoundPorts).len()));
        metrics.nb_cfg.set(agent.model().external.acknowledged_nb_cfg);
        metrics.complaints.set(number(agent.diagnostics().len()));
        let mut held = [("flow", 0), ("group", 0), ("meter", 0), ("table", 0)];
        for (culprit, _) in runtime.switch().quarantined() {
            let at = match culprit {
                Culprit::Flow(_) => 0,
                Culprit::Group(_) => 1,
                Culprit::Meter(_) => 2,
                Culprit::Table(_) => 3,
            };
            held[at].1 += 1;
        }
        for (name, count) in held {
            metrics.quarantined.get_or_create(&kind(name)).set(count);
        }
        let audit = runtime.switch().audit().named();
        for ((name, now), (_, before)) in audit.iter().zip(&self.audit) {
            metrics.drift.get_or_create(&kind(name)).inc_by(now - before);
        }
        self.audit = audit;
        let connected = [
            ("OVN_Southbound", runtime.is_connected(Db::Southbound), Happened::SouthboundConnected),
            ("Open_vSwitch", runtime.is_connected(Db::Local), Happened::LocalConnected),
            ("switch", runtime.switch().is_connected(), Happened::SwitchConnected),
        ];
        for (name, is, happened) in connected {
            metrics.connected.get_or_create(&peer(name)).set(i64::from(is));
            let made = metrics.connections.get_or_create(&peer(name));
            made.inc_by(counted(happened) - made.get());
        }
    }

    /// Has the counters as they are now.
    pub fn look(&mut self, now: Instant, runtime: &Runtime) {
        let tally = &self.ran;
        let runs = tally.recomputes + u64::from(tally.units.total() > 0);
        let mut totals = vec![
            ("lflow_run", runs),
            ("physical_run", runs),
            ("consider_logical_flow", tally.units.of("LogicalFlow")),
            ("lflow_conj_alloc", runtime.agent().conjunction_ranges() as u64),
            ("flow_mods", runtime.flow_mods()),
        ];
        totals.extend(runtime.switch().audit().named());
        self.coverage.look(now, &totals);
    }

    /// What ran since `inc-engine/clear-stats`.
    pub fn tally(&self, runtime: &Runtime) -> Tally {
        let mut tally = self.shown.clone();
        tally.include(&runtime.agent().tally());
        tally
    }

    /// `inc-engine/clear-stats`.
    pub fn clear(&mut self) {
        self.shown = Tally::default();
        self.turns = Turns::default();
    }
}
