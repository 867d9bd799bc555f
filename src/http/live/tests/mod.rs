//! Slow clients, disconnects and the shared reader, with short time-outs.

mod large;
mod panics;

use std::sync::Arc;
use std::time::Duration;

use annals_macros::{Command, Event, Id};
use futures::{SinkExt, StreamExt};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use super::*;
use crate::aggregates::{Aggregate, Loaded};
use crate::app::{Annals, App};
use crate::commands::{Context, Handle};
use crate::http::Authentication;

#[derive(Id, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct PadId(String);

#[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[event(name = "pad", topic = "pad/{pad}", on = Pad)]
enum PadEvent {
    #[event(update, "{actor} wrote on {pad}")]
    Written { text: String },
}

#[derive(Default, Clone, Serialize, Deserialize)]
struct Pad;

#[derive(Debug, thiserror::Error)]
#[error("no")]
struct Refused;

impl Aggregate for Pad {
    const TYPE: &'static str = "pad";
    type Id = PadId;
    type Event = PadEvent;
    type Error = Refused;

    fn apply(&mut self, _: &PadEvent) {}
}

/// Write on a pad
#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
struct Write {
    #[on(Pad)]
    pad: PadId,
    text: String,
}

impl Handle for Write {
    fn handle(&self, _: &Loaded<Pad>, _: &Context) -> Result<Vec<PadEvent>, Refused> {
        Ok(vec![PadEvent::Written { text: self.text.clone() }])
    }
}

const TIMEOUT: Duration = Duration::from_secs(60);

/// A served application with short time-outs.
struct World {
    annals: Annals,
    address: std::net::SocketAddr,
    _directory: Option<TempDir>,
    stop: oneshot::Sender<()>,
}

impl World {
    async fn new() -> Self {
        let directory = TempDir::new().unwrap();
        let url = format!("sqlite://{}", directory.path().join("pads.db").display());
        Self { _directory: Some(directory), ..Self::on(&url).await }
    }

    async fn on(url: &str) -> Self {
        let annals = App::new("pads").command::<Write>().open(url).await.unwrap();
        let timeouts =
            StreamTimeouts { heartbeat: Duration::from_millis(100), slow_client: Duration::from_secs(3) };
        let trusting = Authentication::trusting("user:ann".parse().ok());
        let router = crate::http::router(annals.clone()).authentication(trusting);
        let router = router.stream_timeouts(timeouts).into_router();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        tokio::spawn(crate::http::serve(listener, router, async { drop(stopped.await) }));
        Self { annals, address, _directory: None, stop }
    }

    async fn write(&self, bytes: usize) {
        self.write_on("1", bytes).await;
    }

    async fn write_on(&self, pad: &str, bytes: usize) {
        let write = Write { pad: PadId::new(pad), text: "x".repeat(bytes) };
        let bob = Context::by("user:bob".parse::<crate::events::Ref>().unwrap());
        let done = self.annals.execute(write, &bob);
        timeout(TIMEOUT, done).await.expect("the writer is blocked").unwrap();
    }

    async fn stream(&self, path: &str) -> Lines {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let response = client.get(format!("http://{}{path}", self.address)).send().await.unwrap();
        assert_eq!(response.status(), 200);
        Lines { response, buffer: Vec::new(), searched: 0 }
    }

    async fn websocket(&self) -> WebSocketStream<TcpStream> {
        let stream = TcpStream::connect(self.address).await.unwrap();
        tokio_tungstenite::client_async(format!("ws://{}/live", self.address), stream).await.unwrap().0
    }

    async fn end(self) {
        let _ = self.stop.send(());
        self.annals.close().await;
    }
}

/// The next message on a WebSocket.
async fn message(socket: &mut WebSocketStream<TcpStream>) -> Value {
    loop {
        let message = timeout(TIMEOUT, socket.next()).await.expect("no message in time").unwrap().unwrap();
        if let Message::Text(text) = message {
            return serde_json::from_str(text.as_str()).unwrap();
        }
    }
}

struct Lines {
    response: reqwest::Response,
    buffer: Vec<u8>,
    /// The bytes without a line break, at the start of the buffer.
    searched: usize,
}

