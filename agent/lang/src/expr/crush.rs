//! Reduction of expressions over a single symbol to a comparison or a disjunction of comparisons. Entry: [`crush_and`], [`Part::of`].
//!
//! Results are those of `crush_cmps` (OVN v26.03.1). Where OVN multiplies disjunctions pairwise, terms that are prefixes of one
//! another (what `!=`, `<` and CIDR constants give) are intersected in order of their values instead, and sets of `!=` are
//! complemented as a whole.

use super::budget::{Budget, TooComplex};
use super::{Expr, Operand, Relop, bit_run, low_bits};
use crate::symbols::{Level, Symbol};
use rustc_hash::{FxHashMap, FxHashSet};
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The terms of a disjunction, none meaning false; `None` is true.
pub(super) type Terms = Option<Vec<Operand>>;

/// One member of a conjunction over one symbol.
#[derive(Clone)]
pub(super) enum Part {
    /// No constraint.
    True,
    /// One of the terms; false if there is none. Crushed already.
    Any(Vec<Operand>),
    /// Not the value, in the bits of the mask.
    Not {
        /// The value.
        value: u128,
        /// The bits that count.
        mask: u128,
    },
}

impl Part {
    /// Crushes `expr`, which is over `symbol` only.
    pub(super) fn of(expr: &Expr, symbol: &'static Symbol, budget: &mut Budget) -> Result<Part, TooComplex> {
        budget.spend(1)?;
        Ok(match expr {
            Expr::Boolean(true) => Part::True,
            Expr::Boolean(false) | Expr::Condition { .. } => Part::Any(Vec::new()),
            Expr::Cmp(cmp) => match (&cmp.operand, cmp.relop) {
                (Operand::Numeric { mask: 0, .. }, Relop::Eq) => Part::True,
                (operand, Relop::Eq) => Part::Any(vec![operand.clone()]),
                (&Operand::Numeric { value, mask, .. }, Relop::Ne) => Part::Not { value, mask },
                (Operand::Numeric { .. }, _) => Part::of(&expr.clone().simplify(), symbol, budget)?,
                // The parser does not let negative tests of string fields through.
                (Operand::String(_), _) => Part::Any(Vec::new()),
            },
            Expr::And(members) => {
                let parts = members.iter().map(|m| Part::of(m, symbol, budget)).collect::<Result<Vec<_>, _>>()?;
                Part::from_terms(crush_and(parts, symbol, budget)?)
            }
            Expr::Or(members) => {
                let mut terms = Vec::with_capacity(members.len());
                for member in members {
                    match Part::of(member, symbol, budget)?.into_terms(budget)? {
                        Some(mut more) => terms.append(&mut more),
                        None => return Ok(Part::True),
                    }
                }
                canonicalize(symbol, &mut terms, budget)?;
                Part::Any(terms)
            }
        })
    }

    fn from_terms(terms: Terms) -> Part {
        terms.map_or(Part::True, Part::Any)
    }

    /// The terms of a disjunction.
    pub(super) fn terms(&self) -> Option<&[Operand]> {
        match self {
            Part::Any(terms) => Some(terms),
            Part::True | Part::Not { .. } => None,
        }
    }

    fn into_terms(self, budget: &mut Budget) -> Result<Terms, TooComplex> {
        Ok(match self {
            Part::True => None,
            Part::Any(terms) => Some(terms),
            Part::Not { value, mask } => {
                budget.spend(mask.count_ones() as usize)?;
                Some(differing(value, mask))
            }
        })
    }
}

/// The terms of a part that stands alone.
pub(super) fn lone(part: Part, symbol: &'static Symbol, budget: &mut Budget) -> Result<Terms, TooComplex> {
    let sort = matches!(part, Part::Not { .. });
    let mut terms = part.into_terms(budget)?;
    if sort && let Some(terms) = &mut terms {
        canonicalize(symbol, terms, budget)?;
    }
    Ok(terms)
}

