//! Wrong, damaged and missing files.

use std::fs;
use std::os::unix::process::CommandExt;
use std::process::Command;

use super::{TestDirectory, open_at, reason};
use crate::events::LogPosition;
use crate::store::conformance::bench::{append, assert_in_order, batch, commit, committed, log};
use crate::store::{GenerationId, Interest, NoteKind, StoreError};

#[tokio::test]
async fn a_newer_schema_is_refused_with_its_version() {
    let dir = TestDirectory::new();
    dir.open().await.close().await;
    dir.raw().pragma_update(None, "user_version", 7).unwrap();
    let refused = open_at(&dir.log(), true).await.map(|_| ());
    assert!(matches!(refused, Err(StoreError::Newer { found: 7, known: 2 })), "{refused:?}");
}

#[tokio::test]
async fn a_file_of_another_program_is_refused_and_not_changed() {
    let dir = TestDirectory::new();
    dir.raw().execute_batch("CREATE TABLE songs (name TEXT)").unwrap();
    let before = fs::read(dir.log()).unwrap();
    assert!(reason(open_at(&dir.log(), true).await).contains("another program: name another file"));
    assert_eq!(fs::read(dir.log()).unwrap(), before);

    let dir = TestDirectory::new();
    fs::write(dir.log(), "just a text, of some length, that is no database at all".repeat(20)).unwrap();
    assert!(reason(open_at(&dir.log(), true).await).contains("is not a SQLite database"));
    assert!(!dir.views().exists(), "no file is created beside it");

    let dir = TestDirectory::new();
    fs::write(dir.log(), "").unwrap();
    assert!(
        matches!(open_at(&dir.log(), false).await, Err(StoreError::Missing(_))),
        "an empty file holds no store"
    );
    dir.open().await;
}

#[tokio::test]
async fn a_missing_directory_is_named() {
    let dir = TestDirectory::new();
    let path = dir.0.path().join("shop/log.db");
    assert!(reason(open_at(&path, true).await).contains("create it first"));
    assert!(matches!(open_at(&path, false).await, Err(StoreError::Missing(_))));
    assert!(open_at(dir.0.path(), true).await.is_err(), "a directory is not a file");
}

/// Guarantee 18: the views file is disposable.
#[tokio::test]
async fn a_deleted_views_file_is_created_again_with_all_checkpoints_at_zero() {
    let dir = TestDirectory::new();
    let store = dir.open().await;
    let head = committed(&*store, commit(1).on("tally:a", 0, 3)).await.head;
    let (generation_id, at) = store.views().live("roster", 1).await.unwrap();
    store.views().begin(&generation_id, at, head).await.unwrap().unwrap().commit().await.unwrap();
    store.close().await;
    fs::remove_file(dir.views()).unwrap();
    let store = dir.open().await;
    assert_eq!(store.views().live("roster", 1).await.unwrap(), (generation_id, LogPosition::default()));
    assert_eq!(store.head().await.unwrap(), head);
}

#[tokio::test]
async fn a_views_file_that_is_damaged_or_of_another_log_must_be_deleted() {
    let (dir, other) = (TestDirectory::new(), TestDirectory::new());
    dir.open().await.close().await;
    other.open().await.close().await;
    fs::copy(other.views(), dir.views()).unwrap();
    assert!(reason(open_at(&dir.log(), true).await).contains("another log: delete it"));
    fs::write(dir.views(), "no database".repeat(1_000)).unwrap();
    assert!(reason(open_at(&dir.log(), true).await).contains("delete it"));
}

/// Guarantee 16: after a restore, the positions of lost events get other events. (`aggregates::tests` covers their
/// snapshots.)
#[tokio::test]
async fn a_backup_is_a_store_and_its_next_events_have_other_ids() {
    let dir = TestDirectory::new();
    let store = dir.open().await;
    committed(&*store, commit(1).on("tally:a", 0, 2)).await;
    let copy = dir.0.path().join("copy.db");
    store.backup(&copy, Box::new(|_, _| {})).await.unwrap();
    let backed_up = log(&*store).await;
    let lost = committed(&*store, commit(2).on("tally:a", 2, 2)).await;
    store.close().await;
    assert!(!dir.0.path().join("log.db-wal").exists(), "closing leaves no file that a restored log would read");

    fs::rename(&copy, dir.log()).unwrap();
    let store = dir.open().await;
    assert_eq!(log(&*store).await, backed_up);
    let other = committed(&*store, commit(3).on("tally:a", 2, 2)).await;
    assert_eq!(other.head.position, lost.head.position);
    assert_ne!(other.head.event_id, lost.head.event_id);
}

