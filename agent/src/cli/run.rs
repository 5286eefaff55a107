//! `ovn-agent run`: the daemon, with the command line of ovn-controller (sheet 01 section 1.1).

use anyhow::{Context, anyhow, bail};
use lexopt::prelude::{Long, Short, Value, ValueExt as _};
use ovn_core::Threads;
use ovn_core::model::Config;
use ovn_core::runtime::Options;
use ovsdb::tls::{Authority, TlsSettings};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::control;
use crate::driver::{self, End, Settings};
use crate::observe::{Level, Log, log};
use crate::process::{self, Pidfile};

const HELP: &str = "\
OVN's hypervisor agent: a drop-in replacement for ovn-controller.

Usage: ovn-agent run [OPTIONS] [OVS-DATABASE]

OVS-DATABASE is the socket of the local ovsdb-server [default: unix:/var/run/openvswitch/db.sock].
The Southbound is named there, by external_ids:ovn-remote of the Open_vSwitch row.

Options:
  -n, --chassis=NAME      name of this chassis [default: the file system-id-override, else external_ids:system-id]
      --pidfile[=FILE]    write the process id into FILE [default: /var/run/ovn/ovn-controller.pid]
      --overwrite-pidfile start even if another process has locked the pidfile
      --detach            go to the background once the control socket listens
      --no-chdir          do not change to / when going to the background
  -u, --unixctl=SOCKET    control socket, or none [default: /var/run/ovn/ovn-controller.PID.ctl]
      --log-file[=FILE]   write the log to FILE too [default: /var/log/ovn/ovn-controller.log]
  -v, --verbose[=SPEC]    log levels: any of a module, console or file, and off, emer, err, warn, info or dbg,
                          separated by colons; without SPEC dbg
      --enable-dummy-vif-plug
                          plug in ports with option vif-plug-type=dummy, for tests
  -p, --private-key=FILE  TLS for ssl: remotes, unless Open_vSwitch has an SSL row: our private key
  -c, --certificate=FILE  ... our certificate
  -C, --ca-cert=FILE      ... the CA that the peer's certificate must lead to; none: any peer is accepted
      --bootstrap-ca-cert=FILE
                          as -C; a file that does not exist is made of what the first peer shows
      --peer-ca-cert=FILE certificates to send behind ours
      --ssl-protocols=P   versions of TLS, of TLSv1.2 and TLSv1.3 [default: TLSv1.2+]
      --ssl-ciphers=C     ciphers of TLS 1.2 [default: DEFAULT:@SECLEVEL=2]
      --ssl-ciphersuites=C
                          cipher suites of TLS 1.3
      --ssl-server-name=N name of the server to ask for [default: the remote's, unless it is an address]
  -V, --version           print the version
  -h, --help              print this
Accepted and without effect: --monitor, --no-self-confinement, --syslog-method, --syslog-target

Environment: OVN_RUNDIR, OVS_RUNDIR, OVN_LOGDIR, OVN_SYSCONFDIR

Example:
  ovn-agent run --pidfile --log-file unix:/var/run/openvswitch/db.sock
  ovs-appctl -t /var/run/ovn/ovn-controller.$(cat /var/run/ovn/ovn-controller.pid).ctl connection-status
";

/// What the command line says.
#[derive(Debug, Default)]
struct Arguments {
    database: Option<String>,
    chassis: Option<String>,
    pidfile: Option<PathBuf>,
    overwrite_pidfile: bool,
    detach: bool,
    no_chdir: bool,
    unixctl: Option<OsString>,
    log_file: Option<PathBuf>,
    verbose: Vec<String>,
    dummy_vif_plug: bool,
    tls: TlsSettings,
    ssl_protocols: Option<String>,
    print: Option<Print>,
}

#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Print {
    Help,
    Version,
}

