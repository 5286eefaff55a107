//! [`Metrics`]: what is measured, under documented names (docs/metrics.md, which a test compares). The engine writes, the endpoint reads; neither waits
//! for the other.

use ovn_core::engine::Tally;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use std::fs;
use std::sync::atomic::AtomicU64;

use crate::process::status_kb;

/// A label `kind`.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct Kind {
    kind: &'static str,
}

/// A label `peer`: a database or the switch.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct Peer {
    peer: &'static str,
}

/// What became of transactions with a database.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct Transactions {
    database: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Build {
    version: &'static str,
    ovn: &'static str,
}

/// `kind="..."`.
pub fn kind(kind: &'static str) -> Kind {
    Kind { kind }
}

/// `peer="..."`.
pub fn peer(peer: &'static str) -> Peer {
    Peer { peer }
}

/// `database="...",outcome="..."`.
pub fn transactions(database: &'static str, outcome: &'static str) -> Transactions {
    Transactions { database, outcome }
}

/// All metrics.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// From the arrival of a change to the switch's acknowledgement of the flows that follow from it.
    pub installed: Histogram,
    /// Time of the engine for a change.
    pub busy: Histogram,
    /// Time of the engine between two looks at its messages.
    pub turn: Histogram,
    /// Transactions that were answered.
    pub transactions: Family<Transactions, Counter>,
    /// Flow mods sent.
    pub flow_mods: Counter,
    /// Connections made.
    pub connections: Family<Peer, Counter>,
    /// Connected or not.
    pub connected: Family<Peer, Gauge>,
    /// What the switch refused and is held back.
    pub quarantined: Family<Kind, Gauge>,
    /// What the audit found not to be as it should.
    pub drift: Family<Kind, Counter>,
    /// Flows, groups and meters wanted; flows installed.
    pub desired: Family<Kind, Gauge>,
    /// Flows believed to be in the switch.
    pub installed_flows: Gauge,
    /// Rows changed, by table.
    pub rows: Family<Kind, Counter>,
    /// Units run, by kind.
    pub units: Family<Kind, Counter>,
    /// Facts derived, by kind.
    pub facts: Family<Kind, Counter>,
    /// Local datapaths.
    pub local_datapaths: Gauge,
    /// Ports bound here.
    pub bound_ports: Gauge,
    /// The configuration that the switch has acknowledged.
    pub nb_cfg: Gauge,
    /// Rows and texts that cannot be used.
    pub complaints: Gauge,
    resident: Gauge,
    cpu: Gauge<f64, AtomicU64>,
}

impl Default for Metrics {
    fn default() -> Self {
        let times = || Histogram::new(exponential_buckets(0.000_1, 2.0, 20));
        let mut metrics = Metrics {
            registry: Registry::with_prefix("ovn_agent"),
            installed: times(),
            busy: times(),
            turn: times(),
            transactions: Family::default(),
            flow_mods: Counter::default(),
            connections: Family::default(),
            connected: Family::default(),
            quarantined: Family::default(),
            drift: Family::default(),
            desired: Family::default(),
            installed_flows: Gauge::default(),
            rows: Family::default(),
            units: Family::default(),
            facts: Family::default(),
            local_datapaths: Gauge::default(),
            bound_ports: Gauge::default(),
            nb_cfg: Gauge::default(),
            complaints: Gauge::default(),
            resident: Gauge::default(),
            cpu: Gauge::default(),
        };
        metrics.register();
        metrics
    }
}

