//! A whole OVN deployment in a folder: [`Cloud`] runs a Northbound and a Southbound `ovsdb-server`, `ovn-northd` and
//! [`Hypervisor`]s, each with a switch on dummy datapaths and the agent under test. No privileges are needed and the
//! machine's own Open vSwitch is never touched: everything talks over Unix sockets in the folder.
#![allow(dead_code, reason = "each test binary uses a part of it")]
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a failed unwrap is a failed test; logs of failed tests are printed"
)]

pub mod canonical;
pub mod cluster;
pub mod packets;
pub mod process;
pub mod topology;
pub mod watch;

use std::collections::BTreeMap;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use cluster::Cluster;
use packets::{captured, hex};
pub use process::wait_until;
use process::{Daemon, Mark, Server, need, run, try_run, words_of};
use tempfile::TempDir;

/// Which program plays the agent of a hypervisor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Agent {
    /// `ovn-agent run`: the program named by `OVN_AGENT_BIN`, or the one that cargo built for this test.
    Ours,
    /// The distribution's `ovn-controller`.
    Packaged,
}

/// The program under test.
pub fn ovn_agent() -> String {
    std::env::var("OVN_AGENT_BIN").unwrap_or_else(|_| env!("CARGO_BIN_EXE_ovn-agent").to_owned())
}

/// A deployment. Hypervisor `n` (from 1) is called `hv<n>` and has the tunnel address `192.168.0.<n>`.
pub struct Cloud {
    pub nb: Server,
    /// Not in use when there is a cluster.
    pub sb: Server,
    pub cluster: Option<Cluster>,
    pub hypervisors: Vec<Hypervisor>,
    northd: Daemon,
    // After the daemons: they end before their folder goes.
    dir: TempDir,
}

impl Cloud {
    /// Starts everything. The agents run but need not have done anything on return.
    pub fn start(agents: &[Agent]) -> Cloud {
        let cloud = Cloud::start_idle(agents);
        let mut cloud = cloud;
        for hypervisor in &mut cloud.hypervisors {
            hypervisor.start_agent();
        }
        cloud
    }

    /// Starts everything but the agents.
    pub fn start_idle(agents: &[Agent]) -> Cloud {
        Cloud::start_with_schemas(agents, |_| {}, |_| {})
    }

    /// The same with a Southbound that a cluster of three servers serves.
    pub fn start_clustered(agents: &[Agent]) -> Cloud {
        Cloud::start_central(agents, 3, |_| {}, |_| {})
    }

    /// The same with changes of the schemas of the Southbound and of the local databases.
    pub fn start_with_schemas(
        agents: &[Agent],
        southbound: impl Fn(&mut serde_json::Value),
        local: impl Fn(&mut serde_json::Value),
    ) -> Cloud {
        Cloud::start_central(agents, 0, southbound, local)
    }

    fn start_central(
        agents: &[Agent],
        members: usize,
        southbound: impl Fn(&mut serde_json::Value),
        local: impl Fn(&mut serde_json::Value),
    ) -> Cloud {
        let dir = tempfile::Builder::new().prefix("ovn-live").tempdir().unwrap();
        let central = dir.path().join("central");
        let nb = Server::start("nb", &central, "/usr/share/ovn/ovn-nb.ovsschema");
        let sb = Server::start_changed("sb", &central, "/usr/share/ovn/ovn-sb.ovsschema", southbound);
        let cluster = (members > 0).then(|| Cluster::start(&central, members));
        let remote = cluster.as_ref().map_or_else(|| sb.remote(), Cluster::remotes);
        let northd = Daemon::start(
            "northd",
            "ovn-northd",
            &central,
            &[
                format!("--ovnnb-db={}", nb.remote()),
                format!("--ovnsb-db={remote}"),
                format!("--unixctl={}", central.join("northd.ctl").display()),
                format!("--log-file={}", central.join("northd.log").display()),
                "-vconsole:off".to_owned(),
            ],
        );
        let mut hypervisors: Vec<Hypervisor> = Vec::new();
        for (index, agent) in agents.iter().enumerate() {
            hypervisors.push(Hypervisor::start(dir.path(), index + 1, *agent, &remote, &local));
        }
        connect_underlay(&hypervisors);
        Cloud { nb, sb, cluster, hypervisors, northd, dir }
    }

