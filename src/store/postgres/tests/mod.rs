//! Tests of this store alone. The conformance suite has those of all stores.

mod durable;
mod earlier;
mod forging;
mod losing;
mod opening;
mod plans;
mod pooled;
mod rights;
mod standbys;
mod tampering;
#[cfg(feature = "postgres-tls")]
mod tls;

use std::sync::Arc;
use std::time::Duration;

use annals_test_postgres::Fresh;
use jiff::Timestamp;
use sqlx::{Connection, Executor, PgConnection};

use super::location::SchemaLocation;
use crate::store::conformance::bench::APP;
use crate::store::{OpenOptions, Store, StoreError, open};

/// A schema of its own, with access to it beside the store.
struct Bed {
    fresh: Fresh,
    location: SchemaLocation,
}

impl Bed {
    fn new() -> Self {
        let fresh = Fresh::schema();
        let location = SchemaLocation::parse(fresh.url()).unwrap();
        Self { fresh, location }
    }

    async fn open(&self) -> Arc<dyn Store> {
        open_at(self.fresh.url(), true).await.unwrap()
    }

    /// Returns the URL with another user, host and port.
    fn url(&self, who: &str, address: &str) -> String {
        let (_, database) = self.fresh.url().split_once("://").unwrap().1.split_once('/').unwrap();
        format!("postgres://{who}@{address}/{database}")
    }

    /// Returns host and port of the server.
    fn address(&self) -> String {
        let options = self.location.options();
        format!("{}:{}", options.get_host(), options.get_port())
    }

    fn user(&self) -> &str {
        self.location.options().get_username()
    }

    /// Opens a connection without the store.
    async fn raw(&self) -> PgConnection {
        self.location.connect().await.unwrap()
    }

    /// Runs statements with `{schema}` for the schema.
    async fn run(&self, sql: &str) {
        let sql = self.location.sql(sql);
        let mut raw = self.raw().await;
        raw.execute(sql.as_str()).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        raw.close().await.unwrap();
    }

    /// Returns the number that a query selects.
    async fn number(&self, sql: &str) -> i64 {
        let sql = self.location.sql(sql);
        sqlx::query_scalar(&sql).fetch_one(&mut self.raw().await).await.unwrap()
    }
}

async fn open_at(url: &str, create: bool) -> Result<Arc<dyn Store>, StoreError> {
    let options = OpenOptions { app: APP.to_owned(), clock: Arc::new(Timestamp::now), create };
    open(url, options).await
}

/// Returns the reason why the store cannot be used.
fn reason<T>(result: Result<T, StoreError>) -> String {
    match result {
        Err(StoreError::Unusable { reason, .. }) => reason,
        Err(other) => panic!("it says {other:?}"),
        Ok(_) => panic!("it must be refused"),
    }
}

/// Waits until a condition holds.
async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    for _ in 0..1_500 {
        if is_so().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("it never was so: {what}");
}
