//! Tenants: created, changed, suspended, resumed, deleted.

use super::{check_name, issuers, tokens};
use crate::cluster::Cluster;
use crate::database::{Change, Database, Held};
use crate::error::{Error, Result};
use crate::json::{self, Tenant, TenantSettings};
use flight_proto::policy::{
    self, DEFAULT_TENANT, Document, Gone, Subject, TenantStatus, budgets_document, check_tenant_name,
    keys_document, routes_document, schedules_document, tenant_document,
};
use flight_proto::pool::{check_pool_name, in_message};

const TIER: &str = "standard";
/// The first version of the cluster that knows of pools.
const POOLS_SINCE: u32 = 2;
/// What documents about tenants are named after.
const TENANTS: &str = "tenant/";

/// All tenants, by name.
pub(crate) async fn list(database: &Database) -> Result<Vec<Tenant>> {
    let documents = database.documents_after(0).await?;
    let mut tenants: Vec<Tenant> =
        documents.iter().filter(|held| held.document.name.starts_with(TENANTS)).filter_map(told).collect();
    tenants.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(tenants)
}

pub(crate) async fn show(database: &Database, name: &str) -> Result<Tenant> {
    let held = database.document(&tenant_document(name)).await?;
    held.as_ref().and_then(told).ok_or_else(|| unknown(name))
}

/// Refuses a tenant another pool than it has while nodes of the cluster may not know what that is: no coordinator would
/// take what is decided of the tenant.
pub(crate) async fn check_pool(
    database: &Database,
    cluster: &dyn Cluster,
    name: &str,
    settings: &TenantSettings,
) -> Result<()> {
    let wanted = in_message(&settings.pool);
    let held = database.document(&tenant_document(name)).await?;
    let has = held.as_ref().and_then(live).is_some_and(|tenant| tenant.pool == wanted);
    if wanted.is_empty() || has {
        return Ok(());
    }
    match cluster.version().await? {
        version if version < POOLS_SINCE => Err(Error::Conflict(format!(
            "the cluster is at version {version}, which knows of no pools: raise it (tundra admin upgrade) first"
        ))),
        _ => Ok(()),
    }
}

/// Creates a tenant, or changes what it may use. `expected`: only where it has that version still, 0 where there is none.
pub(crate) async fn put(
    database: &Database,
    who: &str,
    name: &str,
    settings: TenantSettings,
    expected: Option<u64>,
) -> Result<Tenant> {
    check_tenant_name(name).map_err(|error| Error::Invalid(error.to_string()))?;
    if !settings.tier.is_empty() {
        check_name("a tier", &settings.tier)?;
    }
    if let Some(location) = settings.locations.iter().find(|location| !location.contains("://")) {
        let why = format!("expected a prefix of URLs such as s3://bucket/folder, got '{location}'");
        return Err(Error::Invalid(why));
    }
    if !settings.pool.is_empty() {
        check_pool_name(&settings.pool).map_err(|error| Error::Invalid(error.to_string()))?;
    }
    let mut change = database.change(who).await?;
    let held = change.document(&tenant_document(name)).await?;
    let before = held.as_ref().and_then(live);
    let version = before.and(held.as_ref()).map_or(0, |held| held.document.version);
    match expected {
        Some(expected) if expected != version => return Err(elsewhere(name, expected, version)),
        _ if before.is_none() => {
            held.as_ref().map_or(Ok(()), |held| check_free(held, name, change.now_us))?
        }
        _ => {}
    }
    let pool = match (settings.pool.as_str(), before) {
        ("", Some(before)) => before.pool.clone(),
        (pool, _) => in_message(pool).into(),
    };
    let tier = if settings.tier.is_empty() { TIER.into() } else { settings.tier };
    let tenant = policy::Tenant {
        name: name.into(),
        status: before.map_or(TenantStatus::Active.into(), |before| before.status),
        tier,
        service_level_ms: settings.service_level_ms,
        workload: Some(settings.workload.into()),
        quotas: Some(settings.quotas.into()),
        locations: settings.locations,
        pool,
        created_version: before.map_or(change.next_version(), |before| before.created_version),
    };
    let action = if before.is_some() { "change" } else { "create" };
    let document = change.decide(&tenant_document(name), action, Subject::of_tenant(tenant)).await?;
    change.commit().await?;
    told_document(&document).ok_or_else(|| unknown(name))
}

/// Lets nobody in any more; the tenant's data stay.
pub(crate) async fn suspend(database: &Database, who: &str, name: &str) -> Result<Tenant> {
    set_status(database, who, name, "suspend", TenantStatus::Suspended).await
}

/// Lets users in again.
pub(crate) async fn resume(database: &Database, who: &str, name: &str) -> Result<Tenant> {
    set_status(database, who, name, "resume", TenantStatus::Active).await
}

