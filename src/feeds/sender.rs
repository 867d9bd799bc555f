//! [`Sender`]: the task that sends the messages of a feed.
//!
//! It runs in the process that holds the feed's lease. It reads a page of the audit log, sends it, and moves the checkpoint to what the
//! sink has confirmed. It holds one page in memory, and nothing waits for it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use super::checkpoint::{Checkpoint, Checkpoints};
use super::feed::Feed;
use super::pages::{PageError, Pages};
use super::problem::FeedProblem;
use super::record::FeedRecord;
use super::running::{Failure, Halt, Run, pause};
use super::sink::{FeedPosition, Message, Sent, Sink, SinkError};
use crate::aggregates::{AggregateType, LoadError, Loaded, Repository};
use crate::events::LogPosition;
use crate::projections::Reading;
use crate::projections::audit::AuditQuery;
use crate::projections::presenter::Presenter;
use crate::store::StoreError;
use crate::supervise::supervise;
use crate::text::error_chain;

/// How long a sink may take to connect, and to confirm a page: whatever it does itself, a feed does not hang.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often a feed that waits looks whether it was paused or resumed.
const LOOK: Duration = Duration::from_secs(1);

/// How long a checkpoint that only moved past events that do not match may stay unwritten.
const COALESCE: Duration = Duration::from_secs(1);

/// What a sender tells others.
#[derive(Default)]
pub(super) struct SenderState {
    problem: Mutex<Option<FeedProblem>>,
    failures: AtomicU64,
}

impl SenderState {
    pub(super) fn problem(&self) -> Option<FeedProblem> {
        self.problem.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }
}

/// What a sender needs of an application.
pub(crate) struct SenderParts {
    pub(crate) feed: Feed,
    pub(crate) sink: Arc<dyn Sink>,
    pub(crate) query: AuditQuery,
    pub(crate) presenter: Option<Presenter>,
    pub(crate) source: String,
    pub(crate) log_id: String,
    pub(crate) repository: Arc<Repository>,
    pub(crate) checkpoints: Checkpoints,
}

/// The task of one feed.
#[derive(Clone)]
pub(crate) struct Sender {
    pub(super) feed: Feed,
    pub(super) sink: Arc<dyn Sink>,
    pub(super) pages: Pages,
    pub(super) whole: bool,
    log_id: String,
    repository: Arc<Repository>,
    pub(super) checkpoints: Checkpoints,
    pub(super) state: Arc<SenderState>,
    pub(super) leading: watch::Receiver<bool>,
}

impl Sender {
    pub(crate) fn new(parts: SenderParts, audit: Reading, leading: watch::Receiver<bool>) -> Self {
        let SenderParts { feed, sink, query, presenter, source, log_id, repository, checkpoints } = parts;
        let (store, types) = (audit.log().clone(), audit.types().sealed());
        let (query, presenter) = (query.sealed(), presenter.map(Presenter::sealed));
        let whole = query.is_whole();
        let pages = Pages { query, audit, store, types, presenter, source };
        Self { feed, sink, pages, whole, log_id, repository, checkpoints, state: Arc::default(), leading }
    }

    pub(crate) fn name(&self) -> &str {
        self.feed.name()
    }

    /// Runs until the application closes.
    pub(crate) fn spawn(self) -> JoinHandle<()> {
        tokio::spawn(async move {
            let name = self.feed.name();
            let start = || self.clone().run();
            let on_panic = |panics, message: &str| {
                tracing::error!(feed = name, panics, message, "the task of a feed panicked");
            };
            supervise("feed", start, || self.pages.audit.closed(), on_panic).await;
        })
    }

    async fn run(self) {
        let mut leading = self.leading.clone();
        loop {
            tokio::select! {
                () = self.pages.audit.closed() => return,
                led = leading.wait_for(|leads| *leads) => if led.is_err() { return },
            }
            let halt = tokio::select! {
                () = self.pages.audit.closed() => return,
                _ = leading.wait_for(|leads| !*leads) => continue,
                halt = self.lead() => halt,
            };
            match halt {
                Halt::Closed => return,
                // The other process may not know yet that it leads no more.
                Halt::Moved => tokio::time::sleep(LOOK).await,
            }
        }
    }

