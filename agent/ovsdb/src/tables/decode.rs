//! Row updates and whole `<table-updates>` ([`decode`]) from JSON straight into typed rows, without a JSON tree in between.

use super::{
    ColumnInfo, ColumnSet, Database, Row, RowError, RowUpdate, TableInfo, Updates, UpdatesVisitor, table_position,
};
use crate::json::{Json, JsonError};
use crate::schema::Schema;
use crate::value::Uuid;

pub use super::cell::{Cell, Strings};

/// Which notation row updates are in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpdateFormat {
    /// `<table-updates>`: `update` notifications and the reply to `monitor` (RFC 7047 sections 4.1.5, 4.1.6).
    V1,
    /// `<table-updates2>`: `update2` and `update3` notifications and the replies to `monitor_cond` and `monitor_cond_since` (ovsdb-server(7)).
    V2,
}

/// The text was not a JSON object of tables.
#[derive(Debug, thiserror::Error)]
#[error("table updates of {database}: byte {}: {source}", .source.at())]
pub struct DecodeError {
    /// The database's name.
    pub database: &'static str,
    /// Where and why.
    pub source: JsonError,
}

/// Which columns a server describes changes of as differences (ovsdb-server(7), "Update2 Notification"): those whose maximum in its own schema is
/// above one. That matters for a set that an older schema has as a single or optional value.
#[derive(Clone, Debug)]
pub struct Differences(Box<[ColumnSet]>);

impl Differences {
    /// Every column is given as its new value.
    pub fn none<D: Database>() -> Self {
        Self(D::TABLES.iter().map(|_| ColumnSet::EMPTY).collect())
    }

    /// As our own types have it.
    pub fn declared<D: Database>() -> Self {
        let composite = |table: &TableInfo| columns_where(table, |column| column.column_type.is_composite());
        Self(D::TABLES.iter().map(composite).collect())
    }

    /// As the server's schema has it.
    pub fn of_server<D: Database>(schema: &Schema) -> Self {
        let composite = |table: &TableInfo| {
            columns_where(table, |column| match schema.column(table.name, column.name) {
                Some(served) => served.kind.max != Some(1),
                None => column.column_type.is_composite(),
            })
        };
        Self(D::TABLES.iter().map(composite).collect())
    }
}

fn columns_where(table: &TableInfo, test: impl Fn(&ColumnInfo) -> bool) -> ColumnSet {
    let mut columns = ColumnSet::EMPTY;
    for (number, column) in (0..).zip(table.columns) {
        if test(column) {
            columns.insert(number);
        }
    }
    columns
}

/// Decodes a `<table-updates>` or `<table-updates2>` object. Unknown tables and columns are skipped. A row with a bad value is left out, noted in
/// `rejected`, and deleted from the replica if it was there.
///
/// # Errors
/// When `text` is not JSON of that structure.
pub fn decode<D: Database>(text: &str, format: UpdateFormat, strings: &mut Strings) -> Result<D::Updates, DecodeError> {
    decode_from::<D>(text, format, &Differences::declared::<D>(), strings)
}

/// Like [`decode`], from a server whose schema may give columns another number of values.
///
/// # Errors
/// When `text` is not JSON of that structure.
pub fn decode_from<D: Database>(
    text: &str,
    format: UpdateFormat,
    differences: &Differences,
    strings: &mut Strings,
) -> Result<D::Updates, DecodeError> {
    let mut json = Json::new(text);
    let decoded = updates::<D>(&mut json, format, differences, strings);
    decoded.map_err(|source| DecodeError { database: D::NAME, source })
}

fn updates<D: Database>(
    json: &mut Json<'_>,
    format: UpdateFormat,
    differences: &Differences,
    strings: &mut Strings,
) -> Result<D::Updates, JsonError> {
    let mut updates = D::Updates::default();
    let mut context = Context::new(strings);
    let mut tables = json.object("an object of tables")?;
    while let Some(name) = json.key(&mut tables)? {
        let Some(position) = table_position::<D>(&name) else {
            json.skip()?;
            continue;
        };
        let mut rejected = Vec::new();
        let differences = differences.0.get(position).copied();
        let value =
            TableValue { json: &mut *json, context: &mut context, format, differences, rejected: &mut rejected };
        updates.visit_table(position, value).transpose()?;
        updates.rejected_mut().append(&mut rejected);
    }
    json.end()?;
    Ok(updates)
}

/// Where the decoder is, for the text of an error, and what it needs on the way.
#[derive(Debug)]
pub(crate) struct Context<'s> {
    pub(crate) strings: &'s mut Strings,
    /// The column being read.
    pub(crate) column: Option<&'static str>,
    /// The column numbers of the row before in the order in which they came (`None`: an unknown one): the next row of the table usually has
    /// them in the same order.
    order: Vec<Option<u8>>,
}

