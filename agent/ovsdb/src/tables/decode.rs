//! Row updates and whole `<table-updates>` ([`decode`]) from JSON straight into typed rows, by serde visitors, without a JSON tree in between.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Unexpected, Visitor};
use serde_json::value::RawValue;

use super::{
    ColumnInfo, ColumnSet, Database, Row, RowError, RowUpdate, TableInfo, Updates, UpdatesVisitor, table_position,
};
use crate::schema::Schema;
use crate::value::Uuid;

pub use super::cell::{Cell, CellSource, Strings};
pub(crate) use super::cell::{MapCells, SeqCells};

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
#[error("table updates of {database}: {source}")]
pub struct DecodeError {
    /// The database's name.
    pub database: &'static str,
    /// Where and why.
    pub source: serde_json::Error,
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
    let mut pass = |tolerant| decode_pass::<D>(text, strings, Notation { format, differences, tolerant });
    // Nearly always every row is good and one pass is enough. If not, a second one looks at each row by itself.
    pass(false).or_else(|_| pass(true)).map_err(|source| DecodeError { database: D::NAME, source })
}

/// How to read what comes.
#[derive(Clone, Copy)]
struct Notation<'d> {
    format: UpdateFormat,
    differences: &'d Differences,
    /// Look at each row by itself, so that a bad one costs no other.
    tolerant: bool,
}

fn decode_pass<D: Database>(
    text: &str,
    strings: &mut Strings,
    notation: Notation<'_>,
) -> Result<D::Updates, serde_json::Error> {
    let mut updates = D::Updates::default();
    let mut context = Context::new(strings);
    let mut json = serde_json::Deserializer::from_str(text);
    let tables = TablesVisitor::<D> { updates: &mut updates, context: &mut context, notation };
    (&mut json).deserialize_map(tables)?;
    json.end()?;
    Ok(updates)
}

/// Where the decoder is, for the text of an error, and what it needs on the way.
#[derive(Debug)]
pub(crate) struct Context<'s> {
    pub(crate) strings: &'s mut Strings,
    /// The column being read.
    pub(crate) column: Option<&'static str>,
    /// The column numbers of the row before in the order in which they came: the next row of the table usually has them in the same order.
    order: Vec<u8>,
}

impl<'s> Context<'s> {
    pub(crate) fn new(strings: &'s mut Strings) -> Self {
        Self { strings, column: None, order: Vec::new() }
    }

    /// The number of the column called `name`, which came as the `nth` of its row.
    fn column_number<R: Row>(&mut self, nth: usize, name: &str) -> Option<u8> {
        if let Some(&guess) = self.order.get(nth)
            && R::COLUMNS.get(usize::from(guess)).is_some_and(|column| column.name == name)
        {
            return Some(guess);
        }
        let number = R::COLUMNS.iter().position(|column| column.name == name)? as u8;
        self.order.truncate(nth);
        self.order.push(number);
        Some(number)
    }
}

// ===== rows =====

/// A JSON object of columns, and which of them it gave.
pub(crate) struct RowSeed<'c, 's, R> {
    pub(crate) context: &'c mut Context<'s>,
    pub(crate) row: PhantomData<R>,
}

impl<'de, R: Row> DeserializeSeed<'de> for RowSeed<'_, '_, R> {
    type Value = (R, ColumnSet);
    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de, R: Row> Visitor<'de> for RowSeed<'_, '_, R> {
    type Value = (R, ColumnSet);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of columns")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let (mut row, mut columns) = (R::default(), ColumnSet::EMPTY);
        let context = self.context;
        let mut nth = 0;
        while let Some(column) = map.next_key_seed(Name(|name: &str| context.column_number::<R>(nth, name)))? {
            match column {
                Some(column) => {
                    context.column = R::COLUMNS.get(usize::from(column)).map(|column| column.name);
                    row.read_cell(column, &mut MapCells(&mut map), context.strings)?;
                    context.column = None;
                    columns.insert(column);
                    nth += 1;
                }
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok((row, columns))
    }
}

/// A JSON string looked at in place.
pub(crate) struct Name<F>(pub(crate) F);

impl<'de, T, F: FnOnce(&str) -> T> DeserializeSeed<'de> for Name<F> {
    type Value = T;
    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<T, D::Error> {
        json.deserialize_str(self)
    }
}

impl<T, F: FnOnce(&str) -> T> Visitor<'_> for Name<F> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }
    fn visit_str<E: Error>(self, name: &str) -> Result<T, E> {
        Ok((self.0)(name))
    }
}

/// A `<row-update>` or `<row-update2>`.
struct RowUpdateSeed<'c, 's, R> {
    context: &'c mut Context<'s>,
    format: UpdateFormat,
    /// See [`Differences`].
    differences: ColumnSet,
    row: PhantomData<R>,
}

