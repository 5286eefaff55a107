//! TLS as Open vSwitch does it: [`TlsSettings`] and [`connect`].
//!
//! The peer's certificate must lead to the configured CA; its name does not matter (OVS `stream-ssl.c`: an OVSDB remote is an
//! address as a rule, and one CA signs for one deployment). All files are read anew for every connection, so that replaced
//! ones count from the next connection on, with no restart.
//!
//! With bootstrap, a CA file that does not exist is made of what the first server shows, and everything is checked against it
//! from then on: that very connection is closed and made again.

use std::fmt;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::str::FromStr;
use std::sync::{Arc, OnceLock};

use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::ssl::{
    Ssl, SslContext, SslContextBuilder, SslFiletype, SslMethod, SslMode, SslOptions, SslSessionCacheMode,
    SslVerifyMode, SslVersion,
};
use openssl::x509::{X509, X509NameRef, X509VerifyResult};
use thiserror::Error;
use tokio::net::TcpStream;
use tokio_openssl::SslStream;

use crate::transport::tcp;

/// The ciphers of TLS 1.2 unless others are set (OVS `do_ssl_init`).
pub const DEFAULT_CIPHERS: &str = "DEFAULT:@SECLEVEL=2";

/// What is configured for TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsSettings {
    /// PEM file with our private key.
    pub private_key: Option<PathBuf>,
    /// PEM file with our certificate.
    pub certificate: Option<PathBuf>,
    /// What the peer's certificate must lead to.
    pub ca: Authority,
    /// PEM file with certificates to send behind ours.
    pub peer_ca_cert: Option<PathBuf>,
    /// Versions of TLS.
    pub protocols: Protocols,
    /// Ciphers of TLS 1.2 in OpenSSL's notation; [`DEFAULT_CIPHERS`] otherwise.
    pub ciphers: Option<String>,
    /// Cipher suites of TLS 1.3 in OpenSSL's notation.
    pub ciphersuites: Option<String>,
    /// Server name indication; otherwise the remote's host, unless that is an address.
    pub server_name: Option<String>,
}

/// What a peer's certificate must lead to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Authority {
    /// Nothing is configured: no connection is possible.
    #[default]
    Missing,
    /// `none`: the peer is not verified.
    Unverified,
    /// The certificates in this PEM file.
    File {
        /// The file.
        path: PathBuf,
        /// A file that does not exist is made of what the first peer shows.
        bootstrap: bool,
    },
}

impl Authority {
    /// From a file name of the command line or of the SSL row, where `none` is special.
    pub fn named(name: &str, bootstrap: bool) -> Authority {
        match name {
            "" => Authority::Missing,
            "none" => Authority::Unverified,
            path => Authority::File { path: path.into(), bootstrap },
        }
    }
}

/// The versions of TLS to speak, as `--ssl-protocols` has them (ovs-vsctl(8), OVS 3.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Protocols {
    min: Version,
    max: Option<Version>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Version {
    Tls12,
    Tls13,
}

/// Text that names no versions of TLS.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ProtocolsError {
    /// There is nothing in it.
    #[error("SSL/TLS protocol settings invalid")]
    Empty,
    /// This is no version that we know.
    #[error("{0}: SSL/TLS protocol not recognized")]
    Unknown(String),
}

impl Default for Protocols {
    fn default() -> Protocols {
        Protocols { min: Version::Tls12, max: None }
    }
}

impl FromStr for Protocols {
    type Err = ProtocolsError;

    /// `A+` (that or later), `A-B`, or a list; what lies between the versions of a list is spoken too.
    fn from_str(text: &str) -> Result<Protocols, ProtocolsError> {
        let version = |word: &str| match word {
            "TLSv1.2" => Ok(Version::Tls12),
            "TLSv1.3" => Ok(Version::Tls13),
            _ => Err(ProtocolsError::Unknown(word.to_owned())),
        };
        if let Some(first) = text.strip_suffix('+') {
            return Ok(Protocols { min: version(first)?, max: None });
        }
        let words = match text.split_once('-') {
            Some((first, last)) => vec![first, last],
            None => text.split([' ', ',', '\t']).filter(|word| !word.is_empty()).collect(),
        };
        let versions = words.into_iter().map(version).collect::<Result<Vec<_>, _>>()?;
        let (min, max) = versions.iter().min().zip(versions.iter().max()).ok_or(ProtocolsError::Empty)?;
        Ok(Protocols { min: *min, max: Some(*max) })
    }
}

