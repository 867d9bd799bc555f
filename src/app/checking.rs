//! Checks an application's store.

use super::Annals;
use crate::aggregates::verify_snapshots;
use crate::store::{CheckReport, LogDigest, StoreError};

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
        let store = &**self.store();
        let mut report = crate::store::check(store, self.types(), kept, &mut progress).await?;
        if report.sees_all() {
            report.snapshots =
                verify_snapshots(store, self.aggregate_types(), &mut |finding| report.found(finding)).await?;
        }
        Ok(report)
    }
}
