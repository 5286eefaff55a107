//! [`Coverage`]: counters under the names that ovn-controller has, for `coverage/show` and whoever scrapes it. [`count`] counts what is no one
//! thread's; the rest is told by the engine when somebody looks. Rates are over 5 s, a minute and an hour, as Open vSwitch has them.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What is counted by whichever thread it happens in.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Happened {
    /// A control command came.
    UnixctlReceived,
    /// It was answered.
    UnixctlReplied,
    /// A transaction was committed.
    TxnSuccess,
    /// A server refused one.
    TxnError,
    /// The connection broke before the answer came.
    TxnUncommitted,
    /// The Southbound was connected.
    SouthboundConnected,
    /// The local database was connected.
    LocalConnected,
    /// The switch was connected.
    SwitchConnected,
}

/// Names of what [`count`] counts, in the order of [`Happened`].
const COUNTED: [&str; 8] = [
    "unixctl_received",
    "unixctl_replied",
    "txn_success",
    "txn_error",
    "txn_uncommitted",
    "ovnsb_connected",
    "ovs_connected",
    "rconn_connected",
];
static COUNTS: [AtomicU64; COUNTED.len()] = [const { AtomicU64::new(0) }; COUNTED.len()];

/// Counters of ovn-controller that exporters ask for by name; those that stand for something we do not have stay zero.
#[rustfmt::skip]
const NAMES: [&str; 38] = [
    "lflow_run", "physical_run", "consider_logical_flow",
    "lflow_cache_flush", "lflow_cache_add_expr", "lflow_cache_add_matches", "lflow_cache_free_expr", "lflow_cache_free_matches", "lflow_cache_add",
    "lflow_cache_hit", "lflow_cache_miss", "lflow_cache_delete", "lflow_cache_full", "lflow_cache_mem_full", "lflow_cache_made_room", "lflow_cache_trim",
    "lflow_conj_conflict", "lflow_conj_alloc", "lflow_conj_alloc_specified", "lflow_conj_free", "lflow_conj_free_unexpected",
    "pinctrl_drop_put_mac_binding", "pinctrl_drop_put_fdb", "pinctrl_drop_buffered_packets_map", "pinctrl_drop_controller_event", "pinctrl_drop_put_vport_binding",
    "pinctrl_notify_main_thread", "pinctrl_total_pin_pkts", "ofctrl_msg_too_long",
    "dns_query_total", "dns_query_type_a", "dns_query_type_aaaa", "dns_query_type_ptr", "dns_query_type_any", "dns_query_type_other",
    "dns_cache_hit", "dns_cache_miss", "dns_response_sent",
];

/// Between two looks at the totals.
const INTERVAL: Duration = Duration::from_secs(5);
/// Looks in a minute, and minutes in an hour.
const MINUTE: usize = 12;
const HOUR: usize = 60;

/// One more.
pub fn count(what: Happened) {
    COUNTS[what as usize].fetch_add(1, Ordering::Relaxed);
}

/// What [`count`] counted so far.
pub fn counted(what: Happened) -> u64 {
    COUNTS[what as usize].load(Ordering::Relaxed)
}

/// Rates of all counters.
#[derive(Debug)]
pub struct Coverage {
    counters: BTreeMap<&'static str, Rates>,
    next: Instant,
}

#[derive(Debug, Default)]
struct Rates {
    total: u64,
    /// At the last look.
    looked: u64,
    /// By looks, the latest last.
    minute: VecDeque<u64>,
    /// By minutes, the latest last.
    hour: VecDeque<u64>,
    looks: usize,
}

impl Coverage {
    /// Nothing has happened.
    pub fn new(now: Instant) -> Self {
        let counters = NAMES.into_iter().chain(COUNTED).map(|name| (name, Rates::default())).collect();
        Self { counters, next: now + INTERVAL }
    }

