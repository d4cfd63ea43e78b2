//! Which servers a TLS client believes: those whose certificate leads to a trusted root, and those whose very
//! certificate was given as trusted.
//!
//! The second is what people have who sign their own. Such a certificate is often an authority's as well, because
//! `openssl req -x509` makes it so, and the verifier refuses those of servers.

use std::io;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

/// Trusts these certificates (PEM), or the system's.
pub fn config(roots: Option<&[u8]>) -> io::Result<ClientConfig> {
    let mut given = Vec::new();
    let roots = match roots {
        Some(pem) => {
            for certificate in CertificateDer::pem_slice_iter(pem) {
                given.push(certificate.map_err(io::Error::other)?);
            }
            given.clone()
        }
        None => rustls_native_certs::load_native_certs().certs,
    };
    build(roots, given, Whose::TheHosts)
}

/// Trusts this certificate alone, whatever name it has.
pub fn pinned(certificate: CertificateDer<'static>) -> io::Result<ClientConfig> {
    build(vec![certificate.clone()], vec![certificate], Whose::Anybodys)
}

fn build(
    roots: Vec<CertificateDer<'static>>,
    given: Vec<CertificateDer<'static>>,
    whose: Whose,
) -> io::Result<ClientConfig> {
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(roots);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(store), provider.clone());
    let verifier = Verifier { by_root: verifier.build().map_err(io::Error::other)?, given, whose };
    let config = ClientConfig::builder_with_provider(provider);
    let config = config.with_safe_default_protocol_versions().map_err(io::Error::other)?;
    Ok(config.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth())
}

#[derive(Debug)]
struct Verifier {
    by_root: Arc<WebPkiServerVerifier>,
    given: Vec<CertificateDer<'static>>,
    whose: Whose,
}

/// Whose name a certificate that was given must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whose {
    TheHosts,
    Anybodys,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self.given.contains(certificate) {
            // The one that was given: whose it is needs no proof, but it must be this server's.
            if self.whose == Whose::TheHosts {
                verify_server_name(&ParsedCertificate::try_from(certificate)?, name)?;
            }
            return Ok(ServerCertVerified::assertion());
        }
        self.by_root.verify_server_cert(certificate, intermediates, name, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.by_root.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.by_root.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.by_root.supported_verify_schemes()
    }
}
