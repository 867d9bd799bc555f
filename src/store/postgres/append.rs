//! One batch, one call of the append function, one transaction.

use std::borrow::Cow;

use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};
use uuid::Uuid;

use super::columns::{Columns, PARAMETERS};
use super::place::Place;
use super::rows::{Micros, unsigned};
use super::writer::Shared;
use crate::events::LogPosition;
use crate::store::{Batch, Commit, Outcome, Receipt, StoreError};

/// The call, as it is prepared.
pub(super) fn call(place: &Place) -> String {
    let parameters: Vec<_> = (1..=PARAMETERS).map(|number| format!("${number}")).collect();
    place.sql(&format!("SELECT * FROM {{schema}}.append({})", parameters.join(", ")))
}

/// What the append function answered.
pub(super) struct Appended {
    pub(super) outcomes: Vec<Outcome>,
    /// The log before it.
    pub(super) base: LogPosition,
    /// The last event that it appended, if it did.
    pub(super) head: Option<LogPosition>,
    /// Whether all of it was.
    pub(super) whole: bool,
}

/// Calls the function. `seen` is the last head that this writer appended: it must still be there.
pub(super) async fn append(
    shared: &Shared,
    connection: &mut PgConnection,
    columns: &Columns<'_>,
    now: jiff::Timestamp,
    seen: LogPosition,
) -> Result<PgRow, sqlx::Error> {
    let query = sqlx::query(&shared.call).persistent(!shared.place.pooler());
    let row = columns.bind(query, seen, now).fetch_one(connection).await?;
    if columns.writes
        && let Some(recorded) = row.try_get::<Option<Micros>, _>("recorded")?
    {
        shared.skew.compare(now, recorded.time());
    }
    Ok(row)
}

/// Reads the function's answer.
pub(super) fn answer(
    batch: &Batch,
    columns: &Columns<'_>,
    row: &PgRow,
    seen: LogPosition,
) -> Result<Appended, StoreError> {
    let read = |error: sqlx::Error| StoreError::OutcomeUnknown(error.into());
    if row.try_get("diverged").map_err(read)? {
        return Err(StoreError::Diverged(seen));
    }
    let answer = Answer::read(row, columns.ids()).map_err(read)?;
    Ok(answer.outcomes(batch.commits()))
}

/// The function's results: see `append.sql`.
struct Answer<'i> {
    base: LogPosition,
    recorded: Micros,
    event_ids: Cow<'i, [Uuid]>,
    outcomes: Option<Vec<i32>>,
    known: Known,
}

#[derive(Default)]
struct Known {
    first: Vec<Option<i64>>,
    events: Vec<Option<i64>>,
    head: Vec<Option<i64>>,
    head_id: Vec<Option<Uuid>>,
    recorded: Vec<Option<Micros>>,
}

impl<'i> Answer<'i> {
    /// `ids` are those that the function was given.
    fn read(row: &PgRow, ids: &'i [Uuid]) -> Result<Self, sqlx::Error> {
        let outcomes: Option<Vec<i32>> = row.try_get("outcomes")?;
        let known = match outcomes {
            Some(_) => Known {
                first: row.try_get("known_first")?,
                events: row.try_get("known_events")?,
                head: row.try_get("known_head")?,
                head_id: row.try_get("known_head_id")?,
                recorded: row.try_get("known_recorded")?,
            },
            None => Known::default(),
        };
        Ok(Self {
            base: LogPosition { position: unsigned(row.try_get("base")?), event_id: row.try_get("base_id")? },
            recorded: row.try_get("recorded")?,
            event_ids: row.try_get::<Option<Vec<Uuid>>, _>("event_ids")?.map_or(Cow::Borrowed(ids), Cow::Owned),
            outcomes,
            known,
        })
    }

    fn outcomes(self, commits: &[Commit]) -> Appended {
        let mut head = self.base;
        let mut outcomes: Vec<Outcome> = Vec::with_capacity(commits.len());
        for (index, commit) in commits.iter().enumerate() {
            let outcome = match self.outcomes.as_ref().map_or(0, |outcomes| outcomes[index]) {
                0 => Outcome::Committed(self.receipt(commit, &mut head)),
                1 => self.known.receipt(index, commit.command_id()).map_or(Outcome::Conflict, Outcome::Duplicate),
                2 => Outcome::IdReused,
                4 => duplicate_in_batch(&commits[..index], &outcomes, commit),
                _ => Outcome::Conflict,
            };
            outcomes.push(outcome);
        }
        Appended {
            outcomes,
            base: self.base,
            head: (head != self.base).then_some(head),
            whole: self.outcomes.is_none(),
        }
    }

    /// The receipt of a commit that stands, after `head`.
    fn receipt(&self, commit: &Commit, head: &mut LogPosition) -> Receipt {
        let events = commit.event_count() as u64;
        let first_position = head.position + u64::from(events > 0);
        if events > 0 {
            head.position += events;
            let index = usize::try_from(head.position - self.base.position - 1).unwrap_or(usize::MAX);
            head.event_id = self.event_ids.get(index).copied().unwrap_or_default();
        }
        Receipt {
            command_id: commit.command_id(),
            first_position,
            events,
            head: *head,
            recorded_at: self.recorded.time(),
            repeated: false,
        }
    }
}

impl Known {
    fn receipt(&self, index: usize, command_id: Uuid) -> Option<Receipt> {
        Some(Receipt {
            command_id,
            first_position: unsigned((*self.first.get(index)?)?),
            events: unsigned((*self.events.get(index)?)?),
            head: LogPosition {
                position: unsigned((*self.head.get(index)?)?),
                event_id: (*self.head_id.get(index)?)?,
            },
            recorded_at: (*self.recorded.get(index)?)?.time(),
            repeated: true,
        })
    }
}

/// Returns the outcome of a commit whose command id an earlier commit of the batch has.
fn duplicate_in_batch(earlier: &[Commit], outcomes: &[Outcome], commit: &Commit) -> Outcome {
    let taken = earlier.iter().zip(outcomes).find_map(|(other, outcome)| match outcome {
        Outcome::Committed(receipt) if other.command_id() == commit.command_id() && other.keeps_command() => {
            Some((other, *receipt))
        }
        _ => None,
    });
    match taken {
        Some((other, receipt))
            if other.command() == commit.command() && other.body_digest() == commit.body_digest() =>
        {
            Outcome::Duplicate(Receipt { repeated: true, ..receipt })
        }
        Some(_) => Outcome::IdReused,
        None => Outcome::Conflict,
    }
}
