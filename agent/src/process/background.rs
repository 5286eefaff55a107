//! `--detach` and `--monitor`: this program starts itself again, since a fork without exec has no place in a program that may have threads.
//! Each process waits for the one that it started to say that it has started up, and says so itself ([`Role`], [`start`]).
//! The rules are those of lib/daemon-unix.c, Open vSwitch 3.7.

use anyhow::{Context, bail};
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::Signal;
use std::env;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::signals;
use crate::observe::{Level, Log, log};

/// Tells a process that we start what it is.
const ROLE: &str = "OVN_AGENT_ROLE";
/// A daemon that crashes is not started again sooner than this after the last time.
const RESTART_INTERVAL: Duration = Duration::from_secs(10);

/// Which of the processes this is.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// The one that somebody started.
    First,
    /// The one in the background that starts the daemon again when it crashes.
    Monitor,
    /// The daemon, started by one of the others.
    Daemon,
}

/// What to do in this process.
#[derive(Debug)]
pub enum Step {
    /// It is the daemon: go on.
    Daemon,
    /// It has done what it had to.
    Done(ExitCode),
}

impl Role {
    /// That of this process.
    pub fn of_this_process() -> Role {
        match env::var_os(ROLE) {
            Some(role) if role == "monitor" => Role::Monitor,
            Some(role) if role == "daemon" => Role::Daemon,
            _ => Role::First,
        }
    }
}

/// Starts the other processes that were asked for and does their part of the work, until the daemon's turn has come.
pub fn start(detach: bool, monitor: bool) -> anyhow::Result<Step> {
    match (Role::of_this_process(), detach, monitor) {
        (Role::First, true, _) => {
            let role = if monitor { "monitor" } else { "daemon" };
            let mut child = spawn(role)?;
            match wait_for_startup(&mut child)? {
                Startup::Complete => Ok(Step::Done(ExitCode::SUCCESS)),
                Startup::Failed(code) => Ok(Step::Done(code)),
                Startup::Died => bail!("could not detach from foreground session"),
            }
        }
        (Role::First, false, true) => supervise(false),
        (Role::Monitor, ..) => {
            own_session();
            supervise(true)
        }
        (Role::Daemon, ..) => {
            if detach && !monitor {
                own_session();
            }
            Ok(Step::Daemon)
        }
        (Role::First, false, false) => Ok(Step::Daemon),
    }
}

/// In the daemon: start-up is complete; who waits for that may go on. In the background nothing is left of the foreground from here on.
pub fn started_up(detach: bool, chdir: bool) -> anyhow::Result<()> {
    if Role::of_this_process() == Role::Daemon {
        tell_parent().context("cannot tell the parent process")?;
        if detach {
            leave_foreground(chdir)?;
        }
    }
    Ok(())
}

fn tell_parent() -> std::io::Result<()> {
    let mut stdout = std::io::stdout();
    stdout.write_all(b"\0").and_then(|()| stdout.flush())
}

fn leave_foreground(chdir: bool) -> anyhow::Result<()> {
    if chdir {
        env::set_current_dir("/").context("cannot change to /")?;
    }
    Log::process().console_closed();
    let null = File::options().read(true).write(true).open("/dev/null").context("/dev/null")?;
    nix::unistd::dup2_stdin(&null)?;
    nix::unistd::dup2_stdout(&null)?;
    nix::unistd::dup2_stderr(&null)?;
    Ok(())
}

fn own_session() {
    // Fails only if we lead one already, which is as good.
    let _ = nix::unistd::setsid();
}

/// Starts this program with the same arguments in another role. Its stdout is how it tells that it has started up.
fn spawn(role: &str) -> anyhow::Result<Child> {
    let mut arguments = env::args_os();
    let mut command = Command::new(env::current_exe().context("cannot find this program")?);
    if let Some(name) = arguments.next() {
        command.arg0(name);
    }
    command.args(arguments).env(ROLE, role).stdin(Stdio::null()).stdout(Stdio::piped());
    command.spawn().context("cannot start another process")
}

enum Startup {
    Complete,
    /// It has said why.
    Failed(ExitCode),
    /// By a signal, or without a reason.
    Died,
}

