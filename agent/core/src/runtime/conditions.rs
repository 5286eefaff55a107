//! [`Monitoring`]: under which conditions the Southbound is monitored, which follow [`Interest`]. One change of them is under
//! way at a time; what is wanted meanwhile goes into the next.
//!
//! Finding comes first: while the answers tell of further ports and datapaths, only the tables that it takes are asked for
//! (Port_Binding, Datapath_Binding). What lies on the datapaths is asked for once they are found, because the server walks each
//! table whose condition changes, and Logical_Flow is by far the largest.
//!
//! An agent that has begun looks ahead ([`super::survey`]): before it asks for a few new datapaths it has the server say what their
//! tunnel keys are and which ports theirs name. What these name is asked for in the same change. If that is nothing new, there is
//! nothing left to be found, and what lies on the datapaths is asked for in the same change as well. Without an answer it goes step by step.
//!
//! What is no longer needed lingers for a moment: a port that is released only then loses the last reason for its datapath's row, and an
//! interface that is plugged in again needs what it needed before. More than is wanted does no harm, so nothing waits for that change.
//!
//! Until the data is under the conditions that are wanted, nothing goes to the switch (for a while at most): what is missing may
//! be on its way.

use ofproto_client::connection::Time;
use ovsdb::condition::{Clause, Conditions, Function, Rows};
use ovsdb::datum::{Datum, Value};
use ovsdb::{Str, Uuid};
use std::collections::BTreeSet;
use std::sync::Arc;

use super::survey::Surveyed;
use crate::list::List;
use crate::view::interest::Interest;

/// After so many changes for finding only, what lies on the datapaths found so far is asked for in any case.
const STEPS: u32 = 30;
/// So long the first flows wait, milliseconds.
const FIRST_PATIENCE_MS: u64 = 30_000;
/// So long flows wait later, milliseconds. An answer takes a few as a rule.
const PATIENCE_MS: u64 = 1_000;
/// So long what is no longer needed stays, milliseconds.
const LINGER_MS: u64 = 1_000;
/// So long a change waits for what the server says of new datapaths, milliseconds.
const SURVEY_MS: u64 = 300;
/// With more new datapaths than that at once, they are found step by step: the server looks at all ports for each.
const MOST_SURVEYED: usize = 16;

/// What was asked for, and what was answered.
#[derive(Debug, Default)]
pub struct Monitoring {
    sequence: u64,
    acknowledged: u64,
    /// What the latest conditions are for.
    sent: Option<Interest>,
    /// What is wanted now.
    wanted: Arc<Interest>,
    /// They are the same.
    agrees: bool,
    /// They are, but for what is no longer needed.
    covered: bool,
    /// When that goes.
    lingers: Option<Time>,
    /// The latest change asked for nothing new.
    takes_away: bool,
    /// Changes in a row that were for finding only.
    steps: u32,
    /// Flows wait until then; `None` when they do not.
    waiting: Option<Time>,
    /// The server refuses conditions, so everything is wanted while it is connected.
    refused: bool,
    /// The data was under the wanted conditions, or there was no more patience.
    began: bool,
    /// There is no more patience until it is again.
    impatient: bool,
    /// What the server is asked about the datapaths that the next change is for.
    survey: Option<Survey>,
    /// Of the latest survey.
    survey_number: u64,
}

/// A question about new datapaths.
#[derive(Debug)]
struct Survey {
    datapaths: Vec<Uuid>,
    /// The change waits for the answer until then.
    until: Time,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// To be sent.
    New,
    Sent,
    Answered(Vec<Surveyed>),
}

impl Monitoring {
    /// This is wanted, and the Southbound's data is here or not. Returns conditions to be sent, with their number.
    pub fn follow(&mut self, now: Time, wanted: Arc<Interest>, synced: bool) -> Option<(u64, Conditions)> {
        let wanted = match self.refused {
            true if self.wanted.everything => self.wanted.clone(),
            true => Arc::new(Interest { everything: true, ..Interest::default() }),
            false => wanted,
        };
        // Mostly nothing has happened, and lists of thousands need not be compared.
        if !Arc::ptr_eq(&self.wanted, &wanted) {
            self.wanted = wanted;
            self.compare();
        }
        let next = self.next(now).map(|next| {
            self.sequence += 1;
            let conditions = conditions(&next);
            self.takes_away = self.sent.as_ref().is_some_and(|sent| sent.covers(&next));
            self.sent = Some(next);
            self.compare();
            (self.sequence, conditions)
        });
        if synced {
            self.wait(now);
        }
        next
    }

