//! The flows as text: by table, priority from high to low, match. Several threads print, each every n-th block of lines, so that tens of megabytes
//! are never held as text.

use ofproto_client::{ActionList, FlowHead};
use ovn_core::switch::{FlowId, FlowTable};
use rustc_hash::FxBuildHasher;
use std::cmp::Reverse;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::io;
use std::sync::mpsc::sync_channel;

/// Flows printed at a time: half a megabyte.
const BLOCK: usize = 1024;
/// Texts of action lists that are kept: many flows have a list of their own, but half have one of a few.
const KEPT: usize = 8192;

/// Writes all desired flows of `table`.
pub(super) fn write(table: &FlowTable, threads: usize, to: &mut impl io::Write) -> io::Result<()> {
    let ids = sorted(table);
    let blocks = ids.chunks(BLOCK);
    let threads = threads.min(blocks.len());
    if threads < 2 {
        let mut printer = Printer::new(table);
        return blocks.into_iter().try_for_each(|block| to.write_all(printer.block(block).as_bytes()));
    }
    std::thread::scope(|scope| {
        let printers: Vec<_> = (0..threads)
            .map(|number| {
                let (printed, receiver) = sync_channel(1);
                let blocks = blocks.clone().skip(number).step_by(threads);
                scope.spawn(move || {
                    let mut printer = Printer::new(table);
                    for block in blocks {
                        // Writing failed: nobody wants the rest.
                        if printed.send(printer.block(block).to_owned()).is_err() {
                            return;
                        }
                    }
                });
                receiver
            })
            .collect();
        for number in 0..blocks.len() {
            let text = printers.get(number % threads).and_then(|printer| printer.recv().ok()).unwrap_or_default();
            to.write_all(text.as_bytes())?;
        }
        Ok(())
    })
}

/// All desired flows in order.
fn sorted(table: &FlowTable) -> Vec<FlowId> {
    let key = |id| {
        let (number, priority, match_) = table.flow_key(id)?;
        // The first bytes of the match decide nearly always, and are at hand then.
        let bytes = match_.as_bytes();
        let mut first = [0; 16];
        first.iter_mut().zip(bytes).for_each(|(place, byte)| *place = *byte);
        Some((number, Reverse(priority), u128::from_be_bytes(first), bytes, id))
    };
    let mut keys: Vec<_> = table.iter_desired().filter_map(key).collect();
    keys.sort_unstable();
    keys.into_iter().map(|(.., id)| id).collect()
}

/// Prints flows; remembers the texts of their actions.
struct Printer<'a> {
    table: &'a FlowTable,
    actions: HashMap<ActionList, Box<str>, FxBuildHasher>,
    text: String,
}

impl<'a> Printer<'a> {
    fn new(table: &'a FlowTable) -> Self {
        Self { table, actions: HashMap::default(), text: String::new() }
    }

    /// A line for each flow.
    fn block(&mut self, ids: &[FlowId]) -> &str {
        self.text.clear();
        for &id in ids {
            let Some(((table, priority, match_), desired)) = self.table.flow_key(id).zip(self.table.desired(id)) else {
                continue;
            };
            let head = FlowHead { table, priority, cookie: desired.cookie, match_ };
            // Writing to a String cannot fail.
            let _ = write!(self.text, "{head}");
            if let Some(text) = self.actions.get(&desired.actions) {
                self.text.push_str(text);
            } else {
                let start = self.text.len();
                let _ = write!(self.text, "{}", desired.actions);
                if self.actions.len() >= KEPT {
                    self.actions.clear();
                }
                self.actions.insert(desired.actions, self.text.get(start..).unwrap_or_default().into());
            }
            self.text.push('\n');
        }
        &self.text
    }
}