/// Snapshots of version 2 may have a state that never existed, so all are deleted; the data of projections is kept.
#[tokio::test]
async fn a_views_file_of_version_2_is_upgraded_and_loses_only_its_snapshots() {
    let dir = TestDirectory::new();
    let store = dir.open().await;
    committed(&*store, commit(1).on("tally:a", 0, 2)).await;
    store.views().set_note("roster", 1, NoteKind::Stop, Some("it stopped".to_owned())).await.unwrap();
    store.close().await;
    let raw = rusqlite::Connection::open(dir.views()).unwrap();
    raw.execute_batch(
        "DROP TABLE snapshots; CREATE TABLE snapshots (aggregate_type TEXT NOT NULL, aggregate_id TEXT NOT NULL, \
         sequence INTEGER NOT NULL, event_id BLOB NOT NULL, shape TEXT NOT NULL, state TEXT NOT NULL, \
         PRIMARY KEY (aggregate_type, aggregate_id)) STRICT; \
         INSERT INTO snapshots VALUES ('tally', 'a', 2, zeroblob(16), 'x', '{}'); PRAGMA user_version = 2",
    )
    .unwrap();
    let store = dir.open().await;
    assert_eq!(store.views().list_snapshots().await.unwrap(), []);
    assert_eq!(store.views().note("roster", 1, NoteKind::Stop).await.unwrap().as_deref(), Some("it stopped"));
    let columns = "SELECT group_concat(name) FROM pragma_table_info('snapshots')";
    let columns = |raw: &rusqlite::Connection| raw.query_row(columns, [], |row| row.get::<_, String>(0)).unwrap();
    assert_eq!(columns(&raw), "aggregate_type,aggregate_id,sequence,event_id,digest,shape,state");
    let fresh = TestDirectory::new();
    fresh.open().await.close().await;
    assert_eq!(columns(&raw), columns(&rusqlite::Connection::open(fresh.views()).unwrap()));
}

#[tokio::test]
async fn a_memory_store_uses_no_space_once_it_is_closed() {
    let options = crate::store::OpenOptions {
        app: "x".to_owned(),
        clock: std::sync::Arc::new(jiff::Timestamp::now),
        create: false,
    };
    let store = crate::store::sqlite::SqliteStore::open("sqlite::memory:", options).await.unwrap();
    let directory = store.location.path().parent().unwrap().to_owned();
    let store: Box<dyn crate::store::Store> = Box::new(store);
    committed(&*store, commit(1).on("tally:a", 0, 1)).await;
    assert!(directory.exists());
    store.close().await;
    assert!(!directory.exists());
}

#[tokio::test]
async fn a_projection_cannot_end_the_transaction_or_hide_a_statement() {
    let dir = TestDirectory::new();
    let views = dir.open().await.views();
    let (generation_id, at) = views.live("roster", 1).await.unwrap();
    let to = LogPosition { position: 1, event_id: uuid::Uuid::from_u128(1) };
    let mut transaction = views.begin(&generation_id, at, to).await.unwrap().unwrap();
    let table = transaction.table("rows");
    let two = format!("CREATE TABLE {table} (a TEXT); CREATE INDEX roster_i ON {table} (a)");
    assert!(format!("{:?}", transaction.execute(&two, vec![]).await).contains("several statements"));
    assert!(format!("{:?}", transaction.execute("SELECT ?1", vec!["a".into()]).await).contains("placeholders"));
    assert!(format!("{:?}", transaction.execute("COMMIT", vec![]).await).contains("COMMIT ends the transaction"));
    assert!(transaction.query("SELECT 1", vec![]).await.is_ok(), "the transaction is still usable");
    drop(transaction);
    let other = GenerationId { name: "other".to_owned(), ..generation_id };
    assert_eq!(views.checkpoint(&other).await.unwrap(), None);
}

fn asks_for_rights(reason: &str) -> bool {
    reason.contains("the right to") && reason.contains("write")
}

