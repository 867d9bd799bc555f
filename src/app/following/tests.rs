//! Which reads are asked again, and when: on both stores.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::watcher::{SILENCE, Watch};
use super::{Depends, FollowedReads, ReadLoads};
use crate::aggregates::Aggregate;
use crate::app::access_log::{AccessLog, AccessLogEvent, AccessLogId, RecordDenials};
use crate::commands::{Context, Engine, internal_id};
use crate::events::{Id, Ref, Types};
use crate::projections::tests::fixture::stores::{empty, on_postgres_too};
use crate::store::{Clock, LogTime, OpenOptions, Store};
use crate::testing::TestClock;

struct World {
    store: Arc<dyn Store>,
    engine: Engine,
    reads: Arc<FollowedReads>,
    clock: TestClock,
}

impl World {
    async fn new() -> Self {
        let clock = TestClock::at("2026-01-01T00:00:00Z".parse().unwrap());
        let shared: Clock = Arc::new(clock.reader());
        let options = OpenOptions { app: "following".to_owned(), clock: shared.clone(), create: true };
        let store: Arc<dyn Store> = crate::store::open(&empty(), options).await.unwrap();
        let repository = Arc::new(crate::aggregates::Repository::new(store.clone()));
        let time = LogTime::new(shared, &*store);
        let services = crate::commands::Services::default();
        let engine = Engine::start(store.clone(), time.clone(), None, &[], Arc::default(), repository, services);
        let mut types = Types::default();
        types.add::<AccessLogEvent>(AccessLog::TYPE).unwrap();
        Self { reads: FollowedReads::new(store.clone(), Arc::new(types), time), store, engine, clock }
    }

    /// Appends an event to an aggregate.
    async fn append(&self, day: &str) {
        let command = RecordDenials { log: AccessLogId::new(day), reason: "no".to_owned(), denials: 1 };
        let by = Context::by(Ref::unchecked("user", "bob")).internal(internal_id::random());
        self.engine.execute(Box::new(command), &by).await.unwrap();
    }

    async fn close(self) {
        self.engine.close().await;
        self.store.close().await;
    }
}

fn loaded(day: &str, sequence: u64) -> Depends {
    let aggregate = Ref::new(AccessLog::TYPE, &AccessLogId::new(day).text()).unwrap();
    Depends { loaded: vec![(aggregate, sequence)], ..Depends::default() }
}

async fn is_outdated_soon(watch: &mut Watch) -> bool {
    let soon = tokio::time::timeout(Duration::from_millis(1_500), watch.is_outdated());
    soon.await.is_ok_and(|outdated| outdated)
}

fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(test);
}

#[test]
fn a_read_is_outdated_by_new_events_of_what_it_loaded_and_by_no_others() {
    run(async {
        let world = World::new().await;
        let mut one = world.reads.watch(world.reads.now(), loaded("one", 0));
        let mut other = world.reads.watch(world.reads.now(), loaded("other", 0));
        world.append("one").await;
        assert!(is_outdated_soon(&mut one).await && !is_outdated_soon(&mut other).await);
        // The answer after that event does not depend on it again.
        one.answered(world.reads.now(), loaded("one", 1));
        assert!(!is_outdated_soon(&mut one).await);
        drop((one, other));
        world.close().await;
    });
}

/// The event comes after the aggregate was loaded, and before the read is watched.
#[test]
fn no_event_between_an_answer_and_the_watch_is_missed() {
    run(async {
        let world = World::new().await;
        let first = world.reads.watch(world.reads.now(), loaded("other", 0));
        let asked = world.reads.now();
        world.append("one").await;
        // The task has read the log beyond it.
        world.append("other").await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        let mut late = world.reads.watch(asked, loaded("one", 0));
        assert!(is_outdated_soon(&mut late).await);
        drop((first, late));
        world.close().await;
    });
}

#[test]
fn an_answer_is_outdated_when_its_time_has_come_also_if_the_clock_jumps() {
    run(async {
        let world = World::new().await;
        let until = Some(world.clock.now() + SignedDuration::from_hours(1));
        let mut read = world.reads.watch(world.reads.now(), Depends { valid_until: until, ..Depends::default() });
        assert!(!is_outdated_soon(&mut read).await);
        world.clock.advance(SignedDuration::from_hours(1));
        assert!(is_outdated_soon(&mut read).await);
        drop(read);
        world.close().await;
    });
}

/// Otherwise a read that begins long after another one would end at once.
#[test]
fn a_read_after_a_pause_is_as_good_as_the_first() {
    run(async {
        let world = World::new().await;
        for _ in 0..2 {
            let mut read = world.reads.watch(world.reads.now(), loaded("one", 0));
            let ended = tokio::time::timeout(Duration::from_millis(200), read.is_outdated()).await;
            assert!(ended.is_err(), "{ended:?}");
            drop(read);
            tokio::time::sleep(SILENCE + Duration::from_millis(300)).await;
        }
        world.close().await;
    });
}

#[test]
fn the_earliest_time_counts() {
    let loads = ReadLoads::new(true);
    let times = ["2026-01-02T00:00:00Z", "2026-01-01T00:00:00Z", "2026-01-03T00:00:00Z"];
    times.iter().for_each(|time| loads.valid_until(time.parse().unwrap()));
    let earliest: Timestamp = times[1].parse().unwrap();
    assert_eq!(loads.into_depends(), Depends { valid_until: Some(earliest), ..Depends::default() });
}

on_postgres_too! {
    a_read_is_outdated_by_new_events_of_what_it_loaded_and_by_no_others,
    no_event_between_an_answer_and_the_watch_is_missed,
    an_answer_is_outdated_when_its_time_has_come_also_if_the_clock_jumps,
    a_read_after_a_pause_is_as_good_as_the_first,
}
