//! A [`Connection`] over a tokio socket (feature `tokio`): [`connect`] and [`Link`], and for tools and tests, which do one
//! thing after the other, [`Link::multipart`], [`Link::outcome`] and [`Link::barrier`].
//!
//! This is the thin end: a program with an event loop of its own drives [`Connection`] itself.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::{Duration, Instant};

use bytes::{Buf, BytesMut};
use thiserror::Error;
use tokio::io::{Interest, Ready};
use tokio::net::{TcpStream, UnixStream};

use crate::connection::{BundleOutcome, BundleWatch, BundleXids, Config, Connection, ConnectionError, Event, Time};
use crate::message::{
    DecodeError, EncodeError, Message, MultipartReplyBody, MultipartRequest, Reassembly, SwitchError,
};

/// Where a switch listens, in Open vSwitch's notation.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Target {
    /// `unix:PATH`, such as `unix:/run/openvswitch/br-int.mgmt`.
    Unix(PathBuf),
    /// `tcp:HOST[:PORT]`, IPv6 addresses in brackets; port 6653 by default.
    Tcp {
        /// Host name or address, without brackets.
        host: String,
        /// TCP port.
        port: u16,
    },
    /// `ssl:HOST[:PORT]`, the same with TLS, which [`connect`] does not speak: a program with keys brings its own.
    Ssl {
        /// Host name or address, without brackets.
        host: String,
        /// TCP port.
        port: u16,
    },
}

/// A target that cannot be understood.
#[derive(Clone, Debug, Eq, PartialEq, Error)]
#[error("{0:?} is no OpenFlow target: unix:PATH, tcp:HOST[:PORT] or ssl:HOST[:PORT] wanted")]
pub struct BadTarget(pub String);

/// The IANA port of OpenFlow.
const DEFAULT_PORT: u16 = 6653;

impl FromStr for Target {
    type Err = BadTarget;

