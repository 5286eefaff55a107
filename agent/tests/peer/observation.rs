//! What an agent has done once it has settled: [`Observation`].

use std::collections::BTreeMap;

use ofproto_client::{Flow, Group};
use serde_json::Value;

use crate::common::{Cloud, Hypervisor, canonical, wait_until};
use crate::layout::Layout;
use crate::numbers::ByName;
use crate::rules::{LogicalFlows, logical_flows};

/// A row: the elements of its columns as text, sorted; those of maps are `key=value`.
pub type Row = BTreeMap<String, Vec<String>>;

/// Rows by table, sorted.
pub type Rows = BTreeMap<&'static str, Vec<Row>>;

/// The state of the switch and of both databases.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observation {
    pub flows: Vec<String>,
    pub groups: String,
    pub meters: String,
    /// What the agent has claimed and reports.
    pub southbound: Rows,
    /// What the agent has made of the hypervisor's database.
    pub local: Rows,
    /// Ports of other availability zones.
    pub remote: Vec<String>,
    /// The logical flows that were there.
    pub lflows: LogicalFlows,
    /// Ports of the switch by name of their interface.
    pub ports: ByName,
    /// Zones by name of the key that keeps them.
    pub zones: ByName,
}

/// Columns of the Southbound database that agents write.
const SOUTHBOUND: &[(&str, &str)] = &[
    ("Chassis", "name,hostname,transport_zones,vtep_logical_switches,external_ids,other_config"),
    ("Chassis_Private", "name,chassis,external_ids"),
    ("Encap", "type,ip,options,chassis_name"),
    (
        "Port_Binding",
        "logical_port,chassis,additional_chassis,encap,additional_encap,requested_chassis,requested_additional_chassis,\
         up,virtual_parent,ha_chassis_group",
    ),
    ("Datapath_Binding", "tunnel_key,external_ids"),
    ("HA_Chassis_Group", "name,ref_chassis"),
    ("Service_Monitor", "status"),
];

/// Columns of the hypervisor's database that agents write.
const LOCAL: &[(&str, &str)] = &[
    ("Bridge", "name,fail_mode,datapath_type,other_config,external_ids,ports"),
    ("Port", "name,tag,external_ids,interfaces,qos"),
    ("Interface", "name,type,options,external_ids"),
    ("QoS", "type,other_config,external_ids"),
    ("Queue", "other_config,external_ids"),
    ("Open_vSwitch", "external_ids,bridges"),
];

impl Observation {
    /// What hypervisor `number` and the Southbound have now.
    pub fn now(cloud: &Cloud, number: usize) -> Observation {
        let hypervisor = &cloud.hypervisors[number - 1];
        let sb = |words: &[&str]| cloud.sbctl_words(words);
        let vs = |words: &[&str]| hypervisor.vsctl(&words.join(" "));
        let mut known = Vec::new();
        for (table, column) in [("Chassis", "name"), ("Encap", "chassis_name"), ("HA_Chassis_Group", "name")] {
            known.extend(names(&sb, table, column));
        }
        let datapaths = names(&sb, "Datapath_Binding", "external_ids");
        known.extend(datapaths);
        for (table, column) in [("Interface", "name"), ("Port", "name"), ("Bridge", "name"), ("QoS", "type")] {
            known.extend(names(&vs, table, column));
        }
        let southbound = rows(&sb, SOUTHBOUND, &known);
        let mut local = rows(&vs, LOCAL, &known);
        let zones = take_zones(&mut local);
        // Where things lie in the sandbox is different.
        let folder = hypervisor.folder.display().to_string();
        for value in local.values_mut().flatten().flat_map(BTreeMap::values_mut).flatten() {
            *value = value.replace(&folder, "FOLDER");
        }
        local.values_mut().for_each(|rows| rows.sort());
        let ports = names_of(&vs, "Interface", "ofport", "name");
        // Every bridge counts its ports for itself.
        let here = |row: &&Row| row["name"] == ["br-int"];
        let of_bridge = local["Bridge"].iter().find(here).map(|row| row["ports"].clone()).unwrap_or_default();
        let ports = ports.into_iter().filter(|(_, name)| of_bridge.contains(name));
        let ports = ports.filter_map(|(ofport, name)| Some((name, ofport.parse().ok()?))).collect();
        Observation {
            flows: hypervisor.flows(),
            groups: hypervisor.ofctl(&["--no-names", "dump-groups"]),
            meters: hypervisor.ofctl(&["dump-meters"]),
            southbound,
            local,
            remote: cloud
                .sb_find("logical_port", "Port_Binding", "type=remote")
                .split_whitespace()
                .map(str::to_owned)
                .collect(),
            lflows: logical_flows(&std::fs::read_to_string(cloud.sb.dump("OVN_Southbound")).unwrap()),
            ports,
            zones,
        }
    }

    /// The flows as values.
    pub fn parsed(&self) -> Vec<Flow> {
        let parse = |line: &String| line.parse().unwrap_or_else(|error| panic!("{line}: {error}"));
        self.flows.iter().map(parse).collect()
    }

    /// The groups with our table numbers.
    pub fn groups_in(&self, layout: &Layout) -> String {
        let lines = self.groups.lines().map(str::trim).filter(|line| line.starts_with("group_id="));
        let groups = lines.map(|line| line.parse().unwrap_or_else(|error| panic!("{line}: {error}")));
        groups.map(|group: Group| layout.group(&group).to_string()).collect::<Vec<_>>().join("\n")
    }