impl Version {
    fn openssl(self) -> SslVersion {
        match self {
            Version::Tls12 => SslVersion::TLS1_2,
            Version::Tls13 => SslVersion::TLS1_3,
        }
    }
}

/// Why there is no TLS on a connection.
#[derive(Debug, Error)]
pub enum TlsError {
    /// A setting is missing, in OVS's words.
    #[error("{0} must be configured to use SSL")]
    Missing(&'static str),
    /// A file cannot be used.
    #[error("{what} {path}: {reasons}", path = .path.display())]
    File {
        /// What it is for.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// OpenSSL's reasons.
        reasons: String,
    },
    /// A setting that OpenSSL does not take.
    #[error("{what}: {reasons}")]
    Setting {
        /// Which.
        what: &'static str,
        /// OpenSSL's reasons.
        reasons: String,
    },
    /// The key is not the certificate's.
    #[error("private key {key} does not match the public key of certificate {certificate}: {reasons}",
        key = .key.display(), certificate = .certificate.display())]
    Mismatch {
        /// File of the key.
        key: PathBuf,
        /// File of the certificate.
        certificate: PathBuf,
        /// OpenSSL's reasons.
        reasons: String,
    },
    /// The peer's certificate does not lead to the CA, or is not valid now.
    #[error("certificate of the peer not accepted with CA certificate {ca}: {why}{subject}", ca = .ca.display())]
    NotVerified {
        /// File of the CA certificates.
        ca: PathBuf,
        /// OpenSSL's reason.
        why: String,
        /// Whose certificate it is.
        subject: Whose,
    },
    /// The handshake failed otherwise.
    #[error("TLS handshake failed: {0}")]
    Handshake(String),
    /// The CA's certificate cannot be learned from the peer.
    #[error("could not bootstrap CA cert {path}: {why}", path = .path.display())]
    Bootstrap {
        /// The file that was to be made.
        path: PathBuf,
        /// Why there is none.
        why: String,
    },
}

/// Whose certificate is not accepted: the first that OpenSSL objects to, be it the peer's or a CA's.
type Culprit = Arc<OnceLock<String>>;

/// Whose certificate an error is about, if there was one.
#[derive(Debug)]
pub struct Whose(Option<String>);

impl fmt::Display for Whose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_ref().map_or(Ok(()), |subject| write!(f, " (it is that of {subject})"))
    }
}

/// A connection on which TLS is spoken.
pub type TlsStream = Box<SslStream<TcpStream>>;

/// Opens a connection. What is worth saying about it goes to `note`.
///
/// # Errors
/// Those of the system, and [`TlsError`] as a custom one.
pub async fn connect(
    settings: &TlsSettings,
    host: &str,
    port: u16,
    mut note: impl FnMut(String),
) -> io::Result<TlsStream> {
    loop {
        match handshake(settings, host, tcp(host, port).await?).await.map_err(io::Error::other)? {
            Handshake::Done(stream) => return Ok(stream),
            // Once: now the file is there.
            Handshake::Bootstrapped { text } => note(text),
        }
    }
}

/// What a handshake came to.
enum Handshake {
    /// The connection stands.
    Done(TlsStream),
    /// The CA's certificate was learned and stored. The connection, which nobody verified, was closed: it is to be made again.
    Bootstrapped {
        /// What happened, for the log.
        text: String,
    },
}

