//! Compares the matches of the logical flows of goldens with the flows that ovn-controller installed for them:
//! `golden_matches [-v] FOLDER...`. Prints what differs (at most 3 per folder without `-v`) and the percentage that is equal.
//!
//! Logical flows with a match or actions that cannot be parsed count as equal if nothing is installed for them. Matches are
//! compared as text, because Open vSwitch's text does not tell some equivalent matches apart.
#![allow(clippy::print_stdout, clippy::unwrap_used)]

use ofproto_client::{Field, Match};
use ovn_lang::{
    ActionParse, AddressSet, ConstantSets, Expr, Limits, Matches, OptionTable, Pipeline, SymbolTable, expand_templates,
    parse_actions,
};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;

type Row = HashMap<String, Value>;

/// The rows of each table of a dump by `ovsdb-client -f json dump`.
struct Database(HashMap<String, Vec<Row>>);

impl Database {
    fn read(path: &Path) -> Database {
        let mut tables = HashMap::new();
        for line in std::fs::read_to_string(path).unwrap().lines() {
            let table: Value = serde_json::from_str(line).unwrap();
            let headings: Vec<String> = list(&table["headings"]).iter().map(|h| text(h).to_string()).collect();
            let rows = list(&table["data"])
                .iter()
                .map(|row| headings.iter().cloned().zip(list(row).iter().cloned()).collect())
                .collect();
            tables.insert(text(&table["caption"]).trim_end_matches(" table").to_string(), rows);
        }
        Database(tables)
    }

    fn table(&self, name: &str) -> &[Row] {
        self.0.get(name).map_or(&[], Vec::as_slice)
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("")
}

/// The members of a column that is a set, an optional value or a plain one.
fn members(value: &Value) -> Vec<&Value> {
    match list(value) {
        [tag, inner] if tag == "set" => list(inner).iter().collect(),
        _ => vec![value],
    }
}

fn uuid(value: &Value) -> &str {
    match list(value) {
        [tag, id] if tag == "uuid" => text(id),
        _ => "",
    }
}

fn uuids(value: &Value) -> Vec<&str> {
    members(value).into_iter().map(uuid).filter(|u| !u.is_empty()).collect()
}

fn map(value: &Value) -> BTreeMap<&str, &str> {
    match list(value) {
        [tag, pairs] if tag == "map" => list(pairs).iter().map(|p| (text(&p[0]), text(&p[1]))).collect(),
        _ => BTreeMap::new(),
    }
}

struct Sets<'a> {
    db: &'a Database,
    datapath: u64,
    relevant: &'a BTreeSet<String>,
}

impl ConstantSets for Sets<'_> {
    fn address_set(&self, name: &str) -> Option<Arc<AddressSet>> {
        let row = self.db.table("Address_Set").iter().find(|row| text(&row["name"]) == name)?;
        Some(Arc::new(AddressSet::parse(members(&row["addresses"]).into_iter().map(text)).0))
    }

    fn port_group(&self, name: &str) -> Option<Arc<[Arc<str>]>> {
        let full = format!("{}_{name}", self.datapath);
        let row = self.db.table("Port_Group").iter().find(|row| text(&row["name"]) == full)?;
        let ports = members(&row["ports"]).into_iter().map(text).filter(|p| self.relevant.contains(*p));
        Some(ports.map(Arc::from).collect())
    }
}

/// Match, number of the clause from 1, number of clauses.
type Clause = (Match, u8, u8);

/// (table, priority, datapath key)
type Place = (u64, u64, u64);

#[derive(Default)]
struct Installed {
    /// Matches without the datapath, by cookie.
    plain: HashMap<(u64, Place), Vec<Match>>,
    /// Matches without the datapath that are clause k of n of a conjunction.
    clauses: HashMap<(u32, Place), Vec<Clause>>,
    /// Plain matches of any cookie.
    everything: BTreeSet<(Place, String)>,
    datapaths: BTreeSet<u64>,
}

