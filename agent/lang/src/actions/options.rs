//! Named options of `put_dhcp_opts`, `put_dhcpv6_opts`, `put_nd_ra_opts` and `trigger_event`.
//!
//! Entry types: [`OptionTable`] (what names exist; DHCP tables come from the SB tables DHCP_Options and DHCPv6_Options),
//! [`OptionType`].

use std::sync::{Arc, OnceLock};

use hashbrown::HashMap;
use rustc_hash::FxBuildHasher;

/// How an option's value is written in action text and in the packet (column `type` of SB DHCP_Options).
#[derive(Copy, Clone, Debug, Eq, PartialEq, Hash)]
pub enum OptionType {
    /// One octet, 0 or 1.
    Bool,
    /// One octet.
    Uint8,
    /// Two octets.
    Uint16,
    /// Four octets.
    Uint32,
    /// One or more IPv4 addresses.
    Ipv4,
    /// One or more IPv6 addresses.
    Ipv6,
    /// One Ethernet address.
    Mac,
    /// Pairs of destination and gateway (RFC 3442).
    StaticRoutes,
    /// Text, as it stands.
    Str,
    /// A string or one IPv4 address.
    HostId,
    /// Comma separated domain names (RFC 1035 with compression).
    Domains,
    /// One domain name (RFC 1035).
    Domain,
    /// A type this release does not know: numeric in action text, no payload (OVN writes an empty option, too).
    Unknown,
}

impl OptionType {
    /// The type named so in the SB tables.
    pub fn from_name(name: &str) -> OptionType {
        match name {
            "bool" => OptionType::Bool,
            "uint8" => OptionType::Uint8,
            "uint16" => OptionType::Uint16,
            "uint32" => OptionType::Uint32,
            "ipv4" => OptionType::Ipv4,
            "ipv6" => OptionType::Ipv6,
            "mac" => OptionType::Mac,
            "static_routes" => OptionType::StaticRoutes,
            "str" => OptionType::Str,
            "host_id" => OptionType::HostId,
            "domains" => OptionType::Domains,
            "domain" => OptionType::Domain,
            _ => OptionType::Unknown,
        }
    }

    /// True if the value has to be text in double quotes.
    pub(crate) fn needs_string(self) -> bool {
        matches!(self, OptionType::Str | OptionType::Domains | OptionType::Domain)
    }
}

/// One known option.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct OptionDef {
    /// Name in action text, e.g. `lease_time`.
    pub name: Arc<str>,
    /// Number on the wire.
    pub code: u16,
    /// How the value is written.
    pub kind: OptionType,
}

/// The options one action knows, by name.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct OptionTable(HashMap<Arc<str>, Arc<OptionDef>, FxBuildHasher>);

impl OptionTable {
    /// A table without options: every use is an error.
    pub fn new() -> OptionTable {
        OptionTable::default()
    }

    /// Adds an option, replacing one of the same name; `kind` as in SB column `type`.
    pub fn insert(&mut self, name: &str, code: u16, kind: &str) {
        let name: Arc<str> = name.into();
        let def = OptionDef { name: Arc::clone(&name), code, kind: OptionType::from_name(kind) };
        self.0.insert(name, Arc::new(def));
    }

    /// Forgets an option.
    pub fn remove(&mut self, name: &str) {
        self.0.remove(name);
    }

    /// Number of options.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The option called `name`.
    pub fn find(&self, name: &str) -> Option<&Arc<OptionDef>> {
        self.0.get(name)
    }

    /// The DHCPv4 options that ovn-northd 26.03 publishes in SB DHCP_Options (for tools and tests; the agent uses the rows).
    pub fn default_dhcp_v4() -> OptionTable {
        from_list(DHCP_V4)
    }

    /// The DHCPv6 options that ovn-northd 26.03 publishes in SB DHCPv6_Options.
    pub fn default_dhcp_v6() -> OptionTable {
        from_list(DHCP_V6)
    }

    /// The options of `put_nd_ra_opts`, fixed (OVN 26.03: `nd_ra_opts_init`).
    pub fn nd_ra() -> &'static OptionTable {
        static TABLE: OnceLock<OptionTable> = OnceLock::new();
        TABLE.get_or_init(|| from_list(ND_RA))
    }

    /// The options of `trigger_event(event = "empty_lb_backends")` (OVN 26.03: `controller_event_opts_init`).
    pub(crate) fn empty_lb_backends() -> &'static OptionTable {
        static TABLE: OnceLock<OptionTable> = OnceLock::new();
        TABLE.get_or_init(|| from_list(EMPTY_LB_BACKENDS))
    }
}

impl<'a> FromIterator<(&'a str, u16, &'a str)> for OptionTable {
    fn from_iter<I: IntoIterator<Item = (&'a str, u16, &'a str)>>(options: I) -> OptionTable {
        let mut table = OptionTable::new();
        for (name, code, kind) in options {
            table.insert(name, code, kind);
        }
        table
    }
}

fn from_list(list: &[(&str, u16, &str)]) -> OptionTable {
    list.iter().copied().collect()
}

