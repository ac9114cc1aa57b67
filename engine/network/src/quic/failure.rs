//! Why a connection failed, in words.

use crate::{Error, tls};
use quinn::{ConnectionError, TransportErrorCode};

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
            let Some(words) = alert(error.code).and_then(tls::why_refused) else { return error.to_string() };
            format!("{words} ({})", error.reason)
        }
        ConnectionError::ConnectionClosed(close) => {
            let words = alert(close.error_code).and_then(tls::why_refusing);
            match words {
                Some(words) => words.to_string(),
                None if close.error_code == TransportErrorCode::CONNECTION_REFUSED => {
                    "it refuses connections".to_string()
                }
                None => format!("it ended the connection: {close}"),
            }
        }
        ConnectionError::VersionMismatch | ConnectionError::CidsExhausted => error.to_string(),
    }
}

/// The alert of TLS that a code stands for.
fn alert(code: TransportErrorCode) -> Option<u8> {
    u64::from(code).checked_sub(ALERTS).and_then(|alert| alert.try_into().ok())
}
