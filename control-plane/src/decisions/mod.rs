//! What is decided: tenants, their API keys, and who makes access tokens. Each decision is one change of the database.

pub(crate) mod credentials;
pub(crate) mod issuers;
pub(crate) mod jwks;
pub(crate) mod jwt;
pub(crate) mod keys;
pub(crate) mod pools;
pub(crate) mod providers;
pub(crate) mod routes;
pub(crate) mod schedules;
pub(crate) mod tenants;
pub(crate) mod tokens;

use crate::database::Database;
use crate::error::{Error, Result};

/// In whose name the control plane decides by itself.
pub(crate) const ITSELF: &str = "control plane";
/// Microseconds of a second.
pub(crate) const SECOND_US: i64 = 1_000_000;
/// The longest name of a user, a role or a claim, in bytes.
const NAME_MOST: usize = 256;
/// The most roles of a key or token.
const ROLES_MOST: usize = 100;

/// Decides what must be there from the beginning; changes nothing later.
pub(crate) async fn set_up(database: &Database) -> Result<()> {
    let mut change = database.change(ITSELF).await?;
    tenants::make_default(&mut change).await?;
    issuers::settle(&mut change, "create").await?;
    change.commit().await
}

/// Names of users, roles and claims: short, on one line.
pub(crate) fn check_name(what: &str, name: &str) -> Result<()> {
    let fits = !name.is_empty() && name.len() <= NAME_MOST && !name.chars().any(char::is_control);
    let wrong = || format!("{what} is to be a text of 1 to {NAME_MOST} bytes without control characters");
    fits.then_some(()).ok_or_else(|| Error::Invalid(wrong()))
}

fn check_roles(roles: &[String]) -> Result<()> {
    if roles.len() > ROLES_MOST {
        return Err(Error::Invalid(format!(
            "there are {} roles; at most {ROLES_MOST} are taken",
            roles.len()
        )));
    }
    roles.iter().try_for_each(|role| check_name("a role", role))
}
