//! One question, asked many times.

use std::time::{Duration, Instant};

use annals_bench_driver::{BoxError, Latencies};

/// How often a question is asked at most, and at least.
const MOST: u64 = 300;
const LEAST: u64 = 10;

/// How long it is asked, if it has been asked often enough.
const LONG: Duration = Duration::from_secs(4);

/// How long the answers took.
#[derive(Clone, Copy, Debug, Default)]
pub struct Times {
    /// How often it was asked.
    pub asked: u64,
    /// What half of them took at most, in milliseconds.
    pub p50: f64,
    /// What 99 of 100 took at most.
    pub p99: f64,
}

/// Asks again and again, with a number that looks drawn at random, after a few times that do not count.
pub async fn times<T>(mut ask: impl AsyncFnMut(u64) -> Result<T, BoxError>) -> Result<Times, BoxError> {
    for round in 0..LEAST / 2 {
        ask(super::shape::mixed(round)).await?;
    }
    let mut latencies = Latencies::default();
    let began = Instant::now();
    for round in 0..MOST {
        if round >= LEAST && began.elapsed() > LONG {
            break;
        }
        let asked = Instant::now();
        let answer = ask(super::shape::mixed(round + MOST)).await?;
        latencies.record(asked.elapsed());
        drop(answer);
    }
    Ok(Times { asked: latencies.count(), p50: latencies.quantile(0.5), p99: latencies.quantile(0.99) })
}
