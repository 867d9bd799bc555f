//! Bad input: the right status, no panic, and the server still works.

use std::time::Duration;

use annals_test_postgres::Place;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::bank::{self, app};
use crate::served::{Answer, Served, answer};

async fn served() -> (Served, Place) {
    let place = Place::sqlite();
    (Served::alice(app(), &place).await, place)
}

async fn send(served: &Served, content_type: &str, body: impl Into<reqwest::Body>) -> Answer {
    let request = served.request(Method::POST, "/commands/deposit");
    let request = if content_type.is_empty() { request } else { request.header("Content-Type", content_type) };
    answer(request.body(body)).await
}

/// Sends raw bytes, and returns the response until the server closes the connection.
async fn raw(served: &Served, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut answer)).await;
    read.expect("an end").expect("no reset");
    String::from_utf8_lossy(&answer).into_owned()
}

/// Asserts that nothing was written and the server still works, and stops it.
async fn still_works(served: Served) {
    assert!(bank::log(&served.annals).await.is_empty(), "nothing was written");
    assert_eq!(served.deposit("a", 1).await["first_position"], 1);
    served.stop().await;
}

#[tokio::test]
async fn an_invalid_command_body_is_refused_and_the_error_names_the_field() {
    let (served, _place) = served().await;
    let deep = format!("{{\"account\":{}1{}}}", "[".repeat(5_000), "]".repeat(5_000));
    for (body, named) in [
        ("", "EOF"),
        ("{", "EOF"),
        ("{\"account\":\"a\",\"cents\":", "EOF"),
        ("nonsense", "expected"),
        ("[]", "object"),
        ("null", "object"),
        ("{}", "account"),
        (r#"{"account":"a"}"#, "cents"),
        (r#"{"account":"a","cents":"1"}"#, "/cents"),
        (r#"{"account":"a","cents":1.5}"#, "/cents"),
        (r#"{"account":"a","cents":1e300}"#, "i64"),
        (r#"{"account":"a","cents":99999999999999999999}"#, "i64"),
        (r#"{"account":7,"cents":1}"#, "/account"),
        (r#"{"account":"a","cents":1,"cent":2}"#, "cent"),
        (r#"{"account":"a","cents":1,"cents":2}"#, "duplicate"),
        (r#"{"account":"a","cents":1}{}"#, "trailing"),
        ("\u{feff}{}", "expected"),
        (&deep, "recursion"),
    ] {
        let detail = send(&served, "application/json", body.to_owned()).await.problem(400, "malformed");
        assert!(detail.contains(named), "{body:.60}: {detail}");
    }
    let problem = send(&served, "application/json", r#"{"account":7,"cents":"1"}"#).await.json();
    let pointers: Vec<&Value> = problem["errors"].as_array().unwrap().iter().map(|one| &one["pointer"]).collect();
    assert_eq!(pointers, ["/account", "/cents"]);
    still_works(served).await;
}

#[tokio::test]
async fn a_body_that_is_not_utf_8_or_not_declared_as_json_is_refused() {
    let (served, _place) = served().await;
    let latin = b"{\"account\":\"\xe9\",\"cents\":1}".to_vec();
    assert!(send(&served, "application/json", latin).await.problem(400, "malformed").contains("UTF-8"));
    let good = r#"{"account":"a","cents":1}"#;
    for content_type in
        ["", "text/plain", "application/x-www-form-urlencoded", "application/xml", "json", "multipart/form-data"]
    {
        send(&served, content_type, good).await.problem(415, "media-type");
    }
    still_works(served).await;
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused() {
    let place = Place::sqlite();
    let alice = annals::http::Authentication::trusting(Some("user:alice".parse().unwrap()));
    let served = Served::with(app(), &place, |builder| builder.authentication(alice).largest_body(1_000)).await;
    let large = json!({ "account": "a".repeat(2_000), "cents": 1 }).to_string();
    send(&served, "application/json", large.clone()).await.problem(413, "too-large");
    // Chunked, without a content length.
    let pieces = futures::stream::iter(
        large.into_bytes().chunks(100).map(|c| Ok::<_, std::io::Error>(c.to_vec())).collect::<Vec<_>>(),
    );
    send(&served, "application/json", reqwest::Body::wrap_stream(pieces)).await.problem(413, "too-large");
    still_works(served).await;
}

#[tokio::test]
async fn malformed_or_truncated_http_gets_an_error_or_a_closed_connection() {
    let (served, _place) = served().await;
    let head = "POST /commands/deposit HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
    let cases: [(Vec<u8>, &[&str]); 9] = [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(), &["HTTP/1.1 400", ""]),
        (b"GET / HTTP/9.9\r\n\r\n".to_vec(), &["HTTP/1.1 400", ""]),
        (b"\x00\xff\xfe".to_vec(), &["HTTP/1.1 400", ""]),
        (
            format!("GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n", "a".repeat(100_000)).into_bytes(),
            &["HTTP/1.1 414"],
        ),
        (
            format!("GET /audit HTTP/1.1\r\nHost: localhost\r\n{}\r\n", "X-More: 1\r\n".repeat(500)).into_bytes(),
            &["HTTP/1.1 431"],
        ),
        // Shorter than its content length.
        (format!("{head}Content-Length: 100\r\n\r\n{{\"account\"").into_bytes(), &["HTTP/1.1 400", ""]),
        // Two content lengths: a proxy and this server could read them differently (request smuggling).
        (format!("{head}Content-Length: 2\r\nContent-Length: 3\r\n\r\n{{}}").into_bytes(), &["HTTP/1.1 400"]),
        (format!("{head}Transfer-Encoding: chunked\r\n\r\nzz\r\n").into_bytes(), &["HTTP/1.1 400", ""]),
        (b"GET /audit HTTP/1.1\r\nHost: local\x01host\r\n\r\n".to_vec(), &["HTTP/1.1 400"]),
    ];
    for (bytes, wanted) in cases {
        let got = raw(&served, &bytes).await;
        let fits =
            wanted.iter().any(|wanted| if wanted.is_empty() { got.is_empty() } else { got.starts_with(wanted) });
        assert!(fits, "{:?}: {got}", String::from_utf8_lossy(&bytes[..bytes.len().min(80)]));
    }
    still_works(served).await;
}

#[tokio::test]
async fn a_malformed_address_is_refused() {
    let (served, _place) = served().await;
    for path in ["/views/balance/%ff", "/views/balance/a%00b", "/audit?text=%ff", "/audit?text=%00", "/metrics/%00"]
    {
        let got =
            raw(&served, format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").as_bytes())
                .await;
        assert!(got.starts_with("HTTP/1.1 400") && got.contains("application/problem+json"), "{path}: {got}");
    }
    served.get("/nothing").await.problem(404, "not-found");
    served.do_it(Method::DELETE, "/audit").await.problem(405, "method-not-allowed");
    served.do_it(Method::PUT, "/commands/deposit").await.problem(405, "method-not-allowed");
    let detail = served.get("/audit?actr=user:a").await.problem(400, "malformed");
    assert!(detail.contains("`actr`") && detail.contains("actor"), "{detail}");
    for path in ["/projections?x=1", "/commands?x=1", "/views?x=1", "/check?x=1"] {
        served.get(path).await.problem(400, "malformed");
    }
    still_works(served).await;
}

#[tokio::test]
async fn every_response_has_security_headers() {
    let (served, _place) = served().await;
    for path in ["/audit", "/nothing", "/healthz", "/try", "/metrics"] {
        let answer = served.get(path).await;
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        // A form of a page would be sent with `Origin: null` without a referrer.
        let referrer = if path == "/try" { "same-origin" } else { "no-referrer" };
        assert_eq!(answer.header("referrer-policy"), referrer, "{path}");
        assert_eq!(answer.header("cache-control"), "no-store", "{path}");
        let policy = answer.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'"), "{path}: {policy}");
        assert!(policy.contains("frame-ancestors 'none'"), "{path}: {policy}");
        assert!(answer.headers.get("access-control-allow-origin").is_none());
    }
    still_works(served).await;
}