fn wait_for_startup(child: &mut Child) -> anyhow::Result<Startup> {
    let mut said = Vec::new();
    if let Some(stdout) = child.stdout.as_mut() {
        stdout.take(1).read_to_end(&mut said).context("cannot hear of the other process")?;
    }
    if !said.is_empty() {
        return Ok(Startup::Complete);
    }
    let status = child.wait().context("waitpid failed")?;
    if let Some(code) = status.code().filter(|code| *code != 0) {
        return Ok(Startup::Failed(ExitCode::from(u8::try_from(code).unwrap_or(1))));
    }
    log(Level::Err, "daemon_unix", format_args!("fork child died before signaling startup ({})", describe(status)));
    Ok(Startup::Died)
}

/// Has a daemon running until one ends in another way than by a crash.
fn supervise(detached: bool) -> anyhow::Result<Step> {
    let mut child = spawn("daemon")?;
    match wait_for_startup(&mut child)? {
        Startup::Complete => {}
        Startup::Failed(code) => return Ok(Step::Done(code)),
        Startup::Died => bail!("could not initiate process monitoring"),
    }
    if detached {
        tell_parent().context("cannot tell the parent process")?;
        leave_foreground(true)?;
    }
    let (mut crashes, mut restarted) = (0, None::<Instant>);
    loop {
        let status = child.wait().context("waitpid failed")?;
        let (pid, how) = (child.id(), describe(status));
        if !should_restart(status) {
            log(Level::Info, "daemon_unix(monitor)", format_args!("pid {pid} died, {how}, exiting"));
            return Ok(Step::Done(ExitCode::SUCCESS));
        }
        crashes += 1;
        let what = format!("{crashes} crashes: pid {pid} died, {how}");
        if status.core_dumped()
            && let Err(errno) = setrlimit(Resource::RLIMIT_CORE, 0, 0)
        {
            log(Level::Warn, "daemon_unix(monitor)", format_args!("failed to disable core dumps: {}", errno.desc()));
        }
        let wait = restarted.map(|at| RESTART_INTERVAL.saturating_sub(at.elapsed())).filter(|wait| !wait.is_zero());
        if let Some(wait) = wait {
            let text = format_args!("{what}, waiting until 10 seconds since last restart");
            log(Level::Warn, "daemon_unix(monitor)", text);
            std::thread::sleep(wait);
        }
        restarted = Some(Instant::now());
        log(Level::Err, "daemon_unix(monitor)", format_args!("{what}, restarting"));
        child = spawn("daemon")?;
        // One that does not start up has ended: the loop sees how.
        if let Startup::Failed(code) = wait_for_startup(&mut child)? {
            return Ok(Step::Done(code));
        }
    }
}

/// Whether a process ended as by a bug.
fn should_restart(status: ExitStatus) -> bool {
    use Signal::{SIGABRT, SIGALRM, SIGBUS, SIGFPE, SIGILL, SIGPIPE, SIGSEGV, SIGXCPU, SIGXFSZ};
    let signals = [SIGABRT, SIGALRM, SIGBUS, SIGFPE, SIGILL, SIGPIPE, SIGSEGV, SIGXCPU, SIGXFSZ];
    status.signal().is_some_and(|number| signals.iter().any(|signal| *signal as i32 == number))
}

/// In the words of `process_status_msg` of lib/process.c.
fn describe(status: ExitStatus) -> String {
    let core = if status.core_dumped() { ", core dumped" } else { "" };
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}{core}"),
        (None, Some(number)) => format!("killed ({}){core}", signals::describe(number)),
        (None, None) => format!("terminated abnormally ({:x})", status.into_raw()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_that_are_crashes() {
        for (raw, expected, restart) in [
            (0, "exit status 0", false),
            (1 << 8, "exit status 1", false),
            (15, "killed (Terminated)", false),
            (9, "killed (Killed)", false),
            (6, "killed (Aborted)", true),
            (11 | 0x80, "killed (Segmentation fault), core dumped", true),
        ] {
            let status = ExitStatus::from_raw(raw);
            assert_eq!((describe(status).as_str(), should_restart(status)), (expected, restart));
        }
    }
}
