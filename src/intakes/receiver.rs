//! [`Receiver`]: the task that receives the messages of an intake.
//!
//! It runs in the process that holds the intake's lease. Of each subject it executes one message at a time. It settles a message when the
//! outcome is in the log. It holds at most as many messages as its prefetch says, so a flood waits at the broker.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use super::error::IntakeError;
use super::executing::{Executor, Failure, Outcome, Taken};
use super::intake::Intake;
use super::lanes::Lanes;
use super::notes::{Note, Notes};
use super::parsing::parse;
use super::source::{IncomingMessage, MessageSource, SourceError, Subscription, SubscriptionOptions};
use super::state::ReceiverState;
use crate::aggregates::Repository;
use crate::commands::{Context, Engine};
#[cfg(feature = "http")]
use crate::events::Origin;
use crate::feeds::pause;
use crate::store::Store;
use crate::supervise::supervise;
use crate::text::error_chain;

/// How long a broker may take to be reached, and to accept that a message is settled.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often it looks whether it was paused, and tells the broker that it still works.
const LOOK: Duration = Duration::from_secs(1);

/// How often the broker is asked for its backlog, and how long it may take.
const COUNT: Duration = Duration::from_secs(5);
const COUNT_PATIENCE: Duration = Duration::from_secs(2);

/// How long messages that are executed may take when the application closes.
const LAST: Duration = Duration::from_secs(5);

/// What a receiver needs of an application.
pub(crate) struct ReceiverParts {
    pub(crate) intake: Intake,
    /// None if it takes messages over HTTP only.
    pub(crate) source: Option<Arc<dyn MessageSource>>,
    pub(crate) engine: Arc<Engine>,
    pub(crate) repository: Arc<Repository>,
    pub(crate) notes: Notes,
    pub(crate) leading: watch::Receiver<bool>,
    pub(crate) closing: watch::Receiver<bool>,
}

/// The task of one intake.
#[derive(Clone)]
pub(crate) struct Receiver {
    pub(super) executor: Executor,
    pub(super) source: Option<Arc<dyn MessageSource>>,
    pub(super) repository: Arc<Repository>,
    pub(super) notes: Notes,
    pub(super) state: Arc<ReceiverState>,
    pub(super) leading: watch::Receiver<bool>,
    closing: watch::Receiver<bool>,
}

/// Why a subscription has ended.
enum End {
    /// The application closes, or this process leads no more.
    Halted,
    /// The intake was paused.
    Paused,
    /// The broker failed.
    Lost(SourceError),
}

/// A message that was executed.
struct Finished {
    subject: String,
    tag: u64,
    /// None if the application closes.
    outcome: Option<Outcome>,
}

type Running<'a> = FuturesUnordered<BoxFuture<'a, Finished>>;

impl Receiver {
    pub(crate) fn new(parts: ReceiverParts) -> Self {
        let ReceiverParts { intake, source, engine, repository, notes, leading, closing } = parts;
        let executor = Executor { engine, intake };
        Self { executor, source, repository, notes, state: Arc::default(), leading, closing }
    }

    pub(crate) fn name(&self) -> &str {
        self.executor.intake.name()
    }

    /// Makes the place for its lease and its note.
    pub(crate) async fn prepare(&self) -> Result<(), crate::store::StoreError> {
        self.notes.prepare(self.name()).await
    }

    /// Executes the dead letter at a position.
    pub(crate) async fn replay(
        &self,
        store: &dyn Store,
        position: u64,
        why: &str,
        context: &Context,
    ) -> Result<Taken, IntakeError> {
        self.executor.replay(store, position, why, context).await
    }

    /// Executes the command of a message that came over HTTP.
    #[cfg(feature = "http")]
    pub(crate) async fn take_now(
        &self,
        store: &dyn Store,
        message: &IncomingMessage,
        origin: Option<Origin>,
    ) -> Result<Taken, IntakeError> {
        if !self.executor.intake.is_over_http() {
            return Err(IntakeError::NotOverHttp(self.name().to_owned()));
        }
        if let Some(why) = &self.load_record().await?.paused {
            return Err(IntakeError::Paused(why.clone()));
        }
        self.executor.take(store, message, origin).await
    }

