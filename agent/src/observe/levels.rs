//! Levels per module and destination, and the notation in which they are set (ovs-appctl(8), "vlog/set").

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// Importance. `Off` is only for what a destination takes.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Takes nothing.
    Off,
    /// The process ends.
    Emer,
    /// Something failed.
    Err,
    /// Something is not as it should be.
    Warn,
    /// Something of interest.
    Info,
    /// Details.
    Dbg,
}

/// Where lines go.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// stderr.
    Console,
    /// syslogd: `--syslog-method`, `--syslog-target`.
    Syslog,
    /// `--log-file`.
    File,
}

/// The modules, as `vlog/list` shows them: those of ovn-controller 26.03, whether or not we have anything to say under the name, since scripts set
/// their levels, and `agent`, `metrics` and `ovsdb`, which are ours.
#[rustfmt::skip]
pub const MODULES: [&str; 158] = [
    "acl_ids", "acl_log", "actions", "agent", "backtrace", "binding", "bundle", "chassis", "command_line",
    "conntrack", "conntrack_tp", "controller_lb", "cooperative_multitasking", "coverage", "ct_dpif", "ct_zone",
    "daemon", "daemon_unix", "dns_resolve", "dp_packet_gso", "dpdk", "dpif", "dpif_lookup_autovalidator",
    "dpif_lookup_generic", "dpif_mfex_extract_study", "dpif_netdev", "dpif_netdev_extract", "dpif_netdev_impl",
    "dpif_netdev_lookup", "dpif_netlink", "dpif_netlink_rtnl", "dpif_offload", "dpif_offload_dummy",
    "dpif_offload_tc", "dpif_offload_tc_netdev", "encaps", "entropy", "evpn_arp", "evpn_binding", "evpn_fdb",
    "exchange", "expr", "extend_table", "fatal_signal", "features", "flow", "garp_rarp", "ha_chassis", "hmap",
    "host_if_monitor", "if_status", "inc_proc_eng", "ipf", "jsonrpc", "lb", "ldata", "lflow", "lflow_cache",
    "lockfile", "lport", "mac_binding_index", "mac_cache", "main", "memory", "memory_trim", "meta_flow", "metrics",
    "native_tnl", "neighbor", "neighbor_exchange", "neighbor_exchange_netlink", "neighbor_table_notify", "netdev",
    "netdev_dummy", "netdev_linux", "netdev_vport", "netlink", "netlink_conntrack", "netlink_devlink",
    "netlink_notifier", "netlink_socket", "nx_match", "odp_execute", "odp_execute_impl", "odp_util", "ofctrl",
    "ofp_actions", "ofp_bundle", "ofp_connection", "ofp_ct", "ofp_errors", "ofp_flow", "ofp_group", "ofp_match",
    "ofp_meter", "ofp_monitor", "ofp_msgs", "ofp_packet", "ofp_port", "ofp_protocol", "ofp_queue", "ofp_table",
    "ofp_util", "ovn_bfd", "ovn_util", "ovndns", "ovs_numa", "ovs_rcu", "ovs_replay", "ovs_router", "ovs_thread",
    "ovsdb", "ovsdb_cs", "ovsdb_error", "ovsdb_idl", "ovsport", "ox_stat", "patch", "pcap", "physical", "pinctrl",
    "pmd_perf", "poll_loop", "port_mirror", "process", "rconn", "reconnect", "resource_dep", "route_exchange",
    "route_exchange_netlink", "route_table", "route_table_notify", "sha1", "signals", "socket_util",
    "socket_util_unix", "statctrl", "stopwatch", "stream", "stream_fd", "stream_replay", "stream_ssl",
    "stream_tcp", "stream_unix", "svec", "tc", "timeval", "unixctl", "userspace_tso", "util", "uuid", "vconn",
    "vconn_stream", "vif_plug", "vif_plug_dummy", "vif_plug_provider", "vif_plug_representor", "vlog",
];

/// The levels in force.
pub struct Levels {
    default: [Level; 3],
    /// Modules that differ from the default.
    modules: BTreeMap<&'static str, [Level; 3]>,
    /// Modules without a limit on repetitions.
    unlimited: BTreeSet<&'static str>,
}

impl Destination {
    /// In the order of `vlog/list-pattern`.
    pub const ALL: [(Destination, &str); 3] =
        [(Destination::Syslog, "SYSLOG"), (Destination::Console, "CONSOLE"), (Destination::File, "FILE")];

    /// By its name.
    pub fn parse(word: &str) -> Option<Destination> {
        Self::ALL.into_iter().find(|(_, name)| name.eq_ignore_ascii_case(word)).map(|(place, _)| place)
    }
}

impl Level {
    /// syslog's number of the importance.
    pub fn severity(self) -> u8 {
        match self {
            Level::Off | Level::Emer => 1,
            Level::Err => 3,
            Level::Warn => 4,
            Level::Info => 5,
            Level::Dbg => 7,
        }
    }

    /// As it stands in the log.
    pub fn name(self) -> &'static str {
        match self {
            Level::Off => "OFF",
            Level::Emer => "EMER",
            Level::Err => "ERR",
            Level::Warn => "WARN",
            Level::Info => "INFO",
            Level::Dbg => "DBG",
        }
    }

    fn parse(word: &str) -> Option<Level> {
        [Level::Off, Level::Emer, Level::Err, Level::Warn, Level::Info, Level::Dbg]
            .into_iter()
            .find(|level| level.name().eq_ignore_ascii_case(word))
    }
}

