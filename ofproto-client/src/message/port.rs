//! Ports of the switch: [`PortDesc`] and [`PortStatus`] (OpenFlow 1.5.1, 7.2.1 and 7.4.3).

use bytes::{BufMut, Bytes, BytesMut};

use super::wire::{DecodeError, Problem, Reader, patch_u16, put_string};
use crate::message::wire::read_string;

/// One port.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct PortDesc {
    /// OpenFlow port number; 0xfffffffe is the bridge's own port.
    pub port_no: u32,
    /// Ethernet address.
    pub hw_addr: [u8; 6],
    /// Interface name, 15 bytes at most.
    pub name: String,
    /// `OFPPC_*` bits; bit 0: down by configuration.
    pub config: u32,
    /// `OFPPS_*` bits; bit 0: no link.
    pub state: u32,
    /// Port properties as they are on the wire.
    pub properties: Bytes,
}

impl PortDesc {
    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<PortDesc, DecodeError> {
        let port_no = r.u32()?;
        let length = usize::from(r.u16()?);
        let Some(rest) = length.checked_sub(6) else { return Err(r.error(Problem::Length(length))) };
        let mut r = r.sub("ofp_port", rest)?;
        r.skip(2)?;
        let hw_addr = r.array()?;
        r.skip(2)?;
        let name = read_string(r.take(16)?);
        Ok(PortDesc {
            port_no,
            hw_addr,
            name,
            config: r.u32()?,
            state: r.u32()?,
            properties: Bytes::copy_from_slice(r.rest()),
        })
    }

    pub(crate) fn encode(&self, out: &mut BytesMut) {
        let start = out.len();
        out.put_u32(self.port_no);
        out.put_u32(0);
        out.put_slice(&self.hw_addr);
        out.put_u16(0);
        put_string(out, &self.name, 16);
        out.put_u32(self.config);
        out.put_u32(self.state);
        out.put_slice(&self.properties);
        let length = out.len() - start;
        patch_u16(out, start + 4, length);
    }
}

/// `OFPT_PORT_STATUS`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PortStatus {
    /// 0 added, 1 deleted, 2 modified.
    pub reason: u8,
    /// The port.
    pub port: PortDesc,
}

impl PortStatus {
    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<PortStatus, DecodeError> {
        let reason = r.u8()?;
        r.skip(7)?;
        Ok(PortStatus { reason, port: PortDesc::decode(r)? })
    }

    pub(crate) fn encode(&self, out: &mut BytesMut) {
        out.put_u8(self.reason);
        out.put_bytes(0, 7);
        self.port.encode(out);
    }
}
