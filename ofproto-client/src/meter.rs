//! Meters. Entry types: [`Meter`], [`MeterMod`].

use std::fmt;
use std::str::FromStr;

use crate::error::Error;
use crate::text::Span;

/// One band of a meter: drops what is above the rate.
#[derive(Copy, Clone, Debug, Eq, PartialEq, Hash)]
pub struct MeterBand {
    /// In the meter's unit.
    pub rate: u32,
    /// In the meter's unit; 0 without [`Meter::BURST`].
    pub burst_size: u32,
}

/// A meter.
#[derive(Clone, Debug, Default, Eq, PartialEq, Hash)]
pub struct Meter {
    /// Number.
    pub id: u32,
    /// [`Meter::KBPS`], ...
    pub flags: u16,
    /// Bands.
    pub bands: Vec<MeterBand>,
}

impl Meter {
    /// Rates are kilobits per second.
    pub const KBPS: u16 = 1;
    /// Rates are packets per second.
    pub const PKTPS: u16 = 2;
    /// Bands have a burst size.
    pub const BURST: u16 = 4;
    /// Keeps statistics.
    pub const STATS: u16 = 8;
}

/// What a [`MeterMod`] does.
#[derive(Copy, Clone, Debug, Eq, PartialEq, Hash)]
pub enum MeterModCommand {
    /// Add.
    Add,
    /// Replace.
    Modify,
    /// Delete.
    Delete,
}

/// `OFPM_ALL`.
pub const METER_ALL: u32 = 0xffff_ffff;

/// Body of a METER_MOD message.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct MeterMod {
    /// What to do.
    pub command: MeterModCommand,
    /// The meter; only its id matters for deletion.
    pub meter: Meter,
}

/// Meter flags with their words.
const FLAG_NAMES: [(u16, &str); 4] =
    [(Meter::KBPS, "kbps"), (Meter::PKTPS, "pktps"), (Meter::BURST, "burst"), (Meter::STATS, "stats")];

/// As `dump-meters` prints it: a line for the meter and one for each band, without a line end after the last.
impl fmt::Display for Meter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "meter={} ", self.id)?;
        for (flag, name) in FLAG_NAMES {
            if self.flags & flag != 0 {
                write!(f, "{name} ")?;
            }
        }
        f.write_str("bands=")?;
        for band in &self.bands {
            write!(f, "\ntype=drop rate={}", band.rate)?;
            if self.flags & Meter::BURST != 0 {
                write!(f, " burst_size={}", band.burst_size)?;
            }
        }
        Ok(())
    }
}

/// Reads what is printed, and OVN's meter strings: `meter=1 kbps stats bands=type=drop rate=100 burst_size=10`; commas are as good
/// as blanks. `__string:` prefixes are the caller's to take off.
impl FromStr for Meter {
    type Err = Error;

    fn from_str(text: &str) -> Result<Meter, Error> {
        let whole = Span::new(text);
        let mut meter = Meter::default();
        let mut has_id = false;
        for word in whole.words() {
            let word = word.strip_prefix("bands=").unwrap_or(word);
            let (key, value) = word.split_once("=").map_or((word.text, None), |(key, value)| (key.text, Some(value)));
            let flag = FLAG_NAMES.iter().find(|(_, name)| *name == key);
            match (key, value, meter.bands.last_mut(), flag) {
                ("", None, _, _) => (),
                (_, None, _, Some((flag, _))) => meter.flags |= flag,
                ("meter", Some(value), _, _) => (meter.id, has_id) = (value.u32("meter")?, true),
                ("type", Some(value), _, _) if value.text == "drop" => {
                    meter.bands.push(MeterBand { rate: 0, burst_size: 0 });
                }
                ("rate", Some(value), Some(band), _) => band.rate = value.u32("meter rate")?,
                ("burst_size", Some(value), Some(band), _) => band.burst_size = value.u32("meter burst_size")?,
                _ => return word.error("meter", "unknown word"),
            }
        }
        if has_id { Ok(meter) } else { whole.error("meter", "missing \"meter=\"") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_both_ways() {
        for text in [
            "meter=1 kbps burst stats bands=\ntype=drop rate=100 burst_size=10",
            "meter=2 pktps stats bands=\ntype=drop rate=1000\ntype=drop rate=7",
            "meter=3 bands=",
        ] {
            let meter: Meter = text.parse().unwrap();
            assert_eq!(meter.to_string(), text);
        }
        let one_line: Meter = "meter=7 kbps stats bands=type=drop rate=5".parse().unwrap();
        assert_eq!(one_line.bands, [MeterBand { rate: 5, burst_size: 0 }]);
        for bad in ["kbps", "meter=x", "meter=1 bands=type=remark rate=1", "meter=1 rate=5", "meter=1 fast"] {
            assert!(bad.parse::<Meter>().is_err(), "{bad}");
        }
    }
}
