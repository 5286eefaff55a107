//! Why a connection ended: [`ConnectionError`].

use std::fmt::Write as _;
use std::time::Duration;

use bytes::Bytes;
use thiserror::Error;

use crate::message::{DecodeError, MessageType, SwitchError, Versions};

/// Why a connection ended.
#[derive(Clone, Debug, Eq, PartialEq, Error)]
pub enum ConnectionError {
    /// The bridge's `protocols` do not include OpenFlow 1.5.
    #[error("switch offers {offered}; needs OpenFlow15: ovs-vsctl set bridge {bridge} protocols=OpenFlow15")]
    VersionMismatch {
        /// What the switch offers.
        offered: Versions,
        /// The bridge.
        bridge: String,
    },
    /// The switch answered the hello with an error.
    #[error("switch refused the connection: {0}")]
    Refused(SwitchError),
    /// The stream does not start as OpenFlow does.
    #[error("peer does not speak OpenFlow: its first bytes are {}", show(start))]
    NotOpenFlow {
        /// The first bytes, 16 at most.
        start: Bytes,
    },
    /// OpenFlow, but no hello first.
    #[error("switch sent {message_type} where OFPT_HELLO is due")]
    HelloExpected {
        /// What came.
        message_type: MessageType,
    },
    /// A malformed hello.
    #[error("bad OFPT_HELLO: {0}")]
    BadHello(DecodeError),
    /// A header in the middle of the stream that cannot be true; there is no way to find the next message.
    #[error("stream out of step: no OpenFlow 1.5 message starts with {}", show(start))]
    BadHeader {
        /// The bytes, 16 at most.
        start: Bytes,
    },
    /// No hello in time.
    #[error("no OFPT_HELLO from the switch within {} ms", .0.as_millis())]
    NoHello(Duration),
    /// Nothing from the switch, not even an answer to the probe.
    #[error("no response to inactivity probe after {} ms", .0.as_millis())]
    Inactive(Duration),
    /// The switch closed the connection before its hello.
    #[error("switch closed the connection before its OFPT_HELLO")]
    ClosedInHandshake,
    /// The switch closed the connection.
    #[error("connection closed by peer")]
    ClosedByPeer,
    /// The socket failed.
    #[error("{0}")]
    Socket(String),
}

/// Bytes in hexadecimal, and as text if they are printable.
fn show(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in bytes {
        let _ = write!(text, "{byte:02x} ");
    }
    text.pop();
    if !bytes.is_empty() && bytes.iter().all(|&b| matches!(b, b' '..=b'~' | b'\r' | b'\n' | b'\t')) {
        let _ = write!(text, " ({:?})", String::from_utf8_lossy(bytes));
    }
    text
}
