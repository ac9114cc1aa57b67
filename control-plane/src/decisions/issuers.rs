//! Who makes access tokens, in one document: the control plane itself with its signing keys, and OpenID providers.
//!
//! A signing key is in use, then retired (tokens that were made before stay good), then forgotten once all of these have
//! expired. A new key signs once its predecessor is retired, which is a while after it was made: the coordinators know it then.

use super::{ITSELF, SECOND_US, tokens};
use crate::database::{Change, Database};
use crate::error::Result;
use crate::json::{self, Rotate};
use flight_proto::policy::{self, Algorithm, Document, ISSUERS, Issuers, Subject, TokenKey};

/// The control plane's own tokens have this in `iss` and in `aud`.
pub(crate) const OWN: &str = "tundra";
/// How long a key that is rotated out signs on, in microseconds.
const OVERLAP_US: i64 = 60 * SECOND_US;

/// All issuers, the control plane first.
pub(crate) async fn list(database: &Database) -> Result<Vec<json::Issuer>> {
    let sources = database.jwks_sources().await?;
    let held = database.document(ISSUERS).await?;
    let issuers = of(held.as_ref().map(|held| &held.document));
    let told = issuers.issuers.iter().map(|issuer| {
        let mut told = json::Issuer::from(issuer);
        if let Some(source) = sources.iter().find(|source| source.issuer == issuer.issuer) {
            told.jwks_url = Some(source.jwks_url.clone());
            told.fetched_at_us = Some(source.fetched_at_us);
            told.failure = (!source.failure.is_empty()).then(|| source.failure.clone());
        }
        told
    });
    Ok(told.collect())
}

/// The control plane's own keys, those that are retired included.
pub(crate) async fn own_keys(database: &Database) -> Result<Vec<TokenKey>> {
    let held = database.document(ISSUERS).await?;
    let issuers = of(held.as_ref().map(|held| &held.document)).issuers;
    Ok(issuers.into_iter().find(is_own).map(|own| own.keys).unwrap_or_default())
}

/// Makes a new signing key, and retires those until now.
pub(crate) async fn rotate(database: &Database, who: &str, rotate: Rotate) -> Result<json::Issuer> {
    let mut change = database.change(who).await?;
    let mut issuers = load(&mut change).await?;
    let now_us = change.now_us;
    let keys = &mut own(&mut issuers).keys;
    match rotate.forget_old {
        true => keys.clear(),
        false => keys.iter_mut().filter(|key| key.retired_at_us == 0).for_each(|key| {
            key.retired_at_us = now_us + OVERLAP_US;
        }),
    }
    settle_with(&mut change, "rotate", issuers).await?;
    let mut issuers = load(&mut change).await?;
    change.commit().await?;
    Ok(json::Issuer::from(&*own(&mut issuers)))
}

/// Drops signing keys of which no token can be good any more.
pub(crate) async fn forget_retired(database: &Database) -> Result<()> {
    let (keys, now_us) = (own_keys(database).await?, database.now_us().await?);
    if !keys.iter().any(|key| is_over(key, now_us)) {
        return Ok(());
    }
    let mut change = database.change(ITSELF).await?;
    let mut issuers = load(&mut change).await?;
    own(&mut issuers).keys.retain(|key| !is_over(key, now_us));
    settle_with(&mut change, "forget", issuers).await?;
    change.commit().await
}

fn is_over(key: &TokenKey, now_us: i64) -> bool {
    key.retired_at_us != 0 && key.retired_at_us + tokens::LIFETIME_MOST_US < now_us
}

/// Makes sure that a signing key is in use of which the secret half is here, and that no other secret halves are.
pub(crate) async fn settle(change: &mut Change<'_>, action: &str) -> Result<()> {
    let issuers = load(change).await?;
    settle_with(change, action, issuers).await
}

