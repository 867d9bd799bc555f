//! [`Executor`]: the task that executes the steps of a reaction that are due.
//!
//! It runs in the process that leads the projection of the pending steps. Leading only saves work: a step that two processes execute
//! takes effect once, because both use the same command id.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use jiff::Timestamp;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use uuid::Uuid;

use super::delivery::{Delivery, Superseded};
use super::queue::{self, DueSteps, Group, Taken};
use super::reaction::Since;
use super::status::BlockedAggregate;
use super::steps::Pending;
use super::{AnyReaction, StartReaction};
use crate::commands::{Context, Engine, ExecuteError, Refusal, Registry, internal_id};
use crate::events::Ref;
use crate::projections::{ReadError, Reading};
use crate::store::{LogTime, Store, StoreError};
use crate::supervise::{delay, supervise};
use crate::text::error_chain;

/// How many aggregates have a step executed at the same time.
const AT_ONCE: usize = 256;

/// How often the clock is compared with the next timer.
const TICK: Duration = Duration::from_millis(200);

/// The longest delay before a step is tried again that failed for a reason that may last.
const LONGEST_DELAY: Duration = Duration::from_secs(60);

/// What an executor tells others.
#[derive(Default)]
pub(crate) struct ExecutorState {
    blocked: Mutex<HashMap<Ref, Blocked>>,
    superseded: Mutex<Option<String>>,
    failures: AtomicU64,
}

/// An aggregate whose next step failed.
#[derive(Clone)]
struct Blocked {
    status: BlockedAggregate,
    until: Instant,
}

impl ExecutorState {
    /// The aggregates whose next step failed.
    pub(super) fn blocked(&self) -> Vec<BlockedAggregate> {
        let blocked = self.blocked.lock().unwrap_or_else(PoisonError::into_inner);
        blocked.values().map(|blocked| blocked.status.clone()).collect()
    }

