//! `ovsdb-client -f json dump`: one JSON object per table with `caption`, `headings` and `data`, in which a row is an array in the order of the
//! headings. Objects may be spread over lines and separated by blank ones.

use std::borrow::Cow;

use super::{FileError, Input, Problem, Rejected};
use crate::json::{Json, JsonError};
use crate::tables::decode::{Cell, Context};
use crate::tables::{Database, Row, Table, TableLoader, table_position};
use crate::value::Uuid;

/// One table, cut into its parts.
struct TableDump<'a> {
    caption: Cow<'a, str>,
    /// They come behind the rows, so these are read last.
    headings: Vec<Cow<'a, str>>,
    data: &'a str,
    /// Up to where it goes.
    end: usize,
}

impl<'a> TableDump<'a> {
    /// A table on a line of its own, as `ovsdb-client` writes it, without looking at the rows: they are most of the file and one pass over them
    /// is enough. That the parts are what they seem is only known once the rows are read.
    fn line(text: &'a str) -> Option<Self> {
        let end = memchr::memchr(b'\n', text.as_bytes()).unwrap_or(text.len());
        let line = text.get(..end)?.strip_suffix('}')?;
        let (caption, line) = line.strip_prefix("{\"caption\":\"")?.split_once("\",\"data\":")?;
        // A quotation mark inside a string would have a backslash before it.
        let (data, list) = line.rsplit_once(",\"headings\":")?;
        let headings = headings(&mut Json::new(list)).ok()?;
        (!caption.contains('\\')).then_some(Self { caption: Cow::Borrowed(caption), headings, data, end })
    }

    /// Any JSON object; `None` if it is not one of a table.
    fn object(text: &'a str) -> Result<Option<Self>, JsonError> {
        let mut json = Json::new(text);
        let (mut caption, mut list, mut data) = (None, None, None);
        let mut members = json.object("an object")?;
        while let Some(name) = json.key(&mut members)? {
            match &*name {
                "caption" => caption = Some(json.string()?),
                "headings" => list = Some(headings(&mut json)?),
                "data" => data = Some(json.raw()?),
                _ => json.skip()?,
            }
        }
        let end = json.at();
        Ok(caption.zip(list).zip(data).map(|((caption, headings), data)| Self { caption, headings, data, end }))
    }

    fn name(&self) -> &str {
        self.caption.strip_suffix(" table").unwrap_or(&self.caption)
    }
}

fn headings<'a>(json: &mut Json<'a>) -> Result<Vec<Cow<'a, str>>, JsonError> {
    let mut names = Vec::new();
    let mut elements = json.array("an array of names")?;
    while json.more(&mut elements)? {
        names.push(json.string()?);
    }
    Ok(names)
}