    /// Kills the switch of hypervisor `hv<number>` and starts it again; waits until the others' wires to it are back.
    pub fn restart_switch(&mut self, number: usize) {
        self.hv(number).restart_switch();
        for hypervisor in &self.hypervisors[1..] {
            wait_until(&format!("the wire of {}", hypervisor.name), || {
                let state = hypervisor.switch_appctl(&["netdev-dummy/conn-state", "up"]);
                state.contains(": connected") && !state.contains("disconnected")
            });
        }
    }

    /// Ends ovn-northd: the Southbound stays as it is, but for what the test does.
    pub fn kill_northd(&mut self) {
        self.northd.kill();
    }

    /// Hypervisor `hv<number>`.
    pub fn hv(&mut self, number: usize) -> &mut Hypervisor {
        &mut self.hypervisors[number - 1]
    }

    /// `ovn-nbctl`, arguments separated by white space.
    pub fn nbctl(&self, arguments: &str) -> String {
        self.ctl("ovn-nbctl", &self.nb.remote(), &words(arguments))
    }

    /// `ovn-sbctl`, arguments separated by white space.
    pub fn sbctl(&self, arguments: &str) -> String {
        self.ctl("ovn-sbctl", &self.southbound(), &words(arguments))
    }

    /// `ovs-appctl` to ovn-northd, arguments separated by white space.
    pub fn northd_appctl(&self, arguments: &str) -> String {
        let socket = self.dir.path().join("central/northd.ctl").display().to_string();
        run("ovs-appctl", self.dir.path(), &[&["-t", &socket], &words(arguments)[..]].concat())
    }

    /// Lets a paused ovn-northd go on. One of OVN 23.03 that answers `resume` and whose client hangs up at once goes
    /// back to sleep until the next event, without having asked for its lock: each question for its status is one.
    pub fn resume_northd(&self) {
        self.northd_appctl("resume");
        wait_until("northd to go on", || self.northd_appctl("status").contains("active"));
    }

    /// `ovn-nbctl` with arguments that have spaces in them.
    pub fn nbctl_words(&self, arguments: &[&str]) -> String {
        self.ctl("ovn-nbctl", &self.nb.remote(), arguments)
    }

    /// `ovn-sbctl` with arguments that have spaces in them.
    pub fn sbctl_words(&self, arguments: &[&str]) -> String {
        self.ctl("ovn-sbctl", &self.southbound(), arguments)
    }

    /// Where to change the Southbound.
    fn southbound(&self) -> String {
        self.cluster.as_ref().map_or_else(|| self.sb.remote(), Cluster::leader_remote)
    }

    fn ctl(&self, program: &str, remote: &str, arguments: &[&str]) -> String {
        let database = format!("--db={remote}");
        run(program, self.dir.path(), &[&[database.as_str(), "--timeout=30"], arguments].concat()).trim().to_owned()
    }

    /// `ovn-nbctl --wait=hv sync`: every agent acknowledges what is configured now. Returns the time in milliseconds.
    pub fn sync(&self) -> u128 {
        let start = Instant::now();
        self.nbctl("--wait=hv sync");
        start.elapsed().as_millis()
    }

    /// One column of the rows of a Southbound table that meet the conditions (`column=value ...`).
    pub fn sb_find(&self, column: &str, table: &str, conditions: &str) -> String {
        self.sbctl(&format!("--bare --columns={column} find {table} {conditions}"))
    }

    /// Waits until logical port `name` is reported up.
    pub fn wait_up(&self, name: &str) {
        wait_until(&format!("port {name} up"), || {
            self.sb_find("up", "Port_Binding", &format!("logical_port={name}")) == "true"
                && self.nbctl(&format!("lsp-get-up {name}")) == "up"
        });
    }
}

