//! A real Open vSwitch for tests: [`Switch`] starts `ovsdb-server` and `ovs-vswitchd` with dummy datapaths in a folder of
//! its own, without privileges and without touching the machine's own switch, and kills both by pid when it is dropped.
#![allow(dead_code, clippy::unwrap_used, reason = "each test binary uses a part of it")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use ofproto_client::connection::{BundleOutcome, BundleXids, Config, Event};
use ofproto_client::message::{EncodeError, Message, MultipartReplyBody, MultipartRequest, Xid};
use ofproto_client::transport::{Link, Target, connect};
use tempfile::TempDir;

const SCHEMA: &str = "/usr/share/openvswitch/vswitch.ovsschema";

/// A running switch.
pub struct Switch {
    dir: TempDir,
}

impl Switch {
    /// Starts a switch without bridges. It is ready on return.
    pub fn start() -> Switch {
        assert!(Path::new(SCHEMA).exists(), "{SCHEMA} is missing: apt install openvswitch-switch openvswitch-common");
        let dir = tempfile::Builder::new().prefix("ovs-test").tempdir().unwrap();
        let switch = Switch { dir };
        let database = text(&switch.path("conf.db"));
        switch.run("ovsdb-tool", &["create", &database, SCHEMA]);
        switch.daemon("ovsdb-server", &[&database, &format!("--remote=p{}", switch.database())]);
        switch.vsctl("--no-wait init");
        switch.daemon("ovs-vswitchd", &[&switch.database(), "--enable-dummy=override", "--disable-system"]);
        switch
    }

    /// Adds a bridge that has no flows of its own, with ports `p1` (number 1) to `p<n_ports>`.
    pub fn add_bridge(&self, name: &str, protocols: &str, n_ports: u32) {
        self.vsctl(&format!(
            "add-br {name} -- set bridge {name} datapath_type=dummy fail_mode=secure protocols={protocols}"
        ));
        for n in 1..=n_ports {
            self.vsctl(&format!("add-port {name} p{n} -- set interface p{n} type=dummy ofport_request={n}"));
        }
    }

    /// `ovs-vsctl`, arguments separated by spaces; returns what it prints.
    pub fn vsctl(&self, arguments: &str) -> String {
        let database = format!("--db={}", self.database());
        let arguments: Vec<&str> = arguments.split_whitespace().collect();
        self.run("ovs-vsctl", &[&[database.as_str(), "--timeout=30"], &arguments[..]].concat())
    }

    /// `ovs-ofctl -O OpenFlow15 --no-names COMMAND BRIDGE ARGUMENTS`; returns what it prints.
    pub fn ofctl(&self, command: &[&str], bridge: &str, arguments: &[&str]) -> String {
        let target = self.target(bridge).to_string();
        let all = [&["-O", "OpenFlow15", "--no-names"], command, &[target.as_str()], arguments].concat();
        self.run("ovs-ofctl", &all)
    }

    /// The bridge's management socket.
    pub fn target(&self, bridge: &str) -> Target {
        Target::Unix(self.path(&format!("{bridge}.mgmt")))
    }

    /// A connection to a bridge after the handshake.
    pub async fn connect(&self, bridge: &str) -> Peer {
        let config = Config { bridge: bridge.to_owned(), ..Config::default() };
        let mut link = connect(&self.target(bridge), config).await.unwrap();
        let event = link.event().await.unwrap();
        assert!(matches!(event, Event::Connected { .. }), "{event:?}");
        Peer { link }
    }

    /// A file in the switch's folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Starts a daemon, which is ready when its foreground process ends.
    fn daemon(&self, program: &str, arguments: &[&str]) {
        let own = [("unixctl", "ctl"), ("pidfile", "pid"), ("log-file", "log")]
            .map(|(option, suffix)| format!("--{option}={}", text(&self.path(&format!("{program}.{suffix}")))));
        let own: Vec<&str> = own.iter().map(String::as_str).collect();
        self.run(program, &[arguments, &own, &["--detach", "--no-chdir", "-vconsole:off"]].concat());
    }

    fn database(&self) -> String {
        format!("unix:{}", self.path("db.sock").display())
    }

    fn run(&self, program: &str, arguments: &[&str]) -> String {
        let mut command = Command::new(program);
        command.args(arguments);
        for variable in ["OVS_RUNDIR", "OVS_DBDIR", "OVS_SYSCONFDIR", "OVS_LOGDIR"] {
            command.env(variable, self.dir.path());
        }
        let output = command.output().unwrap_or_else(|error| {
            panic!("cannot run {program} ({error}): apt install openvswitch-switch openvswitch-common")
        });
        let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{program} {arguments:?}: {}\n{err}{out}", output.status);
        out
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        for name in ["ovs-vswitchd.pid", "ovsdb-server.pid"] {
            if let Ok(pid) = std::fs::read_to_string(self.path(name)) {
                let _ = Command::new("kill").args(["-KILL", pid.trim()]).status();
            }
        }
    }
}

/// A connection that expects what a test says.
pub struct Peer {
    pub link: Link,
}

impl Peer {
    pub fn send(&mut self, message: &Message) -> Result<Xid, EncodeError> {
        self.link.connection().send(message)
    }

    /// The next event; the end of the connection fails the test.
    pub async fn event(&mut self) -> Event {
        self.link.event().await.unwrap()
    }

    /// Everything that comes before the answer to a barrier that is sent now.
    pub async fn until_barrier(&mut self) -> Vec<Event> {
        self.link.barrier().await.unwrap();
        std::iter::from_fn(|| self.link.earlier_event()).collect()
    }

    /// Waits for the outcome of a bundle, which must be all that happens.
    pub async fn outcome(&mut self, xids: BundleXids) -> BundleOutcome {
        let outcome = self.link.outcome(xids).await.unwrap();
        assert_eq!(self.link.earlier_event(), None);
        outcome
    }

    /// A whole multipart reply.
    pub async fn multipart(&mut self, request: MultipartRequest) -> MultipartReplyBody {
        let body = self.link.multipart(request).await.unwrap();
        assert_eq!(self.link.earlier_event(), None);
        body
    }
}

/// Runs a test's future with a limit on its time.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    block_on_for(60, future)
}

/// The same with another limit, in seconds.
pub fn block_on_for<T>(limit: u64, future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let result = runtime.block_on(async { tokio::time::timeout(Duration::from_secs(limit), future).await });
    result.unwrap_or_else(|_| panic!("the test takes more than {limit} s"))
}

fn text(path: &Path) -> String {
    path.display().to_string()
}
