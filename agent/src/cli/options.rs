//! The options of the daemon: one table ([`OPTIONS`]) from which parsing, `--help`, shell completions and the test of the manual page follow.
//! [`parse`] behaves as getopt_long does: unique abbreviations of long names, values attached or behind, options after the database.

use anyhow::{anyhow, bail};
use lexopt::Arg;
use ovsdb::tls::{Authority, TlsSettings};
use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::process;

/// What the command line says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Arguments {
    /// The local database.
    pub database: Option<String>,
    /// `-n`.
    pub chassis: Option<String>,
    /// `--pidfile`, with its folder.
    pub pidfile: Option<PathBuf>,
    /// `--overwrite-pidfile`.
    pub overwrite_pidfile: bool,
    /// `--detach`.
    pub detach: bool,
    /// `--monitor`.
    pub monitor: bool,
    /// `--no-chdir`.
    pub no_chdir: bool,
    /// `--user`.
    pub user: Option<String>,
    /// `-u`.
    pub unixctl: Option<OsString>,
    /// `--log-file`, with its folder.
    pub log_file: Option<PathBuf>,
    /// `-v`, in order.
    pub verbose: Vec<String>,
    /// `--syslog-method`; the first counts.
    pub syslog_method: Option<String>,
    /// `--syslog-target`.
    pub syslog_target: Option<String>,
    /// `--enable-dummy-vif-plug`.
    pub dummy_vif_plug: bool,
    /// TLS.
    pub tls: TlsSettings,
    /// `--ssl-protocols`.
    pub ssl_protocols: Option<String>,
    /// `--metrics`.
    pub metrics: Option<String>,
    /// `--threads`.
    pub threads: Option<usize>,
    /// Something to print instead of running.
    pub print: Option<Print>,
}

/// Something to print instead of running.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Print {
    /// `-h`.
    Help,
    /// `-V`.
    Version,
    /// `--dump-inc-proc-graph`, of a node.
    Graph(Option<String>),
}

