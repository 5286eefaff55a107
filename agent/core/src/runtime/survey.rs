//! What the Southbound's server is asked about new datapaths before the conditions change for them ([`request`], [`answer`]), so that one
//! change is enough: [`Surveyed`].
//!
//! FDB can only be asked for by tunnel key, which is in the datapath's row; and whether what lies on a datapath may be asked for with
//! its ports depends on whether these lead to more, which is in the ports. One transaction of `select` tells both. It costs the server a
//! look at its Port_Binding for each datapath, where a change of conditions is a look at all of Logical_Flow.

use ovsdb::condition::Clause;
use ovsdb::tables::southbound::{DatapathBinding, PortBinding};
use ovsdb::transaction::{Operation, OperationResult, Outcome, Transaction};
use ovsdb::{Str, Uuid};

/// Operations for each datapath.
const OPERATIONS: usize = 2;

/// What the server says of a datapath whose row is not here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Surveyed {
    /// The datapath.
    pub datapath: Uuid,
    /// tunnel_key.
    pub key: i64,
    /// Its patch ports.
    pub ports: Vec<Str>,
    /// The ports that these name as their peers, with the datapath of those that are here.
    pub peers: Vec<(Str, Option<Uuid>)>,
}

/// Asks about these datapaths.
pub fn request(datapaths: &[Uuid]) -> Transaction {
    let mut transaction = Transaction::new();
    for &datapath in datapaths {
        transaction.push(Operation::Select {
            table: "Datapath_Binding",
            clauses: vec![Clause::equal("_uuid", datapath)],
            columns: vec!["tunnel_key"],
        });
        transaction.push(Operation::Select {
            table: "Port_Binding",
            clauses: vec![Clause::equal("datapath", datapath), Clause::equal("type", "patch")],
            columns: vec!["logical_port", "options"],
        });
    }
    transaction
}

/// The answer to [`request`]: those of the datapaths of which there is one. `find` gives the datapath of a port that is here.
pub fn answer(datapaths: &[Uuid], outcome: &Outcome, find: impl Fn(&Str) -> Option<Uuid>) -> Vec<Surveyed> {
    let Outcome::Committed(results) = outcome else { return Vec::new() };
    let one = |(&datapath, results): (&Uuid, &[OperationResult])| -> Option<Surveyed> {
        let [row, ports] = results else { return None };
        let rows: Vec<DatapathBinding> = row.rows().ok()?;
        let ports: Vec<PortBinding> = ports.rows().ok()?;
        let peers = ports.iter().filter_map(|port| port.options.get("peer"));
        let peers = peers.map(|peer| (peer.clone(), find(peer))).collect();
        let key = rows.first()?.tunnel_key;
        Some(Surveyed { datapath, key, ports: ports.into_iter().map(|port| port.logical_port).collect(), peers })
    };
    datapaths.iter().zip(results.chunks(OPERATIONS)).filter_map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selected(text: &str) -> OperationResult {
        OperationResult { selected: text.into(), ..OperationResult::default() }
    }

    #[test]
    fn what_the_server_says_of_datapaths() {
        let all = [1, 2, 3, 4].map(|number| Uuid([number; 16]));
        let ports = r#"[{"logical_port":"to-lr","options":["map",[["peer","from-sw"]]]},
            {"logical_port":"to-here","options":["map",[["peer","here"]]]},{"logical_port":"loose","options":["map",[]]}]"#;
        let results = vec![
            selected(r#"[{"tunnel_key":7}]"#),
            selected(ports),
            // It is gone.
            selected("[]"),
            selected("[]"),
            // What cannot be read.
            selected(r#"[{"tunnel_key":9}]"#),
            selected("{}"),
            selected(r#"[{"tunnel_key":8}]"#),
            selected("[]"),
        ];
        assert_eq!(request(&all).operations.len(), results.len());
        let find = |name: &Str| (*name == "here").then_some(all[3]);
        let said = answer(&all, &Outcome::Committed(results), find);
        let first = Surveyed {
            datapath: all[0],
            key: 7,
            ports: ["to-lr", "to-here", "loose"].map(Str::from).to_vec(),
            peers: vec![("from-sw".into(), None), ("here".into(), Some(all[3]))],
        };
        let last = Surveyed { datapath: all[3], key: 8, ..Surveyed::default() };
        assert_eq!(said, [first, last]);
        assert_eq!(answer(&all, &Outcome::Committed(Vec::new()), find), []);
        assert_eq!(answer(&all, &Outcome::Lost { sent: true }, find), []);
    }
}
