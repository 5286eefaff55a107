//! What a server says of itself in the database `_Server` (ovsdb-server(5)): whether it is still part of its cluster or has its
//! relay source, and how far its data is. [`Membership`].
//!
//! A member that has lost its cluster goes on serving what it has, and one that was away serves what it had; neither is of use to us.
//! Any other member is, leader or not (as `leader_only` false in OVS `ovsdb-cs.c`).

use serde_json::{Map, Value};
use thiserror::Error;

/// Id of the monitor, as sent.
pub(super) const MONITOR: &str = r#"["monid","_Server"]"#;

/// Why a server is of no use, in OVS's words (`ovsdb_cs_check_server_db__`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Unfit {
    /// A cluster's member without its cluster.
    #[error("clustered database server is disconnected from cluster; trying another server")]
    Disconnected,
    /// Its data is older than what was seen before.
    #[error("clustered database server has stale data; trying another server")]
    Stale,
    /// A relay without its source.
    #[error("relay database server is disconnected from the relay source; trying another server")]
    RelayDisconnected,
}

/// What is known of the server of the present connection, and of the cluster from all connections.
#[derive(Debug, Default)]
pub(super) struct Membership {
    /// The columns of the database's row.
    row: Map<String, Value>,
    /// The highest index of a cluster's log that a server has named.
    index: i64,
}

impl Membership {
    /// Parameters of the request for the database's row.
    pub(super) fn request(database: &str) -> String {
        let name = Value::from(database);
        format!(
            r#"["_Server",{MONITOR},{{"Database":[{{"columns":["connected","index","model"],"where":[["name","==",{name}]]}}]}}]"#
        )
    }

    /// Another connection.
    pub(super) fn connected(&mut self) {
        self.row.clear();
    }

    /// Data from before the highest index is accepted again: the cluster was made anew.
    pub(super) fn forget_index(&mut self) {
        self.index = 0;
    }

    /// Takes `<table-updates2>`.
    pub(super) fn update(&mut self, text: &str) -> Result<(), serde_json::Error> {
        let update: Value = serde_json::from_str(text)?;
        let rows = update.get("Database").and_then(Value::as_object);
        for row in rows.into_iter().flat_map(Map::values).filter_map(Value::as_object) {
            for (kind, columns) in row {
                match (kind.as_str(), columns) {
                    ("delete", _) => self.row.clear(),
                    // Optional scalars of which a change names the new value, as it does for scalars.
                    (_, Value::Object(columns)) => self.row.extend(columns.clone()),
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// Whether the server is of use.
    pub(super) fn check(&mut self) -> Result<(), Unfit> {
        let connected = self.row.get("connected").and_then(Value::as_bool).unwrap_or(false);
        match self.row.get("model").and_then(Value::as_str) {
            Some("clustered") if !connected => Err(Unfit::Disconnected),
            Some("clustered") => {
                let index = self.row.get("index").and_then(Value::as_i64).unwrap_or(0);
                if index < self.index {
                    return Err(Unfit::Stale);
                }
                self.index = index;
                Ok(())
            }
            Some("relay") if !connected => Err(Unfit::RelayDisconnected),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers() {
        let mut membership = Membership::default();
        let mut see = |first: bool, columns: &str| {
            if first {
                membership.connected();
            }
            membership.update(&format!(r#"{{"Database":{{"x":{{"modify":{{{columns}}}}}}}}}"#)).unwrap();
            membership.check()
        };
        for (first, columns, expected) in [
            (true, r#""model":"clustered","connected":true,"index":7"#, Ok(())),
            (false, r#""index":9"#, Ok(())),
            (true, r#""model":"clustered","connected":true,"index":8"#, Err(Unfit::Stale)),
            (false, r#""index":9"#, Ok(())),
            (false, r#""connected":false"#, Err(Unfit::Disconnected)),
            (true, r#""model":"clustered","connected":true,"index":["set",[]]"#, Err(Unfit::Stale)),
            (true, r#""model":"relay","connected":false"#, Err(Unfit::RelayDisconnected)),
            (false, r#""connected":true"#, Ok(())),
            (true, r#""model":"standalone","connected":true,"index":["set",[]]"#, Ok(())),
            // Nothing is known of it: the schema will tell whether it has the database.
            (true, "", Ok(())),
        ] {
            assert_eq!(see(first, columns), expected, "{columns}");
        }
        membership.forget_index();
        membership
            .update(r#"{"Database":{"x":{"initial":{"model":"clustered","connected":true,"index":1}}}}"#)
            .unwrap();
        assert_eq!(membership.check(), Ok(()));
        assert!(membership.update("[").is_err());
    }
}
