//! Publishing: the instance that leads has the cluster take what was decided, soon after it was, and compares everything now
//! and then.

use crate::cluster::Cluster;
use crate::config::Intervals;
use crate::database::{Database, Held};
use crate::decisions::issuers;
use crate::error::{Error, Result};
use crate::json::Publication;
use crate::lease::Lease;
use crate::metrics;
use crate::reconcile::{self, Step};
use flight_proto::admin::{PublishOutcome, PublishedDocument};
use flight_proto::trace::CALL;
use prost::Message;
use sqlx::Row;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tracing::field::Empty;
use tracing::{Instrument, info_span};

/// Documents of a request: coordinators take no larger ones.
const BATCH_DOCUMENTS: usize = 100;
const BATCH_BYTES: usize = 400_000;
/// Between tries at a cluster that takes nothing, the first and the longest.
const RETRY: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(10));

pub(crate) struct Publisher {
    database: Arc<Database>,
    cluster: Arc<dyn Cluster>,
    lease: Arc<Lease>,
    intervals: Intervals,
    /// Everything up to this version is known to the cluster.
    published: u64,
    /// When everything is compared next.
    compare_at: Instant,
    /// Nothing is tried before.
    retry_at: Instant,
    failures: u32,
    /// Documents that the cluster does not take, and why: an older release may not know them. They are tried again as
    /// everything is compared.
    refused: Vec<String>,
    report: Publication,
}

impl Publisher {
    pub(crate) fn new(
        database: Arc<Database>,
        cluster: Arc<dyn Cluster>,
        lease: Arc<Lease>,
        intervals: Intervals,
    ) -> Publisher {
        let now = Instant::now();
        Publisher {
            database,
            cluster,
            lease,
            intervals,
            published: 0,
            compare_at: now,
            retry_at: now,
            failures: 0,
            refused: Vec::new(),
            report: Publication::default(),
        }
    }

    /// Publishes while this instance leads, for ever.
    pub(crate) async fn run(mut self) {
        let database = self.database.clone();
        loop {
            let changed = database.changed.notified();
            if self.lease.leads() {
                let lease = self.lease.clone();
                tokio::select! {
                    biased;
                    () = lease.lost() => self.begin_anew(),
                    () = self.turn() => {}
                }
            } else {
                self.begin_anew();
            }
            let _ = tokio::time::timeout(self.intervals.look, changed).await;
        }
    }

    /// What others did meanwhile is not known: everything is compared before anything is published.
    fn begin_anew(&mut self) {
        (self.compare_at, self.retry_at, self.failures) = (Instant::now(), Instant::now(), 0);
    }

    /// Does what is due, and reports it.
    async fn turn(&mut self) {
        let now = Instant::now();
        if now < self.retry_at {
            return;
        }
        let compares = now >= self.compare_at;
        let done = match compares {
            true => {
                let span =
                    info_span!(target: CALL, parent: None, "reconcile", version = Empty, error = Empty);
                let done = self.compare().instrument(span.clone()).await;
                span.record("version", self.published);
                if let Err(error) = &done {
                    span.record("error", tracing::field::display(error));
                }
                done
            }
            false => self.publish_new().await,
        };
        let what = if compares { "all" } else { "news" };
        match &done {
            Ok(false) => {}
            Ok(true) => metrics::published(what, "done"),
            Err(_) => metrics::published(what, "failed"),
        }
        match done {
            Ok(false) => return,
            Ok(true) => {
                if self.failures > 0 {
                    tracing::warn!("the cluster takes policy again");
                }
                self.failures = 0;
                let at_us = self.database.now_us().await.unwrap_or(self.report.at_us);
                let told = self.refused[..self.refused.len().min(3)].join("; ");
                let refused = format!("{} documents are not taken: {told}", self.refused.len());
                self.report.failure = (!self.refused.is_empty()).then_some(refused);
                (self.report.version, self.report.at_us) = (self.published, at_us);
            }
            Err(error) => {
                if self.failures == 0 {
                    tracing::warn!("policy is not published: {error}");
                }
                let wait = RETRY.0.saturating_mul(1 << self.failures.min(16)).min(RETRY.1);
                self.failures += 1;
                (self.retry_at, self.compare_at) = (Instant::now() + wait, Instant::now());
                self.report.failure = Some(error.to_string());
            }
        }
        metrics::policy(self.published, self.refused.len());
        self.report.coordinators = self.cluster.coordinators();
        if let Err(error) = self.database.report(&self.report).await {
            tracing::warn!("how publishing goes is not noted: {error}");
        }
    }

