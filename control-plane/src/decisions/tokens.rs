//! Access tokens: JSON Web Tokens, signed with the control plane's own keys. That one was made is in the audit, the token is not.

use super::{SECOND_US, check_name, check_roles, issuers, jwt, tenants};
use crate::database::Database;
use crate::error::{Error, Result};
use crate::hex;
use crate::json::{NewToken, Token};
use crate::signing;
use flight_proto::policy::{TenantStatus, tenant_document};
use serde_json::json;

/// The life of tokens that ask for none, in seconds.
const LIFETIME_S: u64 = 3_600;
/// The longest life, in seconds.
const LIFETIME_MOST_S: u64 = 86_400;
pub(crate) const LIFETIME_MOST_US: i64 = LIFETIME_MOST_S.cast_signed() * SECOND_US;

/// Makes a token for a user of a tenant.
pub(crate) async fn create(database: &Database, who: &str, wanted: NewToken) -> Result<Token> {
    check_name("a user", &wanted.user)?;
    check_roles(&wanted.roles)?;
    let lifetime_s = wanted.lifetime_s.unwrap_or(LIFETIME_S);
    if lifetime_s == 0 || lifetime_s > LIFETIME_MOST_S {
        return Err(Error::Invalid(format!("a token lives for 1 to {LIFETIME_MOST_S} seconds")));
    }
    let mut change = database.change(who).await?;
    let tenant = tenants::of(&mut change, &wanted.tenant).await?;
    if tenant.status() != TenantStatus::Active {
        return Err(Error::Conflict(format!("the tenant '{}' is suspended; resume it first", tenant.name)));
    }
    let now_us = change.now_us;
    let keys = issuers::own(&mut issuers::load(&mut change).await?).keys.clone();
    let mut signing = None;
    // The oldest that may sign: coordinators have heard of it for longest.
    for key in keys.iter().filter(|key| key.retired_at_us == 0 || now_us < key.retired_at_us) {
        signing = change.token_key(&key.id).await?;
        if signing.is_some() {
            break;
        }
    }
    let signing = signing.ok_or_else(|| Error::Internal("no signing key is in use".into()))?;
    let id = hex::encode(&signing::random::<16>()?);
    let issued_at_s = now_us / SECOND_US;
    let expires_at_s = issued_at_s + lifetime_s.cast_signed();
    let claims = json!({
        "iss": issuers::OWN,
        "aud": issuers::OWN,
        "sub": wanted.user,
        "tenant": tenant.name,
        "roles": wanted.roles,
        "iat": issued_at_s,
        "exp": expires_at_s,
        "jti": id,
    });
    let token = jwt::sign(&signing, &claims);
    let made = json!({ "token": id, "user": wanted.user, "roles": wanted.roles, "expires_at_us": expires_at_s * SECOND_US, "key": signing.id() });
    change.record("create token", &tenant_document(&tenant.name), None, Some(made)).await?;
    change.commit().await?;
    Ok(Token { token, id, expires_at_us: expires_at_s * SECOND_US })
}
