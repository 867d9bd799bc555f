//! Tests of the views on Postgres, and the conformance cases of views.

mod bulk;
mod cells;
mod dropping;
mod failing;

use std::sync::Arc;
use std::time::Duration;

use annals_test_postgres::Fresh;
use async_trait::async_trait;
use sqlx::Executor;
use tokio::sync::watch;
use uuid::Uuid;

use super::super::location::SchemaLocation;
use super::{PostgresViews, SCHEMA, SNAPSHOT_DIGESTS};
use crate::events::{LogPosition, Ref, Stored};
use crate::store::conformance::Fixture;
use crate::store::{
    Batch, GenerationId, Interest, KnownCommand, LogInfo, OpenOptions, Outcome, Page, Row, Store, StoreError,
    Transaction, Views, WriteLock,
};

/// A schema of its own, with only the tables of the views.
pub struct Schema {
    fresh: Fresh,
    url: String,
}

impl Schema {
    pub async fn new() -> Self {
        Self::with("").await
    }

    /// `also`: what the URL says beyond the schema.
    pub async fn with(also: &str) -> Self {
        let fresh = Fresh::schema();
        let schema = Self { url: format!("{}{also}", fresh.url()), fresh };
        let location = schema.location();
        schema.run(&format!("CREATE SCHEMA {}", location.schema())).await;
        for sql in [SCHEMA, SNAPSHOT_DIGESTS] {
            schema.run(&location.sql(sql)).await;
        }
        // An empty log.
        schema.run(&location.sql("CREATE TABLE {schema}.events (position bigint, event_id uuid)")).await;
        schema
    }

    /// Runs statements on a separate connection.
    pub async fn run(&self, sql: &str) {
        let mut connection = self.location().connect().await.expect("a connection");
        connection.execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    pub fn location(&self) -> SchemaLocation {
        SchemaLocation::parse(&self.url).expect("a location")
    }

    pub fn views(&self) -> PostgresViews {
        PostgresViews::open(self.location(), None)
    }

    /// The names of all tables, views and indexes that begin so.
    pub async fn relations(&self, begin: &str) -> Vec<String> {
        let sql = "SELECT c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
             WHERE n.nspname = $1 AND starts_with(c.relname::text, $2) AND c.relkind <> 't' ORDER BY 1";
        let asked = sqlx::query_scalar(sql).bind(self.fresh.name()).bind(begin);
        asked.fetch_all(&mut self.location().connect().await.expect("a connection")).await.expect("names")
    }
}

pub fn head(position: u64) -> LogPosition {
    LogPosition { position, event_id: Uuid::from_u128(position.into()) }
}

pub async fn begin(
    views: &PostgresViews,
    generation_id: &GenerationId,
    from: LogPosition,
    to: LogPosition,
) -> Box<dyn Transaction> {
    views.begin(generation_id, from, to).await.expect("a transaction").expect("the checkpoint is there")
}

/// A transaction from 0 to 1 of a projection that was not there.
pub async fn open(views: &PostgresViews) -> Box<dyn Transaction> {
    let (generation_id, _) = views.live("roster", 1).await.expect("a generation");
    begin(views, &generation_id, LogPosition::default(), head(1)).await
}

/// A store with views but without a log.
struct ViewsAlone(Arc<PostgresViews>);

macro_rules! no_log {
    () => {
        panic!("there is no log here")
    };
}

#[async_trait]
impl Store for ViewsAlone {
    async fn append(&self, _: Batch) -> Result<Vec<Outcome>, StoreError> {
        no_log!()
    }
    async fn write_lock(&self, _: Duration, _: Duration) -> Result<Box<dyn WriteLock>, StoreError> {
        no_log!()
    }
    async fn head(&self) -> Result<LogPosition, StoreError> {
        no_log!()
    }
    async fn info(&self) -> Result<LogInfo, StoreError> {
        no_log!()
    }
    fn watch(&self) -> watch::Receiver<LogPosition> {
        no_log!()
    }
    async fn read(&self, _: u64, _: usize, _: &Interest) -> Result<Page, StoreError> {
        no_log!()
    }
    async fn read_at(&self, _: &[u64]) -> Result<Vec<Stored>, StoreError> {
        no_log!()
    }
    async fn load(&self, _: &Ref, _: u64, _: usize) -> Result<Vec<Stored>, StoreError> {
        no_log!()
    }
    async fn find_commands(&self, _: &[Uuid]) -> Result<Vec<Option<KnownCommand>>, StoreError> {
        no_log!()
    }
    fn views(&self) -> Arc<dyn Views> {
        self.0.clone()
    }
    fn describe(&self) -> String {
        no_log!()
    }
    async fn close(&self) {}
}

#[async_trait]
impl Fixture for Schema {
    async fn open(&self, _: OpenOptions) -> Result<Arc<dyn Store>, StoreError> {
        Ok(Arc::new(ViewsAlone(Arc::new(self.views()))))
    }
}

macro_rules! cases {
    ($($case:ident,)*) => {
        mod direct {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    crate::store::conformance::case(stringify!($case), super::Schema::new().await).await;
                }
            )*
        }

        /// Statements are not prepared, and run in transactions.
        mod as_behind_a_pooler {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    let schema = super::Schema::with("&pooler=transaction").await;
                    crate::store::conformance::case(stringify!($case), schema).await;
                }
            )*
        }
    };
}

cases! {
    a_projection_begins_at_position_zero_with_generation_one,
    effect_and_checkpoint_are_committed_together,
    a_dropped_transaction_leaves_neither_effect_nor_checkpoint,
    a_checkpoint_moved_by_another_process_fences_off_the_transaction,
    placeholders_are_bound_by_their_numbers,
    rows_are_written_and_read_in_bulk,
    a_table_gets_its_key_once_it_is_filled,
    the_error_of_a_failed_statement_contains_it,
    a_rebuild_is_made_beside_the_live_generation_and_then_switched,
    a_rebuild_behind_the_live_generation_is_not_switched,
    a_rebuild_continues_an_abandoned_one,
    a_discarded_generation_is_deleted_and_the_live_one_cannot_be_discarded,
    a_snapshot_of_a_view_is_of_one_moment,
    projections_of_any_name_and_version_are_separate,
    a_note_is_kept_for_every_handle_until_it_is_cleared,
    owners_get_even_shares_and_each_projection_has_one_leader,
    leases_of_a_dead_owner_become_free_after_their_term_and_not_before,
    an_owner_that_leaves_releases_its_leases_at_once,
    every_wanted_projection_gets_a_leader_that_wants_it,
    concurrent_owners_never_share_a_projection,
    all_generations_are_listed_with_their_leaders,
    a_version_is_pruned_only_without_a_lease,
}
