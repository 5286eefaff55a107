//! Ports that are moving to this chassis stay blocked here until they show that they have arrived: options:activation-strategy.
//! Sheet 02 section 4.2.

use ofproto_client::action::Controller;
use ofproto_client::{Action, Field, Match};

use super::{Lport, local};
use crate::facts::ChassisName;
use crate::flows::addresses::LportAddresses;
use crate::flows::layout;
use crate::flows::words::{self, Actions, ETH_ARP, ETH_RARP};
use crate::units::Output;

/// Controller opcode that activates the port.
const OPCODE_ACTIVATION_STRATEGY: u32 = 26;

/// The fixed head of what a controller action carries: the opcode and four octets of padding.
pub(super) fn controller_header(opcode: u32) -> [u8; 8] {
    (u64::from(opcode) << 32).to_be_bytes()
}

/// Which packets show that the port has arrived.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
struct Strategies {
    rarp: bool,
    garp: bool,
    na: bool,
}

impl Strategies {
    /// Reads `rarp,garp,na`; words that are none of these are given to `unknown`.
    fn parse(text: &str, mut unknown: impl FnMut(&str)) -> Self {
        let mut strategies = Self::default();
        for word in text.split(',').filter(|word| !word.is_empty()) {
            match word {
                "rarp" => strategies.rarp = true,
                "garp" => strategies.garp = true,
                "na" => strategies.na = true,
                _ => unknown(word),
            }
        }
        strategies
    }
}

/// Everything but the activating packets is dropped, both ways, while this is an additional chassis and not activated.
pub(super) fn blocked_until_active(lport: &Lport<'_>, ofport: u16, out: &mut Output) {
    let r = lport.r;
    let Some(ours) = lport.this_chassis() else { return };
    if !lport.pb.additional_chassis().contains(&ours) {
        return;
    }
    let name = r.fact(ChassisName);
    let activated = lport.option("additional-chassis-activated").unwrap_or_default();
    if activated.split(',').any(|chassis| name.as_ref().is_some_and(|name| name.as_str() == chassis)) {
        return;
    }
    let mut unknown = Vec::new();
    let text = lport.option("activation-strategy").unwrap_or_default();
    let strategies = Strategies::parse(text, |word| unknown.push(word.to_owned()));
    for word in unknown {
        lport.complain(out, format_args!("unknown activation strategy {word}"));
    }
    if strategies == Strategies::default() {
        return;
    }
    let addresses: Vec<LportAddresses> = lport.pb.mac().iter().filter_map(|mac| LportAddresses::parse(mac)).collect();
    if addresses.is_empty() {
        return;
    }
    let mut activate = Actions::new();
    local::load_ingress_metadata(lport, 0, &mut activate);
    let userdata = controller_header(OPCODE_ACTIVATION_STRATEGY);
    activate.push(Action::Controller(Box::new(Controller::new(&userdata[..])))).resubmit(layout::LOG_INGRESS);
    for match_ in activating(&addresses, strategies, ofport) {
        lport.flow(out, layout::PHY_TO_LOG, 1010, match_, &activate);
    }
    lport.flow(out, layout::PHY_TO_LOG, 1000, words::in_port(ofport), &Actions::new());
    lport.flow(out, layout::LOG_TO_PHY, 1000, lport.outport(), &Actions::new());
}

/// The packets that show that the port has arrived.
fn activating(addresses: &[LportAddresses], strategies: Strategies, ofport: u16) -> Vec<Match> {
    let mut matches = Vec::new();
    if strategies.rarp {
        matches.push(words::with(words::in_port(ofport), Field::ETH_TYPE, ETH_RARP));
    }
    for one in addresses {
        if strategies.garp {
            matches.extend(one.ipv4.iter().map(|ip| {
                let match_ = words::with(words::in_port(ofport), Field::ETH_TYPE, ETH_ARP);
                let match_ = words::with(words::with(match_, Field::ETH_SRC, one.mac), Field::ARP_SHA, one.mac);
                words::with(words::with(match_, Field::ARP_SPA, ip.to_bits()), Field::ARP_TPA, ip.to_bits())
            }));
        }
        if strategies.na && !one.ipv6.is_empty() {
            let link_local = one.link_local();
            matches.extend(std::iter::once(&link_local).chain(&one.ipv6).map(|ip| {
                let match_ = words::with_icmp6(words::in_port(ofport), 136, 0);
                let match_ =
                    words::with(words::with(match_, Field::IPV6_SRC, ip.to_bits()), Field::ND_TARGET, ip.to_bits());
                words::with(match_, Field::ND_TLL, one.mac)
            }));
        }
    }
    matches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strategies() {
        let mut unknown = Vec::new();
        let parsed = Strategies::parse("rarp,x,na", |word| unknown.push(word.to_owned()));
        assert_eq!(parsed, Strategies { rarp: true, garp: false, na: true });
        assert_eq!(unknown, ["x"]);
        assert_eq!(Strategies::parse("", |_| ()), Strategies::default());
    }

    #[test]
    fn activating_packets() {
        let addresses = [LportAddresses::parse("f0:00:00:00:00:01 10.0.0.1 fd00::1").unwrap()];
        let count = |rarp, garp, na| activating(&addresses, Strategies { rarp, garp, na }, 5).len();
        assert_eq!(count(true, false, false), 1);
        assert_eq!(count(false, true, false), 1);
        assert_eq!(count(false, false, true), 2, "the link-local address too");
    }
}
