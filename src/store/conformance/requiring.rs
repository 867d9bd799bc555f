//! What a log requires of programs.

use super::bench::{Bench, PATIENCE, batch, commit, committed, log, receipt};
use crate::store::{ACCESS, Outcome, Store, StoreError};

/// A commit of the first right.
const OWNERS: &str = "annals_access:owners";

async fn required(store: &dyn Store) -> String {
    store.info().await.expect("the log's own words").requires
}

/// Guarantee 28: also a program that was running when the first right was written, also under a write lock, also if nothing
/// would be written.
pub(super) async fn a_program_that_does_not_know_what_the_log_requires_cannot_append(bench: Bench) {
    let (store, other) = (bench.open().await, bench.open().await);
    committed(&*store, commit(1).on("tally:a", 0, 1)).await;
    committed(&*other, commit(2).on("tally:a", 1, 1)).await;
    let rights = batch([commit(3).on(OWNERS, 0, 1)]).knowing(&[ACCESS]);
    receipt(other.append(rights).await.expect("an answer")[0]);

    let refused = |answer: Result<Vec<Outcome>, StoreError>, what: &str| match answer {
        Err(StoreError::Requires(name)) => assert_eq!(name, ACCESS, "{what}"),
        answer => panic!("{what}: {answer:?}"),
    };
    refused(store.append(batch([commit(4).on("tally:a", 2, 1)])).await, "a commit");
    refused(other.append(batch([commit(4).on("tally:a", 2, 1)])).await, "by the handle that wrote the right");
    refused(store.append(batch([commit(5).read("tally:a", 2)])).await, "a commit that writes nothing");
    refused(store.append(batch([commit(1).on("tally:a", 0, 1)])).await, "a known command id");
    refused(store.append(batch([commit(6).on("tally:a", 9, 1)])).await, "a conflict");
    let lock = store.write_lock(PATIENCE, PATIENCE).await.expect("a write lock");
    refused(lock.append(batch([commit(4).on("tally:a", 2, 1)])).await, "under the write lock");
    let later = bench.open().await;
    refused(later.append(batch([commit(4).on("tally:a", 2, 1)])).await, "a handle that was opened later");
    refused(later.append(batch([commit(4).on("tally:a", 2, 1)]).knowing(&["personal"])).await, "another name");
    assert_eq!(log(&*store).await.len(), 3, "nothing of them is written");

    let knowing = |made| batch([made]).knowing(&["personal", ACCESS]);
    receipt(store.append(knowing(commit(4).on("tally:a", 2, 1))).await.expect("an answer")[0]);
    let lock = other.write_lock(PATIENCE, PATIENCE).await.expect("a write lock");
    receipt(lock.append(knowing(commit(7).on("tally:a", 3, 1))).await.expect("an answer")[0]);
    assert_eq!(store.check_integrity().await.unwrap(), []);
}

/// Guarantee 28: with the events, not with an attempt; and as long as the log is there, in its backups too.
pub(super) async fn what_a_log_requires_is_kept_with_the_first_commit_that_needs_it(bench: Bench) {
    let (store, other) = (bench.open().await, bench.open().await);
    assert_eq!(required(&*store).await, "");
    let unknowing = committed(&*store, commit(1).on("tally:a", 0, 1).read(OWNERS, 0)).await;
    let conflict = batch([commit(2).on(OWNERS, 5, 1), commit(3).on("tally:b", 0, 1)]).knowing(&[ACCESS]);
    let outcomes = store.append(conflict).await.expect("an answer");
    assert_eq!(outcomes[0], Outcome::Conflict);
    assert_eq!(receipt(outcomes[1]).head.position, unknowing.head.position + 1);
    assert_eq!(required(&*other).await, "", "no right was written");
    committed(&*store, commit(4).on("tally:a", 1, 1)).await;

    for (number, expected) in [(5, 0), (6, 1)] {
        let made = batch([commit(number).on(OWNERS, expected, 1), commit(number + 10).on("tally:c", expected, 1)]);
        let outcomes = other.append(made.knowing(&[ACCESS])).await.expect("an answer");
        outcomes.into_iter().for_each(|outcome| _ = receipt(outcome));
        for handle in [&store, &other] {
            assert_eq!(required(&**handle).await, ACCESS);
        }
    }
    let id = store.info().await.unwrap().log_id;
    assert!(!id.is_empty());
    assert_eq!(store.check_integrity().await.unwrap(), []);
    #[cfg(feature = "sqlite")]
    if bench.fixture().has_backups() {
        let directory = tempfile::tempdir().expect("a directory");
        let to = directory.path().join("copy.db");
        store.backup(&to, Box::new(|_, _| {})).await.expect("a backup");
        let clock = std::sync::Arc::new(jiff::Timestamp::now);
        let options = crate::store::OpenOptions { app: super::bench::APP.to_owned(), clock, create: false };
        let copy = crate::store::open(&format!("sqlite://{}", to.display()), options).await.expect("the copy");
        let info = copy.info().await.unwrap();
        assert_eq!((info.requires.as_str(), &info.log_id), (ACCESS, &id));
        let refused = copy.append(batch([commit(7).on("tally:a", 2, 1)])).await;
        assert!(matches!(refused, Err(StoreError::Requires(_))), "{refused:?}");
        assert_eq!(copy.check_integrity().await.unwrap(), []);
        copy.close().await;
    }
    store.close().await;
    other.close().await;
    let again = bench.open().await;
    assert_eq!((required(&*again).await.as_str(), again.info().await.unwrap().log_id), (ACCESS, id));
    let refused = again.append(batch([commit(8).on("tally:a", 2, 1)])).await;
    assert!(matches!(refused, Err(StoreError::Requires(_))), "{refused:?}");
}
