//! What goes to stderr, and what to stdout.

use annals_test_postgres::Place;
use serde_json::{Value, json};

use crate::process::Process;
use crate::served::answer;

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
