//! A real raft cluster of three servers.

use std::path::Path;
use std::process::{Child, Command as Process, Stdio};
use std::time::Instant;

use ovsdb::condition::Conditions;
use ovsdb::remote::Remote;
use ovsdb::session::{Disconnect, Event, Unfit};
use ovsdb::transport::Command;

use super::{Client, DEADLINE, SCHEMA, Server, address_set, config};

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

/// Waits for the end of a connection because of what the server is, passing over others. Data must not come before.
async fn unfit(client: &mut Client) -> Unfit {
    loop {
        match client.event().await {
            Event::Disconnected { why: Disconnect::Unfit(why) } => return why,
            Event::InitialData { .. } => panic!("its data was believed"),
            _ => {}
        }
    }
}

/// Waits for the answer to the monitor request: whether the server continues.
async fn data(client: &mut Client) -> bool {
    loop {
        if let Event::InitialData { found, .. } = client.event().await {
            return found;
        }
    }
}

#[tokio::test]
async fn a_member_that_leaves_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let members: Vec<Member> = (0..2).map(|index| Member::create(folder.path(), index)).collect();
    let mut client = Client::start(vec![members[1].remote()], config(Conditions::default()));
    client.initial_data().await;
    client.send(Command::SetRemotes(members.iter().map(Member::remote).collect())).await;
    let (_, outcome) = client.transact(address_set("a", &[])).await;
    assert!(outcome.is_committed(), "through a follower: {outcome:?}");
    let mut appctl = Process::new("ovs-appctl");
    appctl.arg("-t").arg(members[1].folder.join("ctl")).args(["cluster/leave", "OVN_Southbound"]);
    assert!(appctl.status().unwrap().success());
    loop {
        match client.event().await {
            // It may have forgotten its database before it says that it is in no cluster.
            Event::Disconnected {
                why: Disconnect::Unfit(Unfit::Disconnected) | Disconnect::Refused { method: "get_schema", .. },
            } => break,
            Event::Update { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    assert!(data(&mut client).await, "the other one continues");
    let (_, outcome) = client.transact(address_set("b", &[])).await;
    assert!(outcome.is_committed(), "{outcome:?}");
}

#[tokio::test]
async fn a_cluster_made_anew_is_stale_until_somebody_says_that_it_is_not() {
    let mut old = Server::create(true);
    let mut client = Client::start(vec![old.remote()], config(Conditions::default()));
    client.initial_data().await;
    for name in ["a", "b", "c"] {
        assert!(client.transact(address_set(name, &[])).await.1.is_committed());
    }
    old.kill();
    let new = Server::create(true);
    client.send(Command::SetRemotes(vec![new.remote()])).await;
    assert_eq!(unfit(&mut client).await, Unfit::Stale);
    client.send(Command::ForgetIndex).await;
    assert!(!data(&mut client).await, "all of it, since it knows nothing of the old one's transactions");
}

/// One that has had its source says for half a minute that it has it still; one that never had is known at once.
#[tokio::test]
async fn a_relay_without_its_source_is_of_no_use_yet() {
    let mut source = Server::create(true);
    source.kill();
    let folder = tempfile::tempdir().unwrap();
    let (socket, ctl) = (folder.path().join("sock"), folder.path().join("ctl"));
    let child = Process::new("ovsdb-server")
        .arg(format!("--remote=punix:{}", socket.display()))
        .arg(format!("--unixctl={}", ctl.display()))
        .arg("-vconsole:off")
        .arg(format!("relay:OVN_Southbound:{}", source.remote()))
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let _relay = Member { folder: folder.path().to_owned(), child: Some(child) };
    let mut client = Client::start(vec![Remote::Unix(socket)], config(Conditions::default()));
    assert_eq!(unfit(&mut client).await, Unfit::RelayDisconnected);
    source.start();
    assert!(!data(&mut client).await);
    let (_, outcome) = client.transact(address_set("a", &[])).await;
    assert!(outcome.is_committed(), "the relay passes it on: {outcome:?}");
}