    /// Datapaths that the server is to be asked about, if there are any, with the number of the question.
    pub fn poll_survey(&mut self) -> Option<(u64, Vec<Uuid>)> {
        let survey = self.survey.as_mut()?;
        if !matches!(survey.stage, Stage::New) {
            return None;
        }
        survey.stage = Stage::Sent;
        self.survey_number += 1;
        Some((self.survey_number, survey.datapaths.clone()))
    }

    /// What the server says, of all of them or some or none; `say` is given the datapaths of the question.
    pub fn surveyed(&mut self, number: u64, say: impl FnOnce(&[Uuid]) -> Vec<Surveyed>) {
        let latest = number == self.survey_number;
        if let Some(survey) = self.survey.as_mut().filter(|survey| latest && matches!(survey.stage, Stage::Sent)) {
            survey.stage = Stage::Answered(say(&survey.datapaths));
        }
    }

    /// The data is under the conditions of this number.
    pub fn acknowledged(&mut self, sequence: u64) {
        self.acknowledged = self.acknowledged.max(sequence);
    }

    /// The server refuses the conditions of this number. What the data is under now is not known, and there is no sense in waiting.
    pub fn refused(&mut self, sequence: u64) {
        self.acknowledged(sequence);
        self.refused = true;
    }

    /// The next connection may be to a server that accepts conditions.
    pub fn disconnected(&mut self) {
        if std::mem::take(&mut self.refused) {
            self.lingers = Some(Time::default());
        }
    }

    /// Whether what is wanted is here.
    pub fn is_settled(&self) -> bool {
        self.covered && (self.takes_away || self.acknowledged == self.sequence)
    }

    /// Whether flows have to wait for it.
    pub fn is_holding(&self) -> bool {
        self.waiting.is_some()
    }

    /// Whether the first flows have to wait for it.
    pub fn is_beginning(&self) -> bool {
        !self.began
    }

    /// When there is no more patience, or what lingers goes.
    pub fn poll_timeout(&self) -> Option<Time> {
        let survey = self.survey.as_ref().filter(|survey| survey.is_open()).map(|survey| survey.until);
        // While a change is under way there is nothing to be done.
        let lingers = self.lingers.filter(|_| self.sequence == self.acknowledged && !self.agrees);
        [self.waiting, survey, lingers].into_iter().flatten().min()
    }

    /// How often the conditions changed.
    pub fn changes(&self) -> u64 {
        self.sequence
    }

    fn compare(&mut self) {
        self.agrees = self.sent.as_ref() == Some(&*self.wanted);
        self.covered = self.agrees || self.sent.as_ref().is_some_and(|sent| sent.covers(&self.wanted));
        if self.agrees || !self.covered {
            self.lingers = None;
        }
    }

    fn next(&mut self, now: Time) -> Option<Interest> {
        if self.covered {
            self.survey = None;
        }
        if self.sequence != self.acknowledged || self.agrees {
            return None;
        }
        if self.covered && now < *self.lingers.get_or_insert(Time(now.0 + LINGER_MS)) {
            return None;
        }
        if self.survey.as_ref().is_some_and(|survey| survey.is_open() && now < survey.until) {
            return None;
        }
        let wanted = &*self.wanted;
        let sent = match &self.sent {
            Some(sent) if wanted.finds_more_than(sent) && self.steps < STEPS => sent,
            _ => {
                self.steps = 0;
                return Some(wanted.clone());
            }
        };
        let new = wanted.datapaths_beyond(sent);
        let can_ask = self.began && !new.is_empty() && new.len() <= MOST_SURVEYED;
        let survey = match self.survey.take() {
            // There may be more of them by now. That is no reason to ask again: it has to end.
            Some(Survey { stage: Stage::Answered(answers), .. }) => answers,
            Some(_) => Vec::new(),
            None if can_ask => {
                let until = Time(now.0 + SURVEY_MS);
                self.survey = Some(Survey { datapaths: new, until, stage: Stage::New });
                return None;
            }
            None => Vec::new(),
        };
        let (next, complete) = match look_ahead(wanted, sent, &new, &survey) {
            Some(ahead) => ahead,
            None => (Interest { local: sent.local.clone(), ..wanted.clone() }, false),
        };
        self.steps = if complete { 0 } else { self.steps + 1 };
        Some(next)
    }