impl Installed {
    fn read(path: &Path) -> Installed {
        let mut installed = Installed::default();
        for line in std::fs::read_to_string(path).unwrap().lines() {
            let Some((head, actions)) = line.trim().split_once(" actions=") else { continue };
            let mut parts = head.splitn(3, ", ");
            let cookie = number(parts.next().unwrap().trim_start_matches("cookie="));
            let table = number(parts.next().unwrap().trim_start_matches("table="));
            let rest = parts.next().unwrap_or("");
            let (priority, rest) = match rest.strip_prefix("priority=") {
                Some(rest) => rest.split_once(',').unwrap_or((rest, "")),
                None => ("32768", rest),
            };
            let mut match_: Match = rest.parse().unwrap_or_else(|e| panic!("{line}: {e}"));
            let Some((datapath, _)) = match_.get(Field::METADATA) else { continue };
            match_.remove(Field::METADATA);
            let place = (table, number(priority), datapath as u64);
            if (8..42).contains(&table) {
                installed.datapaths.insert(datapath as u64);
            }
            if actions.starts_with("conjunction(") {
                for part in actions.trim_end_matches(')').split("),") {
                    let (id, part) = part.trim_start_matches("conjunction(").split_once(',').unwrap();
                    let (k, n) = part.split_once('/').unwrap();
                    let clause = (match_.clone(), number(k) as u8, number(n) as u8);
                    installed.clauses.entry((number(id) as u32, place)).or_default().push(clause);
                }
            } else {
                installed.everything.insert((place, reported(&match_)));
                installed.plain.entry((cookie, place)).or_default().push(match_);
            }
        }
        installed
    }
}

fn number(text: &str) -> u64 {
    match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).unwrap(),
        None => text.parse().unwrap(),
    }
}

struct Chassis<'a> {
    db: &'a Database,
    ours: &'a str,
    relevant: BTreeSet<String>,
    keys: HashMap<(&'a str, &'a str), u32>,
    templates: BTreeMap<&'a str, &'a str>,
    dhcp_v4: OptionTable,
    dhcp_v6: OptionTable,
}

