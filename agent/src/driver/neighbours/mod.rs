//! The kernel's side of the driver: a task that reads the neighbour tables which EVPN needs, and reads them again when they change.
//!
//! There is no socket as long as nothing is to be watched. A notification only says which device to look at again; what counts is
//! the table as it is then, so lost notifications (ENOBUFS) cost one more look at all tables and nothing else. Entry: [`run`].

mod netlink;

use ofproto_client::connection::Backoff;
use ovn_core::kernel::NeighbourTable;
use ovn_core::runtime::Event;
use ovsdb::Str;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::time::Duration;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::Instant;

use super::{Message, ToEngine};
use crate::observe::{Level, log};
use netlink::{Changes, Kernel, Notification};

/// Tables to watch: devices with the table of each.
pub type Tables = BTreeSet<(Str, NeighbourTable)>;

/// Name of the log module: OVN's.
const MODULE: &str = "neighbor_exchange";
/// Changes come in bursts: a table is read when it was so long quiet, or at the latest [`PATIENCE`] after its first change.
const QUIET: Duration = Duration::from_millis(5);
const PATIENCE: Duration = Duration::from_millis(50);
/// Reading takes at most one part in so many of the time.
const SHARE: u32 = 10;

/// Runs until the engine is gone.
pub async fn run(mut commands: UnboundedReceiver<Tables>, engine: ToEngine) {
    let mut watching = Watching { engine, tables: Tables::new(), said: None, lost: 0 };
    while let Some(tables) = commands.recv().await {
        watching.tables = tables;
        if watching.tables.is_empty() {
            continue;
        }
        log(Level::Info, MODULE, "Adding neighbor table watchers.");
        if watching.until_empty(&mut commands).await.is_none() {
            return;
        }
        log(Level::Info, MODULE, "Removing neighbor table watchers.");
    }
}

struct Watching {
    engine: ToEngine,
    tables: Tables,
    /// What went wrong, as last said.
    said: Option<String>,
    /// How often notifications were lost.
    lost: u64,
}

/// What is to be read again, and when.
struct Due {
    tables: Tables,
    at: Instant,
    latest: Instant,
}

impl Watching {
    /// Watches until nothing is left to watch; `None` when the engine is gone.
    async fn until_empty(&mut self, commands: &mut UnboundedReceiver<Tables>) -> Option<()> {
        let mut backoff = Backoff::default();
        while !self.tables.is_empty() {
            // Heard from before anything is read, so that no change falls between the two.
            let opened = Changes::open().and_then(|changes| Ok((changes, Kernel::open()?)));
            let error = match opened {
                Ok((changes, kernel)) => match self.watch(commands, kernel, changes, &mut backoff).await {
                    Ok(over) => {
                        over?;
                        continue;
                    }
                    Err(error) => error,
                },
                Err(error) => error,
            };
            self.complain(format!("neighbour tables of the kernel cannot be read: {error}"));
            for (device, table) in &self.tables {
                self.tell(device, *table, None)?;
            }
            let retry = Instant::now() + backoff.next_delay();
            loop {
                tokio::select! {
                    () = tokio::time::sleep_until(retry) => break,
                    tables = commands.recv() => self.tables = tables?,
                }
            }
        }
        Some(())
    }

    /// Watches with one pair of sockets, until nothing is left to watch (`Some`), the engine is gone (`None`) or a socket fails.
    async fn watch(
        &mut self,
        commands: &mut UnboundedReceiver<Tables>,
        mut kernel: Kernel,
        mut changes: Changes,
        backoff: &mut Backoff,
    ) -> io::Result<Option<()>> {
        let mut indexes: BTreeMap<Str, u32> = BTreeMap::new();
        let now = Instant::now();
        let mut due = Due { tables: self.tables.clone(), at: now, latest: now };
        let mut earliest = now;
        loop {
            let wake = due.at.min(due.latest).max(earliest);
            tokio::select! {
                tables = commands.recv() => {
                    let Some(tables) = tables else { return Ok(None) };
                    due.add(tables.difference(&self.tables).cloned());
                    due.tables.retain(|table| tables.contains(table));
                    self.tables = tables;
                    if self.tables.is_empty() {
                        return Ok(Some(()));
                    }
                }
                heard = changes.next() => self.heard(heard, &indexes, &mut due)?,
                () = tokio::time::sleep_until(wake), if !due.tables.is_empty() => {
                    let begin = Instant::now();
                    let tables = std::mem::take(&mut due.tables);
                    // The kernel answers at once, but a large table takes it a while.
                    let read = tokio::task::spawn_blocking(move || {
                        let read: io::Result<Vec<_>> = tables
                            .into_iter()
                            .map(|(device, table)| Ok((kernel.read(&device, table)?, device, table)))
                            .collect();
                        (kernel, read)
                    });
                    let (returned, read) = read.await.map_err(io::Error::other)?;
                    kernel = returned;
                    for (found, device, table) in read? {
                        let (index, entries) = found.unzip();
                        match index {
                            Some(index) => indexes.insert(device.clone(), index),
                            None => indexes.remove(&device),
                        };
                        if self.tell(&device, table, Some(entries.unwrap_or_default())).is_none() {
                            return Ok(None);
                        }
                    }
                    self.said = None;
                    backoff.connected();
                    earliest = Instant::now() + begin.elapsed() * SHARE;
                }
            }
        }
    }

    /// Puts the tables that notifications are about on the list.
    fn heard(
        &mut self,
        heard: io::Result<Vec<Notification>>,
        indexes: &BTreeMap<Str, u32>,
        due: &mut Due,
    ) -> io::Result<()> {
        let heard = match heard {
            Ok(heard) => heard,
            Err(error) if error.raw_os_error() == Some(nix::libc::ENOBUFS) => {
                self.overrun();
                vec![Notification::Anything]
            }
            Err(error) => return Err(error),
        };
        for notification in heard {
            let concerned = |device: &Str| match &notification {
                Notification::Neighbour(index) => indexes.get(device) == Some(index),
                Notification::Device(index, name) => {
                    indexes.get(device) == Some(index) || name.as_deref() == Some(device.as_str())
                }
                Notification::Anything => true,
            };
            due.add(self.tables.iter().filter(|(device, _)| concerned(device)).cloned());
        }
        Ok(())
    }

    fn tell(
        &self,
        device: &Str,
        table: NeighbourTable,
        entries: Option<Vec<ovn_core::kernel::Neighbour>>,
    ) -> Option<()> {
        let event = Event::Neighbours { device: device.clone(), table, entries };
        self.engine.send(Message::Event(event)).ok()
    }

    /// Notifications were lost. Said ever more rarely.
    fn overrun(&mut self) {
        self.lost += 1;
        if self.lost.is_power_of_two() {
            let times = self.lost;
            let text =
                format!("notifications of the kernel were lost ({times} times so far): all tables are read again");
            log(Level::Warn, MODULE, text);
        }
    }

    /// Says what went wrong, unless that was the last thing said.
    fn complain(&mut self, text: String) {
        if self.said.as_ref() != Some(&text) {
            log(Level::Warn, MODULE, &text);
            self.said = Some(text);
        }
    }
}

impl Due {
    fn add(&mut self, tables: impl Iterator<Item = (Str, NeighbourTable)>) {
        let (was_empty, before) = (self.tables.is_empty(), self.tables.len());
        self.tables.extend(tables);
        let now = Instant::now();
        if was_empty && self.tables.len() > before {
            self.latest = now + PATIENCE;
        }
        self.at = now + QUIET;
    }
}