impl<'s> Context<'s> {
    pub(crate) fn new(strings: &'s mut Strings) -> Self {
        Self { strings, column: None, order: Vec::new() }
    }

    /// The column that probably comes as the `nth` of its row.
    fn expected<R: Row>(&self, nth: usize) -> Option<(u8, &'static str)> {
        let number = (*self.order.get(nth)?)?;
        Some((number, R::COLUMNS.get(usize::from(number))?.name))
    }

    /// The number of the column called `name`, which came as the `nth` of its row.
    fn column_number<R: Row>(&mut self, nth: usize, name: &str) -> Option<u8> {
        let number = R::COLUMNS.iter().position(|column| column.name == name).map(|number| number as u8);
        self.order.truncate(nth);
        self.order.push(number);
        number
    }

    /// What went wrong with a row.
    pub(crate) fn row_error<R: Row>(&self, uuid: Uuid, error: &JsonError) -> RowError {
        RowError { table: R::NAME, uuid, column: self.column, message: error.to_string() }
    }
}

// ===== rows =====

/// A JSON object of columns, and which of them it gave.
pub(crate) fn row<R: Row>(json: &mut Json<'_>, context: &mut Context<'_>) -> Result<(R, ColumnSet), JsonError> {
    let (mut row, mut columns) = (R::default(), ColumnSet::EMPTY);
    let mut members = json.object("an object of columns")?;
    let mut nth = 0;
    loop {
        let column = match context.expected::<R>(nth) {
            Some((column, name)) if json.take_key(&mut members, name) => Some(column),
            _ => match json.key(&mut members)? {
                Some(name) => context.column_number::<R>(nth, &name),
                None => break,
            },
        };
        match column {
            Some(column) => {
                context.column = R::COLUMNS.get(usize::from(column)).map(|column| column.name);
                row.read_cell(column, json, context.strings)?;
                context.column = None;
                columns.insert(column);
            }
            None => json.skip()?,
        }
        nth += 1;
    }
    Ok((row, columns))
}

/// A `<row-update>` or `<row-update2>`.
fn row_update<R: Row>(
    json: &mut Json<'_>,
    context: &mut Context<'_>,
    format: UpdateFormat,
    differences: ColumnSet,
) -> Result<RowUpdate<R>, JsonError> {
    // In version 1 a deletion is known by the absence of "new", which holds the whole row also after a modification.
    let mut update = RowUpdate::Delete;
    let mut members = json.object("a row update")?;
    while let Some(kind) = json.key(&mut members)? {
        match (format, &*kind) {
            (UpdateFormat::V1, "new") | (UpdateFormat::V2, "initial" | "insert") => {
                update = RowUpdate::Insert(row(json, context)?.0);
            }
            (UpdateFormat::V2, "modify") => {
                let (row, columns) = row(json, context)?;
                update = RowUpdate::Modify { row, columns, differences };
            }
            _ => json.skip()?,
        }
    }
    Ok(update)
}

// ===== tables =====

/// The value of the table whose name was just read: an object of row updates by uuid.
struct TableValue<'m, 'a, 's> {
    json: &'m mut Json<'a>,
    context: &'m mut Context<'s>,
    format: UpdateFormat,
    /// See [`Differences`].
    differences: Option<ColumnSet>,
    rejected: &'m mut Vec<RowError>,
}

impl UpdatesVisitor for TableValue<'_, '_, '_> {
    type Output = Result<(), JsonError>;

    fn visit<R: Row>(self, updates: &mut Vec<(Uuid, RowUpdate<R>)>) -> Self::Output {
        let Self { json, context, format, differences, rejected } = self;
        context.order.clear();
        let differences = differences.unwrap_or(R::COMPOSITE);
        let mut rows = json.object("an object of row updates")?;
        while let Some(name) = json.key(&mut rows)? {
            let Some(uuid) = Uuid::parse(&name) else {
                let message = format!("{name:?} is not a row's uuid");
                rejected.push(RowError { table: R::NAME, uuid: Uuid::NIL, column: None, message });
                json.skip()?;
                continue;
            };
            let start = json.at();
            context.column = None;
            let update = row_update(json, context, format, differences).or_else(|error| {
                rejected.push(context.row_error::<R>(uuid, &error));
                json.go_back(start);
                json.skip().map(|()| RowUpdate::Delete)
            });
            updates.push((uuid, update?));
        }
        Ok(())
    }
}
