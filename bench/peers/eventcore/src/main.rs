//! eventcore on PostgreSQL for `annals-bench`: as in its documentation, with its own pool and retry policy.

mod account;

use std::process::ExitCode;
use std::sync::Arc;

use annals_bench_driver::{BoxError, Call, Competitor, with_search_path};
use async_trait::async_trait;
use eventcore::{CommandError, RetryPolicy, StreamId};
use eventcore_postgres::PostgresEventStore;
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;

use crate::account::Deposit;

/// Number of retries after its own policy gives up, which tries five times.
const ATTEMPTS: u64 = 200;

struct Eventcore {
    /// Its default of ten connections.
    pool: PgPool,
    store: PostgresEventStore,
}

async fn open(url: &str) -> Result<Arc<dyn Competitor>, BoxError> {
    let pool = PgPoolOptions::new().max_connections(10).connect(&with_search_path(url)).await?;
    let store = PostgresEventStore::from_pool(pool.clone());
    store.migrate().await;
    Ok(Arc::new(Eventcore { pool, store }))
}

#[async_trait]
impl Competitor for Eventcore {
    async fn command(&self, call: &Call) -> Result<u64, BoxError> {
        let account = StreamId::try_new(call.account_name())?;
        let mut retries = 0;
        for _ in 0..ATTEMPTS {
            let deposit = Deposit { account: account.clone(), postings: call.postings() };
            match eventcore::execute(&self.store, deposit, RetryPolicy::new()).await {
                Ok(response) => return Ok(retries + u64::from(response.attempts()) - 1),
                Err(CommandError::ConcurrencyError(tried)) => retries += u64::from(tried) + 1,
                Err(error) => return Err(error.into()),
            }
        }
        Err(format!("other callers were faster {retries} times").into())
    }

    async fn events(&self) -> Result<u64, BoxError> {
        const COUNT: &str = "SELECT count(*) FROM eventcore_events";
        let count: i64 = sqlx::query_scalar(COUNT).fetch_one(&self.pool).await?;
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
