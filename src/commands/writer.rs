//! Appends batches to the store: sends a batch again while its outcome is unknown, and halves one that fails as a whole.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::commit_queue::CommitAnswer;
use crate::store::{Batch, Commit, ConflictSet, Outcome, Receipt, Store, StoreError};

/// How often a batch whose outcome is unknown is sent again, with the same command ids.
const UNKNOWN_RETRIES: u32 = 8;

/// Appends a batch. Returns an answer for each commit, and what the commits that failed make conflict.
pub(super) async fn append(store: &dyn Store, batch: &Batch) -> (Vec<CommitAnswer>, ConflictSet) {
    let commits = batch.commits();
    let mut conflicts = ConflictSet::default();
    let answers = match append_until_answered(store, batch).await {
        Ok(Outcomes { outcomes, expired_at }) => {
            for (commit, outcome) in commits.iter().zip(&outcomes) {
                match outcome {
                    Outcome::Committed(_) => {}
                    Outcome::Conflict => conflicts.add_outdated(commit),
                    Outcome::Duplicate(_) | Outcome::IdReused => conflicts.add(commit),
                }
            }
            let answer = |(commit, outcome): (&Commit, _)| match (outcome, expired_at) {
                (Outcome::Conflict, Some(time)) if commit.is_expired(time) => CommitAnswer::Expired(time),
                (outcome, _) => CommitAnswer::Outcome(outcome),
            };
            commits.iter().zip(outcomes).map(answer).collect()
        }
        // One commit may have failed the whole batch: append the halves, the second without what conflicts with the first.
        Err(Failure { error: StoreError::Rejected { .. } | StoreError::Database { .. }, sent })
            if commits.len() > 1 =>
        {
            let (first, second) = commits.split_at(commits.len() / 2);
            let (mut answers, first_conflicts) = Box::pin(append(store, &batch.part(first.to_vec(), sent))).await;
            conflicts = first_conflicts;
            let mut conflicting = vec![false; second.len()];
            let mut valid = Vec::with_capacity(second.len());
            for (commit, conflicting) in second.iter().zip(&mut conflicting) {
                *conflicting = conflicts.affects(commit);
                if *conflicting {
                    conflicts.add(commit);
                } else {
                    valid.push(commit.clone());
                }
            }
            let (valid, second_conflicts) = Box::pin(append(store, &batch.part(valid, sent))).await;
            conflicts.merge(second_conflicts);
            let mut valid = valid.into_iter();
            answers.extend(conflicting.into_iter().map(|conflicting| match conflicting {
                true => CommitAnswer::Outcome(Outcome::Conflict),
                false => valid.next().unwrap_or(CommitAnswer::Outcome(Outcome::Conflict)),
            }));
            answers
        }
        Err(Failure { error, .. }) => {
            if diverged(&error) {
                conflicts.add_all();
            }
            let error = Arc::new(error);
            commits.iter().for_each(|commit| conflicts.add(commit));
            commits.iter().map(|_| CommitAnswer::Failed(error.clone())).collect()
        }
    };
    (answers, conflicts)
}

/// The outcomes of a batch.
struct Outcomes {
    outcomes: Vec<Outcome>,
    /// The time at which some of its commits had expired: they conflict.
    expired_at: Option<Timestamp>,
}

/// Why a batch has no outcomes.
struct Failure {
    error: StoreError,
    /// Whether an answer was lost: the store must look up the command ids of what is sent again.
    sent: bool,
}

/// What became of the last attempt, after one whose outcome is unknown. It may have written nothing; the other may have.
#[derive(Debug, thiserror::Error)]
#[error("the answer to an earlier attempt was lost, and the last attempt failed")]
struct LastAttempt(#[source] StoreError);

/// Sends a batch until the store has answered. A batch whose answer was lost may be committed: the command ids show it.
///
/// After a lost answer, only an answer about this very batch settles its outcome: outcomes, or that its data is rejected,
/// which the store finds after it has looked up the ids. Any other error of a later attempt (no connection, a full disk, a
/// load balancer that refuses) says nothing about the lost one.
async fn append_until_answered(store: &dyn Store, batch: &Batch) -> Result<Outcomes, Failure> {
    let mut batch = batch.clone();
    let mut lost = 0;
    let mut expired_at = None;
    loop {
        let error = match store.append(batch.clone()).await {
            Ok(outcomes) => {
                let settled = batch.commits().iter().zip(outcomes);
                let outcomes =
                    settled.map(|(commit, outcome)| resolve_duplicate(&batch, commit, outcome)).collect();
                return Ok(Outcomes { outcomes, expired_at });
            }
            Err(error) => error,
        };
        // What has expired is sent too: an earlier attempt, whose answer was lost, may have committed it.
        if let StoreError::Expired(time) = error
            && let Some(rest) = batch.without_expired(time)
        {
            expired_at = expired_at.max(Some(time));
            batch = rest;
            continue;
        }
        let in_doubt = lost > 0 || matches!(error, StoreError::OutcomeUnknown(_));
        if !in_doubt || matches!(error, StoreError::Rejected { .. }) {
            return Err(Failure { error, sent: batch.was_sent() });
        }
        // Never send the batch to a log that has diverged: its sequences could match by luck.
        if lost == UNKNOWN_RETRIES || matches!(error, StoreError::Closed | StoreError::Diverged(_)) {
            let error = match error {
                unknown @ StoreError::OutcomeUnknown(_) => unknown,
                other => StoreError::OutcomeUnknown(LastAttempt(other).into()),
            };
            return Err(Failure { error, sent: true });
        }
        tracing::warn!(%error, "the answer to a batch was lost; sending the batch again");
        tokio::time::sleep(Duration::from_millis(20 << lost)).await;
        lost += 1;
        batch = batch.resent();
    }
}

/// Makes a duplicate of an earlier attempt a commit. An id that was generated for the commit can be in the log only through
/// an earlier attempt with the same batch. An id from the caller may have been there before: it stays a duplicate, and
/// commits that were decided on its assumed second effect fail as conflicts.
fn resolve_duplicate(batch: &Batch, commit: &Commit, outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::Duplicate(receipt) if batch.was_sent() && commit.is_fresh() => {
            Outcome::Committed(Receipt { repeated: false, ..receipt })
        }
        other => other,
    }
}

/// Whether the log is not the one that the writer task appended to before.
fn diverged(error: &StoreError) -> bool {
    match error {
        StoreError::Diverged(_) => true,
        StoreError::OutcomeUnknown(source) => {
            source.downcast_ref().is_some_and(|LastAttempt(source)| matches!(source, StoreError::Diverged(_)))
        }
        _ => false,
    }
}