    fn wait(&mut self, now: Time) {
        if self.is_settled() {
            self.waiting = None;
            self.impatient = false;
            // Without a Chassis row nothing is local yet.
            self.began |= self.wanted.everything || self.wanted.chassis.is_some();
        } else if !self.impatient {
            let patience = if self.began { PATIENCE_MS } else { FIRST_PATIENCE_MS };
            let until = *self.waiting.get_or_insert(Time(now.0 + patience));
            if until <= now {
                self.waiting = None;
                self.impatient = true;
                self.began = true;
            }
        }
    }
}

impl Survey {
    fn is_open(&self) -> bool {
        !matches!(self.stage, Stage::Answered(_))
    }
}

/// What will be wanted once the new datapaths are here, as far as the server's answers tell, and whether nothing is left to be found then.
/// `None` if they do not tell of all.
fn look_ahead(wanted: &Interest, sent: &Interest, new: &[Uuid], answers: &[Surveyed]) -> Option<(Interest, bool)> {
    let of = |datapath: &Uuid| answers.iter().find(|answer| answer.datapath == *datapath);
    let answers: Vec<&Surveyed> = new.iter().map(of).collect::<Option<_>>()?;
    if answers.is_empty() {
        return None;
    }
    // What lies on them is found with them.
    let found: BTreeSet<&Str> = answers.iter().flat_map(|answer| &answer.ports).collect();
    let is_known = |name: &Str| found.contains(name) || sent.ports.binary_search(name).is_ok();
    let mut complete = wanted.ports.iter().all(is_known);
    let mut ports: BTreeSet<Str> = wanted.ports.iter().filter(|name| !found.contains(name)).cloned().collect();
    for (peer, at) in answers.iter().flat_map(|answer| &answer.peers) {
        if found.contains(peer) || at.is_some_and(|at| wanted.datapaths.binary_search(&at).is_ok()) {
            continue;
        }
        complete &= at.is_some() || is_known(peer);
        ports.insert(peer.clone());
    }
    let ports: List<Str> = ports.into_iter().collect();
    let reached = Interest {
        ports: wanted.ports.clone(),
        datapaths: wanted.datapaths.clone(),
        rows: wanted.rows.clone(),
        ..sent.clone()
    };
    complete &= !wanted.finds_more_than(&reached);
    if !complete {
        return Some((Interest { ports, local: sent.local.clone(), ..wanted.clone() }, false));
    }
    let mut local: Vec<(Uuid, i64)> = wanted.local.to_vec();
    local.extend(answers.iter().map(|answer| (answer.datapath, answer.key)));
    local.sort_unstable();
    local.dedup_by_key(|(datapath, _)| *datapath);
    Some((Interest { ports, local: local.into(), ..wanted.clone() }, true))
}

