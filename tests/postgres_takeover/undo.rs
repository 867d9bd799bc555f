//! The way back, until the first command.

use annals::store::Takeover;
use annals_test_postgres::Fresh;

use crate::stock::BankCommand::{Deposit, Open};
use crate::{alice, app, double, migrate, order, stock};

/// The old program works again on its table, and the log can be taken over once more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_undone_migration_leaves_the_old_program_its_table_as_it_was() {
    let fresh = Fresh::schema();
    let pool = stock::written(&fresh).await;
    let before = stock::state(&pool).await;
    migrate(&fresh, Takeover::new()).await;
    // The application was tried: its views exist, and nothing was written.
    let annals = app().open(fresh.url()).await.expect("a store");
    let view = annals.json_view("balances").expect("a view").after(annals.store().head().await.expect("a head"));
    assert_eq!(view.get("a").await.expect("a view").expect("a document")["cents"], 6);
    annals.close().await;

    let undone = app().undo_migration(fresh.url()).await.expect("a way back");
    assert_eq!(undone.undone_events, 8);
    assert_eq!(stock::state(&pool).await, before, "every table and index has its name, and nothing else is left");
    let functions = "SELECT count(*) FROM pg_proc WHERE pronamespace = current_schema()::regnamespace";
    let left: i64 = sqlx::query_scalar(functions).fetch_one(&pool).await.expect("functions");
    assert_eq!(left, 0);
    stock::execute(&pool, "a", Deposit(4), &[]).await;
    stock::execute(&pool, "c", Open, &[]).await;
    assert_eq!(migrate(&fresh, Takeover::new()).await.events, 10);
    assert_eq!(order(&fresh).await.len(), 10);
}

/// Afterwards the events of commands are in the log alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_the_first_command_a_migration_cannot_be_undone() {
    let fresh = Fresh::schema();
    let refused =
        async || app().undo_migration(fresh.url()).await.map(|_| ()).expect_err("no way back").to_string();
    let pool = stock::written(&fresh).await;
    assert!(refused().await.contains("it is not a store"));
    migrate(&fresh, Takeover::new()).await;
    let annals = app().open(fresh.url()).await.expect("a store");
    annals.execute(double("a"), &alice()).await.expect("a receipt");
    annals.close().await;
    let reason = refused().await;
    assert!(reason.contains("1 commands with 1 events were executed since the migration"), "{reason}");
    assert_eq!(order(&fresh).await.len(), 9, "nothing was dropped");
    sqlx::query("DROP TABLE postgres_es_events").execute(&pool).await.expect("the old rows go");
    assert!(refused().await.contains("no table `postgres_es_events`"));
}
