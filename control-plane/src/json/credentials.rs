//! Credentials for the object store as JSON: the secret half goes in, and never comes out.

use flight_proto::policy;
use serde::{Deserialize, Serialize};
use std::fmt;
use utoipa::ToSchema;

/// An access key that a tenant's objects are to be read and written by.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewCredentials {
    pub access_key_id: String,
    /// It is kept encrypted, and shown to nobody.
    pub secret_access_key: String,
    /// Of keys that are lent for a while; it is kept as the secret is.
    #[serde(default)]
    pub session_token: String,
    /// Empty: that which it has, or else the nodes' own.
    #[serde(default)]
    pub region: String,
    /// The URL of the store; empty: that which it has, or else the nodes' own.
    #[serde(default)]
    pub endpoint: String,
    /// Take another endpoint than the tenant's credentials have now, which reaches the same objects.
    #[serde(default)]
    pub force: bool,
}

impl fmt::Debug for NewCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NewCredentials({})", self.access_key_id)
    }
}

/// A tenant's own credentials for the object store, without what is secret of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Credentials {
    pub tenant: String,
    pub access_key_id: String,
    pub has_session_token: bool,
    /// Empty: the nodes' own.
    pub region: String,
    /// Empty: the nodes' own.
    pub endpoint: String,
    /// The key that the secret is encrypted with: which of those that `--secret-key` names.
    pub secret_key: String,
    /// Of the document that says so.
    pub version: u64,
    pub decided_at_us: i64,
}

impl Credentials {
    pub(crate) fn of(credentials: &policy::Credentials, version: u64, decided_at_us: i64) -> Credentials {
        Credentials {
            tenant: credentials.tenant.clone(),
            access_key_id: credentials.access_key_id.clone(),
            has_session_token: credentials.has_session_token,
            region: credentials.region.clone(),
            endpoint: credentials.endpoint.clone(),
            secret_key: credentials.sealed.as_ref().map(|sealed| sealed.key_id.clone()).unwrap_or_default(),
            version,
            decided_at_us,
        }
    }
}
