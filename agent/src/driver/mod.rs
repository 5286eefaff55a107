//! The daemon: threads, sockets and clocks around [`ovn_core::Runtime`]. [`run`] is all of it.
//!
//! The engine runs on the calling thread and owns the runtime. One thread with a tokio runtime has all sockets: both
//! databases, the switch, the control socket, signals. It decodes what is short itself and has the rest decoded by a thread
//! of its pool. Everything reaches the engine as a [`Message`] on one channel, and the engine works in slices between messages.

mod account;
mod clock;
mod databases;
mod neighbours;
// Its tests run whether it is wanted or not.
#[cfg(any(test, feature = "representor"))]
#[cfg_attr(not(feature = "representor"), expect(dead_code, reason = "tested, not used"))]
mod representors;
mod switch;
mod turns;

use anyhow::Context;
use nix::sys::signal::Signal;
use ovn_core::Progress;
use ovn_core::runtime::{Db, Effect, Event, INTERNAL_VERSION, Now, Options, Runtime, TlsFiles};
use ovsdb::reconnect::Reconnect;
use ovsdb::remote::Remote;
use ovsdb::session::TransactionId;
use ovsdb::tls::{Authority, TlsSettings};
use ovsdb::transport::Command;
use sd_notify::NotifyState;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};

use crate::control::{self, Answer, Replied};
use crate::metrics::{Address, Endpoint, Metrics};
use crate::observe::{Level, Log, log};
use crate::process::service::{self, Watchdog};
use crate::process::{RELOAD, Signals, describe, wall_ms};
pub use account::Account;
use clock::Clock;
use switch::{Received, SwitchCommand};
use turns::Start;

/// Nodes derived between two looks at the clock.
const SLICE: usize = 128;
/// Time spent between two looks at the channel.
const TURN: Duration = Duration::from_millis(2);
/// The engine never wakes by itself more often than this.
const SHORTEST_WAIT: Duration = Duration::from_millis(5);
/// A caller of `exit` who does not read the answer is waited for so long.
const ANSWER_TIME: Duration = Duration::from_secs(2);
/// Default of ovn-remote-probe-interval for remotes that are not local sockets.
const DEFAULT_PROBE: Duration = Duration::from_secs(5);

/// What the engine is told.
#[derive(Debug)]
pub enum Message {
    /// For the core.
    Event(Event),
    /// Bytes from the switch.
    SwitchBytes(Received),
    /// A socket to the switch was opened; it has this number.
    SwitchConnected(u64),
    /// A control command that needs the engine.
    Control(control::Request),
    /// A signal: it ends the process without clean-up, or it is [`RELOAD`].
    Signal(Signal),
}

/// The channel to the engine.
pub type ToEngine = Sender<Message>;

/// How to run.
#[derive(Debug)]
pub struct Settings {
    /// The local database.
    pub ovs_remote: Remote,
    /// TLS, unless the local database has an SSL row.
    pub tls: TlsSettings,
    /// Control socket.
    pub control_socket: Option<PathBuf>,
    /// Where metrics are served.
    pub metrics: Option<Address>,
    /// What ends the process, blocked in this thread.
    pub signals: Signals,
    /// For the core.
    pub options: Options,
}

/// Why the daemon ended.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// On request.
    Exit,
    /// By a signal.
    Signal(Signal),
}

