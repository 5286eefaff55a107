//! Compares the encoding of logical actions with what ovn-controller installed.
//!
//! Reads the goldens at `OVN_AGENT_GOLDENS` or `../../shared/goldens`, if they are there. For every logical flow whose
//! cookie occurs in the flows it encodes the actions for each datapath that has such a flow, and prints the share of equal
//! texts, by kind of action, and the first differences. Ids of groups are compared through the groups' descriptions; of
//! ids of meters only whether there is one.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a failed unwrap is a failed test")]

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::error::Error;
use std::path::{Path, PathBuf};

use ofproto_client::{Action, ActionList, Group};
use ovn_lang::actions::NatZone;
use ovn_lang::{
    ActionParse, EncodeContext, EncodeParams, LogicalAction, OptionTable, Pipeline, SymbolTable, encode_actions,
    expand_templates, parse_actions,
};
use serde_json::Value;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

#[test]
fn installed_actions() -> Result<()> {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/goldens");
    let goldens = std::env::var_os("OVN_AGENT_GOLDENS").map_or(default, PathBuf::from);
    let Ok(folders) = std::fs::read_dir(&goldens) else {
        println!("SKIPPED: no goldens at {}", goldens.display());
        return Ok(());
    };
    let mut folders = folders.map(|entry| Ok(entry?.path())).collect::<Result<Vec<PathBuf>>>()?;
    folders.sort();
    let mut report = Report::default();
    for folder in folders.iter().filter(|folder| folder.is_dir()) {
        for entry in std::fs::read_dir(folder)? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if let Some(name) = name.strip_suffix(".sb.json") {
                report.place = format!("{}/{name}", folder.display());
                let hypervisor = Hypervisor::read(folder, name)?;
                hypervisor.compare(&mut report)?;
            }
        }
    }
    report.print();
    assert_eq!(report.equal, report.total, "differences above");
    Ok(())
}

/// What was compared.
#[derive(Default)]
struct Report {
    /// Folder and hypervisor under way.
    place: String,
    total: usize,
    equal: usize,
    /// By kind of action: flows with it, and those that differ.
    kinds: BTreeMap<&'static str, (usize, usize)>,
    /// The first differences by kinds.
    differences: BTreeMap<String, Vec<String>>,
}

impl Report {
    fn compare(&mut self, actions: &[LogicalAction], text: &str, expected: &str, found: &str) {
        self.total += 1;
        let equal = expected == found;
        self.equal += usize::from(equal);
        let kinds: BTreeSet<&str> = actions.iter().map(LogicalAction::kind).collect();
        for kind in &kinds {
            let count = self.kinds.entry(kind).or_default();
            count.0 += 1;
            count.1 += usize::from(!equal);
        }
        if !equal {
            let kinds: Vec<&str> = kinds.into_iter().collect();
            self.difference(&kinds.join(" "), text, expected, found);
        }
    }

    fn difference(&mut self, kinds: &str, text: &str, expected: &str, found: &str) {
        let list = self.differences.entry(kinds.to_owned()).or_default();
        if list.len() < 2 {
            list.push(format!("{}\n    {text}\n  - {expected}\n  + {found}", self.place));
        }
    }

    fn print(&self) {
        for (kind, (total, different)) in &self.kinds {
            println!("{kind:24} {total:8} flows {different:6} different");
        }
        for (kinds, list) in &self.differences {
            println!("{kinds}");
            list.iter().for_each(|difference| println!("  {difference}"));
        }
        let percent = 100.0 * self.equal as f64 / self.total.max(1) as f64;
        println!("{} of {} equal, {percent:.3} %", self.equal, self.total);
    }
}

/// The tables of one `ovsdb-client dump`, rows as column maps.
struct Dump(HashMap<String, Vec<HashMap<String, Value>>>);

