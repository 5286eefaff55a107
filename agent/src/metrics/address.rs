//! [`Address`]: where metrics are served. Anybody who can connect can read them, so it is a file or the machine itself.

use anyhow::{anyhow, bail};
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

/// `unix:FILE` or a loopback address with a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A socket in the file system, for the group of who runs us.
    Unix(PathBuf),
    /// On the loopback device.
    Tcp(SocketAddr),
}

impl FromStr for Address {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        if let Some(path) = text.strip_prefix("unix:") {
            return Ok(Address::Unix(std::path::absolute(path)?));
        }
        let port = text.parse::<u16>().map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        let address = port.or_else(|_| text.parse::<SocketAddr>());
        let address = address.map_err(|_| anyhow!("{text}: neither unix:FILE nor a loopback address with a port"))?;
        if !address.ip().is_loopback() {
            bail!("{text}: only loopback addresses are served");
        }
        Ok(Address::Tcp(address))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Unix(path) => write!(f, "unix:{}", path.display()),
            Address::Tcp(address) => address.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for (text, expected) in [
            ("unix:/run/ovn/metrics.sock", "unix:/run/ovn/metrics.sock"),
            ("9476", "127.0.0.1:9476"),
            ("127.0.0.2:1", "127.0.0.2:1"),
            ("[::1]:9476", "[::1]:9476"),
            ("0.0.0.0:9476", "0.0.0.0:9476: only loopback addresses are served"),
            ("nonsense", "nonsense: neither unix:FILE nor a loopback address with a port"),
        ] {
            let shown = text.parse::<Address>().map_or_else(|error| error.to_string(), |address| address.to_string());
            assert_eq!(shown, expected);
        }
    }
}
