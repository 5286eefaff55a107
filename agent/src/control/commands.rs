//! The commands: one table of names, usages and argument counts, and the answers. Sheet 01 section 8.

use ovn_core::Agent;
use ovn_core::facts;
use ovn_core::runtime::{Db, Event, Runtime};
use ovn_core::switch::Culprit;
use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{Reply, Request, evpn};

/// A command as `list-commands` shows it.
pub struct Command {
    /// Name.
    pub name: &'static str,
    /// What stands behind the name.
    usage: &'static str,
    /// Fewest and most arguments.
    arguments: (usize, usize),
}

/// What becomes of a command in the engine.
pub enum Answer {
    /// It is answered.
    Reply(Reply),
    /// It is an event for the runtime, and answered by nothing.
    Event(Event),
    /// The process ends; answered after clean-up.
    Exit {
        /// Nothing is cleaned up.
        restart: bool,
    },
}

const fn command(name: &'static str, usage: &'static str, arguments: (usize, usize)) -> Command {
    Command { name, usage, arguments }
}

/// All commands, sorted by name.
static COMMANDS: [Command; 34] = [
    command("audit/run", "", (0, 0)),
    command("audit/show", "", (0, 0)),
    command("connection-status", "", (0, 0)),
    command("coverage/show", "", (0, 0)),
    command("ct-zone-list", "", (0, 0)),
    command("debug/dump-local-bindings", "", (0, 0)),
    command("debug/dump-local-datapaths", "", (0, 0)),
    command("debug/dump-local-template-vars", "", (0, 0)),
    command("debug/status", "", (0, 0)),
    command("evpn/remote-vtep-list", "", (0, 0)),
    command("evpn/vtep-arp-list", "", (0, 0)),
    command("evpn/vtep-binding-list", "", (0, 0)),
    command("evpn/vtep-fdb-list", "", (0, 0)),
    command("evpn/vtep-multicast-group-list", "", (0, 0)),
    command("exit", "", (0, 1)),
    command("group-table-list", "", (0, 0)),
    command("inc-engine/clear-stats", "", (0, 0)),
    command("inc-engine/recompute", "", (0, 0)),
    command("inc-engine/show-stats", "", (0, 2)),
    command("list-commands", "", (0, 0)),
    command("memory/show", "", (0, 0)),
    command("meter-table-list", "", (0, 0)),
    command("recompute", "[deprecated]", (0, 0)),
    command("sb-cluster-state-reset", "", (0, 0)),
    command("set-options", "[--format text|json]", (0, 4)),
    command("version", "", (0, 0)),
    command("vlog/close", "", (0, 0)),
    command("vlog/disable-rate-limit", "[module]...", (0, 99)),
    command("vlog/enable-rate-limit", "[module]...", (0, 99)),
    command("vlog/list", "", (0, 0)),
    command("vlog/list-pattern", "", (0, 0)),
    command("vlog/reopen", "", (0, 0)),
    command("vlog/set", "{spec | PATTERN:destination:pattern}", (0, 99)),
    command("work/show", "", (0, 0)),
];

/// The command of that name, if it takes so many arguments.
pub fn find(name: &str, arguments: usize) -> Result<&'static Command, String> {
    let Some(command) = COMMANDS.iter().find(|command| command.name == name) else {
        return Err(format!(
            "\"{name}\" is not a valid command (use \"list-commands\" to see a list of valid commands)"
        ));
    };
    let (fewest, most) = command.arguments;
    if arguments < fewest {
        return Err(format!("\"{name}\" command requires at least {fewest} arguments"));
    }
    if arguments > most {
        return Err(format!("\"{name}\" command takes at most {most} arguments"));
    }
    Ok(command)
}

/// `list-commands`.
pub fn list() -> String {
    let mut text = String::from("The available commands are:\n");
    for command in &COMMANDS {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {:<23} {}", command.name, command.usage);
    }
    text
}

/// `version`. ovn-ctl takes the last word of the first line for the version of ovn-controller that we stand for.
pub fn version() -> String {
    format!("ovn-agent {}: stands for ovn-controller {}\nOpen vSwitch Library {}", env!("CARGO_PKG_VERSION"), OVN, OVS)
}

/// The releases whose behaviour we have.
pub const OVN: &str = "26.03.1";
/// See [`OVN`].
pub const OVS: &str = "3.7.0";

