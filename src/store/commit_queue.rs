//! Group commit: one queue for all callers of the process, and one writer task that appends a batch at a time.
//!
//! While the store appends a batch, the next one fills. A caller gets its answer when its commit is durable, never
//! before. The writer task owns a queued commit: a caller that stops waiting cancels nothing. When a commit fails,
//! every queued commit that depends on it fails too, and the state cache drops its aggregates, under the lock that
//! admits new commits: no commit that was decided on a state that never existed can be queued.

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

/// The most commits of a batch.
const BATCH_COMMITS: usize = 512;
/// The most bytes of a batch, from its second commit on.
const BATCH_BYTES: usize = 4 << 20;
/// How often a batch whose outcome is unknown is appended again, with the same command ids.
const UNKNOWN_RETRIES: u32 = 8;

/// The answer to a queued commit.
#[derive(Debug)]
pub(crate) enum CommitAnswer {
    /// The store's outcome.
    Outcome(Outcome),
    /// The store failed. The error says whether anything may have been written.
    Failed(Arc<StoreError>),
    /// The queue was closed before the commit was appended.
    NotExecuted,
}

/// The answer to a queued commit, once there is one.
pub(crate) type PendingAnswer = oneshot::Receiver<CommitAnswer>;

/// Called under the queue's lock with the aggregates of failed commits.
type OnConflict = Box<dyn Fn(&ConflictSet) + Send + Sync>;

struct Queued {
    commit: Commit,
    answer: oneshot::Sender<CommitAnswer>,
    /// The command's span: the span of the append follows from it.
    span: tracing::Span,
}

#[derive(Default)]
struct State {
    commits: VecDeque<Queued>,
    /// Order groups with a failed commit: no more commits of theirs are admitted.
    failed_groups: HashSet<u64>,
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

