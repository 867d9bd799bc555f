//! Ten thousand connections that never send a whole head.

use std::process::Command;
use std::time::{Duration, Instant};

use annals_test_postgres::Place;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::process::Process;
use crate::served::answer;

/// Set in the process that may have many files open.
const RAISED: &str = "ANNALS_TEST_HALF_OPEN";

/// How many connections, where the system lets a process have so many files.
const MANY: usize = 10_000;

/// How many of them are opened at a time.
const PARTS: usize = 200;

/// Files that a process needs beside them.
const OTHERS: usize = 500;

/// The test itself, in a process that may have as many files open as the system allows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_half_open_connections_keep_nobody_out_and_leave_nothing_behind() {
    let mut raised = Command::new("sh");
    raised.args(["-c", "ulimit -n \"$(ulimit -Hn)\"; exec \"$0\" \"$@\""]).arg(std::env::current_exe().unwrap());
    raised.args(["--exact", "half_open::attack", "--nocapture", "--include-ignored"]).env(RAISED, "yes");
    let ended = tokio::task::spawn_blocking(move || raised.output().unwrap()).await.unwrap();
    let (out, err) = (String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
    println!("{out}\n{err}");
    assert!(ended.status.success() && out.contains("1 passed"), "{out}\n{err}");
}

/// How many files this process may have open.
fn most_files() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap_or(usize::MAX)
}

/// Not a test of its own: see above.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a process of another test"]
async fn attack() {
    if std::env::var_os(RAISED).is_none() {
        return;
    }
    let many = MANY.min(most_files().saturating_sub(OTHERS));
    if many < MANY {
        println!("only {many} connections, not {MANY}: the system lets a process have {} files", most_files());
    }
    let place = Place::sqlite();
    let process = Process::serve(&place, &[], &[]);
    // Each time on a connection of its own: somebody new.
    let pay = async || {
        let began = Instant::now();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let deposit = client.post(format!("{}/commands/deposit", process.url));
        let paid = answer(deposit.json(&json!({ "account": "a", "cents": 1 }))).await;
        assert_eq!(paid.status, 200, "{paid:?}");
        began.elapsed()
    };
    pay().await;
    // When the connection of that is gone again: it would make up for one that is left.
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
                let sent: &[u8] = if (n + part) % 2 == 0 { b"" } else { b"GET /audit HTTP/1.1\r\nHost: loc" };
                // It may be let go before it says anything.
                let _ = stream.write_all(sent).await;
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
    // As long as they are all half open, or let go.
    for _ in 0..20 {
        worst = worst.max(pay().await);
        paid += 1;
    }
    println!("{} half open in {opened:?}, the server at {most} sockets", half.len());
    println!("{paid} new clients served meanwhile, the slowest in {worst:?}");
    // The first may be given up while the last come: a busy machine needs longer for them than the server's patience.
    assert!(most > before + 500, "they are not half open: {most} sockets");
    // Who has to wait until those before him are given up waits for ten seconds.
    assert!(worst < Duration::from_secs(5), "somebody was kept out for {worst:?}");
    for mut stream in half {
        let mut rest = Vec::new();
        // One that this system takes for open, and the other's queue had no room for, is told so by this.
        let _ = stream.write_all(b"x").await;
        let closed = tokio::time::timeout(Duration::from_secs(60), stream.read_to_end(&mut rest)).await;
        assert!(closed.is_ok(), "a connection that sends no head is closed");
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
