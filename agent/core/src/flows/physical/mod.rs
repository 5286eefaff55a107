//! Physical flows of a Port_Binding: how packets get from ports and tunnels into the logical network and back. Sheet 02
//! sections 4.1 to 4.7; physical.c `consider_port_binding`, OVN 26.03. Entry: [`port_binding`].

mod activation;
mod local;
mod localnet;
mod multichassis;
mod network_function;
mod patch;
mod redirect;
mod remote;
#[cfg(test)]
mod tests;

pub(super) use localnet::chassis_mac_clause;

use ofproto_client::action::{PORT_NONE, Sample, SampleId};
use ofproto_client::{Action, Match};
use ovsdb::tables::Tracked;
use ovsdb::{RowId, Str, Uuid};

use super::words::{self, Actions};
use super::{encap::Encap, layout};
use crate::facts::{
    CanBind, DropSampling, HaOrder, IsLocal, LocalnetPort, NorthdOption, PatchOfport, PortByName, PortKind, PortZones,
    ThisChassis, VifInterface,
};
use crate::list::List;
use crate::reader::Reader;
use crate::rows::{Chassis, DatapathBinding, HaChassisGroup, PortBinding};
use crate::units::Output;
use crate::view::ports::{PortKind as Kind, has_wanted_version};
use crate::view::tunnels::TunnelKind;
use crate::view::zones::PortZones as Zones;
use crate::view::{flag, is_true};

/// A port binding on a local datapath, with what all of its flows need.
#[derive(Clone, Copy)]
pub(super) struct Lport<'r> {
    r: &'r Reader<'r>,
    /// The row.
    pub pb: Tracked<'r, PortBinding, Reader<'r>>,
    pub kind: Kind,
    /// Row in Datapath_Binding.
    datapath: RowId,
    /// First 32 bits of the datapath's UUID.
    datapath_cookie: u64,
    pub dp_key: u32,
    pub key: u32,
}

impl<'r> Lport<'r> {
    /// The port at `row`, whether its datapath is local or not. `None`: there is no such row, or it is on no datapath.
    pub fn new(r: &'r Reader<'r>, row: RowId) -> Option<Self> {
        let pb = r.row::<PortBinding>(row)?;
        let datapath = r.find::<DatapathBinding>(&pb.datapath())?;
        Some(Self {
            r,
            pb,
            kind: r.fact(PortKind(row)),
            datapath: datapath.row_id(),
            datapath_cookie: u64::from(datapath.uuid().short()),
            dp_key: u32::try_from(datapath.tunnel_key()).ok()?,
            key: u32::try_from(pb.tunnel_key()).ok()?,
        })
    }

    /// The port of that name.
    fn by_name(r: &'r Reader<'r>, name: &str) -> Option<Self> {
        Self::new(r, r.fact(PortByName(name.into()))?)
    }

    fn row(&self) -> RowId {
        self.pb.row_id()
    }

    fn cookie(&self) -> u64 {
        u64::from(self.pb.uuid().short())
    }

    fn option(&self, key: &str) -> Option<&'r str> {
        self.pb.options().get(key).map(|value| value.as_str())
    }

    fn flag(&self, key: &str) -> bool {
        flag(self.pb.options(), key)
    }

    fn zones(&self) -> Zones {
        self.r.fact(PortZones(self.row()))
    }

    /// Matches what goes out on this port.
    fn outport(&self) -> Match {
        words::outport(self.dp_key, self.key)
    }

    /// Matches what came in on this port.
    fn inport(&self) -> Match {
        words::inport(self.dp_key, self.key)
    }

    /// The header of a tunnel of this kind.
    fn encap(&self, kind: TunnelKind) -> Option<Encap> {
        Encap::of(kind, self.r.geneve_option())
    }

    /// Our own Chassis row's UUID.
    fn this_chassis(&self) -> Option<Uuid> {
        this_chassis(self.r)
    }

    /// Adds a flow with this binding's cookie.
    fn flow(&self, out: &mut Output, table: u8, priority: u16, match_: Match, actions: &Actions) {
        out.flow(table, priority, self.cookie(), match_, &actions.0);
    }

    fn complain(&self, out: &mut Output, what: std::fmt::Arguments<'_>) {
        let name = self.pb.logical_port();
        out.diagnostics.push(format!("Port_Binding {} ({name}): {what}", self.pb.uuid()));
    }
}

/// UUID of our own Chassis row.
pub(super) fn this_chassis(r: &Reader<'_>) -> Option<Uuid> {
    r.fact(ThisChassis).and_then(|row| r.row::<Chassis>(row)).map(|chassis| chassis.uuid())
}

/// What to do with packets dropped in `table`: nothing, or a sample of them.
pub(super) fn drop_actions(r: &Reader<'_>, table: u8) -> Actions {
    let mut actions = Actions::new();
    if let Some(sampling) = r.fact(DropSampling) {
        actions.push(Action::Sample(Box::new(Sample {
            probability: u16::MAX,
            collector_set_id: sampling.collector_set,
            obs_domain: SampleId::Imm(sampling.domain),
            obs_point: SampleId::Imm(u32::from(table)),
            sampling_port: PORT_NONE,
            direction: 0,
        })));
    }
    actions
}

