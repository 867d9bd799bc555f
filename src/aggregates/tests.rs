//! Snapshots are made from committed events only, and used only if they match the log. On SQLite and on Postgres.

use std::sync::Arc;

use annals_macros::{Event, Id};
use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};

use super::{Aggregate, AggregateType, AnyState, Loaded, Repository, drop_snapshots, verify_snapshots};
use crate::events::Ref;
use crate::projections::tests::fixture::stores;
use crate::store::conformance::bench::{APP, aggregate, commit, committed};
use crate::store::kept_snapshots::{self, KEPT_EVERY};
use crate::store::{FindingKind, HashChain, OpenOptions, Snapshot, Store, open};

#[derive(Id, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TallyId(String);

#[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[event(name = "tally", on = Tally)]
pub enum TallyEvent {
    #[event(update, "{actor} counted")]
    Counted { by: u64 },
}

#[derive(Default, Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tally {
    total: u64,
    seen: std::collections::HashSet<u64>,
}

impl Aggregate for Tally {
    const TYPE: &'static str = "tally";
    type Id = TallyId;
    type Event = TallyEvent;
    type Error = std::convert::Infallible;

    fn apply(&mut self, TallyEvent::Counted { by }: &TallyEvent) {
        self.total += by;
        self.seen.insert(*by);
    }
}

/// A state that does not restore from its JSON.
#[derive(Default, Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Forgetful {
    #[serde(deserialize_with = "nothing")]
    total: u64,
}

fn nothing<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    u64::deserialize(from).map(|_| 0)
}

impl Aggregate for Forgetful {
    const TYPE: &'static str = "tally";
    type Id = TallyId;
    type Event = TallyEvent;
    type Error = std::convert::Infallible;

    fn apply(&mut self, TallyEvent::Counted { by }: &TallyEvent) {
        self.total += by;
    }
}

async fn store() -> Arc<dyn Store> {
    let options = OpenOptions { app: APP.to_owned(), clock: Arc::new(Timestamp::now), create: true };
    open(&stores::empty(), options).await.unwrap()
}

fn repository(store: &Arc<dyn Store>) -> Repository {
    Repository::new(store.clone())
}

fn total(state: &AnyState) -> u64 {
    state.downcast_ref::<Loaded<Tally>>().unwrap().total
}

/// The total of the first events and the hash chain over them, from the log.
async fn of_the_log(store: &dyn Store, key: &Ref, sequence: u64) -> (u64, HashChain) {
    let (mut state, mut chain) = (Tally::default(), HashChain::default());
    for stored in store.load(key, 0, usize::try_from(sequence).unwrap()).await.unwrap() {
        chain.add_content(&stored);
        state.apply(&crate::events::Event::from_stored(&stored).unwrap());
    }
    (state.total, chain)
}

