//! An OpenFlow connection without I/O: [`Connection`].
//!
//! The owner moves bytes and time: received bytes go into [`Connection::handle_bytes`], bytes to send come out of
//! [`Connection::poll_transmit`], [`Connection::poll_timeout`] says when to call [`Connection::handle_timeout`], and what
//! happened comes out of [`Connection::poll_event`]. A `Connection` lives as long as one socket; [`Backoff`] says how long
//! to wait before the next. [`Bundle`] writes an atomic bundle. The `transport` module (feature `tokio`) is such an owner.

mod backoff;
mod bundle;
mod error;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::mem;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};

pub use backoff::Backoff;
pub use bundle::{Bundle, BundleOutcome, BundlePart, BundleWatch, BundleXids, PausedBundle};
pub use error::ConnectionError;

use crate::message::{
    DecodeError, EncodeError, ErrorCode, Header, Hello, Message, MessageType, OFP15_VERSION, SwitchError, Versions, Xid,
};

/// A point in time: milliseconds since any fixed point that the owner chooses.
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub struct Time(pub u64);

impl Time {
    fn after(self, delay: Duration) -> Time {
        Time(self.0.saturating_add(u64::try_from(delay.as_millis()).unwrap_or(u64::MAX)))
    }
}

/// Settings of a [`Connection`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Config {
    /// The bridge's name, for error messages.
    pub bridge: String,
    /// After this long without a byte from the switch an echo request is sent, and after as long again the connection is
    /// given up. `None`: no probing, OVN's default (`ovn-bridge-remote-probe-interval` 0). A bundle that is being committed gives the
    /// switch more time, [`COMMIT_PATIENCE`] for each message.
    pub probe_interval: Option<Duration>,
    /// How long the switch may take for its hello.
    pub handshake_timeout: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Config { bridge: "br-int".to_owned(), probe_interval: None, handshake_timeout: Duration::from_secs(10) }
    }
}

/// What happened on a [`Connection`], in order.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Event {
    /// The handshake is done. Always the first event, except for [`Event::Closed`].
    Connected {
        /// The versions the switch offered.
        offered: Versions,
    },
    /// A message arrived. Parts of multipart replies come one by one, see [`crate::message::Reassembly`].
    Message {
        /// Of the request if this is a reply.
        xid: Xid,
        /// The message.
        message: Message,
    },
    /// The switch refused a message.
    Error {
        /// Of the message that was refused. Messages of a bundle have xids of their own, see [`BundleXids`].
        xid: Xid,
        /// Why.
        error: SwitchError,
    },
    /// A message that could not be decoded was skipped. The connection goes on.
    Undecodable {
        /// Its xid.
        xid: Xid,
        /// Its type.
        message_type: MessageType,
        /// What is wrong with it.
        error: DecodeError,
    },
    /// The connection is over. Always the last event.
    Closed(ConnectionError),
}

/// One OpenFlow 1.5 connection, from hello to the end. See the module.
#[derive(Debug)]
pub struct Connection {
    config: Config,
    phase: Phase,
    /// Start of a message whose end has not arrived.
    rx: BytesMut,
    tx: BytesMut,
    events: VecDeque<Event>,
    next_xid: u32,
    next_bundle_id: u32,
    probe: Probe,
    flight: Flight,
}

#[derive(Copy, Clone, Debug, Eq, PartialEq)]
enum Phase {
    AwaitHello { deadline: Time },
    Ready,
    Closed,
}

#[derive(Copy, Clone, Debug)]
struct Probe {
    last_received: Time,
    /// When the last echo request was sent, if nothing has come since.
    waiting_since: Option<Time>,
    /// Its xid: the owner does not see the reply.
    xid: Option<Xid>,
}

/// How many bytes the switch has not confirmed.
#[derive(Debug, Default)]
struct Flight {
    sent: u64,
    confirmed: u64,
    /// Barriers without reply, and the value of `sent` after each.
    barriers: VecDeque<(Xid, u64)>,
    /// Commits of bundles without reply, and the number of messages of each.
    commits: VecDeque<(Xid, u32)>,
}

