//! What can be wrong with bytes or text from outside. Entry type: [`enum@Error`].

use thiserror::Error;

/// Bytes or text that do not follow the protocol. Offsets and positions are in bytes, from the start of what was passed in.
#[derive(Clone, Debug, Error, Eq, PartialEq)]
pub enum Error {
    /// The bytes end inside a structure.
    #[error("{what} at offset {offset}: truncated")]
    Truncated {
        /// The structure or member.
        what: &'static str,
        /// Where it starts.
        offset: usize,
    },
    /// A structure that Open vSwitch would not send or not accept.
    #[error("{what} at offset {offset}: {detail}")]
    Invalid {
        /// The structure or member.
        what: &'static str,
        /// Where it starts.
        offset: usize,
        /// What is wrong with it.
        detail: String,
    },
    /// Text that is not in the `ovs-ofctl` syntax.
    #[error("{what} at position {position}: {detail} (at \"{token}\")")]
    Text {
        /// What was being read.
        what: &'static str,
        /// Where the offending token starts.
        position: usize,
        /// The offending token.
        token: String,
        /// What is wrong with it.
        detail: String,
    },
}
