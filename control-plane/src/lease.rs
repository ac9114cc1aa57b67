//! Which instance leads: the one whose name is in a row of the database, until a time by the database's clock.
//!
//! The leader renews it before. By its own clock it stops leading earlier than the row says, counted from before it asked: when
//! another one takes over, it has stopped, whatever the clocks of the machines say.

use crate::config::Intervals;
use crate::database::Database;
use crate::error::Result;
use crate::{hex, signing};
use parking_lot::Mutex;
use sqlx::Row;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until, timeout};

pub(crate) struct Lease {
    database: Arc<Database>,
    /// This instance; another one after each start.
    pub(crate) holder: String,
    renew: Duration,
    length: Duration,
    /// Until when this instance leads.
    until: Mutex<Option<Instant>>,
}

/// The row, as anybody sees it.
#[derive(Debug, PartialEq)]
pub(crate) struct Leader {
    /// Absent where it has expired.
    pub(crate) holder: Option<String>,
    pub(crate) term: i64,
}

impl Lease {
    pub(crate) fn new(database: Arc<Database>, intervals: &Intervals) -> Result<Lease> {
        let holder = hex::encode(&signing::random::<8>()?);
        let (renew, length) = (intervals.renew, intervals.lease);
        Ok(Lease { database, holder, renew, length, until: Mutex::new(None) })
    }

    pub(crate) fn leads(&self) -> bool {
        self.until.lock().is_some_and(|until| Instant::now() < until)
    }

    /// Returns once this instance leads no more.
    pub(crate) async fn lost(&self) {
        loop {
            let until = *self.until.lock();
            match until {
                Some(until) if Instant::now() < until => sleep_until(until).await,
                _ => return,
            }
        }
    }

    /// Takes the lease where it is free, and renews it, for ever.
    pub(crate) async fn keep(&self) {
        loop {
            let led = self.leads();
            // One that takes longer is of no use any more.
            match timeout(self.length, self.renew()).await {
                Ok(Ok(true)) if !led => tracing::info!("instance {} leads", self.holder),
                Ok(Ok(false)) if led => tracing::warn!("another instance leads instead of {}", self.holder),
                Ok(Ok(_)) => {}
                Ok(Err(error)) => tracing::warn!("the lease is not renewed: {error}"),
                Err(_) => tracing::warn!("the lease is not renewed: the database does not answer"),
            }
            sleep(self.renew).await;
        }
    }

    /// Takes or renews the lease; whether this instance leads.
    pub(crate) async fn renew(&self) -> Result<bool> {
        let asked = Instant::now();
        let query = self.database.with_now(
            "UPDATE lease SET holder = $1, term = CASE WHEN holder = $1 THEN term ELSE term + 1 END, \
             expires_at_us = {now} + $2 WHERE id = 1 AND (holder = $1 OR expires_at_us <= {now}) RETURNING term",
        );
        let length_us = i64::try_from(self.length.as_micros()).unwrap_or(i64::MAX);
        let query = sqlx::query(query).bind(self.holder.as_str()).bind(length_us);
        let leads = query.fetch_optional(self.database.pool()).await?.is_some();
        // A twelfth earlier than the row says: clocks do not run alike.
        *self.until.lock() = leads.then(|| asked + self.length - self.length / 12);
        Ok(leads)
    }

    /// Has another instance lead at once.
    pub(crate) async fn release(&self) -> Result<()> {
        *self.until.lock() = None;
        let query = sqlx::query("UPDATE lease SET expires_at_us = 0 WHERE id = 1 AND holder = $1");
        query.bind(self.holder.as_str()).execute(self.database.pool()).await?;
        Ok(())
    }

    /// Who leads by the database's clock.
    pub(crate) async fn leader(&self) -> Result<Leader> {
        let query =
            self.database.with_now("SELECT holder, term, expires_at_us, {now} FROM lease WHERE id = 1");
        let row = sqlx::query(query).fetch_one(self.database.pool()).await?;
        let (expires_at_us, now_us): (i64, i64) = (row.try_get(2)?, row.try_get(3)?);
        let holder: String = row.try_get(0)?;
        Ok(Leader { holder: (now_us < expires_at_us).then_some(holder), term: row.try_get(1)? })
    }
}
