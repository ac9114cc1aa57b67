//! Who calls: what a caller shows, whom that stands for, and whether it still does.
//!
//! Nobody is asked: passwords come with the configuration and, of users that SQL created, with the catalog; API keys and the
//! keys of token issuers with the policy that the catalog holds. What a caller has shown is looked at again with each call, so that a key which is taken back, or a token
//! which ends, is of no more use to a session that began with it.

mod passwords;
pub(crate) mod scram;
mod tokens;

use crate::catalog::{ADMIN, CatalogState, Policy};
use crate::config::User;
use crate::error::{Error, Result};
use flight_proto::access::Role;
use flight_proto::policy::{ApiKey, DEFAULT_TENANT};
use passwords::same;
use ring::digest::{SHA256, digest};
use std::fmt;

/// What API keys begin with.
const API_KEY: &str = "tundra_";
/// Who calls without saying who.
const ANONYMOUS: &str = "anonymous";

/// What a caller shows.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Credentials {
    Nothing,
    /// An API key, an access token, or what a session was given.
    Bearer(String),
    /// The password may be an API key or an access token; the user name is not looked at then.
    Password {
        user: String,
        password: String,
    },
}

/// Who calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Caller {
    pub(crate) tenant: String,
    pub(crate) principal: String,
    /// Beside those that its tenant has given to it.
    pub(crate) roles: Vec<String>,
    proof: Proof,
}

/// What tells that it is who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Proof {
    /// Nothing is asked for.
    Open,
    /// It calls within the process.
    Process,
    /// Of a user that the configuration names.
    Password,
    /// Of a user that SQL created: what its password was compared with.
    Verifier(String),
    ApiKey {
        id: String,
        sha256: Vec<u8>,
    },
    Token(tokens::Proof),
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Credentials::Nothing => "Nothing",
            Credentials::Bearer(_) => "Bearer(…)",
            Credentials::Password { .. } => "Password(…)",
        })
    }
}

impl Credentials {
    /// What an `Authorization` header shows.
    pub(crate) fn of_header(header: Option<&str>) -> Result<Credentials> {
        let Some(header) = header else { return Ok(Credentials::Nothing) };
        let (scheme, value) = header.split_once(' ').ok_or_else(malformed)?;
        let value = value.trim();
        match scheme.to_ascii_lowercase().as_str() {
            "bearer" => Ok(Credentials::Bearer(value.into())),
            "basic" => {
                let (user, password) = passwords::basic(value)?;
                Ok(Credentials::Password { user, password })
            }
            _ => Err(Error::Unauthenticated("log in with Basic or Bearer".into())),
        }
    }

    /// Whom they name; nobody where a token does.
    pub(crate) fn user(&self) -> &str {
        match self {
            Credentials::Password { user, .. } => user,
            Credentials::Nothing | Credentials::Bearer(_) => "",
        }
    }

    /// Whom they stand for, of the tenant that the caller names (by itself, or as `TENANT/USER`). A bearer token that is
    /// neither API key nor access token is a session's, which is not looked at here: `None`. Where neither
    /// the configuration nor SQL names users, anybody may call.
    pub(crate) fn caller(
        &self,
        tenant: Option<&str>,
        users: &[User],
        state: &CatalogState,
        now_us: i64,
    ) -> Result<Option<Caller>> {
        let policy = state.policy();
        let caller = match self {
            Credentials::Nothing => anonymous(tenant, users, state)?,
            Credentials::Bearer(shown) => match shown_key(shown, policy, now_us) {
                Some(caller) => caller?,
                None => return Ok(None),
            },
            Credentials::Password { user, password } => match shown_key(password, policy, now_us) {
                Some(caller) => caller?,
                None => by_password(tenant, user, password, users, state)?,
            },
        };
        match tenant {
            Some(tenant) if tenant != caller.tenant => {
                Err(Error::Denied(format!("what you log in with is not of the tenant '{tenant}'")))
            }
            _ => Ok(Some(caller)),
        }
    }
}

impl Caller {
    /// The one who calls where nothing is asked for.
    pub(crate) fn open(principal: &str) -> Caller {
        let principal = principal.into();
        Caller { tenant: DEFAULT_TENANT.into(), principal, roles: Vec::new(), proof: Proof::Open }
    }

    /// One that calls within the process.
    pub(crate) fn within(principal: &str) -> Caller {
        Caller { proof: Proof::Process, ..Caller::open(principal) }
    }

    /// Whether it is a user of SQL that has shown its password.
    pub(crate) fn is_by_password(&self) -> bool {
        matches!(self.proof, Proof::Verifier(_))
    }

    /// Whether it may do as operators do: who the configuration names, or anybody where it names nobody.
    pub(crate) fn is_operator(&self) -> bool {
        matches!(self.proof, Proof::Open | Proof::Process | Proof::Password)
    }

    /// Whether it may do everything with its tenant's objects, whatever the catalog says.
    pub(crate) fn is_admin(&self) -> bool {
        self.is_operator() || self.roles.iter().any(|role| role == ADMIN)
    }

