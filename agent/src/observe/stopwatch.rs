//! [`Stopwatches`]: how long things take, for `stopwatch/show` and whoever scrapes it, in the form of lib/stopwatch.c, Open vSwitch 3.7.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::time::Duration;

/// From one change to the next: deriving what follows from it.
pub const FLOW_GENERATION: &str = "flow-generation";
/// From handing flows to the switch until it has acknowledged them.
pub const FLOW_INSTALLATION: &str = "flow-installation";

/// Those of ovn-controller. What is no step of its own here has no samples.
const NAMES: [&str; 13] = [
    FLOW_GENERATION,
    FLOW_INSTALLATION,
    "pinctrl-run",
    "patch-run",
    "ct-zone-commit",
    "if-status-mgr-run",
    "if-status-mgr-update",
    "ofctrl-seqno-run",
    "bfd-run",
    "vif-plug-run",
    "stats_MAC_BINDING",
    "stats_FDB",
    "stats_MAC_BINDING_PROBE",
];
/// The 95th percentile is that of so many samples.
const RECENT: usize = 256;
/// Weights of a new sample in the averages.
const SHORT: f64 = 0.5;
const LONG: f64 = 0.01;

/// All stopwatches.
#[derive(Debug)]
pub struct Stopwatches(BTreeMap<&'static str, Stopwatch>);

#[derive(Debug, Default)]
struct Stopwatch {
    count: u64,
    most: f64,
    least: f64,
    recent: VecDeque<f64>,
    short: f64,
    long: f64,
}

impl Default for Stopwatches {
    fn default() -> Self {
        Self(NAMES.into_iter().map(|name| (name, Stopwatch::default())).collect())
    }
}

impl Stopwatches {
    /// A sample.
    pub fn add(&mut self, name: &'static str, time: Duration) {
        self.0.entry(name).or_default().add(time.as_secs_f64() * 1000.0);
    }

    /// `stopwatch/show [NAME]`, and with a least maximum as newer releases have it. The error is a sentence.
    pub fn show(&self, arguments: &[String]) -> Result<String, String> {
        match arguments {
            [] => Ok(self.all(0.0)),
            [name] => match self.0.get_key_value(name.as_str()) {
                Some((name, watch)) => Ok(watch.show(name)),
                None => Err("No such stopwatch".to_owned()),
            },
            [option, ..] if option != "-t" && option != "--threshold" => Err(format!("Unknown option: {option}")),
            [_, threshold, unit @ ..] => {
                let value: u32 = threshold.parse().map_err(|_| format!("Invalid threshold: {threshold}"))?;
                let scale = match unit.first().map(String::as_str) {
                    None | Some("msec") => 1.0,
                    Some("usec") => 1e-3,
                    Some("nsec") => 1e-6,
                    Some(unit) => {
                        return Err(format!("Unknown units: {unit} (supported: msec, usec or nsec)."));
                    }
                };
                Ok(self.all(f64::from(value) * scale))
            }
        }
    }

    fn all(&self, threshold: f64) -> String {
        self.0.iter().filter(|(_, watch)| watch.most >= threshold).map(|(name, watch)| watch.show(name)).collect()
    }

    /// `stopwatch/reset [NAME]`.
    pub fn reset(&mut self, name: Option<&str>) {
        for (_, watch) in self.0.iter_mut().filter(|(known, _)| name.is_none_or(|name| name == **known)) {
            *watch = Stopwatch::default();
        }
    }
}

impl Stopwatch {
    fn add(&mut self, ms: f64) {
        self.most = self.most.max(ms);
        if self.count == 0 {
            (self.least, self.short, self.long) = (ms, ms, ms);
        }
        self.least = self.least.min(ms);
        self.short += (ms - self.short) * SHORT;
        self.long += (ms - self.long) * LONG;
        self.count += 1;
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(ms);
    }

    fn show(&self, name: &str) -> String {
        let mut recent: Vec<f64> = self.recent.iter().copied().collect();
        recent.sort_by(f64::total_cmp);
        let at = (recent.len() as f64 * 0.95) as usize;
        let percentile = recent.get(at.min(recent.len().saturating_sub(1))).copied().unwrap_or_default();
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "Statistics for '{name}'\n  Total samples: {}\n  Maximum: {} msec\n  Minimum: {} msec\n  \
             95th percentile: {percentile:.6} msec\n  Short term average: {:.6} msec\n  Long term average: {:.6} msec\n",
            self.count, self.most as u64, self.least as u64, self.short, self.long
        );
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics() {
        let mut watches = Stopwatches::default();
        for ms in [4, 8, 2] {
            watches.add(FLOW_GENERATION, Duration::from_millis(ms));
        }
        let expected = "Statistics for 'flow-generation'\n  Total samples: 3\n  Maximum: 8 msec\n  Minimum: 2 msec\n  \
                        95th percentile: 8.000000 msec\n  Short term average: 4.000000 msec\n  Long term average: 4.019600 msec\n";
        assert_eq!(watches.show(&[FLOW_GENERATION.to_owned()]).unwrap(), expected);
        let words = |text: &str| -> Vec<String> { text.split_whitespace().map(str::to_owned).collect() };
        assert_eq!(watches.show(&words("-t 5")).unwrap(), expected);
        assert_eq!(watches.show(&words("-t 9000 usec")).unwrap(), "");
        for (arguments, error) in [
            ("nonsense", "No such stopwatch"),
            ("-x 1", "Unknown option: -x"),
            ("-t x", "Invalid threshold: x"),
            ("-t 1 h", "Unknown units: h (supported: msec, usec or nsec)."),
        ] {
            assert_eq!(watches.show(&words(arguments)), Err(error.to_owned()));
        }
        assert_eq!(watches.show(&[]).unwrap().lines().count(), 7 * NAMES.len());
        watches.reset(None);
        assert!(watches.show(&words(FLOW_GENERATION)).unwrap().contains("Total samples: 0"));
    }
}
