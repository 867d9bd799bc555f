//! [`RangeBound`]: the start or end of a range of the log.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::fmt::temporal::Pieces;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::store::{Store, StoreError, bisect};
use crate::text::text_conversions;

/// The start (inclusive) or end (exclusive) of a range of the log.
///
/// Positions, ids and times rise together along the log, so each bound has one position: that of the first event at
/// or after it. Hence `[a, b)` and `[b, c)` together are `[a, c)`, also for several events of one instant.
///
/// ```
/// use annals::projections::RangeBound;
/// assert_eq!("120".parse(), Ok(RangeBound::Position(120)));
/// assert_eq!("2026-01-31".parse::<RangeBound>(), "2026-01-31T00:00:00Z".parse());
/// assert!("2026-01-31T10:00:00".parse::<RangeBound>().is_err(), "a time needs its zone");
/// assert!("9999-12-31".parse::<RangeBound>().is_ok(), "the end of time");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum RangeBound {
    /// The event at this position.
    Position(u64),
    /// The event with this id, or the first with a greater one.
    Id(Uuid),
    /// The first event recorded at or after this time.
    Time(Timestamp),
}

/// A text that is not a bound.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRangeBound {
    /// A time of day without a zone is a different instant in each place.
    #[error("the time `{0}` has no zone: write `{0}Z` (UTC) or `{0}+02:00`")]
    NoZone(String),
    /// The text has none of the forms of a bound.
    #[error(
        "`{0}` is not a bound: write a position (120), an event id, a time with its zone (2026-01-31T10:00:00Z) or a date (midnight in UTC)"
    )]
    Malformed(String),
}

impl RangeBound {
    /// The position of the first event at or after this bound; one past the head if there is none yet.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn position(&self, log: &dyn Store) -> Result<u64, StoreError> {
        match self {
            Self::Position(position) => Ok((*position).max(1)),
            Self::Time(time) => bisect(log, |event| event.recorded_at < *time).await,
            Self::Id(id) => bisect(log, |event| event.event_id < *id).await,
        }
    }

    /// The time after which no event before this bound can be recorded; `None` if only an event shows it.
    pub(crate) fn over_after(&self) -> Option<Timestamp> {
        match self {
            Self::Position(_) => None,
            Self::Time(time) => Some(*time),
            Self::Id(id) => {
                let (seconds, nanos) = id.get_timestamp().filter(|_| id.get_version_num() == 7)?.to_unix();
                // A later id has a later millisecond or the same one: only the next millisecond is certainly after
                // it.
                let millis = i64::try_from(seconds).ok()?.checked_mul(1_000)? + i64::from(nanos / 1_000_000) + 1;
                Timestamp::from_millisecond(millis).ok()
            }
        }
    }

    /// Whether a range from this bound to `end` ends before it starts, as far as the bounds alone show.
    pub(crate) fn is_after(&self, end: &Self) -> bool {
        match (self, end) {
            (Self::Position(from), Self::Position(until)) => from > until,
            (Self::Id(from), Self::Id(until)) => from > until,
            (Self::Time(from), Self::Time(until)) => from > until,
            _ => false,
        }
    }
}

impl FromStr for RangeBound {
    type Err = InvalidRangeBound;

    fn from_str(text: &str) -> Result<Self, InvalidRangeBound> {
        if let Ok(position) = text.parse() {
            return Ok(Self::Position(position));
        }
        if let Ok(id) = Uuid::parse_str(text) {
            return Ok(Self::Id(id));
        }
        if let Ok(time) = text.parse() {
            return Ok(Self::Time(time));
        }
        if text.len() == 10
            && let Ok(date) = text.parse::<Date>()
        {
            let midnight = date.to_zoned(TimeZone::UTC).map(|midnight| midnight.timestamp());
            return Ok(Self::Time(midnight.unwrap_or_else(|_| outermost(date))));
        }
        if let Ok(pieces) = Pieces::parse(text)
            && pieces.to_numeric_offset().is_some()
            && pieces.time().is_some()
            && pieces.date().year().abs() == 9999
        {
            return Ok(Self::Time(outermost(pieces.date())));
        }
        match text.parse::<jiff::civil::DateTime>() {
            Ok(_) => Err(InvalidRangeBound::NoZone(text.to_owned())),
            Err(_) => Err(InvalidRangeBound::Malformed(text.escape_debug().to_string())),
        }
    }
}

/// The outermost time on the side of a date that is beyond it: `9999-12-31` is written for "for ever", and timestamps end
/// a day earlier.
fn outermost(date: Date) -> Timestamp {
    if date.year() > 0 { Timestamp::MAX } else { Timestamp::MIN }
}

text_conversions!(RangeBound);

impl From<u64> for RangeBound {
    fn from(position: u64) -> Self {
        Self::Position(position)
    }
}

impl From<Uuid> for RangeBound {
    fn from(id: Uuid) -> Self {
        Self::Id(id)
    }
}

impl From<Timestamp> for RangeBound {
    fn from(time: Timestamp) -> Self {
        Self::Time(time)
    }
}

impl fmt::Display for RangeBound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Position(position) => position.fmt(f),
            Self::Id(id) => id.fmt(f),
            Self::Time(time) => time.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_is_a_position_an_id_a_time_with_zone_or_a_date() {
        let parse = |text: &str| text.parse::<RangeBound>();
        let id = Uuid::now_v7();
        assert_eq!(parse("7"), Ok(RangeBound::Position(7)));
        assert_eq!(parse(&id.to_string()), Ok(RangeBound::Id(id)));
        assert_eq!(parse("2026-01-31"), parse("2026-01-31T01:00:00+01:00"));
        for far in
            ["9999-12-31", "9999-12-31T23:59:59Z", "9999-12-31T23:59:59.999-12:00", "9999-12-31 00:00:00+00:00"]
        {
            assert_eq!(parse(far), Ok(RangeBound::Time(Timestamp::MAX)), "{far}");
        }
        assert_eq!(parse("9999-12-30"), parse("9999-12-30T00:00:00Z"));
        assert_eq!(parse("9999-12-31T10:00:00"), Err(InvalidRangeBound::NoZone("9999-12-31T10:00:00".to_owned())));
        for bare in ["2026-01-31T10:00:00", "2026-01-31 10:00"] {
            assert!(matches!(parse(bare), Err(InvalidRangeBound::NoZone(_))), "{bare}");
        }
        for bad in ["", "-1", "yesterday", "2026-02-30", "\u{1b}[2J"] {
            let error = parse(bad).unwrap_err();
            assert!(
                matches!(error, InvalidRangeBound::Malformed(_)) && !error.to_string().contains('\u{1b}'),
                "{bad}"
            );
        }
    }

    #[test]
    fn a_bound_is_written_as_it_is_read() {
        for bound in [RangeBound::Position(9), RangeBound::Id(Uuid::now_v7()), RangeBound::Time(Timestamp::now())] {
            assert_eq!(bound.to_string().parse(), Ok(bound));
            assert_eq!(serde_json::from_str::<RangeBound>(&serde_json::to_string(&bound).unwrap()).unwrap(), bound);
        }
    }

    #[test]
    fn an_id_is_over_with_the_millisecond_after_its_own() {
        let id = Uuid::now_v7();
        let millis = i64::try_from(id.as_u128() >> 80).unwrap();
        assert_eq!(RangeBound::Id(id).over_after(), Timestamp::from_millisecond(millis + 1).ok());
        assert_eq!(RangeBound::Id(Uuid::max()).over_after(), None);
    }
}