/// Runs the daemon. `started` is called once the control socket listens; `stopped` when everything is done, just before
/// callers of `exit` hear of it: they may start a successor at once.
pub fn run(
    settings: Settings,
    started: impl FnOnce() -> anyhow::Result<()>,
    stopped: impl FnOnce(),
) -> anyhow::Result<End> {
    let ours = env!("CARGO_PKG_VERSION");
    log(Level::Info, "main", format_args!("ovn-agent {ours} in place of ovn-controller {}", control::OVN));
    log(Level::Info, "main", format_args!("OVN internal version is : [{INTERNAL_VERSION}]"));
    let (to_engine, messages) = channel();
    let listener = settings.control_socket.as_deref().map(control::Listener::bind).transpose()?;
    let endpoint = settings.metrics.as_ref().map(Endpoint::bind).transpose()?;
    let metrics = Arc::new(Metrics::default());
    let served = endpoint.map(|endpoint| (endpoint, metrics.clone()));
    let (handles_sender, handles) = channel();
    let remote = settings.ovs_remote.clone();
    let for_io = to_engine.clone();
    std::thread::Builder::new()
        .name("io".to_owned())
        .spawn(move || io_thread(remote, listener, served, for_io, &handles_sender))
        .context("cannot start a thread")?;
    let io = handles.recv().context("the I/O thread ended")??;
    let (waiting, engine) = (settings.signals, to_engine.clone());
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || signals(waiting, &engine))
        .context("cannot start a thread")?;
    started()?;
    let account = Account::new(Instant::now(), metrics, settings.metrics.is_some());
    let (end, exits) = Engine::new(settings.options, settings.tls, io, account).run(&messages);
    service::notify(&[NotifyState::Stopping]);
    if let Some(path) = &settings.control_socket {
        // Somebody may have removed it; then there is nothing to complain about.
        let _ = std::fs::remove_file(path);
    }
    if let Some(Address::Unix(path)) = &settings.metrics {
        let _ = std::fs::remove_file(path);
    }
    stopped();
    let (delivered, undelivered) = channel::<()>();
    for waiting in exits {
        let _ = waiting.send(Replied { reply: Ok(String::new()), delivered: Some(delivered.clone()) });
    }
    drop(delivered);
    // Until all callers have their answers.
    let _ = undelivered.recv_timeout(ANSWER_TIME);
    Ok(end)
}

/// The engine's ways to the sockets.
struct Io {
    southbound: mpsc::Sender<Command>,
    local: mpsc::Sender<Command>,
    switch: mpsc::UnboundedSender<SwitchCommand>,
    neighbours: mpsc::UnboundedSender<neighbours::Tables>,
}

/// All sockets and signals, until the process ends.
fn io_thread(
    remote: Remote,
    listener: Option<control::Listener>,
    served: Option<(Endpoint, Arc<Metrics>)>,
    engine: ToEngine,
    handles: &Sender<anyhow::Result<Io>>,
) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            let _ = handles.send(Err(anyhow::Error::new(error).context("cannot start the I/O runtime")));
            return;
        }
    };
    runtime.block_on(async {
        let io = start_io(remote, listener, &engine);
        if let Some((endpoint, metrics)) = served {
            tokio::spawn(endpoint.serve(metrics));
        }
        let failed = io.is_err();
        if handles.send(io).is_ok() && !failed {
            std::future::pending::<()>().await;
        }
    });
}

fn start_io(remote: Remote, listener: Option<control::Listener>, engine: &ToEngine) -> anyhow::Result<Io> {
    let seed = wall_ms() as u64 ^ u64::from(std::process::id());
    let local = databases::start::<ovsdb::Local>(Reconnect::new(vec![remote], seed), engine.clone());
    let southbound = databases::start::<ovsdb::Southbound>(Reconnect::new(Vec::new(), seed), engine.clone());
    let (switch, commands) = mpsc::unbounded_channel();
    tokio::spawn(switch::run(commands, engine.clone()));
    let (neighbours, commands) = mpsc::unbounded_channel();
    tokio::spawn(neighbours::run(commands, engine.clone()));
    #[cfg(feature = "representor")]
    tokio::spawn(representors::run(engine.clone()));
    if let Some(listener) = listener {
        tokio::spawn(listener.serve(engine.clone())?);
    }
    Ok(Io { southbound, local, switch, neighbours })
}

/// Passes signals on, until the process ends. Nothing is cleaned up then: sheet 01 section 1.4.
fn signals(signals: Signals, engine: &ToEngine) {
    loop {
        match signals.wait() {
            Ok(signal) => {
                if engine.send(Message::Signal(signal)).is_err() {
                    return;
                }
            }
            Err(error) => {
                log(Level::Err, "fatal_signal", format_args!("sigwait: {error}"));
                return;
            }
        }
    }
}

/// The engine's loop.
struct Engine {
    runtime: Runtime,
    io: Io,
    /// What the command line says.
    tls: TlsSettings,
    clock: Clock,
    /// Number of the switch connection that the runtime knows of.
    switch_number: u64,
    /// Callers of `exit`, answered when it is done.
    exits: Vec<oneshot::Sender<Replied>>,
    end: Option<End>,
    account: Account,
    /// `debug/pause`: nothing is derived or written.
    paused: bool,
    watchdog: Watchdog,
}

