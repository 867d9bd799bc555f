//! Local files that are missing, old or of something else; streams that were restored.

use std::sync::Arc;

use super::bed::{APP, Bed, reason};
use crate::store::conformance::bench::{PATIENCE, assert_in_order, batch, commit, committed, log};
use crate::store::{OpenOptions, Store, StoreError, open};

/// Appends one event to an aggregate of its own.
async fn append_one(store: &dyn Store, number: u64) {
    committed(store, commit(number.into()).on(&format!("tally:{number}"), 0, 1)).await;
}

async fn append_some(store: &dyn Store, numbers: std::ops::Range<u64>) {
    for number in numbers {
        append_one(store, number).await;
    }
}

fn copy(bed: &Bed, from: &str, to: &str) {
    std::fs::copy(bed.file(from), bed.file(to)).unwrap();
}

/// Guarantee 46: the file is a copy.
#[tokio::test(flavor = "multi_thread")]
async fn a_local_file_that_was_removed_is_made_again_and_an_old_one_continues() {
    let Some(bed) = Bed::new() else { return };
    let store = bed.store("a").await;
    append_some(&*store, 0..5).await;
    store.close().await;
    copy(&bed, "a", "old");
    let store = bed.store("a").await;
    append_some(&*store, 5..9).await;
    let whole = log(&*store).await;
    store.close().await;
    std::fs::remove_file(bed.file("a")).unwrap();
    for file in ["a", "old"] {
        let store = bed.store(file).await;
        assert_eq!(log(&*store).await, whole, "{file}");
        assert_eq!(store.check_integrity().await.unwrap(), []);
        store.close().await;
    }
    let store = bed.store("old").await;
    append_one(&*store, 9).await;
    assert_eq!(log(&*store).await.len(), 10);
    store.close().await;
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(std::fs::metadata(bed.file("a")).unwrap().permissions().mode() & 0o777, 0o600);
}

/// Guarantee 46: a file is never believed because it is there.
#[tokio::test(flavor = "multi_thread")]
async fn a_local_file_of_another_log_is_refused() {
    let Some(bed) = Bed::new() else { return };
    let Some(other) = Bed::new() else { return };
    let store = other.store("a").await;
    append_some(&*store, 0..2).await;
    store.close().await;
    std::fs::copy(other.file("a"), bed.file("a")).unwrap();
    let said = reason(bed.at(bed.server.port, "a").await);
    assert!(said.contains("is of another log") && said.contains("?file="), "{said}");

    // An SQLite store is none either, even an empty one.
    let sqlite = format!("sqlite://{}", bed.file("sqlite").display());
    let options = || OpenOptions { app: APP.to_owned(), clock: Arc::new(jiff::Timestamp::now), create: true };
    open(&sqlite, options()).await.unwrap().close().await;
    let said = reason(bed.at(bed.server.port, "sqlite").await);
    assert!(said.contains("is of another log"), "{said}");
    assert_eq!(log(&*open(&sqlite, options()).await.unwrap()).await, [], "it was not written");
}

/// Guarantee 46: nobody else writes the copy; a backup of it is a log of its own.
#[tokio::test(flavor = "multi_thread")]
async fn the_sqlite_store_opens_a_backup_of_a_local_file_but_not_the_file() {
    let Some(bed) = Bed::new() else { return };
    let store = bed.store("a").await;
    append_some(&*store, 0..3).await;
    store.backup(&bed.file("backup"), Box::new(|_, _| {})).await.unwrap();
    let whole = log(&*store).await;
    store.close().await;
    let options = || OpenOptions { app: APP.to_owned(), clock: Arc::new(jiff::Timestamp::now), create: true };
    let said = reason(open(&format!("sqlite://{}", bed.file("a").display()), options()).await);
    assert!(said.contains("local copy of a log on NATS JetStream"), "{said}");
    let backup = open(&format!("sqlite://{}", bed.file("backup").display()), options()).await.unwrap();
    assert_eq!(log(&*backup).await, whole);
    append_one(&*backup, 7).await;
    backup.close().await;
    let said = reason(bed.at(bed.server.port, "backup").await);
    assert!(said.contains("not the copy of a stream"), "{said}");
}

/// Guarantee 46: a stream of the same name is another log.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_was_deleted_and_created_again_is_another_log() {
    let Some(bed) = Bed::new() else { return };
    let store = bed.store("a").await;
    append_some(&*store, 0..3).await;
    bed.server.context().await.delete_stream("LOG").await.unwrap();
    let other = bed.store("b").await;
    append_some(&*other, 10..12).await;
    // It is refused, or nobody has noticed yet and it is void.
    let refused = store.append(batch([commit(5).on("tally:x", 0, 1)])).await;
    assert!(refused.is_err(), "{refused:?}");
    append_some(&*other, 12..20).await;
    let said = reason(store.append(batch([commit(5).on("tally:x", 0, 1)])).await);
    assert!(said.contains("the stream is another one than before"), "{said}");
    store.close().await;
    let said = reason(bed.at(bed.server.port, "a").await);
    assert!(said.contains("is of another log"), "{said}");
    assert_eq!(log(&*other).await.len(), 10);
}

