//! Lookups in helper tables: `get_arp`, `lookup_arp`, `lookup_arp_ip`, `get_fdb`, `lookup_fdb` and their IPv6 and EVPN
//! relatives.

use ofproto_client::{Action, Field};

use super::{Args, Out, Tables, copy, reg};
use crate::actions::LogicalAction;
use crate::actions::types::Family;

/// Encodes one of the lookups; `None` for any other action.
pub(super) fn lookup(action: &LogicalAction, out: &mut Out) -> Option<()> {
    match action {
        LogicalAction::GetMac { family, port, ip } => {
            let args = Args([(port.resolve()?, reg::OUTPORT), (ip.resolve()?, binding_address(*family))]);
            args.set_up(out);
            out.push(Action::load(Field::ETH_DST.whole(), 0));
            out.push(Action::resubmit(Tables::MAC_BINDING));
            args.restore(out);
        }
        LogicalAction::LookupMac { family, dst, port, ip, mac } => {
            let args = Args([
                (port.resolve()?, reg::INPORT),
                (ip.resolve()?, learn_address(*family)),
                (mac.resolve()?, Field::ETH_SRC),
            ]);
            let dst = dst.resolve()?;
            args.set_up(out);
            out.push(Action::load(reg::LOOKUP_MAC, 0));
            out.push(Action::resubmit(Tables::MAC_LOOKUP));
            out.push(copy(reg::LOOKUP_MAC, dst));
            args.restore(out);
        }
        LogicalAction::LookupMacIp { family, dst, port, ip } => {
            let args = Args([(port.resolve()?, reg::OUTPORT), (ip.resolve()?, binding_address(*family))]);
            let dst = dst.resolve()?;
            args.set_up(out);
            out.push(Action::StackPush(Field::ETH_DST.whole()));
            out.push(Action::load(reg::LOOKUP_MAC, 0));
            out.push(Action::resubmit(Tables::MAC_BINDING));
            out.push(copy(reg::LOOKUP_MAC, dst));
            out.push(Action::StackPop(Field::ETH_DST.whole()));
            args.restore(out);
        }
        LogicalAction::GetFdb { remote, dst, mac } => {
            let (found, table) = match remote {
                false => (reg::OUTPORT, Tables::GET_FDB),
                true => (reg::REMOTE_OUTPORT, Tables::GET_REMOTE_FDB),
            };
            let args = Args([(mac.resolve()?, Field::ETH_DST)]);
            let dst = dst.resolve()?;
            args.set_up(out);
            out.push(Action::load(found.whole(), 0));
            out.push(Action::resubmit(table));
            args.restore(out);
            if dst.field != found {
                out.push(copy(found.whole(), dst));
            }
        }
        LogicalAction::LookupFdb { dst, port, mac } => {
            let args = Args([(port.resolve()?, reg::INPORT), (mac.resolve()?, Field::ETH_SRC)]);
            let dst = dst.resolve()?;
            args.set_up(out);
            out.push(Action::load(reg::LOOKUP_FDB, 0));
            out.push(Action::resubmit(Tables::LOOKUP_FDB));
            args.restore(out);
            out.push(copy(reg::LOOKUP_FDB, dst));
        }
        _ => return None,
    }
    Some(())
}

/// Where table MAC_BINDING expects the next hop (23.03 used xxreg0 for IPv6).
fn binding_address(family: Family) -> Field {
    match family {
        Family::V4 => Field::reg(0),
        Family::V6 => Field::xxreg(1),
    }
}

/// Where table MAC_LOOKUP and ovn-controller expect the address to learn.
pub(super) fn learn_address(family: Family) -> Field {
    match family {
        Family::V4 => Field::reg(0),
        Family::V6 => Field::xxreg(0),
    }
}
