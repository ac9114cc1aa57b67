//! How pools are scaled at the moment, as any instance tells it.

use super::decide::Pool;
use super::policy::POOL;
use crate::database::Database;
use crate::error::Result;
use crate::json::PoolStatus;
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
    if database.scale_policies().await?.is_empty() {
        return Ok(Vec::new());
    }
    let never =
        "the pool was not looked at yet: it is by the instance that leads, where it has --coordinators";
    let unseen = PoolStatus { pool: POOL.into(), failure: Some(never.into()), ..PoolStatus::default() };
    let mut status = database.pool_state::<Kept>(POOL).await?.map_or(unseen, |kept| kept.status);
    status.nodes = database.pool_nodes(POOL, database.now_us().await? - GONE_US).await?;
    Ok(vec![status])
}
