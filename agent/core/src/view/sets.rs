//! What the match and action languages take from other tables: address sets, port groups, template variables, DHCP options.

use ovn_lang::{AddressSet, OptionTable};
use ovsdb::Str;
use ovsdb::tables::Table;
use std::sync::Arc;

use crate::facts::{RelatedPorts, ThisChassis};
use crate::reader::Reader;
use crate::rows;

/// DHCP option names of this Southbound.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DhcpDictionaries {
    /// Names of DHCP_Options.
    pub v4: OptionTable,
    /// Names of DHCPv6_Options.
    pub v6: OptionTable,
}

/// The members of the Address_Set of that name, without those that are no addresses.
pub fn address_set(r: &Reader<'_>, name: Str) -> Option<Arc<AddressSet>> {
    let row = r.lookup_one(|t: &Table<rows::AddressSet>| t.by_name(&name))?;
    let row = r.row::<rows::AddressSet>(row)?;
    let (set, _bad) = AddressSet::parse(row.addresses().iter().map(|address| address.as_str()));
    Some(Arc::new(set))
}

/// The locally relevant ports of the Port_Group `<datapath key>_<name>`: ovn-northd splits groups by datapath. A group may have
/// thousands of ports of which a few are relevant, so those are looked up in it and not the other way round.
pub fn port_group(r: &Reader<'_>, datapath_key: u32, name: Str) -> Option<Arc<[Arc<str>]>> {
    let full = format!("{datapath_key}_{name}");
    let row = r.lookup_one(|t: &Table<rows::PortGroup>| t.by_name(&full))?;
    let ports = r.row::<rows::PortGroup>(row)?.ports();
    let datapath = r.lookup_one(|t: &Table<rows::DatapathBinding>| t.by_tunnel_key(i64::from(datapath_key)));
    let related = datapath.map(|datapath| r.fact(RelatedPorts(datapath))).unwrap_or_default();
    Some(related.iter().filter(|lport| ports.contains(lport.as_str())).map(|lport| Arc::from(lport.as_str())).collect())
}

/// This chassis' value of a template variable.
pub fn template_variable(r: &Reader<'_>, name: Str) -> Option<Str> {
    let chassis = r.row::<rows::Chassis>(r.fact(ThisChassis)?)?;
    let row = r.lookup_one(|t: &Table<rows::ChassisTemplateVar>| t.by_chassis(chassis.name()))?;
    r.row::<rows::ChassisTemplateVar>(row)?.variables().get(&name).cloned()
}

/// The option names that `put_dhcp_opts` and `put_dhcpv6_opts` know.
pub fn dhcp_dictionaries(r: &Reader<'_>) -> Arc<DhcpDictionaries> {
    let mut dictionaries = DhcpDictionaries::default();
    for row in r.all::<rows::DhcpOptions>() {
        if let Some(option) = r.row::<rows::DhcpOptions>(row)
            && let Ok(code) = u16::try_from(option.code())
        {
            dictionaries.v4.insert(option.name(), code, option.r#type());
        }
    }
    for row in r.all::<rows::Dhcpv6Options>() {
        if let Some(option) = r.row::<rows::Dhcpv6Options>(row)
            && let Ok(code) = u16::try_from(option.code())
        {
            dictionaries.v6.insert(option.name(), code, option.r#type());
        }
    }
    Arc::new(dictionaries)
}
