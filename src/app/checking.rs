//! Checks an application's store, and copies it.

use std::path::Path;

use super::Annals;
use crate::aggregates::{drop_snapshots, verify_snapshots};
use crate::store::{CheckReport, LogDigest, LogObserver, StoreError};

impl Annals {
    /// Checks the store for edits around its triggers: see [`CheckReport`]. `progress` is called with the current and the last
    /// position.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn check(&self, progress: impl FnMut(u64, u64) + Send) -> Result<CheckReport, StoreError> {
        self.check_against(None, progress).await
    }

    /// Checks the store, and compares the log with a digest that an earlier check printed and that was kept elsewhere.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn check_against(
        &self,
        kept: Option<LogDigest>,
        mut progress: impl FnMut(u64, u64) + Send,
    ) -> Result<CheckReport, StoreError> {
        #[cfg(feature = "proofs")]
        if self.keeps_proofs() {
            return self.check_with_checkpoints(kept, &[], progress).await;
        }
        self.check_observed(kept, &mut (), &mut progress).await
    }

    /// Checks the store, with something that reads the log along.
    pub(super) async fn check_observed(
        &self,
        kept: Option<LogDigest>,
        observer: &mut dyn LogObserver,
        progress: &mut (dyn FnMut(u64, u64) + Send),
    ) -> Result<CheckReport, StoreError> {
        let store = &**self.store();
        let mut report = crate::store::check(store, self.types(), kept, observer, progress).await?;
        if report.sees_all() {
            report.snapshots =
                verify_snapshots(store, self.aggregate_types(), &mut |finding| report.found(finding)).await?;
        }
        Ok(report)
    }

    /// Deletes all snapshots of aggregates and returns their number. They are a cache: new ones are made from the log.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn drop_snapshots(&self) -> Result<u64, StoreError> {
        drop_snapshots(&**self.store()).await
    }

    /// Copies the log to a new file, as a consistent snapshot. `progress` is called with the pages done and all pages.
    ///
    /// # Errors
    /// When the file exists or cannot be written.
    pub async fn backup(
        &self,
        to: impl AsRef<Path>,
        progress: impl FnMut(u64, u64) + Send + 'static,
    ) -> Result<(), StoreError> {
        self.store().backup(to.as_ref(), Box::new(progress)).await
    }
}
