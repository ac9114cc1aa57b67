//! OpenID providers: their keys are fetched when they are put, and every so often. One that cannot be reached keeps its last
//! keys.

use super::{ITSELF, check_name, issuers, jwks, tenants};
use crate::database::{Database, JwksSource};
use crate::error::{Error, Result};
use crate::json::{self, Provider};
use flight_proto::policy::{self, TokenKey};
use reqwest::Url;
use std::time::Duration;

/// How long a provider may take to give its keys.
const FETCH_TIMEOUT: Duration = Duration::from_secs(10);
/// The most bytes of keys.
const JWKS_BYTES_MOST: usize = 1 << 20;

/// Has coordinators take the tokens of a provider, or changes how.
pub(crate) async fn put(
    database: &Database,
    http: &reqwest::Client,
    who: &str,
    provider: Provider,
) -> Result<json::Issuer> {
    check(&provider)?;
    let (keys, left_out) = fetch(http, &provider.jwks_url).await?;
    let name = provider.issuer.clone();
    warn_of(&name, &left_out);
    let mut change = database.change(who).await?;
    if !provider.tenant.is_empty() {
        tenants::of(&mut change, &provider.tenant).await?;
    }
    let source = JwksSource {
        issuer: name.clone(),
        jwks_url: provider.jwks_url,
        fetched_at_us: change.now_us,
        failure: String::new(),
    };
    change.put_jwks_source(&source).await?;
    let user_claim = if provider.user_claim.is_empty() { "sub".into() } else { provider.user_claim };
    let mut all = issuers::load(&mut change).await?;
    all.issuers.retain(|issuer| issuer.issuer != name);
    all.issuers.push(policy::Issuer {
        issuer: name.clone(),
        audience: provider.audience,
        tenant: provider.tenant,
        user_claim,
        roles_claim: provider.roles_claim,
        keys,
    });
    issuers::decide(&mut change, "put issuer", all).await?;
    change.commit().await?;
    let found = issuers::list(database).await?.into_iter().find(|issuer| issuer.issuer == name);
    found.ok_or_else(|| unknown(&name))
}

/// Has coordinators take a provider's tokens no more.
pub(crate) async fn delete(database: &Database, who: &str, name: &str) -> Result<json::Issuer> {
    if name == issuers::OWN {
        let why = "the control plane's own tokens are always taken; rotate its signing keys to end old ones";
        return Err(Error::Conflict(why.into()));
    }
    let mut change = database.change(who).await?;
    let mut all = issuers::load(&mut change).await?;
    let at = all.issuers.iter().position(|issuer| issuer.issuer == name).ok_or_else(|| unknown(name))?;
    let deleted = json::Issuer::from(&all.issuers.remove(at));
    change.remove_jwks_source(name).await?;
    issuers::decide(&mut change, "delete issuer", all).await?;
    change.commit().await?;
    Ok(deleted)
}

/// Fetches the keys of all providers again.
pub(crate) async fn refresh(database: &Database, http: &reqwest::Client) -> Result<()> {
    for source in database.jwks_sources().await? {
        match fetch(http, &source.jwks_url).await {
            Ok((keys, left_out)) => {
                warn_of(&source.issuer, &left_out);
                take(database, source, keys).await?;
            }
            Err(error) => {
                tracing::warn!("{} keeps its last keys: {error}", source.issuer);
                database.note_jwks_failure(&source.issuer, &error.to_string()).await?;
            }
        }
    }
    Ok(())
}

/// Takes keys that were fetched, unless the provider was changed meanwhile.
async fn take(database: &Database, source: JwksSource, keys: Vec<TokenKey>) -> Result<()> {
    let mut change = database.change(ITSELF).await?;
    let sources = change.jwks_sources().await?;
    let same = |one: &&JwksSource| one.issuer == source.issuer && one.jwks_url == source.jwks_url;
    if sources.iter().find(same).is_none() {
        return Ok(());
    }
    let mut all = issuers::load(&mut change).await?;
    if let Some(issuer) = all.issuers.iter_mut().find(|issuer| issuer.issuer == source.issuer) {
        issuer.keys = keys;
    }
    let fetched = JwksSource { fetched_at_us: change.now_us, failure: String::new(), ..source };
    change.put_jwks_source(&fetched).await?;
    issuers::decide(&mut change, "fetch keys", all).await?;
    change.commit().await
}

async fn fetch(http: &reqwest::Client, url: &str) -> Result<(Vec<TokenKey>, Vec<String>)> {
    let failed = |error: reqwest::Error| Error::Provider(format!("cannot fetch {url}: {}", cause(&error)));
    let mut response = http.get(url).timeout(FETCH_TIMEOUT).send().await.map_err(failed)?;
    if !response.status().is_success() {
        return Err(Error::Provider(format!("{url} answered {}", response.status())));
    }
    let mut text = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        text.extend_from_slice(&chunk);
        if text.len() > JWKS_BYTES_MOST {
            return Err(Error::Provider(format!("{url} gives more than {JWKS_BYTES_MOST} bytes")));
        }
    }
    jwks::read(&text).map_err(|why| Error::Provider(format!("{url} is of no use: {why}")))
}

/// What was the matter in the end.
pub(crate) fn cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

fn check(provider: &Provider) -> Result<()> {
    for (what, url) in [("issuer", &provider.issuer), ("jwks_url", &provider.jwks_url)] {
        check_url(what, url)?;
    }
    check_name("audience", &provider.audience)?;
    for (what, claim) in [("user_claim", &provider.user_claim), ("roles_claim", &provider.roles_claim)] {
        if !claim.is_empty() {
            check_name(what, claim)?;
        }
    }
    Ok(())
}

/// Who can change what comes over the way can have keys of his own taken.
fn check_url(what: &str, text: &str) -> Result<()> {
    let here = ["localhost", "127.0.0.1", "[::1]"];
    let url = Url::parse(text).ok().filter(|url| {
        let safe = match url.scheme() {
            "https" => url.has_host(),
            "http" => url.host_str().is_some_and(|host| here.contains(&host)),
            _ => false,
        };
        safe && url.username().is_empty() && url.password().is_none()
    });
    let expected = || {
        format!("{what} is to be an https:// URL without a password; http:// is for this machine's addresses")
    };
    url.map(drop).ok_or_else(|| Error::Invalid(expected()))
}

fn unknown(name: &str) -> Error {
    let name: String = name.chars().take(200).collect();
    Error::NotFound(format!("there is no issuer {name}"))
}

fn warn_of(issuer: &str, left_out: &[String]) {
    for why in left_out {
        tracing::warn!("of the keys of {issuer} one is left out, {why}");
    }
}
