//! The switch's side of the driver: a task that keeps a socket to the bridge, with back-off, and moves bytes.

use bytes::{Buf, Bytes, BytesMut};
use ofproto_client::connection::Backoff;
use ofproto_client::message::{Header, MessageType};
use ofproto_client::transport::Target;
use ovn_core::runtime::Event;
use ovsdb::tls::{self, TlsSettings};
use ovsdb::transport::tcp;
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{Message, ToEngine};
use crate::observe::{Level, log};

/// What the engine asks of the task.
#[derive(Debug)]
pub enum SwitchCommand {
    /// Keep a connection to this target.
    Target(Option<String>),
    /// TLS for `ssl:` targets, from the next connection on.
    Tls(TlsSettings),
    /// Bytes for the connection with this number; those of an earlier one mean nothing to the next.
    Bytes(u64, Bytes),
    /// Close the connection and make another.
    Reconnect,
}

/// A bridge's socket appears a moment after its row: for so long it is looked for often.
const EAGER: Duration = Duration::from_secs(3);
const EAGER_DELAY: Duration = Duration::from_millis(20);
/// A connection that lasted so long was a good one: the next is made without delay.
const STABLE: Duration = Duration::from_secs(10);
/// Room for reads, and how much of it has to be left for the next one.
const READ_SIZE: usize = 128 * 1024;
const READ_LEAST: usize = 16 * 1024;
/// So many reads may wait for the engine. A switch that sends more than the engine takes waits itself.
const READS_WAITING: usize = 2;
/// A switch that sends and does not read what we answer is not read either.
const UNWRITTEN: usize = 4 << 20;
/// For a connection with TLS to be made.
const HANDSHAKE: Duration = Duration::from_secs(5);

/// What was read from the switch. The next read waits until this is dropped.
#[derive(Debug)]
pub struct Received {
    /// The bytes.
    pub bytes: Bytes,
    _credit: OwnedSemaphorePermit,
}

/// Runs until the engine is gone.
pub async fn run(commands: UnboundedReceiver<SwitchCommand>, engine: ToEngine) {
    let credit = Arc::new(Semaphore::new(READS_WAITING));
    let (tls, since) = (TlsSettings::default(), Instant::now());
    let mut task = Task { commands, engine, target: None, tls, since, number: 0, credit };
    while task.connect_and_serve().await.is_some() {}
}

struct Task {
    commands: UnboundedReceiver<SwitchCommand>,
    engine: ToEngine,
    target: Option<Target>,
    tls: TlsSettings,
    /// When the target was set.
    since: Instant,
    /// Number of the connection.
    number: u64,
    credit: Arc<Semaphore>,
}

/// A socket of any kind.
trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Socket for S {}

impl Task {
    /// `None`: the engine is gone.
    async fn connect_and_serve(&mut self) -> Option<()> {
        let mut backoff = Backoff::default();
        let mut said: Option<String> = None;
        // The last connection ended soon: no hurry to make another.
        let mut strange = false;
        loop {
            let Some(target) = self.target.clone() else {
                let command = self.commands.recv().await?;
                if self.obey(command) {
                    // Such as a bridge that was deleted and made anew: that its connection ended soon says nothing of the next.
                    (backoff, said, strange) = (Backoff::default(), None, false);
                }
                continue;
            };
            let eager = self.since.elapsed() < EAGER && !strange;
            let delay = if eager { EAGER_DELAY } else { backoff.next_delay() };
            if !delay.is_zero() && said.is_some() && self.wait(delay).await? {
                (backoff, said, strange) = (Backoff::default(), None, false);
                continue;
            }
            if said.is_none() {
                log(Level::Info, "ovn_util", format_args!("connecting to switch: \"{target}\""));
                log(Level::Info, "rconn", format_args!("{target}: connecting..."));
            }
            match open(&target, &self.tls).await {
                Ok(socket) => {
                    log(Level::Info, "rconn", format_args!("{target}: connected"));
                    let start = Instant::now();
                    let error = self.serve(socket).await?;
                    self.engine.send(Message::Event(Event::SwitchClosed(error))).ok()?;
                    said = Some(String::new());
                    strange = start.elapsed() <= STABLE;
                    if !strange {
                        // A switch that restarts is back soon.
                        backoff.connected();
                        self.since = Instant::now();
                    }
                }
                Err(error) => {
                    let error = format!("{target}: connection attempt failed ({error})");
                    if !eager && said.as_ref() != Some(&error) {
                        log(Level::Warn, "rconn", &error);
                    }
                    said = Some(error);
                    self.engine.send(Message::Event(Event::SwitchUnreachable)).ok()?;
                }
            }
        }
    }

    /// Waits; says whether the target changed meanwhile.
    async fn wait(&mut self, delay: Duration) -> Option<bool> {
        let until = tokio::time::Instant::now() + delay;
        loop {
            tokio::select! {
                () = tokio::time::sleep_until(until) => return Some(false),
                command = self.commands.recv() => {
                    if self.obey(command?) {
                        return Some(true);
                    }
                }
            }
        }
    }

