//! The group commit: commits from all callers queue to one writer, which appends a batch at a time.
//!
//! While a batch is being flushed the next one fills. A caller is answered when its commit is durable, never before;
//! a commit that was queued is the writer's, whatever becomes of the caller. When one fails, every queued commit
//! that was decided on it fails with it, and the caches are told, under the lock that admits new ones: so no commit
//! decided on a state that never was can get in.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;

use tracing::Instrument;

use super::vitals::Vitals;
use super::{Batch, Commit, Outcome, Poison, Store, StoreError};

/// A batch holds at most so many commits …
const BATCH_COMMITS: usize = 512;
/// … and, from the second on, at most so many bytes.
const BATCH_BYTES: usize = 4 << 20;
/// How often a batch whose outcome is unknown is sent again, with the same command ids.
const UNKNOWN_RETRIES: u32 = 8;

/// What a caller hears of its commit.
#[derive(Debug)]
pub(crate) enum Answer {
    /// The store's answer.
    Outcome(Outcome),
    /// The store could not do it: whether anything was written, the error says.
    Failed(Arc<StoreError>),
    /// The queue was closed before it was sent.
    NotExecuted,
}

/// A commit's answer to come.
pub(crate) type Pending = oneshot::Receiver<Answer>;

/// Told, under the queue's lock, what was poisoned.
type OnPoison = Box<dyn Fn(&Poison) + Send + Sync>;

