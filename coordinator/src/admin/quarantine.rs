//! Statements that are refused, on all coordinators.

use super::others::ask_others;
use super::{Admitted, Result, number};
use crate::coordinator::Coordinator;
use crate::datasets::now_us;
use crate::error::Error;
use crate::facts::query_text;
use crate::quarantine::{Refused, statement_of};
use axum::Json;
use axum::extract::Path;
use flight_proto::admin::{Failure, Quarantine, QuarantinedStatement};
use flight_proto::node::{self, AskQuarantine, Quarantined, Service};

/// The statements that are refused since shards were lost while they ran, on all coordinators.
#[utoipa::path(get, path = "/api/v1/quarantine", tag = "queries", responses((status = OK, body = Quarantine)))]
pub(crate) async fn list(Admitted(coordinator): Admitted) -> Json<Quarantine> {
    Json(ask(&coordinator, AskQuarantine::default()).await)
}

/// Have a statement run again, on all coordinators.
#[utoipa::path(delete, path = "/api/v1/quarantine/{statement}", tag = "queries",
    params(("statement" = String, Path)),
    responses((status = OK, body = QuarantinedStatement), (status = NOT_FOUND, body = Failure)))]
pub(crate) async fn release(
    Admitted(coordinator): Admitted,
    Path(statement): Path<String>,
) -> Result<Json<QuarantinedStatement>> {
    let statement = number(&statement, "statement")?;
    let text = query_text(statement);
    let release = Some(statement.to_be_bytes().to_vec().into());
    let all = ask(&coordinator, AskQuarantine { release, ..AskQuarantine::default() }).await;
    match all.statements.into_iter().find(|one| one.statement == text) {
        Some(found) => Ok(Json(found)),
        None if all.silent.is_empty() => {
            Err(Error::NotFound(format!("no statement {text} is refused")).into())
        }
        None => {
            let silent: Vec<String> = all.silent.iter().map(u64::to_string).collect();
            let silent = silent.join(", ");
            let why =
                format!("statement {text} is not known, and coordinator {silent} does not answer; try again");
            Err(Error::Unavailable(why).into())
        }
    }
}

/// Asks all coordinators.
async fn ask(coordinator: &Coordinator, ask: AskQuarantine) -> Quarantine {
    let mut all = Quarantine { statements: Vec::new(), silent: Vec::new() };
    let id = coordinator.tenants.catalog().status().id;
    let others = ask_others::<node::Quarantine>(coordinator, Service::Quarantine, &ask).await;
    let own = answer(coordinator, ask);
    for (id, answer) in others.into_iter().chain([(id, Some(own))]) {
        match answer {
            None => all.silent.push(id),
            Some(answer) => answer.statements.into_iter().for_each(|one| add(&mut all.statements, id, one)),
        }
    }
    all.statements
        .sort_by(|one, other| (one.until_us, &one.statement).cmp(&(other.until_us, &other.statement)));
    all
}

/// Adds what a coordinator refuses; several mostly refuse the same.
fn add(all: &mut Vec<QuarantinedStatement>, coordinator: u64, refused: Quarantined) {
    let Some(statement) = statement_of(&refused.statement).map(query_text) else { return };
    let left_us = i64::try_from(refused.milliseconds_left).unwrap_or(i64::MAX).saturating_mul(1_000);
    let until_us = now_us().saturating_add(left_us);
    match all.iter_mut().find(|known| known.statement == statement) {
        Some(known) => {
            known.coordinators.push(coordinator);
            known.coordinators.sort_unstable();
            known.until_us = known.until_us.max(until_us);
        }
        None => all.push(QuarantinedStatement {
            statement,
            coordinators: vec![coordinator],
            tenant: refused.tenant,
            principal: refused.principal,
            sql: refused.sql,
            since_us: refused.since_us,
            until_us,
            shards: refused.shards,
        }),
    }
}

/// What this coordinator alone answers: what it refused before it did what is asked.
pub(crate) fn answer(coordinator: &Coordinator, ask: AskQuarantine) -> node::Quarantine {
    let quarantine = &coordinator.quarantine;
    let refused = quarantine.list().into_iter();
    let statements = refused.map(|(statement, refused)| refused.told(statement)).collect();
    if let Some((statement, refused)) = ask.put.and_then(Refused::from_told) {
        quarantine.put(statement, refused);
    }
    if let Some(statement) = ask.release.and_then(|bytes| statement_of(&bytes)) {
        quarantine.release(statement);
    }
    let answered = ask.answered.and_then(|bytes| statement_of(&bytes));
    let answered = answered.is_some_and(|statement| quarantine.was_answered(statement));
    node::Quarantine { statements, answered }
}
