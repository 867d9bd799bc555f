//! Mission J9, Guarantee 14: edits by raw SQL are refused, and found if the triggers were dropped for them.

use std::sync::Arc;

use async_trait::async_trait;
use sqlx::Executor;
use uuid::Uuid;

use super::Bed;
use crate::store::check::tests::{
    self, EDITS, Edited, Shown::Found, each_edit_is_detected_as_listed, filled, found,
};
use crate::store::{FindingKind, Store};
use crate::text::hex;

const PROTECTION: FindingKind = FindingKind::Protection;

#[tokio::test]
async fn raw_sql_cannot_change_delete_or_replace_events_and_commands() {
    let bed = Bed::new();
    let store = bed.open().await;
    filled(&*store).await;
    let mut raw = bed.raw().await;
    let key = "ON CONFLICT (aggregate_type, aggregate_id, sequence) DO UPDATE SET payload = '{}'";
    for (sql, words) in [
        ("UPDATE {schema}.events SET payload = '{}' WHERE position = 3".to_owned(), "annals:"),
        ("DELETE FROM {schema}.events WHERE position = 7".to_owned(), "annals:"),
        ("DELETE FROM {schema}.events WHERE false".to_owned(), "annals:"),
        ("TRUNCATE {schema}.events".to_owned(), "annals:"),
        ("TRUNCATE {schema}.events, {schema}.commands CASCADE".to_owned(), "annals:"),
        (format!("INSERT INTO {{schema}}.events SELECT * FROM {{schema}}.events {key}"), "annals:"),
        ("UPDATE {schema}.commands SET events = 0".to_owned(), "annals:"),
        ("DELETE FROM {schema}.commands".to_owned(), "annals:"),
        ("TRUNCATE {schema}.commands".to_owned(), "annals:"),
        ("SET session_replication_role = replica; DELETE FROM {schema}.events".to_owned(), "annals:"),
        (
            "INSERT INTO {schema}.events SELECT * FROM {schema}.events WHERE position = 3".to_owned(),
            "duplicate key",
        ),
    ] {
        let refused = raw.execute(bed.location.sql(&sql).as_str()).await.map(|_| ()).expect_err(&sql);
        assert!(refused.to_string().contains(words), "{sql}: {refused}");
    }
    assert_eq!(found(&*store, None).await, []);
    assert_eq!(store.head().await.unwrap().position, 7);
}

#[async_trait]
impl Edited for Bed {
    async fn open(&self) -> Arc<dyn Store> {
        Bed::open(self).await
    }

    async fn edit(&self, sql: &str) {
        let off =
            "ALTER TABLE {schema}.events DISABLE TRIGGER ALL; ALTER TABLE {schema}.commands DISABLE TRIGGER ALL;";
        let on = "ALTER TABLE {schema}.events ENABLE ALWAYS TRIGGER events_stay; \
                  ALTER TABLE {schema}.commands ENABLE ALWAYS TRIGGER commands_stay";
        self.run(&format!("{off} {sql}; {on}")).await;
    }

    fn bytes(&self, bytes: &[u8]) -> String {
        format!("'\\x{}'::bytea", hex(bytes))
    }

    fn id(&self, id: Uuid) -> String {
        format!("'{id}'::uuid")
    }

    fn micros(&self, count: i64) -> String {
        format!("interval '{count} us'")
    }

    fn table(&self, name: &str) -> String {
        format!("{{schema}}.{name}")
    }
}

#[tokio::test]
async fn each_edit_of_rows_is_found_or_named_as_not_covered() {
    each_edit_is_detected_as_listed(Bed::new, EDITS).await;
}

#[tokio::test]
async fn a_cut_tail_is_detected_by_a_checkpoint() {
    tests::a_cut_tail_is_detected_by_a_checkpoint(Bed::new()).await;
}

#[tokio::test]
async fn each_edit_of_this_store_alone_is_found() {
    let log = |words| Found(FindingKind::Log, words);
    let edits = [
        ("UPDATE {schema}.events SET recorded_at = 'infinity' WHERE position = 7", log("cannot be read")),
        ("UPDATE {schema}.commands SET body_digest = '' WHERE events = 3", log("holds what no command has")),
    ];
    each_edit_is_detected_as_listed(Bed::new, &edits).await;
}

