//! Opening unsuitable schemas and servers.

use sqlx::Executor;

use super::{Bed, open_at, reason};
use crate::store::conformance::bench::{append, batch, commit, committed, log};
use crate::store::postgres::connections::{FREE, Loan, Purpose};
use crate::store::postgres::location::CONNECT;
use crate::store::postgres::schema::{self, VERSION};
use crate::store::{Outcome, StoreError};

#[tokio::test]
async fn a_newer_schema_is_refused_with_its_version() {
    let bed = Bed::new();
    bed.open().await.close().await;
    bed.run("UPDATE {schema}.meta SET value = '77' WHERE key = 'version'").await;
    let refused = open_at(bed.fresh.url(), true).await.map(|_| ());
    assert!(matches!(refused, Err(StoreError::Newer { found: 77, known: VERSION })), "{refused:?}");
}

/// Version 1 had only the log. Its lock and append function are replaced by versions 3 and 4.
#[tokio::test]
async fn a_schema_of_each_earlier_version_is_migrated_and_keeps_its_log() {
    for earlier in 0..VERSION {
        let bed = Bed::new();
        let mut raw = bed.raw().await;
        schema::execute(&bed.location, &mut raw, "CREATE SCHEMA {schema}").await.unwrap();
        if earlier > 0 {
            schema::run(&bed.location, &mut raw, 0, earlier).await.unwrap();
            schema::sign(&bed.location, &mut raw, super::APP).await.unwrap();
            if earlier < 3 {
                let old = "CREATE FUNCTION {schema}.hold() RETURNS void LANGUAGE sql AS 'SELECT'; \
                     CREATE FUNCTION {schema}.append(boolean) RETURNS boolean LANGUAGE sql AS 'SELECT $1'";
                schema::execute(&bed.location, &mut raw, old).await.unwrap();
            }
            let refused = reason(open_at(bed.fresh.url(), false).await);
            assert!(refused.contains(&format!("version {earlier}")), "reading migrates nothing: {refused}");
        }
        let store = bed.open().await;
        committed(&*store, commit(1).on("tally:a", 0, 2)).await;
        assert_eq!(store.check_integrity().await.unwrap(), []);
        store.views().live("roster", 1).await.unwrap();
        assert_eq!(log(&*open_at(bed.fresh.url(), false).await.unwrap()).await.len(), 2);
    }
}

/// A snapshot of version 4 may hold a state that never existed, and a program of that version may still run.
#[tokio::test]
async fn snapshots_of_version_4_are_dropped_and_its_programs_can_save_no_more() {
    let bed = Bed::new();
    let mut raw = bed.raw().await;
    schema::execute(&bed.location, &mut raw, "CREATE SCHEMA {schema}").await.unwrap();
    schema::run(&bed.location, &mut raw, 0, 4).await.unwrap();
    schema::sign(&bed.location, &mut raw, super::APP).await.unwrap();
    let keep = "INSERT INTO {schema}.aggregate_snapshots VALUES ('tally', 'a', 2, gen_random_uuid(), 'x', '{}') \
                ON CONFLICT (aggregate_type, aggregate_id) DO UPDATE SET state = excluded.state";
    bed.run(keep).await;
    let store = bed.open().await;
    assert_eq!(store.views().list_snapshots().await.unwrap(), []);
    let refused = raw.execute(bed.location.sql(keep).as_str()).await.map(|_| ()).unwrap_err().to_string();
    assert!(refused.contains("digest"), "{refused}");
}

/// An earlier `lock.sql` left it in databases that were taken over from postgres-es.
#[tokio::test]
async fn a_constraint_left_over_from_a_takeover_is_dropped() {
    let bed = Bed::new();
    let mut raw = bed.raw().await;
    schema::execute(&bed.location, &mut raw, "CREATE SCHEMA {schema}").await.unwrap();
    schema::run(&bed.location, &mut raw, 0, 5).await.unwrap();
    schema::sign(&bed.location, &mut raw, super::APP).await.unwrap();
    bed.run("ALTER TABLE {schema}.events ADD CONSTRAINT events_sequence_check1 CHECK (sequence > 0)").await;
    let constraints =
        "SELECT count(*) FROM pg_constraint WHERE conrelid = '{schema}.events'::regclass AND contype = 'c'";
    assert_eq!(bed.number(constraints).await, 1);
    let store = bed.open().await;
    assert_eq!(bed.number(constraints).await, 0);
    committed(&*store, commit(1).on("tally:a", 0, 1)).await;
    assert_eq!(store.check_integrity().await.unwrap(), []);
}

