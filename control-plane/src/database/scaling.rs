//! Policies of pools, their nodes, and what they needed.

use super::audit::AuditRow;
use super::{Change, Database, number, signed_number};
use crate::error::{Error, Result};
use crate::json::{Phase, PoolNode, PoolPolicy};
use crate::scaling::ScalePolicy;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::Row;
use sqlx::any::AnyRow;

const POLICIES: &str = "SELECT pool, version, changed_at_us, policy FROM scale_policies";
/// What actions of the audit begin with that concern scaling.
pub(crate) const SCALE: &str = "scale";

fn read_policy(row: &AnyRow) -> Result<PoolPolicy> {
    let pool: String = row.try_get(0)?;
    let policy: ScalePolicy = read(&format!("the policy of pool {pool}"), row.try_get(3)?)?;
    Ok(PoolPolicy { version: number(row.try_get(1)?)?, changed_at_us: row.try_get(2)?, policy, pool })
}

fn read<T: DeserializeOwned>(what: &str, text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| Error::Damaged(format!("{what}: {error}")))
}

fn text(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|error| Error::Internal(error.to_string()))
}

impl Database {
    /// All policies, by pool.
    pub(crate) async fn scale_policies(&self) -> Result<Vec<PoolPolicy>> {
        let query = sqlx::AssertSqlSafe(format!("{POLICIES} ORDER BY pool"));
        sqlx::query(query).fetch_all(self.pool()).await?.iter().map(read_policy).collect()
    }

    /// What is remembered of a pool.
    pub(crate) async fn pool_state<T: DeserializeOwned>(&self, pool: &str) -> Result<Option<T>> {
        let query = sqlx::query("SELECT state FROM scale_pools WHERE pool = $1").bind(pool);
        let row = query.fetch_optional(self.pool()).await?;
        row.map(|row| read(&format!("the state of pool {pool}"), row.try_get(0)?)).transpose()
    }

    pub(crate) async fn keep_pool_state(&self, pool: &str, state: &impl Serialize) -> Result<()> {
        let query = "INSERT INTO scale_pools (pool, state) VALUES ($1, $2) \
                     ON CONFLICT (pool) DO UPDATE SET state = excluded.state";
        sqlx::query(query).bind(pool).bind(text(state)?).execute(self.pool()).await?;
        Ok(())
    }

    pub(crate) async fn forget_pool_state(&self, pool: &str) -> Result<()> {
        let query = sqlx::query("DELETE FROM scale_pools WHERE pool = $1").bind(pool);
        query.execute(self.pool()).await?;
        Ok(())
    }

    /// Nodes that were launched and are not gone, or were not at a time; the latest first.
    pub(crate) async fn pool_nodes(&self, pool: &str, gone_after_us: i64) -> Result<Vec<PoolNode>> {
        let query = "SELECT node FROM scale_nodes WHERE pool = $1 AND (gone_at_us = 0 OR gone_at_us > $2) \
                     ORDER BY launched_at_us DESC, instance LIMIT 1000";
        let rows = sqlx::query(query).bind(pool).bind(gone_after_us).fetch_all(self.pool()).await?;
        rows.iter().map(|row| read("a node", row.try_get(0)?)).collect()
    }

    pub(crate) async fn keep_pool_node(&self, pool: &str, node: &PoolNode) -> Result<()> {
        let launched_at_us = node.steps.first().map_or(0, |first| first.at_us);
        let last = node.steps.last().filter(|_| node.phase == Phase::Gone);
        let query = "INSERT INTO scale_nodes (instance, pool, launched_at_us, gone_at_us, node) \
                     VALUES ($1, $2, $3, $4, $5) ON CONFLICT (instance) DO UPDATE SET \
                     gone_at_us = excluded.gone_at_us, node = excluded.node";
        let query = sqlx::query(query)
            .bind(node.instance.as_str())
            .bind(pool)
            .bind(launched_at_us)
            .bind(last.map_or(0, |last| last.at_us))
            .bind(text(node)?);
        query.execute(self.pool()).await?;
        Ok(())
    }

