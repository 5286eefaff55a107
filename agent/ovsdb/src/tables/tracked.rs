//! Reading rows with a record of what was read: [`Tracked`] and the log behind it, [`ColumnReads`].

use super::column::ColumnSet;
use super::table::Table;
use super::{Row, RowId, TableId};
use crate::value::Uuid;

/// Hears of every column read through a [`Tracked`] row.
pub trait ColumnReads {
    /// `column` of `row` was read; [`ColumnSet::EXISTS_COLUMN`] when only its existence mattered.
    fn column_read(&self, table: TableId, row: RowId, column: u8);
}

/// Reads nothing down: for code that runs outside the engine.
impl ColumnReads for () {
    fn column_read(&self, _table: TableId, _row: RowId, _column: u8) {}
}

/// A row whose columns are read through methods of the columns' names, each of which tells the log first.
pub struct Tracked<'a, R, L: ?Sized> {
    row: &'a R,
    id: RowId,
    uuid: Uuid,
    log: &'a L,
}

impl<R, L: ?Sized> Clone for Tracked<'_, R, L> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<R, L: ?Sized> Copy for Tracked<'_, R, L> {}

impl<'a, R: Row, L: ColumnReads + ?Sized> Tracked<'a, R, L> {
    /// The row at `id` of `table`. Its existence counts as read, whether there is one or not.
    pub fn new(table: &'a Table<R>, id: RowId, log: &'a L) -> Option<Self> {
        log.column_read(R::TABLE, id, ColumnSet::EXISTS_COLUMN);
        Some(Self { row: table.row(id)?, id, uuid: table.uuid(id), log })
    }

    /// The row's place in its table.
    pub fn row_id(&self) -> RowId {
        self.id
    }

    /// The row's identity; it never changes during the row's life.
    pub fn uuid(&self) -> Uuid {
        self.uuid
    }

    /// The row without the log, for columns that never matter to a result (logging).
    pub fn untracked(&self) -> &'a R {
        self.row
    }

    /// For the generated accessors: notes the read and gives the row.
    pub(crate) fn column(&self, column: u8) -> &'a R {
        self.log.column_read(R::TABLE, self.id, column);
        self.row
    }
}
