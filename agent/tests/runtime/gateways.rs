//! Gateways that stand in for each other. Router `r` has a distributed gateway port to the switch `pub`, whose physical network all
//! three hypervisors reach; hv2 is the gateway, hv3 takes over without it, hv1 without both. They watch each other by BFD
//! over their tunnels, which the dummy datapaths carry like any packet.

use std::time::{Duration, SystemTime};

use crate::common::packets::Udp;
use crate::common::process::Server;
use crate::common::topology::{A1, Topology};
use crate::common::{Agent, Hypervisor, wait_until};

/// Address and MAC of somebody on the physical network.
const OUTSIDE: [u8; 4] = [172, 16, 0, 9];
const OUTSIDE_MAC: [u8; 6] = [2, 0, 0, 0, 0, 9];
/// The router's MAC there.
const GATEWAY_MAC: [u8; 6] = [2, 0, 0, 0, 0, 0xfe];
/// Between two BFD packets, and how many may be missed: a session is down after 1.6 seconds without, even on a busy machine not before.
const BFD: &str = "bfd-min-rx=200 options:bfd-min-tx=200 options:bfd-mult=8";

/// Three hypervisors, three gateways, and `a1` on hv1.
fn with_gateways(agents: [Agent; 3]) -> Topology {
    let mut topology = Topology::start_idle(&agents);
    let cloud = &mut topology.cloud;
    cloud.nbctl(&format!("set NB_Global . options:{BFD}"));
    cloud.nbctl(
        "ls-add pub -- lsp-add pub ln -- lsp-set-type ln localnet -- lsp-set-addresses ln unknown \
         -- lsp-set-options ln network_name=phys -- lrp-add r r-pub 02:00:00:00:00:fe 172.16.0.254/24 \
         -- lsp-add pub pub-r -- lsp-set-type pub-r router -- lsp-set-addresses pub-r router \
         -- lsp-set-options pub-r router-port=r-pub -- static-mac-binding-add r-pub 172.16.0.9 02:00:00:00:00:09 \
         -- lrp-set-gateway-chassis r-pub hv1 10 -- lrp-set-gateway-chassis r-pub hv2 30 \
         -- lrp-set-gateway-chassis r-pub hv3 20",
    );
    for hypervisor in &mut cloud.hypervisors {
        let capture = hypervisor.folder.join("uplink.pcap");
        hypervisor.vsctl(&format!(
            "add-br br-ex -- set Open_vSwitch . external_ids:ovn-bridge-mappings=phys:br-ex \
             -- add-port br-ex uplink -- set Interface uplink options:tx_pcap={}",
            capture.display()
        ));
        hypervisor.start_agent();
    }
    topology.plug(A1);
    topology.cloud.sync();
    topology.cloud.wait_up("a1");
    topology
}

/// The hypervisor that has the gateway, by the Southbound.
fn holder(topology: &Topology) -> String {
    let cloud = &topology.cloud;
    let chassis = cloud.sb_find("chassis", "Port_Binding", "logical_port=cr-r-pub");
    if chassis.is_empty() { chassis } else { cloud.sbctl(&format!("--if-exists get Chassis {chassis} name")) }
}

/// The sessions that gateways have: of which hypervisor, and with whom.
const SESSIONS: [(usize, &str); 4] = [(1, "hv2"), (1, "hv3"), (3, "hv2"), (2, "hv3")];

/// Waits until all are up.
fn wait_sessions(topology: &Topology) {
    for (from, to) in SESSIONS {
        wait_until("sessions", || session(&topology.cloud.hypervisors[from - 1], to) == "up");
    }
}

/// The state of the session of one hypervisor with another.
fn session(hypervisor: &Hypervisor, with: &str) -> String {
    hypervisor.vsctl(&format!("--if-exists get Interface ovn-{with}-0 bfd_status:state")).trim_matches('"').to_owned()
}

