//! VIF plug providers: which network device is the interface of a logical port that the CMS asks us to plug in (options
//! `vif-plug-type` and others). lib/vif-plug-provider.h, OVN 26.03; sheet 01 section 7.3. Entry type: [`Provider`].
//!
//! OVN's providers are objects that are called and told how it went. Here a provider is a function of the port's options and of tables
//! that the driver observes ([`Representors`]), so that a plugged port is like any other row that we want: it is compared
//! with what is there, and looked at again exactly when an option or a device changes. There is nothing to finish after a commit.

use ovsdb::{Map, Str};
use std::collections::BTreeMap;

use crate::flows::addresses::parse_mac;
use crate::reader::Reader;

/// Linux interface names have one byte less.
const IFNAMSIZ: usize = 16;

/// A provider, known by its `vif-plug-type`.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Provider {
    /// `dummy`, for tests: an internal port that is called like the logical port (`--enable-dummy-vif-plug`).
    Dummy,
    /// `representor`: the device that stands for a function of a network card which somebody else uses, a virtual machine or the host
    /// of a card with processors of its own. As in the repository ovn-vif, which is what others build OVN with.
    Representor,
}

/// The interface of a plugged port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plug {
    /// Name of the port and of the interface.
    pub name: Str,
    /// Interface.type; `None`: of no concern.
    pub kind: Option<&'static str>,
    /// Interface.options.
    pub options: BTreeMap<&'static str, &'static str>,
}

/// What representors there are: by the MAC address of the physical function and the number of the virtual one, `None` for the
/// physical function itself; the names of their devices.
pub type Representors = BTreeMap<(u64, Option<u16>), Str>;

impl Provider {
    /// The provider of that type, if this process has it.
    pub fn find(r: &Reader<'_>, kind: &str) -> Option<Self> {
        let config = r.config();
        match kind {
            "dummy" if config.dummy_vif_plug => Some(Self::Dummy),
            "representor" if config.representors => Some(Self::Representor),
            _ => None,
        }
    }

    /// The keys of Interface.options that are the provider's: those that it does not give are removed.
    pub fn maintained_options(self) -> &'static [&'static str] {
        match self {
            Self::Dummy => &["vif-plug-dummy-option"],
            Self::Representor => &[],
        }
    }

    /// What to plug in for logical port `lport`, or why nothing can be plugged in (now).
    pub fn lookup(self, r: &Reader<'_>, lport: &Str, options: &Map<Str, Str>) -> Result<Plug, String> {
        match self {
            Self::Dummy => Ok(Plug {
                name: Str::from(prefix(lport, IFNAMSIZ - 1)),
                kind: Some("internal"),
                options: BTreeMap::from([("vif-plug-dummy-option", "value")]),
            }),
            Self::Representor => representor(r, options),
        }
    }
}

/// `vif_plug_representor_port_prepare` of ovn-vif. Without a number the physical function itself is meant.
fn representor(r: &Reader<'_>, options: &Map<Str, Str>) -> Result<Plug, String> {
    let text = options.get("vif-plug:representor:pf-mac").ok_or("option vif-plug:representor:pf-mac is missing")?;
    let mac = parse_mac(text).ok_or_else(|| format!("pf-mac '{text}' is not an Ethernet address"))?;
    let number = options.get("vif-plug:representor:vf-num").filter(|number| !number.is_empty());
    let number = number
        .map(|number| number.parse::<u16>().map_err(|_| format!("vf-num '{number}' is not a number up to 65535")))
        .transpose()?;
    let name = r.representors().get(&(mac, number)).cloned();
    let name = name.ok_or_else(|| match number {
        Some(number) => format!("no representor of pf-mac '{text}' vf-num '{number}'"),
        None => format!("no representor of pf-mac '{text}'"),
    })?;
    Ok(Plug { name, kind: None, options: BTreeMap::new() })
}

/// The beginning of a text, of at most so many bytes and whole characters.
fn prefix(text: &str, most: usize) -> &str {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #[test]
    fn names_are_cut_between_characters() {
        for (text, expected) in
            [("", ""), ("lp1", "lp1"), ("a234567890123456", "a23456789012345"), ("a2345678901234é", "a2345678901234")]
        {
            assert_eq!(super::prefix(text, 15), expected);
        }
    }
}
