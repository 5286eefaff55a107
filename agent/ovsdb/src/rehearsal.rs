//! What a transaction would do to a database, worked out without a server: [`updates`]. For a replica that came from a file
//! (`ovn-agent translate` of a Southbound in which the chassis is not registered yet).
//!
//! Rows are meant by their UUID, and sets and maps only grow: that is all that a write unit needs to see the effect of what it
//! wants on an idle database.

use serde_json::{Map, Value, json};

use crate::tables::Database;
use crate::tables::decode::{Differences, Strings, UpdateFormat, decode_from};
use crate::transaction::Transaction;
use crate::value::Uuid;

/// Why a transaction cannot be rehearsed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot rehearse {operation}: {why}")]
pub struct Unsupported {
    /// The operation, as JSON.
    pub operation: String,
    /// What about it.
    pub why: String,
}

/// The updates that a server would send after carrying out `transaction`, one operation after the other. New rows get the UUIDs
/// that `fresh` gives.
///
/// # Errors
/// When an operation is of a kind that needs a server, or does not fit the tables of `D`.
pub fn updates<D: Database>(
    transaction: &Transaction,
    mut fresh: impl FnMut() -> Uuid,
) -> Result<Vec<D::Updates>, Unsupported> {
    let mut text = String::new();
    transaction.write(&mut text, D::NAME);
    let mut operations: Vec<Value> = match serde_json::from_str(&text) {
        Ok(Value::Array(operations)) => operations,
        _ => Vec::new(),
    };
    // The first element is the database's name.
    operations.retain(Value::is_object);
    let mut named = Map::new();
    for operation in &mut operations {
        if operation["op"] == "insert" {
            let uuid = fresh().to_string();
            if let Some(name) = operation["uuid-name"].as_str() {
                named.insert(name.to_owned(), json!(uuid));
            }
            operation["uuid"] = json!(uuid);
        }
    }
    let mut updates = Vec::with_capacity(operations.len());
    for mut operation in operations {
        resolve(&mut operation, &named);
        let unsupported = |why: String| Unsupported { operation: operation.to_string(), why };
        let Some((change, differences)) = effect::<D>(&operation).map_err(unsupported)? else { continue };
        let change = json!({ operation["table"].as_str().unwrap_or_default(): change }).to_string();
        let decoded = decode_from::<D>(&change, UpdateFormat::V2, &differences, &mut Strings::shared());
        updates.push(decoded.map_err(|error| unsupported(error.to_string()))?);
    }
    Ok(updates)
}

/// The `<table-update2>` of one operation and how to read it; `None` if it changes nothing.
fn effect<D: Database>(operation: &Value) -> Result<Option<(Value, Differences)>, String> {
    let whole = Differences::none::<D>();
    match operation["op"].as_str().unwrap_or_default() {
        "comment" => Ok(None),
        "insert" => Ok(Some((row(&operation["uuid"], "insert", operation["row"].clone()), whole))),
        "update" => Ok(Some((row(meant(operation)?, "modify", operation["row"].clone()), whole))),
        "delete" => Ok(Some((row(meant(operation)?, "delete", Value::Null), whole))),
        "mutate" => {
            let mut columns = Map::new();
            for mutation in operation["mutations"].as_array().into_iter().flatten() {
                match (mutation[0].as_str(), mutation[1].as_str()) {
                    (Some(column), Some("insert")) => columns.insert(column.to_owned(), mutation[2].clone()),
                    _ => return Err("only mutations that insert are known".to_owned()),
                };
            }
            Ok(Some((row(meant(operation)?, "modify", columns.into()), Differences::declared::<D>())))
        }
        other => Err(format!("{other} needs a server")),
    }
}

fn row(uuid: &Value, kind: &str, columns: Value) -> Value {
    json!({ uuid.as_str().unwrap_or_default(): { kind: columns } })
}

/// The UUID of the one row that the operation is about.
fn meant(operation: &Value) -> Result<&Value, String> {
    match operation["where"].as_array().map(Vec::as_slice) {
        Some([clause]) if clause[0] == "_uuid" && clause[1] == "==" => Ok(&clause[2][1]),
        _ => Err("the row is not meant by its UUID".to_owned()),
    }
}

/// Puts the UUIDs of new rows in place of their names.
fn resolve(value: &mut Value, named: &Map<String, Value>) {
    match value {
        Value::Array(items) => {
            if let [Value::String(kind), Value::String(name)] = items.as_mut_slice()
                && kind == "named-uuid"
                && let Some(uuid) = named.get(name)
            {
                *items = vec![json!("uuid"), uuid.clone()];
                return;
            }
            items.iter_mut().for_each(|item| resolve(item, named));
        }
        Value::Object(members) => members.values_mut().for_each(|member| resolve(member, named)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::datum::Datum;
    use crate::tables::southbound::Southbound;
    use crate::transaction::Mutator;

    fn numbered() -> impl FnMut() -> Uuid {
        let mut last = 0;
        move || {
            last += 1;
            Uuid([last; 16])
        }
    }

    fn carried_out(database: &mut Southbound, transaction: &Transaction) {
        for updates in updates::<Southbound>(transaction, numbered()).unwrap() {
            database.apply(updates);
        }
    }

    #[test]
    fn inserts_updates_mutations_and_deletions_take_effect() {
        let mut sb = Southbound::default();
        let mut transaction = Transaction::new();
        transaction.insert_named("Encap", "e", vec![("ip", Datum::from("192.0.2.1"))]);
        transaction.insert("Chassis", vec![("name", Datum::from("hv1")), ("encaps", Datum::named("e"))]);
        transaction.comment("both");
        carried_out(&mut sb, &transaction);
        let (encap, chassis) = (Uuid([1; 16]), Uuid([2; 16]));
        assert_eq!(sb.chassis.row_by_uuid(&chassis).unwrap().encaps.only(), Some(&encap));

        let mut transaction = Transaction::new();
        transaction.update("Chassis", chassis, vec![("hostname", Datum::from("host"))]);
        transaction.mutate("Chassis", chassis, vec![("transport_zones", Mutator::Insert, Datum::from("a"))]);
        transaction.delete("Encap", encap);
        carried_out(&mut sb, &transaction);
        let row = sb.chassis.row_by_uuid(&chassis).unwrap();
        assert_eq!((row.name.as_str(), row.hostname.as_str()), ("hv1", "host"));
        assert_eq!(row.transport_zones.only().map(|zone| zone.as_str()), Some("a"));
        assert!(sb.encap.is_empty());
    }

    #[test]
    fn what_needs_a_server_is_refused_by_name() {
        let mut transaction = Transaction::new();
        transaction.verify("Chassis", Uuid([2; 16]), vec![("name", Datum::from("hv1"))]);
        let error = updates::<Southbound>(&transaction, numbered()).unwrap_err().to_string();
        assert!(error.contains("wait needs a server"), "{error}");
    }
}
