//! Clustered database files: a header with a snapshot, then raft records, of which entries with data and the commit index matter here
//! (ovsdb(5), "Clustered Format").

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::log::{Records, check_schema};
use super::transaction::Replay;
use super::{FileError, Input, Problem};
use crate::tables::Database;

/// The header record.
#[derive(Deserialize)]
struct Header<'a> {
    #[serde(borrow)]
    name: &'a str,
    /// Schema and contents before the first entry; absent until the server has joined a cluster.
    #[serde(borrow)]
    prev_data: Option<&'a RawValue>,
    #[serde(default)]
    prev_index: u64,
}

/// Any later record, reduced to what matters.
#[derive(Deserialize)]
struct Record<'a> {
    index: Option<u64>,
    /// Schema or null, transaction or null.
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    commit_index: Option<u64>,
    /// Of a snapshot that the leader sent: it replaces everything.
    #[serde(borrow)]
    prev_data: Option<&'a RawValue>,
    prev_index: Option<u64>,
}

/// Reads the file; also says how many entries are not known to be committed and were left out.
pub(super) fn load<D: Database>(input: &mut Input<'_>) -> Result<(D, usize), FileError> {
    let mut records = Records::new(input.text, "CLUSTER");
    let header = records.next(input)?.unwrap_or("");
    let header: Header<'_> = serde_json::from_str(header).map_err(|error| input.json_error(header, &error))?;
    if header.name != D::NAME {
        let problem = Problem::WrongDatabase { found: header.name.to_owned(), expected: D::NAME };
        return Err(input.fail(0, problem));
    }
    let mut snapshot = header.prev_data.map(|data| (header.prev_index, data));
    let mut entries: BTreeMap<u64, &RawValue> = BTreeMap::new();
    let mut committed = None;
    while let Some(json) = records.next(input)? {
        let record: Record<'_> = serde_json::from_str(json).map_err(|error| input.json_error(json, &error))?;
        committed = record.commit_index.max(committed);
        if let Some(data) = record.prev_data {
            snapshot = Some((record.prev_index.unwrap_or(0), data));
            entries.clear();
        }
        if let Some(index) = record.index {
            // A new leader's entry takes the place of uncommitted ones at and behind its index.
            entries.split_off(&index);
            entries.extend(record.data.map(|data| (index, data)));
        }
    }
    let Some((start, snapshot)) = snapshot else { return Err(input.fail(0, Problem::NotJoined)) };
    let mut replay = Replay::default();
    apply(input, &mut replay, snapshot)?;
    let end = committed.unwrap_or(u64::MAX).max(start);
    let uncommitted = entries.split_off(&end.saturating_add(1)).len();
    for data in entries.into_values() {
        apply(input, &mut replay, data)?;
    }
    Ok((replay.finish(input), uncommitted))
}

/// Carries out the `[schema, transaction]` of a snapshot or an entry.
fn apply<D: Database>(input: &mut Input<'_>, replay: &mut Replay<D>, data: &RawValue) -> Result<(), FileError> {
    let (schema, transaction): (&RawValue, &RawValue) =
        serde_json::from_str(data.get()).map_err(|error| input.json_error(data.get(), &error))?;
    if schema.get() != "null" {
        // A schema, at the start or by a conversion, comes with the whole contents.
        check_schema::<D>(input, schema.get())?;
        *replay = Replay::default();
    }
    if transaction.get() != "null" {
        replay.transaction(input, transaction.get())?;
    }
    Ok(())
}