/// Speaks TLS on a connection to `host`.
async fn handshake(settings: &TlsSettings, host: &str, stream: TcpStream) -> Result<Handshake, TlsError> {
    let bootstrap = settings.to_bootstrap();
    let culprit = Culprit::default();
    let context = settings.context(bootstrap.is_some(), &culprit)?;
    let mut ssl = Ssl::new(&context).map_err(setting("TLS"))?;
    let host_name = (host.parse::<std::net::IpAddr>().is_err() && !host.contains('%')).then_some(host);
    if let Some(name) = settings.server_name.as_deref().or(host_name) {
        ssl.set_hostname(name).map_err(setting("server name indication"))?;
    }
    let mut stream = SslStream::new(ssl, stream).map_err(setting("TLS"))?;
    if let Err(error) = Pin::new(&mut stream).connect().await {
        return Err(settings.refusal(stream.ssl(), &culprit, &error));
    }
    match bootstrap {
        None => Ok(Handshake::Done(Box::new(stream))),
        Some(path) => learn(path, &stream).map(|text| Handshake::Bootstrapped { text }),
    }
}

impl TlsSettings {
    /// The CA file that is to be made.
    fn to_bootstrap(&self) -> Option<&Path> {
        match &self.ca {
            Authority::File { path, bootstrap: true } if !path.exists() => Some(path),
            _ => None,
        }
    }

    /// Reads all files. The peer may be `anybody`, or else `culprit` is told whose certificate is not accepted.
    fn context(&self, anybody: bool, culprit: &Culprit) -> Result<SslContext, TlsError> {
        let (Some(key), Some(certificate)) = (&self.private_key, &self.certificate) else {
            let what = if self.private_key.is_none() { "Private key" } else { "Certificate" };
            return Err(TlsError::Missing(what));
        };
        let mut context = SslContext::builder(SslMethod::tls_client()).map_err(setting("TLS"))?;
        context.set_options(SslOptions::NO_TICKET | SslOptions::IGNORE_UNEXPECTED_EOF);
        context.set_mode(SslMode::ENABLE_PARTIAL_WRITE | SslMode::ACCEPT_MOVING_WRITE_BUFFER);
        context.set_session_cache_mode(SslSessionCacheMode::OFF);
        context.set_min_proto_version(Some(self.protocols.min.openssl())).map_err(setting("--ssl-protocols"))?;
        let max = self.protocols.max.map(Version::openssl);
        context.set_max_proto_version(max).map_err(setting("--ssl-protocols"))?;
        let ciphers = self.ciphers.as_deref().unwrap_or(DEFAULT_CIPHERS);
        context.set_cipher_list(ciphers).map_err(setting("--ssl-ciphers"))?;
        if let Some(suites) = &self.ciphersuites {
            context.set_ciphersuites(suites).map_err(setting("--ssl-ciphersuites"))?;
        }
        context.set_certificate_file(certificate, SslFiletype::PEM).map_err(of_file("certificate", certificate))?;
        // With a certificate in place OpenSSL itself looks whether the key is its own.
        context.set_private_key(private_key(key)?.as_ref()).map_err(|stack| TlsError::Mismatch {
            key: key.clone(),
            certificate: certificate.clone(),
            reasons: reasons(&stack),
        })?;
        self.add_peer_ca(&mut context)?;
        self.trust(&mut context, anybody, culprit)?;
        Ok(context.build())
    }

    fn add_peer_ca(&self, context: &mut SslContextBuilder) -> Result<(), TlsError> {
        let Some(path) = &self.peer_ca_cert else { return Ok(()) };
        let failed = |reasons| TlsError::File { what: "peer CA certificate", path: path.clone(), reasons };
        let text = std::fs::read(path).map_err(|error| failed(without_number(&error)))?;
        for certificate in X509::stack_from_pem(&text).map_err(|stack| failed(reasons(&stack)))? {
            context.add_extra_chain_cert(certificate).map_err(|stack| failed(reasons(&stack)))?;
        }
        Ok(())
    }

