//! What the match and action languages take from other tables: address sets, port groups, template variables, DHCP options.

use ovsdb::Str;
use std::sync::Arc;

use crate::reader::Reader;

/// An address set: its addresses as the match language's constants, sorted. Bad ones are left out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AddressSet {
    /// The texts as they stand in the database, sorted.
    pub addresses: Vec<Str>,
}

/// DHCP option names of this Southbound.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DhcpDictionaries {
    /// (name, code, type) of DHCP_Options, sorted by name.
    pub v4: Vec<(Str, i64, Str)>,
    /// (name, code, type) of DHCPv6_Options, sorted by name.
    pub v6: Vec<(Str, i64, Str)>,
}

/// See [`crate::facts`].
pub fn address_set(_r: &Reader<'_>, _name: Str) -> Option<Arc<AddressSet>> {
    Default::default()
}

/// See [`crate::facts`].
pub fn port_group(_r: &Reader<'_>, _datapath_key: u32, _name: Str) -> Option<Arc<[Str]>> {
    Default::default()
}

/// See [`crate::facts`].
pub fn template_variable(_r: &Reader<'_>, _name: Str) -> Option<Str> {
    Default::default()
}

/// See [`crate::facts`].
pub fn dhcp_dictionaries(_r: &Reader<'_>) -> Arc<DhcpDictionaries> {
    Default::default()
}
