//! How pools are scaled: policies set and taken back. What follows of them is decided in [`crate::scaling`].

use crate::database::Database;
use crate::error::{Error, Result};
use crate::json::PoolPolicy;
use crate::scaling::ScalePolicy;
use crate::scaling::policy::check_pool;
use serde_json::{Value, json};

/// The action of the audit.
const ACTION: &str = "scale policy";

/// What the audit calls a pool.
pub(crate) fn subject(pool: &str) -> String {
    format!("pool/{pool}")
}

pub(crate) async fn list(database: &Database) -> Result<Vec<PoolPolicy>> {
    database.scale_policies().await
}

pub(crate) async fn show(database: &Database, pool: &str) -> Result<PoolPolicy> {
    check_pool(pool)?;
    let policies = database.scale_policies().await?;
    policies.into_iter().find(|one| one.pool == pool).ok_or_else(|| unknown(pool))
}

/// Sets a policy. `expected`: only where it has that version still, 0 where there is none.
pub(crate) async fn put(
    database: &Database,
    who: &str,
    pool: &str,
    policy: ScalePolicy,
    expected: Option<u64>,
) -> Result<PoolPolicy> {
    check_pool(pool)?;
    policy.check()?;
    let mut change = database.change(who).await?;
    let before = change.scale_policy(pool).await?;
    let version = before.as_ref().map_or(0, |before| before.version);
    if let Some(expected) = expected.filter(|expected| *expected != version) {
        return Err(Error::Conflict(match (expected, version) {
            (0, _) => format!("pool '{pool}' has a policy already"),
            (_, 0) => format!("pool '{pool}' has no policy any more"),
            _ => format!(
                "the policy of pool '{pool}' was changed meanwhile: it has version {version} instead of {expected}"
            ),
        }));
    }
    if let Some(before) = before.as_ref().filter(|before| before.policy == policy) {
        return Ok(before.clone());
    }
    let set = PoolPolicy { pool: pool.into(), version: version + 1, changed_at_us: change.now_us, policy };
    change.put_scale_policy(&set).await?;
    change.record(ACTION, &subject(pool), before.as_ref().map(told), Some(told(&set))).await?;
    change.commit().await?;
    Ok(set)
}

/// Takes a policy back: the pool stays as it is.
pub(crate) async fn delete(database: &Database, who: &str, pool: &str) -> Result<PoolPolicy> {
    check_pool(pool)?;
    let mut change = database.change(who).await?;
    let before = change.scale_policy(pool).await?.ok_or_else(|| unknown(pool))?;
    change.remove_scale_policy(pool).await?;
    change.record(ACTION, &subject(pool), Some(told(&before)), None).await?;
    change.commit().await?;
    Ok(before)
}

fn told(policy: &PoolPolicy) -> Value {
    json!(policy)
}

fn unknown(pool: &str) -> Error {
    Error::NotFound(format!("pool '{pool}' has no policy; `tundra scale policy set` gives it one"))
}
