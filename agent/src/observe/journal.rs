//! [`Journal`]: what the last changes cost and why (`work/changes`). A change is everything that came between two moments in which nothing was left to
//! derive: one row, as a rule, or several that came together.

use ovn_core::engine::Tally;
use std::collections::VecDeque;
use std::fmt::Write as _;
use std::time::{Duration, Instant, SystemTime};

use super::pattern;

/// Changes that are kept.
const KEPT: usize = 200;

/// The last changes.
#[derive(Debug, Default)]
pub struct Journal {
    number: u64,
    open: Option<Open>,
    /// Derived, and on their way to the switch.
    sent: VecDeque<(u64, Change)>,
    done: VecDeque<Change>,
}

/// A change that is being derived.
#[derive(Debug)]
struct Open {
    arrived: Instant,
    time: SystemTime,
    what: &'static str,
    events: u64,
    busy: Duration,
    before: Sent,
}

/// What was sent up to a moment.
#[derive(Copy, Clone, Debug, Default)]
pub struct Sent {
    /// Flow mods sent.
    pub flow_mods: u64,
    /// Transactions sent.
    pub transactions: u64,
}

/// A change that was derived.
#[derive(Debug)]
pub struct Change {
    number: u64,
    arrived: Instant,
    time: SystemTime,
    what: &'static str,
    events: u64,
    /// What ran for it.
    pub ran: Tally,
    /// Time of the engine.
    pub busy: Duration,
    /// From its arrival until nothing was left to derive.
    derived: Duration,
    flow_mods: u64,
    transactions: u64,
    /// From its arrival until the switch had everything; if there was anything for the switch.
    pub installed: Option<Duration>,
}

impl Journal {
    /// Something came: a change begins, or goes on.
    pub fn arrived(&mut self, now: Instant, what: &'static str, before: Sent) {
        match &mut self.open {
            Some(open) => open.events += 1,
            None => {
                let time = SystemTime::now();
                self.open = Some(Open { arrived: now, time, what, events: 1, busy: Duration::ZERO, before });
            }
        }
    }

    /// The engine was busy with it.
    pub fn busy(&mut self, time: Duration) {
        if let Some(open) = &mut self.open {
            open.busy += time;
        }
    }

    /// Whether a change is being derived.
    pub fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Nothing is left to derive; what there is for the switch has the number `pushed` or a lower one. Returns the change, unless nothing
    /// followed from it.
    pub fn settled(
        &mut self,
        now: Instant,
        ran: Tally,
        after: Sent,
        pushed: u64,
        acknowledged: u64,
    ) -> Option<&Change> {
        let open = self.open.take()?;
        let [rows, units, facts] = [&ran.rows, &ran.units, &ran.facts].map(|counts| counts.total());
        let flow_mods = after.flow_mods - open.before.flow_mods;
        let transactions = after.transactions - open.before.transactions;
        if rows + units + facts + flow_mods + transactions == 0 && pushed == acknowledged {
            return None;
        }
        self.number += 1;
        let change = Change {
            number: self.number,
            arrived: open.arrived,
            time: open.time,
            what: open.what,
            events: open.events,
            ran,
            busy: open.busy,
            derived: now - open.arrived,
            flow_mods,
            transactions,
            installed: None,
        };
        self.sent.push_back((pushed, change));
        self.sent.back().map(|(_, change)| change)
    }

    /// The switch has everything up to this number: returns how long the changes took that it has now.
    pub fn acknowledged(&mut self, now: Instant, number: u64, mut flow_mods: u64) -> Vec<Duration> {
        let mut times = Vec::new();
        while self.sent.front().is_some_and(|(pushed, _)| *pushed <= number) {
            let Some((_, mut change)) = self.sent.pop_front() else { break };
            // Flow mods leave after the change is derived; nothing else is derived meanwhile, as a rule.
            change.flow_mods += std::mem::take(&mut flow_mods);
            if change.flow_mods > 0 {
                let time = now - change.arrived;
                change.installed = Some(time);
                times.push(time);
            }
            if self.done.len() == KEPT {
                self.done.pop_front();
            }
            self.done.push_back(change);
        }
        times
    }

    /// The last `n`, oldest first.
    pub fn show(&self, n: usize) -> String {
        let all = self.done.iter().chain(self.sent.iter().map(|(_, change)| change));
        let count = self.done.len() + self.sent.len();
        let mut text = String::new();
        for change in all.skip(count.saturating_sub(n)) {
            change.show(&mut text);
        }
        text
    }
}

impl Change {
    fn show(&self, text: &mut String) {
        let ms = |time: Duration| time.as_secs_f64() * 1000.0;
        let list = |counts: &ovn_core::engine::Counts| {
            let all: Vec<String> = counts.sorted().iter().map(|(kind, count)| format!("{kind} {count}")).collect();
            if all.is_empty() { "none".to_owned() } else { all.join(", ") }
        };
        // Writing to a String cannot fail, here and below.
        let _ = write!(
            text,
            "#{} {} {}, {} messages, busy {:.2} ms, derived after {:.2} ms",
            self.number,
            pattern::time("%Y-%m-%dT%H:%M:%S.###Z", self.time),
            self.what,
            self.events,
            ms(self.busy),
            ms(self.derived)
        );
        if let Some(installed) = self.installed {
            let _ = write!(text, ", installed after {:.2} ms", ms(installed));
        }
        let _ = write!(
            text,
            "\n  rows changed: {}\n  made run: {}\n  units run: {}\n  facts derived: {}\n  flow mods: {}, transactions: {}\n",
            list(&self.ran.rows),
            list(&self.ran.causes),
            list(&self.ran.units),
            list(&self.ran.facts),
            self.flow_mods,
            self.transactions
        );
    }

    /// One line for the log.
    pub fn summary(&self) -> String {
        format!(
            "{}: {} rows, {} units, {} facts, {} flow mods",
            self.what,
            self.ran.rows.total(),
            self.ran.units.total(),
            self.ran.facts.total(),
            self.flow_mods
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_from_its_arrival_to_the_switch() {
        let (mut journal, start) = (Journal::default(), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        let (mut ran, mut sent) = (Tally::default(), Sent::default());
        journal.arrived(at(0), "OVN_Southbound", sent);
        journal.arrived(at(1), "OVN_Southbound", Sent { flow_mods: 9, transactions: 9 });
        journal.busy(Duration::from_micros(1500));
        ran.rows.add("Port_Binding", 1);
        ran.units.add("PortBinding", 2);
        ran.causes.add("Port_Binding", 2);
        sent.transactions += 1;
        assert!(journal.settled(at(3), ran, sent, 7, 6).is_some() && !journal.is_open());
        assert!(journal.acknowledged(at(4), 6, 0).is_empty());
        assert_eq!(journal.acknowledged(at(5), 7, 3), [Duration::from_millis(5)]);
        let text = journal.show(10);
        let (head, rest) = text.split_once('\n').unwrap();
        assert!(
            head.starts_with("#1 20")
                && head.ends_with(
                    "Z OVN_Southbound, 2 messages, busy 1.50 ms, derived after 3.00 ms, installed after 5.00 ms"
                ),
            "{head}"
        );
        assert_eq!(
            rest,
            "  rows changed: Port_Binding 1\n  made run: Port_Binding 2\n  units run: PortBinding 2\n  facts derived: none\n  \
             flow mods: 3, transactions: 1\n"
        );
        assert_eq!(journal.show(0), "");
        journal.arrived(at(6), "switch", sent);
        assert!(journal.settled(at(7), Tally::default(), sent, 7, 7).is_none(), "nothing followed");
    }
}
