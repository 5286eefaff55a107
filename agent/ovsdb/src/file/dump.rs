//! `ovsdb-client -f json dump`: one JSON object per table with `caption`, `headings` and `data`, in which a row is an array in the order of the
//! headings. Objects may be spread over lines and separated by blank ones.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::{FileError, Input, Problem, Rejected};
use crate::tables::decode::{CellSource, Context, SeqCells, Strings, complaint};
use crate::tables::{Database, Row, RowError, RowUpdate, Table, TableLoader, table_position};
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

/// A table on a line of its own, as `ovsdb-client` writes it, cut into its parts without looking at the rows: they are most of the file and
/// one pass over them is enough. That the parts are what they seem is only known once the rows are read.
struct TableLine<'a> {
    caption: &'a str,
    headings: Vec<Cow<'a, str>>,
    data: &'a str,
    length: usize,
}

impl<'a> TableLine<'a> {
    fn cut(text: &'a str) -> Option<Self> {
        let length = memchr::memchr(b'\n', text.as_bytes()).unwrap_or(text.len());
        let line = text.get(..length)?.strip_suffix('}')?;
        let (caption, line) = line.strip_prefix("{\"caption\":\"")?.split_once("\",\"data\":")?;
        // A quotation mark inside a string would have a backslash before it.
        let (data, headings) = line.rsplit_once(",\"headings\":")?;
        let headings = serde_json::from_str(headings).ok()?;
        (!caption.contains('\\')).then_some(Self { caption, headings, data, length })
    }
}

/// Reads a dump that starts at `start`.
pub(super) fn load<D: Database>(input: &mut Input<'_>, start: usize) -> Result<D, FileError> {
    let text = input.text.get(start..).unwrap_or("");
    let mut database = D::default();
    let (mut known, mut unknown) = (0, Vec::new());
    let mut at = 0;
    loop {
        let rest = text.get(at..).unwrap_or("").trim_start();
        at = text.len() - rest.len();
        if rest.is_empty() {
            break;
        }
        if let Some(line) = TableLine::cut(rest)
            && let Some(position) = position::<D>(line.caption)
            && database.load_table(position, DumpLine { input, line: &line }) == Some(true)
        {
            known += 1;
            at += line.length;
            continue;
        }
        let mut tables = serde_json::Deserializer::from_str(rest).into_iter::<TableDump<'_>>();
        let Some(table) = tables.next() else { break };
        let table = table.map_err(|error| not_a_table(input, start, rest, at, &error))?;
        at += tables.byte_offset();
        match position::<D>(&table.caption) {
            Some(position) => {
                known += 1;
                database.load_table(position, DumpTable { input, table: &table }).transpose()?;
            }
            None => unknown.push(table_name(&table.caption).to_owned()),
        }
    }
    // Both databases have a table Mirror, so one known name proves nothing.
    if known <= unknown.len() && !unknown.is_empty() {
        unknown.truncate(5);
        let found = format!("one with tables {}", unknown.join(", "));
        return Err(input.fail(start, Problem::WrongDatabase { found, expected: D::NAME }));
    }
    Ok(database)
}

fn table_name(caption: &str) -> &str {
    caption.strip_suffix(" table").unwrap_or(caption)
}

fn position<D: Database>(caption: &str) -> Option<usize> {
    table_position::<D>(table_name(caption))
}

/// An error about an object that is not a dumped table, or not all of one.
fn not_a_table(input: &Input<'_>, start: usize, text: &str, at: usize, error: &serde_json::Error) -> FileError {
    if error.is_data() && at == 0 {
        let guess = text.contains("\"tables\"").then_some("a schema").or(Some("other JSON"));
        return input.fail(start, Problem::UnknownFormat(guess));
    }
    input.json_error(text, error)
}

/// The rows of one table, in one pass if every row is good. Gives whether that was so.
struct DumpLine<'a, 'i> {
    input: &'a mut Input<'i>,
    line: &'a TableLine<'a>,
}

impl TableLoader for DumpLine<'_, '_> {
    type Output = bool;

    fn load<R: Row>(self, table: &mut Table<R>) -> bool {
        let columns: Vec<_> = self.line.headings.iter().map(|name| Heading::of::<R>(name)).collect();
        let whole = read_rows(self.line.data, &columns, &mut self.input.strings, table);
        if !whole {
            *table = Table::default();
        }
        whole
    }
}

/// Reads all rows, or says that it cannot.
fn read_rows<R: Row>(text: &str, columns: &[Heading], strings: &mut Strings, table: &mut Table<R>) -> bool {
    if !columns.contains(&Heading::Uuid) && text != "[]" {
        return false;
    }
    table.begin();
    let mut context = Context::new(strings);
    let mut json = serde_json::Deserializer::from_str(text);
    let rows = RowsSeed { table, columns, context: &mut context };
    rows.deserialize(&mut json).is_ok() && json.end().is_ok()
}

/// The rows of one table, each by itself, so that a bad one costs no other.
struct DumpTable<'a, 'i> {
    input: &'a mut Input<'i>,
    table: &'a TableDump<'a>,
}

impl TableLoader for DumpTable<'_, '_> {
    type Output = Result<(), FileError>;

    fn load<R: Row>(self, table: &mut Table<R>) -> Self::Output {
        let Self { input, table: dumped } = self;
        let columns: Vec<_> = dumped.headings.iter().map(|name| Heading::of::<R>(name)).collect();
        let text = dumped.data.get();
        if read_rows(text, &columns, &mut input.strings, table) {
            return Ok(());
        }
        *table = Table::default();
        if !columns.contains(&Heading::Uuid) {
            let problem = Problem::Corrupt(format!("table {}: no _uuid among the headings", R::NAME));
            return Err(input.fail(input.offset_of(text), problem));
        }
        let rows: Vec<&RawValue> = serde_json::from_str(text).map_err(|error| input.json_error(text, &error))?;
        for row in rows {
            let mut json = serde_json::Deserializer::from_str(row.get());
            let mut context = Context::new(&mut input.strings);
            let mut uuid = Uuid::NIL;
            let seed = DumpRow { uuid: &mut uuid, columns: &columns, context: &mut context, row: R::default() };
            match seed.deserialize(&mut json) {
                Ok(row) => {
                    table.apply(uuid, RowUpdate::Insert(row));
                }
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
struct RowsSeed<'c, 's, R: Row> {
    table: &'c mut Table<R>,
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
            self.table.apply(uuid, RowUpdate::Insert(row));
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
