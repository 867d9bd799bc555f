//! Each stream starts with the current value of the metric, then sends its changes.

use annals_test_postgres::{Place, both_stores};
use serde_json::{Value, json};

use crate::bank::{app, by, deposit};
use crate::rpc::Rpc;
use crate::server::Server;
use crate::sse::Sse;

/// The total and the id of the next event.
async fn from_sse(stream: &mut Sse) -> (u64, String) {
    let event = stream.next().await.unwrap();
    assert_eq!(event.name, "metric");
    (event.json()["total"].as_u64().unwrap(), event.id)
}

async fn from_rpc(rpc: &mut Rpc) -> u64 {
    let mut message = rpc.notification().await.unwrap();
    assert_eq!(message["method"], "metric");
    let result: Value = message["params"]["result"].take();
    assert!(result["cursor"].is_string() || result["metric"]["total"] == 0, "{result}");
    result["metric"]["total"].as_u64().unwrap()
}

/// Missions P4 and P6: after a reconnect, the first value is the whole count.
async fn each_stream_starts_with_the_whole_count_then_sends_changes(place: &Place) {
    let mut server = Server::start(place.url()).await;
    let url = server.url("/live/metrics/bank/account");
    let mut stream = Sse::open(&url, None).await;
    assert_eq!(from_sse(&mut stream).await, (0, String::new()), "an empty log has no cursor");
    for n in 1..=3 {
        server.pay("ann", "1", n).await;
        while from_sse(&mut stream).await.0 < n as u64 {}
    }
    // A second stream of the same metric, and one of all events.
    let mut second = Sse::open(&url, None).await;
    let mut all = Sse::open(&server.url("/live/metrics"), None).await;
    let (total, id) = from_sse(&mut second).await;
    assert_eq!((total, from_sse(&mut all).await.0), (3, 3));
    let mut rpc = Rpc::open(server.address).await;
    rpc.call("subscribe_metric", json!({"topic": "bank"})).await.unwrap();
    assert_eq!(from_rpc(&mut rpc).await, 3);
    server.pay("bob", "2", 4).await;
    assert_eq!(from_sse(&mut second).await.0, 4);
    assert_eq!(from_rpc(&mut rpc).await, 4);
    let at = server.address.to_string();
    server.stop().await;
    let end = std::iter::repeat_with(|| ()).take(3);
    let mut last = None;
    for () in end {
        match second.next().await {
            Some(event) if event.name == "end" => last = Some(event.json()),
            Some(_) => {}
            None => break,
        }
    }
    assert_eq!(last.unwrap()["reason"], "shutdown");
    server = Server::start_at(place.url(), app(), &at).await;
    server.pay("bob", "2", 5).await;
    // The whole count, wherever the stream was interrupted.
    server.annals.metric("bank").after(server.annals.store().head().await.unwrap()).await.unwrap();
    let mut again = Sse::open(&url, Some(&id)).await;
    assert_eq!(from_sse(&mut again).await.0, 5);
    server.stop().await;
}

/// Mission P4: a slow client skips to the latest value.
async fn the_streams_of_a_metric_share_one_watcher(place: &Place) {
    let server = Server::start(place.url()).await;
    let mut streams = Vec::new();
    for _ in 0..20 {
        let mut stream = Sse::open(&server.url("/live/metrics/bank?from=2"), None).await;
        assert_eq!(from_sse(&mut stream).await.0, 0);
        streams.push(stream);
    }
    for n in 1..=50 {
        server.pay("ann", "1", n).await;
    }
    for stream in &mut streams {
        let mut last = 0;
        while last < 49 {
            let (total, _) = from_sse(stream).await;
            assert!(total >= last, "the total decreased from {last} to {total}");
            last = total;
        }
        assert_eq!(last, 49, "the window begins at the second event");
    }
    server.stop().await;
}

/// Missions P4 and X22: an import of old events is a change, in Server-Sent Events and in JSON-RPC.
async fn a_live_metric_by_occurrence_counts_old_events_as_they_are_imported(place: &Place) {
    let server = Server::start_at(place.url(), app().metrics_by_occurrence(), "127.0.0.1:0").await;
    let of = |range: &str| server.url(&format!("/live/metrics/bank?{range}from=1999-01-01&until=2000-01-01"));
    let mut stream = Sse::open(&of("by_occurrence=true&"), None).await;
    assert_eq!(from_sse(&mut stream).await.0, 0);
    let mut rpc = Rpc::open(server.address).await;
    let params = json!({"topic": "bank", "by_occurrence": true, "from": "1999-01-01", "until": "2000-01-01"});
    rpc.call("subscribe_metric", params.clone()).await.unwrap();
    assert_eq!(from_rpc(&mut rpc).await, 0);
    for (n, occurred) in [(1, "1999-12-31T23:59:59.999999Z"), (2, "1999-01-01T00:00:00Z")] {
        server.pay("ann", "1", 1).await;
        let then = by("ann").occurred_at(occurred.parse().unwrap());
        let imported = server.annals.execute(deposit("1", 1), &then).await.unwrap();
        server.annals.metric("bank").after(imported).await.unwrap();
        let (total, id) = from_sse(&mut stream).await;
        assert_eq!((total, from_rpc(&mut rpc).await), (n, n));
        let mut resumed = Sse::open(&of("by_occurrence=true&"), Some(&id)).await;
        assert_eq!(from_sse(&mut resumed).await.0, n);
    }
    assert_eq!(rpc.call("metric", params).await.unwrap()["total"], 2);
    let mut recorded = Sse::open(&of(""), None).await;
    assert_eq!(from_sse(&mut recorded).await.0, 0, "they were recorded today");
    server.stop().await;
}

both_stores! {
    a_live_metric_by_occurrence_counts_old_events_as_they_are_imported,
    each_stream_starts_with_the_whole_count_then_sends_changes,
    the_streams_of_a_metric_share_one_watcher,
}
