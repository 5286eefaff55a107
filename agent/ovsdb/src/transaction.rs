//! Transactions (RFC 7047 section 4.1.3): [`Transaction`] builds one, [`Outcome`] is what became of it.

use std::fmt;

use serde::Deserialize;
use serde_json::value::RawValue;
use thiserror::Error;

use crate::condition::{Clause, write_clauses};
use crate::datum::{Datum, separated, string};
use crate::json::{Json, JsonError};
use crate::rpc::RemoteError;
use crate::tables::Row;
use crate::tables::decode::{Context, Strings, row};
use crate::value::{Str, Uuid};

/// Columns of a row with their values.
pub type RowValues = Vec<(&'static str, Datum)>;

/// Operations that a server carries out together or not at all.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Transaction {
    /// In the order in which the server carries them out.
    pub operations: Vec<Operation>,
}

/// One operation (RFC 7047 section 5.2). Its clauses must all hold for a row to be meant; no clause means every row.
#[derive(Clone, Debug, PartialEq, Hash)]
pub enum Operation {
    /// A new row.
    Insert {
        /// The table's name.
        table: &'static str,
        /// A name for the row in this transaction, for [`Datum::named`]; a letter or underscore, then also digits.
        uuid_name: Option<Str>,
        /// Columns that are not the default.
        row: RowValues,
    },
    /// New values for some columns.
    Update {
        /// The table's name.
        table: &'static str,
        /// The rows meant.
        clauses: Vec<Clause>,
        /// The columns to set.
        row: RowValues,
    },
    /// Changes of values, without their knowledge.
    Mutate {
        /// The table's name.
        table: &'static str,
        /// The rows meant.
        clauses: Vec<Clause>,
        /// Column, mutator, argument.
        mutations: Vec<(&'static str, Mutator, Datum)>,
    },
    /// The rows are removed.
    Delete {
        /// The table's name.
        table: &'static str,
        /// The rows meant.
        clauses: Vec<Clause>,
    },
    /// The transaction fails with "timed out" unless the columns of the rows meant are (or are not) as given.
    Wait {
        /// The table's name.
        table: &'static str,
        /// The rows meant.
        clauses: Vec<Clause>,
        /// The columns to compare.
        columns: Vec<&'static str>,
        /// True for `==`: the rows must be these; false for `!=`.
        equal: bool,
        /// The rows expected.
        rows: Vec<RowValues>,
    },
    /// Tells of rows and changes nothing: [`OperationResult::rows`].
    Select {
        /// The table's name.
        table: &'static str,
        /// The rows meant.
        clauses: Vec<Clause>,
        /// What to tell of them.
        columns: Vec<&'static str>,
    },
    /// A remark in the server's database file.
    Comment(String),
}

/// RFC 7047 section 5.1, `<mutator>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mutator {
    /// `+=`, numbers.
    Add,
    /// `-=`, numbers.
    Subtract,
    /// `insert`: elements into a set, pairs into a map where the key is new.
    Insert,
    /// `delete`: elements out of a set; pairs, or keys given as a set, out of a map.
    Delete,
}

/// What became of a transaction.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// Committed: one result per operation.
    Committed(Vec<OperationResult>),
    /// The server refused it; nothing was changed.
    Failed(TransactionError),
    /// The connection broke before the answer: whether it was committed shows in the database's contents only. Also when it
    /// could not be sent at all (`sent` is false), and then it was not.
    Lost {
        /// It had been given to the connection.
        sent: bool,
    },
}

/// The result of one operation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OperationResult {
    /// Rows updated, mutated or deleted.
    pub count: u64,
    /// The id of the inserted row.
    pub uuid: Option<Uuid>,
    /// The rows selected, as the server writes them; empty for other operations. See [`OperationResult::rows`].
    pub selected: Box<str>,
}

impl OperationResult {
    /// The rows that a [`Operation::Select`] told of; columns that it did not ask for have their default.
    ///
    /// # Errors
    /// When it is no list of such rows.
    pub fn rows<R: Row>(&self) -> Result<Vec<R>, JsonError> {
        let (mut strings, mut json) = (Strings::unshared(), Json::new(&self.selected));
        let mut context = Context::new(&mut strings);
        let (mut rows, mut elements) = (Vec::new(), json.array("a list of rows")?);
        while json.more(&mut elements)? {
            rows.push(row(&mut json, &mut context)?.0);
        }
        json.end()?;
        Ok(rows)
    }
}

