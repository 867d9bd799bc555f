//! Each stream starts with the current value of the metric, then sends its changes.

use annals_test_postgres::{Place, both_stores};
use serde_json::{Value, json};

use crate::bank::app;
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

both_stores! {
    each_stream_starts_with_the_whole_count_then_sends_changes,
    the_streams_of_a_metric_share_one_watcher,
}
