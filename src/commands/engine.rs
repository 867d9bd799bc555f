//! [`Engine`]: loads, decides and appends, and decides again after a conflict with another writer.

use std::ops::ControlFlow;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use futures::FutureExt;
use jiff::Timestamp;
use tracing::Instrument;
use uuid::Uuid;

use super::admission::{Admission, Rejected, join};
use super::command_id_lookup::CommandIdLookup;
use super::commit_queue::PendingAnswer;
use super::member::Member;
use super::prepared::{MetadataExtras, Prepared, Rejection};
use super::received::Received;
use super::sealing::{Decided, Subjects};
use super::slow_decisions::SlowDecisions;
use super::{
    AnyCommand, CommandAccess, CommitAnswer, CommitQueue, Context, ExecuteError, Refusal, Registry, Services,
    within,
};
use crate::aggregates::{AggregateType, LoadError, Repository};
use crate::events::Ref;
use crate::events::personal::PersonalKeys;
use crate::store::{
    Commit, Known, LogTime, Outcome, Receipt, Store, StoreError, WriteMetrics, increment, is_projecting,
};

/// How often a command is decided optimistically, before it is decided under the log's write lock.
pub(super) const ATTEMPTS: u32 = 6;

pub(super) type Executed = Result<Receipt, ExecuteError<Refusal>>;

/// The write path of one process on one store.
pub(crate) struct Engine {
    pub(super) store: Arc<dyn Store>,
    pub(super) queue: CommitQueue,
    pub(super) repository: Arc<Repository>,
    services: Services,
    slow: SlowDecisions,
    command_ids: CommandIdLookup,
    pub(super) time: LogTime,
    pub(super) access: Option<Arc<dyn CommandAccess>>,
    /// What this program knows that a log may require.
    pub(super) known: Known,
    /// Whether the first event of a command names the command and the aggregates that it was decided on.
    extras: MetadataExtras,
    registry: Arc<Registry>,
    write_metrics: Arc<WriteMetrics>,
    /// The keys of the subjects of personal values, if the application has any.
    pub(super) keys: Option<Arc<dyn PersonalKeys>>,
}

/// A prepared command, or the answer to one that did not get that far.
pub(super) type Preparing = ControlFlow<Executed, Prepared>;