impl Dump {
    fn read(path: &Path) -> Result<Dump> {
        let mut tables = HashMap::new();
        for line in std::fs::read_to_string(path)?.lines() {
            let table: Value = serde_json::from_str(line)?;
            let name = table["caption"].as_str().unwrap_or_default().trim_end_matches(" table").to_owned();
            let headings: Vec<&str> = table["headings"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
            let rows = table["data"].as_array().unwrap().iter();
            let rows = rows.map(|row| {
                let cells = row.as_array().unwrap().iter().cloned();
                headings.iter().map(|&heading| heading.to_owned()).zip(cells).collect()
            });
            tables.insert(name, rows.collect());
        }
        Ok(Dump(tables))
    }

    fn rows(&self, table: &str) -> &[HashMap<String, Value>] {
        self.0.get(table).map_or(&[], Vec::as_slice)
    }
}

/// The UUIDs of a reference column.
fn uuids(value: &Value) -> Vec<String> {
    match value[0].as_str() {
        Some("uuid") => vec![value[1].as_str().unwrap_or_default().to_owned()],
        Some("set") => value[1].as_array().unwrap().iter().flat_map(uuids).collect(),
        _ => Vec::new(),
    }
}

/// A map column.
fn map(value: &Value) -> HashMap<String, String> {
    let pairs = value[1].as_array().into_iter().flatten();
    pairs.map(|pair| (pair[0].as_str().unwrap().to_owned(), pair[1].as_str().unwrap().to_owned())).collect()
}

/// A number column.
fn number(value: &Value) -> u32 {
    value.as_u64().unwrap() as u32
}

struct Datapath {
    key: u32,
    is_switch: bool,
    snat_zone: bool,
    ports: HashMap<String, u32>,
}

/// Answers from the dumps; numbers groups and meters in order of first use.
struct Context<'a> {
    datapath: &'a Datapath,
    tunnels: &'a HashMap<String, u16>,
    local: &'a BTreeSet<String>,
    collectors: &'a BTreeSet<u32>,
    groups: Vec<String>,
    meters: Vec<String>,
}

impl EncodeContext for Context<'_> {
    fn port_key(&mut self, name: &str) -> Option<u32> {
        self.datapath.ports.get(name).copied()
    }

    fn is_local_backend(&mut self, lport: &str) -> bool {
        self.local.contains(lport)
    }

    fn tunnel_ofport(&mut self, lport: &str) -> Option<u16> {
        self.tunnels.get(lport).copied()
    }

    fn group_id(&mut self, key: &str) -> Option<u32> {
        self.groups.push(key.to_owned());
        Some(self.groups.len() as u32)
    }

    fn meter_id(&mut self, name: &str) -> Option<u32> {
        self.meters.push(name.to_owned());
        Some(self.meters.len() as u32)
    }

    fn collector_set_exists(&mut self, id: u32) -> bool {
        self.collectors.contains(&id)
    }
}

/// One hypervisor's view.
struct Hypervisor {
    sb: Dump,
    datapaths: Vec<Datapath>,
    tunnels: HashMap<String, u16>,
    local: BTreeSet<String>,
    collectors: BTreeSet<u32>,
    groups: HashMap<u32, String>,
    variables: HashMap<String, String>,
    capabilities: HashMap<String, String>,
    installed: Installed,
}

/// (cookie, OpenFlow table) of installed flows to their metadata and actions.
type Installed = HashMap<(u32, u8), Vec<(u32, String)>>;

impl Hypervisor {
    fn read(folder: &Path, name: &str) -> Result<Hypervisor> {
        let file = |suffix: &str| folder.join(format!("{name}.{suffix}"));
        let (sb, ovs) = (Dump::read(&file("sb.json"))?, Dump::read(&file("ovs.json"))?);
        let groups = std::fs::read_to_string(file("groups"))?;
        let system_id = map(&ovs.rows("Open_vSwitch")[0]["external_ids"]).remove("system-id");
        let variables = sb.rows("Chassis_Template_Var").iter();
        Ok(Hypervisor {
            datapaths: datapaths(&sb),
            tunnels: tunnels(&sb, &ovs),
            local: ovs
                .rows("Interface")
                .iter()
                .filter_map(|row| map(&row["external_ids"]).remove("iface-id"))
                .collect(),
            collectors: ovs.rows("Flow_Sample_Collector_Set").iter().map(|row| number(&row["id"])).collect(),
            groups: groups
                .lines()
                .filter_map(|line| line.trim().strip_prefix("group_id=")?.split_once(','))
                .map(|(id, text)| (id.parse().unwrap(), text.to_owned()))
                .collect(),
            variables: variables
                .filter(|row| row["chassis"].as_str() == system_id.as_deref())
                .flat_map(|row| map(&row["variables"]))
                .collect(),
            capabilities: ovs.rows("Datapath").first().map(|row| map(&row["capabilities"])).unwrap_or_default(),
            installed: installed(&std::fs::read_to_string(file("flows"))?),
            sb,
        })
    }

