//! Clustered database files: a header with a snapshot, then raft records, of which entries with data and the commit index matter here
//! (ovsdb(5), "Clustered Format").

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::log::{Records, check_schema};
use super::transaction::Replay;
use super::{FileError, Input, Problem};
use crate::json::{Json, JsonError};
use crate::tables::Database;

/// A record, reduced to what matters.
#[derive(Default)]
struct Record<'a> {
    /// The database's name, in the header.
    name: Option<Cow<'a, str>>,
    index: Option<u64>,
    /// Schema or null, transaction or null.
    data: Option<&'a str>,
    commit_index: Option<u64>,
    /// Schema and contents before the first entry: in the header, absent until the server has joined a cluster; in another record those of a
    /// snapshot that the leader sent, which replaces everything.
    prev_data: Option<&'a str>,
    prev_index: Option<u64>,
}

impl<'a> Record<'a> {
    fn read(text: &'a str) -> Result<Self, JsonError> {
        let mut json = Json::new(text);
        let mut record = Self::default();
        let mut members = json.object("a record")?;
        while let Some(name) = json.key(&mut members)? {
            match &*name {
                "name" => record.name = Some(json.string()?),
                "index" => record.index = Some(json.integer()?.unsigned_abs()),
                "data" => record.data = Some(json.raw()?),
                "commit_index" => record.commit_index = Some(json.integer()?.unsigned_abs()),
                "prev_data" => record.prev_data = Some(json.raw()?),
                "prev_index" => record.prev_index = Some(json.integer()?.unsigned_abs()),
                _ => json.skip()?,
            }
        }
        json.end().map(|()| record)
    }
}

/// Reads the file; also says how many entries are not known to be committed and were left out.
pub(super) fn load<D: Database>(input: &mut Input<'_>) -> Result<(D, usize), FileError> {
    let mut records = Records::new(input.text, "CLUSTER");
    let header = records.next(input)?.unwrap_or("");
    let header = Record::read(header).map_err(|error| input.json_error(header, &error))?;
    match header.name {
        Some(name) if name == D::NAME => {}
        Some(found) => {
            let problem = Problem::WrongDatabase { found: found.into_owned(), expected: D::NAME };
            return Err(input.fail(0, problem));
        }
        None => return Err(input.fail(0, Problem::Corrupt("a header without a name".to_owned()))),
    }
    let mut snapshot = header.prev_data.map(|data| (header.prev_index.unwrap_or(0), data));
    let mut entries: BTreeMap<u64, &str> = BTreeMap::new();
    let mut committed = None;
    while let Some(json) = records.next(input)? {
        let record = Record::read(json).map_err(|error| input.json_error(json, &error))?;
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
fn apply<D: Database>(input: &mut Input<'_>, replay: &mut Replay<D>, data: &str) -> Result<(), FileError> {
    let (schema, transaction) = parts(data).map_err(|error| input.json_error(data, &error))?;
    if schema != "null" {
        // A schema, at the start or by a conversion, comes with the whole contents.
        check_schema::<D>(input, schema)?;
        *replay = Replay::default();
    }
    if transaction != "null" {
        replay.transaction(input, transaction)?;
    }
    Ok(())
}

fn parts(data: &str) -> Result<(&str, &str), JsonError> {
    let mut json = Json::new(data);
    let mut elements = json.array("a schema and a transaction")?;
    let mut part = || match json.more(&mut elements)? {
        true => json.raw(),
        false => Err(json.error("an element is missing")),
    };
    Ok((part()?, part()?))
}