impl Drop for Cloud {
    fn drop(&mut self) {
        if std::thread::panicking() {
            print_logs(self.dir.path());
        }
        if std::env::var_os("OVN_TEST_KEEP").is_some() {
            self.dir.disable_cleanup(true);
            eprintln!("kept: {}", self.dir.path().display());
        }
    }
}

/// A machine with a switch and an agent.
pub struct Hypervisor {
    pub name: String,
    pub database: Server,
    pub agent: Agent,
    pub folder: PathBuf,
    pub tunnel_address: String,
    /// More arguments of the agent, from its next start on.
    pub agent_arguments: Vec<String>,
    switch: Daemon,
    daemon: Option<Daemon>,
    notifications: Option<UnixDatagram>,
}

impl Hypervisor {
    fn start(
        parent: &Path,
        number: usize,
        agent: Agent,
        southbound: &str,
        schema: impl FnOnce(&mut serde_json::Value),
    ) -> Hypervisor {
        let name = format!("hv{number}");
        let folder = parent.join(&name);
        let tunnel_address = format!("192.168.0.{number}");
        let database = Server::start_changed("db", &folder, "/usr/share/openvswitch/vswitch.ovsschema", schema);
        let db = format!("--db={}", database.remote());
        run("ovs-vsctl", &folder, &[&db, "--no-wait", "init"]);
        let switch = start_switch(&folder, &database);
        let hypervisor = Hypervisor {
            name,
            database,
            agent,
            folder,
            tunnel_address,
            agent_arguments: Vec::new(),
            switch,
            daemon: None,
            notifications: None,
        };
        hypervisor.vsctl(&format!(
            "set Open_vSwitch . external_ids:system-id={} external_ids:ovn-remote={southbound} \
             external_ids:ovn-encap-type=geneve external_ids:ovn-encap-ip={} \
             -- add-br br-phys -- set Bridge br-phys other_config:hwaddr=aa:55:00:00:00:{number:02x}",
            hypervisor.name, hypervisor.tunnel_address
        ));
        hypervisor.set_tunnel_addresses();
        hypervisor
    }

    /// The switch keeps addresses of dummy devices in memory only. The neighbours are told, so that no packet is lost
    /// to address resolution.
    fn set_tunnel_addresses(&self) {
        self.switch_appctl(&["netdev-dummy/ip4addr", "br-phys", &format!("{}/24", self.tunnel_address)]);
        self.switch_appctl(&["ovs/route/add", "192.168.0.0/24", "br-phys"]);
        // The source of a tunnel must be the destination of a route of the kernel's table `local`, which only the kernel
        // can make: see `start_switch`. Its notice of the new address makes the switch read the table.
        let address = format!("{}/32", self.tunnel_address);
        self.in_namespace(&format!("ip addr add {address} dev br-phys"));
        wait_until("the switch to know its tunnel address", || {
            self.switch_appctl(&["ovs/route/show"]).contains(&format!("{address} dev br-phys SRC"))
        });
        for number in 1..=9 {
            let (address, mac) = (format!("192.168.0.{number}"), format!("aa:55:00:00:00:{number:02x}"));
            self.switch_appctl(&["tnl/neigh/set", "br-phys", &address, &mac]);
        }
    }

    /// Gives the switch another tunnel address: that of a bridge `br-two` with the Ethernet address of `br-phys`, because a dummy device has
    /// one IP address. Its neighbourhood must not be that of the first. Others are told with [`Hypervisor::neighbour`].
    pub fn add_tunnel_address(&self, address: [u8; 4]) {
        let text = address.map(|byte| byte.to_string()).join(".");
        self.vsctl(&format!("add-br br-two -- set Bridge br-two other_config:hwaddr={}", self.hardware_address()));
        self.switch_appctl(&["netdev-dummy/ip4addr", "br-two", &format!("{text}/24")]);
        // The switch looks for tunnels on devices that a route leads to.
        self.switch_appctl(&["ovs/route/add", &format!("{text}/25"), "br-two"]);
        self.in_namespace(&format!("ip addr add {text}/32 dev br-phys"));
        wait_until("the switch to know its other tunnel address", || {
            self.switch_appctl(&["ovs/route/show"]).contains(&format!("{text}/32 dev br-phys SRC"))
        });
    }

