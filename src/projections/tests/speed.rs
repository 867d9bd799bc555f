//! How fast a rebuild is: measured, not asserted. Fill once, then measure:
//!
//! ```sh
//! SPEED_DIR=/some/disk cargo nextest run --release -p annals --run-ignored all --no-capture -E 'test(speed)'
//! ```

use super::*;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Total {
    count: u64,
    sum: u64,
}

impl DocumentView for Total {
    const NAME: &'static str = "total";
    type Key = AccountId;
    type Events = AccountEvent;
}

impl On<AccountEvent> for Total {
    fn keys(event: &Recorded<AccountEvent>) -> Vec<AccountId> {
        event.id().into_iter().collect()
    }

    fn apply(document: &mut Option<Self>, _: &AccountId, event: &Recorded<AccountEvent>) {
        let total = document.get_or_insert_default();
        total.count += 1;
        if let AccountEvent::Deposited { cents } = event.event {
            total.sum += cents;
        }
    }
}

async fn filled(events: u64) -> (Arc<dyn Store>, Option<tempfile::TempDir>) {
    let (path, kept) = match std::env::var_os("SPEED_DIR") {
        Some(path) => (std::path::PathBuf::from(path).join(events.to_string()), None),
        None => {
            let directory = tempfile::tempdir().unwrap();
            (directory.path().to_owned(), Some(directory))
        }
    };
    std::fs::create_dir_all(&path).unwrap();
    let store = file(&path).await;
    let writer = Writer::new(&store);
    let at = store.head().await.unwrap().position;
    assert!(at == 0 || at == events, "the directory holds another log");
    for from in (at..events).step_by(5_000) {
        writer.append((from..from + 5_000).map(|number| deposit(number % 10_000, number)).collect()).await;
    }
    (store, kept)
}

/// The most memory that this process has had, in megabytes.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").trim().parse::<u64>().ok()).unwrap_or(0) / 1_024
}

/// Issue 4, part 8: per-aggregate count and sum over 500,000 events, 10,000 aggregates.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures"]
async fn speed_of_a_rebuild() {
    let events = std::env::var("SPEED_EVENTS").ok().and_then(|events| events.parse().ok()).unwrap_or(500_000);
    let (store, _kept) = filled(events).await;
    let view: Arc<dyn Projection> = Arc::new(Documents::<Total>::new());
    let projections = Projections::start(store.clone(), types(), vec![view], false).await.unwrap();
    println!("{}; {} MB before", store.describe(), peak());
    for _ in 0..3 {
        let began = std::time::Instant::now();
        projections.rebuild("total").unwrap().await.unwrap();
        let seconds = began.elapsed().as_secs_f64();
        println!("rebuild: {:.0} events/s in {seconds:.2} s, peak {} MB", events as f64 / seconds, peak());
    }
    let page = ViewList::<Total>::new(projections.reading("total")).page(10_000, None).await.unwrap();
    assert_eq!(page.documents.iter().map(|(_, total)| total.count).sum::<u64>(), events);
    assert_eq!(page.documents.iter().map(|(_, total)| total.sum).sum::<u64>(), events * (events - 1) / 2);
    projections.close().await;
    store.close().await;
}
