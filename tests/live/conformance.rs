//! One test for all protocols: the same rows with the same cursors in the same order. Each protocol resumes where another was
//! interrupted, and no row is lost or repeated, during writes and restarts of the server.

use annals_test_postgres::{Place, both_stores};
use serde_json::{Value, json};

use crate::bank::app;
use crate::in_time;
use crate::rpc::Rpc;
use crate::server::Server;
use crate::sse::Sse;

/// How a client reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    Pages,
    Events,
    Rpc,
}

/// A row as a client received it: the cursor after it, and its content.
pub type Seen = (String, Value);

impl By {
    pub const ALL: [Self; 3] = [Self::Pages, Self::Events, Self::Rpc];

    /// Reads up to `most` rows after a cursor; fewer if the connection ends.
    pub async fn read(
        self,
        server: std::net::SocketAddr,
        words: &[(&str, &str)],
        after: Option<&str>,
        most: usize,
    ) -> Vec<Seen> {
        match self {
            Self::Pages => pages(server, words, after, most).await,
            Self::Events => events(server, words, after, most).await,
            Self::Rpc => rpc(server, words, after, most).await,
        }
    }
}

pub fn address(server: std::net::SocketAddr, path: &str, words: &[(&str, &str)]) -> String {
    let mut url = reqwest::Url::parse(&format!("http://{server}{path}")).unwrap();
    url.query_pairs_mut().extend_pairs(words);
    url.to_string()
}

/// Reads pages of one row each, since a page has one cursor.
async fn pages(
    server: std::net::SocketAddr,
    words: &[(&str, &str)],
    after: Option<&str>,
    most: usize,
) -> Vec<Seen> {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut seen: Vec<Seen> = Vec::new();
    let mut cursor = after.map(str::to_owned);
    while seen.len() < most {
        let mut asked = words.to_vec();
        asked.extend(cursor.as_deref().map(|cursor| ("cursor", cursor)));
        asked.push(("limit", "1"));
        let Ok(answer) = in_time(client.get(address(server, "/audit", &asked)).send()).await else { break };
        if answer.status().as_u16() == 503 {
            break;
        }
        assert_eq!(answer.status(), 200, "{}", answer.text().await.unwrap());
        let Ok(page) = in_time(answer.json::<Value>()).await else { break };
        match (page["rows"].get(0), page["next"].as_str()) {
            // The last row has no cursor yet: it is read again when there are more.
            (Some(row), Some(next)) => {
                seen.push((next.to_owned(), row.clone()));
                cursor = Some(next.to_owned());
            }
            _ => tokio::time::sleep(std::time::Duration::from_millis(20)).await,
        }
    }
    seen
}

async fn events(
    server: std::net::SocketAddr,
    words: &[(&str, &str)],
    after: Option<&str>,
    most: usize,
) -> Vec<Seen> {
    let mut stream = Sse::open(&address(server, "/live/audit", words), after).await;
    let mut seen = Vec::new();
    while seen.len() < most {
        match stream.next().await {
            Some(event) if event.name == "row" => seen.push((event.id.clone(), event.json())),
            Some(event) => {
                assert_eq!((event.name.as_str(), &event.json()["reason"]), ("end", &json!("shutdown")));
                break;
            }
            None => panic!("the stream ended without an end event"),
        }
    }
    seen
}

async fn rpc(server: std::net::SocketAddr, words: &[(&str, &str)], after: Option<&str>, most: usize) -> Vec<Seen> {
    let mut client = Rpc::open(server).await;
    let mut asked = serde_json::Map::new();
    for (name, value) in words {
        asked.entry(*name).or_insert(json!([])).as_array_mut().unwrap().push(json!(value));
    }
    asked.extend(after.map(|cursor| ("cursor".to_owned(), json!(cursor))));
    let subscription = client.call("subscribe_audit", asked.into()).await.unwrap();
    let mut seen = Vec::new();
    while seen.len() < most {
        let mut notification = client.notification().await.expect("the subscription has an end");
        assert_eq!(
            (&notification["method"], &notification["params"]["subscription"]),
            (&json!("audit"), &subscription)
        );
        if let Some(error) = notification["params"].get("error") {
            assert_eq!(error["data"]["reason"], "shutdown", "{error}");
            break;
        }
        let result = notification["params"]["result"].take();
        seen.push((result["cursor"].as_str().unwrap().to_owned(), result["row"].clone()));
    }
    seen
}

