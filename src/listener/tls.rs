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
use crate::paths::{display, is_open};
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
        let (text, is_open) = read(&tls.key)?;
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
        let warnings = match is_open {
            true => vec![format!("others can read the TLS key {key}; `chmod 600` it")],
            false => Vec::new(),
        };
        Ok(Self { config: Arc::new(config), certificate, warnings })
    }

    /// Whether the certificate is for a host.
    pub fn names(&self, host: &str) -> bool {
        let name = ServerName::try_from(host);
        let certificate = EndEntityCert::try_from(&self.certificate);
        name.is_ok_and(|name| certificate.is_ok_and(|found| found.verify_is_valid_for_subject_name(&name).is_ok()))
    }

    /// The last moment of its validity; none if it can't be read.
    pub fn expires(&self) -> Option<Timestamp> {
        // Asked about the end of time, the verifier's first word is when it ends (RFC 5280 section 6.1.3, step 2).
        let end_of_time = UnixTime::since_unix_epoch(Duration::from_secs(u64::from(u32::MAX) * 50));
        let certificate = EndEntityCert::try_from(&self.certificate).ok()?;
        match certificate.verify_for_usage(&[], &[], &[], end_of_time, KeyUsage::server_auth(), None, None) {
            Err(webpki::Error::CertExpired { not_after, .. }) => {
                Timestamp::from_second(i64::try_from(not_after.as_secs()).ok()?).ok()
            }
            _ => None,
        }
    }
}

/// A file's bytes, and whether everybody can read it.
fn read(path: &Path) -> Result<(Vec<u8>, bool), Problem> {
    use std::io::Read;
    let failed = |error: io::Error| Problem::error(format!("failed to read {}: {error}", display(path)));
    let file = std::fs::File::open(path).map_err(failed)?;
    let is_open = is_open(&file.metadata().map_err(failed)?);
    let mut bytes = Vec::new();
    file.take(MAX_FILE).read_to_end(&mut bytes).map_err(failed)?;
    Ok((bytes, is_open))
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
        assert!(why(&tls(missing.clone(), missing)).contains("missing: No such file"));
        assert!(why(&tls(empty.clone(), empty.clone())).contains("holds no certificate"));
        assert!(why(&tls(half, empty)).contains("is no PEM file"));
    }
}
