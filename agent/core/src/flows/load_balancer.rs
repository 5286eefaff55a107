//! Hairpin flows of load balancers: a backend that reaches itself through the VIP. `consider_lb_hairpin_flows` of
//! controller/lflow.c and `ovn_controller_lb_create` of lib/lb.c, OVN 26.03; sheet 02 section 5.1.

use ofproto_client::action::{Ct, CtZone, Learn, LearnDst, LearnSpec, LearnSrc, Nat, NatAddr, NatRange};
use ofproto_client::{Action, Field, Match, Subfield};
use ovn_lang::expand_templates;
use ovsdb::tables::Tracked;
use ovsdb::{RowId, Str, Uuid};
use std::net::{IpAddr, Ipv6Addr};

use super::layout::{self, flag};
use super::words::{self, Actions, with};
use crate::facts::{Datapath, IsLocal, LocalMembers, NorthdOption, TemplateVariable};
use crate::reader::Reader;
use crate::rows::{DatapathBinding, LoadBalancer, LogicalDpGroup};
use crate::units::Output;
use crate::view::is_true;

/// Priority of flows that detect a hairpin.
const HAIRPIN: u16 = 100;
/// Priority of SNAT flows of VIPs with a port; one with an own SNAT address has twice that, one without port ten less.
const SNAT: u16 = 100;
/// ct_mark.natted.
const NATTED: u128 = 2;

/// Flows of a Load_Balancer row.
pub fn load_balancer(r: &Reader<'_>, row: RowId, out: &mut Output) {
    let Some(lb) = r.row::<LoadBalancer>(row) else { return };
    if !is_local(r, &lb) {
        return;
    }
    let (proto, ports) = match lb.protocol().map(|p| p.as_str()) {
        Some("udp") => (17, (Field::UDP_SRC, Field::UDP_DST)),
        Some("sctp") => (132, (Field::SCTP_SRC, Field::SCTP_DST)),
        _ => (6, (Field::TCP_SRC, Field::TCP_DST)),
    };
    let snat = SnatAddresses::parse(lb.options().get("hairpin_snat_ip").map(|text| text.as_str()));
    let consolidated = is_true(r.fact(NorthdOption("register_consolidation")).as_ref());
    for (vip, backends) in lb.vips().iter() {
        let (Some(vip_text), Some(backends)) = (expand(r, vip), expand(r, backends)) else { continue };
        let Some(vip) = Vip::parse(&vip_text, &backends) else {
            out.diagnostics
                .push(format!("Load_Balancer {}: vip \"{vip_text}\"=\"{backends}\" is malformed", lb.uuid()));
            continue;
        };
        let context = Context { uuid: lb.uuid(), proto, ports, consolidated, snat_ip: snat.for_family(vip.ip) };
        for backend in &vip.backends {
            context.hairpin(&vip, *backend, out);
        }
        match context.snat_ip {
            None => context.snat_to_vip(&vip, out),
            Some(ip) => context.snat_to_address(&vip, ip, &snat_datapaths(r, &lb), out),
        }
    }
}

type Row<'r, 'a> = Tracked<'r, LoadBalancer, Reader<'a>>;

fn is_local(r: &Reader<'_>, lb: &Row<'_, '_>) -> bool {
    let local_group = |group: Option<Uuid>| {
        let group = group.and_then(|group| r.find_id::<LogicalDpGroup>(&group));
        group.is_some_and(|group| !r.fact(LocalMembers(group)).is_empty())
    };
    let local = |dp: &Uuid| r.find_id::<DatapathBinding>(dp).is_some_and(|dp| r.fact(IsLocal(dp)));
    lb.datapaths().iter().any(local)
        || local_group(lb.datapath_group())
        || local_group(lb.ls_datapath_group())
        || local_group(lb.lr_datapath_group())
}

/// Keys of the local datapaths whose hairpins are SNATed to an address of their own: not those of lr_datapath_group.
fn snat_datapaths(r: &Reader<'_>, lb: &Row<'_, '_>) -> Vec<u32> {
    let direct =
        lb.datapaths().iter().filter_map(|dp| r.find_id::<DatapathBinding>(dp)).filter(|dp| r.fact(IsLocal(*dp)));
    let mut datapaths: Vec<RowId> = direct.collect();
    for group in [lb.datapath_group(), lb.ls_datapath_group()].into_iter().flatten() {
        if let Some(group) = r.find_id::<LogicalDpGroup>(&group) {
            datapaths.extend(r.fact(LocalMembers(group)).iter());
        }
    }
    let mut keys: Vec<u32> = datapaths.into_iter().filter_map(|dp| r.fact(Datapath(dp))).map(|dp| dp.key).collect();
    keys.sort_unstable();
    keys.dedup();
    keys
}

