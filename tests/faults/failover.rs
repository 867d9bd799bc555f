//! Connections that are open but unusable: failover to a standby and back, frozen connections, idle sessions that the
//! server ends.

use std::time::{Duration, Instant};

use annals::commands::ExecuteError;
use annals::http::Authentication;
use annals::prelude::*;
use annals::projections::ReadError;
use annals_test_postgres::Server;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use uuid::Uuid;

use crate::balancer::{Balancer, Lines};
use crate::bank::*;
use crate::lines::wait_for;
use crate::promises::{Answers, assert_kept};

/// The limit of `store::postgres` for detecting a silent connection, plus the time for another attempt on a slow
/// machine.
const NOTICED: Duration = Duration::from_secs(40);

/// Requests an application's health, as a load balancer does.
struct Health(std::net::SocketAddr);

impl Health {
    async fn serve(annals: &Annals) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let alice = Authentication::trusting(Some("user:alice".parse().unwrap()));
        let router = annals::http::router(annals.clone()).authentication(alice).into_router();
        tokio::spawn(annals::http::serve(listener, router, std::future::pending()));
        Self(address)
    }

    /// Returns the response to a request, with its headers.
    async fn ask(&self, line: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(self.0).await.unwrap();
        let request = format!(
            "{line} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    /// Returns whether `/readyz` responds with 200.
    async fn is_ready(&self) -> bool {
        self.ask("GET /readyz", "").await.starts_with("HTTP/1.1 200")
    }
}

/// Reads like a client: repeats the query until the projection has reached the receipt.
async fn balance(annals: &Annals, receipt: &Receipt) -> i64 {
    let begun = Instant::now();
    loop {
        match annals.view::<Balance>(&account("a")).after(receipt).await {
            Err(ReadError::Late { .. }) if begun.elapsed() < NOTICED => {}
            read => return read.expect("a view").expect("a balance").cents,
        }
    }
}

/// Writes like a client: repeats the command until there is an answer.
async fn until_paid_in(annals: &Annals, cents: i64) -> Receipt {
    let (context, begun) = (by("alice").command_id(Uuid::new_v4()), Instant::now());
    loop {
        match annals.execute(deposit("a", cents), &context).await {
            Ok(receipt) => return receipt,
            Err(ExecuteError::Store(_) | ExecuteError::Load(_) | ExecuteError::OutcomeUnknown { .. })
                if begun.elapsed() < NOTICED => {}
            Err(error) => panic!("after {:?}: {error}: {error:?}", begun.elapsed()),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_application_survives_failovers_and_readyz_reports_them() {
    let first = Server::own();
    let second = tokio::task::block_in_place(|| first.standby());
    let balancer = Balancer::before(first.port()).await;
    let annals = app().open(&balancer.url("bank")).await.unwrap();
    let health = Health::serve(&annals).await;
    until_paid_in(&annals, 1).await;
    assert!(health.is_ready().await);

    // The balancer is faster than the promotion: the address leads to a read-only server.
    tokio::task::block_in_place(|| first.wait_for_standby(&second));
    balancer.switch(second.port(), Lines::Cut);
    tokio::task::block_in_place(|| first.stop_immediately());
    assert!(!health.is_ready().await, "the server is read-only");
    let context = by("alice").command_id(Uuid::new_v4());
    let refused = annals.execute(deposit("a", 10), &context).await.expect_err("it is read-only");
    assert!(matches!(refused, ExecuteError::Store(_)), "{refused:?}");
    assert_eq!(annals.store().head().await.unwrap().position, 1, "the log can be read");
    assert!(!health.is_ready().await, "it is still read-only");
    tokio::task::block_in_place(|| second.promote());
    wait_for("readiness", async || health.is_ready().await).await;
    let receipt = annals.execute(deposit("a", 10), &context).await.expect("a write to a ready store");
    assert_eq!((receipt.first_position, receipt.repeated), (2, false));
    assert_eq!(balance(&annals, &receipt).await, 11);

    // And back, without closing the connections.
    let third = tokio::task::block_in_place(|| second.standby());
    tokio::task::block_in_place(|| second.wait_for_standby(&third));
    balancer.switch(third.port(), Lines::Frozen);
    tokio::task::block_in_place(|| third.promote());
    let begun = Instant::now();
    let receipt = until_paid_in(&annals, 100).await;
    assert_eq!(balance(&annals, &receipt).await, 111);
    assert!(begun.elapsed() < NOTICED, "{:?}", begun.elapsed());
    assert!(health.is_ready().await);
    assert_kept(&annals, &Answers::default()).await;
    annals.close().await;
}

/// No RST, no FIN: a firewall that has forgotten a connection sends nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silent_connections_are_replaced_and_reads_and_writes_continue() {
    let server = Server::own();
    let balancer = Balancer::before(server.port()).await;
    let annals = app().open(&balancer.url("bank")).await.unwrap();
    let receipt = until_paid_in(&annals, 1).await;
    assert_eq!(balance(&annals, &receipt).await, 1);
    for _ in 0..2 {
        balancer.all(Lines::Frozen);
        let begun = Instant::now();
        let reads = futures::future::join_all((0..12).map(|_| async {
            assert!(annals.store().head().await.expect("a read").position >= 1);
            assert!(balance(&annals, &receipt).await >= 1);
            assert!(!annals.store().views().generations().await.expect("a read").is_empty());
        }));
        let all = async { tokio::join!(reads, until_paid_in(&annals, 1)) };
        tokio::time::timeout(NOTICED, all).await.expect("all calls in time");
        eprintln!("silent connections were replaced after {:?}", begun.elapsed());
    }
    assert_kept(&annals, &Answers::default()).await;
    annals.close().await;
}

/// 57P05: the server ends idle sessions. Callers do not notice it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_that_the_server_ends_when_idle_fail_no_call() {
    let server = Server::with(&["idle_session_timeout=200ms"]);
    let schema = server.schema();
    let annals = app().open_without_following(schema.url()).await.unwrap();
    annals.execute(deposit("a", 1), &by("alice")).await.unwrap();
    let (store, views) = (annals.store(), annals.store().views());
    for round in 0..12 {
        // Some sessions are ended, and some are not.
        tokio::time::sleep(Duration::from_millis(100 + 20 * round)).await;
        let all = futures::future::join_all((0..6).map(|_| async { store.head().await.map(drop) })).await;
        all.into_iter().collect::<Result<(), _>>().expect("reads of the log");
        views.generations().await.expect("a read of the views");
        views.read("balance", 1).await.map(drop).expect("a snapshot of a view");
        until_paid_in(&annals, 1).await;
    }
    annals.close().await;
}

/// Without answers from the server, no command can be executed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_server_is_not_ready() {
    let server = Server::own();
    let schema = server.schema();
    let annals = app().open(schema.url()).await.unwrap();
    let health = Health::serve(&annals).await;
    assert!(health.is_ready().await);
    server.freeze();
    assert!(!health.is_ready().await);
    server.thaw();
    wait_for("readiness", async || health.is_ready().await).await;
    until_paid_in(&annals, 1).await;
    annals.close().await;
}

/// The program is not at fault: the caller may try again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_without_a_reachable_server_is_503() {
    let server = Server::own();
    let schema = server.schema();
    let annals = app().open_without_following(schema.url()).await.unwrap();
    let health = Health::serve(&annals).await;
    let ask = async || health.ask("POST /commands/deposit", r#"{"account":"a","cents":1}"#).await;
    server.stop_immediately();
    let answer = ask().await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    server.start();
    let answer = ask().await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    annals.close().await;
}
