//! Whose credentials a store is opened with. Tenants may have their own; nothing here is written to disk.

use flight_proto::credentials::{Credentials, SecretAccess, StoreAccess};
use object_store::aws::AmazonS3ConfigKey;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

/// A tenant's own access to S3. Its `Debug` leaves the secret half out.
#[derive(Clone, PartialEq, Eq)]
pub struct Access {
    pub tenant: String,
    pub access_key_id: String,
    /// Empty: the node's own.
    pub region: String,
    /// Empty: the node's own.
    pub endpoint: String,
    secret: SecretAccess,
}

/// Where credentials of tenants come from.
pub trait CredentialSource: Send + Sync {
    /// Those of a tenant; `None`: it has none of its own.
    ///
    /// # Errors
    /// Where it has some that cannot be used: the node's own do not take their place.
    fn of(&self, tenant: &str) -> Result<Option<Arc<Access>>, String>;
}

/// Credentials of tenants as coordinators have told them.
#[derive(Default)]
pub struct Given {
    /// By tenant, with the versions of their documents.
    told: Mutex<HashMap<String, (u64, Told)>>,
}

type Told = Result<Option<Arc<Access>>, String>;

impl Access {
    /// What a document says, with its secret half.
    pub fn new(credentials: &Credentials, secret: SecretAccess) -> Access {
        Access {
            tenant: credentials.tenant.clone(),
            access_key_id: credentials.access_key_id.clone(),
            region: credentials.region.clone(),
            endpoint: credentials.endpoint.clone(),
            secret,
        }
    }

    /// The settings of a store that is opened with these credentials: of the node's own what has nothing to do with who it
    /// is, such as whether plain HTTP will do.
    pub(crate) fn settings(
        &self,
        own: impl IntoIterator<Item = (String, String)>,
    ) -> Vec<(AmazonS3ConfigKey, String)> {
        use AmazonS3ConfigKey as Key;
        let own = own.into_iter().filter_map(|(name, value)| Some((name.parse::<Key>().ok()?, value)));
        let kept = own.filter(|(key, _)| match key {
            Key::Region | Key::DefaultRegion => self.region.is_empty(),
            Key::Endpoint | Key::S3Endpoint => self.endpoint.is_empty(),
            // How it is spoken, by whomever. All else may say who the node is, or be secret, as keys that objects are encrypted
            // with.
            Key::Client(_) | Key::VirtualHostedStyleRequest | Key::UnsignedPayload => true,
            Key::Checksum | Key::CopyIfNotExists | Key::ConditionalPut => true,
            Key::DisableTagging | Key::DisableBulkDelete | Key::S3Express | Key::RequestPayer => true,
            _ => false,
        });
        let given = [
            (Key::AccessKeyId, &self.access_key_id),
            (Key::SecretAccessKey, &self.secret.secret_access_key),
            (Key::Token, &self.secret.session_token),
            (Key::Region, &self.region),
            (Key::Endpoint, &self.endpoint),
        ];
        let given = given.into_iter().filter(|(_, value)| !value.is_empty());
        kept.chain(given.map(|(key, value)| (key, value.clone()))).collect()
    }

    /// A text that a store has sent, without what is secret: some repeat the request that they refuse.
    pub(crate) fn without_secrets(&self, text: &str) -> String {
        let SecretAccess { secret_access_key, session_token } = &self.secret;
        let secrets = [secret_access_key, session_token].into_iter().filter(|secret| !secret.is_empty());
        secrets.fold(text.to_string(), |text, secret| text.replace(secret.as_str(), "…"))
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Access({} of {})", self.access_key_id, self.tenant)
    }
}