/// Runs the daemon with the arguments behind `run` (or behind the name ovn-controller).
pub fn run(arguments: impl Iterator<Item = OsString>) -> anyhow::Result<ExitCode> {
    let arguments = parse(arguments)?;
    match arguments.print {
        Some(Print::Help) => return print(HELP),
        // As ovn-controller prints it; the schema is the newest whose columns we know.
        Some(Print::Version) => {
            return print(&format!("{}\nOpenFlow versions 0x6:0x6\nSB DB Schema 21.8.0\n", version()));
        }
        None => {}
    }
    for spec in &arguments.verbose {
        Log::process().set(spec).map_err(|error| anyhow!("--verbose={spec}: {error}"))?;
    }
    if arguments.detach && !process::is_detached() {
        process::detach()?;
        return Ok(ExitCode::SUCCESS);
    }
    if process::is_detached() {
        process::detached_session()?;
        // The console is that of somebody who has gone on with other things.
        Log::process().set("console:off").map_err(anyhow::Error::msg)?;
    }
    if let Some(path) = &arguments.log_file {
        Log::process().open(path).with_context(|| format!("cannot open log file {}", path.display()))?;
    }
    let result = daemon(&arguments);
    if let Err(error) = &result {
        // stderr has it too, but whoever detached us does not read that.
        log(Level::Emer, "daemon", format_args!("{error:#}"));
    }
    result
}

fn daemon(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let pidfile = arguments.pidfile.as_deref().map(|path| Pidfile::create(path, arguments.overwrite_pidfile));
    let pidfile = pidfile.transpose()?;
    let settings = settings(arguments)?;
    let detached = process::is_detached();
    if detached && !arguments.no_chdir {
        std::env::set_current_dir("/").context("cannot change to /")?;
    }
    log(Level::Info, "main", version().lines().next().unwrap_or_default());
    let started = || if detached { process::detached_started() } else { Ok(()) };
    let end = driver::run(settings, started, || drop(pidfile))?;
    Ok(match end {
        End::Exit => ExitCode::SUCCESS,
        // As the shell sees a process that a signal ended.
        End::Signal(number) => ExitCode::from(u8::try_from(128 + number).unwrap_or(1)),
    })
}

fn version() -> String {
    control::version()
}

