//! Load, decide, append; and again, when another writer was faster.

use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tracing::Instrument;
use uuid::Uuid;

use super::erased::Undecided;
use super::known::KnownIds;
use super::received::Received;
use super::scope::{Change, Members};
use super::{AnyCommand, CommandAccess, Context, ExecuteError, Refusal, Registry};
use crate::aggregates::{Entry, Kind, Repository, State, fold};
use crate::events::Ref;
use crate::store::{
    Clock, Commit, CommitAnswer, CommitQueue, ConflictSet, Outcome, PendingAnswer, Receipt, Store, StoreError,
    StreamAppend, WriteMetrics, increment, is_projecting,
};

/// So often a command is decided optimistically; then once more, while nobody else may write.
const ATTEMPTS: u32 = 6;
/// How long the last attempt waits for the log's lock, and how long it may keep it.
const LOCK_WAIT: Duration = Duration::from_secs(10);
const LOCK_HOLD: Duration = Duration::from_secs(5);

pub(super) type Executed = Result<Receipt, ExecuteError<Refusal>>;

/// The write path of one process on one store.
pub(crate) struct Engine {
    pub(super) store: Arc<dyn Store>,
    pub(super) queue: CommitQueue,
    repository: Repository,
    known: KnownIds,
    clock: Clock,
    access: Option<Arc<dyn CommandAccess>>,
    registry: Arc<Registry>,
    write_metrics: Arc<WriteMetrics>,
}

/// A command ready to be decided: admitted and prepared.
pub(super) struct Prepared {
    received: Received,
    metadata: Arc<str>,
    members: Vec<(Kind, Ref)>,
}

/// A command that is prepared, or that was answered before it was.
pub(super) type Preparing = ControlFlow<Executed, Prepared>;

/// A decided command on its way to the log.
pub(super) struct InFlight {
    pending: PendingAnswer,
    /// The log's answer, once it is there.
    answer: Option<CommitAnswer>,
    refusal: Option<Refusal>,
    after: Vec<(u64, State)>,
}

/// What came of a command that was on its way.
pub(super) enum Completion {
    Done(Executed),
    Conflict,
}

struct Decision {
    commit: Commit,
    refusal: Option<Refusal>,
    /// For each member: its sequence before, its state after.
    after: Vec<(u64, State)>,
}

impl Engine {
    pub(crate) fn start(
        store: Arc<dyn Store>,
        clock: Clock,
        access: Option<Arc<dyn CommandAccess>>,
        registry: Arc<Registry>,
    ) -> Self {
        let write_metrics = Arc::new(WriteMetrics::default());
        let repository = Repository::new(store.clone(), write_metrics.clone());
        let cache = repository.cache.clone();
        let forget = move |conflicts: &ConflictSet| match conflicts.is_all() {
            true => cache.forget_all(),
            false => conflicts.aggregates().for_each(|aggregate| cache.forget(aggregate)),
        };
        let queue = CommitQueue::start(store.clone(), write_metrics.clone(), Box::new(forget));
        let known = KnownIds::new(store.clone());
        Self { store, queue, repository, known, clock, access, registry, write_metrics }
    }

    pub(crate) async fn execute(&self, command: Box<dyn AnyCommand>, context: &Context) -> Executed {
        let span =
            tracing::info_span!("command", name = command.name(), id = context.id().map(tracing::field::display));
        let executing = async {
            let received = self.receive(command, context)?;
            if received.is_callers() {
                let found = self.known.find(received.id).await;
                if let Some(known) = found.map_err(|error| ExecuteError::store(received.id, error))? {
                    return received.recall(known);
                }
            }
            match self.prepare(received).await {
                ControlFlow::Continue(prepared) => self.run(&prepared).await,
                ControlFlow::Break(executed) => executed,
            }
        };
        let executed = executing.instrument(span).await;
        increment(match &executed {
            Ok(_) => &self.write_metrics.executed,
            Err(ExecuteError::Refused(_) | ExecuteError::Denied { .. }) => &self.write_metrics.refused,
            Err(_) => &self.write_metrics.failed,
        });
        executed
    }

