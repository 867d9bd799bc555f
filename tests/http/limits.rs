//! How much is taken on.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use annals::http::Authentication;
use annals_test_postgres::Place;
use reqwest::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::bank::app;
use crate::served::{Served, answer};

fn anybody() -> Authentication {
    Authentication::trusting(Some("user:alice".parse().unwrap()))
}

#[tokio::test]
async fn who_asks_too_often_waits_and_the_others_do_not() {
    let place = Place::sqlite();
    let rate = NonZeroU32::new(5).unwrap();
    let served = Served::with(app(), &place, |door| door.authentication(anybody()).rate(rate)).await;
    let ask = async |who: &str| answer(served.request(Method::GET, "/commands").header("Annals-Actor", who)).await;
    let mut turned_away = None;
    for _ in 0..100 {
        let answer = ask("user:greedy").await;
        if answer.status == 429 {
            turned_away = Some(answer);
            break;
        }
    }
    let turned_away = turned_away.expect("a hundred at once are too many");
    turned_away.problem(429, "too-many");
    assert!(turned_away.header("retry-after").parse::<u64>().is_ok_and(|seconds| seconds > 0));
    assert_eq!(ask("user:modest").await.status, 200);
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert_eq!(ask("user:greedy").await.status, 200);
    served.stop().await;
}

/// A client that sends half of a body holds its place, until it has had its time.
#[tokio::test]
async fn more_requests_than_there_is_room_for_are_turned_away_and_slow_ones_given_up() {
    let place = Place::sqlite();
    let served = Served::with(app(), &place, |door| door.authentication(anybody()).at_most(2)).await;
    let mut slow = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(served.address).await.unwrap();
        let head = "POST /commands/deposit HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
        stream.write_all(format!("{head}Content-Length: 100\r\n\r\n{{").as_bytes()).await.unwrap();
        slow.push(stream);
    }
    let began = Instant::now();
    while served.get("/commands").await.status == 200 {
        assert!(began.elapsed() < Duration::from_secs(8), "two are under way: a third is too many");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    served.get("/commands").await.problem(503, "unavailable");
    assert_eq!(served.get("/healthz").await.status, 200, "health has room always");
    for mut stream in slow {
        let mut answer = [0; 12];
        tokio::time::timeout(Duration::from_secs(40), stream.read_exact(&mut answer)).await.unwrap().unwrap();
        assert_eq!(&answer, b"HTTP/1.1 408");
    }
    assert_eq!(served.get("/commands").await.status, 200);
    served.stop().await;
}

/// Mission A13: what is under way is answered, then it is over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stops_answers_what_is_under_way() {
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
    assert!(TcpStream::connect(address).await.is_err(), "nobody new is let in");
    stream.write_all(rest.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("\"first_position\":1"), "{answer}");
    stopping.await.unwrap();
}
