//! Access lineage: who read something before it was exported.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use annals::app::access_log::{ExportAccess, LineageError};
use annals::app::{AccessContext, Ask, Denial, ReaderError};
use annals::events::LogPosition;
use annals::prelude::*;
use annals::projections::audit::{AuditError, AuditQuery};
use annals::projections::export::{ExportError, ExportManifest, Format};
use annals_test_postgres::Place;
use jiff::Timestamp;

use crate::bank::*;

annals_test_postgres::both_stores! {
    the_lineage_names_everyone_who_read_it_before_the_export,
    reads_after_the_export_and_exports_without_the_thing_are_not_in_the_lineage,
    a_read_after_an_export_does_not_count_as_before_it,
    an_equal_query_within_ten_minutes_may_have_returned_later_events,
    an_export_is_one_record_that_is_durable_before_any_data_is_written,
    a_denied_export_writes_no_data_and_is_not_in_the_lineage,
    reading_the_lineage_is_authorised_and_recorded,
}

fn thing(name: &str) -> Ref {
    account(name).into()
}

async fn exported(query: AuditQuery, format: Format) -> Result<(ExportManifest, Vec<u8>), ExportError> {
    let mut file = Vec::new();
    let statement = query.export(format).to(&mut file).await?;
    Ok((statement, file))
}

/// The exports: the actor, and the reads before it with query, `by_name` and number of records.
fn summary(exports: &[ExportAccess]) -> Vec<(&str, Vec<String>)> {
    let seen = |export: &ExportAccess| {
        let seen = export.seen_by.iter().map(|seen| {
            let by_name = if seen.by_name { " by name" } else { "" };
            format!("{} {}{by_name} x{}", seen.actor.id(), seen.what, seen.records)
        });
        let mut seen: Vec<String> = seen.collect();
        seen.sort_unstable();
        seen
    };
    exports.iter().map(|export| (export.actor.id(), seen(export))).collect()
}

async fn with_two_accounts(place: &Place) -> (Annals, Receipt) {
    let annals = app().record_reads().open(place.url()).await.unwrap();
    annals.execute(deposit("a", 5), &by("alice")).await.unwrap();
    let receipt = annals.execute(deposit("b", 7), &by("alice")).await.unwrap();
    (annals, receipt)
}

/// Mission X11: all actors that read it, in any way, and no others.
async fn the_lineage_names_everyone_who_read_it_before_the_export(place: &Place) {
    let (annals, receipt) = with_two_accounts(place).await;
    let reader = |name| annals.read_as(&by(name));
    for _ in 0..2 {
        reader("bob").view::<Balance>(&account("a")).after(receipt).await.unwrap();
    }
    reader("carol").views::<Balance>().page(10, None).await.unwrap();
    reader("dave").view::<Balance>(&account("b")).await.unwrap();
    reader("erin").audit().topic("bank").after(receipt).page().await.unwrap();
    reader("frank").audit().actor("user:nobody").page().await.unwrap();
    reader("gina").audit().until(2).page().await.unwrap();
    reader("hugo").audit().from(2).text("7").page().await.unwrap();
    drop(reader("ivan").metric("bank").await.unwrap());
    exported(reader("eve").audit().topic("bank"), Format::Csv).await.unwrap();

    let head = annals.store().head().await.unwrap();
    annals.audit().after(head).limit(1).page().await.unwrap();
    let exports = annals.lineage(&thing("a")).await.unwrap();
    let (metrics, log) = ("the metrics of `bank`", "the audit log");
    let expected = [
        "bob account:a in balance by name x1".to_owned(),
        "carol balance x1".to_owned(),
        format!("erin {log}: topic bank x1"),
        format!("gina {log}: until 2 x1"),
        format!("ivan {metrics} x1"),
    ];
    assert_eq!(summary(&exports), [("eve", expected.to_vec())]);
    let ExportAccess { what, format, head, position, seen_by, .. } = &exports[0];
    assert_eq!((what.as_str(), format.as_str()), ("the audit log: topic bank", "csv"));
    assert_eq!(*position, annals.store().head().await.unwrap().position);
    assert!(seen_by.iter().all(|seen| seen.position < *position) && *head < *position);

    // The other account: other readers, the same export.
    let exports = annals.lineage(&thing("b")).await.unwrap();
    let expected = [
        "carol balance x1".to_owned(),
        "dave account:b in balance by name x1".to_owned(),
        format!("erin {log}: topic bank x1"),
        format!("hugo {log}: text \"7\", from 2 x1"),
        format!("ivan {metrics} x1"),
    ];
    assert_eq!(summary(&exports), [("eve", expected.to_vec())]);
    // An actor is in the export too, with all their events.
    let exports = annals.lineage(&"user:alice".parse().unwrap()).await.unwrap();
    assert_eq!(exports[0].seen_by.len(), 7, "{exports:?}");
    assert_eq!(annals.lineage(&thing("c")).await.unwrap(), []);
    annals.close().await;
}

