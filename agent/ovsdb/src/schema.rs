//! The schema of a database as a server describes it (RFC 7047 section 3.2), reduced to what a client needs to know
//! before it asks for tables and columns. Entry type: [`Schema`].

use std::collections::BTreeMap;

use serde::Deserialize;
use thiserror::Error;

/// A schema that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("database schema: {0}")]
pub struct SchemaError(String);

/// Tables and columns of one database.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Schema {
    /// The database's name, such as `OVN_Southbound`.
    pub name: String,
    /// The schema's version, such as `20.27.0`.
    #[serde(default)]
    pub version: String,
    /// Tables by name.
    pub tables: BTreeMap<String, TableSchema>,
}

/// One table.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct TableSchema {
    /// Columns by name, without the implicit `_uuid` and `_version`.
    pub columns: BTreeMap<String, ColumnSchema>,
    /// Rows that nothing refers to stay.
    #[serde(default, rename = "isRoot")]
    pub is_root: bool,
    /// The most rows the table may have.
    #[serde(default, rename = "maxRows")]
    pub max_rows: Option<u32>,
}

/// One column.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ColumnSchema {
    /// The type of its values.
    #[serde(rename = "type")]
    pub kind: ColumnType,
    /// Values are not written to disk.
    #[serde(default)]
    pub ephemeral: bool,
    /// Values may change after the row was inserted.
    #[serde(default = "yes")]
    pub mutable: bool,
}

/// The type of a column's values: `min` to `max` keys, or pairs of key and value.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "ColumnTypeForm")]
pub struct ColumnType {
    /// Type of the elements, or of a map's keys.
    pub key: BaseType,
    /// Type of a map's values; `None` for everything but maps.
    pub value: Option<BaseType>,
    /// The fewest elements: 0 or 1.
    pub min: u32,
    /// The most elements; `None` for "unlimited".
    pub max: Option<u32>,
}

/// The type of one atom.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "BaseTypeForm")]
pub struct BaseType {
    /// The kind of atom.
    pub kind: AtomicType,
    /// For a uuid that refers to a row: the table's name.
    pub ref_table: Option<String>,
    /// The reference does not keep the row alive.
    pub weak: bool,
}

/// RFC 7047 section 3.1, `<atomic-type>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AtomicType {
    /// 64-bit signed integer.
    Integer,
    /// 64-bit floating point.
    Real,
    /// true or false.
    Boolean,
    /// UTF-8 text.
    String,
    /// A row's id, or a reference to one.
    Uuid,
}

impl Schema {
    /// Reads the result of `get_schema`, or an `.ovsschema` file.
    pub fn parse(text: &str) -> Result<Schema, SchemaError> {
        serde_json::from_str(text).map_err(|error| SchemaError(error.to_string()))
    }

    /// The column's description, if the server has it.
    pub fn column(&self, table: &str, column: &str) -> Option<&ColumnSchema> {
        self.tables.get(table)?.columns.get(column)
    }
}

impl ColumnType {
    /// Exactly one atom.
    pub fn is_scalar(&self) -> bool {
        self.value.is_none() && self.min == 1 && self.max == Some(1)
    }

    /// None or one atom.
    pub fn is_optional(&self) -> bool {
        self.value.is_none() && self.min == 0 && self.max == Some(1)
    }

    /// Pairs of key and value.
    pub fn is_map(&self) -> bool {
        self.value.is_some()
    }
}

fn yes() -> bool {
    true
}

/// The two ways in which a schema writes a column's type.
#[derive(Deserialize)]
#[serde(untagged)]
enum ColumnTypeForm {
    Atomic(AtomicType),
    Full {
        key: BaseType,
        value: Option<BaseType>,
        #[serde(default = "one")]
        min: u32,
        #[serde(default)]
        max: Max,
    },
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Max {
    Number(u32),
    Unlimited(Unlimited),
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Unlimited {
    Unlimited,
}

/// The two ways in which a schema writes an atom's type.
#[derive(Deserialize)]
#[serde(untagged)]
enum BaseTypeForm {
    Atomic(AtomicType),
    Full {
        #[serde(rename = "type")]
        kind: AtomicType,
        #[serde(rename = "refTable")]
        ref_table: Option<String>,
        #[serde(rename = "refType")]
        ref_type: Option<String>,
    },
}

fn one() -> u32 {
    1
}

impl Default for Max {
    fn default() -> Max {
        Max::Number(1)
    }
}

impl From<BaseTypeForm> for BaseType {
    fn from(form: BaseTypeForm) -> BaseType {
        match form {
            BaseTypeForm::Atomic(kind) => BaseType { kind, ref_table: None, weak: false },
            BaseTypeForm::Full { kind, ref_table, ref_type } => {
                BaseType { kind, ref_table, weak: ref_type.as_deref() == Some("weak") }
            }
        }
    }
}

impl From<ColumnTypeForm> for ColumnType {
    fn from(form: ColumnTypeForm) -> ColumnType {
        match form {
            ColumnTypeForm::Atomic(kind) => {
                ColumnType { key: BaseType { kind, ref_table: None, weak: false }, value: None, min: 1, max: Some(1) }
            }
            ColumnTypeForm::Full { key, value, min, max } => {
                let max = match max {
                    Max::Number(max) => Some(max),
                    Max::Unlimited(Unlimited::Unlimited) => None,
                };
                ColumnType { key, value, min, max }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn column_types() {
        let schema = Schema::parse(
            r#"{"name":"D","version":"1.2.3","cksum":"1 2","tables":{
                "T":{"isRoot":true,"maxRows":1,"indexes":[["a"]],"columns":{
                    "a":{"type":"integer"},
                    "b":{"type":{"key":"string","min":0},"ephemeral":true},
                    "c":{"type":{"key":{"type":"uuid","refTable":"U","refType":"weak"},"min":0,"max":"unlimited"}},
                    "d":{"type":{"key":"string","value":"boolean","min":0,"max":8},"mutable":false},
                    "e":{"type":{"key":{"type":"string","enum":["set",["x","y"]]}}},
                    "f":{"type":{"key":{"type":"integer","minInteger":0,"maxInteger":9}}}}},
                "U":{"columns":{}}}}"#,
        )
        .unwrap();
        assert_eq!((schema.name.as_str(), schema.version.as_str()), ("D", "1.2.3"));
        let table = &schema.tables["T"];
        assert_eq!((table.is_root, table.max_rows), (true, Some(1)));
        assert_eq!((schema.tables["U"].is_root, schema.tables["U"].max_rows), (false, None));
        let kind = |column: &str| schema.column("T", column).unwrap().kind.clone();
        assert!(kind("a").is_scalar() && kind("e").is_scalar() && kind("f").is_scalar());
        assert!(kind("b").is_optional());
        assert_eq!((kind("c").key.ref_table.as_deref(), kind("c").key.weak), (Some("U"), true));
        assert_eq!((kind("c").min, kind("c").max), (0, None));
        assert!(kind("d").is_map() && kind("d").value.unwrap().kind == AtomicType::Boolean);
        assert!(!schema.column("T", "d").unwrap().mutable && schema.column("T", "b").unwrap().ephemeral);
        assert!(schema.column("T", "z").is_none() && schema.column("Z", "a").is_none());
    }

    #[test]
    fn errors_say_where() {
        let error = Schema::parse(r#"{"name":"D","tables":[]}"#).unwrap_err();
        assert!(error.to_string().starts_with("database schema: invalid type: sequence"), "{error}");
    }
}
