//! disintegrate on PostgreSQL for `annals-bench`: as in its documentation, with a pool of ten connections and without snapshots.

mod account;

use std::process::ExitCode;
use std::sync::Arc;

use annals_bench_driver::{BoxError, Call, Competitor, LeftOut, with_search_path};
use async_trait::async_trait;
use disintegrate::DecisionError;
use disintegrate::NoSnapshot;
use disintegrate::serde::json::Json;
use disintegrate_postgres::{Error, PgDecisionMaker, PgEventStore};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;

use crate::account::{AccountEvent, Deposit};

/// disintegrate leaves retries to its caller.
const ATTEMPTS: u64 = 1_000;

/// The first version of PostgreSQL with the hexadecimal literals of its migration.
const POSTGRES_16: i32 = 160_000;

struct Disintegrate {
    pool: PgPool,
    decisions: PgDecisionMaker<AccountEvent, Json<AccountEvent>, NoSnapshot>,
}

async fn open(url: &str) -> Result<Arc<dyn Competitor>, BoxError> {
    let pool = PgPoolOptions::new().max_connections(10).connect(&with_search_path(url)).await?;
    const VERSION: &str = "SELECT current_setting('server_version_num')::int, current_setting('server_version')";
    let (number, version): (i32, String) = sqlx::query_as(VERSION).fetch_one(&pool).await?;
    if number < POSTGRES_16 {
        return Err(LeftOut(format!("its migration needs PostgreSQL 16, this is {version}")).into());
    }
    let store = PgEventStore::try_new(pool.clone(), Json::<AccountEvent>::default()).await?;
    Ok(Arc::new(Disintegrate { pool, decisions: disintegrate_postgres::decision_maker(store, NoSnapshot) }))
}

#[async_trait]
impl Competitor for Disintegrate {
    async fn command(&self, call: &Call) -> Result<u64, BoxError> {
        let deposit = Deposit { account: call.account_name(), postings: call.postings() };
        for attempt in 0..ATTEMPTS {
            match self.decisions.make(deposit.clone()).await {
                Ok(_) => return Ok(attempt),
                Err(DecisionError::StateStore(error) | DecisionError::EventStore(error))
                    if matches!(error.downcast_ref::<Error>(), Some(Error::Concurrency)) => {}
                Err(error) => return Err(error.to_string().into()),
            }
        }
        Err(format!("other callers were faster {ATTEMPTS} times").into())
    }

    async fn events(&self) -> Result<u64, BoxError> {
        let count: i64 = sqlx::query_scalar("SELECT count(*) FROM event").fetch_one(&self.pool).await?;
        Ok(count.try_into()?)
    }

    async fn close(&self) {
        self.pool.close().await;
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let job = std::env::args().nth(1).unwrap_or_default();
    annals_bench_driver::serve(&job, async |job| open(&job.place).await).await
}