    fn compare(&self, report: &mut Report) -> Result<()> {
        let (dhcp_v4, dhcp_v6) = (option_table(&self.sb, "DHCP_Options"), option_table(&self.sb, "DHCPv6_Options"));
        for row in self.sb.rows("Logical_Flow") {
            let uuid = uuids(&row["_uuid"]).remove(0);
            let cookie = u32::from_str_radix(&uuid[..8], 16)?;
            let pipeline = if row["pipeline"] == "ingress" { Pipeline::Ingress } else { Pipeline::Egress };
            let table = number(&row["table_id"]) as u8;
            let of_table = table + if pipeline == Pipeline::Ingress { 8 } else { 48 };
            let Some(found) = self.installed.get(&(cookie, of_table)) else { continue };
            let text = row["actions"].as_str().unwrap();
            let variable = |name: &str| self.variables.get(name).cloned();
            let text = &expand_templates(text, variable)?;
            let (symbols, n_tables) = (SymbolTable::main(), pipeline.n_tables());
            let params = ActionParse { symbols, dhcp_v4: &dhcp_v4, dhcp_v6: &dhcp_v6, pipeline, table, n_tables };
            let (actions, _) = match parse_actions(text, &params) {
                Ok(parsed) => parsed,
                Err(error) => {
                    report.total += 1;
                    report.difference("(parsing)", text, "", &format!("{}: {error}", error.offset));
                    continue;
                }
            };
            for datapath in &self.datapaths {
                let Some((_, expected)) = found.iter().find(|(metadata, _)| *metadata == datapath.key) else {
                    continue;
                };
                let params = self.params(datapath, &uuid, pipeline, row["controller_meter"].is_string());
                let (expected, found) = self.encode(&actions, datapath, &params, expected);
                report.compare(&actions, text, &expected, &found);
            }
        }
        Ok(())
    }

    fn params(&self, datapath: &Datapath, uuid: &str, pipeline: Pipeline, has_meter: bool) -> EncodeParams {
        let options = map(&self.sb.rows("SB_Global")[0]["options"]);
        let option = |name: &str| options.get(name).is_some_and(|value| value == "true");
        let capability = |name: &str| self.capabilities.get(name).map_or("", String::as_str);
        let uuid = u128::from_str_radix(&uuid.replace('-', ""), 16).unwrap();
        EncodeParams {
            is_switch: datapath.is_switch,
            datapath_key: datapath.key,
            lflow_uuid: uuid.to_be_bytes(),
            pipeline,
            common_nat_zone: if datapath.snat_zone { NatZone::Snat } else { NatZone::Dnat },
            ct_zero_snat: capability("ct_zero_snat") == "true",
            explicit_arp_ns_output: option("arp_ns_explicit_output"),
            register_consolidation: option("register_consolidation"),
            dp_hash_l4_symmetric: capability("max_hash_alg") == "1",
            meters_supported: true,
            controller_meter: u32::from(has_meter),
        }
    }

    /// Both texts with descriptions in place of ids.
    fn encode(
        &self,
        actions: &[LogicalAction],
        datapath: &Datapath,
        params: &EncodeParams,
        expected: &str,
    ) -> (String, String) {
        let Hypervisor { tunnels, local, collectors, groups, .. } = self;
        let mut context = Context { datapath, tunnels, local, collectors, groups: Vec::new(), meters: Vec::new() };
        let mut out: Vec<Action> = Vec::new();
        encode_actions(actions, params, &mut context, &mut out);
        // A group that ovs-ofctl failed to print, as it does with very large ones, cannot be compared.
        let mut unknown = false;
        let expected = replace_ids(expected, "group:", |id| {
            groups.get(&id).cloned().unwrap_or_else(|| {
                unknown = true;
                "?".to_owned()
            })
        });
        let found = replace_ids(&ActionList::from(&out[..]).to_string(), "group:", |id| match unknown {
            true => "?".to_owned(),
            false => describe(&context.groups, id),
        });
        let without_meters = |text: &str| {
            let meter = |_| "N".to_owned();
            replace_ids(&replace_ids(text, "meter_id=", meter), "meter:", meter)
        };
        (without_meters(&expected), without_meters(&found))
    }
}

