//! [`Pidfile`]: who we are, and by its lock, whether we live.

use anyhow::{Context, anyhow, bail};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::observe::{Level, log};

/// A pidfile that is ours for as long as this exists: others see by its lock that we live.
#[derive(Debug)]
pub struct Pidfile {
    path: PathBuf,
    /// Closing any other file descriptor of this file would release the lock too.
    _locked: File,
}

impl Pidfile {
    /// Writes and locks it. Unless told to `overwrite`, fails if a living process has it; all who try at the same time lock one temporary file, so
    /// that one of them succeeds (`make_pidfile` of lib/daemon-unix.c, Open vSwitch 3.7).
    pub fn create(path: &Path, overwrite: bool) -> anyhow::Result<Pidfile> {
        let mut name = path.as_os_str().to_owned();
        name.push(if overwrite { format!(".tmp{}", std::process::id()) } else { ".tmp".to_owned() });
        let temporary = PathBuf::from(name);
        let shown = temporary.display();
        let file = OpenOptions::new().create(true).append(true).read(true).open(&temporary);
        let mut file = file.map_err(|error| anyhow!("{shown}: create failed ({})", strerror(&error)))?;
        lock(&file).map_err(|errno| anyhow!("{shown}: fcntl(F_SETLK) failed ({})", errno.desc()))?;
        let result = (|| {
            if !overwrite {
                check_already_running(path)?;
            }
            file.set_len(0).with_context(|| format!("{shown}: truncate failed"))?;
            writeln!(file, "{}", std::process::id()).with_context(|| format!("{shown}: write failed"))?;
            fs::rename(&temporary, path)
                .with_context(|| format!("failed to rename \"{shown}\" to \"{}\"", path.display()))
        })();
        if result.is_err() {
            // It is ours, since we have the lock.
            let _ = fs::remove_file(&temporary);
        }
        result?;
        Ok(Pidfile { path: path.to_owned(), _locked: file })
    }
}

impl Drop for Pidfile {
    fn drop(&mut self) {
        // Best effort: a stale pidfile is recognised by its missing lock.
        let _ = fs::remove_file(&self.path);
    }
}

/// Fails if the process that wrote `path` lives; a stale file is removed.
fn check_already_running(path: &Path) -> anyhow::Result<()> {
    let shown = path.display();
    let mut file = match OpenOptions::new().read(true).write(true).open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => bail!("{shown}: pidfile check failed ({}), aborting", strerror(&error)),
        Ok(file) => file,
    };
    let mut holder = whole_file();
    fcntl(&file, FcntlArg::F_GETLK(&mut holder))
        .map_err(|errno| anyhow!("{shown}: pidfile check failed ({}), aborting", errno.desc()))?;
    if holder.l_type != libc::F_UNLCK as libc::c_short {
        let mut text = String::new();
        let _ = file.read_to_string(&mut text);
        if text.trim().parse() == Ok(holder.l_pid) {
            bail!("{shown}: already running as pid {}, aborting", holder.l_pid);
        }
        bail!("{shown}: pidfile check failed (stale pidfile of {:?}, held by {}), aborting", text.trim(), holder.l_pid);
    }
    // Only who has a stale file locked may remove it, and only while it still has that name.
    lock(&file).map_err(|errno| anyhow!("{shown}: pidfile check failed ({}), aborting", errno.desc()))?;
    let same = fs::metadata(path)
        .and_then(|named| Ok((named.dev(), named.ino()) == (file.metadata()?.dev(), file.metadata()?.ino())));
    if !same.unwrap_or(false) {
        bail!("{shown}: pidfile check failed (lost race to delete pidfile), aborting");
    }
    fs::remove_file(path).with_context(|| format!("{shown}: failed to delete stale pidfile"))?;
    log(Level::Dbg, "daemon_unix", format_args!("{shown}: deleted stale pidfile"));
    Ok(())
}

fn strerror(error: &std::io::Error) -> String {
    error.raw_os_error().map_or_else(|| error.to_string(), |code| Errno::from_raw(code).desc().to_owned())
}

fn whole_file() -> libc::flock {
    libc::flock {
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    }
}

/// An exclusive lock on the whole file, of the kind that Open vSwitch's tools look for (fcntl).
fn lock(file: &File) -> Result<(), Errno> {
    fcntl(file, FcntlArg::F_SETLK(&whole_file())).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_one_is_replaced_and_it_goes_with_us() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.pid");
        fs::write(&path, "1\n").unwrap();
        let pidfile = Pidfile::create(&path, false).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{}\n", std::process::id()));
        drop(pidfile);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left");
        let error = Pidfile::create(&folder.path().join("none/x.pid"), false).unwrap_err().to_string();
        assert!(error.ends_with("none/x.pid.tmp: create failed (No such file or directory)"), "{error}");
    }
}
