//! Transactions as log files hold them: an object of tables, each an object of rows by uuid, each an object of columns or null for a deletion;
//! beside them `_date`, `_comment` and `_is_diff` (ovsdb(5), "File Formats"). [`Replay`] carries them out one after the other.

use std::collections::HashSet;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::{FileError, Input, Problem, Rejected, log};
use crate::tables::decode::{Context, Name, RowSeed, complaint};
use crate::tables::{ColumnSet, Database, Row, RowError, RowUpdate, Table, TableId, TableLoader, table_position};
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
    pub(super) fn transaction(&mut self, input: &mut Input<'_>, json: &str) -> Result<(), FileError> {
        let entries = log::entries(input, json)?;
        // The flag may stand behind the tables that it is about.
        let differences = entries.iter().any(|(name, value)| name == "_is_diff" && value.get() == "true");
        for (name, value) in &entries {
            if let Some(position) = table_position::<D>(name) {
                let table = LogTable { value, input, lost: &mut self.lost, differences };
                self.database.load_table(position, table).transpose()?;
            }
        }
        Ok(())
    }

    /// The replica; what was lost goes to `input`.
    pub(super) fn finish(self, input: &mut Input<'_>) -> D {
        input.rejected.extend(self.lost.errors.into_iter().map(|(_, rejected)| rejected));
        self.database
    }
}

/// One table of a transaction.
struct LogTable<'a, 'i> {
    value: &'a RawValue,
    input: &'a mut Input<'i>,
    lost: &'a mut Lost,
    differences: bool,
}

impl TableLoader for LogTable<'_, '_> {
    type Output = Result<(), FileError>;

    fn load<R: Row>(self, table: &mut Table<R>) -> Self::Output {
        let Self { value, input, lost, differences } = self;
        let differences = if differences { R::COMPOSITE } else { ColumnSet::EMPTY };
        table.begin();
        // One pass when every row is good and none was lost before; otherwise each row by itself. What the one pass has done when it meets
        // a bad row is done again then, which differences would not bear.
        if lost.rows.is_empty() && differences.is_empty() {
            let mut context = Context::new(&mut input.strings);
            let mut json = serde_json::Deserializer::from_str(value.get());
            if (RowsSeed { table: &mut *table, context: &mut context }).deserialize(&mut json).is_ok() {
                return Ok(());
            }
        }
        for (name, row) in log::entries(input, value.get())? {
            let Some(uuid) = Uuid::parse(&name) else {
                let problem = Problem::Corrupt(format!("table {}: {name:?} is not a row's uuid", R::NAME));
                return Err(input.fail(input.offset_of(row.get()), problem));
            };
            let offset = input.offset_of(row.get());
            let mut context = Context::new(&mut input.strings);
            let mut json = serde_json::Deserializer::from_str(row.get());
            let decoded = LogRow { context: &mut context, differences, row: PhantomData }.deserialize(&mut json);
            let column = context.column;
            let update = match decoded {
                Ok(RowUpdate::Delete) => {
                    if lost.rows.remove(&(R::TABLE, uuid)) {
                        lost.errors.retain(|(table, rejected)| (*table, rejected.error.uuid) != (R::TABLE, uuid));
                    }
                    RowUpdate::Delete
                }
                Ok(update) if !lost.rows.contains(&(R::TABLE, uuid)) => update,
                Ok(_) => RowUpdate::Delete,
                Err(error) => {
                    if lost.rows.insert((R::TABLE, uuid)) {
                        let error = RowError { table: R::NAME, uuid, column, message: complaint(&error) };
                        lost.errors.push((R::TABLE, Rejected { label: input.label.to_owned(), offset, error }));
                    }
                    RowUpdate::Delete
                }
            };
            table.apply(uuid, update);
        }
        Ok(())
    }
}

/// An object of rows by uuid.
struct RowsSeed<'c, 's, R: Row> {
    table: &'c mut Table<R>,
    context: &'c mut Context<'s>,
}

impl<'de, R: Row> DeserializeSeed<'de> for RowsSeed<'_, '_, R> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de, R: Row> Visitor<'de> for RowsSeed<'_, '_, R> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of rows")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(uuid) = map.next_key_seed(Name(Uuid::parse))? {
            let uuid = uuid.ok_or_else(|| A::Error::custom("not a row's uuid"))?;
            let row = LogRow { context: &mut *self.context, differences: ColumnSet::EMPTY, row: PhantomData };
            let update = map.next_value_seed(row)?;
            self.table.apply(uuid, update);
        }
        Ok(())
    }
}

/// The columns of a row, or null for its end.
struct LogRow<'c, 's, R> {
    context: &'c mut Context<'s>,
    differences: ColumnSet,
    row: PhantomData<R>,
}

impl<'de, R: Row> DeserializeSeed<'de> for LogRow<'_, '_, R> {
    type Value = RowUpdate<R>;
    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<RowUpdate<R>, D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de, R: Row> Visitor<'de> for LogRow<'_, '_, R> {
    type Value = RowUpdate<R>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a row or null")
    }
    fn visit_unit<E: Error>(self) -> Result<RowUpdate<R>, E> {
        Ok(RowUpdate::Delete)
    }
    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<RowUpdate<R>, A::Error> {
        let (row, columns) = RowSeed { context: self.context, row: PhantomData }.visit_map(map)?;
        Ok(RowUpdate::Upsert { row, columns, differences: self.differences })
    }
}
