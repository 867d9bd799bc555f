//! The measurement of concurrent callers.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tokio::time::Instant;

use crate::{Appended, BoxError, Call, Competitor, Latencies, Load};

/// Pause of a caller after an error, so that an error that comes at once is not repeated a million times.
const AFTER_ERROR: Duration = Duration::from_millis(10);

#[derive(Default)]
struct Tally {
    latencies: Latencies,
    retries: u64,
    errors: u64,
    first_error: Option<String>,
    acknowledged: u64,
}

/// Runs `load.callers` callers that execute commands; then counts the events in the table.
///
/// A command counts if its receipt comes within the measured time.
pub(crate) async fn measure(competitor: Arc<dyn Competitor>, load: Load) -> Result<Appended, BoxError> {
    let begin = Instant::now();
    let callers = (0..load.callers).map(|caller| tokio::spawn(call(competitor.clone(), load, caller, begin)));
    let mut total = Tally::default();
    for tally in join_all(callers).await {
        let tally = tally?;
        total.latencies.merge(&tally.latencies);
        total.retries += tally.retries;
        total.errors += tally.errors;
        total.acknowledged += tally.acknowledged;
        total.first_error = total.first_error.or(tally.first_error);
    }
    // First of all, because the lag under load is measured.
    let lag = competitor.lag().await?;
    Ok(Appended {
        commands_per_second: total.latencies.count() as f64 / load.seconds as f64,
        p50: total.latencies.quantile(0.5),
        p99: total.latencies.quantile(0.99),
        retries: total.retries,
        errors: total.errors,
        first_error: total.first_error,
        acknowledged: total.acknowledged,
        found: competitor.events().await?,
        lag,
        note: competitor.note().await?,
    })
}

async fn call(competitor: Arc<dyn Competitor>, load: Load, caller: usize, begin: Instant) -> Tally {
    let from = begin + Duration::from_secs(load.warm_up);
    let until = from + Duration::from_secs(load.seconds);
    let mut random = fastrand::Rng::with_seed(caller as u64 + 1);
    let mut tally = Tally::default();
    let mut pace = load.rate.map(|rate| Pace::new(rate, load.callers, caller, begin));
    for number in 0.. {
        let asked = match &mut pace {
            Some(pace) => pace.next().await,
            None => Instant::now(),
        };
        if Instant::now() >= until {
            break;
        }
        let call = Call { caller, account: random.u64(0..load.accounts), events: load.events, number };
        let result = competitor.command(&call).await;
        let answered = Instant::now();
        let measured = answered >= from && answered < until;
        match result {
            Ok(retries) => {
                tally.acknowledged += load.events as u64;
                if measured {
                    tally.retries += retries;
                    tally.latencies.record(answered - asked);
                }
            }
            Err(error) => {
                tally.errors += 1;
                tally.first_error.get_or_insert_with(|| in_words(&*error));
                tokio::time::sleep(AFTER_ERROR).await;
            }
        }
    }
    tally
}

/// The share of a caller of a steady rate.
struct Pace {
    due: Instant,
    interval: Duration,
}

impl Pace {
    fn new(rate: u32, callers: usize, caller: usize, begin: Instant) -> Self {
        let callers = u32::try_from(callers).unwrap_or(u32::MAX);
        let interval = Duration::from_secs(1) * callers / rate.max(1);
        let share = u32::try_from(caller).unwrap_or_default();
        Self { due: begin + interval * share / callers.max(1), interval }
    }

    /// Waits until the next command is due. Returns the time from which its latency counts. A caller that is late because the
    /// command before took too long counts from the due time, so waiting is part of the latency. The delay of a timer
    /// is not.
    async fn next(&mut self) -> Instant {
        let due = self.due;
        self.due += self.interval;
        if Instant::now() >= due {
            return due;
        }
        tokio::time::sleep_until(due).await;
        Instant::now()
    }
}

/// An error with its causes, on one line.
pub(crate) fn in_words(error: &(dyn std::error::Error + 'static)) -> String {
    let mut words = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let text = cause.to_string();
        if !words.ends_with(&text) {
            words = format!("{words}: {text}");
        }
        source = cause.source();
    }
    words.replace(['\n', '|'], " ")
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use async_trait::async_trait;

    use super::*;

    /// Takes a millisecond; refuses each fourth command; says that it holds one event too few.
    #[derive(Default)]
    struct Forgetful(AtomicU64);

    #[async_trait]
    impl Competitor for Forgetful {
        async fn command(&self, call: &Call) -> Result<u64, BoxError> {
            tokio::time::sleep(Duration::from_millis(1)).await;
            if call.number % 4 == 3 {
                return Err("each fourth".into());
            }
            self.0.fetch_add(call.postings().len() as u64, Ordering::Relaxed);
            Ok(1)
        }

        async fn events(&self) -> Result<u64, BoxError> {
            Ok(self.0.load(Ordering::Relaxed) - 1)
        }
    }

    fn load(rate: Option<u32>) -> Load {
        Load { callers: 4, accounts: 10, events: 2, seconds: 1, warm_up: 0, rate }
    }

    #[tokio::test]
    async fn all_that_was_answered_is_counted_and_compared_with_the_table() {
        let measured = measure(Arc::new(Forgetful::default()), load(None)).await.unwrap();
        assert!(measured.errors > 0 && measured.commands_per_second > 0.0, "{measured:?}");
        assert_eq!(measured.first_error.as_deref(), Some("each fourth"));
        assert_eq!(measured.found + 1, measured.acknowledged);
        assert!(measured.p50 >= 1.0 && measured.p99 >= measured.p50, "{measured:?}");
    }

    #[tokio::test]
    async fn a_steady_rate_is_not_exceeded() {
        let measured = measure(Arc::new(Forgetful::default()), load(Some(100))).await.unwrap();
        assert!(measured.commands_per_second <= 101.0, "{measured:?}");
        assert!(measured.commands_per_second >= 20.0, "{measured:?}");
    }
}
