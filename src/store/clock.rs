//! Limits for clocks that are ahead, and a warning for the operator.
//!
//! `recorded_at` never decreases, so one process whose clock is ahead would shift the time of all later events. A store
//! therefore has a clock of its own (the server's on PostgreSQL, the machine's on SQLite), and the application's clock
//! counts only while it is behind that. If it is more than [`DAYS`] ahead, or the store's own clock is that far ahead
//! of the last event, nothing is appended.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

/// The most days that a clock may be ahead, unless `meta` has another number under [`KEY`]. `append.sql` has the same
/// number.
#[cfg(feature = "sqlite")]
pub(super) const DAYS: i64 = 1_830;

/// The key in `meta` for another limit, set by an operator.
pub(super) const KEY: &str = "clock_ahead_days";

/// The difference between two clocks that causes no warning. An append may wait for the lock this long.
const APART: SignedDuration = SignedDuration::from_secs(60);

/// The minimum time between two warnings.
const QUIET: Duration = Duration::from_secs(600);

/// Returns the advice for a clock that is too far ahead. `meta` is the table's name in SQL.
pub(super) fn advice(meta: &str) -> String {
    format!(
        "nothing was written. Correct the clock. If it is correct, allow more days (here 4000) with: \
         INSERT INTO {meta} (key, value) VALUES ('{KEY}', '4000') ON CONFLICT (key) DO UPDATE SET value = excluded.value"
    )
}

/// Compares the application's clock with recorded times, and warns at most every ten minutes.
#[derive(Debug, Default)]
pub(super) struct Skew(Mutex<Option<Instant>>);

impl Skew {
    /// Compares a time of the application's clock with the time that the store recorded instead.
    pub(super) fn compare(&self, clock: Timestamp, recorded: Timestamp) {
        let ahead = clock.duration_since(recorded);
        if ahead.abs() <= APART || !self.due() {
            return;
        }
        if ahead.is_positive() {
            tracing::warn!(
                %clock, %recorded,
                "this program's clock is ahead of the store's own clock by {ahead:#}: events get the store's time"
            );
        } else {
            tracing::warn!(
                %clock, %recorded,
                "this program's clock is behind the last event by {:#}: events get that event's time until then",
                -ahead
            );
        }
    }

    /// Returns whether the last warning was long enough ago.
    fn due(&self) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let due = last.is_none_or(|last| last.elapsed() >= QUIET);
        if due {
            *last = Some(Instant::now());
        }
        due
    }
}

#[cfg(all(test, feature = "sqlite", feature = "postgres", feature = "conformance"))]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use annals_test_postgres::Place;

    use super::*;
    use crate::store::conformance::bench::{PATIENCE, batch, commit, committed};
    use crate::store::{OpenOptions, Outcome, StoreError, open};

    annals_test_postgres::both_stores!(a_clock_that_panics_is_an_error_and_nothing_was_written);

    /// The answer is definite, also under a write lock: nobody has to find out whether the command took effect.
    async fn a_clock_that_panics_is_an_error_and_nothing_was_written(place: &Place) {
        let broken = Arc::new(AtomicBool::new(false));
        let clock = {
            let broken = broken.clone();
            Arc::new(move || {
                assert!(!broken.load(Ordering::SeqCst), "the clock is broken");
                Timestamp::now()
            })
        };
        let store = open(place.url(), OpenOptions { app: "x".to_owned(), clock, create: true }).await.unwrap();
        let failed = |answer: Result<Vec<Outcome>, StoreError>| match answer {
            Err(StoreError::Database { source, .. }) => {
                assert!(source.to_string().contains("the clock is broken"), "{source}");
            }
            other => panic!("it must be a definite error: {other:?}"),
        };
        broken.store(true, Ordering::SeqCst);
        failed(store.append(batch([commit(1).on("tally:a", 0, 1)])).await);
        let lock = store.write_lock(PATIENCE, PATIENCE).await.unwrap();
        failed(lock.append(batch([commit(1).on("tally:a", 0, 1)])).await);
        assert_eq!(store.head().await.unwrap().position, 0);
        broken.store(false, Ordering::SeqCst);
        let lock = store.write_lock(PATIENCE, PATIENCE).await.unwrap();
        assert!(lock.append(batch([commit(1).on("tally:a", 0, 1)])).await.unwrap()[0].is_committed());
        committed(&*store, commit(2).on("tally:a", 1, 1)).await;
        store.close().await;
    }
}
