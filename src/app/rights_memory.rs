//! [`RightsMemory`]: what a program remembers of withdrawn rights, apart from the log.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;

use crate::store::{Store, StoreError};

/// What a program remembers of withdrawn rights, apart from the log, which may be restored from a backup.
#[async_trait]
pub(crate) trait RightsMemory: Send + Sync {
    /// Remembers them in a file beside this key file. Without it, nothing is remembered.
    fn beside(&self, key_file: &Path);

    /// Compares the log with what is remembered, now and from then on. `changed` is called when the answer to a read that is
    /// followed may have changed.
    ///
    /// # Errors
    /// When the store or the memory cannot be read.
    async fn start(
        self: Arc<Self>,
        store: Arc<dyn Store>,
        changed: Box<dyn Fn() + Send + Sync>,
    ) -> Result<(), StoreError>;

    /// Whether a command of this name withdraws a right, and that is remembered.
    fn withdraws(&self, command: &str) -> bool;

    /// Remembers what the log has now, within a bounded time.
    async fn remember(&self);

    /// The log is not the one that this program has appended to: nothing counts before it is compared.
    fn diverged(&self);

    /// Why grants do not count, if so.
    fn suspension(&self) -> Option<&'static str>;

    /// What operators should know now.
    #[cfg(feature = "http")]
    fn notes(&self) -> Vec<String>;
}
