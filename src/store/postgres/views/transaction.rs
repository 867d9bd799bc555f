//! A projection's transaction, and what is read as of one moment.

use std::sync::Arc;

use async_trait::async_trait;
use sqlx::Executor;
use tokio::sync::OwnedSemaphorePermit;

use super::super::connections::Origin;
use super::super::place::{Place, quoted};
use super::super::transaction::Open;
use super::statement::Statements;
use super::{DOING, names};
use crate::events::LogPosition;
use crate::store::{Dialect, GenerationId, Row, StoreError, Transaction, ViewSnapshot};

/// The tables of one generation.
#[derive(Clone)]
pub(super) struct Tables {
    schema: String,
    prefix: String,
}

impl Tables {
    pub(super) fn of(place: &Place, generation_id: &GenerationId) -> Self {
        Self { schema: place.schema().to_owned(), prefix: names::prefix(generation_id) }
    }

    fn table(&self, table: &str) -> String {
        format!("{}.{}", self.schema, quoted(&names::relation(&self.prefix, table)))
    }

    /// An index is in the schema of its table, and Postgres does not want to be told.
    fn index(&self, index: &str) -> String {
        quoted(&names::relation(&self.prefix, index))
    }
}

pub(super) struct PostgresTransaction {
    place: Place,
    statements: Arc<Statements>,
    tables: Tables,
    /// Away while a statement runs; gone for good if its caller stopped waiting for it.
    open: Option<Open>,
    /// A statement failed, or may have.
    doubtful: bool,
}

impl PostgresTransaction {
    pub(super) fn new(place: Place, statements: Arc<Statements>, tables: Tables, open: Open) -> Self {
        Self { place, statements, tables, open: Some(open), doubtful: false }
    }

    fn take(&mut self) -> Result<Open, StoreError> {
        self.open.take().ok_or_else(|| StoreError::failed(DOING, "the transaction was given up"))
    }

    fn put<T>(&mut self, open: Open, result: Result<T, StoreError>) -> Result<T, StoreError> {
        self.open = Some(open);
        self.doubtful |= result.is_err();
        result
    }
}

#[async_trait]
impl Transaction for PostgresTransaction {
    fn dialect(&self) -> Dialect {
        Dialect::Postgres
    }

    fn table(&self, table: &str) -> String {
        self.tables.table(table)
    }

    fn index(&self, index: &str) -> String {
        self.tables.index(index)
    }

    async fn execute(&mut self, sql: &str, parameters: Row) -> Result<u64, StoreError> {
        let mut open = self.take()?;
        let result =
            attend(&self.place, open.origin(), self.statements.execute(&mut open, sql, &parameters)).await?;
        self.put(open, result)
    }

    async fn execute_many(&mut self, sql: &str, rows: Vec<Row>) -> Result<(), StoreError> {
        let mut open = self.take()?;
        let result =
            attend(&self.place, open.origin(), self.statements.execute_many(&mut open, sql, &rows)).await?;
        self.put(open, result)
    }

    async fn query(&mut self, sql: &str, parameters: Row) -> Result<Vec<Row>, StoreError> {
        let mut open = self.take()?;
        let result = attend(&self.place, open.origin(), self.statements.query(&mut open, sql, &parameters)).await?;
        self.put(open, result)
    }

    async fn query_many(&mut self, sql: &str, rows: Vec<Row>) -> Result<Vec<Vec<Row>>, StoreError> {
        let mut open = self.take()?;
        let result = attend(&self.place, open.origin(), self.statements.query_many(&mut open, sql, &rows)).await?;
        self.put(open, result)
    }

    async fn commit(mut self: Box<Self>) -> Result<(), StoreError> {
        let mut open = self.take()?;
        if self.doubtful {
            // Postgres answers COMMIT in a failed transaction with a rollback and no error.
            let sound = self.place.attend(open.origin(), still_sound(&mut open)).await;
            sound.map_err(|error| self.place.fault(DOING, error))?;
        }
        open.commit().await.map_err(|error| self.place.after_sending(DOING, error))
    }
}

/// Waits for a statement. The error is that nothing comes any more: then the connection must not be used again.
async fn attend<T>(
    place: &Place,
    origin: Origin,
    running: impl Future<Output = Result<T, StoreError>>,
) -> Result<Result<T, StoreError>, StoreError> {
    let attended = place.attend(origin, async { Ok(running.await) }).await;
    attended.map_err(|silent| place.fault(DOING, silent))
}

/// An error if a statement failed: the transaction holds nothing any more.
async fn still_sound(open: &mut Open) -> Result<(), sqlx::Error> {
    (**open).execute("SELECT 1").await.map(drop)
}

pub(super) struct PostgresViewSnapshot {
    pub(super) place: Place,
    pub(super) statements: Arc<Statements>,
    pub(super) tables: Tables,
    pub(super) head: LogPosition,
    pub(super) open: Option<Open>,
    /// One of those that may be open at once.
    pub(super) _permit: OwnedSemaphorePermit,
}

#[async_trait]
impl ViewSnapshot for PostgresViewSnapshot {
    fn dialect(&self) -> Dialect {
        Dialect::Postgres
    }

    fn head(&self) -> LogPosition {
        self.head
    }

    fn table(&self, table: &str) -> String {
        self.tables.table(table)
    }

    async fn query(&mut self, sql: &str, parameters: Row) -> Result<Vec<Row>, StoreError> {
        let mut open =
            self.open.take().ok_or_else(|| StoreError::failed("reading the views", "the snapshot was given up"))?;
        let result = attend(&self.place, open.origin(), self.statements.query(&mut open, sql, &parameters)).await?;
        self.open = Some(open);
        result
    }
}

impl Drop for PostgresViewSnapshot {
    fn drop(&mut self) {
        if let Some(open) = self.open.take() {
            open.let_go();
        }
    }
}
