//! Sockets and the clock for a session (feature `tokio`): [`run`] connects, reconnects, reads and writes; [`connect`] opens
//! one connection.
//!
//! A user that takes events slowly slows the reading down: at [`MAX_EVENTS_WAITING`] events the socket is left alone
//! until some are taken. The server's probes then wait too, so a user should take events from a thread of its own.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use ovsdb::reconnect::Reconnect;
//! use ovsdb::remote::Remote;
//! use ovsdb::session::{Event, Session, SessionConfig};
//! use ovsdb::tables::decode::{Strings, decode};
//! use ovsdb::{Database, Southbound};
//!
//! let (_commands, command_receiver) = tokio::sync::mpsc::channel(64);
//! let (event_sender, mut events) = tokio::sync::mpsc::channel(64);
//! let session = Session::new(SessionConfig::replicating::<Southbound>());
//! let reconnect = Reconnect::new(Remote::parse_list("tcp:10.0.0.1:6642,tcp:10.0.0.2:6642")?, 42);
//! tokio::spawn(ovsdb::transport::run(session, reconnect, command_receiver, event_sender));
//!
//! let (mut replica, mut strings) = (Southbound::default(), Strings::default());
//! while let Some(event) = events.recv().await {
//!     let changes = match event {
//!         Event::InitialData { payload, version, found: false, .. } => {
//!             replica.replace(decode::<Southbound>(payload.as_str(), version.format(), &mut strings)?)
//!         }
//!         Event::InitialData { payload, version, .. } | Event::Update { payload, version, .. } => {
//!             replica.apply(decode::<Southbound>(payload.as_str(), version.format(), &mut strings)?)
//!         }
//!         _ => continue,
//!     };
//! #   drop(changes);
//! }
//! # Ok(())
//! # }
//! ```

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};

use crate::condition::Conditions;
use crate::reconnect::Reconnect;
use crate::remote::Remote;
use crate::session::{Disconnect, Event, Session, TransactionId};
use crate::time::Time;
use crate::tls::{self, TlsSettings, TlsStream};
use crate::transaction::Transaction;

/// With so many events not taken by the user, nothing more is read.
pub const MAX_EVENTS_WAITING: usize = 4096;

/// For what a peer has said before it closed the connection.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// Room for one read, at least.
const READ_SIZE: usize = 128 * 1024;

/// An open connection.
#[derive(Debug)]
pub enum Stream {
    /// A local socket.
    Unix(UnixStream),
    /// TCP, IPv4 or IPv6.
    Tcp(TcpStream),
    /// TLS on TCP.
    Tls(TlsStream),
}

/// What a user asks of [`run`].
#[derive(Clone, Debug)]
pub enum Command {
    /// [`Session::transact`].
    Transact {
        /// The user's name for it.
        id: TransactionId,
        /// The operations.
        transaction: Transaction,
    },
    /// [`Session::set_conditions`].
    SetConditions {
        /// Grows from call to call.
        sequence: u64,
        /// All conditions.
        conditions: Conditions,
    },
    /// Other remotes; a connection to one of them stays.
    SetRemotes(Vec<Remote>),
    /// TLS for `ssl:` remotes, from the next connection on. If none stands, one is tried at once.
    SetTls(TlsSettings),
    /// [`Session::set_probe_interval`].
    SetProbeInterval(Duration),
    /// [`Session::forget_index`].
    ForgetIndex,
    /// [`Reconnect::set_max_backoff`].
    SetMaxBackoff(Duration),
    /// Closes the connection and makes another.
    Reconnect {
        /// Fetch everything anew ([`Session::forget_last_txn_id`]).
        from_scratch: bool,
    },
}

/// Opens a connection. The error's text has the remote in it. What is worth saying about TLS goes to `note`.
pub async fn connect(remote: &Remote, tls: &TlsSettings, note: &mut impl FnMut(String)) -> io::Result<Stream> {
    let stream = match remote {
        Remote::Unix(path) => UnixStream::connect(path).await.map(Stream::Unix),
        Remote::Tcp { host, port } => tcp(host, *port).await.map(Stream::Tcp),
        Remote::Ssl { host, port } => tls::connect(tls, host, *port, note).await.map(Stream::Tls),
    };
    stream.map_err(|error| io::Error::new(error.kind(), format!("{remote}: connection attempt failed ({error})")))
}