    fn from_str(text: &str) -> Result<Target, BadTarget> {
        let bad = || BadTarget(text.to_owned());
        if let Some(path) = text.strip_prefix("unix:").filter(|path| !path.is_empty()) {
            return Ok(Target::Unix(path.into()));
        }
        let (tls, address) = match text.split_once(':') {
            Some(("tcp", address)) => (false, address),
            Some(("ssl", address)) => (true, address),
            _ => return Err(bad()),
        };
        let (host, port) = match address.strip_prefix('[') {
            Some(rest) => rest.split_once(']').ok_or_else(bad)?,
            None => address.split_at(address.find(':').unwrap_or(address.len())),
        };
        let port = match port.strip_prefix(':') {
            Some(port) => port.parse().map_err(|_| bad())?,
            None if port.is_empty() => DEFAULT_PORT,
            None => return Err(bad()),
        };
        let named = host.to_owned();
        match (host, tls) {
            ("", _) => Err(bad()),
            (_, false) => Ok(Target::Tcp { host: named, port }),
            (_, true) => Ok(Target::Ssl { host: named, port }),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (method, host, port) = match self {
            Target::Unix(path) => return write!(f, "unix:{}", path.display()),
            Target::Tcp { host, port } => ("tcp", host, port),
            Target::Ssl { host, port } => ("ssl", host, port),
        };
        if host.contains(':') { write!(f, "{method}:[{host}]:{port}") } else { write!(f, "{method}:{host}:{port}") }
    }
}

/// Connects to a switch. The handshake is done by [`Link::event`].
pub async fn connect(target: &Target, config: Config) -> io::Result<Link> {
    let socket = match target {
        Target::Unix(path) => Socket::Unix(UnixStream::connect(path).await?),
        Target::Tcp { host, port } => {
            let stream = TcpStream::connect((host.as_str(), *port)).await?;
            stream.set_nodelay(true)?;
            Socket::Tcp(stream)
        }
        Target::Ssl { .. } => return Err(io::Error::new(io::ErrorKind::Unsupported, "TLS is not spoken here")),
    };
    let epoch = Instant::now();
    Ok(Link {
        socket,
        connection: Connection::new(Time(0), config),
        epoch,
        outgoing: BytesMut::new(),
        chunk: vec![0; READ_CHUNK].into(),
        earlier: VecDeque::new(),
        closed: None,
    })
}

/// A [`Connection`] and its socket.
#[derive(Debug)]
pub struct Link {
    socket: Socket,
    connection: Connection,
    epoch: Instant,
    /// Bytes taken from the connection that the socket has not.
    outgoing: BytesMut,
    chunk: Box<[u8]>,
    /// Events that came while another was waited for.
    earlier: VecDeque<Event>,
    closed: Option<ConnectionError>,
}

/// Why a request has no answer.
#[derive(Clone, Debug, Eq, PartialEq, Error)]
pub enum RequestError {
    /// The connection ended.
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    /// The switch refused the request.
    #[error("request refused: {0}")]
    Refused(SwitchError),
    /// The reply cannot be decoded.
    #[error(transparent)]
    Reply(#[from] DecodeError),
    /// The request cannot be encoded.
    #[error(transparent)]
    Request(#[from] EncodeError),
}

#[derive(Debug)]
enum Socket {
    Unix(UnixStream),
    Tcp(TcpStream),
}

/// Large enough for a whole message, so that long replies are decoded without being put together first.
const READ_CHUNK: usize = 128 << 10;

impl Link {
    /// The connection, to send on. What is queued is sent by [`Link::event`].
    pub fn connection(&mut self) -> &mut Connection {
        &mut self.connection
    }

    /// Sends, receives and waits until there is an event. The end of the connection is an error, every time. Safe to cancel.
    pub async fn event(&mut self) -> Result<Event, ConnectionError> {
        match self.earlier.pop_front() {
            Some(event) => Ok(event),
            None => self.new_event().await,
        }
    }

    /// Sends a multipart request and waits for the whole reply. Other events are kept for [`Link::event`]. A caller with much
    /// to read, such as a million flows, takes the parts from [`Link::event`] instead.
    pub async fn multipart(&mut self, request: MultipartRequest) -> Result<MultipartReplyBody, RequestError> {
        let xid = self.connection.send(&Message::MultipartRequest(Box::new(request)))?;
        let mut reassembly = Reassembly::new(xid);
        loop {
            match self.new_event().await? {
                Event::Message { xid: of, message: Message::MultipartReply(part) } if of == xid => {
                    if let Some(body) = reassembly.push(*part)? {
                        return Ok(body);
                    }
                }
                Event::Error { xid: of, error } if of == xid => return Err(RequestError::Refused(error)),
                Event::Undecodable { xid: of, error, .. } if of == xid => return Err(error.into()),
                event => self.earlier.push_back(event),
            }
        }
    }

    /// Waits for the outcome of a bundle. Other events are kept for [`Link::event`].
    pub async fn outcome(&mut self, xids: BundleXids) -> Result<BundleOutcome, ConnectionError> {
        let mut watch = BundleWatch::new(xids.clone());
        loop {
            let event = self.new_event().await?;
            if let Some(outcome) = watch.handle(&event) {
                return Ok(outcome);
            }
            if !matches!(event, Event::Error { xid, .. } | Event::Message { xid, .. } if xids.part(xid).is_some()) {
                self.earlier.push_back(event);
            }
        }
    }

    /// Sends a barrier and waits until the switch has carried out everything sent before. Other events, so the errors of
    /// what was sent, are kept for [`Link::event`].
    pub async fn barrier(&mut self) -> Result<(), ConnectionError> {
        let barrier = self.connection.send_barrier();
        loop {
            match self.new_event().await? {
                Event::Message { xid, message: Message::BarrierReply } if xid == barrier => return Ok(()),
                event => self.earlier.push_back(event),
            }
        }
    }

    /// An event that came before and was kept while another was waited for, without waiting.
    pub fn earlier_event(&mut self) -> Option<Event> {
        self.earlier.pop_front()
    }

    async fn new_event(&mut self) -> Result<Event, ConnectionError> {
        if let Some(error) = &self.closed {
            return Err(error.clone());
        }
        loop {
            self.flush();
            match self.connection.poll_event() {
                Some(Event::Closed(error)) => {
                    self.closed = Some(error.clone());
                    return Err(error);
                }
                Some(event) => return Ok(event),
                None => self.wait().await,
            }
        }
    }

    /// Waits for the socket or the clock, and lets the connection handle what came.
    async fn wait(&mut self) {
        let interest =
            if self.outgoing.is_empty() { Interest::READABLE } else { Interest::READABLE | Interest::WRITABLE };
        let now = self.now();
        let delay = self.connection.poll_timeout().map(|at| Duration::from_millis(at.0.saturating_sub(now.0)));
        let ready = match delay {
            Some(delay) => tokio::time::timeout(delay, self.socket.ready(interest)).await,
            None => Ok(self.socket.ready(interest).await),
        };
        match ready {
            Err(_elapsed) => self.connection.handle_timeout(self.now()),
            Ok(Err(error)) => self.connection.handle_closed(Some(&error)),
            Ok(Ok(ready)) if ready.is_readable() || ready.is_read_closed() => self.read(),
            Ok(Ok(_)) => {}
        }
    }

    fn read(&mut self) {
        let now = self.now();
        match self.socket.try_read(&mut self.chunk) {
            Ok(0) => self.connection.handle_closed(None),
            Ok(n) => self.connection.handle_bytes(now, self.chunk.get(..n).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => self.connection.handle_closed(Some(&error)),
        }
    }

    /// Writes what the socket takes. What the peer has sent before it closed the socket is still to be read, so an error
    /// here is left to the next read.
    fn flush(&mut self) {
        self.connection.poll_transmit(&mut self.outgoing);
        while !self.outgoing.is_empty() {
            match self.socket.try_write(&self.outgoing) {
                Ok(n) => self.outgoing.advance(n),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => self.outgoing.clear(),
            }
        }
        // Gives the block back to the connection.
        self.outgoing = BytesMut::new();
    }

    fn now(&self) -> Time {
        Time(u64::try_from(self.epoch.elapsed().as_millis()).unwrap_or(u64::MAX))
    }
}

impl Socket {
    async fn ready(&self, interest: Interest) -> io::Result<Ready> {
        match self {
            Socket::Unix(stream) => stream.ready(interest).await,
            Socket::Tcp(stream) => stream.ready(interest).await,
        }
    }

    fn try_read(&self, chunk: &mut [u8]) -> io::Result<usize> {
        match self {
            Socket::Unix(stream) => stream.try_read(chunk),
            Socket::Tcp(stream) => stream.try_read(chunk),
        }
    }

    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Socket::Unix(stream) => stream.try_write(bytes),
            Socket::Tcp(stream) => stream.try_write(bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets() {
        let cases = [
            ("unix:/run/br-int.mgmt", Some("unix:/run/br-int.mgmt")),
            ("tcp:127.0.0.1:6654", Some("tcp:127.0.0.1:6654")),
            ("tcp:switch", Some("tcp:switch:6653")),
            ("tcp:[::1]:99", Some("tcp:[::1]:99")),
            ("tcp:[::1]", Some("tcp:[::1]:6653")),
            ("tcp:[::1]x", None),
            ("tcp:[::1", None),
            ("tcp:", None),
            ("tcp:host:port", None),
            ("ssl:host:1", Some("ssl:host:1")),
            ("ssl:[::1]", Some("ssl:[::1]:6653")),
            ("ssl:", None),
            ("pssl:1", None),
            ("unix:", None),
        ];
        for (text, expected) in cases {
            let target = text.parse::<Target>().ok().map(|target| target.to_string());
            assert_eq!(target.as_deref(), expected, "{text}");
        }
    }
}
