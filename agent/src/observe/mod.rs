//! What people see of the running daemon: the log, in Open vSwitch's format and with its levels per module and destination
//! (`vlog/set`, `vlog/list`). Entry: [`log`], [`Log`]. [`Syslog`] is the way to syslogd, [`pattern`] the form of a line, [`limits`] keeps a
//! flood out.

pub mod coverage;
pub mod journal;
mod levels;
mod limits;
mod pattern;
pub mod stopwatch;
mod syslog;
mod timestamp;

use levels::{Destination, Levels};
use limits::{Limits, Verdict};
use nix::unistd::{Gid, Uid};
use ovn_core::runtime::Level as CoreLevel;
use pattern::Line;
use std::fmt::{Display, Write as _};
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::net::UdpSocket;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime};

pub use levels::Level;
pub use syslog::Syslog;

/// The process's log.
static LOG: Log = Log { inner: Mutex::new(Inner::new()) };
/// For `%r`.
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// The patterns to begin with, in the order of [`Destination`].
const CONSOLE: &str = "%D{%Y-%m-%dT%H:%M:%SZ}|%05N|%c%T|%p|%m";
const SYSLOG: &str = "ovs|%05N|%c%T|%p|%m";
const FILE: &str = "%D{%Y-%m-%dT%H:%M:%S.###Z}|%05N|%c%T|%p|%m";
/// That of `--syslog-target`: RFC 5424 (vlog_valist of lib/vlog.c, Open vSwitch 3.7).
const TARGET: &str = "<%B>1 %D{%Y-%m-%dT%H:%M:%S.###Z} %E %A %P %c - \u{feff}%m";

/// syslog facilities by name, as `vlog/set FACILITY:...` takes them.
const FACILITIES: [(&str, u8); 23] = [
    ("kern", 0),
    ("user", 1),
    ("mail", 2),
    ("daemon", 3),
    ("auth", 4),
    ("syslog", 5),
    ("lpr", 6),
    ("news", 7),
    ("uucp", 8),
    ("clock", 9),
    ("ftp", 11),
    ("ntp", 12),
    ("audit", 13),
    ("alert", 14),
    ("clock2", 15),
    ("local0", 16),
    ("local1", 17),
    ("local2", 18),
    ("local3", 19),
    ("local4", 20),
    ("local5", 21),
    ("local6", 22),
    ("local7", 23),
];
/// Facility of lines to syslogd if nothing else is said, and of `%B`.
const DAEMON: u8 = 3 << 3;
const LOCAL0: u8 = 16 << 3;

/// Levels and destinations. There is one, [`Log::process`].
pub struct Log {
    inner: Mutex<Inner>,
}

struct Inner {
    number: u64,
    levels: Levels,
    limits: Limits,
    /// In place of those to begin with.
    patterns: [Option<String>; 3],
    facility: Option<u8>,
    file: Option<(PathBuf, Option<File>)>,
    syslog: Syslog,
    target: Option<UdpSocket>,
    /// Lines on stderr have the priority in front that journald looks for.
    journal: bool,
    /// stderr is /dev/null.
    console_closed: bool,
}

/// Writes a line to whichever destinations take it from this module.
pub fn log(level: Level, module: &str, text: impl Display) {
    LOG.inner().write(level, module, &text, true);
}

