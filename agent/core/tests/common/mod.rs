//! What the tests of the core share: databases to start from ([`Start`]), random changes ([`edits`]), and everything an agent
//! wants in comparable form ([`state`]).

#![allow(dead_code, reason = "each test uses a part of this")]
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test that names its line")]

pub mod edits;
pub mod kernel;
pub mod monitoring;
pub mod state;

use ovn_core::Agent;
use ovn_core::model::{Config, External, SwitchFeatures};
use ovsdb::{Local, Southbound};
use std::path::{Path, PathBuf};

/// A pair of databases and the name under which test output refers to it.
#[derive(Clone)]
pub struct Start {
    /// Folder and hypervisor.
    pub name: String,
    /// The Southbound.
    pub sb: Southbound,
    /// The hypervisor's local database.
    pub local: Local,
}

impl Start {
    /// `HV.sb.json` and `HV.ovs.json` in `folder`; `None` when there is no such folder.
    pub fn load(folder: &Path, hv: &str) -> Option<Start> {
        if !folder.is_dir() {
            return None;
        }
        let read = |kind: &str| {
            let path = folder.join(format!("{hv}.{kind}.json"));
            (
                path.display().to_string(),
                std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())),
            )
        };
        let ((sb_name, sb), (local_name, local)) = (read("sb"), read("ovs"));
        Some(Start {
            name: format!("{}/{hv}", folder.file_name().unwrap().to_string_lossy()),
            sb: ovsdb::file::load(&sb_name, &sb).unwrap().database,
            local: ovsdb::file::load(&local_name, &local).unwrap().database,
        })
    }

    /// One of our own cases.
    pub fn own(case: &str, hv: &str) -> Start {
        Start::load(&repository().join("testdata/translate").join(case), hv).expect("the case is in testdata/translate")
    }

    /// One of the shared goldens, `None` with a notice when they are not on this machine.
    pub fn golden(case: &str, hv: &str) -> Option<Start> {
        let start = goldens().and_then(|folder| Start::load(&folder.join(case), hv));
        if start.is_none() {
            println!("skipped: golden {case} is not on this machine");
        }
        start
    }

    /// Every hypervisor of every shared golden as folder and name, sorted; none when they are not on this machine.
    pub fn every_golden() -> Vec<(String, String)> {
        let files = |folder: &Path| std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let mut all = Vec::new();
        for case in goldens().iter().flat_map(|folder| files(folder)).filter(|path| path.is_dir()) {
            let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
            let hypervisors = files(&case).filter_map(|file| Some(name(&file).strip_suffix(".sb.json")?.to_owned()));
            all.extend(hypervisors.map(|hv| (name(&case), hv)));
        }
        all.sort();
        all
    }

    /// An agent that has seen these databases and nothing else.
    pub fn agent(&self) -> Agent {
        let mut agent = Agent::new(external());
        agent.adopt_replicas(self.sb.clone(), self.local.clone());
        agent.settle();
        agent
    }
}

/// Where the shared goldens are, if they are on this machine.
fn goldens() -> Option<PathBuf> {
    [repository().join("../shared/goldens"), PathBuf::from("/work/shared/goldens")]
        .into_iter()
        .find(|path| path.is_dir())
}

/// The top of the repository.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A switch that can do everything, and databases that may be written.
pub fn external() -> External {
    External {
        config: Config { dummy_vif_plug: true, ..Config::default() },
        features: SwitchFeatures {
            known: true,
            max_meters: 1000,
            max_groups: 0xffff_ff00,
            sample_with_registers: true,
            ct_label_flush: true,
        },
        geneve_option: Some(0),
        ..External::default()
    }
}

/// A sequence of numbers that is the same in every run (splitmix64).
pub struct Random(pub u64);

impl Random {
    /// The next number.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    /// A number below `limit`, 0 if that is 0.
    pub fn below(&mut self, limit: usize) -> usize {
        (self.next() >> 16) as usize % limit.max(1)
    }

    /// True once in `n` times.
    pub fn once_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    /// One of the items.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        items.get(self.below(items.len()))
    }
}
