//! `OVSDB JSON` and `OVSDB CLUSTER` files are sequences of records: a header line with the length and SHA-1 of the JSON text that follows.
//! Length, checksum and JSON are all verified.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::transaction::Replay;
use super::{FileError, Input, Problem, sha1};
use crate::tables::Database;

/// Reads a standalone database file: a schema, then transactions.
pub(super) fn load<D: Database>(input: &mut Input<'_>) -> Result<D, FileError> {
    let mut records = Records::new(input.text, "JSON");
    let schema = records.next(input)?.unwrap_or("");
    check_schema::<D>(input, schema)?;
    let mut replay = Replay::default();
    while let Some(record) = records.next(input)? {
        replay.transaction(input, record)?;
    }
    Ok(replay.finish(input))
}

/// The schema must be that of `D`.
pub(super) fn check_schema<D: Database>(input: &Input<'_>, schema: &str) -> Result<(), FileError> {
    #[derive(Deserialize)]
    struct Schema<'a> {
        #[serde(borrow)]
        name: &'a str,
    }
    let found: Schema<'_> = serde_json::from_str(schema).map_err(|error| input.json_error(schema, &error))?;
    if found.name != D::NAME {
        let problem = Problem::WrongDatabase { found: found.name.to_owned(), expected: D::NAME };
        return Err(input.fail(input.offset_of(schema), problem));
    }
    Ok(())
}

/// The JSON texts of the records of a log file.
pub(super) struct Records<'a> {
    text: &'a str,
    at: usize,
    kind: &'static str,
}

impl<'a> Records<'a> {
    /// Records whose headers start with `OVSDB` and `kind`.
    pub(super) fn new(text: &'a str, kind: &'static str) -> Self {
        Self { text, at: 0, kind }
    }

    /// The next record, `None` at the end of the file.
    pub(super) fn next(&mut self, input: &Input<'_>) -> Result<Option<&'a str>, FileError> {
        // Backups written by a shell may have gained blank lines; the formats themselves have none.
        let rest = self.text.get(self.at..).unwrap_or("").trim_start_matches('\u{feff}').trim_start();
        let start = self.text.len() - rest.len();
        if rest.is_empty() {
            return Ok(None);
        }
        let Some((header, body)) = rest.split_once('\n') else {
            return Err(input.fail(start, Problem::Truncated("a record header without a record".to_owned())));
        };
        let (length, digest) = self
            .header(header)
            .ok_or_else(|| input.fail(start, Problem::Corrupt(format!("{header:.60?} is not a record header"))))?;
        let Some(json) = body.get(..length) else {
            let problem = if length > body.len() {
                Problem::Truncated(format!("a record of {length} bytes, of which {} are there", body.len()))
            } else {
                Problem::Corrupt(format!("a record of {length} bytes, which ends inside a character"))
            };
            return Err(input.fail(start, problem));
        };
        let found = sha1::hex_digest(json.as_bytes());
        if found != digest {
            let problem = Problem::Corrupt(format!("the record's SHA-1 is {found}, its header says {digest}"));
            return Err(input.fail(start, problem));
        }
        self.at = start + header.len() + 1 + length;
        Ok(Some(json))
    }

    /// Length and digest from a header line.
    fn header<'h>(&self, line: &'h str) -> Option<(usize, &'h str)> {
        let mut words = line.trim_end().split(' ');
        let known = words.next() == Some("OVSDB") && words.next() == Some(self.kind);
        let (length, digest) = (words.next()?.parse().ok()?, words.next()?);
        (known && words.next().is_none() && digest.len() == 40).then_some((length, digest))
    }
}

/// A JSON object in its own order, the values left alone.
pub(super) fn entries<'a>(input: &Input<'_>, json: &'a str) -> Result<Vec<(String, &'a RawValue)>, FileError> {
    struct Entries;
    impl<'de> serde::de::Visitor<'de> for Entries {
        type Value = Vec<(String, &'de RawValue)>;
        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an object")
        }
        fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut entries = Vec::new();
            while let Some(entry) = map.next_entry()? {
                entries.push(entry);
            }
            Ok(entries)
        }
    }
    let mut reader = serde_json::Deserializer::from_str(json);
    let entries = serde::Deserializer::deserialize_map(&mut reader, Entries);
    entries.and_then(|entries| reader.end().map(|()| entries)).map_err(|error| input.json_error(json, &error))
}