    /// Tells the switch that another one has this tunnel address.
    pub fn neighbour(&self, address: [u8; 4], other: &Hypervisor) {
        let address = address.map(|byte| byte.to_string()).join(".");
        self.switch_appctl(&["tnl/neigh/set", "br-phys", &address, &other.hardware_address()]);
    }

    /// Ethernet address of `br-phys`.
    fn hardware_address(&self) -> String {
        self.vsctl("get Bridge br-phys other_config:hwaddr").replace('"', "")
    }

    /// Starts the agent; see [`Hypervisor::wait_ready`].
    pub fn start_agent(&mut self) {
        self.start_agent_with(&[], &ovn_agent());
    }

    /// Starts another build of our agent; see [`Hypervisor::wait_ready`].
    pub fn start_agent_named(&mut self, program: &str) {
        self.start_agent_with(&[], program);
    }

    /// Starts the agent in the switch's network namespace; see [`Hypervisor::in_namespace`].
    pub fn start_agent_in_namespace(&mut self) {
        let enter = [&["nsenter".to_owned()][..], &self.enter_namespace()].concat();
        self.start_agent_with(&enter, &ovn_agent());
    }

    /// Starts the agent, run by another program: the words of `wrapper` come first.
    pub fn start_agent_by(&mut self, wrapper: &[&str]) {
        let words: Vec<String> = wrapper.iter().map(|word| (*word).to_owned()).collect();
        self.start_agent_with(&words, &ovn_agent());
    }

    /// Waits until the agent tells systemd something with `part` in it; returns that.
    pub fn wait_notified(&mut self, part: &str) -> String {
        let socket = self.notifications.as_ref().unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        let mut found = String::new();
        wait_until(&format!("{}: {part}", self.name), || {
            let mut message = [0; 512];
            let length = socket.recv(&mut message).unwrap_or(0);
            found = String::from_utf8_lossy(&message[..length]).into_owned();
            found.contains(part)
        });
        found
    }

    /// Runs a command, its words separated by white space, in the switch's network namespace.
    pub fn in_namespace(&self, command: &str) -> String {
        let enter = self.enter_namespace();
        let arguments: Vec<&str> = enter.iter().map(String::as_str).chain(words(command)).collect();
        run("nsenter", &self.folder, &arguments)
    }

    /// Arguments of nsenter.
    fn enter_namespace(&self) -> Vec<String> {
        let user: &[&str] = if is_root() { &[] } else { &["-U", "--preserve-credentials"] };
        let pid = self.switch.pid().to_string();
        [&["-n"], user, &["-t", &pid]].concat().into_iter().map(str::to_owned).collect()
    }

    /// Starts the agent, run by `wrapper`; `ours` is the program if it is ours.
    fn start_agent_with(&mut self, wrapper: &[String], ours: &str) {
        let socket = self.folder.join("agent.notify");
        let _ = std::fs::remove_file(&socket);
        self.notifications = Some(UnixDatagram::bind(&socket).unwrap());
        let file = |suffix: &str| self.folder.join(format!("agent.{suffix}")).display().to_string();
        let mut arguments =
            vec![self.database.remote(), format!("--pidfile={}", file("pid")), format!("--log-file={}", file("log"))];
        let program = match self.agent {
            Agent::Packaged => {
                need("/usr/bin/ovn-controller");
                "ovn-controller".to_owned()
            }
            Agent::Ours => {
                arguments.insert(0, "run".to_owned());
                arguments.push(format!("--unixctl={}", file("ctl")));
                ours.to_owned()
            }
        };
        arguments.push("-vconsole:off".to_owned());
        let command = [wrapper, &[program], &arguments, &self.agent_arguments].concat();
        self.daemon = Some(Daemon::start("agent", &command[0], &self.folder, &command[1..]));
    }

