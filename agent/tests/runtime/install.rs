//! Many flows are installed and the agent stays responsive. `OVN_TEST_INSTALL` says how many flows; the figures that are printed then
//! are those of ARCHITECTURE.md, section "The switch":
//!
//!     OVN_TEST_INSTALL=500000 OVN_AGENT_BIN=target/fast/ovn-agent cargo test -p ovn-agent --test runtime install -- --nocapture

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::common::process::{Control, run, wait_within};
use crate::common::topology::Topology;
use crate::common::{Agent, Hypervisor};

const OURS: [Agent; 2] = [Agent::Ours, Agent::Ours];
/// Flows of one logical flow.
const ADDRESSES: usize = 250;

/// How long commands to a daemon's control socket take while something goes on.
struct Watch {
    stop: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<Vec<Duration>>,
}

impl Watch {
    fn start(socket: PathBuf) -> Watch {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            let (mut control, mut times) = (Control::connect(&socket), Vec::new());
            while !stopped.load(Ordering::Relaxed) {
                let start = Instant::now();
                control.call("version", &[]);
                control.call("debug/status", &[]);
                times.push(start.elapsed());
                std::thread::sleep(Duration::from_millis(1));
            }
            times
        });
        Watch { stop, thread }
    }

    /// Median, the time that all but one of a thousand do not exceed, and the longest, in milliseconds.
    fn stop(self) -> [f64; 3] {
        self.stop.store(true, Ordering::Relaxed);
        let mut times = self.thread.join().unwrap();
        times.sort();
        [times.len() / 2, times.len() - 1 - times.len() / 1000, times.len() - 1]
            .map(|at| times[at].as_secs_f64() * 1000.0)
    }
}

/// Rows that northd would not make, of so many flows in all.
fn fill(topology: &Topology, flows: usize) {
    let cloud = &topology.cloud;
    cloud.northd_appctl("pause");
    let datapath = cloud.sb_find("_uuid", "Datapath_Binding", "external_ids:name=sa");
    let rows: Vec<String> = (0..flows / ADDRESSES)
        .map(|row| {
            let set: Vec<String> =
                (0..ADDRESSES).map(|n| format!("10.{}.{}.{}", row / 250 + 16, row % 250, n)).collect();
            // A host route each: consecutive addresses would be joined to prefixes.
            let set = set.join(", ");
            format!(
                r#"{{"op":"insert","table":"Logical_Flow","row":{{"logical_datapath":["uuid","{datapath}"],
                "pipeline":"ingress","table_id":{},"priority":{},"match":"ip4.src == {{{set}}} && udp.src == {}","actions":"next;"}}}}"#,
                3 + row % 20,
                10 + row % 50,
                1 + row % 60_000
            )
        })
        .collect();
    for rows in rows.chunks(20) {
        cloud.sb.transact(&format!(r#"["OVN_Southbound",{}]"#, rows.join(",")));
    }
}

fn turns(hypervisor: &Hypervisor) -> String {
    let text = hypervisor.agent_appctl(&["work/show"]).unwrap();
    text.lines().find(|line| line.starts_with("turns:")).unwrap().to_owned()
}

/// Waits until hv1 has acknowledged a configuration of this number: all flows are in the switch. Asking the switch for their number would
/// keep it busy.
fn wait_acknowledged(topology: &Topology, nb_cfg: usize, patience: Duration) {
    let cloud = &topology.cloud;
    cloud.sbctl(&format!("set SB_Global . nb_cfg={nb_cfg}"));
    let wanted = nb_cfg.to_string();
    wait_within(patience, "all flows", || cloud.sb_find("nb_cfg", "Chassis_Private", "name=hv1") == wanted);
}

fn count(hypervisor: &Hypervisor) -> usize {
    let text = hypervisor.ofctl(&["dump-aggregate"]);
    text.rsplit("flow_count=").next().unwrap().trim().parse().unwrap()
}

#[test]
fn many_flows_while_everything_else_goes_on() {
    let wanted = std::env::var("OVN_TEST_INSTALL").ok().and_then(|text| text.parse().ok());
    let flows = wanted.unwrap_or(20_000);
    let patience = Duration::from_secs(60 + flows as u64 / 1_000);
    let mut topology = Topology::start(&OURS);
    let before = count(&topology.cloud.hypervisors[0]);
    topology.cloud.hv(1).kill_agent();
    fill(&topology, flows);
    let agent_socket = topology.cloud.hypervisors[0].folder.join("agent.ctl");
    let switch_socket = topology.cloud.hypervisors[0].folder.join("switch.ctl");
    let mut report = Vec::new();

    // A switch with flows: one atomic bundle.
    topology.cloud.hv(1).start_agent();
    topology.cloud.hv(1).agent_daemon().wait_for_socket(&agent_socket);
    let (ours, switch) = (Watch::start(agent_socket.clone()), Watch::start(switch_socket.clone()));
    let start = Instant::now();
    wait_acknowledged(&topology, 1_001, patience);
    let elapsed = start.elapsed();
    let (ours, switch) = (ours.stop(), switch.stop());
    report.push(("start of the agent, one bundle", elapsed, ours, switch, turns(&topology.cloud.hypervisors[0])));
    let total = count(&topology.cloud.hypervisors[0]);
    assert_eq!(total, before + flows);

    // A switch that lost everything: in parts. The agent has the flows at hand.
    topology.cloud.hv(1).agent_appctl(&["inc-engine/clear-stats"]).unwrap();
    let ours = Watch::start(agent_socket);
    let start = Instant::now();
    topology.cloud.restart_switch(1);
    let restarted = start.elapsed();
    let switch = Watch::start(switch_socket);
    wait_acknowledged(&topology, 1_002, patience);
    let elapsed = start.elapsed().saturating_sub(restarted);
    assert_eq!(count(&topology.cloud.hypervisors[0]), total);
    let (ours, switch) = (ours.stop(), switch.stop());
    report.push(("restart of the switch, in parts", elapsed, ours, switch, turns(&topology.cloud.hypervisors[0])));

    // The tool that comes with the switch.
    let hypervisor = topology.cloud.hv(1);
    let file = hypervisor.folder.join("all-flows.txt");
    std::fs::write(&file, hypervisor.flows().join("\n") + "\n").unwrap();
    hypervisor.kill_agent();
    hypervisor.ofctl(&["del-flows"]);
    let bridge = format!("unix:{}", hypervisor.folder.join("br-int.mgmt").display());
    let start = Instant::now();
    let arguments = ["-O", "OpenFlow15", "--bundle", "replace-flows", &bridge, &file.display().to_string()];
    run("ovs-ofctl", &hypervisor.folder, &arguments);
    let tool = start.elapsed();
    for (what, elapsed, ours, switch, turns) in &report {
        println!(
            "{what}: {flows} flows in {elapsed:.2?}, {:.0} flows/s; commands to the agent p50 {:.1} p99.9 {:.1} longest {:.1} ms, \
             to the switch p50 {:.1} longest {:.1} ms; {turns}",
            flows as f64 / elapsed.as_secs_f64(),
            ours[0],
            ours[1],
            ours[2],
            switch[0],
            switch[2]
        );
        assert!(ours[2] < 2_000.0, "{what}: a command waited {} ms", ours[2]);
    }
    println!("ovs-ofctl --bundle replace-flows: {tool:.2?}, {:.0} flows/s", flows as f64 / tool.as_secs_f64());
}