/// Whether an option has an argument, and what `--help` calls it.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Takes {
    /// No argument.
    Nothing,
    /// An argument.
    One(&'static str),
    /// An argument, attached, or none.
    Optional(&'static str),
}

/// An option.
pub struct Opt {
    /// Long name.
    pub long: &'static str,
    /// Short name.
    pub short: Option<char>,
    /// Its argument.
    pub takes: Takes,
    /// Heading of `--help` under which it is.
    section: &'static str,
    /// What it does; lines are folded by hand.
    pub help: &'static str,
    apply: fn(&mut Arguments, OsString) -> anyhow::Result<()>,
}

const DAEMON: &str = "Daemon options";
const LOGGING: &str = "Logging options";
const TLS: &str = "TLS options (ssl: remotes; the SSL row of the local database goes before them)";
const OTHER: &str = "Other options";

const fn opt(
    section: &'static str,
    long: &'static str,
    takes: Takes,
    help: &'static str,
    apply: fn(&mut Arguments, OsString) -> anyhow::Result<()>,
) -> Opt {
    Opt { long, short: None, takes, section, help, apply }
}

const fn short(letter: char, mut opt: Opt) -> Opt {
    opt.short = Some(letter);
    opt
}

use Takes::{Nothing, One, Optional};

/// All options, in the order of `--help`.
pub static OPTIONS: &[Opt] = &[
    opt(DAEMON, "detach", Nothing, "run in the background; returns once the control socket listens", |to, _| {
        to.detach = true;
        Ok(())
    }),
    opt(DAEMON, "monitor", Nothing, "a second process starts the daemon again after a crash", |to, _| {
        to.monitor = true;
        Ok(())
    }),
    opt(DAEMON, "user", One("USER[:GROUP]"), "run as that user, with the capabilities that are needed", |to, value| {
        to.user = Some(text(value)?);
        Ok(())
    }),
    opt(DAEMON, "no-chdir", Nothing, "do not change to / in the background", |to, _| {
        to.no_chdir = true;
        Ok(())
    }),
    opt(
        DAEMON,
        "pidfile",
        Optional("FILE"),
        "write the process id into FILE\n[default: ovn-controller.pid]",
        |to, value| {
            to.pidfile = Some(in_folder(&process::ovn_rundir(), value, "pid"));
            Ok(())
        },
    ),
    opt(DAEMON, "overwrite-pidfile", Nothing, "start even if another process has locked the pidfile", |to, _| {
        to.overwrite_pidfile = true;
        Ok(())
    }),
    opt(DAEMON, "no-self-confinement", Nothing, "accepted; files may be anywhere", |_, _| Ok(())),
    short(
        'v',
        opt(
            LOGGING,
            "verbose",
            Optional("SPEC"),
            "levels: any of a module, console, syslog or file, and off,\nemer, err, warn, info or dbg, separated by colons; or\nPATTERN:DESTINATION:PATTERN, or FACILITY:NAME.\nWithout SPEC: dbg",
            |to, value| {
                to.verbose.push(text(value)?);
                Ok(())
            },
        ),
    ),
    opt(LOGGING, "log-file", Optional("FILE"), "log to FILE too [default: ovn-controller.log]", |to, value| {
        to.log_file = Some(in_folder(&process::folder("OVN_LOGDIR", "/var/log/ovn"), value, "log"));
        Ok(())
    }),
    opt(
        LOGGING,
        "syslog-method",
        One("METHOD"),
        "null, libc, unix:FILE or udp:IP:PORT [default: libc; null\nif systemd reads stderr]",
        |to, value| {
            let method = text(value)?;
            to.syslog_method.get_or_insert(method);
            Ok(())
        },
    ),
    opt(
        LOGGING,
        "syslog-target",
        One("HOST:PORT"),
        "also send to HOST:PORT by UDP (RFC 5424); deprecated",
        |to, value| {
            to.syslog_target = Some(text(value)?);
            Ok(())
        },
    ),
    short(
        'p',
        opt(TLS, "private-key", One("FILE"), "our private key", |to, value| {
            to.tls.private_key = Some(file(value)?);
            Ok(())
        }),
    ),
    short(
        'c',
        opt(TLS, "certificate", One("FILE"), "our certificate", |to, value| {
            to.tls.certificate = Some(file(value)?);
            Ok(())
        }),
    ),
    short(
        'C',
        opt(TLS, "ca-cert", One("FILE"), "certificates of the CA that signed the peer's, or none", |to, value| {
            to.tls.ca = authority(value, false)?;
            Ok(())
        }),
    ),
    opt(
        TLS,
        "bootstrap-ca-cert",
        One("FILE"),
        "the same; if FILE does not exist it is made from what the\nfirst peer sends",
        |to, value| {
            to.tls.ca = authority(value, true)?;
            Ok(())
        },
    ),
    opt(TLS, "peer-ca-cert", One("FILE"), "certificates to send to peers that have no CA's yet", |to, value| {
        to.tls.peer_ca_cert = Some(file(value)?);
        Ok(())
    }),
    opt(TLS, "ssl-protocols", One("PROTOS"), "TLSv1.2, TLSv1.3, or a range with + or -", |to, value| {
        to.ssl_protocols = Some(text(value)?);
        Ok(())
    }),
    opt(TLS, "ssl-ciphers", One("CIPHERS"), "ciphers for TLS 1.2, as OpenSSL spells them", |to, value| {
        to.tls.ciphers = Some(text(value)?);
        Ok(())
    }),
    opt(TLS, "ssl-ciphersuites", One("SUITES"), "cipher suites for TLS 1.3", |to, value| {
        to.tls.ciphersuites = Some(text(value)?);
        Ok(())
    }),
    opt(TLS, "ssl-server-name", One("NAME"), "server name to ask for (SNI)", |to, value| {
        to.tls.server_name = Some(text(value)?);
        Ok(())
    }),
    short(
        'n',
        opt(
            OTHER,
            "chassis",
            One("NAME"),
            "name of this chassis [default: the file system-id-override,\nelse external_ids:system-id]",
            |to, value| {
                to.chassis = Some(text(value)?);
                Ok(())
            },
        ),
    ),
    short(
        'u',
        opt(
            OTHER,
            "unixctl",
            One("SOCKET"),
            "control socket, or none [default: ovn-controller.PID.ctl]",
            |to, value| {
                to.unixctl = Some(value);
                Ok(())
            },
        ),
    ),
    opt(
        OTHER,
        "metrics",
        One("ADDRESS"),
        "serve metrics for Prometheus: unix:FILE, or a loopback\naddress as 127.0.0.1:9476 [default: off]",
        |to, value| {
            to.metrics = Some(text(value)?);
            Ok(())
        },
    ),
    opt(OTHER, "threads", One("N"), "threads for bulk work [default: one a core, at most 4]", |to, value| {
        let value = text(value)?;
        let threads = value.parse().ok().filter(|threads| *threads > 0);
        to.threads = Some(threads.ok_or_else(|| anyhow!("--threads={value}: a number from 1 is required"))?);
        Ok(())
    }),
    opt(OTHER, "enable-dummy-vif-plug", Nothing, "plug in ports with vif-plug-type=dummy, for tests", |to, _| {
        to.dummy_vif_plug = true;
        Ok(())
    }),
    opt(
        OTHER,
        "dump-inc-proc-graph",
        Optional("NODE"),
        "print what is derived from what, as Graphviz has it",
        |to, value| {
            let node = text(value)?;
            to.print = Some(Print::Graph((!node.is_empty()).then_some(node)));
            Ok(())
        },
    ),
    short(
        'h',
        opt(OTHER, "help", Nothing, "print this", |to, _| {
            to.print.get_or_insert(Print::Help);
            Ok(())
        }),
    ),
    short(
        'V',
        opt(OTHER, "version", Nothing, "print the version", |to, _| {
            to.print.get_or_insert(Print::Version);
            Ok(())
        }),
    ),
];

/// Takes the arguments behind the program's name.
pub fn parse(arguments: impl Iterator<Item = OsString>) -> anyhow::Result<Arguments> {
    let mut parser = lexopt::Parser::from_args(arguments);
    let mut parsed = Arguments::default();
    loop {
        let argument = match parser.next() {
            Ok(Some(argument)) => argument,
            Ok(None) => return Ok(parsed),
            Err(lexopt::Error::UnexpectedValue { option, .. }) => bail!("option '{option}' doesn't allow an argument"),
            Err(error) => return Err(error.into()),
        };
        let (option, lacks) = match argument {
            Arg::Value(database) if parsed.database.is_none() => {
                parsed.database = Some(text(database)?);
                continue;
            }
            Arg::Value(_) => bail!("exactly zero or one non-option argument required; use --help for usage"),
            Arg::Short(letter) => {
                let found = OPTIONS.iter().find(|option| option.short == Some(letter));
                (
                    found.ok_or_else(|| anyhow!("invalid option -- '{letter}'"))?,
                    format!("option requires an argument -- '{letter}'"),
                )
            }
            Arg::Long(name) => {
                let option = long(name)?;
                (option, format!("option '--{}' requires an argument", option.long))
            }
        };
        let value = match option.takes {
            Nothing => OsString::new(),
            One(_) => parser.value().map_err(|_| anyhow!(lacks))?,
            Optional(_) => parser.optional_value().unwrap_or_default(),
        };
        (option.apply)(&mut parsed, value)?;
    }
}

/// The option of this long name, or the only one whose name begins with it.
fn long(name: &str) -> anyhow::Result<&'static Opt> {
    let candidates: Vec<&Opt> = OPTIONS.iter().filter(|option| option.long.starts_with(name)).collect();
    match candidates[..] {
        [] => bail!("unrecognized option '--{name}'"),
        [one] => Ok(one),
        _ => candidates.iter().find(|option| option.long == name).copied().ok_or_else(|| {
            let all: Vec<String> = candidates.iter().map(|option| format!("'--{}'", option.long)).collect();
            anyhow!("option '--{name}' is ambiguous; possibilities: {}", all.join(" "))
        }),
    }
}