    /// Waits until the agent tells systemd that it is ready: its first state is in the switch. Ours only.
    pub fn wait_ready(&mut self) {
        let socket = self.notifications.as_ref().unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        wait_until(&format!("{} ready", self.name), || {
            let mut message = [0; 512];
            let length = socket.recv(&mut message).unwrap_or(0);
            String::from_utf8_lossy(&message[..length]).lines().any(|line| line == "READY=1")
        });
    }

    /// As `kill -9`.
    pub fn kill_agent(&mut self) {
        self.daemon.take().unwrap().kill();
    }

    /// The running agent.
    pub fn agent_daemon(&mut self) -> &mut Daemon {
        self.daemon.as_mut().unwrap()
    }

    /// `ovs-appctl` to the agent.
    pub fn agent_appctl(&self, arguments: &[&str]) -> Result<String, String> {
        let socket = match (self.agent, &self.daemon) {
            (Agent::Packaged, Some(daemon)) => format!("ovn-controller.{}.ctl", daemon.pid()),
            _ => "agent.ctl".to_owned(),
        };
        let socket = self.folder.join(socket).display().to_string();
        try_run("ovs-appctl", &self.folder, &[&["-t", &socket], arguments].concat())
    }

    /// The agent's log.
    pub fn agent_log(&self) -> String {
        std::fs::read_to_string(self.folder.join("agent.log")).unwrap_or_default()
    }

    /// The place in the agent's log at which [`Hypervisor::agent_log_since`] starts.
    pub fn log_mark(&self) -> Mark {
        Mark(self.agent_log().len())
    }

    /// What the agent has logged since.
    pub fn agent_log_since(&self, mark: &Mark) -> String {
        self.agent_log()[mark.0..].to_owned()
    }

    /// Lines of the agent's log that have all of `parts`.
    pub fn logged(&self, parts: &[&str]) -> Vec<String> {
        self.agent_log()
            .lines()
            .filter(|line| parts.iter().all(|part| line.contains(part)))
            .map(str::to_owned)
            .collect()
    }

    /// As `kill -9`; see [`Cloud::restart_switch`].
    pub fn kill_switch(&mut self) {
        self.switch.kill();
    }

    /// Sends the switch a signal, by name: STOP and CONT make it slow.
    pub fn signal_switch(&self, signal: &str) {
        run("kill", &self.folder, &[&format!("-{signal}"), &self.switch.pid().to_string()]);
    }

    /// Kills the switch and starts it again, with its tunnel address.
    fn restart_switch(&mut self) {
        self.switch.kill();
        self.switch = start_switch(&self.folder, &self.database);
        wait_until("br-phys after the switch's restart", || {
            // A switch that has just begun to listen does not know the command yet.
            let shown = try_run("ovs-appctl", &self.folder, &["-t", &self.switch_socket(), "dpif/show"]);
            shown.is_ok_and(|text| text.contains("br-phys 65534"))
        });
        self.set_tunnel_addresses();
    }

    /// Adds a port to the integration bridge and waits until the switch has it.
    pub fn add_vif(&self, interface: &str, logical_port: &str) {
        self.vsctl(&format!(
            "add-port br-int {interface} -- set Interface {interface} external_ids:iface-id={logical_port} \
             options:tx_pcap={}",
            self.capture(interface).display()
        ));
    }

    /// Removes a port from the integration bridge.
    pub fn remove_vif(&self, interface: &str) {
        self.vsctl(&format!("del-port br-int {interface}"));
    }

    /// Has the switch receive a frame on a port.
    pub fn send(&self, interface: &str, frame: &[u8]) {
        self.switch_appctl(&["netdev-dummy/receive", interface, &hex(frame)]);
    }

    /// Waits until exactly this frame has left the switch through a port.
    pub fn wait_received(&self, interface: &str, frame: &[u8]) {
        wait_until(&format!("{} {interface} getting {}", self.name, hex(frame)), || {
            self.received(interface, frame) > 0
        });
    }