/// Crushes the conjunction of `parts`, which are over `symbol`.
pub(super) fn crush_and(parts: Vec<Part>, symbol: &'static Symbol, budget: &mut Budget) -> Result<Terms, TooComplex> {
    if symbol.is_string() { and_strings(parts, budget) } else { and_numbers(parts, symbol, budget) }
}

/// The values that differ from `value` in the bits of `mask`, as disjoint terms: higher bits equal, one bit flipped.
fn differing(value: u128, mask: u128) -> Vec<Operand> {
    let mut terms = Vec::with_capacity(mask.count_ones() as usize);
    let mut rest = mask;
    while rest != 0 {
        let bit = rest & rest.wrapping_neg();
        terms.push(numeric((value ^ bit) & rest, rest));
        rest ^= bit;
    }
    terms
}

fn numeric(value: u128, mask: u128) -> Operand {
    Operand::Numeric { value, mask, from_set: false }
}

/// Value and mask; strings have none.
fn bits(operand: &Operand) -> (u128, u128) {
    match operand {
        Operand::Numeric { value, mask, .. } => (*value, *mask),
        Operand::String(_) => (0, 0),
    }
}

fn string(operand: Operand) -> Option<Arc<str>> {
    match operand {
        Operand::String(s) => Some(s),
        Operand::Numeric { .. } => None,
    }
}

fn order(a: &Operand, b: &Operand) -> Ordering {
    match (a, b) {
        (Operand::String(a), Operand::String(b)) => a.cmp(b),
        _ => {
            let ((av, am), (bv, bm)) = (bits(a), bits(b));
            (am.count_ones(), av, am).cmp(&(bm.count_ones(), bv, bm))
        }
    }
}

/// Sorts the terms of a disjunction by number of bits in the mask, value and mask, removes duplicates and, where the field's masks
/// allow it and none is of an address set, the terms that another one implies (`crush_or_supersets`).
fn canonicalize(symbol: &Symbol, terms: &mut Vec<Operand>, budget: &mut Budget) -> Result<(), TooComplex> {
    if terms.len() < 2 {
        return Ok(());
    }
    budget.spend(terms.len() * 2)?;
    let tagged = terms.iter().any(|t| matches!(t, Operand::Numeric { from_set: true, .. }));
    terms.sort_by(order);
    terms.dedup_by(|duplicate, kept| {
        let same = order(duplicate, kept) == Ordering::Equal;
        if same && let Operand::Numeric { from_set, .. } = kept {
            *from_set = false;
        }
        same
    });
    if tagged || symbol.is_string() || symbol.level != Level::Ordinal {
        return Ok(());
    }
    let mask_bits = |operand: Option<&Operand>| operand.map_or(0, |o| bits(o).1.count_ones());
    if mask_bits(terms.first()) == mask_bits(terms.last()) {
        return Ok(());
    }
    let top = terms.first().and_then(|term| run_top(bits(term).1));
    match top.filter(|_| terms.iter().all(|term| run_top(bits(term).1) == top)) {
        Some(top) => absorb_blocks(terms, low_bits(top + 1)),
        None => absorb(terms, budget)?,
    }
    Ok(())
}

/// Removes the terms that another one implies, all of them being prefixes of the bits `all`: of two blocks that overlap, one
/// contains the other.
fn absorb_blocks(terms: &mut Vec<Operand>, all: u128) {
    terms.sort_by_key(bits);
    let mut end = None;
    terms.retain(|term| {
        let (value, mask) = bits(term);
        let contained = end.is_some_and(|end| value <= end);
        if !contained {
            end = Some(value | (all & !mask));
        }
        !contained
    });
    terms.sort_by(order);
}

