//! TLS with a real `ovsdb-server` and certificates that `ovs-pki` made.

use std::path::{Path, PathBuf};
use std::process::Command as Process;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use openssl::asn1::Asn1Time;
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::x509::{X509, X509Builder};
use ovsdb::condition::Conditions;
use ovsdb::remote::Remote;
use ovsdb::session::Event;
use ovsdb::tls::{Authority, TlsSettings};
use ovsdb::transport::{Command, connect};
use tokio::time::timeout;

use super::{Client, DEADLINE, Server, address_set, config};

/// A handshake that nobody disturbs takes less.
const LONGEST_HANDSHAKE: Duration = Duration::from_millis(50);

/// CAs and certificates that `ovs-pki` made, in a folder that stays for the next run: making keys takes a while.
struct Pki(PathBuf);

/// Two that know nothing of each other.
fn pkis() -> &'static [Pki; 2] {
    static PKIS: OnceLock<[Pki; 2]> = OnceLock::new();
    PKIS.get_or_init(|| ["one", "two"].map(Pki::create))
}

impl Pki {
    /// With certificates for `server` and `client`, both of the switch CA.
    fn create(name: &str) -> Pki {
        let pki = Pki(Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("pki-{name}")));
        if !pki.file("complete").exists() {
            let _ = std::fs::remove_dir_all(&pki.0);
            std::fs::create_dir_all(&pki.0).unwrap();
            pki.run(&["init"]);
            for name in ["server", "client"] {
                pki.run(&["-u", "req+sign", name, "switch"]);
            }
            std::fs::write(pki.file("complete"), "").unwrap();
        }
        pki
    }

    fn run(&self, arguments: &[&str]) {
        let (log, folder) = (self.file("log"), self.file("pki"));
        let output = Process::new("ovs-pki")
            .current_dir(&self.0)
            .args(["-k", "rsa", &format!("--log={}", log.display()), &format!("--dir={}", folder.display())])
            .args(arguments)
            .output()
            .unwrap_or_else(|error| panic!("ovs-pki: {error}: apt-get install openvswitch-common"));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn ca(&self) -> PathBuf {
        self.file("pki/switchca/cacert.pem")
    }

    /// The server's certificate, had it ended a day ago.
    fn expired(&self) -> Vec<u8> {
        let old = X509::from_pem(&std::fs::read(self.file("server-cert.pem")).unwrap()).unwrap();
        let key = std::fs::read(self.file("pki/switchca/private/cakey.pem")).unwrap();
        let (day, now) = (86_400, std::time::UNIX_EPOCH.elapsed().unwrap().as_secs() as i64);
        let mut new = X509Builder::new().unwrap();
        new.set_version(2).unwrap();
        new.set_serial_number(old.serial_number()).unwrap();
        new.set_issuer_name(old.issuer_name()).unwrap();
        new.set_subject_name(old.subject_name()).unwrap();
        new.set_pubkey(&old.public_key().unwrap()).unwrap();
        new.set_not_before(&Asn1Time::from_unix(now - 2 * day).unwrap()).unwrap();
        new.set_not_after(&Asn1Time::from_unix(now - day).unwrap()).unwrap();
        new.sign(&PKey::private_key_from_pem(&key).unwrap(), MessageDigest::sha256()).unwrap();
        new.build().to_pem().unwrap()
    }

    /// Copies the server's and the client's files and the CA's certificate to `folder`.
    fn install(&self, folder: &Path) {
        for (from, to) in [
            (self.file("server-privkey.pem"), "server-key.pem"),
            (self.file("server-cert.pem"), "server-cert.pem"),
            (self.file("client-privkey.pem"), "client-key.pem"),
            (self.file("client-cert.pem"), "client-cert.pem"),
            (self.ca(), "ca.pem"),
        ] {
            // In place of the old one in one step, as an operator's tools do it.
            let new = folder.join("new");
            std::fs::copy(from, &new).unwrap();
            std::fs::rename(new, folder.join(to)).unwrap();
        }
    }
}

