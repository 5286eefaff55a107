//! A stream of a packet a millisecond through both hypervisors, while agents and servers end and start again: all of it arrives.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::switch::{bundled, many_flows};
use crate::common::packets::{Udp, captured, hex};
use crate::common::process::Control;
use crate::common::topology::{A1, B1, Topology};
use crate::common::{Agent, ovn_agent, wait_until};

const OURS: [Agent; 2] = [Agent::Ours, Agent::Ours];

/// What has not arrived by then is lost.
const LOST: Duration = Duration::from_secs(5);

/// Packets from `a1` to `b1`, routed and through the tunnel, each with its number.
struct Stream {
    stop: Arc<AtomicBool>,
    sender: std::thread::JoinHandle<(usize, Duration)>,
}

fn datagram(phase: &str, number: usize) -> Udp {
    Udp {
        from_mac: A1.mac(),
        to_mac: A1.gateway().0,
        from: A1.address(),
        to: B1.address(),
        from_port: 1000,
        to_port: 2000,
        ttl: 64,
        payload: format!("{phase}: {number:06}"),
    }
}

impl Stream {
    fn start(topology: &Topology, phase: &str) -> Stream {
        let socket = topology.cloud.hypervisors[0].folder.join("switch.ctl");
        let arrivals = topology.cloud.hypervisors[1].folder.join("b1.pcap");
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, phase) = (stop.clone(), phase.to_owned());
        let sender = std::thread::spawn(move || send(&socket, &arrivals, &phase, &stopped));
        Stream { stop, sender }
    }

    /// How many packets were sent, and the longest pause between two.
    fn stop(self) -> (usize, Duration) {
        self.stop.store(true, Ordering::Relaxed);
        self.sender.join().unwrap()
    }
}

/// So many packets may be on their way: queues of dummy ports hold a hundred, and the machine may be busy.
const AHEAD: u64 = 20;

/// One after the other through the switch's control socket, on one connection, at most one a millisecond.
fn send(socket: &Path, arrivals: &Path, phase: &str, stop: &AtomicBool) -> (usize, Duration) {
    let size = || std::fs::metadata(arrivals).map_or(0, |file| file.len());
    // A packet in the capture file, with its header.
    let each = datagram(phase, 0).frame().len() as u64 + 16;
    let mut before = size();
    let mut control = Control::connect(socket);
    let (mut number, mut pause, mut last) = (0, Duration::ZERO, Instant::now());
    while !stop.load(Ordering::Relaxed) {
        let frame = hex(&datagram(phase, number).frame());
        control.call("netdev-dummy/receive", &[&A1.name(), &frame]);
        number += 1;
        let late = Instant::now();
        while (number as u64).saturating_sub(size().saturating_sub(before) / each) > AHEAD && late.elapsed() < LOST {
            std::thread::sleep(Duration::from_millis(1));
        }
        if late.elapsed() >= LOST {
            // They are not on their way any more.
            before = size().saturating_sub(number as u64 * each);
        }
        std::thread::sleep(Duration::from_millis(1).saturating_sub(last.elapsed()));
        pause = pause.max(last.elapsed());
        last = Instant::now();
    }
    (number, pause)
}

fn arrived(topology: &Topology) -> BTreeSet<Vec<u8>> {
    let path = topology.cloud.hypervisors[1].folder.join("b1.pcap");
    captured(&path).into_iter().collect()
}

/// What was sent in a test.
#[derive(Debug, Default)]
pub struct Traffic {
    /// Packets.
    pub total: usize,
    /// The longest pause between two.
    pub longest: Duration,
}

impl Traffic {
    /// Does something while the stream goes on, before, during and behind it. Everything that was sent has to arrive.
    pub fn during(&mut self, topology: &mut Topology, what: &str, act: impl FnOnce(&mut Topology)) {
        let lost = self.lost_during(topology, what, act);
        assert_eq!(lost, [0usize; 0], "{what}: packets lost");
    }

    /// The same; returns the numbers of the packets that did not arrive.
    pub fn lost_during(&mut self, topology: &mut Topology, what: &str, act: impl FnOnce(&mut Topology)) -> Vec<usize> {
        let before = arrived(topology);
        let stream = Stream::start(topology, what);
        wait_until("the stream", || arrived(topology).len() > before.len() + 20);
        act(topology);
        let at_the_end = arrived(topology).len();
        wait_until("more of the stream", || arrived(topology).len() > at_the_end + 20);
        let (sent, pause) = stream.stop();
        let expected =
            |number| Udp { from_mac: B1.gateway().0, to_mac: B1.mac(), ttl: 63, ..datagram(what, number) }.frame();
        let missing = |topology: &Topology| {
            let arrived = arrived(topology);
            (0..sent).filter(|number| !arrived.contains(&expected(*number))).collect::<Vec<_>>()
        };
        // The last ones are on their way.
        let start = Instant::now();
        while !missing(topology).is_empty() && start.elapsed() < LOST {
            std::thread::yield_now();
        }
        let lost = missing(topology);
        self.total += sent;
        self.longest = self.longest.max(pause);
        println!("{what}: {sent} packets, {} lost", lost.len());
        lost
    }
}

