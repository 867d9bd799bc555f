//! What becomes of a transaction whose statement, connection or leader fails.

use super::*;
use crate::store::ViewSnapshot;

/// Guarantee 19: Postgres answers COMMIT in a failed transaction with no error.
#[tokio::test]
async fn a_transaction_with_a_failed_statement_does_not_seem_to_commit() {
    let schema = Schema::new().await;
    let views = schema.views();
    let mut transaction = open(&views).await;
    transaction.execute("SELECT 1 / $1", vec![0_i64.into()]).await.unwrap_err();
    transaction.commit().await.unwrap_err();
    assert_eq!(views.live("roster", 1).await.unwrap().1, Head::default());
}

/// Guarantee 19: a leader that stands still in the middle of a transaction.
#[tokio::test]
async fn who_waits_for_another_transaction_hears_that_it_is_busy() {
    let schema = Schema::new().await;
    let (views, others) = (schema.views(), schema.views());
    let held = open(&views).await;
    let (instance, _) = views.live("roster", 1).await.unwrap();
    let refused = others.begin(&instance, Head::default(), head(2)).await;
    assert!(matches!(refused, Err(StoreError::Busy(_))), "{:?}", refused.err());
    drop(held);
    assert!(others.begin(&instance, Head::default(), head(2)).await.unwrap().is_some());
}

#[tokio::test]
async fn a_connection_that_ends_takes_its_transaction_with_it() {
    let schema = Schema::new().await;
    let views = schema.views();
    let mut transaction = open(&views).await;
    let rows = transaction.query("SELECT pg_backend_pid()", vec![]).await.unwrap();
    let end = format!("SELECT pg_terminate_backend({})", rows[0][0].integer().unwrap());
    schema.place().pool().execute(end.as_str()).await.unwrap();
    let error = transaction.commit().await.unwrap_err();
    assert!(matches!(error, StoreError::OutcomeUnknown(_)), "{error:?}");
    let since = std::time::Instant::now();
    loop {
        match views.live("roster", 1).await {
            Ok((_, at)) => break assert_eq!(at, Head::default(), "the checkpoint tells"),
            Err(error) => assert!(since.elapsed() < Duration::from_secs(30), "{error:?}"),
        }
    }
}

/// Its effects may be in the transaction, or not.
#[tokio::test]
async fn a_statement_that_nobody_waits_for_any_more_gives_the_transaction_up() {
    let schema = Schema::new().await;
    let views = schema.views();
    let mut transaction = open(&views).await;
    let slow = transaction.execute("SELECT pg_sleep(0.5)", vec![]);
    assert!(tokio::time::timeout(Duration::from_millis(100), slow).await.is_err());
    transaction.execute("SELECT 1", vec![]).await.unwrap_err();
    transaction.commit().await.unwrap_err();
    assert_eq!(views.live("roster", 1).await.unwrap().1, Head::default());
}

#[tokio::test]
async fn snapshots_are_so_many_and_no_more_and_leave_room_to_write() {
    let schema = Schema::new().await;
    let views = schema.views();
    let mut held: Vec<Box<dyn ViewSnapshot>> = Vec::new();
    for _ in 0..super::super::SNAPSHOTS {
        held.push(views.read("roster", 1).await.unwrap());
    }
    let error = views.read("roster", 1).await.err().expect("no more");
    assert!(format!("{error:?}").contains("let go of some"), "{error:?}");
    open(&views).await.commit().await.unwrap();
    held.pop();
    assert_eq!(views.read("roster", 1).await.unwrap().head(), head(1));
}