    /// Runs until the application closes.
    pub(crate) fn spawn(self) -> JoinHandle<()> {
        tokio::spawn(async move {
            let Some(source) = self.source.clone() else { return };
            let start = || self.clone().run(source.clone());
            let on_panic = |panics, message: &str| {
                tracing::error!(intake = self.name(), panics, message, "the task of an intake panicked");
            };
            supervise("intake", start, || self.closed(), on_panic).await;
        })
    }

    async fn closed(&self) {
        // The sender is dropped only after it has said so.
        let _ = self.closing.clone().wait_for(|closing| *closing).await;
    }

    /// Resolves when the application closes or this process leads no more.
    async fn halted(&self) {
        let mut leading = self.leading.clone();
        tokio::select! {
            () = self.closed() => {}
            _ = leading.wait_for(|leads| !*leads) => {}
        }
    }

    async fn run(self, source: Arc<dyn MessageSource>) {
        let mut leading = self.leading.clone();
        loop {
            tokio::select! {
                biased;
                () = self.closed() => return,
                led = leading.wait_for(|leads| *leads) => if led.is_err() { return },
            }
            self.lead(&*source).await;
            self.state.forget();
            // Nobody renews the lease any more.
            if leading.has_changed().is_err() {
                return;
            }
        }
    }

    /// Receives, until the application closes or this process leads no more.
    async fn lead(&self, source: &dyn MessageSource) {
        let mut failures = 0;
        let mut noted = None;
        let intake = self.name().to_owned();
        let options = SubscriptionOptions { intake, prefetch: self.executor.intake.most() };
        while *self.leading.borrow() && !*self.closing.borrow() {
            if self.is_paused().await {
                tokio::select! {
                    () = self.halted() => return,
                    () = sleep(LOOK) => continue,
                }
            }
            let began = Instant::now();
            let subscribed = tokio::select! {
                () = self.halted() => return,
                subscribed = timeout(PATIENCE, source.subscribe(&options)) => subscribed,
            };
            let end = match subscribed {
                Ok(Ok(mut subscription)) => {
                    if self.state.connected() {
                        tracing::info!(intake = self.name(), "an intake receives again");
                    }
                    let end = self.receive(&mut *subscription, &mut noted).await;
                    if !matches!(end, End::Lost(_)) {
                        // The broker delivers messages without an acknowledgement again, also if it does not answer now.
                        let _ = timeout(LAST, subscription.close()).await;
                    }
                    end
                }
                Ok(Err(error)) => End::Lost(error),
                Err(_) => End::Lost(SourceError::new(format!("{} does not answer", source.origin()))),
            };
            self.state.forget();
            match end {
                End::Halted => return,
                End::Paused => {}
                End::Lost(error) => {
                    failures = if began.elapsed() > PATIENCE { 1 } else { failures + 1 };
                    let reason = error.to_string();
                    if self.state.disconnected(&reason) {
                        tracing::warn!(
                            intake = self.name(),
                            reason,
                            "an intake receives nothing: it tries again until it does"
                        );
                    }
                    self.note(&mut noted, None).await;
                    tokio::select! {
                        () = self.halted() => return,
                        () = sleep(pause(failures)) => {}
                    }
                }
            }
        }
    }

    /// Receives over a subscription, until it ends.
    async fn receive(&self, subscription: &mut dyn Subscription, noted: &mut Option<Note>) -> End {
        let most = usize::from(self.executor.intake.most());
        let (mut lanes, mut running) = (Lanes::default(), Running::new());
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut counted: Option<Instant> = None;
        loop {
            self.state.hold(lanes.count());
            tokio::select! {
                () = self.halted() => {
                    // Who leads no more must be gone before the next one begins.
                    if *self.leading.borrow() {
                        self.finish(subscription, &mut lanes, &mut running).await;
                    }
                    return End::Halted;
                }
                Some(finished) = running.next() => {
                    if let Err(error) = self.settle(subscription, &mut lanes, &mut running, finished).await {
                        return End::Lost(error);
                    }
                }
                message = subscription.next(), if lanes.count() < most => match message {
                    Ok(message) => self.take(&mut lanes, &mut running, message),
                    Err(error) => return End::Lost(error),
                },
                _ = look.tick() => {
                    if self.is_paused().await {
                        self.finish(subscription, &mut lanes, &mut running).await;
                        return End::Paused;
                    }
                    if let Err(error) = notify(subscription.keep()).await {
                        return End::Lost(error);
                    }
                    // An operator that waits for the end of a backlog sees it soon.
                    let (is_idle, known) = (lanes.count() == 0, noted.as_ref().and_then(|note| note.backlog));
                    if counted.is_none_or(|counted| counted.elapsed() >= COUNT) || is_idle && known != Some(0) {
                        let backlog = timeout(COUNT_PATIENCE, subscription.backlog()).await;
                        counted = Some(Instant::now());
                        self.note(noted, backlog.ok().and_then(Result::ok)).await;
                    } else {
                        self.note(noted, None).await;
                    }
                }
            }
        }
    }

