//! From the packaged ovn-controller to ovn-agent on running hypervisors, and back: with twenty ports and a packet a millisecond, none of which is lost.
//! (On the way back to a release before 24.03 some are: see there.)

use crate::common::Agent;
use crate::common::process::run;
use crate::common::topology::{A1, B1, Port, Topology};
use crate::hitless::Traffic;

/// Ports on each hypervisor.
const PORTS: u8 = 20;

/// Commands of 23.03 that 26.03 does not have.
const GONE: [&str; 2] = ["debug/ignore-startup-delay", "tnl/egress_port_range"];

/// What has to be as it was: conntrack zones and OpenFlow ports.
#[derive(Debug, PartialEq, Eq)]
struct Numbers {
    zones: Vec<String>,
    ofports: Vec<String>,
}

impl Numbers {
    /// Without zones of datapaths, and without tunnels if so told.
    fn of_ports(&self, without_tunnels: bool) -> Vec<String> {
        let zones = self.zones.iter().filter(|line| !line.contains("nat "));
        let ofports = self.ofports.iter().filter(|line| !without_tunnels || !line.starts_with("ovn-"));
        zones.chain(ofports).cloned().collect()
    }
}

/// Zones of datapaths are listed by UUID in old releases, and by name in new ones.
fn numbers(topology: &Topology, number: usize) -> Numbers {
    let hypervisor = &topology.cloud.hypervisors[number - 1];
    let mut zones = hypervisor.agent_appctl(&["ct-zone-list"]).unwrap();
    for line in
        topology.cloud.sbctl("--format=csv --no-headings --columns=_uuid,external_ids list Datapath_Binding").lines()
    {
        let (uuid, ids) = line.split_once(',').unwrap();
        let name = ids.split("name=").nth(1).unwrap().split([',', '}', '"']).next().unwrap();
        zones = zones.replace(uuid, name);
    }
    Numbers {
        zones: sorted(&zones),
        ofports: sorted(&hypervisor.vsctl("--format=csv --no-headings --columns=name,ofport list Interface")),
    }
}

fn sorted(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

/// Ends one agent with `exit --restart` and starts the other.
fn replace(topology: &mut Topology, number: usize, by: Agent) {
    let hypervisor = topology.cloud.hv(number);
    hypervisor.agent_appctl(&["exit", "--restart"]).unwrap();
    assert!(hypervisor.agent_daemon().wait_for_end());
    hypervisor.agent = by;
    hypervisor.start_agent();
    if by == Agent::Ours {
        hypervisor.wait_ready();
    }
    topology.cloud.sync();
}

#[test]
fn to_ovn_agent_and_back() {
    let mut topology = Topology::start(&[Agent::Packaged, Agent::Packaged]);
    for number in 2..=PORTS {
        for (switch, host) in [('a', 1), ('b', 2)] {
            let port = Port { switch, number, host };
            topology.configure(port);
            topology.plug(port);
        }
    }
    topology.cloud.wait_up(&format!("a{PORTS}"));
    topology.cloud.wait_up(&format!("b{PORTS}"));
    topology.cloud.sync();
    topology.send(A1, B1, "first");
    let answers = |topology: &Topology, command: &str| {
        let hypervisors = topology.cloud.hypervisors.iter();
        hypervisors.map(|it| sorted(&it.agent_appctl(&[command]).unwrap())).collect::<Vec<_>>()
    };
    let same = ["connection-status", "debug/status", "debug/dump-local-bindings", "debug/dump-local-template-vars"];
    let before: Vec<_> = same.iter().map(|command| answers(&topology, command)).collect();
    let known = answers(&topology, "list-commands");
    let version = run("ovn-controller", &topology.cloud.hypervisors[0].folder, &["--version"]);
    let release = version.lines().next().and_then(|line| line.rsplit(' ').next()).unwrap_or_default().to_owned();
    let knows_tunnels = release.split('.').next().is_some_and(|year| year >= "24");
    println!("ovn-controller {release}");
    let mut traffic = Traffic::default();
    for (by, what) in [(Agent::Ours, "to ovn-agent"), (Agent::Packaged, "back to ovn-controller")] {
        let had = [1, 2].map(|number| numbers(&topology, number));
        let lost = traffic.lost_during(&mut topology, what, |topology| {
            for number in [1, 2] {
                replace(topology, number, by);
            }
        });
        let has = [1, 2].map(|number| numbers(&topology, number));
        if by == Agent::Ours || knows_tunnels {
            assert_eq!(lost, [0usize; 0], "{what}: packets lost");
        } else {
            println!(
                "{what}: {release} makes all tunnels anew, since it does not know the names that 24.03 and later give them"
            );
        }
        if by == Agent::Ours {
            assert_eq!(has, had, "{what}");
        } else {
            // Whenever ovn-controller starts it gives datapaths other zones (23.03 and 26.03).
            let of = |numbers: &Numbers| numbers.of_ports(!knows_tunnels);
            assert_eq!(has.each_ref().map(of), had.each_ref().map(of), "{what}");
        }
        topology.check_traffic(what);
        // Configuration goes on.
        let port = if by == Agent::Ours { 21 } else { 22 };
        topology.add_port(Port { switch: 'a', number: port, host: 1 });
        topology.unplug(Port { switch: 'a', number: port, host: 1 });
        topology.cloud.nbctl(&format!("lsp-del a{port}"));
        topology.cloud.sync();
        // Both say the same of the same.
        for (command, before) in same.iter().zip(&before) {
            assert_eq!(answers(&topology, command), *before, "{what}: {command}");
        }
        if by == Agent::Ours {
            let ours = answers(&topology, "list-commands");
            let name = |line: &String| line.split_whitespace().next().unwrap_or_default().to_owned();
            let names: Vec<String> = ours[0].iter().map(name).collect();
            let lacking: Vec<String> = known[0]
                .iter()
                .map(name)
                .filter(|known| !names.contains(known) && !GONE.contains(&known.as_str()))
                .collect();
            assert_eq!(lacking, [""; 0], "commands of the packaged ovn-controller");
        }
    }
    let Traffic { total, longest } = traffic;
    println!("{total} packets; at most {} ms between two", longest.as_millis());
}
