//! [`Promises`]: what may be reported once the switch has acknowledged a push. The acknowledgement of a sequence number covers
//! exactly what was desired when it was pushed, so that nb_cfg, `up` and `ovn-installed` are never reported early.

use ovsdb::Str;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::agent::Agent;
use crate::facts::PluggedPorts;
use crate::model::Plug;

/// What is true of the databases for which flows were pushed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Promise {
    /// SB_Global.nb_cfg.
    pub nb_cfg: i64,
    /// Logical ports that are plugged in here and that the Southbound says are ours.
    pub ports: Arc<BTreeMap<Str, Plug>>,
}

/// Pushes that wait for their acknowledgement.
#[derive(Debug, Default)]
pub struct Promises {
    sequence: u64,
    acknowledged: u64,
    waiting: VecDeque<(u64, Promise)>,
    latest: Option<Promise>,
}

impl Promises {
    /// Whether the latest push already covers this.
    pub fn is_latest(&self, promise: &Promise) -> bool {
        self.latest.as_ref() == Some(promise)
    }

    /// SB_Global.nb_cfg that the latest push covers.
    pub fn latest_nb_cfg(&self) -> Option<i64> {
        self.latest.as_ref().map(|promise| promise.nb_cfg)
    }

    /// The sequence number of the next push.
    pub fn next_sequence(&self) -> u64 {
        self.sequence + 1
    }

    /// The latest push, and the latest that the switch has acknowledged.
    pub fn progress(&self) -> (u64, u64) {
        (self.sequence, self.acknowledged)
    }

    /// The push with [`Promises::next_sequence`] was made.
    pub fn made(&mut self, promise: Promise) {
        self.sequence += 1;
        self.latest = Some(promise.clone());
        self.waiting.push_back((self.sequence, promise));
    }

    /// Everything up to `sequence` is in the switch. Returns the last promise that covers.
    pub fn acknowledged(&mut self, sequence: u64) -> Option<Promise> {
        self.acknowledged = self.acknowledged.max(sequence);
        let covered = self.waiting.partition_point(|(number, _)| *number <= sequence);
        self.waiting.drain(..covered).next_back().map(|(_, promise)| promise)
    }

    /// The connection is gone, and with it what it was going to acknowledge.
    pub fn forget(&mut self) {
        self.waiting.clear();
        self.latest = None;
    }
}

/// What a push that is made now covers.
pub fn current(agent: &Agent) -> Promise {
    let nb_cfg = agent.model().sb.sb_global.iter().next().map_or(0, |(_, global)| global.nb_cfg);
    Promise { nb_cfg, ports: agent.ask(PluggedPorts) }
}

/// Of the ports whose flows are in the switch, those that a push does not take away or change; `None`: all.
pub fn remaining(installed: &BTreeMap<Str, Plug>, pushed: &Promise) -> Option<BTreeMap<Str, Plug>> {
    let stays = |(lport, plug): &(&Str, &Plug)| pushed.ports.get(*lport) == Some(*plug);
    let all = installed.iter().all(|port| stays(&port));
    (!all).then(|| installed.iter().filter(stays).map(|(lport, plug)| (lport.clone(), *plug)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_acknowledgement_covers_what_came_before_it() {
        let mut promises = Promises::default();
        let promise = |nb_cfg| Promise { nb_cfg, ports: Arc::default() };
        for nb_cfg in [10, 11, 12] {
            promises.made(promise(nb_cfg));
        }
        assert_eq!(promises.acknowledged(2), Some(promise(11)));
        assert_eq!(promises.acknowledged(2), None);
        assert!(promises.is_latest(&promise(12)));
        promises.forget();
        assert!(!promises.is_latest(&promise(12)));
        assert_eq!((promises.acknowledged(3), promises.next_sequence()), (None, 4));
    }

    #[test]
    fn a_port_that_comes_back_is_not_installed_because_it_was() {
        let plug = |ofport| Plug { interface: ovsdb::Uuid::NIL, ofport };
        let ports = |ports: &[(&str, u16)]| -> BTreeMap<Str, Plug> {
            ports.iter().map(|(lport, ofport)| (Str::from(*lport), plug(*ofport))).collect()
        };
        let after = |pushed| remaining(&ports(&[("a", 1), ("b", 2)]), &Promise { nb_cfg: 0, ports: Arc::new(pushed) });
        assert_eq!(after(ports(&[("a", 1), ("b", 2), ("c", 3)])), None);
        assert_eq!(after(ports(&[("b", 2)])), Some(ports(&[("b", 2)])), "a is taken away");
        assert_eq!(after(ports(&[("a", 5), ("b", 2)])), Some(ports(&[("b", 2)])), "a is plugged in elsewhere");
    }
}
