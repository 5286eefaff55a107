//! Patch ports between the integration bridge and the bridges of physical networks. `patch_run` of controller/patch.c,
//! OVN 26.03; sheet 01 section 7.6.

use ovsdb::datum::Datum;
use ovsdb::tables::{Table, Tracked};
use ovsdb::transaction::{Mutator, Transaction};
use ovsdb::{Str, Uuid};
use std::collections::{BTreeMap, BTreeSet};

use super::operations::NewPort;
use crate::facts::{BridgeMappings, GatewayPorts, IntegrationBridge, IsLocal, LocalDatapaths, ThisChassis};
use crate::reader::Reader;
use crate::rows::{Bridge, DatapathBinding, Interface, Port, PortBinding};
use crate::units::Output;

/// external_ids keys that mark our patch ports.
const LOCALNET: &str = "ovn-localnet-port";
const L2GATEWAY: &str = "ovn-l2gateway-port";

/// A pair of patch ports that should exist.
struct Wanted {
    key: &'static str,
    lport: Str,
    bridge: Str,
}

/// See [`super::WriteKey::PatchPorts`].
pub fn patch_ports(r: &Reader<'_>, out: &mut Output) {
    let Some(integration) = r.fact(IntegrationBridge).and_then(|row| r.row::<Bridge>(row)) else { return };
    if r.fact(ThisChassis).is_none() {
        return;
    }
    let mut plan = Plan { r, local: Transaction::new(), next: 0, kept: BTreeSet::new() };
    for wanted in wanted(r) {
        let bridge = r.lookup_one(|t: &Table<Bridge>| t.by_name(&wanted.bridge)).and_then(|row| r.row::<Bridge>(row));
        let Some(bridge) = bridge else { continue };
        let here = Str::from(format!("patch-{}-to-{}", integration.name(), wanted.lport));
        let there = Str::from(format!("patch-{}-to-{}", wanted.lport, integration.name()));
        plan.ensure(&integration, &wanted, &here, &there);
        plan.ensure(&bridge, &wanted, &there, &here);
    }
    plan.remove_unwanted();
    if !plan.local.is_empty() {
        out.local.comment("ovn-agent: modifying patch ports");
        out.local.operations.append(&mut plan.local.operations);
    }
}

/// Localnet ports of local datapaths and l2gateway ports of ours, whose network is mapped.
fn wanted(r: &Reader<'_>) -> Vec<Wanted> {
    let mappings: BTreeMap<Str, Str> = r.fact(BridgeMappings).iter().cloned().collect();
    let mut wanted = Vec::new();
    if mappings.is_empty() {
        return wanted;
    }
    let mut consider = |port: Tracked<'_, PortBinding, Reader<'_>>, key| {
        let bridge = port.options().get("network_name").and_then(|network| mappings.get(network));
        if let Some(bridge) = bridge {
            wanted.push(Wanted { key, lport: port.logical_port().clone(), bridge: bridge.clone() });
        }
    };
    for row in r.lookup(|t: &Table<PortBinding>| t.by_type("localnet")) {
        let Some(port) = r.row::<PortBinding>(row) else { continue };
        if r.find_id::<DatapathBinding>(&port.datapath()).is_some_and(|dp| r.fact(IsLocal(dp))) {
            consider(port, LOCALNET);
        }
    }
    if !r.fact(LocalDatapaths).is_empty() {
        for row in r.fact(GatewayPorts).iter() {
            if let Some(port) = r.row::<PortBinding>(*row).filter(|port| port.r#type().as_str() == "l2gateway") {
                consider(port, L2GATEWAY);
            }
        }
    }
    wanted.sort_by(|a, b| a.lport.cmp(&b.lport));
    wanted
}

struct Plan<'p, 'a> {
    r: &'p Reader<'a>,
    local: Transaction,
    next: usize,
    /// Ports that are as they should be.
    kept: BTreeSet<Uuid>,
}

impl Plan<'_, '_> {
    /// Makes the patch port on `bridge` unless there is one with this peer, whatever its name.
    fn ensure(&mut self, bridge: &Tracked<'_, Bridge, Reader<'_>>, wanted: &Wanted, name: &Str, peer: &Str) {
        for row in self.r.lookup(|table: &Table<Interface>| table.by_peer(peer)) {
            let Some(interface) = self.r.row::<Interface>(row).filter(|interface| interface.r#type() == "patch") else {
                continue;
            };
            for row in self.r.lookup(|table: &Table<Port>| table.by_interface(interface.uuid())) {
                let Some(port) = self.r.row::<Port>(row) else { continue };
                if !self.r.lookup(|table: &Table<Bridge>| table.by_port(port.uuid())).contains(&bridge.row_id()) {
                    continue;
                }
                self.kept.insert(port.uuid());
                if port.external_ids().get(wanted.key) != Some(&wanted.lport) {
                    let ids: Datum = [(wanted.key, wanted.lport.clone())].into_iter().collect();
                    self.local.mutate("Port", port.uuid(), vec![("external_ids", Mutator::Insert, ids)]);
                }
                return;
            }
        }
        let (interface, port) = (format!("patch_if{}", self.next), format!("patch{}", self.next));
        self.next += 1;
        let options = [("peer", peer.clone())].into_iter().collect();
        let external_ids = [(wanted.key, wanted.lport.clone())].into_iter().collect();
        let new = NewPort { bridge: bridge.uuid(), name, kind: "patch", options, external_ids };
        new.create(&interface, &port, &mut self.local);
    }

    /// Ports that carry our marks, those of long ago included, and are not wanted.
    fn remove_unwanted(&mut self) {
        let marked = [
            self.r.lookup(|table: &Table<Port>| table.by_localnet(true)),
            self.r.lookup(|table: &Table<Port>| table.by_l2gateway(true)),
            self.r.lookup(|table: &Table<Port>| table.by_l3gateway(true)),
            self.r.lookup(|table: &Table<Port>| table.by_logical_patch(true)),
        ];
        let mut unwanted: BTreeMap<Uuid, BTreeSet<Uuid>> = BTreeMap::new();
        for row in marked.into_iter().flatten() {
            let Some(port) = self.r.row::<Port>(row).map(|port| port.uuid()) else { continue };
            for bridge in self.r.lookup(|table: &Table<Bridge>| table.by_port(port)) {
                let Some(bridge) = self.r.row::<Bridge>(bridge).filter(|_| !self.kept.contains(&port)) else {
                    continue;
                };
                unwanted.entry(bridge.uuid()).or_default().insert(port);
            }
        }
        for (bridge, ports) in unwanted {
            let ports = ports.into_iter().collect::<Datum>();
            self.local.mutate("Bridge", bridge, vec![("ports", Mutator::Delete, ports)]);
        }
    }
}
