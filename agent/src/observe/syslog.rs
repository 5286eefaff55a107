//! [`Syslog`]: how lines get to syslogd (`--syslog-method`, `--syslog-target`).

use anyhow::{Context, anyhow, bail};
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::time::SystemTime;

use super::{Level, pattern};

/// Where syslogd of this machine listens.
const LOCAL: &str = "/dev/log";

/// A way to syslogd.
#[derive(Debug)]
pub enum Syslog {
    /// Nowhere.
    Null,
    /// As syslog(3) does it, with time and name of the program.
    Libc(Option<UnixDatagram>),
    /// Datagrams with a priority and nothing else, to a socket in the file system.
    Unix(PathBuf, Option<UnixDatagram>),
    /// The same by UDP.
    Udp(UdpSocket),
}

impl Syslog {
    /// `--syslog-method`.
    pub fn parse(method: &str) -> anyhow::Result<Syslog> {
        Ok(match method.split_once(':') {
            None if method == "null" => Syslog::Null,
            None if method == "libc" => Syslog::Libc(None),
            Some(("unix", path)) => Syslog::Unix(path.into(), None),
            Some(("udp", target)) => Syslog::Udp(udp(target).with_context(|| format!("syslog method '{method}'"))?),
            _ => bail!("unsupported syslog method '{method}'"),
        })
    }

    /// Without an option: as ovn-controller, unless systemd reads stderr, which would have each line twice then.
    pub fn by_default() -> Syslog {
        if super::journal_reads_stderr() { Syslog::Null } else { Syslog::Libc(None) }
    }

    /// What it puts in front of a line, as `vlog/list-pattern` has it.
    pub fn prefix(&self) -> &'static str {
        match self {
            Syslog::Null => "none",
            Syslog::Libc(_) => "<%B> %D{%h %e %T} %E %A:",
            Syslog::Unix(..) | Syslog::Udp(_) => "<%B>",
        }
    }

    /// Sends a line. There is nobody to tell that it cannot be sent; it is tried anew with the next.
    pub fn send(&mut self, facility: u8, level: Level, text: &str) {
        let priority = facility + level.severity();
        match self {
            Syslog::Null => {}
            Syslog::Libc(socket) => {
                let time = pattern::time("%h %e %T", SystemTime::now());
                let line = format!("<{priority}>{time} {}: {text}", crate::process::program_name());
                send_to(socket, LOCAL.as_ref(), &line);
            }
            Syslog::Unix(path, socket) => send_to(socket, path, &format!("<{priority}>{text}")),
            Syslog::Udp(socket) => {
                let _ = socket.send(format!("<{priority}>{text}").as_bytes());
            }
        }
    }
}

fn send_to(socket: &mut Option<UnixDatagram>, path: &std::path::Path, line: &str) {
    for _ in 0..2 {
        if socket.is_none() {
            let made = UnixDatagram::unbound().and_then(|made| {
                // A syslogd that does not read must not stop us.
                made.set_nonblocking(true)?;
                made.connect(path)?;
                Ok(made)
            });
            *socket = made.ok();
        }
        match socket.as_ref().map(|socket| socket.send(line.as_bytes())) {
            // syslogd was restarted, perhaps.
            Some(Err(error)) if error.kind() != std::io::ErrorKind::WouldBlock => *socket = None,
            _ => return,
        }
    }
}

/// A socket that sends to `IP:PORT` or `HOST:PORT`; port 514 if there is none.
pub fn udp(target: &str) -> anyhow::Result<UdpSocket> {
    let bare = target.trim_matches(['[', ']']).parse::<IpAddr>();
    let address = match bare {
        Ok(address) => SocketAddr::new(address, 514),
        Err(_) if target.contains(':') => {
            target.to_socket_addrs()?.next().ok_or_else(|| anyhow!("{target}: no address"))?
        }
        Err(_) => (target, 514).to_socket_addrs()?.next().ok_or_else(|| anyhow!("{target}: no address"))?,
    };
    let any = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(any)?;
    socket.connect(address)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let (unix, by_udp) = (UnixDatagram::bind(&path).unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
        let mut buffer = [0; 100];
        let mut method = Syslog::parse(&format!("unix:{}", path.display())).unwrap();
        method.send(24, Level::Warn, "ovs|1|main|WARN|x");
        let length = unix.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"<28>ovs|1|main|WARN|x");
        let mut method = Syslog::parse(&format!("udp:{}", by_udp.local_addr().unwrap())).unwrap();
        method.send(128, Level::Dbg, "y");
        let length = by_udp.recv(&mut buffer).unwrap();
        assert_eq!((&buffer[..length], method.prefix()), (&b"<135>y"[..], "<%B>"));
        for wrong in ["x", "tcp:1.2.3.4:5", "udp:nonsense:x"] {
            assert!(Syslog::parse(wrong).is_err(), "{wrong}");
        }
    }
}
