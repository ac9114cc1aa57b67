//! Tenants' own credentials for the object store: set and taken back. The secret half is encrypted before it is kept.

use super::tenants;
use crate::database::Database;
use crate::error::{Error, Result};
use crate::json::{Credentials, NewCredentials};
use flight_proto::credentials::SecretAccess;
use flight_proto::policy::{self, Document, Gone, Subject, credentials_document};
use flight_proto::sealed::SecretKeys;

/// In bytes: AWS gives 20 and 40, others more.
const KEY_ID_MOST: usize = 128;
const SECRET_MOST: usize = 1024;
/// Session tokens of AWS have no end that is told; these are documents of a catalog.
const TOKEN_MOST: usize = 16_384;
const ENDPOINT_MOST: usize = 1024;

pub(crate) async fn show(database: &Database, tenant: &str) -> Result<Credentials> {
    let created = tenants::created(database, tenant).await?;
    let held = database.document(&credentials_document(tenant)).await?;
    let own = held.as_ref().filter(|held| held.document.version > created);
    own.and_then(|held| told(&held.document)).ok_or_else(|| unknown(tenant))
}

/// Has a tenant's objects read and written by this access key. Where no region or endpoint is named, those that it has stay:
/// whoever changes a key thinks of the key.
pub(crate) async fn put(
    database: &Database,
    keys: &SecretKeys,
    who: &str,
    tenant: &str,
    wanted: NewCredentials,
) -> Result<Credentials> {
    check(&wanted)?;
    let mut change = database.change(who).await?;
    let created = tenants::of(&mut change, tenant).await?.created_version;
    let name = credentials_document(tenant);
    // Others are of a tenant that had the name before.
    let held = change.document(&name).await?.filter(|held| held.document.version > created);
    let before = held.as_ref().and_then(|held| told(&held.document));
    let (region, endpoint) = match before {
        None => (wanted.region, wanted.endpoint),
        Some(before) => {
            let or = |wanted: String, before: String| if wanted.is_empty() { before } else { wanted };
            let endpoint = or(wanted.endpoint, before.endpoint.clone());
            if endpoint != before.endpoint && !wanted.force {
                let known = match before.endpoint.as_str() {
                    "" => "that of the nodes",
                    endpoint => endpoint,
                };
                return Err(Error::Conflict(format!(
                    "the objects of the tenant '{tenant}' are at another endpoint ({known}): what it has would not be found \
                     at {endpoint}, unless that reaches the same objects; if it does, set it with --force"
                )));
            }
            (or(wanted.region, before.region), endpoint)
        }
    };
    let secret =
        SecretAccess { secret_access_key: wanted.secret_access_key, session_token: wanted.session_token };
    let credentials = policy::Credentials {
        tenant: tenant.into(),
        access_key_id: wanted.access_key_id,
        region,
        endpoint,
        ..policy::Credentials::default()
    };
    let sealed = credentials.sealed(keys, &secret);
    let sealed = sealed.map_err(|why| {
        Error::Conflict(format!("the credentials of the tenant '{tenant}' cannot be kept: {why}"))
    })?;
    let document = change.decide(&name, "set credentials", Subject::Credentials(sealed)).await?;
    change.commit().await?;
    told(&document).ok_or_else(|| unknown(tenant))
}

/// Has a tenant's objects read and written by the nodes' own credentials. Gives what it had; also of a tenant that was
/// deleted, whose credentials were kept so that what it had can be dropped.
pub(crate) async fn delete(database: &Database, who: &str, tenant: &str) -> Result<Credentials> {
    let mut change = database.change(who).await?;
    let name = credentials_document(tenant);
    let before = change.document(&name).await?.as_ref().and_then(|held| told(&held.document));
    let before = before.ok_or_else(|| unknown(tenant))?;
    change.decide(&name, "delete credentials", Subject::Gone(Gone {})).await?;
    change.commit().await?;
    Ok(before)
}

/// Says what is wrong without what was given.
fn check(wanted: &NewCredentials) -> Result<()> {
    let visible = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
    let checks = [
        ("an access key id", &wanted.access_key_id, 1, KEY_ID_MOST),
        ("a secret access key", &wanted.secret_access_key, 1, SECRET_MOST),
        ("a session token", &wanted.session_token, 0, TOKEN_MOST),
        ("a region", &wanted.region, 0, KEY_ID_MOST),
        ("an endpoint", &wanted.endpoint, 0, ENDPOINT_MOST),
    ];
    for (what, text, least, most) in checks {
        if !(least..=most).contains(&text.len()) || !visible(text) {
            return Err(Error::Invalid(format!(
                "{what} is {least} to {most} visible ASCII characters without blanks"
            )));
        }
    }
    let has_scheme = ["http://", "https://"].iter().any(|scheme| wanted.endpoint.starts_with(scheme));
    match wanted.endpoint.is_empty() || has_scheme && !wanted.endpoint.contains('@') {
        true => Ok(()),
        false => Err(Error::Invalid("expected an endpoint such as https://s3.example.com".into())),
    }
}

fn told(document: &Document) -> Option<Credentials> {
    let Some(Subject::Credentials(credentials)) = &document.subject else { return None };
    Some(Credentials::of(credentials, document.version, document.decided_at_us))
}

fn unknown(tenant: &str) -> Error {
    let tenant: String = tenant.chars().take(100).collect();
    Error::NotFound(format!(
        "the tenant '{tenant}' has no credentials of its own; `tundra tenant credentials set` gives it some"
    ))
}
