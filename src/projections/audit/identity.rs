//! What makes a query this question and no other.

use std::ops::Range;

use jiff::Timestamp;

use super::{AuditQuery, Question};
use crate::digest::{PartsDigest, first_bytes};
use crate::projections::query_error::check_range;
use crate::projections::{QueryError, RangeBound};

impl AuditQuery {
    /// The times of occurrence that are wanted, in microseconds.
    pub(super) fn occurred(&self) -> Result<Option<Range<i64>>, QueryError> {
        let (from, until) = (self.occurred_from, self.occurred_until);
        check_range(from.map(RangeBound::Time), until.map(RangeBound::Time))?;
        if from.is_none() && until.is_none() {
            return Ok(None);
        }
        // The first whole microsecond that is not before it.
        let micros =
            |time: Timestamp| i64::try_from(-(-time.as_nanosecond()).div_euclid(1_000)).unwrap_or(i64::MAX);
        Ok(Some(from.map_or(i64::MIN, micros)..until.map_or(i64::MAX, micros)))
    }

    /// What makes it this question: all but limit, cursor and what it waits for.
    pub(super) fn fingerprint(&self) -> [u8; 8] {
        let mut hash = PartsDigest::default();
        let mut part = |text: &str| hash.add(text);
        for ((_, column), values) in self.filters.given() {
            part("filter");
            part(column);
            values.into_iter().for_each(&mut part);
        }
        part("text");
        self.filters.texts.iter().for_each(|text| part(text));
        part(if self.newest_first { "newest" } else { "oldest" });
        part(if self.by_occurrence { "occurred" } else { "recorded" });
        for time in [self.occurred_from, self.occurred_until] {
            part(&time.map(|time| time.to_string()).unwrap_or_default());
        }
        for bound in [self.from, self.until] {
            part(&bound.map(|bound| bound.to_string()).unwrap_or_default());
        }
        first_bytes(&hash.finish())
    }

    /// The question as the access control receives it.
    pub(super) fn question(&self) -> Question {
        let bound = |name, bound: Option<RangeBound>| bound.map(|bound| (name, bound.to_string()));
        let time = |name, time: Option<Timestamp>| time.map(|time| (name, time.to_string()));
        let said = |name, said: bool| said.then(|| (name, String::new()));
        let more = [
            bound("from", self.from),
            bound("until", self.until),
            time("occurred from", self.occurred_from),
            time("occurred until", self.occurred_until),
            said("by occurrence", self.by_occurrence),
            said("newest first", self.newest_first),
        ];
        Question::new(&self.filters, more.into_iter().flatten().collect(), self.export.clone())
    }
}