    /// How often exactly this frame has left the switch through a port.
    pub fn received(&self, interface: &str, frame: &[u8]) -> usize {
        captured(&self.capture(interface)).iter().filter(|captured| *captured == frame).count()
    }

    fn capture(&self, interface: &str) -> PathBuf {
        self.folder.join(format!("{interface}.pcap"))
    }

    /// `ovs-vsctl`, arguments separated by white space; waits for the switch.
    pub fn vsctl(&self, arguments: &str) -> String {
        let database = format!("--db={}", self.database.remote());
        run("ovs-vsctl", &self.folder, &[&[database.as_str(), "--timeout=30"], &words(arguments)[..]].concat())
            .trim()
            .to_owned()
    }

    /// One column of the rows of a table that meet the conditions.
    pub fn find(&self, column: &str, table: &str, conditions: &str) -> String {
        self.vsctl(&format!("--bare --columns={column} find {table} {conditions}"))
    }

    /// The tunnel ports: `(name, remote address, ofport)`, sorted.
    pub fn tunnels(&self) -> Vec<(String, String, String)> {
        let names = self.find("name", "Interface", "type=geneve");
        let mut tunnels: Vec<_> = names
            .split_whitespace()
            .map(|name| {
                let of = |column: &str| self.vsctl(&format!("--if-exists get Interface {name} {column}"));
                (name.to_owned(), of("options:remote_ip").replace('"', ""), of("ofport"))
            })
            .collect();
        tunnels.sort();
        tunnels
    }

    /// Process of the switch.
    pub fn switch_pid(&self) -> u32 {
        self.switch.pid()
    }

    /// `ovs-appctl` to the switch.
    pub fn switch_appctl(&self, arguments: &[&str]) -> String {
        run("ovs-appctl", &self.folder, &[&["-t", &self.switch_socket()], arguments].concat())
    }

    fn switch_socket(&self) -> String {
        self.folder.join("switch.ctl").display().to_string()
    }

    /// `ovs-ofctl -O OpenFlow15 COMMAND... br-int`.
    pub fn ofctl(&self, command: &[&str]) -> String {
        let bridge = format!("unix:{}", self.folder.join("br-int.mgmt").display());
        run("ovs-ofctl", &self.folder, &[&["-O", "OpenFlow15"], command, &[bridge.as_str()]].concat())
    }

    /// What `ovn-agent translate` makes of the two databases as they are now: flows, groups and meters.
    pub fn translated(&self, southbound: &Server) -> State {
        self.translated_from(&southbound.dump("OVN_Southbound"))
    }

    /// The same of a dump of the Southbound.
    pub fn translated_from(&self, sb: &Path) -> State {
        let ovs = self.database.dump("Open_vSwitch");
        let folder = self.folder.join("translated");
        let text = |path: &Path| path.display().to_string();
        let arguments = ["translate", "--sb", &text(sb), "--ovs", &text(&ovs), "--output-dir", &text(&folder)];
        run(&ovn_agent(), &self.folder, &arguments);
        let of = |name: &str| sorted_lines(&std::fs::read_to_string(folder.join(name)).unwrap());
        State { flows: of("flows"), groups: of("groups"), meters: of("meters") }
    }

    /// What the switch has.
    pub fn state(&self) -> State {
        State { flows: self.flows(), groups: self.groups(), meters: self.meters() }
    }

    /// Waits until the switch has exactly what a translation from scratch of the same databases yields.
    pub fn wait_translated(&self, southbound: &Server) {
        let start = Instant::now();
        loop {
            let (wanted, installed) = (self.translated(southbound).by_contents(), self.state().by_contents());
            if wanted == installed {
                return;
            }
            if start.elapsed() > process::PATIENCE {
                let only = |a: &[String], b: &[String]| -> Vec<String> {
                    a.iter().filter(|line| !b.contains(line)).cloned().collect()
                };
                let (missing, extra) = (only(&wanted, &installed), only(&installed, &wanted));
                panic!("{}: missing in the switch: {missing:#?}\nunexpected: {extra:#?}", self.name);
            }
        }
    }

