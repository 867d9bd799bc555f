//! A role that may execute the append function calls it with forged values.

use jiff::{SignedDuration, Timestamp};
use sqlx::Executor;

use super::Bed;
use crate::store::conformance::bench::{assert_in_order, commit, committed, log};

/// The arguments of a call that appends one event.
const CALL: [(&str, &str); 36] = [
    ("writes", "true"),
    ("seen_position", "0"),
    ("seen_event_id", "'00000000-0000-0000-0000-000000000000'"),
    ("now", "clock_timestamp()"),
    ("plain", "true"),
    ("new_ids", "true"),
    ("all_sure", "true"),
    ("chains", "0"),
    ("aggregate_type", "'{tally}'"),
    ("aggregate_id", "'{f}'"),
    ("aggregate_last", "'{0}'"),
    ("aggregate_sure", "'{true}'"),
    ("command_id", "ARRAY[gen_random_uuid()]"),
    ("command", "'{count}'"),
    ("body_digest", "ARRAY[sha256('')]"),
    ("kept", "'{true}'"),
    ("written", "'{1}'"),
    ("till", "'{1}'"),
    ("streams", "'{1}'"),
    ("chain", "'{0}'"),
    ("twin", "'{0}'"),
    ("stream_of", "'{1}'"),
    ("stream_expected", "'{0}'"),
    ("stream_written", "'{1}'"),
    ("event_n", "'{1}'"),
    ("event_commit", "'{1}'"),
    ("event_aggregate_type", "'{tally}'"),
    ("event_aggregate_id", "'{f}'"),
    ("event_sequence", "'{1}'"),
    ("event_type", "'{tally.counted}'"),
    ("event_version", "'{1.0}'"),
    ("event_payload", "ARRAY['{\"by\":1}']"),
    ("event_metadata", "ARRAY['{\"actor\":\"user:eve\"}']"),
    ("event_occurred", "ARRAY[NULL::timestamptz]"),
    ("event_digest", "ARRAY[sha256('')]"),
    ("event_id", "'{01900000-0000-7000-8000-000000000000}'"),
];

/// Returns the call with other arguments.
pub(super) fn call(other: &[(&str, &str)]) -> String {
    let argument = |(name, value): &(&str, &str)| {
        let value = other.iter().find(|(changed, _)| changed == name).map_or(*value, |(_, value)| *value);
        format!("{name} => {value}")
    };
    format!("SELECT * FROM {{schema}}.append({})", CALL.iter().map(argument).collect::<Vec<_>>().join(", "))
}

#[tokio::test]
async fn the_append_function_refuses_values_that_readers_cannot_read() {
    let bed = Bed::new();
    let store = bed.open().await;
    let mut raw = bed.raw().await;
    let long = format!("ARRAY['{}']", "x".repeat(1_025));
    for (name, value, words) in [
        ("now", "'9999-12-31'", "clock"),
        ("now", "'infinity'", "clock"),
        ("now", "clock_timestamp() + interval '10 years'", "clock"),
        ("now", "'-infinity'", "no reader could read"),
        ("event_occurred", "ARRAY['infinity'::timestamptz]", "occurred_at"),
        ("event_occurred", "ARRAY['-infinity'::timestamptz]", "occurred_at"),
        ("event_occurred", "ARRAY['10000-01-01'::timestamptz]", "occurred_at"),
        ("event_id", "ARRAY['01900000-0000-4000-8000-000000000000'::uuid]", "not a UUIDv7"),
        ("event_id", "ARRAY['01900000-0000-7000-0000-000000000000'::uuid]", "not a UUIDv7"),
        ("event_id", "'{}'", "event_id"),
        ("event_aggregate_type", "'{Tally}'", "not a kind"),
        ("event_aggregate_type", "ARRAY[E'tally\\n']", "not a kind"),
        ("event_aggregate_id", "ARRAY['']", "empty or longer"),
        ("event_aggregate_id", &long, "empty or longer"),
        ("event_sequence", "'{0}'", "sequence"),
        ("event_sequence", "'{-1}'", "sequence"),
        ("event_n", "'{5}'", "contradict each other"),
        ("event_metadata", "ARRAY['{}']", "names no actor"),
        ("event_metadata", "ARRAY['5']", "names no actor"),
        ("event_metadata", "ARRAY['{\"actor\":\"nobody\"}']", "names no actor"),
        ("event_metadata", "ARRAY['no json']", "json"),
        ("event_payload", "ARRAY['no json']", "json"),
        ("event_digest", "ARRAY[''::bytea]", "digest"),
        ("body_digest", "ARRAY[''::bytea]", "digest"),
        ("till", "'{7}'", "contradict each other"),
    ] {
        let sql = bed.location.sql(&call(&[(name, value)]));
        let refused = raw.execute(sql.as_str()).await.map(|_| ()).expect_err(&format!("{name} => {value}"));
        assert!(refused.to_string().contains(words), "{name} => {value}: {refused}");
    }
    let [one, other] = ["01900000-0000-7000-8000-000000000002", "01900000-0000-7000-8000-000000000001"];
    let falling = call(&[
        ("written", "'{2}'"),
        ("till", "'{2}'"),
        ("stream_written", "'{2}'"),
        ("event_n", "'{1,2}'"),
        ("event_commit", "'{1,1}'"),
        ("event_aggregate_type", "'{tally,tally}'"),
        ("event_aggregate_id", "'{f,f}'"),
        ("event_sequence", "'{1,2}'"),
        ("event_type", "'{tally.counted,tally.counted}'"),
        ("event_version", "'{1.0,1.0}'"),
        ("event_payload", "'{1,2}'"),
        ("event_metadata", "ARRAY_FILL('{\"actor\":\"user:eve\"}'::text, ARRAY[2])"),
        ("event_occurred", "ARRAY[NULL, NULL]::timestamptz[]"),
        ("event_digest", "ARRAY[sha256(''), sha256('')]"),
        ("event_id", &format!("'{{{one},{other}}}'")),
    ]);
    let refused = raw.execute(bed.location.sql(&falling).as_str()).await.map(|_| ()).expect_err("ids that fall");
    assert!(refused.to_string().contains("not greater than the id before it"), "{refused}");
    assert_eq!(store.head().await.unwrap().position, 0);
    raw.execute(bed.location.sql(&call(&[])).as_str()).await.unwrap();
    committed(&*store, commit(1).on("tally:a", 0, 1)).await;
    assert_eq!(log(&*store).await.len(), 2);
}