/// The conditions that give exactly this. Tables that are not named are monitored whole: they are small, or not about
/// datapaths.
pub fn conditions(interest: &Interest) -> Conditions {
    let mut conditions = Conditions::default();
    if interest.everything {
        return conditions;
    }
    let us = |column| interest.chassis.map(|us| Clause::equal(column, us)).into_iter().collect();
    let named = |column| interest.name.iter().map(|name| Clause::equal(column, name.clone())).collect::<Vec<_>>();
    let former = interest.former_name.iter().map(|name| Clause::equal("name", name.clone()));
    conditions.set("Chassis_Private", Rows::Any(named("name").into_iter().chain(former).collect()));
    conditions.set("Chassis_Template_Var", Rows::Any(named("chassis")));
    conditions.set("Service_Monitor", Rows::Any(named("chassis_name")));
    conditions.set("BFD", Rows::Any(named("chassis_name")));
    conditions.set("Controller_Event", Rows::Any(us("chassis")));
    conditions.set("IGMP_Group", Rows::Any(us("chassis")));
    conditions.set("Port_Binding", Rows::Any(ports(interest)));
    let rows = interest.rows.iter().map(|&row| Clause::equal("_uuid", row));
    conditions.set("Datapath_Binding", Rows::Any(rows.collect()));
    for table in [
        "MAC_Binding",
        "Static_MAC_Binding",
        "Multicast_Group",
        "IP_Multicast",
        "ECMP_Nexthop",
        "Advertised_Route",
        "Learned_Route",
        "Advertised_MAC_Binding",
    ] {
        conditions.set(table, Rows::Any(on_local(interest, "datapath", Function::Equal)));
    }
    conditions.set("DNS", Rows::Any(on_local(interest, "datapaths", Function::Includes)));
    conditions.set("Logical_DP_Group", Rows::Any(on_local(interest, "datapaths", Function::Includes)));
    let keys = interest.local.iter().map(|&(_, key)| Clause::equal("dp_key", key));
    conditions.set("FDB", Rows::Any(keys.collect()));
    let mut lflows = on_local(interest, "logical_datapath", Function::Equal);
    if !interest.local.is_empty() {
        // ovn-northd replaces a Logical_DP_Group when a datapath joins it. With conditions by group all hypervisors would then ask
        // anew at once, for tables that the server walks each time.
        lflows.push(Clause::new("logical_dp_group", Function::NotEqual, Datum::EMPTY));
    }
    conditions.set("Logical_Flow", Rows::Any(lflows));
    conditions
}

/// Clauses for what lies on the local datapaths.
fn on_local(interest: &Interest, column: &'static str, function: Function) -> Vec<Clause> {
    interest.local.iter().map(|&(datapath, _)| Clause::new(column, function, datapath)).collect()
}

fn ports(interest: &Interest) -> Vec<Clause> {
    let option = |key: &str, value: &str| {
        let pair = (Value::String(key.into()), Value::String(value.into()));
        Clause::includes("options", Datum::Map(vec![pair]))
    };
    let mut clauses = Vec::new();
    if let Some(us) = interest.chassis {
        // What is ours, whether it should be or not, and what is to be.
        clauses.push(Clause::equal("chassis", us));
        clauses.push(Clause::includes("additional_chassis", us));
        clauses.push(Clause::equal("requested_chassis", us));
    }
    if let Some(name) = &interest.name {
        clauses.push(option("l2gateway-chassis", name));
        clauses.push(option("l3gateway-chassis", name));
    }
    if interest.has_interfaces {
        // What hangs on a port that is plugged in here may lie on any datapath; there are few in all.
        clauses.push(Clause::new("parent_port", Function::NotEqual, Datum::EMPTY));
        clauses.push(Clause::new("mirror_port", Function::NotEqual, Datum::EMPTY));
    }
    // These have a conntrack zone everywhere.
    clauses.push(option("enable_router_port_acl", "true"));
    clauses.extend(interest.gateway_groups.iter().map(|&group| Clause::equal("ha_chassis_group", group)));
    clauses.extend(interest.ports.iter().map(|name| Clause::equal("logical_port", name.clone())));
    clauses.extend(interest.datapaths.iter().map(|&datapath| Clause::equal("datapath", datapath)));
    clauses
}

#[cfg(test)]
mod tests {
    use super::*;
    use ovsdb::Southbound;
    use ovsdb::tables::Database;

    fn uuid(number: u8) -> Uuid {
        Uuid([number; 16])
    }

    /// Datapaths of these numbers that are found and those of them that are local.
    fn interest(found: &[u8], local: &[u8]) -> Arc<Interest> {
        let uuids: List<Uuid> = found.iter().map(|&number| uuid(number)).collect();
        Arc::new(Interest {
            name: Some("hv1".into()),
            chassis: Some(uuid(99)),
            datapaths: uuids.clone(),
            rows: uuids,
            local: local.iter().map(|&number| (uuid(number), i64::from(number))).collect(),
            ..Interest::default()
        })
    }

