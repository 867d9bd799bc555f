//! The origin of a request in the metadata of its events.

use annals::events::Origin;
use annals::http::Authentication;
use annals_test_postgres::Place;
use reqwest::Method;
use serde_json::json;

use crate::bank::{self, app};
use crate::served::{Served, answer};

annals_test_postgres::both_stores! {
    each_write_carries_actor_host_method_format_and_path,
    a_trace_id_is_recorded_as_correlation,
}

/// Missions D1 and D7.
async fn each_write_carries_actor_host_method_format_and_path(place: &Place) {
    let served = Served::alice(app(), place).await;
    served.deposit("a", 1).await;
    let metadata = bank::log(&served.annals).await[0].metadata().unwrap();
    assert_eq!(metadata.actor.as_str(), "user:alice");
    let some = |text: &str| Some(text.to_owned());
    let origin = Origin {
        host: some("127.0.0.1"),
        method: some("POST"),
        path: some("/commands/deposit"),
        format: some("json"),
    };
    assert_eq!(metadata.origin, Some(origin));
    assert_eq!(metadata.correlation, None);
    served.stop().await;
}

async fn a_trace_id_is_recorded_as_correlation(place: &Place) {
    let served = Served::alice(app(), place).await;
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let given = [
        (format!("00-{trace}-00f067aa0ba902b7-01"), Some(trace)),
        (format!("01-{trace}-00f067aa0ba902b7-01-more"), Some(trace)),
        (format!("00-{trace}-00f067aa0ba902b7-01-more"), None),
        (format!("ff-{trace}-00f067aa0ba902b7-01"), None),
        (format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32)), None),
        (format!("00-{}-00f067aa0ba902b7-01", trace.to_uppercase()), None),
        ("nonsense".to_owned(), None),
    ];
    for (header, _) in &given {
        let request = served.request(Method::POST, "/commands/deposit").header("traceparent", header);
        assert_eq!(answer(request.json(&json!({ "account": "a", "cents": 1 }))).await.status, 200);
    }
    let kept: Vec<_> =
        bank::log(&served.annals).await.iter().map(|event| event.metadata().unwrap().correlation).collect();
    let wanted: Vec<_> = given.iter().map(|(_, wanted)| wanted.map(str::to_owned)).collect();
    assert_eq!(kept, wanted);
    served.stop().await;
}

/// Without authentication, commands need a named actor, and only requests to a loopback name are accepted.
#[tokio::test]
async fn without_authentication_the_actor_is_named_and_only_loopback_hosts_are_accepted() {
    let place = Place::sqlite();
    let trusting = Authentication::trusting(None);
    let served = Served::with(app(), &place, |builder| builder.authentication(trusting)).await;
    let body = json!({ "account": "a", "cents": 1 });
    let detail = served.post("/commands/deposit", &body).await.problem(401, "unauthenticated");
    assert!(detail.contains("Annals-Actor"), "{detail}");
    assert_eq!(served.get("/audit").await.status, 200, "an anonymous read is refused");
    let as_bob = served.request(Method::POST, "/commands/deposit").header("Annals-Actor", "user:bob");
    assert_eq!(answer(as_bob.json(&body)).await.status, 200);
    let nobody = served.request(Method::POST, "/commands/deposit").header("Annals-Actor", "bob");
    answer(nobody.json(&body)).await.problem(400, "malformed");
    for own in ["annals:recorder", "annals_trail:2026-01-31"] {
        for path in ["/commands/deposit", "/audit"] {
            let method = if path == "/audit" { Method::GET } else { Method::POST };
            let recorder = served.request(method, path).header("Annals-Actor", own).json(&body);
            assert!(answer(recorder).await.problem(400, "malformed").contains(own));
        }
    }
    // A version 8 UUID with the prefix of the crate's own records.
    let reserved = "616e6c73-0000-8000-8000-000000000000";
    let request = served.request(Method::POST, "/commands/deposit").header("Idempotency-Key", reserved);
    let request = request.header("Annals-Actor", "user:bob").json(&body);
    assert!(answer(request).await.problem(422, "command-id-reserved").contains(reserved));
    for host in [
        "[::1].evil",
        "[::1].evil:80",
        "[::1",
        "localhost:80@evil",
        "evil.example",
        "evil.example:80",
        "127.0.0.1.evil.example",
        "",
        "10.0.0.1",
    ] {
        let rebound = served.request(Method::GET, "/audit").header("Host", host);
        answer(rebound).await.problem(421, "misdirected");
    }
    for host in ["localhost", "LOCALHOST:1", "127.0.0.1", "[::1]:80"] {
        assert_eq!(answer(served.request(Method::GET, "/audit").header("Host", host)).await.status, 200, "{host}");
    }
    for (name, value) in [
        ("Origin", "https://evil.example"),
        ("Origin", "null"),
        ("Sec-Fetch-Site", "cross-site"),
        ("Sec-Fetch-Site", "same-site"),
    ] {
        let foreign = served.request(Method::POST, "/projections/audit/rebuild").header(name, value);
        answer(foreign).await.problem(403, "denied");
    }
    let own = format!("http://{}", served.address);
    let own = served.request(Method::POST, "/projections/audit/rebuild").header("Origin", own);
    assert!(answer(own).await.status.is_success());
    served.stop().await;
    let recording = Served::with(app().record_reads(), &place, |builder| {
        builder.authentication(Authentication::trusting(None))
    });
    let recording = recording.await;
    recording.get("/audit").await.problem(401, "unauthenticated");
    recording.stop().await;
}
