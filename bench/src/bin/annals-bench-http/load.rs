//! Commands in process and over HTTP, and pages of the audit log at the same time.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use annals::app::Annals;
use annals::commands::Context;
use annals::events::{Origin, Ref};
use annals_bench_driver::{BoxError, Latencies};
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;

use crate::bank::{self, Deposit};
use crate::client::{Client, body, get, pay};
use crate::processor;
use crate::turns::{TURN, Turn, take, tell};

/// Time until all callers run and the lag of projections is stable.
const BEGINNING: Duration = Duration::from_millis(500);

/// Time for which pages are read under load.
const FEED: Duration = Duration::from_secs(1);

/// Interval between checks whether projections have caught up after a turn.
const LOOK: Duration = Duration::from_millis(5);

/// Number of connections that read pages while others write.
const READERS: usize = 4;

/// The results of commands.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Commands {
    pub per_second: f64,
    pub p50: f64,
    pub p99: f64,
    /// Processor time per command of the process that executes them, in microseconds.
    pub processor: f64,
    /// The same of the HTTP client.
    pub client: f64,
    /// Lag of the slowest projection in events, at the beginning and at the end.
    pub behind: [f64; 2],
    /// The p99 of a page that is read at the same time, and the number of pages.
    pub feed: Option<(f64, u64)>,
}

/// The window of a measurement.
#[derive(Default)]
struct Window {
    measuring: AtomicBool,
    over: AtomicBool,
    /// The number of the next command, continued over all turns.
    number: Arc<AtomicU64>,
}

impl Window {
    fn new(number: &Arc<AtomicU64>) -> Arc<Self> {
        Arc::new(Self { number: number.clone(), ..Self::default() })
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

    /// Waits for the window to pass. Reads the processor time of these processes, in this order, and the lag of projections by
    /// `lag`.
    async fn pass<const N: usize>(
        &self,
        time: Duration,
        who: [&str; N],
        mut lag: impl AsyncFnMut() -> Result<u64, BoxError>,
    ) -> Result<Passed<N>, BoxError> {
        let taken = || -> Result<Vec<Duration>, BoxError> { who.iter().map(|who| processor::taken(who)).collect() };
        tokio::time::sleep(BEGINNING).await;
        let owed = lag().await?;
        let (begun, before) = (Instant::now(), taken()?);
        self.measuring.store(true, Ordering::Relaxed);
        tokio::time::sleep(time).await;
        self.measuring.store(false, Ordering::Relaxed);
        let (time, after) = (begun.elapsed(), taken()?);
        let behind = [owed, lag().await?];
        self.over.store(true, Ordering::Relaxed);
        Ok(Passed { time, taken: std::array::from_fn(|n| after[n].saturating_sub(before[n])), behind })
    }
}

/// The measurements of a window.
struct Passed<const N: usize> {
    time: Duration,
    /// Processor time.
    taken: [Duration; N],
    /// Lag in events, at the beginning and at the end.
    behind: [u64; 2],
}

/// A caller that returns the state for the next turn.
type Callers<T> = JoinSet<Result<(Latencies, T), BoxError>>;

async fn joined<T: 'static>(mut callers: Callers<T>) -> Result<(Latencies, Vec<T>), BoxError> {
    let (mut all, mut kept) = (Latencies::default(), Vec::new());
    while let Some(done) = callers.join_next().await {
        let (times, one) = done??;
        all.merge(&times);
        kept.push(one);
    }
    Ok((all, kept))
}

/// Typed commands of as many callers as there are connections. The log gets the same bytes, including the origin of a
/// request.
pub async fn in_process(store: &str, callers: usize) -> Result<(), BoxError> {
    let annals = bank::app().open(store).await?;
    let number = Arc::new(AtomicU64::new(0));
    let lag = async || -> Result<u64, BoxError> {
        Ok(annals.projections().await?.into_iter().map(|projection| projection.lag).max().unwrap_or(0))
    };
    let turns = take(async || {
        let window = Window::new(&number);
        let mut calling = Callers::new();
        for _ in 0..callers {
            calling.spawn(call(annals.clone(), window.clone()));
        }
        let Passed { time, taken: [processor], behind } = window.pass(TURN, ["self"], lag).await?;
        let (times, _) = joined(calling).await?;
        caught_up(lag).await?;
        Ok(Turn { times, time, taken: [processor, Duration::ZERO], behind })
    });
    let commands = turns.await?;
    annals.close().await;
    tell(&commands)
}

async fn call(annals: Annals, window: Arc<Window>) -> Result<(Latencies, ()), BoxError> {
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
    Ok((times, ()))
}

/// Commands over keep-alive connections, first alone, then with connections that read pages.
pub async fn over_http(server: SocketAddr, process: &str, connections: usize, feed: &str) -> Result<(), BoxError> {
    let number = Arc::new(AtomicU64::new(0));
    let mut clients = connected(server, connections).await?;
    let mut looking = Client::connect(server).await?;
    let turns = take(async || {
        let window = Window::new(&number);
        let paying: Callers<Client> = clients.drain(..).map(|client| pay_in(client, window.clone())).collect();
        let mut lag = async || behind(&mut looking).await;
        let Passed { time, taken, behind } = window.pass(TURN, [process, "self"], &mut lag).await?;
        let (times, kept) = joined(paying).await?;
        clients = kept;
        caught_up(lag).await?;
        Ok(Turn { times, time, taken, behind })
    });
    let commands = turns.await?;
    let window = Window::new(&number);
    let paying: Callers<Client> = clients.into_iter().map(|client| pay_in(client, window.clone())).collect();
    let readers = connected(server, READERS).await?;
    let reading: Callers<()> = readers.into_iter().map(|client| read(client, window.clone(), get(feed))).collect();
    window.pass(FEED, [], async || Ok(0)).await?;
    let ((pages, _), _) = (joined(reading).await?, joined(paying).await?);
    tell(&Commands { feed: Some((pages.quantile(0.99), pages.count())), ..commands })
}

async fn connected(server: SocketAddr, connections: usize) -> Result<Vec<Client>, BoxError> {
    let mut clients = Vec::new();
    for _ in 0..connections {
        clients.push(Client::connect(server).await?);
    }
    Ok(clients)
}

/// Waits until projections have no lag, so that no turn pays for another one.
async fn caught_up(mut lag: impl AsyncFnMut() -> Result<u64, BoxError>) -> Result<(), BoxError> {
    while lag().await? > 0 {
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}

/// The lag of the slowest projection.
async fn behind(client: &mut Client) -> Result<u64, BoxError> {
    #[derive(Deserialize)]
    struct Projection {
        lag: u64,
    }
    match client.ask(get("/projections").as_bytes()).await? {
        200 => {}
        status => return Err(format!("an answer of {status} to /projections").into()),
    }
    let projections: Vec<Projection> = serde_json::from_slice(client.body())?;
    Ok(projections.into_iter().map(|projection| projection.lag).max().unwrap_or(0))
}

async fn pay_in(mut client: Client, window: Arc<Window>) -> Result<(Latencies, Client), BoxError> {
    let mut times = Latencies::default();
    while !window.is_over() {
        let request = pay(window.next());
        let begun = Instant::now();
        client.pay(request.as_bytes()).await?;
        if window.is_measuring() {
            times.record(begun.elapsed());
        }
    }
    Ok((times, client))
}

async fn read(mut client: Client, window: Arc<Window>, request: String) -> Result<(Latencies, ()), BoxError> {
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
    Ok((times, ()))
}
