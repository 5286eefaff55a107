//! `ovsdb-client -f json dump`: one JSON object per table with `caption`, `headings` and `data`, in which a row is an array in the order of the
//! headings. Objects may be spread over lines and separated by blank ones.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::{FileError, Input, Problem, Rejected};
use crate::tables::decode::{CellSource, Context, SeqCells, complaint};
use crate::tables::{Database, Row, RowError, RowUpdate, Updates, UpdatesVisitor, table_position};
use crate::value::Uuid;

/// One table.
#[derive(Deserialize)]
struct TableDump<'a> {
    #[serde(borrow)]
    caption: Cow<'a, str>,
    #[serde(borrow)]
    headings: Vec<Cow<'a, str>>,
    /// The rows. They come before the headings that say what is in them.
    #[serde(borrow)]
    data: &'a RawValue,
}

/// Reads a dump that starts at `start`.
pub(super) fn load<D: Database>(input: &mut Input<'_>, start: usize) -> Result<D, FileError> {
    let text = input.text.get(start..).unwrap_or("");
    let mut updates = D::Updates::default();
    let (mut known, mut unknown) = (0, Vec::new());
    let mut tables = serde_json::Deserializer::from_str(text).into_iter::<TableDump<'_>>();
    loop {
        let at = tables.byte_offset();
        let Some(table) = tables.next() else { break };
        let table = table.map_err(|error| not_a_table(input, start, text, at, &error))?;
        let name = table.caption.strip_suffix(" table").unwrap_or(&table.caption);
        match table_position::<D>(name) {
            Some(position) => {
                known += 1;
                updates.visit_table(position, DumpTable { input, table: &table }).transpose()?;
            }
            None => unknown.push(name.to_owned()),
        }
    }
    // Both databases have a table Mirror, so one known name proves nothing.
    if known <= unknown.len() && !unknown.is_empty() {
        unknown.truncate(5);
        let found = format!("one with tables {}", unknown.join(", "));
        return Err(input.fail(start, Problem::WrongDatabase { found, expected: D::NAME }));
    }
    let mut database = D::default();
    database.apply(updates);
    Ok(database)
}

/// An error about an object that is not a dumped table, or not all of one.
fn not_a_table(input: &Input<'_>, start: usize, text: &str, at: usize, error: &serde_json::Error) -> FileError {
    if error.is_data() && at == 0 {
        let guess = text.contains("\"tables\"").then_some("a schema").or(Some("other JSON"));
        return input.fail(start, Problem::UnknownFormat(guess));
    }
    input.json_error(text, error)
}

/// The rows of one table.
struct DumpTable<'a, 'i> {
    input: &'a mut Input<'i>,
    table: &'a TableDump<'a>,
}

impl UpdatesVisitor for DumpTable<'_, '_> {
    type Output = Result<(), FileError>;

    fn visit<R: Row>(self, updates: &mut Vec<(Uuid, RowUpdate<R>)>) -> Self::Output {
        let Self { input, table } = self;
        let columns: Vec<_> = table.headings.iter().map(|name| Heading::of::<R>(name)).collect();
        let text = table.data.get();
        let empty = text.len() == 2;
        if !columns.contains(&Heading::Uuid) && !empty {
            let problem = Problem::Corrupt(format!("table {}: no _uuid among the headings", R::NAME));
            return Err(input.fail(input.offset_of(text), problem));
        }
        // As everywhere: one pass when every row is good, otherwise each row by itself.
        let mut context = Context::new(&mut input.strings);
        let mut json = serde_json::Deserializer::from_str(text);
        let rows = RowsSeed { updates: &mut *updates, columns: &columns, context: &mut context };
        if rows.deserialize(&mut json).is_ok() {
            return Ok(());
        }
        updates.clear();
        let rows: Vec<&RawValue> = serde_json::from_str(text).map_err(|error| input.json_error(text, &error))?;
        for row in rows {
            let mut json = serde_json::Deserializer::from_str(row.get());
            let mut context = Context::new(&mut input.strings);
            let mut uuid = Uuid::NIL;
            let seed = DumpRow { uuid: &mut uuid, columns: &columns, context: &mut context, row: R::default() };
            match seed.deserialize(&mut json) {
                Ok(row) => updates.push((uuid, RowUpdate::Insert(row))),
                Err(error) => {
                    let error = RowError { table: R::NAME, uuid, column: context.column, message: complaint(&error) };
                    let offset = input.offset_of(row.get());
                    input.rejected.push(Rejected { label: input.label.to_owned(), offset, error });
                }
            }
        }
        Ok(())
    }
}

/// What stands in one place of the rows.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Heading {
    Uuid,
    Column(u8),
    Unknown,
}

impl Heading {
    fn of<R: Row>(name: &str) -> Self {
        let column = || R::COLUMNS.iter().position(|column| column.name == name);
        if name == "_uuid" { Self::Uuid } else { column().map_or(Self::Unknown, |column| Self::Column(column as u8)) }
    }
}

/// An array of rows.
struct RowsSeed<'c, 's, R> {
    updates: &'c mut Vec<(Uuid, RowUpdate<R>)>,
    columns: &'c [Heading],
    context: &'c mut Context<'s>,
}

impl<'de, R: Row> DeserializeSeed<'de> for RowsSeed<'_, '_, R> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_seq(self)
    }
}

impl<'de, R: Row> Visitor<'de> for RowsSeed<'_, '_, R> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of rows")
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut rows: A) -> Result<(), A::Error> {
        let mut uuid = Uuid::NIL;
        while let Some(row) = rows.next_element_seed(DumpRow {
            uuid: &mut uuid,
            columns: self.columns,
            context: &mut *self.context,
            row: R::default(),
        })? {
            self.updates.push((uuid, RowUpdate::Insert(row)));
        }
        Ok(())
    }
}

/// One row; its uuid is stored as soon as it is known, for the sake of error messages.
struct DumpRow<'c, 's, R> {
    uuid: &'c mut Uuid,
    columns: &'c [Heading],
    context: &'c mut Context<'s>,
    row: R,
}

impl<'de, R: Row> DeserializeSeed<'de> for DumpRow<'_, '_, R> {
    type Value = R;
    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<R, D::Error> {
        json.deserialize_seq(self)
    }
}

impl<'de, R: Row> Visitor<'de> for DumpRow<'_, '_, R> {
    type Value = R;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a row")
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut cells: A) -> Result<R, A::Error> {
        let Self { uuid, columns, context, mut row } = self;
        for &heading in columns {
            match heading {
                Heading::Uuid => {
                    context.column = Some("_uuid");
                    *uuid = SeqCells(&mut cells).cell(context.strings)?;
                }
                Heading::Column(column) => {
                    context.column = R::COLUMNS.get(usize::from(column)).map(|column| column.name);
                    row.read_cell(column, &mut SeqCells(&mut cells), context.strings)?;
                }
                Heading::Unknown => {
                    cells.next_element::<IgnoredAny>()?;
                }
            }
        }
        context.column = None;
        match cells.next_element::<IgnoredAny>()? {
            None => Ok(row),
            Some(_) => Err(A::Error::custom("more values than headings")),
        }
    }
}