/// Ignores a reader that failed because its connection was refused or lost while the server stops. Failed assertions are
/// passed on.
pub fn ignore_lost_connection(error: tokio::task::JoinError) {
    let panic = error.into_panic();
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    if text.is_none_or(|text| text.starts_with("assertion")) {
        std::panic::resume_unwind(panic);
    }
}

/// Missions D8, D9 and P16: the clients disconnect now and then, and so does the server.
async fn all_protocols_send_the_same_rows_once_during_writes_and_restarts(place: &Place) {
    const EVENTS: usize = 240;
    let mut server = Server::start(place.url()).await;
    let at = server.address;
    for n in 0..40 {
        server.pay(["ann", "bob", "cat"][n % 3], &(n % 5).to_string(), 1 + n as i64).await;
    }
    let queries: [&[(&str, &str)]; 3] =
        [&[], &[("actor", "user:ann"), ("actor", "user:cat")], &[("target", "account:3"), ("text", "PAID")]];
    let mut readers = Vec::new();
    for (number, words) in queries.into_iter().enumerate() {
        for (turn, by) in By::ALL.into_iter().enumerate() {
            readers.push((
                words,
                by,
                tokio::spawn(async move {
                    let wanted = (0..EVENTS).filter(|n| wants(number, *n)).count() - 1;
                    let mut seen: Vec<Seen> = Vec::new();
                    let mut takes = (1..).map(|n| (n * (7 + turn)) % 23 + 1);
                    while seen.len() < wanted {
                        let last = seen.last().map(|(cursor, _)| cursor.clone());
                        let most = takes.next().unwrap_or(1).min(wanted - seen.len());
                        if tokio::net::TcpStream::connect(at).await.is_err() {
                            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
                            continue;
                        }
                        // Another protocol resumes where one was interrupted.
                        let by = if seen.len() % 3 == 2 { By::ALL[(turn + 1) % 3] } else { by };
                        let read = tokio::spawn(async move { by.read(at, words, last.as_deref(), most).await });
                        match read.await {
                            Ok(rows) => seen.extend(rows),
                            Err(error) => ignore_lost_connection(error),
                        }
                    }
                    seen
                }),
            ));
        }
    }
    for n in 40..EVENTS {
        if n == 100 || n == 170 {
            server.stop().await;
            server = Server::start_at(place.url(), app(), &at.to_string()).await;
        }
        server.pay(["ann", "bob", "cat"][n % 3], &(n % 5).to_string(), 1 + n as i64).await;
    }
    // One more row for the page readers: a row has a cursor only if there is another after it.
    for name in ["ann", "cat"] {
        server.pay(name, "3", 1).await;
    }
    for (query, readers) in readers.chunks_mut(3).enumerate() {
        let mut first: Option<Vec<Seen>> = None;
        for (words, by, reader) in readers {
            let seen = in_time(reader).await.unwrap();
            let positions: Vec<u64> = seen.iter().map(|(_, row)| row["position"].as_u64().unwrap()).collect();
            let mut expected: Vec<u64> = (0..EVENTS).filter(|n| wants(query, *n)).map(|n| n as u64 + 1).collect();
            expected.truncate(seen.len());
            assert_eq!(positions, expected, "{words:?} {by:?}");
            match &first {
                None => first = Some(seen),
                Some(first) => assert_eq!(*first, seen, "{words:?} {by:?}"),
            }
        }
    }
    server.stop().await;
}

/// Whether the `n`th event matches the query.
fn wants(query: usize, n: usize) -> bool {
    match query {
        0 => true,
        1 => n % 3 != 1,
        _ => n % 5 == 3,
    }
}

both_stores! { all_protocols_send_the_same_rows_once_during_writes_and_restarts }
