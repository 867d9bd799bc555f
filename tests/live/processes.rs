//! One process writes, another serves the streams, and is killed and restarted.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use annals::http::Authentication;
use annals_test_postgres::{Place, both_stores};

use crate::bank::{app, by};
use crate::conformance::{By, Seen, ignore_lost_connection};
use crate::followers::{self, Followers, Identity};
use crate::in_time;
use crate::rights::{ACROSS, check, grant_all, guarded, party, revoke, transfer};
use crate::round_robin::RoundRobin;
use crate::server::{Server, free_address};

/// The serving process, not a test.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child() {
    let Ok(store) = std::env::var("LIVE_STORE") else { return };
    std::thread::spawn(|| {
        let _ = std::io::stdin().lines().count();
        // The parent process has ended.
        std::process::exit(0);
    });
    let (app, reader) = match std::env::var_os("LIVE_GUARDED") {
        Some(_) => (guarded(), party("bob")),
        None => (app(), party("reader")),
    };
    let annals = app.open(&store).await.unwrap();
    let trusting = Authentication::trusting(Some(reader));
    let server = Server::serve(annals, &std::env::var("LIVE_ADDRESS").unwrap(), trusting).await;
    let mut output = std::io::stdout().lock();
    writeln!(output, "> {}", server.address).and_then(|()| output.flush()).unwrap();
    drop(output);
    std::future::pending::<()>().await;
}

struct Process(Child);

impl Process {
    /// Starts a process that serves the store on this address. Returns its actual address.
    fn start(store: &str, address: &str) -> (Self, SocketAddr) {
        Self::start_with(store, address, &[])
    }

    /// Starts a process in which rights are in the log, and that serves for bob.
    fn start_guarded(store: &str) -> (Self, SocketAddr) {
        Self::start_with(store, "127.0.0.1:0", &[("LIVE_GUARDED", "1")])
    }

    fn start_with(store: &str, address: &str, environment: &[(&str, &str)]) -> (Self, SocketAddr) {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "processes::child", "--nocapture"])
            .env("LIVE_STORE", store)
            .env("LIVE_ADDRESS", address)
            .envs(environment.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        // Lines of the test harness have no `> `.
        let address = lines.find_map(|line| Some(line.split_once("> ")?.1.to_owned())).expect("the process serves");
        (Self(child), address.parse().unwrap())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Missions A15 and D8: with any protocol, no row is lost or repeated.
async fn a_stream_has_the_rows_of_another_process_even_if_its_own_is_killed(place: &Place) {
    let url = place.url().to_owned();
    let (process, at) = tokio::task::block_in_place(|| Process::start(&url, &free_address()));
    let mut process = Some(process);
    let restart = || {
        drop(process.take());
        process = Some(tokio::task::block_in_place(|| Process::start(&url, &at.to_string())).0);
    };
    follow_while_writing(place, at, restart).await;
}

/// Mission X77: each connection is to another process than the one before, and one process is killed.
async fn a_stream_that_moves_between_processes_has_each_row_once(place: &Place) {
    let processes = [0, 1].map(|_| tokio::task::block_in_place(|| Process::start(place.url(), "127.0.0.1:0")));
    let balancer = RoundRobin::before(processes.each_ref().map(|(_, at)| *at).into());
    let [one, other] = processes;
    let mut one = Some(one);
    let kill = || drop(one.take());
    follow_while_writing(place, balancer.address(), kill).await;
    assert!(balancer.carried().iter().all(|connections| *connections > 1), "{:?}", balancer.carried());
    drop(other);
}

/// Follows with each protocol, over connections that end after a few rows, while a process writes. Each sees each row once.
async fn follow_while_writing(place: &Place, at: SocketAddr, mut in_the_middle: impl FnMut()) {
    const EVENTS: usize = 150;
    let writer = Server::start(place.url()).await;
    let readers = By::ALL.map(|by| {
        tokio::spawn(async move {
            let mut seen: Vec<Seen> = Vec::new();
            while seen.len() < EVENTS {
                let last = seen.last().map(|(cursor, _)| cursor.clone());
                let most = (EVENTS - seen.len()).min(17);
                match tokio::spawn(async move { by.read(at, &[], last.as_deref(), most).await }).await {
                    Ok(rows) => seen.extend(rows),
                    Err(error) => {
                        ignore_lost_connection(error);
                        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                    }
                }
            }
            seen
        })
    });
    // One more row for the page readers: a row has a cursor only if there is another after it.
    for n in 0..=EVENTS {
        if n == 70 {
            in_the_middle();
        }
        writer.pay("ann", &(n % 5).to_string(), 1 + n as i64).await;
    }
    let mut first: Option<Vec<Seen>> = None;
    for (reader, by) in readers.into_iter().zip(By::ALL) {
        let seen = in_time(reader).await.unwrap();
        let positions: Vec<u64> = seen.iter().map(|(_, row)| row["position"].as_u64().unwrap()).collect();
        assert_eq!(positions, (1..=EVENTS as u64).collect::<Vec<_>>(), "{by:?}");
        match &first {
            None => first = Some(seen),
            Some(first) => assert_eq!(*first, seen, "{by:?}"),
        }
    }
    writer.stop().await;
}

/// Guarantee 25, Mission X35: the process that serves the streams reads in the log what another one revokes.
async fn streams_end_when_another_process_revokes_the_right(place: &Place) {
    let annals = guarded().open(place.url()).await.unwrap();
    transfer(&annals).await;
    let url = place.url().to_owned();
    let (process, at) = tokio::task::block_in_place(|| Process::start_guarded(&url));
    let bob = Identity { context: by("bob"), token: None };
    for round in 0..3 {
        let grant = grant_all(&annals, "bob").await;
        let followers = Followers::open_at(at, &annals, &bob, &followers::By::OVER_HTTP).await;
        revoke(&annals, "bob", grant).await;
        let revoked = Instant::now();
        check(&followers.ends().await, revoked, ACROSS, &format!("round {round}"));
    }
    drop(process);
    annals.close().await;
}

both_stores! {
    streams_end_when_another_process_revokes_the_right,
    a_stream_has_the_rows_of_another_process_even_if_its_own_is_killed,
    a_stream_that_moves_between_processes_has_each_row_once,
}