/// A server with the files that [`Pki::install`] leaves in its folder. It sends its CA's certificate, so that this can be learned.
fn server(pki: &Pki) -> Server {
    let mut server = Server::create(false);
    let folder = server.folder.path().to_owned();
    pki.install(&folder);
    let file = |option: &str, name: &str| format!("--{option}={}", folder.join(name).display());
    server.arguments = vec![
        file("private-key", "server-key.pem"),
        file("certificate", "server-cert.pem"),
        file("ca-cert", "ca.pem"),
        file("peer-ca-cert", "ca.pem"),
    ];
    server.restart();
    server
}

fn client(server: &Server) -> TlsSettings {
    let file = |name: &str| server.folder.path().join(name);
    TlsSettings {
        private_key: Some(file("client-key.pem")),
        certificate: Some(file("client-cert.pem")),
        ca: Authority::File { path: file("ca.pem"), bootstrap: false },
        ..TlsSettings::default()
    }
}

async fn refusal(remote: &Remote, settings: &TlsSettings) -> String {
    let result = timeout(DEADLINE, connect(remote, settings, &mut |note| panic!("{note}"))).await.unwrap();
    let text = result.map(drop).unwrap_err().to_string();
    let prefix = format!("{remote}: connection attempt failed (");
    text.strip_prefix(&prefix).unwrap_or_else(|| panic!("{text}")).to_owned()
}

#[tokio::test]
async fn handshakes_take_milliseconds() {
    let server = server(&pkis()[0]);
    for address in ["127.0.0.1", "[::1]"] {
        let remote = server.listen("ssl", address);
        let settings = client(&server);
        let (mut times, begin) = (Vec::new(), Instant::now());
        // On a machine that others keep busy most are slower, but not all.
        while times.len() < 20 || times[0] >= LONGEST_HANDSHAKE && begin.elapsed() < DEADLINE {
            let start = Instant::now();
            connect(&remote, &settings, &mut |note| panic!("{note}")).await.unwrap();
            times.push(start.elapsed());
            times.sort();
        }
        let [best, median, worst] = [0, times.len() / 2, times.len() - 1].map(|at| times[at]);
        println!("connection and handshake with {remote}: best {best:?}, median {median:?}, worst {worst:?}");
        assert!(best < LONGEST_HANDSHAKE, "{times:?}");
        // Data, in one message of megabytes.
        let mut client = Client::start(vec![remote], config(Conditions::default()));
        client.send(Command::SetTls(settings)).await;
        client.initial_data().await;
        let mut transaction = address_set(address, &[]);
        for index in 0..10_000 {
            let name = format!("{address} a set with a long name so that there is something to carry {index}");
            transaction.insert("Address_Set", vec![("name", name.into())]);
        }
        let (updates, outcome) = client.transact(transaction).await;
        assert!(outcome.is_committed() && updates[0].as_str().len() > 1_000_000);
    }
}