/// Opens a TCP connection.
pub async fn tcp(host: &str, port: u16) -> io::Result<TcpStream> {
    let stream = TcpStream::connect((host, port)).await?;
    // Small requests and their answers must not wait for each other's acknowledgement.
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Drives `session` until the user drops the sender of `commands` or the receiver of `events`.
pub async fn run(
    session: Session,
    reconnect: Reconnect,
    commands: mpsc::Receiver<Command>,
    events: mpsc::Sender<Event>,
) {
    let (tls, start) = (TlsSettings::default(), Instant::now());
    let mut driver = Driver { session, reconnect, tls, commands, events, start };
    // The only way out is that the user has gone.
    while let Ok((remote, stream)) = driver.attach().await {
        if driver.serve(remote, stream).await.is_err() {
            break;
        }
    }
}

struct Driver {
    session: Session,
    reconnect: Reconnect,
    tls: TlsSettings,
    commands: mpsc::Receiver<Command>,
    events: mpsc::Sender<Event>,
    start: Instant,
}

/// The user has gone.
struct Stop;

/// A command that concerns the connection itself.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Link {
    Keep,
    RemotesChanged,
    TlsChanged,
    Close,
}

impl Driver {
    fn now(&self) -> Time {
        Time(u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    fn instant(&self, time: Time) -> Instant {
        // Far enough for "never", near enough not to overflow.
        self.start + Duration::from_millis(time.0.min(1 << 40))
    }

    /// Tries remotes until a connection stands.
    async fn attach(&mut self) -> Result<(Remote, Stream), Stop> {
        loop {
            let remote = self.wait_until_due().await?;
            let limit = self.reconnect.connect_timeout();
            let mut notes = Vec::new();
            let result = {
                let tls = self.tls.clone();
                let mut note = |text| notes.push(text);
                let attempt = timeout(limit, connect(&remote, &tls, &mut note));
                tokio::pin!(attempt);
                loop {
                    tokio::select! {
                        biased;
                        result = &mut attempt => break Some(result),
                        change = step(&mut self.session, &mut self.commands, &self.events) => {
                            let change = self.obey(change?);
                            if change == Link::TlsChanged || change != Link::Keep && !self.reconnect.has(&remote) {
                                break None;
                            }
                        }
                    }
                }
            };
            for text in notes {
                self.session.report(Event::Note(text));
            }
            let error = match result {
                None => continue,
                Some(Ok(Ok(stream))) => {
                    self.session.report(Event::SocketConnected { remote: remote.to_string() });
                    return Ok((remote, stream));
                }
                Some(Ok(Err(error))) => error.to_string(),
                Some(Err(_)) => format!("{remote}: connection attempt timed out after {} s", limit.as_secs()),
            };
            let now = self.now();
            let retry = self.reconnect.failed(now);
            self.session.report(Event::Unreachable { remote: remote.to_string(), error, retry });
        }
    }

    async fn wait_until_due(&mut self) -> Result<Remote, Stop> {
        loop {
            let now = self.now();
            // The user hears of a failure before the next attempt, or it would never hear of many quick ones.
            if self.session.events_waiting() == 0
                && let Some(remote) = self.reconnect.poll(now)
            {
                return Ok(remote);
            }
            let due = self.reconnect.due();
            let deadline = self.instant(due.unwrap_or_default());
            tokio::select! {
                biased;
                change = step(&mut self.session, &mut self.commands, &self.events) => {
                    self.obey(change?);
                }
                () = sleep_until(deadline), if due.is_some() && self.session.events_waiting() == 0 => {}
            }
        }
    }

    /// Serves the connection until it ends.
    async fn serve(&mut self, remote: Remote, stream: Stream) -> Result<(), Stop> {
        let (mut reader, mut writer) = tokio::io::split(stream);
        let mut unwritten: Vec<u8> = Vec::new();
        let mut written = 0;
        let mut good = false;
        self.session.handle_connected(self.now());
        while self.session.is_connected() {
            if written == unwritten.len()
                && let Some(bytes) = self.session.poll_transmit()
            {
                (unwritten, written) = (bytes, 0);
            }
            let rest = unwritten.get(written..).unwrap_or_default();
            let reading = self.session.events_waiting() < MAX_EVENTS_WAITING;
            let timeout = self.session.poll_timeout();
            let deadline = self.instant(timeout.unwrap_or_default());
            // What comes back is handled outside the select, where nothing is borrowed any more.
            let happened = tokio::select! {
                biased;
                permit = self.events.reserve(), if self.session.events_waiting() > 0 => {
                    let permit = permit.map_err(|_| Stop)?;
                    if let Some(event) = self.session.poll_event() {
                        permit.send(event);
                    }
                    continue;
                }
                command = self.commands.recv() => Happened::Command(command.ok_or(Stop)?),
                count = writer.write(rest), if !rest.is_empty() => Happened::Written(count),
                read = read(&mut reader, self.session.receive_buffer()), if reading => Happened::Read(read),
                () = sleep_until(deadline), if reading && timeout.is_some() => Happened::Timeout,
            };
            let now = self.now();
            match happened {
                Happened::Command(command) => match self.obey(Some(command)) {
                    Link::Keep => {}
                    Link::RemotesChanged if self.reconnect.has(&remote) => {}
                    Link::TlsChanged => {}
                    _ => self.session.handle_disconnected(Disconnect::Requested),
                },
                Happened::Written(Ok(0)) => self.session.handle_disconnected(Disconnect::Closed),
                Happened::Written(Ok(count)) => written += count,
                Happened::Read(Ok(0)) => self.session.handle_disconnected(Disconnect::Closed),
                Happened::Read(Ok(_)) => {
                    self.session.handle_received(now);
                    if !good && self.session.is_live() {
                        good = true;
                        self.reconnect.succeeded(now);
                    }
                }
                Happened::Written(Err(error)) => {
                    let why = last_words(&mut reader, error).await;
                    self.session.handle_disconnected(Disconnect::Io(why.to_string()));
                }
                Happened::Read(Err(error)) => {
                    self.session.handle_disconnected(Disconnect::Io(error.to_string()));
                }
                Happened::Timeout => self.session.handle_timeout(now),
            }
        }
        let now = self.now();
        self.reconnect.failed(now);
        Ok(())
    }

    /// Carries out a command; says what it means for the connection.
    fn obey(&mut self, command: Option<Command>) -> Link {
        let now = self.now();
        match command {
            None => {}
            Some(Command::Transact { id, transaction }) => self.session.transact(id, transaction),
            Some(Command::SetConditions { sequence, conditions }) => self.session.set_conditions(sequence, conditions),
            Some(Command::SetProbeInterval(interval)) => self.session.set_probe_interval(interval),
            Some(Command::SetTls(settings)) if settings == self.tls => {}
            Some(Command::SetTls(settings)) => {
                self.tls = settings;
                self.reconnect.hurry(now);
                return Link::TlsChanged;
            }
            Some(Command::ForgetIndex) => {
                self.session.forget_index();
                self.reconnect.hurry(now);
            }
            Some(Command::SetMaxBackoff(max)) => self.reconnect.set_max_backoff(max),
            Some(Command::SetRemotes(remotes)) => {
                self.reconnect.set_remotes(now, remotes);
                return Link::RemotesChanged;
            }
            Some(Command::Reconnect { from_scratch }) => {
                if from_scratch {
                    self.session.forget_last_txn_id();
                }
                return Link::Close;
            }
        }
        Link::Keep
    }
}

/// What woke the driver of a connection.
enum Happened {
    Command(Command),
    Written(io::Result<usize>),
    Read(io::Result<usize>),
    Timeout,
}

/// While there is no connection: passes on one event (then `None`) or takes one command.
async fn step(
    session: &mut Session,
    commands: &mut mpsc::Receiver<Command>,
    events: &mpsc::Sender<Event>,
) -> Result<Option<Command>, Stop> {
    tokio::select! {
        biased;
        permit = events.reserve(), if session.events_waiting() > 0 => {
            let permit = permit.map_err(|_| Stop)?;
            if let Some(event) = session.poll_event() {
                permit.send(event);
            }
            Ok(None)
        }
        command = commands.recv() => command.map(Some).ok_or(Stop),
    }
}

/// A connection cannot be written to any more. A TLS peer has perhaps said why: it does not like our certificate, say.
async fn last_words(reader: &mut (impl AsyncRead + Unpin), error: io::Error) -> io::Error {
    let mut rest = Vec::new();
    match timeout(LAST_WORDS, reader.take(READ_SIZE as u64).read_to_end(&mut rest)).await {
        Ok(Err(reason)) => reason,
        _ => error,
    }
}

/// Reads as much as there is room for in the buffer that will be the message.
async fn read(reader: &mut (impl AsyncRead + Unpin), buffer: &mut Vec<u8>) -> io::Result<usize> {
    buffer.reserve(READ_SIZE);
    reader.read_buf(buffer).await
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Unix(stream) => Pin::new(stream).poll_read(cx, buf),
            Stream::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            Stream::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Unix(stream) => Pin::new(stream).poll_write(cx, buf),
            Stream::Tcp(stream) => Pin::new(stream).poll_write(cx, buf),
            Stream::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Unix(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
