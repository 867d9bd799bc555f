//! The auditor as a process, with its producers in Python: it is killed and started again while they work.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

#[allow(dead_code, reason = "shared with the tests of feeds, which use the rest")]
#[path = "../../../tests/feeds/brokers.rs"]
mod brokers;

use brokers::{NatsServer, RabbitBroker};

/// How long something may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);

/// The program, with its page at an address.
struct Auditor {
    process: Child,
    address: String,
}

impl Auditor {
    fn start(store: &Path, listen: &str, more: &[&str]) -> Self {
        let mut program = Command::new(env!("CARGO_BIN_EXE_auditor"));
        program.args(["--store", &format!("sqlite://{}", store.display()), "--listen", listen]).args(more);
        let mut process = program.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines().map_while(Result::ok);
        let line = lines.find(|line| line.starts_with("listening on http://")).expect("it listens");
        Self { process, address: line.trim_start_matches("listening on http://").to_owned() }
    }

    fn kill(mut self) -> String {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        std::mem::take(&mut self.address)
    }

    async fn get(&self, path: &str) -> Value {
        let request = reqwest::Client::new().get(format!("http://{}{path}", self.address));
        request.header("Annals-Actor", "user:auditor").send().await.unwrap().json().await.unwrap()
    }

    /// A page, without the marks that keep the direction of one value apart from that of others.
    async fn page(&self, path: &str, language: &str) -> String {
        let request = reqwest::Client::new().get(format!("http://{}{path}", self.address));
        let request = request.header("Annals-Actor", "user:auditor").header("Accept-Language", language);
        request.send().await.unwrap().text().await.unwrap().replace("<bdi>", "").replace("</bdi>", "")
    }

    /// The rows of all entries of an actor or a target, oldest first.
    async fn rows(&self, filter: &str) -> Vec<Value> {
        let answer = self.get(&format!("/audit?topic=data&limit=1000&newest_first=false&{filter}")).await;
        answer["rows"].as_array().unwrap_or_else(|| panic!("{answer}")).clone()
    }

