//! The group commit: commits from all callers queue to one writer, which appends a batch at a time.
//!
//! While a batch is being flushed the next one fills. A caller is answered when its commit is durable, never before;
//! a commit that was queued is the writer's, whatever becomes of the caller. When one fails, every queued commit
//! that was decided on it fails with it, and the caches are told, under the lock that admits new ones: so no commit
//! decided on a state that never was can get in.

use std::collections::{HashSet, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::FutureExt;
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;

use tracing::Instrument;

use super::write_metrics::WriteMetrics;
use super::{Batch, Commit, ConflictSet, Outcome, Receipt, Store, StoreError};

/// A batch holds at most so many commits …
const BATCH_COMMITS: usize = 512;
/// … and, from the second on, at most so many bytes.
const BATCH_BYTES: usize = 4 << 20;
/// How often a batch whose outcome is unknown is sent again, with the same command ids.
const UNKNOWN_RETRIES: u32 = 8;

/// What a caller hears of its commit.
#[derive(Debug)]
pub(crate) enum CommitAnswer {
    /// The store's answer.
    Outcome(Outcome),
    /// The store could not do it: whether anything was written, the error says.
    Failed(Arc<StoreError>),
    /// The queue was closed before it was sent.
    NotExecuted,
}

/// A commit's answer to come.
pub(crate) type PendingAnswer = oneshot::Receiver<CommitAnswer>;

/// Told, under the queue's lock, what was poisoned.
type OnConflict = Box<dyn Fn(&ConflictSet) + Send + Sync>;

struct Queued {
    commit: Commit,
    answer: oneshot::Sender<CommitAnswer>,
    /// Of the command: what appends it follows from it.
    span: tracing::Span,
}

#[derive(Default)]
struct State {
    commits: VecDeque<Queued>,
    /// Chains of which a commit failed: nothing more of them is taken.
    dead: HashSet<u64>,
    closed: bool,
}

struct Shared {
    state: Mutex<State>,
    wake: Notify,
    on_conflict: OnConflict,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Admits no more commits, and answers those that were not sent.
    fn close(&self) {
        let unsent = {
            let mut state = self.lock();
            state.closed = true;
            std::mem::take(&mut state.commits)
        };
        for queued in unsent {
            let _ = queued.answer.send(CommitAnswer::NotExecuted);
        }
    }
}

/// One process's queue to one store.
pub(crate) struct CommitQueue {
    shared: Arc<Shared>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl CommitQueue {
    /// Starts the writer. `on_conflict` must forget the states of what was poisoned.
    pub(crate) fn start(store: Arc<dyn Store>, write_metrics: Arc<WriteMetrics>, on_conflict: OnConflict) -> Self {
        let shared = Arc::new(Shared { state: Mutex::default(), wake: Notify::new(), on_conflict });
        let writer = tokio::spawn(supervise_writer(store, write_metrics, shared.clone()));
        Self { shared, writer: Mutex::new(Some(writer)) }
    }

    /// Whether commits are still appended: no longer after [`close`](Self::close), nor once the runtime is gone on which
    /// the queue was started.
    #[cfg(feature = "http")]
    pub(crate) fn is_open(&self) -> bool {
        !self.shared.lock().closed
    }

    /// Queues a commit, if `admit` says, under the lock, that what it was decided on still stands; `admit` then also
    /// notes the states that follow from it. `None`: it does not stand, decide again.
    pub(crate) fn submit(&self, commit: Commit, admit: impl FnOnce() -> bool) -> Option<PendingAnswer> {
        let (answer, pending) = oneshot::channel();
        let mut state = self.shared.lock();
        if state.closed {
            let _ = answer.send(CommitAnswer::NotExecuted);
        } else if commit.order_group().is_some_and(|order_group| state.dead.contains(&order_group)) {
            let _ = answer.send(CommitAnswer::Outcome(Outcome::Conflict));
        } else if admit() {
            state.commits.push_back(Queued { commit, answer, span: tracing::Span::current() });
            drop(state);
            self.shared.wake.notify_one();
        } else {
            return None;
        }
        Some(pending)
    }

    /// Runs `f` under the lock that admits commits.
    pub(crate) fn locked<T>(&self, f: impl FnOnce() -> T) -> T {
        let _state = self.shared.lock();
        f()
    }

    /// Forgets a chain that is at its end.
    pub(crate) fn end_order_group(&self, order_group: u64) {
        self.shared.lock().dead.remove(&order_group);
    }

    /// Finishes the batch under way and answers everything behind it "not executed".
    pub(crate) async fn close(&self) {
        self.shared.close();
        self.shared.wake.notify_one();
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(writer) = writer
            && let Err(error) = writer.await
        {
            tracing::error!(%error, "the writer did not end well");
        }
    }
}

impl Drop for CommitQueue {
    /// What was queued is appended; then the writer ends, and lets go of the store.
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.wake.notify_one();
    }
}

/// Closes the queue when the writer is dropped, as it is with its runtime: else callers would wait for ever.
struct CloseOnDrop(Arc<Shared>);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// Runs the writer, and starts it again when it panics (in the store, or in the program's own tracing subscriber).
///
/// The callers of the batch under way hear that its outcome is unknown, because their answers are dropped. What was
/// decided on it fails as a conflict, and is decided again on what the log holds.
async fn supervise_writer(store: Arc<dyn Store>, write_metrics: Arc<WriteMetrics>, shared: Arc<Shared>) {
    let _close = CloseOnDrop(shared.clone());
    while AssertUnwindSafe(write(&*store, &write_metrics, &shared)).catch_unwind().await.is_err() {
        let mut conflicts = ConflictSet::default();
        conflicts.add_all();
        fail_dependents(&shared, &[], conflicts);
        // The log line may be what panicked.
        let _ = catch_unwind(|| tracing::error!("the writer panicked: it is started again"));
    }
}

async fn write(store: &dyn Store, write_metrics: &WriteMetrics, shared: &Shared) {
    loop {
        // Let the callers that were just answered queue their next commits: the batch then holds them all.
        tokio::task::yield_now().await;
        tokio::task::yield_now().await;
        loop {
            let batch = next_batch(&mut shared.lock());
            if batch.is_empty() {
                break;
            }
            let span = span_of(&batch);
            let (commits, answers): (Vec<_>, Vec<_>) =
                batch.into_iter().map(|queued| (queued.commit, queued.answer)).unzip();
            let batch = Batch::new(commits);
            let began = Instant::now();
            let (outcomes, conflicts) = append(store, &batch).instrument(span).await;
            write_metrics.appended(batch.commits().len(), began.elapsed());
            if !conflicts.is_empty() {
                fail_dependents(shared, batch.commits(), conflicts);
            }
            for (answer, outcome) in answers.into_iter().zip(outcomes) {
                let _ = answer.send(outcome);
            }
            tokio::task::yield_now().await;
        }
        if shared.lock().closed {
            return;
        }
        shared.wake.notified().await;
    }
}

/// What appends one command is part of it; what appends several follows from each of them.
fn span_of(batch: &[Queued]) -> tracing::Span {
    if let [only] = batch {
        return tracing::info_span!(parent: &only.span, "append", commits = 1);
    }
    let span = tracing::info_span!("append", commits = batch.len());
    batch.iter().for_each(|queued| _ = span.follows_from(&queued.span));
    span
}

fn next_batch(state: &mut State) -> Vec<Queued> {
    let mut bytes = 0;
    let mut count = 0;
    for queued in state.commits.iter().take(BATCH_COMMITS) {
        bytes += queued.commit.bytes();
        if count > 0 && bytes > BATCH_BYTES {
            break;
        }
        count += 1;
    }
    state.commits.drain(..count).collect()
}

/// Fails every queued commit that was decided on a failed one, and has their aggregates forgotten.
fn fail_dependents(shared: &Shared, failed: &[Commit], mut conflicts: ConflictSet) {
    let mut state = shared.lock();
    let (hit, kept): (VecDeque<_>, VecDeque<_>) =
        std::mem::take(&mut state.commits).into_iter().partition(|queued| {
            let hit = conflicts.affects(&queued.commit);
            if hit {
                conflicts.add(&queued.commit);
            }
            hit
        });
    state.commits = kept;
    let chains = failed.iter().chain(hit.iter().map(|queued| &queued.commit));
    let dead: Vec<u64> =
        chains.filter(|commit| conflicts.affects(commit)).filter_map(Commit::order_group).collect();
    state.dead.extend(dead);
    (shared.on_conflict)(&conflicts);
    for queued in hit {
        let _ = queued.answer.send(CommitAnswer::Outcome(Outcome::Conflict));
    }
}

/// Appends commits, answers each, and says what was poisoned.
async fn append(store: &dyn Store, batch: &Batch) -> (Vec<CommitAnswer>, ConflictSet) {
    let commits = batch.commits();
    let mut conflicts = ConflictSet::default();
    let answers = match append_until_answered(store, batch).await {
        Ok(outcomes) => {
            for (commit, outcome) in commits.iter().zip(&outcomes) {
                if !outcome.is_committed() {
                    conflicts.add(commit);
                }
            }
            outcomes.into_iter().map(CommitAnswer::Outcome).collect()
        }
        // One commit may have spoilt it for the others: try the halves, the later one without what fell with the first.
        Err(Failure { error: StoreError::Rejected { .. } | StoreError::Database { .. }, sent })
            if commits.len() > 1 =>
        {
            let part = |commits: Vec<Commit>| if sent { Batch::new(commits).resent() } else { Batch::new(commits) };
            let (first, second) = commits.split_at(commits.len() / 2);
            let (mut answers, first_conflicts) = Box::pin(append(store, &part(first.to_vec()))).await;
            conflicts = first_conflicts;
            let mut fallen = vec![false; second.len()];
            let mut standing = Vec::with_capacity(second.len());
            for (commit, fallen) in second.iter().zip(&mut fallen) {
                *fallen = conflicts.affects(commit);
                if *fallen {
                    conflicts.add(commit);
                } else {
                    standing.push(commit.clone());
                }
            }
            let (standing, second_conflicts) = Box::pin(append(store, &part(standing))).await;
            conflicts.merge(second_conflicts);
            let mut standing = standing.into_iter();
            answers.extend(fallen.into_iter().map(|fallen| match fallen {
                true => CommitAnswer::Outcome(Outcome::Conflict),
                false => standing.next().unwrap_or(CommitAnswer::Outcome(Outcome::Conflict)),
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

/// Why a batch has no outcomes.
struct Failure {
    error: StoreError,
    /// Whether a sending was lost: what is sent of it again must be looked for in the log.
    sent: bool,
}

/// Sends a batch until the store has answered: a lost answer may follow a commit, and the command ids tell.
///
/// Once an answer was lost, only an answer about this very batch ends the doubt: outcomes, or that its data are
/// rejected, which the store finds after it has looked for the ids. Any other error of a later sending (no connection, a
/// full disk, a balancer that says no) says nothing of the lost one.
async fn append_until_answered(store: &dyn Store, batch: &Batch) -> Result<Vec<Outcome>, Failure> {
    let mut batch = batch.clone();
    let mut lost = 0;
    loop {
        let error = match store.append(batch.clone()).await {
            Ok(outcomes) => {
                let settled = batch.commits().iter().zip(outcomes);
                return Ok(settled.map(|(commit, outcome)| resolve_duplicate(&batch, commit, outcome)).collect());
            }
            Err(error) => error,
        };
        let in_doubt = lost > 0 || matches!(error, StoreError::OutcomeUnknown(_));
        if !in_doubt || matches!(error, StoreError::Rejected { .. }) {
            return Err(Failure { error, sent: batch.was_sent() });
        }
        // On a log that has changed, nothing of the batch may be tried: its sequences could fit by luck.
        if lost == UNKNOWN_RETRIES || matches!(error, StoreError::Closed | StoreError::Diverged(_)) {
            let error = match error {
                unknown @ StoreError::OutcomeUnknown(_) => unknown,
                other => StoreError::OutcomeUnknown(other.into()),
            };
            return Err(Failure { error, sent: true });
        }
        tracing::warn!(%error, "the answer to a batch was lost: sending it again");
        tokio::time::sleep(Duration::from_millis(20 << lost)).await;
        lost += 1;
        batch = batch.resent();
    }
}

/// An id that was made for this commit can only be in the log by an earlier sending of the same batch. An id that a
/// caller gave may have been there before: it stays a duplicate, and poisons what was decided on a second effect.
fn resolve_duplicate(batch: &Batch, commit: &Commit, outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::Duplicate(receipt) if batch.was_sent() && commit.is_fresh() => {
            Outcome::Committed(Receipt { repeated: false, ..receipt })
        }
        other => other,
    }
}

/// Whether the log is not the one that the writer knew.
fn diverged(error: &StoreError) -> bool {
    match error {
        StoreError::Diverged(_) => true,
        StoreError::OutcomeUnknown(source) => {
            source.downcast_ref().is_some_and(|source| matches!(source, StoreError::Diverged(_)))
        }
        _ => false,
    }
}
