//! cqrs-es on postgres-es.

use std::sync::Arc;
use std::time::Duration;

use annals_bench_driver::{BoxError, Call, Competitor, Rebuilt, with_search_path};
use async_trait::async_trait;
use postgres_es::{
    PostgresCqrs, PostgresEventRepository, PostgresViewRepository, default_postgress_pool, postgres_cqrs,
};
use sqlx::PgPool;

use crate::account::Account;
use crate::runner::{Lost, execute, note, replay, view};

/// The tables of its `db/init.sql`, with the name of this view.
const TABLES: &str = "
CREATE TABLE IF NOT EXISTS events (
    aggregate_type text                         NOT NULL,
    aggregate_id   text                         NOT NULL,
    sequence       bigint CHECK (sequence >= 0) NOT NULL,
    event_type     text                         NOT NULL,
    event_version  text                         NOT NULL,
    payload        json                         NOT NULL,
    metadata       json                         NOT NULL,
    PRIMARY KEY (aggregate_type, aggregate_id, sequence)
);
CREATE TABLE IF NOT EXISTS totals (
    view_id text                        NOT NULL,
    version bigint CHECK (version >= 0) NOT NULL,
    payload json                        NOT NULL,
    PRIMARY KEY (view_id)
)";

const FILL: &str = "
INSERT INTO events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata)
SELECT 'account', 'account-' || lpad((n % $2)::text, 5, '0'), n / $2 + 1, 'Deposited', '1.0',
       json_build_object('Deposited', json_build_object(
           'posting', json_build_object('cents', 1 + n % 9973, 'reference', '0000-' || lpad(n::text, 12, '0') || '-0000',
                                        'memo', 'monthly standing order, paid by the branch'),
           'balance', n)),
       '{}'
  FROM generate_series(0, $1 - 1) AS n";

struct PostgresEs {
    pool: PgPool,
    framework: PostgresCqrs<Account>,
    lost: Lost,
}

pub async fn open(url: &str, with_view: bool) -> Result<Arc<dyn Competitor>, BoxError> {
    let pool = default_postgress_pool(&with_search_path(url)).await;
    sqlx::raw_sql(TABLES).execute(&pool).await?;
    let lost = Lost::default();
    let views = match with_view {
        true => vec![view(PostgresViewRepository::new("totals", pool.clone()), &lost)],
        false => Vec::new(),
    };
    let framework = postgres_cqrs(pool.clone(), views, ());
    Ok(Arc::new(PostgresEs { pool, framework, lost }))
}

#[async_trait]
impl Competitor for PostgresEs {
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
        sqlx::query("ANALYZE events").execute(&self.pool).await?;
        Ok(())
    }

    async fn rebuild(&self, bound: Duration) -> Result<Rebuilt, BoxError> {
        sqlx::query("TRUNCATE totals").execute(&self.pool).await?;
        let (events, views) = (
            PostgresEventRepository::new(self.pool.clone()),
            PostgresViewRepository::new("totals", self.pool.clone()),
        );
        replay(events, views, bound, async || {
            const COUNTED: &str = "SELECT coalesce(sum((payload->>'events')::bigint), 0)::bigint FROM totals";
            let count: i64 = sqlx::query_scalar(COUNTED).fetch_one(&self.pool).await?;
            Ok(count.try_into()?)
        })
        .await
    }

    async fn close(&self) {
        self.pool.close().await;
    }
}
