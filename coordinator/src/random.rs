//! Identities that cannot be guessed.

use crate::error::{Error, Result};

/// 128 random bits of the system's generator.
pub(crate) fn random_u128() -> Result<u128> {
    let mut bytes = [0; 16];
    rustls::crypto::ring::default_provider()
        .secure_random
        .fill(&mut bytes)
        .map_err(|_| Error::Environment("the system gives no random numbers".into()))?;
    Ok(u128::from_be_bytes(bytes))
}
