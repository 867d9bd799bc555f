//! A background task that panics is started again, and the status shows it.

use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use super::*;

/// A subscriber that panics at the beginning of the next steps of projections.
struct Panicking(Arc<AtomicU64>);

impl Subscriber for Panicking {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let fails = || self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
        assert!(span.metadata().name() != "project" || !fails(), "no space left for the log");
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, _: &Event<'_>) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

async fn balance(projections: &Projections) -> ProjectionStatus {
    projections.statuses().await.unwrap().remove(0)
}

async fn is_live(projections: &Projections) -> bool {
    matches!(balance(projections).await, ProjectionStatus { state: ProjectionState::Live, lag: 0, .. })
}

/// Each event counts once, however often the task panics.
#[tokio::test]
async fn a_projection_whose_task_panics_is_started_again_and_its_status_shows_it() {
    let store = memory().await;
    let writer = Writer::new(&store);
    let projections = engine(&store, vec![balances()]).await;
    let reading = projections.reading("balance").unwrap();
    let first = writer.append((0..20).map(|number| deposit(number % 3, number)).collect()).await;
    reading.caught_up(first.head, None).await.unwrap();
    assert_eq!(balance(&projections).await.restarts, 0);

    let left = Arc::new(AtomicU64::new(2));
    let _subscriber = tracing::subscriber::set_default(Panicking(left.clone()));
    let second = writer.append((0..20).map(|number| deposit(number % 3, number)).collect()).await;
    reading.caught_up(second.head, Some(Duration::from_secs(20))).await.unwrap();
    until("the projection is live", async || is_live(&projections).await).await;
    assert_eq!(balance(&projections).await.restarts, 2);

    left.store(u64::MAX, Ordering::SeqCst);
    let third = writer.append((0..20).map(|number| deposit(number % 3, number)).collect()).await;
    let stopped = loop {
        match balance(&projections).await.state {
            ProjectionState::Stopped(stopped) => break stopped,
            _ => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    };
    assert!(stopped.reason.contains("panicked 5 times in a row, the last time with `no space left"), "{stopped}");
    let error = reading.caught_up(third.head, Some(Duration::from_secs(20))).await.unwrap_err();
    // The reason may show values of events: it is in the status, for operators.
    assert!(matches!(&error, crate::projections::ReadError::Stopped { position: None, .. }), "{error}");
    assert!(!error.to_string().contains("no space left"), "{error}");

    left.store(0, Ordering::SeqCst);
    until("the projection is live", async || is_live(&projections).await).await;
    assert_eq!(bytes(&reading).await, as_bytes(&by_hand(&whole(&store).await)));
    projections.close().await;
}

fixture::stores::on_postgres_too! {
    a_projection_whose_task_panics_is_started_again_and_its_status_shows_it,
}