/// A server whose stream was restored to what it had before the last batches.
async fn restored(bed: &mut Bed, store: &dyn Store, kept: u64, lost: u64) {
    append_some(store, 0..kept).await;
    bed.server.kill();
    let old = bed.server.copy();
    bed.server.restart();
    append_some(store, kept..kept + lost).await;
    bed.server.kill();
    bed.server.replace(&old);
    bed.server.restart();
}

/// Returns the names of the backups of local files that had more than the stream.
fn lost_files(bed: &Bed, name: &str) -> Vec<std::path::PathBuf> {
    let file = bed.file(name);
    let begin = format!("{}.lost-", file.file_name().unwrap().to_string_lossy());
    let entries = std::fs::read_dir(file.parent().unwrap()).unwrap();
    entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.file_name().unwrap().to_string_lossy().starts_with(&begin))
        .collect()
}

/// Guarantee 46: a running process is notified that the log lost its tail, once; then it has the log as it is.
#[tokio::test(flavor = "multi_thread")]
async fn a_running_process_notices_that_the_stream_was_restored() {
    let Some(mut bed) = Bed::new() else { return };
    let store = bed.store("a").await;
    restored(&mut bed, &*store, 3, 2).await;
    let notice = store.append(batch([commit(5).on("tally:5", 0, 1)])).await;
    match notice {
        Err(StoreError::Diverged(last)) => assert_eq!(last.position, 5),
        other => panic!("it must be notified: {other:?}"),
    }
    append_one(&*store, 6).await;
    let events = log(&*store).await;
    assert_eq!(events.len(), 4);
    assert_in_order(&events);
    let [lost] = lost_files(&bed, "a").try_into().unwrap();
    let options = OpenOptions { app: APP.to_owned(), clock: Arc::new(jiff::Timestamp::now), create: false };
    let lost = open(&format!("sqlite://{}", lost.display()), options).await.unwrap();
    assert_eq!(log(&*lost).await.len(), 5, "what the stream lost is kept");
    assert_eq!(store.check_integrity().await.unwrap(), []);
}

/// Guarantee 46: also if others have written since, beyond what it had.
#[tokio::test(flavor = "multi_thread")]
async fn a_running_process_notices_that_the_stream_was_restored_and_has_grown_beyond() {
    let Some(mut bed) = Bed::new() else { return };
    let store = bed.store("a").await;
    restored(&mut bed, &*store, 3, 2).await;
    let other = bed.store("b").await;
    append_some(&*other, 20..29).await;
    let mut watch = store.watch();
    let waited = tokio::time::timeout(PATIENCE, watch.wait_for(|head| head.position == 12)).await;
    waited.expect("it follows").expect("it is open");
    let notice = store.append(batch([commit(5).on("tally:5", 0, 1)])).await;
    assert!(matches!(notice, Err(StoreError::Diverged(_))), "{notice:?}");
    append_one(&*store, 6).await;
    assert_eq!(log(&*store).await.len(), 13);
    assert_eq!(lost_files(&bed, "a").len(), 1);
}

/// Guarantee 46: the server confirms a batch of a process that did not notice that the stream was restored, and has grown to where it
/// was: the fence holds, and the batch is void.
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_a_restored_stream_confirms_by_chance_is_not_answered() {
    let Some(mut bed) = Bed::new() else { return };
    let store = bed.store("a").await;
    restored(&mut bed, &*store, 3, 2).await;
    let mut stream = bed.stream();
    let other = bed.store("b").await;
    append_some(&*other, 20..22).await;
    // Where the first process is.
    assert_eq!(stream.probe().await.unwrap(), 6);
    let notice = store.append(batch([commit(5).on("tally:5", 0, 1)])).await;
    assert!(matches!(notice, Err(StoreError::Diverged(_))), "{notice:?}");
    assert_eq!(stream.probe().await.unwrap(), 7, "the server has stored it");
    append_one(&*store, 6).await;
    append_one(&*other, 30).await;
    let late = bed.store("c").await;
    let events = log(&*late).await;
    assert_eq!(events.len(), 7);
    assert_in_order(&events);
    assert!(events.iter().all(|event| event.aggregate.as_str() != "tally:5"), "it is void");
}

/// Guarantee 46: a file that is ahead of the stream is made again when it is opened.
#[tokio::test(flavor = "multi_thread")]
async fn a_local_file_that_is_ahead_of_the_stream_is_made_again() {
    let Some(mut bed) = Bed::new() else { return };
    let store = bed.store("a").await;
    append_some(&*store, 0..3).await;
    store.close().await;
    bed.server.kill();
    let old = bed.server.copy();
    bed.server.restart();
    let store = bed.store("a").await;
    append_some(&*store, 3..5).await;
    store.close().await;
    bed.server.kill();
    bed.server.replace(&old);
    bed.server.restart();
    let store = bed.store("a").await;
    assert_eq!(log(&*store).await.len(), 3);
    assert_eq!(lost_files(&bed, "a").len(), 1);
    append_one(&*store, 9).await;
    assert_eq!(log(&*store).await.len(), 4);
}
