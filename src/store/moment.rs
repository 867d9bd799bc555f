//! [`Moment`]: a moment in the past of the log; [`AsOf`]: a value as it was then.

use std::fmt;
use std::ops::Deref;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use serde::{Deserialize, Serialize};

use super::{Clock, Receipt, Store, StoreError, bisect, event_at};
use crate::events::LogPosition;
use crate::text::text_conversions;

/// A moment in the past of the log: everything up to a position, or everything that was recorded up to a time, both included.
///
/// The time is when an event was *recorded*, which never decreases along the log; so a time is a position, and what was true then
/// never changes. When an event *occurred* has no effect: an import of last year's events changes nothing about last year's answers.
///
/// ```
/// use annals::store::Moment;
/// assert_eq!("1234".parse(), Ok(Moment::Position(1234)));
/// assert!("2026-05-04T08:00:00+02:00".parse::<Moment>().is_ok());
/// assert!("2026".parse::<Moment>().is_err(), "a year or a position?");
/// assert_eq!("position:2026".parse(), Ok(Moment::Position(2026)));
/// assert!("2026-05-04".parse::<Moment>().is_err(), "the beginning or the end of the day?");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Moment {
    /// After the event at this position; 0 is before the first event.
    Position(u64),
    /// After the last event that was recorded at this time or before.
    Time(Timestamp),
}

/// A text that is not a moment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidMoment {
    /// A number that looks like a year.
    #[error("`{0}` may be a year or a position: write `position:{0}`, or a time like `{0}-01-31T10:00:00Z`")]
    YearOrPosition(String),
    /// A day is not a moment.
    #[error(
        "`{0}` is a whole day: write a time with its zone, such as `{0}T00:00:00Z` (its beginning in UTC) or `{0}T23:59:59.999999Z` (its \
         end)"
    )]
    WholeDay(String),
    /// A time of day without a zone is a different moment in each place.
    #[error("the time `{0}` has no zone: write `{0}Z` (UTC) or `{0}+02:00`")]
    NoZone(String),
    /// The text has none of the forms of a moment.
    #[error("`{0}` is not a moment: write a position (1234) or a time with its zone (2026-01-31T10:00:00Z)")]
    Malformed(String),
}

/// An error when a moment is looked up in the log.
#[derive(Debug, thiserror::Error)]
pub enum MomentError {
    /// The log has no event at this position yet, so the answer could still change.
    #[error("the log ends at position {head}: nothing is known as of position {position} yet")]
    PositionAhead {
        /// The position.
        position: u64,
        /// The position of the last event.
        head: u64,
    },
    /// The time has not come, so the answer could still change.
    #[error("{time} is in the future: it is {now}")]
    TimeAhead {
        /// The time.
        time: Timestamp,
        /// The present time.
        now: Timestamp,
    },
    /// The log cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A value as it was at a moment. Dereferences to the value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AsOf<T> {
    value: T,
    point: LogPoint,
}

/// The last event of the log at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LogPoint {
    pub(crate) head: LogPosition,
    /// `None` before the first event.
    pub(crate) recorded_at: Option<Timestamp>,
}

impl<T> AsOf<T> {
    pub(crate) fn new(value: T, point: LogPoint) -> Self {
        Self { value, point }
    }

    /// The log up to here was used: the position and id of its last event at the moment. Asked for this position again, the answer is
    /// the same for ever.
    #[must_use]
    pub fn head(&self) -> LogPosition {
        self.point.head
    }

    /// The position of that event; 0 before the first event of the log.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.point.head.position
    }

    /// When that event was recorded; `None` before the first event of the log.
    #[must_use]
    pub fn recorded_at(&self) -> Option<Timestamp> {
        self.point.recorded_at
    }

    /// The value alone.
    #[must_use]
    pub fn into_value(self) -> T {
        self.value
    }

    /// Converts the value.
    pub(crate) fn try_map<U, E>(self, convert: impl FnOnce(T) -> Result<U, E>) -> Result<AsOf<U>, E> {
        Ok(AsOf { value: convert(self.value)?, point: self.point })
    }
}

