//! The daemon as a process, with nothing but a local database: what `ovn-ctl` starts and stops, what comes back after a crash, where logs go.

use std::os::unix::net::UnixDatagram;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use crate::common::process::{Control, Server, command, need, run, try_run};
use crate::common::{ovn_agent, wait_until};

/// A folder with a local database, and the agent under the name ovn-controller. What it has in the background ends with the value.
struct Place {
    // Before the folder: the processes in it end first.
    database: Server,
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Place {
        let folder = tempfile::Builder::new().prefix("ovn-process").tempdir().unwrap();
        let database = Server::start("db", folder.path(), "/usr/share/openvswitch/vswitch.ovsschema");
        run("ovs-vsctl", folder.path(), &[&format!("--db={}", database.remote()), "--no-wait", "init"]);
        let bin = folder.path().join("bin");
        std::fs::create_dir(&bin).unwrap();
        std::os::unix::fs::symlink(ovn_agent(), bin.join("ovn-controller")).unwrap();
        Place { database, folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = command(program, self.folder.path());
        let path = std::env::var("PATH").unwrap();
        command.env("PATH", format!("{}:{path}", self.path("bin").display()));
        command
    }

    /// The agent with the arguments that `words` are. Signals that were ignored where the tests were started (nohup) stay ignored, as with
    /// Open vSwitch's daemons; here they have to have their effect.
    fn agent(&self, words: &str) -> Command {
        let mut command = self.command("env");
        command.args(["--default-signal=HUP,INT,TERM", &self.path("bin/ovn-controller").display().to_string()]);
        command.args(words.split_whitespace());
        command
    }

    fn ovn_ctl(&self, words: &str) -> Output {
        let script = need("/usr/share/ovn/scripts/ovn-ctl");
        self.command(&script).args(words.split_whitespace()).output().unwrap()
    }

    fn appctl(&self, words: &[&str]) -> Result<String, String> {
        try_run("ovn-appctl", self.folder.path(), &[&["-t", "ovn-controller"], words].concat())
    }

    fn pid(&self) -> Option<u32> {
        std::fs::read_to_string(self.path("ovn-controller.pid")).ok()?.trim().parse().ok()
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.path("ovn-controller.log")).unwrap_or_default()
    }

    /// Of which process this one is the child.
    fn parent(pid: u32) -> u32 {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let parent = status.lines().find_map(|line| line.strip_prefix("PPid:")).unwrap();
        parent.trim().parse().unwrap()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // Only what is in the background: others end with their handles.
        let Some(pid) = self.pid().filter(|pid| lives(*pid)) else { return };
        let monitor = Place::parent(pid);
        let ours = |pid: u32| {
            let words = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&words).contains("--detach")
        };
        for pid in [monitor, pid].into_iter().filter(|pid| ours(*pid)) {
            let _ = Command::new("kill").args(["-s", "KILL", &pid.to_string()]).status();
        }
    }
}

fn lives(pid: u32) -> bool {
    // A zombie that nobody has waited for does not.
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.starts_with(" Z"))
}

fn signal(pid: u32, name: &str) {
    assert!(Command::new("kill").args(["-s", name, &pid.to_string()]).status().unwrap().success());
}

/// A process in the foreground that goes with the value.
struct Foreground(Child);

impl Drop for Foreground {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn ovn_ctl_starts_it_and_it_comes_back_after_a_crash() {
    let place = Place::new();
    let started = place.ovn_ctl("start_controller");
    assert!(started.status.success(), "{started:?}");
    // It has started up when the script ends.
    let pid = place.pid().expect("a pidfile");
    let monitor = Place::parent(pid);
    assert_eq!(std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap(), "ovn-controller\n");
    assert_eq!(place.appctl(&["version"]).unwrap(), "ovn-controller 26.03.1\nOpen vSwitch Library 3.7.0\n");
    let second = place.agent("--detach --pidfile -vconsole:off").output().unwrap();
    let words = String::from_utf8_lossy(&second.stderr).into_owned();
    assert_eq!(second.status.code(), Some(1), "{words}");
    assert!(words.ends_with(&format!("ovn-controller.pid: already running as pid {pid}, aborting\n")), "{words}");
    assert_eq!(place.pid(), Some(pid));

    signal(pid, "ABRT");
    wait_until("another daemon", || place.pid().is_some_and(|now| now != pid) && place.appctl(&["version"]).is_ok());
    let reborn = place.pid().unwrap();
    assert_eq!(Place::parent(reborn), monitor);
    let said = place.log();
    let words = format!("|daemon_unix(monitor)|ERR|1 crashes: pid {pid} died, killed (Aborted)");
    assert!(said.contains(&words) && said.contains(", restarting\n"), "{said}");

