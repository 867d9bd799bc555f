//! Memory in bytes: what a process holds while it fills, rebuilds, reads and follows a log that is far larger. The
//! operating system tells the peak of a child process.

use std::process::Command;
use std::sync::atomic::AtomicUsize;

use futures::StreamExt;
use tokio::sync::Semaphore;

use super::*;
use crate::projections::audit::{AuditLog, AuditQuery};

const EVENTS: u64 = 2_048;
/// The size of an event: the log has 128 MiB.
const BYTES: usize = 64 << 10;
/// The most that a process may hold, beside what it holds before it begins.
const MOST: usize = 96 << 20;
/// The events of a batch.
const BATCH: u64 = 64;

#[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[event(name = "blob")]
enum BlobEvent {
    #[event(update, "{actor} wrote a blob")]
    Written { text: String },
}

/// A projection that keeps nothing. Its batches wait for the gate.
struct Passing {
    name: &'static str,
    gate: Arc<Semaphore>,
    /// The most bytes of a batch.
    most: AtomicUsize,
}

impl Passing {
    fn new(name: &'static str, open: bool) -> Arc<Self> {
        let permits = if open { Semaphore::MAX_PERMITS } else { 0 };
        Arc::new(Self { name, gate: Arc::new(Semaphore::new(permits)), most: AtomicUsize::new(0) })
    }
}

#[async_trait]
impl Projection for Passing {
    fn name(&self) -> &str {
        self.name
    }

    async fn setup(&self, _: &mut dyn Transaction) -> Result<(), ProjectionError> {
        Ok(())
    }

    async fn apply(&self, batch: EventBatch<'_>, _: &mut dyn Transaction) -> Result<(), ProjectionError> {
        let bytes = batch.events.iter().map(Stored::text_bytes).sum();
        self.most.fetch_max(bytes, Ordering::Relaxed);
        drop(self.gate.acquire().await);
        Ok(())
    }
}

async fn append(writer: &Writer, events: u64) {
    let blob = BlobEvent::Written { text: "x".repeat(BYTES) };
    for _ in 0..events / BATCH {
        writer.append((0..BATCH).map(|_| happening("blob:1".parse().unwrap(), &blob)).collect()).await;
    }
}

/// A line of `/proc/self/status`, in bytes.
fn status(name: &str) -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim_matches([':', ' ', '\t', 'k', 'B']).parse::<usize>().unwrap() << 10
}

/// Runs `work`, and fails if it held more than [`MOST`].
async fn within_bounds(what: &str, work: impl Future<Output = ()>) {
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    let before = status("VmRSS");
    work.await;
    let held = status("VmHWM").saturating_sub(before);
    println!("{what}: {} MiB", held >> 20);
    assert!(held <= MOST, "{what}: the process held {} MiB of a log of 128 MiB", held >> 20);
}

/// Mission P1: the memory of a process depends on the size of its buffers, not on the size of the log.
#[tokio::test]
async fn a_log_of_any_size_is_projected_and_followed_in_little_memory() {
    // In memory, if possible: what is measured is not the disk.
    let directory = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let url = fixture::stores::of(directory.path());
    let store = file(directory.path()).await;
    append(&Writer::new(&store), EVENTS).await;
    store.close().await;
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["projections::tests::memory::in_a_process_of_its_own", "--exact", "--ignored", "--nocapture"])
        // One arena, and freed events return to the system: the peak is what is in use.
        .envs([("ANNALS_TEST_STORE", url.as_str()), ("MALLOC_ARENA_MAX", "1"), ("MALLOC_MMAP_THRESHOLD_", "32768")])
        .output()
        .unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&child.stdout), String::from_utf8_lossy(&child.stderr));
    assert!(child.status.success() && text.contains("1 passed"), "{text}");
    println!("{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "another test runs it as a process of its own"]
async fn in_a_process_of_its_own() {
    let Ok(url) = std::env::var("ANNALS_TEST_STORE") else { return };
    let store = crate::store::open(&url, options()).await.unwrap();
    let mut types = Types::default();
    types.add::<BlobEvent>("blob").unwrap();
    let types = Arc::new(types);
    let stalled = Passing::new("stalled", true);
    let gate = stalled.gate.clone();
    let all: Vec<Arc<dyn Projection>> =
        vec![Passing::new("passing", true), stalled, Arc::new(AuditLog::new(types.clone()))];
    let projections = Projections::start(store.clone(), types, all, true).await.unwrap();
    let caught_up = async |name: &str| {
        let reading = projections.reading(name).unwrap();
        let head = store.head().await.unwrap();
        reading.caught_up(head, Some(Duration::from_secs(300))).await.unwrap();
    };
    within_bounds("filling", async {
        for name in ["passing", "stalled", "audit"] {
            caught_up(name).await;
        }
    })
    .await;
    within_bounds("rebuilding", async {
        projections.rebuild("passing").unwrap().await.unwrap();
    })
    .await;
    within_bounds("reading slowly", async {
        let mut rows = AuditQuery::new(projections.reading("audit").unwrap()).follow();
        for expected in 1..=EVENTS {
            assert_eq!(rows.next().await.unwrap().unwrap().position, expected);
            if expected % 512 == 0 {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    })
    .await;
    // What the reader shares stays in memory until the stalled projection has received it, or newer pages replace it.
    gate.forget_permits(Semaphore::MAX_PERMITS);
    let writer =
        Writer { sequences: Mutex::new([("blob:1".parse().unwrap(), EVENTS)].into()), store: store.clone() };
    within_bounds("following beside a stalled projection", async {
        for _ in 0..EVENTS / BATCH {
            append(&writer, BATCH).await;
            caught_up("passing").await;
        }
    })
    .await;
    gate.add_permits(Semaphore::MAX_PERMITS);
    caught_up("stalled").await;
    projections.close().await;
    store.close().await;
}

/// The size of a page is known from the one before. It is bounded also where small events are followed by large ones.
#[tokio::test]
async fn large_events_behind_small_ones_are_read_in_pages_of_bounded_size() {
    let store = memory().await;
    let writer = Writer::new(&store);
    for size in [vec![0; 6_000], vec![BYTES; 320]].concat().chunks(500) {
        let blob =
            |size: &usize| happening("blob:1".parse().unwrap(), &BlobEvent::Written { text: "x".repeat(*size) });
        writer.append(size.iter().map(blob).collect()).await;
    }
    let mut types = Types::default();
    types.add::<BlobEvent>("blob").unwrap();
    let passing = Passing::new("passing", true);
    let projections =
        Projections::start(store.clone(), Arc::new(types), vec![passing.clone()], true).await.unwrap();
    let reading = projections.reading("passing").unwrap();
    reading.caught_up(store.head().await.unwrap(), Some(Duration::from_secs(300))).await.unwrap();
    projections.rebuild("passing").unwrap().await.unwrap();
    let most = passing.most.load(Ordering::Relaxed);
    // A rebuild reads 16 MB at a time, everything else less.
    assert!((1..(16 << 20) + 2 * BYTES).contains(&most), "{most} bytes at once");
    projections.close().await;
    store.close().await;
}

fixture::stores::on_postgres_too! {
    a_log_of_any_size_is_projected_and_followed_in_little_memory,
    large_events_behind_small_ones_are_read_in_pages_of_bounded_size,
}
