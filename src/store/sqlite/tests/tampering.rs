//! Mission J9, Guarantee 14: edits by raw SQL are refused, and detected if the triggers were removed for them.

use std::sync::Arc;

use async_trait::async_trait;
use rusqlite::Connection;
use uuid::Uuid;

use super::TestDirectory;
use crate::events::Types;
use crate::store::check::check;
use crate::store::check::tests::{
    self, EDITS, Edited, Shown::Found, each_edit_is_detected_as_listed, filled, found,
};
use crate::store::conformance::bench::{commit, committed, id};
use crate::store::sqlite::database_file::LOG;
use crate::store::{FindingKind, Store};
use crate::text::hex;

#[tokio::test]
async fn raw_sql_cannot_change_delete_or_replace_events_and_commands() {
    let dir = TestDirectory::new();
    let store = dir.open().await;
    filled(&*store).await;
    let copy = "SELECT position, zeroblob(16), aggregate_type, aggregate_id, sequence, event_type, event_version, \
                '{}', metadata, command_id, occurred_at, recorded_at, digest FROM events WHERE position = 3";
    let replace = |what: &str, with: &str| {
        let changed = copy.replacen(what, with, 1);
        format!("INSERT OR REPLACE INTO events {changed}")
    };
    let raw = dir.raw();
    for sql in [
        "UPDATE events SET payload = '{}' WHERE position = 3",
        "UPDATE OR REPLACE events SET position = 1 WHERE position = 3",
        "DELETE FROM events WHERE position = 7",
        "DELETE FROM events",
        &replace("", ""),
        &replace("SELECT position", "SELECT 8"),
        &replace("SELECT position, zeroblob(16)", "SELECT 8, randomblob(16)"),
        &replace("SELECT position, zeroblob(16)", "SELECT 9, x'ffffffffffffffffffffffffffffffff'"),
        &replace("SELECT position, zeroblob(16)", "SELECT 8, x'ffffffffffffffffffffffffffffffff'"),
        "INSERT INTO events SELECT * FROM events WHERE position = 3 ON CONFLICT DO UPDATE SET payload = '{}'",
        "UPDATE commands SET events = 0",
        "DELETE FROM commands",
        "INSERT OR REPLACE INTO commands SELECT command_id, 'x', body_digest, 1, 1, 1, head_event_id, 0 FROM commands",
    ] {
        let refused = raw.execute(sql, []).expect_err(sql);
        assert!(refused.to_string().contains("annals:"), "{sql}: {refused}");
    }
    assert_eq!(found(&*store, None).await, []);
    assert_eq!(store.head().await.unwrap().position, 7);
}

/// Removes all triggers, edits the log, and creates the triggers again.
fn edit(raw: &Connection, sql: &str) {
    const TRIGGERS: &str = "SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'";
    let triggers: Vec<(String, String)> = raw
        .prepare(TRIGGERS)
        .unwrap()
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    assert_eq!(triggers.len(), LOG.schema.matches("CREATE TRIGGER").count());
    for (name, _) in &triggers {
        raw.execute_batch(&format!("DROP TRIGGER {name}")).unwrap();
    }
    raw.execute_batch(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
    for (_, sql) in &triggers {
        raw.execute_batch(sql).unwrap();
    }
}

#[async_trait]
impl Edited for TestDirectory {
    async fn open(&self) -> Arc<dyn Store> {
        TestDirectory::open(self).await
    }

    async fn edit(&self, sql: &str) {
        edit(&self.raw(), sql);
    }

    fn bytes(&self, bytes: &[u8]) -> String {
        format!("x'{}'", hex(bytes))
    }

    fn id(&self, id: Uuid) -> String {
        self.bytes(id.as_bytes())
    }

    fn micros(&self, count: i64) -> String {
        count.to_string()
    }

    fn table(&self, name: &str) -> String {
        name.to_owned()
    }
}

#[tokio::test]
async fn each_edit_of_rows_is_detected_or_listed_as_not_covered() {
    each_edit_is_detected_as_listed(TestDirectory::new, EDITS).await;
}

#[tokio::test]
async fn each_edit_specific_to_sqlite_is_detected() {
    const PROTECTION: FindingKind = FindingKind::Protection;
    let edits = [
        (
            "UPDATE events SET payload = CAST(x'ff' AS TEXT) WHERE position = 3",
            Found(FindingKind::Log, "cannot be read"),
        ),
        (
            "UPDATE events SET recorded_at = 9223372036854775807 WHERE position = 7",
            Found(FindingKind::Log, "cannot be read"),
        ),
        ("DROP INDEX events_by_type", Found(PROTECTION, "index events_by_type is missing")),
        (
            "DROP INDEX events_by_type; CREATE INDEX events_by_type ON events (position)",
            Found(PROTECTION, "index events_by_type was changed"),
        ),
        (
            "CREATE TRIGGER quiet BEFORE INSERT ON events BEGIN SELECT RAISE(IGNORE); END",
            Found(PROTECTION, "trigger quiet was not created"),
        ),
        (
            "CREATE TRIGGER also AFTER INSERT ON commands BEGIN DELETE FROM meta; END",
            Found(PROTECTION, "trigger also was not created"),
        ),
        ("CREATE UNIQUE INDEX one ON events (event_id)", Found(PROTECTION, "index one was not created")),
        ("ALTER TABLE events ADD COLUMN more TEXT", Found(PROTECTION, "table events was changed")),
        ("ALTER TABLE commands ADD COLUMN more TEXT", Found(PROTECTION, "table commands was changed")),
    ];
    each_edit_is_detected_as_listed(TestDirectory::new, &edits).await;
}

#[tokio::test]
async fn a_cut_tail_is_detected_by_a_checkpoint() {
    tests::a_cut_tail_is_detected_by_a_checkpoint(TestDirectory::new()).await;
}

#[tokio::test]
async fn a_missing_or_changed_trigger_is_detected() {
    let dir = TestDirectory::new();
    let store = dir.open().await;
    filled(&*store).await;
    let raw = dir.raw();
    raw.execute_batch("DROP TRIGGER events_stay; DROP TRIGGER events_remain").unwrap();
    raw.execute_batch("CREATE TRIGGER events_remain BEFORE DELETE ON events BEGIN SELECT 1; END").unwrap();
    let findings: Vec<String> = found(&*store, None).await.into_iter().map(|found| found.problem).collect();
    assert_eq!(findings, ["the trigger events_stay is missing", "the trigger events_remain was changed"]);
}

/// Every other row around an unreadable one is checked, exactly once.
#[tokio::test]
async fn an_unreadable_row_hides_no_other() {
    let dir = TestDirectory::new();
    let store = dir.open().await;
    committed(&*store, commit(1).on("tally:a", 0, 2_500)).await;
    let edits = "UPDATE events SET payload = 'x' WHERE position IN (1199, 1201, 2500); \
                 UPDATE events SET aggregate_type = 'Not a kind' WHERE position IN (1200, 1, 2400)";
    edit(&dir.raw(), edits);
    let report = check(&*store, &Types::default(), None, &mut (), &mut |_, _| {}).await.unwrap();
    assert_eq!(report.events, 2_500);
    assert_eq!(
        (report.findings.len(), report.more > 1_000),
        (1_000, true),
        "the others are counted: no type is known"
    );
    let positions: Vec<_> = found(&*store, None).await.into_iter().filter_map(|found| found.position).collect();
    assert_eq!(positions.first(), Some(&1));
    assert_eq!(store.find_commands(&[id(1)]).await.unwrap()[0].as_ref().unwrap().receipt.events, 2_500);
}
