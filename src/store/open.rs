//! [`open`]: opens the store of a URL.

use std::sync::Arc;

use super::{OpenOptions, Store, StoreError};

/// Opens the store of a URL: `sqlite://FILE.db`, `sqlite:///PATH/FILE.db`, or `sqlite::memory:` for a private
/// store that is deleted when it is closed; `postgres://USER:PASSWORD@HOST:PORT/DATABASE?schema=NAME`; `nats://HOST,HOST,HOST/NAME` or `tls://…` for a
/// stream of NATS JetStream.
///
/// # Errors
/// When the URL is not that of a store, this program was built without the store, or it cannot be opened.
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
    match feature_of(url) {
        Some((feature, false)) => Err(StoreError::NotBuilt { url: super::redact_url(url), feature }),
        _ => Err(StoreError::unknown_url(url)),
    }
}

/// Returns the feature that has the store of a URL, and whether this program has it.
fn feature_of(url: &str) -> Option<(&'static str, bool)> {
    let stores = [
        ("sqlite:", "sqlite", cfg!(feature = "sqlite")),
        ("postgres://", "postgres", cfg!(feature = "postgres")),
        ("postgresql://", "postgres", cfg!(feature = "postgres")),
        ("nats://", "jetstream", cfg!(feature = "jetstream")),
        ("tls://", "jetstream", cfg!(feature = "jetstream")),
    ];
    let store = stores.into_iter().find(|(scheme, ..)| url.starts_with(scheme))?;
    Some((store.1, store.2))
}
