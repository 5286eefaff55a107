//! Do two lists of matches select the same packets? Exact: what is left of one list when the other is cut away bit by bit.

use std::collections::BTreeMap;

use ofproto_client::Match;

/// A match: value and mask by name of the field.
type Term = BTreeMap<&'static str, (u128, u128)>;

/// How many pieces a term may fall into before the lists count as different.
const PIECES: usize = 100_000;

/// Whether every packet that one of `these` matches is matched by one of `those`, and the other way round.
pub fn same_packets(these: &[&Match], those: &[&Match]) -> bool {
    let (these, those) = (terms(these), terms(those));
    these.iter().all(|term| is_covered(term, &those)) && those.iter().all(|term| is_covered(term, &these))
}

fn terms(matches: &[&Match]) -> Vec<Term> {
    let term =
        |match_: &&Match| match_.iter().map(|(field, value, mask)| (field.name(), (value & mask, mask))).collect();
    let mut terms: Vec<Term> = matches.iter().map(term).collect();
    // The terms that cut away most first.
    terms.sort_by_key(|term: &Term| term.values().map(|(_, mask)| mask.count_ones()).sum::<u32>());
    terms
}

fn is_covered(term: &Term, by: &[Term]) -> bool {
    let mut left = vec![term.clone()];
    for cut in by {
        let mut next = Vec::new();
        for piece in left {
            subtract(piece, cut, &mut next);
        }
        left = next;
        if left.is_empty() || left.len() > PIECES {
            break;
        }
    }
    left.is_empty()
}

/// Adds the pieces of `piece` that `cut` does not match.
fn subtract(mut piece: Term, cut: &Term, out: &mut Vec<Term>) {
    let of = |term: &Term, field: &&'static str| term.get(field).copied().unwrap_or((0, 0));
    for (field, (value, mask)) in cut {
        let (own, own_mask) = of(&piece, field);
        if (own ^ value) & own_mask & mask != 0 {
            out.push(piece);
            return;
        }
    }
    for (field, (value, mask)) in cut {
        let mut open = mask & !of(&piece, field).1;
        while open != 0 {
            let bit = 1_u128 << (127 - open.leading_zeros());
            open &= !bit;
            let (own, own_mask) = of(&piece, field);
            let mut outside = piece.clone();
            outside.insert(field, (own | (!value & bit), own_mask | bit));
            out.push(outside);
            piece.insert(field, (own | (value & bit), own_mask | bit));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::same_packets;
    use ofproto_client::Match;

    #[test]
    fn terms_by_packets() {
        let parse = |text: &str| -> Vec<Match> { text.split(' ').map(|term| term.parse().unwrap()).collect() };
        for (these, those, same) in [
            ("reg0=0/0x3", "reg0=0/0x7 reg0=4/0x7", true),
            ("reg0=1/0x1 reg0=2/0x2", "reg0=2/0x2 reg0=1/0x3", true),
            ("reg0=1/0x1 reg0=2/0x2", "reg0=2/0x2", false),
            ("reg0=2/0x2", "reg0=1/0x1 reg0=2/0x2", false),
            ("reg0=1,reg1=1", "reg0=1", false),
            ("ip,nw_ttl=1", "ip,nw_ttl=1 ip,nw_ttl=1,nw_src=1.0.0.0/8", true),
        ] {
            let (left, right) = (parse(these), parse(those));
            let (left, right): (Vec<&Match>, Vec<&Match>) = (left.iter().collect(), right.iter().collect());
            assert_eq!(same_packets(&left, &right), same, "{these} and {those}");
        }
    }
}
