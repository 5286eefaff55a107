//! Meters. Entry types: [`Meter`], [`MeterMod`].

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