fn datapaths(sb: &Dump) -> Vec<Datapath> {
    let mut datapaths = BTreeMap::new();
    for row in sb.rows("Datapath_Binding") {
        let external_ids = map(&row["external_ids"]);
        let is_switch = match row.get("type").and_then(Value::as_str) {
            // ovn-northd 23.03 does not have the column.
            None | Some("") => external_ids.contains_key("logical-switch"),
            Some(kind) => kind == "logical-switch",
        };
        let (key, snat_zone) = (number(&row["tunnel_key"]), external_ids.contains_key("snat-ct-zone"));
        let datapath = Datapath { key, is_switch, snat_zone, ports: HashMap::new() };
        datapaths.insert(uuids(&row["_uuid"]).remove(0), datapath);
    }
    for (table, column) in [("Multicast_Group", "name"), ("Port_Binding", "logical_port")] {
        for row in sb.rows(table) {
            for datapath in uuids(&row["datapath"]) {
                let ports = &mut datapaths.get_mut(&datapath).unwrap().ports;
                ports.insert(row[column].as_str().unwrap().to_owned(), number(&row["tunnel_key"]));
            }
        }
    }
    datapaths.into_values().collect()
}

fn installed(flows: &str) -> Installed {
    let mut installed = Installed::new();
    for flow in flows.lines().filter(|line| line.starts_with(" cookie")) {
        let (head, actions) = flow.split_once(" actions=").unwrap();
        let field = |name: &str| {
            let rest = head.split([' ', ',']).find_map(|word| word.strip_prefix(name))?;
            match rest.strip_prefix("0x") {
                Some(hex) => u64::from_str_radix(hex, 16).ok(),
                None => rest.parse().ok(),
            }
        };
        if let (Some(cookie), Some(table), Some(metadata)) = (field("cookie="), field("table="), field("metadata=")) {
            let list = installed.entry((cookie as u32, table as u8)).or_default();
            list.push((metadata as u32, actions.to_owned()));
        }
    }
    installed
}

fn option_table(sb: &Dump, table: &str) -> OptionTable {
    let rows = sb.rows(table).iter();
    rows.map(|row| (row["name"].as_str().unwrap(), number(&row["code"]) as u16, row["type"].as_str().unwrap()))
        .collect()
}

/// The group's description as ovs-ofctl prints it.
fn describe(keys: &[String], id: u32) -> String {
    let key = keys.get(id as usize - 1).map_or("", String::as_str);
    match format!("group_id=1,{key}").parse::<Group>() {
        Ok(group) => group.to_string().trim().trim_start_matches("group_id=1,").to_owned(),
        Err(error) => format!("{key}: {error}"),
    }
}

/// Replaces the decimal numbers after `prefix`.
fn replace_ids(text: &str, prefix: &str, mut replacement: impl FnMut(u32) -> String) -> String {
    let mut parts = text.split(prefix);
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let digits = part.bytes().take_while(u8::is_ascii_digit).count();
        out.push_str(prefix);
        out.push_str(&part[..digits].parse().map(&mut replacement).unwrap_or_default());
        out.push_str(&part[digits..]);
    }
    out
}

/// OpenFlow port of the tunnel to each logical port's chassis.
fn tunnels(sb: &Dump, ovs: &Dump) -> HashMap<String, u16> {
    let ofports: HashMap<String, u16> = ovs
        .rows("Interface")
        .iter()
        .filter_map(|row| Some((uuids(&row["_uuid"]).pop()?, row["ofport"].as_u64()? as u16)))
        .collect();
    let mut by_chassis = HashMap::new();
    for port in ovs.rows("Port") {
        if let Some(id) = map(&port["external_ids"]).get("ovn-chassis-id") {
            let chassis = id.split('@').next().unwrap_or_default().to_owned();
            let ofport = uuids(&port["interfaces"]).first().and_then(|uuid| ofports.get(uuid)).copied();
            by_chassis.extend(ofport.map(|ofport| (chassis, ofport)));
        }
    }
    let chassis: HashMap<String, u16> = sb
        .rows("Chassis")
        .iter()
        .filter_map(|row| Some((uuids(&row["_uuid"]).pop()?, *by_chassis.get(row["name"].as_str()?)?)))
        .collect();
    sb.rows("Port_Binding")
        .iter()
        .filter_map(|row| {
            let ofport = chassis.get(uuids(&row["chassis"]).first()?)?;
            Some((row["logical_port"].as_str()?.to_owned(), *ofport))
        })
        .collect()
}
