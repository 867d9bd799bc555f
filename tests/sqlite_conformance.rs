//! Mission X6: the SQLite store passes the conformance suite, run like a store of another crate.
#![cfg(all(feature = "conformance", feature = "sqlite"))]

use std::sync::Arc;

use annals::store::conformance::Fixture;
use annals::store::{OpenOptions, Store, StoreError};
use tempfile::TempDir;

struct InDirectory(TempDir);

impl InDirectory {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a directory"))
    }
}

#[async_trait::async_trait]
impl Fixture for InDirectory {
    async fn open(&self, options: OpenOptions) -> Result<Arc<dyn Store>, StoreError> {
        annals::store::open(&format!("sqlite://{}", self.0.path().join("log.db").display()), options).await
    }

    fn has_its_own_clock(&self) -> bool {
        true
    }
}

annals::store_conformance_tests!(InDirectory::new());
