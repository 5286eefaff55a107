//! What a session tells its user: [`Event`].

use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

use crate::condition::Lacking;
use crate::frame::FrameError;
use crate::rpc::{Payload, RemoteError, RpcError};
use crate::schema::{Schema, SchemaError};
use crate::tables::decode::UpdateFormat;
use crate::transaction::{Outcome, ReplyError};
use crate::value::Uuid;

use super::Unfit;

/// The user's name for a transaction, unique among those outstanding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TransactionId(pub u64);

/// The notation of row updates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UpdateVersion {
    /// `<table-updates>`, rows with `old` and `new`: `monitor` and `update` (RFC 7047 sections 4.1.5 and 4.1.6).
    V1,
    /// `<table-updates2>`, rows with `initial`, `insert`, `modify` or `delete`: `monitor_cond` and `update2`
    /// (ovsdb-server(7)).
    V2,
    /// As V2, with the id of the last transaction: `monitor_cond_since` and `update3` (ovsdb-server(7)).
    V3,
}

impl UpdateVersion {
    /// The notation of the payload, for [`crate::tables::decode::decode`].
    pub fn format(self) -> UpdateFormat {
        match self {
            UpdateVersion::V1 => UpdateFormat::V1,
            UpdateVersion::V2 | UpdateVersion::V3 => UpdateFormat::V2,
        }
    }
}

/// Something happened. Data comes in the server's order: the update that a transaction of ours causes precedes its
/// [`Event::TransactionReply`], the one that a change of conditions causes precedes its [`Event::ConditionsAcked`].
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The server has the database; transactions are possible, data follows.
    Connected {
        /// The server's schema.
        schema: Arc<Schema>,
        /// What we would monitor and the server has not: its tables are empty and its columns have their default.
        lacking: Vec<Lacking>,
    },
    /// The answer to the monitor request.
    InitialData {
        /// `<table-updates>` for V1, `<table-updates2>` otherwise.
        payload: Payload,
        /// The notation, and with it the method that the server knew.
        version: UpdateVersion,
        /// True: the payload has the changes since the data held. False: the payload has everything that is to be held.
        found: bool,
        /// The database's state after the payload, if the server names it.
        last_txn_id: Option<Uuid>,
    },
    /// A change.
    Update {
        /// `<table-updates>` for V1, `<table-updates2>` otherwise.
        payload: Payload,
        /// The notation.
        version: UpdateVersion,
        /// The database's state after the payload, if the server names it.
        last_txn_id: Option<Uuid>,
    },
    /// The data delivered so far is under these conditions or later ones.
    ConditionsAcked {
        /// As given to [`super::Session::set_conditions`].
        sequence: u64,
    },
    /// What became of a transaction; exactly one for each.
    TransactionReply {
        /// As given to [`super::Session::transact`].
        id: TransactionId,
        /// Results, error or loss.
        outcome: Outcome,
    },
    /// The connection is over. The data held stays valid as of then; the next [`Event::InitialData`] continues it.
    Disconnected {
        /// The cause.
        why: Disconnect,
    },
    /// A connection stands, nothing has been said on it; from `transport` only.
    SocketConnected {
        /// Where to, as configured.
        remote: String,
    },
    /// No connection could be made; from `transport` only.
    Unreachable {
        /// What was tried, as configured.
        remote: String,
        /// Why it failed.
        error: String,
        /// How long until the next attempt.
        retry: Duration,
    },
    /// Something worth saying about the making of a connection; from `transport` only.
    Note(String),
    /// Something is wrong that does not end the connection.
    Error(SessionError),
}

/// Why a connection ended.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Disconnect {
    /// The server closed it.
    #[error("connection closed by server")]
    Closed,
    /// Reading or writing failed.
    #[error("{0}")]
    Io(String),
    /// The server was silent.
    #[error("no response to inactivity probe after {} seconds, disconnecting", .0.as_secs_f64())]
    Silent(Duration),
    /// What was received is no sequence of messages.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// A message is not as it must be.
    #[error(transparent)]
    Rpc(#[from] RpcError),
    /// The schema cannot be read.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// The answer to a transaction cannot be read.
    #[error(transparent)]
    Reply(#[from] ReplyError),
    /// The server refused something without which the session is of no use.
    #[error("{database}: {method} refused: {error}")]
    Refused {
        /// The database's name.
        database: String,
        /// What was asked.
        method: &'static str,
        /// The server's answer.
        error: RemoteError,
    },
    /// The server is not part of its cluster, or behind.
    #[error(transparent)]
    Unfit(#[from] Unfit),
    /// We wanted it.
    #[error("disconnected on request")]
    Requested,
}

/// Something wrong in a session that goes on.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SessionError {
    /// The server did not take conditions. In an initial request they are then left out, and every row is delivered;
    /// later on, the former ones stay and no acknowledgement comes.
    #[error("{database}: monitor conditions (sequence {sequence}) refused: {error}")]
    ConditionsRefused {
        /// The database's name.
        database: String,
        /// As given to [`super::Session::set_conditions`].
        sequence: u64,
        /// The server's answer.
        error: RemoteError,
    },
    /// A message that nothing asked for; it is passed over.
    #[error("{database}: unexpected {what}")]
    Unexpected {
        /// The database's name.
        database: String,
        /// The message.
        what: String,
    },
}
