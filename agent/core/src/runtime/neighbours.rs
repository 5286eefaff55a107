//! [`NeighbourTables`]: which tables of the kernel the driver is to read, and which of them it has read. They follow from the local
//! switches with a VNI, so as a rule there are none, and no netlink socket is ever opened.

use ovsdb::Str;
use std::collections::BTreeSet;

use crate::agent::Agent;
use crate::facts::EvpnDevices;
use crate::kernel::{Neighbour, NeighbourTable};

/// The state of the tables.
#[derive(Debug, Default)]
pub struct NeighbourTables {
    watched: BTreeSet<(Str, NeighbourTable)>,
    /// Not read yet, and not known to be unreadable.
    awaited: BTreeSet<(Str, NeighbourTable)>,
}

impl NeighbourTables {
    /// What to watch from now on, if that is news. What was known of other tables is forgotten.
    pub fn follow(&mut self, agent: &mut Agent) -> Option<BTreeSet<(Str, NeighbourTable)>> {
        let devices = agent.ask(EvpnDevices);
        let fdb = devices.vxlan.keys().map(|device| (device.clone(), NeighbourTable::Fdb));
        let watched: BTreeSet<_> =
            fdb.chain(devices.bridges.keys().map(|device| (device.clone(), NeighbourTable::Ip))).collect();
        if watched == self.watched {
            return None;
        }
        for (device, table) in self.watched.difference(&watched) {
            agent.neighbours(device, *table, &[]);
            self.awaited.remove(&(device.clone(), *table));
        }
        self.awaited.extend(watched.difference(&self.watched).cloned());
        self.watched.clone_from(&watched);
        Some(watched)
    }

    /// A table was read, or could not be.
    pub fn observed(&mut self, agent: &mut Agent, device: Str, table: NeighbourTable, entries: Option<&[Neighbour]>) {
        let key = (device, table);
        if !self.watched.contains(&key) {
            // Read before the driver heard that it is not wanted any more.
            return;
        }
        self.awaited.remove(&key);
        if let Some(entries) = entries {
            agent.neighbours(&key.0, table, entries);
        }
    }

    /// Whether each table was read, or is known to be unreadable.
    pub fn are_known(&self) -> bool {
        self.awaited.is_empty()
    }
}