/// A decided command whose commit is queued.
pub(super) struct InFlight {
    pending: PendingAnswer,
    /// The store's answer, once it has arrived.
    answer: Option<CommitAnswer>,
    rejection: Option<Rejection>,
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
        time: LogTime,
        access: Option<Arc<dyn CommandAccess>>,
        known: Known,
        registry: Arc<Registry>,
        repository: Arc<Repository>,
        services: Services,
    ) -> Self {
        let write_metrics = Arc::new(WriteMetrics::default());
        let queue = CommitQueue::start(store.clone(), write_metrics.clone(), known, access.clone());
        let command_ids = CommandIdLookup::new(store.clone());
        let slow = SlowDecisions::default();
        let extras = MetadataExtras::default();
        Self {
            store,
            queue,
            repository,
            services,
            slow,
            command_ids,
            time,
            access,
            known,
            extras,
            registry,
            write_metrics,
            keys: None,
        }
    }

    /// The same engine, whose events have more in their metadata.
    pub(crate) fn with_extras(self, extras: MetadataExtras) -> Self {
        Self { extras, ..self }
    }

    pub(crate) async fn execute(&self, command: Box<dyn AnyCommand>, context: &Context) -> Executed {
        let span =
            tracing::info_span!("command", name = command.name(), id = context.id().map(tracing::field::display));
        let executing = async {
            let mut received = self.receive(command, context)?;
            self.digest_with_keys(&mut received).await?;
            if received.has_caller_id() {
                let found = self.command_ids.find(received.id).await;
                if let Some(known) = found.map_err(|error| ExecuteError::store(received.id, error))? {
                    return self.answer_known(&received, known).await;
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
            Err(ExecuteError::Refused(_) | ExecuteError::Denied { .. } | ExecuteError::Erased(_)) => {
                &self.write_metrics.refused
            }
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

    /// Loads aggregates.
    pub(crate) fn repository(&self) -> &Repository {
        &self.repository
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
        let context = context.resolved(Uuid::now_v7, self.time.clock());
        let digest = command.digest(&context).map_err(ExecuteError::Body)?;
        let id = context.id().unwrap_or_default();
        Ok(Received { id, command, context, digest, given_id, opened: AtomicBool::new(false) })
    }

    /// Asks access control and runs the command's `prepare`, before anything is loaded for the decision. An id from the
    /// caller must have been looked up before: a command that was executed is not denied afterwards.
    pub(super) async fn prepare(&self, mut received: Received) -> Preparing {
        for _ in 0..ATTEMPTS {
            let rejected = match self.try_prepare(&mut received).await {
                Ok((metadata, aggregates, admission)) => {
                    let extras = self.extras;
                    let subjects = Subjects::of(received.command.subjects());
                    let prepared = Prepared { received, metadata, aggregates, admission, extras, subjects };
                    return ControlFlow::Continue(prepared);
                }
                Err(rejected) => rejected,
            };
            if let Some(executed) = self.reject(&received, rejected).await {
                return ControlFlow::Break(executed);
            }
        }
        ControlFlow::Break(Err(ExecuteError::Conflict { attempts: ATTEMPTS }))
    }

    async fn try_prepare(
        &self,
        received: &mut Received,
    ) -> Result<(Arc<str>, Vec<(AggregateType, Ref)>, Admission), Rejected> {
        let mut admission = self.admit(received, false).await.or_rejected()?;
        let Received { command, context, .. } = received;
        let (name, limit) = (command.name(), self.services.time_limit);
        match within(limit, AssertUnwindSafe(command.prepare(context, &self.services)).catch_unwind()).await {
            Some(Ok(prepared)) => prepared.map_err(|error| ExecuteError::Refused(Refusal(error)))?,
            Some(Err(_)) => return Err(ExecuteError::Panicked(name).into()),
            None => return Err(ExecuteError::PrepareTimedOut { command: name, limit }.into()),
        }
        let aggregates = received.checked_aggregates()?;
        if admission.on.as_ref().is_some_and(|on| *on != received.references()) {
            admission = self.admit(received, false).await.or_rejected()?;
        }
        let metadata = serde_json::to_string(received.context.metadata()).map_err(ExecuteError::Body)?;
        Ok((metadata.into(), aggregates, Admission { on: None, ..admission }))
    }

    /// Answers a command that is rejected before it is decided; `None` if an aggregate that access control loaded has changed
    /// since. If the caller gave the command's id, the writer task is asked in any case: an earlier use of the id may have
    /// been queued when the id was looked up.
    async fn reject(&self, received: &Received, rejected: Rejected) -> Option<Executed> {
        let Rejected { error, mut loaded } = rejected;
        if received.has_caller_id() || !loaded.is_empty() {
            let mut pending = self.queue.submit(received.empty_commit(&mut loaded), &loaded)?;
            match answer_to(&mut pending).await {
                CommitAnswer::Outcome(Outcome::Duplicate(receipt)) => return Some(Ok(receipt)),
                CommitAnswer::Outcome(Outcome::IdReused) => {
                    return Some(match self.settled(received, Outcome::IdReused).await {
                        Ok(Outcome::Duplicate(receipt)) => Ok(receipt),
                        Ok(_) => Err(ExecuteError::CommandIdReused(received.id)),
                        Err(error) => Err(error),
                    });
                }
                CommitAnswer::Outcome(Outcome::Conflict) if !loaded.is_empty() => return None,
                CommitAnswer::Expired(_) => return None,
                CommitAnswer::Outcome(Outcome::Committed(_) | Outcome::Conflict) => {}
                CommitAnswer::Failed(error) => return Some(Err(ExecuteError::store(received.id, error))),
                CommitAnswer::NotExecuted => return Some(Err(ExecuteError::NotExecuted)),
            }
        }
        self.record_rejection(received, &error);
        Some(Err(*error))
    }

    /// Turns the store's outcome into an answer. A final rejection is recorded.
    pub(super) fn answer(&self, prepared: &Prepared, outcome: Outcome, rejection: Option<Rejection>) -> Completion {
        let completion = prepared.answer(outcome, rejection);
        if let Completion::Done(Err(error)) = &completion {
            self.record_rejection(&prepared.received, error);
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
        let mut admission = self.still_admitted(prepared).await;
        loop {
            let mut members = Vec::with_capacity(prepared.aggregates.len() + admission.loaded.len());
            for (kind, aggregate) in prepared.aggregates.iter().filter(|_| admission.denied.is_none()) {
                members.push(self.load(*kind, aggregate).await?);
            }
            let scope = members.len();
            if join(&mut members, &admission.loaded) {
                self.load_subjects(prepared, &mut members, false).await?;
                match self.decide_with_keys(prepared, &mut members, scope, &admission, order_group)? {
                    Ok(Decided { commit, rejection }) => {
                        if let Some(pending) = self.queue.submit(commit, &members) {
                            return Ok(InFlight { pending, answer: None, rejection, members });
                        }
                    }
                    Err(missing) => self.provide_keys(prepared, missing).await?,
                }
            }
            tokio::task::yield_now().await;
            if !admission.loaded.is_empty() {
                admission = self.admit(&prepared.received, false).await;
            }
        }
    }

    /// Decides, and logs once if the command's handler takes long.
    pub(super) fn decide(
        &self,
        prepared: &Prepared,
        members: &mut [Member],
        scope: usize,
        admission: &Admission,
        order_group: Option<u64>,
    ) -> Result<(Commit, Option<Rejection>), ExecuteError<Refusal>> {
        let name = prepared.received.command.name();
        self.slow.watch(name, || prepared.decide(members, scope, admission, order_group))
    }

    /// Loads an aggregate from the state cache, else from the store. A cached state may follow from a queued commit.
    pub(super) async fn load(&self, kind: AggregateType, aggregate: &Ref) -> Result<Member, LoadError> {
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
        let InFlight { answer, rejection, members, .. } = in_flight;
        let outcome = match answer {
            Some(CommitAnswer::Outcome(outcome)) => outcome,
            Some(CommitAnswer::Expired(time)) => {
                self.time.reach(time);
                return Completion::Conflict;
            }
            Some(CommitAnswer::Failed(error)) => {
                return Completion::Done(Err(ExecuteError::store(prepared.received.id, error)));
            }
            Some(CommitAnswer::NotExecuted) | None => return Completion::Done(Err(ExecuteError::NotExecuted)),
        };
        let outcome = match self.settled(&prepared.received, outcome).await {
            Ok(outcome) => outcome,
            Err(error) => return Completion::Done(Err(error)),
        };
        if matches!(outcome, Outcome::Committed(_)) {
            for member in &members {
                let (before, after) = (member.sequence_before(), member.sequence_after());
                self.repository.request_snapshot(member.kind, &member.aggregate, before, after);
            }
        }
        let completion = self.answer(prepared, outcome, rejection);
        self.remember(prepared, &completion).await;
        completion
    }

    /// Lets access control remember what a command has withdrawn, before it is answered.
    pub(super) async fn remember(&self, prepared: &Prepared, completion: &Completion) {
        let Completion::Done(Ok(receipt)) = completion else { return };
        if let Some(access) = self.access.as_ref().filter(|_| receipt.events > 0)
            && let Some(remembered) = access.committed(prepared.received.command.name())
        {
            remembered.await;
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

/// 1, 2, 4 … milliseconds, plus up to as much again at random.
fn backoff(attempt: u32) -> Duration {
    let base = 1_000 << attempt.min(6);
    let spread = u64::from(Timestamp::now().subsec_nanosecond().unsigned_abs()) % base;
    Duration::from_micros(base / 2 + spread)
}
