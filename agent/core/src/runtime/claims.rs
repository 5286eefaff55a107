//! [`Claims`]: when two chassis have an interface for one logical port, each takes it from the other as soon as it sees that
//! it was taken. The time between two claims of a port by us is what keeps that from being a hot loop across the network
//! (binding.c `lport_maybe_postpone`, OVN 26.03; sheet 01 section 6.3).

use ofproto_client::connection::Time;
use ovsdb::datum::{Datum, Value};
use ovsdb::transaction::{Operation, Transaction};
use ovsdb::{Southbound, Uuid};
use std::collections::BTreeMap;

/// A port that we claimed less than this ago is not taken back from another chassis.
const PAUSE_MS: u64 = 2_000;
/// Ports of these types have an owner by priority, who need not wait.
const EXEMPT: [&str; 2] = ["chassisredirect", "external"];

/// When we claimed which ports.
#[derive(Debug, Default)]
pub struct Claims {
    /// Port_Binding to the time of our latest claim.
    latest: BTreeMap<Uuid, Time>,
    /// A claim that was left out is due then.
    due: Option<Time>,
}

impl Claims {
    /// Leaves out of `wanted` what takes ports back from other chassis too early.
    pub fn postpone(&mut self, now: Time, sb: &Southbound, wanted: &mut [Transaction]) {
        self.due = None;
        for transaction in wanted {
            self.postpone_in(now, sb, transaction);
        }
    }

    fn postpone_in(&mut self, now: Time, sb: &Southbound, wanted: &mut Transaction) {
        wanted.operations.retain(|operation| {
            let Some(port) = claimed(operation) else { return true };
            let at = self.latest.get(&port).map(|at| Time(at.0 + PAUSE_MS)).filter(|at| *at > now);
            let (Some(at), Some(row)) = (at, sb.port_binding.row_by_uuid(&port)) else { return true };
            if row.chassis.is_none() || EXEMPT.contains(&row.r#type.as_str()) {
                return true;
            }
            self.due = Some(self.due.map_or(at, |due| due.min(at)));
            false
        });
    }

    /// This was sent.
    pub fn sent(&mut self, now: Time, transaction: &Transaction) {
        self.latest.retain(|_, at| at.0 + PAUSE_MS > now.0);
        self.latest.extend(transaction.operations.iter().filter_map(claimed).map(|port| (port, now)));
    }

    /// When something was left out that can be done.
    pub fn poll_timeout(&self) -> Option<Time> {
        self.due
    }
}

/// The Port_Binding that an operation claims.
fn claimed(operation: &Operation) -> Option<Uuid> {
    let Operation::Update { table: "Port_Binding", clauses, row } = operation else { return None };
    let (_, chassis) = row.iter().find(|(column, _)| *column == "chassis")?;
    if *chassis == Datum::EMPTY {
        return None;
    }
    clauses.iter().filter(|clause| clause.column == "_uuid").find_map(|clause| match &clause.value {
        Datum::Scalar(Value::Uuid(uuid)) => Some(*uuid),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ovsdb::Database as _;
    use ovsdb::tables::RowUpdate;
    use ovsdb::tables::southbound::{PortBinding, Updates};

    fn claim(port: Uuid) -> Transaction {
        let mut transaction = Transaction::new();
        transaction.update("Port_Binding", port, vec![("chassis", Datum::from(Some(Uuid([1; 16]))))]);
        transaction
    }

    #[test]
    fn a_port_is_taken_back_after_two_seconds() {
        let (port, mut sb) = (Uuid([7; 16]), Southbound::default());
        let row = PortBinding { chassis: Some(Uuid([2; 16])), ..PortBinding::default() };
        let mut updates = Updates::default();
        updates.port_binding.push((port, RowUpdate::Insert(row)));
        sb.apply(updates);
        let mut claims = Claims::default();
        let mut try_at = |now: u64| {
            let mut wanted = claim(port);
            claims.postpone(Time(now), &sb, std::slice::from_mut(&mut wanted));
            if !wanted.is_empty() {
                claims.sent(Time(now), &wanted);
            }
            (!wanted.is_empty(), claims.poll_timeout())
        };
        assert_eq!(try_at(100), (true, None));
        assert_eq!(try_at(200), (false, Some(Time(2100))));
        assert_eq!(try_at(2100), (true, None));
    }
}