/// Answers a command in the engine.
pub fn answer(runtime: &mut Runtime, request: &Request) -> Answer {
    let agent = runtime.agent();
    let text = match request.command.as_str() {
        "exit" => return Answer::Exit { restart: request.arguments.iter().any(|argument| argument == "--restart") },
        "recompute" | "inc-engine/recompute" => return Answer::Event(Event::Recompute),
        "sb-cluster-state-reset" => return Answer::Event(Event::ClusterReset),
        "audit/run" => return Answer::Event(Event::Audit),
        "audit/show" => audit(runtime),
        "connection-status" if runtime.is_connected(Db::Southbound) => "connected\n".to_owned(),
        "connection-status" => "not connected\n".to_owned(),
        "debug/status" => "running\n".to_owned(),
        "ct-zone-list" => lines(agent.ask(facts::Zones).iter().map(|(user, zone)| format!("{user} {zone}"))),
        "group-table-list" => sorted(agent.desired_groups().into_iter().map(|(id, group)| format!("{group}: {id}"))),
        "meter-table-list" => sorted(agent.desired_meter_names().into_iter().map(|(id, name)| format!("{name}: {id}"))),
        "evpn/remote-vtep-list" => evpn::remote_vteps(agent),
        "evpn/vtep-arp-list" => evpn::addresses(agent),
        "evpn/vtep-binding-list" => evpn::vtep_bindings(agent),
        "evpn/vtep-fdb-list" => evpn::fdb(agent),
        "evpn/vtep-multicast-group-list" => evpn::multicast_groups(agent),
        "debug/dump-local-bindings" => local_bindings(agent),
        "debug/dump-local-datapaths" => local_datapaths(agent),
        "debug/dump-local-template-vars" => template_variables(agent),
        "inc-engine/show-stats" | "work/show" | "coverage/show" => work(runtime) + &audit_counters(runtime),
        "memory/show" => memory(agent),
        _ => String::new(),
    };
    Answer::Reply(Ok(text))
}

fn lines(lines: impl Iterator<Item = String>) -> String {
    lines.fold(String::new(), |text, line| text + &line + "\n")
}

fn sorted(all: impl Iterator<Item = String>) -> String {
    let mut all: Vec<String> = all.collect();
    all.sort();
    lines(all.into_iter())
}

/// An interface's name if there is one, and the ports bound through it with their types.
type LocalBinding = (Option<String>, Vec<(String, String)>);

/// Interfaces with an iface-id, and the logical ports that are bound through each.
fn local_bindings(agent: &Agent) -> String {
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

fn local_datapaths(agent: &Agent) -> String {
    let datapaths = &agent.model().sb.datapath_binding;
    let local = agent.ask(facts::LocalDatapaths);
    let rows = local.iter().filter_map(|row| datapaths.row(*row)).map(|row| {
        let name = row.external_ids.get("name").map(|name| name.to_string()).unwrap_or_default();
        let kind = if row.external_ids.get("logical-router").is_some() { "router" } else { "switch" };
        format!("Datapath: {name}, type: {kind}")
    });
    String::from("Local datapaths:\n") + &sorted(rows)
}

fn template_variables(agent: &Agent) -> String {
    let name = agent.ask(facts::ChassisName).unwrap_or_default();
    let all = agent.model().sb.chassis_template_var.iter().filter(|(_, row)| row.chassis == name);
    let variables =
        all.flat_map(|(_, row)| row.variables.iter()).map(|(name, value)| format!("name: '{name}' value: '{value}'"));
    String::from("Local template vars:\n") + &sorted(variables)
}

/// Counts of what the engine did. There are no nodes with handlers as in ovn-controller; what there is is shown as it is.
fn work(runtime: &Runtime) -> String {
    let work = runtime.agent().work_counters();
    let (nodes, keys, edges) = runtime.agent().sizes();
    let refused = runtime.agent().ask(facts::RefusedTunnels).len();
    format!(
        "{work:#?}\nnodes: {nodes}\nkeys: {keys}\nedges: {edges}\nflow mods: {}\n\
         tunnel ports refused: {refused}\ntunnel ports tried again: {}\n",
        runtime.flow_mods(),
        runtime.tunnel_retries()
    )
}

/// The audit's counters, as `coverage/show` prints counters.
fn audit_counters(runtime: &Runtime) -> String {
    let counters = runtime.switch().audit().named();
    lines(counters.into_iter().map(|(name, count)| format!("{name:<27} total: {count}")))
}

/// What the audit of the switch has found, and what the switch refused.
fn audit(runtime: &Runtime) -> String {
    let switch = runtime.switch();
    let state = if switch.audit_is_running() { "running" } else { "idle" };
    let quarantined = switch.quarantined().map(|(culprit, waiting)| match culprit {
        Culprit::Flow(flow) => format!("quarantined: flow of {}", runtime.agent().owners(flow).join(", ")),
        Culprit::Group(id) => format!("quarantined: group {id}, {waiting} flows wait for it"),
        Culprit::Meter(id) => format!("quarantined: meter {id}, {waiting} flows wait for it"),
        Culprit::Table(table) => format!("full: table {table}, {waiting} flows wait for room"),
    });
    format!("audit: {state}\n") + &audit_counters(runtime) + &lines(quarantined)
}

fn memory(agent: &Agent) -> String {
    let (nodes, keys, edges) = agent.sizes();
    format!("edges:{edges} flows:{} keys:{keys} nodes:{nodes}\n", agent.flows().desired_len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_sorted_and_checked() {
        assert!(COMMANDS.is_sorted_by_key(|command| command.name));
        assert_eq!(find("exit", 2).err().as_deref(), Some("\"exit\" command takes at most 1 arguments"));
        assert!(find("no/such", 0).err().is_some_and(|error| error.contains("is not a valid command")));
        assert!(list().contains("\n  recompute               [deprecated]\n"));
    }

    #[test]
    fn ovn_ctl_finds_a_version() {
        let version = version();
        let first = version.lines().next().unwrap();
        assert_eq!(first.split(' ').next_back(), Some(OVN));
    }
}
