//! What waits for flows waits for the barrier that covers them, whatever comes in between: later changes, a lost connection, a batch
//! that fails. The runtime against a switch in memory.

use super::*;
use crate::switch::tests::fake::Fake;
use crate::view::testbed::{map, set};
use ofproto_client::message::ErrorCode;
use ovsdb::Uuid;
use ovsdb::tables::RowUpdate;
use ovsdb::tables::local::{Bridge, Interface, OpenVSwitch, Port};
use ovsdb::tables::southbound::{Chassis, DatapathBinding, LogicalFlow, PortBinding, SbGlobal};

const fn uuid(kind: u8) -> Uuid {
    Uuid([kind; 16])
}

/// A hypervisor with a port that is ours, a runtime and its switch.
struct Rig {
    runtime: Runtime,
    switch: Fake,
    /// Bytes that the runtime has sent and the switch has not got.
    wire: Vec<Bytes>,
    now: u64,
    flows: u8,
    /// The Southbound's server answers to conditions.
    answers: bool,
}

impl Rig {
    fn new() -> Rig {
        let mut rig = Rig::idle();
        rig.connect();
        rig
    }

    /// Without a connection to the switch.
    fn idle() -> Rig {
        let mut rig = Rig {
            runtime: Runtime::new(Options::default()),
            switch: Fake::default(),
            wire: Vec::new(),
            now: 0,
            flows: 0,
            answers: true,
        };
        let mut local = local::Updates::default();
        let row = OpenVSwitch {
            external_ids: map(&[("system-id", "hv1"), ("ovn-remote", "tcp:1.1.1.1:6642")]),
            bridges: set(&[uuid(0xbb)]),
            ..Default::default()
        };
        local.open_vswitch.push((uuid(0xaa), RowUpdate::Insert(row)));
        let row = Bridge { name: "br-int".into(), ports: set(&[uuid(0x71)]), ..Default::default() };
        local.bridge.push((uuid(0xbb), RowUpdate::Insert(row)));
        let row = Port { name: "lp".into(), interfaces: set(&[uuid(0x11)]), ..Default::default() };
        local.port.push((uuid(0x71), RowUpdate::Insert(row)));
        let external_ids = map(&[("iface-id", "lp")]);
        let row = Interface { name: "lp".into(), external_ids, ofport: Some(7), ..Default::default() };
        local.interface.push((uuid(0x11), RowUpdate::Insert(row)));
        rig.handle(Event::LocalData { updates: Box::new(local), replaces: true, initial: true });
        let mut sb = southbound::Updates::default();
        sb.chassis.push((uuid(0xc1), RowUpdate::Insert(Chassis { name: "hv1".into(), ..Default::default() })));
        let row = DatapathBinding {
            tunnel_key: 1,
            r#type: Some("logical-switch".into()),
            nb_uuid: Some(uuid(0xd1)),
            ..Default::default()
        };
        sb.datapath_binding.push((uuid(0xd1), RowUpdate::Insert(row)));
        rig.handle(Event::SouthboundData { updates: Box::new(sb), replaces: true, initial: true });
        rig.southbound(|sb| rig_port(sb, None));
        rig.work();
        rig
    }

    fn handle(&mut self, event: Event) {
        let now = Now { monotonic: Time(self.now), wall_ms: 0 };
        self.runtime.handle(now, event);
    }

    fn southbound(&mut self, fill: impl FnOnce(&mut southbound::Updates)) {
        let mut updates = southbound::Updates::default();
        fill(&mut updates);
        self.handle(Event::SouthboundData { updates: Box::new(updates), replaces: false, initial: false });
    }

    fn nb_cfg(&mut self, nb_cfg: i64) {
        self.southbound(|sb| {
            sb.sb_global.push((uuid(0xdd), RowUpdate::Insert(SbGlobal { nb_cfg, ..Default::default() })));
        });
    }

    /// One more logical flow.
    fn change_flows(&mut self) {
        self.flows += 1;
        let row = LogicalFlow {
            logical_datapath: Some(uuid(0xd1)),
            pipeline: "ingress".into(),
            table_id: 3,
            priority: i64::from(self.flows),
            r#match: "ip4".into(),
            actions: "next;".into(),
            ..Default::default()
        };
        let id = uuid(self.flows);
        self.southbound(|sb| sb.logical_flow.push((id, RowUpdate::Insert(row))));
    }

    /// fail_mode of the bridge, and how far Open vSwitch is with its configuration.
    fn bridge_becomes(&mut self, fail_mode: &str, next_cfg: i64, cur_cfg: i64) {
        let external_ids = map(&[("system-id", "hv1"), ("ovn-remote", "tcp:1.1.1.1:6642")]);
        let ovs = OpenVSwitch { external_ids, bridges: set(&[uuid(0xbb)]), next_cfg, cur_cfg, ..Default::default() };
        let fail_mode = Some(Str::from(fail_mode));
        let bridge = Bridge { name: "br-int".into(), ports: set(&[uuid(0x71)]), fail_mode, ..Default::default() };
        let mut local = local::Updates::default();
        local.open_vswitch.push((uuid(0xaa), RowUpdate::Insert(ovs)));
        local.bridge.push((uuid(0xbb), RowUpdate::Insert(bridge)));
        self.handle(Event::LocalData { updates: Box::new(local), replaces: false, initial: false });
    }