/// Why a server refused a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransactionError {
    /// The kind, as far as a client acts on it.
    pub kind: ErrorKind,
    /// The operation that failed, by index; `None` when all succeeded and the commit failed, or the request as a whole did.
    pub operation: Option<usize>,
    /// The server's words.
    pub error: RemoteError,
}

/// Kinds of transaction errors (RFC 7047 sections 3.1 and 5.2, ovsdb-server(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// A rule of the schema: unique index, number of rows, range.
    ConstraintViolation,
    /// A strong reference to a row that does not exist.
    ReferentialIntegrityViolation,
    /// RBAC (section 4.1.3 of ovsdb(7)): the role may not do this.
    PermissionError,
    /// A lock that the transaction asserts is held by another client.
    NotOwner,
    /// A `wait` did not hold: the database is not as the transaction assumes.
    TimedOut,
    /// By an `abort` operation.
    Aborted,
    /// The cluster could not commit it now (lost its leader, a cluster member stops); the same may succeed later.
    ClusterUnavailable,
    /// The server cannot write its file.
    IoError,
    /// The request is malformed for this schema: unknown table or column, wrong type.
    SyntaxError,
    /// Any other word.
    Other,
}

/// The answer to a transaction does not have the form of one.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("reply to transaction: {0}")]
pub struct ReplyError(String);

impl Transaction {
    /// A transaction without operations.
    pub fn new() -> Transaction {
        Transaction::default()
    }

    /// Whether there is nothing to do; comments alone do nothing.
    pub fn is_empty(&self) -> bool {
        self.operations.iter().all(|operation| matches!(operation, Operation::Comment(_)))
    }

    /// Adds an operation.
    pub fn push(&mut self, operation: Operation) -> &mut Transaction {
        self.operations.push(operation);
        self
    }

    /// A new row.
    pub fn insert(&mut self, table: &'static str, row: RowValues) -> &mut Transaction {
        self.push(Operation::Insert { table, uuid_name: None, row })
    }

    /// A new row, to which other operations refer by [`Datum::named`].
    pub fn insert_named(&mut self, table: &'static str, name: &str, row: RowValues) -> &mut Transaction {
        self.push(Operation::Insert { table, uuid_name: Some(Str::from(name)), row })
    }

    /// New values for one row.
    pub fn update(&mut self, table: &'static str, row: Uuid, values: RowValues) -> &mut Transaction {
        self.push(Operation::Update { table, clauses: vec![by_uuid(row)], row: values })
    }

    /// Changes of one row.
    pub fn mutate(
        &mut self,
        table: &'static str,
        row: Uuid,
        mutations: Vec<(&'static str, Mutator, Datum)>,
    ) -> &mut Transaction {
        self.push(Operation::Mutate { table, clauses: vec![by_uuid(row)], mutations })
    }

    /// Removes one row.
    pub fn delete(&mut self, table: &'static str, row: Uuid) -> &mut Transaction {
        self.push(Operation::Delete { table, clauses: vec![by_uuid(row)] })
    }

    /// Goes on only while these columns of the row have these values (`ovsdb_idl_txn_verify`).
    pub fn verify(&mut self, table: &'static str, row: Uuid, values: RowValues) -> &mut Transaction {
        let columns = values.iter().map(|(column, _)| *column).collect();
        self.push(Operation::Wait { table, clauses: vec![by_uuid(row)], columns, equal: true, rows: vec![values] })
    }

    /// A remark in the server's database file.
    pub fn comment(&mut self, text: impl Into<String>) -> &mut Transaction {
        self.push(Operation::Comment(text.into()))
    }

    /// Appends `params` of the `transact` request.
    pub(crate) fn write(&self, out: &mut String, database: &str) {
        out.push('[');
        string(out, database);
        for operation in &self.operations {
            out.push(',');
            operation.write(out);
        }
        out.push(']');
    }
}

impl fmt::Display for Transaction {
    /// The operations as JSON, without the database's name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = String::from("[");
        separated(&mut out, &self.operations, |out, operation| operation.write(out));
        out.push(']');
        f.write_str(&out)
    }
}

