//! Transactions whose statement, connection or leader fails.

use super::*;
use crate::store::ViewSnapshot;
use crate::store::postgres::connections;

/// Guarantee 19: in a failed transaction Postgres answers COMMIT without an error.
#[tokio::test]
async fn committing_after_a_failed_statement_is_an_error() {
    let schema = Schema::new().await;
    let views = schema.views();
    let mut transaction = open(&views).await;
    transaction.execute("SELECT 1 / $1", vec![0_i64.into()]).await.unwrap_err();
    transaction.commit().await.unwrap_err();
    assert_eq!(views.live("roster", 1).await.unwrap().1, LogPosition::default());
}

/// Guarantee 19: a leader that is suspended in the middle of a transaction.
#[tokio::test]
async fn waiting_too_long_for_another_transaction_fails_with_busy() {
    let schema = Schema::new().await;
    let (views, others) = (schema.views(), schema.views());
    let held = open(&views).await;
    let (generation_id, _) = views.live("roster", 1).await.unwrap();
    let refused = others.begin(&generation_id, LogPosition::default(), head(2)).await;
    assert!(matches!(refused, Err(StoreError::Busy(_))), "{:?}", refused.err());
    drop(held);
    assert!(others.begin(&generation_id, LogPosition::default(), head(2)).await.unwrap().is_some());
}

#[tokio::test]
async fn losing_the_connection_rolls_the_transaction_back() {
    let schema = Schema::new().await;
    let views = schema.views();
    let mut transaction = open(&views).await;
    let rows = transaction.query("SELECT pg_backend_pid()", vec![]).await.unwrap();
    let end = format!("SELECT pg_terminate_backend({})", rows[0][0].integer().unwrap());
    schema.run(&end).await;
    let error = transaction.commit().await.unwrap_err();
    assert!(matches!(error, StoreError::OutcomeUnknown(_)), "{error:?}");
    let since = std::time::Instant::now();
    loop {
        match views.live("roster", 1).await {
            Ok((_, at)) => break assert_eq!(at, LogPosition::default(), "the checkpoint has not moved"),
            Err(error) => assert!(since.elapsed() < Duration::from_secs(30), "{error:?}"),
        }
    }
}

/// Its effects may be in the transaction, or not.
#[tokio::test]
async fn abandoning_a_statement_rolls_the_transaction_back() {
    let schema = Schema::new().await;
    let views = schema.views();
    let mut transaction = open(&views).await;
    let slow = transaction.execute("SELECT pg_sleep(0.5)", vec![]);
    assert!(tokio::time::timeout(Duration::from_millis(100), slow).await.is_err());
    transaction.execute("SELECT 1", vec![]).await.unwrap_err();
    transaction.commit().await.unwrap_err();
    assert_eq!(views.live("roster", 1).await.unwrap().1, LogPosition::default());
}

#[tokio::test]
async fn open_snapshots_are_limited_and_leave_connections_for_writing() {
    let schema = Schema::new().await;
    let views = schema.views();
    let mut held: Vec<Box<dyn ViewSnapshot>> = Vec::new();
    for _ in 0..connections::SNAPSHOTS {
        held.push(views.read("roster", 1).await.unwrap());
    }
    let error = views.read("roster", 1).await.err().expect("no more");
    assert!(matches!(error, StoreError::NoneFree(connections::FREE)), "{error:?}");
    open(&views).await.commit().await.unwrap();
    held.pop();
    assert_eq!(views.read("roster", 1).await.unwrap().head(), head(1));
}

/// The server is asked, and answers that it works on the statement.
#[tokio::test]
async fn a_long_statement_is_waited_for() {
    let schema = Schema::new().await;
    let views = schema.views();
    let mut transaction = open(&views).await;
    let slow = 2 * crate::store::postgres::liveness::SILENCE.as_secs() + 1;
    let rows = transaction.query(&format!("SELECT 7::bigint FROM pg_sleep({slow})"), vec![]).await.unwrap();
    assert_eq!(rows[0][0].integer(), Some(7));
    transaction.commit().await.unwrap();
}

/// The leases of a server whose clock was ahead would otherwise last for years.
#[tokio::test]
async fn a_lease_written_by_a_clock_that_was_ahead_is_ignored() {
    let schema = Schema::new().await;
    let views = schema.views();
    let (dead, term) = (Uuid::from_u128(1), Duration::from_secs(5));
    let wanted = [("roster".to_owned(), 1)];
    let ahead = async || {
        let ahead = "UPDATE {schema}.leases SET until = until + interval '10 years'";
        schema.run(&schema.location().sql(ahead)).await;
    };
    views.live("roster", 1).await.unwrap();
    assert_eq!(views.acquire_leases(dead, &wanted, term).await.unwrap(), wanted);
    let leader = async || views.generations().await.unwrap()[0].leader;
    assert_eq!(leader().await, Some(dead));
    assert_eq!(
        views.acquire_leases(Uuid::from_u128(2), &wanted, term).await.unwrap(),
        [],
        "the projection has a leader"
    );
    ahead().await;
    assert_eq!(leader().await, None);
    assert_eq!(views.acquire_leases(Uuid::from_u128(2), &wanted, term).await.unwrap(), wanted);
    assert!(!views.prune("roster", 1).await.unwrap(), "an owner wants it");
    ahead().await;
    assert!(views.prune("roster", 1).await.unwrap());
}