    /// What it has shown.
    pub(crate) fn shown(&self) -> &'static str {
        match &self.proof {
            Proof::Open | Proof::Process => "nothing",
            Proof::Password | Proof::Verifier(_) => "a password",
            Proof::ApiKey { .. } => "an API key",
            Proof::Token(_) => "an access token",
        }
    }

    /// An error where what the caller has shown is good no longer.
    pub(crate) fn check(&self, state: &CatalogState, now_us: i64) -> Result<()> {
        let policy = state.policy();
        match &self.proof {
            Proof::Open if is_open(state) => Ok(()),
            Proof::Open => Err(wrong_password()),
            Proof::Password | Proof::Process => Ok(()),
            Proof::Verifier(verifier) => match user_of(state, &self.tenant, &self.principal) {
                Some(role) if role.verifier == *verifier && role.name == self.principal => Ok(()),
                _ => Err(wrong_password()),
            },
            Proof::ApiKey { id, sha256 } => match policy.api_key(id) {
                Some((_, key)) if key.sha256 == *sha256 && is_current(key, now_us) => Ok(()),
                _ => Err(bad_key()),
            },
            Proof::Token(proof) => proof.check(policy, now_us),
        }
    }
}

/// Who an API key or an access token stands for; `None`: it is neither.
fn shown_key(shown: &str, policy: &Policy, now_us: i64) -> Option<Result<Caller>> {
    if let Some(rest) = shown.strip_prefix(API_KEY) {
        let id = rest.split('_').next().unwrap_or_default();
        return Some(by_api_key(id, shown, policy, now_us));
    }
    tokens::is_token(shown).then(|| tokens::caller(shown, policy, now_us))
}

fn by_api_key(id: &str, shown: &str, policy: &Policy, now_us: i64) -> Result<Caller> {
    let sha256 = digest(&SHA256, shown.as_bytes());
    let (tenant, key) = policy.api_key(id).ok_or_else(bad_key)?;
    if !same(&key.sha256, sha256.as_ref()) || !is_current(key, now_us) {
        return Err(bad_key());
    }
    Ok(Caller {
        tenant: tenant.into(),
        principal: key.user.clone(),
        roles: key.roles.clone(),
        proof: Proof::ApiKey { id: id.into(), sha256: key.sha256.clone() },
    })
}

fn is_current(key: &ApiKey, now_us: i64) -> bool {
    key.expires_at_us == 0 || now_us < key.expires_at_us
}

fn bad_key() -> Error {
    Error::Unauthenticated("the API key is not known, was revoked, or has expired".into())
}

/// Whether SQL names no users of the default tenant.
fn is_open(state: &CatalogState) -> bool {
    state.access(DEFAULT_TENANT).is_none()
}

/// The user of a name, without regard to case, that SQL created and that may log in with a password.
fn user_of<'a>(state: &'a CatalogState, tenant: &str, user: &str) -> Option<&'a Role> {
    // Of a tenant that is not served nobody logs in.
    let access = state.access(tenant).filter(|_| state.policy().closed(tenant).is_none())?;
    let role = access.roles.get(&user.to_lowercase())?;
    (role.login && !role.verifier.is_empty()).then_some(role)
}

fn wrong_password() -> Error {
    Error::Unauthenticated("the user name or the password is wrong".into())
}

fn anonymous(tenant: Option<&str>, users: &[User], state: &CatalogState) -> Result<Caller> {
    match users.is_empty() && is_open(state) && tenant.is_none_or(|tenant| tenant == DEFAULT_TENANT) {
        true => Ok(Caller::open(ANONYMOUS)),
        false => Err(Error::Unauthenticated("log in with a user name and a password".into())),
    }
}

fn by_password(
    tenant: Option<&str>,
    user: &str,
    password: &str,
    users: &[User],
    state: &CatalogState,
) -> Result<Caller> {
    let (named, user) = match user.split_once('/') {
        Some((named, user)) => (Some(named), user),
        None => (None, user),
    };
    let of = tenant.or(named).unwrap_or(DEFAULT_TENANT);
    let is_one = named.is_none_or(|named| named == of);
    let ours = is_one && of == DEFAULT_TENANT;
    if users.is_empty() && ours && is_open(state) {
        return Ok(Caller::open(if user.is_empty() { ANONYMOUS } else { user }));
    }
    // Compared in full whatever the tenant, so that time tells nothing.
    if passwords::matches(users, user, password) & ours {
        return Ok(Caller { proof: Proof::Password, ..Caller::open(user) });
    }
    let role = user_of(state, of, user).filter(|_| is_one);
    match (scram::matches(role.map(|role| &*role.verifier), password)?, role) {
        (true, Some(role)) => {
            let (principal, proof) = (role.name.clone(), Proof::Verifier(role.verifier.clone()));
            Ok(Caller { tenant: of.into(), principal, roles: Vec::new(), proof })
        }
        _ => Err(wrong_password()),
    }
}

fn malformed() -> Error {
    Error::Unauthenticated("the authorization header is malformed".into())
}

#[cfg(test)]
mod tests;
