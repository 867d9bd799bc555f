//! A key store in a PostgreSQL database: for processes on several machines.
//!
//! The database should be one of another server than the log's, with no archive of its write-ahead log and no standby: they keep a
//! destroyed key as long as they keep anything. What the server itself keeps of it goes with later vacuums and checkpoints.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::postgres::{PgPool, PgPoolOptions, PgRow};
use sqlx::{Executor, Row};

use super::key_store::{KeyInfo, KeyStore, KeyStoreError, StoredKey, SubjectKey};
use crate::BoxError;
use crate::events::Ref;
use crate::store::DatabaseUrl;

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(10);

/// The connections of this process.
const CONNECTIONS: u32 = 4;

/// The keys of one log in a database, which may have the keys of others too.
pub(super) struct KeyDatabase {
    name: String,
    table: String,
    log: String,
    pool: PgPool,
    same_cluster: bool,
}

impl KeyDatabase {
    /// Opens the database, and creates the table if it does not exist. `log` is the id of the log; `same_cluster` says that the log is
    /// in the same cluster.
    pub(super) async fn open(url: DatabaseUrl, log: String, same_cluster: bool) -> Result<Self, BoxError> {
        let DatabaseUrl { name, schema, options } = url;
        let options = options.options([("synchronous_commit", "on")]);
        let pool = PgPoolOptions::new().max_connections(CONNECTIONS).acquire_timeout(CONNECT);
        let pool = pool.connect_with(options).await?;
        let table = format!("{schema}.annals_subject_keys");
        let mut transaction = pool.begin().await?;
        // Two programs that create it at once would fail otherwise.
        transaction.execute("SELECT pg_advisory_xact_lock(hashtext('annals_subject_keys'))").await?;
        let exists: bool = sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL")
            .bind(&table)
            .fetch_one(&mut *transaction)
            .await?;
        if !exists {
            transaction.execute(&*format!("CREATE SCHEMA IF NOT EXISTS {schema}")).await?;
            let create = format!(
                "CREATE TABLE IF NOT EXISTS {table} (log text NOT NULL, subject text COLLATE \"C\" NOT NULL, id text NOT NULL,
                 secret bytea, created_at bigint NOT NULL, erased_at bigint, PRIMARY KEY (log, subject))"
            );
            transaction.execute(&*create).await?;
            transaction.execute(&*format!("REVOKE ALL ON {table} FROM PUBLIC")).await?;
        }
        transaction.commit().await?;
        Ok(Self { name, table, log, pool, same_cluster })
    }

    fn sql(&self, sql: &str) -> String {
        sql.replace("{table}", &self.table)
    }

    /// What the table has of these subjects, in their order.
    async fn read(&self, subjects: &[Ref]) -> Result<Vec<Option<StoredKey>>, BoxError> {
        let names: Vec<&str> = subjects.iter().map(Ref::as_str).collect();
        let sql = self.sql("SELECT subject, id, secret FROM {table} WHERE log = $1 AND subject = ANY($2)");
        let rows = sqlx::query(&sql).bind(&self.log).bind(names).fetch_all(&self.pool).await?;
        let mut found = std::collections::HashMap::with_capacity(rows.len());
        for row in rows {
            let (subject, id): (String, String) = (row.try_get(0)?, row.try_get(1)?);
            let secret: Option<Vec<u8>> = row.try_get(2)?;
            let stored = match secret {
                None => StoredKey::Erased,
                Some(secret) => {
                    let key = <[u8; 32]>::try_from(secret).ok().and_then(|secret| SubjectKey::new(&id, secret));
                    StoredKey::Key(key.ok_or_else(|| format!("the key of {subject} in {} is damaged", self.name))?)
                }
            };
            found.insert(subject, stored);
        }
        Ok(subjects.iter().map(|subject| found.get(subject.as_str()).cloned()).collect())
    }

    async fn create(&self, subjects: &[Ref]) -> Result<Vec<StoredKey>, BoxError> {
        let mut missing = subjects.to_vec();
        // In one order, so that two callers do not wait for each other.
        missing.sort_unstable();
        missing.dedup();
        let keys = missing.iter().map(|_| SubjectKey::random()).collect::<Result<Vec<_>, _>>()?;
        let names: Vec<&str> = missing.iter().map(Ref::as_str).collect();
        let ids: Vec<&str> = keys.iter().map(SubjectKey::id).collect();
        let secrets: Vec<&[u8]> = keys.iter().map(|key| key.secret().as_slice()).collect();
        let sql = self.sql(
            "INSERT INTO {table} (log, subject, id, secret, created_at)
             SELECT $1, subject, id, secret, $5 FROM unnest($2::text[], $3::text[], $4::bytea[]) AS new (subject, id, secret)
             ON CONFLICT (log, subject) DO NOTHING",
        );
        let now = Timestamp::now().as_microsecond();
        sqlx::query(&sql).bind(&self.log).bind(names).bind(ids).bind(secrets).bind(now).execute(&self.pool).await?;
        let found = self.read(subjects).await?;
        let missing =
            || -> BoxError { format!("{} does not have a key that it has just created", self.name).into() };
        found.into_iter().map(|found| found.ok_or_else(missing)).collect()
    }

    async fn destroy_in_table(&self, subjects: &[Ref]) -> Result<Vec<bool>, BoxError> {
        let known = self.read(subjects).await?;
        let changed = subjects.iter().zip(&known).filter(|(_, known)| !matches!(known, Some(StoredKey::Erased)));
        let mut names: Vec<&str> = changed.map(|(subject, _)| subject.as_str()).collect();
        if !names.is_empty() {
            names.sort_unstable();
            names.dedup();
            let sql = self.sql(
                "INSERT INTO {table} AS kept (log, subject, id, secret, created_at, erased_at)
                 SELECT $1, subject, '', NULL, $3, $3 FROM unnest($2::text[]) AS new (subject)
                 ON CONFLICT (log, subject) DO UPDATE SET secret = NULL, erased_at = coalesce(kept.erased_at, excluded.erased_at)",
            );
            let now = Timestamp::now().as_microsecond();
            sqlx::query(&sql).bind(&self.log).bind(names).bind(now).execute(&self.pool).await?;
            // The old row goes sooner. It is destroyed for this program already.
            if let Err(error) = sqlx::query(&self.sql("VACUUM {table}")).execute(&self.pool).await {
                tracing::warn!(%error, "the table of keys could not be vacuumed");
            }
        }
        Ok(known.iter().map(|known| matches!(known, Some(StoredKey::Key(_)))).collect())
    }

    async fn list_after(&self, after: &str, limit: usize) -> Result<Vec<KeyInfo>, BoxError> {
        let sql = self.sql(
            "SELECT subject, id, secret IS NOT NULL, created_at, erased_at FROM {table}
             WHERE log = $1 AND subject > $2 ORDER BY subject LIMIT $3",
        );
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = sqlx::query(&sql).bind(&self.log).bind(after).bind(limit).fetch_all(&self.pool).await?;
        rows.iter().map(info).collect()
    }
}

