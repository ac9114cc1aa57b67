//! Usage: reports, prices and budgets.

use super::Result;
use super::login::Admitted;
use crate::json::{Budget, BudgetOf, NewPrice, Price, Report};
use crate::usage::{budgets, prices, report};
use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Path, Query};
use flight_proto::admin::Failure;
use serde::Deserialize;
use utoipa::IntoParams;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    /// The first day (UTC), such as `2026-11-01`; left out: the first of this month.
    from: Option<String>,
    /// The day after the last; left out: tomorrow.
    to: Option<String>,
    /// What sums are told apart by: some of `tenant,user,label,day,month`; left out: `tenant`.
    by: Option<String>,
    /// Of this tenant alone.
    tenant: Option<String>,
}

/// What was used between two days, and what it costs.
#[utoipa::path(get, path = "/api/v1/usage/report", tag = "usage", params(Wanted),
    responses((status = OK, body = Report), (status = BAD_REQUEST, body = Failure)))]
pub(crate) async fn show(
    caller: Admitted,
    wanted: std::result::Result<Query<Wanted>, QueryRejection>,
) -> Result<Json<Report>> {
    let Query(Wanted { from, to, by, tenant }) = wanted?;
    Ok(Json(report::report(&caller.api.database, report::Asked { from, to, by, tenant }).await?))
}

/// What is paid for what, from days on.
#[utoipa::path(get, path = "/api/v1/usage/prices", tag = "usage", responses((status = OK, body = Vec<Price>)))]
pub(crate) async fn list_prices(caller: Admitted) -> Result<Json<Vec<Price>>> {
    Ok(Json(prices::list(&caller.api.database).await?))
}

/// Set prices from a day on that is not over.
#[utoipa::path(put, path = "/api/v1/usage/prices", tag = "usage", request_body = NewPrice,
    responses((status = OK, body = Vec<Price>), (status = BAD_REQUEST, body = Failure)))]
pub(crate) async fn set_prices(
    caller: Admitted,
    new: std::result::Result<Json<NewPrice>, JsonRejection>,
) -> Result<Json<Vec<Price>>> {
    let Json(new) = new?;
    Ok(Json(prices::set(&caller.api.database, &caller.who, new).await?))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct OfTenant {
    /// Of this tenant alone.
    #[serde(default)]
    tenant: String,
}

/// Budgets, of one tenant or of all.
#[utoipa::path(get, path = "/api/v1/usage/budgets", tag = "usage", params(OfTenant),
    responses((status = OK, body = Vec<BudgetOf>)))]
pub(crate) async fn list_budgets(
    caller: Admitted,
    of: std::result::Result<Query<OfTenant>, QueryRejection>,
) -> Result<Json<Vec<BudgetOf>>> {
    Ok(Json(budgets::list(&caller.api.database, &of?.0.tenant).await?))
}

/// Set a tenant's budget.
#[utoipa::path(put, path = "/api/v1/usage/budgets/{tenant}/{name}", tag = "usage",
    params(("tenant" = String, Path), ("name" = String, Path)), request_body = Budget,
    responses((status = OK, body = BudgetOf), (status = BAD_REQUEST, body = Failure),
        (status = NOT_FOUND, body = Failure), (status = CONFLICT, body = Failure)))]
pub(crate) async fn put_budget(
    caller: Admitted,
    Path((tenant, name)): Path<(String, String)>,
    budget: std::result::Result<Json<Budget>, JsonRejection>,
) -> Result<Json<BudgetOf>> {
    let Json(budget) = budget?;
    Ok(Json(budgets::put(&caller.api.database, &caller.who, &tenant, &name, budget).await?))
}

/// Remove a tenant's budget.
#[utoipa::path(delete, path = "/api/v1/usage/budgets/{tenant}/{name}", tag = "usage",
    params(("tenant" = String, Path), ("name" = String, Path)),
    responses((status = OK, body = BudgetOf), (status = NOT_FOUND, body = Failure)))]
pub(crate) async fn remove_budget(
    caller: Admitted,
    Path((tenant, name)): Path<(String, String)>,
) -> Result<Json<BudgetOf>> {
    Ok(Json(budgets::remove(&caller.api.database, &caller.who, &tenant, &name).await?))
}
