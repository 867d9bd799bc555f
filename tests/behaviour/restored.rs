//! The log was restored to an older state and the views were not: the projections are of a lost history.

use annals::app::access_log::LineageError;
use annals::prelude::*;
use annals::projections::audit::{AuditError, AuditQuery, AuditRow};
use annals::projections::export::{ExportError, Format};
use annals::projections::metrics::MetricError;
use annals::projections::{ProjectionState, ReadError, RepairError, Selection, SkipPolicy};
use annals::store::StoreError;
use annals_test_postgres::Place;
use futures::{StreamExt, TryStreamExt};

use crate::bank::*;
use crate::older::{Older, PROJECTIONS, settle};

annals_test_postgres::both_stores! {
    a_projection_of_a_lost_history_is_not_read_until_it_is_rebuilt,
    streams_that_are_open_when_the_log_is_restored_end_with_the_reason,
}

fn is_lost<T: std::fmt::Debug>(what: &str, read: Result<T, ReadError>) {
    assert!(matches!(read, Err(ReadError::LogDiverged { .. })), "{what}: {read:?}");
}

fn of_audit<T>(read: Result<T, AuditError>) -> Result<T, ReadError> {
    read.map_err(|error| match error {
        AuditError::Read(error) => error,
        other => panic!("{other:?}"),
    })
}

fn of_metric<T>(read: Result<T, MetricError>) -> Result<T, ReadError> {
    read.map_err(|error| match error {
        MetricError::Read(error) => error,
        other => panic!("{other:?}"),
    })
}

/// Reads through every projection, each of which is of another log.
async fn nothing_is_read(annals: &Annals) {
    let audit = || annals.audit().actor("user:alice");
    is_lost("a page", of_audit(audit().page().await));
    is_lost("the newest", of_audit(annals.audit().newest_first().page().await));
    is_lost("a text", of_audit(annals.audit().text("paid").page().await));
    is_lost("a count", of_audit(audit().count().await));
    is_lost("a stream", of_audit(audit().stream().try_collect::<Vec<_>>().await));
    is_lost("a live stream", of_audit(audit().follow().next().await.unwrap()));
    let reader = annals.read_as(&by("carol"));
    is_lost("a page as somebody", of_audit(reader.audit().page().await));
    let metric = || annals.metric("bank");
    is_lost("a metric", of_metric(metric().await));
    is_lost("a metric, live", of_metric(metric().watch().next().await.unwrap()));
    is_lost("busiest", of_metric(metric().busiest(3).await));
    is_lost("below", of_metric(metric().child_topics(3).await));
    is_lost("buckets", of_metric(metric().buckets(3).await));
    is_lost("a document", annals.view::<Balance>(&account("a")).await);
    is_lost("a document, live", annals.view::<Balance>(&account("a")).watch().await.map(drop));
    is_lost("documents", annals.views::<Balance>().await);
    is_lost("a page of documents", annals.views::<Balance>().page(3, None).await);
    is_lost("a document as JSON", annals.json_view("balance").unwrap().get("a").await);
    is_lost("documents as JSON", annals.json_view("balance").unwrap().page(3, None).await);
    is_lost("dead letters", annals.dead_letters("balance").await);
    let mut file = Vec::new();
    let exported = annals.audit().export(Format::Csv).to(&mut file).await;
    assert!(
        matches!(&exported, Err(ExportError::Audit(AuditError::Read(ReadError::LogDiverged { .. })))),
        "{exported:?}"
    );
    let lineage = annals.lineage(&account("a").into()).await;
    assert!(
        matches!(&lineage, Err(LineageError::Audit(AuditError::Read(ReadError::LogDiverged { .. })))),
        "{lineage:?}"
    );
    let head = annals.store().head().await.unwrap();
    for name in PROJECTIONS {
        let reading = annals.reading(name).unwrap();
        is_lost("a snapshot", reading.snapshot().await.map(drop));
        is_lost("waiting for it", reading.caught_up(head, Some(std::time::Duration::from_secs(20))).await);
    }
    for status in annals.projections().await.unwrap() {
        let ProjectionState::Stopped(stop) = &status.state else { panic!("{status:?}") };
        assert!(stop.diverged && stop.reason.contains(&format!("projections rebuild {}", status.name)), "{stop}");
    }
    assert!(matches!(annals.replay("balance").await, Err(RepairError::Read(ReadError::LogDiverged { .. }))));
    let key = annals.rebuild_keys("balance", Selection::Key("a".to_owned())).unwrap().await;
    assert!(key.is_err(), "one key of a lost view cannot be rebuilt");
}