/// What a switch may need to commit one message of a bundle, with a wide margin. Open vSwitch answers nothing meanwhile, echo requests included.
pub const COMMIT_PATIENCE: Duration = Duration::from_micros(200);

/// Bytes of the transmit buffer, which is used again and again unless it had to grow: a large one would keep its memory for good. Who queues many messages
/// and pauses a little earlier (see [`Bundle::bytes_queued`]) has no others allocated.
pub const KEPT_CAPACITY: usize = 64 << 10;

impl Connection {
    /// A connection over a socket that has just been connected. The hello is ready to be transmitted.
    pub fn new(now: Time, config: Config) -> Connection {
        let mut connection = Connection {
            phase: Phase::AwaitHello { deadline: now.after(config.handshake_timeout) },
            config,
            rx: BytesMut::new(),
            tx: BytesMut::with_capacity(KEPT_CAPACITY),
            events: VecDeque::new(),
            next_xid: 1,
            next_bundle_id: 0,
            probe: Probe { last_received: now, waiting_since: None, xid: None },
            flight: Flight::default(),
        };
        connection.queue_small(Message::Hello(Hello { versions: Some(Versions::OFP15) }));
        connection.flight.confirmed = connection.flight.sent;
        connection
    }

    /// Takes bytes from the socket. Poll the events afterwards.
    pub fn handle_bytes(&mut self, now: Time, bytes: &[u8]) {
        if self.phase == Phase::Closed {
            return;
        }
        if !bytes.is_empty() {
            self.probe.last_received = now;
            self.probe.waiting_since = None;
        }
        // Whole messages are decoded from the caller's buffer; only an unfinished one is copied.
        if self.rx.is_empty() {
            let used = self.handle_messages(bytes);
            self.rx.extend_from_slice(bytes.get(used..).unwrap_or_default());
        } else {
            self.rx.extend_from_slice(bytes);
            let mut rx = mem::take(&mut self.rx);
            let used = self.handle_messages(&rx);
            rx.advance(used.min(rx.len()));
            self.rx = rx;
        }
    }

    /// The peer closed the socket, or it failed with `error`.
    pub fn handle_closed(&mut self, error: Option<&std::io::Error>) {
        let in_handshake = matches!(self.phase, Phase::AwaitHello { .. });
        self.close(match error {
            Some(error) => ConnectionError::Socket(error.to_string()),
            None if in_handshake => ConnectionError::ClosedInHandshake,
            None => ConnectionError::ClosedByPeer,
        });
    }

    /// To be called when [`Connection::poll_timeout`] has come; harmless at other times.
    pub fn handle_timeout(&mut self, now: Time) {
        if self.poll_timeout().is_none_or(|at| now < at) {
            return;
        }
        match (self.phase, self.probe.waiting_since) {
            (Phase::AwaitHello { .. }, _) => self.close(ConnectionError::NoHello(self.config.handshake_timeout)),
            (Phase::Ready, None) => {
                let xid = self.queue_small(Message::EchoRequest(Bytes::new()));
                self.probe.waiting_since = Some(now);
                self.probe.xid = Some(xid);
            }
            (Phase::Ready, Some(_)) => {
                let idle = Duration::from_millis(now.0.saturating_sub(self.probe.last_received.0));
                self.close(ConnectionError::Inactive(idle));
            }
            (Phase::Closed, _) => {}
        }
    }

    /// Changes [`Config::probe_interval`], from now on.
    pub fn set_probe_interval(&mut self, interval: Option<Duration>) {
        self.config.probe_interval = interval;
    }

    /// When to call [`Connection::handle_timeout`], if ever.
    pub fn poll_timeout(&self) -> Option<Time> {
        match self.phase {
            Phase::AwaitHello { deadline } => Some(deadline),
            Phase::Ready => {
                let since = self.probe.waiting_since.unwrap_or(self.probe.last_received);
                self.config.probe_interval.map(|interval| since.after(interval + self.flight.patience()))
            }
            Phase::Closed => None,
        }
    }

