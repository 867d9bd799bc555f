//! A projection's transaction, and a snapshot for reading.

use std::sync::Arc;

use async_trait::async_trait;
use sqlx::Executor;
use tokio::sync::OwnedSemaphorePermit;

use super::super::connections::Origin;
use super::super::location::{SchemaLocation, quoted};
use super::super::standby::Standby;
use super::super::transaction::Open;
use super::{DOING, names, statement};
use crate::events::LogPosition;
use crate::store::{
    ColumnType, Dialect, GenerationId, Index, OnConflict, Row, StoreError, Table, Transaction, ViewSnapshot,
};

/// The tables of one generation.
#[derive(Clone)]
pub(super) struct Tables {
    schema: String,
    prefix: String,
}

impl Tables {
    pub(super) fn of(location: &SchemaLocation, generation_id: &GenerationId) -> Self {
        Self { schema: location.schema().to_owned(), prefix: names::prefix(generation_id) }
    }

    fn table(&self, table: &str) -> String {
        format!("{}.{}", self.schema, quoted(&names::relation(&self.prefix, table)))
    }

    /// An index is in the schema of its table; its name is not qualified.
    fn index(&self, index: &str) -> String {
        quoted(&names::relation(&self.prefix, index))
    }
}

pub(super) struct PostgresTransaction {
    location: SchemaLocation,
    tables: Tables,
    /// `None` while a statement runs, and after its caller stopped waiting for it.
    open: Option<Open>,
    /// Whether a statement failed, or may have.
    doubtful: bool,
    /// What a standby must have after the commit.
    committed: Option<(Arc<Standby>, GenerationId, LogPosition)>,
}

impl PostgresTransaction {
    pub(super) fn new(
        location: SchemaLocation,
        tables: Tables,
        open: Open,
        committed: Option<(Arc<Standby>, GenerationId, LogPosition)>,
    ) -> Self {
        Self { location, tables, open: Some(open), doubtful: false, committed }
    }

    fn take(&mut self) -> Result<Open, StoreError> {
        self.open.take().ok_or_else(|| {
            StoreError::failed(
                DOING,
                "the caller stopped waiting for a statement, so the transaction was rolled back",
            )
        })
    }

    /// Takes the connection back after a statement, unless the server fell silent.
    fn put<T>(&mut self, open: Open, attended: Result<Result<T, StoreError>, StoreError>) -> Result<T, StoreError> {
        let result = attended?;
        self.open = Some(open);
        self.doubtful |= result.is_err();
        result
    }

    /// Runs a statement that defines a table or an index.
    async fn define(&mut self, sql: String) -> Result<(), StoreError> {
        self.execute(&sql, Vec::new()).await.map(drop)
    }
}

#[async_trait]
impl Transaction for PostgresTransaction {
    fn table(&self, table: &str) -> String {
        self.tables.table(table)
    }

    async fn create_table(&mut self, table: &Table) -> Result<(), StoreError> {
        let type_name = |column_type| match column_type {
            ColumnType::Text => "text COLLATE \"C\"",
            other => statement::type_name(other),
        };
        let (name, definitions) = (self.table(table.name), table.definitions(type_name));
        self.define(format!("CREATE TABLE IF NOT EXISTS {name} ({definitions})")).await?;
        // To try to compress bytes takes longer than to write them.
        let bytes = table.columns.iter().filter(|column| column.column_type == ColumnType::Bytes);
        let alter = bytes.map(|column| format!("ALTER COLUMN {} SET STORAGE EXTERNAL", quoted(column.name)));
        match alter.collect::<Vec<_>>().join(", ") {
            none if none.is_empty() => Ok(()),
            alter => self.define(format!("ALTER TABLE {name} {alter}")).await,
        }
    }

    async fn add_key(&mut self, table: &Table) -> Result<(), StoreError> {
        let key = Index::new(format!("{}_key", table.name), table.key);
        self.create_index(table, &key.unique()).await
    }

    async fn create_index(&mut self, table: &Table, index: &Index) -> Result<(), StoreError> {
        let (name, table) = (self.tables.index(&index.name), self.table(table.name));
        let unique = if index.unique { "UNIQUE " } else { "" };
        self.define(format!("CREATE {unique}INDEX IF NOT EXISTS {name} ON {table} {}", index.definition())).await
    }

