//! The log is restored to an older state under a running server.

use annals::projections::SkipPolicy;
use annals_test_postgres::{Place, both_stores};
use reqwest::{Client, Response};
use serde_json::{Value, json};

use crate::bank::app;
use crate::older::{Older, settle};
use crate::rpc::Rpc;
use crate::server::Server;
use crate::sse::Sse;

async fn get(server: &Server, path: &str) -> Response {
    Client::builder().no_proxy().build().unwrap().get(server.url(path)).send().await.unwrap()
}

/// The end of a stream, after any pending events.
async fn end_of(stream: &mut Sse) -> Value {
    loop {
        let event = stream.next().await.expect("the stream has an end");
        if event.name == "end" {
            return event.json();
        }
    }
}

/// The position and id of the newest row that a page shows.
fn shown(page: &str) -> (String, String) {
    let of = |name: &str| {
        let from = page.find(name).unwrap_or_else(|| panic!("no {name} in {page}")) + name.len();
        page[from..].split('"').next().unwrap().to_owned()
    };
    (of("data-last=\""), of("data-id=\""))
}

/// Guarantee 16: no response has rows of the lost history or mixes two histories. Open streams and pages end with an error,
/// and reads after a rebuild are right.
async fn after_a_restore_no_response_has_the_lost_history_and_open_streams_end(place: &Place) {
    let server = Server::start(place.url()).await;
    server.pay("alice", "a", 1).await;
    let older = Older::keep(&server.annals, place).await;
    for cents in 2..=4 {
        server.pay("alice", "a", cents).await;
    }
    settle(&server.annals).await;
    let reads = [
        "/audit?actor=user:alice",
        "/audit?newest_first=true",
        "/metrics/bank",
        "/views/balance",
        "/views/balance/a",
    ];
    for path in reads {
        assert_eq!(get(&server, path).await.status(), 200, "{path}");
    }
    let page = get(&server, "/").await.text().await.unwrap();
    let (last, id) = shown(&page);
    assert_eq!(last, "4");
    let rows = format!("/rows?after={last}&id={id}");
    assert_eq!(get(&server, &rows).await.status(), 200);
    let mut stream = Sse::open(&server.url("/live/audit"), None).await;
    for _ in 1..=4 {
        assert_eq!(stream.next().await.unwrap().name, "row");
    }
    let mut metric = Sse::open(&server.url("/live/metrics/bank"), None).await;
    assert_eq!(metric.next().await.unwrap().json()["total"], 4);
    let mut rpc = Rpc::open(server.address).await;
    rpc.call("subscribe_audit", json!({})).await.unwrap();
    for _ in 1..=4 {
        assert!(rpc.notification().await.unwrap()["params"]["result"]["row"].is_object());
    }

    older.put_back(place);
    let other = app().open_without_following(place.url()).await.unwrap();
    for cents in 0..6 {
        other.execute(crate::bank::deposit("b", 10 + cents), &crate::bank::by("bob")).await.unwrap();
    }
    for path in reads {
        let answer = get(&server, path).await;
        assert_eq!(answer.status(), 503, "{path}");
        let problem: Value = answer.json().await.unwrap();
        assert_eq!(problem["type"], "urn:annals:log-diverged", "{path}");
        assert!(problem["detail"].as_str().unwrap().contains("projections rebuild"), "{problem}");
    }
    assert_eq!(get(&server, "/").await.status(), 503);
    assert_eq!(get(&server, &rows).await.status(), 409, "rows of another log are added to the page");
    assert_eq!(get(&server, "/audit/export?format=csv").await.status().as_u16() / 100, 5);
    let lost = end_of(&mut stream).await;
    assert_eq!((&lost["reason"], lost["problem"]["status"].is_u64()), (&json!("failed"), true), "{lost}");
    assert_eq!(end_of(&mut metric).await["reason"], "failed");
    let ended = rpc.notification().await.unwrap();
    assert!(ended["params"]["error"].is_object(), "{ended}");
    let cursor = lost["cursor"].as_str().unwrap();
    assert_eq!(Sse::ask(&server.url("/live/audit"), Some(cursor)).await.status(), 409);

    for (_, rebuild) in other.rebuild_all(SkipPolicy::Refuse) {
        rebuild.unwrap().await.unwrap();
    }
    let rows: Value = get(&server, "/audit?actor=user:alice").await.json().await.unwrap();
    assert_eq!(rows["rows"].as_array().unwrap().len(), 1);
    let metric: Value = get(&server, "/metrics/bank").await.json().await.unwrap();
    assert_eq!(metric["total"], 7);
    assert_eq!(get(&server, "/").await.status(), 200);
    other.close().await;
    server.stop().await;
}

both_stores! {
    after_a_restore_no_response_has_the_lost_history_and_open_streams_end,
}