    fn everything() -> Arc<Interest> {
        Arc::new(Interest { everything: true, ..Interest::default() })
    }

    fn clauses(conditions: &Conditions, table: &str) -> usize {
        match conditions.of(table) {
            Rows::All => usize::MAX,
            Rows::Any(clauses) => clauses.len(),
        }
    }

    #[test]
    fn conditions_are_on_columns_that_there_are() {
        let interest = Interest {
            chassis: Some(uuid(9)),
            gateway_groups: [uuid(8)].into(),
            has_interfaces: true,
            ports: ["lp".into()].into(),
            ..(*interest(&[1], &[1])).clone()
        };
        let conditions = conditions(&interest);
        assert!(conditions.0.len() > 15);
        for (table, rows) in &conditions.0 {
            let known = Southbound::TABLES.iter().find(|known| known.name == *table).expect(table);
            let Rows::Any(clauses) = rows else { panic!("{table} is monitored whole") };
            assert!(!clauses.is_empty(), "{table}: nothing is asked for");
            for clause in clauses {
                let has = clause.column == "_uuid" || known.columns.iter().any(|column| column.name == clause.column);
                assert!(has, "{table} has no column {}", clause.column);
            }
        }
        assert!(super::conditions(&everything()).is_everything());
    }

    #[test]
    fn what_is_found_is_asked_for_before_what_lies_on_it_and_one_change_at_a_time() {
        let mut monitoring = Monitoring::default();
        let (first, _) = monitoring.follow(Time(0), interest(&[], &[]), false).unwrap();
        assert!(monitoring.follow(Time(1), interest(&[1], &[]), false).is_none(), "one at a time");
        assert!(!monitoring.is_holding() && monitoring.is_beginning());
        monitoring.acknowledged(first);
        let (second, conditions) = monitoring.follow(Time(2), interest(&[1, 2], &[]), true).unwrap();
        assert_eq!((clauses(&conditions, "Datapath_Binding"), clauses(&conditions, "Logical_Flow")), (2, 0));
        monitoring.acknowledged(second);
        // One is local, but there is another one to be found.
        let (third, conditions) = monitoring.follow(Time(3), interest(&[1, 2, 3], &[1]), true).unwrap();
        assert_eq!((clauses(&conditions, "Datapath_Binding"), clauses(&conditions, "Logical_Flow")), (3, 0));
        monitoring.acknowledged(third);
        let (fourth, conditions) = monitoring.follow(Time(4), interest(&[1, 2, 3], &[1, 2]), true).unwrap();
        // Two by themselves, and those of groups.
        assert_eq!((clauses(&conditions, "Datapath_Binding"), clauses(&conditions, "Logical_Flow")), (3, 3));
        assert!(monitoring.is_holding() && monitoring.is_beginning());
        monitoring.acknowledged(fourth);
        assert_eq!(
            monitoring.follow(Time(5), interest(&[1, 2, 3], &[1, 2]), true),
            None,
            "unchanged, so nothing is sent"
        );
        assert!(monitoring.is_settled() && !monitoring.is_holding() && !monitoring.is_beginning());
        // What is no longer needed goes a little later, and nothing waits for it.
        assert_eq!(monitoring.follow(Time(6), interest(&[1], &[1]), true), None);
        assert!(monitoring.is_settled() && !monitoring.is_holding());
        assert_eq!(monitoring.poll_timeout(), Some(Time(6 + LINGER_MS)));
        let later = Time(6 + LINGER_MS);
        let (fifth, conditions) = monitoring.follow(later, interest(&[1], &[1]), true).unwrap();
        assert_eq!((clauses(&conditions, "Datapath_Binding"), clauses(&conditions, "Logical_Flow")), (1, 2));
        monitoring.acknowledged(fifth);
        // To everything and back in one change each.
        let (sixth, conditions) = monitoring.follow(later, everything(), true).unwrap();
        assert!(conditions.is_everything());
        monitoring.acknowledged(sixth);
        assert_eq!(monitoring.follow(later, interest(&[1], &[1]), true), None);
        let later = Time(later.0 + LINGER_MS);
        let (seventh, conditions) = monitoring.follow(later, interest(&[1], &[1]), true).unwrap();
        assert_eq!(clauses(&conditions, "Logical_Flow"), 2);
        monitoring.acknowledged(seventh);
        assert_eq!((monitoring.follow(later, interest(&[1], &[1]), true), monitoring.changes()), (None, 7));
        assert_eq!(monitoring.poll_timeout(), None);
    }

