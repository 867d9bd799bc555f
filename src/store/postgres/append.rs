//! One batch, one call of the append function, one transaction.

use std::borrow::Cow;

use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};
use uuid::Uuid;

use super::columns::{Columns, PARAMETERS};
use super::location::SchemaLocation;
use super::rows::{Micros, unsigned};
use super::writer::Shared;
use crate::events::LogPosition;
use crate::store::{Batch, Commit, Outcome, Receipt, StoreError};

/// Where commits wait for standbys, and this batch has written nothing, it writes a message to the write-ahead log that nobody
/// reads. So its commit waits until a standby has all that the answer is about: a command that was found may have been committed
/// without that, because the server was restarted, or somebody cancelled the wait.
pub(super) const CONFIRMED: &str = "CASE WHEN pg_catalog.pg_current_xact_id_if_assigned() IS NULL \
     AND pg_catalog.current_setting('synchronous_standby_names') <> '' \
     THEN pg_catalog.pg_logical_emit_message(true, 'annals', ''::text)::text END";

/// The calls of the append function.
pub(super) struct Calls {
    plain: String,
    /// For a batch that must be recorded before a time.
    before: String,
}

impl Calls {
    pub(super) fn new(location: &SchemaLocation) -> Self {
        let parameters: Vec<_> = (1..=PARAMETERS).map(|number| format!("${number}")).collect();
        let append = format!("{CONFIRMED} FROM {{schema}}.append({}) a", parameters.join(", "));
        let before = format!("SELECT a.*, {{schema}}.expire(a.recorded, ${}), {append}", PARAMETERS + 1);
        Self { plain: location.sql(&format!("SELECT a.*, {append}")), before: location.sql(&before) }
    }
}

/// The result of the append function.
pub(super) struct Appended {
    pub(super) outcomes: Vec<Outcome>,
    /// The head of the log before the batch.
    pub(super) base: LogPosition,
    /// The last appended event, if there is one.
    pub(super) head: Option<LogPosition>,
    /// Whether all commits were appended.
    pub(super) whole: bool,
}

/// Calls the function. `seen` is the last event that this writer appended, which must still be in the log.
pub(super) async fn append(
    shared: &Shared,
    connection: &mut PgConnection,
    columns: &Columns<'_>,
    now: jiff::Timestamp,
    seen: LogPosition,
) -> Result<PgRow, sqlx::Error> {
    let call = if columns.valid_until.is_some() { &shared.calls.before } else { &shared.calls.plain };
    let query = columns.bind(sqlx::query(call).persistent(!shared.location.pooler()), seen, now);
    let query = match columns.valid_until {
        Some(until) => query.bind(until),
        None => query,
    };
    let row = query.fetch_one(connection).await?;
    if columns.writes
        && let Some(recorded) = row.try_get::<Option<Micros>, _>("recorded")?
    {
        shared.skew.compare(now, recorded.time());
    }
    Ok(row)
}

/// Reads the function's result.
pub(super) fn read_result(
    batch: &Batch,
    columns: &Columns<'_>,
    row: &PgRow,
    seen: LogPosition,
) -> Result<Appended, StoreError> {
    let read = |error: sqlx::Error| StoreError::OutcomeUnknown(error.into());
    if row.try_get("diverged").map_err(read)? {
        return Err(StoreError::Diverged(seen));
    }
    let result = AppendResult::read(row, columns.ids()).map_err(read)?;
    Ok(result.outcomes(batch.commits()))
}

/// The function's results: see `append.sql`.
struct AppendResult<'i> {
    base: LogPosition,
    recorded: Micros,
    event_ids: Cow<'i, [Uuid]>,
    outcomes: Option<Vec<i32>>,
    stored: StoredReceipts,
}

/// The receipts of commits whose command ids are in the log.
#[derive(Default)]
struct StoredReceipts {
    first: Vec<Option<i64>>,
    events: Vec<Option<i64>>,
    head: Vec<Option<i64>>,
    head_id: Vec<Option<Uuid>>,
    recorded: Vec<Option<Micros>>,
}

impl<'i> AppendResult<'i> {
    /// `ids` are the ids that were passed to the function.
    fn read(row: &PgRow, ids: &'i [Uuid]) -> Result<Self, sqlx::Error> {
        let outcomes: Option<Vec<i32>> = row.try_get("outcomes")?;
        let stored = match outcomes {
            Some(_) => StoredReceipts {
                first: row.try_get("known_first")?,
                events: row.try_get("known_events")?,
                head: row.try_get("known_head")?,
                head_id: row.try_get("known_head_id")?,
                recorded: row.try_get("known_recorded")?,
            },
            None => StoredReceipts::default(),
        };
        Ok(Self {
            base: LogPosition { position: unsigned(row.try_get("base")?), event_id: row.try_get("base_id")? },
            recorded: row.try_get("recorded")?,
            event_ids: row.try_get::<Option<Vec<Uuid>>, _>("event_ids")?.map_or(Cow::Borrowed(ids), Cow::Owned),
            outcomes,
            stored,
        })
    }

    fn outcomes(self, commits: &[Commit]) -> Appended {
        let mut head = self.base;
        let mut outcomes: Vec<Outcome> = Vec::with_capacity(commits.len());
        for (index, commit) in commits.iter().enumerate() {
            let outcome = match self.outcomes.as_ref().map_or(0, |outcomes| outcomes[index]) {
                0 => Outcome::Committed(self.receipt(commit, &mut head)),
                1 => self.stored.receipt(index, commit.command_id()).map_or(Outcome::Conflict, Outcome::Duplicate),
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

    /// Returns the receipt of an appended commit after `head`, and moves `head`.
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

impl StoredReceipts {
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
