//! Feeds of an application: runs them, and says what they are doing.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::task::JoinHandle;

use super::intakes::Intakes;
use super::{Annals, App, OpenError};
use crate::aggregates::{Aggregate, AggregateType, Repository};
use crate::commands::{Command, Context, Engine, ExecuteError, Handle, Refusal, internal_id};
use crate::events::LogPosition;
use crate::feeds::{
    Checkpoints, Feed, FeedError, FeedRecord, FeedStatus, Leases, MAX_WHY_BYTES, PauseFeed, ResumeFeed, Sender,
    SenderParts, Since, StartFeed, projection_name, start_id,
};
use crate::intakes::Intake;
use crate::projections::Projections;
use crate::projections::audit::{AuditLog, AuditQuery};
use crate::projections::presenter::Presenter;
use crate::store::{Receipt, Store};

impl App {
    /// Registers a [`Feed`]: what a question to the audit log matches is sent to a broker or a webhook, in the order of the log.
    #[must_use]
    pub fn feed(mut self, feed: Feed) -> Self {
        self.problems.extend(feed.problems());
        if self.feeds.feeds.iter().any(|known| known.name() == feed.name()) {
            self.problems.push(format!("two feeds have the name `{}`: rename one", feed.name()));
        }
        let record = AggregateType::for_aggregate::<FeedRecord>();
        if !self.aggregate_types.iter().any(|known| known.name() == FeedRecord::TYPE) {
            if let Err(error) = record.0.register(&mut self.types) {
                self.problems.push(error.to_string());
            }
            self.aggregate_types.push(record);
        }
        self.feeds.feeds.push(feed);
        self
    }
}

/// The feeds and intakes that an application declares.
pub(super) struct DeclaredFeeds {
    app: &'static str,
    feeds: Vec<Feed>,
    pub(super) intakes: Vec<Intake>,
}

impl DeclaredFeeds {
    pub(super) fn new(app: &'static str) -> Self {
        Self { app, feeds: Vec::new(), intakes: Vec::new() }
    }
}

/// What the feeds and intakes of an application need of it.
pub(super) struct FeedParts<'a> {
    pub(super) engine: &'a Arc<Engine>,
    pub(super) repository: &'a Arc<Repository>,
    pub(super) projections: &'a Projections,
    pub(super) presenter: &'a Presenter,
    pub(super) store: &'a Arc<dyn Store>,
    pub(super) follow: bool,
}

/// The feeds and intakes of an open application.
#[derive(Default)]
pub(super) struct Feeds {
    pub(super) intakes: Intakes,
    senders: Vec<Sender>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

impl Feeds {
    /// Starts the feeds and intakes of an application whose projections run in this process. When it returns, each start is durable.
    pub(super) async fn start(declared: DeclaredFeeds, parts: FeedParts<'_>) -> Result<Self, OpenError> {
        let DeclaredFeeds { app, feeds, intakes } = declared;
        let intakes = Intakes::start(intakes, &parts).await?;
        if feeds.is_empty() {
            return Ok(Self { intakes, ..Self::default() });
        }
        let failed = |name: &str, source: crate::BoxError| OpenError::Feed { name: name.to_owned(), source };
        let audit = parts.projections.reading(AuditLog::NAME);
        let audit = audit.map_err(|error| OpenError::Projections(Box::new(error)))?;
        let views = parts.store.views();
        let names = feeds.iter().map(|feed| projection_name(feed.name())).collect();
        let (leases, leading) = Leases::new(views.clone(), names);
        let log_id = parts.store.info().await?.log_id;
        let mut senders = Vec::with_capacity(feeds.len());
        for (feed, leading) in feeds.iter().zip(leading) {
            let query = feed.question(AuditQuery::new(audit.clone()));
            query.check_for_feed().map_err(|error| failed(feed.name(), error.into()))?;
            // Without a sink the application was refused.
            let Some(sink) = feed.sink().cloned() else { continue };
            let presenter = Some(parts.presenter.clone()).filter(|presenter| !presenter.is_as_declared());
            let parts = SenderParts {
                sink,
                feed: feed.clone(),
                query,
                presenter,
                source: format!("/{app}"),
                log_id: log_id.clone(),
                repository: parts.repository.clone(),
                checkpoints: Checkpoints::new(views.clone()),
            };
            senders.push(Sender::new(parts, audit.clone(), leading));
        }
        let mut tasks = Vec::new();
        if parts.follow && !parts.store.is_read_only() {
            for feed in &feeds {
                parts.start(feed).await.map_err(|error| failed(feed.name(), error.into()))?;
            }
            tasks.extend(senders.iter().cloned().map(Sender::spawn));
            tasks.push(tokio::spawn(async move { leases.run(audit.closed()).await }));
        }
        Ok(Self { intakes, senders, tasks: Mutex::new(tasks) })
    }