#[tokio::test]
async fn processes_that_start_together_create_one_store() {
    let bed = Bed::new();
    let opened = futures::future::join_all((0..6).map(|_| open_at(bed.fresh.url(), true))).await;
    for (store, number) in opened.into_iter().zip(0..) {
        committed(&*store.unwrap(), commit(number.into()).on("tally:a", number, 1)).await;
    }
}

#[tokio::test]
async fn opening_for_reading_creates_nothing() {
    let bed = Bed::new();
    let refused = open_at(bed.fresh.url(), false).await.map(|_| ());
    assert!(matches!(refused, Err(StoreError::Missing(_))), "{refused:?}");
    let sql = format!("SELECT count(*) FROM pg_namespace WHERE nspname = '{}'", bed.location.plain_schema());
    assert_eq!(bed.number(&sql).await, 0);
}

#[tokio::test]
async fn a_foreign_table_is_named_and_left_unchanged() {
    let stock = "CREATE TABLE {schema}.events (aggregate_type text NOT NULL, aggregate_id text NOT NULL, \
         sequence bigint NOT NULL, event_type text NOT NULL, event_version text NOT NULL, payload json NOT NULL, \
         metadata json NOT NULL, PRIMARY KEY (aggregate_type, aggregate_id, sequence))";
    for (table, words) in [
        ("CREATE TABLE {schema}.events (id int, happened date)".to_owned(), "no column `aggregate_type`"),
        ("CREATE TABLE {schema}.commands (id int)".to_owned(), "a table `commands`"),
        ("CREATE TABLE {schema}.meta (key text, value text)".to_owned(), "a table `meta`"),
        ("CREATE VIEW {schema}.notes AS SELECT 1 AS a".to_owned(), "a table `notes`"),
        (stock.replace("payload json", "payload jsonb"), "`payload` of its table `events` is jsonb"),
        (stock.to_owned(), "run `migrate`"),
    ] {
        let bed = Bed::new();
        bed.run(&format!("CREATE SCHEMA {{schema}}; {table}")).await;
        for create in [true, false] {
            let refused = reason(open_at(bed.fresh.url(), create).await);
            assert!(refused.contains(words) && refused.contains("?schema="), "{table}: {refused}");
        }
        let objects =
            "SELECT count(*) FROM pg_class WHERE relnamespace = '{schema}'::regnamespace AND relkind IN ('r', 'v')";
        assert_eq!(bed.number(objects).await, 1, "no other table was created");
    }
}

#[tokio::test]
async fn errors_about_a_missing_server_database_or_user_do_not_show_the_password() {
    let bed = Bed::new();
    let here = bed.fresh.url().to_owned();
    let (user, address) = (bed.user().to_owned(), bed.address());
    let gone = bed.url(&format!("{user}:s3cret"), "127.0.0.1:1");
    let nobody = bed.url("nobody_of_this_name:s3cret", &address);
    let (before, query) = here.split_once('?').unwrap();
    let (server, _) = before.rsplit_once('/').unwrap();
    let elsewhere = format!("{server}/no_such_database?{query}");
    for (url, words) in [
        (gone, "cannot be reached"),
        (nobody, "refuses the user"),
        (elsewhere, "make it with `createdb`"),
        ("postgres://user:s3cret@host:port/database".to_owned(), "URL cannot be read"),
    ] {
        let error = open_at(&url, true).await.map(|_| ()).unwrap_err();
        let all = format!("{error} {error:?}");
        assert!(all.contains(words), "{all}");
        assert!(!all.contains("s3cret"), "{all}");
    }
}

