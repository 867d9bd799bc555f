//! [`supervise`]: starts a background task again when it panics.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use futures::FutureExt;

use crate::text::panic_message;

/// A task that ran this long before a panic counts as recovered: its panics are counted from 1 again.
const RECOVERED: Duration = Duration::from_secs(60);

/// Runs the future that `start` returns, and starts another one after each panic. Returns when a future returns, or
/// when `closed` resolves during the delay after a panic.
///
/// A task can panic through no fault of its own: the application's tracing subscriber runs inside it. `on_panic`
/// receives the number of panics in a row and the panic message.
pub(crate) async fn supervise<T, C>(
    task: &str,
    mut start: impl FnMut() -> T,
    closed: impl Fn() -> C,
    mut on_panic: impl FnMut(u32, &str),
) where
    T: Future<Output = ()>,
    C: Future<Output = ()>,
{
    let mut panics = 0;
    loop {
        let started = Instant::now();
        let Err(panic) = AssertUnwindSafe(start()).catch_unwind().await else { return };
        panics = if started.elapsed() >= RECOVERED { 1 } else { panics + 1 };
        let message = panic_message(&*panic).to_owned();
        drop(panic);
        on_panic(panics, &message);
        // The subscriber that panicked may panic again.
        let log = || tracing::error!(task, panics, message, "a background task panicked: starting it again");
        let _ = catch_unwind(AssertUnwindSafe(log));
        tokio::select! {
            () = closed() => return,
            () = tokio::time::sleep(delay(panics)) => {}
        }
    }
}

/// The delay after the `attempt`th failure in a row: 50 ms, doubled each time, at most 3.2 s.
pub(crate) fn delay(attempt: u32) -> Duration {
    Duration::from_millis(50 << attempt.saturating_sub(1).min(6))
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[tokio::test]
    async fn a_task_is_started_again_after_each_panic_until_it_returns() {
        let (mut starts, seen) = (0, RefCell::new(Vec::new()));
        let start = || {
            starts += 1;
            let fails = starts < 4;
            async move { assert!(!fails, "failure {starts}") }
        };
        let note = |panics, message: &str| seen.borrow_mut().push((panics, message.to_owned()));
        supervise("test", start, std::future::pending, note).await;
        let expected = [1, 2, 3].map(|number| (number, format!("failure {number}")));
        assert_eq!((seen.into_inner(), starts), (expected.to_vec(), 4));
    }

    #[tokio::test]
    async fn a_closed_application_starts_no_task_again() {
        let mut starts = 0;
        let start = || {
            starts += 1;
            async { panic!("failure") }
        };
        supervise("test", start, || std::future::ready(()), |_, _| {}).await;
        assert_eq!(starts, 1);
    }
}
