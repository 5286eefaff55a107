//! `ovn-agent translate`: databases in, flows out. The same core as the daemon, driven by two files and no clock.

use anyhow::{Context, bail};
use clap::Args;
use ofproto_client::Flow;
use ovn_core::model::{Config, External, SwitchFeatures};
use ovn_core::switch::group_of;
use ovn_core::{Agent, facts};
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// Arguments of `translate`.
#[derive(Debug, Args)]
#[command(
    after_help = "FILE may be the output of `ovsdb-client -f json dump` or `ovsdb-client backup`, or a database \
file, standalone or clustered.\n\nExample:\n  ovsdb-client -f json dump unix:/run/ovn/ovnsb_db.sock OVN_Southbound > sb.json\n  \
ovsdb-client -f json dump Open_vSwitch > ovs.json\n  ovn-agent translate --sb sb.json --ovs ovs.json --what flows"
)]
pub struct Translate {
    /// The Southbound database
    #[arg(long, value_name = "FILE")]
    sb: PathBuf,
    /// The hypervisor's local Open_vSwitch database
    #[arg(long, value_name = "FILE")]
    ovs: PathBuf,
    /// The hypervisor's chassis name [default: external_ids:system-id of the local database]
    #[arg(long, value_name = "NAME")]
    chassis: Option<String>,
    /// Write `flows`, `groups` and `meters` into this folder instead of printing them
    #[arg(long, value_name = "DIR")]
    output_dir: Option<PathBuf>,
    /// What to print or write
    #[arg(long, value_delimiter = ',', default_values = ["flows", "groups", "meters"], value_name = "LIST")]
    what: Vec<What>,
    /// Print how long each phase took, to stderr
    #[arg(long)]
    timings: bool,
}

/// One kind of output.
#[derive(Copy, Clone, Debug, PartialEq, Eq, clap::ValueEnum)]
enum What {
    /// `ovs-ofctl -O OpenFlow15 dump-flows`
    Flows,
    /// `ovs-ofctl -O OpenFlow15 dump-groups`
    Groups,
    /// `ovs-ofctl -O OpenFlow15 dump-meters`
    Meters,
}

impl What {
    fn name(self) -> &'static str {
        match self {
            What::Flows => "flows",
            What::Groups => "groups",
            What::Meters => "meters",
        }
    }
}

impl Translate {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<()> {
        let mut clock = Stopwatch::new(self.timings);
        let (sb, sb_rejected) = read::<ovsdb::Southbound>(&self.sb)?;
        let (local, local_rejected) = read::<ovsdb::Local>(&self.ovs)?;
        clock.lap("read");
        let mut agent = Agent::new(External {
            config: Config {
                chassis_name: self.chassis.as_deref().map(ovsdb::Str::from),
                read_only: true,
                ..Config::default()
            },
            features: offline_features(),
            geneve_option: Some(0),
            ..External::default()
        });
        agent.adopt_replicas(sb, local);
        agent.follow_hash_order();
        let Some(chassis) = agent.ask(facts::ChassisName) else {
            bail!(
                "{}: Open_vSwitch has no external_ids:system-id; name the chassis with --chassis",
                self.ovs.display()
            );
        };
        if agent.ask(facts::ThisChassis).is_none() {
            bail!("{}: no Chassis is named \"{chassis}\"; {}", self.sb.display(), known_chassis(&agent));
        }
        agent.settle();
        clock.lap("translate");
        self.emit(&agent)?;
        clock.lap("print");
        summary(&agent, &chassis, &[sb_rejected, local_rejected].concat());
        clock.report();
        Ok(())
    }

    fn emit(&self, agent: &Agent) -> anyhow::Result<()> {
        for (at, &what) in self.what.iter().enumerate() {
            if self.what[..at].contains(&what) {
                continue;
            }
            let text = match what {
                What::Flows => flows(agent),
                What::Groups => groups(agent),
                What::Meters => meters(agent),
            };
            match &self.output_dir {
                Some(dir) => {
                    std::fs::create_dir_all(dir).with_context(|| format!("cannot make folder {}", dir.display()))?;
                    let path = dir.join(what.name());
                    std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
                }
                None => std::io::stdout().write_all(text.as_bytes()).context("cannot write to stdout")?,
            }
        }
        Ok(())
    }
}