impl Operation {
    fn write(&self, out: &mut String) {
        let head = |out: &mut String, op: &str, table: &str| {
            out.push_str("{\"op\":\"");
            out.push_str(op);
            out.push_str("\",\"table\":");
            string(out, table);
        };
        let which = |out: &mut String, clauses: &[Clause]| {
            out.push_str(",\"where\":");
            write_clauses(out, clauses);
        };
        match self {
            Operation::Insert { table, uuid_name, row } => {
                head(out, "insert", table);
                if let Some(name) = uuid_name {
                    out.push_str(",\"uuid-name\":");
                    string(out, name);
                }
                out.push_str(",\"row\":");
                write_row(out, row);
            }
            Operation::Update { table, clauses, row } => {
                head(out, "update", table);
                which(out, clauses);
                out.push_str(",\"row\":");
                write_row(out, row);
            }
            Operation::Mutate { table, clauses, mutations } => {
                head(out, "mutate", table);
                which(out, clauses);
                out.push_str(",\"mutations\":[");
                separated(out, mutations, |out, (column, mutator, value)| {
                    out.push('[');
                    string(out, column);
                    out.push_str(mutator.notation());
                    value.write(out);
                    out.push(']');
                });
                out.push(']');
            }
            Operation::Delete { table, clauses } => {
                head(out, "delete", table);
                which(out, clauses);
            }
            Operation::Wait { table, clauses, columns, equal, rows } => {
                head(out, "wait", table);
                which(out, clauses);
                // The agent never blocks a server: it asks whether things are so now, as `ovsdb_idl_txn_commit` does.
                out.push_str(",\"timeout\":0,\"columns\":[");
                separated(out, columns, |out, column| string(out, column));
                out.push_str(if *equal { "],\"until\":\"==\",\"rows\":[" } else { "],\"until\":\"!=\",\"rows\":[" });
                separated(out, rows, write_row);
                out.push(']');
            }
            Operation::Select { table, clauses, columns } => {
                head(out, "select", table);
                which(out, clauses);
                out.push_str(",\"columns\":[");
                separated(out, columns, |out, column| string(out, column));
                out.push(']');
            }
            Operation::Comment(text) => {
                out.push_str("{\"op\":\"comment\",\"comment\":");
                string(out, text);
            }
        }
        out.push('}');
    }
}

impl Mutator {
    fn notation(self) -> &'static str {
        match self {
            Mutator::Add => ",\"+=\",",
            Mutator::Subtract => ",\"-=\",",
            Mutator::Insert => ",\"insert\",",
            Mutator::Delete => ",\"delete\",",
        }
    }
}

impl Outcome {
    /// Reads the result of a `transact` request with this many operations.
    pub(crate) fn parse(result: &str, operations: usize) -> Result<Outcome, ReplyError> {
        let results: Vec<Option<ResultForm>> =
            serde_json::from_str(result).map_err(|error| ReplyError(error.to_string()))?;
        let count = results.len();
        let mut done = Vec::with_capacity(operations);
        for (index, result) in results.into_iter().enumerate() {
            // Operations after a failed one are null; a null before an error is a server's mistake.
            let result =
                result.ok_or_else(|| ReplyError(format!("result {index} is null and no error precedes it")))?;
            if let Some(error) = result.error {
                let error = RemoteError { error, details: result.details, syntax: result.syntax };
                let operation = (index < operations).then_some(index);
                return Ok(Outcome::Failed(TransactionError { kind: ErrorKind::of(&error.error), operation, error }));
            }
            let uuid = result.uuid.map(|UuidForm(_, text)| parse_uuid(&text, index)).transpose()?;
            let selected = result.rows.map(|rows| rows.get().into()).unwrap_or_default();
            done.push(OperationResult { count: result.count.unwrap_or(0), uuid, selected });
        }
        if count != operations {
            return Err(ReplyError(format!("{count} results for {operations} operations")));
        }
        Ok(Outcome::Committed(done))
    }

    /// The request as a whole was refused.
    pub(crate) fn refused(error: RemoteError) -> Outcome {
        Outcome::Failed(TransactionError { kind: ErrorKind::of(&error.error), operation: None, error })
    }

