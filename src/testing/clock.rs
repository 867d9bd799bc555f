//! [`TestClock`]: a clock that a test sets.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use jiff::{SignedDuration, Timestamp};

/// A clock whose time changes only by [`advance`](Self::advance). Clones share their time.
///
/// ```
/// use annals::prelude::*;
/// use annals::testing::TestClock;
/// use jiff::SignedDuration;
///
/// let clock = TestClock::at("2026-01-01T00:00:00Z".parse()?);
/// let app = App::new("demo").clock(clock.reader());
/// clock.advance(SignedDuration::from_hours(-1));
/// assert_eq!(clock.now().to_string(), "2025-12-31T23:00:00Z");
/// # Ok::<(), jiff::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct TestClock(Arc<AtomicI64>);

impl TestClock {
    /// Creates a clock with this time, in whole microseconds.
    #[must_use]
    pub fn at(time: Timestamp) -> Self {
        Self(Arc::new(AtomicI64::new(time.as_microsecond())))
    }

    /// The clock's time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        Timestamp::from_microsecond(self.0.load(Ordering::SeqCst)).unwrap_or(Timestamp::MAX)
    }

    /// Advances the clock; a negative duration sets it back.
    pub fn advance(&self, by: SignedDuration) {
        let micros = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
        self.0.fetch_add(micros, Ordering::SeqCst);
    }

    /// Returns the clock as a function for `App::clock`.
    pub fn reader(&self) -> impl Fn() -> Timestamp + Send + Sync + use<> {
        let clock = self.clone();
        move || clock.now()
    }
}