/// The text with template variables replaced; `None` if one has no value here.
fn expand(r: &Reader<'_>, text: &str) -> Option<String> {
    let value = |name: &str| r.fact(TemplateVariable(Str::from(name)));
    expand_templates(text, value).ok().map(|text| text.into_owned())
}

/// Option hairpin_snat_ip: at most one address of each family.
#[derive(Default)]
struct SnatAddresses {
    v4: Option<IpAddr>,
    v6: Option<IpAddr>,
}

impl SnatAddresses {
    fn parse(text: Option<&str>) -> Self {
        let mut addresses = Self::default();
        for word in text.unwrap_or_default().split_whitespace() {
            match word.parse() {
                Ok(IpAddr::V4(ip)) if addresses.v4.is_none() => addresses.v4 = Some(ip.into()),
                Ok(IpAddr::V6(ip)) if addresses.v6.is_none() => addresses.v6 = Some(ip.into()),
                // One bad address spoils the option (extract_ip_addresses).
                _ => return Self::default(),
            }
        }
        addresses
    }

    fn for_family(&self, vip: IpAddr) -> Option<IpAddr> {
        if vip.is_ipv4() { self.v4 } else { self.v6 }
    }
}

/// A VIP with its backends.
#[derive(Debug, PartialEq)]
struct Vip {
    ip: IpAddr,
    port: Option<u16>,
    backends: Vec<(IpAddr, Option<u16>)>,
}

impl Vip {
    /// `None` if anything is malformed: a VIP with one bad backend is dropped whole.
    fn parse(vip: &str, backends: &str) -> Option<Self> {
        let (ip, port) = address(vip)?;
        let backends = backends.split(',').map(str::trim).filter(|text| !text.is_empty()).map(|text| {
            let backend = address(text)?;
            let fits = backend.0.is_ipv4() == ip.is_ipv4() && backend.1.is_some() == port.is_some();
            fits.then_some(backend)
        });
        Some(Self { ip, port, backends: backends.collect::<Option<_>>()? })
    }
}

/// `IP`, `IPv4:PORT` or `[IPv6]:PORT`; port 0 is no port.
fn address(text: &str) -> Option<(IpAddr, Option<u16>)> {
    if let Ok(ip) = text.parse() {
        return Some((ip, None));
    }
    let (ip, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (ip, rest) = rest.split_once(']')?;
            let port = if rest.is_empty() { "0" } else { rest.strip_prefix(':')? };
            (IpAddr::V6(ip.parse::<Ipv6Addr>().ok()?), port)
        }
        None => {
            let (ip, port) = text.split_once(':')?;
            (IpAddr::V4(ip.parse().ok()?), port)
        }
    };
    let port: u16 = port.parse().ok()?;
    Some((ip, (port != 0).then_some(port)))
}

/// What the flows of one VIP share.
struct Context {
    uuid: Uuid,
    proto: u8,
    /// Source and destination port.
    ports: (Field, Field),
    /// northd keeps original destinations in the new registers.
    consolidated: bool,
    snat_ip: Option<IpAddr>,
}

/// Fields of an address family: EtherType, source, destination.
fn family(ip: IpAddr) -> (u16, Field, Field) {
    match ip {
        IpAddr::V4(_) => (words::ETH_IP, Field::IPV4_SRC, Field::IPV4_DST),
        IpAddr::V6(_) => (words::ETH_IPV6, Field::IPV6_SRC, Field::IPV6_DST),
    }
}

fn bits(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => u128::from(ip.to_bits()),
        IpAddr::V6(ip) => ip.to_bits(),
    }
}

impl Context {
    fn cookie(&self) -> u64 {
        u64::from(self.uuid.short())
    }

    /// Packets that were sent to the VIP, by what northd's flows keep in registers.
    fn sent_to(&self, vip: &Vip) -> Match {
        let register = match (vip.ip, self.consolidated) {
            (IpAddr::V4(_), true) => Field::reg(4),
            (IpAddr::V4(_), false) => Field::reg(1),
            (IpAddr::V6(_), _) => Field::XXREG1,
        };
        let mut match_ = with(with(Match::new(), Field::ETH_TYPE, family(vip.ip).0), register, bits(vip.ip));
        if let Some(port) = vip.port {
            match_.set(Field::IP_PROTO, u128::from(self.proto));
            match_.set_subfield(Subfield { field: Field::reg(2), ofs: 0, n_bits: 16 }, u128::from(port));
        }
        match_
    }