    /// Forgets nodes that were gone at a time, and minutes before it.
    pub(crate) async fn forget_pool_before(&self, pool: &str, gone_us: i64, minute: i64) -> Result<()> {
        let query = "DELETE FROM scale_nodes WHERE pool = $1 AND gone_at_us > 0 AND gone_at_us < $2";
        sqlx::query(query).bind(pool).bind(gone_us).execute(self.pool()).await?;
        let query = "DELETE FROM scale_minutes WHERE pool = $1 AND minute < $2";
        sqlx::query(query).bind(pool).bind(minute).execute(self.pool()).await?;
        Ok(())
    }

    pub(crate) async fn keep_minute(&self, pool: &str, minute: i64, demand: f64) -> Result<()> {
        let query = "INSERT INTO scale_minutes (pool, minute, demand_milli) VALUES ($1, $2, $3) \
                     ON CONFLICT (pool, minute) DO UPDATE SET demand_milli = excluded.demand_milli";
        let milli = (demand * 1_000.0).round().clamp(0.0, 1e15) as i64;
        sqlx::query(query).bind(pool).bind(minute).bind(milli).execute(self.pool()).await?;
        Ok(())
    }

    /// What a pool needed, by minute.
    pub(crate) async fn minutes(&self, pool: &str, after: i64) -> Result<Vec<(i64, f64)>> {
        let query = "SELECT minute, demand_milli FROM scale_minutes WHERE pool = $1 AND minute > $2";
        let rows = sqlx::query(query).bind(pool).bind(after).fetch_all(self.pool()).await?;
        rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get::<i64, _>(1)? as f64 / 1_000.0))).collect()
    }

    /// The latest rows of the audit that concern scaling, the latest first.
    pub(crate) async fn scale_history(&self, limit: i64) -> Result<Vec<AuditRow>> {
        let query = "SELECT number, at_us, who, action, subject, state_before, state_after, hash FROM audit \
                     WHERE action LIKE $1 ORDER BY number DESC LIMIT $2";
        let query = sqlx::query(query).bind(format!("{SCALE}%")).bind(limit);
        query.fetch_all(self.pool()).await?.iter().map(AuditRow::read).collect()
    }
}

impl Change<'_> {
    pub(crate) async fn scale_policy(&mut self, pool: &str) -> Result<Option<PoolPolicy>> {
        let query = sqlx::AssertSqlSafe(format!("{POLICIES} WHERE pool = $1"));
        let row = sqlx::query(query).bind(pool).fetch_optional(&mut *self.transaction).await?;
        row.as_ref().map(read_policy).transpose()
    }

    pub(crate) async fn put_scale_policy(&mut self, policy: &PoolPolicy) -> Result<()> {
        let query = "INSERT INTO scale_policies (pool, version, changed_at_us, policy) VALUES ($1, $2, $3, $4) \
                     ON CONFLICT (pool) DO UPDATE SET version = excluded.version, \
                     changed_at_us = excluded.changed_at_us, policy = excluded.policy";
        let query = sqlx::query(query)
            .bind(policy.pool.as_str())
            .bind(signed_number(policy.version)?)
            .bind(policy.changed_at_us)
            .bind(text(&policy.policy)?);
        query.execute(&mut *self.transaction).await?;
        self.dirty = true;
        Ok(())
    }

    pub(crate) async fn remove_scale_policy(&mut self, pool: &str) -> Result<()> {
        let query = sqlx::query("DELETE FROM scale_policies WHERE pool = $1").bind(pool);
        self.dirty |= query.execute(&mut *self.transaction).await?.rows_affected() > 0;
        // What was decided by it counts no more.
        let query = sqlx::query("DELETE FROM scale_pools WHERE pool = $1").bind(pool);
        query.execute(&mut *self.transaction).await?;
        Ok(())
    }
}
