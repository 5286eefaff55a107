//! Levels per module and destination, and the notation in which they are set (ovs-appctl(8), "vlog/set").

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Importance. `Off` is only for what a destination takes.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Takes nothing.
    Off,
    /// The process ends.
    Emer,
    /// Something failed.
    Err,
    /// Something is not as it should be.
    Warn,
    /// Something of interest.
    Info,
    /// Details.
    Dbg,
}

/// Where lines go.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// stderr.
    Console,
    /// Accepted and kept, but nothing is sent there: journald has stderr.
    Syslog,
    /// `--log-file`.
    File,
}

/// What each module has to say; `vlog/list` shows them in this order.
const MODULES: [&str; 9] =
    ["daemon", "main", "neighbor_exchange", "ofctrl", "ovsdb", "reconnect", "rconn", "unixctl", "vlog"];

/// The levels in force.
pub struct Levels {
    default: [Level; 3],
    /// Modules that differ from the default.
    modules: BTreeMap<String, [Level; 3]>,
}

impl Level {
    /// As it stands in the log.
    pub fn name(self) -> &'static str {
        match self {
            Level::Off => "OFF",
            Level::Emer => "EMER",
            Level::Err => "ERR",
            Level::Warn => "WARN",
            Level::Info => "INFO",
            Level::Dbg => "DBG",
        }
    }

    fn parse(word: &str) -> Option<Level> {
        [Level::Off, Level::Emer, Level::Err, Level::Warn, Level::Info, Level::Dbg]
            .into_iter()
            .find(|level| level.name().eq_ignore_ascii_case(word))
    }
}

impl Levels {
    /// Everything takes INFO and above.
    pub const fn new() -> Self {
        Self { default: [Level::Info; 3], modules: BTreeMap::new() }
    }

    /// Whether the console and the file take a line.
    pub fn wanted(&self, module: &str, level: Level) -> (bool, bool) {
        let [console, _, file] = self.modules.get(module).unwrap_or(&self.default);
        (level <= *console, level <= *file)
    }

    /// Words separated by white space, commas or colons: any of a module, a destination and a level. Without a level: dbg.
    pub fn set(&mut self, spec: &str) -> Result<(), String> {
        if spec.starts_with("PATTERN:") || spec.starts_with("FACILITY:") {
            return Ok(());
        }
        let (mut module, mut destination, mut level) = (None, None, None);
        for word in spec.split([' ', ',', ':']).filter(|word| !word.is_empty()) {
            let place = match word.to_ascii_lowercase().as_str() {
                "console" => Some(Destination::Console),
                "syslog" => Some(Destination::Syslog),
                "file" => Some(Destination::File),
                "any" => continue,
                _ => None,
            };
            if let Some(place) = place {
                destination = Some(place);
            } else if let Some(parsed) = Level::parse(word) {
                level = Some(parsed);
            } else if MODULES.contains(&word) {
                module = Some(word.to_owned());
            } else {
                return Err(format!("no destination, level, or module \"{word}\""));
            }
        }
        let level = level.unwrap_or(Level::Dbg);
        let change = |levels: &mut [Level; 3]| match destination {
            Some(place) => levels[place as usize] = level,
            None => *levels = [level; 3],
        };
        match module {
            Some(module) => change(self.modules.entry(module).or_insert(self.default)),
            None => {
                change(&mut self.default);
                self.modules.values_mut().for_each(change);
            }
        }
        Ok(())
    }

    /// The table of `vlog/list`.
    pub fn list(&self) -> String {
        let mut text =
            String::from("                 console    syslog    file\n                 -------    ------    ------\n");
        for module in MODULES {
            let [console, syslog, file] = self.modules.get(module).unwrap_or(&self.default).map(Level::name);
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{module:<16}  {console:>4}       {syslog:>4}       {file:>4}");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn specs() {
        let mut levels = Levels::new();
        for (spec, module, level, expected) in [
            ("", "main", Level::Dbg, (true, true)),
            ("any:console:emer", "main", Level::Err, (false, true)),
            ("console:off", "main", Level::Emer, (false, true)),
            ("ofctrl:file:warn", "ofctrl", Level::Info, (false, false)),
            ("ofctrl:file:warn", "main", Level::Info, (false, true)),
            ("file:dbg", "ofctrl", Level::Dbg, (false, true)),
            ("PATTERN:file:x", "ofctrl", Level::Dbg, (false, true)),
            ("info", "ofctrl", Level::Info, (true, true)),
        ] {
            levels.set(spec).unwrap();
            assert_eq!(levels.wanted(module, level), expected, "{spec}");
        }
        assert_eq!(levels.set("nonsense:dbg"), Err("no destination, level, or module \"nonsense\"".to_owned()));
    }
}
