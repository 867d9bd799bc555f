//! What an intake is doing.

use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::error::IntakeError;
use super::receiver::Receiver;
use super::record::IntakeRecord;
use crate::aggregates::{AggregateType, LoadError, Loaded};

/// Why an intake receives nothing now, or cannot execute a message. It tries again by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
pub struct IntakeProblem {
    /// What failed last.
    pub reason: String,
    /// When it failed first, without a success since.
    pub since: Timestamp,
}

/// The status of an intake.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
pub struct IntakeStatus {
    /// The intake's name.
    pub name: String,
    /// Where it receives from, without credentials.
    pub origin: String,
    /// The messages at the broker that are not settled, counted every few seconds by the process that receives. Unknown before the first.
    pub backlog: Option<u64>,
    /// The process that receives, if any: a random id for each start of a process.
    pub leader: Option<Uuid>,
    /// Whether this process receives.
    pub leads: bool,
    /// Why it is paused, if it is.
    pub paused: Option<String>,
    /// Why it receives nothing now, as any process noted it.
    pub problem: Option<IntakeProblem>,
    /// How many commands were refused or denied, in the whole log.
    pub refused: u64,
    /// How many messages became dead letters, in the whole log, less those that were replayed.
    pub dead_letters: u64,
    /// How many messages this process received.
    pub received: u64,
    /// How many of them were repeats.
    pub repeats: u64,
    /// The messages that this process has received and not settled.
    pub in_hand: u64,
    /// How many attempts of this process to receive or to execute failed.
    pub failures: u64,
}

impl Receiver {
    /// Where it receives from, without credentials.
    pub(super) fn origin(&self) -> String {
        let source = self.source.iter().map(|source| source.origin());
        let http = self.executor.intake.is_over_http().then(|| format!("POST /intakes/{}/messages", self.name()));
        source.chain(http).collect::<Vec<_>>().join("; ")
    }

    /// The decisions of operators about the intake.
    pub(super) async fn load_record(&self) -> Result<Arc<Loaded<IntakeRecord>>, LoadError> {
        let (kind, id) = (AggregateType::for_aggregate::<IntakeRecord>(), self.executor.intake.reference());
        let state = self.repository.load(kind, &id).await?;
        Arc::downcast(state).map_err(|_| LoadError::OtherType(id))
    }

    /// The status of the intake.
    pub(crate) async fn status(&self) -> Result<IntakeStatus, IntakeError> {
        let leads = *self.leading.borrow();
        let record = self.load_record().await?;
        let note = self.notes.read(self.name()).await?;
        let counts = self.state.counts();
        Ok(IntakeStatus {
            name: self.name().to_owned(),
            origin: self.origin(),
            backlog: note.backlog,
            leader: self.notes.leader(self.name()).await?,
            leads,
            paused: record.paused.clone(),
            problem: self.state.problem().filter(|_| leads).or(note.problem),
            refused: record.refused,
            dead_letters: record.dead_letters.saturating_sub(record.replayed),
            received: counts.received,
            repeats: counts.repeats,
            in_hand: counts.in_hand,
            failures: counts.failures,
        })
    }
}