    /// Admits no more commits, and answers those that were not appended.
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

/// The queue of one process for one store.
pub(crate) struct CommitQueue {
    shared: Arc<Shared>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl CommitQueue {
    /// Starts the writer task. `on_conflict` must drop the cached states of these aggregates.
    pub(crate) fn start(store: Arc<dyn Store>, write_metrics: Arc<WriteMetrics>, on_conflict: OnConflict) -> Self {
        let shared = Arc::new(Shared { state: Mutex::default(), wake: Notify::new(), on_conflict });
        let writer = tokio::spawn(supervise_writer(store, write_metrics, shared.clone()));
        Self { shared, writer: Mutex::new(Some(writer)) }
    }

    /// Returns whether commits are still appended: not after [`close`](Self::close), nor after the end of the runtime
    /// on which the queue was started.
    #[cfg(feature = "http")]
    pub(crate) fn is_open(&self) -> bool {
        !self.shared.lock().closed
    }

    /// Queues a commit if `admit`, called under the lock, confirms the states on which it was decided; `admit` then
    /// also caches the new states. `None`: a state has changed, decide again.
    pub(crate) fn submit(&self, commit: Commit, admit: impl FnOnce() -> bool) -> Option<PendingAnswer> {
        let (answer, pending) = oneshot::channel();
        let mut state = self.shared.lock();
        if state.closed {
            let _ = answer.send(CommitAnswer::NotExecuted);
        } else if commit.order_group().is_some_and(|order_group| state.failed_groups.contains(&order_group)) {
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

    /// Calls `f` under the lock that admits commits.
    pub(crate) fn locked<T>(&self, f: impl FnOnce() -> T) -> T {
        let _state = self.shared.lock();
        f()
    }

    /// Forgets an order group that has ended.
    pub(crate) fn end_order_group(&self, order_group: u64) {
        self.shared.lock().failed_groups.remove(&order_group);
    }

    /// Waits for the batch that is being appended, and answers every later commit with `NotExecuted`.
    pub(crate) async fn close(&self) {
        self.shared.close();
        self.shared.wake.notify_one();
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(writer) = writer
            && let Err(error) = writer.await
        {
            tracing::error!(%error, "the writer task ended with an error");
        }
    }
}

impl Drop for CommitQueue {
    /// The writer task appends the queued commits, then ends and drops the store.
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.wake.notify_one();
    }
}

/// Closes the queue when the writer task is dropped together with its runtime: otherwise callers would wait for ever.
struct CloseOnDrop(Arc<Shared>);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// Runs the writer, and starts it again when it panics (in the store, or in the program's own tracing subscriber).
///
/// The callers of the batch that was being appended get an unknown outcome, because their answers are dropped. Every
/// queued commit fails as a conflict, and is decided again on the log.
async fn supervise_writer(store: Arc<dyn Store>, write_metrics: Arc<WriteMetrics>, shared: Arc<Shared>) {
    let _close = CloseOnDrop(shared.clone());
    while AssertUnwindSafe(write(&*store, &write_metrics, &shared)).catch_unwind().await.is_err() {
        let mut conflicts = ConflictSet::default();
        conflicts.add_all();
        fail_dependents(&shared, &[], conflicts);
        // Writing the log line may be the cause of the panic.
        let _ = catch_unwind(|| tracing::error!("the writer task panicked: it is started again"));
    }
}

async fn write(store: &dyn Store, write_metrics: &WriteMetrics, shared: &Shared) {
    loop {
        // Callers that were just answered queue their next commits first, so that one batch has them all.
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

/// The span of a batch: a child of its command's span; for several commands, one that follows from each of theirs.
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

/// Fails every queued commit that depends on a failed one, and drops the cached states of their aggregates.
fn fail_dependents(shared: &Shared, failed: &[Commit], mut conflicts: ConflictSet) {
    let mut state = shared.lock();
    let (dependent, kept): (VecDeque<_>, VecDeque<_>) =
        std::mem::take(&mut state.commits).into_iter().partition(|queued| {
            let depends = conflicts.affects(&queued.commit);
            if depends {
                conflicts.add(&queued.commit);
            }
            depends
        });
    state.commits = kept;
    let all_failed = failed.iter().chain(dependent.iter().map(|queued| &queued.commit));
    let failed_groups: Vec<u64> =
        all_failed.filter(|commit| conflicts.affects(commit)).filter_map(Commit::order_group).collect();
    state.failed_groups.extend(failed_groups);
    (shared.on_conflict)(&conflicts);
    for queued in dependent {
        let _ = queued.answer.send(CommitAnswer::Outcome(Outcome::Conflict));
    }
}

/// Appends a batch. Returns an answer for each commit, and the conflicts of those that failed.
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
        // One commit may be at fault: append the halves, the second one without commits that depend on failed ones.
        Err(Failure { error: StoreError::Rejected { .. } | StoreError::Database { .. }, sent })
            if commits.len() > 1 =>
        {
            let part = |commits: Vec<Commit>| if sent { Batch::new(commits).resent() } else { Batch::new(commits) };
            let (first, second) = commits.split_at(commits.len() / 2);
            let (mut answers, first_conflicts) = Box::pin(append(store, &part(first.to_vec()))).await;
            conflicts = first_conflicts;
            let mut dependent = vec![false; second.len()];
            let mut independent = Vec::with_capacity(second.len());
            for (commit, dependent) in second.iter().zip(&mut dependent) {
                *dependent = conflicts.affects(commit);
                if *dependent {
                    conflicts.add(commit);
                } else {
                    independent.push(commit.clone());
                }
            }
            let (others, second_conflicts) = Box::pin(append(store, &part(independent))).await;
            conflicts.merge(second_conflicts);
            let mut others = others.into_iter();
            answers.extend(dependent.into_iter().map(|dependent| match dependent {
                true => CommitAnswer::Outcome(Outcome::Conflict),
                false => others.next().unwrap_or(CommitAnswer::Outcome(Outcome::Conflict)),
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

/// The reason why a batch has no outcomes.
struct Failure {
    error: StoreError,
    /// Whether an answer was lost: further attempts must look up the command ids.
    sent: bool,
}

/// Appends a batch until the store has answered. After a lost answer the batch may be in the log: its command ids tell.
///
/// After a lost answer, only an answer about this batch settles it: outcomes, or a rejection of its data, which the
/// store gives after it has looked up the ids. Any other error of a later attempt (no connection, a full disk, a
/// refusing balancer) does not say whether the lost attempt was committed.
async fn append_until_answered(store: &dyn Store, batch: &Batch) -> Result<Vec<Outcome>, Failure> {
    let mut batch = batch.clone();
    let mut lost = 0;
    loop {
        let error = match store.append(batch.clone()).await {
            Ok(outcomes) => {
                let outcomes = batch.commits().iter().zip(outcomes);
                return Ok(outcomes.map(|(commit, outcome)| resolve_duplicate(&batch, commit, outcome)).collect());
            }
            Err(error) => error,
        };
        let unsettled = lost > 0 || matches!(error, StoreError::OutcomeUnknown(_));
        if !unsettled || matches!(error, StoreError::Rejected { .. }) {
            return Err(Failure { error, sent: batch.was_sent() });
        }
        // On a log that was replaced, no commit of the batch may be tried: its sequences could match by chance.
        if lost == UNKNOWN_RETRIES || matches!(error, StoreError::Closed | StoreError::Diverged(_)) {
            let error = match error {
                unknown @ StoreError::OutcomeUnknown(_) => unknown,
                other => StoreError::OutcomeUnknown(other.into()),
            };
            return Err(Failure { error, sent: true });
        }
        tracing::warn!(%error, "the answer to a batch was lost: appending it again");
        tokio::time::sleep(Duration::from_millis(20 << lost)).await;
        lost += 1;
        batch = batch.resent();
    }
}

/// Turns a duplicate into a commit if the id was generated for it: it can only be in the log from an earlier attempt of
/// the same batch. An id that a caller gave may be older: it remains a duplicate, and commits that depend on a second
/// effect fail.
fn resolve_duplicate(batch: &Batch, commit: &Commit, outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::Duplicate(receipt) if batch.was_sent() && commit.is_fresh() => {
            Outcome::Committed(Receipt { repeated: false, ..receipt })
        }
        other => other,
    }
}

/// Returns whether the log was replaced.
fn diverged(error: &StoreError) -> bool {
    match error {
        StoreError::Diverged(_) => true,
        StoreError::OutcomeUnknown(source) => {
            source.downcast_ref().is_some_and(|source| matches!(source, StoreError::Diverged(_)))
        }
        _ => false,
    }
}
