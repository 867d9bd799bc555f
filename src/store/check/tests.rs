//! Edits of a log by SQL with the owner's rights: each is found, or found only with a digest that was saved elsewhere,
//! or not covered.

use std::sync::Arc;

use async_trait::async_trait;
use uuid::Uuid;

use super::{CheckReport, FindingKind, LogDigest, check};
use crate::events::{Stored, Types};
use crate::store::conformance::bench::{append, commit, committed, log};
use crate::store::{NewEvent, Outcome, Store, digest_of};

/// The way in which an edit is detected.
#[derive(Clone, Copy, Debug)]
pub(in crate::store) enum Shown {
    /// By a finding of this kind with this text.
    Found(FindingKind, &'static str),
    /// Only by the digest from before the edit, saved elsewhere.
    ByDigest,
    /// Not at all: detection needs a signed checkpoint.
    NotCovered,
}
use Shown::{ByDigest, Found, NotCovered};

const LOG: FindingKind = FindingKind::Log;

/// A log that can be edited by SQL.
#[async_trait]
pub(in crate::store) trait Edited {
    async fn open(&self) -> Arc<dyn Store>;
    /// Runs statements without the triggers.
    async fn edit(&self, sql: &str);
    fn bytes(&self, bytes: &[u8]) -> String;
    fn id(&self, id: Uuid) -> String;
    fn micros(&self, count: i64) -> String;
    fn table(&self, name: &str) -> String;
}

/// Edits of rows with the same SQL on both stores.
pub(in crate::store) const EDITS: &[(&str, Shown)] = &[
    // Columns that the digest of an event covers.
    ("UPDATE {events} SET payload = '{\"by\":2}' WHERE position = 3", Found(LOG, "digest")),
    ("UPDATE {events} SET metadata = '{\"actor\":\"user:eve\"}' WHERE position = 3", Found(LOG, "digest")),
    ("UPDATE {events} SET event_type = 'tally.other' WHERE position = 3", Found(LOG, "digest")),
    ("UPDATE {events} SET event_version = '2.0' WHERE position = 3", Found(LOG, "digest")),
    ("UPDATE {events} SET aggregate_id = 'c' WHERE position = 7", Found(LOG, "digest")),
    ("UPDATE {events} SET aggregate_type = 'other' WHERE position = 7", Found(LOG, "digest")),
    ("UPDATE {events} SET sequence = 9 WHERE position = 7", Found(LOG, "it has sequence 9")),
    ("UPDATE {events} SET command_id = {id1} WHERE position = 3", Found(LOG, "digest")),
    ("UPDATE {events} SET occurred_at = occurred_at - {us} WHERE position = 3", Found(LOG, "digest")),
    ("UPDATE {events} SET digest = {zeros} WHERE position = 3", Found(LOG, "digest")),
    (
        "UPDATE {events} SET payload = (SELECT payload FROM {events} WHERE position = 5), \
      digest = (SELECT digest FROM {events} WHERE position = 5) WHERE position = 3",
        Found(LOG, "digest"),
    ),
    // Times.
    ("UPDATE {events} SET recorded_at = recorded_at + {us} WHERE position = 7", Found(LOG, "digest")),
    (
        "UPDATE {events} SET recorded_at = recorded_at + {us}, occurred_at = occurred_at + {us} WHERE position = 7",
        Found(LOG, "another time of recording than its command"),
    ),
    (
        "UPDATE {events} SET recorded_at = recorded_at - {hour}, occurred_at = occurred_at - {hour} WHERE position = 3",
        Found(LOG, "lies before that of the event before it"),
    ),
    (
        "UPDATE {events} SET recorded_at = recorded_at + {hour}, occurred_at = occurred_at + {hour} WHERE position = 3",
        Found(LOG, "lies before that of the event before it"),
    ),
    (
        "UPDATE {events} SET recorded_at = recorded_at + {us}, occurred_at = occurred_at + {us} WHERE position = 7; \
      UPDATE {commands} SET recorded_at = recorded_at + {us} WHERE first_position = 7",
        ByDigest,
    ),
    // Ids and positions.
    ("UPDATE {events} SET event_id = {nil} WHERE position = 3", Found(LOG, "is not greater")),
    ("UPDATE {events} SET event_id = {id7} WHERE position = 3", Found(LOG, "is not greater")),
    ("UPDATE {events} SET event_id = {near7} WHERE position = 7", Found(LOG, "the last of them is not there")),
    ("UPDATE {events} SET event_id = {near4} WHERE position = 4", ByDigest),
    (
        "UPDATE {events} SET event_id = {far} WHERE position = 7; \
      UPDATE {commands} SET head_event_id = {far} WHERE head_position = 7",
        Found(LOG, "version 7"),
    ),
    (
        "UPDATE {events} SET position = 100 WHERE position = 3; UPDATE {events} SET position = 3 WHERE position = 7; \
      UPDATE {events} SET position = 7 WHERE position = 100",
        Found(LOG, "is not greater"),
    ),
    (
        "UPDATE {events} SET position = 100 WHERE position = 4; UPDATE {events} SET position = 4 WHERE position = 5; \
      UPDATE {events} SET position = 5 WHERE position = 100",
        Found(LOG, "is not greater"),
    ),
    ("UPDATE {events} SET position = 9 WHERE position = 7", Found(LOG, "missing")),
    ("UPDATE {events} SET position = 0 WHERE position = 1", Found(LOG, "missing")),
    ("UPDATE {events} SET aggregate_id = '' WHERE position = 3", Found(LOG, "cannot be read")),
    // Deleted and inserted events.
    ("DELETE FROM {events} WHERE position = 4", Found(LOG, "missing")),
    ("DELETE FROM {events} WHERE position = 1", Found(LOG, "missing")),
    ("DELETE FROM {events}", Found(LOG, "the last of them is not there")),
    ("DELETE FROM {events} WHERE position > 5", Found(LOG, "the last of them is not there")),
    (
        "DELETE FROM {events} WHERE position = 7; DELETE FROM {commands} WHERE first_position = 7 AND events = 1",
        Found(LOG, "saw the log up to event 7, which is not there"),
    ),
    ("DELETE FROM {events} WHERE position = 7; DELETE FROM {commands} WHERE head_position = 7", ByDigest),
    (
        "INSERT INTO {events} (position, event_id, aggregate_type, aggregate_id, sequence, event_type, event_version, \
      payload, metadata, command_id, occurred_at, recorded_at, digest) SELECT 8, {far7}, aggregate_type, aggregate_id, 3, \
      event_type, event_version, payload, metadata, command_id, occurred_at, recorded_at, digest FROM {events} \
      WHERE position = 7",
        Found(LOG, "digest"),
    ),
    // With a recomputed digest.
    ("UPDATE {events} SET payload = '{\"by\":2}', digest = {forged7} WHERE position = 7", ByDigest),
    (
        "INSERT INTO {events} (position, event_id, aggregate_type, aggregate_id, sequence, event_type, event_version, \
      payload, metadata, command_id, occurred_at, recorded_at, digest) SELECT 8, {far7}, aggregate_type, aggregate_id, 3, \
      event_type, event_version, '{\"by\":2}', metadata, {id9}, recorded_at, recorded_at, {forged8} FROM {events} \
      WHERE position = 7; INSERT INTO {commands} SELECT {id9}, command, body_digest, 8, 1, 8, {far7}, recorded_at \
      FROM {commands} WHERE first_position = 7 AND events = 1",
        NotCovered,
    ),
    // Rows of commands.
    ("DELETE FROM {commands} WHERE events = 3", Found(LOG, "not among the commands")),
    (
        "UPDATE {commands} SET first_position = first_position + 1 WHERE events = 3",
        Found(LOG, "outside of the range"),
    ),
    ("UPDATE {commands} SET events = 2 WHERE events = 3", Found(LOG, "in all")),
    ("UPDATE {commands} SET events = 2, first_position = 5 WHERE events = 3", Found(LOG, "outside of the range")),
    (
        "UPDATE {commands} SET head_position = 1, head_event_id = {event1} WHERE events = 3",
        Found(LOG, "does not end with its own last event"),
    ),
    (
        "UPDATE {commands} SET head_event_id = {event1} WHERE events = 3",
        Found(LOG, "the last of them is not there"),
    ),
    (
        "UPDATE {commands} SET recorded_at = recorded_at + {us} WHERE events = 3",
        Found(LOG, "another time of recording"),
    ),
    (
        "UPDATE {commands} SET command_id = {id9} WHERE first_position = 3; \
      UPDATE {commands} SET command_id = {id2} WHERE first_position = 7 AND events = 1; \
      UPDATE {commands} SET command_id = {id4} WHERE command_id = {id9}",
        Found(LOG, "outside of the range"),
    ),
    (
        "INSERT INTO {commands} SELECT {id9}, command, body_digest, first_position, events, head_position, head_event_id, \
      recorded_at FROM {commands} WHERE events = 3",
        Found(LOG, "does not end with its own last event"),
    ),
    ("UPDATE {commands} SET events = 1 WHERE events = 0", Found(LOG, "does not end with its own last event")),
    ("UPDATE {commands} SET first_position = 2 WHERE events = 0", Found(LOG, "began elsewhere than it ended")),
    ("UPDATE {commands} SET head_event_id = {event1} WHERE events = 0", Found(LOG, "saw the log up to event 7")),
    (
        "UPDATE {commands} SET recorded_at = recorded_at - {hour} WHERE events = 0",
        Found(LOG, "was recorded before"),
    ),
    ("UPDATE {commands} SET events = -1 WHERE events = 0", Found(LOG, "holds what no command has")),
    ("UPDATE {commands} SET body_digest = {zeros} WHERE events = 3", NotCovered),
    ("UPDATE {commands} SET command = 'other' WHERE events = 3", NotCovered),
    ("DELETE FROM {commands} WHERE events = 0", NotCovered),
    (
        "INSERT INTO {commands} SELECT {id9}, command, body_digest, first_position, events, head_position, head_event_id, \
      recorded_at FROM {commands} WHERE events = 0",
        NotCovered,
    ),
];

/// Four commits with seven events, and a fifth without events that keeps its id.
pub(in crate::store) async fn filled(store: &dyn Store) {
    committed(store, commit(1).on("tally:a", 0, 2)).await;
    let outcomes = append(store, [commit(2).on("tally:b", 0, 1), commit(3).on("tally:a", 2, 3)]).await;
    assert!(outcomes.iter().all(Outcome::is_committed));
    committed(store, commit(4).on("tally:b", 1, 1)).await;
    committed(store, commit(5).read("tally:b", 2).keep()).await;
}

/// The findings, except that this program knows no event type.
pub(in crate::store) async fn found(store: &dyn Store, kept: Option<LogDigest>) -> Vec<super::Finding> {
    let CheckReport { findings, .. } =
        check(store, &Types::default(), kept, &mut (), &mut |_, _| {}).await.unwrap();
    findings.into_iter().filter(|finding| !finding.problem.contains("unknown event type")).collect()
}

pub(in crate::store) async fn digest(store: &dyn Store) -> Option<LogDigest> {
    check(store, &Types::default(), None, &mut (), &mut |_, _| {}).await.unwrap().digest
}

/// A digest computed like the writer's.
fn forged(stored: &Stored, sequence: u64, command_id: Uuid) -> [u8; 32] {
    let event = NewEvent::new(stored.event_type.clone(), stored.event_version.clone(), r#"{"by":2}"#.to_owned());
    digest_of(&stored.aggregate, sequence, &event, &stored.metadata, command_id, None)
}

fn written(sql: &str, log: &dyn Edited, events: &[Stored]) -> String {
    let number = crate::store::conformance::bench::id;
    let at = |position: usize| &events[position - 1];
    let near = |position: usize| Uuid::from_u128(at(position).event_id.as_u128() ^ 1);
    let far = at(7).event_id.as_u128() + (1 << 90);
    let of_version_4 = far & !(0xf << 76) | 4 << 76;
    let mut sql = sql.to_owned();
    for (word, value) in [
        ("{events}", log.table("events")),
        ("{commands}", log.table("commands")),
        ("{us}", log.micros(1)),
        ("{hour}", log.micros(3_600_000_000)),
        ("{zeros}", log.bytes(&[0; 32])),
        ("{nil}", log.id(Uuid::nil())),
        ("{id1}", log.id(number(1))),
        ("{id2}", log.id(number(2))),
        ("{id4}", log.id(number(4))),
        ("{id9}", log.id(number(9))),
        ("{event1}", log.id(at(1).event_id)),
        ("{id7}", log.id(at(7).event_id)),
        ("{near4}", log.id(near(4))),
        ("{near7}", log.id(near(7))),
        ("{far7}", log.id(Uuid::from_u128(far))),
        ("{far}", log.id(Uuid::from_u128(of_version_4))),
        ("{forged7}", log.bytes(&forged(at(7), 2, number(4)))),
        ("{forged8}", log.bytes(&forged(at(7), 3, number(9)))),
    ] {
        sql = sql.replace(word, &value);
    }
    sql
}

/// Makes each edit on a log of its own, and compares the findings of the check.
pub(in crate::store) async fn each_edit_is_detected_as_listed<L: Edited>(
    make: impl Fn() -> L,
    edits: &[(&str, Shown)],
) {
    let mut wrong = Vec::new();
    for (sql, shown) in edits {
        let log_of = make();
        let store = log_of.open().await;
        filled(&*store).await;
        assert_eq!(found(&*store, None).await, [], "before {sql}");
        let before = digest(&*store).await;
        assert_eq!(found(&*store, before).await, [], "the digest is that of the log");
        log_of.edit(&written(sql, &log_of, &log(&*store).await)).await;
        let findings = found(&*store, None).await;
        let compared = found(&*store, before).await;
        let as_it_says = match shown {
            Found(kind, words) => findings.iter().any(|found| found.kind == *kind && found.problem.contains(words)),
            ByDigest => {
                let named = |words: &str| compared.iter().any(|found| found.problem.contains(words));
                findings.is_empty() && (named("has the digest") || named("the log has no event"))
            }
            NotCovered => findings.is_empty() && compared.is_empty(),
        };
        if !as_it_says {
            wrong.push(format!("{sql}\n is not {shown:?}: {findings:#?}, compared: {compared:#?}"));
        }
        store.close().await;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A tail that was cut from events and commands alike is detected by a projection's checkpoint.
pub(in crate::store) async fn a_cut_tail_is_detected_by_a_checkpoint(log_of: impl Edited) {
    let store = log_of.open().await;
    filled(&*store).await;
    let (views, head) = (store.views(), store.head().await.unwrap());
    let (generation_id, from) = views.live("roster", 1).await.unwrap();
    views.begin(&generation_id, from, head).await.unwrap().unwrap().commit().await.unwrap();
    assert_eq!(found(&*store, None).await, []);
    let cut = "DELETE FROM {events} WHERE position = 7; DELETE FROM {commands} WHERE head_position = 7";
    log_of.edit(&written(cut, &log_of, &log(&*store).await)).await;
    let findings = found(&*store, None).await;
    assert_eq!(findings.len(), 1, "{findings:#?}");
    assert_eq!((findings[0].kind, findings[0].position), (LOG, Some(7)));
    assert!(findings[0].problem.contains("`roster` has processed event 7"), "{findings:#?}");
    store.close().await;
}

#[test]
fn a_digest_is_parsed_as_it_is_printed() {
    let digest = LogDigest { position: 7, digest: crate::store::HashChain::from_bytes([0xa5; 32]) };
    assert_eq!(digest.to_string().parse(), Ok(digest));
    for wrong in ["", "7", "7:", "x:00", "7:zz", &format!("7:{}", "é".repeat(32))] {
        assert!(wrong.parse::<LogDigest>().is_err(), "{wrong}");
    }
}
