//! Connections and transactions for the views: each statement waits for its answer, and a dead connection is replaced.

use std::time::Duration;

use sqlx::{Connection, PgConnection};

use super::super::connections::{Loan, Origin, Purpose};
use super::super::fault::{ATTEMPTS, lost};
use super::super::transaction::Open;
use super::{DOING, PostgresViews, generations, statement};
use crate::store::StoreError;

/// How long a statement waits for a lock that another process holds.
pub(super) const LOCK_WAIT: Duration = Duration::from_secs(5);

/// Views can be made again, so their commits do not wait for a standby: they continue while there is none. Their server keeps them
/// after the events that they are of, so that a standby never has a checkpoint without its event.
macro_rules! local {
    () => {
        "; SELECT pg_catalog.set_config('synchronous_commit', 'local', true) \
         WHERE pg_catalog.current_setting('synchronous_commit') <> 'off'"
    };
}

/// Begins a projection's transaction. A leader that is suspended in the middle (SIGSTOP, a machine put to sleep) loses it, so
/// that its successor can continue. Each statement is planned for the present size of the tables.
pub(super) const BEGIN: &str = concat!(
    "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL lock_timeout = '5s'; \
     SET LOCAL idle_in_transaction_session_timeout = '60s'; SET LOCAL plan_cache_mode = force_custom_plan; \
     SET LOCAL jit = off",
    local!()
);

/// Begins a short transaction of the store.
pub(super) const BEGIN_SHORT: &str = concat!(
    "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL lock_timeout = '5s'; \
     SET LOCAL idle_in_transaction_session_timeout = '10s'",
    local!()
);

/// Begins a transaction that drops tables. It gives up soon, so that readers do not wait behind it.
const BEGIN_DROP: &str = concat!(
    "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL lock_timeout = '1s'; \
     SET LOCAL idle_in_transaction_session_timeout = '10s'",
    local!()
);

/// Begins a transaction that reads views. A page reads along an index and stops at its end; a bitmap scan would find all
/// matching rows first, and the planner prefers it on a table that was never analysed, where it expects few.
pub(super) const BEGIN_READ: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL lock_timeout = '5s'; \
     SET LOCAL plan_cache_mode = force_custom_plan; SET LOCAL jit = off; SET LOCAL enable_bitmapscan = off";

/// Locks generations and leases against changes by other transactions.
const ALONE: &str = "SELECT pg_advisory_xact_lock(hashtextextended(format('annals views %s', $1::text), 0))";

/// A connection for one or two statements.
pub(super) enum LentConnection {
    Connection(Loan),
    /// Behind a pooler only a transaction keeps its connection.
    Transaction(Open),
}

impl LentConnection {
    pub(super) fn connection(&mut self) -> &mut PgConnection {
        match self {
            Self::Connection(connection) => connection,
            Self::Transaction(transaction) => transaction,
        }
    }

    pub(super) fn origin(&self) -> Origin {
        match self {
            Self::Connection(connection) => connection.origin(),
            Self::Transaction(transaction) => transaction.origin(),
        }
    }

    /// Returns the connection to the pool. All statements were answered.
    pub(super) fn give_back(self) {
        match self {
            Self::Connection(connection) => connection.give_back(),
            Self::Transaction(transaction) => transaction.let_go(),
        }
    }
}

impl PostgresViews {
    fn fault(&self, error: sqlx::Error) -> StoreError {
        statement::fault(&self.location, DOING, error)
    }

    /// Waits for an answer on a connection.
    pub(super) async fn on<T>(
        &self,
        origin: Origin,
        asked: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, StoreError> {
        self.location.attend(origin, asked).await.map_err(|error| self.fault(error))
    }

    /// Begins a transaction; on another connection if the first was lost, as no work was sent on it.
    pub(super) async fn begin_with(&self, begin: &'static str) -> Result<Open, StoreError> {
        let mut attempt = 1;
        loop {
            match self.location.begin(Purpose::Views, begin).await {
                Err(error) if attempt < ATTEMPTS && lost(&error) => attempt += 1,
                begun => return begun.map_err(|error| self.fault(error)),
            }
        }
    }

    /// Lends a connection for reading.
    pub(super) async fn lend(&self) -> Result<LentConnection, StoreError> {
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
    pub(super) async fn begin_exclusive(&self) -> Result<Open, StoreError> {
        let mut open = self.begin_with(BEGIN_SHORT).await?;
        self.on(
            open.origin(),
            generations::ask!(self.location, ALONE, self.location.plain_schema()).execute(&mut *open),
        )
        .await?;
        Ok(open)
    }

    pub(super) async fn commit(&self, open: Open) -> Result<(), StoreError> {
        open.commit().await.map_err(|error| self.location.after_sending(DOING, error))
    }

    /// Drops the tables of generations that have no readers. A later sweep drops what cannot be dropped now.
    pub(super) async fn sweep(&self) {
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
}