impl<'de, R: Row> DeserializeSeed<'de> for RowUpdateSeed<'_, '_, R> {
    type Value = RowUpdate<R>;
    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<RowUpdate<R>, D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de, R: Row> Visitor<'de> for RowUpdateSeed<'_, '_, R> {
    type Value = RowUpdate<R>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a row update")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RowUpdate<R>, A::Error> {
        let Self { context, format, differences, .. } = self;
        // In version 1 a deletion is known by the absence of "new", which holds the whole row also after a modification.
        let mut update = RowUpdate::Delete;
        while let Some(kind) = map.next_key_seed(Name(|name: &str| match (format, name) {
            (UpdateFormat::V1, "new") | (UpdateFormat::V2, "initial" | "insert") => Some(true),
            (UpdateFormat::V2, "modify") => Some(false),
            _ => None,
        }))? {
            match kind {
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
                Some(whole) => {
                    let (row, columns) = map.next_value_seed(RowSeed { context: &mut *context, row: PhantomData })?;
                    update =
                        if whole { RowUpdate::Insert(row) } else { RowUpdate::Modify { row, columns, differences } };
                }
            }
        }
        Ok(update)
    }
}

// ===== tables =====

/// An object of tables by name.
struct TablesVisitor<'c, 's, D: Database> {
    updates: &'c mut D::Updates,
    context: &'c mut Context<'s>,
    notation: Notation<'c>,
}

impl<'de, D: Database> Visitor<'de> for TablesVisitor<'_, '_, D> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of tables")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(position) = map.next_key_seed(Name(table_position::<D>))? {
            let Some(position) = position else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            let mut rejected = Vec::new();
            let value = TableValue {
                map: &mut map,
                context: &mut *self.context,
                notation: self.notation,
                position,
                rejected: &mut rejected,
                de: PhantomData,
            };
            self.updates.visit_table(position, value).transpose()?;
            self.updates.rejected_mut().append(&mut rejected);
        }
        Ok(())
    }
}

/// The value of the table whose name was just read.
struct TableValue<'m, 's, 'de, A> {
    map: &'m mut A,
    context: &'m mut Context<'s>,
    notation: Notation<'m>,
    position: usize,
    rejected: &'m mut Vec<RowError>,
    de: PhantomData<&'de ()>,
}

impl<'de, A: MapAccess<'de>> UpdatesVisitor for TableValue<'_, '_, 'de, A> {
    type Output = Result<(), A::Error>;

    fn visit<R: Row>(self, updates: &mut Vec<(Uuid, RowUpdate<R>)>) -> Self::Output {
        self.context.order.clear();
        let Self { map, context, notation, position, rejected, .. } = self;
        let Notation { format, differences, tolerant } = notation;
        let differences = differences.0.get(position).copied().unwrap_or(R::COMPOSITE);
        map.next_value_seed(TableSeed { updates, context, format, differences, tolerant, rejected })
    }
}

/// An object of row updates by uuid.
struct TableSeed<'c, 's, R> {
    updates: &'c mut Vec<(Uuid, RowUpdate<R>)>,
    context: &'c mut Context<'s>,
    format: UpdateFormat,
    differences: ColumnSet,
    tolerant: bool,
    rejected: &'c mut Vec<RowError>,
}

impl<'de, R: Row> DeserializeSeed<'de> for TableSeed<'_, '_, R> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de, R: Row> Visitor<'de> for TableSeed<'_, '_, R> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of row updates")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self { updates, context, format, differences, tolerant, rejected } = self;
        while let Some(uuid) = map.next_key_seed(Name(|text: &str| Uuid::parse(text).ok_or_else(|| text.to_owned())))? {
            if !tolerant {
                let uuid = uuid.map_err(|text| A::Error::invalid_value(Unexpected::Str(&text), &"a uuid"))?;
                let update = map.next_value_seed(RowUpdateSeed {
                    context: &mut *context,
                    format,
                    differences,
                    row: PhantomData,
                })?;
                updates.push((uuid, update));
                continue;
            }
            let text: &'de RawValue = map.next_value()?;
            let uuid = match uuid {
                Ok(uuid) => uuid,
                Err(text) => {
                    let message = format!("{text:?} is not a row's uuid");
                    rejected.push(RowError { table: R::NAME, uuid: Uuid::NIL, column: None, message });
                    continue;
                }
            };
            context.column = None;
            let mut json = serde_json::Deserializer::from_str(text.get());
            let update =
                RowUpdateSeed { context: &mut *context, format, differences, row: PhantomData }.deserialize(&mut json);
            updates.push((
                uuid,
                update.unwrap_or_else(|error| {
                    rejected.push(RowError {
                        table: R::NAME,
                        uuid,
                        column: context.column,
                        message: complaint(&error),
                    });
                    RowUpdate::Delete
                }),
            ));
        }
        Ok(())
    }
}

/// What serde_json has to say, without the line and column, which count from the start of the row.
pub(crate) fn complaint(error: &serde_json::Error) -> String {
    let mut text = error.to_string();
    if let Some(at) = text.rfind(" at line ") {
        text.truncate(at);
    }
    text
}
