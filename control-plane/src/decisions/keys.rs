//! API keys of tenants: made, listed, revoked. Of a key the hash is kept; the key itself is told once, to whom it was made for.

use super::{SECOND_US, check_name, check_roles, tenants};
use crate::database::{Change, Database};
use crate::error::{Error, Result};
use crate::json::{ApiKey, CreatedKey, NewKey};
use crate::{hex, signing};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use flight_proto::policy::{self, ApiKeys, Subject, keys_document};

/// The most keys of a tenant: all of them are one document.
const KEYS_MOST: usize = 1_000;
/// A hundred years, in seconds: the longest life that is asked for.
const LIFETIME_MOST_S: u64 = 100 * 365 * 86_400;

/// The keys of a tenant, without secrets.
pub(crate) async fn list(database: &Database, tenant: &str) -> Result<Vec<ApiKey>> {
    tenants::show(database, tenant).await?;
    let held = database.document(&keys_document(tenant)).await?;
    Ok(match held.and_then(|held| held.document.subject) {
        Some(Subject::ApiKeys(keys)) => keys.keys.iter().map(ApiKey::from).collect(),
        _ => Vec::new(),
    })
}

pub(crate) async fn create(
    database: &Database,
    who: &str,
    tenant: &str,
    wanted: NewKey,
) -> Result<CreatedKey> {
    check_name("a user", &wanted.user)?;
    check_roles(&wanted.roles)?;
    if wanted.lifetime_s.is_some_and(|lifetime_s| lifetime_s == 0 || lifetime_s > LIFETIME_MOST_S) {
        return Err(Error::Invalid(format!("a key lives for 1 to {LIFETIME_MOST_S} seconds, or for ever")));
    }
    let (id, secret) = (hex::encode(&signing::random::<8>()?), signing::random::<32>()?);
    let key = format!("tundra_{id}_{}", URL_SAFE_NO_PAD.encode(secret));
    let mut change = database.change(who).await?;
    let mut keys = of(&mut change, tenant).await?;
    if keys.keys.len() >= KEYS_MOST {
        let why = format!("the tenant '{tenant}' has {KEYS_MOST} keys; revoke those that nobody uses");
        return Err(Error::Conflict(why));
    }
    let lifetime_us = wanted.lifetime_s.map(|lifetime_s| lifetime_s.cast_signed() * SECOND_US);
    let expires_at_us = lifetime_us.map_or(0, |lifetime_us| change.now_us + lifetime_us);
    keys.keys.push(policy::ApiKey {
        id: id.clone(),
        sha256: signing::sha256(key.as_bytes()),
        user: wanted.user.clone(),
        roles: wanted.roles.clone(),
        expires_at_us,
    });
    change.decide(&keys_document(tenant), "create key", Subject::ApiKeys(keys)).await?;
    change.commit().await?;
    Ok(CreatedKey { id, key, user: wanted.user, roles: wanted.roles, expires_at_us })
}

/// Has a key be good for nothing. Gives what it was.
pub(crate) async fn revoke(database: &Database, who: &str, tenant: &str, id: &str) -> Result<ApiKey> {
    let mut change = database.change(who).await?;
    let mut keys = of(&mut change, tenant).await?;
    let at = keys.keys.iter().position(|key| key.id == id);
    let at = at.ok_or_else(|| Error::NotFound(format!("the tenant '{tenant}' has no such key")))?;
    let revoked = ApiKey::from(&keys.keys.remove(at));
    change.decide(&keys_document(tenant), "revoke key", Subject::ApiKeys(keys)).await?;
    change.commit().await?;
    Ok(revoked)
}

async fn of(change: &mut Change<'_>, tenant: &str) -> Result<ApiKeys> {
    tenants::of(change, tenant).await?;
    let held = change.document(&keys_document(tenant)).await?;
    Ok(match held.and_then(|held| held.document.subject) {
        Some(Subject::ApiKeys(keys)) => keys,
        _ => ApiKeys { tenant: tenant.into(), keys: Vec::new() },
    })
}
