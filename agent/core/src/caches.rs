//! Parsed texts, by text: a match and an action list that a thousand lflows share are parsed once. Only what depends on
//! nothing but its text is kept. Entry types: [`Caches`], [`Compiled`].

use hashbrown::{HashMap, hash_map};
use ovn_lang::{Expr, LogicalAction, Normalized, Pipeline};
use ovsdb::Str;
use rustc_hash::FxBuildHasher;
use std::sync::Arc;

/// What a compiled lflow text depends on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TextKey {
    /// Logical_Flow.match.
    pub match_: Str,
    /// Logical_Flow.actions.
    pub actions: Str,
    /// `next` means another table in each.
    pub pipeline: Pipeline,
    /// Likewise.
    pub table: u8,
    /// The match is in terms of the connection's original tuple (tags:acl_ct_translation).
    pub acl_ct: bool,
}

/// A logical flow's texts, as far as they can be translated without asking anybody.
#[derive(Debug)]
pub struct Compiled {
    /// The actions.
    pub actions: Vec<LogicalAction>,
    /// The match with the actions' prerequisites.
    pub matching: Matching,
}

/// A match, as far as it can be translated without asking anybody.
#[derive(Debug)]
pub enum Matching {
    /// It depends on which ports reside here.
    Conditional(Expr),
    /// Only port names are left to resolve.
    Normalized(Normalized),
}

/// Texts of one generation. OVN's deployments have a few thousand that many lflows share, and a hundred thousand that only
/// one lflow has, which would otherwise be kept, at a kilobyte each, until the end of a bulk translation.
const GENERATION: usize = 4096;

/// Texts that are freed in one go: so many, or so many bytes of matches. Those of large sets take ten microseconds a kilobyte.
const FREED: usize = 256;
const FREED_BYTES: usize = 64 << 10;

/// A compiled text, or why it is none.
pub type Compilation = Result<Arc<Compiled>, Arc<str>>;

/// Parsed matches and actions: those used since the last two changes of generation.
#[derive(Default)]
pub struct Caches {
    young: HashMap<TextKey, Compilation, FxBuildHasher>,
    old: HashMap<TextKey, Compilation, FxBuildHasher>,
    /// What is forgotten and not freed yet.
    forgotten: Vec<hash_map::IntoIter<TextKey, Compilation>>,
}

impl Caches {
    /// The compiled form, made by `compile` if it is not at hand.
    pub fn compiled(&mut self, key: TextKey, compile: impl FnOnce(&TextKey) -> Compilation) -> Compilation {
        self.age();
        let Self { young, old, .. } = self;
        young.entry(key).or_insert_with_key(|key| old.remove(key).unwrap_or_else(|| compile(key))).clone()
    }

    /// Adds what was compiled elsewhere.
    pub fn insert(&mut self, key: TextKey, compiled: Compilation) {
        self.age();
        self.young.insert(key, compiled);
    }

    /// Whether the compiled form is at hand.
    pub fn contains(&self, key: &TextKey) -> bool {
        self.young.contains_key(key) || self.old.contains_key(key)
    }

    /// How many are at hand: expressions that depend on who resides here, and normalised matches.
    pub fn sizes(&self) -> (usize, usize) {
        let all = self.young.values().chain(self.old.values()).flatten();
        all.fold((0, 0), |(conditional, normalized), compiled| match compiled.matching {
            Matching::Conditional(_) => (conditional + 1, normalized),
            Matching::Normalized(_) => (conditional, normalized + 1),
        })
    }

    /// For each text that comes.
    fn age(&mut self) {
        // At least as fast as they come, so that a bulk translation does not keep them all until its end.
        self.free_texts(2, FREED_BYTES);
        if self.young.len() >= GENERATION {
            let old = std::mem::replace(&mut self.old, std::mem::take(&mut self.young));
            self.forgotten.push(old.into_iter());
        }
    }

    /// Forgets everything: after a bulk translation the texts are not needed again soon. See [`Caches::free`].
    pub fn clear(&mut self) {
        for texts in [std::mem::take(&mut self.young), std::mem::take(&mut self.old)] {
            self.forgotten.push(texts.into_iter());
        }
    }

    /// Frees some of what was forgotten, which takes a good part of a millisecond at most. Says whether that was all.
    pub fn free(&mut self) -> bool {
        self.free_texts(FREED, FREED_BYTES);
        self.forgotten.is_empty()
    }

    fn free_texts(&mut self, most_texts: usize, most_bytes: usize) {
        let (mut texts, mut bytes) = (0, 0);
        while texts < most_texts
            && bytes < most_bytes
            && let Some(last) = self.forgotten.last_mut()
        {
            match last.next() {
                Some((key, _)) => bytes += key.match_.len(),
                None => drop(self.forgotten.pop()),
            }
            texts += 1;
        }
    }

    /// Number of texts kept.
    pub fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }

    /// Whether nothing is kept.
    pub fn is_empty(&self) -> bool {
        self.young.is_empty() && self.old.is_empty()
    }
}
