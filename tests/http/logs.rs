//! What goes to stderr, and what to stdout.

use std::process::Stdio;
use std::time::Duration;

use annals_test_postgres::Place;
use jiff::Timestamp;
use reqwest::Client;
use serde_json::{Value, json};

use crate::process::Process;
use crate::served::answer;

annals_test_postgres::both_stores! {
    each_request_is_a_line_of_time_server_client_method_path_and_code,
    a_stderr_that_takes_nothing_ends_no_work,
}

/// P24: logs are JSON, a line each, on stderr and nowhere else; each says in what it was logged.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logs_are_lines_of_json_on_stderr_alone_and_say_in_which_request() {
    let place = Place::sqlite();
    let process = Process::serve(&place, &[], &[("ANNALS_LOG", "annals=debug"), ("ANNALS_LOG_FORMAT", "json")]);
    let client = reqwest::Client::new();
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let deposit =
        client.post(format!("{}/commands/deposit", process.url)).json(&json!({"account": "a", "cents": 1}));
    let deposit = deposit.header("traceparent", format!("00-{trace}-00f067aa0ba902b7-01"));
    assert_eq!(answer(deposit).await.status, 200);
    assert_eq!(answer(client.get(format!("{}/nowhere", process.url))).await.status, 404);
    let url = process.url.clone();
    let ended = process.stop().await;
    assert!(ended.status.success(), "{ended:?}");
    assert_eq!(ended.out, [format!("listening on {url}")], "stdout is for what was asked for");
    let lines: Vec<Value> = ended.err.iter().map(|line| serde_json::from_str(line).expect(line)).collect();
    for line in &lines {
        let known = ["timestamp", "level", "fields", "target"];
        assert!(known.iter().all(|name| line.get(name).is_some()), "{line}");
    }
    let answered: Vec<&Value> =
        lines.iter().filter(|line| line["fields"]["message"] == "answered").map(|line| &line["span"]).collect();
    let [done, nowhere] = answered[..] else { panic!("{lines:?}") };
    assert_eq!((&done["name"], &done["method"]), (&json!("request"), &json!("POST")));
    assert_eq!((&done["route"], &done["status"]), (&json!("/commands/{name}"), &json!(200)));
    assert_eq!((&done["actor"], &done["trace"]), (&json!("user:alice"), &json!(trace)));
    assert_eq!((&nowhere["route"], &nowhere["status"]), (&json!("none"), &json!(404)));
}

/// D7: the observation line, whatever the route is: one of a wildcard, one that is not there, one that stays open.
async fn each_request_is_a_line_of_time_server_client_method_path_and_code(place: &Place) {
    let began = Timestamp::now();
    let process = Process::serve(place, &[], &[("ANNALS_LOG", "annals=debug"), ("ANNALS_LOG_FORMAT", "json")]);
    let client = Client::new();
    let url = |path: &str| format!("{}{path}", process.url);
    let deposit = client.post(url("/commands/deposit")).json(&json!({"account": "a", "cents": 1}));
    answer(deposit.header("Annals-Actor", "user:bob")).await;
    for path in ["/views/balance/x%2Fy?after=", "/metrics/bank/account", "/metrics/", "/audit?limit=x", "/no/where"]
    {
        answer(client.get(url(path))).await;
    }
    drop(client.get(url("/live/metrics/bank/account")).send().await.unwrap());
    answer(client.delete(url("/audit"))).await;
    answer(client.get(url("/healthz"))).await;
    let ended = process.stop().await;
    let lines: Vec<Value> = ended.err.iter().map(|line| serde_json::from_str(line).expect(line)).collect();
    let mut observed = Vec::new();
    for line in lines.iter().filter(|line| line["fields"]["message"] == "answered") {
        let time: Timestamp = line["timestamp"].as_str().unwrap().parse().unwrap();
        assert!(began - Duration::from_secs(1) <= time && time <= Timestamp::now(), "{line}");
        let span = &line["span"];
        let parts =
            ["server", "client", "actor", "method", "path", "route", "status"].map(|part| match &span[part] {
                Value::String(text) => text.clone(),
                Value::Null => "-".to_owned(),
                other => other.to_string(),
            });
        observed.push(parts.join(" "));
    }
    let golden = [
        "bank 127.0.0.1 user:bob POST /commands/deposit /commands/{name} 200",
        "bank 127.0.0.1 user:alice GET /views/balance/x%2Fy /views/{name}/{key} 400",
        "bank 127.0.0.1 user:alice GET /metrics/bank/account /metrics/{*topic} 200",
        "bank 127.0.0.1 user:alice GET /metrics/ /metrics/ 200",
        "bank 127.0.0.1 user:alice GET /audit /audit 400",
        "bank 127.0.0.1 user:alice GET /no/where none 404",
        "bank 127.0.0.1 user:alice GET /live/metrics/bank/account /live/metrics/{*topic} 200",
        "bank 127.0.0.1 user:alice DELETE /audit /audit 405",
        "bank 127.0.0.1 - GET /healthz /healthz 200",
    ];
    assert_eq!(observed, golden);
}

/// Whatever becomes of the log: what is asked for is done, and the program goes on and ends as it should.
async fn a_stderr_that_takes_nothing_ends_no_work(place: &Place) {
    let (closed, gone) = std::io::pipe().unwrap();
    drop(closed);
    let (_unread, full) = std::io::pipe().unwrap();
    let disk = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut paid = 0;
    for (what, stderr) in
        [("a full disk", Stdio::from(disk)), ("a closed pipe", gone.into()), ("a pipe nobody reads", full.into())]
    {
        // More lines than a pipe holds.
        let command = Process::command(place, &[], &[("ANNALS_LOG", "trace"), ("ANNALS_LOG_FORMAT", "json")]);
        let process = Process::start(command, stderr);
        let client = Client::builder().timeout(Duration::from_secs(30)).build().unwrap();
        for _ in 0..10 {
            let paying = (0..16).map(|n| {
                let deposit = client.post(format!("{}/commands/deposit", process.url));
                answer(deposit.json(&json!({"account": n.to_string(), "cents": 1})))
            });
            for answer in futures::future::join_all(paying).await {
                assert_eq!(answer.status, 200, "{what}: {answer:?}");
                paid += 1;
            }
        }
        for path in ["/readyz", "/audit?limit=1"] {
            assert_eq!(answer(client.get(format!("{}{path}", process.url))).await.status, 200, "{what}: {path}");
        }
        let ended = process.stop().await;
        assert!(ended.status.success(), "{what}: {ended:?}");
        assert!(ended.took < Duration::from_secs(20), "{what}: {ended:?}");
    }
    let annals = crate::bank::open(place).await;
    assert_eq!(annals.store().head().await.unwrap().position, paid);
    annals.close().await;
}
