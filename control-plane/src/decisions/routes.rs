//! Which engines answer a tenant's queries: set and taken back.

use super::tenants;
use crate::database::{Database, Held};
use crate::error::{Error, Result};
use crate::json::{Routes, TenantRoutes};
use flight_proto::policy::{Document, Feature, Gone, Subject, routes_document};

pub(crate) async fn show(database: &Database, tenant: &str) -> Result<TenantRoutes> {
    tenants::show(database, tenant).await?;
    let held = database.document(&routes_document(tenant)).await?;
    // Who sets what was shown would set it without them.
    if held.as_ref().is_some_and(|held| has_unknown_conditions(&held.document)) {
        return Err(Error::Conflict(format!(
            "the routes of the tenant '{tenant}' have conditions that this release does not know; a later one shows them"
        )));
    }
    held.as_ref().and_then(|held| told(&held.document)).ok_or_else(|| unknown(tenant))
}

/// Sets a tenant's routes. `expected`: only where they have that version still, 0 where there are none.
pub(crate) async fn put(
    database: &Database,
    who: &str,
    tenant: &str,
    routes: Routes,
    expected: Option<u64>,
) -> Result<TenantRoutes> {
    routes.check()?;
    let mut change = database.change(who).await?;
    tenants::of(&mut change, tenant).await?;
    let name = routes_document(tenant);
    let version = change
        .document(&name)
        .await?
        .as_ref()
        .filter(|held| is_live(held))
        .map_or(0, |held| held.document.version);
    if expected.is_some_and(|expected| expected != version) {
        return Err(Error::Conflict(match version {
            0 => format!("the tenant '{tenant}' has no routes any more"),
            _ => format!(
                "the routes of the tenant '{tenant}' were changed meanwhile, to version {version}; look at them, and try again"
            ),
        }));
    }
    let document = change.decide(&name, "set routes", Subject::Routes(routes.published(tenant))).await?;
    change.commit().await?;
    told(&document).ok_or_else(|| unknown(tenant))
}

/// Takes a tenant's routes back: its queries run as they are written. Gives what they were.
pub(crate) async fn delete(database: &Database, who: &str, tenant: &str) -> Result<TenantRoutes> {
    let mut change = database.change(who).await?;
    tenants::of(&mut change, tenant).await?;
    let name = routes_document(tenant);
    let before = change.document(&name).await?.as_ref().and_then(|held| told(&held.document));
    let before = before.ok_or_else(|| unknown(tenant))?;
    change.decide(&name, "delete routes", Subject::Gone(Gone {})).await?;
    change.commit().await?;
    Ok(before)
}

fn is_live(held: &Held) -> bool {
    matches!(held.document.subject, Some(Subject::Routes(_)))
}

fn has_unknown_conditions(document: &Document) -> bool {
    let Some(Subject::Routes(routes)) = &document.subject else { return false };
    let mut conditions = routes.rules.iter().flat_map(|rule| &rule.when);
    conditions.any(|condition| condition.feature() == Feature::Unknown)
}

fn told(document: &Document) -> Option<TenantRoutes> {
    let Some(Subject::Routes(routes)) = &document.subject else { return None };
    Some(TenantRoutes {
        tenant: routes.tenant.clone(),
        version: document.version,
        decided_at_us: document.decided_at_us,
        routes: routes.into(),
    })
}

fn unknown(tenant: &str) -> Error {
    Error::NotFound(format!("the tenant '{tenant}' has no routes; `tundra route set` gives it some"))
}
