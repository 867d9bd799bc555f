//! Runs bad clients beside good ones, then checks for leaks.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use annals_bench_driver::BoxError;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::arguments::Soak;
use crate::client::{Client, get, pay};
use crate::server::{Place, Server};

/// Time for the server to release resources: longer than each of its own time limits.
const REST: Duration = Duration::from_secs(75);

/// Maximum growth of memory in the second half of the run, in bytes. SQLite's caches fill as the log of the good client
/// grows, sooner or later: 16 MiB of each of two connections that write, 2 MiB of each of eight that read; and an allocator
/// keeps more or less of what it had.
const SLACK: u64 = (2 * 16 + 8 * 2 + 16) * 1_024 * 1_024;

/// Maximum growth of the number of open files. SQLite keeps the file of a closed connection open as long as
/// another to the same database is open, for the next: as many as ever read at once, which are 64 at most.
const FILES: usize = 72;

type Attack = Result<(), std::io::Error>;

/// Whether the run continues, and what was done.
struct Run {
    server: SocketAddr,
    over: AtomicBool,
    attacks: AtomicU64,
}

pub async fn run(soak: &Soak) -> Result<(), BoxError> {
    let place = Place::new(None).await?;
    let server = Server::start(place.url()).await?;
    let run = Arc::new(Run { server: server.address, over: false.into(), attacks: 0.into() });
    let mut good = JoinSet::new();
    good.spawn(write(run.clone()));
    good.spawn(follow(run.clone()));
    let half = Duration::from_secs_f64(soak.minutes * 30.0);
    let first = attack(&run, half, soak.half_open).await;
    sleep(REST).await;
    let (memory, files) = (server.memory()?, server.files()?);
    eprintln!("after {first} attacks and a rest: {} MiB, {files} files", memory >> 20);
    let attacks = first + attack(&run, half, soak.half_open).await;
    let (worst, open) = (server.memory()?, server.files()?);
    eprintln!("after {attacks} attacks: {} MiB, {open} files", worst >> 20);
    sleep(REST).await;
    run.over.store(true, Ordering::Relaxed);
    while let Some(done) = timeout(Duration::from_secs(60), good.join_next()).await? {
        done??;
    }
    let (after, left) = (server.memory()?, server.files()?);
    println!(
        "{attacks} attacks in {} minutes: {} MiB after half of them, {} MiB at the end, {} MiB after; {files} files after half, {left} after",
        soak.minutes,
        memory >> 20,
        worst >> 20,
        after >> 20
    );
    server.stop().await?;
    place.remove().await;
    match (after > memory + SLACK, left > files + FILES) {
        (false, false) => Ok(()),
        (true, _) => Err("memory was left behind".into()),
        (_, true) => Err("files were left behind".into()),
    }
}

/// Runs twelve bad clients at a time, again and again, and half-open connections.
async fn attack(run: &Arc<Run>, time: Duration, half_open: usize) -> u64 {
    let (begun, before) = (Instant::now(), run.attacks.load(Ordering::Relaxed));
    let mut tasks = JoinSet::new();
    for number in 0..12_u64 {
        let run = run.clone();
        tasks.spawn(async move {
            let mut turn = number;
            while begun.elapsed() < time {
                // Most of them cause the server to close the connection.
                let _ = timeout(Duration::from_secs(40), bad(run.server, turn)).await;
                run.attacks.fetch_add(1, Ordering::Relaxed);
                turn += 1;
            }
        });
    }
    let held = run.clone();
    tasks.spawn(async move {
        while begun.elapsed() < time {
            let mut connections = Vec::new();
            for n in 0..half_open {
                let Ok(mut stream) = TcpStream::connect(held.server).await else { continue };
                let part = &b"GET /live/audit HTTP/1.1\r\nHost: localhost\r\nX-Long: "[..n % 50];
                let _ = stream.write_all(part).await;
                connections.push(stream);
            }
            held.attacks.fetch_add(connections.len() as u64, Ordering::Relaxed);
            sleep(Duration::from_secs(12).min(time)).await;
        }
    });
    while tasks.join_next().await.is_some() {}
    run.attacks.load(Ordering::Relaxed) - before
}

