//! The view: what this hypervisor is and has, derived from both databases. One module a subject; each function derives one
//! fact of [`crate::facts`] and reads through a [`Reader`](crate::reader::Reader) only.
//!
//! Sets are found from this hypervisor's side (its interfaces, its Chassis row, its groups) through indexes, never by walking
//! a table, so that the work a change causes does not grow with the number of other hypervisors.

pub mod bfd;
pub mod chassis;
pub mod datapaths;
pub mod evpn;
pub mod interest;
pub mod interfaces;
pub mod multicast;
pub mod peers;
pub mod placement;
pub mod ports;
pub mod sets;
pub mod tunnels;
pub mod zone_users;
pub mod zones;

#[cfg(test)]
pub(crate) mod testbed;
#[cfg(test)]
mod tests;

use ovsdb::{Map, Str};

/// A boolean option that is off unless it says "true", in any case (`smap_get_bool` with default false).
pub fn flag(options: &Map<Str, Str>, key: &str) -> bool {
    is_true(options.get(key))
}

/// The same for a value that was looked up elsewhere: a setting, an option of northd.
pub fn is_true(value: Option<&Str>) -> bool {
    value.is_some_and(|value| value.eq_ignore_ascii_case("true"))
}

#[cfg(test)]
mod flag_tests {
    use super::*;

    #[test]
    fn booleans_are_read_as_smap_get_bool_does() {
        for (value, expected) in
            [("true", true), ("True", true), ("TRUE", true), ("false", false), ("1", false), ("", false)]
        {
            let options: Map<Str, Str> = [(Str::from("key"), Str::from(value))].into_iter().collect();
            assert_eq!(flag(&options, "key"), expected, "{value}");
        }
        assert!(!flag(&Map::default(), "key"));
    }
}