    /// Waits until there are so many entries in all.
    async fn has(&self, entries: usize) {
        let waiting = async {
            while self.rows("").await.len() < entries {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        if tokio::time::timeout(PATIENCE, waiting).await.is_err() {
            panic!("{} of {entries} entries: {}", self.rows("").await.len(), self.get("/intakes").await);
        }
    }
}

impl Drop for Auditor {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn producers() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/producers"))
}

/// Runs the shop, with an interpreter.
fn shop(python: &Path, url: &str, arguments: &[&str]) -> Child {
    let mut program = Command::new(python);
    program.arg(producers().join("shop.py")).args(["--url", url]).args(arguments);
    program.env("PYTHONDONTWRITEBYTECODE", "1").stdout(Stdio::piped()).spawn().unwrap()
}

/// What the shop says at its end.
async fn said(shop: Child) -> Value {
    let ending = tokio::task::spawn_blocking(move || shop.wait_with_output().unwrap());
    let output = tokio::time::timeout(PATIENCE, ending).await.expect("it ends").unwrap();
    assert!(output.status.success());
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Checks the answers by actor and by target, in the API and on the page, for `count` things that the shop did.
async fn assert_answers(auditor: &Auditor, count: usize, producer: &str) {
    let mut seen = BTreeMap::new();
    for (number, actor) in ["ann", "bob", "eve"].into_iter().enumerate() {
        let rows = auditor.rows(&format!("actor=user:{actor}")).await;
        assert_eq!(rows.len(), (number..count).step_by(3).count(), "{actor}");
        for row in rows {
            *seen.entry(row["command_id"].to_string()).or_insert(0) += 1;
            assert_eq!(row["actor"], format!("user:{actor}"));
            assert_eq!(row["payload"]["producer"], producer, "{row}");
        }
    }
    assert_eq!((seen.len(), seen.values().max()), (count, Some(&1)), "each entry once");
    for document in 0..5 {
        let rows = auditor.rows(&format!("target=document:{document}")).await;
        let did: Vec<usize> = (document..count).step_by(5).collect();
        assert_eq!(rows.len(), did.len(), "document {document}");
        let actions: Vec<&str> =
            did.iter().map(|number| ["create", "view", "update", "delete"][number % 4]).collect();
        let kept: Vec<&str> = rows.iter().map(|row| row["action"].as_str().unwrap()).collect();
        assert_eq!(kept, actions, "the order of a target is that of its producer");
    }
    let updated = auditor.rows("action=update").await;
    assert_eq!(updated[0]["payload"]["changes"]["pages"], json!({"from": 1, "to": 2}));
    assert_eq!(updated[0]["sentence"], "user:eve changed pages, title of document:2");
    let french = auditor.rows("action=update&locale=fr").await;
    assert_eq!(french[0]["sentence"], "user:eve a modifié pages, title de document:2");
    let page = auditor.page("/history?of=document:2", "en").await;
    assert!(page.contains("changed pages, title of"), "{page}");
    let page = auditor.page("/history?of=document:2", "fr").await;
    assert!(page.contains("a modifié pages, title de"), "{page}");
    assert!(auditor.page("/?actor=user:ann", "en").await.contains("created"));
}

/// Mission A1, A2, A3, A4: without a broker.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_producer_over_http_is_not_slowed_and_loses_nothing_while_the_auditor_is_down() {
    const COUNT: usize = 300;
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("auditor.db");
    let auditor = Auditor::start(&store, "127.0.0.1:0", &[]);
    let spool = folder.path().join("spool");
    let arguments = ["--count", "300", "--every", "0.01", "--queue", "20", "--spool", spool.to_str().unwrap()];
    let working = shop(Path::new("python3"), &format!("http://{}", auditor.address), &arguments);
    auditor.has(30).await;
    let address = auditor.kill();
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let auditor = Auditor::start(&store, &address, &[]);
    let said = said(working).await;
    assert_eq!(
        (said["calls"].as_u64(), said["refused"].as_u64(), said["dropped"].as_u64()),
        (Some(300), Some(0), Some(0))
    );
    assert!(said["spooled"].as_u64() > Some(0), "the queue was never full: {said}");
    assert!(said["slowest_ms"].as_f64() < Some(250.0), "a call waited: {said}");
    auditor.has(COUNT).await;
    assert_answers(&auditor, COUNT, "service:shop").await;
    assert!(!spool.exists() && !folder.path().join("spool.taken").exists(), "the spool is empty");
}

/// Without a spool, what does not fit is dropped, and said.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_producer_without_an_auditor_says_what_it_drops() {
    let port = annals_test_postgres::free_port();
    let arguments = ["--count", "50", "--every", "0", "--queue", "20", "--patience", "0"];
    let said = said(shop(Path::new("python3"), &format!("http://127.0.0.1:{port}"), &arguments)).await;
    assert_eq!((said["sent"].as_u64(), said["dropped"].as_u64()), (Some(0), Some(50)), "{said}");
    assert!(said["slowest_ms"].as_f64() < Some(250.0), "a call waited: {said}");
}

/// An interpreter with pika; none if it cannot be installed, and such tests may be left out.
fn with_pika() -> Option<PathBuf> {
    let venv = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/pika");
    let python = venv.join("bin/python");
    let has_pika =
        || Command::new(&python).args(["-c", "import pika"]).status().is_ok_and(|status| status.success());
    if !has_pika() {
        let made = Command::new("python3").args(["-m", "venv"]).arg(&venv).status();
        let install = ["-m", "pip", "install", "--quiet", "pika==1.3.2"];
        let installed = made.and_then(|_| Command::new(&python).args(install).status());
        if !installed.is_ok_and(|status| status.success()) || !has_pika() {
            annals_test_postgres::skip("pika cannot be installed: python3 has no venv and pip, or no registry");
            return None;
        }
    }
    Some(python)
}

/// Mission A1, A2, A3, A4: with RabbitMQ.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_producer_with_rabbitmq_does_not_notice_that_the_auditor_is_down() {
    const COUNT: usize = 300;
    let Some(python) = tokio::task::block_in_place(with_pika) else { return };
    let Some(broker) = tokio::task::block_in_place(RabbitBroker::start) else { return };
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("auditor.db");
    // The first entries wait at the broker.
    let working = shop(&python, &broker.url(), &["--count", "300", "--every", "0.01"]);
    let auditor = Auditor::start(&store, "127.0.0.1:0", &["--broker", &broker.url()]);
    auditor.has(30).await;
    let address = auditor.kill();
    let said = said(working).await;
    assert_eq!((said["sent"].as_u64(), said["dropped"].as_u64()), (Some(300), Some(0)), "{said}");
    assert!(said["slowest_ms"].as_f64() < Some(250.0), "a call waited: {said}");
    let auditor = Auditor::start(&store, &address, &["--broker", &broker.url()]);
    auditor.has(COUNT).await;
    assert_answers(&auditor, COUNT, "guest").await;
    let intake = auditor.get("/intakes").await;
    assert!(!intake.to_string().contains("guest:guest"), "{intake}");
}

/// With NATS, and a producer that is a few lines.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entries_come_from_nats_too() {
    let Some(server) = NatsServer::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let auditor = Auditor::start(&folder.path().join("auditor.db"), "127.0.0.1:0", &["--broker", &server.url()]);
    let context = server.context().await;
    let waiting = async {
        while context.get_stream(auditor::settings::STREAM).await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.expect("the auditor creates the stream");
    let message = json!({
        "specversion": "1.0", "id": "1", "source": "/shop", "type": "data.viewed",
        "data": {"actor": "user:ann", "target": "document:7"},
    });
    for _ in 0..2 {
        context.publish("data.shop", message.to_string().into()).await.unwrap().await.unwrap();
    }
    auditor.has(1).await;
    let rows = auditor.rows("target=document:7").await;
    assert_eq!((rows.len(), rows[0]["sentence"].as_str()), (1, Some("user:ann viewed document:7")));
    assert_eq!(rows[0]["payload"]["producer"], "data.shop");
}
