//! [`Engine`]: loads, decides and appends, and decides again after a conflict with another writer.

use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use jiff::Timestamp;
use tracing::Instrument;
use uuid::Uuid;

use super::command_id_lookup::CommandIdLookup;
use super::commit_queue::PendingAnswer;
use super::erased::Undecided;
use super::member::Member;
use super::received::Received;
use super::slow_decisions::SlowDecisions;
use super::{
    AnyCommand, CommandAccess, CommitAnswer, CommitQueue, Context, ExecuteError, Refusal, Registry, Services,
    within,
};
use crate::aggregates::{AggregateType, LoadError, Repository, fold};
use crate::events::Ref;
use crate::store::{
    Batch, Clock, Commit, Outcome, Receipt, Store, StoreError, WriteMetrics, increment, is_projecting,
};

/// How often a command is decided optimistically, before it is decided under the log's write lock.
const ATTEMPTS: u32 = 6;
/// How long the last attempt waits for the write lock, and how long it may hold it.
const LOCK_WAIT: Duration = Duration::from_secs(10);
const LOCK_HOLD: Duration = Duration::from_secs(5);

pub(super) type Executed = Result<Receipt, ExecuteError<Refusal>>;

/// The write path of one process on one store.
pub(crate) struct Engine {
    pub(super) store: Arc<dyn Store>,
    pub(super) queue: CommitQueue,
    repository: Arc<Repository>,
    services: Services,
    slow: SlowDecisions,
    command_ids: CommandIdLookup,
    clock: Clock,
    access: Option<Arc<dyn CommandAccess>>,
    registry: Arc<Registry>,
    write_metrics: Arc<WriteMetrics>,
}

/// A command that access control has admitted and whose `prepare` has run: ready to be decided.
pub(super) struct Prepared {
    received: Received,
    metadata: Arc<str>,
    aggregates: Vec<(AggregateType, Ref)>,
}

/// A prepared command, or the answer to one that did not get that far.
pub(super) type Preparing = ControlFlow<Executed, Prepared>;

/// A decided command whose commit is queued.
pub(super) struct InFlight {
    pending: PendingAnswer,
    /// The store's answer, once it has arrived.
    answer: Option<CommitAnswer>,
    refusal: Option<Refusal>,
    members: Vec<Member>,
}

/// What became of one attempt at a command.
pub(super) enum Completion {
    Done(Executed),
    Conflict,
}

impl Engine {
    pub(crate) fn start(
        store: Arc<dyn Store>,
        clock: Clock,
        access: Option<Arc<dyn CommandAccess>>,
        registry: Arc<Registry>,
        repository: Arc<Repository>,
        services: Services,
    ) -> Self {
        let write_metrics = Arc::new(WriteMetrics::default());
        let queue = CommitQueue::start(store.clone(), write_metrics.clone());
        let command_ids = CommandIdLookup::new(store.clone());
        let slow = SlowDecisions::default();
        Self { store, queue, repository, services, slow, command_ids, clock, access, registry, write_metrics }
    }