    #[test]
    fn from_a_server_that_refuses_conditions_everything_is_asked_for() {
        let mut monitoring = Monitoring::default();
        let (first, _) = monitoring.follow(Time(0), interest(&[1], &[1]), true).unwrap();
        monitoring.refused(first);
        let (second, conditions) = monitoring.follow(Time(0), interest(&[1], &[1]), true).unwrap();
        assert!(conditions.is_everything());
        // Even that: then what there is has to do.
        monitoring.refused(second);
        assert_eq!(monitoring.follow(Time(0), interest(&[1], &[1]), true), None);
        assert!(monitoring.is_settled());
        monitoring.disconnected();
        let (_, conditions) = monitoring.follow(Time(0), interest(&[1], &[1]), true).unwrap();
        assert!(!conditions.is_everything());
    }

    #[test]
    fn patience_ends() {
        let mut monitoring = Monitoring::default();
        let (first, _) = monitoring.follow(Time(0), interest(&[], &[]), false).unwrap();
        assert_eq!(monitoring.poll_timeout(), None);
        monitoring.follow(Time(50), interest(&[], &[]), true);
        assert_eq!(monitoring.poll_timeout(), Some(Time(50 + FIRST_PATIENCE_MS)));
        monitoring.follow(Time(50 + FIRST_PATIENCE_MS), interest(&[], &[]), true);
        assert!(!monitoring.is_holding() && !monitoring.is_beginning() && !monitoring.is_settled());
        assert_eq!(monitoring.poll_timeout(), None, "nothing more to wait for");
        monitoring.acknowledged(first);
        monitoring.follow(Time(60_000), interest(&[], &[]), true);
        let wanted = interest(&[4], &[]);
        assert_eq!(monitoring.follow(Time(60_001), wanted.clone(), true), None, "the server is asked first");
        assert_eq!(monitoring.poll_timeout(), Some(Time(60_001 + SURVEY_MS)), "it has to be quick");
        assert!(monitoring.follow(Time(60_001 + SURVEY_MS), wanted, true).is_some());
        assert_eq!(monitoring.poll_timeout(), Some(Time(60_001 + PATIENCE_MS)), "patience is there again");
    }

    /// Settled, with one datapath.
    fn begun() -> Monitoring {
        let mut monitoring = Monitoring::default();
        let (sequence, _) = monitoring.follow(Time(0), interest(&[1], &[1]), true).unwrap();
        monitoring.acknowledged(sequence);
        assert_eq!(monitoring.follow(Time(0), interest(&[1], &[1]), true), None);
        assert!(monitoring.is_settled() && !monitoring.is_beginning());
        monitoring
    }

    fn with_ports(interest: &Interest, ports: &[&str]) -> Arc<Interest> {
        Arc::new(Interest { ports: ports.iter().map(|&name| name.into()).collect(), ..interest.clone() })
    }

    /// What the server says of a datapath whose patch ports have these peers; `None`: they are not here.
    fn said(number: u8, peers: &[(&str, Option<u8>)]) -> Surveyed {
        Surveyed {
            datapath: uuid(number),
            key: i64::from(number),
            ports: peers.iter().map(|(peer, _)| format!("{number}-to-{peer}").as_str().into()).collect(),
            peers: peers.iter().map(|&(peer, at)| (peer.into(), at.map(uuid))).collect(),
        }
    }

