//! Programs of the sandbox: [`Daemon`]s that end with the test, and commands whose failure fails it ([`run`]).

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long anything in a sandbox may take before the test fails. The machine may be busy; a test that passes never
/// waits this long.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// What provides the programs.
const INSTALL: &str =
    "apt-get install openvswitch-switch openvswitch-common ovn-central ovn-host ovn-common iproute2 util-linux";

/// Polls until `condition` holds; fails the test when it does not within `limit`. Returns the time it took.
pub fn wait_within(limit: Duration, what: &str, mut condition: impl FnMut() -> bool) -> Duration {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < limit, "after {limit:?} still waiting: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
    start.elapsed()
}

/// [`wait_within`] the usual limit.
pub fn wait_until(what: &str, condition: impl FnMut() -> bool) -> Duration {
    wait_within(PATIENCE, what, condition)
}

/// The root of another installation of OVS and OVN, such as a `debootstrap` tree of another release of Debian, whose
/// programs and schemas are used in place of the machine's: environment variable `OVN_TEST_ROOT`.
fn other_root() -> Option<PathBuf> {
    std::env::var_os("OVN_TEST_ROOT").map(PathBuf::from)
}

/// A file of a package, by the path that it has on the machine.
pub fn installed(file: &str) -> String {
    match other_root() {
        Some(root) => inside(&root, Path::new(file)).display().to_string(),
        None => file.to_owned(),
    }
}

/// Where `file` is as seen from outside `root`: absolute symbolic links, which Debian's alternatives are, stay inside.
fn inside(root: &Path, file: &Path) -> PathBuf {
    let path = root.join(file.strip_prefix("/").unwrap_or(file));
    match std::fs::read_link(&path) {
        Ok(target) if target.is_absolute() => inside(root, &target),
        _ => path,
    }
}

/// The words that start a program by name. Those of another installation come with its loader and libraries.
pub fn words_of(program: &str) -> Vec<String> {
    let Some(root) = other_root().filter(|_| ["ovs-", "ovn-", "ovsdb-"].iter().any(|it| program.starts_with(it)))
    else {
        return vec![program.to_owned()];
    };
    let found = ["/usr/bin", "/usr/sbin"]
        .iter()
        .map(|folder| PathBuf::from(installed(&format!("{folder}/{program}"))))
        .find(|path| path.exists());
    let path = found.unwrap_or_else(|| panic!("no {program} in {}", root.display()));
    let (mut loader, mut libraries) = (None, Vec::new());
    for folder in std::fs::read_dir(root.join("usr/lib")).unwrap().map(|entry| entry.unwrap().path()) {
        if folder.to_string_lossy().ends_with("-linux-gnu") {
            libraries.push(folder.display().to_string());
            let files = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
            let is_loader =
                |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("ld-linux"));
            loader = loader.or(files.into_iter().find(is_loader));
        }
    }
    let loader = loader.unwrap_or_else(|| panic!("no ld-linux*.so below {}/usr/lib", root.display()));
    let libraries = libraries.join(":");
    [&loader.display().to_string(), "--argv0", program, "--library-path", &libraries, &path.display().to_string()]
        .map(str::to_owned)
        .to_vec()
}

/// A program of OVS or OVN (or the agent) that uses `folder` in place of the machine's folders.
pub fn command(program: &str, folder: &Path) -> Command {
    let words = words_of(program);
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]);
    in_folder(&mut command, folder);
    command
}

fn in_folder(command: &mut Command, folder: &Path) {
    for daemon in ["OVS", "OVN"] {
        for kind in ["RUNDIR", "DBDIR", "SYSCONFDIR", "LOGDIR"] {
            command.env(format!("{daemon}_{kind}"), folder);
        }
    }
}

/// Runs a program to its end; returns what it prints. Anything but success fails the test.
pub fn run(program: &str, folder: &Path, arguments: &[&str]) -> String {
    try_run(program, folder, arguments).unwrap_or_else(|error| panic!("{error}"))
}

/// Runs a program to its end; `Err` has its command line and its words.
pub fn try_run(program: &str, folder: &Path, arguments: &[&str]) -> Result<String, String> {
    let output = command(program, folder)
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("cannot run {program} ({error}): {INSTALL}"));
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    match output.status.success() {
        true => Ok(out.into_owned()),
        false => Err(format!("{program} {}: {}\n{err}{out}", arguments.join(" "), output.status)),
    }
}

/// A file of a Debian package that the sandbox cannot do without; returns where it is.
pub fn need(file: &str) -> String {
    let path = installed(file);
    assert!(Path::new(&path).exists(), "{path} is missing: {INSTALL}");
    path
}

/// A running program; killed with the value, and by the kernel should the test's thread end without dropping it.
pub struct Daemon {
    child: Child,
    name: String,
}

