//! A projection's transaction, and what is read as of one moment.

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
use crate::store::{Dialect, Row, StoreError, Transaction, ViewSnapshot};

/// How often a transaction waits for another process's, each time as long as a connection waits for a lock.
const TRIES: u32 = 3;

/// The writing connection with a transaction open: rolled back when dropped, wherever that happens.
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
    /// Away while a statement runs; gone for good if its caller stopped waiting for it.
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
        let open = self.open.take().ok_or_else(|| StoreError::failed(DOING, "the transaction was given up"))?;
        let (open, result) = blocking(DOING, move || {
            let result = work(open.connection()?);
            if open.connection()?.is_autocommit() {
                return Err(StoreError::failed(
                    DOING,
                    "a statement ended the transaction: leave that to its owner",
                ));
            }
            Ok((open, result))
        })
        .await?;
        self.open = Some(open);
        result
    }
}

#[async_trait]
impl Transaction for SqliteTransaction {
    fn dialect(&self) -> Dialect {
        Dialect::Sqlite
    }

    fn table(&self, table: &str) -> String {
        names::table(&self.prefix, table)
    }

    fn index(&self, index: &str) -> String {
        names::table(&self.prefix, index)
    }

    async fn execute(&mut self, sql: &str, parameters: Row) -> Result<u64, StoreError> {
        let sql = sql.to_owned();
        self.run(move |connection| Statement::prepare(connection, &sql)?.execute(&sql, &parameters)).await
    }

    async fn execute_many(&mut self, sql: &str, rows: Vec<Row>) -> Result<(), StoreError> {
        let sql = sql.to_owned();
        self.run(move |connection| {
            let mut statement = Statement::prepare(connection, &sql)?;
            rows.iter().try_for_each(|row| statement.execute(&sql, row).map(drop))
        })
        .await
    }

    async fn query(&mut self, sql: &str, parameters: Row) -> Result<Vec<Row>, StoreError> {
        let sql = sql.to_owned();
        self.run(move |connection| Statement::prepare(connection, &sql)?.query(&sql, &parameters)).await
    }

    async fn query_many(&mut self, sql: &str, rows: Vec<Row>) -> Result<Vec<Vec<Row>>, StoreError> {
        let sql = sql.to_owned();
        self.run(move |connection| {
            let mut statement = Statement::prepare(connection, &sql)?;
            rows.iter().map(|row| statement.query(&sql, row)).collect()
        })
        .await
    }

    async fn commit(mut self: Box<Self>) -> Result<(), StoreError> {
        let open = self.open.take().ok_or_else(|| StoreError::failed(DOING, "the transaction was given up"))?;
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

    async fn query(&mut self, sql: &str, parameters: Row) -> Result<Vec<Row>, StoreError> {
        let loan =
            self.loan.take().ok_or_else(|| StoreError::failed("reading the views", "the snapshot was given up"))?;
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
