//! A projection's transaction, and a snapshot for reading.

use async_trait::async_trait;
use rusqlite::Connection;
use tokio::sync::OwnedMutexGuard;

use super::super::append::roll_back;
use super::super::file_connection::FileConnection;
use super::super::location::FileLocation;
use super::super::pool::{Loan, blocking};
use super::file::ViewsFile;
use super::statement::Statement;
use super::{DOING, generations, names};
use crate::events::LogPosition;
use crate::store::table::parameter;
use crate::store::{
    Cell, ColumnType, Dialect, Index, OnConflict, Row, StoreError, Table, Transaction, ViewSnapshot,
};

/// How often a transaction waits for one of another process, each time as long as a connection waits for a lock.
const TRIES: u32 = 3;

/// The writing connection with an open transaction. Dropping it rolls back.
pub(super) struct Open(OwnedMutexGuard<Option<FileConnection>>);

impl Open {
    pub(super) fn begin(
        file: &ViewsFile,
        mut guard: OwnedMutexGuard<Option<FileConnection>>,
    ) -> Result<Self, StoreError> {
        if let Some(connection) = guard.as_mut().filter(|connection| connection.files().check().is_err()) {
            *connection = file.writer_again(connection)?;
        }
        let (location, open) = (file.location(), Self(guard));
        let connection = open.connection()?;
        roll_back(connection);
        let mut tries = 1;
        loop {
            match connection.execute_batch("BEGIN IMMEDIATE").map_err(|error| location.fault(DOING, error)) {
                Ok(()) => return Ok(open),
                Err(StoreError::Busy(_)) if tries < TRIES => tries += 1,
                Err(StoreError::Busy(wait)) => return Err(StoreError::Busy(wait * tries)),
                Err(error) => return Err(error),
            }
        }
    }

    pub(super) fn connection(&self) -> Result<&Connection, StoreError> {
        self.0.as_deref().ok_or(StoreError::Closed)
    }

    pub(super) fn commit(self, location: &FileLocation) -> Result<(), StoreError> {
        self.connection()?.execute_batch("COMMIT").map_err(|error| location.fault(DOING, error))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if let Some(connection) = self.0.as_ref() {
            roll_back(connection);
        }
    }
}

pub(super) struct SqliteTransaction {
    location: FileLocation,
    prefix: String,
    /// `None` while a statement runs, and after its caller stopped waiting for it.
    open: Option<Open>,
}

impl SqliteTransaction {
    pub(super) fn new(location: FileLocation, prefix: String, open: Open) -> Self {
        Self { location, prefix, open: Some(open) }
    }

    async fn run<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let open = self.open.take().ok_or_else(|| {
            StoreError::failed(
                DOING,
                "the caller stopped waiting for a statement, so the transaction was rolled back",
            )
        })?;
        let (open, result) = blocking(DOING, move || {
            let result = work(open.connection()?);
            if open.connection()?.is_autocommit() {
                return Err(StoreError::failed(
                    DOING,
                    "a statement ended the transaction: only the store may do that",
                ));
            }
            Ok((open, result))
        })
        .await?;
        self.open = Some(open);
        result
    }

    async fn execute_each(&mut self, sql: String, rows: Vec<Row>) -> Result<(), StoreError> {
        self.run(move |connection| {
            let mut statement = Statement::prepare(connection, &sql)?;
            rows.iter().try_for_each(|row| statement.execute(&sql, row).map(drop))
        })
        .await
    }
}

/// Whether the table has SQLite's row ids. A key of one integer column is the row id.
fn has_row_ids(table: &Table) -> bool {
    let integer = |name: &&str| table.column(name).is_some_and(|column| column.column_type == ColumnType::Integer);
    matches!(table.key, [] | [_]) && table.key.iter().all(integer)
}

fn create_table(name: &str, table: &Table) -> String {
    let type_name = |column_type| match column_type {
        ColumnType::Integer => "INTEGER",
        ColumnType::Real => "REAL",
        ColumnType::Text => "TEXT",
        ColumnType::Bytes => "BLOB",
    };
    // Without row ids a table is its own index, which takes half the space.
    let end = if has_row_ids(table) { "" } else { " WITHOUT ROWID" };
    format!("CREATE TABLE IF NOT EXISTS {name} ({}){end}", table.definitions(type_name))
}

#[async_trait]
impl Transaction for SqliteTransaction {
    fn table(&self, table: &str) -> String {
        names::table(&self.prefix, table)
    }

    async fn create_table(&mut self, table: &Table) -> Result<(), StoreError> {
        let sql = create_table(&self.table(table.name), table);
        self.execute(&sql, Vec::new()).await.map(drop)
    }

