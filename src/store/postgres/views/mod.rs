//! Views on Postgres: checkpoints, tables of projections, snapshots of aggregates.
//!
//! ## Layout
//! - `generations`: generations and their checkpoints: creating, switching and dropping them
//! - `leases`: the leader of each projection
//! - `snapshots`: snapshots of aggregates
//! - `transaction`: a projection's transaction, and a snapshot for reading
//! - `names`: the names of a generation's tables
//! - `statement`: statements of projections, for one row or many
//! - `decode`, `escape`: result columns as cells, texts with characters that Postgres does not store

mod decode;
mod escape;
mod generations;
mod leases;
mod names;
mod snapshots;
mod statement;
#[cfg(all(test, feature = "conformance"))]
mod tests;
mod transaction;

use std::time::Duration;

use async_trait::async_trait;
use sqlx::{Connection, PgConnection};
use uuid::Uuid;

use self::transaction::{PostgresTransaction, PostgresViewSnapshot, Tables};
use super::connections::{Loan, Origin, Purpose, SNAPSHOTS};
use super::fault::lost;
use super::location::{CONNECT, SchemaLocation};
use super::transaction::Open;
use crate::events::{LogPosition, Ref};
use crate::store::{
    GenerationId, GenerationInfo, NoteKind, Snapshot, StoreError, Transaction, ViewSnapshot, Views,
};

const DOING: &str = "working on the views";

pub(super) use self::generations::tables_of_others;

/// Creates the tables, with `{schema}` for the quoted schema.
pub(super) const SCHEMA: &str = include_str!("schema.sql");
/// Adds the digest to snapshots.
pub(super) const SNAPSHOT_DIGESTS: &str = include_str!("snapshots.sql");

/// How long a statement waits for a lock that another process holds.
const LOCK_WAIT: Duration = Duration::from_secs(5);

/// How often beginning is tried. With the first connection that turns out to be dead, all that are as old are replaced.
const ATTEMPTS: u32 = 5;

/// Begins a projection's transaction. A leader that is suspended in the middle (SIGSTOP, a machine put to sleep) loses it, so
/// that its successor can continue. Each statement is planned for the present size of the tables.
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL lock_timeout = '5s'; \
     SET LOCAL idle_in_transaction_session_timeout = '60s'; SET LOCAL plan_cache_mode = force_custom_plan; \
     SET LOCAL jit = off";

/// Begins a short transaction of the store.
const BEGIN_SHORT: &str = "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL lock_timeout = '5s'; \
     SET LOCAL idle_in_transaction_session_timeout = '10s'";

/// Begins a transaction that drops tables. It gives up soon, so that readers do not wait behind it.
const BEGIN_DROP: &str = "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL lock_timeout = '1s'; \
     SET LOCAL idle_in_transaction_session_timeout = '10s'";

/// Begins a transaction that reads views. A page reads along an index and stops at its end; a bitmap scan would find all
/// matching rows first, and the planner prefers it on a table that was never analysed, where it expects few.
const BEGIN_READ: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL lock_timeout = '5s'; \
     SET LOCAL plan_cache_mode = force_custom_plan; SET LOCAL jit = off; SET LOCAL enable_bitmapscan = off";

/// Locks generations and leases against changes by other transactions.
const ALONE: &str = "SELECT pg_advisory_xact_lock(hashtextextended(format('annals views %s', $1::text), 0))";

/// The views of a store on Postgres.
pub(super) struct PostgresViews {
    location: SchemaLocation,
}

/// A connection for one or two statements.
enum LentConnection {
    Connection(Loan),
    /// Behind a pooler only a transaction keeps its connection.
    Transaction(Open),
}

impl LentConnection {
    fn connection(&mut self) -> &mut PgConnection {
        match self {
            Self::Connection(connection) => connection,
            Self::Transaction(transaction) => transaction,
        }
    }

    fn origin(&self) -> Origin {
        match self {
            Self::Connection(connection) => connection.origin(),
            Self::Transaction(transaction) => transaction.origin(),
        }
    }

    /// Returns the connection to the pool. All statements were answered.
    fn give_back(self) {
        match self {
            Self::Connection(connection) => connection.give_back(),
            Self::Transaction(transaction) => transaction.let_go(),
        }
    }
}

impl PostgresViews {
    /// Opens the views, whose tables exist.
    pub(super) fn open(location: SchemaLocation) -> Self {
        Self { location }
    }

    fn fault(&self, error: sqlx::Error) -> StoreError {
        statement::fault(&self.location, DOING, error)
    }

