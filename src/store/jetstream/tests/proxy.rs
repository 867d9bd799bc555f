//! [`Proxy`]: between a store and its server: it understands their protocol, and does with each batch what a test says.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};

/// What happens to a batch.
pub(super) enum Step {
    /// It is stored, and its answer is lost.
    LoseAnswer,
    /// It never arrives, and there is no answer.
    LoseMessage,
    /// It is refused as one that comes too late, although nothing is there. It is held, and may be stored later.
    Phantom,
    /// The test gets the other end, and the batch is sent when that is used or dropped.
    Pause(oneshot::Sender<oneshot::Sender<()>>),
    /// It is stored twice: the client has sent it again, and both arrive.
    Twice,
}

#[derive(Default)]
struct Script {
    steps: Mutex<VecDeque<Step>>,
    /// Batches that were held.
    held: Mutex<Vec<Vec<u8>>>,
    /// All batches that the store has sent.
    sent: Mutex<Vec<Vec<u8>>>,
    /// How many milliseconds later batches arrive.
    delay: AtomicU64,
    /// Reads are answered as by a server that lags: there is nothing new.
    lags: AtomicBool,
    /// The number of reads that were answered so.
    lagged: AtomicU32,
    /// So many reads get no answer, as if a frozen server had got them.
    unanswered: AtomicU32,
    /// Batches with rows are refused.
    refuses_rows: AtomicBool,
    /// What the server says its version is.
    version: Mutex<Option<String>>,
    /// Nothing passes on connections up to this one.
    silent: AtomicU32,
    /// The number of connections that were made.
    connections: AtomicU32,
}

pub(super) struct Proxy {
    pub(super) port: u16,
    server: u16,
    script: Arc<Script>,
}

impl Proxy {
    pub(super) async fn before(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let script = Arc::new(Script::default());
        let of_connections = script.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let Ok(upstream) = TcpStream::connect(("127.0.0.1", server)).await else { continue };
                let number = of_connections.connections.fetch_add(1, Ordering::SeqCst) + 1;
                tokio::spawn(connection(number, client, upstream, of_connections.clone()));
            }
        });
        Self { port, server, script }
    }

    /// What happens to the next batches, in order.
    pub(super) fn next(&self, steps: impl IntoIterator<Item = Step>) {
        self.script.steps.lock().unwrap().extend(steps);
    }

    pub(super) fn steps_left(&self) -> usize {
        self.script.steps.lock().unwrap().len()
    }

    /// The number of batches that the store has sent, with those that it sent again.
    pub(super) fn sent(&self) -> usize {
        self.script.sent.lock().unwrap().len()
    }

    pub(super) fn connections(&self) -> u32 {
        self.script.connections.load(Ordering::SeqCst)
    }

    /// Nothing passes on the connections that exist, nor on later ones.
    pub(super) fn be_silent(&self) {
        self.script.silent.store(u32::MAX, Ordering::SeqCst);
    }

    /// Nothing passes on the connections that exist; later ones work.
    pub(super) fn be_silent_on_present_connections(&self) {
        self.script.silent.store(self.connections(), Ordering::SeqCst);
    }

    pub(super) fn delay_batches(&self, delay: Duration) {
        self.script.delay.store(u64::try_from(delay.as_millis()).unwrap(), Ordering::SeqCst);
    }

    /// Reads are answered as by a server that has nothing new yet. Returns once no earlier read is under way.
    pub(super) async fn lag(&self) {
        self.script.lags.store(true, Ordering::SeqCst);
        let before = self.script.lagged.load(Ordering::SeqCst);
        while self.script.lagged.load(Ordering::SeqCst) < before + 3 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// The next reads get no answer.
    pub(super) fn lose_reads(&self, count: u32) {
        self.script.unanswered.store(count, Ordering::SeqCst);
    }

    pub(super) fn reads_left_to_lose(&self) -> u32 {
        self.script.unanswered.load(Ordering::SeqCst)
    }

    /// Reads are answered by the server again.
    pub(super) fn catch_up(&self) {
        self.script.lags.store(false, Ordering::SeqCst);
    }

    pub(super) fn refuse_rows(&self, refuses: bool) {
        self.script.refuses_rows.store(refuses, Ordering::SeqCst);
    }

    pub(super) fn claim_version(&self, version: &str) {
        *self.script.version.lock().unwrap() = Some(version.to_owned());
    }

    /// What the store has sent without the line that has the address of the answer.
    pub(super) fn contents(&self) -> Vec<Vec<u8>> {
        let content = |frame: &Vec<u8>| frame.iter().copied().skip_while(|byte| *byte != b'\n').collect();
        self.script.sent.lock().unwrap().iter().map(content).collect()
    }

    /// Sends what was held to the server.
    pub(super) async fn let_held_arrive(&self) {
        let held = std::mem::take(&mut *self.script.held.lock().unwrap());
        let mut stream = TcpStream::connect(("127.0.0.1", self.server)).await.unwrap();
        stream.write_all(b"CONNECT {\"verbose\":false,\"headers\":true}\r\n").await.unwrap();
        for frame in held {
            stream.write_all(&frame).await.unwrap();
        }
        stream.write_all(b"PING\r\n").await.unwrap();
        let mut lines = BufReader::new(stream).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            if line == "PONG" {
                break;
            }
        }
    }
}