impl Daemon {
    /// Starts `program`, whose output is appended to `<name>.out` in `folder`. It reports readiness as to systemd in
    /// `<name>.notify`, when somebody has bound that socket.
    pub fn start(name: &str, program: &str, folder: &Path, arguments: &[String]) -> Daemon {
        let path = folder.join(format!("{name}.out"));
        let out = File::options().create(true).append(true).open(path).unwrap();
        let mut command = Command::new("setpriv");
        in_folder(&mut command, folder);
        command.args(["--pdeathsig", "KILL"]).args(words_of(program)).args(arguments);
        command.env("NOTIFY_SOCKET", folder.join(format!("{name}.notify")));
        command.stdin(Stdio::null()).stderr(out.try_clone().unwrap()).stdout(out);
        let child = command.spawn().unwrap_or_else(|error| panic!("setpriv: {error}: apt-get install util-linux"));
        Daemon { child, name: name.to_owned() }
    }

    /// Process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// CPU time used so far, by all threads. The kernel counts hundredths of a second.
    pub fn cpu_time(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap();
        // The second word, in parentheses, may have spaces in it.
        let words: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        let ticks: u64 = words[11..13].iter().map(|word| word.parse::<u64>().unwrap()).sum();
        Duration::from_millis(ticks * 10)
    }

    /// As `kill -9`.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Whether it runs.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Sends a signal by name, such as `TERM`.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").args(["-s", name, &self.pid().to_string()]).status().unwrap();
        assert!(status.success());
    }

    /// Waits for its end by itself; returns whether it ended with success.
    pub fn wait_for_end(&mut self) -> bool {
        let mut status = None;
        wait_until(&format!("end of {}", self.name), || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap().success()
    }

    /// Waits until it listens on the socket `path`; its own end fails the test.
    pub fn wait_for_socket(&mut self, path: &Path) {
        let what = format!("{} listening on {}", self.name, path.display());
        wait_until(&what, || {
            assert!(self.is_running(), "{} ended (see its output; {INSTALL})", self.name);
            std::os::unix::net::UnixStream::connect(path).is_ok()
        });
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.kill();
    }
}

/// An `ovsdb-server` with one standalone database.
pub struct Server {
    name: String,
    folder: PathBuf,
    daemon: Daemon,
    /// More arguments, from the next start on.
    pub arguments: Vec<String>,
}

impl Server {
    /// Creates the database from `schema` and serves it on `<folder>/<name>.sock`.
    pub fn start(name: &str, folder: &Path, schema: &str) -> Server {
        Server::start_changed(name, folder, schema, |_| {})
    }

    /// The same with another schema than the installed one.
    pub fn start_changed(
        name: &str,
        folder: &Path,
        schema: &str,
        change: impl FnOnce(&mut serde_json::Value),
    ) -> Server {
        std::fs::create_dir_all(folder).unwrap();
        let database = folder.join(format!("{name}.db"));
        let changed = folder.join(format!("{name}.ovsschema"));
        let mut text = serde_json::from_slice(&std::fs::read(need(schema)).unwrap()).unwrap();
        change(&mut text);
        std::fs::write(&changed, text.to_string()).unwrap();
        run("ovsdb-tool", folder, &["create", &database.display().to_string(), &changed.display().to_string()]);
        let daemon = Server::daemon(name, folder, &[]);
        Server { name: name.to_owned(), folder: folder.to_owned(), daemon, arguments: Vec::new() }
    }

    fn daemon(name: &str, folder: &Path, more: &[String]) -> Daemon {
        let file = |suffix: &str| folder.join(format!("{name}.{suffix}")).display().to_string();
        let mut daemon = Daemon::start(
            name,
            "ovsdb-server",
            folder,
            &[
                &[
                    file("db"),
                    format!("--remote=punix:{}", file("sock")),
                    format!("--unixctl={}", file("ctl")),
                    format!("--log-file={}", file("log")),
                    "-vconsole:off".to_owned(),
                    // Every message: what clients send is counted.
                    "-vjsonrpc:file:dbg".to_owned(),
                    "-vPATTERN:file:%D{%H:%M:%S.###}|%c|%p|%m".to_owned(),
                ][..],
                more,
            ]
            .concat(),
        );
        for suffix in ["sock", "ctl"] {
            daemon.wait_for_socket(&folder.join(format!("{name}.{suffix}")));
        }
        daemon
    }

    /// As `kill -9`.
    pub fn kill(&mut self) {
        self.daemon.kill();
    }

    /// Starts it again on the same files after [`Server::kill`], or instead of a running one.
    pub fn restart(&mut self) {
        self.kill();
        self.daemon = Server::daemon(&self.name, &self.folder, &self.arguments);
    }

