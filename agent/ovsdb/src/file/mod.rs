//! Reading a database from bytes: [`load`] recognises the format and gives a filled replica ([`Loaded`]).
//!
//! Formats: the output of `ovsdb-client -f json dump` (pretty or not), a standalone database file and the output of `ovsdb-client backup`
//! (`OVSDB JSON` records), and a clustered database file (`OVSDB CLUSTER` records). Nothing here opens files; the caller gives the bytes and a
//! label for messages.

mod cluster;
mod dump;
mod log;
#[cfg(test)]
mod tests;
mod transaction;

use std::fmt;

use crate::json::JsonError;
use crate::tables::decode::Strings;
use crate::tables::{Database, RowError};

/// How the bytes were laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `ovsdb-client -f json dump`.
    Dump,
    /// A standalone database file or a backup: a log of transactions.
    Standalone,
    /// A clustered database file: a raft log.
    Cluster,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dump => "ovsdb-client JSON dump",
            Self::Standalone => "standalone OVSDB file",
            Self::Cluster => "clustered OVSDB file",
        })
    }
}

/// A database that was read.
#[derive(Debug)]
pub struct Loaded<D> {
    /// The rows.
    pub database: D,
    /// The format in which they came.
    pub format: Format,
    /// Rows that are not in `database` because of a bad value.
    pub rejected: Vec<Rejected>,
    /// Raft log entries behind the recorded commit index, which were left out. Zero in other formats.
    pub uncommitted: usize,
}

/// A row that was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{label}: byte {offset}: {error}")]
pub struct Rejected {
    /// The label given to [`load`].
    pub label: String,
    /// Where the row starts.
    pub offset: usize,
    /// Which row, and why.
    pub error: RowError,
}

/// Why nothing could be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{label}: {}{problem}", .offset.map(|offset| format!("byte {offset}: ")).unwrap_or_default())]
pub struct FileError {
    /// The label given to [`load`].
    pub label: String,
    /// Where, if at a certain place.
    pub offset: Option<usize>,
    /// What is wrong.
    pub problem: Problem,
}

/// What can be wrong with a database file as a whole.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// There are no bytes.
    #[error("the file is empty")]
    Empty,
    /// The bytes are something else.
    #[error("not an OVSDB database{}; expected a database file, an `ovsdb-client backup` or an `ovsdb-client -f json dump`", .0.map(|guess| format!(" (it looks like {guess})")).unwrap_or_default())]
    UnknownFormat(Option<&'static str>),
    /// It is a database of another schema.
    #[error("the database is {found}, not {expected}")]
    WrongDatabase {
        /// The schema's name, or the tables that were found.
        found: String,
        /// The database asked for.
        expected: &'static str,
    },
    /// The end is missing.
    #[error("truncated: {0}")]
    Truncated(String),
    /// The contents contradict themselves.
    #[error("corrupt: {0}")]
    Corrupt(String),
    /// A clustered database file of a server that has not joined yet.
    #[error("the server of this clustered database has not joined its cluster yet, so the file holds no data")]
    NotJoined,
}

/// Reads a database from `bytes`; `label` (usually the file's name) goes into messages.
///
/// # Errors
/// When the bytes are no database of `D`, or not all of one. A bad row is no error, see [`Loaded::rejected`].
pub fn load<D: Database>(label: &str, bytes: &[u8]) -> Result<Loaded<D>, FileError> {
    let fail = |offset, problem| FileError { label: label.to_owned(), offset, problem };
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let problem = match foreign(bytes) {
            Some(guess) => Problem::UnknownFormat(Some(guess)),
            None if error.error_len().is_none() => Problem::Truncated("the last character is incomplete".to_owned()),
            None => Problem::Corrupt("not UTF-8".to_owned()),
        };
        fail(Some(error.valid_up_to()), problem)
    })?;
    let mut input = Input { label, text, strings: Strings::shared(), rejected: Vec::new() };
    let start = text.trim_start_matches('\u{feff}').trim_start();
    let (format, database, uncommitted) = if start.is_empty() {
        return Err(fail(None, Problem::Empty));
    } else if start.starts_with("OVSDB JSON ") {
        (Format::Standalone, log::load(&mut input)?, 0)
    } else if start.starts_with("OVSDB CLUSTER ") {
        let (database, uncommitted) = cluster::load(&mut input)?;
        (Format::Cluster, database, uncommitted)
    } else if start.starts_with('{') {
        (Format::Dump, dump::load(&mut input, text.len() - start.len())?, 0)
    } else {
        return Err(fail(None, Problem::UnknownFormat(foreign(bytes))));
    };
    Ok(Loaded { database, format, rejected: input.rejected, uncommitted })
}

/// What the bytes probably are instead.
fn foreign(bytes: &[u8]) -> Option<&'static str> {
    const MAGIC: [(&[u8], &str); 7] = [
        (b"\x1f\x8b", "gzip; unpack it first"),
        (b"\xfd7zXZ", "xz; unpack it first"),
        (b"\x28\xb5\x2f\xfd", "zstd; unpack it first"),
        (b"BZh", "bzip2; unpack it first"),
        (b"OVSDB", "an OVSDB log of an unknown kind"),
        (b"[", "a JSON array"),
        (b"\x7fELF", "a program"),
    ];
    let table_dump = || {
        let first = bytes.split(|&byte| byte == b'\n').find(|line| !line.is_empty());
        first.is_some_and(|line| line.ends_with(b" table")).then_some("an `ovsdb-client dump` without `-f json`")
    };
    MAGIC.iter().find(|(magic, _)| bytes.starts_with(magic)).map(|&(_, name)| name).or_else(table_dump)
}

/// What all formats work on.
struct Input<'a> {
    label: &'a str,
    text: &'a str,
    strings: Strings,
    rejected: Vec<Rejected>,
}

impl Input<'_> {
    fn fail(&self, offset: usize, problem: Problem) -> FileError {
        FileError { label: self.label.to_owned(), offset: Some(offset), problem }
    }

    /// Where in the file `part` is, which must be cut from it.
    fn offset_of(&self, part: &str) -> usize {
        (part.as_ptr() as usize).wrapping_sub(self.text.as_ptr() as usize)
    }

    /// An error of reading `part`, a piece of the file.
    fn json_error(&self, part: &str, error: &JsonError) -> FileError {
        let message = error.to_string();
        let problem = if error.is_eof() { Problem::Truncated(message) } else { Problem::Corrupt(message) };
        self.fail(self.offset_of(part) + error.at(), problem)
    }
}
