//! Who is slow, who goes, and what all share: at a pace that a test can wait for.

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
use tokio_tungstenite::tungstenite::Message;

use super::*;
use crate::aggregates::{Aggregate, Loaded};
use crate::app::{Annals, App};
use crate::commands::{Context, Handle};
use crate::http::Authentication;

#[derive(Id, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct PadId(String);

#[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[event(name = "pad", on = Pad)]
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

/// Write
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

const PATIENCE: Duration = Duration::from_secs(60);

/// An application, served at a quick pace.
struct World {
    annals: Annals,
    address: std::net::SocketAddr,
    _directory: TempDir,
    stop: oneshot::Sender<()>,
}

impl World {
    async fn new() -> Self {
        let directory = TempDir::new().unwrap();
        let url = format!("sqlite://{}", directory.path().join("pads.db").display());
        let annals = App::new("pads").command::<Write>().open(&url).await.unwrap();
        let pace = Pace { heartbeat: Duration::from_millis(100), patience: Duration::from_secs(3) };
        let trusting = Authentication::trusting("user:ann".parse().ok());
        let router = crate::http::router(annals.clone()).authentication(trusting).pace(pace).into_router();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        tokio::spawn(crate::http::serve(listener, router, async { drop(stopped.await) }));
        Self { annals, address, _directory: directory, stop }
    }

    async fn write(&self, bytes: usize) {
        let write = Write { pad: PadId::new("1"), text: "x".repeat(bytes) };
        let bob = Context::by("user:bob".parse::<crate::events::Ref>().unwrap());
        let done = self.annals.execute(write, &bob);
        timeout(PATIENCE, done).await.expect("a writer is held up").unwrap();
    }

    async fn stream(&self, path: &str) -> Lines {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let response = client.get(format!("http://{}{path}", self.address)).send().await.unwrap();
        assert_eq!(response.status(), 200);
        Lines { response, buffer: Vec::new(), looked: 0 }
    }

    async fn end(self) {
        let _ = self.stop.send(());
        self.annals.close().await;
    }
}

struct Lines {
    response: reqwest::Response,
    buffer: Vec<u8>,
    looked: usize,
}

impl Lines {
    async fn next(&mut self) -> Option<String> {
        loop {
            // What was looked at holds no end of a line.
            if let Some(end) = self.buffer[self.looked..].iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=self.looked + end).collect();
                self.looked = 0;
                return Some(String::from_utf8(line).unwrap().trim_end().to_owned());
            }
            self.looked = self.buffer.len();
            let chunk = timeout(PATIENCE, self.response.chunk()).await.expect("it takes too long");
            self.buffer.extend_from_slice(&chunk.ok()??);
        }
    }

    /// What the next event is called, and what it says.
    async fn event(&mut self) -> Option<(String, Value)> {
        let mut name = String::new();
        loop {
            let line = self.next().await?;
            match line.split_once(": ") {
                Some(("event", said)) => name = said.to_owned(),
                Some(("data", said)) => return Some((name, serde_json::from_str(said).unwrap())),
                _ => {}
            }
        }
    }
}

/// More than all buffers between the two of them hold.
const WRITES: u64 = 150;
const BYTES: usize = 200 * 1024;

/// How long one who is slow does nothing: longer than one is patient, and not so long that the line is cut.
const PAUSE: Duration = Duration::from_millis(7_500);

/// P1, issue 6: what waits for who takes nothing is bounded; he is told so, goes on from there, and nothing is missed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_takes_nothing_of_a_stream_is_told_where_to_go_on() {
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
            let (name, said) = lines.event().await.expect("an end");
            if name == "end" {
                assert_eq!(said["reason"], "slow", "{said}");
                after = format!("?after={}", said["cursor"].as_str().unwrap());
                assert!(lines.event().await.is_none());
                break;
            }
            seen += 1;
            assert_eq!(said["position"], seen);
        }
        if seen > WRITES {
            assert!(turn > 0, "all of it was buffered");
            return world.end().await;
        }
    }
}

