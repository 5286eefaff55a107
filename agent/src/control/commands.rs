//! The commands: one table of names, usages and argument counts, and the answers. Sheet 01 section 8.

use ofproto_client::message::PacketOut;
use ofproto_client::{Action, ActionList, Field, Match};
use ovn_core::facts;
use ovn_core::injection::Injection;
use ovn_core::runtime::{Db, Event, Runtime};
use ovn_core::switch::Culprit;
use std::fmt::Write as _;

use super::{Reply, Request, dumps, engine, evpn};
use crate::driver::Account;
use crate::observe::{Level, log};

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
    /// `debug/pause` and `debug/resume`.
    Pause(bool),
    /// `debug/status`.
    Status,
    /// `debug/enable-timewarp`.
    EnableTimewarp,
    /// `time/stop`; `Some`: `time/warp` by so many ms.
    Time(Option<u64>),
    /// The process ends; answered after clean-up.
    Exit {
        /// Nothing is cleaned up.
        restart: bool,
    },
}

const fn command(name: &'static str, usage: &'static str, arguments: (usize, usize)) -> Command {
    Command { name, usage, arguments }
}

/// As many arguments as there may be.
const MANY: usize = usize::MAX;

/// All commands, sorted by name. Those of `HIDDEN` are not listed.
static COMMANDS: &[Command] = &[
    command("audit/run", "", (0, 0)),
    command("audit/show", "", (0, 0)),
    command("connection-status", "", (0, 0)),
    command("coverage/read-counter", "COUNTER", (1, 1)),
    command("coverage/show", "", (0, 0)),
    command("ct-zone-list", "", (0, 0)),
    command("debug/delay-nb-cfg-report", "SECONDS", (1, 1)),
    command("debug/dump-lflow-conj-ids", "", (0, 0)),
    command("debug/dump-local-bindings", "", (0, 0)),
    command("debug/dump-local-datapaths", "", (0, 0)),
    command("debug/dump-local-template-vars", "", (0, 0)),
    command("debug/dump-mac-bindings", "", (0, 0)),
    command("debug/dump-peer-ports", "", (0, 0)),
    command("debug/dump-related-ports", "", (0, 0)),
    command("debug/enable-timewarp", "", (0, 0)),
    command("debug/pause", "", (0, 0)),
    command("debug/resume", "", (0, 0)),
    command("debug/status", "", (0, 0)),
    command("evpn/remote-vtep-list", "", (0, 0)),
    command("evpn/vtep-arp-list", "", (0, 0)),
    command("evpn/vtep-binding-list", "", (0, 0)),
    command("evpn/vtep-fdb-list", "", (0, 0)),
    command("evpn/vtep-multicast-group-list", "", (0, 0)),
    command("exit", "", (0, 1)),
    command("flush-lflow-cache", "[deprecated]", (0, 0)),
    command("group-table-list", "", (0, 0)),
    command("inc-engine/clear-stats", "", (0, 0)),
    command("inc-engine/compute-log-timeout", "", (1, 1)),
    command("inc-engine/list-stopwatches", "", (0, 1)),
    command("inc-engine/recompute", "", (0, 0)),
    command("inc-engine/show-stats", "", (0, 2)),
    command("inject-pkt", "MICROFLOW", (1, 1)),
    command("lflow-cache/flush", "", (0, 0)),
    command("lflow-cache/show-stats", "", (0, 0)),
    command("list-commands", "", (0, 0)),
    command("memory/show", "", (0, 0)),
    command("meter-table-list", "", (0, 0)),
    command("recompute", "[deprecated]", (0, 0)),
    command("sb-cluster-state-reset", "", (0, 0)),
    command("set-options", "[--format text|json]", (1, 2)),
    command("stopwatch/reset", "[NAME]", (0, 1)),
    command("stopwatch/show", "[NAME]", (0, 4)),
    command("version", "", (0, 0)),
    command("vlog/close", "", (0, 0)),
    command("vlog/disable-rate-limit", "[module]...", (0, MANY)),
    command("vlog/enable-rate-limit", "[module]...", (0, MANY)),
    command("vlog/list", "", (0, 0)),
    command("vlog/list-pattern", "", (0, 0)),
    command("vlog/reopen", "", (0, 0)),
    command("vlog/set", "{spec | PATTERN:destination:pattern}", (0, MANY)),
    command("work/changes", "[N]", (0, 1)),
    command("work/show", "", (0, 0)),
];