    /// Sends, until the application closes or another process sends.
    async fn lead(&self) -> Halt {
        let mut run = None;
        let mut failures = 0;
        while run.is_none() {
            match self.checkpoints.load(self.feed.name()).await {
                Ok(checkpoint) => run = Some(Run::new(checkpoint)),
                Err(StoreError::Closed) => return Halt::Closed,
                Err(error) => {
                    failures += 1;
                    tracing::warn!(feed = self.name(), %error, "the checkpoint of a feed could not be read");
                    tokio::time::sleep(pause(failures)).await;
                }
            }
        }
        let Some(mut run) = run else { return Halt::Closed };
        let mut progress = self.pages.audit.progress();
        loop {
            progress.borrow_and_update();
            match self.step(&mut run).await {
                // More may be there.
                Ok(true) => {}
                Ok(false) => {
                    let behind = run.seen != run.checkpoint.head;
                    let longest = if behind { COALESCE } else { LOOK };
                    let _ = timeout(longest, progress.changed()).await;
                }
                Err(Failure::Halt(halt)) => return halt,
                Err(Failure::Passing(reason)) => self.failed(&mut run, reason).await,
                Err(Failure::Lasting(reason)) => self.stop(&mut run, reason).await,
            }
        }
    }

    /// Sends the next page. Returns whether another one may follow at once.
    async fn step(&self, run: &mut Run) -> Result<bool, Failure> {
        let record = self.record().await?;
        if self.is_held(run, &record).await? {
            return Ok(false);
        }
        let next = match self.pages.after(run.seen, run.checkpoint.last_sent).await {
            Ok(next) => next,
            Err(error @ PageError::Diverged(_)) => return Err(Failure::Lasting(error.to_string())),
            Err(error) if error.is_closed() => return Err(Failure::Halt(Halt::Closed)),
            Err(error) => return Err(Failure::Passing(error_chain(&error))),
        };
        if next.messages.is_empty() {
            let moved = next.to.position > run.seen.position;
            run.seen = next.to;
            if run.seen != run.checkpoint.head && run.moved.elapsed() >= COALESCE {
                let to = run.checkpoint.at(run.seen, run.checkpoint.last_sent);
                self.advance(run, to).await?;
            }
            if run.failures > 0 && run.connection.is_some() {
                self.recovered(run).await;
            }
            return Ok(moved);
        }
        let Sent { confirmed, failure } = self.send(run, &next.messages).await;
        let confirmed = confirmed.min(next.messages.len());
        if confirmed > 0 {
            let last = &next.messages[confirmed - 1];
            let all = confirmed == next.messages.len();
            let head = LogPosition { position: last.position, event_id: last.event_id };
            let to = run.checkpoint.at(if all { next.to } else { head }, last.position);
            self.advance(run, to).await?;
            self.recovered(run).await;
        }
        match failure {
            None if confirmed < next.messages.len() => {
                run.connection = None;
                Err(Failure::Passing("the sink has not confirmed all messages".to_owned()))
            }
            None => Ok(true),
            Some(error) => {
                run.connection = None;
                let reason = error_chain(&error);
                Err(match error {
                    SinkError::Diverged(_) => Failure::Lasting(reason),
                    SinkError::Failed { .. } => Failure::Passing(reason),
                })
            }
        }
    }

    /// Applies what operators decided. Returns whether the feed sends nothing for now.
    async fn is_held(&self, run: &mut Run, record: &Loaded<FeedRecord>) -> Result<bool, Failure> {
        if run.checkpoint.head.position == 0 && run.checkpoint.resumed == 0 {
            let Some(after) = record.started else { return Ok(true) };
            if after > 0 {
                let to = run.checkpoint.at(self.pages.event_at(after).await?, 0);
                self.advance(run, to).await?;
            }
        }
        if let Some((from, resumed)) = record.moved.filter(|(_, resumed)| *resumed > run.checkpoint.resumed) {
            let head = self.pages.event_at(from.saturating_sub(1)).await?;
            let to = run.checkpoint.moved(head, resumed);
            self.advance(run, to).await?;
            run.connection = None;
        }
        if record.paused.is_some() {
            run.connection = None;
            return Ok(true);
        }
        match run.stopped {
            Some(resumed) if record.resumed == resumed => return Ok(true),
            Some(_) => {
                run.stopped = None;
                self.recovered(run).await;
            }
            None => {}
        }
        Ok(false)
    }

