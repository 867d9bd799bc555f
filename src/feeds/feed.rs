//! [`Feed`]: the declaration of a feed.

use std::fmt;
use std::sync::Arc;

use super::Sink;
use super::record::FeedId;
use crate::events::{Id, Ref};
use crate::projections::audit::AuditQuery;

/// Where a new feed begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Since {
    /// With the events after the start of the feed: the default.
    #[default]
    Now,
    /// With the first event of the log.
    Beginning,
}

type Ask = Arc<dyn Fn(AuditQuery) -> AuditQuery + Send + Sync>;

/// A feed: the events that a question to the audit log matches are sent to a [`Sink`], in the order of the log.
///
/// ```
/// # #[cfg(feature = "nats")] {
/// use annals::app::App;
/// use annals::feeds::{Feed, Nats, Since};
///
/// let auditors = Feed::new("to_auditors")
///     .ask(|audit| audit.topic("order"))
///     .since(Since::Beginning)
///     .to(Nats::new("nats://localhost:4222").stream("ORDERS").subject("orders"));
/// let app = App::new("shop").feed(auditors);
/// # let _ = app; }
/// ```
#[derive(Clone)]
#[must_use = "a feed does nothing until it is given to `App::feed`"]
pub struct Feed {
    name: String,
    ask: Ask,
    since: Since,
    sink: Option<Arc<dyn Sink>>,
}

impl Feed {
    /// A feed of the whole log. `name` has lower-case letters, digits and `_`, at most 40. The checkpoint is kept by this name.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), ask: Arc::new(|query| query), since: Since::Now, sink: None }
    }

    /// Sends only what this question matches: actors, targets, topics, actions, event types, with
    /// [metadata](crate::projections::audit::Detail::Metadata) only. The order and the limit of the question are not used.
    pub fn ask(mut self, ask: impl Fn(AuditQuery) -> AuditQuery + Send + Sync + 'static) -> Self {
        self.ask = Arc::new(ask);
        self
    }

    /// Where it begins when it is started first. Later starts go on after what was confirmed.
    pub fn since(mut self, since: Since) -> Self {
        self.since = since;
        self
    }

    /// Where it sends to.
    pub fn to(mut self, sink: impl Sink) -> Self {
        self.sink = Some(Arc::new(sink));
        self
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn begins(&self) -> Since {
        self.since
    }

    pub(crate) fn question(&self, all: AuditQuery) -> AuditQuery {
        (self.ask)(all).oldest_first()
    }

    pub(crate) fn sink(&self) -> Option<&Arc<dyn Sink>> {
        self.sink.as_ref()
    }

    /// The id of its record.
    pub(crate) fn id(&self) -> FeedId {
        FeedId::new(self.name.as_str())
    }

    /// Its record, and the actor of its start.
    pub(crate) fn reference(&self) -> Ref {
        self.id().reference()
    }

    /// Returns the errors of the declaration.
    pub(crate) fn problems(&self) -> Vec<String> {
        let Self { name, .. } = self;
        let is_letter = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_';
        let mut problems = Vec::new();
        if name.is_empty() || name.len() > 40 || !name.chars().all(is_letter) {
            let rule = "lower-case letters, digits and `_`, at most 40";
            problems.push(format!("the name of a feed has {rule}: rename `{name}`"));
        }
        match &self.sink {
            None => problems.push(format!("the feed `{name}` has no sink: say where it sends, with `.to(…)`")),
            Some(sink) => problems.extend(sink.check().err().map(|why| format!("the feed `{name}`: {why}"))),
        }
        problems
    }
}

impl fmt::Debug for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sink = self.sink.as_ref().map(|sink| sink.destination());
        f.debug_struct("Feed").field("name", &self.name).field("since", &self.since).field("sink", &sink).finish()
    }
}