async fn is_of_the_log(store: &dyn Store, key: &Ref, snapshot: &Snapshot) {
    let (total, chain) = of_the_log(store, key, snapshot.sequence).await;
    let state: Tally = serde_json::from_str(&snapshot.state).unwrap();
    assert_eq!((state.total, snapshot.digest), (total, chain), "after {} events", snapshot.sequence);
    let last = store.load(key, snapshot.sequence - 1, 1).await.unwrap();
    assert_eq!(last[0].event_id, snapshot.event_id);
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// Issue 16, fault 1: a commit fails after a snapshot was requested, and another process writes as many events.
#[test]
fn a_state_decided_on_a_failed_commit_never_becomes_a_snapshot() {
    runtime().block_on(async {
        let (store, key, kind) = (store().await, aggregate("tally:a"), AggregateType::for_aggregate::<Tally>());
        committed(&*store, commit(1).on("tally:a", 0, 255)).await;
        let repository = repository(&store);
        // The writer whose commit failed believes that the aggregate has 256 events.
        repository.request_snapshot(kind, &key, 255, 256);
        repository.close().await;
        assert_eq!(store.views().load_snapshot(&key).await.unwrap(), None, "the log has 255 events");

        committed(&*store, commit(2).payload("tally:a", 255, "1.0", r#"{"by":1}"#)).await;
        repository.request_snapshot(kind, &key, 255, 256);
        repository.close().await;
        let snapshot = store.views().load_snapshot(&key).await.unwrap().unwrap();
        assert_eq!(snapshot.sequence, 256);
        is_of_the_log(&*store, &key, &snapshot).await;
        let fresh = self::repository(&store).load(kind, &key).await.unwrap();
        assert_eq!(total(&fresh), 255 * 127 + 1);
        store.close().await;
    });
}

#[test]
fn a_snapshot_matches_the_log_while_the_aggregate_is_written() {
    runtime().block_on(async {
        let (store, key, kind) = (store().await, aggregate("tally:a"), AggregateType::for_aggregate::<Tally>());
        let repository = repository(&store);
        for number in 0..40 {
            committed(&*store, commit(number).on("tally:a", number as u64 * 40, 40)).await;
            repository.request_snapshot(kind, &key, number as u64 * 40, number as u64 * 40 + 40);
            if let Some(snapshot) = store.views().load_snapshot(&key).await.unwrap() {
                is_of_the_log(&*store, &key, &snapshot).await;
            }
        }
        repository.close().await;
        let snapshot = store.views().load_snapshot(&key).await.unwrap().unwrap();
        assert!(snapshot.sequence >= 1_536, "the last due snapshot is written: {}", snapshot.sequence);
        is_of_the_log(&*store, &key, &snapshot).await;
        store.close().await;
    });
}

/// Guarantee 16: with any snapshot that does not match the log, the loaded state is still right.
#[test]
fn a_snapshot_that_does_not_match_the_log_is_ignored_and_replaced_by_the_next_load() {
    runtime().block_on(async {
        let (store, key, kind) = (store().await, aggregate("tally:a"), AggregateType::for_aggregate::<Tally>());
        committed(&*store, commit(1).on("tally:a", 0, 600)).await;
        let right = of_the_log(&*store, &key, 600).await.0;
        let load = async || {
            let repository = repository(&store);
            let state = repository.load(kind, &key).await.unwrap();
            repository.close().await;
            total(&state)
        };
        assert_eq!(load().await, right);
        let kept =
            store.views().load_snapshot(&key).await.unwrap().expect("a load of many events leaves a snapshot");
        is_of_the_log(&*store, &key, &kept).await;
        let lie = Snapshot { state: r#"{"total":5,"seen":[]}"#.to_owned(), ..kept.clone() };
        for wrong in [
            Snapshot { event_id: uuid::Uuid::nil(), shape: "another".to_owned(), ..lie.clone() },
            Snapshot { event_id: uuid::Uuid::now_v7(), ..lie.clone() },
            Snapshot { sequence: 700, ..lie.clone() },
            Snapshot { sequence: 0, shape: "another".to_owned(), ..lie.clone() },
            Snapshot { state: "no JSON".to_owned(), ..kept.clone() },
        ] {
            store.views().delete_snapshots().await.unwrap();
            store.views().save_snapshot(&key, wrong.clone()).await.unwrap();
            assert_eq!(load().await, right, "{wrong:?}");
        }
        store.close().await;
    });
}

#[test]
fn check_finds_a_wrong_snapshot_and_after_its_deletion_the_next_load_is_right() {
    runtime().block_on(async {
        let (store, key, kind) = (store().await, aggregate("tally:a"), AggregateType::for_aggregate::<Tally>());
        committed(&*store, commit(1).on("tally:a", 0, 600)).await;
        let right = of_the_log(&*store, &key, 600).await.0;
        let load = async || {
            let repository = repository(&store);
            let state = repository.load(kind, &key).await.unwrap();
            repository.close().await;
            total(&state)
        };
        assert_eq!(load().await, right);
        let kept = store.views().load_snapshot(&key).await.unwrap().unwrap();
        let verify = async || {
            let mut found = Vec::new();
            let count = verify_snapshots(&*store, &[kind], &mut |finding| found.push(finding)).await.unwrap();
            assert_eq!(count, 1);
            found
        };
        assert_eq!(verify().await, []);
        let five = r#"{"total":5,"seen":[]}"#.to_owned();
        for (wrong, about, words) in [
            (Snapshot { state: five.clone(), ..kept.clone() }, FindingKind::Snapshot, "do not fold to"),
            (Snapshot { state: "no JSON".to_owned(), ..kept.clone() }, FindingKind::Snapshot, "do not fold to"),
            (Snapshot { digest: HashChain::default(), ..kept.clone() }, FindingKind::Snapshot, "digests differ"),
            (Snapshot { event_id: uuid::Uuid::nil(), ..kept.clone() }, FindingKind::Snapshot, "as its last event"),
            (Snapshot { sequence: 599, ..kept.clone() }, FindingKind::Snapshot, "as its last event"),
            (Snapshot { sequence: 0, ..kept.clone() }, FindingKind::Snapshot, "as its last event"),
            (
                Snapshot { sequence: 700, ..kept.clone() },
                FindingKind::Log,
                "which ends at 600: the log was truncated",
            ),
            (
                Snapshot { digest: HashChain::default(), shape: "another".to_owned(), ..kept.clone() },
                FindingKind::Snapshot,
                "digests differ",
            ),
        ] {
            store.views().delete_snapshots().await.unwrap();
            store.views().save_snapshot(&key, wrong).await.unwrap();
            let found = verify().await;
            assert!(found.len() == 1 && found[0].kind == about && found[0].problem.contains(words), "{found:#?}");
        }
        store.views().delete_snapshots().await.unwrap();
        store.views().save_snapshot(&key, Snapshot { state: five, ..kept.clone() }).await.unwrap();
        assert_eq!(load().await, 5, "a load cannot detect the wrong state");
        assert_eq!(store.views().delete_snapshots().await.unwrap(), 1);
        assert_eq!(load().await, right);
        assert_eq!(verify().await, [], "a right snapshot replaces it");
        store.close().await;
    });
}

#[test]
fn a_state_that_does_not_restore_gets_no_snapshot() {
    runtime().block_on(async {
        let (store, key, kind) = (store().await, aggregate("tally:a"), AggregateType::for_aggregate::<Forgetful>());
        committed(&*store, commit(1).on("tally:a", 0, 600)).await;
        for _ in 0..2 {
            let repository = repository(&store);
            let state = repository.load(kind, &key).await.unwrap();
            let sum: u64 = (0..600).sum();
            assert_eq!(state.downcast_ref::<Loaded<Forgetful>>().unwrap().total, sum);
            repository.request_snapshot(kind, &key, 255, 256);
            repository.close().await;
            assert_eq!(store.views().load_snapshot(&key).await.unwrap(), None);
        }
        store.close().await;
    });
}

/// A page of events ends after a megabyte: what follows is loaded too, with a snapshot and without.
#[test]
fn an_aggregate_of_large_events_is_loaded_whole() {
    runtime().block_on(async {
        let (store, key, kind) = (store().await, aggregate("tally:a"), AggregateType::for_aggregate::<Tally>());
        let large = |by: u64| format!(r#"{{"by":{by},"note":"{}"}}"#, "n".repeat(300_000));
        for number in 0..13 {
            committed(&*store, commit(number).payload("tally:a", number as u64, "1.0", &large(number as u64)))
                .await;
        }
        let load = async || {
            let repository = repository(&store);
            let state = repository.load(kind, &key).await.unwrap();
            repository.request_snapshot(kind, &key, 255, 256);
            repository.close().await;
            (total(&state), state.downcast_ref::<Loaded<Tally>>().unwrap().seen.len())
        };
        assert_eq!(load().await, (78, 13));
        committed(&*store, commit(13).on("tally:a", 13, 300)).await;
        for number in 0..13 {
            let (command, sequence) = (20 + number, 313 + number as u64);
            committed(&*store, commit(command).payload("tally:a", sequence, "1.0", &large(sequence))).await;
        }
        let (right, _) = of_the_log(&*store, &key, 326).await;
        assert_eq!(load().await.0, right);
        let kept = store.views().load_snapshot(&key).await.unwrap().expect("a snapshot of all events");
        assert_eq!(kept.sequence, 326);
        is_of_the_log(&*store, &key, &kept).await;
        assert_eq!(load().await.0, right);
        store.close().await;
    });
}

/// Events so that two snapshots are kept.
const MANY: u64 = 2 * KEPT_EVERY + 100;

async fn many(store: &dyn Store) {
    for number in 0..MANY.div_ceil(100) {
        let (at, count) = (number * 100, (MANY - number * 100).min(100));
        committed(store, commit(number.into()).on("tally:a", at, count as usize)).await;
    }
}

async fn kept(store: &dyn Store) -> Vec<u64> {
    let found = kept_snapshots::next(store, None).await.unwrap();
    found.map(|(_, kept)| kept.into_iter().map(|(sequence, _)| sequence).collect()).unwrap_or_default()
}

/// Mission X17: a store of before has no kept snapshots; they are made when they are missed.
#[test]
fn kept_snapshots_are_made_from_the_log_and_made_again_when_they_are_missing_or_of_another_log() {
    runtime().block_on(async {
        let (store, key, kind) = (store().await, aggregate("tally:a"), AggregateType::for_aggregate::<Tally>());
        many(&*store).await;
        let last = store.head().await.unwrap().position;
        let load = async |position| {
            let repository = repository(&store);
            let state = repository.load_at(kind, &key, position).await.unwrap();
            repository.close().await;
            total(&state)
        };
        assert_eq!(kept(&*store).await, [0; 0]);
        let rungs = [KEPT_EVERY, 2 * KEPT_EVERY];
        let right = of_the_log(&*store, &key, MANY - 10).await.0;
        assert_eq!(load(last - 10).await, right);
        assert_eq!(kept(&*store).await, rungs, "a load that misses them has them made");

        kept_snapshots::clear(&*store).await.unwrap();
        assert_eq!(load(last - 10).await, right, "on the newest one, which is of that moment");
        let earlier = of_the_log(&*store, &key, MANY - 50).await.0;
        assert_eq!(load(last - 50).await, earlier, "not on the newest one, which is later");
        assert_eq!(kept(&*store).await, rungs, "also if there is a newest one");

        let shape = kind.0.shape();
        for rung in rungs {
            let kept = kept_snapshots::find(&*store, &key, &shape, rung).await.unwrap().unwrap();
            assert_eq!(kept.sequence, rung);
            is_of_the_log(&*store, &key, &kept).await;
            // As of another history of the log.
            let other =
                Snapshot { event_id: uuid::Uuid::now_v7(), state: r#"{"total":5,"seen":[]}"#.to_owned(), ..kept };
            kept_snapshots::keep(&*store, &key, &other).await.unwrap();
        }
        store.views().delete_snapshots().await.unwrap();
        assert_eq!(load(last - 10).await, right, "a snapshot whose event the log does not have is not used");
        let again = kept_snapshots::find(&*store, &key, &shape, rungs[1]).await.unwrap().unwrap();
        is_of_the_log(&*store, &key, &again).await;
        store.close().await;
    });
}

#[test]
fn check_finds_a_wrong_kept_snapshot_and_all_are_dropped_together() {
    runtime().block_on(async {
        let (store, key, kind) = (store().await, aggregate("tally:a"), AggregateType::for_aggregate::<Tally>());
        many(&*store).await;
        let repository = repository(&store);
        repository.load(kind, &key).await.unwrap();
        repository.close().await;
        let verify = async || {
            let mut found = Vec::new();
            let count = verify_snapshots(&*store, &[kind], &mut |finding| found.push(finding)).await.unwrap();
            (count, found)
        };
        assert_eq!(verify().await, (3, vec![]));
        let right = kept_snapshots::find(&*store, &key, &kind.0.shape(), KEPT_EVERY).await.unwrap().unwrap();
        let five = r#"{"total":5,"seen":[]}"#.to_owned();
        for (wrong, words) in [
            (Snapshot { state: five, ..right.clone() }, "do not fold to"),
            (Snapshot { digest: HashChain::default(), ..right.clone() }, "digests differ"),
            (Snapshot { event_id: uuid::Uuid::nil(), ..right.clone() }, "as its last event"),
        ] {
            kept_snapshots::keep(&*store, &key, &wrong).await.unwrap();
            let (count, found) = verify().await;
            assert!(count == 3 && found.len() == 1 && found[0].problem.contains(words), "{found:#?}");
            assert!(found[0].problem.contains(&format!("after {KEPT_EVERY} events")), "{found:#?}");
        }
        // One after the end of the log, and one of a shape that this program does not have.
        kept_snapshots::keep(&*store, &key, &Snapshot { sequence: 99_999, ..right.clone() }).await.unwrap();
        kept_snapshots::keep(&*store, &key, &Snapshot { shape: "another".to_owned(), ..right.clone() })
            .await
            .unwrap();
        kept_snapshots::keep(&*store, &key, &right).await.unwrap();
        let (count, found) = verify().await;
        assert!(count == 5 && found.len() == 1 && found[0].kind == FindingKind::Log, "{found:#?}");
        assert_eq!(drop_snapshots(&*store).await.unwrap(), 5);
        assert_eq!((verify().await, kept(&*store).await), ((0, vec![]), vec![]));
        store.close().await;
    });
}

stores::on_postgres_too!(
    kept_snapshots_are_made_from_the_log_and_made_again_when_they_are_missing_or_of_another_log,
    check_finds_a_wrong_kept_snapshot_and_all_are_dropped_together,
    an_aggregate_of_large_events_is_loaded_whole,
    a_state_decided_on_a_failed_commit_never_becomes_a_snapshot,
    a_snapshot_matches_the_log_while_the_aggregate_is_written,
    a_snapshot_that_does_not_match_the_log_is_ignored_and_replaced_by_the_next_load,
    check_finds_a_wrong_snapshot_and_after_its_deletion_the_next_load_is_right,
    a_state_that_does_not_restore_gets_no_snapshot,
);