    /// The change that follows after the server was asked about these datapaths and said that.
    fn ask(monitoring: &mut Monitoring, wanted: &Arc<Interest>, about: &[u8], answers: Vec<Surveyed>) -> Conditions {
        assert_eq!(monitoring.follow(Time(1), wanted.clone(), true), None, "the server is asked first");
        assert!(monitoring.is_holding() && !monitoring.is_settled());
        let (number, datapaths) = monitoring.poll_survey().expect("a question");
        assert_eq!(datapaths, about.iter().map(|&number| uuid(number)).collect::<Vec<_>>());
        assert_eq!(monitoring.poll_survey(), None, "once");
        assert_eq!(monitoring.follow(Time(2), wanted.clone(), true), None, "it waits for the answer");
        monitoring.surveyed(number + 1, |_| panic!("not what was asked"));
        monitoring.surveyed(number, |_| answers);
        let (sequence, conditions) = monitoring.follow(Time(3), wanted.clone(), true).expect("a change");
        monitoring.acknowledged(sequence);
        conditions
    }

    /// Clauses for datapaths and names of ports, for lflows, for FDB.
    fn counts(conditions: &Conditions) -> [usize; 3] {
        let Rows::Any(ports) = conditions.of("Port_Binding") else { panic!("all ports") };
        let ports = ports.iter().filter(|clause| ["datapath", "logical_port"].contains(&clause.column)).count();
        [ports, clauses(conditions, "Logical_Flow"), clauses(conditions, "FDB")]
    }

    #[test]
    fn a_new_datapath_that_leads_nowhere_else_costs_one_change() {
        // There is one clause for all lflows with groups.
        for peers in [&[][..], &[("from-1", Some(1))]] {
            let mut monitoring = begun();
            // The port that the peer names is only known by name before its datapath is here, and lies on it.
            let known: &[&str] = if peers.is_empty() { &[] } else { &["2-to-from-1"] };
            let wanted = with_ports(&interest(&[1, 2], &[1]), known);
            let conditions = ask(&mut monitoring, &wanted, &[2], vec![said(2, peers)]);
            assert_eq!(counts(&conditions), [2, 3, 2]);
            assert_eq!(monitoring.follow(Time(4), interest(&[1, 2], &[1, 2]), true), None, "that was all");
            assert!(monitoring.is_settled() && !monitoring.is_holding());
            assert_eq!(monitoring.changes(), 2);
            // It goes and is back in a moment: that costs nothing.
            assert_eq!(monitoring.follow(Time(5), interest(&[1], &[1]), true), None);
            assert_eq!(monitoring.follow(Time(6), interest(&[1, 2], &[1, 2]), true), None);
            assert_eq!(monitoring.poll_timeout(), None);
            // It goes by one change, also if its row is needed until its port is released.
            let row = Interest { rows: [uuid(1), uuid(2)].into(), ..(*interest(&[1], &[1])).clone() };
            assert_eq!(monitoring.follow(Time(7), Arc::new(row), true), None);
            assert_eq!(monitoring.follow(Time(8), interest(&[1], &[1]), true), None);
            let (last, conditions) = monitoring.follow(Time(7 + LINGER_MS), interest(&[1], &[1]), true).unwrap();
            assert_eq!((last, counts(&conditions)), (3, [1, 2, 1]));
            assert_eq!(monitoring.poll_timeout(), None, "there is nothing to do before the answer");
        }
    }

    #[test]
    fn each_step_to_further_datapaths_costs_one_change_and_the_last_one_brings_what_lies_on_them() {
        let mut monitoring = begun();
        // A switch; a router behind it; two switches behind that. Each names the next ones with the answer before they are found.
        let conditions = ask(&mut monitoring, &interest(&[1, 2], &[1]), &[2], vec![said(2, &[("lr", None)])]);
        assert_eq!(counts(&conditions), [3, 2, 1]);
        let router = said(3, &[("2-to-lr", Some(2)), ("sw4", None), ("sw5", None)]);
        let conditions = ask(&mut monitoring, &interest(&[1, 2, 3], &[1, 2]), &[3], vec![router]);
        assert_eq!(counts(&conditions), [5, 2, 1]);
        let switches = vec![said(4, &[("3-to-sw4", Some(3))]), said(5, &[("3-to-sw5", Some(3))])];
        let conditions = ask(&mut monitoring, &interest(&[1, 2, 3, 4, 5], &[1, 2, 3]), &[4, 5], switches);
        assert_eq!(counts(&conditions), [5, 6, 5]);
        let all = [1, 2, 3, 4, 5];
        assert_eq!(monitoring.follow(Time(4), interest(&all, &all), true), None, "that was all");
        assert!(monitoring.is_settled());
        assert_eq!(monitoring.changes(), 4);
    }