/// Removes the terms that another one implies.
fn absorb(terms: &mut Vec<Operand>, budget: &mut Budget) -> Result<(), TooComplex> {
    // For each mask seen so far, the values that occur with it.
    let mut masks: Vec<u128> = Vec::new();
    let mut values: FxHashMap<u128, FxHashSet<u128>> = FxHashMap::default();
    let mut spent = Ok(());
    terms.retain(|term| {
        if spent.is_err() {
            return false;
        }
        let (value, mask) = bits(term);
        let mut looked_up = 0;
        let implied = masks.iter().any(|m| {
            m & mask == *m && *m != mask && {
                looked_up += 1;
                values.get(m).is_some_and(|set| set.contains(&(value & m)))
            }
        });
        spent = budget.spend(masks.len() / 8 + looked_up * 2);
        if !implied {
            values.entry(mask).or_insert_with(|| {
                masks.push(mask);
                FxHashSet::default()
            });
            if let Some(set) = values.get_mut(&mask) {
                set.insert(value);
            }
        }
        !implied
    });
    spent
}

/// Intersection of sets of strings.
fn and_strings(parts: Vec<Part>, budget: &mut Budget) -> Result<Terms, TooComplex> {
    let mut result: Option<Vec<Arc<str>>> = None;
    for part in parts {
        budget.spend(1 + 4 * part.terms().map_or(0, <[_]>::len))?;
        let strings: FxHashSet<Arc<str>> = match part {
            Part::True => continue,
            Part::Any(terms) => terms.into_iter().filter_map(string).collect(),
            Part::Not { .. } => FxHashSet::default(),
        };
        result = Some(match result {
            Some(mut kept) => {
                kept.retain(|s| strings.contains(s));
                kept
            }
            None => {
                let mut strings: Vec<_> = strings.into_iter().collect();
                strings.sort();
                strings
            }
        });
    }
    Ok(result.map(|strings| strings.into_iter().map(Operand::String).collect()))
}

fn intersect(a: (u128, u128), b: (u128, u128)) -> Option<(u128, u128)> {
    ((a.0 ^ b.0) & a.1 & b.1 == 0).then_some((a.0 | b.0, a.1 | b.1))
}

fn and_numbers(parts: Vec<Part>, symbol: &'static Symbol, budget: &mut Budget) -> Result<Terms, TooComplex> {
    let mut base = (0, 0);
    let mut lists: Vec<Vec<Operand>> = Vec::new();
    let mut excluded: Vec<(u128, u128)> = Vec::new();
    for part in parts {
        budget.spend(1 + part.terms().map_or(0, <[_]>::len))?;
        match part {
            Part::True => {}
            Part::Not { mask: 0, .. } => return Ok(Some(Vec::new())),
            Part::Not { value, mask } => excluded.push((value, mask)),
            Part::Any(terms) => match terms.as_slice() {
                [] => return Ok(Some(Vec::new())),
                [one] => match intersect(base, bits(one)) {
                    Some(both) => base = both,
                    None => return Ok(Some(Vec::new())),
                },
                _ => lists.push(terms),
            },
        }
    }
    for terms in exclude(excluded, budget)?.into_iter().chain(std::mem::take(&mut lists)) {
        match terms.as_slice() {
            [] => return Ok(Some(Vec::new())),
            [one] => match intersect(base, bits(one)) {
                Some(both) => base = both,
                None => return Ok(Some(Vec::new())),
            },
            _ => lists.push(terms),
        }
    }
    multiply(base, and_prefixes(base, lists, symbol, budget)?, symbol, budget)
}

/// The conjunction of `base` and several disjunctions, pair by pair.
fn multiply(
    mut base: (u128, u128),
    lists: Vec<Vec<Operand>>,
    symbol: &'static Symbol,
    budget: &mut Budget,
) -> Result<Terms, TooComplex> {
    let mut lists = lists.into_iter();
    let mut current: Option<Vec<Operand>> = None;
    loop {
        let next = lists.next();
        if next.as_ref().is_some_and(Vec::is_empty) {
            return Ok(Some(Vec::new()));
        }
        let (a, b) = match (current.take(), next) {
            (Some(a), Some(b)) => (a, b),
            (None, Some(a)) => {
                current = Some(a);
                continue;
            }
            (Some(terms), None) => return restrict(base, terms, symbol, budget).map(Some),
            (None, None) if base.1 == 0 => return Ok(None),
            (None, None) => return Ok(Some(vec![numeric(base.0, base.1)])),
        };
        let mut product = Vec::new();
        for a in a.iter().filter_map(|a| intersect(base, bits(a))) {
            // Tried pairs count too, for they take time even when they contradict each other.
            budget.spend(b.len() / 8 + 1)?;
            let n = product.len();
            product.extend(b.iter().filter_map(|b| intersect(a, bits(b))).map(|(value, mask)| numeric(value, mask)));
            budget.spend(product.len() - n)?;
        }
        canonicalize(symbol, &mut product, budget)?;
        base = (0, 0);
        match product.as_slice() {
            [] => return Ok(Some(product)),
            [one] => base = bits(one),
            _ => current = Some(product),
        }
    }
}