/// `OVN_AGENT_BIN_NEW` names the program that is upgraded to; without it that is the same.
#[test]
fn no_packet_is_lost_while_agents_and_servers_restart() {
    let new = std::env::var("OVN_AGENT_BIN_NEW").unwrap_or_else(|_| ovn_agent());
    let mut topology = Topology::start(&OURS);
    topology.cloud.nbctl("lb-add lb 10.0.1.100:80 10.0.2.1:80,10.0.2.2:80 -- ls-lb-add sa lb");
    topology.cloud.nbctl_words(&["acl-add", "sb", "to-lport", "900", "ip4 && udp.dst == 2000", "allow-related"]);
    many_flows(&topology, 500, 0);
    topology.cloud.sync();
    topology.send(A1, B1, "first");
    let mut traffic = Traffic::default();
    traffic.during(&mut topology, "SIGKILL and start", |topology| {
        for number in [1, 2] {
            topology.cloud.hv(number).kill_agent();
            topology.cloud.hv(number).start_agent();
            topology.cloud.hv(number).wait_ready();
        }
    });
    let mut third = 0;
    traffic.during(&mut topology, "SIGKILL in the middle of a bundle", |topology| {
        for point in [1, 300, 900] {
            topology.cloud.hv(1).kill_agent();
            third += 1;
            many_flows(topology, 500, third);
            topology.cloud.nbctl("--wait=sb sync");
            let openflow = topology.cloud.hv(1).watch_openflow();
            topology.cloud.hv(1).start_agent();
            wait_until("the middle of a bundle", || bundled(&topology.cloud.hypervisors[0], &openflow) >= point);
            topology.cloud.hv(1).kill_agent();
            topology.cloud.hv(1).start_agent();
            topology.cloud.hv(1).wait_ready();
        }
        topology.cloud.hypervisors[0].switch_appctl(&["vlog/set", "vconn:file:info"]);
    });
    traffic.during(&mut topology, "exit --restart and start", |topology| {
        for number in [1, 2] {
            topology.cloud.hv(number).agent_appctl(&["exit", "--restart"]).unwrap();
            assert!(topology.cloud.hv(number).agent_daemon().wait_for_end());
            topology.cloud.hv(number).start_agent();
            topology.cloud.hv(number).wait_ready();
        }
    });
    traffic.during(&mut topology, "upgrade", |topology| {
        for number in [1, 2] {
            topology.cloud.hv(number).kill_agent();
            topology.cloud.hv(number).start_agent_named(&new);
            topology.cloud.hv(number).wait_ready();
        }
    });
    traffic.during(&mut topology, "Southbound server", |topology| {
        topology.cloud.sb.restart();
        topology.cloud.sync();
    });
    // Without its database Open vSwitch's main thread does nothing, polling of ports included; other threads go on. (In a real
    // deployment that is the kernel's datapath, or DPDK's threads.)
    for (number, ports) in [(1, ["a1", "to-hv2"]), (2, ["b1", "up"])] {
        let hypervisor = topology.cloud.hv(number);
        hypervisor.vsctl("set Open_vSwitch . other_config:pmd-maxsleep=500");
        for port in ports {
            hypervisor.vsctl(&format!("set Interface {port} type=dummy-pmd"));
        }
    }
    wait_until("the wire", || {
        let state = topology.cloud.hypervisors[1].switch_appctl(&["netdev-dummy/conn-state", "up"]);
        state.contains(": connected") && !state.contains("disconnected")
    });
    topology.send(A1, B1, "by other threads");
    traffic.during(&mut topology, "local servers", |topology| {
        for number in [1, 2] {
            topology.cloud.hv(number).database.restart();
        }
        topology.cloud.sync();
        let nb_cfg = format!("\"{}\"", topology.cloud.nbctl("get NB_Global . nb_cfg"));
        for number in [1, 2] {
            wait_until("the agent back at its database", || {
                topology.cloud.hv(number).vsctl("get Bridge br-int external_ids:ovn-nb-cfg") == nb_cfg
            });
        }
    });
    let Traffic { total, longest } = traffic;
    println!("{total} packets, none lost; at most {} ms between two", longest.as_millis());
}
