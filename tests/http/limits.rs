//! Limits of rate and concurrency.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use annals::http::Authentication;
use annals_test_postgres::Place;
use reqwest::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::bank::{app, by, deposit};
use crate::served::{Served, answer};

fn trusting() -> Authentication {
    Authentication::trusting(Some("user:alice".parse().unwrap()))
}

#[tokio::test]
async fn an_actor_over_its_rate_is_limited_and_others_are_not() {
    let place = Place::sqlite();
    let rate = NonZeroU32::new(5).unwrap();
    let served = Served::with(app(), &place, |builder| builder.authentication(trusting()).rate(rate)).await;
    let ask = async |who: &str| answer(served.request(Method::GET, "/commands").header("Annals-Actor", who)).await;
    let mut limited = None;
    for _ in 0..100 {
        let answer = ask("user:greedy").await;
        if answer.status == 429 {
            limited = Some(answer);
            break;
        }
    }
    let limited = limited.expect("a hundred requests at once exceed the rate");
    limited.problem(429, "too-many");
    assert!(limited.header("retry-after").parse::<u64>().is_ok_and(|seconds| seconds > 0));
    assert_eq!(ask("user:modest").await.status, 200);
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert_eq!(ask("user:greedy").await.status, 200);
    served.stop().await;
}

/// Sends half of a body as this user.
async fn half_a_body(served: &Served, path: &str, who: &str) -> TcpStream {
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    let head = format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nAnnals-Actor: user:{who}\r\n");
    let kind = if path.starts_with("/commands") { "json" } else { "x-www-form-urlencoded" };
    let body = format!("Content-Type: application/{kind}\r\nContent-Length: 100\r\n\r\n{{");
    stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
    stream
}

async fn status_of(stream: &mut TcpStream) -> String {
    let mut answer = [0; 12];
    tokio::time::timeout(Duration::from_secs(40), stream.read_exact(&mut answer)).await.unwrap().unwrap();
    String::from_utf8(answer.to_vec()).unwrap()
}

/// A client that sends half of a body holds a permit until the time-out. One actor holds no more than its share.
#[tokio::test]
async fn one_actor_gets_a_share_of_the_permits_and_slow_requests_time_out() {
    let place = Place::sqlite();
    let served = Served::with(app(), &place, |builder| builder.authentication(trusting()).at_most(8)).await;
    let ask = async |who: &str| {
        answer(served.request(Method::GET, "/commands").header("Annals-Actor", format!("user:{who}"))).await
    };
    let mut slow = Vec::new();
    // Four at once: two get a permit.
    for _ in 0..4 {
        slow.push(half_a_body(&served, "/commands/deposit", "greedy").await);
    }
    let began = Instant::now();
    while ask("greedy").await.status == 200 {
        assert!(began.elapsed() < Duration::from_secs(8), "two are in progress, but a third is admitted");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let detail = ask("greedy").await.problem(429, "too-many");
    assert!(detail.contains("2 requests"), "{detail}");
    for _ in 0..20 {
        assert_eq!(ask("modest").await.status, 200, "another actor is blocked");
    }
    for who in ["b", "c", "d"] {
        for path in ["/commands/deposit", "/page/projections/rebuild"] {
            slow.push(half_a_body(&served, path, who).await);
        }
    }
    while ask("modest").await.status == 200 {
        assert!(began.elapsed() < Duration::from_secs(9), "eight are in progress, but one more is admitted");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    ask("modest").await.problem(503, "unavailable");
    assert_eq!(served.get("/healthz").await.status, 200, "the health check is limited");
    let mut timed_out = 0;
    for stream in &mut slow {
        timed_out += usize::from(status_of(stream).await == "HTTP/1.1 408");
    }
    assert_eq!(timed_out, 8, "the other two were refused at once");
    assert_eq!(ask("greedy").await.status, 200, "a timed-out request still holds its permit");
    served.stop().await;
}

/// The body of an HTML form has the same time-out.
#[tokio::test]
async fn a_form_that_does_not_arrive_times_out() {
    let place = Place::sqlite();
    let served = Served::with(app(), &place, |builder| builder.authentication(trusting())).await;
    for path in ["/sign-in", "/page/projections/rebuild"] {
        let mut stream = half_a_body(&served, path, "slow").await;
        assert_eq!(status_of(&mut stream).await, "HTTP/1.1 408", "{path}");
    }
    served.stop().await;
}

/// Exports whose clients read nothing block no other actor.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_actor_gets_a_share_of_the_exports() {
    let place = Place::sqlite();
    let served = Served::with(app(), &place, |builder| builder.authentication(trusting())).await;
    // More than all buffers between server and client hold.
    for _ in 0..100 {
        let context = by("alice").correlation("x".repeat(150 * 1_024));
        served.annals.execute(deposit("a", 1), &context).await.unwrap();
    }
    let export = |who: &str| {
        served.request(Method::GET, "/audit/export?format=jsonl").header("Annals-Actor", format!("user:{who}"))
    };
    let mut unread = Vec::new();
    for _ in 0..4 {
        let response = export("greedy").send().await.unwrap();
        assert_eq!(response.status(), 200);
        unread.push(response);
    }
    let detail = answer(export("greedy")).await.problem(429, "too-many");
    assert!(detail.contains("4 exports"), "{detail}");
    let modest = export("modest").send().await.unwrap();
    assert_eq!(modest.status(), 200, "another actor is blocked");
    drop((modest, unread));
    let began = Instant::now();
    loop {
        let response = export("greedy").send().await.unwrap();
        if response.status() == 200 {
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(30), "a disconnected client still holds its permit");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    served.stop().await;
}

/// Mission A13.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopping_server_completes_requests_in_progress() {
    let place = Place::sqlite();
    let served = Served::alice(app(), &place).await;
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    let body = json!({ "account": "a", "cents": 1 }).to_string();
    let head = "POST /commands/deposit HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
    let (first, rest) = body.split_at(5);
    stream.write_all(format!("{head}Content-Length: {}\r\n\r\n{first}", body.len()).as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let address = served.address;
    let stopping = tokio::spawn(served.stop());
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(TcpStream::connect(address).await.is_err(), "a new connection is accepted");
    stream.write_all(rest.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("\"first_position\":1"), "{answer}");
    stopping.await.unwrap();
}