#[tokio::test]
async fn a_read_only_server_can_be_read_and_refuses_appends_with_the_reason() {
    let bed = Bed::new();
    committed(&*bed.open().await, commit(1).on("tally:a", 0, 1)).await;
    let joint = bed.fresh.url().replace("?", "?options=-c%20default_transaction_read_only%3Don&");
    let store = open_at(&joint, false).await.unwrap();
    assert_eq!(log(&*store).await.len(), 1);
    let refused = reason(store.append(batch([commit(2).on("tally:a", 1, 1)])).await);
    assert!(refused.contains("read-only") && refused.contains("primary"), "{refused}");
    let fresh = Bed::new();
    let joint = fresh.fresh.url().replace("?", "?options=-c%20default_transaction_read_only%3Don&");
    assert!(reason(open_at(&joint, true).await).contains("read-only"));
}

/// Guarantee 7: under another isolation level later statements would not see the commits that the lock waited for.
#[tokio::test]
async fn an_append_under_another_isolation_level_is_refused_with_what_to_do() {
    let bed = Bed::new();
    bed.open().await.close().await;
    let level = "?options=-c%20default_transaction_isolation%3Dserializable&";
    let store = open_at(&bed.fresh.url().replace("?", level), true).await.unwrap();
    let refused = reason(store.append(batch([commit(1).on("tally:a", 0, 1)])).await);
    assert!(refused.contains("READ COMMITTED") && refused.contains("default_transaction_isolation"), "{refused}");
    assert_eq!(store.head().await.unwrap().position, 0);
}

/// A batch with one bad commit: an error about the data is definite, so that the queue can halve the batch.
#[tokio::test]
async fn data_that_postgres_rejects_is_a_definite_error_and_the_writer_continues() {
    let bed = Bed::new();
    let store = bed.open().await;
    let bad = commit(1).payload("tally:a", 0, "1.0", "no json");
    let refused = store.append(batch([commit(2).on("tally:b", 0, 1), bad])).await;
    assert!(matches!(refused, Err(StoreError::Rejected { .. })), "{refused:?}");
    assert_eq!(store.head().await.unwrap().position, 0);
    let outcomes = append(&*store, [commit(2).on("tally:b", 0, 1)]).await;
    assert!(matches!(outcomes[0], Outcome::Committed(_)));
}

/// Guarantee 16.
#[tokio::test]
async fn a_writer_whose_last_event_is_missing_reports_it_once() {
    let bed = Bed::new();
    let store = bed.open().await;
    committed(&*store, commit(1).on("tally:a", 0, 1)).await;
    let lost = committed(&*store, commit(2).on("tally:a", 1, 1)).await;
    bed.run(
        "ALTER TABLE {schema}.events DISABLE TRIGGER ALL; DELETE FROM {schema}.events WHERE position = 2; \
         ALTER TABLE {schema}.events ENABLE ALWAYS TRIGGER events_stay",
    )
    .await;
    let said = store.append(batch([commit(3).on("tally:a", 2, 1)])).await;
    assert!(matches!(said, Err(StoreError::Diverged(head)) if head == lost.head), "{said:?}");
    committed(&*store, commit(3).on("tally:a", 1, 1)).await;
}

/// Readers wait for a free connection or snapshot for half a minute: the error of HTTP that then follows says so.
#[tokio::test]
async fn a_reader_that_finds_no_connection_free_waits_and_then_says_so() {
    let bed = Bed::new();
    let store = bed.open().await;
    let mut held = Vec::new();
    for _ in 0..Purpose::Log.most() {
        held.push(bed.location.lend(Purpose::Log).await.unwrap());
    }
    let waiting = tokio::spawn({
        let store = store.clone();
        async move { store.head().await }
    });
    // Longer than connecting may take.
    tokio::time::sleep(CONNECT + std::time::Duration::from_secs(1)).await;
    assert!(!waiting.is_finished(), "{:?}", waiting.await);
    assert!(matches!(waiting.await.unwrap(), Err(StoreError::NoneFree(FREE))));
    held.into_iter().for_each(Loan::give_back);
    store.head().await.unwrap();
}
