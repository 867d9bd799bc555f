//! Times a query that is run many times.

use std::time::{Duration, Instant};

use annals_bench_driver::{BoxError, Latencies};

/// Maximum and minimum number of runs.
const MOST: u64 = 300;
const LEAST: u64 = 10;

/// Time limit after the minimum number of runs.
const LONG: Duration = Duration::from_secs(4);

/// The latencies of a query.
#[derive(Clone, Copy, Debug, Default)]
pub struct Times {
    /// Number of runs.
    pub runs: u64,
    /// Median in milliseconds.
    pub p50: f64,
    /// 99th percentile in milliseconds.
    pub p99: f64,
}

/// Runs a query many times, each time with a pseudo-random number, after some runs for warm-up.
pub async fn times<T>(mut query: impl AsyncFnMut(u64) -> Result<T, BoxError>) -> Result<Times, BoxError> {
    for round in 0..LEAST / 2 {
        query(super::shape::mixed(round)).await?;
    }
    let mut latencies = Latencies::default();
    let started = Instant::now();
    for round in 0..MOST {
        if round >= LEAST && started.elapsed() > LONG {
            break;
        }
        let sent = Instant::now();
        let answer = query(super::shape::mixed(round + MOST)).await?;
        latencies.record(sent.elapsed());
        drop(answer);
    }
    Ok(Times { runs: latencies.count(), p50: latencies.quantile(0.5), p99: latencies.quantile(0.99) })
}
