//! How pools are scaled at the moment, as any instance tells it.

use super::decide::Pool;
use crate::database::Database;
use crate::error::Result;
use crate::json::{PoolPolicy, PoolStatus};
use serde::{Deserialize, Serialize};

/// How long nodes that are gone are told of, in microseconds.
pub(crate) const GONE_US: i64 = 24 * 3_600 * 1_000_000;

/// What is kept of a pool.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Kept {
    pub(crate) pool: Pool,
    pub(crate) status: PoolStatus,
}

/// What was noted last of the pools that have a policy.
pub(crate) async fn read(database: &Database) -> Result<Vec<PoolStatus>> {
    let never =
        "the pool was not looked at yet: it is by the instance that leads, where it has --coordinators";
    let mut all = Vec::new();
    for PoolPolicy { pool, .. } in database.scale_policies().await? {
        let kept = database.pool_state::<Kept>(&pool).await?;
        let unseen =
            || PoolStatus { pool: pool.clone(), failure: Some(never.into()), ..PoolStatus::default() };
        let mut status = kept.map_or_else(unseen, |kept| kept.status);
        status.nodes = database.pool_nodes(&pool, database.now_us().await? - GONE_US).await?;
        all.push(status);
    }
    Ok(all)
}
