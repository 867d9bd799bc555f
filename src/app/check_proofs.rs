//! Checks the log with its checkpoints.

use super::Annals;
use crate::projections::ReadError;
use crate::proofs::{Checkpoint, ProofError, TreeComparison};
use crate::store::{CheckReport, Finding, FindingKind, LogDigest, StoreError};
use crate::text::error_chain;

impl Annals {
    /// Checks the store, as [`check_against`](Self::check_against), and compares the log with checkpoints from outside the store, each with
    /// the name of where it was found. It finds what no check of the store alone can find: events that were changed with their digests,
    /// inserted, left out or renumbered, a tail that was cut, an older backup that was put back. If the application keeps proofs, the log
    /// is compared with its stored tree and its published checkpoint too, by every check.
    ///
    /// The signatures of the checkpoints are not verified here: verify them first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn check_with_checkpoints(
        &self,
        kept: Option<LogDigest>,
        checkpoints: &[(Checkpoint, String)],
        mut progress: impl FnMut(u64, u64) + Send,
    ) -> Result<CheckReport, StoreError> {
        let mut comparison = TreeComparison::default();
        for (checkpoint, found) in checkpoints {
            comparison.with_checkpoint(checkpoint, found);
        }
        let problem = self.compare_with_own(&mut comparison).await?;
        let mut report = self.check_observed(kept, &mut comparison, &mut progress).await?;
        problem.into_iter().for_each(|problem| report.found(problem));
        if let Some(size) = checkpoints.iter().map(|(checkpoint, _)| checkpoint.size).max() {
            report.compared_with_checkpoint(size, self.store().count_eventless_commands().await?);
        } else if self.keeps_proofs() {
            report.not_covered.push(
                "an older backup of everything that was put back, and the log and tree of another application: only a checkpoint from \
                 outside the store shows them (`check --checkpoint`)"
                    .to_owned(),
            );
        }
        Ok(report)
    }

    /// Compares with the stored tree and the published checkpoint. A fault of theirs is a finding.
    async fn compare_with_own(&self, comparison: &mut TreeComparison) -> Result<Option<Finding>, StoreError> {
        let Ok(proofs) = self.proofs() else { return Ok(None) };
        let compare = async {
            if let Some(published) = proofs.checkpoint().await? {
                comparison.with_checkpoint(&published, "the store");
            }
            let (size, root) = proofs.stored_root().await?;
            comparison.with_tree(size, root);
            Ok(())
        };
        match compare.await {
            Ok(()) => Ok(None),
            // The check compares all checkpoints of projections with the log.
            Err(ProofError::Read(ReadError::LogDiverged { .. } | ReadError::Diverged(_))) => Ok(None),
            Err(ProofError::Store(error) | ProofError::Read(ReadError::Store(error))) => Err(error),
            Err(other) => Ok(Some(Finding::new(FindingKind::Log, error_chain(&other)))),
        }
    }
}
