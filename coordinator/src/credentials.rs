//! Tenants' own credentials for the object store: what the published documents say, decrypted. They are in memory alone, and
//! shards are told of them with their orders.

use crate::catalog::{CatalogState, CatalogStore, Policy};
use flight_proto::credentials::{Credentials, StoreAccess};
use flight_proto::sealed::SecretKeys;
use parking_lot::Mutex;
use shard::{Access, CredentialSource};
use std::collections::HashMap;
use std::sync::Arc;

/// The credentials of all tenants, as the catalog has them at the moment.
pub(crate) struct TenantCredentials {
    catalog: Arc<dyn CatalogStore>,
    keys: SecretKeys,
    /// By tenant, with the version of the document.
    opened: Mutex<HashMap<String, (u64, Opened)>>,
}

type Opened = Result<Arc<Access>, String>;

impl TenantCredentials {
    pub(crate) fn new(catalog: Arc<dyn CatalogStore>, keys: SecretKeys) -> TenantCredentials {
        TenantCredentials { catalog, keys, opened: Mutex::default() }
    }

    /// What a shard is told of a tenant's credentials; `None`: the tenant never had any.
    pub(crate) fn told(&self, snapshot: &CatalogState, tenant: &str) -> Option<StoreAccess> {
        told(&self.keys, snapshot.policy(), tenant)
    }

    fn open(&self, version: u64, credentials: &Credentials) -> Opened {
        let tenant = &credentials.tenant;
        if let Some((_, opened)) = self.opened.lock().get(tenant).filter(|(known, _)| *known == version) {
            return opened.clone();
        }
        let opened = match credentials.open(&self.keys) {
            Ok(secret) => Ok(Arc::new(Access::new(credentials, secret))),
            Err(why) => {
                tracing::error!(
                    "the credentials of the tenant '{tenant}' for the object store cannot be used: {why}"
                );
                Err(why.to_string())
            }
        };
        self.opened.lock().insert(tenant.clone(), (version, opened.clone()));
        opened
    }
}

fn told(keys: &SecretKeys, policy: &Policy, tenant: &str) -> Option<StoreAccess> {
    let (version, credentials) = policy.credentials(tenant)?;
    let told = StoreAccess { tenant: tenant.into(), version, ..StoreAccess::default() };
    let Some(credentials) = credentials else { return Some(told) };
    let (secret, failure) = match credentials.open(keys) {
        Ok(secret) => (Some(secret), String::new()),
        Err(why) => (None, why.to_string()),
    };
    Some(StoreAccess { credentials: Some((**credentials).clone()), secret, failure, ..told })
}

impl CredentialSource for TenantCredentials {
    fn of(&self, tenant: &str) -> Result<Option<Arc<Access>>, String> {
        let snapshot = self.catalog.snapshot();
        match snapshot.policy().credentials(tenant) {
            Some((version, Some(credentials))) => self.open(version, credentials).map(Some),
            Some((_, None)) | None => {
                self.opened.lock().remove(tenant);
                Ok(None)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flight_proto::credentials::SecretAccess;
    use flight_proto::policy::{Document, Gone, Subject, Tenant};

    fn keys(letter: char) -> SecretKeys {
        // 32 bytes.
        SecretKeys::parse(&format!("{}=", letter.to_string().repeat(43))).unwrap()
    }

    fn document(name: &str, version: u64, subject: Subject) -> Document {
        Document { name: name.into(), version, decided_at_us: 1, subject: Some(subject) }
    }

    fn secret() -> SecretAccess {
        SecretAccess { secret_access_key: "half".into(), ..SecretAccess::default() }
    }

    #[test]
    fn shards_are_told_of_the_latest_document() {
        let mut policy = Policy::default();
        assert_eq!(told(&keys('A'), &policy, "acme"), None);
        let credentials =
            Credentials { tenant: "acme".into(), access_key_id: "AKIA1".into(), ..Credentials::default() };
        let sealed = credentials.sealed(&keys('A'), &secret()).unwrap();
        policy.take(document("credentials/acme", 3, Subject::Credentials(sealed.clone())));
        let access = told(&keys('A'), &policy, "acme").unwrap();
        assert_eq!((access.version, access.secret, access.failure.as_str()), (3, Some(secret()), ""));
        assert_eq!(told(&keys('A'), &policy, "zeta"), None);
        let access = told(&keys('Q'), &policy, "acme").unwrap();
        assert!(access.secret.is_none() && access.failure.contains("--secret-key"), "{access:?}");

        policy.take(document("credentials/acme", 4, Subject::Gone(Gone {})));
        let access = told(&keys('A'), &policy, "acme").unwrap();
        assert_eq!((access.version, access.credentials), (4, None));

        // One that has the name later has nothing of it.
        policy.take(document("credentials/acme", 5, Subject::Credentials(sealed)));
        assert!(policy.credentials("acme").unwrap().1.is_some());
        policy.take(document("tenant/acme", 6, Subject::Gone(Gone {})));
        assert!(policy.credentials("acme").unwrap().1.is_some(), "what it had is to be dropped by them");
        let anew = Tenant { name: "acme".into(), created_version: 7, ..Tenant::default() };
        policy.take(document("tenant/acme", 7, Subject::Tenant(anew)));
        let access = told(&keys('A'), &policy, "acme").unwrap();
        assert_eq!((access.version, access.credentials), (7, None));
    }
}
