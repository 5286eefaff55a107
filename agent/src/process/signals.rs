//! Signals. Those that end the process are blocked in all threads and waited for by one; so the process can still die by the signal itself,
//! as its parent expects, without a handler to take away ([`Signals`]).

use nix::sys::signal::{SigSet, Signal, raise};

/// The signals that somebody waits for.
#[derive(Copy, Clone, Debug)]
pub struct Signals(SigSet);

/// What end a process without clean-up (`fatal_signals` of lib/fatal-signal.c), and [`RELOAD`].
const WAITED: [Signal; 5] = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGALRM, RELOAD];
/// Opens files again: `systemctl reload`.
pub const RELOAD: Signal = Signal::SIGUSR1;

impl Signals {
    /// Blocks them, from this thread on. Those that whoever started us had set to be ignored (nohup) stay so.
    pub fn block() -> nix::Result<Signals> {
        let ignored = ignored();
        let set: SigSet = WAITED.into_iter().filter(|signal| ignored >> (*signal as u32 - 1) & 1 == 0).collect();
        set.thread_block()?;
        Ok(Signals(set))
    }

    /// Waits for one.
    pub fn wait(&self) -> nix::Result<Signal> {
        self.0.wait()
    }

    /// Dies by a signal; returns only if that does not happen.
    pub fn die_by(signal: Signal) {
        let _ = SigSet::from(signal).thread_unblock();
        let _ = raise(signal);
    }
}

/// As strsignal(3) has it, of the signals that matter.
pub fn describe(number: i32) -> String {
    let known = [
        (Signal::SIGHUP, "Hangup"),
        (Signal::SIGINT, "Interrupt"),
        (Signal::SIGILL, "Illegal instruction"),
        (Signal::SIGABRT, "Aborted"),
        (Signal::SIGBUS, "Bus error"),
        (Signal::SIGFPE, "Floating point exception"),
        (Signal::SIGKILL, "Killed"),
        (Signal::SIGSEGV, "Segmentation fault"),
        (Signal::SIGPIPE, "Broken pipe"),
        (Signal::SIGALRM, "Alarm clock"),
        (Signal::SIGTERM, "Terminated"),
        (Signal::SIGXCPU, "CPU time limit exceeded"),
        (Signal::SIGXFSZ, "File size limit exceeded"),
    ];
    known
        .iter()
        .find(|(signal, _)| *signal as i32 == number)
        .map_or_else(|| format!("signal {number}"), |(_, name)| (*name).to_owned())
}

/// The mask of ignored signals.
fn ignored() -> u64 {
    super::status("SigIgn").and_then(|mask| u64::from_str_radix(&mask, 16).ok()).unwrap_or_default()
}