    /// Flows that have the numbers of this switch's groups and meters, in the form that is compared.
    pub fn canonical(&self, flows: &[Flow], groups: &str) -> BTreeMap<canonical::Flow, usize> {
        let text: Vec<String> = flows.iter().map(Flow::to_string).collect();
        let flows = canonical::flows(&text.join("\n"), &canonical::groups(groups), &canonical::meters(&self.meters));
        flows.into_iter().map(|(flow, count)| (without_number(flow), count)).collect()
    }

    /// The layout of the flows.
    pub fn layout(&self) -> Layout {
        Layout::of(&self.parsed())
    }
}

/// A meter that does not exist has a number of the agent's choice.
fn without_number(mut flow: canonical::Flow) -> canonical::Flow {
    while let Some((before, after)) = flow.actions.split_once("{?") {
        flow.actions = format!("{before}{{none{}", after.trim_start_matches(|c: char| c.is_ascii_digit()));
    }
    flow
}

/// Takes the numbers of zones from the bridges' external_ids, where their names stay.
fn take_zones(local: &mut Rows) -> ByName {
    let mut zones = ByName::new();
    let bridges = local.get_mut("Bridge").into_iter().flatten().filter_map(|row| row.get_mut("external_ids"));
    for value in bridges.flatten() {
        if let Some((name, zone)) = value.split_once('=').filter(|(name, _)| name.starts_with("ct-zone-")) {
            zones.insert(name.to_owned(), zone.parse().unwrap());
            *value = name.to_owned();
        }
    }
    zones
}

/// Starts the agent of hypervisor `number` and waits until nothing changes any more: two observations, each after every agent
/// has acknowledged and with all interfaces reported installed, are equal.
pub fn settled(cloud: &mut Cloud, number: usize) -> Observation {
    cloud.hv(number).start_agent();
    cloud.sync();
    // ovn-northd's incremental results are not always what it makes from scratch.
    cloud.northd_appctl("inc-engine/recompute");
    cloud.sync();
    let mut last = None;
    wait_until(&format!("{} settled", cloud.hypervisors[number - 1].name), || {
        let before = last.take();
        cloud.nbctl("--wait=sb sync");
        cloud.sync();
        last = Some(Observation::now(cloud, number));
        last == before
    });
    last.unwrap()
}

/// Lists the columns of a table: a program's standard output in JSON.
type List<'a> = &'a dyn Fn(&[&str]) -> String;

/// UUIDs and the names that stand for them.
fn names(list: List<'_>, table: &str, column: &str) -> Vec<(String, String)> {
    names_of(list, table, "_uuid", column)
}

/// Two columns of a table. Of `external_ids`, the name in them.
fn names_of(list: List<'_>, table: &str, key: &str, column: &str) -> Vec<(String, String)> {
    let text = list(&["-f", "json", &format!("--columns={key},{column}"), "list", table]);
    let data: Value = serde_json::from_str(&text).unwrap();
    let mut pairs = Vec::new();
    for row in data["data"].as_array().unwrap() {
        let key = elements(&row[0], &[]).concat();
        let name = elements(&row[1], &[]);
        let name = match column {
            "external_ids" => name.iter().find_map(|entry| entry.strip_prefix("name=")).unwrap_or_default().to_owned(),
            _ => name.concat(),
        };
        pairs.push((key, name));
    }
    pairs
}

fn rows(list: List<'_>, tables: &[(&'static str, &str)], names: &[(String, String)]) -> Rows {
    let mut all = Rows::new();
    for (table, columns) in tables {
        let text = list(&["-f", "json", &format!("--columns={columns}"), "list", table]);
        let data: Value = serde_json::from_str(&text).unwrap();
        let headings: Vec<&str> = data["headings"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        let mut rows = Vec::new();
        for row in data["data"].as_array().unwrap() {
            let values = row.as_array().unwrap().iter().map(|value| elements(value, names));
            rows.push(headings.iter().map(|heading| (*heading).to_owned()).zip(values).collect());
        }
        rows.sort();
        all.insert(table, rows);
    }
    all
}

/// What is in a value, with names in the place of UUIDs.
fn elements(value: &Value, names: &[(String, String)]) -> Vec<String> {
    let atom = |value: &Value| {
        let text = match (value[0].as_str(), value) {
            (Some("uuid"), value) => value[1].as_str().unwrap_or_default().to_owned(),
            (_, Value::String(text)) => text.clone(),
            (_, value) => value.to_string(),
        };
        names.iter().fold(text, |text, (uuid, name)| text.replace(uuid, name))
    };
    let items = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let mut elements: Vec<String> = match value[0].as_str() {
        Some("set") => items(&value[1]).iter().map(atom).collect(),
        Some("map") => items(&value[1]).iter().map(|pair| format!("{}={}", atom(&pair[0]), atom(&pair[1]))).collect(),
        _ => vec![atom(value)],
    };
    elements.retain(|element| !TIMES.contains(&element.split('=').next().unwrap_or_default()));
    elements.sort();
    elements
}

/// Keys that say when, or how often, something was done.
const TIMES: &[&str] = &["ovn-nb-cfg", "ovn-nb-cfg-ts", "ovn-installed-ts", "ovn-startup-ts"];

/// Ends the agent of hypervisor `number` as `ovn-appctl exit` does and waits until what it had claimed is released.
pub fn release(cloud: &mut Cloud, number: usize) {
    let hypervisor: &mut Hypervisor = cloud.hv(number);
    hypervisor.agent_appctl(&["exit"]).unwrap();
    assert!(hypervisor.agent_daemon().wait_for_end());
    wait_until("the chassis gone", || cloud.sb_find("name", "Chassis", "name=hv1").is_empty());
    cloud.nbctl("--wait=sb sync");
}
