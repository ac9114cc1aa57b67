//! A tenant's own credentials for the object store: as they are published and kept ([`Credentials`]), what is encrypted
//! inside ([`SecretAccess`]), and as coordinators tell shards, on connections that are encrypted ([`StoreAccess`]).

use crate::sealed::{SealError, Sealed, SecretKeys};
use prost::Message;
use std::fmt;

/// What secrets of this kind are sealed for.
const PURPOSE: &str = "object store credentials";

/// By which access key a tenant's objects are read and written. The secret half is encrypted.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Credentials {
    #[prost(string, tag = "1")]
    pub tenant: String,
    #[prost(string, tag = "2")]
    pub access_key_id: String,
    /// Empty: the nodes' own.
    #[prost(string, tag = "3")]
    pub region: String,
    /// The URL of the store; empty: the nodes' own.
    #[prost(string, tag = "4")]
    pub endpoint: String,
    /// A [`SecretAccess`].
    #[prost(message, optional, tag = "5")]
    pub sealed: Option<Sealed>,
    /// There is a session token in it.
    #[prost(bool, tag = "6")]
    pub has_session_token: bool,
}

/// What is secret of credentials. Its `Debug` leaves all of it out.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
#[prost(skip_debug)]
pub struct SecretAccess {
    #[prost(string, tag = "1")]
    pub secret_access_key: String,
    /// Empty: there is none.
    #[prost(string, tag = "2")]
    pub session_token: String,
}

impl fmt::Debug for SecretAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretAccess").finish_non_exhaustive()
    }
}

/// By which credentials a shard is to read a tenant's objects.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct StoreAccess {
    #[prost(string, tag = "1")]
    pub tenant: String,
    /// Of the document that says so; of two the later one counts.
    #[prost(uint64, tag = "2")]
    pub version: u64,
    /// Absent: the node's own.
    #[prost(message, optional, tag = "3")]
    pub credentials: Option<Credentials>,
    #[prost(message, optional, tag = "4")]
    pub secret: Option<SecretAccess>,
    /// Why the coordinator cannot tell the secret; empty: it does.
    #[prost(string, tag = "5")]
    pub failure: String,
}

impl Credentials {
    /// Encrypts the secret half, for these credentials alone.
    ///
    /// # Errors
    /// Where there is no key.
    pub fn sealed(mut self, keys: &SecretKeys, secret: &SecretAccess) -> Result<Credentials, SealError> {
        self.has_session_token = !secret.session_token.is_empty();
        self.sealed = Some(keys.seal(PURPOSE, &self.about(), &secret.encode_to_vec())?);
        Ok(self)
    }

    /// The secret half.
    ///
    /// # Errors
    /// Where the key is not among these, or it was sealed for other credentials.
    pub fn open(&self, keys: &SecretKeys) -> Result<SecretAccess, SealError> {
        let sealed = self.sealed.as_ref().ok_or(SealError::Damaged)?;
        let opened = keys.open(PURPOSE, &self.about(), sealed)?;
        SecretAccess::decode(&*opened).map_err(|_| SealError::Damaged)
    }

    /// Whose they are, and where they are shown: a token is sent along to the endpoint.
    fn about(&self) -> [&str; 3] {
        [&self.tenant, &self.access_key_id, &self.endpoint]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> SecretKeys {
        SecretKeys::parse("AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=").unwrap()
    }

    fn secret() -> SecretAccess {
        SecretAccess { secret_access_key: "geheim".into(), session_token: "marke".into() }
    }

    #[test]
    fn a_secret_opens_in_its_own_document_alone() {
        let plain = Credentials {
            tenant: "acme".into(),
            access_key_id: "AKIA1".into(),
            endpoint: "https://s3.local".into(),
            ..Credentials::default()
        };
        let sealed = plain.sealed(&keys(), &secret()).unwrap();
        assert!(sealed.has_session_token);
        assert_eq!(sealed.open(&keys()), Ok(secret()));
        for other in [
            Credentials { tenant: "zeta".into(), ..sealed.clone() },
            Credentials { access_key_id: "AKIA2".into(), ..sealed.clone() },
            Credentials { endpoint: "https://elsewhere".into(), ..sealed.clone() },
            Credentials { sealed: None, ..sealed.clone() },
        ] {
            assert_eq!(other.open(&keys()), Err(SealError::Damaged), "{other:?}");
        }
        assert_eq!(Credentials::default().sealed(&SecretKeys::default(), &secret()), Err(SealError::NoKey));
    }

    #[test]
    fn nothing_secret_is_shown() {
        let told = StoreAccess {
            tenant: "acme".into(),
            version: 3,
            credentials: Some(Credentials::default().sealed(&keys(), &secret()).unwrap()),
            secret: Some(secret()),
            failure: String::new(),
        };
        let shown = format!("{told:?} {told:#?}");
        assert!(!shown.contains("geheim") && !shown.contains("marke"), "{shown}");
    }
}
