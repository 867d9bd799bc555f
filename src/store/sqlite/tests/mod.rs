//! Tests of this store alone. The conformance suite has the tests of every store.

mod causes;
mod clocks;
mod earlier;
mod files;
mod moved;
mod processes;
mod read_only;
mod rights;
mod tampering;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use tempfile::TempDir;

use crate::store::conformance::bench::APP;
use crate::store::{OpenOptions, Store, StoreError, open};

/// A temporary directory with one log.
struct TestDirectory(TempDir);

impl TestDirectory {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn log(&self) -> PathBuf {
        self.0.path().join("log.db")
    }

    fn views(&self) -> PathBuf {
        self.0.path().join("log.views.db")
    }

    async fn open(&self) -> Arc<dyn Store> {
        open_at(&self.log(), true).await.unwrap()
    }

    /// A connection of a program that does not use this crate.
    fn raw(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.log()).unwrap()
    }
}

async fn open_at(path: &Path, create: bool) -> Result<Arc<dyn Store>, StoreError> {
    let options = OpenOptions { app: APP.to_owned(), clock: Arc::new(Timestamp::now), create };
    open(&format!("sqlite://{}", path.display()), options).await
}

/// The reason why the store cannot be used.
fn reason<T>(result: Result<T, StoreError>) -> String {
    match result {
        Err(StoreError::Unusable { reason, .. }) => reason,
        Err(other) => panic!("it says {other:?}"),
        Ok(_) => panic!("it must be refused"),
    }
}