/// The conjunction of `base` and one disjunction. Terms keep the address set that they come from.
fn restrict(
    base: (u128, u128),
    mut terms: Vec<Operand>,
    symbol: &'static Symbol,
    budget: &mut Budget,
) -> Result<Vec<Operand>, TooComplex> {
    terms.retain_mut(|term| {
        let both = intersect(base, bits(term));
        if let (Some((v, m)), Operand::Numeric { value, mask, .. }) = (both, term) {
            (*value, *mask) = (v, m);
        }
        both.is_some()
    });
    canonicalize(symbol, &mut terms, budget)?;
    Ok(terms)
}

/// The highest bit of a mask that is one run of 1-bits.
fn run_top(mask: u128) -> Option<u32> {
    bit_run(mask).map(|(start, n)| start + n - 1)
}

/// Terms for not being any of the `excluded`: one disjunction for those that are prefixes of the same bits, and one for each other.
fn exclude(excluded: Vec<(u128, u128)>, budget: &mut Budget) -> Result<Vec<Vec<Operand>>, TooComplex> {
    let mut lists = Vec::new();
    let mut blocks: BTreeMap<u32, Vec<(u128, u128)>> = BTreeMap::new();
    for (value, mask) in excluded {
        match run_top(mask) {
            Some(top) => blocks.entry(top).or_default().push((value, mask)),
            None => {
                budget.spend(mask.count_ones() as usize)?;
                lists.push(differing(value, mask));
            }
        }
    }
    for (top, blocks) in blocks {
        lists.push(exclude_blocks(blocks, low_bits(top + 1), budget)?);
    }
    Ok(lists)
}

/// The prefixes of the bits `all` that make up everything outside the `excluded` blocks.
fn exclude_blocks(mut excluded: Vec<(u128, u128)>, all: u128, budget: &mut Budget) -> Result<Vec<Operand>, TooComplex> {
    excluded.sort_unstable();
    let mut terms = Vec::new();
    // The first value that is not dealt with yet; `None` once the last possible value is.
    let mut next = Some(0u128);
    for (value, mask) in excluded {
        let last = value | (all & !mask);
        let Some(first) = next else { break };
        if last < first {
            continue;
        }
        if value > first {
            push_range(&mut terms, first, value - 1, all);
            budget.spend(16)?;
        }
        next = (last < all).then(|| last + 1);
    }
    if let Some(first) = next {
        push_range(&mut terms, first, all, all);
    }
    budget.spend(terms.len())?;
    terms.sort_by(order);
    Ok(terms)
}

/// Appends the largest prefixes that make up the values from `first` to `last`; all the bits are `all`.
fn push_range(terms: &mut Vec<Operand>, mut first: u128, last: u128, all: u128) {
    loop {
        // The largest aligned block that starts at `first` and does not go beyond `last`.
        let mut size = if first == 0 { 128 } else { first.trailing_zeros() };
        while low_bits(size) & all > last - first {
            size -= 1;
        }
        terms.push(numeric(first, all & !low_bits(size)));
        match first.checked_add(low_bits(size)) {
            Some(end) if end < last => first = end + 1,
            _ => return,
        }
    }
}

