//! The audit, and what it tells of losses.

use super::Result;
use super::login::Admitted;
use crate::database::audit::{ADOPT, AuditRow};
use crate::error::Error;
use crate::json::{AuditBroken, AuditEntry, AuditVerified, Loss};
use axum::Json;
use axum::extract::Query;
use axum::extract::rejection::QueryRejection;
use serde::Deserialize;
use serde_json::Value;
use utoipa::IntoParams;

/// Entries that are listed unless asked for others, and at most.
const ENTRIES: (i64, i64) = (100, 1_000);

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct Part {
    /// Entries of a higher number alone.
    after: Option<i64>,
    /// The most entries to list.
    limit: Option<i64>,
}

impl Part {
    fn bounds(&self) -> (i64, i64) {
        (self.after.unwrap_or(0), self.limit.unwrap_or(ENTRIES.0).clamp(0, ENTRIES.1))
    }
}

/// Who changed what, the first first.
#[utoipa::path(get, path = "/api/v1/audit", tag = "audit", params(Part),
    responses((status = OK, body = Vec<AuditEntry>)))]
pub(crate) async fn list(
    caller: Admitted,
    part: std::result::Result<Query<Part>, QueryRejection>,
) -> Result<Json<Vec<AuditEntry>>> {
    let (after, limit) = part?.bounds();
    let rows = caller.api.database.audit(after, limit, None).await?;
    Ok(Json(rows.into_iter().map(entry).collect::<std::result::Result<_, Error>>()?))
}

/// Whether every entry is as it was written.
#[utoipa::path(get, path = "/api/v1/audit/verify", tag = "audit", responses((status = OK, body = AuditVerified)))]
pub(crate) async fn verify(caller: Admitted) -> Result<Json<AuditVerified>> {
    let verified = caller.api.database.verify_audit().await?;
    let broken = verified.broken.map(|(number, why)| AuditBroken { number, why });
    let intact = broken.is_none();
    Ok(Json(AuditVerified { intact, entries: verified.rows, hash: verified.hash, broken }))
}

/// What the database had lost and took over from the cluster, such as after an older copy of it was put back.
#[utoipa::path(get, path = "/api/v1/losses", tag = "audit", params(Part),
    responses((status = OK, body = Vec<Loss>)))]
pub(crate) async fn losses(
    caller: Admitted,
    part: std::result::Result<Query<Part>, QueryRejection>,
) -> Result<Json<Vec<Loss>>> {
    let (after, limit) = part?.bounds();
    let rows = caller.api.database.audit(after, limit, Some(ADOPT)).await?;
    let losses = rows.into_iter().map(|row| {
        let AuditEntry { number, at_us, subject, before, mut after, .. } = entry(row)?;
        let told = after.as_object_mut().and_then(|after| after.remove("told"));
        let told = told.as_ref().and_then(Value::as_str).unwrap_or_default().to_string();
        Ok(Loss { number, at_us, name: subject, told, before, after })
    });
    Ok(Json(losses.collect::<std::result::Result<_, Error>>()?))
}

pub(super) fn entry(row: AuditRow) -> std::result::Result<AuditEntry, Error> {
    let number = row.number;
    let state = |text: &str| {
        serde_json::from_str(text)
            .map_err(|_| Error::Damaged(format!("entry {number} of the audit is no JSON")))
    };
    Ok(AuditEntry {
        number,
        at_us: row.at_us,
        before: state(&row.before)?,
        after: state(&row.after)?,
        who: row.who,
        action: row.action,
        subject: row.subject,
        hash: row.hash,
    })
}
