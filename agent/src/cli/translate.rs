//! `ovn-agent translate`: databases in, flows out. The same core as the daemon, driven by two files and no clock.

mod flows;
mod timings;

use anyhow::{Context, bail};
use clap::Args;
use ovn_core::model::{Config, External, SwitchFeatures};
use ovn_core::switch::group_of;
use ovn_core::{Agent, Threads, facts};
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
    /// Threads to use: more take less time and more of the CPU, and the result does not depend on it [default: 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: Option<u16>,
    /// Print to stderr what each phase (read, parse, derive, print) took on the clock and of the CPU, memory, and costs by flow
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

    /// Writes a line an object. A deployment has tens of megabytes of flows, so they are never held as text.
    fn write(self, agent: &Agent, groups: &Groups, threads: usize, mut to: impl std::io::Write) -> std::io::Result<()> {
        if self == What::Flows {
            return flows::write(agent.flows(), threads, &mut to);
        }
        let mut lines = Lines { to: std::io::BufWriter::with_capacity(1 << 16, to), line: String::new() };
        match self {
            What::Flows => Ok(()),
            // One that does not parse is named in the summary.
            What::Groups => groups.iter().flatten().try_for_each(|group| lines.write(group)),
            What::Meters => agent.desired_meters().iter().try_for_each(|meter| lines.write(meter)),
        }?;
        lines.to.flush()
    }
}

/// The groups by id; of those that cannot be, why.
type Groups = Vec<Result<ofproto_client::Group, String>>;

/// Writes lines through one buffer.
struct Lines<W: std::io::Write> {
    to: std::io::BufWriter<W>,
    line: String,
}

impl<W: std::io::Write> Lines<W> {
    fn write(&mut self, object: &impl std::fmt::Display) -> std::io::Result<()> {
        self.line.clear();
        // Writing to a String cannot fail.
        let _ = writeln!(self.line, "{object}");
        self.to.write_all(self.line.as_bytes())
    }
}

impl Translate {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<()> {
        let mut clock = timings::Stopwatch::new(self.timings);
        let (sb, sb_rejected) = read::<ovsdb::Southbound>(&self.sb, &mut clock)?;
        let (local, local_rejected) = read::<ovsdb::Local>(&self.ovs, &mut clock)?;
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
        agent.set_threads(Threads(self.threads()));
        agent.adopt_replicas(sb, local);
        agent.follow_hash_order();
        let Some(chassis) = agent.ask(facts::ChassisName) else {
            bail!(
                "{}: Open_vSwitch has no external_ids:system-id; name the chassis with --chassis",
                self.ovs.display()
            );
        };
        let registered = agent.ask(facts::ThisChassis).is_some();
        if !registered && !register(&mut agent, &chassis)? {
            bail!("{}: no Chassis is named \"{chassis}\"; {}", self.sb.display(), known_chassis(&agent));
        }
        agent.settle();
        clock.lap("derive");
        if !registered {
            note(&format!("{}: chassis {chassis} is not in it; this is what it has once it is", self.sb.display()));
        }
        if agent.ask(facts::IntegrationBridge).is_none() {
            note(&format!("{}: there is no integration bridge, so no port of it is known", self.ovs.display()));
        }
        let groups = agent.desired_groups().iter().map(|(id, text)| group_of(*id, text)).collect();
        self.emit(&agent, &groups)?;
        clock.lap("print");
        summary(&agent, &chassis, &groups, &[sb_rejected, local_rejected].concat());
        clock.report(&agent);
        // The process ends here; a million small blocks need not be given back one by one.
        std::mem::forget(agent);
        Ok(())
    }

    fn threads(&self) -> usize {
        self.threads.map_or(1, usize::from)
    }

    fn emit(&self, agent: &Agent, groups: &Groups) -> anyhow::Result<()> {
        for (at, &what) in self.what.iter().enumerate() {
            if self.what[..at].contains(&what) {
                continue;
            }
            match &self.output_dir {
                Some(dir) => {
                    std::fs::create_dir_all(dir).with_context(|| format!("cannot make folder {}", dir.display()))?;
                    let path = dir.join(what.name());
                    let written =
                        std::fs::File::create(&path).and_then(|file| what.write(agent, groups, self.threads(), file));
                    written.with_context(|| format!("cannot write {}", path.display()))?;
                }
                None => what
                    .write(agent, groups, self.threads(), std::io::stdout().lock())
                    .context("cannot write to stdout")?,
            }
        }
        Ok(())
    }
}