    /// Copies the rows, in the order of the key, to a table that is its own index.
    async fn add_key(&mut self, table: &Table) -> Result<(), StoreError> {
        const KEYS: &str = "SELECT count(*) FROM pragma_table_info($1) WHERE pk > 0";
        let named = Cell::Text(format!("{}{}", self.prefix, table.name));
        if self.query(KEYS, vec![named]).await? != [vec![Cell::Integer(0)]] {
            return Ok(());
        }
        let (name, ordered) = (self.table(table.name), self.table(&format!("{}_ordered", table.name)));
        for sql in [
            create_table(&ordered, table),
            format!("INSERT INTO {ordered} SELECT * FROM {name} ORDER BY {}", table.key_list()),
            format!("DROP TABLE {name}"),
            format!("ALTER TABLE {ordered} RENAME TO {name}"),
        ] {
            self.execute(&sql, Vec::new()).await?;
        }
        Ok(())
    }

    async fn create_index(&mut self, table: &Table, index: &Index) -> Result<(), StoreError> {
        let mut index = index.clone();
        // Each index ends with the row id anyway.
        if !index.unique && has_row_ids(table) && index.columns.last() == table.key.first() {
            index.columns.pop();
        }
        let unique = if index.unique { "UNIQUE " } else { "" };
        let (name, table) = (self.table(&index.name), self.table(table.name));
        let sql = format!("CREATE {unique}INDEX IF NOT EXISTS {name} ON {table} {}", index.definition());
        self.execute(&sql, Vec::new()).await.map(drop)
    }

    async fn insert_rows(&mut self, table: &Table, rows: Vec<Row>, conflict: OnConflict) -> Result<(), StoreError> {
        let sql = table.insert_sql(&self.table(table.name), &table.values(), conflict);
        self.execute_each(sql, rows).await
    }

    async fn delete_keys(&mut self, table: &Table, keys: Vec<Row>) -> Result<(), StoreError> {
        let sql = table.delete_sql(&self.table(table.name), "", parameter);
        self.execute_each(sql, keys).await
    }

    async fn select_by_keys(
        &mut self,
        table: &Table,
        by: &[&str],
        columns: &[&str],
        keys: Vec<Row>,
    ) -> Result<Vec<Option<Row>>, StoreError> {
        let sql = table.select_sql(&self.table(table.name), by, columns, parameter);
        self.run(move |connection| {
            let mut statement = Statement::prepare(connection, &sql)?;
            keys.iter().map(|key| Ok(statement.query(&sql, key)?.into_iter().next())).collect()
        })
        .await
    }

    async fn execute(&mut self, sql: &str, parameters: Row) -> Result<u64, StoreError> {
        let sql = sql.to_owned();
        self.run(move |connection| Statement::prepare(connection, &sql)?.execute(&sql, &parameters)).await
    }

    async fn query(&mut self, sql: &str, parameters: Row) -> Result<Vec<Row>, StoreError> {
        let sql = sql.to_owned();
        self.run(move |connection| Statement::prepare(connection, &sql)?.query(&sql, &parameters)).await
    }

    async fn commit(mut self: Box<Self>) -> Result<(), StoreError> {
        let open = self.open.take().ok_or_else(|| {
            StoreError::failed(
                DOING,
                "the caller stopped waiting for a statement, so the transaction was rolled back",
            )
        })?;
        let location = self.location.clone();
        blocking(DOING, move || open.commit(&location)).await
    }
}

pub(super) struct SqliteViewSnapshot {
    prefix: String,
    head: LogPosition,
    loan: Option<Loan>,
}

impl SqliteViewSnapshot {
    pub(super) fn begin(loan: Loan, name: &str, version: u64) -> Result<Self, StoreError> {
        let connection = loan.connection()?;
        let live = connection.execute_batch("BEGIN").and_then(|()| generations::live(connection, name, version));
        let live = live.map_err(|error| loan.location().fault("reading the views", error))?;
        let (generation_id, head) =
            live.ok_or_else(|| StoreError::failed("reading the views", format!("`{name}` is gone")))?;
        Ok(Self { prefix: names::prefix(&generation_id), head, loan: Some(loan) })
    }
}

#[async_trait]
impl ViewSnapshot for SqliteViewSnapshot {
    fn dialect(&self) -> Dialect {
        Dialect::Sqlite
    }

    fn head(&self) -> LogPosition {
        self.head
    }

    fn table(&self, table: &str) -> String {
        names::table(&self.prefix, table)
    }

    async fn has_table(&mut self, table: &str) -> Result<bool, StoreError> {
        const FIND: &str = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = $1";
        let name = Cell::Text(format!("{}{table}", self.prefix));
        Ok(!self.query(FIND, vec![name]).await?.is_empty())
    }

    async fn query(&mut self, sql: &str, parameters: Row) -> Result<Vec<Row>, StoreError> {
        let loan = self.loan.take().ok_or_else(|| {
            StoreError::failed(
                "reading the views",
                "the caller stopped waiting for a query, so the snapshot was closed",
            )
        })?;
        let sql = sql.to_owned();
        let (loan, result) = blocking("reading the views", move || {
            let connection = loan.connection()?;
            let result =
                Statement::prepare(connection, &sql).and_then(|mut statement| statement.query(&sql, &parameters));
            Ok((loan, result))
        })
        .await?;
        self.loan = Some(loan);
        result
    }
}
