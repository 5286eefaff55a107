//! A Southbound that several servers serve: members of a raft cluster ([`Cluster`]) and relays ([`Relay`]).

use std::path::{Path, PathBuf};

use super::process::{Daemon, need, run, try_run, wait_until};

/// The members of a cluster.
pub struct Cluster {
    members: Vec<Member>,
}

/// `None`: it was killed.
struct Member {
    files: Files,
    daemon: Option<Daemon>,
}

struct Files {
    name: String,
    folder: PathBuf,
}

impl Files {
    fn of(&self, suffix: &str) -> String {
        self.folder.join(format!("{}.{suffix}", self.name)).display().to_string()
    }

    fn remote(&self) -> String {
        format!("unix:{}", self.of("sock"))
    }

    /// Starts a server of `what` and waits until it listens.
    fn serve(&self, what: String) -> Daemon {
        let arguments = [
            what,
            format!("--remote=punix:{}", self.of("sock")),
            format!("--unixctl={}", self.of("ctl")),
            format!("--log-file={}", self.of("log")),
            "-vconsole:off".to_owned(),
        ];
        let mut daemon = Daemon::start(&self.name, "ovsdb-server", &self.folder, &arguments);
        for suffix in ["sock", "ctl"] {
            daemon.wait_for_socket(Path::new(&self.of(suffix)));
        }
        daemon
    }

    /// What the server says of the database; of one that does not answer nothing.
    fn status(&self) -> String {
        let arguments = ["-T", "2", "-t", &self.of("ctl"), "cluster/status", "OVN_Southbound"];
        try_run("ovs-appctl", &self.folder, &arguments).unwrap_or_default()
    }
}

impl Cluster {
    /// Starts a cluster of `count` members with an empty Southbound.
    pub fn start(folder: &Path, count: usize) -> Cluster {
        std::fs::create_dir_all(folder).unwrap();
        let schema = need("/usr/share/ovn/ovn-sb.ovsschema");
        let mut cluster = Cluster { members: Vec::new() };
        for number in 1..=count {
            let files = Files { name: format!("raft{number}"), folder: folder.to_owned() };
            let (database, own) = (files.of("db"), format!("unix:{}", files.of("raft")));
            match cluster.members.first() {
                None => run("ovsdb-tool", folder, &["create-cluster", &database, &schema, &own]),
                Some(first) => {
                    let other = format!("unix:{}", first.files.of("raft"));
                    run("ovsdb-tool", folder, &["join-cluster", &database, "OVN_Southbound", &own, &other])
                }
            };
            let daemon = Some(files.serve(database));
            cluster.members.push(Member { files, daemon });
            cluster.wait_member(number - 1);
        }
        cluster
    }

    /// How to reach it: a list of all members.
    pub fn remotes(&self) -> String {
        self.members.iter().map(|member| member.files.remote()).collect::<Vec<_>>().join(",")
    }

    /// Waits for a leader that knows that it is one; returns its place.
    pub fn leader(&self) -> usize {
        let mut leader = None;
        wait_until("a leader", || {
            let alive = |member: &&Member| member.daemon.is_some();
            leader = (self.members.iter())
                .position(|member| alive(&member) && member.files.status().contains("Role: leader"));
            leader.is_some()
        });
        leader.unwrap()
    }

    /// How to reach the leader.
    pub fn leader_remote(&self) -> String {
        self.members[self.leader()].files.remote()
    }

    /// As `kill -9`.
    pub fn kill(&mut self, place: usize) {
        self.members[place].daemon.take().unwrap().kill();
    }

    /// Starts it again after [`Cluster::kill`] and waits until it follows the leader.
    pub fn restart(&mut self, place: usize) {
        let files = &self.members[place].files;
        self.members[place].daemon = Some(files.serve(files.of("db")));
        self.wait_member(place);
    }

    fn wait_member(&self, place: usize) {
        let files = &self.members[place].files;
        wait_until(&format!("{} to be a member", files.name), || {
            let status = files.status();
            status.contains("Status: cluster member") && !status.contains("Leader: unknown")
        });
    }

    /// `ovsdb-client -f json dump` of what the leader has; returns the file.
    pub fn dump(&self) -> PathBuf {
        let files = &self.members[self.leader()].files;
        let text = run("ovsdb-client", &files.folder, &["-f", "json", "dump", &files.remote(), "OVN_Southbound"]);
        let path = files.folder.join("cluster.dump.json");
        std::fs::write(&path, text).unwrap();
        path
    }
}

/// A server that passes the Southbound on.
pub struct Relay {
    files: Files,
    source: String,
    daemon: Option<Daemon>,
}

impl Relay {
    /// Starts relay `number` for a Southbound at `source`.
    pub fn start(folder: &Path, number: usize, source: &str) -> Relay {
        let files = Files { name: format!("relay{number}"), folder: folder.to_owned() };
        let mut relay = Relay { files, source: source.to_owned(), daemon: None };
        relay.restart();
        relay
    }

    /// How to reach it.
    pub fn remote(&self) -> String {
        self.files.remote()
    }

    /// As `kill -9`.
    pub fn kill(&mut self) {
        self.daemon.take().unwrap().kill();
    }

    /// Sends it a signal, by name: STOP and CONT make it hang.
    pub fn signal(&self, name: &str) {
        self.daemon.as_ref().unwrap().signal(name);
    }

    /// Starts it (again).
    pub fn restart(&mut self) {
        self.daemon = Some(self.files.serve(format!("relay:OVN_Southbound:{}", self.source)));
    }
}