/// A line of the protocol, with the bytes that follow it.
struct Frame {
    line: String,
    bytes: Vec<u8>,
}

async fn read_frame(from: &mut BufReader<OwnedReadHalf>) -> Option<Frame> {
    let mut line = String::new();
    if from.read_line(&mut line).await.ok()? == 0 {
        return None;
    }
    let mut bytes = line.clone().into_bytes();
    let verb = line.split_whitespace().next().unwrap_or_default().to_uppercase();
    if ["PUB", "HPUB", "MSG", "HMSG"].contains(&verb.as_str()) {
        let length: usize = line.split_whitespace().last()?.parse().ok()?;
        let begin = bytes.len();
        bytes.resize(begin + length + 2, 0);
        from.read_exact(&mut bytes[begin..]).await.ok()?;
    }
    Some(Frame { line: line.trim_end().to_owned(), bytes })
}

/// The subscriptions of a connection: pattern and number.
type Subscriptions = Arc<Mutex<HashMap<String, String>>>;

async fn connection(number: u32, client: TcpStream, upstream: TcpStream, script: Arc<Script>) {
    let (client_read, client_write) = client.into_split();
    let (server_read, server_write) = upstream.into_split();
    let (to_client, answers) = mpsc::unbounded_channel();
    let (to_server, requests) = mpsc::unbounded_channel();
    let lost: Arc<Mutex<Vec<String>>> = Arc::default();
    let writers = [tokio::spawn(write(client_write, answers)), tokio::spawn(write(server_write, requests))];
    let down = tokio::spawn(from_server(number, server_read, to_client.clone(), lost.clone(), script.clone()));
    from_client(number, client_read, to_client, to_server, lost, script).await;
    down.abort();
    writers.iter().for_each(tokio::task::JoinHandle::abort);
}

async fn write(mut to: OwnedWriteHalf, mut frames: mpsc::UnboundedReceiver<Vec<u8>>) {
    while let Some(frame) = frames.recv().await {
        if to.write_all(&frame).await.is_err() {
            return;
        }
    }
}

async fn from_server(
    number: u32,
    read: OwnedReadHalf,
    to_client: mpsc::UnboundedSender<Vec<u8>>,
    lost: Arc<Mutex<Vec<String>>>,
    script: Arc<Script>,
) {
    let mut read = BufReader::new(read);
    while let Some(mut frame) = read_frame(&mut read).await {
        if frame.line.starts_with("INFO ")
            && let Some(version) = &*script.version.lock().unwrap()
        {
            let line = frame.line.replace("\"version\":\"2.15.1\"", &format!("\"version\":\"{version}\""));
            frame.bytes = format!("{line}\r\n").into_bytes();
        }
        let is_lost = frame.line.split_whitespace().nth(1).is_some_and(|subject| {
            let mut lost = lost.lock().unwrap();
            let at = lost.iter().position(|found| found == subject);
            at.map(|at| lost.remove(at)).is_some()
        });
        if !is_lost && number > script.silent.load(Ordering::SeqCst) && to_client.send(frame.bytes).is_err() {
            return;
        }
    }
}