/// Each change is undone before the next, in one schema.
#[tokio::test]
async fn each_change_of_what_protects_the_log_is_found() {
    let bed = Bed::new();
    let store = bed.open().await;
    filled(&*store).await;
    let role = format!("r_{}", bed.location.plain_schema());
    bed.run(&format!("CREATE ROLE {role}; GRANT USAGE, CREATE ON SCHEMA {{schema}} TO {role}")).await;
    let append: String = sqlx::query_scalar(
        "SELECT oid::regprocedure::text FROM pg_proc WHERE pronamespace = $1::regnamespace AND proname = 'append'",
    )
    .bind(bed.location.schema())
    .fetch_one(&mut bed.raw().await)
    .await
    .unwrap();
    let owner = bed.user().to_owned();
    for (sql, undo, words) in [
        (
            "DROP INDEX {schema}.events_by_type",
            "CREATE INDEX events_by_type ON {schema}.events (event_type, position)",
            "index events_by_type is missing",
        ),
        (
            "DROP INDEX {schema}.events_by_type; CREATE INDEX events_by_type ON {schema}.events (event_type)",
            "DROP INDEX {schema}.events_by_type; CREATE INDEX events_by_type ON {schema}.events (event_type, position)",
            "index events_by_type is missing, was changed",
        ),
        (
            "ALTER TABLE {schema}.events DROP CONSTRAINT events_position",
            "ALTER TABLE {schema}.events ADD CONSTRAINT events_position UNIQUE (position)",
            "constraint events_position is missing",
        ),
        (
            "ALTER TABLE {schema}.events ADD CONSTRAINT no CHECK (position < 1000)",
            "ALTER TABLE {schema}.events DROP CONSTRAINT no",
            "constraint no of the table events was not created",
        ),
        ("CREATE UNIQUE INDEX one ON {schema}.events (event_id)", "DROP INDEX {schema}.one", "unique index one"),
        (
            "CREATE FUNCTION {schema}.no() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'; \
          CREATE TRIGGER quiet BEFORE INSERT ON {schema}.events FOR EACH ROW EXECUTE FUNCTION {schema}.no()",
            "DROP TRIGGER quiet ON {schema}.events; DROP FUNCTION {schema}.no()",
            "trigger quiet of the table events was not created",
        ),
        (
            "CREATE RULE quiet AS ON INSERT TO {schema}.commands DO INSTEAD NOTHING",
            "DROP RULE quiet ON {schema}.commands",
            "rule quiet of the table commands was not created",
        ),
        (
            "ALTER TABLE {schema}.events ENABLE ROW LEVEL SECURITY",
            "ALTER TABLE {schema}.events DISABLE ROW LEVEL SECURITY",
            "row security is enabled on the table events",
        ),
        (
            "GRANT INSERT, UPDATE ON {schema}.events TO {role}",
            "REVOKE ALL ON {schema}.events FROM {role}",
            "may INSERT, UPDATE on the table events",
        ),
        (
            "GRANT UPDATE (command) ON {schema}.commands TO {role}",
            "REVOKE ALL (command) ON {schema}.commands FROM {role}",
            "may UPDATE on the table commands",
        ),
        (
            "GRANT TRUNCATE ON {schema}.commands TO PUBLIC",
            "REVOKE ALL ON {schema}.commands FROM PUBLIC",
            "everybody may TRUNCATE on the table commands",
        ),
        (
            "ALTER TABLE {schema}.events ALTER COLUMN command_id DROP NOT NULL",
            "ALTER TABLE {schema}.events ALTER COLUMN command_id SET NOT NULL",
            "column command_id of the table events",
        ),
        (
            "ALTER TABLE {schema}.events ADD COLUMN more text",
            "ALTER TABLE {schema}.events DROP COLUMN more",
            "column more of the table events was not created",
        ),
        (
            "ALTER TABLE {schema}.events ALTER COLUMN metadata SET DEFAULT '{}'",
            "ALTER TABLE {schema}.events ALTER COLUMN metadata DROP DEFAULT",
            "column metadata of the table events",
        ),
        ("CREATE TABLE {schema}.child () INHERITS ({schema}.events)", "DROP TABLE {schema}.child", "inherits"),
        (
            "ALTER TABLE {schema}.commands SET UNLOGGED",
            "ALTER TABLE {schema}.commands SET LOGGED",
            "not an ordinary, logged table",
        ),
        (
            "ALTER TABLE {schema}.meta OWNER TO {role}",
            "ALTER TABLE {schema}.meta OWNER TO {owner}",
            "have different owners",
        ),
        (
            "ALTER FUNCTION {append} RESET enable_seqscan",
            "ALTER FUNCTION {append} SET enable_seqscan = off",
            "its settings are",
        ),
        (
            "ALTER FUNCTION {append} SET search_path = public",
            "ALTER FUNCTION {append} SET search_path = pg_catalog, pg_temp",
            "its settings are",
        ),
        (
            "ALTER FUNCTION {append} SET synchronous_commit = off",
            "ALTER FUNCTION {append} RESET synchronous_commit",
            "its settings are",
        ),
        (
            "ALTER FUNCTION {append} SECURITY INVOKER",
            "ALTER FUNCTION {append} SECURITY DEFINER",
            "not SECURITY DEFINER",
        ),
        ("ALTER FUNCTION {append} STABLE", "ALTER FUNCTION {append} VOLATILE", "it is STABLE, not VOLATILE"),
        ("ALTER FUNCTION {append} OWNER TO {role}", "ALTER FUNCTION {append} OWNER TO {owner}", "its owner is not"),
        (
            "GRANT EXECUTE ON FUNCTION {append} TO PUBLIC",
            "REVOKE ALL ON FUNCTION {append} FROM PUBLIC",
            "everybody may execute the function append",
        ),
        (
            "CREATE FUNCTION {schema}.append(boolean) RETURNS int LANGUAGE sql AS 'SELECT 1'",
            "DROP FUNCTION {schema}.append(boolean)",
            "there are 2 functions append",
        ),
        (
            "CREATE OR REPLACE FUNCTION {schema}.stay() RETURNS trigger LANGUAGE plpgsql \
          SET search_path = pg_catalog, pg_temp AS 'BEGIN RETURN NEW; END'",
            "",
            "function stay was changed: its body",
        ),
        ("DROP FUNCTION {schema}.hold()", "", "function hold is missing"),
    ] {
        let put = |sql: &str| sql.replace("{role}", &role).replace("{owner}", &owner).replace("{append}", &append);
        bed.run(&put(sql)).await;
        let findings = found(&*store, None).await;
        let named = findings.iter().any(|found| found.kind == PROTECTION && found.problem.contains(words));
        assert!(named, "{sql}: {findings:#?}");
        bed.run(&put(undo)).await;
        if !undo.is_empty() {
            assert_eq!(found(&*store, None).await, [], "after {undo}");
        }
    }
    store.close().await;
    bed.run(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).await;
}

