//! The tasks of live streams panic, as when a log line cannot be written: they are started again, and no client waits
//! forever.

use super::*;
use crate::projections::tests::fixture::stores::{empty, on_postgres_too};
use crate::supervise::failing::panic_in;

async fn event(lines: &mut Lines) -> (String, Value) {
    let event = timeout(TIMEOUT / 2, lines.event()).await.expect("no event in time");
    event.expect("the stream has not ended")
}

/// The next row of the audit log.
async fn row(lines: &mut Lines) -> u64 {
    let (name, data) = event(lines).await;
    assert_eq!(name, "row", "{data}");
    data["position"].as_u64().unwrap()
}

/// The next value of a metric.
async fn total(lines: &mut Lines) -> u64 {
    let (name, data) = event(lines).await;
    assert_eq!(name, "metric", "{data}");
    data["total"].as_u64().unwrap()
}

/// The next message on a WebSocket; pings do not count.
async fn received(socket: &mut WebSocketStream<TcpStream>) -> Value {
    timeout(TIMEOUT / 2, message(socket)).await.expect("no message in time")
}

#[tokio::test]
async fn a_shared_reader_that_panics_is_started_again_and_every_row_arrives_once() {
    let world = World::on(&empty()).await;
    let mut lines = world.stream("/live/audit").await;
    let task = "shared reader of live streams";
    for round in 0..6 {
        world.write(1).await;
        assert_eq!(row(&mut lines).await, 2 * round + 1);
        // In the last round it never runs again: the subscriber reads from the store.
        panic_in(task, 0, if round < 5 { round as u32 } else { u32::MAX });
        world.write(1).await;
        assert_eq!(row(&mut lines).await, 2 * round + 2);
    }
    panic_in(task, 0, 0);
    world.end().await;
}

#[tokio::test]
async fn a_watcher_of_a_metric_that_panics_is_started_again_or_its_streams_end_with_the_reason() {
    let world = World::on(&empty()).await;
    let mut lines = world.stream("/live/metrics/pad").await;
    assert_eq!(total(&mut lines).await, 0);
    for panics in 0..3 {
        panic_in("watcher of a metric", 0, panics);
        world.write(1).await;
        assert_eq!(total(&mut lines).await, u64::from(panics) + 1);
    }
    panic_in("watcher of a metric", 0, u32::MAX);
    world.write(1).await;
    let (name, data) = event(&mut lines).await;
    assert_eq!((name.as_str(), &data["reason"]), ("end", &json!("failed")), "{data}");
    let detail = data["problem"]["detail"].as_str().unwrap();
    assert!(detail.contains("panicked 5 times in a row"), "{detail}");
    panic_in("watcher of a metric", 0, 0);
    let mut lines = world.stream("/live/metrics/pad").await;
    assert_eq!(total(&mut lines).await, 4);
    world.write(1).await;
    assert_eq!(total(&mut lines).await, 5);
    world.end().await;
}

#[tokio::test]
async fn a_subscription_that_panics_ends_with_an_error_and_the_cursor_to_resume_from() {
    let world = World::on(&empty()).await;
    let mut socket = world.websocket().await;
    let subscribe = |cursor: Value| {
        let params = json!({ "cursor": cursor });
        json!({"jsonrpc": "2.0", "id": 1, "method": "subscribe_audit", "params": params}).to_string()
    };
    socket.send(Message::text(subscribe(Value::Null))).await.unwrap();
    assert!(received(&mut socket).await["result"].is_u64());
    world.write(1).await;
    assert_eq!(received(&mut socket).await["params"]["result"]["row"]["position"], 1);
    panic_in("subscription", 0, 1);
    world.write(1).await;
    let end = received(&mut socket).await;
    assert_eq!(end["params"]["error"]["data"]["reason"], "failed", "{end}");
    socket.send(Message::text(subscribe(end["params"]["error"]["data"]["cursor"].clone()))).await.unwrap();
    assert!(received(&mut socket).await["result"].is_u64());
    assert_eq!(received(&mut socket).await["params"]["result"]["row"]["position"], 2);
    world.end().await;
}

on_postgres_too! {
    a_shared_reader_that_panics_is_started_again_and_every_row_arrives_once,
    a_watcher_of_a_metric_that_panics_is_started_again_or_its_streams_end_with_the_reason,
    a_subscription_that_panics_ends_with_an_error_and_the_cursor_to_resume_from,
}