impl Lines {
    async fn next(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.buffer[self.searched..].iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=self.searched + end).collect();
                self.searched = 0;
                return Some(String::from_utf8(line).unwrap().trim_end().to_owned());
            }
            self.searched = self.buffer.len();
            let chunk = timeout(TIMEOUT, self.response.chunk()).await.expect("no data in time");
            self.buffer.extend_from_slice(&chunk.ok()??);
        }
    }

    /// The name and the data of the next event.
    async fn event(&mut self) -> Option<(String, Value)> {
        let mut name = String::new();
        loop {
            let line = self.next().await?;
            match line.split_once(": ") {
                Some(("event", value)) => name = value.to_owned(),
                Some(("data", value)) => return Some((name, serde_json::from_str(value).unwrap())),
                _ => {}
            }
        }
    }
}

/// More than all buffers between server and client hold.
const WRITES: u64 = 150;
const BYTES: usize = 200 * 1024;

/// How long a slow client reads nothing: longer than `slow_client`, shorter than the server's write time-out.
const PAUSE: Duration = Duration::from_millis(7_500);

/// Mission P1: memory for a client that reads nothing is bounded. The stream ends with a cursor, and no row is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_whose_client_reads_nothing_ends_with_a_cursor_to_resume_from() {
    let world = World::new().await;
    for _ in 0..WRITES {
        world.write(BYTES).await;
    }
    let mut seen = 0;
    let mut after = String::new();
    for turn in 0.. {
        let mut lines = world.stream(&format!("/live/audit{after}")).await;
        if turn == 0 {
            tokio::time::sleep(PAUSE).await;
            world.write(1).await;
        }
        while seen <= WRITES {
            let (name, data) = lines.event().await.expect("the stream has an end");
            if name == "end" {
                assert_eq!(data["reason"], "slow", "{data}");
                after = format!("?after={}", data["cursor"].as_str().unwrap());
                assert!(lines.event().await.is_none());
                break;
            }
            seen += 1;
            assert_eq!(data["position"], seen);
        }
        if seen > WRITES {
            assert!(turn > 0, "all rows were buffered");
            return world.end().await;
        }
    }
}

/// The same over WebSocket. The connection stays open.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscription_whose_client_reads_nothing_ends_with_a_cursor_to_resume_from() {
    let world = World::new().await;
    for _ in 0..WRITES {
        world.write(BYTES).await;
    }
    let mut socket = world.websocket().await;
    let mut cursor = Value::Null;
    let mut seen = 0;
    for turn in 0.. {
        let params = if turn == 0 { json!({}) } else { json!({ "cursor": cursor }) };
        let call = json!({"jsonrpc": "2.0", "id": turn, "method": "subscribe_audit", "params": params});
        socket.send(Message::text(call.to_string())).await.unwrap();
        if turn == 0 {
            tokio::time::sleep(PAUSE).await;
            world.write(1).await;
        }
        loop {
            let message = message(&mut socket).await;
            if let Some(row) = message["params"]["result"].get("row") {
                seen += 1;
                assert_eq!(row["position"], seen);
                if seen > WRITES {
                    assert!(turn > 0, "all rows were buffered");
                    return world.end().await;
                }
            }
            if let Some(error) = message["params"].get("error") {
                assert_eq!(error["data"]["reason"], "slow", "{error}");
                cursor = error["data"]["cursor"].clone();
                break;
            }
        }
    }
}

/// Mission P18: on one WebSocket, neither a silent topic nor one with a long backlog delays an active topic.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_or_slow_topic_delays_no_other_on_the_same_websocket() {
    let world = World::new().await;
    for _ in 0..WRITES {
        world.write_on("slow", BYTES).await;
    }
    let mut socket = world.websocket().await;
    let topics = ["silent", "slow", "active"];
    for (id, topic) in topics.iter().enumerate() {
        let params = json!({ "topic": [format!("pad/{topic}")] });
        let call = json!({"jsonrpc": "2.0", "id": id, "method": "subscribe_audit", "params": params});
        socket.send(Message::text(call.to_string())).await.unwrap();
    }
    let mut subscriptions = std::collections::HashMap::new();
    let (mut slow, mut active) = (0, 0);
    while active < 3 {
        let message = message(&mut socket).await;
        if let Some(id) = message["id"].as_u64() {
            subscriptions.insert(message["result"].as_u64().unwrap(), topics[id as usize]);
            if subscriptions.len() < topics.len() {
                continue;
            }
        } else {
            match subscriptions[&message["params"]["subscription"].as_u64().unwrap()] {
                "slow" => {
                    slow += 1;
                    continue;
                }
                "active" => active += 1,
                other => panic!("a row on the topic {other}: {message}"),
            }
        }
        world.write_on("active", 1).await;
        // The client reads nothing meanwhile: the server's buffers stay full of rows of the slow topic.
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    assert!(slow < WRITES, "the active topic waited for the whole backlog of the slow one");
    world.end().await;
}

