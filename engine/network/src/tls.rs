//! TLS by which both sides know each other, and its refusals in words.

use crate::certificates::{Identity, provider};
use crate::{Credentials, Error, Result};
use rustls::client::Resumption;
use rustls::pki_types::UnixTime;
use rustls::server::WebPkiClientVerifier;
use rustls::version::TLS13;
use rustls::{ClientConfig, ServerConfig};
use std::time::Duration;

/// How long before its certificate expires a node warns when it starts.
const EXPIRY_WARNING: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Alerts of TLS (RFC 8446, section 6.2).
const BAD_CERTIFICATE: u8 = 42;
const CERTIFICATE_EXPIRED: u8 = 45;
const UNKNOWN_AUTHORITY: u8 = 48;
const DECRYPT_ERROR: u8 = 51;
const CERTIFICATE_REQUIRED: u8 = 116;
const NO_PROTOCOL: u8 = 120;

/// Credentials that are valid now; warns where they soon will not be.
pub(crate) fn identity(credentials: &Credentials) -> Result<Identity> {
    let now = UnixTime::now();
    let identity = credentials.identity(now)?;
    let later = UnixTime::since_unix_epoch(Duration::from_secs(now.as_secs()) + EXPIRY_WARNING);
    if let Err(error) = credentials.identity(later) {
        tracing::warn!("in 30 days this node will not be accepted any more: {error}");
    }
    Ok(identity)
}

/// The side that connects. Sessions are not resumed: certificates are checked each time.
pub(crate) fn client(identity: &Identity, protocol: &[u8]) -> Result<ClientConfig> {
    let mut tls = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(unusable)?
        .with_root_certificates(identity.authorities.clone())
        .with_client_auth_cert(identity.chain.clone(), identity.key.clone_key())
        .map_err(unusable)?;
    tls.alpn_protocols = vec![protocol.to_vec()];
    tls.resumption = Resumption::disabled();
    Ok(tls)
}

/// The side that is connected to.
pub(crate) fn server(identity: &Identity, protocol: &[u8]) -> Result<ServerConfig> {
    let verifier = WebPkiClientVerifier::builder_with_provider(identity.authorities.clone(), provider());
    let mut tls = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(unusable)?
        .with_client_cert_verifier(verifier.build().map_err(unusable)?)
        .with_single_cert(identity.chain.clone(), identity.key.clone_key())
        .map_err(unusable)?;
    tls.alpn_protocols = vec![protocol.to_vec()];
    tls.send_tls13_tickets = 0;
    Ok(tls)
}

/// Why this node refuses another, by the alert that it sends.
pub(crate) fn why_refused(alert: u8) -> Option<&'static str> {
    Some(match alert {
        UNKNOWN_AUTHORITY | DECRYPT_ERROR => "its certificate is of another authority",
        CERTIFICATE_EXPIRED => "its certificate is not valid at this time",
        BAD_CERTIFICATE => "its certificate is not that of a node",
        CERTIFICATE_REQUIRED => "it showed no certificate",
        NO_PROTOCOL => "it speaks another protocol",
        _ => return None,
    })
}

/// Why another node refuses this one, by the alert that it sent.
pub(crate) fn why_refusing(alert: u8) -> Option<&'static str> {
    Some(match alert {
        UNKNOWN_AUTHORITY | DECRYPT_ERROR => "to it this node's certificate is of another authority",
        CERTIFICATE_EXPIRED => "to it this node's certificate is not valid at this time",
        BAD_CERTIFICATE => "to it this node's certificate is not that of a node",
        CERTIFICATE_REQUIRED => "it wants a certificate",
        NO_PROTOCOL => "it speaks another protocol",
        _ => return None,
    })
}

fn unusable(error: impl std::fmt::Display) -> Error {
    Error::Environment(format!("TLS cannot be set up: {error}"))
}