/// The same over WebSocket; the connection itself goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_takes_nothing_of_a_subscription_is_told_where_to_go_on() {
    let world = World::new().await;
    for _ in 0..WRITES {
        world.write(BYTES).await;
    }
    let stream = TcpStream::connect(world.address).await.unwrap();
    let url = format!("ws://{}/live", world.address);
    let (mut socket, _) = tokio_tungstenite::client_async(url, stream).await.unwrap();
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
            let message = timeout(PATIENCE, socket.next()).await.expect("it takes too long").unwrap().unwrap();
            let Message::Text(text) = message else { continue };
            let told: Value = serde_json::from_str(text.as_str()).unwrap();
            if let Some(row) = told["params"]["result"].get("row") {
                seen += 1;
                assert_eq!(row["position"], seen);
                if seen > WRITES {
                    assert!(turn > 0, "all of it was buffered");
                    return world.end().await;
                }
            }
            if let Some(error) = told["params"].get("error") {
                assert_eq!(error["data"]["reason"], "slow", "{error}");
                cursor = error["data"]["cursor"].clone();
                break;
            }
        }
    }
}

/// A quiet line is told from a dead one; so is a client that is gone without a word.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quiet_line_says_that_it_is_there() {
    let world = World::new().await;
    let mut lines = world.stream("/live/audit").await;
    let mut comments = 0;
    while comments < 3 {
        comments += usize::from(lines.next().await.unwrap() == ":");
    }
    // This one never reads, so that it never answers a ping.
    let stream = TcpStream::connect(world.address).await.unwrap();
    let (socket, _) =
        tokio_tungstenite::client_async(format!("ws://{}/live", world.address), stream).await.unwrap();
    let stream = socket.into_inner();
    let gone = async {
        // Pings come until it is given up; then nothing more does.
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
    timeout(PATIENCE, gone).await.expect("it is kept for good");
    world.end().await;
}

/// Nothing is read of who follows, so that he is missed when something is said to him: a heartbeat or two later.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_who_hangs_up_is_forgotten() {
    let world = World::new().await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let counted = async |number: &str| {
        let line = format!("followers{{protocol=\"sse\"}} {number}\n");
        let counting = async {
            loop {
                let numbers = client.get(format!("http://{}/metrics", world.address)).send().await.unwrap();
                if numbers.text().await.unwrap().contains(&line) {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(PATIENCE, counting).await.is_ok()
    };
    let lines = world.stream("/live/audit").await;
    assert!(counted("1").await, "nobody follows");
    drop(lines);
    assert!(counted("0").await, "who is gone is kept");
    world.end().await;
}

/// All who follow get what was made once; when the last is gone, nothing is read for them any more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_who_follow_share_one_reader_as_long_as_there_are_any() {
    let world = World::new().await;
    let hub = Hub::new(world.annals.clone());
    let (mut one, mut other) = (hub.subscribe(), hub.subscribe());
    world.write(1).await;
    let of = async |subscription: &mut hub::Subscription| {
        timeout(PATIENCE, subscription.batches.recv()).await.expect("it takes too long").unwrap()
    };
    let (batch, same) = (of(&mut one).await, of(&mut other).await);
    assert!(Arc::ptr_eq(&batch, &same) && batch.to.position == 1);
    drop(one);
    world.write(1).await;
    assert_eq!(of(&mut other).await.to.position, 2);
    drop(other);
    let idle = async {
        while !hub.is_idle() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, idle).await.expect("it reads on for nobody");
    assert_eq!(hub.subscribe().at.position, 2);
    world.end().await;
}

/// P1: who is too slow for what all share reads what is stored, and comes back to it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_falls_behind_what_all_share_misses_nothing() {
    let world = World::new().await;
    let hub = Hub::new(world.annals.clone());
    let closing = Closing::new(watch::channel(false).1);
    let query = world.annals.audit();
    let open = Follower::open(hub, query, &Asked::default(), Words::default(), closing).await;
    let mut steps = open.unwrap_or_else(|problem| panic!("{problem:?}")).steps();
    let mut seen = 0;
    for round in [1, 400, 1, 3] {
        for _ in 0..round {
            world.write(1).await;
        }
        let wanted = seen + round;
        while seen < wanted {
            let step = timeout(PATIENCE, steps.next()).await.expect("it takes too long");
            let Some(Step::Rows(rows)) = step else { panic!("no rows") };
            for (index, _) in &rows.chosen {
                seen += 1;
                assert_eq!(rows.batch.rows[*index].position, seen);
            }
        }
    }
    world.end().await;
}
