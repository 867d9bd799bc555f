//! Programs of earlier versions, which do not look at what a log requires.

use super::{TestDirectory, open_at};
use crate::store::conformance::bench::{batch, commit, committed, log, receipt};
use crate::store::{ACCESS, StoreError};

/// How a program of version 1 inserts a command: it may run while the first right is written.
const EARLIER: &str =
    "INSERT OR ROLLBACK INTO commands VALUES (randomblob(16), 'x', zeroblob(32), 1, 0, 1, zeroblob(16), 0)";

/// Guarantee 28.
#[tokio::test]
async fn an_earlier_program_appends_until_the_log_requires_something_and_does_not_open_it_then() {
    let dir = TestDirectory::new();
    let store = dir.open().await;
    committed(&*store, commit(1).on("tally:a", 0, 1)).await;
    let raw = dir.raw();
    let version = || raw.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0)).unwrap();
    raw.execute_batch("BEGIN").unwrap();
    let mut statement = raw.prepare(EARLIER).unwrap();
    statement.execute([]).unwrap();
    raw.execute_batch("ROLLBACK").unwrap();
    assert_eq!(version(), 1);

    let rights = batch([commit(2).on("annals_access:owners", 0, 1)]).knowing(&[ACCESS]);
    receipt(store.append(rights).await.unwrap()[0]);
    let refused = statement.execute([]).unwrap_err().to_string();
    assert!(refused.contains("has 9 columns but 8 values"), "{refused}");
    assert_eq!(version(), 2, "it refuses to open a newer version");
    assert_eq!(log(&*store).await.len(), 2);

    // A later version is refused by this program, in the same way.
    drop(statement);
    raw.pragma_update(None, "user_version", 3).unwrap();
    let refused = open_at(&dir.log(), false).await.map(drop);
    assert!(matches!(refused, Err(StoreError::Newer { found: 3, known: 2 })), "{refused:?}");
}