/// Root can write every file, so the child runs as `nobody`, where that user can read the test program.
#[tokio::test]
async fn a_store_without_write_permission_can_be_read_and_reports_what_to_do() {
    let dir = TestDirectory::new();
    let store = dir.open().await;
    committed(&*store, commit(1).on("tally:a", 0, 1)).await;
    store.close().await;
    let set = |path: &std::path::Path, mode: u32| {
        fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
    };
    let program = dir.0.path().join("program");
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    set(&program, 0o755);
    for (directory, file) in [(0o777, 0o444), (0o555, 0o444)] {
        for path in [dir.log(), dir.views()] {
            set(&path, file);
        }
        set(dir.0.path(), directory);
        let mut command = Command::new(&program);
        command.args(["store::sqlite::tests::files::as_nobody", "--exact", "--ignored", "--nocapture"]);
        command.env("ANNALS_TEST_DIRECTORY", dir.0.path()).current_dir("/");
        if dir.raw().execute_batch("BEGIN IMMEDIATE").is_ok() {
            // Permissions do not restrict this user: root.
            command.uid(65_534).gid(65_534);
        }
        let output = command.output().unwrap();
        let text =
            format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{directory:o} {file:o}: {text}");
        assert!(text.contains("1 passed"), "{text}");
        set(dir.0.path(), 0o777);
    }
}

#[tokio::test]
#[ignore = "another test runs it as a process of its own"]
async fn as_nobody() {
    let Some(directory) = std::env::var_os("ANNALS_TEST_DIRECTORY") else { return };
    let path = std::path::Path::new(&directory).join("log.db");
    for create in [true, false] {
        let store = open_at(&path, create).await.unwrap();
        assert_eq!(store.read(0, 10, &Interest::All).await.unwrap().events.len(), 1);
        let refused = reason(store.append(batch([commit(2).on("tally:a", 1, 1)])).await);
        assert!(asks_for_rights(&refused), "{refused}");
        store.close().await;
    }
}

/// The child fills a small file system of its own.
#[tokio::test]
async fn a_full_disk_refuses_the_whole_commit_with_advice() {
    let dir = TestDirectory::new();
    let path = dir.0.path().display();
    let mount = format!("mount -t tmpfs -o size=4m annals '{path}'");
    let alone = |script: String| {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--mount", "sh", "-ec", &script]);
        command.env("ANNALS_TEST_DIRECTORY", dir.0.path());
        command
    };
    if !alone(mount.clone()).output().is_ok_and(|output| output.status.success()) {
        return annals_test_postgres::skip(
            "this system does not let this user mount a small file system (unshare)",
        );
    }
    let program = std::env::current_exe().unwrap();
    let run = "store::sqlite::tests::files::on_a_small_file_system --exact --ignored --nocapture";
    let output = alone(format!("{mount}; exec '{}' {run}", program.display())).output().unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

#[tokio::test]
#[ignore = "another test runs it as a process of its own"]
async fn on_a_small_file_system() {
    let Some(directory) = std::env::var_os("ANNALS_TEST_DIRECTORY") else { return };
    let directory = std::path::Path::new(&directory);
    let path = directory.join("log.db");
    let store = open_at(&path, true).await.unwrap();
    let ballast = directory.join("ballast");
    fs::write(&ballast, vec![1; 1_500_000]).unwrap();
    let text = format!("{{\"by\":1,\"text\":\"{}\"}}", "x".repeat(20_000));
    let (mut sequence, mut refused) = (0_u64, None);
    while refused.is_none() {
        let next = commit(sequence.into()).payload("tally:a", sequence, "1.0", &text);
        match store.append(batch([next])).await {
            Ok(outcomes) if outcomes[0].is_committed() => sequence += 1,
            Ok(other) => panic!("{other:?}"),
            Err(error) => refused = Some(error),
        }
    }
    match refused {
        Some(StoreError::Database { source, .. }) => assert!(source.to_string().contains("free space"), "{source}"),
        other => panic!("it must say that nothing was written: {other:?}"),
    }
    assert_eq!(store.head().await.unwrap().position, sequence, "no event of the refused commit is in the log");
    fs::remove_file(&ballast).unwrap();
    let outcomes = append(&*store, [commit(sequence.into()).payload("tally:a", sequence, "1.0", &text)]).await;
    assert!(outcomes[0].is_committed(), "with free space it appends again");
    store.close().await;
    let events = log(&*open_at(&path, false).await.unwrap()).await;
    assert_eq!(events.len() as u64, sequence + 1);
    assert_in_order(&events);
}
