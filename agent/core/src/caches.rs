//! Parsed texts, by text: a match or an action list that a thousand lflows share is parsed once. Entry type: [`Caches`].

/// Parsed matches and actions.
#[derive(Default)]
pub struct Caches {}
