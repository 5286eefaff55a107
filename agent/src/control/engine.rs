//! `inc-engine/*`, `work/*`, `coverage/*`, `stopwatch/*`, `lflow-cache/*`, `memory/show`: what the engine does. There are no nodes with handlers here; ovn-controller's
//! nodes are shown with the counts of what does their work, so that who watches some of them need not change, and behind them our kinds of units.

use ovn_core::engine::Tally;
use ovn_core::runtime::{Db, Runtime};
use ovsdb::tables::{Database, Row, Table, TableInfo, TableVisitor};
use ovsdb::{Local, Southbound};
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use super::Reply;
use super::commands::lines;
use crate::driver::Account;

/// ovn-controller's nodes that are derived, and the kinds of facts and units that do their work.
#[rustfmt::skip]
const NODES: &[(&str, &[&str])] = &[
    ("acl_id", &[]),
    ("activated_ports", &[]),
    ("addr_sets", &["AddressSet"]),
    ("bfd_chassis", &["BfdRole", "BfdWanted", "WriteBfd"]),
    ("controller_output", &[]),
    ("ct_zones", &["Zones", "WriteZones", "WriteZoneLimits"]),
    ("dhcp_options", &["DhcpDictionaries"]),
    ("dns_cache", &[]),
    ("evpn_arp", &["EvpnAddress"]),
    ("evpn_fdb", &["EvpnMac"]),
    ("evpn_vtep_binding", &["EvpnVtep", "EvpnNetwork"]),
    ("garp_rarp", &[]),
    ("host_if_monitor", &[]),
    ("if_status_mgr", &["WritePort", "WriteInterfaces"]),
    ("lb_data", &["LocalBackend"]),
    ("lflow_output", &["LogicalFlow", "PortSecurity", "MacBinding", "StaticMacBinding", "Fdb", "LoadBalancer"]),
    ("mac_cache", &[]),
    ("mff_ovn_geneve", &[]),
    ("neighbor", &["EvpnNetworks"]),
    ("neighbor_exchange", &[]),
    ("neighbor_exchange_status", &[]),
    ("neighbor_table_notify", &[]),
    ("non_vif_data", &["Tunnels", "TunnelTable", "TunnelAt"]),
    ("northd_options", &["NorthdOption"]),
    ("ofctrl_is_connected", &[]),
    ("ovs_interface_shadow", &["VifInterface"]),
    ("pflow_output", &["PortBinding", "MulticastGroup", "Chassis", "Tunnel", "Fixed", "Meters"]),
    ("port_groups", &["PortGroup"]),
    ("postponed_ports", &[]),
    ("route", &[]),
    ("route_exchange", &[]),
    ("route_exchange_status", &[]),
    ("route_table_notify", &[]),
    ("runtime_data", &["LocalDatapaths", "LocalDatapathMembers", "BoundPorts", "PortsHere"]),
    ("sb_ro", &[]),
    ("template_vars", &["TemplateVariable"]),
];

/// The counters of a node.
const STATISTICS: [&str; 3] = ["recompute", "compute", "cancel"];

