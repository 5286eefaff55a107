//! Conntrack zones by user: [`UserZones`], in two lists by what the user is ([`ZoneKind`], [`ByKind`]).
//!
//! A port has one zone, a local datapath two for address translation. There are as many ports as are plugged in here, but there may be
//! thousands of local datapaths: kept apart, their list stays the same one while ports come and go, and is not looked at for them.

use ovsdb::Str;

use crate::list::List;

/// A user's name and its zone.
pub type UserZone = (Str, u16);

/// What a zone is for, by the name of its user.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum ZoneKind {
    /// Half of a datapath's address translation: the name ends in `_dnat` or `_snat`. A port may be called so as well.
    Nat,
    /// Any other port.
    Port,
}

impl ZoneKind {
    /// Both.
    pub const ALL: [ZoneKind; 2] = [ZoneKind::Nat, ZoneKind::Port];

    /// By the user's name.
    pub fn of(user: &str) -> Self {
        if user.ends_with("_dnat") || user.ends_with("_snat") { ZoneKind::Nat } else { ZoneKind::Port }
    }
}

/// A list for each kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ByKind<T> {
    /// What is of [`ZoneKind::Nat`].
    pub nat: List<T>,
    /// What is of [`ZoneKind::Port`].
    pub ports: List<T>,
}

/// Users and their zones, each list sorted by user.
pub type UserZones = ByKind<UserZone>;

impl<T> ByKind<T> {
    /// The list of one kind.
    pub fn of(&self, kind: ZoneKind) -> &List<T> {
        match kind {
            ZoneKind::Nat => &self.nat,
            ZoneKind::Port => &self.ports,
        }
    }

    /// Whether these are the same lists. Equal ones need not be.
    pub fn is(&self, other: &Self) -> bool {
        self.nat.is(&other.nat) && self.ports.is(&other.ports)
    }
}

impl UserZones {
    /// The zone of a user.
    pub fn zone_of(&self, user: &Str) -> Option<u16> {
        let list = self.of(ZoneKind::of(user));
        let at = list.binary_search_by(|(other, _)| other.cmp(user)).ok()?;
        list.get(at).map(|(_, zone)| *zone)
    }

    /// Whether a user has that zone.
    pub fn holds(&self, (user, zone): &UserZone) -> bool {
        self.zone_of(user) == Some(*zone)
    }

    /// All of them, one list after the other.
    pub fn iter(&self) -> impl Iterator<Item = &UserZone> {
        self.nat.iter().chain(self.ports.iter())
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.nat.len() + self.ports.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl FromIterator<UserZone> for UserZones {
    fn from_iter<I: IntoIterator<Item = UserZone>>(zones: I) -> Self {
        let (mut nat, mut ports): (Vec<UserZone>, Vec<UserZone>) =
            zones.into_iter().partition(|(user, _)| ZoneKind::of(user) == ZoneKind::Nat);
        nat.sort();
        ports.sort();
        Self { nat: nat.into(), ports: ports.into() }
    }
}

/// Zones: a bit for each number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZoneSet(Box<[u64]>);

impl Default for ZoneSet {
    fn default() -> Self {
        Self(vec![0; 1 << 10].into())
    }
}

impl ZoneSet {
    /// Says whether it was not there.
    pub fn insert(&mut self, zone: u16) -> bool {
        let is_new = !self.contains(zone);
        self.0[usize::from(zone >> 6)] |= 1 << (zone & 63);
        is_new
    }

    /// Whether it is there.
    pub fn contains(&self, zone: u16) -> bool {
        self.0[usize::from(zone >> 6)] & 1 << (zone & 63) != 0
    }
}

impl Extend<u16> for ZoneSet {
    fn extend<I: IntoIterator<Item = u16>>(&mut self, zones: I) {
        zones.into_iter().for_each(|zone| _ = self.insert(zone));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_says_the_kind() {
        let zones: UserZones = [("p", 4), ("ls_snat", 2), ("_dnat", 3), ("ls_dnat", 1), ("dnat", 5)]
            .map(|(u, z)| (u.into(), z))
            .into_iter()
            .collect();
        assert_eq!(
            zones.nat.iter().map(|(user, _)| user.as_str()).collect::<Vec<_>>(),
            ["_dnat", "ls_dnat", "ls_snat"]
        );
        assert_eq!(zones.ports.iter().map(|(user, _)| user.as_str()).collect::<Vec<_>>(), ["dnat", "p"]);
        assert_eq!((zones.zone_of(&"ls_snat".into()), zones.zone_of(&"q".into()), zones.len()), (Some(2), None, 5));
        assert!(zones.holds(&("p".into(), 4)) && !zones.holds(&("p".into(), 5)));
    }

    #[test]
    fn a_set_has_what_was_put_in() {
        let mut set = ZoneSet::default();
        set.extend([0, 63, 64, u16::MAX]);
        assert!(!set.insert(64) && set.insert(65));
        let held: Vec<u16> = (0..=u16::MAX).filter(|zone| set.contains(*zone)).collect();
        assert_eq!(held, [0, 63, 64, 65, u16::MAX]);
    }
}