    /// Committed.
    pub fn is_committed(&self) -> bool {
        matches!(self, Outcome::Committed(_))
    }
}

impl ErrorKind {
    fn of(word: &str) -> ErrorKind {
        match word {
            "constraint violation" => ErrorKind::ConstraintViolation,
            "referential integrity violation" => ErrorKind::ReferentialIntegrityViolation,
            "permission error" => ErrorKind::PermissionError,
            "not owner" => ErrorKind::NotOwner,
            "timed out" => ErrorKind::TimedOut,
            "aborted" => ErrorKind::Aborted,
            "I/O error" => ErrorKind::IoError,
            "canceled" | "cluster error" | "disconnected" | "not leader" | "lost leadership" | "shutdown" => {
                ErrorKind::ClusterUnavailable
            }
            "syntax error" | "unknown database" => ErrorKind::SyntaxError,
            _ => ErrorKind::Other,
        }
    }

    /// The same transaction may succeed once the database's contents have changed or the cluster has recovered.
    pub fn is_transient(self) -> bool {
        matches!(self, ErrorKind::TimedOut | ErrorKind::NotOwner | ErrorKind::ClusterUnavailable | ErrorKind::IoError)
    }
}

impl fmt::Display for TransactionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.operation {
            Some(index) => write!(f, "operation {index}: {}", self.error),
            None => write!(f, "{}", self.error),
        }
    }
}

impl std::error::Error for TransactionError {}