impl<T> Deref for AsOf<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl Moment {
    /// Finds the last event of the log at this moment. A time after the last event is the present, unless it has not come yet.
    pub(crate) async fn find(self, log: &dyn Store, clock: &Clock) -> Result<LogPoint, MomentError> {
        let position = match self {
            Self::Position(position) => position,
            Self::Time(time) => {
                let now = clock();
                // Times before the log's last event have come, whatever a clock that was set back says.
                if time > now && !is_before_last(log, time).await? {
                    return Err(MomentError::TimeAhead { time, now });
                }
                bisect(log, |event| event.recorded_at <= time).await?.saturating_sub(1)
            }
        };
        if position == 0 {
            return Ok(LogPoint::default());
        }
        match event_at(log, position).await? {
            Some(last) => Ok(LogPoint { head: last.head(), recorded_at: Some(last.recorded_at) }),
            None => {
                let head = log.head().await?.position;
                match position > head {
                    true => Err(MomentError::PositionAhead { position, head }),
                    false => {
                        let reason = "the event is missing: run `check`".to_owned();
                        Err(StoreError::Corrupt { position, reason }.into())
                    }
                }
            }
        }
    }
}

/// Whether the last event of the log was recorded after this time.
async fn is_before_last(log: &dyn Store, time: Timestamp) -> Result<bool, StoreError> {
    let head = log.head().await?.position;
    Ok(log.read_at(&[head]).await?.last().is_some_and(|last| last.recorded_at > time))
}

/// Numbers that people write for years.
fn looks_like_a_year(number: u64) -> bool {
    (1900..2200).contains(&number)
}

impl FromStr for Moment {
    type Err = InvalidMoment;

    fn from_str(text: &str) -> Result<Self, InvalidMoment> {
        if let Some(position) = text.strip_prefix("position:").and_then(|digits| digits.parse().ok()) {
            return Ok(Self::Position(position));
        }
        if let Ok(position) = text.parse::<u64>() {
            return match text.len() == 4 && looks_like_a_year(position) {
                true => Err(InvalidMoment::YearOrPosition(text.to_owned())),
                false => Ok(Self::Position(position)),
            };
        }
        if let Ok(time) = text.parse() {
            return Ok(Self::Time(time));
        }
        if text.len() == 10 && text.parse::<Date>().is_ok() {
            return Err(InvalidMoment::WholeDay(text.to_owned()));
        }
        match text.parse::<DateTime>() {
            Ok(_) => Err(InvalidMoment::NoZone(text.to_owned())),
            Err(_) => Err(InvalidMoment::Malformed(text.escape_debug().to_string())),
        }
    }
}

text_conversions!(Moment);

impl From<u64> for Moment {
    fn from(position: u64) -> Self {
        Self::Position(position)
    }
}

impl From<Timestamp> for Moment {
    fn from(time: Timestamp) -> Self {
        Self::Time(time)
    }
}

impl From<LogPosition> for Moment {
    fn from(head: LogPosition) -> Self {
        Self::Position(head.position)
    }
}

impl From<&Receipt> for Moment {
    fn from(receipt: &Receipt) -> Self {
        receipt.head.into()
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Position(position) if looks_like_a_year(*position) => write!(f, "position:{position}"),
            Self::Position(position) => position.fmt(f),
            Self::Time(time) => time.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_a_position_or_a_time_with_zone_and_never_a_guess() {
        let parse = |text: &str| text.parse::<Moment>();
        assert_eq!(parse("0"), Ok(Moment::Position(0)));
        assert_eq!(parse("12026"), Ok(Moment::Position(12_026)));
        assert_eq!(parse("02026"), Ok(Moment::Position(2_026)));
        assert_eq!(parse("position:2026"), Ok(Moment::Position(2_026)));
        assert_eq!(parse("2026-01-31T00:00:00Z"), parse("2026-01-31T01:00:00+01:00"));
        assert_eq!(parse("2026"), Err(InvalidMoment::YearOrPosition("2026".into())));
        assert_eq!(parse("2026-01-31"), Err(InvalidMoment::WholeDay("2026-01-31".into())));
        for bare in ["2026-01-31T10:00:00", "2026-01-31 10:00"] {
            assert_eq!(parse(bare), Err(InvalidMoment::NoZone(bare.to_owned())));
        }
        for bad in ["", "-1", "position:", "position:-1", "yesterday", "2026-02-30", "2026-05", "\u{1b}[2J"] {
            let error = parse(bad).unwrap_err();
            assert!(matches!(error, InvalidMoment::Malformed(_)) && !error.to_string().contains('\u{1b}'), "{bad}");
        }
    }

    #[test]
    fn a_moment_is_written_as_it_is_read() {
        for moment in [
            Moment::Position(0),
            Moment::Position(2026),
            Moment::Position(u64::MAX),
            Moment::Time(Timestamp::now()),
        ] {
            assert_eq!(moment.to_string().parse(), Ok(moment));
            assert_eq!(serde_json::from_str::<Moment>(&serde_json::to_string(&moment).unwrap()).unwrap(), moment);
        }
    }
}