/// Sends datagrams from `a1` to the outside until one leaves through the uplink of `gateway`. Returns how often it was sent.
fn send_outside(topology: &Topology, gateway: usize, payload: &str) -> usize {
    let sent = Udp {
        from_mac: A1.mac(),
        to_mac: A1.gateway().0,
        from: A1.address(),
        to: OUTSIDE,
        from_port: 1000,
        to_port: 2000,
        ttl: 64,
        payload: payload.to_owned(),
    };
    let expected = Udp { from_mac: GATEWAY_MAC, to_mac: OUTSIDE_MAC, ttl: 63, ..sent.clone() };
    let (source, target) = (&topology.cloud.hypervisors[0], &topology.cloud.hypervisors[gateway - 1]);
    let mut count = 0;
    wait_until(&format!("{payload}: a datagram leaving hv{gateway}"), || {
        source.send(&A1.name(), &sent.frame());
        count += 1;
        target.received("uplink", &expected.frame()) > 0
    });
    count
}

/// Everybody agrees: the Southbound says `gateway`, and every switch that runs has what a translation from scratch yields.
fn wait_agreed(topology: &Topology, gateway: &str, running: &[usize]) {
    wait_until(&format!("{gateway} having the gateway"), || holder(topology) == gateway);
    for number in running {
        topology.cloud.hypervisors[number - 1].wait_translated(&topology.cloud.sb);
    }
    assert_eq!(holder(topology), gateway);
}

