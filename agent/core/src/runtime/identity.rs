//! [`Identity`]: what this chassis was called before somebody changed system-id while the agent runs. Its rows of that name go, because nobody
//! else removes them and they have the addresses that the new ones are to have.

use ovsdb::Str;

use crate::agent::Agent;
use crate::facts::{ChassisName, ThisChassis};
use crate::view::peers::INDEX;

/// The name under which we are in the Southbound.
#[derive(Debug, Default)]
pub struct Identity {
    registered: Option<Str>,
}

impl Identity {
    /// Takes notice of the name as it is now. `contested`: another agent seems to have the former one as well, and its rows are his.
    /// Returns the former name when it is given up.
    pub fn follow(&mut self, agent: &mut Agent, contested: bool) -> Option<Str> {
        let name = agent.ask(ChassisName)?;
        self.forget_if_done(agent, &name);
        if self.registered.as_ref() == Some(&name) {
            return None;
        }
        let former = if agent.ask(ThisChassis).is_some() {
            self.registered.replace(name).filter(|_| !contested)
        } else {
            self.registered.take().filter(|_| !contested)
        };
        if former.is_some() {
            agent.set_external(|external| external.former_name.clone_from(&former));
        }
        former
    }

    /// Nothing is left under the former name.
    fn forget_if_done(&self, agent: &mut Agent, name: &Str) {
        let model = agent.model();
        let Some(former) = &model.external.former_name else { return };
        let index = format!("{INDEX}{former}");
        let in_use = model.sb.chassis.by_name(former).next().is_some()
            || model.sb.chassis_private.by_name(former).next().is_some()
            || model.local.open_vswitch.iter().any(|(_, ovs)| ovs.other_config.get(index.as_str()).is_some());
        if former == name || !in_use {
            agent.set_external(|external| external.former_name = None);
        }
    }
}
