//! Ten thousand connections that never send a whole request head.

use std::process::Command;
use std::time::{Duration, Instant};

use annals_test_postgres::Place;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::process::Process;
use crate::served::answer;

/// Set in the process with the raised limit of open files.
const RAISED: &str = "ANNALS_TEST_HALF_OPEN";

/// The connections, if the system allows a process that many open files.
const MANY: usize = 10_000;

/// How many tasks open them.
const PARTS: usize = 200;

/// The other open files of a process.
const OTHERS: usize = 500;

/// Runs the test in a process with the highest limit of open files that the system allows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_half_open_connections_block_no_client_and_leave_no_socket() {
    let mut raised = Command::new("sh");
    raised.args(["-c", "ulimit -n \"$(ulimit -Hn)\"; exec \"$0\" \"$@\""]).arg(std::env::current_exe().unwrap());
    raised.args(["--exact", "half_open::attack", "--nocapture", "--include-ignored"]).env(RAISED, "yes");
    let ended = tokio::task::spawn_blocking(move || raised.output().unwrap()).await.unwrap();
    let (out, err) = (String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
    println!("{out}\n{err}");
    assert!(ended.status.success() && out.contains("1 passed"), "{out}\n{err}");
}

/// The limit of open files of this process.
fn max_files() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap_or(usize::MAX)
}

/// The test, which runs in the process above.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a process of another test"]
async fn attack() {
    if std::env::var_os(RAISED).is_none() {
        return;
    }
    let many = MANY.min(max_files().saturating_sub(OTHERS));
    if many < MANY {
        println!("only {many} connections, not {MANY}: the limit is {} open files", max_files());
    }
    let place = Place::sqlite();
    let process = Process::serve(&place, &[], &[]);
    // A new client and connection each time.
    let pay = async || {
        let began = Instant::now();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let deposit = client.post(format!("{}/commands/deposit", process.url));
        let paid = answer(deposit.json(&json!({ "account": "a", "cents": 1 }))).await;
        assert_eq!(paid.status, 200, "{paid:?}");
        began.elapsed()
    };
    pay().await;
    // After that connection has closed: otherwise it would hide one leaked socket.
    let mut before = process.sockets();
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        before = before.min(process.sockets());
    }
    let address = process.url.strip_prefix("http://").unwrap().to_owned();
    let mut opening = JoinSet::new();
    for part in 0..PARTS {
        let address = address.clone();
        opening.spawn(async move {
            let mut half = Vec::new();
            for n in 0..many / PARTS {
                let mut stream = TcpStream::connect(&address).await.unwrap();
                let part_of_head: &[u8] =
                    if (n + part) % 2 == 0 { b"" } else { b"GET /audit HTTP/1.1\r\nHost: loc" };
                // The server may close it before it sends anything.
                let _ = stream.write_all(part_of_head).await;
                half.push(stream);
            }
            half
        });
    }
    let began = Instant::now();
    let (mut worst, mut paid, mut half) = (Duration::ZERO, 0, Vec::new());
    while half.len() < many / PARTS * PARTS {
        worst = worst.max(pay().await);
        paid += 1;
        tokio::time::sleep(Duration::from_millis(100)).await;
        while let Some(opened) = opening.try_join_next() {
            half.extend(opened.unwrap());
        }
    }
    let (most, opened) = (process.sockets(), began.elapsed());
    // While they all are half open or closed.
    for _ in 0..20 {
        worst = worst.max(pay().await);
        paid += 1;
    }
    println!("{} half open in {opened:?}, the server at {most} sockets", half.len());
    println!("{paid} new clients served meanwhile, the slowest in {worst:?}");
    // On a busy machine, the server closes the first ones before the last ones are open.
    assert!(most > before + 500, "the connections are not half open: {most} sockets");
    // A client that had to wait for the time-out of the half-open connections would wait ten seconds.
    assert!(worst < Duration::from_secs(5), "a client was blocked for {worst:?}");
    for mut stream in half {
        let mut rest = Vec::new();
        // This resets a connection that is open only on this side, because the server's queue was full.
        let _ = stream.write_all(b"x").await;
        let closed = tokio::time::timeout(Duration::from_secs(60), stream.read_to_end(&mut rest)).await;
        assert!(closed.is_ok(), "a connection without a request head is still open");
    }
    let began = Instant::now();
    while process.sockets() > before {
        assert!(began.elapsed() < Duration::from_secs(60), "{} sockets, {before} before", process.sockets());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    pay().await;
    println!("{before} sockets before, {} after", process.sockets());
    let ended = process.stop().await;
    assert!(ended.status.success(), "{ended:?}");
}