    /// Sends messages, over a new connection if there is none.
    async fn send(&self, run: &mut Run, messages: &[Message]) -> Sent {
        let late = |what| SinkError::failed(format!("{what} took longer than {} seconds", PATIENCE.as_secs()));
        let connection = match &mut run.connection {
            Some(connection) => connection,
            none => {
                let at = FeedPosition {
                    feed: self.feed.name().to_owned(),
                    log: self.log_id.clone(),
                    whole: self.whole,
                    confirmed: run.seen,
                    last_sent: run.checkpoint.last_sent,
                };
                match timeout(PATIENCE, self.sink.connect(&at)).await {
                    Ok(Ok(connection)) => none.insert(connection),
                    Ok(Err(error)) => return Sent::only(0, error),
                    Err(_) => return Sent::only(0, late("the connection")),
                }
            }
        };
        let sent = timeout(PATIENCE, connection.send(messages)).await;
        sent.unwrap_or_else(|_| Sent::only(0, late("the confirmation")))
    }

    async fn advance(&self, run: &mut Run, to: Checkpoint) -> Result<(), Failure> {
        let seen = to.head;
        if !self.checkpoints.advance(&mut run.checkpoint, to).await? {
            return Err(Failure::Halt(Halt::Moved));
        }
        (run.seen, run.moved) = (seen, Instant::now());
        Ok(())
    }

    /// Loads the start, the pauses and the resumes of the feed from the log.
    pub(super) async fn load_record(&self) -> Result<Arc<Loaded<FeedRecord>>, LoadError> {
        let (kind, id) = (AggregateType::for_aggregate::<FeedRecord>(), self.feed.reference());
        let state = self.repository.load(kind, &id).await?;
        Arc::downcast(state).map_err(|_| LoadError::OtherType(id))
    }

    async fn record(&self) -> Result<Arc<Loaded<FeedRecord>>, Failure> {
        self.load_record().await.map_err(|error| match error {
            LoadError::Store(error) => error.into(),
            error => Failure::Passing(error_chain(&error)),
        })
    }

    /// It sends again.
    async fn recovered(&self, run: &mut Run) {
        run.failures = 0;
        let problem = self.state.problem.lock().unwrap_or_else(PoisonError::into_inner).take();
        // After a change of the leader the note may be of another process.
        if problem.is_none() && run.cleared {
            return;
        }
        if let Some(problem) = problem {
            tracing::info!(feed = self.name(), since = %problem.since, "a feed sends again");
        }
        run.cleared = self.checkpoints.note(self.name(), None).await.is_ok();
    }

    /// It failed: said once, and tried again after a delay.
    async fn failed(&self, run: &mut Run, reason: String) {
        run.failures = run.failures.saturating_add(1);
        self.state.failures.fetch_add(1, Ordering::Relaxed);
        let delay = pause(run.failures);
        // Another leader may take over within this time, without a failure.
        if run.failures > 1 {
            self.say(run, reason, false).await;
        }
        tokio::time::sleep(delay).await;
    }

    async fn stop(&self, run: &mut Run, reason: String) {
        self.state.failures.fetch_add(1, Ordering::Relaxed);
        let resumed = self.record().await.map(|record| record.resumed).unwrap_or_default();
        self.say(run, reason, true).await;
        (run.stopped, run.connection) = (Some(resumed), None);
    }

    /// Says what fails: once in the log, and to all processes.
    async fn say(&self, run: &mut Run, reason: String, stopped: bool) {
        let earlier = self.state.problem();
        if earlier.as_ref().is_some_and(|earlier| (&earlier.reason, earlier.stopped) == (&reason, stopped)) {
            return;
        }
        let since = earlier.as_ref().map_or_else(Timestamp::now, |earlier| earlier.since);
        let problem = FeedProblem { reason, since, stopped };
        let (feed, reason) = (self.name(), problem.reason.as_str());
        match (stopped, &earlier) {
            (true, _) => tracing::error!(feed, reason, "a feed has stopped: `feeds resume` makes it try again"),
            (false, None) => tracing::warn!(feed, reason, "a feed cannot send: it tries again until it can"),
            (false, Some(_)) => tracing::debug!(feed, reason, "a feed still cannot send"),
        }
        if let Err(error) = self.checkpoints.note(feed, Some(&problem)).await {
            tracing::debug!(feed, %error, "the problem of a feed could not be noted");
        }
        *self.state.problem.lock().unwrap_or_else(PoisonError::into_inner) = Some(problem);
        run.cleared = false;
    }
}