    async fn insert_rows(&mut self, table: &Table, rows: Vec<Row>, conflict: OnConflict) -> Result<(), StoreError> {
        let name = self.table(table.name);
        let mut open = self.take()?;
        let done = attend(
            &self.location,
            open.origin(),
            statement::insert(&self.location, &mut open, (&name, table), &rows, conflict),
        )
        .await;
        self.put(open, done)
    }

    async fn delete_keys(&mut self, table: &Table, keys: Vec<Row>) -> Result<(), StoreError> {
        let name = self.table(table.name);
        let mut open = self.take()?;
        let done = attend(
            &self.location,
            open.origin(),
            statement::delete(&self.location, &mut open, (&name, table), &keys),
        )
        .await;
        self.put(open, done)
    }

    async fn select_by_keys(
        &mut self,
        table: &Table,
        by: &[&str],
        columns: &[&str],
        keys: Vec<Row>,
    ) -> Result<Vec<Option<Row>>, StoreError> {
        let name = self.table(table.name);
        let mut open = self.take()?;
        let done = attend(
            &self.location,
            open.origin(),
            statement::select(&self.location, &mut open, (&name, table), by, columns, &keys),
        )
        .await;
        self.put(open, done)
    }

    async fn execute(&mut self, sql: &str, parameters: Row) -> Result<u64, StoreError> {
        let mut open = self.take()?;
        let done =
            attend(&self.location, open.origin(), statement::execute(&self.location, &mut open, sql, &parameters))
                .await;
        self.put(open, done)
    }

    async fn query(&mut self, sql: &str, parameters: Row) -> Result<Vec<Row>, StoreError> {
        let mut open = self.take()?;
        let done =
            attend(&self.location, open.origin(), statement::query(&self.location, &mut open, sql, &parameters))
                .await;
        self.put(open, done)
    }

    async fn commit(mut self: Box<Self>) -> Result<(), StoreError> {
        let mut open = self.take()?;
        if self.doubtful {
            // In a failed transaction COMMIT rolls back without an error.
            let sound = self.location.attend(open.origin(), check_sound(&mut open)).await;
            sound.map_err(|error| self.location.fault(DOING, error))?;
        }
        open.commit().await.map_err(|error| self.location.after_sending(DOING, error))?;
        if let Some((standby, generation_id, to)) = &self.committed {
            standby.note_checkpoint(generation_id, *to, false);
        }
        Ok(())
    }
}

/// Waits for a statement. The outer error says that the connection fell silent: it must not be used again.
async fn attend<T>(
    location: &SchemaLocation,
    origin: Origin,
    running: impl Future<Output = Result<T, StoreError>>,
) -> Result<Result<T, StoreError>, StoreError> {
    let attended = location.attend(origin, async { Ok(running.await) }).await;
    attended.map_err(|silent| location.fault(DOING, silent))
}

/// Fails if a statement failed before: then the transaction has no effect.
async fn check_sound(open: &mut Open) -> Result<(), sqlx::Error> {
    (**open).execute("SELECT 1").await.map(drop)
}

pub(in super::super) struct PostgresViewSnapshot {
    pub(super) location: SchemaLocation,
    pub(super) tables: Tables,
    pub(in super::super) head: LogPosition,
    pub(super) open: Option<Open>,
    /// The permit of an open snapshot.
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

    async fn has_table(&mut self, table: &str) -> Result<bool, StoreError> {
        let name = self.table(table).as_str().into();
        Ok(!self.query("SELECT 1 WHERE to_regclass($1) IS NOT NULL", vec![name]).await?.is_empty())
    }

    async fn query(&mut self, sql: &str, parameters: Row) -> Result<Vec<Row>, StoreError> {
        let mut open = self.open.take().ok_or_else(|| {
            StoreError::failed(
                "reading the views",
                "the caller stopped waiting for a query, so the snapshot was closed",
            )
        })?;
        let origin = open.origin();
        let result =
            attend(&self.location, origin, statement::query(&self.location, &mut open, sql, &parameters)).await?;
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