/// Reads a dump that starts at `start`.
pub(super) fn load<D: Database>(input: &mut Input<'_>, start: usize) -> Result<D, FileError> {
    let text = input.text;
    let mut database = D::default();
    let (mut known, mut unknown) = (0, Vec::new());
    let mut at = start;
    loop {
        let rest = text.get(at..).unwrap_or("").trim_start();
        at = text.len() - rest.len();
        if rest.is_empty() {
            break;
        }
        if let Some(table) = TableDump::line(rest)
            && let Some(position) = table_position::<D>(table.name())
            && let Some(Ok(())) = database.load_table(position, DumpRows { input, table: &table })
        {
            known += 1;
            at += table.end;
            continue;
        }
        let table = match TableDump::object(rest) {
            Ok(Some(table)) => table,
            Ok(None) if at == start => return Err(not_a_dump(input, start, rest)),
            Ok(None) => {
                let problem = Problem::Corrupt("an object without caption, headings or data".to_owned());
                return Err(input.fail(at, problem));
            }
            Err(error) => return Err(input.json_error(rest, &error)),
        };
        at += table.end;
        match table_position::<D>(table.name()) {
            Some(position) => {
                known += 1;
                database.load_table(position, DumpRows { input, table: &table }).transpose()?;
            }
            None => unknown.push(table.name().to_owned()),
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

/// An error about an object that is not a dumped table.
fn not_a_dump(input: &Input<'_>, start: usize, text: &str) -> FileError {
    let guess = text.contains("\"tables\"").then_some("a schema").or(Some("other JSON"));
    input.fail(start, Problem::UnknownFormat(guess))
}

/// The rows of one table. A bad one costs no other.
struct DumpRows<'a, 'i> {
    input: &'a mut Input<'i>,
    table: &'a TableDump<'i>,
}

impl TableLoader for DumpRows<'_, '_> {
    type Output = Result<(), FileError>;

    fn load<R: Row>(self, table: &mut Table<R>) -> Self::Output {
        let Self { input, table: TableDump { headings, data, .. } } = self;
        let columns: Vec<_> = headings.iter().map(|name| Heading::of::<R>(name)).collect();
        let mut json = Json::new(data);
        // What was read of the line before it turned out not to be one.
        *table = Table::default();
        let mut rejected = Vec::new();
        let read = rows(&mut json, &columns, &mut Context::new(&mut input.strings), table, |at, error| {
            rejected.push((at, error))
        });
        if let Err(error) = read.and_then(|()| json.end()) {
            *table = Table::default();
            return Err(input.json_error(data, &error));
        }
        if !columns.contains(&Heading::Uuid) && *data != "[]" {
            let problem = Problem::Corrupt(format!("table {}: no _uuid among the headings", R::NAME));
            return Err(input.fail(input.offset_of(data), problem));
        }
        let start = input.offset_of(data);
        let rejected = rejected.into_iter().map(|(at, error)| Rejected {
            label: input.label.to_owned(),
            offset: start + at,
            error,
        });
        input.rejected.extend(rejected);
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

/// An array of rows. `reject` gets where a bad one starts, and what is wrong with it.
fn rows<R: Row>(
    json: &mut Json<'_>,
    columns: &[Heading],
    context: &mut Context<'_>,
    table: &mut Table<R>,
    mut reject: impl FnMut(usize, crate::tables::RowError),
) -> Result<(), JsonError> {
    let mut elements = json.array("an array of rows")?;
    while json.more(&mut elements)? {
        json.peek();
        let start = json.at();
        let (mut uuid, mut held) = (Uuid::NIL, R::default());
        match row(json, columns, context, &mut uuid, &mut held) {
            Ok(()) => table.load(uuid, held),
            Err(error) => {
                reject(start, context.row_error::<R>(uuid, &error));
                context.column = None;
                json.go_back(start);
                json.skip()?;
            }
        }
    }
    Ok(())
}

/// One row; its uuid is stored as soon as it is known, for the sake of error messages.
fn row<R: Row>(
    json: &mut Json<'_>,
    columns: &[Heading],
    context: &mut Context<'_>,
    uuid: &mut Uuid,
    row: &mut R,
) -> Result<(), JsonError> {
    let mut cells = json.array("a row")?;
    for (at, &heading) in columns.iter().enumerate() {
        context.column = match heading {
            Heading::Uuid => Some("_uuid"),
            Heading::Column(column) => R::COLUMNS.get(usize::from(column)).map(|column| column.name),
            Heading::Unknown => None,
        };
        if !json.more(&mut cells)? {
            let nothing_lost = columns.iter().skip(at).all(|heading| *heading == Heading::Unknown);
            return if nothing_lost { Ok(()) } else { Err(json.error("the row ends before this column")) };
        }
        match heading {
            Heading::Uuid => *uuid = Uuid::read(json, context.strings)?,
            Heading::Column(column) => row.read_cell(column, json, context.strings)?,
            Heading::Unknown => json.skip()?,
        }
    }
    context.column = None;
    match json.more(&mut cells)? {
        false => Ok(()),
        true => Err(json.error("more values than headings")),
    }
}