impl Levels {
    /// Everything takes INFO and above.
    pub const fn new() -> Self {
        Self { default: [Level::Info; 3], modules: BTreeMap::new(), unlimited: BTreeSet::new() }
    }

    /// Which destinations take a line, in the order of [`Destination`]. A module may have a thread's name in parentheses behind it.
    pub fn wanted(&self, module: &str, level: Level) -> [bool; 3] {
        let module = module.split('(').next().unwrap_or_default();
        self.modules.get(module).unwrap_or(&self.default).map(|most| level <= most)
    }

    /// Whether repetitions of a module's lines are left out.
    pub fn is_limited(&self, module: &str) -> bool {
        !self.unlimited.contains(module.split('(').next().unwrap_or_default())
    }

    /// `vlog/enable-rate-limit` and `vlog/disable-rate-limit`, of some modules or of all.
    pub fn limit(&mut self, modules: &[String], limited: bool) -> Result<(), String> {
        let all = modules.is_empty().then(|| "any".to_owned());
        for name in modules.iter().chain(&all) {
            let names =
                if name.eq_ignore_ascii_case("any") { &MODULES[..] } else { &[find(name).ok_or("unknown module")?] };
            for name in names {
                if limited {
                    self.unlimited.remove(name)
                } else {
                    self.unlimited.insert(name)
                };
            }
        }
        Ok(())
    }

    /// Words separated by white space, commas or colons: any of a module, a destination and a level. Without a level: dbg.
    pub fn set(&mut self, spec: &str) -> Result<(), String> {
        let (mut module, mut destination, mut level) = (None, None, None);
        for word in spec.split([' ', ',', ':', '\t']).filter(|word| !word.is_empty()) {
            let twice = if word.eq_ignore_ascii_case("any") {
                None
            } else if let Some(place) = Destination::parse(word) {
                destination.replace(place).map(|_| "destinations")
            } else if let Some(parsed) = Level::parse(word) {
                level.replace(parsed).map(|_| "levels")
            } else if let Some(name) = find(word) {
                module.replace(name).map(|_| "modules")
            } else {
                return Err(format!("no destination, level, or module \"{word}\""));
            };
            if let Some(what) = twice {
                return Err(format!("cannot specify multiple {what}"));
            }
        }
        let level = level.unwrap_or(Level::Dbg);
        let change = |levels: &mut [Level; 3]| match destination {
            Some(place) => levels[place as usize] = level,
            None => *levels = [level; 3],
        };
        match module {
            Some(module) => change(self.modules.entry(module).or_insert(self.default)),
            None => {
                change(&mut self.default);
                self.modules.values_mut().for_each(change);
            }
        }
        Ok(())
    }

    /// The table of `vlog/list`.
    pub fn list(&self) -> String {
        let mut text =
            String::from("                 console    syslog    file\n                 -------    ------    ------\n");
        for module in MODULES {
            let [console, syslog, file] = self.modules.get(module).unwrap_or(&self.default).map(Level::name);
            let unlimited = if self.unlimited.contains(module) { "    (rate limiting disabled)" } else { "" };
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{module:<16}  {console:>4}       {syslog:>4}       {file:>4}{unlimited}");
        }
        text
    }
}

/// The module of that name.
fn find(name: &str) -> Option<&'static str> {
    MODULES.into_iter().find(|module| module.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn specs() {
        let mut levels = Levels::new();
        for (spec, module, level, [console, file]) in [
            ("", "main", Level::Dbg, [true, true]),
            ("any:console:emer", "main", Level::Err, [false, true]),
            ("console:off", "main", Level::Emer, [false, true]),
            ("ofctrl:file:warn", "ofctrl", Level::Info, [false, false]),
            ("OFCTRL,file warn", "rconn(ovn_pinctrl)", Level::Info, [false, true]),
            ("file:dbg", "ofctrl", Level::Dbg, [false, true]),
            ("info", "ofctrl", Level::Info, [true, true]),
        ] {
            levels.set(spec).unwrap();
            let [to_console, _, to_file] = levels.wanted(module, level);
            assert_eq!([to_console, to_file], [console, file], "{spec}");
        }
        for (spec, error) in [
            ("nonsense:dbg", "no destination, level, or module \"nonsense\""),
            ("file:console", "cannot specify multiple destinations"),
            ("dbg:info", "cannot specify multiple levels"),
            ("main:ofctrl", "cannot specify multiple modules"),
        ] {
            assert_eq!(levels.set(spec), Err(error.to_owned()));
        }
    }

    #[test]
    fn limits_are_listed() {
        let mut levels = Levels::new();
        assert!(MODULES.is_sorted());
        assert_eq!(levels.limit(&["nonsense".to_owned()], false), Err("unknown module".to_owned()));
        levels.limit(&["ofctrl".to_owned()], false).unwrap();
        levels.set("ofctrl:console:off").unwrap();
        let list = levels.list();
        assert!(
            list.contains("\nofctrl             OFF       INFO       INFO    (rate limiting disabled)\n"),
            "{list}"
        );
        assert!(list.contains("\nneighbor_exchange  INFO       INFO       INFO\n"), "{list}");
        assert!(!levels.is_limited("ofctrl") && levels.is_limited("main"));
        levels.limit(&[], true).unwrap();
        assert!(levels.is_limited("ofctrl"));
    }
}
