//! Measures a log on NATS JetStream beside one on PostgreSQL: three servers and all processes on this machine, in pairs.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use annals_bench_driver::{Appended, BoxError, Latencies, Reply, Task};
use futures::future::join_all;

use crate::arguments::Arguments;
use crate::brokers::NatsServer;
use crate::catalogue::{self, Entry};
use crate::child;
use crate::peers::Peers;
use crate::reactions;
use crate::session::{Place, Session};
use crate::table::{digits, median};
use crate::workload::Workload;

/// The events from which the local file is made, if no number is given.
const EVENTS: u64 = 200_000;
/// The processes that write together.
const PROCESSES: u64 = 3;
const CALLERS: u64 = 64;
/// The writes that another process waits for.
const SEEN: u64 = 500;

/// The medians of all runs.
#[derive(Default)]
struct Runs {
    flushes: Vec<f64>,
    postgres: [Vec<f64>; 2],
    stream: [Vec<f64>; 2],
    together: Vec<f64>,
    /// The smallest share of a process, of an even one.
    least: Vec<f64>,
    seen: Vec<f64>,
    made: Vec<f64>,
}

/// Measures it. Returns the table.
pub async fn run(arguments: &Arguments) -> Result<String, BoxError> {
    let session = Session::start(arguments, &catalogue::chosen(&["annals-postgres".to_owned()])?).await?;
    let servers = tokio::task::spawn_blocking(NatsServer::cluster).await?;
    let servers = servers.ok_or("there is no nats-server: run scripts/brokers")?;
    let hosts = servers.iter().map(|server| format!("127.0.0.1:{}", server.port)).collect::<Vec<_>>().join(",");
    let mut runs = Runs::default();
    for run in 1..=arguments.runs {
        eprintln!("run {run} of {}", arguments.runs);
        if let Err(why) = once(&session, arguments, &format!("nats://{hosts}/RUN{run}"), &mut runs).await {
            eprintln!("not measured: {why}");
        }
    }
    session.clean_up().await;
    report(arguments, runs)
}

async fn once(session: &Session, arguments: &Arguments, stream: &str, runs: &mut Runs) -> Result<(), BoxError> {
    let entries = catalogue::chosen(&["annals-postgres".to_owned()])?;
    let postgres = entries.first().ok_or("no PostgreSQL")?;
    // The same program at another URL.
    let on_stream = Entry { name: "annals-jetstream", ..*postgres };
    let folder = tempfile::Builder::new().prefix("annals-bench-").tempdir_in(session.directory())?;
    let at =
        |name: &str| Place::Stream { url: format!("{stream}_{name}?file={}", folder.path().join(name).display()) };
    runs.flushes.push(flushes(folder.path(), Duration::from_secs(1))?);
    let task = |callers| Task::Append(Workload::Spread.load(callers, arguments.seconds));
    for (number, callers) in [CALLERS, 1].into_iter().enumerate() {
        let reply = child::measure(session, &Peers::default(), postgres, task(callers)).await;
        runs.postgres[number].push(appended(reply)?.commands_per_second);
        let reply = child::ask(&Peers::default(), &on_stream, &at(&format!("of_{callers}")), task(callers)).await;
        runs.stream[number].push(appended(reply)?.commands_per_second);
    }
    // Each process has a local file of its own, as on machines of their own.
    let places = (0..PROCESSES).map(|number| Place::Stream {
        url: format!("{stream}_together?file={}", folder.path().join(format!("together{number}")).display()),
    });
    let rates = join_all(places.map(async |place| {
        let reply = child::ask(&Peers::default(), &on_stream, &place, task(CALLERS)).await;
        appended(reply).map(|appended| appended.commands_per_second)
    }));
    let rates = rates.await.into_iter().collect::<Result<Vec<f64>, _>>()?;
    let sum: f64 = rates.iter().sum();
    runs.together.push(sum);
    runs.least.push(rates.iter().copied().fold(f64::MAX, f64::min) * PROCESSES as f64 / sum);
    runs.seen.push(seen(&at("seen").url(), &format!("{}.other", at("seen").url())).await?);
    runs.made.push(made(&at("made").url(), &folder.path().join("made"), arguments.events.unwrap_or(EVENTS)).await?);
    Ok(())
}