/// A heartbeat keeps a quiet stream open; a client that does not answer pings is disconnected.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quiet_stream_sends_heartbeats_and_an_unresponsive_client_is_disconnected() {
    let world = World::new().await;
    let mut lines = world.stream("/live/audit").await;
    let mut comments = 0;
    while comments < 3 {
        comments += usize::from(lines.next().await.unwrap() == ":");
    }
    // A client that never answers a ping.
    let stream = world.websocket().await.into_inner();
    let disconnected = async {
        // Pings arrive until the server disconnects.
        let mut buffer = [0; 64];
        loop {
            stream.readable().await.unwrap();
            match stream.try_read(&mut buffer) {
                Ok(0) => break,
                Err(error) if error.kind() != std::io::ErrorKind::WouldBlock => break,
                _ => {}
            }
        }
    };
    timeout(TIMEOUT, disconnected).await.expect("the client is never disconnected");
    world.end().await;
}

/// The server does not read from a stream's client: it detects a disconnect by the next heartbeats.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disconnected_client_is_no_longer_counted() {
    let world = World::new().await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let counted = async |number: &str| {
        let line = format!("streams{{protocol=\"sse\"}} {number}\n");
        let counting = async {
            loop {
                let numbers = client.get(format!("http://{}/metrics", world.address)).send().await.unwrap();
                if numbers.text().await.unwrap().contains(&line) {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(TIMEOUT, counting).await.is_ok()
    };
    let lines = world.stream("/live/audit").await;
    assert!(counted("1").await, "the stream is not counted");
    drop(lines);
    assert!(counted("0").await, "the closed stream is still counted");
    world.end().await;
}

/// All subscribers get the same batch. Without subscribers, the reader task ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn subscribers_share_one_reader_that_ends_with_the_last_of_them() {
    let world = World::new().await;
    let broadcast = AuditBroadcast::new(world.annals.clone());
    let (mut one, mut other) = (broadcast.subscribe(), broadcast.subscribe());
    world.write(1).await;
    let next = async |receiver: &mut audit_broadcast::BatchReceiver| {
        timeout(TIMEOUT, receiver.batches.recv()).await.expect("no data in time").unwrap()
    };
    let (batch, same) = (next(&mut one).await, next(&mut other).await);
    assert!(Arc::ptr_eq(&batch, &same) && batch.to.position == 1);
    drop(one);
    world.write(1).await;
    assert_eq!(next(&mut other).await.to.position, 2);
    drop(other);
    let idle = async {
        while !broadcast.is_idle() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(TIMEOUT, idle).await.expect("the reader task does not end");
    assert_eq!(broadcast.subscribe().start.position, 2);
    world.end().await;
}

/// Mission P1: a subscriber that lags behind the broadcast reads stored rows, then returns to the broadcast.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscriber_that_lags_behind_the_broadcast_misses_no_row() {
    let world = World::new().await;
    let broadcast = AuditBroadcast::new(world.annals.clone());
    let lifetime = StreamLifetime::new(watch::channel(false).1);
    let query = world.annals.audit();
    let open = AuditSubscription::open(
        broadcast,
        query,
        &AuditQueryParams::default(),
        PresentationParams::default(),
        lifetime,
    )
    .await;
    let mut items = open.unwrap_or_else(|problem| panic!("{problem:?}")).items();
    let mut seen = 0;
    for round in [1, 400, 1, 3] {
        for _ in 0..round {
            world.write(1).await;
        }
        let wanted = seen + round;
        while seen < wanted {
            let item = timeout(TIMEOUT, items.next()).await.expect("no data in time");
            let Some(LiveItem::Rows(rows)) = item else { panic!("no rows") };
            for (index, _) in &rows.selected {
                seen += 1;
                assert_eq!(rows.batch.rows[*index].position, seen);
            }
        }
    }
    world.end().await;
}