fn text(value: OsString) -> anyhow::Result<String> {
    value.into_string().map_err(|value| anyhow!("argument is not UTF-8: {}", value.display()))
}

/// A file that is read again later, when the current folder may be another one.
fn file(value: OsString) -> anyhow::Result<PathBuf> {
    Ok(std::path::absolute(value)?)
}

/// The same of a CA, where `none` has a meaning of its own.
fn authority(value: OsString, bootstrap: bool) -> anyhow::Result<Authority> {
    let name = if value == "none" || value.is_empty() { text(value)? } else { text(file(value)?.into_os_string())? };
    Ok(Authority::named(&name, bootstrap))
}

/// `FILE` if it is given, relative to `folder`; else ovn-controller's file there, so that ovn-ctl finds it.
fn in_folder(folder: &Path, file: OsString, extension: &str) -> PathBuf {
    folder.join(if file.is_empty() { format!("ovn-controller.{extension}").into() } else { file })
}

/// `--help`.
pub fn help(program: &str) -> String {
    let rundir = process::ovn_rundir();
    let mut text = format!(
        "{program}: OVN controller\n\
         usage {program} [OPTIONS] [OVS-DATABASE]\n\
         where OVS-DATABASE is a socket on which the OVS OVSDB server is listening:\n  \
           unix:FILE, tcp:HOST:PORT or ssl:HOST:PORT [default: unix:{}/db.sock].\n\
         The Southbound is named there, by external_ids:ovn-remote of the Open_vSwitch row.\n",
        process::ovs_rundir().display()
    );
    let mut section = "";
    for option in OPTIONS {
        if option.section != section {
            section = option.section;
            // Writing to a String cannot fail, here and below.
            let _ = writeln!(text, "\n{section}:");
        }
        let letter = option.short.map_or("    ".to_owned(), |letter| format!("-{letter}, "));
        let name = match option.takes {
            Nothing => format!("{letter}--{}", option.long),
            One(what) => format!("{letter}--{}={what}", option.long),
            Optional(what) => format!("{letter}--{}[={what}]", option.long),
        };
        let mut lines = option.help.lines();
        let first = lines.next().unwrap_or_default();
        let _ = match name.len() {
            ..=29 => writeln!(text, "  {name:<30}{first}"),
            _ => writeln!(text, "  {name}\n{:32}{first}", ""),
        };
        for line in lines {
            let _ = writeln!(text, "{:32}{line}", "");
        }
    }
    let _ = write!(
        text,
        "\nRelative names of files are below {} (--log-file: {}).\n\
         Environment: OVN_RUNDIR, OVN_LOGDIR, OVN_SYSCONFDIR, OVS_RUNDIR, OVS_SYSLOG_METHOD.\n\
         \n\
         Examples:\n  \
           {program} --pidfile --log-file --detach --monitor\n  \
           {program} -vconsole:warn --metrics=127.0.0.1:9476 unix:/run/openvswitch/db.sock\n  \
           ovn-appctl -t ovn-controller connection-status\n  \
           ovn-appctl -t ovn-controller exit --restart\n",
        rundir.display(),
        process::folder("OVN_LOGDIR", "/var/log/ovn").display()
    );
    text
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
            "unix:/run/db.sock -vconsole:emer -vsyslog:err -vfile:info --private-key=/k -c /c -C/ca --user ovn:ovn -n hv1 \
             --no-chdir --log-file=/l/o.log --pidfile=/r/o.pid --detach --monitor",
        );
        let expected = Arguments {
            database: Some("unix:/run/db.sock".to_owned()),
            verbose: ["console:emer", "syslog:err", "file:info"].map(str::to_owned).into(),
            chassis: Some("hv1".to_owned()),
            user: Some("ovn:ovn".to_owned()),
            log_file: Some("/l/o.log".into()),
            pidfile: Some("/r/o.pid".into()),
            detach: true,
            monitor: true,
            no_chdir: true,
            tls: TlsSettings {
                private_key: Some("/k".into()),
                certificate: Some("/c".into()),
                ca: Authority::File { path: "/ca".into(), bootstrap: false },
                ..TlsSettings::default()
            },
            ..Arguments::default()
        };
        assert_eq!(parsed.unwrap(), expected);
    }

    #[test]
    fn as_getopt_long() {
        for (text, expected) in [
            // Abbreviations, options behind the database, values attached and behind.
            ("unix:/x --det --mon", Arguments { detach: true, monitor: true, ..with_database("unix:/x") }),
            ("--det -- unix:/x", Arguments { detach: true, ..with_database("unix:/x") }),
            (
                "-nhv --no-c unix:/x",
                Arguments { chassis: Some("hv".into()), no_chdir: true, ..with_database("unix:/x") },
            ),
            ("--cha hv unix:/x", Arguments { chassis: Some("hv".into()), ..with_database("unix:/x") }),
            // An optional value is attached or there is none.
            ("-v unix:/x", Arguments { verbose: vec![String::new()], ..with_database("unix:/x") }),
            (
                "--pidfile unix:/x",
                Arguments { pidfile: Some("/var/run/ovn/ovn-controller.pid".into()), ..with_database("unix:/x") },
            ),
            (
                "--pidf=/a --log=/b unix:/x",
                Arguments { pidfile: Some("/a".into()), log_file: Some("/b".into()), ..with_database("unix:/x") },
            ),
            (
                "--syslog-m=null --syslog-m=libc unix:/x",
                Arguments { syslog_method: Some("null".into()), ..with_database("unix:/x") },
            ),
            ("-h unix:/x", Arguments { print: Some(Print::Help), ..with_database("unix:/x") }),
            (
                "--dump-inc-proc-graph=x unix:/x",
                Arguments { print: Some(Print::Graph(Some("x".into()))), ..with_database("unix:/x") },
            ),
            (
                "--bootstrap-ca-cert=none unix:/x",
                Arguments {
                    tls: TlsSettings { ca: Authority::Unverified, ..TlsSettings::default() },
                    ..with_database("unix:/x")
                },
            ),
        ] {
            assert_eq!(arguments(text).unwrap(), expected, "{text}");
        }
    }

    fn with_database(database: &str) -> Arguments {
        Arguments { database: Some(database.to_owned()), ..Arguments::default() }
    }

    #[test]
    fn wrong_arguments() {
        for (text, expected) in [
            ("a b", "exactly zero or one non-option argument required; use --help for usage"),
            ("--no-such", "unrecognized option '--no-such'"),
            ("-x", "invalid option -- 'x'"),
            ("-n", "option requires an argument -- 'n'"),
            ("--chassis", "option '--chassis' requires an argument"),
            ("--detach=x", "option '--detach' doesn't allow an argument"),
            ("--no", "option '--no' is ambiguous; possibilities: '--no-chdir' '--no-self-confinement'"),
            ("--threads=0", "--threads=0: a number from 1 is required"),
        ] {
            assert_eq!(arguments(text).unwrap_err().to_string(), expected, "{text}");
        }
    }

    #[test]
    fn the_manual_page_has_every_option() {
        let page = include_str!("../../../docs/ovn-agent.8").replace("\\-", "-");
        for option in OPTIONS {
            assert!(page.contains(&format!("--{}", option.long)), "{}", option.long);
        }
    }

    #[test]
    fn help_names_every_option_and_fits() {
        let help = help("ovn-agent run");
        assert!(OPTIONS.iter().all(|option| help.contains(&format!("--{}", option.long))));
        assert!(help.lines().all(|line| line.len() <= 110), "{help}");
    }
}