#[tokio::test]
async fn times_and_ids_ahead_of_the_servers_clock_do_not_affect_later_appends() {
    let bed = Bed::new();
    let store = bed.open().await;
    let ahead = call(&[
        ("now", "clock_timestamp() + interval '1000 days'"),
        ("event_id", "'{ffffffff-ffff-7fff-bfff-ffffffffffff}'"),
    ]);
    bed.run(&ahead).await;
    committed(&*store, commit(1).on("tally:a", 0, 1)).await;
    let events = log(&*store).await;
    assert_in_order(&events);
    let late = Timestamp::now() + SignedDuration::from_secs(60);
    for event in &events {
        assert!(event.recorded_at < late, "{event:?}");
        assert!(event.event_id.get_timestamp().unwrap().to_unix().0 as i64 <= late.as_second(), "{event:?}");
    }
}

/// The limit holds for the server's clock too: the first append after a pause may meet a server whose clock is wrong.
#[tokio::test]
async fn the_owner_sets_how_many_days_a_clock_may_be_ahead() {
    let bed = Bed::new();
    let store = bed.open().await;
    let limit = |days: u32| {
        format!(
            "INSERT INTO {{schema}}.meta (key, value) VALUES ('clock_ahead_days', '{days}') \
         ON CONFLICT (key) DO UPDATE SET value = excluded.value"
        )
    };
    let ten_years = call(&[("now", "clock_timestamp() + interval '10 years'")]);
    bed.run(&limit(4_000)).await;
    bed.run(&ten_years).await;
    let mut raw = bed.raw().await;
    bed.run(&limit(2)).await;
    let three_days = call(&[
        ("now", "clock_timestamp() + interval '3 days'"),
        ("aggregate_last", "'{1}'"),
        ("stream_expected", "'{1}'"),
        ("event_sequence", "'{2}'"),
    ]);
    let refused = raw.execute(bed.location.sql(&three_days).as_str()).await.map(|_| ()).expect_err("it is beyond");
    assert!(refused.to_string().contains("annals: the clock of this program says"), "{refused}");
    bed.run(
        "ALTER TABLE {schema}.events DISABLE TRIGGER ALL; \
         UPDATE {schema}.events SET recorded_at = recorded_at - interval '3 days'; \
         ALTER TABLE {schema}.events ENABLE ALWAYS TRIGGER events_stay",
    )
    .await;
    let refused =
        super::reason(store.append(crate::store::conformance::bench::batch([commit(1).on("tally:a", 0, 1)])).await);
    assert!(refused.contains("the clock of the server says") && refused.contains("clock_ahead_days"), "{refused}");
}

/// A log that was damaged under an earlier version: appends are refused, so that no unreadable event is acknowledged.
#[tokio::test]
async fn nothing_is_appended_after_an_event_with_an_unreadable_time() {
    let bed = Bed::new();
    let store = bed.open().await;
    committed(&*store, commit(1).on("tally:a", 0, 1)).await;
    bed.run(
        "ALTER TABLE {schema}.events DISABLE TRIGGER ALL; UPDATE {schema}.events SET recorded_at = 'infinity'; \
         ALTER TABLE {schema}.events ENABLE ALWAYS TRIGGER events_stay",
    )
    .await;
    let refused =
        super::reason(store.append(crate::store::conformance::bench::batch([commit(2).on("tally:a", 1, 1)])).await);
    assert!(refused.contains("no reader could read") && refused.contains("check"), "{refused}");
}

/// Guarantee 10: Postgres stores JSON with a NUL, but cannot extract from it.
#[tokio::test]
async fn metadata_with_a_nul_anywhere_and_an_actor_of_any_letters_is_appended() {
    let bed = Bed::new();
    let store = bed.open().await;
    let long = "x".repeat(2_000);
    let texts = [
        r#"{"actor":"user:\u0001","correlation":"\u0000"}"#.to_owned(),
        r#"{"actor":"user:\"","correlation":"\u0000"}"#.to_owned(),
        format!(r#"{{"actor":"user:a","correlation":"{long}\u0000"}}"#),
        format!(r#"{{"actor":"user:{}","correlation":"\u0000"}}"#, r"\u0000".repeat(1_000)),
    ];
    for (metadata, sequence) in texts.iter().zip(0..) {
        committed(&*store, commit(u128::from(sequence) + 1).metadata(metadata).on("tally:a", sequence, 1)).await;
    }
    let kept: Vec<String> = log(&*store).await.into_iter().map(|event| event.metadata).collect();
    assert_eq!(kept, texts);
}