fn parse(arguments: impl Iterator<Item = OsString>) -> anyhow::Result<Arguments> {
    let mut parser = lexopt::Parser::from_args(arguments);
    let mut parsed = Arguments::default();
    while let Some(argument) = parser.next()? {
        match argument {
            Short('h') | Long("help") => parsed.print = Some(Print::Help),
            Short('V') | Long("version") => parsed.print = Some(Print::Version),
            Short('n') | Long("chassis") => parsed.chassis = Some(parser.value()?.string()?),
            Short('u') | Long("unixctl") => parsed.unixctl = Some(parser.value()?),
            Short('v') | Long("verbose") => {
                let spec = parser.optional_value().map(|value| value.string()).transpose()?;
                parsed.verbose.push(spec.unwrap_or_default());
            }
            Long("pidfile") => parsed.pidfile = Some(in_folder(&process::ovn_rundir(), parser.optional_value(), "pid")),
            Long("log-file") => {
                let folder = process::folder("OVN_LOGDIR", "/var/log/ovn");
                parsed.log_file = Some(in_folder(&folder, parser.optional_value(), "log"));
            }
            Long("overwrite-pidfile") => parsed.overwrite_pidfile = true,
            Long("detach") => parsed.detach = true,
            Long("no-chdir") => parsed.no_chdir = true,
            Long("enable-dummy-vif-plug") => parsed.dummy_vif_plug = true,
            Long("monitor" | "no-self-confinement") => {}
            Long("syslog-method" | "syslog-target") => drop(parser.value()?),
            Value(database) if parsed.database.is_none() => parsed.database = Some(database.string()?),
            Value(_) => bail!("exactly zero or one non-option argument required; use --help for usage"),
            Short('p') | Long("private-key") => parsed.tls.private_key = Some(parser.value()?.into()),
            Short('c') | Long("certificate") => parsed.tls.certificate = Some(parser.value()?.into()),
            Short('C') | Long("ca-cert") => parsed.tls.ca = Authority::named(&parser.value()?.string()?, false),
            Long("bootstrap-ca-cert") => parsed.tls.ca = Authority::named(&parser.value()?.string()?, true),
            Long("peer-ca-cert") => parsed.tls.peer_ca_cert = Some(parser.value()?.into()),
            Long("ssl-protocols") => parsed.ssl_protocols = Some(parser.value()?.string()?),
            Long("ssl-ciphers") => parsed.tls.ciphers = Some(parser.value()?.string()?),
            Long("ssl-ciphersuites") => parsed.tls.ciphersuites = Some(parser.value()?.string()?),
            Long("ssl-server-name") => parsed.tls.server_name = Some(parser.value()?.string()?),
            Long("user") => bail!("--user is not supported yet: start as that user"),
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(parsed)
}

/// `FILE` if it is given, relative to `folder`; else ovn-controller's file there, so that ovn-ctl finds it.
fn in_folder(folder: &Path, file: Option<OsString>, extension: &str) -> PathBuf {
    folder.join(file.unwrap_or_else(|| format!("ovn-controller.{extension}").into()))
}

fn settings(arguments: &Arguments) -> anyhow::Result<Settings> {
    let default = || format!("unix:{}/db.sock", process::ovs_rundir().display());
    let database = arguments.database.clone().unwrap_or_else(default);
    let ovs_remote = database.parse().context("OVS-DATABASE")?;
    let rundir = process::ovn_rundir();
    let control_socket = match &arguments.unixctl {
        Some(none) if none == "none" => None,
        Some(path) => Some(rundir.join(path)),
        None => Some(rundir.join(format!("ovn-controller.{}.ctl", std::process::id()))),
    };
    let chassis = arguments.chassis.clone().or_else(process::system_id_override);
    let config = Config {
        chassis_name: chassis.as_deref().map(ovsdb::Str::from),
        hostname: process::hostname().as_str().into(),
        started_ms: process::wall_ms(),
        dummy_vif_plug: arguments.dummy_vif_plug,
        representors: cfg!(feature = "representor"),
        read_only: false,
    };
    let mut tls = arguments.tls.clone();
    if let Some(text) = &arguments.ssl_protocols {
        // Command lines that name versions of TLS of long ago must not keep the daemon from starting.
        tls.protocols = text.parse().unwrap_or_else(|error| {
            log(Level::Err, "stream_ssl", format_args!("--ssl-protocols={text}: {error}"));
            ovsdb::tls::Protocols::default()
        });
    }
    let threads = Threads(process::default_threads());
    let options = Options { config, ovs_rundir: process::ovs_rundir().display().to_string(), threads };
    Ok(Settings { ovs_remote, tls, control_socket, options })
}

fn print(text: &str) -> anyhow::Result<ExitCode> {
    std::io::Write::write_all(&mut std::io::stdout(), text.as_bytes()).context("cannot write to stdout")?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(text: &str) -> anyhow::Result<Arguments> {
        parse(text.split_whitespace().map(OsString::from))
    }

    #[test]
    fn the_command_line_of_ovn_ctl() {
        let parsed = arguments(
            "unix:/run/db.sock -vconsole:emer -vsyslog:err -vfile:info -n hv1 --no-chdir --log-file=/l/o.log \
             --pidfile=/r/o.pid --detach --monitor",
        )
        .unwrap();
        assert_eq!(parsed.database.as_deref(), Some("unix:/run/db.sock"));
        assert_eq!(parsed.verbose, ["console:emer", "syslog:err", "file:info"]);
        assert_eq!((parsed.chassis.as_deref(), parsed.detach, parsed.no_chdir), (Some("hv1"), true, true));
        assert_eq!(parsed.log_file.as_deref(), Some(Path::new("/l/o.log")));
        assert_eq!(parsed.pidfile.as_deref(), Some(Path::new("/r/o.pid")));
    }

    #[test]
    fn tls() {
        let parsed =
            arguments("-p k.pem --certificate=c.pem -Cnone --ssl-protocols TLSv1.3 --ssl-ciphers=HIGH").unwrap();
        assert_eq!(parsed.tls.private_key.as_deref(), Some(Path::new("k.pem")));
        assert_eq!(parsed.tls.certificate.as_deref(), Some(Path::new("c.pem")));
        assert_eq!(parsed.tls.ca, Authority::Unverified);
        assert_eq!((parsed.ssl_protocols.as_deref(), parsed.tls.ciphers.as_deref()), (Some("TLSv1.3"), Some("HIGH")));
        let parsed = arguments("--bootstrap-ca-cert=ca.pem").unwrap();
        assert_eq!(parsed.tls.ca, Authority::File { path: "ca.pem".into(), bootstrap: true });
    }

    #[test]
    fn wrong_arguments() {
        for (text, expected) in [
            ("a b", "exactly zero or one non-option argument required; use --help for usage"),
            ("--no-such", "invalid option '--no-such'"),
            ("--user=ovn", "--user is not supported yet: start as that user"),
        ] {
            assert_eq!(arguments(text).unwrap_err().to_string(), expected);
        }
    }
}
