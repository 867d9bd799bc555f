//! Cursors, and how streams begin and end.

use annals_test_postgres::{Place, both_stores};
use serde_json::{Value, json};

use crate::conformance::address;
use crate::rpc::Rpc;
use crate::server::Server;
use crate::sse::Sse;

async fn problem(url: &str, last: Option<&str>) -> (u16, Value) {
    let answer = Sse::ask(url, last).await;
    assert_eq!(answer.headers()["content-type"], "application/problem+json");
    (answer.status().as_u16(), answer.json().await.unwrap())
}

/// Mission D8: `Last-Event-ID` overrides the query string, which a browser repeats when it reconnects.
async fn a_stream_resumes_after_the_last_received_event(place: &Place) {
    let server = Server::start(place.url()).await;
    for n in 1..=5 {
        server.pay("ann", "1", n).await;
    }
    let url = server.url("/live/audit");
    let mut stream = Sse::open(&url, None).await;
    let mut ids = Vec::new();
    for position in 1..=5 {
        let event = stream.next().await.unwrap();
        assert_eq!((event.name.as_str(), &event.json()["position"]), ("row", &json!(position)));
        ids.push(event.id);
    }
    drop(stream);
    for (path, last) in [
        (format!("/live/audit?after={}", ids[2]), None),
        (format!("/live/audit?cursor={}", ids[2]), None),
        ("/live/audit".to_owned(), Some(ids[2].as_str())),
        (format!("/live/audit?after={}", ids[0]), Some(ids[2].as_str())),
    ] {
        let mut stream = Sse::open(&server.url(&path), last).await;
        let event = stream.next().await.unwrap();
        assert_eq!((&event.json()["position"], &event.id), (&json!(4), &ids[3]), "{path}");
    }
    // After the last stored row come live ones.
    let mut stream = Sse::open(&url, Some(&ids[4])).await;
    server.pay("bob", "1", 6).await;
    assert_eq!(stream.next().await.unwrap().json()["actor"], "user:bob");
    server.stop().await;
}

/// An invalid `Last-Event-ID`, or one of another log or query.
async fn a_cursor_of_another_log_or_query_is_refused(place: &Place) {
    let other = Server::start("sqlite::memory:").await;
    let server = Server::start(place.url()).await;
    for server in [&other, &server] {
        server.pay("ann", "1", 1).await;
        server.pay("ann", "1", 2).await;
    }
    let ids = async |server: &Server| {
        let row = Sse::open(&server.url("/live/audit"), None).await.next().await.unwrap().id;
        let mut numbers = Sse::open(&server.url("/live/metrics/bank"), None).await;
        loop {
            let number = numbers.next().await.unwrap();
            // The metric of an empty log has no cursor.
            if number.json()["total"] == 2 {
                return (row, number.id);
            }
        }
    };
    let (foreign, own) = (ids(&other).await, ids(&server).await);
    let bad = [
        ("/live/audit", foreign.0.as_str(), 409),
        ("/live/audit?actor=user:ann", &own.0, 400),
        ("/live/audit?from=2", &own.0, 400),
        ("/live/audit?until=2", &foreign.0, 400),
        ("/live/audit", "7", 400),
        ("/live/audit", "zz", 400),
        ("/live/metrics/bank", &foreign.1, 409),
        ("/live/metrics", &own.1, 400),
        ("/live/metrics/bank", &own.0, 400),
    ];
    for (path, id, status) in bad {
        assert_eq!(problem(&server.url(path), Some(id)).await.0, status, "{path} {id}");
    }
    let mut rpc = Rpc::open(server.address).await;
    for (method, params, code) in [
        ("subscribe_audit", json!({"cursor": foreign.0}), -32009),
        ("subscribe_audit", json!({"actor": ["user:ann"], "cursor": own.0}), -32602),
        ("subscribe_metric", json!({"topic": "bank", "cursor": foreign.1}), -32009),
        ("subscribe_metric", json!({"topic": "", "cursor": own.1}), -32602),
        ("subscribe_audit", json!({"cursor": "zz"}), -32602),
    ] {
        let error = rpc.call(method, params.clone()).await.unwrap_err();
        assert_eq!(error["code"], code, "{method} {params} {error}");
    }
    other.stop().await;
    server.stop().await;
}

