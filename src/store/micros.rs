//! Times in whole microseconds, as the log stores them.

use jiff::Timestamp;

/// Truncates a time to whole microseconds, as the log stores it.
pub(crate) fn micros(time: Timestamp) -> Timestamp {
    time_of_micros(time.as_microsecond()).unwrap_or(time)
}

/// The time of these microseconds since 1970.
///
/// # Errors
/// When it is out of range.
pub(crate) fn time_of_micros(microseconds: i64) -> Result<Timestamp, jiff::Error> {
    // `from_microsecond` ends with the last whole second, before the last time.
    Timestamp::from_microsecond(microseconds).or_else(|error| {
        let nanoseconds = i32::try_from(microseconds.rem_euclid(1_000_000) * 1_000).map_err(|_| error)?;
        Timestamp::new(microseconds.div_euclid(1_000_000), nanoseconds)
    })
}