    /// How to reach it: `unix:PATH`.
    pub fn remote(&self) -> String {
        format!("unix:{}", self.folder.join(format!("{}.sock", self.name)).display())
    }

    /// `ovs-appctl` to it.
    pub fn appctl(&self, arguments: &[&str]) -> String {
        let socket = self.folder.join(format!("{}.ctl", self.name)).display().to_string();
        run("ovs-appctl", &self.folder, &[&["-t", &socket], arguments].concat())
    }

    /// `ovsdb-client transact`: the server's answer, JSON text. A refused operation fails the test.
    pub fn transact(&self, transaction: &str) -> String {
        let answer = run("ovsdb-client", &self.folder, &["transact", &self.remote(), transaction]);
        assert!(!answer.contains("\"error\""), "{transaction}: {answer}");
        answer
    }

    /// `ovsdb-client -f json dump` of `database` in a file; returns its path.
    pub fn dump(&self, database: &str) -> PathBuf {
        let path = self.folder.join(format!("{}.dump.json", self.name));
        let text = run("ovsdb-client", &self.folder, &["-f", "json", "dump", &self.remote(), database]);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// The place in the log from which [`Server::transactions_of_new_clients`] counts.
    pub fn mark(&self) -> Mark {
        Mark(self.log().len())
    }

    /// The transactions of clients that have begun to monitor the database since the mark, one log line each. Panics
    /// unless there was such a client: otherwise nothing would have been proved.
    pub fn transactions_of_new_clients(&self, mark: &Mark) -> Vec<String> {
        let log = self.log();
        let requests: Vec<&str> = log[mark.0..].lines().filter(|line| line.contains("received request")).collect();
        let new: Vec<&str> = requests
            .iter()
            .filter(|line| line.contains("method=\"monitor"))
            .filter_map(|line| connection(line))
            .collect();
        assert!(!new.is_empty(), "no new client read the database: {requests:#?}");
        requests
            .into_iter()
            .filter(|line| {
                line.contains("method=\"transact\"") && connection(line).is_some_and(|name| new.contains(&name))
            })
            .map(str::to_owned)
            .collect()
    }

    /// The transactions since the mark, one log line each, of clients that have ever sent one with `word` in it.
    pub fn transactions_of(&self, word: &str, mark: &Mark) -> Vec<String> {
        let log = self.log();
        let transactions = |log: &str| -> Vec<String> {
            let lines = log.lines().filter(|line| line.contains("received request, method=\"transact\""));
            lines.map(str::to_owned).collect()
        };
        let all = transactions(&log);
        let clients: Vec<&str> =
            all.iter().filter(|line| line.contains(word)).filter_map(|it| connection(it)).collect();
        assert!(!clients.is_empty(), "nobody has sent {word}");
        let since = transactions(&log[mark.0..]).into_iter();
        since.filter(|line| connection(line).is_some_and(|client| clients.contains(&client))).collect()
    }

    /// The transactions that clients have sent since the mark.
    pub fn transactions_since(&self, mark: &Mark) -> Vec<String> {
        let log = self.log();
        let requests = log[mark.0..].lines().filter(|line| line.contains("received request"));
        requests.filter(|line| line.contains("method=\"transact\"")).map(str::to_owned).collect()
    }

    /// The server's whole log.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join(format!("{}.log", self.name))).unwrap_or_default()
    }
}

/// One connection to a control socket, for many commands: `ovs-appctl` is a process for each.
pub struct Control(std::os::unix::net::UnixStream);

impl Control {
    /// Connects to the socket at `path`.
    pub fn connect(path: &Path) -> Control {
        let stream = std::os::unix::net::UnixStream::connect(path).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Control(stream)
    }

    /// Gives a command and waits for the answer, JSON text.
    pub fn call(&mut self, command: &str, arguments: &[&str]) -> String {
        let arguments: Vec<String> = arguments.iter().map(|argument| format!("\"{argument}\"")).collect();
        let call = format!(r#"{{"method":"{command}","params":[{}],"id":0}}"#, arguments.join(","));
        self.0.write_all(call.as_bytes()).unwrap();
        let (mut answer, mut chunk) = (Vec::new(), [0; 4096]);
        // No answer has a brace inside.
        while !answer.contains(&b'}') {
            let count = self.0.read(&mut chunk).unwrap();
            assert!(count > 0, "the control socket was closed");
            answer.extend_from_slice(&chunk[..count]);
        }
        String::from_utf8(answer).unwrap()
    }
}

/// A place in a log.
pub struct Mark(pub usize);

/// The name of the connection in a line of the `jsonrpc` module: `...|jsonrpc|DBG|unix#3: received request, ...`.
fn connection(line: &str) -> Option<&str> {
    line.split_once("|jsonrpc|DBG|")?.1.split_once(": ").map(|(name, _)| name)
}