    fn trust(&self, context: &mut SslContextBuilder, anybody: bool, culprit: &Culprit) -> Result<(), TlsError> {
        match &self.ca {
            Authority::Missing => return Err(TlsError::Missing("CA certificate")),
            Authority::File { path, .. } if !anybody => {
                context.set_ca_file(path).map_err(of_file("CA certificate", path))?;
                let culprit = culprit.clone();
                context.set_verify_callback(SslVerifyMode::PEER, move |accepted, chain| {
                    if let (false, Some(certificate)) = (accepted, chain.current_cert()) {
                        let _ = culprit.set(name(certificate.subject_name()));
                    }
                    accepted
                });
            }
            Authority::File { .. } | Authority::Unverified => context.set_verify(SslVerifyMode::NONE),
        }
        Ok(())
    }

    /// Why the handshake failed: if it was the peer's certificate, which one it was and what is wrong with it.
    fn refusal(&self, ssl: &openssl::ssl::SslRef, culprit: &Culprit, error: &openssl::ssl::Error) -> TlsError {
        let result = ssl.verify_result();
        match &self.ca {
            Authority::File { path, .. } if result != X509VerifyResult::OK => TlsError::NotVerified {
                ca: path.clone(),
                why: result.error_string().to_owned(),
                subject: Whose(culprit.get().cloned()),
            },
            _ => TlsError::Handshake(match (error.ssl_error(), error.io_error()) {
                (Some(stack), _) => reasons(stack),
                (None, Some(error)) => error.to_string(),
                (None, None) => "the peer closed the connection".to_owned(),
            }),
        }
    }
}

/// Stores the CA's certificate that the peer has shown: the last of its chain, which must be self-signed.
fn learn(path: &Path, stream: &SslStream<TcpStream>) -> Result<String, TlsError> {
    let failed = |why: String| TlsError::Bootstrap { path: path.to_owned(), why };
    let chain = stream.ssl().peer_cert_chain();
    let Some((chain, last)) = chain.and_then(|chain| Some((chain, chain.iter().last()?))) else {
        return Err(failed("no certificate presented by peer".to_owned()));
    };
    let issued = last.issued(last);
    if issued != X509VerifyResult::OK {
        let alone = if chain.len() < 2 {
            "; only one certificate was received, so probably the peer is not configured to send its CA certificate"
        } else {
            ""
        };
        return Err(failed(format!("obtained certificate is not self-signed ({}){alone}", issued.error_string())));
    }
    let pem = last.to_pem().map_err(|stack| failed(reasons(&stack)))?;
    let digest = last.digest(MessageDigest::sha1()).map_err(|stack| failed(reasons(&stack)))?;
    let fingerprint = digest.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":");
    // Whole or not at all: another process may read it in the next moment.
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(format!(".{}", std::process::id()));
    let temporary = PathBuf::from(temporary);
    let stored = store(&temporary, path, &pem);
    let _ = std::fs::remove_file(&temporary);
    match stored {
        Ok(()) => {
            let (path, subject) = (path.display(), name(last.subject_name()));
            Ok(format!(
                "successfully bootstrapped CA cert to {path}, trusting {subject} (fingerprint {fingerprint}); \
                 killing successful connection to retry using CA cert"
            ))
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            Ok(format!("reading CA cert {} created by another process", path.display()))
        }
        Err(error) => Err(failed(without_number(&error))),
    }
}

/// Writes `temporary` and gives it the name `path`, unless there is such a file.
fn store(temporary: &Path, path: &Path, pem: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o444).open(temporary)?;
    file.write_all(pem)?;
    file.sync_all()?;
    std::fs::hard_link(temporary, path)
}

/// Reads a key. OpenSSL would ask whoever sits at the terminal for the passphrase of one that has such, and everything would wait.
fn private_key(path: &Path) -> Result<PKey<Private>, TlsError> {
    let failed = |reasons| TlsError::File { what: "private key", path: path.to_owned(), reasons };
    let text = std::fs::read(path).map_err(|error| failed(without_number(&error)))?;
    let mut protected = false;
    let key = PKey::private_key_from_pem_callback(&text, |_| {
        protected = true;
        Ok(0)
    });
    key.map_err(|stack| match protected {
        true => failed("it is protected by a passphrase, which nobody is here to give".to_owned()),
        false => failed(reasons(&stack)),
    })
}