/// How often a chassis has claimed or released a port.
fn claims(topology: &Topology) -> usize {
    let parts = [r#""op":"update","table":"Port_Binding""#, r#""chassis""#];
    let log = topology.cloud.sb.log();
    log.lines().filter(|line| parts.iter().all(|part| line.contains(part))).count()
}

/// Milliseconds of the day of the first line with all of `parts` in a log, whose lines begin with a time (`HH:MM:SS.mmm` in the
/// first 24 characters); nothing before `since`.
fn time_of(log: &str, since: u64, parts: &[&str]) -> Option<u64> {
    let lines = log.lines().filter(|line| parts.iter().all(|part| line.contains(part)));
    lines.filter_map(|line| milliseconds(line.get(..24).unwrap_or(line))).find(|at| *at >= since)
}

fn milliseconds(text: &str) -> Option<u64> {
    let time = text.split('T').next_back()?.split('|').next()?.trim_end_matches('Z');
    let mut parts = time.split([':', '.']).map(|part| part.parse::<u64>().ok());
    let mut next = || parts.next().flatten();
    let (hours, minutes, seconds, ms) = (next()?, next()?, next()?, next()?);
    Some(((hours * 60 + minutes) * 60 + seconds) * 1000 + ms)
}

fn now() -> u64 {
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    u64::try_from(since_1970.as_millis()).unwrap() % Duration::from_secs(86_400).as_millis() as u64
}

/// What happened when, from the logs of the switch and the servers.
fn timeline(standby: &Hypervisor, sb: &Server, killed: u64, gone: &str) -> String {
    let switch = standby.switch_log();
    let down =
        time_of(&switch, killed, &[&format!("ovn-{gone}-0"), "BFD state change: up->down"]).expect("BFD went down");
    let told =
        time_of(&standby.database.log(), down, &["received request", "bfd_status", "down"]).expect("and was told");
    let claim = [r#""chassis":["set",[["uuid""#, r#""op":"update","table":"Port_Binding""#];
    let claimed = time_of(&sb.log(), told, &claim).expect("claimed");
    // The time of a message is in the line before.
    let mut at = None;
    let flows = switch.lines().find_map(|line| {
        at = line.get(..24).and_then(milliseconds).or(at);
        at.filter(|at| *at >= told && line.contains("type=COMMIT_REQUEST"))
    });
    let flows = flows.expect("flows changed");
    format!(
        "session down {} ms after the kill; in the database {} ms later; flows committed {} ms and port claimed {} ms after that",
        down - killed,
        told - down,
        flows - told,
        claimed - told
    )
}

#[test]
fn a_gateway_dies_and_comes_back() {
    let mut topology = with_gateways([Agent::Ours; 3]);
    wait_agreed(&topology, "hv2", &[1, 2, 3]);
    wait_sessions(&topology);
    for (from, to) in SESSIONS {
        let hypervisor = &topology.cloud.hypervisors[from - 1];
        // A session begins slowly; how soon its end is seen depends on what the other one has said last.
        wait_until("the pace of sessions", || {
            hypervisor
                .switch_appctl(&["bfd/show", &format!("ovn-{to}-0")])
                .contains("Remote Minimum TX Interval: 200ms")
        });
    }
    let bfd = topology.cloud.hv(1).vsctl("get Interface ovn-hv2-0 bfd");
    assert_eq!(bfd, "{check_tnl_key=\"true\", enable=\"true\", min_rx=\"200\", min_tx=\"200\", mult=\"8\"}");
    send_outside(&topology, 2, "all are well");
    let before: Vec<_> = topology.cloud.hypervisors.iter().map(Hypervisor::flows).collect();

    topology.cloud.hv(3).watch_openflow();
    let killed = now();
    topology.cloud.hv(2).kill_agent();
    topology.cloud.hv(2).kill_switch();
    let sent = send_outside(&topology, 3, "without hv2");
    let outage = now() - killed;
    wait_agreed(&topology, "hv3", &[1, 3]);
    let times = timeline(&topology.cloud.hypervisors[2], &topology.cloud.sb, killed, "hv2");
    println!("hv2 killed: {times}; first packet after {outage} ms ({sent} sent)");
    let flows = topology.cloud.hv(3).flows();
    let changed = flows.iter().filter(|flow| !before[2].contains(flow)).count();
    println!("hv3: {changed} flows new or changed, {} in all", flows.len());
    assert!(changed > 0);
    assert_eq!(topology.cloud.hv(1).flows(), before[0], "whom hv1 sends to is up to its switch");

    let back = now();
    topology.cloud.restart_switch(2);
    topology.cloud.hv(2).start_agent();
    wait_agreed(&topology, "hv2", &[1, 2, 3]);
    println!("hv2 has the gateway again {} ms after its start began", now() - back);
    send_outside(&topology, 2, "hv2 is back");
    // Which flows there are depends on the sessions too, of which hv3's with hv2 may come up long after the gateway is back.
    wait_sessions(&topology);
    wait_agreed(&topology, "hv2", &[1, 2, 3]);
    for (hypervisor, before) in topology.cloud.hypervisors.iter().zip(&before) {
        assert_eq!(&hypervisor.flows(), before, "{}", hypervisor.name);
    }

    // A connection that breaks hands nothing over.
    let before = claims(&topology);
    let mark = topology.cloud.hv(2).log_mark();
    topology.cloud.hv(2).vsctl("set Bridge br-int protocols=OpenFlow13,OpenFlow15");
    wait_until("a broken connection", || {
        topology.cloud.hypervisors[1].agent_log_since(&mark).contains("connection to the switch lost")
    });
    topology.cloud.hypervisors[1].wait_translated(&topology.cloud.sb);
    topology.cloud.sync();
    assert_eq!(claims(&topology), before, "claims after a short break");

    // Without its switch the agent gives the gateway up, whatever the database says of sessions.
    topology.cloud.hv(2).kill_switch();
    wait_until("hv2 giving up or hv3 taking over", || holder(&topology) != "hv2");
    assert_eq!(session(&topology.cloud.hypervisors[1], "hv3"), "up", "nobody has written since");
    wait_agreed(&topology, "hv3", &[1, 3]);
    let before = claims(&topology);
    send_outside(&topology, 3, "without the switch of hv2");
    assert_eq!(claims(&topology), before, "hv2 wants it back");
    assert_eq!(holder(&topology), "hv3");
}

/// The packaged agent has the gateway, dies, and gets it back from ours.
#[test]
fn a_gateway_of_the_packaged_agent() {
    let mut topology = with_gateways([Agent::Ours, Agent::Packaged, Agent::Ours]);
    wait_agreed(&topology, "hv2", &[1, 3]);
    for (from, to) in [(1, "hv2"), (3, "hv2"), (2, "hv3")] {
        wait_until("sessions", || session(&topology.cloud.hypervisors[from - 1], to) == "up");
    }
    send_outside(&topology, 2, "all are well");
    topology.cloud.hv(2).kill_agent();
    topology.cloud.hv(2).kill_switch();
    send_outside(&topology, 3, "without hv2");
    wait_agreed(&topology, "hv3", &[1, 3]);
    topology.cloud.restart_switch(2);
    topology.cloud.hv(2).start_agent();
    wait_agreed(&topology, "hv2", &[1, 3]);
    send_outside(&topology, 2, "hv2 is back");
}
