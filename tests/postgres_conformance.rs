//! Mission X6: the PostgreSQL store passes the conformance suite, run like a store of another crate.
#![cfg(all(feature = "conformance", feature = "postgres"))]

use std::sync::Arc;

use annals::store::conformance::Fixture;
use annals::store::{OpenOptions, Store, StoreError};
use annals_test_postgres::Fresh;

struct InSchema(Fresh);

#[async_trait::async_trait]
impl Fixture for InSchema {
    async fn open(&self, options: OpenOptions) -> Result<Arc<dyn Store>, StoreError> {
        annals::store::open(self.0.url(), options).await
    }

    fn has_its_own_clock(&self) -> bool {
        true
    }
}

annals::store_conformance_tests!(InSchema(Fresh::schema()));
