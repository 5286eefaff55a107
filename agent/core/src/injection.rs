//! What `ovn-appctl inject-pkt` asks for. Entry type: [`Injection`].

use ofproto_client::Match;
use ovn_lang::{AddressSet, ConstantSets, Microflow, MicroflowError, SymbolTable, expand_templates};
use ovsdb::Str;
use std::borrow::Cow;
use std::sync::Arc;

use crate::agent::Agent;
use crate::facts;

/// A packet as if it came in through a port of the integration bridge.
#[derive(Clone, Debug, PartialEq)]
pub struct Injection {
    /// OpenFlow port, 1..=0xfeff.
    pub in_port: u16,
    /// What is said of the packet.
    pub fields: Match,
}

impl Injection {
    /// Parses a microflow, which has to say which logical port of this hypervisor it enters (`inport`). The errors have ovn-controller's words, and besides
    /// the column. (`ofctrl_inject_pkt` of controller/ofctrl.c, OVN 26.03, without what concerns the switch.)
    pub fn parse(agent: &Agent, text: &str) -> Result<Injection, String> {
        let variable = |name: &str| agent.ask(facts::TemplateVariable(Str::from(name)));
        let expanded = expand_templates(text, variable).map_err(|missing| {
            let column = ovn_lang::Error::new(missing.offset, "").column(text);
            format!("Could not parse flow \"{text}\": {missing} (at column {column})")
        })?;
        let parsed = Microflow::parse(&expanded, SymbolTable::main(), &Sets(agent));
        let Microflow { inport, fields } = parsed.map_err(|error| match (error, &expanded) {
            (MicroflowError::Syntax(error), Cow::Borrowed(text)) => {
                format!("{error} (at column {})", error.column(text))
            }
            (MicroflowError::Syntax(error), Cow::Owned(text)) => {
                format!("{error} (at column {} of \"{text}\")", error.column(text))
            }
            (other, _) => other.to_string(),
        })?;
        let vif = inport.and_then(|lport| agent.ask(facts::VifInterface(Str::from(&*lport))));
        let in_port = vif.ok_or("ingress port not found on hypervisor.")?.ofport;
        Ok(Injection { in_port, fields })
    }
}

/// Address sets. A port group is known for a datapath only, which nothing here says; ovn-controller finds none either.
struct Sets<'a>(&'a Agent);

impl ConstantSets for Sets<'_> {
    fn address_set(&self, name: &str) -> Option<Arc<AddressSet>> {
        self.0.ask(facts::AddressSet(Str::from(name)))
    }

    fn port_group(&self, _name: &str) -> Option<Arc<[Arc<str>]>> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::testbed::{Testbed, map};
    use ovsdb::tables::southbound::{AddressSet, ChassisTemplateVar};

    #[test]
    fn ports_sets_and_variables_are_those_of_the_hypervisor() {
        let mut bed = Testbed::new();
        bed.vif("lp");
        let ofport = bed.ask(facts::VifInterface(Str::from("lp"))).unwrap().ofport;
        let uuid = bed.uuid();
        let chassis = Str::from("hv1");
        let row = ChassisTemplateVar { chassis, variables: map(&[("PORT", "\"lp\""), ("TYPE", "ip4 &&")]) };
        bed.put(|u| &mut u.chassis_template_var, uuid, row);
        let uuid = bed.uuid();
        let set = AddressSet { name: Str::from("one"), addresses: [Str::from("10.0.0.1")].into_iter().collect() };
        bed.put(|u| &mut u.address_set, uuid, set);
        for (text, expected) in [
            ("inport == \"lp\" && ip4.src == 10.0.0.1", Ok("ip,nw_src=10.0.0.1")),
            ("inport == ^PORT && ip4.src == $one", Ok("ip,nw_src=10.0.0.1")),
            ("ip4 && inport == \"lp\" && outport == \"no matter\"", Ok("ip")),
            ("inport == \"none\"", Err("ingress port not found on hypervisor.")),
            ("ip4", Err("ingress port not found on hypervisor.")),
            ("1", Err("ingress port not found on hypervisor.")),
            ("__inport == 1", Err("ingress port not found on hypervisor.")),
            ("ip4 && ip6", Err("Constraints are contradictory.")),
            (
                "inport == ^PORT && ip4 || ip6",
                Err(
                    "&& and || must be parenthesized when used together. (at column 23 of \"inport == \"lp\" && ip4 || ip6\")",
                ),
            ),
            ("inport == @pg", Err("Syntax error at `@pg' expecting port group name. (at column 11)")),
            (
                "ip4 && inport == ^NONE",
                Err(
                    "Could not parse flow \"ip4 && inport == ^NONE\": template variable NONE has no value (at column 18)",
                ),
            ),
        ] {
            let parsed = Injection::parse(&bed.agent, text);
            let parsed = parsed.map(|injection| {
                assert_eq!(injection.in_port, ofport);
                injection.fields.to_string()
            });
            assert_eq!(parsed, expected.map(str::to_owned).map_err(str::to_owned), "{text}");
        }
    }
}