fn appended(reply: Reply) -> Result<Appended, BoxError> {
    match reply {
        Reply::Appended(appended) if appended.errors > 0 => {
            Err(format!("{} commands failed: {}", appended.errors, appended.first_error.unwrap_or_default()).into())
        }
        Reply::Appended(appended) => Ok(appended),
        Reply::LeftOut(why) | Reply::Failed(why) => Err(why.into()),
        other => Err(format!("unexpected reply {other:?}").into()),
    }
}

/// How often the disk of a folder flushes 4 KiB in a second.
fn flushes(folder: &Path, time: Duration) -> Result<f64, BoxError> {
    let mut file = tempfile::tempfile_in(folder)?;
    let (began, mut count) = (Instant::now(), 0_u32);
    while began.elapsed() < time {
        file.write_all(&[0; 4_096])?;
        file.sync_data()?;
        count += 1;
    }
    Ok(f64::from(count) / began.elapsed().as_secs_f64())
}

/// The 99th percentile of the time from a receipt until another handle, with a local file of its own, has the event, in milliseconds.
async fn seen(url: &str, other: &str) -> Result<f64, BoxError> {
    let writer = reactions::app().open_without_following(url).await?;
    let reader = reactions::app().open_without_following(other).await?;
    let mut heads = reader.store().watch();
    let mut delays = Latencies::default();
    for _ in 0..SEEN {
        let receipt = reactions::turn_on(&writer, "seen", 1).await?;
        let committed = Instant::now();
        heads.wait_for(|head| head.position >= receipt.head.position).await?;
        delays.record(committed.elapsed());
    }
    writer.close().await;
    reader.close().await;
    Ok(delays.quantile(0.99))
}

/// Events/s at which a local file is made from the stream.
async fn made(url: &str, file: &Path, events: u64) -> Result<f64, BoxError> {
    const AT_ONCE: u64 = 100;
    let annals = reactions::app().open_without_following(url).await?;
    let writers = (0..CALLERS).map(async |caller| {
        for _ in 0..events / AT_ONCE / CALLERS + 1 {
            reactions::turn_on(&annals, &format!("made-{caller}"), AT_ONCE).await?;
        }
        Ok::<_, BoxError>(())
    });
    join_all(writers).await.into_iter().collect::<Result<(), _>>()?;
    let head = annals.store().head().await?.position;
    annals.close().await;
    drop(annals);
    for suffix in ["", "-wal", "-shm"] {
        match std::fs::remove_file(format!("{}{suffix}", file.display())) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
    }
    let began = Instant::now();
    let annals = reactions::app().open_without_following(url).await?;
    annals.store().watch().wait_for(|now| now.position >= head).await?;
    let took = began.elapsed();
    annals.close().await;
    Ok(head as f64 / took.as_secs_f64())
}

fn report(arguments: &Arguments, runs: Runs) -> Result<String, BoxError> {
    let Runs { flushes, postgres, stream, together, least, seen, made } = runs;
    let count = together.len();
    let median = |values: Vec<f64>| median(values).unwrap_or_default();
    let [[postgres, one_postgres], [stream, one_stream]] = [postgres, stream].map(|rates| rates.map(median));
    let together = median(together);
    let mut text = format!(
        "\n## JetStream\n\nThree servers with `sync_interval: always` and all processes on this machine and one disk, which flushes 4 KiB \
         {:.0} times a second. 1,000 aggregates, {} s each, without projections; medians of {count} runs, in pairs.\n\n\
         | | PostgreSQL, one server | JetStream, three | ratio |\n|--|--:|--:|--:|\n",
        median(flushes),
        arguments.seconds,
    );
    writeln!(text, "| commands/s, {CALLERS} callers | {postgres:.0} | {stream:.0} | {:.2} |", stream / postgres)?;
    writeln!(
        text,
        "| commands/s, 1 caller | {one_postgres:.0} | {one_stream:.0} | {:.2} |",
        one_stream / one_postgres
    )?;
    writeln!(
        text,
        "\n{PROCESSES} processes with as many callers each: {together:.0} commands/s together, {:.2} of one; the least had {:.2} of an even share. Another process \
         has an event {} ms after its receipt (p99). The local file is made at {:.0} events/s.",
        together / stream,
        median(least),
        digits(Some(median(seen))),
        median(made)
    )?;
    Ok(text)
}