    /// Numbers of the write path.
    #[cfg(feature = "http")]
    pub(crate) fn write_metrics(&self) -> &WriteMetrics {
        &self.write_metrics
    }

    /// Whether commands are still executed.
    #[cfg(feature = "http")]
    pub(crate) fn is_open(&self) -> bool {
        self.queue.is_open()
    }

    /// Finishes what is under way; what was not sent is answered "not executed".
    pub(crate) async fn close(&self) {
        self.queue.close().await;
        self.repository.close().await;
    }

    /// Checks that a command is registered, who gives it and for whom, and gives it an id if it has none.
    pub(super) fn receive(
        &self,
        command: Box<dyn AnyCommand>,
        context: &Context,
    ) -> Result<Received, ExecuteError<Refusal>> {
        if is_projecting() {
            return Err(ExecuteError::InProjection(command.name()));
        }
        // The crate's own commands are not registered, so that nobody gives them from outside.
        if !context.is_own() {
            self.registry.admit(&*command)?;
        }
        context.check()?;
        let given_id = context.id().is_some();
        let context = context.resolved(Uuid::now_v7, (self.clock)());
        let digest = command.digest(&context).map_err(ExecuteError::Body)?;
        Ok(Received { id: context.id().unwrap_or_default(), command, context, digest, given_id })
    }

    /// Asks whether a command may come in, and has it ask what it must ask: once, before anything is loaded. An id that
    /// the caller gave must have been looked up before: a command that was executed is not denied afterwards.
    pub(super) async fn prepare(&self, mut received: Received) -> Preparing {
        let prepared = async {
            let asked = self.admit_command(&received, None).await?;
            let Received { command, context, .. } = &mut received;
            command.prepare(context).await.map_err(|error| ExecuteError::Refused(Refusal(error)))?;
            let members = received.members()?;
            self.admit_command(&received, asked).await?;
            let metadata = serde_json::to_string(received.context.metadata()).map_err(ExecuteError::Body)?;
            Ok((metadata.into(), members))
        };
        match prepared.await {
            Ok((metadata, members)) => ControlFlow::Continue(Prepared { received, metadata, members }),
            Err(error) => ControlFlow::Break(self.turn_away(&received, error).await),
        }
    }

    /// Asks whether the command may come in, unless that was asked already for the same aggregates; answers for which
    /// it was asked. What the crate itself records, it may.
    async fn admit_command(
        &self,
        received: &Received,
        asked: Option<Vec<Ref>>,
    ) -> Result<Option<Vec<Ref>>, ExecuteError<Refusal>> {
        let Some(access) = self.access_for(received) else { return Ok(None) };
        let on = received.references();
        if asked.as_ref() != Some(&on) {
            let admitted = access.admit(&received.context, received.command.name(), &on).await;
            admitted.map_err(|reason| ExecuteError::Denied { reason })?;
        }
        Ok(Some(on))
    }

    fn access_for(&self, received: &Received) -> Option<&Arc<dyn CommandAccess>> {
        self.access.as_ref().filter(|_| !received.context.is_own())
    }

    /// Answers a command that does not get as far as being decided. If the caller gave its id, the writer is asked for it
    /// first: an earlier use of the id may have been on its way to the log when it was looked up.
    async fn turn_away(&self, received: &Received, error: ExecuteError<Refusal>) -> Executed {
        if received.is_callers() {
            let pending = self.queue.submit(received.question(), || true);
            let answer = match pending {
                Some(mut pending) => answer_to(&mut pending).await,
                None => CommitAnswer::NotExecuted,
            };
            match answer {
                CommitAnswer::Outcome(Outcome::Duplicate(receipt)) => return Ok(receipt),
                CommitAnswer::Outcome(Outcome::IdReused) => return Err(ExecuteError::CommandIdReused(received.id)),
                CommitAnswer::Outcome(Outcome::Committed(_) | Outcome::Conflict) => {}
                CommitAnswer::Failed(error) => return Err(ExecuteError::store(received.id, error)),
                CommitAnswer::NotExecuted => return Err(ExecuteError::NotExecuted),
            }
        }
        match &error {
            ExecuteError::Refused(refusal) => self.record(received, &refusal.to_string(), false),
            ExecuteError::Denied { reason } => self.record(received, reason, true),
            _ => {}
        }
        Err(error)
    }

