//! Programs that write while the log is taken over.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use annals::store::Takeover;
use annals_test_postgres::Fresh;
use futures::future::join_all;
use sqlx::{Executor, PgPool};

use crate::stock::BankCommand::{Deposit, Open};
use crate::{app, events, migrate, stock};

/// Waits until a session waits for a lock of the table.
async fn somebody_waits(pool: &PgPool) {
    let sql = "SELECT EXISTS (SELECT FROM pg_locks WHERE relation = 'events'::regclass AND NOT granted)";
    for _ in 0..300 {
        if sqlx::query_scalar(sql).fetch_one(pool).await.expect("locks") {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("nobody waits");
}

/// Guarantee 7: what others commit while the migration waits for its lock is in the log, whatever isolation is the default.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_insert_that_commits_while_the_migration_waits_is_copied() {
    for isolation in ["repeatable read", "serializable"] {
        let fresh = Fresh::database();
        let name = fresh.name();
        fresh.sql(&format!("ALTER DATABASE {name} SET default_transaction_isolation = '{isolation}'"));
        let pool = stock::written(&fresh).await;
        let mut open = pool.begin().await.expect("a transaction");
        let row =
            "INSERT INTO events VALUES ('BankAccount', 'z', 1, 'AccountOpened', '1.0', '\"AccountOpened\"', '{}')";
        open.execute(row).await.expect("a row");
        let migration = migrate(&fresh, Takeover::new());
        let commit = async {
            somebody_waits(&pool).await;
            open.commit().await.expect("a commit");
        };
        let (migrated, ()) = tokio::join!(migration, commit);
        assert_eq!(migrated.events, 9, "{isolation}");
        let annals = app().open(fresh.url()).await.expect("a store");
        assert!(events(&annals).await.iter().any(|event| event.aggregate.id() == "z"), "{isolation}");
        assert!(annals.check(|_, _| {}).await.expect("a report").is_sound());
        annals.close().await;
    }
}

/// The same fault when a store is created: the schema is looked at after the lock is held.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn programs_that_open_an_empty_schema_at_once_all_open_it_whatever_isolation_is_the_default() {
    let fresh = Fresh::database();
    let name = fresh.name();
    fresh.sql(&format!("ALTER DATABASE {name} SET default_transaction_isolation = 'repeatable read'"));
    let opened = join_all((0..6).map(|_| app().open(fresh.url()))).await;
    for annals in opened {
        annals.expect("each opens it").close().await;
    }
}

/// The old program has to be stopped. If it is not, its commands fail; none that it reported as done is missing.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_program_that_continues_to_write_gets_errors_and_loses_no_command_that_it_reported() {
    let fresh = Fresh::schema();
    let pool = stock::written(&fresh).await;
    let (stop, migrated) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let (done, after) = (Arc::new(AtomicI64::new(0)), Arc::new(AtomicI64::new(0)));
    let writers = (0..4).map(|writer| {
        let (pool, stop, done) = (pool.clone(), stop.clone(), done.clone());
        let (migrated, after) = (migrated.clone(), after.clone());
        tokio::spawn(async move {
            let (cqrs, id) = (stock::cqrs(&pool), format!("w{writer}"));
            // An error leaves the sequence as it was: the next command is tried on it.
            let mut opened = false;
            while !stop.load(Ordering::SeqCst) {
                let late = migrated.load(Ordering::SeqCst);
                let command = if opened { Deposit(1) } else { Open };
                if cqrs.execute(&id, command).await.is_ok() {
                    opened = true;
                    done.fetch_add(1, Ordering::SeqCst);
                    after.fetch_add(i64::from(late), Ordering::SeqCst);
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        })
    });
    let writers: Vec<_> = writers.collect();
    while done.load(Ordering::SeqCst) < 40 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let report = migrate(&fresh, Takeover::new()).await;
    migrated.store(true, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_millis(300)).await;
    stop.store(true, Ordering::SeqCst);
    join_all(writers).await;
    assert_eq!(after.load(Ordering::SeqCst), 0, "no command was done that is not in the log");
    let done = done.load(Ordering::SeqCst).cast_unsigned();
    assert_eq!(report.events, 8 + done, "each command that was reported as done was copied");
    let annals = app().open(fresh.url()).await.expect("a store");
    let report = annals.check(|_, _| {}).await.expect("a report");
    assert!(report.is_sound() && report.events == 8 + done, "{report:#?}");
    annals.close().await;
}