    let stopped = place.ovn_ctl("stop_controller");
    assert!(stopped.status.success(), "{stopped:?}");
    wait_until("the end of both processes", || !lives(reborn) && !lives(monitor));
    assert_eq!(place.pid(), None);
    let left: Vec<_> =
        std::fs::read_dir(place.folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(
        !left.iter().any(|name| name.to_string_lossy().starts_with("ovn-controller.")
            && name.to_string_lossy().ends_with(".ctl")
            && !name.to_string_lossy().contains(&pid.to_string())),
        "{left:?}"
    );
    assert!(
        place.log().contains(&format!("|daemon_unix(monitor)|INFO|pid {reborn} died, exit status 0, exiting\n")),
        "{}",
        place.log()
    );
}

#[test]
fn in_the_foreground_it_ends_by_the_signal_and_starts_over_a_stale_pidfile() {
    let place = Place::new();
    std::fs::write(place.path("ovn-controller.pid"), "1\n").unwrap();
    let mut agent = Foreground(place.agent("--pidfile --log-file -vconsole:off").spawn().unwrap());
    wait_until("an answer", || place.appctl(&["version"]).is_ok());
    assert_eq!(place.pid(), Some(agent.0.id()));
    signal(agent.0.id(), "HUP");
    let status = agent.0.wait().unwrap();
    assert_eq!(status.signal(), Some(1), "{status}");
    assert!(place.log().contains("|fatal_signal|WARN|terminating with signal 1 (Hangup)\n"), "{}", place.log());
    assert!(
        !place.path("ovn-controller.pid").exists()
            && !place.path(&format!("ovn-controller.{}.ctl", agent.0.id())).exists()
    );

    // Whoever started it and failed says so.
    for (arguments, code, error) in [
        ("--nonsense", 1, "ovn-controller: unrecognized option '--nonsense'\n"),
        ("a b", 1, "ovn-controller: exactly zero or one non-option argument required; use --help for usage\n"),
        ("-vnonsense", 1, "ovn-controller: processing \"nonsense\": no destination, level, or module \"nonsense\"\n"),
        (
            "--log-file=/no/such -vconsole:off",
            1,
            "ovn-controller: failed to open /no/such for logging: No such file or directory (os error 2)\n",
        ),
        (
            "--detach -vconsole:off -u /no/such",
            1,
            "ovn-controller: cannot listen on control socket /no/such: No such file or directory (os error 2)\n",
        ),
        (
            "--detach --monitor -vconsole:off -u /no/such",
            1,
            "ovn-controller: cannot listen on control socket /no/such: No such file or directory (os error 2)\n",
        ),
    ] {
        let output = place.agent(arguments).output().unwrap();
        assert_eq!(
            (output.status.code(), &*String::from_utf8_lossy(&output.stderr)),
            (Some(code), error),
            "{arguments}"
        );
    }
    let output = place.agent("-V").output().unwrap();
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "ovn-controller 26.03.1\nOpen vSwitch Library 3.7.0\nOpenFlow versions 0x6:0x6\nSB DB Schema 21.8.0\n"
    );
}

#[test]
fn logs() {
    let place = Place::new();
    let syslogd = UnixDatagram::bind(place.path("syslog")).unwrap();
    let options = format!(
        "--pidfile --log-file -vconsole:off --syslog-method=unix:{} -vFACILITY:local3",
        place.path("syslog").display()
    );
    let _agent = Foreground(place.agent(&options).stdin(Stdio::null()).spawn().unwrap());
    wait_until("an answer", || place.appctl(&["version"]).is_ok());
    let ask = |words: &[&str]| place.appctl(words).unwrap();
    assert!(place.log().contains("|main|INFO|OVN internal version is : [26.03.1-21.8.0-82.14]\n"), "{}", place.log());
    let patterns = ask(&["vlog/list-pattern"]);
    assert!(patterns.contains("\nSYSLOG   <%B>                              ovs|%05N|%c%T|%p|%m\n"), "{patterns}");
    assert!(
        patterns.contains("\nFILE     none                              %D{%Y-%m-%dT%H:%M:%S.###Z}|%05N|%c%T|%p|%m\n"),
        "{patterns}"
    );

    ask(&["vlog/message", "to syslog"]);
    let mut buffer = [0; 1000];
    let mut received = String::new();
    wait_until("the line at syslogd", || {
        let length = syslogd.recv(&mut buffer).unwrap();
        received = String::from_utf8_lossy(&buffer[..length]).into_owned();
        received.ends_with("|vlog|INFO|user-message: to syslog")
    });
    // local3.notice
    assert!(received.starts_with("<157>ovs|"), "{received}");

    ask(&["vlog/set", "PATTERN:file:%p %c: %m"]);
    ask(&["vlog/set", "syslog:off"]);
    ask(&["vlog/message", "in another form"]);
    assert!(place.log().ends_with("\nINFO vlog: user-message: in another form\n"), "{}", place.log());
    ask(&["vlog/set", "vlog:file:warn"]);
    ask(&["vlog/message", "not of interest"]);
    ask(&["vlog/set", "vlog:file:info"]);
    std::fs::rename(place.path("ovn-controller.log"), place.path("old.log")).unwrap();
    ask(&["vlog/reopen"]);
    ask(&["vlog/message", "after logrotate"]);
    let log = place.log();
    assert!(
        log.starts_with("INFO vlog: opened log file ") && log.ends_with("user-message: after logrotate\n"),
        "{log}"
    );
    ask(&["vlog/close"]);
    ask(&["vlog/message", "to nobody"]);
    assert!(!place.log().contains("to nobody"));
    ask(&["vlog/disable-rate-limit", "ofctrl"]);
    let list = ask(&["vlog/list"]);
    assert!(list.contains("\nofctrl             OFF        OFF       INFO    (rate limiting disabled)\n"), "{list}");

    // As newer programs ask.
    let mut control = Control::connect(&socket(&place));
    let mut call = |command: &str, arguments: &[&str]| {
        let answer = control.call(command, arguments);
        serde_json::from_str::<serde_json::Value>(&answer).unwrap_or(serde_json::Value::String(answer))
    };
    assert_eq!(call("set-options", &["--format", "json"])["error"], serde_json::Value::Null);
    let status = call("debug/status", &[]).to_string();
    assert!(status.contains(r#"reply\":\"running\""#) || status.contains(r#""reply":"running""#), "{status}");
}

fn socket(place: &Place) -> PathBuf {
    place.path(&format!("ovn-controller.{}.ctl", place.pid().unwrap()))
}

/// Root gives up everything but some capabilities; nobody else may ask for that.
#[test]
fn another_user() {
    let place = Place::new();
    let root = run("id", Path::new("/"), &["-u"]).trim() == "0";
    if !root {
        let output = place.agent("--user=nobody -vconsole:off").output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), "ovn-controller: only root can use --user option\n");
        return;
    }
    for wrong in ["nosuchuser", "nobody:nosuchgroup", "nobody:root"] {
        let output = place.agent(&format!("--user={wrong} -vconsole:off")).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{wrong}: {output:?}");
    }
    // The folder and the program have to be within that user's reach.
    let socket = place.database.remote();
    let reach =
        Command::new("chmod").arg("a+rwx").arg(place.folder.path()).arg(&socket["unix:".len()..]).status().unwrap();
    assert!(reach.success());
    std::fs::remove_file(place.path("bin/ovn-controller")).unwrap();
    // By another program: a file that this one writes cannot be run while a test beside starts a process.
    let copied = Command::new("cp").arg(ovn_agent()).arg(place.path("bin/ovn-controller")).status().unwrap();
    assert!(copied.success());
    let started = place.agent("--user=nobody --detach --monitor --pidfile --log-file -vconsole:off").output().unwrap();
    assert!(started.status.success(), "{started:?}");
    let pid = place.pid().unwrap();
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let of = |name: &str| {
        status.lines().find_map(|line| line.strip_prefix(name)).unwrap().split_whitespace().collect::<Vec<_>>()
    };
    let nobody = run("id", Path::new("/"), &["-u", "nobody"]).trim().to_owned();
    assert_eq!(of("Uid:"), [nobody.as_str(); 4]);
    // CAP_NET_BIND_SERVICE, _BROADCAST, _ADMIN, _RAW and CAP_IPC_LOCK, as far as this machine has them.
    let effective = u64::from_str_radix(of("CapEff:")[0], 16).unwrap();
    let wanted: u64 = [10, 11, 12, 13, 14].iter().map(|bit| 1 << bit).sum();
    assert_eq!(effective & !wanted, 0, "{effective:x}");
    let monitor = Place::parent(pid);
    place.appctl(&["exit"]).unwrap();
    wait_until("the end of both processes", || !lives(pid) && !lives(monitor));
}
