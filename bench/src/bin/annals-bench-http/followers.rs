//! Many clients of Server-Sent Events: the delay of each event, and the memory of the server.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use annals_bench_driver::{BoxError, Latencies};
use jiff::Timestamp;
use tokio::task::JoinSet;

use crate::arguments::Load;
use crate::client::{Client, pay};
use crate::server::Server;

/// Pause before the memory of the server is read.
const REST: Duration = Duration::from_secs(1);

/// The results.
#[derive(Clone, Copy, Debug)]
pub struct Followed {
    /// Number of delivered events, and the delay since their recording: p50 and p99, in milliseconds.
    pub paced: Delivered,
    /// The same while 16 connections write at full speed.
    pub pressed: Delivered,
    /// Memory of the server in bytes: before, with the idle followers, and with the active followers too.
    pub memory: [u64; 3],
}

#[derive(Clone, Copy, Debug)]
pub struct Delivered {
    pub per_second: f64,
    pub events: u64,
    pub p50: f64,
    pub p99: f64,
}

/// Follows a topic without events, then one with events.
pub async fn measure(server: &Server, load: &Load) -> Result<Followed, BoxError> {
    let mut writer = Client::connect(server.address).await?;
    for n in 0..200 {
        writer.pay(pay(n).as_bytes()).await?;
    }
    tokio::time::sleep(REST).await;
    let mut memory = [server.memory()?, 0, 0];
    let mut idle = JoinSet::new();
    let opened = Arc::new(AtomicUsize::new(0));
    for _ in 0..load.idle {
        let client = Client::connect(server.address).await?;
        let opened = opened.clone();
        idle.spawn(client.follow("/live/audit?actor=user:nobody", move |line| {
            opened.fetch_add(usize::from(line.starts_with(b"retry:")), Ordering::Relaxed);
            false
        }));
    }
    until(|| opened.load(Ordering::Relaxed) == load.idle).await?;
    tokio::time::sleep(REST).await;
    memory[1] = server.memory()?;
    let paced = delivered(server, load, false, &mut memory[2]).await?;
    let pressed = delivered(server, load, true, &mut 0).await?;
    Ok(Followed { paced, pressed, memory })
}

async fn until(done: impl Fn() -> bool) -> Result<(), BoxError> {
    for _ in 0..6_000 {
        if done() {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Err("the followers did not receive all events within a minute".into())
}

/// Each active follower receives each event. The time of an event is its recording time, which is before its
/// commit.
async fn delivered(server: &Server, load: &Load, pressed: bool, memory: &mut u64) -> Result<Delivered, BoxError> {
    let from = Timestamp::now();
    let (opened, over) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let mut active = JoinSet::new();
    for _ in 0..load.active {
        let client = Client::connect(server.address).await?;
        let (opened, over) = (opened.clone(), over.clone());
        active.spawn(async move {
            let mut times = Latencies::default();
            let path = format!("/live/audit?from={from}");
            let done = client.follow(&path, |line| {
                opened.fetch_add(usize::from(line.starts_with(b"retry:")), Ordering::Relaxed);
                if let Some(recorded) = recorded_at(line) {
                    let late = Timestamp::now().duration_since(recorded);
                    times.record(Duration::try_from(late).unwrap_or_default());
                }
                over.load(Ordering::Relaxed)
            });
            done.await.map(|()| times)
        });
    }
    until(|| opened.load(Ordering::Relaxed) == load.active).await?;
    tokio::time::sleep(REST).await;
    *memory = server.memory()?;
    let window = Duration::from_secs_f64(load.seconds);
    let begun = tokio::time::Instant::now();
    let mut writers = JoinSet::new();
    for number in 0..if pressed { 16 } else { 1 } {
        let mut client = Client::connect(server.address).await?;
        let pace = load.pace.max(1);
        writers.spawn(async move {
            let mut written = 0_u64;
            let mut ticks = tokio::time::interval(Duration::from_micros(1_000_000 / pace));
            while begun.elapsed() < window {
                if !pressed {
                    ticks.tick().await;
                }
                client.pay(pay(written * 16 + number).as_bytes()).await?;
                written += 1;
            }
            Ok::<_, BoxError>(written)
        });
    }
    let mut written = 0;
    while let Some(done) = writers.join_next().await {
        written += done??;
    }
    let time = begun.elapsed();
    over.store(true, Ordering::Relaxed);
    // One more command, for followers that wait for a line before they notice the end.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let mut client = Client::connect(server.address).await?;
    client.pay(pay(1).as_bytes()).await?;
    let mut all = Latencies::default();
    while let Some(done) = tokio::time::timeout(Duration::from_secs(60), active.join_next()).await? {
        all.merge(&done??);
    }
    Ok(Delivered {
        per_second: written as f64 / time.as_secs_f64(),
        events: all.count(),
        p50: all.quantile(0.5),
        p99: all.quantile(0.99),
    })
}

/// The recording time of the event in this line, if there is one.
fn recorded_at(line: &[u8]) -> Option<Timestamp> {
    let text = std::str::from_utf8(line).ok()?.strip_prefix("data: ")?;
    text.split_once(r#""recorded_at":""#)?.1.split('"').next()?.parse().ok()
}