/// For tests: `vlog/message`, and the clock once `debug/enable-timewarp` was given.
static HIDDEN: &[Command] = &[
    command("time/stop", "", (0, 0)),
    command("time/warp", "[LARGE_MSECS] MSECS", (1, 2)),
    command("vlog/message", "", (1, 1)),
];

/// The command of that name, if it takes so many arguments.
pub fn find(name: &str, arguments: usize) -> Result<&'static Command, String> {
    let command = COMMANDS.iter().chain(HIDDEN).find(|command| command.name == name).ok_or_else(|| unknown(name))?;
    let (fewest, most) = command.arguments;
    if arguments < fewest {
        return Err(format!("\"{name}\" command requires at least {fewest} arguments"));
    }
    if arguments > most {
        return Err(format!("\"{name}\" command takes at most {most} arguments"));
    }
    Ok(command)
}

/// What is said of a command that there is not.
pub fn unknown(name: &str) -> String {
    format!("\"{name}\" is not a valid command (use \"list-commands\" to see a list of valid commands)")
}

/// `list-commands` for those who asked for JSON: usage by name.
pub fn list_json() -> serde_json::Value {
    COMMANDS.iter().map(|command| (command.name.to_owned(), serde_json::Value::from(command.usage))).collect()
}

/// `list-commands`.
pub fn list() -> String {
    let mut text = String::from("The available commands are:\n");
    for command in COMMANDS {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {:<23} {}", command.name, command.usage);
    }
    text
}

/// `version` and `--version`. ovn-ctl takes the last word of the first line for the version of ovn-controller, for which we stand; ours is in the log and in
/// the metrics.
pub fn version() -> String {
    format!("ovn-controller {OVN}\nOpen vSwitch Library {OVS}\n")
}

/// The releases whose behaviour we have.
pub const OVN: &str = "26.03.1";
/// See [`OVN`].
pub const OVS: &str = "3.7.0";

/// Answers a command in the engine.
pub fn answer(runtime: &mut Runtime, account: &mut Account, request: &Request) -> Answer {
    let first = request.arguments.first().map(String::as_str);
    let number = first.and_then(|text| text.parse::<u32>().ok());
    let agent = runtime.agent();
    let text = match request.command.as_str() {
        "exit" => return Answer::Exit { restart: request.arguments.iter().any(|argument| argument == "--restart") },
        "recompute" | "inc-engine/recompute" => return Answer::Event(Event::Recompute),
        "lflow-cache/flush" | "flush-lflow-cache" => {
            log(Level::Info, "main", "User triggered lflow cache flush.");
            runtime.flush_cached_texts();
            return Answer::Event(Event::Recompute);
        }
        "audit/run" => return Answer::Event(Event::Audit),
        "sb-cluster-state-reset" => {
            log(Level::Info, "main", "Resetting southbound database cluster state");
            return Answer::Event(Event::ClusterReset);
        }
        "debug/pause" => {
            log(Level::Info, "main", "User triggered execution pause.");
            return Answer::Pause(true);
        }
        "debug/resume" => {
            log(Level::Info, "main", "User triggered execution resume.");
            return Answer::Pause(false);
        }
        "debug/status" => return Answer::Status,
        "debug/enable-timewarp" => return Answer::EnableTimewarp,
        "time/stop" => return Answer::Time(None),
        "time/warp" => {
            let ms = request.arguments.iter().find_map(|text| text.parse::<u64>().ok().filter(|ms| *ms > 0));
            return ms.map_or(Answer::Reply(Err("invalid MSECS".to_owned())), |ms| Answer::Time(Some(ms)));
        }
        "debug/delay-nb-cfg-report" => {
            let Some(seconds) = number else { return Answer::Reply(Err("unsigned integer required".to_owned())) };
            runtime.delay_nb_cfg(u64::from(seconds) * 1000);
            match seconds {
                0 => "no delay for nb_cfg report.".to_owned(),
                _ => format!("delay nb_cfg report for {seconds} seconds."),
            }
        }
        "inject-pkt" => {
            return match inject(runtime, first.unwrap_or_default()) {
                Ok(packet) => Answer::Event(Event::PacketOut(Box::new(packet))),
                Err(why) => Answer::Reply(Err(why)),
            };
        }
        "audit/show" => audit(runtime),
        "connection-status" if runtime.is_connected(Db::Southbound) => "connected".to_owned(),
        "connection-status" => "not connected".to_owned(),
        "ct-zone-list" => sorted(agent.ask(facts::Zones).iter().map(|(user, zone)| format!("{user} {zone}"))),
        "group-table-list" => sorted(agent.desired_groups().into_iter().map(|(id, group)| format!("{group}: {id}"))),
        "meter-table-list" => sorted(agent.desired_meter_names().into_iter().map(|(id, name)| format!("{name}: {id}"))),
        "evpn/remote-vtep-list" => evpn::remote_vteps(agent),
        "evpn/vtep-arp-list" => evpn::addresses(agent),
        "evpn/vtep-binding-list" => evpn::vtep_bindings(agent),
        "evpn/vtep-fdb-list" => evpn::fdb(agent),
        "evpn/vtep-multicast-group-list" => evpn::multicast_groups(agent),
        "debug/dump-lflow-conj-ids" => dumps::conjunction_ids(agent),
        "debug/dump-local-bindings" => dumps::local_bindings(agent),
        "debug/dump-local-datapaths" => dumps::local_datapaths(agent),
        "debug/dump-local-template-vars" => dumps::template_variables(agent),
        "debug/dump-mac-bindings" => dumps::mac_bindings(agent),
        "debug/dump-peer-ports" => dumps::peer_ports(agent),
        "debug/dump-related-ports" => dumps::related_ports(agent),
        _ => return Answer::Reply(engine::answer(runtime, account, &request.command, &request.arguments)),
    };
    Answer::Reply(Ok(text))
}

