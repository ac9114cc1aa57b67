//! Secret halves of keys: the one that signs documents, and those that sign access tokens. They never leave the database.

use super::Change;
use crate::error::Result;
use crate::signing::SigningKey;
use sqlx::{AnyPool, Row};
use std::collections::BTreeSet;

/// The secret that signs documents.
const POLICY: &str = "policy";
/// What ids of secrets begin with that sign access tokens.
const TOKEN: &str = "token/";

/// The key that signs documents; made by the instance that is first.
pub(super) async fn policy_key(pool: &AnyPool) -> Result<SigningKey> {
    let (_, pkcs8) = SigningKey::generate()?;
    let query = "INSERT INTO secrets (id, pkcs8) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING";
    sqlx::query(query).bind(POLICY).bind(pkcs8).execute(pool).await?;
    let query = sqlx::query("SELECT pkcs8 FROM secrets WHERE id = $1").bind(POLICY);
    SigningKey::read(query.fetch_one(pool).await?.try_get(0)?)
}

impl Change<'_> {
    /// The ids of keys that can sign access tokens.
    pub(crate) async fn token_keys(&mut self) -> Result<BTreeSet<String>> {
        let query = sqlx::query("SELECT id FROM secrets WHERE id LIKE $1").bind(format!("{TOKEN}%"));
        let rows = query.fetch_all(&mut *self.transaction).await?;
        rows.iter().map(|row| Ok(row.try_get::<&str, _>(0)?.trim_start_matches(TOKEN).to_string())).collect()
    }

    /// A key that signs access tokens, by its id.
    pub(crate) async fn token_key(&mut self, id: &str) -> Result<Option<SigningKey>> {
        let query = sqlx::query("SELECT pkcs8 FROM secrets WHERE id = $1").bind(format!("{TOKEN}{id}"));
        let row = query.fetch_optional(&mut *self.transaction).await?;
        row.map(|row| SigningKey::read(row.try_get(0)?)).transpose()
    }

    /// Makes a key that signs access tokens.
    pub(crate) async fn make_token_key(&mut self) -> Result<SigningKey> {
        let (key, pkcs8) = SigningKey::generate()?;
        let query = "INSERT INTO secrets (id, pkcs8) VALUES ($1, $2)";
        let query = sqlx::query(query).bind(format!("{TOKEN}{}", key.id())).bind(pkcs8);
        query.execute(&mut *self.transaction).await?;
        self.dirty = true;
        Ok(key)
    }

    pub(crate) async fn forget_token_key(&mut self, id: &str) -> Result<()> {
        let query = sqlx::query("DELETE FROM secrets WHERE id = $1").bind(format!("{TOKEN}{id}"));
        self.dirty |= query.execute(&mut *self.transaction).await?.rows_affected() > 0;
        Ok(())
    }
}
