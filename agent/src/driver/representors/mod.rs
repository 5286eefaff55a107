//! The devices that stand for functions of network cards (feature `representor`): a task that reads the kernel's list of devlink ports,
//! and reads it again when it changes. What it is for: [`ovn_core::plug`]. Entry: [`run`].

mod devlink;

use ofproto_client::connection::Backoff;
use ovn_core::plug::Representors;
use ovn_core::runtime::Event;
use ovsdb::Str;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Message, ToEngine};
use crate::observe::{Level, log};
use devlink::{Devlink, Flavour, Port};

/// Name of the log module: that of ovn-vif.
const MODULE: &str = "vif_plug_representor";
/// A new device often gets another name at once, by which it is then to be plugged in: the list is read when it was so long quiet.
const QUIET: Duration = Duration::from_millis(500);

/// Runs until the engine is gone, or there is no devlink.
pub async fn run(engine: ToEngine) {
    let (mut backoff, mut said) = (Backoff::default(), None);
    loop {
        let error = match watch(&engine, &mut backoff).await {
            Ok(()) => return,
            Err(error) => error,
        };
        if error.kind() == io::ErrorKind::NotFound {
            log(Level::Info, MODULE, "this kernel has no devlink: there are no representors");
            return;
        }
        let text = format!("cannot read devlink ports: {error}");
        if said.as_ref() != Some(&text) {
            log(Level::Warn, MODULE, &text);
            said = Some(text);
        }
        tokio::time::sleep(backoff.next_delay().max(QUIET)).await;
    }
}

/// `Ok`: the engine is gone.
async fn watch(engine: &ToEngine, backoff: &mut Backoff) -> io::Result<()> {
    let mut kernel = Devlink::open()?;
    let mut known = None;
    loop {
        let all = representors(&kernel.ports()?, &|device| sysfs_mac(Path::new("/sys/class/net"), device));
        backoff.connected();
        if known.as_ref() != Some(&all) {
            log(Level::Info, MODULE, format_args!("{} representors", all.len()));
            if engine.send(Message::Event(Event::Representors(all.clone()))).is_err() {
                return Ok(());
            }
            known = Some(all);
        }
        kernel.changed().await?;
        while tokio::time::timeout(QUIET, kernel.changed()).await.is_ok() {}
    }
}

/// Finds the functions that ports stand for. A virtual function is told by its number and the MAC address that its physical function
/// has on the side of the host; where the kernel does not know that one, `host_mac` finds it by the device of the card's
/// physical port.
fn representors(ports: &[Port], host_mac: &dyn Fn(&str) -> Option<u64>) -> Representors {
    let physical: BTreeMap<_, &str> = ports
        .iter()
        .filter(|port| port.flavour == Flavour::Physical)
        .map(|port| ((&port.bus, &port.device, port.number), port.netdev.as_str()))
        .collect();
    let functions: BTreeMap<_, u64> = ports
        .iter()
        .filter(|port| port.flavour == Flavour::PhysicalFunction)
        .filter_map(|port| {
            let key = (&port.bus, &port.device, port.pf);
            let fallback =
                || physical.get(&(&port.bus, &port.device, u32::from(port.pf))).and_then(|device| host_mac(device));
            Some((key, port.mac.filter(|mac| *mac != 0).or_else(fallback)?))
        })
        .collect();
    let of_port = |port: &Port| {
        let number = match port.flavour {
            Flavour::PhysicalFunction => None,
            Flavour::VirtualFunction => Some(port.vf),
            Flavour::Physical | Flavour::Other => return None,
        };
        let mac = functions.get(&(&port.bus, &port.device, port.pf))?;
        (!port.netdev.is_empty()).then(|| ((*mac, number), Str::from(port.netdev.as_str())))
    };
    ports.iter().filter_map(of_port).collect()
}

/// The MAC address that a physical function has on the side of the host, as drivers of cards with processors say it in `sysfs`, in a line
/// `MAC : 02:00:00:00:00:01`.
fn sysfs_mac(folder: &Path, device: &str) -> Option<u64> {
    let path: PathBuf = [folder, Path::new(device), Path::new("smart_nic/pf/config")].iter().collect();
    let text = std::fs::read_to_string(path).ok()?;
    let line = text.lines().find(|line| line.trim_start().starts_with("MAC"))?;
    let (_, mac) = line.split_once(':')?;
    let bytes: Vec<u8> = mac.trim().split(':').map_while(|byte| u8::from_str_radix(byte, 16).ok()).collect();
    let [a, b, c, d, e, f] = *<&[u8; 6]>::try_from(bytes.as_slice()).ok()?;
    Some(u64::from_be_bytes([0, 0, a, b, c, d, e, f]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(flavour: Flavour, netdev: &str, pf: u16, vf: u16, mac: Option<u64>) -> Port {
        let (bus, device) = ("pci".to_owned(), "0000:03:00.0".to_owned());
        Port { bus, device, netdev: netdev.to_owned(), flavour, number: u32::from(pf), pf, vf, mac }
    }

    #[test]
    fn functions_are_told_by_the_address_of_the_physical_one() {
        let ports = [
            port(Flavour::VirtualFunction, "pf0vf3", 0, 3, Some(99)),
            port(Flavour::Physical, "p0", 0, 0, None),
            port(Flavour::PhysicalFunction, "pf0hpf", 0, 0, Some(7)),
            port(Flavour::Physical, "p1", 1, 0, None),
            port(Flavour::PhysicalFunction, "pf1hpf", 1, 0, Some(0)),
            port(Flavour::VirtualFunction, "pf1vf0", 1, 0, None),
            port(Flavour::VirtualFunction, "pf2vf0", 2, 0, None),
            port(Flavour::VirtualFunction, "", 0, 4, None),
            port(Flavour::Other, "sf", 0, 0, None),
        ];
        let host_mac = |device: &str| (device == "p1").then_some(8);
        let expected =
            [((7, None), "pf0hpf"), ((7, Some(3)), "pf0vf3"), ((8, None), "pf1hpf"), ((8, Some(0)), "pf1vf0")];
        let expected: Representors = expected.map(|(key, name)| (key, Str::from(name))).into_iter().collect();
        assert_eq!(representors(&ports, &host_mac), expected);
    }

    #[test]
    fn the_address_on_the_side_of_the_host() {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("p0/smart_nic/pf");
        std::fs::create_dir_all(&config).unwrap();
        for (text, mac) in [
            ("MAC        : 02:00:00:00:00:01\nMaxTxRate  : 0\n", Some(0x0200_0000_0001)),
            ("State : Follow\nMAC: 02:00:00:00:00:02", Some(0x0200_0000_0002)),
            ("MAC : none\n", None),
            ("", None),
        ] {
            std::fs::write(config.join("config"), text).unwrap();
            assert_eq!(sysfs_mac(folder.path(), "p0"), mac, "{text}");
        }
        assert_eq!(sysfs_mac(folder.path(), "p1"), None);
    }
}
