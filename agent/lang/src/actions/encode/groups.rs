//! Actions that become groups. A group is described by text, which is the key under which the agent shares and numbers
//! it; the text has to be exactly OVN's so that ids survive a change of agent (sheet 02 section 5.7).

use std::fmt::Write as _;

use ofproto_client::Action;

use super::{Encoder, Out, Tables, reg};
use crate::actions::display::Endpoint;
use crate::actions::types::*;

impl Encoder<'_> {
    /// `ct_lb`, `ct_lb_mark`, `ct_lb_mark_local`
    pub(super) fn ct_lb(&mut self, lb: &CtLb, out: &mut Out) -> Option<()> {
        if lb.backends.is_empty() {
            self.ct_lb_established(lb.table, out);
            return Some(());
        }
        let table = self.table(lb.table);
        let zone = self.zone(NatZone::Dnat).name().to_ascii_uppercase();
        let flags = match lb.op {
            CtLbOp::Label => "ct_label",
            CtLbOp::Mark | CtLbOp::MarkLocal => "ct_mark",
        };
        let mut key = select_key(lb.hash_fields.as_deref());
        let mut active = false;
        for (i, backend) in lb.backends.iter().enumerate() {
            if let Some(lport) = &backend.lport
                && !self.cx.is_local_backend(lport)
            {
                continue;
            }
            active = true;
            let endpoint = Endpoint(backend.ip, backend.port);
            let _ = write!(
                key,
                ",bucket=bucket_id={i},weight:100,actions=ct(nat(dst={endpoint}),commit,table={table},\
                 zone=NXM_NX_{zone}[0..15],exec(set_field:2/2->{flags}"
            );
            match lb.flag {
                CtLbFlag::None => {}
                CtLbFlag::SkipSnat => {
                    let _ = write!(key, ",set_field:4/4->{flags}");
                }
                CtLbFlag::ForceSnat => {
                    let _ = write!(key, ",set_field:8/8->{flags}");
                }
            }
            key.push_str("))");
        }
        if active { self.group(&key, out) } else { None }
    }

    /// `field = select(...)`
    pub(super) fn select(&mut self, select: &Select, out: &mut Out) -> Option<()> {
        let dst = select.dst.resolve()?;
        let table = self.table(select.table);
        let mut key = select_key(select.hash_fields.as_deref());
        if self.params.dp_hash_l4_symmetric && select.hash_fields.is_none() {
            // Hash algorithm 1, symmetric over L4, in the upper half; the lower half is the basis.
            key.push_str(",selection_method_param=0x100000000");
        }
        for (i, (id, weight)) in select.members.iter().enumerate() {
            let (name, low, high) = (dst.field.name(), dst.ofs, dst.ofs + dst.n_bits - 1);
            let _ = write!(
                key,
                ",bucket=bucket_id={i},weight:{weight},actions=load:{id}->{name}[{low}..{high}],resubmit(,{table})"
            );
        }
        self.group(&key, out)
    }

    /// `fwd_group(...)`. The key of a port is written in decimal behind `0x`, so that key 10 becomes 16: a quirk of OVN 26.03
    /// that its own tests insist on.
    pub(super) fn fwd_group(&mut self, group: &FwdGroup, out: &mut Out) -> Option<()> {
        if group.children.is_empty() {
            return None;
        }
        let table = Tables::output(self.params.pipeline);
        let outport = reg::OUTPORT.name().to_ascii_uppercase();
        let mut key = select_key(None);
        for child in &group.children {
            let port = self.port_key(child)?;
            key.push_str(",bucket=");
            if group.liveness {
                let _ = write!(key, "watch_port:{},", self.cx.tunnel_ofport(child)?);
            }
            let _ = write!(key, "load=0x{port}->NXM_NX_{outport}[0..15],resubmit(,{table})");
        }
        self.group(&key, out)
    }

    fn group(&mut self, key: &str, out: &mut Out) -> Option<()> {
        out.push(Action::Group(self.cx.group_id(key)?));
        Some(())
    }
}

/// The part of the description before the buckets.
fn select_key(hash_fields: Option<&str>) -> String {
    match hash_fields {
        None => "type=select,selection_method=dp_hash".to_owned(),
        Some(fields) => format!("type=select,selection_method=hash,fields({fields})"),
    }
}