#[derive(Deserialize)]
struct ResultForm {
    error: Option<String>,
    details: Option<String>,
    syntax: Option<String>,
    count: Option<u64>,
    uuid: Option<UuidForm>,
    rows: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
struct UuidForm(#[allow(dead_code, reason = "the word \"uuid\"")] String, String);

fn parse_uuid(text: &str, index: usize) -> Result<Uuid, ReplyError> {
    Uuid::parse(text).ok_or_else(|| ReplyError(format!("result {index}: {text:?} is no uuid")))
}

fn by_uuid(row: Uuid) -> Clause {
    Clause::equal("_uuid", row)
}

fn write_row(out: &mut String, row: &RowValues) {
    out.push('{');
    separated(out, row, |out, (column, value)| {
        string(out, column);
        out.push(':');
        value.write(out);
    });
    out.push('}');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::condition::Function;
    use crate::datum::Value;
    use crate::tables::southbound::DatapathBinding;

    const ROW: &str = "f47ac10b-58cc-4372-a567-0e02b2c3d479";

    #[test]
    fn operations_as_json() {
        let row = Uuid::parse(ROW).unwrap();
        let mut transaction = Transaction::new();
        transaction
            .insert_named("Encap", "e1", vec![("ip", "10.0.0.1".into()), ("type", "geneve".into())])
            .insert("Chassis", vec![("encaps", [Value::NamedUuid("e1".into())].into_iter().collect())])
            .update("Chassis", row, vec![("hostname", "h\"1".into()), ("nb_cfg", 3.into())])
            .mutate("T", row, vec![("n", Mutator::Add, 1.into()), ("m", Mutator::Delete, Datum::EMPTY)])
            .delete("T", row)
            .verify("T", row, vec![("up", Some(true).into())])
            .push(Operation::Delete { table: "T", clauses: vec![Clause::new("n", Function::Less, 3)] })
            .push(Operation::Select { table: "T", clauses: vec![by_uuid(row)], columns: vec!["n", "m"] })
            .comment("ovn-agent");
        let text = transaction.to_string();
        let expected = r#"[{"op":"insert","table":"Encap","uuid-name":"e1","row":{"ip":"10.0.0.1","type":"geneve"}},
            {"op":"insert","table":"Chassis","row":{"encaps":["set",[["named-uuid","e1"]]]}},
            {"op":"update","table":"Chassis","where":[["_uuid","==",["uuid","U"]]],"row":{"hostname":"h\"1","nb_cfg":3}},
            {"op":"mutate","table":"T","where":[["_uuid","==",["uuid","U"]]],"mutations":[["n","+=",1],["m","delete",["set",[]]]]},
            {"op":"delete","table":"T","where":[["_uuid","==",["uuid","U"]]]},
            {"op":"wait","table":"T","where":[["_uuid","==",["uuid","U"]]],"timeout":0,"columns":["up"],"until":"==","rows":[{"up":["set",[true]]}]},
            {"op":"delete","table":"T","where":[["n","<",3]]},
            {"op":"select","table":"T","where":[["_uuid","==",["uuid","U"]]],"columns":["n","m"]},
            {"op":"comment","comment":"ovn-agent"}]"#;
        assert_eq!(text, expected.replace("\n            ", "").replace("\"U\"", &format!("\"{ROW}\"")));
        let mut params = String::new();
        transaction.write(&mut params, "DB");
        assert_eq!(params, format!("[\"DB\",{}", &text[1..]));
        assert!(!transaction.is_empty() && Transaction::new().comment("x").is_empty());
    }

    #[test]
    fn selected_rows() {
        let text = r#"[{"count":1},{"rows":[{"tunnel_key":3},{"tunnel_key":4,"external_ids":["map",[["a","b"]]]}]}]"#;
        let Ok(Outcome::Committed(results)) = Outcome::parse(text, 2) else { panic!("not committed") };
        let rows: Vec<DatapathBinding> = results[1].rows().unwrap();
        assert_eq!(rows.iter().map(|row| row.tunnel_key).collect::<Vec<_>>(), [3, 4]);
        assert_eq!(rows[1].external_ids.get("a").map(|text| &**text), Some("b"));
        assert!(results[0].rows::<DatapathBinding>().is_err(), "it selected nothing");
        for bad in ["{}", "[3]", r#"[{"tunnel_key":"x"}]"#, r#"[{"tunnel_key":1}"#] {
            let result = OperationResult { selected: bad.into(), ..OperationResult::default() };
            assert!(result.rows::<DatapathBinding>().is_err(), "{bad}");
        }
    }

    fn outcome(text: &str, operations: usize) -> String {
        match Outcome::parse(text, operations) {
            Ok(Outcome::Committed(results)) => results
                .iter()
                .map(|result| match result.uuid {
                    Some(uuid) => uuid.to_string(),
                    None => result.count.to_string(),
                })
                .collect::<Vec<_>>()
                .join(" "),
            Ok(Outcome::Failed(error)) => format!("{:?} {error}", error.kind),
            Ok(Outcome::Lost { .. }) => "lost".to_owned(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn outcomes() {
        for (text, operations, expected) in [
            ("[]", 0, ""),
            (
                r#"[{"uuid":["uuid","f47ac10b-58cc-4372-a567-0e02b2c3d479"]},{},{"count":2},{"rows":[{"a":1}]}]"#,
                4,
                "f47ac10b-58cc-4372-a567-0e02b2c3d479 0 2 0",
            ),
            (
                r#"[{"count":1},{"details":"expected string","syntax":"3","error":"syntax error"},null,null]"#,
                4,
                "SyntaxError operation 1: syntax error: expected string (at 3)",
            ),
            (
                r#"[{"count":1},{"details":"2 rows","error":"constraint violation"}]"#,
                1,
                "ConstraintViolation constraint violation: 2 rows",
            ),
            (
                r#"[{"error":"referential integrity violation"}]"#,
                0,
                "ReferentialIntegrityViolation referential integrity violation",
            ),
            (
                r#"[{"error":"permission error","details":"RBAC"},null]"#,
                2,
                "PermissionError operation 0: permission error: RBAC",
            ),
            (r#"[{"error":"not owner"}]"#, 1, "NotOwner operation 0: not owner"),
            (r#"[{"error":"timed out","details":"x"},null]"#, 2, "TimedOut operation 0: timed out: x"),
            (r#"[{"error":"some new word"}]"#, 1, "Other operation 0: some new word"),
            (r#"[null,{"error":"x"}]"#, 2, "reply to transaction: result 0 is null and no error precedes it"),
            ("[{}]", 2, "reply to transaction: 1 results for 2 operations"),
            (r#"[{"uuid":["uuid","x"]}]"#, 1, "reply to transaction: result 0: \"x\" is no uuid"),
            ("{}", 1, "reply to transaction: invalid type: map, expected a sequence at line 1 column 0"),
        ] {
            assert_eq!(outcome(text, operations), expected, "{text}");
        }
    }
}