    /// The next event, oldest first.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Moves all bytes to send to the end of `out` and says how many there were. An empty `out` costs no copy.
    pub fn poll_transmit(&mut self, out: &mut BytesMut) -> usize {
        let moved = self.tx.len();
        if out.is_empty() {
            // What is split off shares the block, which is whole again when the bytes are gone.
            let small = moved <= KEPT_CAPACITY;
            *out = if small {
                self.tx.split()
            } else {
                mem::replace(&mut self.tx, BytesMut::with_capacity(KEPT_CAPACITY))
            };
        } else {
            out.extend_from_slice(&self.tx);
            self.tx.clear();
        }
        moved
    }

    /// Queues a message and says its xid. Possible before the handshake is done. After the end nothing is sent.
    pub fn send(&mut self, message: &Message) -> Result<Xid, EncodeError> {
        let xid = self.queue(|xid, out| message.encode(xid, out))?;
        if *message == Message::BarrierRequest {
            self.flight.barriers.push_back((xid, self.flight.sent));
        }
        Ok(xid)
    }

    /// Queues a barrier request and says its xid, which the reply will have. When it comes everything sent before has been
    /// carried out, and no longer counts in [`Connection::bytes_in_flight`].
    pub fn send_barrier(&mut self) -> Xid {
        let xid = self.queue_small(Message::BarrierRequest);
        self.flight.barriers.push_back((xid, self.flight.sent));
        xid
    }

