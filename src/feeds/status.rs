//! What a feed is doing.

use serde::Serialize;
use uuid::Uuid;

use super::error::FeedError;
use super::problem::FeedProblem;
use super::sender::Sender;
use crate::projections::audit::RecordedFilters;

/// The status of a feed.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
pub struct FeedStatus {
    /// The feed's name.
    pub name: String,
    /// Where it sends to, without credentials.
    pub destination: String,
    /// The filters of its query: the values of each, by its name. Empty: it sends every event.
    pub question: RecordedFilters,
    /// The position up to which all that matches is confirmed.
    pub position: u64,
    /// The head of the log.
    pub head: u64,
    /// The number of events after `position`, whether or not they match.
    pub lag: u64,
    /// The position of the last message that was confirmed; 0 before the first.
    pub last_sent: u64,
    /// The process that sends, if any: a random id for each start of a process.
    pub leader: Option<Uuid>,
    /// Whether this process sends.
    pub leads: bool,
    /// Whether it was started: by a process that runs it, for the first time.
    pub started: bool,
    /// Why it is paused, if it is.
    pub paused: Option<String>,
    /// Why it does not send now, as any process noted it.
    pub problem: Option<FeedProblem>,
    /// How many attempts of this process to send failed since it started.
    pub failures: u64,
}

impl Sender {
    /// The status of the feed. `head` is the head of the log.
    pub(crate) async fn status(&self, head: u64) -> Result<FeedStatus, FeedError> {
        let leads = *self.leading.borrow();
        let record = self.load_record().await?;
        let shown = self.checkpoints.shown(self.name()).await?;
        let position = shown.position.max(record.started.unwrap_or_default());
        Ok(FeedStatus {
            name: self.name().to_owned(),
            destination: self.sink.destination(),
            question: self.pages.query.parts().1.recorded(),
            position,
            head,
            lag: head.saturating_sub(position),
            last_sent: shown.last_sent,
            leader: shown.leader,
            leads,
            started: record.started.is_some(),
            paused: record.paused.clone(),
            problem: match self.state.problem().filter(|_| leads) {
                Some(problem) => Some(problem),
                None => self.checkpoints.noted(self.name()).await?,
            },
            failures: self.state.failures(),
        })
    }
}