/// Answers one of these commands.
pub fn answer(runtime: &mut Runtime, account: &mut Account, command: &str, arguments: &[String]) -> Reply {
    let first = arguments.first().map(String::as_str);
    let now = Instant::now();
    Ok(match command {
        "coverage/show" => {
            account.look(now, runtime);
            account.coverage.show()
        }
        "coverage/read-counter" => {
            account.look(now, runtime);
            let count = account.coverage.read(first.unwrap_or_default()).ok_or("No such counter")?;
            format!("{count}\n")
        }
        "stopwatch/show" => account.stopwatches.show(arguments)?,
        "stopwatch/reset" => {
            account.stopwatches.reset(first);
            String::new()
        }
        "inc-engine/show-stats" => statistics(&account.tally(runtime), arguments)?,
        "inc-engine/clear-stats" => {
            account.clear();
            String::new()
        }
        "inc-engine/compute-log-timeout" => {
            let ms = first.and_then(|text| text.parse::<u32>().ok()).ok_or("unsigned integer required")?;
            account.log_after = Some(Duration::from_millis(ms.into()));
            String::new()
        }
        "inc-engine/list-stopwatches" => {
            let all = nodes(&Tally::default()).into_iter().map(|(name, _)| name);
            lines(all.filter(|name| first.is_none_or(|wanted| wanted == name)))
        }
        "lflow-cache/show-stats" => cache(runtime),
        "memory/show" => memory(runtime),
        "work/show" => work(runtime, account),
        "work/changes" => {
            let n = first.map_or(Ok(10), str::parse).map_err(|_| "unsigned integer required")?;
            account.journal.show(n)
        }
        other => return Err(super::unknown(other)),
    })
}

/// Nodes with how often something of theirs ran: tables with the rows that changed, then what is derived, then our units as `unit_KIND`.
fn nodes(tally: &Tally) -> Vec<(String, u64)> {
    let mut all: Vec<(String, u64)> = table_nodes().map(|(node, table)| (node, tally.rows.of(table))).collect();
    for (name, kinds) in NODES {
        let ran = |kind: &&str| tally.units.of(kind) + tally.facts.of(kind);
        let ran = if *name == "controller_output" { tally.units.total() } else { kinds.iter().map(ran).sum() };
        all.push(((*name).to_owned(), ran));
    }
    all.extend(tally.units.sorted().into_iter().map(|(kind, ran)| (format!("unit_{kind}"), ran)));
    all
}

/// ovn-controller's nodes that are tables, with the tables' names.
pub fn table_nodes() -> impl Iterator<Item = (String, &'static str)> {
    let of = |prefix: &'static str, table: &'static TableInfo| {
        (format!("{prefix}_{}", table.name.to_ascii_lowercase()), table.name)
    };
    let sb = Southbound::TABLES.iter().map(move |table| of("SB", table));
    sb.chain(Local::TABLES.iter().map(move |table| of("OVS", table)))
}

/// `inc-engine/show-stats [NODE [COUNTER]]`. ovn-controller says nothing of a node that it does not have.
fn statistics(tally: &Tally, arguments: &[String]) -> Reply {
    let mut text = String::new();
    for (name, ran) in nodes(tally) {
        if arguments.first().is_some_and(|wanted| *wanted != name) {
            continue;
        }
        let derived = !name.starts_with("SB_") && !name.starts_with("OVS_");
        let values = [if derived { tally.recomputes } else { 0 }, ran, 0];
        if let Some(wanted) = arguments.get(1) {
            let Some(at) = STATISTICS.iter().position(|statistic| statistic == wanted) else {
                return Ok(format!("Invalid stat type : {wanted}"));
            };
            return Ok(values[at].to_string());
        }
        // Writing to a String cannot fail, here and below.
        let _ = write!(
            text,
            "Node: {name}\n- recompute: {:12}\n- compute:   {:12}\n- cancel:    {:12}\n",
            values[0], values[1], values[2]
        );
    }
    Ok(text)
}

/// `work/show`: ours.
fn work(runtime: &Runtime, account: &Account) -> String {
    let agent = runtime.agent();
    let (nodes, keys, edges) = agent.sizes();
    let (node_bytes, key_bytes, edge_bytes) = agent.graph_bytes();
    let (pushed, acknowledged) = runtime.pushes();
    let mut text = format!(
        "{:#?}\nnodes: {nodes}, {node_bytes} bytes\nkeys: {keys}, {key_bytes} bytes\nedges: {edges}, {edge_bytes} bytes\n\
         flow mods: {}\npushes: {pushed}, {acknowledged} acknowledged\n\
         tunnel ports refused: {}\ntunnel ports tried again: {}\n{}\n",
        agent.work_counters(),
        runtime.flow_mods(),
        agent.ask(ovn_core::facts::RefusedTunnels).len(),
        runtime.tunnel_retries(),
        account.turns
    );
    let tally = account.tally(runtime);
    for (what, counts) in [
        ("rows changed", &tally.rows),
        ("made run", &tally.causes),
        ("units run", &tally.units),
        ("facts derived", &tally.facts),
    ] {
        let _ = writeln!(text, "{what}: {}", counts.total());
        text += &lines(counts.sorted().into_iter().map(|(kind, count)| format!("  {kind:<24} {count}")));
    }
    text
}

