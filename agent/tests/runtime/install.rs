//! Many flows are installed and the agent stays responsive. `OVN_TEST_INSTALL` says how many flows; the figures that are printed then
//! are those of ARCHITECTURE.md, section "The switch":
//!
//!     OVN_TEST_INSTALL=500000 OVN_AGENT_BIN=target/fast/ovn-agent cargo test -p ovn-agent --test runtime install -- --nocapture
//!
//! Beside other work, `echo -20 > /proc/self/autogroup` in the shell that runs it gives it the processor.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::common::process::{Control, run, wait_within};
use crate::common::topology::Topology;
use crate::common::{Agent, Hypervisor, wait_until};

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

/// What an installation was like.
struct Measured {
    what: &'static str,
    flows: usize,
    elapsed: Duration,
    /// Of commands to the agent, and to the switch.
    ours: [f64; 3],
    switch: [f64; 3],
    turns: String,
    /// The most memory that the agent has had, MB.
    peak: usize,
}

impl Measured {
    /// Of hv1.
    fn new(
        topology: &mut Topology,
        what: &'static str,
        flows: usize,
        elapsed: Duration,
        ours: Watch,
        switch: Watch,
    ) -> Self {
        let (ours, switch) = (ours.stop(), switch.stop());
        let hypervisor = topology.cloud.hv(1);
        let text = hypervisor.agent_appctl(&["work/show"]).unwrap();
        let turns = text.lines().find(|line| line.starts_with("turns:")).unwrap().to_owned();
        let status = std::fs::read_to_string(format!("/proc/{}/status", hypervisor.agent_daemon().pid())).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        let peak = peak.split_whitespace().next().unwrap().parse::<usize>().unwrap() / 1024;
        Self { what, flows, elapsed, ours, switch, turns, peak }
    }

    fn print(&self) {
        let Self { what, flows, elapsed, ours, switch, turns, peak } = self;
        println!(
            "{what}: {flows} flows in {elapsed:.2?}, {:.0} flows/s; at most {peak} MB; commands to the agent p50 {:.1} p99.9 {:.1} \
             longest {:.1} ms, to the switch p50 {:.1} longest {:.1} ms; {turns}",
            *flows as f64 / elapsed.as_secs_f64(),
            ours[0],
            ours[1],
            ours[2],
            switch[0],
            switch[2]
        );
        assert!(ours[2] < 2_000.0, "{what}: a command waited {} ms", ours[2]);
    }
}

/// One more flow, which the switch refuses: the others are not touched.
fn refuse_one(topology: &Topology, total: usize) {
    let (cloud, hypervisor) = (&topology.cloud, &topology.cloud.hypervisors[0]);
    let openflow = hypervisor.watch_openflow();
    hypervisor.vsctl("-- --id=@b get Bridge br-int -- create Flow_Sample_Collector_Set id=1 bridge=@b");
    let datapath = cloud.sb_find("_uuid", "Datapath_Binding", "external_ids:name=sa");
    // Ids of samples out of registers came with Open vSwitch 3.4.
    let answer = cloud.sb.transact(&format!(
        r#"["OVN_Southbound",{{"op":"insert","table":"Logical_Flow","row":{{"logical_datapath":["uuid","{datapath}"],
        "pipeline":"ingress","table_id":3,"priority":7,"match":"ip4",
        "actions":"sample(probability=9,collector_set=1,obs_domain=0,obs_point=reg3); next;"}}}}]"#
    ));
    let row = answer.split('"').find(|word| word.len() == 36).unwrap().to_owned();
    wait_until("a refusal", || !hypervisor.logged(&["refused by the switch", &row]).is_empty());
    wait_acknowledged(topology, 1_003, Duration::from_secs(60));
    let sent = hypervisor.modifications_since(&openflow);
    assert_eq!(sent.len(), 1, "the others are not sent again: {sent:#?}");
    assert_eq!(count(hypervisor), total, "nothing else is missing");
    assert_eq!(hypervisor.logged(&["refused by the switch"]).len(), 1);
    println!("1 flow of {} refused, 0 others sent again", total + 1);
    hypervisor.switch_appctl(&["vlog/set", "vconn:file:info"]);
}

#[test]
fn many_flows_while_everything_else_goes_on() {
    let wanted = std::env::var("OVN_TEST_INSTALL").ok().and_then(|text| text.parse().ok());
    let flows = wanted.unwrap_or(20_000);
    let patience = Duration::from_secs(60 + flows as u64 / 1_000);
    let mut topology = Topology::start(&OURS);
    let before = count(&topology.cloud.hypervisors[0]);
    // hv2 would get as many flows at the same time.
    topology.cloud.hv(1).kill_agent();
    topology.cloud.hv(2).kill_agent();
    fill(&topology, flows);
    let agent_socket = topology.cloud.hypervisors[0].folder.join("agent.ctl");
    let switch_socket = topology.cloud.hypervisors[0].folder.join("switch.ctl");
    let mut all = Vec::new();

    // A switch with flows: one atomic bundle. Then a switch that has them already.
    for (what, nb_cfg) in [("start of the agent, one bundle", 1_001), ("start of the agent, nothing to send", 1_002)] {
        topology.cloud.hv(1).start_agent();
        topology.cloud.hv(1).agent_daemon().wait_for_socket(&agent_socket);
        let (ours, switch) = (Watch::start(agent_socket.clone()), Watch::start(switch_socket.clone()));
        let start = Instant::now();
        wait_acknowledged(&topology, nb_cfg, patience);
        all.push(Measured::new(&mut topology, what, flows, start.elapsed(), ours, switch));
        let total = count(&topology.cloud.hypervisors[0]);
        assert_eq!(total, before + flows);
        if nb_cfg == 1_001 {
            topology.cloud.hv(1).kill_agent();
        }
    }
    assert_eq!(topology.cloud.hypervisors[0].logged(&["ready:", " 0 flow mods sent"]).len(), 1);
    refuse_one(&topology, before + flows);

    // A switch that lost everything: in parts. The agent has the flows at hand.
    topology.cloud.hv(1).agent_appctl(&["inc-engine/clear-stats"]).unwrap();
    let ours = Watch::start(agent_socket);
    topology.cloud.restart_switch(1);
    let (start, switch) = (Instant::now(), Watch::start(switch_socket));
    wait_acknowledged(&topology, 1_004, patience);
    let what = "restart of the switch, in parts";
    all.push(Measured::new(&mut topology, what, flows, start.elapsed(), ours, switch));
    assert_eq!(count(&topology.cloud.hypervisors[0]), before + flows);

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
    all.iter().for_each(Measured::print);
    println!("ovs-ofctl --bundle replace-flows: {tool:.2?}, {:.0} flows/s", flows as f64 / tool.as_secs_f64());
}
