//! [`Asked`]: where the facts are that are asked for outside of nodes. At every turn they are the same dozen, and each look-up by hash is three or four
//! cache misses.

use crate::engine::{Graph, NodeId, NodeKey};

/// So many are remembered.
const ROOM: usize = 16;

/// The facts that were asked for.
#[derive(Debug, Default)]
pub struct Asked {
    known: Vec<(NodeKey, NodeId)>,
    /// The place of the one that is forgotten next.
    next: usize,
}

impl Asked {
    /// The node for `key`, if it exists.
    pub fn find(&mut self, graph: &Graph, key: &NodeKey) -> Option<NodeId> {
        let place = self.known.iter().position(|(known, _)| known == key);
        let remembered = place.map(|place| self.known[place].1);
        // A node may be gone, and its number be another's by now.
        if let Some(id) = remembered.filter(|id| graph.key(*id) == Some(key)) {
            return Some(id);
        }
        let id = graph.find(key)?;
        match place {
            Some(place) => self.known[place].1 = id,
            None if self.known.len() < ROOM => self.known.push((key.clone(), id)),
            None => {
                self.known[self.next] = (key.clone(), id);
                self.next = (self.next + 1) % ROOM;
            }
        }
        Some(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::{ChassisName, FactKey, Setting};

    fn key(fact: impl Into<FactKey>) -> NodeKey {
        NodeKey::Fact(fact.into())
    }

    #[test]
    fn what_is_remembered_is_what_the_graph_has() {
        let names: Vec<&'static str> = (0..3 * ROOM).map(|number| &*format!("a{number}").leak()).collect();
        let (mut graph, mut asked) = (Graph::default(), Asked::default());
        assert_eq!(asked.find(&graph, &key(ChassisName)), None);
        let name = graph.intern(key(ChassisName));
        for setting in &names {
            let setting = key(Setting(setting));
            let id = graph.intern(setting.clone());
            for _ in 0..2 {
                assert_eq!(asked.find(&graph, &setting), Some(id));
                assert_eq!(asked.find(&graph, &key(ChassisName)), Some(name));
            }
            assert!(asked.known.len() <= ROOM);
        }
    }

    #[test]
    fn a_number_may_be_another_nodes_by_now() {
        let (mut graph, mut asked) = (Graph::default(), Asked::default());
        let id = graph.intern(key(Setting("one")));
        assert_eq!(asked.find(&graph, &key(Setting("one"))), Some(id));
        let mut other = Graph::default();
        assert_eq!(other.intern(key(Setting("two"))), id);
        assert_eq!(asked.find(&other, &key(Setting("one"))), None);
        let new = other.intern(key(Setting("one")));
        assert_eq!(asked.find(&other, &key(Setting("one"))), Some(new));
        assert_eq!(asked.known.len(), 1);
    }
}
