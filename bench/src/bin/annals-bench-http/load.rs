//! Commands, in process and over HTTP, and pages of the feed beside them.

use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use annals::commands::Context;
use annals::events::{Origin, Ref};
use annals_bench_driver::{BoxError, Latencies};
use serde::{Deserialize, Serialize};
use tokio::process::Command;
use tokio::task::JoinSet;

use crate::bank::{self, Deposit};
use crate::client::{Client, body, get, pay};
use crate::processor;
use crate::server::Server;

const WARM_UP: Duration = Duration::from_millis(500);

/// How many connections read the feed while others write.
const READERS: usize = 4;

/// What commands came to.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Commands {
    pub per_second: f64,
    pub p50: f64,
    pub p99: f64,
    /// What the process that executes them took of the processors for each, in microseconds.
    pub processor: f64,
    /// The same of who asks over HTTP.
    pub client: f64,
    /// How many events the slowest projection had yet to take in when they had all been answered: work that is owed.
    pub behind: u64,
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

    /// Lets the window pass. What was taken of the processors in it is read of these, in the order given.
    async fn pass<const N: usize>(&self, seconds: f64, who: [&str; N]) -> Result<Passed<N>, BoxError> {
        let taken = || -> Result<Vec<Duration>, BoxError> { who.iter().map(|who| processor::taken(who)).collect() };
        tokio::time::sleep(WARM_UP).await;
        let (begun, before) = (Instant::now(), taken()?);
        self.measuring.store(true, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
        self.measuring.store(false, Ordering::Relaxed);
        let (time, after) = (begun.elapsed(), taken()?);
        self.over.store(true, Ordering::Relaxed);
        Ok(Passed { time, taken: std::array::from_fn(|n| after[n].saturating_sub(before[n])) })
    }
}

/// What passed in a window.
struct Passed<const N: usize> {
    time: Duration,
    /// Of the processors.
    taken: [Duration; N],
}

type Measured = JoinSet<Result<Latencies, BoxError>>;

async fn joined(mut tasks: Measured) -> Result<Latencies, BoxError> {
    let mut all = Latencies::default();
    while let Some(done) = tasks.join_next().await {
        all.merge(&done??);
    }
    Ok(all)
}

fn commands(all: &Latencies, time: Duration, [processor, client]: [Duration; 2]) -> Commands {
    let each = |taken: Duration| taken.as_secs_f64() * 1e6 / all.count().max(1) as f64;
    Commands {
        per_second: all.count() as f64 / time.as_secs_f64(),
        p50: all.quantile(0.5),
        p99: all.quantile(0.99),
        processor: each(processor),
        client: each(client),
        behind: 0,
        feed: None,
    }
}

/// In a process of its own, as the server is.
pub async fn in_a_process(store: &str, callers: usize, seconds: f64) -> Result<Commands, BoxError> {
    let output = Command::new(std::env::current_exe()?)
        .args(["in-process", store, &callers.to_string(), &seconds.to_string()])
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .await?;
    let text = String::from_utf8(output.stdout)?;
    serde_json::from_str(&text).map_err(|error| format!("no answer ({}): {error}", output.status).into())
}

/// The process: the same commands, typed, by as many callers as there would be connections. The log gets the same bytes:
/// also where a request came from.
pub async fn in_process(store: &str, callers: usize, seconds: f64) -> Result<(), BoxError> {
    let annals = bank::app().open(store).await?;
    let window = Window::new();
    let mut tasks = Measured::new();
    for _ in 0..callers {
        let (annals, window) = (annals.clone(), window.clone());
        tasks.spawn(async move {
            let context = Context::by("user:client".parse::<Ref>()?).origin(Origin {
                host: Some("127.0.0.1".to_owned()),
                method: Some("POST".to_owned()),
                path: Some("/commands/deposit".to_owned()),
                format: Some("json".to_owned()),
            });
            let mut times = Latencies::default();
            while !window.is_over() {
                let command: Deposit = serde_json::from_str(&body(window.next()))?;
                let begun = Instant::now();
                annals.execute(command, &context).await?;
                if window.is_measuring() {
                    times.record(begun.elapsed());
                }
            }
            Ok(times)
        });
    }
    let Passed { time, taken: [processor] } = window.pass(seconds, ["self"]).await?;
    let all = joined(tasks).await?;
    let behind = annals.projections().await?.into_iter().map(|projection| projection.lag).max().unwrap_or(0);
    annals.close().await;
    let commands = Commands { behind, ..commands(&all, time, [processor, Duration::ZERO]) };
    println!("{}", serde_json::to_string(&commands)?);
    Ok(())
}

/// Over keep-alive connections; then again, for half as long, with some that read the feed.
pub async fn over_http(
    server: &Server,
    connections: usize,
    seconds: f64,
    feed: &str,
) -> Result<Commands, BoxError> {
    let (address, process, feed) = (server.address, server.process()?, feed.to_owned());
    // On one thread with a loop of its own: it wakes nobody, and leaves the processors to what it measures.
    let asking = tokio::task::spawn_blocking(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let (alone, _) = paying(address, &process, connections, seconds, None).await?;
            let behind = behind(address).await?;
            let (_, pages) = paying(address, &process, connections, seconds / 2.0, Some(&feed)).await?;
            Ok(Commands { behind, feed: Some((pages.quantile(0.99), pages.count())), ..alone })
        })
    });
    asking.await?
}

/// How far the slowest projection is behind.
async fn behind(server: SocketAddr) -> Result<u64, BoxError> {
    #[derive(Deserialize)]
    struct Projection {
        lag: u64,
    }
    let mut client = Client::connect(server).await?;
    match client.ask(get("/projections").as_bytes()).await? {
        200 => {}
        status => return Err(format!("an answer of {status} to /projections").into()),
    }
    let projections: Vec<Projection> = serde_json::from_slice(client.body())?;
    Ok(projections.into_iter().map(|projection| projection.lag).max().unwrap_or(0))
}

async fn paying(
    server: SocketAddr,
    process: &str,
    connections: usize,
    seconds: f64,
    feed: Option<&str>,
) -> Result<(Commands, Latencies), BoxError> {
    let window = Window::new();
    let (mut writers, mut readers) = (Measured::new(), Measured::new());
    for _ in 0..connections {
        let (client, window) = (Client::connect(server).await?, window.clone());
        writers.spawn(write(client, window));
    }
    if let Some(feed) = feed {
        for _ in 0..READERS {
            let (client, window) = (Client::connect(server).await?, window.clone());
            readers.spawn(read(client, window, get(feed)));
        }
    }
    let Passed { time, taken } = window.pass(seconds, [process, "thread-self"]).await?;
    let (written, read) = (joined(writers).await?, joined(readers).await?);
    Ok((commands(&written, time, taken), read))
}

async fn write(mut client: Client, window: Arc<Window>) -> Result<Latencies, BoxError> {
    let mut times = Latencies::default();
    while !window.is_over() {
        let request = pay(window.next());
        let begun = Instant::now();
        client.pay(request.as_bytes()).await?;
        if window.is_measuring() {
            times.record(begun.elapsed());
        }
    }
    Ok(times)
}

async fn read(mut client: Client, window: Arc<Window>, request: String) -> Result<Latencies, BoxError> {
    let mut times = Latencies::default();
    while !window.is_over() {
        let begun = Instant::now();
        let status = client.ask(request.as_bytes()).await?;
        if status != 200 {
            return Err(format!("an answer of {status} to {request}").into());
        }
        if window.is_measuring() {
            times.record(begun.elapsed());
        }
    }
    Ok(times)
}