    /// Derives and sends; the switch gets nothing.
    fn work(&mut self) {
        let now = Now { monotonic: Time(self.now), wall_ms: 0 };
        for _ in 0..1000 {
            let mut progress = self.runtime.work(now, 100);
            while let Some(effect) = self.runtime.poll_effect() {
                match effect {
                    Effect::SwitchBytes(bytes) => self.wire.push(bytes),
                    Effect::SouthboundConditions { sequence, .. } if self.answers => {
                        self.runtime.handle(now, Event::SouthboundConditions(sequence));
                        progress = Progress::More;
                    }
                    _ => {}
                }
            }
            if progress == Progress::Settled {
                return;
            }
        }
        panic!("works for ever");
    }

    /// The switch gets what was sent, and its answers come.
    fn exchange(&mut self) {
        for _ in 0..20 {
            self.work();
            self.deliver();
        }
    }

    fn deliver(&mut self) {
        for bytes in std::mem::take(&mut self.wire) {
            self.switch.receive(&bytes);
        }
        let answer = self.switch.answer();
        if !answer.is_empty() {
            self.handle(Event::SwitchBytes(answer.freeze()));
        }
    }

    fn connect(&mut self) {
        self.handle(Event::SwitchConnected);
        self.exchange();
    }

    /// The connection is lost, with what was on it.
    fn lose(&mut self) {
        self.wire.clear();
        self.switch.disconnect();
        self.handle(Event::SwitchClosed(None));
    }

    /// What may be reported: nb_cfg, and how many ports.
    fn reported(&self) -> (i64, usize) {
        let external = &self.runtime.agent().model().external;
        (external.acknowledged_nb_cfg, external.installed_ports.len())
    }
}

fn rig_port(sb: &mut southbound::Updates, chassis: Option<Uuid>) {
    let row =
        PortBinding { logical_port: "lp".into(), datapath: uuid(0xd1), tunnel_key: 1, chassis, ..Default::default() };
    sb.port_binding.push((uuid(0xb1), RowUpdate::Insert(row)));
}

#[test]
fn a_change_that_comes_before_the_acknowledgement_is_not_covered_by_it() {
    let mut rig = Rig::new();
    rig.nb_cfg(1);
    rig.exchange();
    assert_eq!(rig.reported(), (1, 0));
    rig.change_flows();
    rig.nb_cfg(2);
    rig.work();
    assert_eq!(rig.reported(), (1, 0), "sent, not acknowledged");
    // The port becomes ours and its flows follow, with another configuration, while the barrier is on its way.
    rig.southbound(|sb| rig_port(sb, Some(uuid(0xc1))));
    rig.change_flows();
    rig.nb_cfg(3);
    let sent = std::mem::take(&mut rig.wire);
    rig.work();
    assert!(rig.wire.is_empty(), "one batch at a time");
    rig.wire = sent;
    rig.deliver();
    assert_eq!(rig.reported(), (2, 0), "what was acknowledged was sent for 2");
    rig.work();
    assert_eq!(rig.reported(), (2, 0));
    rig.exchange();
    assert_eq!(rig.reported(), (3, 1));
    // Nothing to send is reported at once.
    rig.nb_cfg(4);
    rig.work();
    assert_eq!(rig.reported(), (4, 1));
}

#[test]
fn a_connection_that_is_lost_acknowledges_nothing() {
    for sent in [false, true] {
        let mut rig = Rig::new();
        rig.nb_cfg(1);
        rig.exchange();
        rig.change_flows();
        rig.southbound(|sb| rig_port(sb, Some(uuid(0xc1))));
        rig.nb_cfg(2);
        rig.work();
        if sent {
            // The switch has carried it out; only the answer is lost.
            for bytes in std::mem::take(&mut rig.wire) {
                rig.switch.receive(&bytes);
            }
        }
        rig.lose();
        rig.work();
        assert_eq!(rig.reported(), (1, 0));
        rig.nb_cfg(3);
        rig.work();
        assert_eq!(rig.reported(), (1, 0), "without a switch nothing is promised");
        rig.switch.done.clear();
        rig.connect();
        assert_eq!(rig.reported(), (3, 1));
        assert_eq!(rig.switch.done.is_empty(), sent, "what is there is not sent again: {:?}", rig.switch.done);
    }
}

