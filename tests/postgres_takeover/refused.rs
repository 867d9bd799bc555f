//! What cannot be taken over is named, with what to do, and nothing is changed. A dry run says so beforehand.

use std::time::{Duration, Instant};

use annals::store::Takeover;
use annals_test_postgres::Fresh;
use sqlx::Executor;

use crate::{migrate, refusal, stock};

#[tokio::test]
async fn a_database_that_cannot_be_taken_over_is_named_and_not_changed() {
    for (spoil, words) in [
        ("DELETE FROM events WHERE sequence = 2 AND aggregate_id = 'a'", "`BankAccount a` are not 1, 2, 3"),
        ("ALTER TABLE events ALTER COLUMN payload TYPE jsonb", "`payload` of its table `events` is jsonb"),
        ("ALTER TABLE events RENAME TO others", "no table `events`"),
        ("UPDATE events SET aggregate_type = 'bank.account'", "`bank.account` cannot be called `bank.account`"),
        ("UPDATE events SET aggregate_type = 'bank.account'", "--kind 'bank.account=account'"),
        ("UPDATE events SET aggregate_type = 'Annals'", "cannot be called `annals`"),
        (
            "UPDATE events SET aggregate_type = 'bank_account' WHERE aggregate_id = 'b'",
            "would both be called `bank_account`",
        ),
        ("UPDATE events SET aggregate_type = 'Customer'", "declare `was(\"customer.AccountOpened\")`"),
        (
            "UPDATE events SET aggregate_type = 'Customer', event_type = 'giro.opened'",
            "--kind 'Customer=bank_account'",
        ),
        ("UPDATE events SET aggregate_id = 'bank_account:b' WHERE aggregate_id = 'a'", "rename one in the table"),
        ("UPDATE events SET aggregate_id = '' WHERE aggregate_id = 'a'", "empty id"),
        ("UPDATE events SET event_version = '2.0' WHERE sequence = 3", "was written by a newer program"),
        (
            "UPDATE events SET payload = '{\"MoneyDeposited\":{\"cents\":1}}' WHERE sequence = 3",
            "missing field `note`",
        ),
    ] {
        let fresh = Fresh::schema();
        let pool = stock::written(&fresh).await;
        pool.execute(spoil).await.expect("a spoilt table");
        if spoil.contains("RENAME") {
            assert!(refusal(&fresh, Takeover::new()).await.contains(words));
            continue;
        }
        let before = stock::state(&pool).await;
        for takeover in [Takeover::new().dry_run(), Takeover::new(), Takeover::new().time_from("time")] {
            let reason = refusal(&fresh, takeover).await;
            assert!(reason.contains(words), "{spoil}: {reason}");
        }
        assert_eq!(stock::state(&pool).await, before, "{spoil}: no table was created or renamed");
    }
}