    fn named(&self, name: &str) -> Result<&Sender, FeedError> {
        let named = self.senders.iter().find(|sender| sender.name() == name);
        named.ok_or_else(|| FeedError::Unknown {
            name: name.to_owned(),
            known: self.senders.iter().map(|sender| sender.name().to_owned()).collect(),
        })
    }

    /// Returns when the tasks have ended, which they do when the projections close.
    pub(super) async fn closed(&self) {
        let tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        for task in tasks {
            // A task that panicked has ended too.
            let _ = task.await;
        }
    }
}

impl FeedParts<'_> {
    /// Starts a feed, if it was not started before.
    async fn start(&self, feed: &Feed) -> Result<(), ExecuteError<Refusal>> {
        let after = match feed.begins() {
            Since::Beginning => 0,
            Since::Now => self.store.head().await.map_err(|error| ExecuteError::Store(Arc::new(error)))?.position,
        };
        let context = Context::by(feed.reference()).internal(start_id(feed.name()));
        match self.engine.execute(Box::new(StartFeed { feed: feed.id(), after }), &context).await {
            // It was started before, or by another process, at another position.
            Ok(_) | Err(ExecuteError::CommandIdReused(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

impl Annals {
    /// Returns the status of each feed.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn feeds(&self) -> Result<Vec<FeedStatus>, FeedError> {
        let mut statuses = Vec::new();
        if self.has_feeds() {
            let LogPosition { position: head, .. } = self.store().head().await?;
            for sender in &self.all_feeds().senders {
                statuses.push(sender.status(head).await?);
            }
        }
        Ok(statuses)
    }

    /// Whether the application has feeds.
    pub(crate) fn has_feeds(&self) -> bool {
        !self.all_feeds().senders.is_empty()
    }

    /// Pauses a feed: it sends nothing until it is [resumed](Self::resume_feed). What it sends at the moment may still arrive. `why` is
    /// the reason, of at most 1,000 bytes, which stays in the log.
    ///
    /// # Errors
    /// When there is no such feed, there is no reason, or the decision cannot be recorded.
    pub async fn pause_feed(&self, feed: &str, why: &str, context: &Context) -> Result<Receipt, FeedError> {
        let feed = self.feed_to_operate(feed, why)?;
        self.decide(PauseFeed { feed, why: why.to_owned() }, context).await
    }

    /// Resumes a feed that is paused or has stopped. `from` moves it: its next event is the one at this position or the first one after
    /// it that matches. What is moved over is never sent, and what was sent before is sent again. `why` is the reason, of at most 1,000
    /// bytes, which stays in the log.
    ///
    /// # Errors
    /// When there is no such feed, there is no reason, the log has no such position, or the decision cannot be recorded.
    pub async fn resume_feed(
        &self,
        feed: &str,
        from: Option<u64>,
        why: &str,
        context: &Context,
    ) -> Result<Receipt, FeedError> {
        let feed = self.feed_to_operate(feed, why)?;
        let LogPosition { position: head, .. } = self.store().head().await?;
        if let Some(from) = from.filter(|from| *from == 0 || *from > head + 1) {
            return Err(FeedError::From { from, head });
        }
        self.decide(ResumeFeed { feed, from, why: why.to_owned() }, context).await
    }

    fn feed_to_operate(&self, feed: &str, why: &str) -> Result<crate::feeds::FeedId, FeedError> {
        let sender = self.all_feeds().named(feed)?;
        if why.trim().is_empty() || why.len() > MAX_WHY_BYTES {
            return Err(FeedError::Why);
        }
        Ok(crate::feeds::FeedId::new(sender.name()))
    }

    async fn decide<C: Command + Handle>(&self, command: C, context: &Context) -> Result<Receipt, FeedError> {
        context.check().map_err(FeedError::Execute)?;
        let context = context.internal(internal_id::random());
        Ok(self.write_engine().execute(Box::new(command), &context).await?)
    }
}