    /// Starts an ordered atomic bundle. Nothing is sent before its first message; dropped without a commit it is discarded.
    pub fn bundle(&mut self) -> Bundle<'_> {
        Bundle::new(self)
    }

    /// Bytes queued here that [`Connection::poll_transmit`] has not taken.
    pub fn bytes_queued(&self) -> usize {
        self.tx.len()
    }

    /// Bytes sent or queued since the last barrier that the switch has answered: the figure to hold back by.
    pub fn bytes_in_flight(&self) -> u64 {
        self.flight.sent - self.flight.confirmed
    }

    /// True between [`Event::Connected`] and [`Event::Closed`].
    pub fn is_ready(&self) -> bool {
        self.phase == Phase::Ready
    }

    /// True once the connection is over; what [`Connection::poll_transmit`] still has may be sent before the socket is
    /// closed.
    pub fn is_closed(&self) -> bool {
        self.phase == Phase::Closed
    }

    /// Encodes one message into the transmit buffer with the next xid, which is used up only if that works.
    fn queue(
        &mut self,
        encode: impl FnOnce(Xid, &mut BytesMut) -> Result<(), EncodeError>,
    ) -> Result<Xid, EncodeError> {
        let xid = Xid(self.next_xid);
        let before = self.tx.len();
        encode(xid, &mut self.tx)?;
        self.next_xid = self.next_xid.wrapping_add(1);
        if self.phase == Phase::Closed {
            self.tx.truncate(before);
        } else {
            self.flight.sent += (self.tx.len() - before) as u64;
        }
        Ok(xid)
    }

    /// Queues a message that is known to fit.
    fn queue_small(&mut self, message: Message) -> Xid {
        let xid = Xid(self.next_xid);
        let result = self.queue(|xid, out| message.encode(xid, out));
        debug_assert!(result.is_ok(), "a message of fixed size fits");
        xid
    }

    fn reply(&mut self, xid: Xid, message: &Message) {
        let before = self.tx.len();
        // A message that echoes one we received is no longer than that.
        let _ = message.encode(xid, &mut self.tx);
        self.flight.sent += (self.tx.len() - before) as u64;
    }

    fn close(&mut self, error: ConnectionError) {
        if self.phase != Phase::Closed {
            self.phase = Phase::Closed;
            self.rx = BytesMut::new();
            self.events.push_back(Event::Closed(error));
        }
    }

    /// Handles all whole messages at the start of `bytes` and says how many bytes they have.
    fn handle_messages(&mut self, bytes: &[u8]) -> usize {
        let mut rest = bytes;
        while self.phase != Phase::Closed {
            if let Err(error) = self.check_start(rest) {
                self.close(error);
                break;
            }
            let Some(header) = Header::peek(rest) else { break };
            let Some((message, after)) = rest.split_at_checked(usize::from(header.length.get())) else { break };
            rest = after;
            self.handle_message(header, message);
        }
        bytes.len() - rest.len()
    }

    /// Refuses a stream that is not OpenFlow as early as that can be seen.
    fn check_start(&self, bytes: &[u8]) -> Result<(), ConnectionError> {
        let Some(&version) = bytes.first() else { return Ok(()) };
        let plausible = match self.phase {
            // A later version than any there is may come, but not one that far away.
            Phase::AwaitHello { .. } => (1..=0x10).contains(&version),
            _ => version == OFP15_VERSION,
        };
        let length = Header::peek(bytes).map(|header| usize::from(header.length.get()));
        if plausible && length.is_none_or(|length| length >= Header::SIZE) {
            return Ok(());
        }
        let start = Bytes::copy_from_slice(bytes.get(..16).unwrap_or(bytes));
        Err(match self.phase {
            Phase::AwaitHello { .. } => ConnectionError::NotOpenFlow { start },
            _ => ConnectionError::BadHeader { start },
        })
    }

    fn handle_message(&mut self, header: Header, bytes: &[u8]) {
        let xid = Xid(header.xid.get());
        let message_type = MessageType(header.message_type);
        match (self.phase, Message::decode(bytes)) {
            (Phase::AwaitHello { .. }, Ok((_, Message::Hello(hello)))) => self.handle_hello(header.version, hello, xid),
            (Phase::AwaitHello { .. }, Ok((_, Message::Error(error)))) => self.close(ConnectionError::Refused(error)),
            (Phase::AwaitHello { .. }, Ok(_)) => self.close(ConnectionError::HelloExpected { message_type }),
            (Phase::AwaitHello { .. }, Err(error)) => self.close(ConnectionError::BadHello(error)),
            (_, Err(error)) => self.events.push_back(Event::Undecodable { xid, message_type, error }),
            (_, Ok((_, message))) => self.handle_ready(xid, message),
        }
    }

    fn handle_hello(&mut self, header_version: u8, hello: Hello, xid: Xid) {
        let offered = hello.versions.unwrap_or(Versions::up_to(header_version));
        if offered.contains(OFP15_VERSION) {
            self.phase = Phase::Ready;
            self.events.push_back(Event::Connected { offered });
            return;
        }
        let error = ConnectionError::VersionMismatch { offered, bridge: self.config.bridge.clone() };
        // The specification asks for this error before the connection is closed; its text ends up in the switch's log.
        let data = Bytes::from(format!("{offered} offered, only OpenFlow 1.5 supported"));
        self.reply(xid, &Message::Error(SwitchError { code: ErrorCode::HELLO_INCOMPATIBLE, data }));
        self.close(error);
    }

    fn handle_ready(&mut self, xid: Xid, message: Message) {
        match message {
            Message::EchoRequest(data) => self.reply(xid, &Message::EchoReply(data)),
            Message::EchoReply(_) if self.probe.xid == Some(xid) => {}
            Message::Hello(_) => {}
            Message::Error(error) if error.code == ErrorCode::HELLO_INCOMPATIBLE => {
                self.close(ConnectionError::Refused(error));
            }
            Message::Error(error) => {
                self.flight.committed(xid);
                self.events.push_back(Event::Error { xid, error });
            }
            message => {
                match &message {
                    Message::BarrierReply => self.flight.confirm(xid),
                    Message::BundleControl(_) => self.flight.committed(xid),
                    _ => {}
                }
                self.events.push_back(Event::Message { xid, message });
            }
        }
    }
}

impl Flight {
    /// The switch has said what became of the bundle that was committed with this xid.
    fn committed(&mut self, commit: Xid) {
        if let Some(position) = self.commits.iter().position(|&(xid, _)| xid == commit) {
            self.commits.drain(..=position);
        }
    }

    /// How much longer than usual the switch may say nothing.
    fn patience(&self) -> Duration {
        self.commits.iter().map(|&(_, messages)| COMMIT_PATIENCE * messages).sum()
    }

    /// Barriers are answered in order, so one that is answered confirms all before it.
    fn confirm(&mut self, barrier: Xid) {
        let Some(position) = self.barriers.iter().position(|&(xid, _)| xid == barrier) else { return };
        if let Some((_, sent)) = self.barriers.drain(..=position).next_back() {
            self.confirmed = sent;
        }
    }
}