struct Queued {
    commit: Commit,
    answer: oneshot::Sender<Answer>,
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
    on_poison: OnPoison,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One process's queue to one store.
pub(crate) struct Queue {
    shared: Arc<Shared>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl Queue {
    /// Starts the writer. `on_poison` must forget the states of what was poisoned.
    pub(crate) fn start(store: Arc<dyn Store>, vitals: Arc<Vitals>, on_poison: OnPoison) -> Self {
        let shared = Arc::new(Shared { state: Mutex::default(), wake: Notify::new(), on_poison });
        let writer = tokio::spawn(write(store, vitals, shared.clone()));
        Self { shared, writer: Mutex::new(Some(writer)) }
    }

    /// Queues a commit, if `admit` says, under the lock, that what it was decided on still stands; `admit` then also
    /// notes the states that follow from it. `None`: it does not stand, decide again.
    pub(crate) fn submit(&self, commit: Commit, admit: impl FnOnce() -> bool) -> Option<Pending> {
        let (answer, pending) = oneshot::channel();
        let mut state = self.shared.lock();
        if state.closed {
            let _ = answer.send(Answer::NotExecuted);
        } else if commit.chain().is_some_and(|chain| state.dead.contains(&chain)) {
            let _ = answer.send(Answer::Outcome(Outcome::Conflict));
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
    pub(crate) fn end_chain(&self, chain: u64) {
        self.shared.lock().dead.remove(&chain);
    }

    /// Finishes the batch under way and answers everything behind it "not executed".
    pub(crate) async fn close(&self) {
        let unsent = {
            let mut state = self.shared.lock();
            state.closed = true;
            std::mem::take(&mut state.commits)
        };
        for queued in unsent {
            let _ = queued.answer.send(Answer::NotExecuted);
        }
        self.shared.wake.notify_one();
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(writer) = writer
            && let Err(error) = writer.await
        {
            tracing::error!(%error, "the writer did not end well");
        }
    }
}

async fn write(store: Arc<dyn Store>, vitals: Arc<Vitals>, shared: Arc<Shared>) {
    loop {
        shared.wake.notified().await;
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
            let (outcomes, poison) = append(&*store, &batch).instrument(span).await;
            vitals.appended(batch.commits().len(), began.elapsed());
            if !poison.is_empty() {
                spread(&shared, batch.commits(), poison);
            }
            for (answer, outcome) in answers.into_iter().zip(outcomes) {
                let _ = answer.send(outcome);
            }
            tokio::task::yield_now().await;
        }
        if shared.lock().closed {
            return;
        }
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
fn spread(shared: &Shared, failed: &[Commit], mut poison: Poison) {
    let mut state = shared.lock();
    let (hit, kept): (VecDeque<_>, VecDeque<_>) =
        std::mem::take(&mut state.commits).into_iter().partition(|queued| {
            let hit = poison.hits(&queued.commit);
            if hit {
                poison.add(&queued.commit);
            }
            hit
        });
    state.commits = kept;
    let chains = failed.iter().chain(hit.iter().map(|queued| &queued.commit));
    let dead: Vec<u64> = chains.filter(|commit| poison.hits(commit)).filter_map(Commit::chain).collect();
    state.dead.extend(dead);
    (shared.on_poison)(&poison);
    for queued in hit {
        let _ = queued.answer.send(Answer::Outcome(Outcome::Conflict));
    }
}

/// Appends commits, answers each, and says what was poisoned.
async fn append(store: &dyn Store, batch: &Batch) -> (Vec<Answer>, Poison) {
    let commits = batch.commits();
    let mut poison = Poison::default();
    let answers = match send(store, batch).await {
        Ok(outcomes) => {
            for (commit, outcome) in commits.iter().zip(&outcomes) {
                if outcome.poisons() {
                    poison.add(commit);
                }
            }
            outcomes.into_iter().map(Answer::Outcome).collect()
        }
        // One commit may have spoilt it for the others: try the halves, the later one without what fell with the first.
        Err(StoreError::Database { .. }) if commits.len() > 1 => {
            let (first, second) = commits.split_at(commits.len() / 2);
            let (mut answers, first_poison) = Box::pin(append(store, &Batch::new(first.to_vec()))).await;
            poison = first_poison;
            let mut fallen = vec![false; second.len()];
            let mut standing = Vec::with_capacity(second.len());
            for (commit, fallen) in second.iter().zip(&mut fallen) {
                *fallen = poison.hits(commit);
                if *fallen {
                    poison.add(commit);
                } else {
                    standing.push(commit.clone());
                }
            }
            let (standing, second_poison) = Box::pin(append(store, &Batch::new(standing))).await;
            poison.merge(second_poison);
            let mut standing = standing.into_iter();
            answers.extend(fallen.into_iter().map(|fallen| match fallen {
                true => Answer::Outcome(Outcome::Conflict),
                false => standing.next().unwrap_or(Answer::Outcome(Outcome::Conflict)),
            }));
            answers
        }
        Err(error) => {
            if matches!(error, StoreError::Diverged(_)) {
                poison.add_everything();
            }
            let error = Arc::new(error);
            commits.iter().for_each(|commit| poison.add(commit));
            commits.iter().map(|_| Answer::Failed(error.clone())).collect()
        }
    };
    (answers, poison)
}

/// Sends a batch until the store has answered: a lost answer may follow a commit, and the command ids tell.
///
/// Once an answer was lost, an error of the next sending says nothing of the first: only an answer does, or an error
/// about the data, which the store finds after it has looked for the ids.
async fn send(store: &dyn Store, batch: &Batch) -> Result<Vec<Outcome>, StoreError> {
    let mut lost = 0;
    let mut batch = batch.clone();
    loop {
        let error = match store.append(batch.clone()).await {
            Ok(outcomes) if lost > 0 => return Ok(outcomes.into_iter().map(first_answer).collect()),
            Err(error @ StoreError::OutcomeUnknown(_)) => error,
            Err(error @ (StoreError::Database { .. } | StoreError::Diverged(_))) => return Err(error),
            Err(error) if lost > 0 => error,
            answer => return answer,
        };
        if lost == UNKNOWN_RETRIES {
            return Err(match error {
                unknown @ StoreError::OutcomeUnknown(_) => unknown,
                other => StoreError::OutcomeUnknown(other.into()),
            });
        }
        tracing::warn!(%error, "the answer to a batch was lost: sending it again");
        tokio::time::sleep(Duration::from_millis(20 << lost)).await;
        lost += 1;
        batch = batch.again();
    }
}

/// What is found to be there when a batch is sent again was put there by the first sending.
fn first_answer(outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::Duplicate(mut receipt) => {
            receipt.repeated = false;
            Outcome::Committed(receipt)
        }
        other => other,
    }
}
