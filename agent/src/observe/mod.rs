//! What people see of the running daemon: the log, in Open vSwitch's format and with its levels per module and destination
//! (`vlog/set`, `vlog/list`). Entry: [`log`], [`Log`].

mod levels;
mod timestamp;

use levels::Levels;
use ovn_core::runtime::Level as CoreLevel;
use std::fmt::Display;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

pub use levels::Level;

/// The process's log.
static LOG: Log = Log { sequence: AtomicU64::new(0), inner: Mutex::new(Inner { levels: Levels::new(), file: None }) };

/// Levels and destinations. There is one, [`Log::process`].
pub struct Log {
    sequence: AtomicU64,
    inner: Mutex<Inner>,
}

struct Inner {
    levels: Levels,
    file: Option<(PathBuf, Option<File>)>,
}

/// Writes a line to whichever destinations take it from this module.
pub fn log(level: Level, module: &str, text: impl Display) {
    LOG.write(level, module, &text);
}

impl Log {
    /// The process's log.
    pub fn process() -> &'static Log {
        &LOG
    }

    /// Appends to a file from now on.
    pub fn open(&self, path: &Path) -> io::Result<()> {
        let file = append(path)?;
        self.inner().file = Some((path.to_owned(), Some(file)));
        log(Level::Info, "vlog", format_args!("opened log file {}", path.display()));
        Ok(())
    }

    /// `vlog/reopen`: after logrotate has moved the file away.
    pub fn reopen(&self) -> io::Result<()> {
        let mut inner = self.inner();
        if let Some((path, file)) = &mut inner.file {
            *file = Some(append(path)?);
        }
        Ok(())
    }

    /// `vlog/close`.
    pub fn close(&self) {
        if let Some((_, file)) = &mut self.inner().file {
            *file = None;
        }
    }

    /// `vlog/set SPEC`, also `-vSPEC`. The error is a sentence.
    pub fn set(&self, spec: &str) -> Result<(), String> {
        self.inner().levels.set(spec)
    }

    /// `vlog/list`.
    pub fn list(&self) -> String {
        self.inner().levels.list()
    }

    fn write(&self, level: Level, module: &str, text: &dyn Display) {
        let mut inner = self.inner();
        let (console, file) = inner.levels.wanted(module, level);
        if !console && !file {
            return;
        }
        let number = self.sequence.fetch_add(1, Ordering::Relaxed) + 1;
        let now = timestamp::utc(SystemTime::now());
        let line = format!("{now}|{number:05}|{module}|{}|{text}\n", level.name());
        // There is nobody to tell that a log cannot be written.
        if console {
            let _ = io::stderr().write_all(line.as_bytes());
        }
        if file && let Some((_, Some(file))) = &mut inner.file {
            let _ = file.write_all(line.as_bytes());
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
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
    OpenOptions::new().create(true).append(true).open(path)
}