    /// The flows of the integration bridge, sorted lines as `ovs-ofctl --no-stats --no-names dump-flows` has them.
    pub fn flows(&self) -> Vec<String> {
        sorted_lines(&self.ofctl(&["--no-stats", "--no-names", "dump-flows"]))
    }

    /// The groups, sorted.
    pub fn groups(&self) -> Vec<String> {
        sorted_lines(&self.ofctl(&["--no-names", "dump-groups"]))
    }

    /// The meters, sorted.
    pub fn meters(&self) -> Vec<String> {
        sorted_lines(&self.ofctl(&["dump-meters"]))
    }

    /// Has the switch log every OpenFlow message from now on: see [`Hypervisor::modifications_since`].
    pub fn watch_openflow(&self) -> Mark {
        self.switch_appctl(&["vlog/set", "vconn:file:dbg"]);
        self.switch_appctl(&["vlog/disable-rate-limit", "vconn"]);
        Mark(self.switch_log().len())
    }

    /// The messages since the mark that change what the switch has; of bundles, the messages in those that are committed.
    /// Features are probed with bundles that are given up and with a flush of conntrack entries that nobody has.
    pub fn modifications_since(&self, mark: &Mark) -> Vec<String> {
        let names = ["FLOW_MOD", "GROUP_MOD", "METER_MOD", "TLV_TABLE_MOD", "CT_FLUSH_ZONE", "_REQUEST flags="];
        let (mut committed, mut open) = (Vec::new(), BTreeMap::new());
        // What a connection left behind is still read when the next one is there already.
        for (connection, line) in self.received_since(mark, &names) {
            if line.contains("type=OPEN_REQUEST") {
                open.insert(connection, Vec::new());
            } else if line.contains("type=COMMIT_REQUEST") {
                committed.extend(open.remove(&connection).unwrap_or_default());
            } else if line.contains("type=DISCARD_REQUEST") {
                open.remove(&connection);
            } else if !line.contains("_REQUEST flags=") {
                match open.get_mut(&connection).filter(|_| line.starts_with("OFPT_")) {
                    Some(bundle) => bundle.push(line),
                    None => committed.push(line),
                }
            }
        }
        committed
    }

    /// Lines of the log about messages that the switch has received since the mark, and whose names have one of the words.
    pub fn openflow_since(&self, mark: &Mark, names: &[&str]) -> Vec<String> {
        self.received_since(mark, names).into_iter().map(|(_, line)| line).collect()
    }

    /// The same, each line with its connection.
    fn received_since(&self, mark: &Mark, names: &[&str]) -> Vec<(String, String)> {
        let log = self.switch_log();
        // The text of a message may have several lines, of which the first has a time.
        let mut from = None;
        let mut lines = Vec::new();
        for line in log[mark.0..].lines() {
            let message = line.split_once("|vconn|DBG|").map(|(_, message)| message);
            if message.is_some() || line.starts_with("20") {
                from = message.and_then(|message| message.split_once(": received: ")).map(|(from, _)| from.to_owned());
            }
            if let Some(from) = from.as_ref().filter(|_| names.iter().any(|name| line.contains(name))) {
                lines.push((from.clone(), line.to_owned()));
            }
        }
        lines
    }

    /// The switch's log.
    pub fn switch_log(&self) -> String {
        std::fs::read_to_string(self.folder.join("switch.log")).unwrap_or_default()
    }
}

/// What a switch has, or should have, as sorted lines of text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    pub flows: Vec<String>,
    pub groups: Vec<String>,
    pub meters: Vec<String>,
}

impl State {
    /// The flows with the contents of groups and meters in place of their numbers, which are given out in the order of
    /// events.
    pub fn by_contents(&self) -> Vec<String> {
        let numbered = |lines: &[String], key: &str| -> Vec<(String, String)> {
            let split = |line: &String| {
                let (number, rest) = line.strip_prefix(key)?.split_once([',', ' '])?;
                Some((number.to_owned(), rest.to_owned()))
            };
            lines.iter().filter_map(split).collect()
        };
        let (groups, meters) = (numbered(&self.groups, "group_id="), numbered(&self.meters, "meter="));
        let mut flows: Vec<String> =
            self.flows.iter().map(|flow| resolve(&resolve(flow, "group:", &groups), "meter_id=", &meters)).collect();
        flows.sort();
        flows
    }
}

