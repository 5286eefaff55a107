//! `debug/dump-*` and other lists of what the engine holds, in the formats of ovn-controller 26.03 (sheet 01 section 8).

use ovn_core::Agent;
use ovn_core::facts;
use ovsdb::{RowId, Uuid};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::commands::{lines, sorted};

/// An interface's name if there is one, and the ports bound through it with their types.
type LocalBinding = (Option<String>, Vec<(String, String)>);

/// `debug/dump-local-bindings`: interfaces with an iface-id, and the logical ports that are bound through each.
pub fn local_bindings(agent: &Agent) -> String {
    let sb = &agent.model().sb;
    // iface-id to its interface and ports; containers and the like are with their parent.
    let mut bindings: BTreeMap<String, LocalBinding> = BTreeMap::new();
    for name in agent.ask(facts::IfaceIds).iter() {
        let vif = agent.ask(facts::VifInterface(name.clone()));
        let interface = vif.and_then(|vif| agent.model().local.interface.row(vif.interface));
        bindings.entry(name.to_string()).or_default().0 = interface.map(|interface| interface.name.to_string());
    }
    for row in agent.ask(facts::BoundPorts).iter().filter_map(|row| sb.port_binding.row(*row)) {
        let kind = if row.r#type.is_empty() && row.parent_port.is_some() { "container" } else { row.r#type.as_str() };
        let holder = match kind {
            "container" => row.parent_port.as_ref(),
            "virtual" => row.virtual_parent.as_ref(),
            "mirror" => row.mirror_port.as_ref(),
            _ => None,
        };
        let kind = if kind.is_empty() { "VIF".to_owned() } else { kind.to_ascii_uppercase() };
        let holder = holder.unwrap_or(&row.logical_port).to_string();
        bindings.entry(holder).or_default().1.push((row.logical_port.to_string(), kind));
    }
    let mut text = String::from("Local bindings:\n");
    for (name, (interface, mut ports)) in bindings {
        ports.sort();
        let interface = interface.as_deref().unwrap_or("NULL");
        let _ = writeln!(
            text,
            "name: [{name}], OVS interface name : [{interface}], num binding lports : [{}]",
            ports.len()
        );
        if !ports.is_empty() {
            match ports.iter().position(|(port, _)| *port == name) {
                Some(at) => {
                    let (port, kind) = ports.remove(at);
                    let what = if kind == "LOCALPORT" { "localport" } else { "primary" };
                    let _ = writeln!(text, "{what} lport : [{port}]");
                }
                None => text.push_str("no primary lport\n"),
            }
        }
        for (at, (port, kind)) in ports.iter().enumerate() {
            let _ = writeln!(text, "child lport[{}] : [{port}], type : [{kind}]", at + 1);
        }
        text.push_str(&"-".repeat(40));
        text.push('\n');
    }
    text
}

/// `debug/dump-local-datapaths`.
pub fn local_datapaths(agent: &Agent) -> String {
    let datapaths = &agent.model().sb.datapath_binding;
    let local = agent.ask(facts::LocalDatapaths);
    let rows = local.iter().filter_map(|row| datapaths.row(*row)).map(|row| {
        let name = row.external_ids.get("name").map(|name| name.to_string()).unwrap_or_default();
        let kind = if row.external_ids.get("logical-router").is_some() { "router" } else { "switch" };
        format!("Datapath: {name}, type: {kind}")
    });
    String::from("Local datapaths:\n") + &sorted(rows)
}

/// `debug/dump-local-template-vars`.
pub fn template_variables(agent: &Agent) -> String {
    let name = agent.ask(facts::ChassisName).unwrap_or_default();
    let all = agent.model().sb.chassis_template_var.iter().filter(|(_, row)| row.chassis == name);
    let variables =
        all.flat_map(|(_, row)| row.variables.iter()).map(|(name, value)| format!("name: '{name}' value: '{value}'"));
    String::from("Local template vars:\n") + &sorted(variables)
}

/// `debug/dump-lflow-conj-ids`. What lost its preferred ids to another has an asterisk there; here nobody looks at what was preferred.
pub fn conjunction_ids(agent: &Agent) -> String {
    let all = agent.conjunctions();
    let count: u64 = all.iter().map(|(_, _, _, n)| u64::from(*n)).sum();
    let rows =
        all.iter().map(|(lflow, datapath, start, n)| format!("lflow: {lflow}, dp: {datapath}, start: {start}, n: {n}"));
    format!("Conjunction IDs allocations:\n{}---\nTotal {count} IDs used.\n", lines(rows))
}

/// `debug/dump-peer-ports`.
pub fn peer_ports(agent: &Agent) -> String {
    let sb = &agent.model().sb;
    let name = |port: RowId| sb.port_binding.row(port).map(|port| port.logical_port.clone()).unwrap_or_default();
    let local = agent.ask(facts::LocalDatapaths);
    sorted(local.iter().flat_map(|datapath| {
        let dp = sb.datapath_binding.row(*datapath).and_then(|row| row.external_ids.get("name")).cloned();
        let dp = dp.unwrap_or_default();
        let pairs = agent.ask(facts::PeerPorts(*datapath));
        let rows =
            pairs.iter().map(|(port, peer)| format!("dp {dp} : local = {}, remote = {}", name(*port), name(*peer)));
        rows.collect::<Vec<_>>()
    }))
}

/// `debug/dump-related-ports`: ports that logical flows here may ask about.
pub fn related_ports(agent: &Agent) -> String {
    let local = agent.ask(facts::LocalDatapaths);
    let names: BTreeSet<String> = local
        .iter()
        .flat_map(|datapath| {
            agent.ask(facts::RelatedPorts(*datapath)).iter().map(ToString::to_string).collect::<Vec<_>>()
        })
        .collect();
    lines(names.into_iter())
}

/// `debug/dump-mac-bindings`: those whose age matters.
pub fn mac_bindings(agent: &Agent) -> String {
    let sb = &agent.model().sb;
    let by_uuid: BTreeMap<Uuid, RowId> =
        agent.ask(facts::LocalDatapaths).iter().map(|row| (sb.datapath_binding.uuid(*row), *row)).collect();
    let mut text = String::from("Local MAC bindings:\n");
    for (row, binding) in sb.mac_binding.iter() {
        let datapath = by_uuid.get(&binding.datapath).and_then(|row| sb.datapath_binding.row(*row));
        let Some(datapath) = datapath.filter(|row| row.external_ids.get("mac_binding_age_threshold").is_some()) else {
            continue;
        };
        let port = agent.ask(facts::PortByName(binding.logical_port.clone())).and_then(|row| sb.port_binding.row(row));
        let _ = writeln!(
            text,
            "cookie: {:#010x}, datapath-key: {}, port-key: {}, ip: {}, mac: {}",
            sb.mac_binding.uuid(row).short(),
            datapath.tunnel_key,
            port.map_or(0, |port| port.tunnel_key),
            binding.ip,
            binding.mac
        );
    }
    text
}