    fn record(&self, received: &Received, reason: &str, denied: bool) {
        if let Some(access) = self.access_for(received) {
            access.refused(&received.context, received.command.name(), &received.references(), reason, denied);
        }
    }

    /// What is answered; a final refusal is passed to the access control.
    fn answer(&self, prepared: &Prepared, outcome: Outcome, refusal: Option<Refusal>) -> Completion {
        let completion = prepared.answer(outcome, refusal);
        if let Completion::Done(Err(ExecuteError::Refused(refusal))) = &completion {
            self.record(&prepared.received, &refusal.to_string(), false);
        }
        completion
    }

    /// Decides until the log agrees: optimistically first, then under the log's lock.
    pub(super) async fn run(&self, prepared: &Prepared) -> Executed {
        for attempt in 0..ATTEMPTS {
            if attempt > 0 {
                tokio::time::sleep(jitter(attempt)).await;
            }
            let in_flight = self.submit(prepared, None).await?;
            if let Completion::Done(result) = self.complete(prepared, in_flight).await {
                return result;
            }
            increment(&self.write_metrics.conflicts);
        }
        self.run_alone(prepared).await
    }

    /// Loads, decides and queues. A state that was overtaken in memory meanwhile is decided on again at once.
    pub(super) async fn submit(
        &self,
        prepared: &Prepared,
        order_group: Option<u64>,
    ) -> Result<InFlight, ExecuteError<Refusal>> {
        loop {
            let mut entries = Vec::with_capacity(prepared.members.len());
            for (kind, aggregate) in &prepared.members {
                entries.push(self.repository.load(*kind, aggregate).await?);
            }
            let states = Members(entries.iter().map(|entry| entry.state.clone()).collect());
            let Decision { commit, refusal, after } = prepared.decide(&states, order_group)?;
            let admit = || self.admit(prepared, &entries, &after);
            if let Some(pending) = self.queue.submit(commit, admit) {
                return Ok(InFlight { pending, answer: None, refusal, after });
            }
            tokio::task::yield_now().await;
        }
    }

    /// Under the queue's lock: if every state is still the one that was decided on, the new ones take their place.
    fn admit(&self, prepared: &Prepared, before: &[Entry], after: &[(u64, State)]) -> bool {
        let cache = &self.repository.cache;
        let stands =
            |(aggregate, entry): (&Ref, &Entry)| cache.get(aggregate).is_some_and(|now| now.stamp == entry.stamp);
        let aggregates = || prepared.members.iter().map(|(_, aggregate)| aggregate);
        if !aggregates().zip(before).all(stands) {
            return false;
        }
        for ((aggregate, before), (_, after)) in aggregates().zip(before).zip(after) {
            if !Arc::ptr_eq(&before.state, after) {
                cache.put(aggregate, after.clone());
            }
        }
        true
    }

    /// Waits for the log's answer.
    pub(super) async fn complete(&self, prepared: &Prepared, mut in_flight: InFlight) -> Completion {
        in_flight.ready().await;
        let InFlight { answer, refusal, after, .. } = in_flight;
        let outcome = match answer {
            Some(CommitAnswer::Outcome(outcome)) => outcome,
            Some(CommitAnswer::Failed(error)) => {
                return Completion::Done(Err(ExecuteError::store(prepared.received.id, error)));
            }
            Some(CommitAnswer::NotExecuted) | None => return Completion::Done(Err(ExecuteError::NotExecuted)),
        };
        if matches!(outcome, Outcome::Committed(_)) {
            for ((kind, aggregate), (before, state)) in prepared.members.iter().zip(&after) {
                self.repository.keep(*kind, aggregate, *before, kind.0.sequence(state));
            }
        }
        self.answer(prepared, outcome, refusal)
    }

