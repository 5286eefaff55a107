//! The daemon: threads, sockets and clocks around [`ovn_core::Runtime`]. [`run`] is all of it.
//!
//! The engine runs on the calling thread and owns the runtime. One thread with a tokio runtime has all sockets: both
//! databases, the switch, the control socket, signals. A thread for each database decodes. Everything reaches the engine
//! as a [`Message`] on one channel, and the engine works in slices between messages.

mod databases;
mod neighbours;
// Its tests run whether it is wanted or not.
#[cfg(any(test, feature = "representor"))]
#[cfg_attr(not(feature = "representor"), expect(dead_code, reason = "tested, not used"))]
mod representors;
mod switch;
mod turns;

use anyhow::Context;
use ovn_core::Progress;
use ovn_core::runtime::{Db, Effect, Event, Now, Options, Runtime, Time, TlsFiles};
use ovsdb::reconnect::Reconnect;
use ovsdb::remote::Remote;
use ovsdb::session::TransactionId;
use ovsdb::tls::{Authority, TlsSettings};
use ovsdb::transport::Command;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};

use crate::control;
use crate::observe::{Level, log};
use crate::process::wall_ms;
use switch::{Received, SwitchCommand};
use turns::{Start, Turns};

/// Nodes derived between two looks at the clock.
const SLICE: usize = 128;
/// Time spent between two looks at the channel.
const TURN: Duration = Duration::from_millis(2);
/// The engine never wakes by itself more often than this.
const SHORTEST_WAIT: Duration = Duration::from_millis(5);
/// For the answers to `exit`.
const ANSWER_TIME: Duration = Duration::from_millis(50);
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
    /// A signal that ends the process, without clean-up.
    Signal(i32),
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
    /// For the core.
    pub options: Options,
}

/// Why the daemon ended.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// On request.
    Exit,
    /// By a signal.
    Signal(i32),
}

/// Runs the daemon. `started` is called once the control socket listens; `stopped` when everything is done, just before
/// callers of `exit` hear of it: they may start a successor at once.
pub fn run(
    settings: Settings,
    started: impl FnOnce() -> anyhow::Result<()>,
    stopped: impl FnOnce(),
) -> anyhow::Result<End> {
    let (to_engine, messages) = channel();
    let listener = settings.control_socket.as_deref().map(control::Listener::bind).transpose()?;
    let (handles_sender, handles) = channel();
    let remote = settings.ovs_remote.clone();
    let for_io = to_engine.clone();
    std::thread::Builder::new()
        .name("io".to_owned())
        .spawn(move || io_thread(remote, listener, for_io, &handles_sender))
        .context("cannot start a thread")?;
    let io = handles.recv().context("the I/O thread ended")??;
    started()?;
    let (end, exits) = Engine::new(settings.options, settings.tls, io).run(&messages);
    crate::process::notify("STOPPING=1");
    if let Some(path) = &settings.control_socket {
        // Somebody may have removed it; then there is nothing to complain about.
        let _ = std::fs::remove_file(path);
    }
    stopped();
    if !exits.is_empty() {
        for waiting in exits {
            let _ = waiting.send(Ok(String::new()));
        }
        // The answers leave through the I/O thread, which has a moment for that.
        std::thread::sleep(ANSWER_TIME);
    }
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
        let failed = io.is_err();
        if handles.send(io).is_ok() && !failed {
            signals(engine).await;
        }
    });
}