impl Metrics {
    fn register(&mut self) {
        let build: Family<Build, Gauge> = Family::default();
        build.get_or_create(&Build { version: env!("CARGO_PKG_VERSION"), ovn: crate::control::OVN }).set(1);
        let to = &mut self.registry;
        to.register("build_info", "Version of ovn-agent, and of OVN whose behaviour it has", build);
        to.register_with_unit(
            "change_installed",
            "From the arrival of a change until the switch has acknowledged what follows from it",
            Unit::Seconds,
            self.installed.clone(),
        );
        to.register_with_unit("change_busy", "Time of the engine for a change", Unit::Seconds, self.busy.clone());
        to.register_with_unit(
            "turn",
            "Time of the engine between two looks at its messages",
            Unit::Seconds,
            self.turn.clone(),
        );
        to.register("transactions", "Transactions answered, by database and outcome", self.transactions.clone());
        to.register("flow_mods", "Flow mods sent to the switch", self.flow_mods.clone());
        to.register("connections", "Connections made: less one, reconnects", self.connections.clone());
        to.register("connected", "Whether there is a connection with its data", self.connected.clone());
        to.register("quarantined", "What the switch refused and is held back", self.quarantined.clone());
        to.register("drift", "What the audit of the switch found not to be as it should", self.drift.clone());
        to.register("desired", "Flows, groups and meters that the switch should have", self.desired.clone());
        to.register("installed_flows", "Flows that the switch is believed to have", self.installed_flows.clone());
        to.register("rows_changed", "Rows of databases that changed, by table", self.rows.clone());
        to.register("units_run", "Units run, by kind", self.units.clone());
        to.register("facts_derived", "Facts derived, by kind", self.facts.clone());
        to.register("local_datapaths", "Local datapaths", self.local_datapaths.clone());
        to.register("bound_ports", "Logical ports bound here", self.bound_ports.clone());
        to.register("nb_cfg", "The latest configuration that the switch has acknowledged", self.nb_cfg.clone());
        to.register("complaints", "Rows and texts that cannot be used", self.complaints.clone());
        to.register_with_unit("resident_memory", "Resident memory", Unit::Bytes, self.resident.clone());
        to.register_with_unit("cpu_time", "CPU time used", Unit::Seconds, self.cpu.clone());
    }

    /// What ran lately.
    pub fn ran(&self, tally: &Tally) {
        for (counts, to) in [(&tally.rows, &self.rows), (&tally.units, &self.units), (&tally.facts, &self.facts)] {
            for (name, count) in counts.sorted() {
                to.get_or_create(&kind(name)).inc_by(count);
            }
        }
    }

    /// All of it, as text.
    pub fn text(&self) -> String {
        let (resident, cpu) = process();
        self.resident.set(resident);
        self.cpu.set(cpu);
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

/// Resident memory of this process in bytes, and CPU time in seconds.
fn process() -> (i64, f64) {
    let resident = status_kb("VmRSS").and_then(|kb| i64::try_from(kb).ok()).unwrap_or_default();
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The second word, in parentheses, may have spaces in it. The kernel counts hundredths of a second there.
    let words = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace();
    let ticks: u64 = words.skip(11).take(2).filter_map(|word| word.parse::<u64>().ok()).sum();
    (resident * 1024, ticks as f64 / 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The documentation names every metric with its type, and no other.
    #[test]
    fn names_are_documented() {
        let metrics = Metrics::default();
        metrics.transactions.get_or_create(&transactions("OVN_Southbound", "committed")).inc();
        metrics.installed.observe(0.003);
        for family in [&metrics.drift, &metrics.rows, &metrics.units, &metrics.facts] {
            drop(family.get_or_create(&kind("x")));
        }
        for family in [&metrics.quarantined, &metrics.desired] {
            drop(family.get_or_create(&kind("x")));
        }
        drop(metrics.connections.get_or_create(&peer("switch")));
        drop(metrics.connected.get_or_create(&peer("switch")));
        let text = metrics.text();
        let types = |line: &str| line.strip_prefix("# TYPE ").map(str::to_owned);
        let mut given: Vec<String> = text.lines().filter_map(types).collect();
        given.sort();
        let page = include_str!("../../../docs/metrics.md");
        let row = |line: &str| {
            let mut cells = line.strip_prefix("| `")?.split('|').map(|cell| cell.trim().trim_matches('`').to_owned());
            Some(format!("{} {}", cells.next()?, cells.next()?))
        };
        let mut documented: Vec<String> = page.lines().filter_map(row).collect();
        documented.sort();
        assert_eq!(given, documented);
        assert!(
            text.contains("ovn_agent_transactions_total{database=\"OVN_Southbound\",outcome=\"committed\"} 1\n"),
            "{text}"
        );
        assert!(text.contains("ovn_agent_change_installed_seconds_bucket{le=\"0.0032\"} 1\n"), "{text}");
        assert!(text.ends_with("# EOF\n"));
    }
}