impl Engine {
    fn new(options: Options, tls: TlsSettings, io: Io, account: Account) -> Self {
        let runtime = Runtime::new(options);
        let engine = Self {
            runtime,
            io,
            tls,
            clock: Clock::start(),
            switch_number: 0,
            exits: Vec::new(),
            end: None,
            account,
            paused: false,
            watchdog: Watchdog::from_environment(),
        };
        engine.tls(None);
        engine
    }

    /// Runs until the end, and returns the callers of `exit` that wait for it.
    fn run(mut self, messages: &Receiver<Message>) -> (End, Vec<oneshot::Sender<Replied>>) {
        let mut turn = Start::now();
        loop {
            let more = self.work(turn);
            self.carry_out();
            if let Some(end) = self.end {
                return (end, self.exits);
            }
            let now = Instant::now();
            self.account.turn(turn);
            self.account.follow(now, &mut self.runtime, !more && !self.paused);
            self.watchdog.turn(now);
            let message = if more { self.poll(messages) } else { self.wait(messages) };
            turn = Start::now();
            match message {
                Ok(None) => continue,
                Ok(Some(message)) => self.take(message),
                Err(()) => return (End::Exit, self.exits),
            }
            while turn.elapsed() < TURN {
                let Ok(message) = messages.try_recv() else { break };
                self.take(message);
            }
            self.carry_out();
        }
    }

    /// Works until there is nothing to do or the turn is long enough. Says whether there is more to do.
    fn work(&mut self, turn: Start) -> bool {
        if self.paused {
            return false;
        }
        while self.runtime.work(self.now(), SLICE) == Progress::More {
            if turn.elapsed() >= TURN {
                return true;
            }
        }
        false
    }

    fn poll(&self, messages: &Receiver<Message>) -> Result<Option<Message>, ()> {
        match messages.try_recv() {
            Ok(message) => Ok(Some(message)),
            Err(TryRecvError::Empty) => Ok(None),
            Err(TryRecvError::Disconnected) => Err(()),
        }
    }