/// Makes one of all `lists` whose terms are prefixes of the same bits, and none of which comes from an address set; only for
/// maskable fields, where terms that others imply do not matter. What `base` demands of the same bits comes in, too, as that
/// leaves less to multiply.
fn and_prefixes(
    base: (u128, u128),
    lists: Vec<Vec<Operand>>,
    symbol: &'static Symbol,
    budget: &mut Budget,
) -> Result<Vec<Vec<Operand>>, TooComplex> {
    if lists.len() < 2 || symbol.level != Level::Ordinal {
        return Ok(lists);
    }
    let mut out = Vec::new();
    let mut groups: BTreeMap<u32, Vec<Vec<Operand>>> = BTreeMap::new();
    for list in lists {
        let top = list.first().and_then(|term| run_top(bits(term).1));
        let prefix =
            |term: &Operand| matches!(term, Operand::Numeric { mask, from_set: false, .. } if run_top(*mask) == top);
        match top.filter(|_| list.iter().all(prefix)) {
            Some(top) => groups.entry(top).or_default().push(list),
            None => out.push(list),
        }
    }
    for (top, lists) in groups {
        if lists.len() == 1 {
            out.extend(lists);
            continue;
        }
        let all = low_bits(top + 1);
        let mut blocks: Vec<Vec<(u128, u128)>> = lists.iter().map(|list| list.iter().map(bits).collect()).collect();
        if run_top(base.1) == Some(top) {
            blocks.push(vec![base]);
        }
        let terms = intersect_all(blocks, all, budget)?;
        out.push(terms.into_iter().map(|(value, mask)| numeric(value, mask)).collect());
    }
    Ok(out)
}

/// The intersection of lists of blocks that are prefixes of the bits `all`, in the order of terms.
fn intersect_all(
    mut blocks: Vec<Vec<(u128, u128)>>,
    all: u128,
    budget: &mut Budget,
) -> Result<Vec<(u128, u128)>, TooComplex> {
    for list in &mut blocks {
        budget.spend(list.len())?;
        list.sort_unstable();
    }
    // Halving keeps the total work at n log n where one after the other would be quadratic.
    while blocks.len() > 1 {
        let mut merged = Vec::with_capacity(blocks.len().div_ceil(2));
        for pair in blocks.chunks(2) {
            merged.push(match pair {
                [a, b] => intersect_blocks(a, b, all),
                [a, ..] => a.clone(),
                [] => Vec::new(),
            });
        }
        blocks = merged;
        budget.spend(blocks.iter().map(Vec::len).sum::<usize>() / 2)?;
    }
    let mut terms = blocks.pop().unwrap_or_default();
    terms.sort_by_key(|(value, mask)| (mask.count_ones(), *value, *mask));
    Ok(terms)
}

