//! The declarations against real schemas: those described in `testdata/schemas` and those installed with the packages.

use std::collections::BTreeMap;
use std::path::Path;

use super::local::Local;
use super::southbound::Southbound;
use super::{AtomType, ColumnType, Database};

/// Column types by table and column.
type Columns = BTreeMap<(String, String), ColumnType>;

#[test]
fn every_declared_column_is_in_the_newest_schema_with_its_type() {
    check_all::<Southbound>(&described("ovn-sb-26.03.1"));
    check_all::<Local>(&described("vswitch-ovs-4.0.0"));
}

#[test]
fn older_schemas_disagree_about_no_declared_column() {
    for (schema, missing) in [("ovn-sb-23.03.1", 35), ("ovn-sb-26.03.1", 0)] {
        assert_eq!(check::<Southbound>(schema, &described(schema)), missing, "columns missing from {schema}");
    }
    for (schema, missing) in [("vswitch-ovs-3.1.0", 2), ("vswitch-ovs-4.0.0", 0)] {
        assert_eq!(check::<Local>(schema, &described(schema)), missing, "columns missing from {schema}");
    }
}

#[test]
fn installed_schemas_agree() {
    check::<Southbound>("installed", &installed("/usr/share/ovn/ovn-sb.ovsschema", "ovn-common"));
    check::<Local>("installed", &installed("/usr/share/openvswitch/vswitch.ovsschema", "openvswitch-common"));
}

#[test]
fn table_and_index_numbers_are_unique_and_columns_fit_a_column_set() {
    let tables: Vec<_> = Southbound::TABLES.iter().chain(Local::TABLES).collect();
    let mut ids: Vec<_> = tables.iter().map(|table| table.id).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), tables.len());
    for table in tables {
        assert!(table.columns.len() < 63, "{}", table.name);
        for column in table.columns {
            assert!(!column.name.contains('#'));
        }
    }
}

fn check_all<D: Database>(schema: &Columns) {
    assert_eq!(check::<D>("the newest schema", schema), 0, "columns that no schema has");
}

/// Asserts that types agree; how many columns the schema lacks.
fn check<D: Database>(name: &str, schema: &Columns) -> usize {
    let mut missing = 0;
    for table in D::TABLES {
        for column in table.columns {
            match schema.get(&(table.name.to_owned(), column.name.to_owned())) {
                Some(&found) => assert_eq!(column.column_type, found, "{name}: {}.{}", table.name, column.name),
                None => missing += 1,
            }
        }
    }
    missing
}

/// A schema from `testdata/schemas`.
fn described(name: &str) -> Columns {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/schemas");
    let text = std::fs::read_to_string(folder.join(name).with_added_extension("columns")).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let [table, column, elements, count] = line.split(' ').collect::<Vec<_>>().try_into().unwrap();
            let (key, value) = elements.split_once(':').map_or((elements, None), |(key, value)| (key, Some(value)));
            (
                (table.to_owned(), column.to_owned()),
                column_type(key, value, count.starts_with('0'), count.ends_with("..1")),
            )
        })
        .collect()
}

/// A schema as the packages install it.
fn installed(path: &str, package: &str) -> Columns {
    let text =
        std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}; apt-get install {package}"));
    let schema: serde_json::Value = serde_json::from_str(&text).unwrap();
    let mut columns = Columns::new();
    for (table, description) in schema["tables"].as_object().unwrap() {
        for (column, about) in description["columns"].as_object().unwrap() {
            let kind = &about["type"];
            let base = |kind: &serde_json::Value| -> Option<String> {
                Some(kind.as_str().or_else(|| kind.get("type")?.as_str())?.to_owned())
            };
            let key = base(kind.get("key").unwrap_or(kind)).unwrap();
            let value = kind.get("value").and_then(base);
            let (optional, single) = (kind.get("min") == Some(&0.into()), kind.get("max").is_none_or(|max| *max == 1));
            columns.insert((table.clone(), column.clone()), column_type(&key, value.as_deref(), optional, single));
        }
    }
    columns
}

fn column_type(key: &str, value: Option<&str>, optional: bool, single: bool) -> ColumnType {
    let atom = |name: &str| match name {
        "integer" => AtomType::Integer,
        "real" => AtomType::Real,
        "boolean" => AtomType::Boolean,
        "string" => AtomType::String,
        "uuid" => AtomType::Uuid,
        _ => panic!("{name}"),
    };
    match (value, single, optional) {
        (Some(value), ..) => ColumnType::Map(atom(key), atom(value)),
        (None, true, false) => ColumnType::Scalar(atom(key)),
        (None, true, true) => ColumnType::Optional(atom(key)),
        (None, false, _) => ColumnType::Set(atom(key)),
    }
}
