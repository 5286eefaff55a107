//! What a Unix daemon owes its surroundings. [`Pidfile`] and [`Role`] say who we are, [`background`] is `--detach` and `--monitor`, [`Identity`] `--user`,
//! [`Signals`] how the process ends, [`service`] what systemd is told; here are default paths and names.

pub mod background;
mod pidfile;
pub mod service;
mod signals;
mod user;

use std::env;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

pub use background::Role;
pub use pidfile::Pidfile;
pub use signals::{RELOAD, Signals, describe};
pub use user::Identity;

/// What Open vSwitch's programs call themselves in logs and errors: the name that we were started under, if it is ovn-controller's.
pub fn program_name() -> &'static str {
    static NAME: OnceLock<&str> = OnceLock::new();
    NAME.get_or_init(|| {
        let name = env::args_os().next().unwrap_or_default();
        let stands_in = Path::new(&name).file_name().is_some_and(|name| name == "ovn-controller");
        if stands_in { "ovn-controller" } else { "ovn-agent" }
    })
}

/// A folder of OVN or Open vSwitch: from the environment, else the default.
pub fn folder(variable: &str, default: &str) -> PathBuf {
    env::var_os(variable).filter(|value| !value.is_empty()).map_or_else(|| PathBuf::from(default), PathBuf::from)
}

/// Where pidfile and control socket are.
pub fn ovn_rundir() -> PathBuf {
    folder("OVN_RUNDIR", "/var/run/ovn")
}

/// Where Open vSwitch's sockets are.
pub fn ovs_rundir() -> PathBuf {
    folder("OVS_RUNDIR", "/var/run/openvswitch")
}

/// Threads for bulk work if nothing else is said: one a core, and no more than can be kept busy.
pub fn default_threads() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get).min(4)
}

/// The first line of `<sysconfdir>/system-id-override`, at most 63 bytes (ovn-controller's get_file_system_id).
pub fn system_id_override() -> Option<String> {
    let path = folder("OVN_SYSCONFDIR", "/etc").join("system-id-override");
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().next().unwrap_or_default();
    let end = (0..=line.len().min(63)).rev().find(|end| line.is_char_boundary(*end)).unwrap_or(0);
    line.get(..end).filter(|name| !name.is_empty()).map(str::to_owned)
}

/// What /proc says of this process under a name (proc_pid_status(5)).
pub fn status(name: &str) -> Option<String> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let value = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    Some(value.trim().to_owned())
}

/// The same of memory, in kilobytes.
pub fn status_kb(name: &str) -> Option<u64> {
    status(name)?.strip_suffix(" kB")?.parse().ok()
}

/// A socket in the file system that listens, with these permissions and for use without blocking. One that a dead process left there is
/// replaced.
pub fn listen(path: &Path, mode: u32) -> io::Result<UnixListener> {
    if path.exists() && UnixStream::connect(path).is_err() {
        fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Milliseconds since 1970.
pub fn wall_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// This host's name.
pub fn hostname() -> String {
    fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned()
}
