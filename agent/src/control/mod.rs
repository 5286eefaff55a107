//! The control socket: Open vSwitch's "unixctl" (JSON-RPC 1.0 over a Unix stream socket), as `ovs-appctl` and `ovn-appctl`
//! speak it. [`Listener`] has the socket, [`Request`] is what reaches the engine, [`answer`] answers there.

mod commands;
mod dumps;
mod engine;
mod evpn;
mod server;

use std::sync::mpsc;
use tokio::sync::oneshot;

pub use commands::{Answer, OVN, answer, unknown, version};
pub use engine::table_nodes;
pub use server::Listener;

/// The text for the caller, or the error.
pub type Reply = Result<String, String>;

/// A command that needs the engine.
#[derive(Debug)]
pub struct Request {
    /// The command.
    pub command: String,
    /// Its arguments; their number was checked.
    pub arguments: Vec<String>,
    /// Where the answer goes.
    pub reply: oneshot::Sender<Replied>,
}

/// The engine's answer.
#[derive(Debug)]
pub struct Replied {
    /// What the caller is told.
    pub reply: Reply,
    /// Dropped once the caller has it, or is gone: the process does not end before.
    pub delivered: Option<mpsc::Sender<()>>,
}
