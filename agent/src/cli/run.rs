//! `ovn-agent run`: the daemon, with the command line of ovn-controller (sheet 01 section 1.1).

use anyhow::{Context, anyhow, bail};
use ovn_core::Threads;
use ovn_core::model::Config;
use ovn_core::runtime::Options;
use std::ffi::OsString;
use std::process::ExitCode;

use super::options::{self, Arguments, Print};
use super::{graph, print};
use crate::control;
use crate::driver::{self, End, Settings};
use crate::observe::{Level, Log, Syslog, log};
use crate::process::background::{self, Step};
use crate::process::{self, Identity, Pidfile, Role, Signals};

/// Runs the daemon with the arguments behind `run` (or behind the name ovn-controller).
pub fn run(arguments: impl Iterator<Item = OsString>) -> anyhow::Result<ExitCode> {
    let arguments = options::parse(arguments)?;
    match &arguments.print {
        Some(Print::Help) => return print(&options::help(&called())),
        // As ovn-controller prints it; the schema is the newest whose columns we know.
        Some(Print::Version) => {
            return print(&format!("{}OpenFlow versions 0x6:0x6\nSB DB Schema 21.8.0\n", control::version()));
        }
        Some(Print::Graph(node)) => return print(&graph::dump(node.as_deref())?),
        None => {}
    }
    start_log(&arguments)?;
    let result = daemon(&arguments);
    if let Err(error) = &result {
        // stderr has it too, but whoever detached us does not read that.
        Log::process().except_console(Level::Emer, "daemon_unix", format_args!("{error:#}"));
    }
    result
}

/// What was typed to get here.
fn called() -> String {
    match process::program_name() {
        "ovn-agent" => "ovn-agent run".to_owned(),
        name => name.to_owned(),
    }
}

fn start_log(arguments: &Arguments) -> anyhow::Result<()> {
    let vlog = Log::process();
    for spec in &arguments.verbose {
        vlog.set(spec).map_err(|error| anyhow!("processing \"{spec}\": {error}"))?;
    }
    let method = arguments.syslog_method.clone().or_else(|| std::env::var("OVS_SYSLOG_METHOD").ok());
    let syslog = match method.filter(|method| !method.is_empty()) {
        Some(method) => Syslog::parse(&method)?,
        None => Syslog::by_default(),
    };
    vlog.set_syslog(syslog);
    if let Some(target) = &arguments.syslog_target {
        vlog.set_syslog_target(target).with_context(|| format!("--syslog-target={target}"))?;
        log(Level::Warn, "vlog", "--syslog-target flag is deprecated, use --syslog-method instead");
    }
    if let Some(path) = &arguments.log_file {
        let only = !arguments.detach && !arguments.monitor;
        let announced = only || Role::of_this_process() == Role::Daemon;
        vlog.open(path, announced).with_context(|| format!("failed to open {} for logging", path.display()))?;
    }
    Ok(())
}

fn daemon(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    if Role::of_this_process() == Role::First
        && let Some(user) = &arguments.user
    {
        let identity = Identity::parse(user)?;
        Log::process().change_owner(identity.uid, identity.gid)?;
        identity.assume()?;
    }
    match background::start(arguments.detach, arguments.monitor)? {
        Step::Daemon => {}
        Step::Done(code) => return Ok(code),
    }
    // ovn-ctl looks for a process of this name.
    let name = std::ffi::CString::new(process::program_name())?;
    let _ = rustix::thread::set_name(&name);
    log_panics();
    let signals = Signals::block().context("cannot block signals")?;
    let pidfile = arguments.pidfile.as_deref().map(|path| Pidfile::create(path, arguments.overwrite_pidfile));
    let pidfile = pidfile.transpose()?;
    let settings = settings(arguments, signals)?;
    let started = || background::started_up(arguments.detach, !arguments.no_chdir);
    match driver::run(settings, started, || drop(pidfile))? {
        End::Exit => Ok(ExitCode::SUCCESS),
        End::Signal(signal) => {
            Signals::die_by(signal);
            bail!("signal {signal} did not end this process");
        }
    }
}

/// A panic is logged before it ends the process, which `--monitor` then starts again.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let trace = std::backtrace::Backtrace::force_capture();
        log(Level::Emer, "util", format_args!("{panic}\n{trace}"));
        std::process::abort();
    }));
}

fn settings(arguments: &Arguments, signals: Signals) -> anyhow::Result<Settings> {
    let default = || format!("unix:{}/db.sock", process::ovs_rundir().display());
    let database = arguments.database.clone().unwrap_or_else(default);
    let ovs_remote = database.parse().context("OVS-DATABASE")?;
    let rundir = process::ovn_rundir();
    let control_socket = match &arguments.unixctl {
        Some(none) if none == "none" => None,
        Some(path) => Some(rundir.join(path)),
        None => Some(rundir.join(format!("ovn-controller.{}.ctl", std::process::id()))),
    };
    let metrics = arguments.metrics.as_deref().map(str::parse).transpose().context("--metrics")?;
    let chassis = arguments.chassis.clone().or_else(process::system_id_override);
    let config = Config {
        chassis_name: chassis.as_deref().map(ovsdb::Str::from),
        hostname: process::hostname().as_str().into(),
        started_ms: process::wall_ms(),
        dummy_vif_plug: arguments.dummy_vif_plug,
        representors: cfg!(feature = "representor"),
        read_only: false,
    };
    let threads = Threads(arguments.threads.unwrap_or_else(process::default_threads));
    let options = Options { config, ovs_rundir: process::ovs_rundir().display().to_string(), threads };
    let mut tls = arguments.tls.clone();
    if let Some(text) = &arguments.ssl_protocols {
        // Command lines that name versions of TLS of long ago must not keep the daemon from starting.
        tls.protocols = text.parse().unwrap_or_else(|error| {
            log(Level::Err, "stream_ssl", format_args!("--ssl-protocols={text}: {error}"));
            ovsdb::tls::Protocols::default()
        });
    }
    Ok(Settings { ovs_remote, tls, control_socket, metrics, signals, options })
}