/// A system error in words alone.
fn without_number(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error ").next().unwrap_or_default().to_owned()
}

fn setting(what: &'static str) -> impl FnOnce(ErrorStack) -> TlsError {
    move |stack| TlsError::Setting { what, reasons: reasons(&stack) }
}

fn of_file(what: &'static str, path: &Path) -> impl FnOnce(ErrorStack) -> TlsError {
    move |stack| TlsError::File { what, path: path.to_owned(), reasons: reasons(&stack) }
}

/// OpenSSL's errors, the first cause first, without where in its sources they arose.
fn reasons(stack: &ErrorStack) -> String {
    let one = |error: &openssl::error::Error| {
        // The system's errors have no text of OpenSSL's, only their number.
        let system = (error.library() == Some("system library"))
            .then(|| without_number(&io::Error::from_raw_os_error((error.code() & 0x7fff_ffff) as i32)));
        let reason = system.as_deref().or(error.reason()).unwrap_or("unknown reason");
        let data = error.data().map(|data| format!(" ({data})")).unwrap_or_default();
        format!("error:{:08X}:{}:{reason}{data}", error.code(), error.library().unwrap_or("unknown library"))
    };
    let all: Vec<String> = stack.errors().iter().map(one).collect();
    if all.is_empty() { "unknown error".to_owned() } else { all.join(", ") }
}

/// A name as `/C=US/CN=...`.
fn name(name: &X509NameRef) -> String {
    let entries = name.entries().map(|entry| {
        let key = entry.object().nid().short_name().unwrap_or("?");
        let value = entry.data().to_string().unwrap_or_default();
        format!("/{key}={value}")
    });
    entries.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protocols() {
        use Version::{Tls12, Tls13};
        for (text, min, max) in [
            ("TLSv1.2+", Tls12, None),
            ("TLSv1.3+", Tls13, None),
            ("TLSv1.2-TLSv1.3", Tls12, Some(Tls13)),
            ("TLSv1.3,TLSv1.2", Tls12, Some(Tls13)),
            ("TLSv1.2", Tls12, Some(Tls12)),
            (" TLSv1.3\t", Tls13, Some(Tls13)),
        ] {
            assert_eq!(text.parse(), Ok(Protocols { min, max }), "{text}");
        }
        for (text, expected) in [
            ("", "SSL/TLS protocol settings invalid"),
            (",", "SSL/TLS protocol settings invalid"),
            ("TLSv1.1", "TLSv1.1: SSL/TLS protocol not recognized"),
            ("TLSv1.2,SSLv3", "SSLv3: SSL/TLS protocol not recognized"),
            ("+", ": SSL/TLS protocol not recognized"),
        ] {
            assert_eq!(text.parse::<Protocols>().unwrap_err().to_string(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        let mut settings = TlsSettings::default();
        let error =
            |settings: &TlsSettings| settings.context(false, &Culprit::default()).map(drop).unwrap_err().to_string();
        assert_eq!(error(&settings), "Private key must be configured to use SSL");
        settings.private_key = Some("/none/key.pem".into());
        assert_eq!(error(&settings), "Certificate must be configured to use SSL");
        settings.certificate = Some("/none/cert.pem".into());
        let missing = error(&settings);
        assert!(missing.starts_with("certificate /none/cert.pem: error:8"), "{missing}");
        assert!(missing.contains("No such file or directory"), "{missing}");
        settings.ciphers = Some("no such cipher".to_owned());
        let cipher = error(&settings);
        assert!(cipher.starts_with("--ssl-ciphers: error:") && cipher.ends_with("no cipher match"), "{cipher}");
        assert_eq!(Authority::named("none", true), Authority::Unverified);
        assert_eq!(Authority::named("", true), Authority::Missing);
    }
}