impl<'a> Chassis<'a> {
    fn new(db: &'a Database, name: &str) -> Chassis<'a> {
        let ours = db.table("Chassis").iter().find(|c| text(&c["name"]) == name).map_or("", |c| uuid(&c["_uuid"]));
        let mut keys = HashMap::new();
        for row in db.table("Multicast_Group") {
            keys.insert((uuid(&row["datapath"]), text(&row["name"])), row["tunnel_key"].as_u64().unwrap() as u32);
        }
        let mut relevant = BTreeSet::new();
        for row in db.table("Port_Binding") {
            keys.insert(
                (uuid(&row["datapath"]), text(&row["logical_port"])),
                row["tunnel_key"].as_u64().unwrap() as u32,
            );
            let here = uuids(&row["chassis"]).contains(&ours) || uuids(&row["additional_chassis"]).contains(&ours);
            if here || ["patch", "vtep", "remote", "localport", "localnet"].contains(&text(&row["type"])) {
                relevant.insert(text(&row["logical_port"]).to_string());
            }
        }
        let templates = db.table("Chassis_Template_Var").iter().find(|row| text(&row["chassis"]) == name);
        let options = |table: &str| {
            let mut options = OptionTable::new();
            for row in db.table(table) {
                options.insert(text(&row["name"]), row["code"].as_u64().unwrap() as u16, text(&row["type"]));
            }
            options
        };
        let templates = templates.map(|row| map(&row["variables"])).unwrap_or_default();
        let (dhcp_v4, dhcp_v6) = (options("DHCP_Options"), options("DHCPv6_Options"));
        Chassis { db, ours, relevant, keys, templates, dhcp_v4, dhcp_v6 }
    }

    fn is_resident(&self, port: &str) -> bool {
        let row = self.db.table("Port_Binding").iter().find(|row| text(&row["logical_port"]) == port);
        row.is_some_and(|row| uuids(&row["chassis"]).contains(&self.ours))
    }

    fn matches(&self, lflow: &Row, datapath: &str, key: u64) -> Result<Matches, String> {
        let tags = map(&lflow["tags"]);
        let acl = tags.get("acl_ct_translation") == Some(&"true");
        let symbols = if acl { SymbolTable::acl_ct() } else { SymbolTable::main() };
        let expand = |column: &str| {
            let text = text(&lflow[column]).to_string();
            expand_templates(&text, |name| self.templates.get(name)).map(String::from).map_err(|e| e.to_string())
        };
        let pipeline = if text(&lflow["pipeline"]) == "ingress" { Pipeline::Ingress } else { Pipeline::Egress };
        let params = ActionParse {
            symbols: SymbolTable::main(),
            dhcp_v4: &self.dhcp_v4,
            dhcp_v6: &self.dhcp_v6,
            pipeline,
            table: lflow["table_id"].as_u64().unwrap() as u8,
            n_tables: pipeline.n_tables(),
        };
        let (_, prereqs) =
            parse_actions(&expand("actions")?, &params).map_err(|e| format!("actions at {}: {e}", e.offset))?;
        let sets = Sets { db: self.db, datapath: key, relevant: &self.relevant };
        let mut expr = Expr::parse(&expand("match")?, symbols, &sets).map_err(|e| format!("at {}: {e}", e.offset))?;
        if let Some(prereqs) = prereqs {
            expr = expr.and(prereqs);
        }
        let expr = expr.annotate().simplify().evaluate(&mut |port| self.is_resident(port));
        let normalized = expr.normalize(Limits::default()).map_err(|e| e.to_string())?;
        let mut port_key = |name: &str| match name {
            "none" => Some(0),
            name => self.keys.get(&(datapath, name)).copied(),
        };
        normalized.to_matches(&mut port_key).map_err(|e| e.to_string())
    }
}

/// A match as Open vSwitch would report it, metadata left out.
fn reported(match_: &Match) -> String {
    match_.to_string()
}

/// What is installed and not computed, and what is computed and not installed.
fn differences(
    installed: &Installed,
    cookie: u64,
    place: Place,
    mut matches: Matches,
    filter: &dyn Fn(&Match) -> bool,
) -> (Vec<String>, Vec<String>) {
    let plain = installed.plain.get(&(cookie, place)).map_or(&[][..], Vec::as_slice);
    if let Some(start) = plain.iter().filter_map(|m| m.get(Field::CONJ_ID)).map(|(id, _)| id as u32).min() {
        matches.rebase(start);
    }
    let clauses = |id: u32| installed.clauses.get(&(id, place)).map_or(&[][..], Vec::as_slice);
    let want: BTreeSet<String> = plain.iter().map(reported).collect();
    let mut want_clauses = BTreeSet::new();
    for (id, _) in plain.iter().filter_map(|m| m.get(Field::CONJ_ID)) {
        want_clauses.extend(clauses(id as u32).iter().map(|(m, k, n)| format!("{}: {id}, {k}/{n}", reported(m))));
    }
    let (mut have, mut have_clauses, mut filtered) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for flow in &matches.flows {
        let text = reported(&flow.match_);
        if filter(&flow.match_) || installed.everything.contains(&(place, text.clone())) && !want.contains(&text) {
            // Another logical flow has installed a flow with the same match, or the port is not here.
            filtered.insert(text.clone());
        }
        if flow.conjunctions.is_empty() {
            have.insert(text);
        } else {
            let one = |c: &ovn_lang::Conjunction| format!("{text}: {}, {}/{}", c.id, c.clause + 1, c.n_clauses);
            have_clauses.extend(flow.conjunctions.iter().map(one));
        }
    }
    let is_filtered = |text: &&String| filtered.contains(text.split(": ").next().unwrap_or(text));
    let missing = want.difference(&have).chain(want_clauses.difference(&have_clauses)).cloned().collect();
    let extra = have.difference(&want).chain(have_clauses.difference(&want_clauses));
    (missing, extra.filter(|t| !is_filtered(t)).cloned().collect())
}

fn compare(folder: &Path, hypervisor: &str, verbose: bool, totals: &mut [usize; 2]) {
    let db = Database::read(&folder.join(format!("{hypervisor}.sb.json")));
    let installed = Installed::read(&folder.join(format!("{hypervisor}.flows")));
    let scenario: Value =
        serde_json::from_str(&std::fs::read_to_string(folder.join("scenario.json")).unwrap()).unwrap();
    let chassis = Chassis::new(&db, text(&scenario["hypervisors"][hypervisor]["chassis"]));
    let groups: HashMap<&str, Vec<&str>> =
        db.table("Logical_DP_Group").iter().map(|g| (uuid(&g["_uuid"]), uuids(&g["datapaths"]))).collect();
    let datapaths: HashMap<&str, &Row> = db.table("Datapath_Binding").iter().map(|d| (uuid(&d["_uuid"]), d)).collect();
    let mut shown = 0;
    for lflow in db.table("Logical_Flow") {
        let mut members = uuids(&lflow["logical_datapath"]);
        members.extend(uuids(&lflow["logical_dp_group"]).iter().flat_map(|g| groups.get(g).into_iter().flatten()));
        for datapath in members {
            let Some(row) = datapaths.get(datapath) else { continue };
            let key = row["tunnel_key"].as_u64().unwrap();
            if !installed.datapaths.contains(&key) || map(&lflow["tags"]).contains_key("in_out_port") {
                continue;
            }
            let ingress = text(&lflow["pipeline"]) == "ingress";
            let table = lflow["table_id"].as_u64().unwrap() + if ingress { 8 } else { 48 };
            let place = (table, lflow["priority"].as_u64().unwrap(), key);
            let cookie = u64::from_str_radix(&uuid(&lflow["_uuid"])[..8], 16).unwrap();
            let switch = map(&row["external_ids"]).contains_key("logical-switch");
            let register = Field::reg(if ingress { 14 } else { 15 });
            // Matches on ports that are not here are left out on switches; which ones those are is not lang's business.
            let filter = |m: &Match| {
                let port = m.get(register).map_or(0, |(value, _)| value as u32);
                let local = |name: &str| chassis.relevant.contains(name);
                switch
                    && port != 0
                    && !chassis.keys.iter().any(|((d, name), k)| *d == datapath && *k == port && local(name))
            };
            totals[0] += 1;
            let (missing, extra) = match chassis.matches(lflow, datapath, key) {
                Ok(matches) => differences(&installed, cookie, place, matches, &filter),
                Err(_) if !installed.plain.contains_key(&(cookie, place)) => Default::default(),
                Err(error) => (vec![error], Vec::new()),
            };
            if missing.is_empty() && extra.is_empty() {
                totals[1] += 1;
                continue;
            }
            shown += 1;
            if verbose || shown <= 3 {
                println!("{}/{hypervisor} {place:?} {cookie:#x} {}", folder.display(), text(&lflow["match"]));
                println!("   actions {}", text(&lflow["actions"]));
                missing.iter().for_each(|m| println!("   - {m}"));
                extra.iter().for_each(|m| println!("   + {m}"));
            }
        }
    }
}

fn main() {
    let mut totals = [0; 2];
    let mut verbose = false;
    for argument in std::env::args().skip(1) {
        if argument == "-v" {
            verbose = true;
            continue;
        }
        let folder = Path::new(&argument);
        for entry in std::fs::read_dir(folder).unwrap() {
            let name = entry.unwrap().file_name().to_string_lossy().into_owned();
            if let Some(hypervisor) = name.strip_suffix(".flows") {
                compare(folder, hypervisor, verbose, &mut totals);
            }
        }
    }
    let [all, equal] = totals;
    println!("{all} logical flows x datapaths, {equal} equal: {:.3}%", 100.0 * equal as f64 / all.max(1) as f64);
}
