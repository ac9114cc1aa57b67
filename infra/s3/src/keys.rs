//! Who may read and write what: access keys, each with the prefixes that it reaches. Signatures are verified by `s3s`.

use crate::Credentials;
use hyper::Request;
use percent_encoding::percent_decode_str;
use s3s::auth::{S3Auth, SecretKey};
use s3s::{Body, S3Result, s3_error};
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

/// The access keys of a server, which can be changed while it runs. Clones share them.
#[derive(Clone, Default)]
pub struct Keys(Arc<RwLock<BTreeMap<String, Key>>>);

#[derive(Clone)]
struct Key {
    secret: String,
    /// `BUCKET/PREFIX`; `None`: everything.
    prefixes: Option<Vec<String>>,
}

impl Keys {
    /// One key that reaches everything.
    pub fn of(credentials: &Credentials) -> Keys {
        let keys = Keys::default();
        keys.put(credentials, None);
        keys
    }

    /// Takes a key, or changes it: it reads, writes and lists what begins with one of `BUCKET/PREFIX`, and lists the
    /// folders on the way there.
    pub fn grant(&self, credentials: &Credentials, prefixes: &[&str]) {
        self.put(credentials, Some(prefixes.iter().map(|prefix| prefix.to_string()).collect()));
    }

    fn put(&self, credentials: &Credentials, prefixes: Option<Vec<String>>) {
        let key = Key { secret: credentials.secret_key.clone(), prefixes };
        let mut keys = self.0.write().unwrap_or_else(PoisonError::into_inner);
        keys.insert(credentials.access_key.clone(), key);
    }

    /// Lets a key be good for nothing.
    pub fn revoke(&self, access_key: &str) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(access_key);
    }

    fn find(&self, access_key: &str) -> Option<Key> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(access_key).cloned()
    }

    /// Whether the key that a request names reaches what it asks for; of others `s3s` says what is wrong.
    pub(crate) fn reaches(&self, request: &Request<Body>) -> bool {
        let shown = request.headers().get("authorization").and_then(|value| value.to_str().ok());
        let id = shown.and_then(|shown| shown.split_once("Credential=")?.1.split_once('/'));
        let Some(prefixes) = id.and_then(|(id, _)| self.find(id)?.prefixes) else { return true };
        let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let path = decoded(request.uri().path().trim_start_matches('/'));
        let (bucket, key) = path.split_once('/').unwrap_or((&path, ""));
        if !key.is_empty() {
            return prefixes.iter().any(|prefix| path.starts_with(prefix.as_str()));
        }
        let query = request.uri().query().unwrap_or_default();
        let of = |name: &str| {
            let mut words = query.split('&').filter_map(|word| word.split_once('='));
            words.find(|(known, _)| *known == name).map(|(_, value)| decoded(value))
        };
        let listed = format!("{bucket}/{}", of("prefix").unwrap_or_default());
        let (lists, one_floor) = (of("list-type").is_some(), of("delimiter").is_some());
        lists
            && prefixes
                .iter()
                .any(|prefix| listed.starts_with(prefix.as_str()) || one_floor && prefix.starts_with(&listed))
    }
}

#[async_trait::async_trait]
impl S3Auth for Keys {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        match self.find(access_key) {
            Some(key) => Ok(SecretKey::from(key.secret)),
            None => Err(s3_error!(InvalidAccessKeyId)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(key: &str, uri: &str) -> Request<Body> {
        let shown =
            format!("AWS4-HMAC-SHA256 Credential={key}/20260101/us-east-1/s3/aws4_request, Signature=0");
        Request::builder().uri(uri).header("authorization", shown).body(Body::empty()).unwrap()
    }

    #[test]
    fn keys_reach_their_prefixes() {
        let keys = Keys::default();
        let key = |name: &str| Credentials { access_key: name.into(), secret_key: "x".into() };
        keys.grant(&key("acme"), &["b/t/acme/"]);
        keys.put(&key("all"), None);
        for (uri, reaches) in [
            ("/b/t/acme/1/data/x", true),
            ("/b/t/acme%2F1", true),
            ("/b/t/acmes/1", false),
            ("/b/t/zeta/1", false),
            ("/b?list-type=2&prefix=t%2Facme%2F1%2F", true),
            ("/b?list-type=2&prefix=t%2Facme%2F1%2F&delimiter=%2F", true),
            ("/b?list-type=2&prefix=t%2F&delimiter=%2F", true),
            ("/b?list-type=2&prefix=t%2F", false),
            ("/b?list-type=2&prefix=t%2Fzeta%2F&delimiter=%2F", false),
            ("/b?list-type=2", false),
            ("/b/?delete", false),
            ("/", false),
        ] {
            assert_eq!(keys.reaches(&request("acme", uri)), reaches, "{uri}");
            assert!(keys.reaches(&request("all", uri)));
        }
        keys.revoke("acme");
        assert!(keys.reaches(&request("acme", "/b/t/zeta/1")), "s3s does not know it");
    }
}