    /// A backend's own packet comes back to it: mark it, and learn what the reply will look like.
    fn hairpin(&self, vip: &Vip, (ip, port): (IpAddr, Option<u16>), out: &mut Output) {
        let (_, src, dst) = family(ip);
        let mut match_ = with(with(self.sent_to(vip), src, bits(ip)), dst, bits(ip));
        if let Some(port) = port {
            match_.set(self.ports.1, u128::from(port));
        }
        match_.set_masked(Field::CT_MARK, NATTED, NATTED);
        let mut actions = Actions::new();
        actions.set_flag(flag::LOOKUP_LB_HAIRPIN).push(Action::Learn(Box::new(self.learn_reply(vip))));
        out.flow(layout::CHK_LB_HAIRPIN, HAIRPIN, self.cookie(), match_, &actions.0);
    }

    fn learn_reply(&self, vip: &Vip) -> Learn {
        let (eth_type, src, dst) = family(vip.ip);
        let field = |src: Field, dst: Field| LearnSpec {
            src: LearnSrc::Field(src.whole()),
            dst: LearnDst::Match(dst.whole()),
            n_bits: dst.n_bits(),
        };
        let value = |value: u128, dst: Field| LearnSpec {
            src: LearnSrc::Imm(value),
            dst: LearnDst::Match(dst.whole()),
            n_bits: dst.n_bits(),
        };
        let reply_to = self.snat_ip.unwrap_or(vip.ip);
        let mut specs = vec![
            field(Field::METADATA, Field::METADATA),
            value(u128::from(eth_type), Field::ETH_TYPE),
            field(src, src),
            value(bits(reply_to), dst),
        ];
        match vip.port {
            Some(_) => {
                specs.push(value(u128::from(self.proto), Field::IP_PROTO));
                specs.push(field(self.ports.1, self.ports.0));
            }
            None => specs.push(field(Field::IP_PROTO, Field::IP_PROTO)),
        }
        let bit = Subfield { field: layout::FLAGS, ofs: flag::LOOKUP_LB_HAIRPIN, n_bits: 1 };
        specs.push(LearnSpec { src: LearnSrc::Imm(1), dst: LearnDst::Load(bit), n_bits: 1 });
        let mut learn = Learn::new(layout::CHK_LB_HAIRPIN_REPLY);
        learn.cookie = self.cookie();
        learn.flags = ofproto_client::action::LEARN_DELETE_LEARNED;
        learn.specs = specs;
        learn
    }

    fn snat_to_vip(&self, vip: &Vip, out: &mut Output) {
        let priority = if vip.port.is_some() { SNAT } else { SNAT - 10 };
        let match_ = self.sent_to(vip);
        out.flow(layout::CT_SNAT_HAIRPIN, priority, self.cookie(), match_, &[snat(vip.ip)]);
    }

    fn snat_to_address(&self, vip: &Vip, ip: IpAddr, datapaths: &[u32], out: &mut Output) {
        let priority = if vip.port.is_some() { 2 * SNAT } else { 2 * SNAT - 10 };
        for &key in datapaths {
            let match_ = with(self.sent_to(vip), Field::METADATA, key);
            out.flow(layout::CT_SNAT_HAIRPIN, priority, self.cookie(), match_, &[snat(ip)]);
        }
    }
}

/// Commits the connection in the SNAT zone with this source.
fn snat(ip: IpAddr) -> Action {
    let addr = match ip {
        IpAddr::V4(ip) => NatAddr::V4(ip.to_bits(), None),
        IpAddr::V6(ip) => NatAddr::V6(ip.to_bits(), None),
    };
    let nat = Nat { flags: Nat::SRC, range: NatRange { addr, proto: None } };
    Action::Ct(Box::new(Ct {
        commit: true,
        force: false,
        zone: CtZone::Field(Subfield { field: layout::SNAT_ZONE, ofs: 0, n_bits: 16 }),
        recirc_table: None,
        alg: 0,
        actions: vec![Action::Nat(Box::new(nat))],
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vips_parse_whole_or_not_at_all() {
        let ok = |vip: &str, backends: &str| Vip::parse(vip, backends).map(|v| (v.port, v.backends.len()));
        assert_eq!(ok("10.0.0.1:80", "10.1.0.1:8080,10.1.0.2:8080"), Some((Some(80), 2)));
        assert_eq!(ok("10.0.0.1", "10.1.0.1"), Some((None, 1)));
        assert_eq!(ok("[fd00::1]:80", "[fd00::2]:80"), Some((Some(80), 1)));
        assert_eq!(ok("fd00::1", "fd00::2"), Some((None, 1)));
        assert_eq!(ok("10.0.0.1:80", ""), Some((Some(80), 0)));
        assert_eq!(ok("10.0.0.1:80", "10.1.0.1:8080,10.1.0.2"), None, "a port is missing");
        assert_eq!(ok("10.0.0.1:80", "[fd00::2]:80"), None, "other family");
        assert_eq!(ok("10.0.0.1:80", "10.0.0.300:80"), None);
    }
}
