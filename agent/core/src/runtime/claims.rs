//! [`Claims`]: when two chassis have an interface for one logical port, each takes it from the other as soon as it sees that
//! it was taken. The time between two claims of a port by us is what keeps that from being a hot loop across the network
//! (binding.c `lport_maybe_postpone`, OVN 26.03; sheet 01 section 6.3).

use ofproto_client::connection::Time;
use ovsdb::datum::{Datum, Value};
use ovsdb::tables::southbound::PortBinding;
use ovsdb::transaction::{Operation, Transaction};
use ovsdb::{Southbound, Uuid};
use std::collections::BTreeMap;

/// A port that we claimed less than this ago is not taken back from another chassis.
const PAUSE_MS: u64 = 2_000;

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
            let Some((port, chassis)) = claimed(operation) else { return true };
            let at = self.latest.get(&port).map(|at| Time(at.0 + PAUSE_MS)).filter(|at| *at > now);
            let (Some(at), Some(row)) = (at, sb.port_binding.row_by_uuid(&port)) else { return true };
            if row.chassis.is_none() || is_best(sb, row, chassis) {
                return true;
            }
            self.due = Some(self.due.map_or(at, |due| due.min(at)));
            false
        });
    }

    /// This was sent.
    pub fn sent(&mut self, now: Time, transaction: &Transaction) {
        self.latest.retain(|_, at| at.0 + PAUSE_MS > now.0);
        self.latest.extend(transaction.operations.iter().filter_map(claimed).map(|(port, _)| (port, now)));
    }

    /// When something was left out that can be done.
    pub fn poll_timeout(&self) -> Option<Time> {
        self.due
    }
}

/// Whether a chassis is the one that should have a port of an HA_Chassis_Group when all members are there: it need not wait.
fn is_best(sb: &Southbound, port: &PortBinding, chassis: Uuid) -> bool {
    let Some(group) = port.ha_chassis_group.and_then(|group| sb.ha_chassis_group.row_by_uuid(&group)) else {
        return false;
    };
    let members = group.ha_chassis.iter().filter_map(|member| {
        let member = sb.ha_chassis.row_by_uuid(member)?;
        let of = member.chassis?;
        Some((member.priority, &sb.chassis.row_by_uuid(&of)?.name, of))
    });
    members.max().is_some_and(|(_, _, best)| best == chassis)
}

/// The Port_Binding that an operation claims, and the Chassis for which it does.
fn claimed(operation: &Operation) -> Option<(Uuid, Uuid)> {
    let Operation::Update { table: "Port_Binding", clauses, row } = operation else { return None };
    let (_, chassis) = row.iter().find(|(column, _)| *column == "chassis")?;
    let uuid = |value: &Datum| match value {
        Datum::Scalar(Value::Uuid(uuid)) => Some(*uuid),
        Datum::Set(members) => match members.as_slice() {
            [Value::Uuid(uuid)] => Some(*uuid),
            _ => None,
        },
        _ => None,
    };
    let port = clauses.iter().filter(|clause| clause.column == "_uuid").find_map(|clause| uuid(&clause.value))?;
    Some((port, uuid(chassis)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ovsdb::Database as _;
    use ovsdb::tables::RowUpdate;
    use ovsdb::tables::southbound::{Chassis, HaChassis, HaChassisGroup, Updates};

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

    /// Two members of a group that do not agree about who is there take a port from each other: the better one at once, the
    /// other after a pause.
    #[test]
    fn the_best_member_of_a_group_does_not_wait() {
        let (port, group) = (Uuid([7; 16]), Uuid([8; 16]));
        for (priorities, waits) in [([20, 10], false), ([10, 20], true), ([10, 10], true)] {
            let (mut sb, mut updates) = (Southbound::default(), Updates::default());
            for (n, priority) in [1, 2].into_iter().zip(priorities) {
                let chassis = Chassis { name: format!("hv{n}").as_str().into(), ..Chassis::default() };
                updates.chassis.push((Uuid([n; 16]), RowUpdate::Insert(chassis)));
                let member = HaChassis { chassis: Some(Uuid([n; 16])), priority, ..HaChassis::default() };
                updates.ha_chassis.push((Uuid([10 + n; 16]), RowUpdate::Insert(member)));
            }
            let ha_chassis = [Uuid([11; 16]), Uuid([12; 16])].into_iter().collect();
            let row = HaChassisGroup { ha_chassis, ..HaChassisGroup::default() };
            updates.ha_chassis_group.push((group, RowUpdate::Insert(row)));
            let row = PortBinding {
                chassis: Some(Uuid([2; 16])),
                ha_chassis_group: Some(group),
                r#type: "chassisredirect".into(),
                ..PortBinding::default()
            };
            updates.port_binding.push((port, RowUpdate::Insert(row)));
            sb.apply(updates);
            let mut claims = Claims::default();
            claims.sent(Time(0), &claim(port));
            let mut wanted = claim(port);
            claims.postpone(Time(10), &sb, std::slice::from_mut(&mut wanted));
            assert_eq!(wanted.is_empty(), waits, "{priorities:?}");
        }
    }
}