fn info(row: &PgRow) -> Result<KeyInfo, BoxError> {
    let (subject, id, has_key): (String, String, bool) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    let erased_at: Option<i64> = row.try_get(4)?;
    Ok(KeyInfo {
        subject: subject.parse()?,
        key: has_key.then_some(id),
        created_at: Timestamp::from_microsecond(row.try_get(3)?)?,
        erased_at: erased_at.map(Timestamp::from_microsecond).transpose()?,
    })
}

#[async_trait]
impl KeyStore for KeyDatabase {
    async fn find(&self, subjects: &[Ref]) -> Result<Vec<Option<StoredKey>>, KeyStoreError> {
        Ok(self.read(subjects).await?)
    }

    async fn find_or_create(&self, subjects: &[Ref]) -> Result<Vec<StoredKey>, KeyStoreError> {
        Ok(self.create(subjects).await?)
    }

    async fn destroy(&self, subjects: &[Ref]) -> Result<Vec<bool>, KeyStoreError> {
        Ok(self.destroy_in_table(subjects).await?)
    }

    async fn list(&self, after: Option<&Ref>, limit: usize) -> Result<Vec<KeyInfo>, KeyStoreError> {
        Ok(self.list_after(after.map_or("", Ref::as_str), limit).await?)
    }

    fn describe(&self) -> String {
        self.name.clone()
    }

    fn weakness(&self) -> Option<String> {
        Some(match self.same_cluster {
            true => "the keys lie in the same PostgreSQL cluster as the log: its backups, its archived write-ahead log and its \
                     standbys have the key as long as they are kept"
                .to_owned(),
            false => "the keys lie in PostgreSQL: backups, archived write-ahead log and standbys of that cluster have the key as long as \
                      they are kept, and so have its files until they are vacuumed and overwritten"
                .to_owned(),
        })
    }

    async fn close(&self) {
        self.pool.close().await;
    }
}
