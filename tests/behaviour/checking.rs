//! `check` on the command line.

use annals::commands::{Envelope, ExecuteError};
use annals::store::FindingKind;
use annals_test_postgres::Place;
use futures::StreamExt;

use crate::bank::*;

annals_test_postgres::both_stores!(
    a_wrong_snapshot_written_by_sql_is_found_and_dropped_and_the_next_load_is_right,
    check_compares_the_log_with_a_digest_from_elsewhere,
);

fn sql(place: &Place, sqlite: &str, postgres: &str) {
    match place.schema() {
        Some(schema) => drop(schema.sql(postgres)),
        None => {
            let log = place.url().strip_prefix("sqlite://").unwrap();
            let views = log.replace(".db", ".views.db");
            rusqlite::Connection::open(views).unwrap().execute_batch(sqlite).unwrap();
        }
    }
}

/// Runs the command line with these arguments. Returns whether it succeeds.
async fn succeeds(place: &Place, arguments: &[&str]) -> bool {
    let arguments = [&["bank"], arguments, &["--store", place.url()]].concat();
    format!("{:?}", app().main_with(arguments).await) == format!("{:?}", std::process::ExitCode::SUCCESS)
}

/// Issue 16: commands were decided on a wrong snapshot, and nothing found it.
async fn a_wrong_snapshot_written_by_sql_is_found_and_dropped_and_the_next_load_is_right(place: &Place) {
    let annals = app().open(place.url()).await.unwrap();
    let commands = (0..600).map(|_| Envelope::new(deposit("a", 1), by("alice")));
    let results = annals.execute_all(futures::stream::iter(commands), 64);
    assert!(results.all(|result| async move { result.is_ok() }).await);
    annals.close().await;
    assert!(succeeds(place, &["check"]).await);
    let state = r#"SET state = '{"cents":1000000,"open":true}'"#;
    sql(place, &format!("UPDATE snapshots {state}"), &format!("UPDATE aggregate_snapshots {state}"));
    assert!(!succeeds(place, &["check"]).await);
    let annals = app().open(place.url()).await.unwrap();
    let report = annals.check(|_, _| ()).await.unwrap();
    assert_eq!((report.findings.len(), report.findings[0].kind), (1, FindingKind::Snapshot), "{report:#?}");
    annals.close().await;

    assert!(
        !succeeds(place, &["check", "--drop-snapshots", "--format", "json"]).await,
        "the dropped snapshot is reported"
    );
    assert!(succeeds(place, &["check"]).await);
    let annals = app().open(place.url()).await.unwrap();
    let overdraw = Transfer { from: account("a"), to: account("b"), cents: 601 };
    let error = annals.execute(overdraw, &by("alice")).await.unwrap_err();
    assert!(matches!(error, ExecuteError::Refused(BankError::TooLittle(_))), "{error}");
    annals.close().await;
}

async fn check_compares_the_log_with_a_digest_from_elsewhere(place: &Place) {
    let annals = app().open(place.url()).await.unwrap();
    annals.execute(deposit("a", 1), &by("alice")).await.unwrap();
    let kept = annals.check(|_, _| ()).await.unwrap().digest.unwrap().to_string();
    annals.execute(deposit("a", 1), &by("alice")).await.unwrap();
    annals.close().await;
    assert!(succeeds(place, &["check", "--expect", &kept]).await);
    let other = kept.replacen("1:", "2:", 1);
    for wrong in [other.as_str(), "1:00", "nonsense"] {
        assert!(!succeeds(place, &["check", "--expect", wrong]).await, "{wrong}");
    }
}
