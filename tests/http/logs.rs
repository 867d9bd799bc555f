//! Log lines on stderr, results on stdout.

use std::process::Stdio;
use std::time::Duration;

use annals_test_postgres::Place;
use jiff::Timestamp;
use reqwest::Client;
use serde_json::{Value, json};

use crate::process::Process;
use crate::served::answer;

annals_test_postgres::both_stores! {
    each_request_is_one_log_line_with_time_server_client_method_path_and_status,
    a_stderr_that_cannot_be_written_stops_no_work,
}

/// Mission P24: each log line is JSON on stderr, with the span that it was logged in.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn log_lines_are_json_on_stderr_only_and_name_their_request() {
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
    assert_eq!(ended.out, [format!("listening on {url}")], "stdout has more than the address");
    let lines: Vec<Value> = ended.err.iter().map(|line| serde_json::from_str(line).expect(line)).collect();
    for line in &lines {
        let known = ["timestamp", "level", "fields", "target"];
        assert!(known.iter().all(|name| line.get(name).is_some()), "{line}");
    }
    let responded: Vec<&Value> =
        lines.iter().filter(|line| line["fields"]["message"] == "responded").map(|line| &line["span"]).collect();
    let [done, nowhere] = responded[..] else { panic!("{lines:?}") };
    assert_eq!((&done["name"], &done["method"]), (&json!("request"), &json!("POST")));
    assert_eq!((&done["route"], &done["status"]), (&json!("/commands/{name}"), &json!(200)));
    assert_eq!((&done["actor"], &done["trace"]), (&json!("user:alice"), &json!(trace)));
    assert_eq!((&nowhere["route"], &nowhere["status"]), (&json!("none"), &json!(404)));
}

/// Mission D7: one line for each request, on any route: a wildcard, an unknown path, a stream.
async fn each_request_is_one_log_line_with_time_server_client_method_path_and_status(place: &Place) {
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
    for line in lines.iter().filter(|line| line["fields"]["message"] == "responded") {
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

/// Commands are executed and the server stops cleanly although its log lines are lost.
async fn a_stderr_that_cannot_be_written_stops_no_work(place: &Place) {
    let (closed, gone) = std::io::pipe().unwrap();
    drop(closed);
    let (_unread, full) = std::io::pipe().unwrap();
    let disk = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut paid = 0;
    for (what, stderr) in
        [("a full disk", Stdio::from(disk)), ("a closed pipe", gone.into()), ("an unread pipe", full.into())]
    {
        // More lines than the pipe's buffer holds.
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
