//! [`Pool`]: connections for reading, used on threads that may block.

use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::append::roll_back;
use super::file_connection::FileConnection;
use super::location::FileLocation;
use crate::store::StoreError;

/// The most idle connections.
const IDLE: usize = 4;

type Connect = Box<dyn Fn() -> Result<FileConnection, StoreError> + Send + Sync>;

/// A pool of connections for reading one file.
pub(super) struct Pool {
    location: FileLocation,
    connect: Connect,
    idle: Mutex<Vec<FileConnection>>,
    slots: Arc<Semaphore>,
    size: u32,
}

/// A borrowed connection. Dropping it rolls its transaction back and returns it.
pub(super) struct Loan {
    pool: Arc<Pool>,
    connection: Option<FileConnection>,
    _slot: OwnedSemaphorePermit,
}

impl Pool {
    /// `connect` opens a connection, or returns why the file must not be read.
    pub(super) fn new(
        location: FileLocation,
        size: u32,
        connect: impl Fn() -> Result<FileConnection, StoreError> + Send + Sync + 'static,
    ) -> Arc<Self> {
        let slots = Arc::new(Semaphore::new(size as usize));
        Arc::new(Self { location, connect: Box::new(connect), idle: Mutex::default(), slots, size })
    }

    /// Runs `read` with a connection, on a thread that may block.
    pub(super) async fn run<T: Send + 'static>(
        self: &Arc<Self>,
        read: impl FnOnce(&FileLocation, &Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.with_loan(|loan| read(&loan.pool.location, loan.connection()?)).await
    }

    /// Runs `read` with a borrowed connection that it may keep.
    pub(super) async fn with_loan<T: Send + 'static>(
        self: &Arc<Self>,
        read: impl FnOnce(Loan) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let slot = self.slots.clone().acquire_owned().await.map_err(|_| StoreError::Closed)?;
        let pool = self.clone();
        blocking("reading", move || {
            let idle = pool.idle().pop();
            let connection = match idle {
                Some(connection) if connection.files().check().is_ok() => connection,
                _ => (pool.connect)()?,
            };
            read(Loan { pool, connection: Some(connection), _slot: slot })
        })
        .await
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<FileConnection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for running reads, then closes all connections.
    pub(super) async fn drain(&self) {
        // An error means that it is closed already.
        let _all = self.slots.acquire_many(self.size).await;
        self.close();
    }

    /// Closes all connections: borrowed ones when they are returned.
    pub(super) fn close(&self) {
        self.slots.close();
        self.idle().clear();
    }
}

impl Loan {
    pub(super) fn connection(&self) -> Result<&Connection, StoreError> {
        self.connection.as_deref().ok_or(StoreError::Closed)
    }

    pub(super) fn location(&self) -> &FileLocation {
        &self.pool.location
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        let Some(connection) = self.connection.take() else { return };
        roll_back(&connection);
        if std::thread::panicking() || self.pool.slots.is_closed() {
            return;
        }
        let mut idle = self.pool.idle();
        if idle.len() < IDLE {
            idle.push(connection);
        }
    }
}

/// Runs work on a thread that may block. A panic in it becomes an error.
pub(super) async fn blocking<T: Send + 'static>(
    doing: &'static str,
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(StoreError::failed(doing, error.to_string())))
}