/// An event without a tag, of one field, must not lose its field to be taken for a variant.
#[tokio::test]
async fn payloads_that_are_no_variant_in_serdes_default_form_are_refused_and_never_stripped() {
    for (payload, words) in [
        (r#"{"type":"MoneyDeposited","cents":1,"note":""}"#, "does not have exactly one field"),
        (r#"{"type":"MoneyDeposited"}"#, "with the field `type`"),
        (r#"{"type":{"cents":1,"note":""}}"#, "with the field `type`"),
        (r#"{"cents":{"cents":1,"note":""}}"#, "with the field `cents`"),
        (r#""a note""#, "a text that is not the name of the event"),
        (r#""""#, "a text that is not the name of the event"),
        ("{}", "does not have exactly one field"),
        ("[1]", "no object"),
        ("null", "no object"),
    ] {
        let fresh = Fresh::schema();
        let pool = stock::database(&fresh).await;
        let event = ("MoneyDeposited", "1.0", payload);
        stock::insert(&pool, ("BankAccount", "a", 1), event).await;
        let before = stock::state(&pool).await;
        let reason = refusal(&fresh, Takeover::new()).await;
        assert!(reason.contains(words) && reason.contains("import such events"), "{payload}: {reason}");
        assert_eq!(stock::state(&pool).await, before);
    }
    let fresh = Fresh::schema();
    let pool = stock::database(&fresh).await;
    let event = ("account.note", "1.0", r#"{"note":{"cents":1,"note":""}}"#);
    stock::insert(&pool, ("BankAccount", "a", 1), event).await;
    assert!(refusal(&fresh, Takeover::new()).await.contains("no event type `account.note`"));
}

/// One reading finds everything, while the old program holds a transaction open and writes.
#[tokio::test]
async fn a_dry_run_names_every_problem_at_once_while_the_old_program_works_and_changes_nothing() {
    let fresh = Fresh::schema();
    let pool = stock::written(&fresh).await;
    for (id, version, payload) in [
        ("c", "0.1", r#""AccountOpened""#),
        ("d", "0.1", r#""AccountOpened""#),
        ("e", "v1", r#""AccountOpened""#),
        ("f", "1.0", r#"{"type":"AccountOpened"}"#),
    ] {
        stock::insert(&pool, ("BankAccount", id, 1), ("AccountOpened", version, payload)).await;
    }
    let before = stock::state(&pool).await;
    let mut open = pool.begin().await.expect("a transaction");
    open.execute(
        "INSERT INTO events VALUES ('BankAccount', 'z', 1, 'AccountOpened', '1.0', '\"AccountOpened\"', '{}')",
    )
    .await
    .expect("a row");
    let reason = refusal(&fresh, Takeover::new().dry_run()).await;
    for words in [
        "- 2 events, the first is event 1 of `BankAccount` `c`: the version `0.1` of `AccountOpened` is not a whole number",
        "--event-version 'AccountOpened:0.1=1'",
        "- event 1 of `BankAccount` `e`: the version `v1`",
        "- event 1 of `BankAccount` `f`: the payload of `AccountOpened`",
    ] {
        assert!(reason.contains(words), "{words}: {reason}");
    }
    open.rollback().await.expect("a rollback");
    pool.execute("DELETE FROM events WHERE aggregate_id IN ('e', 'f')").await.expect("rows");
    let dry = migrate(&fresh, Takeover::new().version("AccountOpened", "0.1", 1).dry_run()).await;
    assert_eq!((dry.events, dry.aggregates, dry.dry_run, dry.lacking), (10, 4, true, None));
    pool.execute("DELETE FROM events WHERE aggregate_id IN ('c', 'd')").await.expect("rows");
    assert_eq!(stock::state(&pool).await, before.replace(" 12", " 8"), "no table was created or renamed");
}

/// The owner of the table needs CREATE, too; a dry run needs neither.
#[tokio::test]
async fn the_error_names_the_rights_that_are_needed() {
    let fresh = Fresh::schema();
    let pool = stock::written(&fresh).await;
    let (owner, reader, schema) = (format!("o_{}", fresh.name()), format!("r_{}", fresh.name()), fresh.name());
    let roles = format!(
        "CREATE ROLE {owner} LOGIN; CREATE ROLE {reader} LOGIN; ALTER TABLE events OWNER TO {owner}; \
         GRANT USAGE ON SCHEMA {schema} TO {owner}, {reader}; GRANT SELECT ON events TO {reader}"
    );
    pool.execute(roles.as_str()).await.expect("roles");
    let as_role = |role: &str| {
        let (scheme, rest) = fresh.url().split_once("://").expect("a URL");
        let host = rest.split_once('@').map_or(rest, |(_, host)| host);
        format!("{scheme}://{role}@{host}")
    };
    let refused = async |role: &str, takeover: Takeover| {
        crate::app().takeover(takeover).migrate(&as_role(role)).await.map(|_| ()).expect_err("rights").to_string()
    };
    let by_owner = refused(&owner, Takeover::new()).await;
    assert!(by_owner.contains(&format!("GRANT CREATE, USAGE ON SCHEMA \"{schema}\" TO \"{owner}\"")), "{by_owner}");
    assert!(!by_owner.contains("connect as"), "{by_owner}");
    let by_reader = refused(&reader, Takeover::new()).await;
    assert!(by_reader.contains(&format!("connect as `{owner}`")), "{by_reader}");
    let dry = crate::app().takeover(Takeover::new().dry_run()).migrate(&as_role(&reader)).await.expect("a dry run");
    assert!(dry.lacking.expect("what is lacking").contains(&format!("connect as `{owner}`")));
    pool.execute(format!("GRANT CREATE ON SCHEMA {schema} TO {owner}").as_str()).await.expect("a right");
    let migrated = crate::app().migrate(&as_role(&owner)).await.expect("a migration");
    assert_eq!(migrated.events, 8, "with the rights that were named");
    pool.close().await;
    fresh.sql(&format!("DROP SCHEMA {schema} CASCADE; DROP ROLE {owner}; DROP ROLE {reader}"));
}

#[tokio::test]
async fn the_lock_is_waited_for_no_longer_than_asked_and_the_error_names_who_holds_it() {
    let fresh = Fresh::schema();
    let pool = stock::written(&fresh).await;
    let before = stock::state(&pool).await;
    let mut open = pool.begin().await.expect("a transaction");
    open.execute("UPDATE events SET metadata = '{}' WHERE aggregate_id = 'a'").await.expect("rows");
    let begun = Instant::now();
    let reason = refusal(&fresh, Takeover::new().wait(Duration::from_secs(1))).await;
    let waited = begun.elapsed();
    assert!(waited > Duration::from_millis(900) && waited < Duration::from_secs(8), "{waited:?}");
    for words in
        ["`events` was not free within 1s", "program `the old program` (idle in transaction)", "stop every program"]
    {
        assert!(reason.contains(words), "{words}: {reason}");
    }
    open.rollback().await.expect("a rollback");
    assert_eq!(stock::state(&pool).await, before);
}