/// Puts the contents in place of every number that follows `key`.
fn resolve(text: &str, key: &str, contents: &[(String, String)]) -> String {
    let mut pieces = text.split(key);
    let mut resolved = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let digits = piece.find(|c: char| !c.is_ascii_digit()).unwrap_or(piece.len());
        let content = contents.iter().find(|(number, _)| *number == piece[..digits]).map_or("NONE", |(_, text)| text);
        resolved.push_str(&format!("{key}({content}){}", &piece[digits..]));
    }
    resolved
}

/// Starts a switch in a network namespace of its own, in which the loopback device, the only one, plays `br-phys`.
fn start_switch(folder: &Path, database: &Server) -> Daemon {
    let file = |suffix: &str| folder.join(format!("switch.{suffix}")).display().to_string();
    let flags = if is_root() { "-n" } else { "-Urn" };
    let script = "ip link set lo name br-phys && ip link set br-phys up && exec \"$@\"";
    let arguments = [
        database.remote(),
        // `override` would replace the tunnels too.
        "--enable-dummy=system".to_owned(),
        "--disable-system".to_owned(),
        format!("--unixctl={}", file("ctl")),
        format!("--log-file={}", file("log")),
        "-vconsole:off".to_owned(),
    ];
    let wrapper = [flags, "sh", "-c", script, "sh"].map(str::to_owned);
    let words = [&wrapper[..], &words_of("ovs-vswitchd"), &arguments].concat();
    let mut switch = Daemon::start("switch", "unshare", folder, &words);
    switch.wait_for_socket(&folder.join("switch.ctl"));
    switch
}

fn is_root() -> bool {
    run("id", Path::new("/"), &["-u"]).trim() == "0"
}

/// Joins the hypervisors' `br-phys` in a star around the first one, which learns addresses as any switch does.
fn connect_underlay(hypervisors: &[Hypervisor]) {
    let Some((hub, others)) = hypervisors.split_first() else { return };
    for other in others {
        let port = format!("to-{}", other.name);
        let socket = hub.folder.join(format!("{port}.wire")).display().to_string();
        hub.vsctl(&format!("add-port br-phys {port} -- set Interface {port} options:pstream=punix:{socket}"));
        other.vsctl(&format!("add-port br-phys up -- set Interface up options:stream=unix:{socket}"));
    }
}

fn words(text: &str) -> Vec<&str> {
    text.split_whitespace().collect()
}

/// Everything but the headings of replies. `ovs-ofctl --no-stats` leaves out cookie 0 and table 0.
fn sorted_lines(text: &str) -> Vec<String> {
    let is_entry = |line: &&str| ["actions=", "group_id=", "meter="].iter().any(|word| line.contains(word));
    let shortened = |line: &str| line.trim().replacen("cookie=0x0, ", "", 1).replacen("table=0, ", "", 1);
    let mut lines: Vec<String> = text.lines().filter(is_entry).map(shortened).collect();
    lines.sort();
    lines
}

/// The ends of all logs of a sandbox, for a test that fails.
fn print_logs(folder: &Path) {
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for path in entries.flatten().map(|entry| entry.path()) {
            let is_log = path.extension().is_some_and(|extension| extension == "log" || extension == "out");
            match path.is_dir() {
                true => folders.push(path),
                false if is_log => print_end(&path),
                false => {}
            }
        }
    }
}

fn print_end(path: &Path) {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let lines: Vec<&str> = text.lines().filter(|line| !line.contains("|DBG|")).collect();
    if !lines.is_empty() {
        eprintln!("--- {}\n{}", path.display(), lines[lines.len().saturating_sub(25)..].join("\n"));
    }
}