    fn wait(&self, messages: &Receiver<Message>) -> Result<Option<Message>, ()> {
        let now = self.now().monotonic;
        let due = self.runtime.poll_timeout().filter(|_| self.clock.runs() && !self.paused);
        let due = due.map(|at| Duration::from_millis(at.0.saturating_sub(now.0)));
        let due = due.into_iter().chain(self.watchdog.wait(Instant::now())).min();
        let Some(delay) = due.map(|delay| delay.max(SHORTEST_WAIT)) else {
            return messages.recv().map(Some).map_err(drop);
        };
        match messages.recv_timeout(delay) {
            Ok(message) => Ok(Some(message)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(()),
        }
    }

    fn take(&mut self, message: Message) {
        let now = self.now();
        match message {
            Message::Event(event) => self.handle(now, event),
            Message::SwitchBytes(received) => self.handle(now, Event::SwitchBytes(received.bytes.clone())),
            Message::SwitchConnected(number) => {
                // Bytes of the connection before are still waiting to be passed on.
                self.carry_out();
                self.switch_number = number;
                self.handle(now, Event::SwitchConnected);
            }
            Message::Control(request) => self.control(now, request),
            Message::Signal(RELOAD) => reload(),
            Message::Signal(signal) => {
                let number = signal as i32;
                let text = format_args!("terminating with signal {number} ({})", describe(number));
                log(Level::Warn, "fatal_signal", text);
                self.end = Some(End::Signal(signal));
            }
        }
    }

    fn handle(&mut self, now: Now, event: Event) {
        self.account.arrives(Instant::now(), &event, &self.runtime);
        self.runtime.handle(now, event);
    }

    fn control(&mut self, now: Now, request: control::Request) {
        let mut reply = Ok(String::new());
        match control::answer(&mut self.runtime, &mut self.account, &request) {
            Answer::Reply(text) => reply = text,
            Answer::Event(event) => self.handle(now, event),
            Answer::Pause(pause) => self.paused = pause,
            Answer::Status => reply = Ok(if self.paused { "paused" } else { "running" }.to_owned()),
            Answer::EnableTimewarp => self.clock.may_warp = true,
            // Not there before it was enabled.
            Answer::Time(_) if !self.clock.may_warp => reply = Err(control::unknown(&request.command)),
            Answer::Time(None) => self.clock.stop(),
            Answer::Time(Some(ms)) => {
                self.clock.warp(ms);
                reply = Ok("warped".to_owned());
            }
            Answer::Exit { restart } => {
                self.exits.push(request.reply);
                self.paused = false;
                self.runtime.handle(now, Event::Exit { restart });
                return;
            }
        }
        // The caller may have gone.
        let _ = request.reply.send(Replied { reply, delivered: None });
    }

    fn carry_out(&mut self) {
        while let Some(effect) = self.runtime.poll_effect() {
            match effect {
                Effect::Transact { db, id, transaction } => {
                    let text = format_args!("{}: send request, method=\"transact\", params={transaction}", db.name());
                    log(Level::Dbg, "jsonrpc", text);
                    let to = if db == Db::Southbound { &self.io.southbound } else { &self.io.local };
                    self.account.sent();
                    // The task ends only with the process.
                    let _ = to.blocking_send(Command::Transact { id: TransactionId(id), transaction });
                }
                Effect::SouthboundConditions { sequence, conditions } => {
                    let _ = self.io.southbound.blocking_send(Command::SetConditions { sequence, conditions });
                }
                Effect::SouthboundSurvey { number, transaction } => {
                    let id = TransactionId(databases::SURVEYS | number);
                    let _ = self.io.southbound.blocking_send(Command::Transact { id, transaction });
                }
                Effect::SouthboundRemotes { remotes, probe } => self.southbound_remotes(&remotes, probe),
                Effect::ForgetClusterIndex => {
                    let _ = self.io.southbound.blocking_send(Command::ForgetIndex);
                }
                Effect::Tls(files) => self.tls(files),
                Effect::SwitchTarget(target) => self.to_switch(SwitchCommand::Target(target)),
                Effect::SwitchBytes(bytes) => self.to_switch(SwitchCommand::Bytes(self.switch_number, bytes)),
                Effect::SwitchReconnect => self.to_switch(SwitchCommand::Reconnect),
                Effect::WatchNeighbours(tables) => {
                    // The task ends only with the process.
                    let _ = self.io.neighbours.send(tables);
                }
                Effect::Log { level, module, text } => log(level.into(), module, text),
                Effect::Ready => {
                    let flows = self.runtime.agent().flows().desired_len();
                    let (mods, ms) = (self.runtime.flow_mods(), self.clock.elapsed().as_millis());
                    let text = format!("ready: {flows} flows in the switch, {mods} flow mods sent, after {ms} ms");
                    log(Level::Info, "main", &text);
                    service::notify(&[NotifyState::Ready, NotifyState::Status(&text)]);
                }
                Effect::Exited => self.end = Some(End::Exit),
            }
        }
    }

    /// The files of the SSL row take the place of those of the command line; versions and ciphers are the command line's.
    fn tls(&self, files: Option<TlsFiles>) {
        let mut settings = self.tls.clone();
        if let Some(files) = files {
            let file = |name: ovsdb::Str| (!name.is_empty()).then(|| PathBuf::from(name.as_str()));
            settings.private_key = file(files.private_key);
            settings.certificate = file(files.certificate);
            settings.ca = Authority::named(&files.ca_cert, files.bootstrap_ca_cert);
        }
        if settings.ca == Authority::Unverified {
            log(Level::Warn, "stream_ssl", "Peer certificate validation disabled (this is a security risk)");
        }
        self.to_switch(SwitchCommand::Tls(settings.clone()));
        for to in [&self.io.local, &self.io.southbound] {
            let _ = to.blocking_send(Command::SetTls(settings.clone()));
        }
    }

    fn southbound_remotes(&self, text: &str, probe: Option<Duration>) {
        let remotes = match Remote::parse_list(text) {
            Ok(remotes) => remotes,
            Err(error) => {
                log(Level::Err, "reconnect", format_args!("ovn-remote: {error}"));
                return;
            }
        };
        let default = if remotes.iter().any(Remote::needs_probes) { DEFAULT_PROBE } else { Duration::ZERO };
        let _ = self.io.southbound.blocking_send(Command::SetProbeInterval(probe.unwrap_or(default)));
        let _ = self.io.southbound.blocking_send(Command::SetRemotes(remotes));
    }

    fn to_switch(&self, command: SwitchCommand) {
        let _ = self.io.switch.send(command);
    }

    fn now(&self) -> Now {
        self.clock.now()
    }
}

/// `systemctl reload`: files are opened again. What the databases say is followed anyway.
fn reload() {
    service::reloading();
    // Without a file there is nothing to do.
    let _ = Log::process().reopen();
    log(Level::Info, "main", "reloaded");
    service::notify(&[NotifyState::Ready]);
}