    /// The last attempt, for an aggregate that others write all the time: nobody else may write while it is decided.
    async fn run_alone(&self, prepared: &Prepared) -> Executed {
        let store = |error| ExecuteError::store(prepared.received.id, Arc::new(error));
        let mut states = Vec::with_capacity(prepared.members.len());
        for (kind, aggregate) in &prepared.members {
            states.push(self.repository.stored(*kind, aggregate).await?);
        }
        let mut log = self.store.write_lock(LOCK_WAIT, LOCK_HOLD).await.map_err(store)?;
        for ((kind, aggregate), state) in prepared.members.iter().zip(&mut states) {
            let newer = log.load(aggregate, kind.0.sequence(state)).await.map_err(store)?;
            fold(kind.0, aggregate, state, &newer)?;
        }
        let decision = prepared.decide(&Members(states), None)?;
        let batch = crate::store::Batch::new(vec![decision.commit]);
        let outcomes = log.append(batch).await;
        self.queue.locked(|| {
            prepared.members.iter().for_each(|(_, aggregate)| self.repository.cache.forget(aggregate));
        });
        let outcome = outcomes.map_err(store)?.into_iter().next().unwrap_or(Outcome::Conflict);
        match self.answer(prepared, outcome, decision.refusal) {
            Completion::Done(result) => result,
            Completion::Conflict => Err(ExecuteError::Conflict { attempts: ATTEMPTS + 1 }),
        }
    }
}

impl InFlight {
    /// Waits until the log has answered. Dropping this future and calling again is fine.
    pub(super) async fn ready(&mut self) {
        if self.answer.is_none() {
            self.answer = Some(answer_to(&mut self.pending).await);
        }
    }
}

/// Waits for the log's answer.
async fn answer_to(pending: &mut PendingAnswer) -> CommitAnswer {
    pending.await.unwrap_or_else(|_| {
        CommitAnswer::Failed(Arc::new(StoreError::OutcomeUnknown("the writer ended before it answered".into())))
    })
}

impl Prepared {
    fn decide(&self, states: &Members, order_group: Option<u64>) -> Result<Decision, ExecuteError<Refusal>> {
        let Received { command, context, given_id, .. } = &self.received;
        let decided = catch_unwind(AssertUnwindSafe(|| command.decide(states, context)))
            .map_err(|_| ExecuteError::Panicked(command.name()))?;
        let (changes, refusal) = match decided {
            Ok(changes) => (changes, None),
            Err(Undecided::Refused(error)) => (Vec::new(), Some(Refusal(error))),
            Err(Undecided::Broken(error)) => return Err(error.into()),
        };
        let mut changes = changes.into_iter();
        let mut streams = Vec::with_capacity(self.members.len());
        let mut after = Vec::with_capacity(self.members.len());
        for ((kind, aggregate), state) in self.members.iter().zip(&states.0) {
            let Change { events, state: next } =
                changes.next().unwrap_or_else(|| Change { events: Vec::new(), state: state.clone() });
            let sequence = kind.0.sequence(state);
            streams.push(StreamAppend::new(aggregate.clone(), sequence, events));
            after.push((sequence, next));
        }
        let keep = *given_id && refusal.is_none();
        let commit = self.received.commit(self.metadata.clone(), streams, keep, order_group);
        Ok(Decision { commit, refusal, after })
    }

    fn answer(&self, outcome: Outcome, refusal: Option<Refusal>) -> Completion {
        Completion::Done(match outcome {
            Outcome::Conflict => return Completion::Conflict,
            Outcome::IdReused => Err(ExecuteError::CommandIdReused(self.received.id)),
            Outcome::Duplicate(receipt) => Ok(receipt),
            Outcome::Committed(receipt) => match refusal {
                Some(error) => Err(ExecuteError::Refused(error)),
                None => Ok(receipt),
            },
        })
    }
}

/// 1, 2, 4 … milliseconds, and up to as much again.
fn jitter(attempt: u32) -> Duration {
    let base = 1_000 << attempt.min(6);
    let spread = u64::from(Timestamp::now().subsec_nanosecond().unsigned_abs()) % base;
    Duration::from_micros(base / 2 + spread)
}