/// The names that --chassis may have.
fn known_chassis(agent: &Agent) -> String {
    let mut names: Vec<&str> = agent.model().sb.chassis.iter().map(|(_, chassis)| chassis.name.as_str()).collect();
    names.sort_unstable();
    match names.len() {
        0 => "there is no Chassis at all".to_owned(),
        1..=8 => format!("there are {}", names.join(", ")),
        more => format!("there are {}, ... ({more} in all)", names.get(..8).unwrap_or_default().join(", ")),
    }
}

/// Reads a database file of any format.
fn read<D: ovsdb::Database>(path: &Path) -> anyhow::Result<(D, Vec<String>)> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let loaded = ovsdb::file::load::<D>(&path.display().to_string(), &bytes)?;
    Ok((loaded.database, loaded.rejected.iter().map(ToString::to_string).collect()))
}

/// What Open vSwitch 3.7 offers: there is no switch to ask.
fn offline_features() -> SwitchFeatures {
    SwitchFeatures {
        known: true,
        max_meters: 200_000,
        max_groups: 0xffff_ff00,
        sample_with_registers: true,
        ct_label_flush: true,
    }
}

/// The flows by table, priority from high to low, match.
fn flows(agent: &Agent) -> String {
    let table = agent.flows();
    let mut flows: Vec<Flow> = table
        .iter_desired()
        .filter_map(|id| {
            let (number, priority, match_) = table.flow_key(id)?;
            let desired = table.desired(id)?;
            Some(Flow {
                table: number,
                priority,
                cookie: desired.cookie,
                match_: match_.clone(),
                actions: desired.actions,
            })
        })
        .collect();
    flows.sort_by(|a, b| (a.table, b.priority, a.match_.as_bytes()).cmp(&(b.table, a.priority, b.match_.as_bytes())));
    let mut text = String::with_capacity(flows.len() * 160);
    for flow in flows {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{flow}");
    }
    text
}

fn groups(agent: &Agent) -> String {
    let mut text = String::new();
    for (id, key) in agent.desired_groups() {
        // One that does not parse is named in the summary.
        if let Ok(group) = group_of(id, &key) {
            let _ = writeln!(text, "{group}");
        }
    }
    text
}

fn meters(agent: &Agent) -> String {
    let mut text = String::new();
    for meter in agent.desired_meters() {
        let _ = writeln!(text, "{meter}");
    }
    text
}

/// Counts, and what was skipped and why, on stderr.
#[allow(clippy::print_stderr, reason = "the summary is for the person at the terminal; stdout holds the flows")]
fn summary(agent: &Agent, chassis: &str, rejected: &[String]) {
    let sb = &agent.model().sb;
    eprintln!(
        "chassis {chassis}: {} of {} datapaths local, {} logical flows, {} flows, {} groups, {} meters",
        agent.ask(facts::LocalDatapaths).len(),
        sb.datapath_binding.len(),
        sb.logical_flow.len(),
        agent.flows().desired_len(),
        agent.desired_groups().len(),
        agent.desired_meters().len(),
    );
    let diagnostics = agent.diagnostics();
    let groups = agent.desired_groups();
    let bad_groups: Vec<String> = groups.iter().filter_map(|(id, key)| group_of(*id, key).err()).collect();
    for line in rejected.iter().chain(&bad_groups).chain(diagnostics.iter().map(|(_, line)| line)) {
        eprintln!("skipped: {line}");
    }
}

/// Phases with their durations, for `--timings`.
struct Stopwatch {
    wanted: bool,
    last: std::time::Instant,
    laps: Vec<(&'static str, std::time::Duration)>,
}

impl Stopwatch {
    fn new(wanted: bool) -> Self {
        Self { wanted, last: std::time::Instant::now(), laps: Vec::new() }
    }

    fn lap(&mut self, name: &'static str) {
        let now = std::time::Instant::now();
        self.laps.push((name, now - self.last));
        self.last = now;
    }

    #[allow(clippy::print_stderr, reason = "asked for with --timings")]
    fn report(&self) {
        for (name, duration) in self.laps.iter().filter(|_| self.wanted) {
            eprintln!("{name}: {:.1} ms", duration.as_secs_f64() * 1e3);
        }
    }
}