async fn settle_with(change: &mut Change<'_>, action: &str, mut issuers: Issuers) -> Result<()> {
    let secrets = change.token_keys().await?;
    let now_us = change.now_us;
    let keys = &mut own(&mut issuers).keys;
    for key in keys.iter_mut().filter(|key| key.retired_at_us == 0 && !secrets.contains(&key.id)) {
        key.retired_at_us = now_us;
    }
    for id in &secrets {
        if !keys.iter().any(|key| key.id == *id) {
            change.forget_token_key(id).await?;
        }
    }
    if !keys.iter().any(|key| key.retired_at_us == 0) {
        let made = change.make_token_key().await?;
        keys.push(TokenKey {
            id: made.id(),
            algorithm: Algorithm::EdDsa.into(),
            public_key: made.public().to_vec(),
            retired_at_us: 0,
        });
    }
    decide(change, action, issuers).await
}

/// What the database cannot take over with this document from the cluster, in words; `settle` is to follow.
pub(crate) async fn take_over(change: &mut Change<'_>, document: &Document) -> Result<String> {
    let mut issuers = of(Some(document));
    let mut told = String::new();
    let secrets = change.token_keys().await?;
    for key in &own(&mut issuers).keys {
        if key.retired_at_us == 0 && !secrets.contains(&key.id) {
            told += &format!(
                "; the secret half of the signing key {} is lost: tokens that were made with it stay good, and a new \
                 key is made",
                key.id
            );
        }
    }
    let sources = change.jwks_sources().await?;
    for source in &sources {
        if !issuers.issuers.iter().any(|issuer| issuer.issuer == source.issuer) {
            change.remove_jwks_source(&source.issuer).await?;
        }
    }
    for issuer in issuers.issuers.iter().filter(|issuer| !is_own(issuer)) {
        if !sources.iter().any(|source| source.issuer == issuer.issuer) {
            told += &format!(
                "; where the keys of {} come from is lost: they stay as they are until the issuer is put again",
                issuer.issuer
            );
        }
    }
    Ok(told)
}

pub(super) async fn load(change: &mut Change<'_>) -> Result<Issuers> {
    let held = change.document(ISSUERS).await?;
    Ok(of(held.as_ref().map(|held| &held.document)))
}

/// Decides who makes tokens: the control plane first, the others by name.
pub(super) async fn decide(change: &mut Change<'_>, action: &str, mut issuers: Issuers) -> Result<()> {
    issuers.issuers.sort_by(|one, other| (!is_own(one), &one.issuer).cmp(&(!is_own(other), &other.issuer)));
    change.decide(ISSUERS, action, Subject::Issuers(issuers)).await.map(drop)
}

fn of(document: Option<&Document>) -> Issuers {
    match document.and_then(|document| document.subject.as_ref()) {
        Some(Subject::Issuers(issuers)) => issuers.clone(),
        _ => Issuers::default(),
    }
}

pub(super) fn is_own(issuer: &policy::Issuer) -> bool {
    issuer.issuer == OWN
}

/// The control plane as an issuer.
pub(super) fn own(issuers: &mut Issuers) -> &mut policy::Issuer {
    let all = &mut issuers.issuers;
    let at = all.iter().position(is_own).unwrap_or_else(|| {
        all.push(policy::Issuer {
            issuer: OWN.into(),
            audience: OWN.into(),
            tenant: String::new(),
            user_claim: "sub".into(),
            roles_claim: "roles".into(),
            keys: Vec::new(),
        });
        all.len() - 1
    });
    &mut all[at]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_kept_as_long_as_tokens_of_theirs_may_be_good() {
        let key = |retired_at_us| TokenKey { retired_at_us, ..TokenKey::default() };
        let most = tokens::LIFETIME_MOST_US;
        assert!(!is_over(&key(0), i64::MAX), "it is in use");
        assert!(!is_over(&key(5), 5 + most));
        assert!(is_over(&key(5), 6 + most));
    }
}
