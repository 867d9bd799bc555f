//! [`supervise`]: starts a background task again when it panics. [`catch`]: runs a task of one caller once.

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
    task: &'static str,
    start: impl FnMut() -> T,
    closed: impl Fn() -> C,
    on_panic: impl FnMut(u32, &str),
) where
    T: Future<Output = ()>,
    C: Future<Output = ()>,
{
    supervise_with(RECOVERED, task, start, closed, on_panic).await;
}

async fn supervise_with<T, C>(
    recovered: Duration,
    task: &'static str,
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
        let run = start();
        #[cfg(test)]
        let run = failing::wrap(task, run);
        let Err(panic) = AssertUnwindSafe(run).catch_unwind().await else { return };
        panics = if started.elapsed() >= recovered { 1 } else { panics + 1 };
        let message = panic_message(&*panic).to_owned();
        drop(panic);
        on_panic(panics, &message);
        log(|| tracing::error!(task, panics, message, "a background task panicked: starting it again"));
        tokio::select! {
            () = closed() => return,
            () = tokio::time::sleep(delay(panics)) => {}
        }
    }
}

/// Runs the future of one caller. After a panic, logs and returns the panic message: the caller must get an answer.
#[cfg(feature = "http")]
pub(crate) async fn catch<T: Future>(task: &'static str, run: T) -> Result<T::Output, String> {
    #[cfg(test)]
    let run = failing::wrap(task, run);
    AssertUnwindSafe(run).catch_unwind().await.map_err(|panic| {
        let message = panic_message(&*panic).to_owned();
        drop(panic);
        log(|| tracing::error!(task, message, "a task panicked"));
        message
    })
}

/// Writes a log line about a panic. The tracing subscriber that panicked may panic again.
fn log(write: impl FnOnce()) {
    let _ = catch_unwind(AssertUnwindSafe(write));
}

/// The delay after the `attempt`th failure in a row: 50 ms, doubled each time, at most 3.2 s.
pub(crate) fn delay(attempt: u32) -> Duration {
    Duration::from_millis(50 << attempt.saturating_sub(1).min(6))
}

/// Lets a task panic in tests.
#[cfg(test)]
pub(crate) mod failing {
    use std::cell::Cell;

    thread_local! {
        static NEXT: Cell<(&'static str, u32, u32)> = const { Cell::new(("", 0, 0)) };
    }

    /// Lets this task's poll after the next `skipped` ones, and each of the `count - 1` polls after it, panic. It counts
    /// polls on this thread: for tests on a runtime of one thread.
    pub(crate) fn panic_in(task: &'static str, skipped: u32, count: u32) {
        NEXT.set((task, skipped, count));
    }

    pub(super) async fn wrap<T: Future>(task: &'static str, run: T) -> T::Output {
        let mut run = std::pin::pin!(run);
        std::future::poll_fn(|context| {
            match NEXT.get() {
                (next, 0, count) if next == task && count > 0 => {
                    NEXT.set((next, 0, count - 1));
                    panic!("no space left for the log");
                }
                (next, skipped, count) if next == task && count > 0 => NEXT.set((next, skipped - 1, count)),
                _ => {}
            }
            run.as_mut().poll(context)
        })
        .await
    }
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

    /// Otherwise a task that panics once an hour would be reported as one that panics all the time.
    #[tokio::test]
    async fn panics_are_counted_from_one_again_after_a_long_time_without_one() {
        let (mut starts, seen) = (0, RefCell::new(Vec::new()));
        let start = || {
            starts += 1;
            let (runs, fails) = (if starts == 3 { 1_100 } else { 0 }, starts < 5);
            async move {
                tokio::time::sleep(Duration::from_millis(runs)).await;
                assert!(!fails, "failure");
            }
        };
        let note = |panics, _: &str| seen.borrow_mut().push(panics);
        supervise_with(Duration::from_secs(1), "test", start, std::future::pending, note).await;
        assert_eq!(seen.into_inner(), [1, 2, 1, 2]);
    }

    #[tokio::test]
    async fn a_closed_application_starts_no_task_again() {
        let mut starts = 0;
        let start = || {
            starts += 1;
            async { panic!("failure") }
        };
        let ended = supervise("test", start, || std::future::ready(()), |_, _| {});
        tokio::time::timeout(Duration::from_secs(5), ended).await.expect("it is started again and again");
        assert_eq!(starts, 1);
    }
}