    /// Takes totals. Cheap to call often.
    pub fn look(&mut self, now: Instant, totals: &[(&'static str, u64)]) {
        let ours = COUNTED.into_iter().zip(&COUNTS).map(|(name, count)| (name, count.load(Ordering::Relaxed)));
        for (name, total) in totals.iter().copied().chain(ours) {
            self.counters.entry(name).or_default().total = total;
        }
        // What happened while nobody looked is spread over the time.
        let slots = match now.checked_duration_since(self.next) {
            Some(late) => (late.as_millis() / INTERVAL.as_millis()) as u64 + 1,
            None => return,
        };
        self.next += INTERVAL * u32::try_from(slots).unwrap_or(u32::MAX);
        self.counters.values_mut().for_each(|rates| rates.close(slots));
    }

    /// Whether [`Coverage::look`] would close an interval.
    pub fn is_due(&self, now: Instant) -> bool {
        now >= self.next
    }

    /// The total of a counter.
    pub fn read(&self, name: &str) -> Option<u64> {
        self.counters.get(name).map(|rates| rates.total)
    }

    /// `coverage/show`.
    pub fn show(&self) -> String {
        let hash = self.hash();
        let mut text =
            format!("Event coverage, avg rate over last: 5 seconds, last minute, last hour,  hash={hash:08x}:\n");
        let mut never = 0;
        for (name, rates) in &self.counters {
            if rates.total == 0 {
                never += 1;
                continue;
            }
            let last = rates.minute.back().copied().unwrap_or_default() as f64 / INTERVAL.as_secs_f64();
            let minute = rates.minute.iter().sum::<u64>() as f64 / 60.0;
            let hour = rates.hour.iter().sum::<u64>() as f64 / 3600.0;
            // Writing to a String cannot fail.
            let _ =
                writeln!(text, "{name:<24} {last:5.1}/sec {minute:9.3}/sec {hour:13.4}/sec   total: {}", rates.total);
        }
        text + &format!("{never} events never hit\n")
    }

    /// Of which counters there are and how they rank: equal for equal kinds of load.
    fn hash(&self) -> u32 {
        let mut ranked: Vec<(u64, &str)> = self
            .counters
            .iter()
            .filter(|(_, rates)| rates.total > 0)
            .map(|(name, rates)| (rates.total, *name))
            .collect();
        ranked.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(b.1)));
        let bytes = ranked.iter().flat_map(|(_, name)| name.bytes());
        bytes.fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
    }
}

impl Rates {
    fn close(&mut self, slots: u64) {
        let new = self.total - self.looked.min(self.total);
        self.looked = self.total;
        let kept = slots.min((MINUTE * HOUR) as u64);
        for slot in 0..kept {
            let share = new / slots + if slot + 1 == kept { new % slots } else { 0 };
            push(&mut self.minute, share, MINUTE);
            match self.hour.back_mut().filter(|_| !self.looks.is_multiple_of(MINUTE)) {
                Some(minute) => *minute += share,
                None => push(&mut self.hour, share, HOUR),
            }
            self.looks += 1;
        }
    }
}

fn push(to: &mut VecDeque<u64>, value: u64, most: usize) {
    if to.len() == most {
        to.pop_front();
    }
    to.push_back(value);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_and_totals() {
        let start = Instant::now();
        let mut coverage = Coverage::new(start);
        coverage.look(start + Duration::from_secs(1), &[("lflow_run", 1), ("ours", 0)]);
        coverage.look(start + Duration::from_secs(5), &[("lflow_run", 10)]);
        coverage.look(start + Duration::from_secs(10), &[("lflow_run", 11)]);
        let text = coverage.show();
        let line = text.lines().find(|line| line.starts_with("lflow_run")).unwrap();
        assert_eq!(line, "lflow_run                  0.2/sec     0.183/sec        0.0031/sec   total: 11");
        assert!(
            text.starts_with("Event coverage, avg rate over last: 5 seconds, last minute, last hour,  hash="),
            "{text}"
        );
        assert!(text.ends_with(" events never hit\n"), "{text}");
        // A minute in which nobody looked.
        coverage.look(start + Duration::from_secs(70), &[("lflow_run", 71)]);
        let line = coverage.show().lines().find(|line| line.starts_with("lflow_run")).unwrap().to_owned();
        assert_eq!(line, "lflow_run                  1.0/sec     1.000/sec        0.0197/sec   total: 71");
        assert_eq!((coverage.read("lflow_run"), coverage.read("nonsense")), (Some(71), None));
        assert_eq!(coverage.read("pinctrl_total_pin_pkts"), Some(0));
        count(Happened::TxnError);
        coverage.look(start + Duration::from_secs(71), &[]);
        assert_eq!(coverage.read("txn_error"), Some(counted(Happened::TxnError)));
    }
}