    #[test]
    fn a_port_here_on_a_datapath_that_is_not_needed_keeps_its_name_and_delays_nothing() {
        let mut monitoring = begun();
        let gateway = said(2, &[("elsewhere", Some(9))]);
        let conditions = ask(&mut monitoring, &interest(&[1, 2], &[1]), &[2], vec![gateway]);
        assert_eq!(counts(&conditions), [3, 3, 2]);
        let wanted = with_ports(&interest(&[1, 2], &[1, 2]), &["elsewhere"]);
        assert_eq!(monitoring.follow(Time(4), wanted, true), None, "that was all");
    }

    #[test]
    fn without_an_answer_it_goes_step_by_step() {
        for late in [false, true] {
            let mut monitoring = begun();
            let wanted = interest(&[1, 2], &[1]);
            assert_eq!(monitoring.follow(Time(1), wanted.clone(), true), None);
            let (number, _) = monitoring.poll_survey().unwrap();
            if !late {
                monitoring.surveyed(number, |_| Vec::new());
            }
            let at = if late { Time(1 + SURVEY_MS) } else { Time(2) };
            let (sequence, conditions) = monitoring.follow(at, wanted, true).expect("a change");
            assert_eq!(counts(&conditions), [2, 2, 1]);
            monitoring.surveyed(number, |_| panic!("too late"));
            monitoring.acknowledged(sequence);
            let (_, conditions) = monitoring.follow(at, interest(&[1, 2], &[1, 2]), true).expect("what lies on it");
            assert_eq!(counts(&conditions), [2, 3, 2]);
        }
        // There are more by the time of the answer, or too many to ask about.
        let mut monitoring = begun();
        monitoring.follow(Time(1), interest(&[1, 2], &[1]), true);
        let (number, _) = monitoring.poll_survey().unwrap();
        monitoring.surveyed(number, |_| vec![said(2, &[])]);
        let (_, conditions) = monitoring.follow(Time(2), interest(&[1, 2, 3], &[1]), true).expect("a change");
        assert_eq!(counts(&conditions), [3, 2, 1]);
        let mut monitoring = begun();
        let many: Vec<u8> = (1..=MOST_SURVEYED as u8 + 2).collect();
        assert!(monitoring.follow(Time(1), interest(&many, &[1]), true).is_some());
        assert_eq!(monitoring.poll_survey(), None);
    }

    #[test]
    fn a_question_that_is_no_longer_of_interest_is_forgotten() {
        let mut monitoring = begun();
        monitoring.follow(Time(1), interest(&[1, 2], &[1]), true);
        let (number, _) = monitoring.poll_survey().unwrap();
        assert_eq!(monitoring.follow(Time(2), interest(&[1], &[1]), true), None);
        assert!(monitoring.is_settled());
        assert_eq!(monitoring.poll_timeout(), None);
        monitoring.surveyed(number, |_| panic!("nobody asks any more"));
        let conditions = ask(&mut monitoring, &interest(&[1, 3], &[1]), &[3], vec![said(3, &[])]);
        assert_eq!(counts(&conditions), [2, 3, 2]);
    }

    #[test]
    fn endless_finding_does_not_keep_the_rest_from_coming() {
        let mut monitoring = Monitoring::default();
        let mut found = Vec::new();
        for number in 1..=200 {
            found.push(number);
            let local: &[u8] = if number == 1 { &[] } else { &[1] };
            let (sequence, conditions) = monitoring.follow(Time(0), interest(&found, local), true).unwrap();
            monitoring.acknowledged(sequence);
            if clauses(&conditions, "Logical_Flow") > 0 {
                assert_eq!(u32::from(number), STEPS + 2);
                return;
            }
        }
        panic!("nothing but finding");
    }
}
