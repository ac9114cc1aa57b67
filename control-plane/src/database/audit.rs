//! The audit: who changed what, in rows that are only added. Each has a hash over the row before and itself, and `state` has
//! the last one, so that a row that was changed or removed is found.

use super::Database;
use crate::error::Result;
use crate::{hex, signing};
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row};

/// Rows that are verified at a time.
const BATCH: i64 = 1_000;
/// The hash before the first row.
const NOTHING: &str = "0000000000000000000000000000000000000000000000000000000000000000";
/// The action of rows that tell what was taken over from the cluster.
pub(crate) const ADOPT: &str = "adopt";

/// One change, as it is kept.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct AuditRow {
    /// From 1, without gaps.
    pub(crate) number: i64,
    pub(crate) at_us: i64,
    pub(crate) who: String,
    pub(crate) action: String,
    pub(crate) subject: String,
    /// JSON.
    pub(crate) before: String,
    pub(crate) after: String,
    pub(crate) hash: String,
}

/// What comes of looking at every row.
#[derive(Debug, PartialEq)]
pub(crate) struct Verified {
    /// Rows that there should be.
    pub(crate) rows: i64,
    /// The hash of the last one, which changes whenever anything does.
    pub(crate) hash: String,
    /// The first row that is not as it was written, and why.
    pub(crate) broken: Option<(i64, String)>,
}

impl AuditRow {
    /// The hash that it has after a row of another hash.
    pub(crate) fn hash_after(&self, previous: &str) -> String {
        let AuditRow { number, at_us, who, action, subject, before, after, .. } = self;
        let content = serde_json::json!([previous, number, at_us, who, action, subject, before, after]);
        hex::encode(&signing::sha256(content.to_string().as_bytes()))
    }

    pub(super) fn read(row: &AnyRow) -> Result<AuditRow> {
        Ok(AuditRow {
            number: row.try_get(0)?,
            at_us: row.try_get(1)?,
            who: row.try_get(2)?,
            action: row.try_get(3)?,
            subject: row.try_get(4)?,
            before: row.try_get(5)?,
            after: row.try_get(6)?,
            hash: row.try_get(7)?,
        })
    }
}

pub(super) async fn insert(connection: &mut AnyConnection, row: &AuditRow) -> Result<()> {
    let query = "INSERT INTO audit (number, at_us, who, action, subject, state_before, state_after, hash) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    let query = sqlx::query(query)
        .bind(row.number)
        .bind(row.at_us)
        .bind(row.who.as_str())
        .bind(row.action.as_str())
        .bind(row.subject.as_str())
        .bind(row.before.as_str())
        .bind(row.after.as_str())
        .bind(row.hash.as_str());
    query.execute(connection).await?;
    Ok(())
}

impl Database {
    /// Rows after a number, in their order; of one action alone where it is given.
    pub(crate) async fn audit(&self, after: i64, limit: i64, action: Option<&str>) -> Result<Vec<AuditRow>> {
        let query = "SELECT number, at_us, who, action, subject, state_before, state_after, hash FROM audit \
                     WHERE number > $1 AND ($2 = '' OR action = $2) ORDER BY number LIMIT $3";
        let query = sqlx::query(query).bind(after).bind(action.unwrap_or_default()).bind(limit);
        query.fetch_all(self.pool()).await?.iter().map(AuditRow::read).collect()
    }

    /// Looks at every row that there is when it begins.
    pub(crate) async fn verify_audit(&self) -> Result<Verified> {
        // One statement sees both tables at one moment.
        let query = "SELECT audit_rows, audit_hash, (SELECT COALESCE(MAX(number), 0) FROM audit) FROM state";
        let row = sqlx::query(query).fetch_one(self.pool()).await?;
        let (rows, hash, last): (i64, String, i64) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        let (mut number, mut previous) = (0, NOTHING.to_string());
        let broken = 'rows: loop {
            if number == rows {
                break match previous == hash {
                    false => Some((number, "it is not the row that was written last".to_string())),
                    true => (last > rows).then(|| (rows + 1, "it was added by somebody else".into())),
                };
            }
            let batch = self.audit(number, BATCH.min(rows - number), None).await?;
            if batch.is_empty() {
                break Some((number + 1, "it was removed".into()));
            }
            for row in batch {
                if row.number != number + 1 {
                    break 'rows Some((number + 1, "it was removed".into()));
                }
                if row.hash != row.hash_after(&previous) {
                    break 'rows Some((row.number, "it was changed, or the row before it".into()));
                }
                (number, previous) = (row.number, row.hash);
            }
        };
        Ok(Verified { rows, hash, broken })
    }
}
