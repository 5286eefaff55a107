//! A real raft cluster of three servers.

use std::path::Path;
use std::process::{Child, Command as Process, Stdio};
use std::time::Instant;

use ovsdb::condition::Conditions;
use ovsdb::remote::Remote;
use ovsdb::session::{Disconnect, Event, Unfit};
use ovsdb::transport::Command;

use super::{Client, DEADLINE, SCHEMA, address_set, config};

/// A member; killed with the value.
struct Member {
    folder: std::path::PathBuf,
    child: Option<Child>,
}

impl Member {
    /// Creates number `index` of a cluster in `folder` and starts it.
    fn create(folder: &Path, index: usize) -> Member {
        let raft = |index: usize| format!("unix:{}", folder.join(format!("raft{index}")).display());
        let own = folder.join(index.to_string());
        std::fs::create_dir(&own).unwrap();
        let mut tool = Process::new("ovsdb-tool");
        match index {
            0 => tool.arg("create-cluster").arg(own.join("db")).args([SCHEMA, &raft(0)]),
            _ => tool.arg("join-cluster").arg(own.join("db")).args(["OVN_Southbound", &raft(index), &raft(0)]),
        };
        assert!(tool.status().unwrap().success());
        let mut member = Member { folder: own, child: None };
        member.start();
        member
    }

    fn start(&mut self) {
        let child = Process::new("ovsdb-server")
            .arg(format!("--remote=punix:{}", self.folder.join("sock").display()))
            .arg(format!("--unixctl={}", self.folder.join("ctl").display()))
            .arg("-vconsole:off")
            .arg(self.folder.join("db"))
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        self.child = Some(child);
        self.wait("Status: cluster member");
    }

    /// Waits until the server says this of itself.
    fn wait(&self, what: &str) {
        let deadline = Instant::now() + DEADLINE;
        while !self.status().contains(what) {
            assert!(Instant::now() < deadline, "not {what}: {}", self.status());
        }
    }

    fn status(&self) -> String {
        let mut appctl = Process::new("ovs-appctl");
        appctl.args(["-T", "2", "-t"]).arg(self.folder.join("ctl")).args(["cluster/status", "OVN_Southbound"]);
        String::from_utf8(appctl.output().unwrap().stdout).unwrap()
    }

    fn remote(&self) -> Remote {
        Remote::Unix(self.folder.join("sock"))
    }

    fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    fn signal(&self, name: &str) {
        let pid = self.child.as_ref().unwrap().id().to_string();
        assert!(Process::new("kill").args(["-s", name, &pid]).status().unwrap().success());
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.kill();
    }
}

#[tokio::test]
async fn a_member_that_is_behind_is_not_believed() {
    let folder = tempfile::tempdir().unwrap();
    let mut members: Vec<Member> = (0..3).map(|index| Member::create(folder.path(), index)).collect();
    members[2].wait("Role: follower");
    let mut client = Client::start(vec![members[0].remote()], config(Conditions::default()));
    client.initial_data().await;
    // One member stands still while the others go on, with more than the sockets hold: it cannot find all of it there later.
    members[2].signal("STOP");
    for name in ["a", "b", "c"] {
        let (_, outcome) = client.transact(address_set(&name.repeat(1 << 20), &[])).await;
        assert!(outcome.is_committed(), "{outcome:?}");
    }
    members[0].kill();
    members[1].kill();
    members[2].signal("CONT");
    client.send(Command::SetRemotes(vec![members[2].remote()])).await;
    let unfit = loop {
        match client.event().await {
            Event::Disconnected { why: Disconnect::Unfit(why) } => break why,
            Event::InitialData { .. } | Event::Update { .. } => panic!("its data was believed"),
            _ => {}
        }
    };
    // At first it does not know that the others are gone.
    assert_eq!(unfit, Unfit::Stale);
    // With another it is a cluster again, and has what it missed.
    members[1].start();
    loop {
        match client.event().await {
            Event::InitialData { found, payload, .. } => {
                assert!(found && payload.as_str() == "{}", "nothing new, nothing lost: {payload:?}");
                break;
            }
            Event::Update { .. } => panic!("an update before data"),
            _ => {}
        }
    }
    let (_, outcome) = client.transact(address_set("d", &[])).await;
    assert!(outcome.is_committed(), "{outcome:?}");
}
