//! What tenants, their users and their labels may spend.

use crate::database::{Change, Database};
use crate::decisions::{check_name, tenants};
use crate::error::{Error, Result};
use crate::json::{Budget, BudgetOf, OnLimit, Period};
use flight_proto::policy::{self, Subject, budgets_document};
use flight_proto::spending;

/// From which part of a quota on it is told, as of budgets by default.
pub(crate) const QUOTA_WARN_PERCENT: u32 = 80;
/// The most budgets of a tenant.
const BUDGETS_MOST: usize = 200;
/// How the names of those begin that a tenant's quotas are.
const OF_QUOTAS: &str = "quota ";

/// The budgets of a tenant, or of all.
pub(crate) async fn list(database: &Database, tenant: &str) -> Result<Vec<BudgetOf>> {
    let mut told = Vec::new();
    for held in database.documents_after(0).await? {
        if let Some(Subject::Budgets(budgets)) = held.document.subject
            && (tenant.is_empty() || budgets.tenant == tenant)
        {
            let of = |budget: &spending::Budget| BudgetOf {
                tenant: budgets.tenant.clone(),
                name: budget.name.clone(),
                budget: budget.into(),
            };
            told.extend(budgets.budgets.iter().map(of));
        }
    }
    told.sort_by(|one, other| (&one.tenant, &one.name).cmp(&(&other.tenant, &other.name)));
    Ok(told)
}

/// Sets a budget, or puts it in the place of the one of that name.
pub(crate) async fn put(
    database: &Database,
    who: &str,
    tenant: &str,
    name: &str,
    budget: Budget,
) -> Result<BudgetOf> {
    check_name("the name of a budget", name)?;
    if name.starts_with(OF_QUOTAS) {
        return Err(Error::Invalid(format!("names that begin with '{OF_QUOTAS}' are those of quotas")));
    }
    for (what, text) in [("a user", &budget.user), ("a label", &budget.label)] {
        if !text.is_empty() {
            check_name(what, text)?;
        }
    }
    if budget.limit_micros == 0 {
        return Err(Error::Invalid(
            "the limit of a budget is more than 0; suspend a tenant that may spend nothing".into(),
        ));
    }
    if budget.warn_percent > 100 {
        return Err(Error::Invalid(format!(
            "it is warned from 0 to 100 percent on, not {}",
            budget.warn_percent
        )));
    }
    let mut change = database.change(who).await?;
    tenants::of(&mut change, tenant).await?;
    let mut budgets = load(&mut change, tenant).await?;
    budgets.budgets.retain(|known| known.name != name);
    budgets.budgets.push(of(name, &budget));
    budgets.budgets.sort_by(|one, other| one.name.cmp(&other.name));
    if budgets.budgets.len() > BUDGETS_MOST {
        return Err(Error::Conflict(format!("a tenant has at most {BUDGETS_MOST} budgets")));
    }
    change.decide(&budgets_document(tenant), "set budget", Subject::Budgets(budgets)).await?;
    change.commit().await?;
    Ok(BudgetOf { tenant: tenant.into(), name: name.into(), budget })
}

/// Removes a budget; gives what it was.
pub(crate) async fn remove(database: &Database, who: &str, tenant: &str, name: &str) -> Result<BudgetOf> {
    let mut change = database.change(who).await?;
    let mut budgets = load(&mut change, tenant).await?;
    let place = budgets.budgets.iter().position(|known| known.name == name);
    let missing = || Error::NotFound(format!("the tenant '{tenant}' has no budget '{name}'"));
    let removed = budgets.budgets.remove(place.ok_or_else(missing)?);
    change.decide(&budgets_document(tenant), "remove budget", Subject::Budgets(budgets)).await?;
    change.commit().await?;
    Ok(BudgetOf { tenant: tenant.into(), name: name.into(), budget: (&removed).into() })
}

async fn load(change: &mut Change<'_>, tenant: &str) -> Result<policy::Budgets> {
    match change.document(&budgets_document(tenant)).await?.and_then(|held| held.document.subject) {
        Some(Subject::Budgets(budgets)) => Ok(budgets),
        _ => Ok(policy::Budgets { tenant: tenant.into(), budgets: Vec::new() }),
    }
}

fn of(name: &str, budget: &Budget) -> spending::Budget {
    let period = match budget.period {
        Period::Hour => spending::Period::Hour,
        Period::Day => spending::Period::Day,
        Period::Month => spending::Period::Month,
    };
    let on_limit = match budget.on_limit {
        OnLimit::Warn => spending::OnLimit::Warn,
        OnLimit::Throttle => spending::OnLimit::Throttle,
        OnLimit::Stop => spending::OnLimit::Stop,
    };
    spending::Budget {
        name: name.into(),
        user: budget.user.clone(),
        label: budget.label.clone(),
        period: period.into(),
        limit_micros: budget.limit_micros,
        warn_percent: budget.warn_percent,
        on_limit: on_limit.into(),
    }
}
