//! Certificates as TLS takes them, and what is wrong with them in words.

use super::{AUTHORITY_FILE, Credentials, DAY_SECONDS, NODE_FILE, NODE_KEY_FILE, SERVER_NAME};
use crate::{Error, Result};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, InconsistentKeys, RootCertStore};
use std::sync::Arc;

/// The cryptography of all connections.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// Credentials that were checked.
pub(crate) struct Identity {
    pub(crate) authorities: Arc<RootCertStore>,
    /// The node's certificate first.
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) key: PrivateKeyDer<'static>,
}

impl Credentials {
    /// Reads the texts, and checks that they are valid at a time and that other nodes will accept them.
    pub(crate) fn identity(&self, now: UnixTime) -> Result<Identity> {
        let mut authorities = RootCertStore::empty();
        let trusted = certificates(&self.authority_pem, AUTHORITY_FILE)?;
        for certificate in &trusted {
            authorities.add(certificate.clone()).map_err(|error| wrong(AUTHORITY_FILE, &error))?;
        }
        let authorities = Arc::new(authorities);
        let chain = certificates(&self.certificate_pem, NODE_FILE)?;
        let key = PrivateKeyDer::from_pem_slice(self.key_pem.as_bytes())
            .map_err(|error| bad(NODE_KEY_FILE, &format!("holds no private key ({error})")))?;
        let pair = CertifiedKey::from_der(chain.clone(), key.clone_key(), &provider());
        pair.map_err(|error| match error {
            rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                bad(NODE_KEY_FILE, &format!("is not the key of {NODE_FILE}"))
            }
            rustls::Error::InvalidCertificate(_) => wrong(NODE_FILE, &error),
            error => wrong(NODE_KEY_FILE, &error),
        })?;
        let verifiers = Verifiers::new(&authorities)?;
        for certificate in &trusted {
            verifiers.check_period(certificate, now)?;
        }
        verifiers.check_node(&chain, now)?;
        Ok(Identity { authorities, chain, key })
    }
}

/// What nodes check of each other: as a client, and as a server.
struct Verifiers {
    client: Arc<dyn ClientCertVerifier>,
    server: Arc<WebPkiServerVerifier>,
}

impl Verifiers {
    fn new(authorities: &Arc<RootCertStore>) -> Result<Verifiers> {
        let unusable = |error| bad(AUTHORITY_FILE, &format!("cannot be used: {error}"));
        let client = WebPkiClientVerifier::builder_with_provider(authorities.clone(), provider()).build();
        let server = WebPkiServerVerifier::builder_with_provider(authorities.clone(), provider()).build();
        Ok(Verifiers { client: client.map_err(unusable)?, server: server.map_err(unusable)? })
    }

    fn check_node(&self, chain: &[CertificateDer<'static>], now: UnixTime) -> Result<()> {
        let [own, between @ ..] = chain else { return Err(bad(NODE_FILE, "holds no certificate")) };
        let name = ServerName::try_from(SERVER_NAME).map_err(|error| bad(NODE_FILE, &error.to_string()))?;
        self.client.verify_client_cert(own, between, now).map_err(|error| wrong(NODE_FILE, &error))?;
        let served = self.server.verify_server_cert(own, between, &name, &[], now);
        served.map(|_| ()).map_err(|error| wrong(NODE_FILE, &error))
    }

    /// TLS does not look at when an authority is valid. It is looked at here as if it were a node's certificate: the
    /// times come first, and what else is wrong with it as such is no matter.
    fn check_period(&self, certificate: &CertificateDer<'static>, now: UnixTime) -> Result<()> {
        match self.client.verify_client_cert(certificate, &[], now) {
            Err(error) if untimely(&error) => Err(wrong(AUTHORITY_FILE, &error)),
            _ => Ok(()),
        }
    }
}

fn certificates(text: &str, file: &str) -> Result<Vec<CertificateDer<'static>>> {
    let parsed: std::result::Result<Vec<_>, pem::Error> =
        CertificateDer::pem_slice_iter(text.as_bytes()).collect();
    match parsed {
        Ok(found) if found.is_empty() => Err(bad(file, "holds no certificate")),
        Ok(found) => Ok(found),
        Err(error) => Err(bad(file, &format!("holds no certificate ({error})"))),
    }
}

fn untimely(error: &rustls::Error) -> bool {
    use CertificateError::{Expired, ExpiredContext, NotValidYet, NotValidYetContext};
    matches!(
        error,
        rustls::Error::InvalidCertificate(
            Expired | ExpiredContext { .. } | NotValidYet | NotValidYetContext { .. }
        )
    )
}

/// What TLS has against a certificate.
fn wrong(file: &str, error: &rustls::Error) -> Error {
    let rustls::Error::InvalidCertificate(certificate) = error else {
        return bad(file, &format!("cannot be used: {error}"));
    };
    let why = match certificate {
        CertificateError::ExpiredContext { time, not_after } => {
            let days = time.as_secs().saturating_sub(not_after.as_secs()) / DAY_SECONDS;
            format!("expired {days} days ago")
        }
        CertificateError::Expired => "has expired".to_string(),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "is not valid yet: is the clock right?".to_string()
        }
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            format!("is not signed by {AUTHORITY_FILE}")
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            format!("is not for the name {SERVER_NAME}")
        }
        CertificateError::BadEncoding => "is no certificate of X.509".to_string(),
        other => format!("is not accepted: {other}"),
    };
    bad(file, &why)
}

fn bad(file: &str, why: &str) -> Error {
    Error::Environment(format!("{file} {why}"))
}
