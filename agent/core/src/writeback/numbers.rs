//! The numbers that tunnel ports have, in their names and as OpenFlow ports, kept so that the lowest free one is found at once where a
//! thousand are taken. Observed like a replica's index, never asked by a node. Entry type: [`TunnelNumbers`].

use ovsdb::tables::local::{Change, Port};
use ovsdb::{Local, Str};
use std::collections::{BTreeMap, HashMap};

use crate::changes::is_tunnel;

/// The numbers that are taken.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TunnelNumbers {
    /// OpenFlow ports of any bridge's interfaces.
    ofports: Taken,
    /// Of tunnels with names that end in a number, by what they begin with.
    names: HashMap<Str, Taken>,
}

impl TunnelNumbers {
    /// Those of a whole replica.
    pub fn of(local: &Local) -> Self {
        let mut numbers = Self::default();
        for (_, interface) in local.interface.iter() {
            numbers.ofports.set(ofport(interface.ofport), true);
        }
        for (_, port) in local.port.iter() {
            numbers.set_name(port, true);
        }
        numbers
    }

    /// Follows changes that `local` has by now.
    pub fn observe(&mut self, local: &Local, changes: &[Change]) {
        for change in changes {
            match change {
                Change::Interface(delta) => {
                    let new = local.interface.row(delta.row).and_then(|interface| interface.ofport);
                    let old = delta.old.as_ref().and_then(|interface| interface.ofport);
                    for number in [old, new].into_iter().flatten().filter(|_| old != new) {
                        // Each bridge has its own numbers, so that another interface may have the same one.
                        let is_taken = local.interface.by_ofport(number).next().is_some();
                        self.ofports.set(ofport(Some(number)), is_taken);
                    }
                }
                Change::Port(delta) => {
                    if let Some(old) = &delta.old {
                        self.set_name(old, false);
                    }
                    if let Some(new) = local.port.row(delta.row) {
                        self.set_name(new, true);
                    }
                }
                _ => {}
            }
        }
    }

    /// OpenFlow ports that no interface has, ascending from 1.
    pub fn free_ofports(&self) -> impl Iterator<Item = u32> {
        self.ofports.free().skip_while(|number| *number == 0)
    }

    /// Numbers that no tunnel's name with this beginning has, ascending from 0. (A port that is no tunnel may still have that name.)
    pub fn free_in_names(&self, prefix: &str) -> impl Iterator<Item = u32> {
        static NONE: Taken = Taken(BTreeMap::new());
        self.names.get(prefix).unwrap_or(&NONE).free()
    }

    fn set_name(&mut self, port: &Port, taken: bool) {
        let Some((prefix, number)) = is_tunnel(port).then(|| numbered(&port.name)).flatten() else { return };
        let of_prefix = self.names.entry(prefix.into()).or_default();
        of_prefix.set(Some(number), taken);
        if of_prefix.0.is_empty() {
            self.names.remove(prefix);
        }
    }
}

/// A name with a number.
pub fn name(prefix: &str, number: u32) -> String {
    format!("{prefix}-{number:x}")
}

/// The beginning and the number of a name as [`name`] makes them.
fn numbered(name: &str) -> Option<(&str, u32)> {
    let (prefix, digits) = name.rsplit_once('-')?;
    let is_plain = digits == "0" || !digits.starts_with('0');
    let lower = digits.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
    let number = u32::from_str_radix(digits, 16).ok().filter(|_| is_plain && lower)?;
    Some((prefix, number))
}

fn ofport(number: Option<i64>) -> Option<u32> {
    number.and_then(|number| u32::try_from(number).ok())
}

/// A set of numbers as the runs of consecutive ones in it: the first of each, and the one after its last.
#[derive(Clone, Debug, Default, PartialEq)]
struct Taken(BTreeMap<u32, u32>);

impl Taken {
    /// Puts a number in or takes it out. `None` and the greatest `u32` are nobody's.
    fn set(&mut self, number: Option<u32>, taken: bool) {
        let Some((number, after)) = number.and_then(|number| Some((number, number.checked_add(1)?))) else { return };
        let run =
            self.0.range(..=number).next_back().map(|(first, end)| (*first, *end)).filter(|(_, end)| *end > number);
        match (run, taken) {
            (Some((first, end)), false) => {
                self.0.remove(&first);
                self.0.extend([(first, number), (after, end)].into_iter().filter(|(first, end)| first < end));
            }
            (None, true) => {
                let before = self.0.range(..number).next_back().filter(|(_, end)| **end == number);
                let first = before.map_or(number, |(first, _)| *first);
                let end = self.0.remove(&after).unwrap_or(after);
                self.0.insert(first, end);
            }
            _ => {}
        }
    }

    /// The numbers that are not in, ascending.
    fn free(&self) -> impl Iterator<Item = u32> {
        let starts = std::iter::once(0).chain(self.0.values().copied());
        let ends = self.0.keys().copied().chain([u32::MAX]);
        starts.zip(ends).flat_map(|(start, end)| start..end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_have_a_number_at_their_end() {
        for (prefix, number) in [("ovn-comput", 0), ("ovn-a-b", 0x1f), ("ovn0-", 65_535)] {
            assert_eq!(numbered(&name(prefix, number)), Some((prefix, number)));
        }
        for other in ["ovn-x-00", "ovn-x-0a", "ovn-x-A", "ovn-x-", "ovn-x-+1", "ovn-x-123456789", "ovn", "", "-"] {
            assert_eq!(numbered(other), None, "{other}");
        }
    }

    /// Random numbers come and go; the runs are compared with a plain set.
    #[test]
    fn runs_are_a_set() {
        let (mut runs, mut plain, mut seed) = (Taken::default(), BTreeSet::new(), 7_u32);
        for _ in 0..20_000 {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let (number, taken) = (seed >> 8 & 31, seed >> 20 & 1 == 1);
            runs.set(Some(number), taken);
            _ = if taken { plain.insert(number) } else { plain.remove(&number) };
            let free: Vec<u32> = (0..40).filter(|number| !plain.contains(number)).collect();
            assert_eq!(runs.free().take_while(|number| *number < 40).collect::<Vec<_>>(), free);
            let starts = plain.iter().filter(|number| **number == 0 || !plain.contains(&(**number - 1))).count();
            assert_eq!(runs.0.len(), starts, "{runs:?}");
        }
        runs.set(None, true);
        runs.set(Some(u32::MAX), true);
        assert!(!runs.free().take(100).any(|number| plain.contains(&number)));
    }
}
