//! Messages about the connection and the switch as such: [`Hello`], [`Features`], [`SwitchConfig`], [`RoleBody`].

use bytes::{BufMut, BytesMut};

use super::header::Versions;
use super::wire::{DecodeError, Reader, pad8};

/// `OFPT_HELLO` (OpenFlow 1.5.1, 7.5.1): the versions that the sender speaks.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct Hello {
    /// From the version bitmap; `None` if the hello has none, its header's version then says it.
    pub versions: Option<Versions>,
}

const HELLO_VERSION_BITMAP: u16 = 1;

impl Hello {
    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<Hello, DecodeError> {
        let mut versions = None;
        while r.len() >= 4 {
            let mut element = r.property()?;
            if element.kind == HELLO_VERSION_BITMAP {
                versions = Some(Versions(element.payload.u32()?));
            }
        }
        Ok(Hello { versions })
    }

    pub(crate) fn encode(&self, out: &mut BytesMut) {
        if let Some(versions) = self.versions {
            out.put_u16(HELLO_VERSION_BITMAP);
            out.put_u16(8);
            out.put_u32(versions.0);
            debug_assert_eq!(pad8(8), 0);
        }
    }
}

/// `OFPT_FEATURES_REPLY` (OpenFlow 1.5.1, 7.3.1).
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
pub struct Features {
    /// The bridge's datapath id.
    pub datapath_id: u64,
    /// Packets the switch can buffer; Open vSwitch: 0.
    pub n_buffers: u32,
    /// Number of tables.
    pub n_tables: u8,
    /// 0 for a main connection.
    pub auxiliary_id: u8,
    /// `OFPC_*` bits.
    pub capabilities: u32,
}

impl Features {
    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<Features, DecodeError> {
        let (datapath_id, n_buffers, n_tables, auxiliary_id) = (r.u64()?, r.u32()?, r.u8()?, r.u8()?);
        r.skip(2)?;
        let capabilities = r.u32()?;
        r.skip(4)?;
        Ok(Features { datapath_id, n_buffers, n_tables, auxiliary_id, capabilities })
    }

    pub(crate) fn encode(&self, out: &mut BytesMut) {
        out.put_u64(self.datapath_id);
        out.put_u32(self.n_buffers);
        out.put_u8(self.n_tables);
        out.put_u8(self.auxiliary_id);
        out.put_u16(0);
        out.put_u32(self.capabilities);
        out.put_u32(0);
    }
}

/// `OFPT_SET_CONFIG` and `OFPT_GET_CONFIG_REPLY` (OpenFlow 1.5.1, 7.3.2).
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
pub struct SwitchConfig {
    /// `OFPC_FRAG_*`.
    pub flags: u16,
    /// Bytes of a packet that a table miss sends to the controller. On an Open vSwitch management socket a value above 0
    /// also turns asynchronous messages on (`pinctrl_setup`, OVN 23.03 and later, sends 65535).
    pub miss_send_len: u16,
}

impl SwitchConfig {
    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<SwitchConfig, DecodeError> {
        Ok(SwitchConfig { flags: r.u16()?, miss_send_len: r.u16()? })
    }

    pub(crate) fn encode(&self, out: &mut BytesMut) {
        out.put_u16(self.flags);
        out.put_u16(self.miss_send_len);
    }
}

/// `ofp_controller_role` (OpenFlow 1.5.1, 7.3.9).
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
pub enum Role {
    /// Only asks which role is held.
    #[default]
    NoChange,
    /// Full access, as many controllers as there are.
    Equal,
    /// Full access, the others become secondary.
    Primary,
    /// Read only.
    Secondary,
}

/// `OFPT_ROLE_REQUEST` and `OFPT_ROLE_REPLY`.
#[derive(Copy, Clone, Debug, Default, Eq, PartialEq)]
pub struct RoleBody {
    /// Role wanted or held.
    pub role: Role,
    /// Guards against stale primaries.
    pub generation_id: u64,
}

impl RoleBody {
    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<RoleBody, DecodeError> {
        let role = match r.u32()? {
            0 => Role::NoChange,
            1 => Role::Equal,
            2 => Role::Primary,
            3 => Role::Secondary,
            other => return Err(r.bad_value("role", other)),
        };
        r.skip(4)?;
        Ok(RoleBody { role, generation_id: r.u64()? })
    }

    pub(crate) fn encode(&self, out: &mut BytesMut) {
        out.put_u32(match self.role {
            Role::NoChange => 0,
            Role::Equal => 1,
            Role::Primary => 2,
            Role::Secondary => 3,
        });
        out.put_u32(0);
        out.put_u64(self.generation_id);
    }
}
