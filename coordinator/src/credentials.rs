//! Tenants' own credentials for the object store: what the published documents say, decrypted. They are in memory alone, and
//! shards are told of them with their orders.

use crate::catalog::{CatalogState, CatalogStore, Policy};
use flight_proto::Message;
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

    /// What a shard is to be told that was told `before`, as far as it goes into one message; and whether that is all. What is
    /// told is noted.
    pub(crate) fn news(
        &self,
        snapshot: &CatalogState,
        before: &mut ToldVersions,
    ) -> (Vec<StoreAccess>, bool) {
        news(&self.keys, snapshot.policy(), snapshot.tenants(), before)
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

/// Which versions of documents a shard was told, by tenant.
pub(crate) type ToldVersions = HashMap<String, u64>;

/// Bytes of credentials in one message.
const NEWS_BYTES: usize = 4 << 20;

fn news<'a>(
    keys: &SecretKeys,
    policy: &Policy,
    tenants: impl Iterator<Item = &'a str>,
    before: &mut ToldVersions,
) -> (Vec<StoreAccess>, bool) {
    let (mut news, mut bytes) = (Vec::new(), 0);
    for tenant in tenants {
        let Some((version, _)) = policy.credentials(tenant) else { continue };
        if before.get(tenant) == Some(&version) {
            continue;
        }
        if bytes >= NEWS_BYTES {
            return (news, false);
        }
        let Some(access) = told(keys, policy, tenant) else { continue };
        bytes += access.encoded_len();
        before.insert(tenant.into(), version);
        news.push(access);
    }
    (news, true)
}

fn told(keys: &SecretKeys, policy: &Policy, tenant: &str) -> Option<StoreAccess> {
    let (version, credentials) = policy.credentials(tenant)?;
    let told = StoreAccess { tenant: tenant.into(), version, ..StoreAccess::default() };
    let Some(credentials) = credentials else { return Some(told) };
    let (secret, failure) = match credentials.open(keys) {
        Ok(secret) => (Some(secret), String::new()),
        Err(why) => (None, why.to_string()),
    };
    // Shards have no use for what they cannot decrypt.
    let credentials = Credentials { sealed: None, ..(**credentials).clone() };
    Some(StoreAccess { credentials: Some(credentials), secret, failure, ..told })
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
    fn what_is_too_much_for_a_message_goes_into_several() {
        let mut policy = Policy::default();
        let names: Vec<String> = (0..1000).map(|number| format!("t{number}")).collect();
        for name in &names {
            let plain = Credentials { tenant: name.clone(), ..Credentials::default() };
            let long = SecretAccess { session_token: "x".repeat(16_384), ..secret() };
            let sealed = plain.sealed(&keys('A'), &long).unwrap();
            policy.take(document(&format!("credentials/{name}"), 1, Subject::Credentials(sealed)));
        }
        let (mut before, mut all, mut rounds) = (ToldVersions::default(), Vec::new(), 0);
        loop {
            let tenants = names.iter().map(String::as_str);
            let (news, whole) = news(&keys('A'), &policy, tenants, &mut before);
            assert!(news.iter().map(Message::encoded_len).sum::<usize>() < NEWS_BYTES + (32 << 10));
            all.extend(news.into_iter().map(|access| access.tenant));
            rounds += 1;
            if whole {
                break;
            }
        }
        assert_eq!((all, rounds), (names, 4));
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
        assert_eq!(access.credentials.unwrap().sealed, None);
        assert_eq!(told(&keys('A'), &policy, "zeta"), None);
        let mut before = ToldVersions::default();
        let mut versions = |policy: &Policy| {
            let (news, whole) = news(&keys('A'), policy, ["acme", "zeta"].into_iter(), &mut before);
            assert!(whole);
            news.iter().map(|access| access.version).collect::<Vec<_>>()
        };
        assert_eq!((versions(&policy), versions(&policy)), (vec![3], vec![]), "once is enough");
        // Who lacks the key tells so; who has it tells the same shard the same version nevertheless.
        let (lacking, _) =
            news(&SecretKeys::default(), &policy, ["acme"].into_iter(), &mut ToldVersions::default());
        assert!(lacking[0].secret.is_none() && lacking[0].version == 3);
        let (has, _) = news(&keys('A'), &policy, ["acme"].into_iter(), &mut ToldVersions::default());
        assert!(has[0].secret.is_some() && has[0].version == 3);
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