/// Errors are returned before the stream begins.
async fn an_invalid_query_opens_no_stream(place: &Place) {
    let server = Server::start(place.url()).await;
    for (path, status, says) in [
        ("/live/audit?newest_first=true", 400, "--newest-first"),
        ("/live/audit?by_occurrence=true", 400, "occurrence"),
        ("/live/audit?topic=nowhere", 400, "nowhere"),
        ("/live/audit?limit=0", 400, "limit"),
        ("/live/audit?actr=user:a", 400, "actr"),
        ("/live/audit?from=3&until=2", 400, "ends at 2"),
        ("/live/metrics/nowhere", 400, "nowhere"),
        ("/live/metrics/bank?actor=user:a", 400, "actor"),
        ("/live", 426, "WebSocket"),
    ] {
        let (found, problem) = problem(&server.url(path), None).await;
        assert!(found == status && problem["detail"].as_str().unwrap().contains(says), "{path}: {problem}");
    }
    server.stop().await;
}

/// Mission P16: at the limit, at the end of a range, and when the server stops.
async fn the_last_event_has_the_reason_and_the_cursor_to_resume_from(place: &Place) {
    let mut server = Server::start(place.url()).await;
    for n in 1..=6 {
        server.pay(["ann", "bob"][n % 2], "1", n as i64).await;
    }
    for (words, rows) in
        [(vec![("limit", "2")], 2), (vec![("from", "2"), ("until", "5")], 3), (vec![("until", "1")], 0)]
    {
        let mut stream = Sse::open(&address(server.address, "/live/audit", &words), None).await;
        for _ in 0..rows {
            assert_eq!(stream.next().await.unwrap().name, "row");
        }
        let end = stream.next().await.unwrap();
        assert_eq!((end.name.as_str(), &end.json()["reason"]), ("end", &json!("done")), "{words:?}");
        assert!(stream.next().await.is_none());
        // A browser reconnects with the id of the last event: only 204 stops it.
        let again = Sse::ask(&address(server.address, "/live/audit", &words), Some(&end.id)).await;
        assert_eq!((again.status().as_u16(), again.text().await.unwrap()), (204, String::new()), "{words:?}");
    }
    let url = server.url("/live/audit?actor=user:ann");
    let mut stream = Sse::open(&url, None).await;
    let mut rpc = Rpc::open(server.address).await;
    let number = rpc.call("subscribe_audit", json!({"actor": ["user:ann"]})).await.unwrap();
    for position in [2, 4, 6] {
        assert_eq!(stream.next().await.unwrap().json()["position"], position);
        let message = rpc.notification().await.unwrap();
        assert_eq!(message["params"]["result"]["row"]["position"], position);
    }
    let at = server.address.to_string();
    server.stop().await;
    let end = stream.next().await.unwrap();
    let cursor = end.json()["cursor"].as_str().unwrap().to_owned();
    assert_eq!((end.name.as_str(), &end.json()["reason"], &end.id), ("end", &json!("shutdown"), &cursor));
    assert!(stream.next().await.is_none());
    let message = rpc.notification().await.unwrap();
    assert_eq!(message["params"]["subscription"], number);
    let error = &message["params"]["error"];
    assert_eq!(
        (&error["data"]["reason"], &error["data"]["cursor"]),
        (&json!("shutdown"), &json!(cursor)),
        "{error}"
    );
    assert_eq!(rpc.receive().await.unwrap_err().map(|frame| u16::from(frame.code)), Some(1001));
    server = Server::start_at(place.url(), crate::bank::app(), &at).await;
    server.pay("ann", "1", 7).await;
    let mut stream = Sse::open(&url, Some(&cursor)).await;
    assert_eq!(stream.next().await.unwrap().json()["position"], 7);
    server.stop().await;
}

both_stores! {
    a_stream_resumes_after_the_last_received_event,
    a_cursor_of_another_log_or_query_is_refused,
    an_invalid_query_opens_no_stream,
    the_last_event_has_the_reason_and_the_cursor_to_resume_from,
}
