//! [`Sieve`]: a question held against rows as they happen, without reading anything.

use super::plan::{Plan, moment_of};
use super::text;
use super::{AuditError, AuditQuery, AuditRow, Cursor};
use crate::events::{LogPosition, Ref, Topic};
use crate::projections::RangeBound;

/// What a question to the audit log lets through, of rows that come from elsewhere: many who follow can share one reader
/// of the log, and each sieves for itself. [`AuditQuery::sieve`] makes one.
///
/// Limit and cursor are no part of it.
pub struct Sieve(Plan);

impl AuditQuery {
    /// The question, to be held against rows as they happen.
    ///
    /// # Errors
    /// What is wrong with the question, among it that what happens cannot come in its order.
    pub fn sieve(&self) -> Result<Sieve, AuditError> {
        Ok(Sieve(self.clone().live_plan()?))
    }
}

impl Sieve {
    /// Whether the row is part of the answer.
    #[must_use]
    pub fn lets_through(&self, row: &AuditRow) -> bool {
        fn any<T>(wanted: &std::collections::BTreeSet<T>, has: impl FnMut(&T) -> bool) -> bool {
            wanted.is_empty() || wanted.iter().any(has)
        }
        let Plan { filters, from, until, occurred, .. } = &self.0;
        let below = |topic: &Topic| row.topics.iter().any(|other| topic.contains(other));
        any(&filters.actors, |actor| *actor == row.actor)
            && any(&filters.targets, |target: &Ref| row.targets.contains(target))
            && any(&filters.topics, below)
            && any(&filters.actions, |action| *action == row.action)
            && any(&filters.events, |event| *event == row.event_type)
            && any(&filters.aggregates, |aggregate| *aggregate == row.aggregate)
            && any(&filters.correlations, |correlation| row.correlation.as_ref() == Some(correlation))
            && from.is_none_or(|from| reaches(row, from))
            && until.is_none_or(|until| !reaches(row, until))
            && occurred.as_ref().is_none_or(|occurred| occurred.contains(&moment_of(row).0))
            && text::says(row, &filters.texts)
    }

    /// Whether the question has an end, after which nothing of the answer can come.
    #[must_use]
    pub fn has_end(&self) -> bool {
        self.0.until.is_some()
    }

    /// The cursor of the question that goes on after this place: a row's, or any other that was looked at.
    #[must_use]
    pub fn cursor(&self, place: LogPosition) -> Cursor {
        self.0.cursor(place)
    }

    /// Tells the access control that somebody is about to get these rows.
    ///
    /// # Errors
    /// When the access control does not let them have it (any more).
    pub async fn tell(&self, rows: &[AuditRow]) -> Result<(), AuditError> {
        self.0.tell(rows).await
    }

    /// Whether a cursor that the question was given belongs to this log. The access control is not asked.
    ///
    /// # Errors
    /// When it does not, or the log cannot be read.
    pub async fn check(&self) -> Result<(), AuditError> {
        self.0.last().await.map(drop)
    }
}

/// Whether the row is at the bound or after it.
fn reaches(row: &AuditRow, bound: RangeBound) -> bool {
    match bound {
        RangeBound::Position(position) => row.position >= position,
        RangeBound::Id(id) => row.event_id >= id,
        RangeBound::Time(time) => row.recorded_at >= time,
    }
}

impl std::fmt::Debug for Sieve {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sieve").field("filters", &self.0.filters).finish_non_exhaustive()
    }
}