/// The intersection of two sorted lists of disjoint blocks, each a prefix of the bits `all`: of two blocks that overlap, one
/// contains the other.
fn intersect_blocks(a: &[(u128, u128)], b: &[(u128, u128)], all: u128) -> Vec<(u128, u128)> {
    let mut out = Vec::with_capacity(a.len().max(b.len()));
    let (mut a, mut b) = (a.iter().peekable(), b.iter().peekable());
    while let (Some(&&x), Some(&&y)) = (a.peek(), b.peek()) {
        let (x_last, y_last) = (x.0 | (all & !x.1), y.0 | (all & !y.1));
        if x_last < y.0 {
            a.next();
        } else if y_last < x.0 {
            b.next();
        } else if x.1.count_ones() >= y.1.count_ones() {
            out.push(x);
            a.next();
        } else {
            out.push(y);
            b.next();
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Limits, NoSets, SymbolTable};

    fn budget() -> Budget {
        Budget::new(Limits::default(), 0)
    }

    fn random(state: &mut u64, n: u128) -> u128 {
        *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        u128::from(*state >> 33) % n
    }

    /// The quick ways must give the very terms that multiplying pair by pair, as OVN does, gives.
    #[test]
    fn prefixes_and_exclusion_equal_the_product() {
        let symbol = SymbolTable::main().find("tcp.dst").unwrap();
        let mut state = 7;
        for _ in 0..400 {
            let n = 1 + random(&mut state, 6);
            let excluded: Vec<(u128, u128)> = (0..n)
                .map(|_| {
                    let mask = 0xff & !low_bits(random(&mut state, 4) as u32);
                    (random(&mut state, 256) & mask, mask)
                })
                .collect();
            let lists: Vec<_> = excluded.iter().map(|&(value, mask)| differing(value, mask)).collect();
            let singles = lists.iter().any(|list| list.len() < 2);
            let want = multiply((0, 0), lists.clone(), symbol, &mut budget()).unwrap();
            let got = exclude(excluded.clone(), &mut budget()).unwrap();
            assert_eq!(want.as_ref(), got.first(), "{excluded:?}");
            if lists.len() > 1 && !singles {
                let prefixes = |base, lists: &[Vec<Operand>]| {
                    let mut budget = budget();
                    let lists = and_prefixes(base, lists.to_vec(), symbol, &mut budget).unwrap();
                    assert_eq!(lists.len(), 1);
                    multiply(base, lists, symbol, &mut budget).unwrap()
                };
                assert_eq!(prefixes((0, 0), &lists), want, "{excluded:?}");
                let base = (random(&mut state, 256) & 0xc0, 0xc0);
                let want = multiply(base, lists.clone(), symbol, &mut budget()).unwrap();
                assert_eq!(prefixes(base, &lists), want, "{base:?} {excluded:?}");
            }
        }
    }

    #[test]
    fn prefixes_of_both_signs_equal_the_product() {
        let symbol = SymbolTable::main().find("tcp.dst").unwrap();
        let mut state = 99;
        for _ in 0..400 {
            let lists: Vec<Vec<Operand>> = (0..2 + random(&mut state, 3))
                .map(|_| {
                    let n = 2 + random(&mut state, 8);
                    let mut list: Vec<_> = (0..n)
                        .map(|_| {
                            let mask = 0xff & !low_bits(random(&mut state, 7) as u32);
                            numeric(random(&mut state, 256) & mask, mask)
                        })
                        .collect();
                    canonicalize(symbol, &mut list, &mut budget()).unwrap();
                    list
                })
                .collect();
            let want = multiply((0, 0), lists.clone(), symbol, &mut budget()).unwrap();
            let got = and_prefixes((0, 0), lists.clone(), symbol, &mut budget()).unwrap();
            assert_eq!(multiply((0, 0), got, symbol, &mut budget()).unwrap(), want, "{lists:?}");
        }
    }

    #[test]
    fn many_inequalities_are_as_good_as_few() {
        let expr = |n: u32, mask: &str| {
            let list = (0..n).map(|i| format!("10.{}.{}.{}{mask}", i * 37 % 256, i * 91 % 256, i * 13 % 256));
            let text = format!("ip4.src != {{{}}}", list.collect::<Vec<_>>().join(", "));
            Expr::parse(&text, SymbolTable::main(), &NoSets).unwrap().annotate()
        };
        for n in [2, 16, 17, 40] {
            for mask in ["", "/24", "/255.0.255.0"] {
                let Expr::And(members) = expr(n, mask) else { panic!("not a conjunction") };
                let spelt_out = Expr::And(members.into_iter().map(Expr::simplify).collect());
                let quick = expr(n, mask).simplify().normalize(Limits::default()).map(|n| n.to_string());
                if mask != "/255.0.255.0" || n < 17 {
                    let spelt_out = spelt_out.normalize(Limits::default()).map(|n| n.to_string());
                    assert_eq!(quick, spelt_out, "{n} {mask}");
                }
            }
        }
    }

    #[test]
    fn budget_is_an_error_and_not_an_explosion() {
        let list = (0..3000).map(|i| format!("10.{}.{}.0/255.255.{}.255", i / 256, i % 256, i % 7)).collect::<Vec<_>>();
        let text = format!("ip4.src != {{{}}} && ip4.dst != {{{}}}", list.join(", "), list.join(", "));
        let expr = Expr::parse(&text, SymbolTable::main(), &NoSets).unwrap().annotate().simplify();
        let error = expr.normalize(Limits { max_steps: 10_000 }).unwrap_err();
        assert_eq!(error.to_string(), "expression is too complex: multiplying it out takes more than 10000 steps");
    }
}
