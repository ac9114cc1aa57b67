//! Why a connection failed, in words.

use crate::Error;
use quinn::{ConnectionError, TransportErrorCode};

/// Alerts of TLS (RFC 8446, section 6.2).
const BAD_CERTIFICATE: u64 = 42;
const CERTIFICATE_EXPIRED: u64 = 45;
const UNKNOWN_AUTHORITY: u64 = 48;
const DECRYPT_ERROR: u64 = 51;
const CERTIFICATE_REQUIRED: u64 = 116;
const NO_PROTOCOL: u64 = 120;
/// Where the alerts lie among QUIC's codes (RFC 9001, section 4.8).
const ALERTS: u64 = 0x100;

/// A connection that ended while it was used.
pub(super) fn lost(peer: &str, error: &ConnectionError) -> Error {
    Error::Lost { peer: peer.to_string(), why: describe(error) }
}

pub(super) fn describe(error: &ConnectionError) -> String {
    match error {
        ConnectionError::TimedOut => "it does not answer".to_string(),
        ConnectionError::Reset => "it was restarted".to_string(),
        ConnectionError::LocallyClosed => "this node closed it".to_string(),
        ConnectionError::ApplicationClosed(_) => "it closed the connection".to_string(),
        ConnectionError::TransportError(error) => {
            let words = match alert(error.code) {
                Some(UNKNOWN_AUTHORITY | DECRYPT_ERROR) => "its certificate is of another authority",
                Some(CERTIFICATE_EXPIRED) => "its certificate is not valid at this time",
                Some(BAD_CERTIFICATE) => "its certificate is not that of a node",
                Some(CERTIFICATE_REQUIRED) => "it showed no certificate",
                Some(NO_PROTOCOL) => "it speaks another protocol",
                _ => return error.to_string(),
            };
            format!("{words} ({})", error.reason)
        }
        ConnectionError::ConnectionClosed(close) => {
            let words = match alert(close.error_code) {
                Some(UNKNOWN_AUTHORITY | DECRYPT_ERROR) => {
                    "to it this node's certificate is of another authority"
                }
                Some(CERTIFICATE_EXPIRED) => "to it this node's certificate is not valid at this time",
                Some(BAD_CERTIFICATE) => "to it this node's certificate is not that of a node",
                Some(CERTIFICATE_REQUIRED) => "it wants a certificate",
                Some(NO_PROTOCOL) => "it speaks another protocol",
                _ if close.error_code == TransportErrorCode::CONNECTION_REFUSED => "it refuses connections",
                _ => return format!("it ended the connection: {close}"),
            };
            words.to_string()
        }
        ConnectionError::VersionMismatch | ConnectionError::CidsExhausted => error.to_string(),
    }
}

/// The alert of TLS that a code stands for.
fn alert(code: TransportErrorCode) -> Option<u64> {
    u64::from(code).checked_sub(ALERTS).filter(|alert| *alert < 0x100)
}
