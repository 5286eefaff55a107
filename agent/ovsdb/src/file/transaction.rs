//! Transactions as log files hold them: an object of tables, each an object of rows by uuid, each an object of columns or null for a deletion;
//! beside them `_date`, `_comment` and `_is_diff` (ovsdb(5), "File Formats"). [`Replay`] carries them out one after the other.

use std::collections::HashSet;

use super::{FileError, Input, Problem, Rejected};
use crate::json::{Json, JsonError};
use crate::tables::decode::{self, Context};
use crate::tables::{ColumnSet, Database, Row, RowUpdate, Table, TableId, TableLoader, table_position};
use crate::value::Uuid;

/// A replica on its way through a log.
pub(super) struct Replay<D: Database> {
    database: D,
    lost: Lost,
}

impl<D: Database> Default for Replay<D> {
    fn default() -> Self {
        Self { database: D::default(), lost: Lost::default() }
    }
}

/// Rows with a bad value: what follows may be only a part of them, so they stay out until they are deleted.
#[derive(Default)]
struct Lost {
    rows: HashSet<(TableId, Uuid)>,
    /// The first error of each.
    errors: Vec<(TableId, Rejected)>,
}

impl<D: Database> Replay<D> {
    /// Carries out one transaction.
    pub(super) fn transaction(&mut self, input: &mut Input<'_>, text: &str) -> Result<(), FileError> {
        // The flag may stand behind the tables that it is about.
        let differences = are_differences(text);
        let mut json = Json::new(text);
        let failed = |error: JsonError, input: &Input<'_>| input.json_error(text, &error);
        let mut members = json.object("an object of tables").map_err(|error| failed(error, input))?;
        loop {
            let name = json.key(&mut members).map_err(|error| failed(error, input))?;
            let Some(name) = name else { break };
            match table_position::<D>(&name) {
                Some(position) => {
                    let table = LogTable { json: &mut json, text, input, lost: &mut self.lost, differences };
                    self.database.load_table(position, table).transpose()?;
                }
                None => json.skip().map_err(|error| failed(error, input))?,
            }
        }
        json.end().map_err(|error| failed(error, input))
    }

    /// The replica; what was lost goes to `input`.
    pub(super) fn finish(self, input: &mut Input<'_>) -> D {
        input.rejected.extend(self.lost.errors.into_iter().map(|(_, rejected)| rejected));
        self.database
    }
}

/// Whether the sets and maps of a transaction are the differences to those before. Names that start with `_` are the format's own, and inside a
/// string the quotation marks would have backslashes before them, so the flag is where its name is.
fn are_differences(text: &str) -> bool {
    let flag = "\"_is_diff\"";
    let value = memchr::memmem::find(text.as_bytes(), flag.as_bytes()).and_then(|at| text.get(at + flag.len()..));
    let value = value.and_then(|rest| rest.trim_start().strip_prefix(':'));
    value.is_some_and(|rest| rest.trim_start().starts_with("true"))
}

/// One table of a transaction.
struct LogTable<'a, 'i, 't> {
    json: &'a mut Json<'t>,
    /// The transaction, in which `json` is.
    text: &'t str,
    input: &'a mut Input<'i>,
    lost: &'a mut Lost,
    differences: bool,
}

impl TableLoader for LogTable<'_, '_, '_> {
    type Output = Result<(), FileError>;

    fn load<R: Row>(self, table: &mut Table<R>) -> Self::Output {
        let Self { json, text, input, lost, differences } = self;
        let differences = if differences { R::COMPOSITE } else { ColumnSet::EMPTY };
        table.begin();
        let mut strings = std::mem::take(&mut input.strings);
        let mut context = Context::new(&mut strings);
        let mut bad = Vec::new();
        let read = rows::<R>(json, &mut context, |uuid, start, update| {
            let update = match update {
                Ok(None) => {
                    if !lost.rows.is_empty() && lost.rows.remove(&(R::TABLE, uuid)) {
                        lost.errors.retain(|(table, rejected)| (*table, rejected.error.uuid) != (R::TABLE, uuid));
                    }
                    RowUpdate::Delete
                }
                Ok(Some(_)) if !lost.rows.is_empty() && lost.rows.contains(&(R::TABLE, uuid)) => RowUpdate::Delete,
                Ok(Some((row, columns))) => return table.merge(uuid, row, columns, differences),
                Err(error) => {
                    if lost.rows.insert((R::TABLE, uuid)) {
                        bad.push((start, error));
                    }
                    RowUpdate::Delete
                }
            };
            table.apply(uuid, update);
        });
        drop(context);
        input.strings = strings;
        let offset = input.offset_of(text);
        let rejected =
            |(start, error)| (R::TABLE, Rejected { label: input.label.to_owned(), offset: offset + start, error });
        lost.errors.extend(bad.into_iter().map(rejected));
        match read {
            Ok(()) => Ok(()),
            Err(Structure::Json(error)) => Err(input.json_error(text, &error)),
            Err(Structure::NotAUuid(at, name)) => {
                let problem = Problem::Corrupt(format!("table {}: {name:?} is not a row's uuid", R::NAME));
                Err(input.fail(offset + at, problem))
            }
        }
    }
}

/// What can be wrong with a table as a whole.
enum Structure {
    Json(JsonError),
    /// The name of a row, and where the row is.
    NotAUuid(usize, String),
}

impl From<JsonError> for Structure {
    fn from(error: JsonError) -> Self {
        Self::Json(error)
    }
}

/// The columns that a log gives of a row; `None`: the row is gone.
type LogRow<R> = Option<(R, ColumnSet)>;

/// An object of rows by uuid: `each` gets the uuid, where the row starts, and the row or why it is none.
fn rows<R: Row>(
    json: &mut Json<'_>,
    context: &mut Context<'_>,
    mut each: impl FnMut(Uuid, usize, Result<LogRow<R>, crate::tables::RowError>),
) -> Result<(), Structure> {
    let mut members = json.object("an object of rows")?;
    while let Some(name) = json.key(&mut members)? {
        json.peek();
        let start = json.at();
        let Some(uuid) = Uuid::parse(&name) else { return Err(Structure::NotAUuid(start, name.into_owned())) };
        context.column = None;
        let read = if json.take("null") { Ok(None) } else { decode::row(json, context).map(Some) };
        match read {
            Ok(row) => each(uuid, start, Ok(row)),
            Err(error) => {
                each(uuid, start, Err(context.row_error::<R>(uuid, &error)));
                json.go_back(start);
                json.skip()?;
            }
        }
    }
    Ok(())
}