/// One bad client.
async fn bad(server: SocketAddr, turn: u64) -> Attack {
    match turn % 10 {
        0 => spoken(server, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03").await,
        1 => {
            spoken(
                server,
                b"POST /commands/deposit HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n\r\n{\"acc",
            )
            .await
        }
        2 => {
            spoken(server, b"GET /live/audit?after=zz HTTP/1.1\r\nHost: localhost\r\nLast-Event-ID: \xff\r\n\r\n")
                .await
        }
        3 => {
            let deep = "[".repeat(100_000);
            let head = "POST /commands/deposit HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
            spoken(server, format!("{head}Content-Length: {}\r\n\r\n{deep}", deep.len()).as_bytes()).await
        }
        4 => never_reads(server, "/live/audit").await,
        5 => reads_slowly(server).await,
        6 => hangs_up(server).await,
        kind => out_of_protocol(server, kind, turn).await,
    }
}

/// Sends bytes and reads the response, if there is one.
async fn spoken(server: SocketAddr, bytes: &[u8]) -> Attack {
    let mut stream = TcpStream::connect(server).await?;
    stream.write_all(bytes).await?;
    let mut answer = [0; 1_024];
    let _ = timeout(Duration::from_secs(2), stream.read(&mut answer)).await;
    Ok(())
}

/// Follows and reads nothing until the server closes the connection.
async fn never_reads(server: SocketAddr, path: &str) -> Attack {
    let mut stream = TcpStream::connect(server).await?;
    stream.write_all(get(path).as_bytes()).await?;
    sleep(Duration::from_secs(35)).await;
    Ok(())
}

async fn reads_slowly(server: SocketAddr) -> Attack {
    let mut stream = TcpStream::connect(server).await?;
    stream.write_all(get("/live/audit").as_bytes()).await?;
    let mut some = [0; 512];
    for _ in 0..50 {
        stream.read_exact(&mut some).await?;
        sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

/// Follows many topics for a moment.
async fn hangs_up(server: SocketAddr) -> Attack {
    for path in ["/live/audit", "/live/metrics", "/live/metrics/bank", "/live/audit?actor=user:nobody"] {
        let mut stream = TcpStream::connect(server).await?;
        stream.write_all(get(path).as_bytes()).await?;
        stream.read_u8().await?;
    }
    Ok(())
}

/// Opens a WebSocket, may subscribe, and then sends invalid frames.
async fn out_of_protocol(server: SocketAddr, kind: u64, turn: u64) -> Attack {
    let mut stream = TcpStream::connect(server).await?;
    let ask = "GET /live HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
               Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    stream.write_all(ask.as_bytes()).await?;
    let call = r#"{"jsonrpc":"2.0","id":1,"method":"subscribe_audit","params":{}}"#;
    if kind != 7 {
        for _ in 0..1 + turn % 3 {
            stream.write_all(&masked(call.as_bytes())).await?;
        }
    }
    let frames: [&[u8]; 6] = [
        // Not masked; a reserved kind; a text that is not UTF-8; a fragment of nothing; a length beyond all bounds; noise.
        b"\x81\x02{}",
        b"\x8f\x80\0\0\0\0",
        b"\x81\x82\0\0\0\0\xff\xfe",
        b"\x80\x80\0\0\0\0",
        b"\x81\xff\x7f\xff\xff\xff\xff\xff\xff\xff\0\0\0\0",
        b"\xf1\x9e\x33\x07",
    ];
    match kind {
        // Many requests without reading a response.
        8 => {
            let asking = async {
                loop {
                    stream.write_all(&masked(br#"{"jsonrpc":"2.0","id":1,"method":"audit","params":{}}"#)).await?;
                }
            };
            timeout(Duration::from_secs(15), asking).await.unwrap_or(Ok(()))
        }
        _ => {
            stream.write_all(frames[usize::try_from(turn / 10 % 6).unwrap_or_default()]).await?;
            let mut answer = [0; 4_096];
            let reading = async {
                while stream.read(&mut answer).await? > 0 {}
                Ok(())
            };
            timeout(Duration::from_secs(5), reading).await.unwrap_or(Ok(()))
        }
    }
}

/// A text of one frame, masked with nothing.
fn masked(text: &[u8]) -> Vec<u8> {
    let length = u16::try_from(text.len()).unwrap_or(u16::MAX);
    let mut frame = vec![0x81, 0x80 | 126];
    frame.extend(length.to_be_bytes());
    frame.extend([0; 4]);
    frame.extend(text);
    frame
}

/// A good client that writes all the time: it must be served all the time.
async fn write(run: Arc<Run>) -> Result<(), BoxError> {
    let mut client = Client::connect(run.server).await?;
    let mut n = 0;
    while !run.over.load(Ordering::Relaxed) {
        let status = timeout(Duration::from_secs(30), client.ask(pay(n).as_bytes())).await??;
        if status != 200 {
            return Err(format!("a good client was answered {status}").into());
        }
        n += 1;
        sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

/// A good client that follows: it must receive every position once and in order.
async fn follow(run: Arc<Run>) -> Result<(), BoxError> {
    let client = Client::connect(run.server).await?;
    let mut next = 1;
    let mut wrong = None;
    let following = client.follow("/live/audit", |line| {
        if let Some(row) = line.strip_prefix(b"data: {\"position\":") {
            let digits: String =
                row.iter().map(|byte| char::from(*byte)).take_while(char::is_ascii_digit).collect();
            if digits.parse() != Ok(next) {
                wrong = Some(format!("{digits} came in place of {next}"));
            }
            next += 1;
        }
        wrong.is_some() || run.over.load(Ordering::Relaxed)
    });
    following.await?;
    wrong.map_or(Ok(()), |wrong| Err(wrong.into()))
}