    /// Says whether it is worth trying again at once: the target is another one now, or TLS is.
    fn obey(&mut self, command: SwitchCommand) -> bool {
        let text = match command {
            SwitchCommand::Target(text) => text,
            SwitchCommand::Tls(settings) => {
                let differs = settings != self.tls && matches!(self.target, Some(Target::Ssl { .. }));
                self.tls = settings;
                return differs;
            }
            SwitchCommand::Bytes(..) | SwitchCommand::Reconnect => return false,
        };
        let target = text.and_then(|text| {
            text.parse().map_err(|error| log(Level::Err, "rconn", format_args!("ovn-bridge-remote: {error}"))).ok()
        });
        let differs = target != self.target;
        self.target = target;
        self.since = Instant::now();
        differs
    }

    /// Moves bytes until the connection ends. The inner `None`: the peer closed it, or we.
    async fn serve(&mut self, socket: Box<dyn Socket>) -> Option<Option<String>> {
        self.number += 1;
        self.engine.send(Message::SwitchConnected(self.number)).ok()?;
        let (mut reader, mut writer) = tokio::io::split(socket);
        let mut unwritten: VecDeque<Bytes> = VecDeque::new();
        let mut buffer = BytesMut::new();
        let mut credit = None;
        loop {
            let stalled = unwritten.iter().map(Bytes::len).sum::<usize>() > UNWRITTEN;
            if buffer.capacity() - buffer.len() < READ_LEAST {
                buffer.reserve(READ_SIZE);
            }
            let next = unwritten.front().cloned().unwrap_or_default();
            tokio::select! {
                biased;
                command = self.commands.recv() => match command? {
                    SwitchCommand::Bytes(number, bytes) if number == self.number => unwritten.push_back(bytes),
                    SwitchCommand::Bytes(..) => {}
                    SwitchCommand::Reconnect => return Some(None),
                    SwitchCommand::Tls(settings) => self.tls = settings,
                    target => {
                        if self.obey(target) {
                            return Some(None);
                        }
                    }
                },
                written = writer.write(&next), if !next.is_empty() => match written {
                    Ok(count) => advance(&mut unwritten, count),
                    Err(error) => return Some(Some(error.to_string())),
                },
                permit = self.credit.clone().acquire_owned(), if credit.is_none() => credit = permit.ok(),
                read = reader.read_buf(&mut buffer), if credit.is_some() && !stalled => match read {
                    Ok(0) => return Some(None),
                    Ok(_) if says_little(&buffer) => {}
                    Ok(_) => {
                        let Some(permit) = credit.take() else { continue };
                        let received = Received { bytes: buffer.split().freeze(), _credit: permit };
                        self.engine.send(Message::SwitchBytes(received)).ok()?;
                    }
                    Err(error) => return Some(Some(error.to_string())),
                },
            }
        }
    }
}

/// Whether these are only answers about a bundle. More is sure to come, for behind each bundle there is a barrier; until then nobody needs to wake. A
/// busy switch sends each of its answers by itself.
fn says_little(mut bytes: &[u8]) -> bool {
    while let Some(header) = Header::peek(bytes) {
        if header.message_type != MessageType::BUNDLE_CONTROL.0 {
            return false;
        }
        let Some(rest) = bytes.get(usize::from(header.length.get()).max(Header::SIZE)..) else { return false };
        bytes = rest;
    }
    bytes.is_empty()
}

fn advance(unwritten: &mut VecDeque<Bytes>, count: usize) {
    if let Some(front) = unwritten.front_mut() {
        front.advance(count.min(front.len()));
        if front.is_empty() {
            unwritten.pop_front();
        }
    }
}

async fn open(target: &Target, settings: &TlsSettings) -> io::Result<Box<dyn Socket>> {
    let note = |text| log(Level::Info, "stream_ssl", text);
    Ok(match target {
        Target::Unix(path) => Box::new(UnixStream::connect(path).await?),
        Target::Tcp { host, port } => Box::new(tcp(host, *port).await?),
        Target::Ssl { host, port } => {
            tokio::time::timeout(HANDSHAKE, tls::connect(settings, host, *port, note)).await??
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ofproto_client::message::{BundleCommand, BundleControl, BundleFlags, Message, Xid};

    #[test]
    fn an_answer_about_a_bundle_waits_for_what_follows() {
        let mut bytes = BytesMut::new();
        assert!(says_little(&bytes));
        for command in [BundleCommand::OpenReply, BundleCommand::CommitReply] {
            let control = BundleControl { bundle_id: 1, command, flags: BundleFlags::ATOMIC_ORDERED };
            Message::BundleControl(control).encode(Xid(1), &mut bytes).unwrap();
            assert!(says_little(&bytes));
        }
        // Of a message that has only begun nobody knows what it says.
        assert!(!says_little(&bytes[..bytes.len() - 1]) && !says_little(&bytes[..4]));
        Message::BarrierReply.encode(Xid(2), &mut bytes).unwrap();
        assert!(!says_little(&bytes));
    }
}
