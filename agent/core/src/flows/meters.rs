//! Meters: the content of each meter that flows refer to, by name. Sheet 02 section 5.7.

use ofproto_client::{Meter, MeterBand};
use ovsdb::tables::Table;

use crate::reader::Reader;
use crate::rows;
use crate::units::Output;

/// What set_meter's own names begin with (lib/actions.c `encode_SET_METER`, OVN 26.03); the meter's text follows the
/// lflow's UUID.
const INLINE: &str = "__string: uuid ";
/// Length of [`INLINE`], a UUID and a space.
const INLINE_LEN: usize = 52;

/// The meters in use. One that no Meter row describes is left out, as ovn-controller does: flows may refer to it.
pub fn meters(r: &Reader<'_>, out: &mut Output) {
    for (id, name) in r.meters_in_use() {
        let meter = if name.starts_with(INLINE) { inline_meter(id, &name) } else { row_meter(r, id, &name) };
        match meter {
            Ok(meter) => out.meter_table.push(meter),
            // Not by its id, which follows from the order in which meters came into use.
            Err(why) => out.diagnostics.push(format!("meter \"{name}\": {why}")),
        }
    }
}

/// From the description inside the name, such as `kbps burst stats bands=type=drop rate=1 burst_size=2`.
fn inline_meter(id: u32, name: &str) -> Result<Meter, String> {
    let text = name.get(INLINE_LEN..).ok_or("too short")?;
    let mut meter = Meter { id, flags: 0, bands: Vec::new() };
    let mut band = MeterBand { rate: 0, burst_size: 0 };
    for word in text.split_ascii_whitespace() {
        let number = |text: &str| text.parse::<u32>().map_err(|_| format!("\"{word}\" has no number"));
        match word.split_once('=') {
            None if word == "kbps" => meter.flags |= Meter::KBPS,
            None if word == "pktps" => meter.flags |= Meter::PKTPS,
            None if word == "burst" => meter.flags |= Meter::BURST,
            None if word == "stats" => meter.flags |= Meter::STATS,
            Some(("bands", _)) => {}
            Some(("rate", rate)) => band.rate = number(rate)?,
            Some(("burst_size", size)) => band.burst_size = number(size)?,
            _ => return Err(format!("unknown word \"{word}\"")),
        }
    }
    meter.bands.push(band);
    Ok(meter)
}

/// From the Meter row of that name.
fn row_meter(r: &Reader<'_>, id: u32, name: &str) -> Result<Meter, String> {
    let row = r.lookup_one(|t: &Table<rows::Meter>| t.by_name(name)).and_then(|row| r.row::<rows::Meter>(row));
    let row = row.ok_or("no Meter row has this name")?;
    let unit = if row.unit().as_str() == "pktps" { Meter::PKTPS } else { Meter::KBPS };
    let mut meter = Meter { id, flags: Meter::STATS | unit, bands: Vec::new() };
    for uuid in row.bands().iter() {
        let Some(band) = r.find::<rows::MeterBand>(uuid) else { continue };
        let rate = u32::try_from(band.rate()).unwrap_or(u32::MAX);
        let burst_size = u32::try_from(band.burst_size()).unwrap_or(u32::MAX);
        if burst_size > 0 {
            meter.flags |= Meter::BURST;
        }
        meter.bands.push(MeterBand { rate, burst_size });
    }
    meter.bands.sort_by_key(|band| (band.rate, band.burst_size));
    Ok(meter)
}