    /// Has the cluster and the database say the same.
    async fn compare(&mut self) -> Result<bool> {
        issuers::forget_retired(&self.database).await?;
        // The cluster first: what is decided meanwhile is no loss.
        let policy = self.cluster.policy().await?;
        let theirs = reconcile::read(&policy, self.database.policy_key())?;
        let version = self.database.version().await?;
        let own = self.database.documents_after(0).await?;
        let steps = reconcile::plan(&own, &theirs);
        reconcile::take_over(&self.database, &steps).await?;
        let mut publish = Vec::new();
        for step in &steps {
            if let Step::Publish(held) = step {
                publish.push(*held);
            }
        }
        self.refused = self.publish(&publish).await?;
        self.published = version;
        self.compare_at = Instant::now() + self.intervals.compare;
        Ok(true)
    }

    /// Publishes what was decided since; whether there was anything.
    async fn publish_new(&mut self) -> Result<bool> {
        let version = self.database.version().await?;
        if version == self.published {
            return Ok(false);
        }
        let new = self.database.documents_after(self.published).await?;
        let latest = new.last().map_or(version, |held| held.document.version);
        let documents = new.len();
        let span = info_span!(target: CALL, parent: None, "publish", documents, version, error = Empty);
        let published = self.publish(&new.iter().collect::<Vec<_>>()).instrument(span.clone()).await;
        let refused = published.inspect_err(|error| {
            span.record("error", tracing::field::display(error));
        })?;
        self.refused.extend(refused);
        self.published = latest.max(version);
        Ok(true)
    }

    /// Has the cluster take documents, a part at a time. Gives those that it does not take, and why.
    async fn publish(&self, documents: &[&Held]) -> Result<Vec<String>> {
        let (mut batch, mut bytes, mut refused) = (Vec::new(), 0, Vec::new());
        for (at, held) in documents.iter().enumerate() {
            bytes += held.signed.encoded_len();
            batch.push(*held);
            let next = documents.get(at + 1).map(|held| held.signed.encoded_len());
            if batch.len() < BATCH_DOCUMENTS && next.is_some_and(|next| bytes + next <= BATCH_BYTES) {
                continue;
            }
            bytes = 0;
            let (documents, not_taken) = self.publish_batch(&std::mem::take(&mut batch)).await?;
            refused.extend(not_taken);
            if let Some(stale) = documents.iter().find(|one| one.outcome == PublishOutcome::Stale) {
                let (name, version) = (&stale.name, stale.version);
                let why = format!("the cluster has version {version} of '{name}', which is later");
                return Err(Error::Cluster(why));
            }
        }
        Ok(refused)
    }

    /// Publishes documents together; where one is not understood each alone, so that it holds up no other: keys that are
    /// taken back, say.
    async fn publish_batch(&self, batch: &[&Held]) -> Result<(Vec<PublishedDocument>, Vec<String>)> {
        let signed = batch.iter().map(|held| held.signed.clone()).collect();
        match self.cluster.publish(signed).await {
            Ok(published) => return Ok((published.documents, Vec::new())),
            Err(Error::NotTaken(_)) => {}
            Err(error) => return Err(error),
        }
        let (mut taken, mut refused) = (Vec::new(), Vec::new());
        for held in batch {
            match self.cluster.publish(vec![held.signed.clone()]).await {
                Ok(published) => taken.extend(published.documents),
                Err(Error::NotTaken(why)) => {
                    let name = &held.document.name;
                    tracing::warn!("the cluster does not take '{name}', which is tried again later: {why}");
                    refused.push(format!("'{name}': {why}"));
                }
                Err(error) => return Err(error),
            }
        }
        Ok((taken, refused))
    }
}

impl Database {
    /// Notes how publishing goes, for all instances.
    async fn report(&self, report: &Publication) -> Result<()> {
        let query = "INSERT INTO publication (id, report) VALUES (1, $1) \
                     ON CONFLICT (id) DO UPDATE SET report = excluded.report";
        let text = serde_json::to_string(report).map_err(|error| Error::Internal(error.to_string()))?;
        sqlx::query(query).bind(text).execute(self.pool()).await?;
        Ok(())
    }

    /// How publishing goes, as the instance that leads noted it last.
    pub(crate) async fn publication(&self) -> Result<Option<Publication>> {
        let query = sqlx::query("SELECT report FROM publication WHERE id = 1");
        let row = query.fetch_optional(self.pool()).await?;
        let damaged = |error| Error::Damaged(format!("the report on publishing: {error}"));
        row.map(|row| serde_json::from_str(row.try_get(0)?).map_err(damaged)).transpose()
    }
}