/// The packet that a microflow describes, to go through the whole pipeline as if it came from the port that it names (`ofctrl_inject_pkt` of
/// controller/ofctrl.c, OVN 26.03).
fn inject(runtime: &Runtime, microflow: &str) -> Result<PacketOut, String> {
    let agent = runtime.agent();
    if agent.ask(facts::IntegrationBridge).is_none() || agent.ask(facts::ThisChassis).is_none() {
        return Err("ovn-controller not ready.".to_owned());
    }
    if !runtime.switch().takes_packets() {
        return Err("OpenFlow channel not ready.".to_owned());
    }
    let Injection { in_port, fields } = Injection::parse(agent, microflow)?;
    let mut match_ = Match::new();
    match_.set(Field::IN_PORT, in_port.into());
    let actions = ActionList::from(&[Action::resubmit(0)][..]);
    Ok(PacketOut { match_, actions, packet: ovn_packet::compose(&fields).into() })
}

/// Each on a line.
pub fn lines(lines: impl Iterator<Item = String>) -> String {
    lines.fold(String::new(), |text, line| text + &line + "\n")
}

/// The same, sorted.
pub fn sorted(all: impl Iterator<Item = String>) -> String {
    let mut all: Vec<String> = all.collect();
    all.sort();
    lines(all.into_iter())
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
    let counters = switch.audit().named();
    let counters = lines(counters.into_iter().map(|(name, count)| format!("{name:<27} total: {count}")));
    format!("audit: {state}\n") + &counters + &lines(quarantined)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_sorted_and_checked() {
        assert!(COMMANDS.is_sorted_by_key(|command| command.name));
        assert!(list_json().as_object().is_some_and(|all| all.len() == COMMANDS.len()));
        assert_eq!(find("exit", 2).err().as_deref(), Some("\"exit\" command takes at most 1 arguments"));
        assert!(find("no/such", 0).err().is_some_and(|error| error.contains("is not a valid command")));
        assert!(list().contains("\n  recompute               [deprecated]\n"));
    }

    #[test]
    fn the_manual_page_has_every_command() {
        let page = include_str!("../../../docs/ovn-agent.8").replace("\\-", "-");
        for command in COMMANDS {
            assert!(page.contains(command.name), "{}", command.name);
        }
    }

    #[test]
    fn nothing_is_injected_without_a_bridge() {
        let runtime = Runtime::new(ovn_core::runtime::Options::default());
        assert_eq!(inject(&runtime, "ip4").err().as_deref(), Some("ovn-controller not ready."));
    }

    #[test]
    fn ovn_ctl_finds_a_version() {
        let version = version();
        let first = version.lines().next().unwrap();
        assert_eq!(first.split(' ').next_back(), Some(OVN));
    }
}
