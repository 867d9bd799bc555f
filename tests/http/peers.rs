//! Mission A15: a write API and an audit API in separate processes on one PostgreSQL database.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use annals_test_postgres::Place;
use reqwest::{Client, Method};
use serde_json::json;

use crate::bank::app;
use crate::served::{after, answer};

/// Set in a peer process.
const ROLE: &str = "ANNALS_TEST_PEER";
const STORE: &str = "ANNALS_TEST_PEER_STORE";

/// A peer: this program, started again.
struct Peer {
    child: Child,
    url: String,
}

impl Peer {
    fn start(role: &str, place: &Place) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "peers::serves_as_a_peer", "--nocapture", "--include-ignored"])
            .env(ROLE, role)
            .env(STORE, place.url())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let url = lines.find_map(|line| Some(line.unwrap().split_once("serving at ")?.1.to_owned()));
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, url: url.expect("the peer serves") }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the peer processes run. The write API runs no projections.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a process of another test"]
async fn serves_as_a_peer() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let store = std::env::var(STORE).unwrap();
    let annals = match role.as_str() {
        "write" => app().open_without_following(&store).await.unwrap(),
        _ => app().open(&store).await.unwrap(),
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("serving at http://{}", listener.local_addr().unwrap());
    let alice = annals::http::Authentication::trusting(Some("user:alice".parse().unwrap()));
    let router = annals::http::router(annals).authentication(alice).into_router();
    annals::http::serve(listener, router, std::future::pending()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_api_and_an_audit_api_run_separately_and_each_without_the_other() {
    let place = Place::postgres();
    let client = Client::new();
    let write = async |peer: &Peer, cents: i64| {
        let request = client.request(Method::POST, format!("{}/commands/deposit", peer.url));
        let done = answer(request.json(&json!({ "account": "a", "cents": cents }))).await;
        assert_eq!(done.status, 200, "{done:?}");
        done.json()
    };
    let read =
        async |peer: &Peer, path: String| answer(client.request(Method::GET, format!("{}{path}", peer.url))).await;
    let writer = Peer::start("write", &place);
    let first = write(&writer, 5).await;
    // Written while no process runs projections.
    let auditor = Peer::start("audit", &place);
    let page = read(&auditor, format!("/audit?{}", after(&first))).await.json();
    assert_eq!(page["rows"][0]["sentence"], "user:alice paid 5 into account:a");
    for cents in 6..10 {
        let receipt = write(&writer, cents).await;
        let total = read(&auditor, format!("/metrics/bank?{}", after(&receipt))).await.json()["total"].clone();
        assert_eq!(total, cents - 4);
    }
    // The write API works without the audit API.
    drop(auditor);
    let alone = write(&writer, 10).await;
    assert_eq!(alone["first_position"], 6);
    // The audit API works without the write API, and has its last write.
    drop(writer);
    let auditor = Peer::start("audit", &place);
    let page = read(&auditor, format!("/audit?newest_first=true&{}", after(&alone))).await.json();
    assert_eq!(page["rows"].as_array().unwrap().len(), 6);
    let balance = read(&auditor, format!("/views/balance/a?{}", after(&alone))).await;
    assert_eq!(balance.json(), json!({ "cents": 45, "events": 6 }));
}
