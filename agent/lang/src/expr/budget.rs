//! How much work one expression may cause. Entry types: [`Limits`], [`TooComplex`].
//!
//! Work is counted in steps that each take some ten nanoseconds: a term made, looked at or sorted, a factor taken over into a
//! product. What the size of the expression justifies is free, so an address set of a million members is as good as one of ten;
//! what counts is multiplying out.

/// Bounds on the work that one expression may cause.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// How many steps translation may take beyond what the expression's size justifies.
    pub max_steps: usize,
}

impl Default for Limits {
    /// Enough for some tens of thousands of flows, and done in ten to twenty milliseconds.
    fn default() -> Self {
        Limits { max_steps: 1 << 19 }
    }
}

/// An expression cannot be translated with reasonable effort.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("expression is too complex: multiplying it out takes more than {max_steps} steps")]
pub struct TooComplex {
    /// The bound that was hit.
    pub max_steps: usize,
}

/// Counts the steps that one normalisation takes.
pub(super) struct Budget {
    limits: Limits,
    /// What the expression's size justifies.
    free: usize,
    used: usize,
}

impl Budget {
    /// For an expression whose size justifies `free` steps.
    pub(super) fn new(limits: Limits, free: usize) -> Budget {
        Budget { limits, free, used: 0 }
    }

    pub(super) fn spend(&mut self, steps: usize) -> Result<(), TooComplex> {
        self.used = self.used.saturating_add(steps);
        let Limits { max_steps } = self.limits;
        if self.used > max_steps.saturating_add(self.free) { Err(TooComplex { max_steps }) } else { Ok(()) }
    }

    /// Steps taken so far.
    pub(super) fn used(&self) -> usize {
        self.used
    }
}
