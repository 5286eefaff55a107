//! Switches that are none: the agent says what is wrong, keeps its size, and goes on when there is a real one.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crate::common::topology::{A1, B1, Topology};
use crate::common::{Agent, Hypervisor, wait_until};

const OURS: [Agent; 2] = [Agent::Ours, Agent::Ours];
const HELLO: [u8; 8] = [6, 0, 0, 8, 0, 0, 0, 1];
const ECHO_REQUEST: [u8; 8] = [6, 2, 0x40, 0, 0, 0, 0, 1];

/// What is done with a connection, again and again until it says that it is over.
type Serve = fn(&mut UnixStream) -> bool;

/// Listens at a socket and does the same with every connection until it is dropped.
struct Peer {
    stop: Arc<AtomicBool>,
    count: Arc<AtomicUsize>,
    path: std::path::PathBuf,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Peer {
    fn start(hypervisor: &Hypervisor, name: &str, serve: Serve) -> Peer {
        let path = hypervisor.folder.join(format!("{name}.sock"));
        let listener = UnixListener::bind(&path).unwrap();
        let (stop, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (stopped, counted) = (stop.clone(), count.clone());
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                counted.fetch_add(1, Ordering::Relaxed);
                stream.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
                stream.set_write_timeout(Some(Duration::from_millis(20))).unwrap();
                while !stopped.load(Ordering::Relaxed) && serve(&mut stream) {}
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
            }
        });
        hypervisor.vsctl(&format!("set Open_vSwitch . external_ids:ovn-bridge-remote=unix:{}", path.display()));
        Peer { stop, count, path, thread: Some(thread) }
    }

    fn connections(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // It may be waiting for somebody.
        let _ = UnixStream::connect(&self.path);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

fn resident_kb(topology: &mut Topology) -> usize {
    let pid = topology.cloud.hv(1).agent_daemon().pid();
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn real_one(hypervisor: &Hypervisor) {
    hypervisor.vsctl("remove Open_vSwitch . external_ids ovn-bridge-remote");
}

fn drain(stream: &mut UnixStream) -> bool {
    let mut chunk = [0; 4096];
    match stream.read(&mut chunk) {
        Ok(count) => count > 0,
        Err(error) => matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut),
    }
}

#[test]
fn switches_that_are_none() {
    let mut topology = Topology::start(&OURS);
    let size = resident_kb(&mut topology);
    let cases: [(&str, Serve, &[&str]); 4] = [
        // Garbage, and an end.
        (
            "garbage",
            |stream| {
                let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
                drain(stream);
                false
            },
            &["does not speak OpenFlow", "HTTP/1.1"],
        ),
        // OpenFlow 1.0 to 1.4.
        (
            "old",
            |stream| {
                let _ = stream.write_all(&[5, 0, 0, 16, 0, 0, 0, 1, 0, 1, 0, 8, 0, 0, 0, 0b0011_1110]);
                drain(stream)
            },
            &["OpenFlow 1.0, 1.1, 1.2, 1.3, 1.4", "protocols=OpenFlow15"],
        ),
        // A hello, and then something that cannot be.
        (
            "out-of-step",
            |stream| {
                let _ = stream.write_all(&HELLO);
                let _ = stream.write_all(&[&[6, 3, 0, 4][..], &[0; 12]].concat());
                drain(stream)
            },
            &["stream out of step"],
        ),
        // A hello, then questions without end; what the agent answers is never read.
        (
            "flood",
            |stream| {
                if stream.write_all(&HELLO).is_err() {
                    return false;
                }
                let question = [&ECHO_REQUEST[..], &[0; 0x4000 - 8]].concat();
                // 200 MB, or until the agent does not read any more.
                (0..12_800).take_while(|_| stream.write_all(&question).is_ok()).count() == 12_800
            },
            &["br-int.mgmt: connected"],
        ),
    ];
    for (name, serve, words) in cases {
        let hypervisor = &topology.cloud.hypervisors[0];
        let peer = Peer::start(hypervisor, name, serve);
        wait_until("the agent to come", || peer.connections() > 0);
        wait_until(&format!("{name}: {words:?}"), || !hypervisor.logged(words).is_empty());
        if name != "flood" {
            let attempts = peer.connections();
            wait_until("another attempt", || peer.connections() > attempts + 1);
            let lines = hypervisor.logged(words);
            assert_eq!(lines.len(), 1, "said once: {lines:#?}");
            println!("{}", lines[0]);
        }
        // Control commands are answered all the time.
        assert_eq!(hypervisor.agent_appctl(&["connection-status"]).unwrap(), "connected\n");
        let now = resident_kb(&mut topology);
        assert!(now < size + 40_000, "{name}: {size} KB became {now} KB");
        let hypervisor = &topology.cloud.hypervisors[0];
        real_one(hypervisor);
        drop(peer);
        topology.cloud.sync();
        hypervisor.wait_translated(&topology.cloud.sb);
        topology.send(A1, B1, &format!("after {name}"));
    }
    println!("{size} KB before, {} KB after", resident_kb(&mut topology));
}

#[test]
fn a_switch_that_stops_reading() {
    let topology = Topology::start(&OURS);
    let hypervisor = &topology.cloud.hypervisors[0];
    let switch = hypervisor.switch_pid().to_string();
    run_kill("STOP", &switch);
    topology.cloud.nbctl_words(&["acl-add", "sa", "to-lport", "900", "ip4.src == 10.8.8.8", "drop"]);
    topology.cloud.nbctl("--wait=sb sync");
    let said = ["nothing from the switch for"];
    wait_until("a word about the switch", || !hypervisor.logged(&said).is_empty());
    println!("{}", hypervisor.logged(&said)[0]);
    assert_eq!(hypervisor.agent_appctl(&["connection-status"]).unwrap(), "connected\n");
    run_kill("CONT", &switch);
    topology.cloud.sync();
    hypervisor.wait_translated(&topology.cloud.sb);
    assert_eq!(hypervisor.logged(&said).len(), 1);
    assert_eq!(hypervisor.logged(&["the switch answers again"]).len(), 1);
    assert_eq!(hypervisor.logged(&["connection to the switch lost"]), Vec::<String>::new());
}

fn run_kill(signal: &str, pid: &str) {
    let status = std::process::Command::new("kill").args(["-s", signal, pid]).status().unwrap();
    assert!(status.success());
}