async fn set_status(
    database: &Database,
    who: &str,
    name: &str,
    action: &str,
    status: TenantStatus,
) -> Result<Tenant> {
    let mut change = database.change(who).await?;
    let tenant = policy::Tenant { status: status.into(), ..of(&mut change, name).await? };
    let document = change.decide(&tenant_document(name), action, Subject::of_tenant(tenant)).await?;
    change.commit().await?;
    told_document(&document).ok_or_else(|| unknown(name))
}

/// Deletes a tenant with its keys and routes. Gives what it was.
pub(crate) async fn delete(database: &Database, who: &str, name: &str) -> Result<Tenant> {
    let mut change = database.change(who).await?;
    let before = change.document(&tenant_document(name)).await?.as_ref().and_then(told);
    let before = before.ok_or_else(|| unknown(name))?;
    if name == DEFAULT_TENANT {
        let why = format!("the tenant '{name}' is always there; suspend it to let nobody in");
        return Err(Error::Conflict(why));
    }
    let issuers = issuers::load(&mut change).await?;
    if let Some(issuer) = issuers.issuers.iter().find(|issuer| issuer.tenant == name) {
        let issuer = &issuer.issuer;
        let why = format!("the issuer {issuer} names users of the tenant '{name}'; delete the issuer first");
        return Err(Error::Conflict(why));
    }
    change.decide(&tenant_document(name), "delete", Subject::Gone(Gone {})).await?;
    for document in [keys_document(name), schedules_document(name)] {
        if change.document(&document).await?.is_some() {
            change.decide(&document, "delete", Subject::Gone(Gone {})).await?;
        }
    }
    if change.document(&budgets_document(name)).await?.is_some() {
        change.decide(&budgets_document(name), "delete", Subject::Gone(Gone {})).await?;
    }
    let routes = change.document(&routes_document(name)).await?.and_then(|held| held.document.subject);
    if matches!(routes, Some(Subject::Routes(_))) {
        change.decide(&routes_document(name), "delete", Subject::Gone(Gone {})).await?;
    }
    change.commit().await?;
    Ok(before)
}

pub(super) async fn make_default(change: &mut Change<'_>) -> Result<()> {
    let name = tenant_document(DEFAULT_TENANT);
    if change.document(&name).await?.is_none() {
        let tenant = policy::Tenant {
            name: DEFAULT_TENANT.into(),
            status: TenantStatus::Active.into(),
            tier: TIER.into(),
            workload: Some(policy::Workload::default()),
            quotas: Some(policy::Quotas::default()),
            ..policy::Tenant::default()
        };
        change.decide(&name, "create", Subject::of_tenant(tenant)).await?;
    }
    Ok(())
}

/// A tenant that there is.
pub(crate) async fn of(change: &mut Change<'_>, name: &str) -> Result<policy::Tenant> {
    let held = change.document(&tenant_document(name)).await?;
    held.as_ref().and_then(live).cloned().ok_or_else(|| unknown(name))
}

/// The version that a tenant was created by.
pub(crate) async fn created(database: &Database, name: &str) -> Result<u64> {
    let held = database.document(&tenant_document(name)).await?;
    held.as_ref().and_then(live).map(|tenant| tenant.created_version).ok_or_else(|| unknown(name))
}

fn unknown(name: &str) -> Error {
    let name: String = name.chars().take(100).collect();
    Error::NotFound(format!("there is no tenant '{name}'"))
}

fn live(held: &Held) -> Option<&policy::Tenant> {
    held.document.subject.as_ref().and_then(Subject::tenant)
}

/// A tenant as the API tells it.
fn told(held: &Held) -> Option<Tenant> {
    told_document(&held.document)
}

fn told_document(document: &Document) -> Option<Tenant> {
    let tenant = document.subject.as_ref().and_then(Subject::tenant)?;
    Some(Tenant {
        name: tenant.name.clone(),
        status: json::status(tenant),
        settings: tenant.into(),
        version: document.version,
        decided_at_us: document.decided_at_us,
    })
}

fn elsewhere(name: &str, expected: u64, version: u64) -> Error {
    Error::Conflict(match (expected, version) {
        (0, _) => format!("there is a tenant '{name}' already"),
        (_, 0) => format!("there is no tenant '{name}' any more"),
        _ => format!(
            "the tenant '{name}' was changed meanwhile, to version {version}; look at it, and try again"
        ),
    })
}

/// A name is given again once no token of its last tenant can be good any more.
fn check_free(held: &Held, name: &str, now_us: i64) -> Result<()> {
    let free_at_us = held.document.decided_at_us + tokens::LIFETIME_MOST_US;
    if now_us >= free_at_us {
        return Ok(());
    }
    let minutes = (free_at_us - now_us) / (60 * super::SECOND_US) + 1;
    let why = "was deleted, and access tokens of it may still be good";
    Err(Error::Conflict(format!(
        "the tenant '{name}' {why}; its name is free in {minutes} minutes, or take another"
    )))
}