/// How a port is plugged into the switch here.
#[derive(Copy, Clone)]
struct Attachment {
    ofport: u16,
    /// VLAN that tells it from others on the same port of the switch; 0 is none.
    tag: u16,
    /// The port that it is a child or a mirror of.
    nested: Option<RowId>,
}

/// Flows of one row.
pub fn port_binding(r: &Reader<'_>, row: RowId, out: &mut Output) {
    let Some(pb) = r.row::<PortBinding>(row) else { return };
    let is_vtep = pb.r#type() == "vtep";
    let Some(datapath) = r.find_id::<DatapathBinding>(&pb.datapath()) else { return };
    // What comes from a VTEP gateway is read everywhere, like what comes from other tunnels.
    if is_vtep && let Some(lport) = Lport::new(r, row) {
        remote::from_ramp(&lport, out);
    }
    if !r.fact(IsLocal(datapath)) {
        return;
    }
    let Some(lport) = Lport::new(r, row) else { return };
    if lport.kind == Kind::Vif {
        local::zones_of_errors(&lport, out);
    }
    let ours = lport.pb.chassis().is_some() && lport.pb.chassis() == lport.this_chassis();
    match lport.kind {
        Kind::Patch => patch::patch(&lport, out),
        Kind::L3Gateway if ours => patch::patch(&lport, out),
        Kind::ChassisRedirect if redirect::is_here(&lport) => redirect::chassis_redirect(&lport, out),
        _ => attached_or_not(&lport, out),
    }
}

/// Ports that are reached through a port of the switch, the localnet port, or tunnels.
fn attached_or_not(lport: &Lport<'_>, out: &mut Output) {
    let r = lport.r;
    let attachment = match attachment(lport) {
        Ok(attachment) => attachment,
        Err(Unusable) => return,
    };
    let localnet = r.fact(LocalnetPort(lport.datapath)).and_then(|row| Lport::new(r, row));
    // Falls through to the tunnels: a port that moves has copies on other chassis besides the one here.
    if let Some(attachment) = attachment {
        local::local(lport, attachment, localnet.as_ref(), out);
    } else if let Some(localnet) = localnet.filter(|_| !lport.flag("is-nf") && lport.pb.additional_chassis().is_empty())
    {
        // Other chassis are reached through the physical network, but not when a second copy has to go to another one.
        if r.fact(PatchOfport(localnet.pb.logical_port().clone())).is_none() {
            return;
        }
        if !always_tunnel(r) {
            remote::through_localnet(lport, &localnet, out);
            multichassis::enforce_tunnels(lport, out);
            return;
        }
    } else if let Some(order) = ha_order(lport).filter(|order| order.len() > 1)
        && !redirect::is_bridged(lport)
    {
        return remote::to_ha_chassis(lport, &order, out);
    }
    if redirect::is_bridged(lport) {
        redirect::bridged(lport, out);
    } else {
        remote::to_chassis(lport, out);
    }
}

/// A child port without a tag: nothing can be done about it.
struct Unusable;

/// Where the port is plugged in, if it is.
fn attachment(lport: &Lport<'_>) -> Result<Option<Attachment>, Unusable> {
    let r = lport.r;
    let parent = match lport.kind {
        Kind::Mirror => lport.pb.mirror_port(),
        _ => lport.pb.parent_port().filter(|name| !name.is_empty()),
    };
    let tag = lport.pb.tag().and_then(|tag| u16::try_from(tag).ok());
    if let Some(name) = parent {
        let tag = match lport.kind {
            Kind::Mirror => 0,
            _ => tag.ok_or(Unusable)?,
        };
        let Some(parent) = r.fact(PortByName(name.clone())) else { return Ok(None) };
        let ofport = interface_ofport(r, parent, name);
        return Ok(ofport.map(|ofport| Attachment { ofport, tag, nested: Some(parent) }));
    }
    let name = lport.pb.logical_port();
    Ok(match lport.kind {
        Kind::Localnet | Kind::L2Gateway => {
            let ofport = r.fact(PatchOfport(name.clone()));
            ofport.map(|ofport| Attachment { ofport, tag: tag.unwrap_or(0), nested: None })
        }
        _ => interface_ofport(r, lport.row(), name).map(|ofport| Attachment { ofport, tag: 0, nested: None }),
    })
}

/// Port of the switch of the interface that a VIF or localport is plugged into, if requested-chassis leaves it to us.
fn interface_ofport(r: &Reader<'_>, port: RowId, name: &Str) -> Option<u16> {
    let vif = r.fact(VifInterface(name.clone()))?;
    let is_its = match r.fact(PortKind(port)) {
        Kind::Vif => has_wanted_version(r, port, vif.interface),
        Kind::Localport => true,
        _ => false,
    };
    (is_its && r.fact(CanBind(port)).is_here()).then_some(vif.ofport)
}

/// The chassis of the port's HA group, best first.
fn ha_order(lport: &Lport<'_>) -> Option<List<Str>> {
    let group = lport.r.find_id::<HaChassisGroup>(&lport.pb.ha_chassis_group()?)?;
    Some(lport.r.fact(HaOrder(group)))
}

/// Whether even datapaths with a localnet port use tunnels.
fn always_tunnel(r: &Reader<'_>) -> bool {
    is_true(r.fact(NorthdOption("always_tunnel")).as_ref())
}

/// Where packets go on that are for a port here.
const DELIVER: u8 = layout::CHECK_LOOPBACK;
