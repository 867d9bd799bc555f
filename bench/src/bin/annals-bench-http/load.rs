//! Commands, in process and over HTTP, and pages of the feed beside them.

use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use annals::commands::Context;
use annals::events::Ref;
use annals_bench_driver::{BoxError, Latencies};
use serde::{Deserialize, Serialize};
use tokio::process::Command;
use tokio::task::JoinSet;

use crate::bank::{self, Deposit};
use crate::client::{Client, body, get, pay};

const WARM_UP: Duration = Duration::from_secs(1);

/// How many connections read the feed while others write.
const READERS: usize = 4;

/// What commands came to.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Commands {
    pub per_second: f64,
    pub p50: f64,
    pub p99: f64,
    /// The p99 of a page of the feed meanwhile, and how many were read.
    pub feed: Option<(f64, u64)>,
}

/// When what is measured begins and ends.
struct Window {
    measuring: AtomicBool,
    over: AtomicBool,
    number: AtomicU64,
}

impl Window {
    fn new() -> Arc<Self> {
        Arc::new(Self { measuring: false.into(), over: false.into(), number: 0.into() })
    }

    fn next(&self) -> u64 {
        self.number.fetch_add(1, Ordering::Relaxed)
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    fn is_measuring(&self) -> bool {
        self.measuring.load(Ordering::Relaxed)
    }

    async fn pass(&self, seconds: u64) -> Duration {
        tokio::time::sleep(WARM_UP).await;
        let begun = Instant::now();
        self.measuring.store(true, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        self.measuring.store(false, Ordering::Relaxed);
        let time = begun.elapsed();
        self.over.store(true, Ordering::Relaxed);
        time
    }
}

type Measured = JoinSet<Result<Latencies, BoxError>>;

async fn joined(mut tasks: Measured) -> Result<Latencies, BoxError> {
    let mut all = Latencies::default();
    while let Some(done) = tasks.join_next().await {
        all.merge(&done??);
    }
    Ok(all)
}

fn commands(all: &Latencies, time: Duration, feed: Option<&Latencies>) -> Commands {
    Commands {
        per_second: all.count() as f64 / time.as_secs_f64(),
        p50: all.quantile(0.5),
        p99: all.quantile(0.99),
        feed: feed.map(|feed| (feed.quantile(0.99), feed.count())),
    }
}

/// In a process of its own, as the server is.
pub async fn in_a_process(store: &str, callers: usize, seconds: u64) -> Result<Commands, BoxError> {
    let output = Command::new(std::env::current_exe()?)
        .args(["in-process", store, &callers.to_string(), &seconds.to_string()])
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .await?;
    let text = String::from_utf8(output.stdout)?;
    serde_json::from_str(&text).map_err(|error| format!("no answer ({}): {error}", output.status).into())
}

/// The process: the same commands, typed, by as many callers as there would be connections.
pub async fn in_process(store: &str, callers: usize, seconds: u64) -> Result<(), BoxError> {
    let annals = bank::app().open(store).await?;
    let window = Window::new();
    let mut tasks = Measured::new();
    for _ in 0..callers {
        let (annals, window) = (annals.clone(), window.clone());
        tasks.spawn(async move {
            let client: Ref = "user:client".parse()?;
            let mut times = Latencies::default();
            while !window.is_over() {
                let command: Deposit = serde_json::from_str(&body(window.next()))?;
                let begun = Instant::now();
                annals.execute(command, &Context::by(client.clone())).await?;
                if window.is_measuring() {
                    times.record(begun.elapsed());
                }
            }
            Ok(times)
        });
    }
    let time = window.pass(seconds).await;
    let all = joined(tasks).await?;
    annals.close().await;
    println!("{}", serde_json::to_string(&commands(&all, time, None))?);
    Ok(())
}

/// Over keep-alive connections; then again, with some that read the feed.
pub async fn over_http(
    server: SocketAddr,
    connections: usize,
    seconds: u64,
    feed: &str,
) -> Result<Commands, BoxError> {
    let (alone, _) = paying(server, connections, seconds, None).await?;
    let (_, pages) = paying(server, connections, seconds, Some(feed)).await?;
    Ok(Commands { feed: pages, ..alone })
}

async fn paying(
    server: SocketAddr,
    connections: usize,
    seconds: u64,
    feed: Option<&str>,
) -> Result<(Commands, Option<(f64, u64)>), BoxError> {
    let window = Window::new();
    let (mut writers, mut readers) = (Measured::new(), Measured::new());
    for _ in 0..connections {
        let mut client = Client::connect(server).await?;
        let window = window.clone();
        writers.spawn(async move { asking(&mut client, &window, pay).await });
    }
    for _ in 0..feed.map_or(0, |_| READERS) {
        let (mut client, request) = (Client::connect(server).await?, get(feed.unwrap_or_default()));
        let window = window.clone();
        readers.spawn(async move { asking(&mut client, &window, |_| request.clone()).await });
    }
    let time = window.pass(seconds).await;
    let (written, read) = (joined(writers).await?, joined(readers).await?);
    let commands = commands(&written, time, feed.map(|_| &read));
    Ok((commands, commands.feed))
}

async fn asking(
    client: &mut Client,
    window: &Window,
    request: impl Fn(u64) -> String,
) -> Result<Latencies, BoxError> {
    let mut times = Latencies::default();
    while !window.is_over() {
        let request = request(window.next());
        let begun = Instant::now();
        let status = client.ask(request.as_bytes()).await?;
        if status != 200 {
            return Err(format!("an answer of {status}").into());
        }
        if window.is_measuring() {
            times.record(begun.elapsed());
        }
    }
    Ok(times)
}