#[test]
fn a_batch_that_fails_acknowledges_nothing() {
    let mut rig = Rig::new();
    rig.nb_cfg(1);
    rig.exchange();
    rig.switch.commit_error = Some(ErrorCode::BUNDLE_TIMEOUT);
    rig.change_flows();
    rig.nb_cfg(2);
    rig.exchange();
    assert_eq!(rig.reported(), (1, 0));
    let pause = rig.runtime.poll_timeout().unwrap();
    assert!(pause > Time(rig.now), "not in a hot loop");
    rig.switch.commit_error = None;
    rig.exchange();
    assert_eq!(rig.reported(), (1, 0), "not before the pause is over");
    rig.now += 1_000;
    rig.exchange();
    assert_eq!(rig.reported(), (2, 0));
}

#[test]
fn a_flow_that_is_refused_holds_nothing_up() {
    let mut rig = Rig::new();
    rig.nb_cfg(1);
    rig.exchange();
    rig.switch.bad_cookie = Some(0x0101_0101);
    rig.change_flows();
    rig.nb_cfg(2);
    rig.exchange();
    assert_eq!(rig.reported(), (2, 0));
    assert_eq!(rig.runtime.switch().quarantined().count(), 1);
}

#[test]
fn a_conntrack_zone_is_flushed_in_front_of_the_flows_and_persisted_after_the_barrier() {
    let mut rig = Rig::idle();
    rig.handle(Event::SwitchConnected);
    while !rig.runtime.switch_ready {
        rig.work();
        rig.deliver();
    }
    rig.work();
    assert!(!rig.wire.is_empty(), "the first push, with the flush in front");
    let flushed = |rig: &Rig| rig.runtime.agent().model().external.flushed_zones.len();
    assert_eq!(flushed(&rig), 0);
    rig.lose();
    rig.work();
    assert_eq!(flushed(&rig), 0, "the flush may not have arrived");
    rig.connect();
    assert_eq!(flushed(&rig), 1);
}

#[test]
fn flows_that_go_with_fail_mode_are_sent_again_whenever_the_switch_drops_them() {
    let mut rig = Rig::new();
    rig.change_flows();
    rig.exchange();
    let flows = rig.switch.tables.flows.clone();
    assert!(!flows.is_empty());
    for drops_at_once in [true, false] {
        for fail_mode in ["standalone", "secure"] {
            rig.bridge_becomes(fail_mode, 4, 4);
            if drops_at_once {
                rig.switch.tables.flows.clear();
            }
            rig.exchange();
            if !drops_at_once {
                rig.switch.tables.flows.clear();
            }
            assert_eq!(
                rig.runtime.agent().model().external.wanted_next_cfg,
                5,
                "it is asked to say when it has seen it"
            );
            rig.bridge_becomes(fail_mode, 5, 4);
            rig.exchange();
            assert_eq!(rig.switch.tables.flows.len(), if drops_at_once { flows.len() } else { 0 });
            rig.bridge_becomes(fail_mode, 5, 5);
            rig.exchange();
            assert_eq!(rig.switch.tables.flows, flows, "{fail_mode:?}");
        }
    }
}

#[test]
fn flows_that_were_read_before_the_switch_saw_fail_mode_are_looked_at_again() {
    let mut rig = Rig::idle();
    rig.change_flows();
    rig.bridge_becomes("secure", 4, 4);
    rig.connect();
    let flows = rig.switch.tables.flows.clone();
    assert!(!flows.is_empty());
    assert_eq!(rig.runtime.agent().model().external.wanted_next_cfg, 5);
    rig.switch.tables.flows.clear();
    rig.bridge_becomes("secure", 5, 5);
    rig.exchange();
    assert_eq!(rig.switch.tables.flows, flows);
}

/// Rows that are needed may be on their way: flows wait for them a while, and what northd asks to be told longer.
#[test]
fn rows_that_are_still_asked_for_hold_back_what_depends_on_them() {
    let mut rig = Rig::new();
    rig.nb_cfg(1);
    rig.exchange();
    assert_eq!(rig.reported(), (1, 0));
    rig.answers = false;
    // A port that names us, on a datapath that is not here.
    let row = PortBinding {
        logical_port: "lp2".into(),
        datapath: uuid(0xd2),
        tunnel_key: 2,
        requested_chassis: Some(uuid(0xc1)),
        ..Default::default()
    };
    rig.southbound(|sb| sb.port_binding.push((uuid(0xb2), RowUpdate::Insert(row))));
    rig.change_flows();
    rig.nb_cfg(2);
    rig.switch.done.clear();
    rig.exchange();
    assert!(rig.switch.done.is_empty(), "{:?}", rig.switch.done);
    let patience = rig.runtime.poll_timeout().unwrap();
    assert!(patience > Time(rig.now) && patience <= Time(rig.now + 1_000));
    rig.now += 1_000;
    rig.exchange();
    assert!(!rig.switch.done.is_empty(), "not for ever");
    assert_eq!(rig.reported(), (1, 0), "more rows may belong to this configuration");
    let asked = rig.runtime.condition_changes();
    rig.handle(Event::SouthboundConditions(asked));
    rig.answers = true;
    rig.exchange();
    assert_eq!(rig.reported(), (2, 0));
}
