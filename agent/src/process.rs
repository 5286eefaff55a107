//! What a Unix daemon owes its surroundings: pidfile, readiness, detaching, default paths.

use anyhow::{Context, bail};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use std::env;
use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

/// Set in the process that `--detach` leaves behind.
const DETACHED: &str = "OVN_AGENT_DETACHED";

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

/// A pidfile that is ours for as long as this exists: others see by its lock that we live.
#[derive(Debug)]
pub struct Pidfile {
    path: PathBuf,
    _locked: File,
}

impl Pidfile {
    /// Writes and locks it. Fails if another process holds the lock, unless told to `overwrite`.
    pub fn create(path: &Path, overwrite: bool) -> anyhow::Result<Pidfile> {
        let context = || format!("cannot write pidfile {}", path.display());
        if !overwrite && let Ok(file) = OpenOptions::new().read(true).write(true).open(path) {
            lock(&file).with_context(|| format!("{}: already locked by another process", path.display()))?;
        }
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".tmp{}", std::process::id()));
        let temporary = PathBuf::from(name);
        let mut file = File::create(&temporary).with_context(context)?;
        writeln!(file, "{}", std::process::id()).with_context(context)?;
        lock(&file).with_context(context)?;
        fs::rename(&temporary, path).with_context(context)?;
        Ok(Pidfile { path: path.to_owned(), _locked: file })
    }
}

impl Drop for Pidfile {
    fn drop(&mut self) {
        // Best effort: a stale pidfile is recognised by its missing lock.
        let _ = fs::remove_file(&self.path);
    }
}

/// An exclusive lock on the whole file, of the kind that Open vSwitch's tools look for (fcntl).
fn lock(file: &File) -> Result<(), Errno> {
    let whole = nix::libc::flock {
        l_type: nix::libc::F_WRLCK as nix::libc::c_short,
        l_whence: nix::libc::SEEK_SET as nix::libc::c_short,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    };
    fcntl(file, FcntlArg::F_SETLK(&whole)).map(drop)
}

/// Tells the service manager, if there is one (sd_notify(3)).
pub fn notify(state: &str) {
    let Some(path) = env::var_os("NOTIFY_SOCKET") else { return };
    let address = match path.to_str().and_then(|path| path.strip_prefix('@')) {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(&path),
    };
    // Without a listener there is nobody to tell.
    if let (Ok(socket), Ok(address)) = (UnixDatagram::unbound(), address) {
        let _ = socket.send_to_addr(state.as_bytes(), &address);
    }
}

/// Whether this is the process that `--detach` leaves behind.
pub fn is_detached() -> bool {
    env::var_os(DETACHED).is_some()
}

/// `--detach`: starts this program again in a session of its own, and waits until that has started up.
pub fn detach() -> anyhow::Result<()> {
    let program = env::current_exe().context("cannot find this program")?;
    let mut arguments = env::args_os();
    let name = arguments.next();
    let mut command = Command::new(program);
    if let Some(name) = name {
        std::os::unix::process::CommandExt::arg0(&mut command, name);
    }
    let mut child = command
        .args(arguments)
        .env(DETACHED, "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start the detached process")?;
    let mut said = Vec::new();
    if let Some(stdout) = child.stdout.as_mut() {
        stdout.take(1).read_to_end(&mut said).context("cannot hear of the detached process")?;
    }
    if said.is_empty() {
        let status = child.wait().context("cannot wait for the detached process")?;
        bail!("the detached process ended during start-up: {status}");
    }
    Ok(())
}

/// In the detached process: it has a session of its own from here on.
pub fn detached_session() -> anyhow::Result<()> {
    // Fails only if it leads one already, which is as good.
    let _ = nix::unistd::setsid();
    Ok(())
}

/// In the detached process: start-up is complete, the parent may end.
pub fn detached_started() -> anyhow::Result<()> {
    let mut stdout = std::io::stdout();
    stdout.write_all(b".").and_then(|()| stdout.flush()).context("cannot tell the parent process")
}

/// The first line of `<sysconfdir>/system-id-override`, at most 63 bytes (ovn-controller's get_file_system_id).
pub fn system_id_override() -> Option<String> {
    let path = folder("OVN_SYSCONFDIR", "/etc/ovn").join("system-id-override");
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().next().unwrap_or_default();
    let end = (0..=line.len().min(63)).rev().find(|end| line.is_char_boundary(*end)).unwrap_or(0);
    line.get(..end).filter(|name| !name.is_empty()).map(str::to_owned)
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
