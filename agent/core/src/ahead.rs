//! Compiling the texts of logical flows on other threads, ahead of the units that need them. Most of a bulk translation is that, and it depends on
//! the texts alone, so neither the result nor the order of anything depends on the number of threads. Entry types: [`Ahead`], [`Threads`].

use rustc_hash::FxBuildHasher;
use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::caches::{Caches, Compilation, TextKey};
use crate::engine::{Graph, NodeKey, Stratum};
use crate::flows::logical;
use crate::model::Model;
use crate::units::UnitKey;

/// Units that are run while the texts of as many following ones are compiled. Fewer than the caches hold.
pub const SLICE: usize = 1024;

/// Fewer texts than this are not worth a thread.
const WORTHWHILE: usize = 16;

/// How many threads may work at a time.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Threads(pub usize);

impl Default for Threads {
    fn default() -> Self {
        Self(1)
    }
}

/// Texts to be compiled, a share for each thread.
#[derive(Debug, Default)]
pub struct Ahead {
    shares: Vec<Vec<TextKey>>,
}

impl Ahead {
    /// The texts of the logical flow units that stand in the queue behind the next `slice` units, as far as they are not compiled yet.
    pub fn plan(threads: Threads, slice: usize, graph: &Graph, model: &Model, caches: &Caches) -> Self {
        let helpers = threads.0.saturating_sub(1);
        if helpers == 0 {
            return Self::default();
        }
        let mut seen: HashSet<TextKey, FxBuildHasher> = HashSet::default();
        let mut texts = Vec::new();
        for id in graph.queued(Stratum::Flows).skip(slice).take(slice) {
            let Some(NodeKey::Unit(UnitKey::LogicalFlow { lflow, .. })) = graph.key(id) else { continue };
            let Some(key) = model.sb.logical_flow.row(*lflow).and_then(logical::independent_text) else { continue };
            if !caches.contains(&key) && seen.insert(key.clone()) {
                texts.push(key);
            }
        }
        if texts.len() < WORTHWHILE {
            return Self::default();
        }
        let share = texts.len().div_ceil(helpers);
        let mut shares = Vec::with_capacity(helpers);
        while texts.len() > share {
            shares.push(texts.split_off(texts.len() - share));
        }
        shares.push(texts);
        Self { shares }
    }

    /// Compiles the texts while `meanwhile` runs, and of each share at least the first. Gives what both come to. Nobody waits for more than a
    /// text: the units that need the others come later, or compile them themselves.
    pub fn compile<T>(self, meanwhile: impl FnOnce() -> T) -> (T, Vec<(TextKey, Compilation)>) {
        if self.shares.is_empty() {
            return (meanwhile(), Vec::new());
        }
        let enough = AtomicBool::new(false);
        let compile = |share: Vec<TextKey>| -> Vec<_> {
            let mut compiled = Vec::with_capacity(share.len());
            for key in share {
                let compilation = logical::compile_independent(&key);
                compiled.push((key, compilation));
                if enough.load(Ordering::Relaxed) {
                    break;
                }
            }
            compiled
        };
        std::thread::scope(|scope| {
            let compile = &compile;
            let helpers: Vec<_> = self.shares.into_iter().map(|share| scope.spawn(move || compile(share))).collect();
            let result = meanwhile();
            enough.store(true, Ordering::Relaxed);
            // What a helper could not do, the unit does.
            (result, helpers.into_iter().filter_map(|helper| helper.join().ok()).flatten().collect())
        })
    }
}
