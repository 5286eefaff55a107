//! `OVSDB JSON` and `OVSDB CLUSTER` files are sequences of records: a header line with the length and SHA-1 of the JSON text that follows.
//! Length, checksum and JSON are all verified.

use sha1::{Digest, Sha1};
use std::borrow::Cow;
use std::fmt::Write as _;

use super::transaction::Replay;
use super::{FileError, Input, Problem};
use crate::json::{Json, JsonError};
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
    let name = schema_name(schema).map_err(|error| input.json_error(schema, &error))?;
    match name {
        Some(name) if name == D::NAME => Ok(()),
        Some(found) => {
            let problem = Problem::WrongDatabase { found: found.into_owned(), expected: D::NAME };
            Err(input.fail(input.offset_of(schema), problem))
        }
        None => Err(input.fail(input.offset_of(schema), Problem::Corrupt("a schema without a name".to_owned()))),
    }
}

fn schema_name(schema: &str) -> Result<Option<Cow<'_, str>>, JsonError> {
    let mut json = Json::new(schema);
    let mut name = None;
    let mut members = json.object("a schema")?;
    while let Some(key) = json.key(&mut members)? {
        match &*key {
            "name" => name = Some(json.string()?),
            _ => json.skip()?,
        }
    }
    json.end().map(|()| name)
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
        let found = digest_of(json);
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

/// SHA-1 as the 40 hexadecimal digits of a record header.
pub(super) fn digest_of(record: &str) -> String {
    let mut digits = String::with_capacity(40);
    for byte in Sha1::digest(record.as_bytes()) {
        // Writing to a String cannot fail.
        let _ = write!(digits, "{byte:02x}");
    }
    digits
}