impl Log {
    /// The process's log.
    pub fn process() -> &'static Log {
        &LOG
    }

    /// Appends to a file from now on, and says so if it is `announced`: of the processes of a daemon one does.
    pub fn open(&self, path: &Path, announced: bool) -> io::Result<()> {
        let file = append(path)?;
        self.inner().file = Some((path.to_owned(), Some(file)));
        if announced {
            log(Level::Info, "vlog", format_args!("opened log file {}", path.display()));
        }
        Ok(())
    }

    /// `vlog/reopen`: after logrotate has moved the file away.
    pub fn reopen(&self) -> Result<(), String> {
        let mut inner = self.inner();
        let Some((path, old)) = &inner.file else { return Err("Logging to file not configured".to_owned()) };
        let (path, file) = (path.clone(), append(path).map_err(|error| error.to_string())?);
        let place = |file: &File| file.metadata().map(|data| (data.dev(), data.ino())).ok();
        if old.as_ref().and_then(place) == place(&file) {
            return Ok(());
        }
        if old.is_some() {
            inner.write(Level::Info, "vlog", &"closing log file", true);
        }
        inner.file = Some((path.clone(), Some(file)));
        inner.write(Level::Info, "vlog", &format_args!("opened log file {}", path.display()), true);
        Ok(())
    }

    /// `vlog/close`.
    pub fn close(&self) {
        if let Some((_, file)) = &mut self.inner().file {
            *file = None;
        }
    }

    /// `--user`: the file is that user's from now on.
    pub fn change_owner(&self, uid: Uid, gid: Gid) -> nix::Result<()> {
        match &self.inner().file {
            Some((path, _)) => nix::unistd::chown(path, Some(uid), Some(gid)),
            None => Ok(()),
        }
    }

    /// stderr is not that of whoever started us any more.
    pub fn console_closed(&self) {
        self.inner().console_closed = true;
    }

    /// The way to syslogd.
    pub fn set_syslog(&self, syslog: Syslog) {
        let mut inner = self.inner();
        inner.syslog = syslog;
        inner.journal = journal_reads_stderr();
    }

    /// `--syslog-target`.
    pub fn set_syslog_target(&self, target: &str) -> anyhow::Result<()> {
        self.inner().target = Some(syslog::udp(target)?);
        Ok(())
    }

    /// `vlog/set SPEC`, also `-vSPEC`. The error is a sentence.
    pub fn set(&self, spec: &str) -> Result<(), String> {
        let mut inner = self.inner();
        let mut words = spec.splitn(2, [' ', ',', ':', '\t']);
        let (first, rest) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        if first.eq_ignore_ascii_case("pattern") {
            let (name, pattern) = rest.split_once([' ', ',', ':', '\t']).unwrap_or((rest, ""));
            let places = match Destination::parse(name) {
                _ if name.is_empty() => return Err("missing destination".to_owned()),
                _ if name.eq_ignore_ascii_case("any") => Destination::ALL.map(|(place, _)| place).to_vec(),
                Some(place) => vec![place],
                None => return Err(format!("unknown destination \"{name}\"")),
            };
            places.into_iter().for_each(|place| inner.patterns[place as usize] = Some(pattern.to_owned()));
            return Ok(());
        }
        if first.eq_ignore_ascii_case("facility") {
            let found = FACILITIES.iter().find(|(name, _)| name.eq_ignore_ascii_case(rest));
            inner.facility = Some(found.ok_or("invalid facility")?.1 << 3);
            return Ok(());
        }
        inner.levels.set(spec)
    }

    /// `vlog/list`.
    pub fn list(&self) -> String {
        self.inner().levels.list()
    }

    /// `vlog/list-pattern`.
    pub fn list_patterns(&self) -> String {
        let inner = self.inner();
        let mut text = String::from(
            "         prefix                            format\n         ------                            ------\n",
        );
        for (place, name) in Destination::ALL {
            let prefix = if name == "SYSLOG" { inner.syslog.prefix() } else { "none" };
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{name:<7}  {prefix:<32}  {}", inner.pattern(place));
        }
        text
    }

    /// `vlog/enable-rate-limit` and `vlog/disable-rate-limit`.
    pub fn limit(&self, modules: &[String], limited: bool) -> Result<(), String> {
        self.inner().levels.limit(modules, limited)
    }

    /// Writes a line, but not to stderr.
    pub fn except_console(&self, level: Level, module: &str, text: impl Display) {
        self.inner().write(level, module, &text, false);
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    const fn new() -> Self {
        Self {
            number: 0,
            levels: Levels::new(),
            limits: Limits::new(),
            patterns: [None, None, None],
            facility: None,
            file: None,
            syslog: Syslog::Null,
            target: None,
            journal: false,
            console_closed: false,
        }
    }

    fn pattern(&self, place: Destination) -> &str {
        let default = match place {
            Destination::Console => CONSOLE,
            Destination::Syslog => SYSLOG,
            Destination::File => FILE,
        };
        self.patterns[place as usize].as_deref().unwrap_or(default)
    }

    fn write(&mut self, level: Level, module: &str, text: &dyn Display, console: bool) {
        let mut wanted = self.levels.wanted(module, level);
        wanted[Destination::Console as usize] &= console && !self.console_closed;
        wanted[Destination::File as usize] &= matches!(self.file, Some((_, Some(_))));
        if wanted == [false; 3] {
            return;
        }
        let text = text.to_string();
        if self.levels.is_limited(module) {
            match self.limits.consider(Instant::now(), module, level, &text) {
                Verdict::Write => {}
                Verdict::WriteAfter(told) => self.put(wanted, level, module, &told),
                Verdict::Drop => return,
            }
        }
        self.put(wanted, level, module, &text);
    }

    fn put(&mut self, [console, syslog, file]: [bool; 3], level: Level, module: &str, text: &str) {
        self.number += 1;
        let (number, time, uptime_ms) = (self.number, SystemTime::now(), START.elapsed().as_millis());
        let facility = self.facility.unwrap_or(LOCAL0);
        let line = Line { time, number, module, level, text, facility, uptime_ms };
        // There is nobody to tell that a log cannot be written.
        if console {
            let text = pattern::format(self.pattern(Destination::Console), &line);
            // journald takes each line for itself.
            let text = match self.journal {
                true => text.lines().map(|text| format!("<{}>{text}\n", level.severity())).collect(),
                false => text + "\n",
            };
            let _ = io::stderr().write_all(text.as_bytes());
        }
        if syslog {
            let text = pattern::format(self.pattern(Destination::Syslog), &line);
            let facility = self.facility.unwrap_or(DAEMON);
            text.lines().filter(|line| !line.is_empty()).for_each(|line| self.syslog.send(facility, level, line));
            if let Some(target) = &self.target {
                let _ = target.send(pattern::format(TARGET, &line).as_bytes());
            }
        }
        if file {
            let text = pattern::format(self.pattern(Destination::File), &line) + "\n";
            if let Some((_, Some(file))) = &mut self.file {
                let _ = file.write_all(text.as_bytes());
            }
        }
    }
}

impl From<CoreLevel> for Level {
    fn from(level: CoreLevel) -> Self {
        match level {
            CoreLevel::Error => Level::Err,
            CoreLevel::Warn => Level::Warn,
            CoreLevel::Info => Level::Info,
            CoreLevel::Debug => Level::Dbg,
        }
    }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).mode(0o660).open(path)
}

/// Whether stderr is a stream to journald (systemd.exec(5), JOURNAL_STREAM).
fn journal_reads_stderr() -> bool {
    let Some(stream) = std::env::var("JOURNAL_STREAM").ok() else { return false };
    let stderr = std::fs::metadata("/proc/self/fd/2");
    stderr.is_ok_and(|stderr| stream == format!("{}:{}", stderr.dev(), stderr.ino()))
}