fn start_io(remote: Remote, listener: Option<control::Listener>, engine: &ToEngine) -> anyhow::Result<Io> {
    let seed = wall_ms() as u64 ^ u64::from(std::process::id());
    let local = databases::start::<ovsdb::Local>(Reconnect::new(vec![remote], seed), engine.clone())
        .context("cannot start a thread")?;
    let southbound = databases::start::<ovsdb::Southbound>(Reconnect::new(Vec::new(), seed), engine.clone())
        .context("cannot start a thread")?;
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

/// Waits for a signal that ends the process. Nothing is cleaned up then: sheet 01 section 1.4.
async fn signals(engine: ToEngine) {
    use tokio::signal::unix::{SignalKind, signal};
    let kinds = [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup(), SignalKind::alarm()];
    let mut tasks = Vec::new();
    for kind in kinds {
        match signal(kind) {
            Ok(mut stream) => {
                let engine = engine.clone();
                tasks.push(tokio::spawn(async move {
                    if stream.recv().await.is_some() {
                        let _ = engine.send(Message::Signal(kind.as_raw_value()));
                    }
                }));
            }
            Err(error) => log(Level::Warn, "daemon", format_args!("signal {}: {error}", kind.as_raw_value())),
        }
    }
    for task in tasks {
        let _ = task.await;
    }
    std::future::pending::<()>().await;
}

/// The engine's loop.
struct Engine {
    runtime: Runtime,
    io: Io,
    /// What the command line says.
    tls: TlsSettings,
    start: Instant,
    /// Number of the switch connection that the runtime knows of.
    switch_number: u64,
    /// Callers of `exit`, answered when it is done.
    exits: Vec<oneshot::Sender<control::Reply>>,
    end: Option<End>,
    turns: Turns,
}

impl Engine {
    fn new(options: Options, tls: TlsSettings, io: Io) -> Self {
        let runtime = Runtime::new(options);
        let engine = Self {
            runtime,
            io,
            tls,
            start: Instant::now(),
            switch_number: 0,
            exits: Vec::new(),
            end: None,
            turns: Turns::default(),
        };
        engine.tls(None);
        engine
    }

    /// Runs until the end, and returns the callers of `exit` that wait for it.
    fn run(mut self, messages: &Receiver<Message>) -> (End, Vec<oneshot::Sender<control::Reply>>) {
        let mut turn = Start::now();
        loop {
            let more = self.work(turn);
            self.carry_out();
            if let Some(end) = self.end {
                return (end, self.exits);
            }
            self.turns.add(turn);
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
        let Some(at) = self.runtime.poll_timeout() else { return messages.recv().map(Some).map_err(drop) };
        let delay = Duration::from_millis(at.0.saturating_sub(self.now().monotonic.0)).max(SHORTEST_WAIT);
        match messages.recv_timeout(delay) {
            Ok(message) => Ok(Some(message)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(()),
        }
    }

    fn take(&mut self, message: Message) {
        let now = self.now();
        match message {
            Message::Event(event) => self.runtime.handle(now, event),
            Message::SwitchBytes(received) => self.runtime.handle(now, Event::SwitchBytes(received.bytes.clone())),
            Message::SwitchConnected(number) => {
                // Bytes of the connection before are still waiting to be passed on.
                self.carry_out();
                self.switch_number = number;
                self.runtime.handle(now, Event::SwitchConnected);
            }
            Message::Control(request) => self.control(now, request),
            Message::Signal(number) => {
                log(Level::Warn, "daemon", format_args!("terminating with signal {number}"));
                self.end = Some(End::Signal(number));
            }
        }
    }

    fn control(&mut self, now: Now, request: control::Request) {
        let reply = match control::answer(&mut self.runtime, &request) {
            control::Answer::Reply(reply) => match request.command.as_str() {
                "work/show" => reply.map(|text| format!("{text}{}\n", self.turns)),
                "inc-engine/clear-stats" => {
                    self.turns = Turns::default();
                    reply
                }
                _ => reply,
            },
            control::Answer::Event(event) => {
                self.runtime.handle(now, event);
                Ok(String::new())
            }
            control::Answer::Exit { restart } => {
                self.exits.push(request.reply);
                self.runtime.handle(now, Event::Exit { restart });
                return;
            }
        };
        // The caller may have gone.
        let _ = request.reply.send(reply);
    }

    fn carry_out(&mut self) {
        while let Some(effect) = self.runtime.poll_effect() {
            match effect {
                Effect::Transact { db, id, transaction } => {
                    log(Level::Dbg, "ovsdb", format_args!("{}: {transaction}", db.name()));
                    let to = if db == Db::Southbound { &self.io.southbound } else { &self.io.local };
                    // The task ends only with the process.
                    let _ = to.blocking_send(Command::Transact { id: TransactionId(id), transaction });
                }
                Effect::SouthboundConditions { sequence, conditions } => {
                    let _ = self.io.southbound.blocking_send(Command::SetConditions { sequence, conditions });
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
                    let (mods, ms) = (self.runtime.flow_mods(), self.start.elapsed().as_millis());
                    let text = format!("ready: {flows} flows in the switch, {mods} flow mods sent, after {ms} ms");
                    log(Level::Info, "main", &text);
                    crate::process::notify(&format!("READY=1\nSTATUS={text}"));
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
        let monotonic = Time(u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX));
        Now { monotonic, wall_ms: wall_ms() }
    }
}
