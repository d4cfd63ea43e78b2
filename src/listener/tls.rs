//! The certificate that we show, and the handshake (rustls, TLS 1.2 and 1.3).

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use webpki::{EndEntityCert, KeyUsage};

use super::socket::Stream;
use crate::config::Tls;
use crate::paths::{display, is_open, is_unsafe, open_file};
use crate::problem::Problem;

/// The first byte of every TLS connection (RFC 8446 section 5.1: a handshake record).
const HANDSHAKE: u8 = 22;
const PLAIN: &[u8] = b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-type: application/json\r\n\
    content-length: 69\r\n\r\n{\"success\":false,\"error\":\"this port speaks TLS; the URL is https://\"}";
const MAX_FILE: u64 = 1024 * 1024;

/// A certificate with its key.
pub struct Identity {
    config: Arc<ServerConfig>,
    certificate: CertificateDer<'static>,
    /// What the user should mend about it, though it works.
    pub warnings: Vec<String>,
}

impl Identity {
    /// Reads the pair.
    pub fn load(tls: &Tls) -> Result<Self, Problem> {
        let (cert, key) = (display(&tls.cert), display(&tls.key));
        let (text, _) = read(&tls.cert)?;
        let chain: Vec<_> = CertificateDer::pem_slice_iter(&text)
            .collect::<Result<_, _>>()
            .map_err(|error| Problem::error(format!("`tls.cert` {cert} is no PEM file: {error}")))?;
        let Some(certificate) = chain.first().cloned() else {
            return Err(
                Problem::error(format!("`tls.cert` {cert} holds no certificate")).suggest("it must be a PEM file")
            );
        };
        let (text, found) = read(&tls.key)?;
        let secret = PrivateKeyDer::from_pem_slice(&text).map_err(|_| {
            Problem::error(format!("`tls.key` {key} holds no key")).suggest("it must be an unencrypted PEM file")
        })?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| Problem::error(format!("TLS: {error}")))?
            .with_no_client_auth()
            .with_single_cert(chain, secret)
            .map_err(|error| Problem::error(format!("`tls.cert` {cert} and `tls.key` {key}: {error}")))?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let open = is_open(&found).then(|| format!("others can read the TLS key {key}; `chmod 600` it"));
        let unsafe_key = is_unsafe(&found).map(|why| format!("the TLS key {key} {why}"));
        let warnings = open.into_iter().chain(unsafe_key).collect();
        Ok(Self { config: Arc::new(config), certificate, warnings })
    }

    pub fn certificate(&self) -> CertificateDer<'static> {
        self.certificate.clone()
    }

    /// Whether the certificate is for a host.
    pub fn names(&self, host: &str) -> bool {
        let name = ServerName::try_from(host);
        let certificate = EndEntityCert::try_from(&self.certificate);
        name.is_ok_and(|name| certificate.is_ok_and(|found| found.verify_is_valid_for_subject_name(&name).is_ok()))
    }

    /// The first and the last moment of its validity, where they can be read.
    pub fn validity(&self) -> (Option<Timestamp>, Option<Timestamp>) {
        let Ok(certificate) = EndEntityCert::try_from(&self.certificate) else { return (None, None) };
        let asked_at = |time| {
            let verified = certificate.verify_for_usage(&[], &[], &[], time, KeyUsage::server_auth(), None, None);
            verified.err()
        };
        let timestamp = |time: UnixTime| Timestamp::from_second(i64::try_from(time.as_secs()).ok()?).ok();
        // Asked about a time, the verifier looks first whether it is in between (RFC 5280 section 6.1.3, step 2).
        let begins = match asked_at(UnixTime::since_unix_epoch(Duration::ZERO)) {
            Some(webpki::Error::CertNotValidYet { not_before, .. }) => timestamp(not_before),
            _ => None,
        };
        let ends = match asked_at(UnixTime::since_unix_epoch(Duration::from_secs(u64::from(u32::MAX) * 50))) {
            Some(webpki::Error::CertExpired { not_after, .. }) => timestamp(not_after),
            _ => None,
        };
        (begins, ends)
    }
}

/// A file's bytes, and whose it is.
fn read(path: &Path) -> Result<(Vec<u8>, std::fs::Metadata), Problem> {
    use std::io::Read;
    let failed = |error: io::Error| Problem::error(format!("failed to read {}: {error}", display(path)));
    let file = open_file(path).map_err(failed)?;
    let found = file.metadata().map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(MAX_FILE).read_to_end(&mut bytes).map_err(failed)?;
    Ok((bytes, found))
}

/// Agrees with the other end on keys. One that speaks plain HTTP is told so.
pub async fn accept(mut stream: Box<dyn Stream>, identity: &Identity) -> io::Result<Box<dyn Stream>> {
    let first = stream.read_u8().await?;
    if first != HANDSHAKE {
        stream.write_all(PLAIN).await?;
        super::connection::linger(stream).await;
        return Err(io::Error::other("no TLS"));
    }
    let (reading, writing) = tokio::io::split(stream);
    let stream = tokio::io::join(io::Cursor::new([first]).chain(reading), writing);
    let acceptor = tokio_rustls::TlsAcceptor::from(identity.config.clone());
    Ok(Box::new(acceptor.accept(stream).await?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plain_answer_says_its_length() {
        let text = std::str::from_utf8(PLAIN).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("content-length: {}", body.len())), "{}", body.len());
    }

    #[test]
    fn what_is_wrong_with_a_pair_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = directory.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let tls = |cert, key| Tls { cert, key, periodic_reload: None };
        let why = |tls: &Tls| Identity::load(tls).err().unwrap().to_string();
        let missing = directory.path().join("missing");
        let empty = file("empty", "");
        let half = file("half", "-----BEGIN CERTIFICATE-----\nAAAA");
        // What follows are the system's own words.
        let unread = why(&tls(missing.clone(), missing));
        assert!(unread.contains("failed to read ") && unread.contains("missing: "), "{unread}");
        assert!(why(&tls(empty.clone(), empty.clone())).contains("holds no certificate"));
        assert!(why(&tls(half, empty)).contains("is no PEM file"));
    }
}
