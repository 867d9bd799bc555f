//! Mission X6: the Postgres store passes the suite that every store must pass, run the way a store of another crate
//! runs it.
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
