//! A change: one transaction that decides, gives versions and writes the audit.
//!
//! It locks the row of `state` first, so that changes of all instances come one after the other and versions ascend in the
//! order in which they were decided. A change that changes nothing leaves nothing behind.

use super::audit::{self, AuditRow};
use super::{Database, Held, held, number, signed_number};
use crate::error::{Error, Result};
use crate::hex;
use crate::json::describe;
use flight_proto::policy::{Document, Signed, Subject};
use prost::Message;
use serde_json::Value;
use sqlx::{Any, Row, Transaction};

/// The most bytes of a document: it is published as a whole.
const DOCUMENT_BYTES_MOST: usize = 400_000;

pub(crate) struct Change<'a> {
    database: &'a Database,
    pub(super) transaction: Transaction<'static, Any>,
    who: String,
    /// When it began, by the database's clock, in microseconds since 1970.
    pub(crate) now_us: i64,
    version: u64,
    audit_rows: i64,
    audit_hash: String,
    /// Something is to be committed.
    pub(super) dirty: bool,
}

impl<'a> Change<'a> {
    pub(super) async fn begin(database: &'a Database, who: &str) -> Result<Change<'a>> {
        let mut transaction = database.pool.begin().await?;
        // A write, so that SQLite waits for the lock at this point and nowhere later.
        let query = database.with_now(
            "UPDATE state SET version = version WHERE id = 1 RETURNING version, audit_rows, audit_hash, {now}",
        );
        let row = sqlx::query(query).fetch_one(&mut *transaction).await?;
        Ok(Change {
            database,
            who: who.into(),
            version: number(row.try_get(0)?)?,
            audit_rows: row.try_get(1)?,
            audit_hash: row.try_get(2)?,
            now_us: row.try_get(3)?,
            dirty: false,
            transaction,
        })
    }

    /// What was decided last under a name.
    pub(crate) async fn document(&mut self, name: &str) -> Result<Option<Held>> {
        let query = sqlx::query("SELECT signed FROM documents WHERE name = $1").bind(name);
        query.fetch_optional(&mut *self.transaction).await?.as_ref().map(held).transpose()
    }

    /// Decides; where that was decided before, nothing changes. Gives the document as it is then.
    pub(crate) async fn decide(&mut self, name: &str, action: &str, subject: Subject) -> Result<Document> {
        let before = self.document(name).await?.map(|held| held.document);
        if let Some(before) = before.as_ref().filter(|before| before.subject.as_ref() == Some(&subject)) {
            return Ok(before.clone());
        }
        let document = self.publish(name, subject).await?;
        self.record(action, name, before.as_ref().map(describe), Some(describe(&document))).await?;
        Ok(document)
    }

    /// Has the cluster know something that nobody decided: the audit does not tell of it.
    pub(crate) async fn publish(&mut self, name: &str, subject: Subject) -> Result<Document> {
        let version = self.version + 1;
        let document =
            Document { name: name.into(), version, decided_at_us: self.now_us, subject: Some(subject) };
        let signed = self.database.policy_key.sign_document(&document);
        // What is published must be what others take.
        signed.read().map_err(|error| Error::Invalid(error.to_string()))?;
        if signed.encoded_len() > DOCUMENT_BYTES_MOST {
            let why = format!(
                "'{name}' would be more than {DOCUMENT_BYTES_MOST} bytes, which coordinators do not take"
            );
            return Err(Error::Conflict(why));
        }
        self.keep(&document, &signed).await?;
        Ok(document)
    }

    /// Takes over what the cluster has, unless something later was decided meanwhile. Gives what it takes the place of.
    pub(crate) async fn adopt(&mut self, held: &Held) -> Result<Option<Option<Document>>> {
        let before = self.document(&held.document.name).await?.map(|held| held.document);
        let is_later = |before: &Document| before.version > held.document.version;
        if before.as_ref().is_some_and(|before| is_later(before) || *before == held.document) {
            return Ok(None);
        }
        self.keep(&held.document, &held.signed).await?;
        Ok(Some(before))
    }

    /// The version that the next document gets.
    pub(crate) fn next_version(&self) -> u64 {
        self.version + 1
    }

    /// Has further versions be higher than this.
    pub(crate) fn raise(&mut self, version: u64) {
        self.dirty |= version > self.version;
        self.version = self.version.max(version);
    }

    async fn keep(&mut self, document: &Document, signed: &Signed) -> Result<()> {
        let query = "INSERT INTO documents (name, version, signed) VALUES ($1, $2, $3) \
                     ON CONFLICT (name) DO UPDATE SET version = excluded.version, signed = excluded.signed";
        let query = sqlx::query(query)
            .bind(document.name.as_str())
            .bind(signed_number(document.version)?)
            .bind(hex::encode(&signed.encode_to_vec()));
        query.execute(&mut *self.transaction).await?;
        self.raise(document.version);
        self.dirty = true;
        Ok(())
    }

    /// Adds a row to the audit.
    pub(crate) async fn record(
        &mut self,
        action: &str,
        subject: &str,
        before: Option<Value>,
        after: Option<Value>,
    ) -> Result<()> {
        let mut row = AuditRow {
            number: self.audit_rows + 1,
            at_us: self.now_us,
            who: self.who.clone(),
            action: action.into(),
            subject: subject.into(),
            before: before.unwrap_or_default().to_string(),
            after: after.unwrap_or_default().to_string(),
            hash: String::new(),
        };
        row.hash = row.hash_after(&self.audit_hash);
        audit::insert(&mut self.transaction, &row).await?;
        (self.audit_rows, self.audit_hash) = (row.number, row.hash);
        self.dirty = true;
        Ok(())
    }

    /// Makes it last, where it has changed anything.
    pub(crate) async fn commit(mut self) -> Result<()> {
        if !self.dirty {
            return Ok(self.transaction.rollback().await?);
        }
        let query = "UPDATE state SET version = $1, audit_rows = $2, audit_hash = $3 WHERE id = 1";
        let query =
            sqlx::query(query).bind(signed_number(self.version)?).bind(self.audit_rows).bind(self.audit_hash);
        query.execute(&mut *self.transaction).await?;
        self.transaction.commit().await?;
        self.database.changed.notify_waiters();
        Ok(())
    }
}