/// Does in the replica what the agent would do in the database to a chassis that is not registered yet: makes its rows and claims its
/// ports. Says whether there is a Chassis row then; not if the local database is that of another chassis.
fn register(agent: &mut Agent, chassis: &str) -> anyhow::Result<bool> {
    /// Registration, claims; what follows from another's claims.
    const ROUNDS: usize = 8;
    let own = agent.model().local.open_vswitch.iter().next().and_then(|(_, row)| row.external_ids.get("system-id"));
    if own.is_some_and(|own| own.as_str() != chassis) {
        return Ok(false);
    }
    agent.set_external(|external| external.config.read_only = false);
    let mut rows = 0_u64;
    let mut fresh = || {
        rows += 1;
        ovn_core::pools::uuid_of(&format!("row {rows} of chassis {chassis}"))
    };
    for _ in 0..ROUNDS {
        // What the databases should hold does not depend on the flows, which would be derived again after each round.
        agent.settle_writes();
        let (mut southbound, _) = agent.transactions();
        awaited(agent, chassis, &mut southbound);
        if southbound.is_empty() {
            break;
        }
        for updates in ovsdb::rehearsal::updates::<ovsdb::Southbound>(&southbound, &mut fresh)? {
            agent.southbound(updates);
        }
    }
    agent.set_external(|external| external.config.read_only = true);
    Ok(agent.ask(facts::ThisChassis).is_some())
}

/// What ovn-northd does once there is a Chassis row: it lets the HA_Chassis rows that wait for it refer to it (northd.c
/// `sync_ha_chassis_group_for_sbpb`, OVN 26.03).
fn awaited(agent: &Agent, chassis: &str, southbound: &mut ovsdb::transaction::Transaction) {
    let sb = &agent.model().sb;
    let Some(row) = agent.ask(facts::ThisChassis) else { return };
    for (member, ha) in sb.ha_chassis.iter() {
        let awaited = ha.external_ids.get("chassis-name").is_some_and(|name| name.as_str() == chassis);
        if awaited && ha.chassis.is_none() {
            let value = ovsdb::datum::Datum::from(Some(sb.chassis.uuid(row)));
            southbound.update("HA_Chassis", sb.ha_chassis.uuid(member), vec![("chassis", value)]);
        }
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
fn read<D: ovsdb::Database>(path: &Path, clock: &mut timings::Stopwatch) -> anyhow::Result<(D, Vec<String>)> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    clock.lap("read");
    let loaded = ovsdb::file::load::<D>(&path.display().to_string(), &bytes)?;
    drop(bytes);
    clock.lap("parse");
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

#[allow(clippy::print_stderr, reason = "for the person at the terminal; stdout holds the flows")]
fn note(text: &str) {
    eprintln!("{text}");
}

/// Counts, and what was skipped and why, on stderr.
#[allow(clippy::print_stderr, reason = "the summary is for the person at the terminal; stdout holds the flows")]
fn summary(agent: &Agent, chassis: &str, groups: &Groups, rejected: &[String]) {
    let sb = &agent.model().sb;
    eprintln!(
        "chassis {chassis}: {} of {} datapaths local, {} logical flows, {} flows, {} groups, {} meters",
        agent.ask(facts::LocalDatapaths).len(),
        sb.datapath_binding.len(),
        sb.logical_flow.len(),
        agent.flows().desired_len(),
        groups.len(),
        agent.desired_meters().len(),
    );
    let diagnostics = agent.diagnostics();
    let bad_groups = groups.iter().filter_map(|group| group.as_ref().err());
    for line in rejected.iter().chain(bad_groups).chain(diagnostics.iter().map(|(_, line)| line)) {
        eprintln!("skipped: {line}");
    }
}
