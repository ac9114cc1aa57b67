//! `SET engine`: who may say which engine answers.

use super::{AUTO, NAMED};
use crate::catalog::CatalogState;
use crate::error::{Error, Result};

/// Who asks.
pub(crate) struct Who<'a> {
    pub(crate) tenant: &'a str,
    pub(crate) user: &'a str,
    pub(crate) roles: &'a [String],
}

/// Whether an engine is forced that the policy may not let a session force.
pub(crate) fn is_forced(engine: &str) -> bool {
    !engine.eq_ignore_ascii_case(AUTO)
}

/// Whether the tables that a query names say which engine answers it: everybody may want that.
pub(crate) fn is_named(engine: &str) -> bool {
    engine.eq_ignore_ascii_case(NAMED)
}

/// Refuses an engine that a session may not have, or that is not there.
pub(crate) fn check(state: &CatalogState, who: &Who<'_>, engine: &str) -> Result<()> {
    if !is_forced(engine) || is_named(engine) {
        return Ok(());
    }
    let routes = state.policy().routes(who.tenant);
    let may = routes.and_then(|(_, routes)| routes.may_force.as_ref());
    let named = may.is_some_and(|may| {
        may.users.iter().any(|user| user == who.user) || may.roles.iter().any(|role| who.roles.contains(role))
    });
    if !named {
        return Err(Error::Denied(format!(
            "'{}' may not choose the engine: only users and roles that the tenant's routes name in may_force do \
             (tundra route show {}); ask an operator, or SET engine = 'auto' or 'named'",
            who.user, who.tenant
        )));
    }
    if !engine.eq_ignore_ascii_case(super::TUNDRA) && state.server(who.tenant, engine).is_none() {
        return Err(Error::NotFound(format!(
            "there is no server '{engine}': engine takes 'auto', 'named', 'tundra' or the name of a server"
        )));
    }
    Ok(())
}