/// `lflow-cache/show-stats`, of compiled texts, which any number of logical flows share. There is no limit to trim to.
fn cache(runtime: &Runtime) -> String {
    let (expressions, matches) = runtime.agent().cached_texts();
    let total = expressions + matches;
    let rows = [
        ("high-watermark", total),
        ("total", total),
        ("cache-expr", expressions),
        ("cache-matches", matches),
        ("trim count", 0),
        ("Mem usage (KB)", 0),
    ];
    String::from("Enabled: true\n") + &lines(rows.into_iter().map(|(name, value)| format!("{name:<16}: {value}")))
}

/// Cells of a table.
struct Cells;

impl TableVisitor for Cells {
    type Output = usize;
    fn visit<R: Row>(self, table: &Table<R>) -> usize {
        table.len() * R::COLUMNS.len()
    }
}

fn cells<D: Database>(database: &D) -> usize {
    (0..D::TABLES.len()).filter_map(|table| database.visit_table(table, Cells)).sum()
}

/// `memory/show`: ovn-controller's keys where there is such a thing, and ours, by name.
fn memory(runtime: &Runtime) -> String {
    let agent = runtime.agent();
    let (nodes, keys, edges) = agent.sizes();
    let (node_bytes, key_bytes, edge_bytes) = agent.graph_bytes();
    let (expressions, matches) = agent.cached_texts();
    let busy = |db| usize::from(runtime.is_busy(db));
    let pairs = [
        ("engine-edges", edges),
        ("engine-keys", keys),
        ("engine-nodes", nodes),
        ("engine-usage-KB", (node_bytes + key_bytes + edge_bytes) / 1024),
        ("flows-desired", agent.flows().desired_len()),
        ("flows-installed", agent.flows().installed_len()),
        ("idl-cells-OVN_Southbound", cells(&agent.model().sb)),
        ("idl-cells-Open_vSwitch", cells(&agent.model().local)),
        ("idl-outstanding-txns-OVN_Southbound", busy(Db::Southbound)),
        ("idl-outstanding-txns-Open_vSwitch", busy(Db::Local)),
        ("lflow-cache-entries-cache-expr", expressions),
        ("lflow-cache-entries-cache-matches", matches),
    ];
    let shown = pairs.into_iter().filter(|(_, value)| *value > 0).map(|(key, value)| format!("{key}:{value}"));
    shown.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_have_the_form_of_ovn_controller() {
        let mut tally = Tally { recomputes: 2, ..Tally::default() };
        tally.rows.add("Port_Binding", 7);
        tally.units.add("LogicalFlow", 5);
        tally.units.add("Fdb", 1);
        let show =
            |words: &[&str]| statistics(&tally, &words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
        assert_eq!(
            show(&["lflow_output"]).unwrap(),
            "Node: lflow_output\n- recompute:            2\n- compute:              6\n- cancel:               0\n"
        );
        for (words, expected) in [
            (&["SB_port_binding", "compute"][..], "7"),
            (&["SB_port_binding", "recompute"], "0"),
            (&["unit_LogicalFlow", "compute"], "5"),
            (&["controller_output", "compute"], "6"),
            (&["lflow_output", "x"], "Invalid stat type : x"),
            (&["nonsense"], ""),
        ] {
            assert_eq!(show(words).unwrap(), expected, "{words:?}");
        }
    }
}
