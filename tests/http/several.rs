//! Two processes of `serve` behind a load balancer, started as the guide says (`docs/guide/several-machines.md`).

use std::process::Stdio;

use annals_test_postgres::Place;
use jsonwebtoken::Algorithm;
use reqwest::{Client, Method, RequestBuilder, redirect::Policy};
use serde_json::json;

use crate::process::Process;
use crate::round_robin::RoundRobin;
use crate::served::answer;
use crate::tokens::{but, ec, jwks, token};

const GUIDE: &str = include_str!("../../docs/guide/several-machines.md");
const ISSUER: &str = "https://login.example.org/";

/// Starts a process by the unit of the guide, with a store and keys of the test.
fn start(place: &Place, keys: &str) -> Process {
    let line = GUIDE.lines().find_map(|line| line.strip_prefix("ExecStart=/usr/local/bin/bank ")).expect("a unit");
    let argument = |word| match word {
        "0.0.0.0:8080" => "127.0.0.1:0",
        "/etc/bank/keys.json" => keys,
        word => word,
    };
    let arguments: Vec<&str> = line.split(' ').map(argument).collect();
    Process::start(Process::bank(&arguments, &[("ANNALS_STORE", place.url())]), Stdio::piped())
}

/// Mission X77: no request depends on the process that answered an earlier one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signing_in_and_reading_a_write_work_whichever_process_answers() {
    let place = Place::postgres();
    let directory = tempfile::tempdir().unwrap();
    let keys = directory.path().join("keys.json");
    std::fs::write(&keys, jwks()).unwrap();
    let processes = [0, 1].map(|_| tokio::task::block_in_place(|| start(&place, keys.to_str().unwrap())));
    let addresses = processes.iter().map(|process| process.url.strip_prefix("http://").unwrap().parse().unwrap());
    let balancer = RoundRobin::before(addresses.collect());
    // Each request has a connection of its own, and so another process than the one before.
    let client = Client::builder().redirect(Policy::none()).pool_max_idle_per_host(0).build().unwrap();
    let request = |method: Method, path: &str| -> RequestBuilder {
        client.request(method, format!("http://{}{path}", balancer.address()))
    };
    for _ in 0..4 {
        assert_eq!(answer(request(Method::GET, "/readyz")).await.status, 200);
    }
    let good = token(Algorithm::ES256, Some("ec"), &but(&json!({ "iss": ISSUER })), &ec());
    let form = form_urlencoded::Serializer::new(String::new()).append_pair("token", &good).finish();
    let signed_in = request(Method::POST, "/sign-in").header("Content-Type", "application/x-www-form-urlencoded");
    let signed_in = answer(signed_in.body(form)).await;
    assert_eq!(signed_in.status, 303, "{signed_in:?}");
    let cookie = signed_in.header("set-cookie").split(';').next().unwrap().to_owned();
    for cents in 1..=4 {
        let page = answer(request(Method::GET, "/").header("Accept", "text/html").header("Cookie", &cookie)).await;
        assert!(page.status == 200 && page.text.contains("<main"), "{page:?}");
        let command = request(Method::POST, "/commands/deposit").bearer_auth(&good);
        let receipt = answer(command.json(&json!({ "account": "a", "cents": 1 }))).await;
        assert_eq!(receipt.status, 200, "{receipt:?}");
        let head = &receipt.json()["head"];
        let after = format!("{}:{}", head["position"], head["event_id"].as_str().unwrap());
        let read =
            answer(request(Method::GET, &format!("/views/balance/a?after={after}")).bearer_auth(&good)).await;
        assert!(read.status == 200 && read.text.contains(&format!("\"cents\":{cents}")), "{read:?}");
    }
    assert!(balancer.carried().iter().all(|carried| *carried >= 6), "{:?}", balancer.carried());
    for process in processes {
        assert!(process.stop().await.status.success());
    }
}

/// Mission X76: the standby that is read, on the command line and for Prometheus. Here it is the server itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_lag_of_the_standby_is_shown() {
    let place = Place::postgres();
    let read = place.url().split('?').next().unwrap().replace('@', "%40");
    let store = format!("{}&read={read}", place.url());
    let bank = |arguments: &[&str]| Process::bank(&[arguments, &["--store", &store]].concat(), &[]);
    let process = tokio::task::block_in_place(|| {
        Process::start(bank(&["serve", "--listen", "127.0.0.1:0", "--actor", "user:alice"]), Stdio::piped())
    });
    let client = Client::new();
    let command = client.post(format!("{}/commands/deposit", process.url));
    assert_eq!(answer(command.json(&json!({ "account": "a", "cents": 1 }))).await.status, 200);
    let metrics = answer(client.get(format!("{}/metrics", process.url))).await.text;
    for line in ["annals_standby_up 1", "annals_standby_lag_events 0", "annals_log_position 1"] {
        assert!(metrics.lines().any(|found| found == line), "{line} is not in {metrics}");
    }
    let page =
        answer(client.get(format!("{}/page/projections", process.url)).header("Accept", "text/html")).await.text;
    assert!(page.contains("Read from the standby") && page.contains("lacks 0 events"), "{page}");
    let status = tokio::task::block_in_place(|| bank(&["projections", "status"]).output().unwrap());
    let status = String::from_utf8_lossy(&status.stdout).into_owned();
    assert!(status.contains("read from the standby postgres://") && status.contains("at 1 (lag 0)"), "{status}");
    assert!(process.stop().await.status.success());
}
