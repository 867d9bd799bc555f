//! What a reaction is doing.

use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use super::executor::Executor;
use super::queue::unreadable;
use super::steps::{PARKED, STARTS, STEPS, time, uuid_cell};
use crate::events::Ref;
use crate::projections::{ProjectionState, ProjectionStatus, ReadError};
use crate::store::{Cell, Row, ViewSnapshot};

/// The most steps that are counted, and the most aggregates that are listed.
const MAX_COUNTED: u64 = 100_000;
const MAX_LISTED: usize = 100;

/// The status of a reaction.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
pub struct ReactionStatus {
    /// The reaction's name.
    pub name: String,
    /// The version of this program.
    pub version: u32,
    /// The newest version that was started; 0 before the first.
    pub started: u32,
    /// The position up to which the log was read, and its head.
    pub position: u64,
    /// The head of the log.
    pub head: u64,
    /// The number of steps that are to be done at once, and are not done: at most 100,000.
    pub pending: u64,
    /// The number of timers that are set: at most 100,000.
    pub timers: u64,
    /// When the first of them is due: a time in the past is how long it waits.
    pub next_due: Option<Timestamp>,
    /// When the next timer is due.
    pub next_timer: Option<Timestamp>,
    /// The process that executes the steps, if any: a random id for each start of a process.
    pub leader: Option<Uuid>,
    /// Whether this process executes the steps.
    pub leads: bool,
    /// Why the log is not read on: the projection of the steps has stopped, or waits for a newer program.
    pub stopped: Option<String>,
    /// Why this program no longer reacts.
    pub superseded: Option<String>,
    /// How many attempts to do a step failed in this process since it started. A refusal is no failure.
    pub failures: u64,
    /// The aggregates whose next step fails and is tried again, as far as this process knows: at most 100.
    pub blocked: Vec<BlockedAggregate>,
    /// The aggregates to which it does not react any more, because `react` panicked or an event cannot be read: at most 100.
    pub parked: Vec<ParkedAggregate>,
}

/// An aggregate whose next step fails and is tried again.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
pub struct BlockedAggregate {
    /// The aggregate whose event led to the step.
    pub aggregate: Ref,
    /// The command id of the step.
    pub step: Uuid,
    /// How often it was tried.
    pub attempts: u32,
    /// Why it failed last.
    pub reason: String,
    /// When it failed first.
    pub since: Timestamp,
}

/// An aggregate to which a reaction does not react any more.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
pub struct ParkedAggregate {
    /// The aggregate.
    pub aggregate: Ref,
    /// The position of the event that failed.
    pub position: u64,
    /// Why.
    pub reason: String,
}

fn number(row: Option<&Row>) -> Option<i64> {
    row?.first()?.integer()
}

async fn count(snapshot: &mut dyn ViewSnapshot, filter: &str) -> Result<u64, ReadError> {
    let steps = snapshot.table(STEPS.name);
    let sql = format!("SELECT COUNT(*) FROM (SELECT 1 FROM {steps} WHERE {filter} LIMIT {MAX_COUNTED}) AS counted");
    let rows = snapshot.query(&sql, Row::new()).await?;
    Ok(number(rows.first()).and_then(|count| count.try_into().ok()).unwrap_or_default())
}

impl Executor {
    /// The status of the reaction. `projection` is that of its projection.
    pub(crate) async fn status(&self, projection: &ProjectionStatus) -> Result<ReactionStatus, ReadError> {
        let (reaction, reading) = (self.reaction(), self.reading());
        let mut blocked = self.state().blocked();
        blocked.sort_by_key(|blocked| blocked.since);
        blocked.truncate(MAX_LISTED);
        let mut status = ReactionStatus {
            name: reaction.name().to_owned(),
            version: reaction.version(),
            started: 0,
            position: projection.position,
            head: projection.head,
            pending: 0,
            timers: 0,
            next_due: None,
            next_timer: None,
            leader: projection.leader,
            leads: *reading.leading().borrow(),
            stopped: match &projection.state {
                ProjectionState::Stopped(_) | ProjectionState::Waiting(_) => Some(projection.state.to_string()),
                ProjectionState::Live | ProjectionState::CatchingUp => None,
            },
            superseded: self.state().superseded(),
            failures: self.state().failures(),
            blocked,
            parked: Vec::new(),
        };
        let mut snapshot = match reading.snapshot().await {
            Ok(snapshot) => snapshot,
            // Its rows are of another history of the log: `stopped` says so.
            Err(error @ ReadError::LogDiverged { .. }) => {
                status.stopped.get_or_insert_with(|| error.to_string());
                return Ok(status);
            }
            Err(error) => return Err(error),
        };
        let snapshot = snapshot.as_mut();
        status.position = snapshot.head().position;
        status.pending = count(snapshot, "timer = ''").await?;
        status.timers = count(snapshot, "timer <> ''").await?;
        status.next_due = first_due(snapshot, "").await?;
        status.next_timer = first_due(snapshot, "WHERE timer <> ''").await?;
        let newest = format!("SELECT MAX(version) FROM {}", snapshot.table(STARTS.name));
        let newest = number(snapshot.query(&newest, Row::new()).await?.first());
        status.started = newest.and_then(|version| version.try_into().ok()).unwrap_or_default();
        let parked = format!(
            "SELECT aggregate, position, reason FROM {} ORDER BY position, aggregate LIMIT {MAX_LISTED}",
            snapshot.table(PARKED.name)
        );
        let parked = snapshot.query(&parked, Row::new()).await?;
        // A step that was skipped does not fail any more.
        let pending = format!("SELECT 1 FROM {} WHERE id = $1", snapshot.table(STEPS.name));
        for blocked in std::mem::take(&mut status.blocked) {
            if !snapshot.query(&pending, vec![uuid_cell(blocked.step)]).await?.is_empty() {
                status.blocked.push(blocked);
            }
        }
        let parked: Option<Vec<_>> = parked.iter().map(parked_of).collect();
        status.parked = parked.ok_or_else(|| unreadable(reading))?;
        Ok(status)
    }
}

async fn first_due(snapshot: &mut dyn ViewSnapshot, which: &str) -> Result<Option<Timestamp>, ReadError> {
    let sql = format!("SELECT due FROM {} {which} ORDER BY due LIMIT 1", snapshot.table(STEPS.name));
    Ok(number(snapshot.query(&sql, Row::new()).await?.first()).map(time))
}

fn parked_of(row: &Row) -> Option<ParkedAggregate> {
    let [aggregate, position, reason]: &[Cell] = row.as_slice() else { return None };
    Some(ParkedAggregate {
        aggregate: aggregate.text()?.parse().ok()?,
        position: position.integer()?.try_into().ok()?,
        reason: reason.text()?.to_owned(),
    })
}