/// Guarantee 16: for a log that is shorter than before, as long, or longer again, so that it has another event at the
/// projections' checkpoint. Nothing is reset silently: an operator rebuilds.
async fn a_projection_of_a_lost_history_is_not_read_until_it_is_rebuilt(place: &Place) {
    let annals = open(place).await;
    for cents in 1..=3 {
        annals.execute(deposit("a", cents), &by("alice")).await.unwrap();
    }
    let older = Older::keep(&annals, place).await;
    annals.close().await;
    for after in [1, 3, 9] {
        let annals = open(place).await;
        for cents in 1..=3 {
            annals.execute(deposit("a", 100 * cents), &by("alice")).await.unwrap();
        }
        settle(&annals).await;
        annals.close().await;
        older.put_back(place);
        // A program that runs no projections continues to write.
        let other = app().open_without_following(place.url()).await.unwrap();
        for cents in 0..after {
            other.execute(deposit("b", 10 + cents), &by("bob")).await.unwrap();
        }
        nothing_is_read(&other).await;
        other.close().await;

        let annals = open(place).await;
        nothing_is_read(&annals).await;
        for (name, rebuild) in annals.rebuild_all(SkipPolicy::Refuse) {
            rebuild.unwrap_or_else(|error| panic!("{name}: {error}")).await.unwrap();
        }
        let receipt = annals.execute(deposit("c", 1), &by("carol")).await.unwrap();
        let rows = annals.audit().actor("user:alice").limit(100).after(receipt).page().await.unwrap().rows;
        assert_eq!(rows.iter().map(|row| row.position).collect::<Vec<_>>(), [1, 2, 3]);
        let rows = annals.audit().actor("user:bob").limit(100).page().await.unwrap().rows;
        assert_eq!(rows.len() as i64, after);
        assert_eq!(annals.metric("bank").after(receipt).await.unwrap().total as i64, 4 + after);
        assert_eq!(annals.view::<Balance>(&account("a")).after(receipt).await.unwrap().unwrap().cents, 6);
        assert_eq!(annals.view::<Balance>(&account("c")).await.unwrap().unwrap().cents, 1);
        annals.close().await;
        older.put_back(place);
        let again = app().open_without_following(place.url()).await.unwrap();
        for (_, rebuild) in again.rebuild_all(SkipPolicy::Refuse) {
            rebuild.unwrap().await.unwrap();
        }
        again.close().await;
    }
}

/// Guarantee 16: a stream has returned rows of the lost history, so no row of the new one can follow; also if the log is
/// longer again and the projections were rebuilt.
async fn streams_that_are_open_when_the_log_is_restored_end_with_the_reason(place: &Place) {
    let annals = open(place).await;
    annals.execute(deposit("a", 1), &by("alice")).await.unwrap();
    let older = Older::keep(&annals, place).await;
    for cents in 2..=4 {
        annals.execute(deposit("a", cents), &by("alice")).await.unwrap();
    }
    settle(&annals).await;
    let mut rows = annals.audit().follow();
    let mut bound = annals.audit().topic("bank").limit(100).follow();
    for position in 1..=4 {
        assert_eq!(rows.next().await.unwrap().unwrap().position, position);
        assert_eq!(bound.next().await.unwrap().unwrap().position, position);
    }
    let mut metric = annals.metric("bank").watch();
    assert_eq!(metric.next().await.unwrap().unwrap().total, 4);
    let mut view = Box::pin(annals.view::<Balance>(&account("a")).watch().await.unwrap());
    assert_eq!(view.next().await.unwrap().unwrap().document.unwrap().cents, 10);
    let next = tokio::spawn(async move { (rows.next().await, bound.next().await) });
    let cursor = {
        let page = annals.audit().limit(4).page().await.unwrap();
        annals.audit().cursor_after(&page.rows[3]).unwrap()
    };

    older.put_back(place);
    let other = app().open_without_following(place.url()).await.unwrap();
    for cents in 0..6 {
        other.execute(deposit("b", 10 + cents), &by("bob")).await.unwrap();
    }
    for (_, rebuild) in other.rebuild_all(SkipPolicy::Refuse) {
        rebuild.unwrap().await.unwrap();
    }
    let (rows, bound) =
        tokio::time::timeout(std::time::Duration::from_secs(30), next).await.expect("ends").unwrap();
    for row in [rows, bound] {
        ended(row);
    }
    let metric = metric.next().await.unwrap();
    assert!(matches!(&metric, Err(MetricError::Read(_))), "{metric:?}");
    let view = view.next().await.unwrap();
    assert!(matches!(&view, Err(ReadError::Diverged(_))), "{view:?}");
    let page = annals.audit().cursor(cursor).page().await;
    assert!(matches!(&page, Err(AuditError::Store(StoreError::Diverged(_)))), "{page:?}");
    // A new query reads the current log.
    let rows = AuditQuery::limit(annals.audit(), 100).page().await.unwrap().rows;
    assert_eq!(rows.len(), 7);
    other.close().await;
    annals.close().await;
}

fn ended(row: Option<Result<AuditRow, AuditError>>) {
    let Some(Err(AuditError::Read(error))) = &row else { panic!("{row:?}") };
    let lost = matches!(error, ReadError::Diverged(_) | ReadError::LogDiverged { .. });
    assert!(lost, "{error:?}");
}