#[tokio::test]
async fn certificates_that_are_not_accepted_are_named() {
    let [pki, other] = pkis();
    let server = server(pki);
    let remote = server.listen("ssl", "127.0.0.1");
    let good = client(&server);
    let ca = |path: PathBuf| Authority::File { path, bootstrap: false };

    let wrong = TlsSettings { ca: ca(other.ca()), ..good.clone() };
    let text = refusal(&remote, &wrong).await;
    let expected =
        format!("certificate of the peer not accepted with CA certificate {}: self-signed", other.ca().display());
    assert!(text.starts_with(&expected), "{text}");

    // What does not exist, is no certificate, or is another's.
    let text = refusal(&remote, &TlsSettings { ca: ca("/none".into()), ..good.clone() }).await;
    assert!(text.starts_with("CA certificate /none: error:") && text.contains("No such file"), "{text}");
    let key = good.private_key.clone();
    let text = refusal(&remote, &TlsSettings { certificate: key.clone(), ..good.clone() }).await;
    assert!(text.starts_with(&format!("certificate {}: error:", key.unwrap().display())), "{text}");
    let other_key = other.file("client-privkey.pem");
    let text = refusal(&remote, &TlsSettings { private_key: Some(other_key.clone()), ..good.clone() }).await;
    assert!(text.starts_with(&format!("private key {} does not match the public", other_key.display())), "{text}");
    assert_eq!(
        refusal(&remote, &TlsSettings { ca: Authority::Missing, ..good.clone() }).await,
        "CA certificate must be configured to use SSL)"
    );
    let text = refusal(&remote, &TlsSettings { ciphersuites: Some("x".to_owned()), ..good.clone() }).await;
    assert!(text.starts_with("--ssl-ciphersuites: error:"), "{text}");

    // A key with a passphrase: nobody is asked for it.
    let rsa = openssl::rsa::Rsa::generate(2048).unwrap();
    let protected = server.folder.path().join("protected.pem");
    let pem = PKey::from_rsa(rsa).unwrap();
    let pem = pem.private_key_to_pem_pkcs8_passphrase(openssl::symm::Cipher::aes_128_cbc(), b"secret").unwrap();
    std::fs::write(&protected, pem).unwrap();
    let text = refusal(&remote, &TlsSettings { private_key: Some(protected.clone()), ..good.clone() }).await;
    assert!(
        text.starts_with(&format!("private key {}: it is protected by a passphrase", protected.display())),
        "{text}"
    );

    // Without verification any server will do, and what is not TLS will not.
    let anybody = TlsSettings { ca: Authority::Unverified, ..good.clone() };
    connect(&remote, &anybody, &mut |note| panic!("{note}")).await.unwrap();
    let Remote::Tcp { host, port } = server.listen("tcp", "127.0.0.1") else { panic!("not tcp") };
    let text = refusal(&Remote::Ssl { host, port }, &good).await;
    assert!(text.starts_with("TLS handshake failed: "), "{text}");

    // The server's certificate has expired; then ours, which the server says.
    let expired = server.folder.path().join("server-cert.pem");
    std::fs::write(&expired, pki.expired()).unwrap();
    // The server looks at the certificate's file only if the key's has changed.
    std::fs::copy(pki.file("server-privkey.pem"), server.folder.path().join("server-key.pem")).unwrap();
    let mut text = String::new();
    // The server reads its files again when it wakes.
    let deadline = Instant::now() + DEADLINE;
    while Instant::now() < deadline && text.is_empty() {
        if let Err(error) = connect(&remote, &good, &mut |note| panic!("{note}")).await {
            text = error.to_string();
        }
    }
    assert!(text.contains("certificate has expired (it is that of /C=US/ST=CA/O=Open vSwitch/"), "{text}");
    let mut user = Client::start(vec![remote.clone()], config(Conditions::default()));
    let expired = TlsSettings {
        private_key: Some(pki.file("server-privkey.pem")),
        certificate: Some(expired),
        ca: Authority::Unverified,
        ..good.clone()
    };
    user.send(Command::SetTls(expired)).await;
    let why = loop {
        match user.event().await {
            Event::Disconnected { why } => break why.to_string(),
            Event::Unreachable { error, .. } if error.contains("must be configured") => {}
            Event::SocketConnected { .. } => {}
            other => panic!("{other:?}"),
        }
    };
    assert!(why.contains("certificate expired"), "{why}");
}

