//! `--user`: another user, with the capabilities that the agent may need and no others.

use anyhow::{Context, anyhow, bail};
use nix::unistd::{Gid, Group, Uid, User, getgid, getuid, initgroups, setgid, setuid};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, configure_capability_in_ambient_set, set_capabilities,
    set_keep_capabilities,
};
use std::ffi::CString;

/// Whom to become.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    name: String,
    /// User.
    pub uid: Uid,
    /// Group.
    pub gid: Gid,
}

impl Identity {
    /// Reads `USER[:GROUP]` or `:GROUP`; the user has to be in the group (`daemon_set_new_user` of lib/daemon-unix.c, Open vSwitch 3.7).
    pub fn parse(spec: &str) -> anyhow::Result<Identity> {
        if !getuid().is_root() {
            bail!("only root can use --user option");
        }
        let (user, group) = spec.split_once(':').unwrap_or((spec, ""));
        let (name, group) = (user.trim(), group.trim());
        let user = if name.is_empty() { User::from_uid(getuid()) } else { User::from_name(name) };
        let user = user.with_context(|| format!("Failed to retrieve user {name}'s uid"))?;
        let user = user.ok_or_else(|| anyhow!("user {name} not found, aborting."))?;
        let mut gid = user.gid;
        if !group.is_empty() {
            let found = Group::from_name(group).with_context(|| format!("Failed to get group entry for {group}"))?;
            let found = found.ok_or_else(|| anyhow!("group {group} not found, aborting."))?;
            if found.gid != gid && !found.mem.contains(&user.name) {
                bail!("Invalid --user option {spec} (user {} is not in group {group}), aborting.", user.name);
            }
            gid = found.gid;
        }
        Ok(Identity { name: user.name, uid: user.uid, gid })
    }

    /// Becomes that user for good. Must be called before there are threads: capabilities belong to a thread. They are passed on to
    /// the processes that `--detach` and `--monitor` start.
    pub fn assume(&self) -> anyhow::Result<()> {
        let failed = || format!("fail to switch to user and group {}:{}, aborting", self.uid, self.gid);
        let wanted = CapabilitySet::NET_ADMIN
            | CapabilitySet::NET_RAW
            | CapabilitySet::NET_BROADCAST
            | CapabilitySet::IPC_LOCK
            | CapabilitySet::NET_BIND_SERVICE;
        // In a container some may be missing.
        let kept = capabilities(None).with_context(failed)?.permitted & wanted;
        set_keep_capabilities(true).with_context(failed)?;
        let name = CString::new(self.name.as_str()).with_context(failed)?;
        initgroups(&name, self.gid).with_context(failed)?;
        setgid(self.gid).with_context(failed)?;
        setuid(self.uid).with_context(failed)?;
        let sets = CapabilitySets { effective: kept, permitted: kept, inheritable: kept };
        set_capabilities(None, sets).with_context(failed)?;
        for one in kept.iter() {
            configure_capability_in_ambient_set(one, true).with_context(failed)?;
        }
        if (getuid(), getgid()) != (self.uid, self.gid) {
            bail!(failed());
        }
        Ok(())
    }
}