/// The definitions are the same, however the server quotes them.
#[tokio::test]
async fn an_intact_log_passes_the_check_under_quote_all_identifiers() {
    let bed = Bed::new();
    let role = format!("q_{}", bed.location.plain_schema());
    let database = bed.location.options().get_database().unwrap_or_default().to_owned();
    bed.run(&format!(
        "CREATE ROLE {role} LOGIN; ALTER ROLE {role} SET quote_all_identifiers = on; \
         GRANT CREATE ON DATABASE \"{database}\" TO {role}"
    ))
    .await;
    let store = super::open_at(&bed.url(&role, &bed.address()), true).await.unwrap();
    filled(&*store).await;
    assert_eq!(found(&*store, None).await, []);
    assert_eq!(found(&*super::open_at(bed.fresh.url(), false).await.unwrap(), None).await, []);
    store.close().await;
    bed.run(&format!("DROP OWNED BY {role} CASCADE; DROP ROLE {role}")).await;
}

/// Such a check saw 0 of 7 events, and reported no problem.
#[tokio::test]
async fn a_check_reports_that_row_security_hides_rows_from_its_role() {
    let bed = Bed::new();
    filled(&*bed.open().await).await;
    let role = format!("h_{}", bed.location.plain_schema());
    bed.run(&format!(
        "CREATE ROLE {role} LOGIN; GRANT USAGE ON SCHEMA {{schema}} TO {role}; \
         GRANT SELECT ON ALL TABLES IN SCHEMA {{schema}} TO {role}"
    ))
    .await;
    let store = super::open_at(&bed.url(&role, &bed.address()), false).await.unwrap();
    assert_eq!(found(&*store, None).await, [], "a role that may only read sees all");
    for table in ["events", "commands", "projections"] {
        bed.run(&format!("ALTER TABLE {{schema}}.{table} ENABLE ROW LEVEL SECURITY")).await;
        let findings = found(&*store, None).await;
        assert_eq!(findings[0].kind, FindingKind::Unseen, "{table}: {findings:#?}");
        assert!(findings[0].problem.contains(&format!("{role} on the table {table}")), "{findings:#?}");
        bed.run(&format!("ALTER TABLE {{schema}}.{table} DISABLE ROW LEVEL SECURITY")).await;
    }
    store.close().await;
    bed.run(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).await;
}

#[tokio::test]
async fn a_missing_or_disabled_trigger_is_found() {
    let bed = Bed::new();
    let store = bed.open().await;
    filled(&*store).await;
    bed.run(
        "ALTER TABLE {schema}.events DISABLE TRIGGER events_stay; DROP TRIGGER commands_stay ON {schema}.commands",
    )
    .await;
    let mut findings: Vec<String> = found(&*store, None).await.into_iter().map(|found| found.problem).collect();
    findings.sort();
    let gone = |name: &str| format!("the trigger {name} is missing, was changed or is disabled");
    assert_eq!(findings, [gone("commands_stay"), gone("events_stay")]);
}