    /// Waits for an answer on a connection.
    async fn on<T>(
        &self,
        origin: Origin,
        asked: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, StoreError> {
        self.location.attend(origin, asked).await.map_err(|error| self.fault(error))
    }

    /// Begins a transaction; on another connection if the first was lost, as no work was sent on it.
    async fn begin_with(&self, begin: &'static str) -> Result<Open, StoreError> {
        let mut attempt = 1;
        loop {
            match self.location.begin(Purpose::Views, begin).await {
                Err(error) if attempt < ATTEMPTS && lost(&error) => attempt += 1,
                begun => return begun.map_err(|error| self.fault(error)),
            }
        }
    }

    /// Lends a connection for reading.
    async fn lend(&self) -> Result<LentConnection, StoreError> {
        match self.location.pooler() {
            true => self.begin_with(BEGIN_SHORT).await.map(LentConnection::Transaction),
            false => self.lend_alive().await.map(LentConnection::Connection).map_err(|error| self.fault(error)),
        }
    }

    /// Lends a connection that answers: after a restart of the server the idle ones are dead.
    async fn lend_alive(&self) -> Result<Loan, sqlx::Error> {
        let mut attempt = 1;
        loop {
            let tried = async {
                let mut lent = self.location.lend(Purpose::Views).await?;
                let origin = lent.origin();
                let answered = self.location.attend(origin, lent.ping()).await;
                answered.inspect_err(|_| self.location.doubt(origin)).map(|()| lent)
            };
            match tried.await {
                Err(error) if attempt < ATTEMPTS && lost(&error) => attempt += 1,
                tried => return tried,
            }
        }
    }

    /// Begins a transaction that excludes all others of its kind, in all processes.
    async fn begin_exclusive(&self) -> Result<Open, StoreError> {
        let mut open = self.begin_with(BEGIN_SHORT).await?;
        self.on(
            open.origin(),
            generations::ask!(self.location, ALONE, self.location.plain_schema()).execute(&mut *open),
        )
        .await?;
        Ok(open)
    }

    async fn commit(&self, open: Open) -> Result<(), StoreError> {
        open.commit().await.map_err(|error| self.location.after_sending(DOING, error))
    }

    /// Drops the tables of generations that have no readers. A later sweep drops what cannot be dropped now.
    async fn sweep(&self) {
        let swept = async {
            let mut lent = self.lend().await?;
            let droppable =
                self.on(lent.origin(), generations::droppable(&self.location, lent.connection())).await?;
            lent.give_back();
            for generation_id in droppable {
                let mut open = self.begin_with(BEGIN_DROP).await?;
                match self
                    .on(open.origin(), generations::drop_tables(&self.location, &mut open, &generation_id))
                    .await
                {
                    Ok(true) => self.commit(open).await?,
                    Ok(false) => open.let_go(),
                    Err(error) => {
                        tracing::warn!(?generation_id, %error, "tables of a dropped generation cannot be dropped now: a later sweep does")
                    }
                }
            }
            Ok::<_, StoreError>(())
        };
        if let Err(error) = swept.await {
            tracing::warn!(%error, "unused tables cannot be dropped now: a later sweep does");
        }
    }

    /// Loads the snapshot of an aggregate.
    pub(super) async fn load_snapshot(&self, aggregate: &Ref) -> Result<Option<Snapshot>, StoreError> {
        let mut lent = self.lend().await?;
        let found = self.on(lent.origin(), snapshots::find(&self.location, lent.connection(), aggregate)).await?;
        lent.give_back();
        Ok(found)
    }

    /// Saves a snapshot in place of an older one.
    pub(super) async fn save_snapshot(&self, aggregate: &Ref, snapshot: Snapshot) -> Result<(), StoreError> {
        let mut open = self.begin_with(BEGIN_SHORT).await?;
        self.on(open.origin(), snapshots::keep(&self.location, &mut open, aggregate, &snapshot)).await?;
        self.commit(open).await
    }

    /// Lists the aggregates that have a snapshot.
    pub(super) async fn list_snapshots(&self) -> Result<Vec<Ref>, StoreError> {
        let mut lent = self.lend().await?;
        let all = self.on(lent.origin(), snapshots::all(&self.location, lent.connection())).await?;
        lent.give_back();
        Ok(all)
    }

    /// Deletes all snapshots.
    pub(super) async fn delete_snapshots(&self) -> Result<u64, StoreError> {
        let mut open = self.begin_with(BEGIN_SHORT).await?;
        let dropped = self.on(open.origin(), snapshots::clear(&self.location, &mut open)).await?;
        self.commit(open).await?;
        Ok(dropped)
    }
}

#[async_trait]
impl Views for PostgresViews {
    async fn live(&self, name: &str, version: u64) -> Result<(GenerationId, LogPosition), StoreError> {
        let mut lent = self.lend().await?;
        let found =
            self.on(lent.origin(), generations::live(&self.location, lent.connection(), name, version)).await?;
        lent.give_back();
        if let Some(live) = found {
            return Ok(live);
        }
        let mut open = self.begin_exclusive().await?;
        let made =
            self.on(open.origin(), generations::ensure_live(&self.location, &mut open, name, version)).await?;
        self.commit(open).await?;
        Ok(made)
    }

    async fn checkpoint(&self, generation_id: &GenerationId) -> Result<Option<LogPosition>, StoreError> {
        let mut lent = self.lend().await?;
        let found = self
            .on(lent.origin(), generations::checkpoint(&self.location, lent.connection(), generation_id))
            .await?;
        lent.give_back();
        Ok(found)
    }