/// Mission X11: the order of the log defines before and after.
async fn reads_after_the_export_and_exports_without_the_thing_are_not_in_the_lineage(place: &Place) {
    let (annals, receipt) = with_two_accounts(place).await;
    let reader = |name| annals.read_as(&by(name));
    exported(reader("eve").audit().target("account:b").after(receipt), Format::Jsonl).await.unwrap();
    let at = annals.store().head().await.unwrap();
    reader("bob").view::<Balance>(&account("a")).after(at).await.unwrap();
    exported(reader("heidi").audit().until(2).after(at), Format::CloudEvents).await.unwrap();
    reader("carol").view::<Balance>(&account("a")).await.unwrap();
    exported(reader("mallory").audit().action(annals::events::Action::Delete), Format::Ocel).await.unwrap();
    let at = annals.store().head().await.unwrap();
    annals.audit().after(at).limit(1).page().await.unwrap();
    let exports = annals.lineage(&thing("a")).await.unwrap();
    assert_eq!(summary(&exports), [("heidi", vec!["bob account:a in balance by name x1".to_owned()])]);
    // An export is a read for the next export.
    exported(reader("judy").audit(), Format::Csv).await.unwrap();
    let at = annals.store().head().await.unwrap();
    annals.audit().after(at).limit(1).page().await.unwrap();
    let exports = annals.lineage(&thing("a")).await.unwrap();
    let seen = |name: &str| exports[1].seen_by.iter().any(|seen| seen.actor.id() == name);
    assert!(["bob", "heidi", "carol"].into_iter().all(seen) && !seen("mallory"), "{exports:?}");
    annals.close().await;
}

/// Mission X11: before the export the query's answer did not include the thing; later, under the same record, it did.
async fn a_read_after_an_export_does_not_count_as_before_it(place: &Place) {
    let noon: Timestamp = "2026-01-01T12:00:00Z".parse().unwrap();
    let annals = app().clock(move || noon).record_reads().open(place.url()).await.unwrap();
    let reader = |name| annals.read_as(&by(name));
    let first = annals.execute(deposit("a", 5), &by("alice")).await.unwrap();
    let bob =
        async |after: LogPosition| reader("bob").audit().from(4).after(after).page().await.unwrap().rows.len();
    assert_eq!(bob(first.head).await, 0, "position 2 is the record of bob's read");
    let at = annals.store().head().await.unwrap();
    exported(reader("eve").audit().after(at), Format::Csv).await.unwrap();
    let second = annals.execute(deposit("a", 6), &by("alice")).await.unwrap();
    assert_eq!(
        (second.head.position, bob(second.head).await),
        (4, 1),
        "an equal query, whose answer now includes it"
    );
    reader("carol").view::<Balance>(&account("a")).after(second).await.unwrap();
    let at = annals.store().head().await.unwrap();
    exported(reader("judy").audit().after(at), Format::Jsonl).await.unwrap();
    let at = annals.store().head().await.unwrap();
    annals.audit().after(at).limit(1).page().await.unwrap();

    let exports = annals.lineage(&thing("a")).await.unwrap();
    let log = "the audit log";
    let before_judy = vec![
        format!("bob {log}: from 4 x1"),
        "carol account:a in balance by name x1".to_owned(),
        format!("eve {log} x1"),
    ];
    assert_eq!(summary(&exports), [("eve", vec![]), ("judy", before_judy)]);
    annals.close().await;
}

/// Mission X11: one record covers all equal queries of a window, so everything that they could have returned.
async fn an_equal_query_within_ten_minutes_may_have_returned_later_events(place: &Place) {
    let micros = Arc::new(AtomicI64::new("2026-01-01T00:03:00Z".parse::<Timestamp>().unwrap().as_microsecond()));
    let clock = {
        let micros = micros.clone();
        move || Timestamp::from_microsecond(micros.load(Ordering::Relaxed)).unwrap()
    };
    let annals = app().clock(clock).record_reads().open(place.url()).await.unwrap();
    let reader = |name| annals.read_as(&by(name));
    reader("bob").audit().topic("bank").page().await.unwrap();
    micros.fetch_add(60 * 1_000_000, Ordering::Relaxed);
    annals.execute(deposit("a", 5), &by("alice")).await.unwrap();
    let receipt = annals.execute(deposit("late", 5), &by("alice")).await.unwrap();
    reader("bob").audit().topic("bank").after(receipt).page().await.unwrap();
    micros.fetch_add(10 * 60 * 1_000_000, Ordering::Relaxed);
    annals.execute(deposit("later", 5), &by("alice")).await.unwrap();
    let receipt = annals.execute(deposit("latest", 5), &by("alice")).await.unwrap();
    exported(reader("eve").audit().after(receipt), Format::Csv).await.unwrap();
    let at = annals.store().head().await.unwrap();
    annals.audit().after(at).limit(1).page().await.unwrap();
    for (name, expected) in [("a", 1), ("late", 1), ("later", 0)] {
        let exports = annals.lineage(&thing(name)).await.unwrap();
        assert_eq!(exports[0].seen_by.len(), expected, "{name}: {exports:?}");
    }
    annals.close().await;
}