    pub(crate) async fn execute(&self, command: Box<dyn AnyCommand>, context: &Context) -> Executed {
        let span =
            tracing::info_span!("command", name = command.name(), id = context.id().map(tracing::field::display));
        let executing = async {
            let received = self.receive(command, context)?;
            if received.has_caller_id() {
                let found = self.command_ids.find(received.id).await;
                if let Some(known) = found.map_err(|error| ExecuteError::store(received.id, error))? {
                    return received.answer_known(known);
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

    /// Counters of the write path.
    #[cfg(feature = "http")]
    pub(crate) fn write_metrics(&self) -> &WriteMetrics {
        &self.write_metrics
    }

    /// Whether commands are still executed.
    #[cfg(feature = "http")]
    pub(crate) fn is_open(&self) -> bool {
        self.queue.is_open()
    }

    /// Finishes the current batch, and answers commands behind it [`ExecuteError::NotExecuted`].
    pub(crate) async fn close(&self) {
        self.queue.close().await;
        self.repository.close().await;
    }

    /// Checks that the command is registered and that its actor is valid, and gives it an id if it has none.
    pub(super) fn receive(
        &self,
        command: Box<dyn AnyCommand>,
        context: &Context,
    ) -> Result<Received, ExecuteError<Refusal>> {
        if is_projecting() {
            return Err(ExecuteError::InProjection(command.name()));
        }
        // The crate's internal commands are not registered, so that no caller can execute them.
        if !context.is_internal() {
            self.registry.check_registered(&*command)?;
        }
        context.check()?;
        let given_id = context.id().is_some();
        let context = context.resolved(Uuid::now_v7, (self.clock)());
        let digest = command.digest(&context).map_err(ExecuteError::Body)?;
        Ok(Received { id: context.id().unwrap_or_default(), command, context, digest, given_id })
    }

    /// Asks access control and runs the command's `prepare`, once, before anything is loaded. An id from the caller must
    /// have been looked up before: a command that was executed is not denied afterwards.
    pub(super) async fn prepare(&self, mut received: Received) -> Preparing {
        let prepared = async {
            let checked = self.check_access(&received, None).await?;
            let Received { command, context, .. } = &mut received;
            let (name, limit) = (command.name(), self.services.time_limit);
            match within(limit, AssertUnwindSafe(command.prepare(context, &self.services)).catch_unwind()).await {
                Some(Ok(prepared)) => prepared.map_err(|error| ExecuteError::Refused(Refusal(error)))?,
                Some(Err(_)) => return Err(ExecuteError::Panicked(name)),
                None => return Err(ExecuteError::PrepareTimedOut { command: name, limit }),
            }
            let aggregates = received.checked_aggregates()?;
            self.check_access(&received, checked).await?;
            let metadata = serde_json::to_string(received.context.metadata()).map_err(ExecuteError::Body)?;
            Ok((metadata.into(), aggregates))
        };
        match prepared.await {
            Ok((metadata, aggregates)) => ControlFlow::Continue(Prepared { received, metadata, aggregates }),
            Err(error) => ControlFlow::Break(self.reject(&received, error).await),
        }
    }

    /// Asks access control whether the command may be executed, unless `checked` names the same aggregates. Returns the
    /// aggregates that it asked about. Internal commands are always admitted.
    async fn check_access(
        &self,
        received: &Received,
        checked: Option<Vec<Ref>>,
    ) -> Result<Option<Vec<Ref>>, ExecuteError<Refusal>> {
        let Some(access) = self.access_for(received) else { return Ok(None) };
        let on = received.references();
        if checked.as_ref() != Some(&on) {
            let admitted = access.check(&received.context, received.command.name(), &on).await;
            admitted.map_err(|reason| ExecuteError::Denied { reason })?;
        }
        Ok(Some(on))
    }

    fn access_for(&self, received: &Received) -> Option<&Arc<dyn CommandAccess>> {
        self.access.as_ref().filter(|_| !received.context.is_internal())
    }

    /// Answers a command that is rejected before it is decided. If the caller gave its id, the writer task is asked first:
    /// an earlier use of the id may have been queued when the id was looked up.
    async fn reject(&self, received: &Received, error: ExecuteError<Refusal>) -> Executed {
        if received.has_caller_id() {
            let answer = match self.queue.submit(received.id_probe(), &[]) {
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
            ExecuteError::Refused(refusal) => self.record_refusal(received, &refusal.to_string(), false),
            ExecuteError::Denied { reason } => self.record_refusal(received, reason, true),
            _ => {}
        }
        Err(error)
    }

    fn record_refusal(&self, received: &Received, reason: &str, denied: bool) {
        if let Some(access) = self.access_for(received) {
            let (name, on) = (received.command.name(), received.references());
            access.record_refusal(&received.context, name, &on, reason, denied);
        }
    }

    /// Turns the store's outcome into an answer. A final refusal is recorded.
    fn answer(&self, prepared: &Prepared, outcome: Outcome, refusal: Option<Refusal>) -> Completion {
        let completion = prepared.answer(outcome, refusal);
        if let Completion::Done(Err(ExecuteError::Refused(refusal))) = &completion {
            self.record_refusal(&prepared.received, &refusal.to_string(), false);
        }
        completion
    }

    /// Decides until the commit meets no conflict: first optimistically, then under the log's write lock.
    pub(super) async fn run(&self, prepared: &Prepared) -> Executed {
        for attempt in 0..ATTEMPTS {
            if attempt > 0 {
                tokio::time::sleep(backoff(attempt)).await;
            }
            let in_flight = self.submit(prepared, None).await?;
            if let Completion::Done(result) = self.complete(prepared, in_flight).await {
                return result;
            }
            increment(&self.write_metrics.conflicts);
        }
        self.run_locked(prepared).await
    }

    /// Loads, decides and queues the commit. Decides again at once if a cached state changed in the meantime.
    pub(super) async fn submit(
        &self,
        prepared: &Prepared,
        order_group: Option<u64>,
    ) -> Result<InFlight, ExecuteError<Refusal>> {
        loop {
            let mut members = Vec::with_capacity(prepared.aggregates.len());
            for (kind, aggregate) in &prepared.aggregates {
                members.push(self.load(*kind, aggregate).await?);
            }
            let (commit, refusal) =
                self.slow.watch(prepared.name(), || prepared.decide(&mut members, order_group))?;
            if let Some(pending) = self.queue.submit(commit, &members) {
                return Ok(InFlight { pending, answer: None, refusal, members });
            }
            tokio::task::yield_now().await;
        }
    }

    /// Loads an aggregate from the state cache, else from the store. A cached state may follow from a queued commit.
    async fn load(&self, kind: AggregateType, aggregate: &Ref) -> Result<Member, LoadError> {
        let cached = match self.queue.cached(aggregate) {
            Some(cached) => {
                increment(&self.write_metrics.hits);
                cached
            }
            None => {
                increment(&self.write_metrics.misses);
                let state = self.repository.load(kind, aggregate).await?;
                self.queue.cache_loaded(aggregate, state)
            }
        };
        Ok(Member::cached(kind, aggregate.clone(), cached))
    }

    /// Waits for the store's answer.
    pub(super) async fn complete(&self, prepared: &Prepared, mut in_flight: InFlight) -> Completion {
        in_flight.ready().await;
        let InFlight { answer, refusal, members, .. } = in_flight;
        let outcome = match answer {
            Some(CommitAnswer::Outcome(outcome)) => outcome,
            Some(CommitAnswer::Failed(error)) => {
                return Completion::Done(Err(ExecuteError::store(prepared.received.id, error)));
            }
            Some(CommitAnswer::NotExecuted) | None => return Completion::Done(Err(ExecuteError::NotExecuted)),
        };
        if matches!(outcome, Outcome::Committed(_)) {
            for member in &members {
                let (before, after) = (member.sequence_before(), member.sequence_after());
                self.repository.request_snapshot(member.kind, &member.aggregate, before, after);
            }
        }
        self.answer(prepared, outcome, refusal)
    }

    /// Decides under the log's write lock, so that no other writer can conflict: for an aggregate that others write all the
    /// time (Guarantee 6).
    async fn run_locked(&self, prepared: &Prepared) -> Executed {
        let store = |error| ExecuteError::store(prepared.received.id, Arc::new(error));
        let mut members = Vec::with_capacity(prepared.aggregates.len());
        for (kind, aggregate) in &prepared.aggregates {
            let state = self.repository.load(*kind, aggregate).await?;
            members.push(Member::new(*kind, aggregate.clone(), state));
        }
        let mut log = self.store.write_lock(LOCK_WAIT, LOCK_HOLD).await.map_err(store)?;
        for Member { kind, aggregate, before, after, .. } in &mut members {
            let newer = log.load(aggregate, kind.0.sequence(before)).await.map_err(store)?;
            fold(kind.0, aggregate, before, &newer)?;
            *after = before.clone();
        }
        let (commit, refusal) = self.slow.watch(prepared.name(), || prepared.decide(&mut members, None))?;
        let outcomes = log.append(Batch::new(vec![commit])).await;
        self.queue.forget(&members);
        let outcome = outcomes.map_err(store)?.into_iter().next().unwrap_or(Outcome::Conflict);
        match self.answer(prepared, outcome, refusal) {
            Completion::Done(result) => result,
            Completion::Conflict => Err(ExecuteError::Conflict { attempts: ATTEMPTS + 1 }),
        }
    }
}

impl InFlight {
    /// Waits until the store has answered. Cancel safe.
    pub(super) async fn ready(&mut self) {
        if self.answer.is_none() {
            self.answer = Some(answer_to(&mut self.pending).await);
        }
    }
}

/// Waits for the store's answer.
async fn answer_to(pending: &mut PendingAnswer) -> CommitAnswer {
    pending.await.unwrap_or_else(|_| {
        let ended = "the writer task ended before it answered";
        CommitAnswer::Failed(Arc::new(StoreError::OutcomeUnknown(ended.into())))
    })
}

impl Prepared {
    fn name(&self) -> &'static str {
        self.received.command.name()
    }

    fn decide(
        &self,
        members: &mut [Member],
        order_group: Option<u64>,
    ) -> Result<(Commit, Option<Refusal>), ExecuteError<Refusal>> {
        let Received { command, context, given_id, .. } = &self.received;
        let decided = catch_unwind(AssertUnwindSafe(|| command.decide(members, context)))
            .map_err(|_| ExecuteError::Panicked(command.name()))?;
        let refusal = match decided {
            Ok(()) => None,
            Err(Undecided::Refused(error)) => Some(Refusal(error)),
            Err(Undecided::Invalid(error)) => return Err(error.into()),
        };
        // A state that depends on the time must be the same when it is folded from the log.
        let occurred_at = match members.iter().any(|member| member.time_was_read) {
            true => Some(context.now()),
            false => context.happened_at(),
        };
        let appends = members.iter_mut().map(Member::take_append).collect();
        let keep = *given_id && refusal.is_none();
        Ok((self.received.commit(self.metadata.clone(), appends, keep, occurred_at, order_group), refusal))
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

/// 1, 2, 4 … milliseconds, plus up to as much again at random.
fn backoff(attempt: u32) -> Duration {
    let base = 1_000 << attempt.min(6);
    let spread = u64::from(Timestamp::now().subsec_nanosecond().unsigned_abs()) % base;
    Duration::from_micros(base / 2 + spread)
}