    /// How many attempts to do a step failed.
    pub(super) fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// Why this program does not react, if a newer version of the reaction was started.
    pub(super) fn superseded(&self) -> Option<String> {
        self.superseded.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The task of one reaction.
#[derive(Clone)]
pub(crate) struct Executor {
    pub(super) engine: Arc<Engine>,
    pub(super) registry: Arc<Registry>,
    pub(super) reaction: Arc<dyn AnyReaction>,
    reading: Reading,
    pub(super) store: Arc<dyn Store>,
    time: LogTime,
    state: Arc<ExecutorState>,
}

/// Why a step was not executed.
enum Failure {
    /// A newer version of the reaction was started.
    Superseded(String),
    /// It may succeed soon.
    Passing(String),
    /// It fails until the program or the data change.
    Lasting(String),
    /// The application closes.
    Closed,
}

/// What became of the steps of an aggregate.
struct Executed {
    aggregate: Ref,
    /// The position from which on the projection has seen the last one that was executed.
    position: Option<u64>,
    failure: Option<(Uuid, Failure)>,
}

impl Executor {
    pub(crate) fn new(
        engine: Arc<Engine>,
        registry: Arc<Registry>,
        reaction: Arc<dyn AnyReaction>,
        reading: Reading,
        store: Arc<dyn Store>,
        time: LogTime,
    ) -> Self {
        Self { engine, registry, reaction, reading, store, time, state: Arc::default() }
    }

    pub(crate) fn reaction(&self) -> &Arc<dyn AnyReaction> {
        &self.reaction
    }

    pub(crate) fn reading(&self) -> &Reading {
        &self.reading
    }

    pub(crate) fn state(&self) -> &ExecutorState {
        &self.state
    }

    /// Starts this version of the reaction, if it was not started before. When it returns, the start is durable. A first version that
    /// reacts to all events needs no start.
    pub(crate) async fn start_version(&self) -> Result<(), ExecuteError<Refusal>> {
        if self.reaction.since() == Since::Beginning && self.reaction.version() == 1 {
            return Ok(());
        }
        let command = StartReaction { reaction: self.reaction.id(), version: self.reaction.version() };
        let name = format!("start {} {}", self.reaction.name(), self.reaction.version());
        let id = internal_id::derive(&[0; 32], name.as_bytes());
        let context = Context::by(self.reaction.actor()).internal(id);
        self.engine.execute(Box::new(command), &context).await.map(drop)
    }

    /// Runs until the application closes.
    pub(crate) fn spawn(self) -> JoinHandle<()> {
        tokio::spawn(async move {
            let closing = self.reading.clone();
            let name = self.reaction.name();
            let start = || self.clone().run();
            let on_panic = |panics, message: &str| {
                tracing::error!(reaction = name, panics, message, "the task of a reaction panicked");
            };
            supervise("reaction", start, || closing.closed(), on_panic).await;
        })
    }

    async fn run(self) {
        let mut leading = self.reading.leading();
        loop {
            tokio::select! {
                () = self.reading.closed() => return,
                // The sender lives as long as `reading`.
                _ = leading.wait_for(|leads| *leads) => {}
            }
            tokio::select! {
                () = self.reading.closed() => return,
                _ = leading.wait_for(|leads| !*leads) => {}
                () = self.lead() => {}
            }
            lock(&self.state.blocked).clear();
            if self.state.superseded().is_some() {
                tokio::select! {
                    () = self.reading.closed() => return,
                    () = tokio::time::sleep(LONGEST_DELAY) => {}
                }
                *lock(&self.state.superseded) = None;
            }
        }
    }

    /// Executes what is due, until this program must no longer react.
    async fn lead(&self) {
        let mut taken = Taken::default();
        let mut running: FuturesUnordered<BoxFuture<'_, Executed>> = FuturesUnordered::new();
        let mut progress = self.reading.progress();
        let (mut next_timer, mut failures) = (None, 0);
        loop {
            progress.borrow_and_update();
            let mut waits = true;
            if running.len() < AT_ONCE {
                match self.take(&mut taken, next_timer, AT_ONCE - running.len()).await {
                    Ok(due) => {
                        (next_timer, failures) = (due.next, 0);
                        waits = !due.more;
                        running.extend(due.groups.into_iter().map(|group| self.execute_group(group).boxed()));
                        waits |= running.len() >= AT_ONCE;
                    }
                    Err(error) => {
                        failures += 1;
                        tracing::warn!(reaction = self.reaction.name(), %error, "the steps that are due could not be read");
                        tokio::time::sleep(delay(failures)).await;
                        waits = false;
                    }
                }
            }
            while waits {
                tokio::select! {
                    Some(executed) = running.next() => {
                        waits = false;
                        if !self.finish(&mut taken, executed) {
                            return;
                        }
                        // Those that have ended at the same time, by one commit.
                        while let Some(Some(executed)) = running.next().now_or_never() {
                            if !self.finish(&mut taken, executed) {
                                return;
                            }
                        }
                    }
                    Ok(()) = progress.changed() => waits = false,
                    () = tokio::time::sleep(TICK) => waits = !self.is_anything_due(next_timer),
                }
            }
        }
    }

    /// Whether a timer or an attempt after a failure is due.
    fn is_anything_due(&self, next_timer: Option<i64>) -> bool {
        let timer = next_timer.is_some_and(|due| due <= self.time.clock().as_microsecond());
        timer || lock(&self.state.blocked).values().any(|blocked| blocked.until <= Instant::now())
    }

    async fn take(&self, taken: &mut Taken, next_timer: Option<i64>, limit: usize) -> Result<DueSteps, ReadError> {
        let until = self.until(next_timer).await?;
        let now = Instant::now();
        let waits = |blocked: &Blocked| blocked.until > now;
        let blocked = {
            let blocked = lock(&self.state.blocked);
            blocked.iter().filter(|(_, blocked)| waits(blocked)).map(|(on, _)| on.clone()).collect()
        };
        let due = queue::take(&self.reading, until, limit, taken, blocked).await?;
        if !due.more {
            // Those with nothing left to do: the step was skipped, or done by another process.
            let is_due = |aggregate: &Ref| due.groups.iter().any(|group| group.aggregate == *aggregate);
            lock(&self.state.blocked).retain(|aggregate, blocked| waits(blocked) || is_due(aggregate));
        }
        Ok(due)
    }

    /// The time up to which steps are due, in microseconds: when the last event was recorded, or the time of the clock, but not ahead of the
    /// clock by which the store records. So no event is recorded before the timer that led to it was due.
    async fn until(&self, next_timer: Option<i64>) -> Result<i64, StoreError> {
        let recorded = self.time.recorded().as_microsecond();
        let clock = self.time.clock().as_microsecond();
        if next_timer.is_none_or(|due| due > clock) || clock <= recorded {
            return Ok(recorded);
        }
        Ok(clock.min(self.store.time().await?.as_microsecond()).max(recorded))
    }

    /// Notes what became of the steps of an aggregate. Returns whether this program continues.
    fn finish(&self, taken: &mut Taken, executed: Executed) -> bool {
        let Executed { aggregate, position, failure } = executed;
        taken.executed(aggregate.clone(), position);
        let mut blocked = lock(&self.state.blocked);
        let (step, failure) = match failure {
            None => {
                blocked.remove(&aggregate);
                return true;
            }
            Some(failure) => failure,
        };
        let (reason, longest) = match failure {
            Failure::Closed => return false,
            Failure::Superseded(reason) => {
                tracing::warn!(reaction = self.reaction.name(), reason, "this program no longer reacts");
                *lock(&self.state.superseded) = Some(reason);
                return false;
            }
            Failure::Passing(reason) => (reason, delay(u32::MAX)),
            Failure::Lasting(reason) => (reason, LONGEST_DELAY),
        };
        self.state.failures.fetch_add(1, Ordering::Relaxed);
        let earlier = blocked.get(&aggregate).filter(|blocked| blocked.status.step == step);
        let attempts = earlier.map_or(1, |blocked| blocked.status.attempts + 1);
        let pause = Duration::from_millis(50 << attempts.min(11)).min(longest);
        tracing::warn!(
            reaction = self.reaction.name(), %aggregate, attempts, reason,
            "a step of a reaction failed: trying again in {pause:?}"
        );
        let status =
            BlockedAggregate { aggregate: aggregate.clone(), step, attempts, reason, since: Timestamp::now() };
        let since = earlier.map_or(status.since, |blocked| blocked.status.since);
        blocked.insert(
            aggregate,
            Blocked { status: BlockedAggregate { since, ..status }, until: Instant::now() + pause },
        );
        true
    }

    /// Executes the steps of an aggregate in order, up to the first that fails.
    async fn execute_group(&self, group: Group) -> Executed {
        let Group { aggregate, steps } = group;
        let mut position = None;
        for step in steps {
            let id = step.id;
            match self.execute(step).await {
                Ok(at) => position = Some(at),
                Err(failure) => return Executed { aggregate, position, failure: Some((id, failure)) },
            }
        }
        Executed { aggregate, position, failure: None }
    }

    /// Executes a step. Returns the position from which on the projection knows that it is done.
    async fn execute(&self, step: Pending) -> Result<u64, Failure> {
        let parsed = self.registry.parse(&step.command, &step.body);
        let command = parsed.map_err(|error| Failure::Lasting(error_chain(&error)))?;
        let delivery = Delivery {
            command,
            reaction: self.reaction.id(),
            version: self.reaction.version(),
            on: step.aggregate,
            event: step.event,
            position: step.position,
            noted: None,
            refused: None,
        };
        let mut context =
            Context::by(self.reaction.actor()).on_behalf_of(step.principal).causation(step.event.to_string());
        if let Some(correlation) = step.correlation {
            context = context.correlation(correlation);
        }
        match self.engine.execute(Box::new(delivery), &context.reaction_step(step.id, step.depth)).await {
            Ok(receipt) => Ok(receipt.head.position),
            Err(ExecuteError::CommandIdReused(id)) => {
                tracing::warn!(
                    reaction = self.reaction.name(), command_id = %id,
                    "a step was done with another command: it was skipped meanwhile, or the reaction was changed without a new version"
                );
                let head = self.store.head().await;
                head.map(|head| head.position).map_err(|error| Failure::Passing(error_chain(&error)))
            }
            Err(error) => Err(failure(&error)),
        }
    }
}

fn failure(error: &ExecuteError<Refusal>) -> Failure {
    let reason = error_chain(error);
    match error {
        ExecuteError::Refused(Refusal(refused)) if refused.is::<Superseded>() => Failure::Superseded(reason),
        ExecuteError::Store(store) if matches!(**store, StoreError::Closed) => Failure::Closed,
        ExecuteError::NotExecuted
        | ExecuteError::Conflict { .. }
        | ExecuteError::OutcomeUnknown { .. }
        | ExecuteError::PrepareTimedOut { .. }
        | ExecuteError::Store(_)
        | ExecuteError::Keys(_)
        | ExecuteError::Load(_) => Failure::Passing(reason),
        _ => Failure::Lasting(reason),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
