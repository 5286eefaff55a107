//! What to monitor: tables and columns ([`MonitorRequest`]) and which of their rows ([`Conditions`]); `<condition>`s
//! of RFC 7047 section 5.1, which transactions use as well ([`Clause`]).

use std::collections::BTreeMap;
use std::fmt;

use crate::datum::{Datum, separated, string};
use crate::schema::Schema;
use crate::tables::{Database, TableInfo};

/// A comparison of a column with a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Function {
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`, numbers only.
    Less,
    /// `<=`, numbers only.
    LessOrEqual,
    /// `>`, numbers only.
    Greater,
    /// `>=`, numbers only.
    GreaterOrEqual,
    /// The column's set or map has everything that is in the value.
    Includes,
    /// The column's set or map has nothing that is in the value.
    Excludes,
}

/// One clause: a row passes when `column function value` holds.
#[derive(Clone, Debug, PartialEq, Hash)]
pub struct Clause {
    /// The column's name; `_uuid` for the row's id.
    pub column: &'static str,
    /// How to compare.
    pub function: Function,
    /// What to compare with.
    pub value: Datum,
}

/// Which rows of one table to monitor.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Rows {
    /// Every row.
    #[default]
    All,
    /// The rows that pass at least one clause; none when there is no clause (ovsdb-server(7), "Monitor_cond").
    Any(Vec<Clause>),
}

/// Which rows to monitor, by table. A table that is not named is monitored whole.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Conditions(pub BTreeMap<&'static str, Rows>);

/// One monitored table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MonitorTable {
    /// The table's name.
    pub name: &'static str,
    /// The columns' names.
    pub columns: Vec<&'static str>,
}

/// The tables and columns to monitor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MonitorRequest {
    /// In the order in which they are requested.
    pub tables: Vec<MonitorTable>,
}

/// A table or column that we would monitor and the server does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lacking {
    /// The whole table.
    Table(&'static str),
    /// One column.
    Column {
        /// The table, which the server has.
        table: &'static str,
        /// The column, which it has not.
        column: &'static str,
    },
}

impl fmt::Display for Lacking {
    /// In the words of OVS's `ovsdb_idl_compose_monitor_request` (3.1), without the database's name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Lacking::Table(table) => write!(f, "database lacks {table} table (database needs upgrade?)"),
            Lacking::Column { table, column } => {
                write!(f, "{table} table in database lacks {column} column (database needs upgrade?)")
            }
        }
    }
}

impl Clause {
    /// `column function value`.
    pub fn new(column: &'static str, function: Function, value: impl Into<Datum>) -> Clause {
        Clause { column, function, value: value.into() }
    }

    /// `column == value`.
    pub fn equal(column: &'static str, value: impl Into<Datum>) -> Clause {
        Clause::new(column, Function::Equal, value)
    }

    /// `column includes value`.
    pub fn includes(column: &'static str, value: impl Into<Datum>) -> Clause {
        Clause::new(column, Function::Includes, value)
    }

    /// Whether it holds for the rows that have anything in the column.
    fn asks_for_anything(&self) -> bool {
        self.function == Function::NotEqual && self.value == Datum::EMPTY
    }

    fn write(&self, out: &mut String) {
        out.push('[');
        string(out, self.column);
        out.push_str(match self.function {
            Function::Equal => ",\"==\",",
            Function::NotEqual => ",\"!=\",",
            Function::Less => ",\"<\",",
            Function::LessOrEqual => ",\"<=\",",
            Function::Greater => ",\">\",",
            Function::GreaterOrEqual => ",\">=\",",
            Function::Includes => ",\"includes\",",
            Function::Excludes => ",\"excludes\",",
        });
        self.value.write(out);
        out.push(']');
    }
}

/// Appends clauses as the `where` of a transaction's operation: all must hold.
pub(crate) fn write_clauses(out: &mut String, clauses: &[Clause]) {
    out.push('[');
    separated(out, clauses, |out, clause| clause.write(out));
    out.push(']');
}

impl Rows {
    /// No row.
    pub const NONE: Rows = Rows::Any(Vec::new());

    /// Appends the rows as the `where` of a monitor request: one clause must hold, `[false]` for none.
    fn write(&self, out: &mut String) {
        match self {
            Rows::All => out.push_str("[true]"),
            Rows::Any(clauses) if clauses.is_empty() => out.push_str("[false]"),
            Rows::Any(clauses) => write_clauses(out, clauses),
        }
    }
}

impl fmt::Display for Conditions {
    /// How many clauses there are for each table that is not monitored whole.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = self.0.iter().filter_map(|(table, rows)| match rows {
            Rows::All => None,
            Rows::Any(clauses) => Some((table, clauses.len())),
        });
        let mut separator = "";
        for (table, clauses) in counts {
            write!(f, "{separator}{table} {clauses}")?;
            separator = ", ";
        }
        if separator.is_empty() { f.write_str("every row") } else { Ok(()) }
    }
}

impl Conditions {
    /// The rows of `table`.
    pub fn of(&self, table: &str) -> &Rows {
        self.0.get(table).unwrap_or(&Rows::All)
    }

    /// Whether every row of every table is meant.
    pub fn is_everything(&self) -> bool {
        self.0.values().all(|rows| *rows == Rows::All)
    }

    /// Sets the rows of `table`.
    pub fn set(&mut self, table: &'static str, rows: Rows) {
        self.0.insert(table, rows);
    }

    /// These conditions, as far as `schema` can express them. A condition on a column that the server lacks becomes
    /// "every row", for more than asked does no harm and less would; but no row has anything in such a column.
    pub(crate) fn known_to(&self, schema: &Schema) -> Conditions {
        let known =
            |table: &str, clause: &Clause| clause.column == "_uuid" || schema.column(table, clause.column).is_some();
        let known_rows = |table: &str, rows: &Rows| {
            let Rows::Any(clauses) = rows else { return Rows::All };
            let (expressible, others): (Vec<&Clause>, Vec<&Clause>) =
                clauses.iter().partition(|clause| known(table, clause));
            match others.into_iter().all(Clause::asks_for_anything) {
                true => Rows::Any(expressible.into_iter().cloned().collect()),
                false => Rows::All,
            }
        };
        Conditions(self.0.iter().map(|(&table, rows)| (table, known_rows(table, rows))).collect())
    }
}

impl MonitorRequest {
    /// Every declared table and column of a database.
    pub fn everything<D: Database>() -> MonitorRequest {
        let columns = |table: &TableInfo| table.columns.iter().map(|column| column.name).collect();
        let tables = D::TABLES.iter().map(|table| MonitorTable { name: table.name, columns: columns(table) }).collect();
        MonitorRequest { tables }
    }

    /// This request without what the server lacks, and what that is.
    pub fn intersect(&self, schema: &Schema) -> (MonitorRequest, Vec<Lacking>) {
        let mut lacking = Vec::new();
        let mut tables = Vec::new();
        for table in &self.tables {
            let Some(known) = schema.tables.get(table.name) else {
                lacking.push(Lacking::Table(table.name));
                continue;
            };
            let (columns, missing): (Vec<_>, Vec<_>) =
                table.columns.iter().partition(|column| known.columns.contains_key(**column));
            lacking.extend(missing.into_iter().map(|column| Lacking::Column { table: table.name, column }));
            tables.push(MonitorTable { name: table.name, columns });
        }
        (MonitorRequest { tables }, lacking)
    }

    /// Appends the `<monitor-requests>` object; without conditions for plain `monitor`, which knows none.
    pub(crate) fn write(&self, out: &mut String, conditions: Option<&Conditions>) {
        out.push('{');
        separated(out, &self.tables, |out, table| {
            string(out, table.name);
            out.push_str(":[{\"columns\":[");
            separated(out, &table.columns, |out, column| string(out, column));
            out.push(']');
            if let Some(rows @ Rows::Any(_)) = conditions.map(|conditions| conditions.of(table.name)) {
                out.push_str(",\"where\":");
                rows.write(out);
            }
            out.push_str("}]");
        });
        out.push('}');
    }

    /// The `<monitor-cond-update-requests>` object that leads from one set of conditions (`None`: it is not known which)
    /// to another; `None` when nothing differs in a monitored table.
    pub(crate) fn change(&self, from: Option<&Conditions>, to: &Conditions) -> Option<String> {
        let mut out = String::from("{");
        let differs = |table: &str| from.is_none_or(|from| from.of(table) != to.of(table));
        let changed = self.tables.iter().filter(|table| differs(table.name));
        separated(&mut out, changed, |out, table| {
            string(out, table.name);
            out.push_str(":[{\"where\":");
            to.of(table.name).write(out);
            out.push_str("}]");
        });
        out.push('}');
        (out.len() > 2).then_some(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> MonitorRequest {
        MonitorRequest {
            tables: vec![
                MonitorTable { name: "A", columns: vec!["x", "y"] },
                MonitorTable { name: "B", columns: vec![] },
                MonitorTable { name: "C", columns: vec!["z"] },
            ],
        }
    }

    fn text(conditions: Option<&Conditions>) -> String {
        let mut out = String::new();
        request().write(&mut out, conditions);
        out
    }

    #[test]
    fn requests() {
        assert_eq!(text(None), r#"{"A":[{"columns":["x","y"]}],"B":[{"columns":[]}],"C":[{"columns":["z"]}]}"#);
        let mut conditions = Conditions::default();
        conditions.set("A", Rows::Any(vec![Clause::equal("x", 1), Clause::includes("y", Some("q"))]));
        conditions.set("B", Rows::NONE);
        conditions.set("not monitored", Rows::NONE);
        assert_eq!(
            text(Some(&conditions)),
            concat!(
                r#"{"A":[{"columns":["x","y"],"where":[["x","==",1],["y","includes",["set",["q"]]]]}],"#,
                r#""B":[{"columns":[],"where":[false]}],"C":[{"columns":["z"]}]}"#
            )
        );
    }

    #[test]
    fn changes_name_only_tables_that_differ() {
        let mut from = Conditions::default();
        from.set("A", Rows::NONE);
        from.set("C", Rows::All);
        let mut to = from.clone();
        to.set("not monitored", Rows::NONE);
        assert_eq!(request().change(Some(&from), &to), None);
        to.set("A", Rows::All);
        to.set("B", Rows::NONE);
        assert_eq!(request().change(Some(&from), &to).unwrap(), r#"{"A":[{"where":[true]}],"B":[{"where":[false]}]}"#);
        assert_eq!(
            request().change(None, &to).unwrap(),
            r#"{"A":[{"where":[true]}],"B":[{"where":[false]}],"C":[{"where":[true]}]}"#
        );
    }

    #[test]
    fn what_an_older_server_lacks() {
        let schema = Schema::parse(
            r#"{"name":"D","tables":{"A":{"columns":{"x":{"type":"integer"}}},"C":{"columns":{"z":{"type":"string"}}}}}"#,
        )
        .unwrap();
        let (known, lacking) = request().intersect(&schema);
        assert_eq!(known.tables.iter().map(|table| table.columns.join(",")).collect::<Vec<_>>(), ["x", "z"]);
        assert_eq!(
            lacking.iter().map(ToString::to_string).collect::<Vec<_>>(),
            [
                "A table in database lacks y column (database needs upgrade?)",
                "database lacks B table (database needs upgrade?)"
            ]
        );
        let mut conditions = Conditions::default();
        conditions.set("A", Rows::Any(vec![Clause::equal("x", 1), Clause::equal("y", 1)]));
        conditions.set("C", Rows::Any(vec![Clause::equal("z", "q"), Clause::equal("_uuid", crate::value::Uuid::NIL)]));
        let known = conditions.known_to(&schema);
        assert_eq!(known.of("A"), &Rows::All);
        assert_eq!(known.of("C"), conditions.of("C"));
        let anything = Clause::new("y", Function::NotEqual, Datum::EMPTY);
        conditions.set("A", Rows::Any(vec![Clause::equal("x", 1), anything]));
        assert_eq!(conditions.known_to(&schema).of("A"), &Rows::Any(vec![Clause::equal("x", 1)]));
    }
}
