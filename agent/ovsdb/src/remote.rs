//! Where a server listens: [`Remote`], in the notation of ovsdb(7), "Connection Methods".

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use thiserror::Error;

/// The port of OVSDB where a remote names none (IANA: ovsdb).
pub const DEFAULT_PORT: u16 = 6640;

/// An address to connect to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Remote {
    /// `unix:PATH`.
    Unix(PathBuf),
    /// `tcp:HOST[:PORT]`.
    Tcp {
        /// A name or an address, without brackets.
        host: String,
        /// The TCP port.
        port: u16,
    },
    /// `ssl:HOST[:PORT]`.
    Ssl {
        /// A name or an address, without brackets.
        host: String,
        /// The TCP port.
        port: u16,
    },
}

/// Text that names no remote.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RemoteParseError {
    /// Passive methods are for servers.
    #[error("{0}: passive connection methods are not supported, a client connects actively")]
    Passive(String),
    /// The word before the colon is none that we know.
    #[error("{0}: unknown connection method (expected unix:PATH, tcp:HOST[:PORT] or ssl:HOST[:PORT])")]
    UnknownMethod(String),
    /// Something is wrong behind the colon.
    #[error("{remote}: {what}")]
    Malformed {
        /// The text.
        remote: String,
        /// What is wrong with it.
        what: &'static str,
    },
}

impl Remote {
    /// A list separated by commas, as in `external_ids:ovn-remote`; white space around items is ignored.
    pub fn parse_list(text: &str) -> Result<Vec<Remote>, RemoteParseError> {
        text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::parse).collect()
    }

    /// Whether silence on such a connection needs probing by default: a local socket tells when its peer is gone
    /// (OVS `stream_or_pstream_needs_probes`).
    pub fn needs_probes(&self) -> bool {
        !matches!(self, Remote::Unix(_))
    }
}

impl FromStr for Remote {
    type Err = RemoteParseError;

    fn from_str(text: &str) -> Result<Remote, RemoteParseError> {
        let malformed = |what| RemoteParseError::Malformed { remote: text.to_owned(), what };
        let Some((method, rest)) = text.split_once(':') else {
            return Err(RemoteParseError::UnknownMethod(text.to_owned()));
        };
        match method {
            "unix" if rest.is_empty() => Err(malformed("the path is missing")),
            "unix" => Ok(Remote::Unix(PathBuf::from(rest))),
            "tcp" => host_port(rest).map(|(host, port)| Remote::Tcp { host, port }).map_err(malformed),
            "ssl" => host_port(rest).map(|(host, port)| Remote::Ssl { host, port }).map_err(malformed),
            "punix" | "ptcp" | "pssl" => Err(RemoteParseError::Passive(text.to_owned())),
            _ => Err(RemoteParseError::UnknownMethod(text.to_owned())),
        }
    }
}

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (method, host, port) = match self {
            Remote::Unix(path) => return write!(f, "unix:{}", path.display()),
            Remote::Tcp { host, port } => ("tcp", host, port),
            Remote::Ssl { host, port } => ("ssl", host, port),
        };
        if host.contains(':') { write!(f, "{method}:[{host}]:{port}") } else { write!(f, "{method}:{host}:{port}") }
    }
}

fn host_port(text: &str) -> Result<(String, u16), &'static str> {
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        let (host, rest) = rest.split_once(']').ok_or("no bracket closes the IPv6 address")?;
        let port = if rest.is_empty() { None } else { Some(rest.strip_prefix(':').ok_or("text behind the bracket")?) };
        (host, port)
    } else {
        match text.split_once(':') {
            Some((_, port)) if port.contains(':') => return Err("an IPv6 address has to be in brackets"),
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        }
    };
    if host.is_empty() {
        return Err("the host is missing");
    }
    let port = match port {
        None => DEFAULT_PORT,
        Some(port) => port.parse().ok().filter(|port| *port != 0).ok_or("the port is no number from 1 to 65535")?,
    };
    Ok((host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remotes() {
        for (text, expected) in [
            ("unix:/run/ovn/ovnsb_db.sock", "unix:/run/ovn/ovnsb_db.sock"),
            ("unix:a:b", "unix:a:b"),
            ("tcp:10.0.0.1:6642", "tcp:10.0.0.1:6642"),
            ("tcp:sb.example", "tcp:sb.example:6640"),
            ("tcp:[::1]:6642", "tcp:[::1]:6642"),
            ("tcp:[fe80::1%eth0]", "tcp:[fe80::1%eth0]:6640"),
            ("ssl:[2001:db8::1]:6642", "ssl:[2001:db8::1]:6642"),
        ] {
            let remote: Remote = text.parse().unwrap();
            assert_eq!(remote.to_string(), expected);
            assert_eq!(remote.to_string().parse(), Ok(remote));
        }
    }

    #[test]
    fn errors_name_the_text() {
        for (text, expected) in [
            ("", ": unknown connection method (expected unix:PATH, tcp:HOST[:PORT] or ssl:HOST[:PORT])"),
            ("udp:x", "udp:x: unknown connection method (expected unix:PATH, tcp:HOST[:PORT] or ssl:HOST[:PORT])"),
            ("unix:", "unix:: the path is missing"),
            ("tcp:", "tcp:: the host is missing"),
            ("tcp::6642", "tcp::6642: the host is missing"),
            ("tcp:::1", "tcp:::1: an IPv6 address has to be in brackets"),
            ("tcp:[::1", "tcp:[::1: no bracket closes the IPv6 address"),
            ("tcp:[::1]6642", "tcp:[::1]6642: text behind the bracket"),
            ("tcp:h:0", "tcp:h:0: the port is no number from 1 to 65535"),
            ("tcp:h:65536", "tcp:h:65536: the port is no number from 1 to 65535"),
            ("ssl:h:x", "ssl:h:x: the port is no number from 1 to 65535"),
            ("ptcp:6642", "ptcp:6642: passive connection methods are not supported, a client connects actively"),
            ("punix:/x", "punix:/x: passive connection methods are not supported, a client connects actively"),
        ] {
            assert_eq!(text.parse::<Remote>().unwrap_err().to_string(), expected, "{text}");
        }
    }

    #[test]
    fn lists() {
        let remotes = Remote::parse_list(" tcp:a:1, tcp:[::1]:2 ,,unix:/s").unwrap();
        assert_eq!(remotes.iter().map(ToString::to_string).collect::<Vec<_>>(), ["tcp:a:1", "tcp:[::1]:2", "unix:/s"]);
        assert_eq!(Remote::parse_list(" "), Ok(vec![]));
        assert!(Remote::parse_list("tcp:a:1,ptcp:1").is_err());
    }
}
