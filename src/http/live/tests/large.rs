//! Large events: batches, pages and answers are bounded in bytes, and every row arrives once.

use super::*;
use crate::commands::Envelope;
use crate::projections::tests::fixture::stores::{empty, on_postgres_too};

const LARGE: usize = 40_000;

fn bob() -> Context {
    Context::by("user:bob".parse::<crate::events::Ref>().unwrap())
}

/// The rows of a batch in memory, as JSON.
fn bytes<'a>(rows: impl Iterator<Item = &'a str>) -> usize {
    rows.map(str::len).sum()
}

/// Mission P1: what is held for a client does not depend on the size of events.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscription_of_large_events_reads_few_at_a_time() {
    let world = World::on(&empty()).await;
    for _ in 0..60 {
        world.write(LARGE).await;
    }
    let broadcast = AuditBroadcast::new(world.annals.clone());
    let mut receiver = broadcast.subscribe();
    let (asked, words) = (AuditQueryParams::default(), PresentationParams::default());
    let lifetime = StreamLifetime::new(watch::channel(false).1);
    let open = AuditSubscription::open(broadcast.clone(), world.annals.audit(), &asked, words, lifetime).await;
    let mut items = open.unwrap_or_else(|problem| panic!("{problem:?}")).items();
    let mut seen = 0;
    while seen < 60 {
        let item = timeout(TIMEOUT, items.next()).await.expect("no data in time");
        let Some(LiveItem::Rows(rows)) = item else { panic!("no rows") };
        seen += rows.selected.len();
        let held = bytes(rows.json().map(|(_, json)| json));
        assert!(held <= 10 * (LARGE + 2_000), "{held} bytes at once");
    }
    // Many at once, so that the reader task finds them together.
    let write = |_| Write { pad: PadId::new("1"), text: "x".repeat(LARGE) };
    let writes = futures::stream::iter((0..60).map(write)).map(|write| Envelope::new(write, bob()));
    let answers = world.annals.execute_all(writes, 64);
    let writing = tokio::spawn(answers.for_each(async |receipt| assert!(receipt.is_ok())));
    let mut reached = 60;
    while reached < 120 {
        let batch = timeout(TIMEOUT, receiver.batches.recv()).await.expect("no data in time").unwrap();
        assert_eq!(batch.from.position, reached);
        reached = batch.to.position;
        let held = bytes((0..batch.rows.len()).map(|index| batch.json(index)));
        assert!(held <= 16 * (LARGE + 2_000), "{held} bytes at once");
    }
    writing.await.unwrap();
    world.end().await;
}

/// Mission X50, by JSON-RPC.
#[tokio::test]
async fn an_answer_of_json_rpc_about_large_events_ends_early_and_continues() {
    let world = World::on(&empty()).await;
    for _ in 0..5 {
        world.write(400_000).await;
    }
    let head = world.annals.store().head().await.unwrap();
    world.annals.audit().after(head).limit(1).page().await.unwrap();
    let mut socket = world.websocket().await;
    let (mut seen, mut cursor) = (Vec::new(), Value::Null);
    loop {
        let mut params = json!({ "limit": 1_000 });
        if cursor.is_string() {
            params["cursor"] = cursor;
        }
        let call = json!({ "jsonrpc": "2.0", "id": 1, "method": "audit", "params": params }).to_string();
        assert!(call.len() < 1_000);
        socket.send(Message::text(call)).await.unwrap();
        let page = message(&mut socket).await["result"].take();
        let rows = page["rows"].as_array().unwrap_or_else(|| panic!("{page}"));
        assert_eq!(rows.len(), 1, "each row is larger than a page");
        seen.extend(rows.iter().map(|row| row["position"].as_u64().unwrap()));
        cursor = page["next"].clone();
        if cursor.is_null() {
            break;
        }
    }
    assert_eq!(seen, [1, 2, 3, 4, 5]);
    world.end().await;
}

on_postgres_too! {
    a_subscription_of_large_events_reads_few_at_a_time,
    an_answer_of_json_rpc_about_large_events_ends_early_and_continues,
}
