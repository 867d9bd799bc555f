//! [`CommitQueue`]: group commit, and the cache of the states that queued commits lead to.
//!
//! Commits from all callers queue to one writer task, which appends a batch at a time. While the store flushes a batch, the
//! next one fills. A caller gets its answer when its commit is durable, never before. A queued commit belongs to the writer
//! task: dropping the caller's future does not cancel it (Guarantee 4).
//!
//! The queue owns the state cache because both change together, under one lock: a commit is queued only if the states that
//! it was decided on are still cached, and the states after it replace them. When a commit fails, every queued commit that
//! was decided on it fails too, and their states leave the cache. So no commit that was decided on a state that was never
//! committed reaches the log (Guarantee 5).

use std::collections::{HashSet, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use futures::FutureExt;
use jiff::Timestamp;
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;
use tracing::Instrument;

use super::CommandAccess;
use super::member::Member;
use super::state_cache::{CachedState, StateCache};
use super::writer::append;
use crate::aggregates::AnyState;
use crate::events::Ref;
use crate::store::{Batch, Commit, ConflictSet, Known, Outcome, Store, StoreError, WriteMetrics};

/// The most commits in a batch.
const BATCH_COMMITS: usize = 512;
/// The most bytes in a batch of more than one commit.
const BATCH_BYTES: usize = 4 << 20;

/// The answer to a queued commit.
#[derive(Debug)]
pub(crate) enum CommitAnswer {
    /// The store's outcome.
    Outcome(Outcome),
    /// The right by which the command was allowed had ended at this time. Nothing was written.
    Expired(Timestamp),
    /// The store failed: the error says whether anything was written.
    Failed(Arc<StoreError>),
    /// The queue was closed before the commit was sent.
    NotExecuted,
}

/// Resolves to the answer to a queued commit.
pub(crate) type PendingAnswer = oneshot::Receiver<CommitAnswer>;

struct Queued {
    commit: Commit,
    answer: oneshot::Sender<CommitAnswer>,
    /// The command's span: the span of the append follows from it.
    span: tracing::Span,
}

#[derive(Default)]
struct Queue {
    commits: VecDeque<Queued>,
    /// Order groups in which a commit failed: the queue takes no more commits of them.
    failed_groups: HashSet<u64>,
    closed: bool,
}

struct Shared {
    queue: Mutex<Queue>,
    wake: Notify,
    /// Written only under the lock of `queue`.
    cache: StateCache,
    /// What this program knows that a log may require.
    known: Known,
    /// Notified when the log is not the one that was appended to.
    access: Option<Arc<dyn CommandAccess>>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Refuses further commits, and answers those that were not sent.
    fn close(&self) {
        let unsent = {
            let mut queue = self.lock();
            queue.closed = true;
            std::mem::take(&mut queue.commits)
        };
        for queued in unsent {
            let _ = queued.answer.send(CommitAnswer::NotExecuted);
        }
    }

    /// Fails every queued commit that was decided on a failed one, and removes the states of all of them from the cache.
    fn fail_dependents(&self, failed: &[Commit], mut conflicts: ConflictSet) {
        let mut queue = self.lock();
        let (dependent, kept): (VecDeque<_>, VecDeque<_>) =
            std::mem::take(&mut queue.commits).into_iter().partition(|queued| {
                let dependent = conflicts.affects(&queued.commit);
                if dependent {
                    conflicts.add(&queued.commit);
                }
                dependent
            });
        queue.commits = kept;
        let all = failed.iter().chain(dependent.iter().map(|queued| &queued.commit));
        let failed_groups = all.filter(|commit| conflicts.affects(commit)).filter_map(Commit::order_group);
        queue.failed_groups.extend(failed_groups);
        match conflicts.is_all() {
            true => self.cache.clear(),
            false => conflicts.aggregates().for_each(|aggregate| self.cache.remove(aggregate)),
        }
        for queued in dependent {
            let _ = queued.answer.send(CommitAnswer::Outcome(Outcome::Conflict));
        }
    }
}

/// The queue of one process to one store, with the cache of states.
pub(crate) struct CommitQueue {
    shared: Arc<Shared>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl CommitQueue {
    /// Starts the writer task, of a program that knows this.
    pub(crate) fn start(
        store: Arc<dyn Store>,
        write_metrics: Arc<WriteMetrics>,
        known: Known,
        access: Option<Arc<dyn CommandAccess>>,
    ) -> Self {
        let cache = StateCache::default();
        let shared = Arc::new(Shared { queue: Mutex::default(), wake: Notify::new(), cache, known, access });
        let writer = tokio::spawn(supervise_writer(store, write_metrics, shared.clone()));
        Self { shared, writer: Mutex::new(Some(writer)) }
    }

    /// Whether commits are still appended: not after [`close`](Self::close), nor after the runtime ended on which the queue
    /// was started.
    #[cfg(feature = "http")]
    pub(crate) fn is_open(&self) -> bool {
        !self.shared.lock().closed
    }

    /// Returns the cached state of an aggregate. Its last commit may still be queued.
    pub(super) fn cached(&self, aggregate: &Ref) -> Option<CachedState> {
        self.shared.cache.get(aggregate)
    }

    /// Caches a state that was read from the store, unless a newer one is cached by now. Returns the cached state.
    pub(super) fn cache_loaded(&self, aggregate: &Ref, state: AnyState) -> CachedState {
        self.shared.cache.get_or_insert(aggregate, state)
    }

    /// Queues a commit, and caches the states that follow from it. Returns `None` if a state that the commit was decided on
    /// is no longer cached: decide again.
    pub(crate) fn submit(&self, commit: Commit, members: &[Member]) -> Option<PendingAnswer> {
        let (answer, pending) = oneshot::channel();
        let mut queue = self.shared.lock();
        if queue.closed {
            let _ = answer.send(CommitAnswer::NotExecuted);
        } else if commit.order_group().is_some_and(|group| queue.failed_groups.contains(&group)) {
            let _ = answer.send(CommitAnswer::Outcome(Outcome::Conflict));
        } else if self.shared.cache.replace(members) {
            queue.commits.push_back(Queued { commit, answer, span: tracing::Span::current() });
            drop(queue);
            self.shared.wake.notify_one();
        } else {
            return None;
        }
        Some(pending)
    }

    /// Removes the members' states from the cache, after a commit that did not go through the queue.
    pub(super) fn forget(&self, members: &[Member]) {
        let _queue = self.shared.lock();
        members.iter().for_each(|member| self.shared.cache.remove(&member.aggregate));
    }

    /// Forgets that an order group failed: no more commits of it follow.
    pub(crate) fn end_order_group(&self, group: u64) {
        self.shared.lock().failed_groups.remove(&group);
    }

    /// Finishes the current batch, and answers all later commits [`CommitAnswer::NotExecuted`].
    pub(crate) async fn close(&self) {
        self.shared.close();
        self.shared.wake.notify_one();
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(writer) = writer
            && let Err(error) = writer.await
        {
            tracing::error!(%error, "the writer task failed");
        }
    }
}

impl Drop for CommitQueue {
    /// Lets the writer task append what is queued; then the task ends and releases the store.
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.wake.notify_one();
    }
}

/// Closes the queue when the writer task is dropped, as with its runtime: otherwise callers would wait forever.
struct CloseOnDrop(Arc<Shared>);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// Runs the writer, and restarts it when it panics (in the store, or in the application's tracing subscriber).
///
/// The callers of the current batch get an unknown outcome, because their answers are dropped. Commits that were decided on
/// that batch conflict, and are decided again on what the log holds.
async fn supervise_writer(store: Arc<dyn Store>, write_metrics: Arc<WriteMetrics>, shared: Arc<Shared>) {
    let _close = CloseOnDrop(shared.clone());
    while AssertUnwindSafe(write(&*store, &write_metrics, &shared)).catch_unwind().await.is_err() {
        let mut conflicts = ConflictSet::default();
        conflicts.add_all();
        shared.fail_dependents(&[], conflicts);
        // The log line may be what panicked.
        let _ = catch_unwind(|| tracing::error!("the writer task panicked and is restarted"));
    }
}

async fn write(store: &dyn Store, write_metrics: &WriteMetrics, shared: &Shared) {
    loop {
        // Let callers that just got an answer queue their next commits first: the batch then holds them all.
        tokio::task::yield_now().await;
        tokio::task::yield_now().await;
        loop {
            let batch = next_batch(&mut shared.lock());
            if batch.is_empty() {
                break;
            }
            let span = span_for(&batch);
            let (commits, answers): (Vec<_>, Vec<_>) =
                batch.into_iter().map(|queued| (queued.commit, queued.answer)).unzip();
            let batch = Batch::new(commits).knowing(shared.known);
            let began = Instant::now();
            let (outcomes, conflicts) = append(store, &batch).instrument(span).await;
            write_metrics.appended(batch.commits().len(), began.elapsed());
            if conflicts.is_all() {
                shared.access.iter().for_each(|access| access.diverged());
            }
            if !conflicts.is_empty() {
                shared.fail_dependents(batch.commits(), conflicts);
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

/// Returns the span of an append: a child of the command's span, or one that follows from the spans of several commands.
fn span_for(batch: &[Queued]) -> tracing::Span {
    if let [only] = batch {
        return tracing::info_span!(parent: &only.span, "append", commits = 1);
    }
    let span = tracing::info_span!("append", commits = batch.len());
    batch.iter().for_each(|queued| _ = span.follows_from(&queued.span));
    span
}

fn next_batch(queue: &mut Queue) -> Vec<Queued> {
    let mut bytes = 0;
    let mut count = 0;
    for queued in queue.commits.iter().take(BATCH_COMMITS) {
        bytes += queued.commit.bytes();
        if count > 0 && bytes > BATCH_BYTES {
            break;
        }
        count += 1;
    }
    queue.commits.drain(..count).collect()
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::store::{NewEvent, StreamAppend};

    const MIB: usize = 1 << 20;

    fn queue(sizes: &[usize]) -> Queue {
        let queued = |bytes: &usize| {
            let event = NewEvent::new("till.filled", "1.0", " ".repeat(*bytes));
            let stream = StreamAppend::new(Ref::unchecked("till", "front"), 0, vec![event]);
            let commit = Commit::new(
                Uuid::now_v7(),
                "fill".into(),
                [0; 32],
                crate::store::EventMetadata::same("{}".into()),
                None,
                vec![stream],
                true,
                None,
            );
            Queued { commit, answer: oneshot::channel().0, span: tracing::Span::none() }
        };
        Queue { commits: sizes.iter().map(queued).collect(), ..Queue::default() }
    }

    /// The sizes of the batches, by number of commits.
    fn batches(sizes: &[usize]) -> Vec<usize> {
        let mut queue = queue(sizes);
        std::iter::from_fn(|| Some(next_batch(&mut queue).len()).filter(|count| *count > 0)).collect()
    }

    #[test]
    fn a_batch_is_bounded_in_commits_and_bytes_but_has_one_commit_however_large() {
        assert_eq!(batches(&[1; 1_100]), [512, 512, 76]);
        assert_eq!(batches(&[3 * MIB / 2; 3]), [2, 1]);
        assert_eq!(batches(&[1, 5 * MIB, 1, 1]), [1, 1, 2]);
    }
}