    async fn begin(
        &self,
        generation_id: &GenerationId,
        from: LogPosition,
        to: LogPosition,
    ) -> Result<Option<Box<dyn Transaction>>, StoreError> {
        let mut open = self.begin_with(BEGIN).await?;
        if !self.on(open.origin(), generations::advance(&self.location, &mut open, generation_id, from, to)).await?
        {
            open.let_go();
            return Ok(None);
        }
        let tables = Tables::of(&self.location, generation_id);
        Ok(Some(Box::new(PostgresTransaction::new(self.location.clone(), tables, open))))
    }

    async fn shadow(&self, name: &str, version: u64) -> Result<(GenerationId, LogPosition), StoreError> {
        let mut open = self.begin_exclusive().await?;
        let made = self.on(open.origin(), generations::shadow(&self.location, &mut open, name, version)).await?;
        self.commit(open).await?;
        Ok(made)
    }

    async fn switch(&self, shadow: &GenerationId) -> Result<bool, StoreError> {
        let mut open = self.begin_exclusive().await?;
        if !self.on(open.origin(), generations::switch(&self.location, &mut open, shadow)).await? {
            open.let_go();
            return Ok(false);
        }
        self.commit(open).await?;
        self.sweep().await;
        Ok(true)
    }

    async fn discard(&self, generation_id: &GenerationId) -> Result<(), StoreError> {
        let mut open = self.begin_exclusive().await?;
        if !self.on(open.origin(), generations::mark_dropped(&self.location, &mut open, generation_id)).await? {
            open.let_go();
            let GenerationId { name, generation, .. } = generation_id;
            return Err(StoreError::failed(
                "discarding a generation",
                format!("generation {generation} of `{name}` is live: rebuild and switch first"),
            ));
        }
        self.commit(open).await?;
        self.sweep().await;
        Ok(())
    }

    async fn read(&self, name: &str, version: u64) -> Result<Box<dyn ViewSnapshot>, StoreError> {
        let permit = tokio::time::timeout(CONNECT, self.location.snapshots().acquire_owned()).await;
        let permit = permit.map_err(|_| {
            let waited = format!("{SNAPSHOTS} snapshots of views were open for {CONNECT:?}: drop some of them");
            StoreError::failed("reading the views", waited)
        })?;
        let permit = permit.map_err(|_| StoreError::Closed)?;
        loop {
            let mut open = self.begin_with(BEGIN_READ).await?;
            if let Some((generation_id, head)) =
                self.on(open.origin(), generations::live_to_read(&self.location, &mut open, name, version)).await?
            {
                return Ok(Box::new(PostgresViewSnapshot {
                    location: self.location.clone(),
                    tables: Tables::of(&self.location, &generation_id),
                    head,
                    open: Some(open),
                    _permit: permit,
                }));
            }
            open.let_go();
            self.live(name, version).await?;
        }
    }

    async fn set_note(
        &self,
        name: &str,
        version: u64,
        about: NoteKind,
        note: Option<String>,
    ) -> Result<(), StoreError> {
        let mut open = self.begin_with(BEGIN_SHORT).await?;
        self.on(open.origin(), generations::set_note(&self.location, &mut open, (name, version, about), note))
            .await?;
        self.commit(open).await
    }

    async fn note(&self, name: &str, version: u64, about: NoteKind) -> Result<Option<String>, StoreError> {
        let mut lent = self.lend().await?;
        let noted = self
            .on(lent.origin(), generations::note(&self.location, lent.connection(), (name, version, about)))
            .await?;
        lent.give_back();
        Ok(noted)
    }

    async fn acquire_leases(
        &self,
        owner: Uuid,
        wanted: &[(String, u64)],
        term: Duration,
    ) -> Result<Vec<(String, u64)>, StoreError> {
        let mut open = self.begin_exclusive().await?;
        let leads = self.on(open.origin(), leases::acquire(&self.location, &mut open, owner, wanted, term)).await?;
        self.commit(open).await?;
        self.sweep().await;
        Ok(leads)
    }

    async fn release_leases(&self, owner: Uuid) -> Result<(), StoreError> {
        let mut open = self.begin_exclusive().await?;
        self.on(open.origin(), leases::release(&self.location, &mut open, owner)).await?;
        self.commit(open).await
    }

    async fn generations(&self) -> Result<Vec<GenerationInfo>, StoreError> {
        let mut lent = self.lend().await?;
        let all = self.on(lent.origin(), generations::all(&self.location, lent.connection())).await?;
        lent.give_back();
        Ok(all)
    }

    async fn prune(&self, name: &str, version: u64) -> Result<bool, StoreError> {
        let mut open = self.begin_exclusive().await?;
        if self.on(open.origin(), leases::is_wanted(&self.location, &mut open, name, version)).await? {
            open.let_go();
            return Ok(false);
        }
        self.on(open.origin(), generations::mark_all_dropped(&self.location, &mut open, name, version)).await?;
        self.commit(open).await?;
        self.sweep().await;
        Ok(true)
    }
}