impl Given {
    /// Takes what a coordinator has told, unless something later is known.
    pub fn take(&self, told: StoreAccess) {
        let StoreAccess { tenant, version, credentials, secret, failure } = told;
        let access = match (credentials, secret) {
            (None, _) => Ok(None),
            (Some(credentials), Some(secret)) if failure.is_empty() => {
                Ok(Some(Arc::new(Access::new(&credentials, secret))))
            }
            (Some(_), _) => Err(failure),
        };
        let mut all = self.told.lock();
        // Of the same, another coordinator may have the key that one lacks.
        let is_news = all
            .get(&tenant)
            .is_none_or(|(known, before)| version > *known || version == *known && before.is_err());
        if is_news {
            all.insert(tenant, (version, access));
        }
    }
}

impl Given {
    /// Whether a tenant has credentials of its own, of use or not.
    pub(crate) fn has_own(&self, tenant: &str) -> bool {
        !matches!(self.of(tenant), Ok(None))
    }
}

impl CredentialSource for Given {
    fn of(&self, tenant: &str) -> Told {
        self.told.lock().get(tenant).map_or(Ok(None), |(_, access)| access.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(version: u64, secret: Option<&str>) -> StoreAccess {
        let credentials = Credentials {
            tenant: "acme".into(),
            access_key_id: "AKIA1".into(),
            region: "eu-west-1".into(),
            ..Credentials::default()
        };
        StoreAccess {
            tenant: "acme".into(),
            version,
            credentials: Some(credentials),
            secret: secret
                .map(|secret| SecretAccess { secret_access_key: secret.into(), session_token: "t".into() }),
            failure: secret.map_or("no key".into(), |_| String::new()),
        }
    }

    fn secret_of(given: &Given) -> String {
        given.of("acme").unwrap().unwrap().secret.secret_access_key.clone()
    }

    #[test]
    fn the_latest_counts() {
        let given = Given::default();
        assert_eq!(given.of("acme"), Ok(None));
        given.take(told(3, None));
        assert_eq!(given.of("acme"), Err("no key".into()));
        given.take(told(3, Some("a")));
        given.take(told(3, None));
        given.take(told(2, Some("b")));
        assert_eq!(secret_of(&given), "a");
        given.take(told(4, Some("c")));
        assert_eq!(secret_of(&given), "c");
        given.take(StoreAccess { tenant: "acme".into(), version: 5, ..StoreAccess::default() });
        assert_eq!((given.of("acme"), given.of("zeta")), (Ok(None), Ok(None)));
        given.take(told(4, Some("c")));
        assert_eq!(given.of("acme"), Ok(None));
    }

    #[test]
    fn nothing_of_who_the_node_is_stays() {
        use AmazonS3ConfigKey as Key;
        let given = Given::default();
        given.take(told(1, Some("half")));
        let access = given.of("acme").unwrap().unwrap();
        let own = [
            ("aws_access_key_id", "node"),
            ("aws_secret_access_key", "node"),
            ("aws_session_token", "node"),
            ("aws_skip_signature", "true"),
            ("aws_role_arn", "node"),
            ("aws_server_side_encryption", "sse-c"),
            ("aws_sse_customer_key_base64", "node"),
            ("aws_sse_kms_key_id", "node"),
            ("aws_container_credentials_full_uri", "http://node"),
            ("aws_allow_http", "true"),
            ("aws_virtual_hosted_style_request", "true"),
            ("aws_region", "us-east-1"),
            ("aws_default_region", "us-east-1"),
            ("aws_endpoint", "http://store"),
            ("home", "/"),
        ];
        let settings = access.settings(own.map(|(name, value)| (name.to_string(), value.to_string())));
        let expected = [
            (Key::Client(object_store::ClientConfigKey::AllowHttp), "true"),
            (Key::VirtualHostedStyleRequest, "true"),
            (Key::Endpoint, "http://store"),
            (Key::AccessKeyId, "AKIA1"),
            (Key::SecretAccessKey, "half"),
            (Key::Token, "t"),
            (Key::Region, "eu-west-1"),
        ];
        assert_eq!(settings, expected.map(|(key, value)| (key, value.to_string())));
        assert_eq!(format!("{access:?}"), "Access(AKIA1 of acme)");
        assert_eq!(access.without_secrets("x half y"), "x … y");
    }
}