/// Missions X10, X11, D24
async fn an_export_is_one_record_that_is_durable_before_any_data_is_written(place: &Place) {
    let (annals, receipt) = with_two_accounts(place).await;
    let export = || annals.read_as(&by("eve")).audit().after(receipt);
    let (statement, file) = exported(export(), Format::Jsonl).await.unwrap();
    assert_eq!((statement.rows, statement.head.position), (2, 2));
    assert_eq!(String::from_utf8(file).unwrap().lines().count(), 3);
    // At once, without a wait: the record was durable before the first byte was written.
    let recorded = annals.events(2, 10).await.unwrap().events;
    let types: Vec<&str> = recorded.iter().map(|event| event.event_type.as_str()).collect();
    assert_eq!(types, ["annals_read.exported"]);
    let payload =
        r#"{"what":"the audit log","of":["projection:audit"],"asked":{},"format":"jsonl","head":2,"to":null}"#;
    assert_eq!(recorded[0].payload, payload);

    // An equal export is the same record; one of more events or in another format is another record.
    let same = || export().until(3);
    for (format, records) in [(Format::Csv, 2), (Format::Csv, 3), (Format::Ocel, 4)] {
        let (statement, _) = exported(same(), format).await.unwrap();
        assert_eq!((statement.rows, annals.events(2, 10).await.unwrap().events.len()), (2, records));
        let at = annals.store().head().await.unwrap();
        annals.audit().after(at).limit(1).page().await.unwrap();
    }
    // An invalid query is not recorded.
    exported(export().topic("nowhere"), Format::Csv).await.unwrap_err();
    assert_eq!(annals.events(2, 10).await.unwrap().events.len(), 4);
    annals.close().await;
}

fn only_eve(context: &AccessContext<'_>, ask: &Ask<'_>) -> Result<(), Denial> {
    match (ask, context.actor().id()) {
        (Ask::Audit { .. }, actor) if actor != "eve" => Err(Denial::because("only eve")),
        _ => Ok(()),
    }
}

async fn a_denied_export_writes_no_data_and_is_not_in_the_lineage(place: &Place) {
    let annals = app().authorise(only_eve).record_reads().open(place.url()).await.unwrap();
    let receipt = annals.execute(deposit("a", 5), &by("alice")).await.unwrap();
    let mut file = Vec::new();
    let export = annals.read_as(&by("mallory")).audit().after(receipt).export(Format::Csv);
    let error = export.to(&mut file).await.unwrap_err();
    assert!(matches!(error, ExportError::Audit(AuditError::Denied { .. })), "{error}");
    assert!(!String::from_utf8(file).unwrap().contains("account:a"));
    assert_eq!(annals.lineage(&thing("a")).await.unwrap(), []);
    annals.close().await;
}

/// Missions D24, A9
async fn reading_the_lineage_is_authorised_and_recorded(place: &Place) {
    let annals = app().authorise(only_eve).record_reads().open(place.url()).await.unwrap();
    let receipt = annals.execute(deposit("a", 5), &by("alice")).await.unwrap();
    exported(annals.read_as(&by("eve")).audit().after(receipt), Format::Csv).await.unwrap();
    let at = annals.store().head().await.unwrap();
    annals.audit().after(at).limit(1).page().await.unwrap();
    let denied = annals.read_as(&by("mallory")).lineage(&thing("a")).await.unwrap_err();
    assert!(matches!(denied, LineageError::Reader(ReaderError::Denied(_))), "{denied}");
    let eve = annals.read_as(&by("eve"));
    assert_eq!(summary(&eve.lineage(&thing("a")).await.unwrap()), [("eve", vec![])]);
    annals.close().await;
    let annals = open(place).await;
    let head = annals.store().head().await.unwrap();
    let rows = annals.audit().text("who saw account:a").after(head).page().await.unwrap().rows;
    assert_eq!(
        rows.iter().map(|row| row.sentence.as_str()).collect::<Vec<_>>(),
        ["user:eve read who saw account:a"]
    );
    annals.close().await;
}
