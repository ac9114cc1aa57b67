//! What was used: taken in from coordinators, each batch once, and summed up.

use super::{Change, Database, number, signed_number};
use crate::error::Result;
use flight_proto::usage::{MEASURES, Measures, Resident, ShardUsage, Usage, UsageRow};
use serde_json::json;
use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row};
use std::collections::BTreeMap;

/// The source of what is of no statement.
pub(crate) const SHARDS: &str = "shards";
/// What is held counts for no longer than this since it was looked at last: what lies between is not known.
const HELD_MOST_US: i64 = 60_000_000;
/// Bytes times microseconds of a MiB for a second.
const MIB_S: u128 = (1 << 20) * 1_000_000;
/// Starts of coordinators and shards are remembered for so long after they were heard of last.
const REMEMBERED_US: i64 = 90 * DAY_US;
const DAY_US: i64 = 24 * 3_600_000_000;

/// What was used on a day under one name.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct DayRow {
    /// When it began.
    pub(crate) day_us: i64,
    pub(crate) tenant: String,
    pub(crate) user: String,
    pub(crate) label: String,
    pub(crate) source: String,
    pub(crate) used: Measures,
}

/// Of which rows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Part<'a> {
    pub(crate) from_us: i64,
    /// Not included.
    pub(crate) to_us: i64,
    /// Empty: all of them.
    pub(crate) tenant: &'a str,
    pub(crate) user: &'a str,
    pub(crate) label: &'a str,
}

impl Database {
    /// The last batch that is kept of each start of a coordinator.
    pub(crate) async fn usage_taken(&self) -> Result<BTreeMap<String, u64>> {
        let rows = sqlx::query("SELECT source, sequence FROM usage_sources").fetch_all(self.pool()).await?;
        rows.iter().map(|row| Ok((row.try_get(0)?, number(row.try_get(1)?)?))).collect()
    }

    /// Starts of coordinators, those that were heard of last first.
    pub(crate) async fn sources_heard(&self) -> Result<Vec<String>> {
        let query = sqlx::query("SELECT source FROM usage_sources ORDER BY seen_at_us DESC, source");
        let rows = query.fetch_all(self.pool()).await?;
        rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
    }

    /// Sums by day, tenant, user, label and source.
    pub(crate) async fn usage_days(&self, part: &Part<'_>) -> Result<Vec<DayRow>> {
        let sums: Vec<String> = MEASURES.iter().map(|name| format!("CAST(SUM({name}) AS BIGINT)")).collect();
        let query = AssertSqlSafe(format!(
            "SELECT hour_us / {DAY_US}, tenant, user_name, label, source, {} FROM usage_hours \
             WHERE hour_us >= $1 AND hour_us < $2 AND ($3 = '' OR tenant = $3) AND ($4 = '' OR user_name = $4) \
             AND ($5 = '' OR label = $5) GROUP BY 1, 2, 3, 4, 5",
            sums.join(", ")
        ));
        let query = sqlx::query(query)
            .bind(part.from_us)
            .bind(part.to_us)
            .bind(part.tenant)
            .bind(part.user)
            .bind(part.label);
        query.fetch_all(self.pool()).await?.iter().map(day_row).collect()
    }

    /// Sums by day and source alone; the names of the rows are those of the part.
    pub(crate) async fn usage_by_source(&self, part: &Part<'_>) -> Result<Vec<DayRow>> {
        let sums: Vec<String> = MEASURES.iter().map(|name| format!("CAST(SUM({name}) AS BIGINT)")).collect();
        let query = AssertSqlSafe(format!(
            "SELECT hour_us / {DAY_US}, source, {} FROM usage_hours \
             WHERE hour_us >= $1 AND hour_us < $2 AND ($3 = '' OR tenant = $3) AND ($4 = '' OR user_name = $4) \
             AND ($5 = '' OR label = $5) GROUP BY 1, 2",
            sums.join(", ")
        ));
        let query = sqlx::query(query)
            .bind(part.from_us)
            .bind(part.to_us)
            .bind(part.tenant)
            .bind(part.user)
            .bind(part.label);
        let rows = query.fetch_all(self.pool()).await?;
        let row = |row: &AnyRow| -> Result<DayRow> {
            Ok(DayRow {
                day_us: row.try_get::<i64, _>(0)? * DAY_US,
                tenant: part.tenant.into(),
                user: part.user.into(),
                label: part.label.into(),
                source: row.try_get(1)?,
                used: measures(row, 2)?,
            })
        };
        rows.iter().map(row).collect()
    }
}

