//! [`open`]: opens the store of a URL.

use std::sync::Arc;

use super::{OpenOptions, Store, StoreError};

/// Opens the store of a URL: `sqlite://FILE.db`, `sqlite:///PATH/FILE.db`, or `sqlite::memory:` for a private
/// store that is deleted when it is closed; `postgres://USER:PASSWORD@HOST:PORT/DATABASE?schema=NAME`; `nats://HOST,HOST,HOST/NAME` or `tls://…` for a
/// stream of NATS JetStream.
///
/// # Errors
/// When this program has no store for the URL's scheme, or the store cannot be opened.
pub async fn open(url: &str, options: OpenOptions) -> Result<Arc<dyn Store>, StoreError> {
    #[cfg(feature = "sqlite")]
    if url.starts_with("sqlite:") {
        return Ok(Arc::new(super::sqlite::SqliteStore::open(url, options).await?));
    }
    #[cfg(feature = "postgres")]
    if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        return Ok(Arc::new(super::postgres::PostgresStore::open(url, options).await?));
    }
    #[cfg(feature = "jetstream")]
    if url.starts_with("nats://") || url.starts_with("tls://") {
        return Ok(Arc::new(super::jetstream::JetStreamStore::open(url, options).await?));
    }
    let _ = options;
    Err(StoreError::unknown_url(url))
}