/// Codes with a meaning of their own in the encoders.
pub(crate) mod code {
    /// The offered address, not an option on the wire.
    pub(crate) const OFFERIP: u16 = 0;
    /// DHCPv4 boot file name.
    pub(crate) const BOOTFILE: u16 = 67;
    /// The address of the next server in the DHCP header (253 is unassigned by IANA).
    pub(crate) const NEXT_SERVER: u16 = 253;
    /// Boot file name for iPXE clients, sent as 67 (254 is unassigned).
    pub(crate) const BOOTFILE_ALT: u16 = 254;

    /// RA: managed/other flags.
    pub(crate) const RA_ADDR_MODE: u16 = 0;
    /// RA: source link-layer address.
    pub(crate) const RA_SLLA: u16 = 1;
    /// RA: prefix information.
    pub(crate) const RA_PREFIX: u16 = 3;
    /// RA: MTU.
    pub(crate) const RA_MTU: u16 = 5;
    /// RA: route information (RFC 4191).
    pub(crate) const RA_ROUTE_INFO: u16 = 24;
    /// RA: recursive DNS server (RFC 8106).
    pub(crate) const RA_RDNSS: u16 = 25;
    /// RA: DNS search list (RFC 8106).
    pub(crate) const RA_DNSSL: u16 = 31;
    /// RA: default router preference flags (RFC 4191).
    pub(crate) const RA_PREFERENCE: u16 = 255;

    /// Event: the VIP, `ip` or `ip:port`.
    pub(crate) const EVENT_VIP: u16 = 1;
    /// Event: `tcp`, `udp` or `sctp`.
    pub(crate) const EVENT_PROTOCOL: u16 = 2;
    /// Event: UUID of the load balancer.
    pub(crate) const EVENT_LOAD_BALANCER: u16 = 3;
}

const ND_RA: &[(&str, u16, &str)] = &[
    ("addr_mode", code::RA_ADDR_MODE, "str"),
    ("router_preference", code::RA_PREFERENCE, "str"),
    ("slla", code::RA_SLLA, "mac"),
    ("prefix", code::RA_PREFIX, "ipv6"),
    ("mtu", code::RA_MTU, "uint32"),
    ("rdnss", code::RA_RDNSS, "ipv6"),
    ("dnssl", code::RA_DNSSL, "str"),
    ("route_info", code::RA_ROUTE_INFO, "str"),
];

const EMPTY_LB_BACKENDS: &[(&str, u16, &str)] = &[
    ("vip", code::EVENT_VIP, "str"),
    ("protocol", code::EVENT_PROTOCOL, "str"),
    ("load_balancer", code::EVENT_LOAD_BALANCER, "str"),
];

const DHCP_V6: &[(&str, u16, &str)] = &[
    ("server_id", 2, "mac"),
    ("ia_addr", 5, "ipv6"),
    ("dns_server", 23, "ipv6"),
    ("domain_search", 24, "str"),
    ("fqdn", 39, "domain"),
    ("bootfile_name", 59, "str"),
    ("bootfile_name_alt", code::BOOTFILE_ALT, "str"),
];

const DHCP_V4: &[(&str, u16, &str)] = &[
    ("offerip", code::OFFERIP, "ipv4"),
    ("netmask", 1, "ipv4"),
    ("router", 3, "ipv4"),
    ("dns_server", 6, "ipv4"),
    ("log_server", 7, "ipv4"),
    ("lpr_server", 9, "ipv4"),
    ("hostname", 12, "str"),
    ("domain_name", 15, "str"),
    ("swap_server", 16, "ipv4"),
    ("ip_forward_enable", 19, "bool"),
    ("policy_filter", 21, "ipv4"),
    ("default_ttl", 23, "uint8"),
    ("mtu", 26, "uint16"),
    ("broadcast_address", 28, "ipv4"),
    ("router_discovery", 31, "bool"),
    ("router_solicitation", 32, "ipv4"),
    ("arp_cache_timeout", 35, "uint32"),
    ("ethernet_encap", 36, "bool"),
    ("tcp_ttl", 37, "uint8"),
    ("tcp_keepalive_interval", 38, "uint32"),
    ("nis_server", 41, "ipv4"),
    ("ntp_server", 42, "ipv4"),
    ("netbios_name_server", 44, "ipv4"),
    ("netbios_node_type", 46, "uint8"),
    ("lease_time", 51, "uint32"),
    ("server_id", 54, "ipv4"),
    ("T1", 58, "uint32"),
    ("T2", 59, "uint32"),
    ("tftp_server", 66, "host_id"),
    ("bootfile_name", code::BOOTFILE, "str"),
    ("domain_search_list", 119, "domains"),
    ("classless_static_route", 121, "static_routes"),
    ("tftp_server_address", 150, "ipv4"),
    ("path_prefix", 210, "str"),
    ("ms_classless_static_route", 249, "static_routes"),
    ("wpad", 252, "str"),
    ("next_server", code::NEXT_SERVER, "ipv4"),
    ("bootfile_name_alt", code::BOOTFILE_ALT, "str"),
];