fn day_row(row: &AnyRow) -> Result<DayRow> {
    Ok(DayRow {
        day_us: row.try_get::<i64, _>(0)? * DAY_US,
        tenant: row.try_get(1)?,
        user: row.try_get(2)?,
        label: row.try_get(3)?,
        source: row.try_get(4)?,
        used: measures(row, 5)?,
    })
}

/// The measures of a row, from a column on.
fn measures(row: &AnyRow, first: usize) -> Result<Measures> {
    let mut values = [0; MEASURES.len()];
    for (at, value) in values.iter_mut().enumerate() {
        *value = number(row.try_get(first + at)?)?;
    }
    Ok(Measures::of(values))
}

impl Change<'_> {
    /// Takes in what coordinators told: batches that are not there yet, and by how much counters have grown. The same again
    /// changes nothing.
    pub(crate) async fn take_usage(&mut self, told: &[Usage]) -> Result<()> {
        self.dirty |= !told.is_empty();
        for usage in told {
            self.take_batches(usage).await?;
        }
        // What a coordinator has not heard of, another one has: counters only grow.
        let mut shards: BTreeMap<(&str, &str), (u64, u64)> = BTreeMap::new();
        for ShardUsage { source, tenant, store_requests, store_bytes } in
            told.iter().flat_map(|usage| &usage.shards)
        {
            let known = shards.entry((source, tenant)).or_default();
            *known = (known.0.max(*store_requests), known.1.max(*store_bytes));
        }
        for ((source, tenant), (requests, bytes)) in shards {
            self.take_shard(source, tenant, requests, bytes).await?;
        }
        let mut resident: BTreeMap<&str, u64> = BTreeMap::new();
        for Resident { tenant, bytes } in told.iter().flat_map(|usage| &usage.resident) {
            let known = resident.entry(tenant).or_default();
            *known = (*known).max(*bytes);
        }
        for (tenant, bytes) in resident {
            self.take_resident(tenant, bytes).await?;
        }
        Ok(())
    }

    async fn take_batches(&mut self, usage: &Usage) -> Result<()> {
        let query =
            sqlx::query("SELECT sequence FROM usage_sources WHERE source = $1").bind(usage.source.as_str());
        let known = query.fetch_optional(&mut *self.transaction).await?;
        let mut taken = known.map_or(Ok(0), |row| number(row.try_get(0)?))?;
        for batch in usage.batches.iter().filter(|batch| batch.sequence > 0) {
            if batch.sequence <= taken {
                continue;
            }
            if batch.sequence > taken + 1 {
                self.note_gap(&usage.source, taken, batch.sequence).await?;
            }
            for row in &batch.rows {
                self.add_usage(row, &usage.source).await?;
            }
            taken = batch.sequence;
        }
        let query = "INSERT INTO usage_sources (source, sequence, seen_at_us) VALUES ($1, $2, $3) \
                     ON CONFLICT (source) DO UPDATE SET sequence = excluded.sequence, seen_at_us = excluded.seen_at_us";
        let query =
            sqlx::query(query).bind(usage.source.as_str()).bind(signed_number(taken)?).bind(self.now_us);
        query.execute(&mut *self.transaction).await?;
        Ok(())
    }

    /// Batches that were acknowledged and are not here are lost: others acknowledged them, or the database is an older one.
    async fn note_gap(&mut self, source: &str, kept: u64, next: u64) -> Result<()> {
        tracing::warn!("what '{source}' told was used is not all here: after batch {kept} it gives {next}");
        let told = json!({ "source": source, "kept": kept, "next": next });
        self.record("usage lost", &format!("usage/{source}"), None, Some(told)).await
    }

    async fn take_shard(&mut self, source: &str, tenant: &str, requests: u64, bytes: u64) -> Result<()> {
        let query = sqlx::query("SELECT requests, bytes FROM usage_shards WHERE source = $1 AND tenant = $2");
        let known = query.bind(source).bind(tenant).fetch_optional(&mut *self.transaction).await?;
        let before = match known {
            Some(row) => (number(row.try_get(0)?)?, number(row.try_get(1)?)?),
            None => (0, 0),
        };
        let used = Measures {
            store_requests: requests.saturating_sub(before.0),
            store_bytes: bytes.saturating_sub(before.1),
            ..Measures::default()
        };
        self.add_held(tenant, used).await?;
        let query = "INSERT INTO usage_shards (source, tenant, requests, bytes, seen_at_us) VALUES ($1, $2, $3, $4, $5) \
                     ON CONFLICT (source, tenant) DO UPDATE SET requests = excluded.requests, bytes = excluded.bytes, \
                     seen_at_us = excluded.seen_at_us";
        let query = sqlx::query(query)
            .bind(source)
            .bind(tenant)
            .bind(signed_number(requests.max(before.0))?)
            .bind(signed_number(bytes.max(before.1))?)
            .bind(self.now_us);
        query.execute(&mut *self.transaction).await?;
        Ok(())
    }

    async fn take_resident(&mut self, tenant: &str, bytes: u64) -> Result<()> {
        let query = sqlx::query("SELECT seen_at_us, rest FROM usage_resident WHERE tenant = $1").bind(tenant);
        let known = query.fetch_optional(&mut *self.transaction).await?;
        let (seen_at_us, rest): (i64, i64) = match known {
            Some(row) => (row.try_get(0)?, row.try_get(1)?),
            None => (self.now_us, 0),
        };
        let for_us = (self.now_us - seen_at_us).clamp(0, HELD_MOST_US);
        let held = u128::from(bytes) * u128::from(for_us.unsigned_abs()) + u128::from(rest.unsigned_abs());
        let resident_mib_s = u64::try_from(held / MIB_S).unwrap_or(u64::MAX);
        self.add_held(tenant, Measures { resident_mib_s, ..Measures::default() }).await?;
        let query = "INSERT INTO usage_resident (tenant, seen_at_us, rest) VALUES ($1, $2, $3) \
                     ON CONFLICT (tenant) DO UPDATE SET seen_at_us = excluded.seen_at_us, rest = excluded.rest";
        let rest = i64::try_from(held % MIB_S).unwrap_or(0);
        let query = sqlx::query(query).bind(tenant).bind(self.now_us).bind(rest);
        query.execute(&mut *self.transaction).await?;
        Ok(())
    }

    /// Adds what is of no statement, to the hour of now.
    async fn add_held(&mut self, tenant: &str, used: Measures) -> Result<()> {
        if used.is_nothing() {
            return Ok(());
        }
        let (hour_us, _) = flight_proto::spending::Period::Hour.around(self.now_us);
        let (user, label) = (String::new(), String::new());
        self.add_usage(&UsageRow { hour_us, tenant: tenant.into(), user, label, used }, SHARDS).await
    }

    async fn add_usage(&mut self, row: &UsageRow, source: &str) -> Result<()> {
        let places: Vec<String> = (6..6 + MEASURES.len()).map(|place| format!("${place}")).collect();
        let sums: Vec<String> =
            MEASURES.iter().map(|name| format!("{name} = usage_hours.{name} + excluded.{name}")).collect();
        let query = AssertSqlSafe(format!(
            "INSERT INTO usage_hours (hour_us, tenant, user_name, label, source, {}) VALUES ($1, $2, $3, $4, $5, {}) \
             ON CONFLICT (hour_us, tenant, user_name, label, source) DO UPDATE SET {}",
            MEASURES.join(", "),
            places.join(", "),
            sums.join(", ")
        ));
        // PostgreSQL's texts have no zero bytes.
        let text = |text: &str| text.replace('\0', "");
        let mut query = sqlx::query(query)
            .bind(row.hour_us)
            .bind(text(&row.tenant))
            .bind(text(&row.user))
            .bind(text(&row.label))
            .bind(source.to_string());
        for value in row.used.values() {
            // Sums of an hour, and of what is asked for, stay below what a BIGINT holds.
            query = query.bind(i64::try_from(value).unwrap_or(i64::MAX).min(1 << 53));
        }
        query.execute(&mut *self.transaction).await?;
        Ok(())
    }

    /// Notes that a budget has come to a level in a period; whether that is new.
    pub(crate) async fn notice(
        &mut self,
        tenant: &str,
        budget: &str,
        began_us: i64,
        level: i64,
    ) -> Result<bool> {
        let query = "INSERT INTO usage_notices (tenant, budget, began_us, level) VALUES ($1, $2, $3, $4) \
                     ON CONFLICT (tenant, budget) DO UPDATE SET began_us = excluded.began_us, level = excluded.level \
                     WHERE usage_notices.began_us <> excluded.began_us OR usage_notices.level < excluded.level";
        let query = sqlx::query(query).bind(tenant).bind(budget).bind(began_us).bind(level);
        let is_new = query.execute(&mut *self.transaction).await?.rows_affected() > 0;
        self.dirty |= is_new;
        Ok(is_new)
    }

    /// Forgets starts that were not heard of for long: they do not come again.
    pub(crate) async fn forget_sources(&mut self) -> Result<()> {
        let before_us = self.now_us - REMEMBERED_US;
        for query in [
            "DELETE FROM usage_sources WHERE seen_at_us < $1",
            "DELETE FROM usage_shards WHERE seen_at_us < $1",
        ] {
            let done = sqlx::query(query).bind(before_us).execute(&mut *self.transaction).await?;
            self.dirty |= done.rows_affected() > 0;
        }
        Ok(())
    }
}
