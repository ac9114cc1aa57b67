//! A loop for each pool that has a policy, or had one: pools are scaled each by itself, and one that is in trouble holds up no
//! other.

use super::run::{Scaler, Scaling};
use crate::database::Database;
use crate::lease::Lease;
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::task::JoinSet;

/// Scales all pools while this instance leads, for ever. All loops end when it is dropped.
pub(crate) async fn scale(database: Arc<Database>, lease: Arc<Lease>, scaling: Scaling) {
    let (mut known, mut loops) = (BTreeSet::new(), JoinSet::new());
    loop {
        match database.scale_policies().await {
            Ok(policies) => {
                for pool in policies.into_iter().map(|one| one.pool) {
                    if known.insert(pool.clone()) {
                        loops.spawn(
                            Scaler::new(&pool, database.clone(), lease.clone(), scaling.clone()).run(),
                        );
                    }
                }
            }
            Err(error) => tracing::debug!("which pools are scaled is not known: {error}"),
        }
        tokio::time::sleep(scaling.look).await;
    }
}
