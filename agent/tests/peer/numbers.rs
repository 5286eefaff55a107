//! Numbers that are given out in the order of events, so that two agents with equal work have different ones: ports of the
//! switch and zones of connection tracking. [`Numbers`] puts others in their place that depend on the names alone.

use std::collections::{BTreeMap, BTreeSet};

use ofproto_client::{Action, ActionList, Field, Flow};

/// Numbers by name.
pub type ByName = BTreeMap<String, u32>;

/// From numbers of one switch to numbers that both share.
pub struct Numbers {
    ports: BTreeMap<u32, u32>,
    zones: BTreeMap<u32, u32>,
}

/// Shared numbers start here, away from those that are given out.
const FIRST: u32 = 1000;

impl Numbers {
    /// The numbers of one switch, whose names together with the `other`'s make the shared ones.
    pub fn new(ports: &ByName, zones: &ByName, other_ports: &ByName, other_zones: &ByName) -> Numbers {
        Numbers { ports: shared(ports, other_ports), zones: shared(zones, other_zones) }
    }

    /// The flow with shared numbers.
    pub fn apply(&self, flow: &Flow) -> Flow {
        let mut flow = flow.clone();
        if let Some((port, mask)) = flow.match_.get(Field::IN_PORT) {
            flow.match_.set_masked(Field::IN_PORT, self.port(port), mask);
        }
        let actions = flow.actions.decode().unwrap();
        Flow { actions: self.list(&actions), ..flow }
    }

    fn list(&self, actions: &[Action]) -> ActionList {
        let mut actions: Vec<Action> = actions.iter().map(|action| self.action(action)).collect();
        let port = |action: &Action| if let Action::Output { port, .. } = action { Some(*port) } else { None };
        // Where a packet is flooded: the order is that of hash tables.
        let runs = actions.chunk_by_mut(|one, next| port(one).is_some() && port(next).is_some());
        runs.for_each(|run| run.sort_by_key(port));
        ActionList::from(&actions[..])
    }

    fn action(&self, action: &Action) -> Action {
        let mut action = action.clone();
        match &mut action {
            Action::Output { port, .. } => *port = number(&self.ports, *port),
            Action::Bundle(bundle) => {
                for member in &mut bundle.members {
                    *member = u16::try_from(number(&self.ports, (*member).into())).unwrap();
                }
            }
            Action::Clone(actions) => actions.iter_mut().for_each(|action| *action = self.action(action)),
            Action::SetField { field, value, mask } => match (*field, *mask >> 16) {
                (Field::IN_PORT, _) => *value = self.port(*value),
                // The port of the tunnel.
                (Field::REG5, 0xffff) => *value = self.port(*value >> 16) << 16,
                // Zones. The upper half of reg13 is something else.
                (Field::REG11 | Field::REG12, _) | (Field::REG13, 0 | 0xffff) if *mask & 0xffff != 0 => {
                    let zone = u32::try_from(*value & 0xffff).unwrap();
                    *value = (*value & !0xffff) | u128::from(number(&self.zones, zone));
                }
                _ => {}
            },
            _ => {}
        }
        action
    }

    fn port(&self, port: u128) -> u128 {
        number(&self.ports, u32::try_from(port).unwrap()).into()
    }
}

/// Numbers that no name has are constants.
fn number(numbers: &BTreeMap<u32, u32>, number: u32) -> u32 {
    numbers.get(&number).copied().unwrap_or(number)
}

fn shared(numbers: &ByName, other: &ByName) -> BTreeMap<u32, u32> {
    let names: BTreeSet<&String> = numbers.keys().chain(other.keys()).collect();
    let at = |name: &String| names.iter().position(|it| *it == name);
    numbers.iter().filter_map(|(name, number)| Some((*number, FIRST + u32::try_from(at(name)?).ok()?))).collect()
}