    fn take<'a>(&'a self, lanes: &mut Lanes, running: &mut Running<'a>, message: IncomingMessage) {
        // A message that is no CloudEvent has no subject, and so no order.
        let small = message.body.len() <= self.executor.intake.limit();
        let subject = match small.then(|| parse(&message)) {
            Some(Ok(event)) => event.subject().unwrap_or_default().to_owned(),
            _ => format!("message {}", message.tag),
        };
        let first = lanes.add(&subject, message);
        self.state.hold(lanes.count());
        self.state.received();
        if let Some(first) = first {
            running.push(self.execute(subject, first).boxed());
        }
    }

    /// Executes a message, for as long as it takes.
    async fn execute(&self, subject: String, message: IncomingMessage) -> Finished {
        let mut failures = 0;
        let outcome = loop {
            match self.executor.execute(&message).await {
                Ok(outcome) => break Some(outcome),
                Err(Failure::Closed) => break None,
                Err(Failure::Passing(reason)) => {
                    failures += 1;
                    if self.state.blocked(&subject, &reason) {
                        tracing::warn!(
                            intake = self.name(),
                            reason,
                            "a message cannot be executed: trying again until it can"
                        );
                    }
                    sleep(pause(failures)).await;
                }
            }
        };
        if failures > 0 {
            self.state.unblocked(&subject);
        }
        Finished { subject, tag: message.tag, outcome }
    }

    async fn settle<'a>(
        &'a self,
        subscription: &mut dyn Subscription,
        lanes: &mut Lanes,
        running: &mut Running<'a>,
        finished: Finished,
    ) -> Result<(), SourceError> {
        let Finished { subject, tag, outcome } = finished;
        let Some(outcome) = outcome else {
            lanes.forget_waiting();
            lanes.settled(&subject);
            return Ok(());
        };
        if outcome.repeated {
            self.state.repeated();
        }
        // The next one first: it need not wait for the broker.
        if let Some(next) = lanes.settled(&subject) {
            running.push(self.execute(subject, next).boxed());
        }
        notify(subscription.settle(tag, outcome.settle)).await
    }

    /// Lets the messages that are executed end, and settles them.
    async fn finish<'a>(
        &'a self,
        subscription: &mut dyn Subscription,
        lanes: &mut Lanes,
        running: &mut Running<'a>,
    ) {
        lanes.forget_waiting();
        let ending = async {
            while let Some(finished) = running.next().await {
                if self.settle(subscription, lanes, running, finished).await.is_err() {
                    return;
                }
            }
        };
        // The broker delivers messages that are not done by then again.
        let _ = timeout(LAST, ending).await;
    }

    async fn is_paused(&self) -> bool {
        // If it cannot be known, no command can be executed either: that is tried again, and said.
        self.load_record().await.is_ok_and(|record| record.paused.is_some())
    }

    /// Tells all processes what has changed.
    async fn note(&self, noted: &mut Option<Note>, backlog: Option<u64>) {
        let known = noted.as_ref().and_then(|note| note.backlog);
        let note = Note { problem: self.state.problem(), backlog: backlog.or(known) };
        if noted.as_ref() == Some(&note) {
            return;
        }
        match self.notes.write(self.name(), &note).await {
            Ok(()) => *noted = Some(note),
            Err(error) => {
                let error = error_chain(&error);
                tracing::debug!(intake = self.name(), error, "the status of an intake could not be noted");
            }
        }
    }
}

/// Notifies the broker, within some time.
async fn notify(telling: impl Future<Output = Result<(), SourceError>>) -> Result<(), SourceError> {
    match timeout(PATIENCE, telling).await {
        Ok(notified) => notified,
        Err(_) => Err(SourceError::new("the broker does not answer")),
    }
}