async fn from_client(
    number: u32,
    read: OwnedReadHalf,
    to_client: mpsc::UnboundedSender<Vec<u8>>,
    to_server: mpsc::UnboundedSender<Vec<u8>>,
    lost: Arc<Mutex<Vec<String>>>,
    script: Arc<Script>,
) {
    let mut read = BufReader::new(read);
    let subscriptions = Subscriptions::default();
    while let Some(frame) = read_frame(&mut read).await {
        if number <= script.silent.load(Ordering::SeqCst) {
            continue;
        }
        let words: Vec<&str> = frame.line.split_whitespace().collect();
        if words.first() == Some(&"SUB") {
            let number = words.last().copied().unwrap_or_default().to_owned();
            subscriptions.lock().unwrap().insert(words[1].to_owned(), number);
        }
        let answer_with = |reply: &str, head: &str, content: &str| {
            let number = subscriptions.lock().unwrap().iter().find_map(|(pattern, number)| {
                reply.starts_with(pattern.trim_end_matches('*')).then(|| number.clone())
            });
            let number = number.expect("the client listens");
            let lengths = match head {
                "MSG" => content.len().to_string(),
                _ => format!("{0} {0}", content.len()),
            };
            let _ = to_client.send(format!("{head} {reply} {number} {lengths}\r\n{content}\r\n").into_bytes());
        };
        let is_read = frame.line.starts_with("PUB $JS.API.DIRECT.GET.");
        let one_less = |left: u32| left.checked_sub(1);
        if is_read && script.unanswered.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less).is_ok() {
            continue;
        }
        if is_read && script.lags.load(Ordering::SeqCst) {
            answer_with(words[2], "HMSG", "NATS/1.0 404 Message Not Found\r\n\r\n");
            script.lagged.fetch_add(1, Ordering::SeqCst);
            continue;
        }
        let is_batch = frame.line.starts_with("HPUB annals.log.")
            && frame.bytes.windows(19).any(|window| window == b"Annals-Kind: batch\r");
        if !is_batch {
            let _ = to_server.send(frame.bytes);
            continue;
        }
        tokio::time::sleep(Duration::from_millis(script.delay.load(Ordering::SeqCst))).await;
        script.sent.lock().unwrap().push(frame.bytes.clone());
        let reply = words[2].to_owned();
        let answer = |text: String| answer_with(&reply, "MSG", &text);
        let error = |code: u64, what: &str| {
            format!(r#"{{"error":{{"code":400,"err_code":{code},"description":"{what}"}},"stream":"LOG","seq":0}}"#)
        };
        let lengths: Vec<&str> = words.iter().rev().take(2).copied().collect();
        if script.refuses_rows.load(Ordering::SeqCst) && lengths[0] != lengths[1] {
            answer(error(10_077, "refused by the test"));
            continue;
        }
        let step = script.steps.lock().unwrap().pop_front();
        match step {
            None => _ = to_server.send(frame.bytes),
            Some(Step::LoseAnswer) => {
                lost.lock().unwrap().push(reply);
                let _ = to_server.send(frame.bytes);
            }
            Some(Step::LoseMessage) => {}
            Some(Step::Phantom) => {
                script.held.lock().unwrap().push(frame.bytes);
                answer(error(10_071, "wrong last sequence: 99"));
            }
            Some(Step::Pause(arrived)) => {
                let (go, wait) = oneshot::channel();
                let _ = arrived.send(go);
                let to_server = to_server.clone();
                // Everything else passes meanwhile.
                tokio::spawn(async move {
                    let _ = wait.await;
                    let _ = to_server.send(frame.bytes);
                });
            }
            Some(Step::Twice) => {
                let _ = to_server.send(frame.bytes.clone());
                let _ = to_server.send(frame.bytes);
            }
        }
    }
}
