//! HEAD, OPTIONS, preconditions, ranges, and headers that occur twice.

use annals_test_postgres::Place;
use reqwest::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::bank::{self, app};
use crate::served::{Answer, Served, after, answer};

annals_test_postgres::both_stores! {
    head_options_and_failed_preconditions_have_no_effect_and_no_record,
    a_command_whose_precondition_cannot_be_met_is_not_executed,
    a_range_of_an_export_is_answered_with_the_whole_export,
    a_header_that_occurs_twice_is_a_bad_request,
}

/// Every route that shows something of the log.
const READS: [&str; 15] = [
    "/audit",
    "/audit/count",
    "/audit/export?format=csv",
    "/metrics/",
    "/metrics/bank",
    "/metrics",
    "/views/balance",
    "/views/balance/a",
    "/events",
    "/live/audit?limit=1",
    "/live/metrics/bank",
    "/",
    "/history?of=account:a",
    "/refusals",
    "/rows?after=0",
];

async fn request(served: &Served, method: Method, path: &str, headers: &[(&str, &str)]) -> Answer {
    let request = served.request(method, path);
    answer(headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))).await
}

/// Mission X10: what is recorded was read, and nothing is read without a record.
async fn head_options_and_failed_preconditions_have_no_effect_and_no_record(place: &Place) {
    let served = Served::alice(app().record_reads(), place).await;
    served.deposit("a", 1).await;
    for path in READS {
        let head = request(&served, Method::HEAD, path, &[]).await;
        assert_eq!((head.status.as_u16(), head.header("allow")), (405, "GET, OPTIONS"), "HEAD {path}");
        assert!(head.text.is_empty() && !head.header("content-type").contains("csv"), "HEAD {path}: {head:?}");
        let options = request(&served, Method::OPTIONS, path, &[]).await;
        assert_eq!((options.status.as_u16(), options.header("allow")), (204, "GET, OPTIONS"), "OPTIONS {path}");
        let detail = request(&served, Method::GET, path, &[("If-Match", "\"a\"")]).await;
        assert!(detail.problem(412, "precondition-failed").contains("`If-Match`"), "{path}");
    }
    // Where nothing of the log is shown, HEAD is GET without its content.
    for path in ["/healthz", "/readyz", "/try", "/sign-in"] {
        let (get, head) = (served.get(path).await, request(&served, Method::HEAD, path, &[]).await);
        assert_eq!((head.status.as_u16(), head.text.as_str()), (200, ""), "{path}");
        assert_eq!(head.header("content-length"), get.text.len().to_string(), "{path}");
        assert_eq!(head.header("content-type"), get.header("content-type"), "{path}");
    }
    for (method, path, status, allow) in [
        (Method::OPTIONS, "/check", 204, "GET, POST, OPTIONS"),
        (Method::OPTIONS, "/commands/deposit", 204, "GET, POST, OPTIONS"),
        (Method::OPTIONS, "/healthz", 204, "GET, HEAD, OPTIONS"),
        (Method::PUT, "/audit", 405, "GET, OPTIONS"),
        (Method::HEAD, "/projections/balance/rebuild", 405, "POST, DELETE, OPTIONS"),
        (Method::OPTIONS, "/nothing/here", 404, ""),
        (Method::HEAD, "/nothing/here", 404, ""),
    ] {
        let answer = request(&served, method.clone(), path, &[]).await;
        let sorted = |text: &str| {
            let mut all: Vec<String> = text.split(", ").map(str::to_owned).collect();
            all.sort();
            all
        };
        assert_eq!(answer.status.as_u16(), status, "{method} {path}: {answer:?}");
        assert_eq!(sorted(answer.header("allow")), sorted(allow), "{method} {path}");
    }
    let url = place.url();
    served.stop().await;
    let annals = app().open(url).await.unwrap();
    let log = bank::log(&annals).await;
    let types: Vec<&str> = log.iter().map(|event| event.event_type.as_str()).collect();
    assert_eq!(types.len(), 1, "only the deposit: {types:?}");
    annals.close().await;
}

async fn a_command_whose_precondition_cannot_be_met_is_not_executed(place: &Place) {
    let served = Served::alice(app(), place).await;
    let body = json!({ "account": "a", "cents": 1 });
    let post = async |name: &str, value: &str| {
        answer(served.request(Method::POST, "/commands/deposit").header(name, value).json(&body)).await
    };
    for (name, value) in [("If-Match", "\"1\""), ("If-Match", "W/\"1\""), ("If-None-Match", "*")] {
        post(name, value).await.problem(412, "precondition-failed");
    }
    assert!(bank::log(&served.annals).await.is_empty());
    // These are met: the command exists, and has no entity tag.
    for (name, value) in [("If-Match", "*"), ("If-None-Match", "\"1\"")] {
        assert_eq!(post(name, value).await.status, 200, "{name}: {value}");
    }
    served.stop().await;
}

async fn a_range_of_an_export_is_answered_with_the_whole_export(place: &Place) {
    let served = Served::alice(app(), place).await;
    let receipt = served.deposit("a", 1).await;
    assert_eq!(served.get(&format!("/audit?{}", after(&receipt))).await.status, 200);
    let path = "/audit/export?format=csv";
    let whole = served.get(path).await;
    for headers in [&[("Range", "bytes=0-9")][..], &[("Range", "bytes=5-"), ("If-Range", "\"a\"")]] {
        let part = request(&served, Method::GET, path, headers).await;
        assert_eq!((part.status.as_u16(), part.header("accept-ranges")), (200, "none"), "{headers:?}");
        let rows = |text: &str| text.lines().take(2).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(rows(&part.text), rows(&whole.text), "{headers:?}");
    }
    served.stop().await;
}

async fn a_header_that_occurs_twice_is_a_bad_request(place: &Place) {
    let served = Served::alice(app(), place).await;
    let key = "0192f3a0-0000-7000-8000-000000000001";
    for (name, one, other) in [
        ("Annals-Actor", "user:ann", "user:bob"),
        ("Annals-Actor", "user:ann", "user:ann"),
        ("Authorization", "Bearer a", "Bearer b"),
        ("Idempotency-Key", key, key),
        ("Origin", "http://localhost", "http://evil.example"),
        ("Content-Type", "application/json", "text/plain"),
        ("Last-Event-ID", "1", "2"),
        ("Sec-Fetch-Site", "same-origin", "cross-site"),
    ] {
        let request = served.request(Method::POST, "/commands/deposit").header(name, one).header(name, other);
        let request = match name {
            "Content-Type" => request,
            _ => request.header("Content-Type", "application/json"),
        };
        let answer = answer(request.body(json!({ "account": "a", "cents": 1 }).to_string())).await;
        assert!(answer.problem(400, "malformed").contains("more than once"), "{name}");
        assert_eq!(answer.json()["header"], name.to_lowercase(), "{name}");
    }
    // reqwest sends one host.
    for path in ["/healthz", "/audit", "/sign-in"] {
        let mut stream = TcpStream::connect(served.address).await.unwrap();
        let head =
            format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\nConnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        assert!(text.starts_with("HTTP/1.1 400") && text.contains("`host`"), "{path}: {text}");
    }
    assert!(bank::log(&served.annals).await.is_empty());
    served.stop().await;
}
