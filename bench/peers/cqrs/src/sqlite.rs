//! cqrs-es on sqlite-es with `synchronous=FULL`: its default, NORMAL, may lose acknowledged events.

use std::sync::Arc;
use std::time::Duration;

use annals_bench_driver::{BoxError, Call, Competitor, Rebuilt};
use async_trait::async_trait;
use sqlite_es::{SqliteCqrs, SqliteEventRepository, SqliteViewRepository, sqlite_cqrs};
use sqlx::SqlitePool;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};

use crate::account::Account;
use crate::runner::{Lost, execute, note, replay, view};

/// The tables of its migrations, with the name of this view.
const TABLES: &str = "
CREATE TABLE IF NOT EXISTS events (
    aggregate_type text                        NOT NULL,
    aggregate_id   text                        NOT NULL,
    sequence       integer                     NOT NULL,
    event_type     text                        NOT NULL,
    event_version  text                        NOT NULL,
    payload        text                        NOT NULL,
    metadata       text                        NOT NULL,
    PRIMARY KEY (aggregate_type, aggregate_id, sequence)
);
CREATE TABLE IF NOT EXISTS totals (
    view_id text    NOT NULL,
    version integer NOT NULL,
    payload text    NOT NULL,
    PRIMARY KEY (view_id)
)";

const FILL: &str = "
WITH RECURSIVE numbers (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < $1)
INSERT INTO events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata)
SELECT 'account', printf('account-%05d', n % $2), n / $2 + 1, 'Deposited', '1.0',
       json_object('Deposited', json_object(
           'posting', json_object('cents', 1 + n % 9973, 'reference', printf('0000-%012d-0000', n),
                                  'memo', 'monthly standing order, paid by the branch'),
           'balance', n)),
       '{}'
  FROM numbers";

struct SqliteEs {
    pool: SqlitePool,
    framework: SqliteCqrs<Account>,
    lost: Lost,
}

pub async fn open(directory: &str, with_view: bool) -> Result<Arc<dyn Competitor>, BoxError> {
    let options = SqliteConnectOptions::new()
        .filename(format!("{directory}/sqlite-es.db"))
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true);
    let pool = SqlitePoolOptions::new().max_connections(10).connect_with(options).await?;
    sqlx::raw_sql(TABLES).execute(&pool).await?;
    let lost = Lost::default();
    let views = match with_view {
        true => vec![view(SqliteViewRepository::new("totals", pool.clone()), &lost)],
        false => Vec::new(),
    };
    let framework = sqlite_cqrs(pool.clone(), views, ());
    Ok(Arc::new(SqliteEs { pool, framework, lost }))
}

#[async_trait]
impl Competitor for SqliteEs {
    async fn command(&self, call: &Call) -> Result<u64, BoxError> {
        execute(&self.framework, call).await
    }

    async fn events(&self) -> Result<u64, BoxError> {
        let count: i64 = sqlx::query_scalar("SELECT count(*) FROM events").fetch_one(&self.pool).await?;
        Ok(count.try_into()?)
    }

    async fn note(&self) -> Result<Option<String>, BoxError> {
        Ok(note(&self.lost))
    }

    async fn fill(&self, events: u64, accounts: u64) -> Result<(), BoxError> {
        let (events, accounts) = (i64::try_from(events)?, i64::try_from(accounts)?);
        sqlx::query(FILL).bind(events).bind(accounts).execute(&self.pool).await?;
        sqlx::query("ANALYZE").execute(&self.pool).await?;
        Ok(())
    }

    async fn rebuild(&self, bound: Duration) -> Result<Rebuilt, BoxError> {
        sqlx::query("DELETE FROM totals").execute(&self.pool).await?;
        let (events, views) =
            (SqliteEventRepository::new(self.pool.clone()), SqliteViewRepository::new("totals", self.pool.clone()));
        replay(events, views, bound, async || {
            const COUNTED: &str = "SELECT coalesce(sum(payload->>'$.events'), 0) FROM totals";
            let count: i64 = sqlx::query_scalar(COUNTED).fetch_one(&self.pool).await?;
            Ok(count.try_into()?)
        })
        .await
    }

    async fn close(&self) {
        self.pool.close().await;
    }
}