#[tokio::test]
async fn the_ca_is_learned_from_the_first_server_and_from_no_other() {
    let [pki, other] = pkis();
    let (first, second) = (server(pki), server(other));
    let (first_remote, second_remote) = (first.listen("ssl", "127.0.0.1"), second.listen("ssl", "127.0.0.1"));
    let learned = first.folder.path().join("learned.pem");
    let settings = TlsSettings { ca: Authority::File { path: learned.clone(), bootstrap: true }, ..client(&first) };
    let mut notes = Vec::new();
    timeout(DEADLINE, connect(&first_remote, &settings, &mut |note| notes.push(note))).await.unwrap().unwrap();
    assert_eq!(notes.len(), 1);
    assert!(notes[0].starts_with(&format!("successfully bootstrapped CA cert to {}", learned.display())), "{notes:?}");
    let pem = |path: &Path| X509::from_pem(&std::fs::read(path).unwrap()).unwrap().to_der().unwrap();
    assert_eq!(pem(&learned), pem(&pki.ca()));
    let text = refusal(&second_remote, &settings).await;
    assert!(text.starts_with("certificate of the peer not accepted"), "{text}");
    connect(&first_remote, &settings, &mut |note| panic!("{note}")).await.unwrap();

    // A server that does not show its CA's certificate since it does not know it, and a folder that does not exist.
    let mut silent = server(pki);
    silent.arguments.retain(|argument| !argument.contains("ca-cert"));
    silent.arguments.push("--ca-cert=none".to_owned());
    silent.restart();
    let remote = silent.listen("ssl", "127.0.0.1");
    let again = silent.folder.path().join("again.pem");
    let bootstrap = |path: &Path| Authority::File { path: path.to_owned(), bootstrap: true };
    let text = refusal(&remote, &TlsSettings { ca: bootstrap(&again), ..client(&silent) }).await;
    assert!(text.contains("not self-signed") && text.contains("only one certificate was received"), "{text}");
    assert!(!again.exists());
    let text =
        refusal(&first_remote, &TlsSettings { ca: bootstrap(Path::new("/none/ca.pem")), ..settings.clone() }).await;
    assert!(text.starts_with("could not bootstrap CA cert /none/ca.pem: No such file"), "{text}");
}

#[tokio::test]
async fn replaced_files_count_from_the_next_connection_on() {
    let [pki, other] = pkis();
    let server = server(pki);
    let remote = server.listen("ssl", "127.0.0.1");
    let mut user = Client::start(vec![remote.clone()], config(Conditions::default()));
    let settings = client(&server);
    user.send(Command::SetTls(settings.clone())).await;
    user.initial_data().await;

    // A connection that stands does not mind.
    other.install(server.folder.path());
    let (_, outcome) = user.transact(address_set("a", &[])).await;
    assert!(outcome.is_committed());
    // Both sides read the new files: nobody else would be accepted.
    user.send(Command::Reconnect { from_scratch: false }).await;
    assert!(matches!(user.session_event().await, Event::Disconnected { .. }));
    user.initial_data().await;
    let old = TlsSettings { ca: Authority::File { path: pki.ca(), bootstrap: false }, ..settings.clone() };
    let text = refusal(&remote, &old).await;
    assert!(text.starts_with("certificate of the peer not accepted"), "{text}");

    // The key came before its certificate: that is said, and with the certificate all is well without anybody's doing.
    let file = |name: &str| server.folder.path().join(name);
    std::fs::copy(pki.file("client-privkey.pem"), file("client-key.pem")).unwrap();
    user.send(Command::Reconnect { from_scratch: false }).await;
    let error = loop {
        match user.event().await {
            Event::Unreachable { error, .. } => break error,
            Event::Disconnected { .. } => {}
            other => panic!("{other:?}"),
        }
    };
    assert!(error.contains("does not match the public key of certificate"), "{error}");
    std::fs::copy(other.file("client-privkey.pem"), file("client-key.pem")).unwrap();
    user.initial_data().await;

    // Settings that change while there is no connection are tried at once.
    user.send(Command::SetTls(old)).await;
    user.send(Command::Reconnect { from_scratch: false }).await;
    let mut failures = 0;
    while failures < 3 {
        failures += usize::from(matches!(user.event().await, Event::Unreachable { .. }));
    }
    let start = Instant::now();
    user.send(Command::SetTls(settings)).await;
    while !matches!(user.event().await, Event::SocketConnected { .. }) {}
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
}
