//! What `translate --timings` tells: wall and CPU time of each phase, memory, and what a flow costs.

use nix::time::{ClockId, clock_gettime};
use ovn_core::Agent;
use std::time::{Duration, Instant};

use crate::process::status_kb;

/// Phases with their durations.
pub(super) struct Stopwatch {
    wanted: bool,
    start: Point,
    last: Point,
    laps: Vec<Lap>,
}

/// A moment on both clocks.
#[derive(Copy, Clone)]
struct Point {
    wall: Instant,
    /// Of all threads of the process.
    cpu: Duration,
}

impl Point {
    fn now() -> Self {
        let cpu = clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).map(Duration::from).unwrap_or_default();
        Self { wall: Instant::now(), cpu }
    }
}

struct Lap {
    name: &'static str,
    wall: Duration,
    cpu: Duration,
    /// Resident memory at its end, in kilobytes.
    resident: Option<u64>,
}

impl Stopwatch {
    pub(super) fn new(wanted: bool) -> Self {
        let now = Point::now();
        Self { wanted, start: now, last: now, laps: Vec::new() }
    }

    /// A phase ends. One that comes again is one phase.
    pub(super) fn lap(&mut self, name: &'static str) {
        if !self.wanted {
            return;
        }
        let now = Point::now();
        let (wall, cpu) = (now.wall - self.last.wall, now.cpu.saturating_sub(self.last.cpu));
        let resident = status_kb("VmRSS");
        match self.laps.iter_mut().find(|lap| lap.name == name) {
            Some(lap) => (lap.wall, lap.cpu, lap.resident) = (lap.wall + wall, lap.cpu + cpu, resident),
            None => self.laps.push(Lap { name, wall, cpu, resident }),
        }
        self.last = now;
    }

    #[allow(clippy::print_stderr, reason = "asked for with --timings")]
    pub(super) fn report(&self, agent: &Agent) {
        if !self.wanted {
            return;
        }
        let line = |name: &str, wall: Duration, cpu: Duration, resident: Option<u64>| {
            let resident = resident.map(|kb| format!(", then {} MB resident", kb / 1024)).unwrap_or_default();
            eprintln!("{name}: {:.1} ms wall, {:.1} ms CPU{resident}", ms(wall), ms(cpu));
        };
        self.laps.iter().for_each(|lap| line(lap.name, lap.wall, lap.cpu, lap.resident));
        let whole = Point::now();
        // From the start of the process, reading of arguments included.
        line("total", whole.wall - self.start.wall, whole.cpu, None);
        let lap = |name| self.laps.iter().find(|lap| lap.name == name);
        if let Some((parse, derive)) = lap("parse").zip(lap("derive")) {
            let (flows, lflows) = (agent.flows().desired_len(), agent.unit_counts().0);
            let per = |bytes: u64, count: usize| bytes / (count.max(1) as u64);
            if let Some((before, after)) = parse.resident.zip(derive.resident) {
                let grown = after.saturating_sub(before) * 1024;
                eprintln!(
                    "kept by derivation: {} bytes for each of {lflows} logical flows on local datapaths, {} for each flow",
                    per(grown, lflows),
                    per(grown, flows),
                );
            }
            let per_second = |wall: Duration| flows as f64 / wall.as_secs_f64().max(1e-9);
            eprintln!(
                "speed: {:.0} flows per second derived, {:.0} from start to end",
                per_second(derive.wall),
                per_second(whole.wall - self.start.wall),
            );
        }
        let ((nodes, keys, edges), (node_bytes, key_bytes, edge_bytes)) = (agent.sizes(), agent.graph_bytes());
        let each = |bytes: usize, count: usize| bytes / count.max(1);
        eprintln!(
            "graph: {nodes} nodes of {} bytes, {keys} keys of {}, {edges} edges of {}",
            each(node_bytes, nodes),
            each(key_bytes, keys),
            each(edge_bytes, edges),
        );
        if let Some(peak) = status_kb("VmHWM") {
            eprintln!("peak: {} MB resident", peak / 1024);
        }
    }
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
