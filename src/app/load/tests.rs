//! States and documents as of a moment equal those of a log that ends there. On SQLite and on Postgres.

mod house;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use async_trait::async_trait;
use jiff::SignedDuration;

use self::house::{Abacus, AbacusId, Count, House, Line, Own, Wrong, app, line};
use crate::aggregates::LoadError;
use crate::commands::Context;
use crate::events::Id as _;
use crate::projections::tests::fixture::stores;
use crate::projections::{EventBatch, Projection, ProjectionError, ReadError};
use crate::store::conformance::bench::{PATIENCE, START, log, time};
use crate::store::kept_snapshots::{self, KEPT_EVERY};
use crate::store::{Interest, Moment, MomentError, Transaction};

fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(test);
}

fn random() -> fastrand::Rng {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    fastrand::Rng::with_seed(seed)
}

/// Mission X17.
#[test]
fn a_state_and_a_document_at_each_position_are_those_of_a_log_that_ends_there() {
    run(async {
        let mut random = random();
        for _ in 0..2 {
            let lines: Vec<Line> = (0..25).map(|_| line(&mut random, &["abacus:a", "abacus:b"])).collect();
            let (mut past, mut prefix) = (House::open().await, House::open().await);
            past.append(&lines, 1).await;
            past.compare(0, &prefix, true).await;
            for (position, line) in (1..).zip(&lines) {
                prefix.append(std::slice::from_ref(line), 1).await;
                past.compare(position, &prefix, true).await;
            }
            past.compare_times(&mut random).await;
            past.annals.close().await;
            prefix.annals.close().await;
        }
    });
}

/// Mission X17. The snapshots are in between: two kept ones, and the newest one.
#[test]
fn a_state_of_the_past_on_snapshots_is_that_of_a_log_that_ends_there() {
    run(async {
        let mut random = random();
        let (mut past, mut prefix) = (House::open().await, House::open().await);
        // Most events are of one aggregate.
        let mut on = ["abacus:a"; 12];
        on[11] = "abacus:b";
        let lines: Vec<Line> = (0..1_500).map(|_| line(&mut random, &on)).collect();
        past.append(&lines, 20).await;
        let id = AbacusId::new("a");
        let present = past.annals.load::<Abacus>(&id).await.unwrap();
        let kept = kept_after(&past, present.sequence()).await;
        assert_eq!(kept, [KEPT_EVERY, 2 * KEPT_EVERY]);

        let position_of = |sequence: u64| {
            let own = (1_u64..).zip(&lines).filter(|(_, line)| line.on == "abacus:a");
            own.map(|(position, _)| position).nth(sequence as usize - 1).unwrap()
        };
        let rungs = [KEPT_EVERY, 2 * KEPT_EVERY].into_iter().flat_map(|rung| [rung - 1, rung, rung + 1]);
        let at = [1, 255, 256, 257, 512, 768, 1_100, present.sequence()].into_iter().chain(rungs).map(position_of);
        let mut positions: BTreeSet<u64> =
            at.flat_map(|at| [at - 1, at, at + 1]).chain((0..60).map(|_| random.u64(0..=1_500))).collect();
        positions.retain(|position| *position <= lines.len() as u64);
        for position in positions {
            prefix.append(&lines[prefix.appended..position as usize], 20).await;
            past.compare(position, &prefix, position % 50 == 0).await;
        }
        past.compare_times(&mut random).await;
        past.annals.close().await;
        prefix.annals.close().await;
    });
}

/// The sequences of the kept snapshots, once the snapshot that a load has requested is there.
async fn kept_after(house: &House, sequence: u64) -> Vec<u64> {
    let (store, aggregate) = (&**house.annals.store(), AbacusId::new("a").reference());
    for _ in 0..500 {
        let newest = store.views().load_snapshot(&aggregate).await.unwrap();
        if newest.is_some_and(|newest| newest.sequence >= sequence) {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let kept = kept_snapshots::next(store, None).await.unwrap();
    kept.map(|(_, kept)| kept.into_iter().map(|(sequence, _)| sequence).collect()).unwrap_or_default()
}

#[test]
fn a_moment_that_has_not_come_is_an_error_and_one_before_the_first_event_is_empty() {
    run(async {
        let (mut random, mut house) = (random(), House::open().await);
        let id = AbacusId::new("a");
        let early = house.annals.load::<Abacus>(&id).at(time(START - 1)).await.unwrap();
        assert_eq!((early.position(), early.recorded_at(), early.exists()), (0, None, false), "of an empty log");
        let lines: Vec<Line> = (0..10).map(|_| line(&mut random, &["abacus:a"])).collect();
        house.append(&lines, 1).await;
        let early = house.annals.load::<Abacus>(&id).at(time(START - 1)).await.unwrap();
        assert_eq!((early.position(), early.head().event_id.is_nil(), early.exists()), (0, true, false));

        for position in [11, u64::MAX] {
            let error = house.annals.load::<Abacus>(&id).at(position).await.unwrap_err();
            assert!(matches!(error, LoadError::Moment(MomentError::PositionAhead { head: 10, .. })), "{error}");
            let error = house.annals.view::<Own>(&id).at(position).await.unwrap_err();
            assert!(matches!(error, ReadError::Moment(MomentError::PositionAhead { head: 10, .. })), "{error}");
        }
        let now = time(house.clock.load(Ordering::SeqCst));
        let present = house.annals.load::<Abacus>(&id).at(now).await.unwrap();
        assert_eq!((present.position(), present.sequence()), (10, 10));
        let error = house.annals.load::<Abacus>(&id).at(now + SignedDuration::from_secs(1)).await.unwrap_err();
        assert!(matches!(error, LoadError::Moment(MomentError::TimeAhead { .. })), "{error}");
        // A clock that is set back takes nothing of the past away.
        let before_last = log(&**house.annals.store()).await[8].recorded_at;
        house.clock.store(START - 5, Ordering::SeqCst);
        let expected =
            log(&**house.annals.store()).await.iter().filter(|event| event.recorded_at <= before_last).count();
        if expected < 10 {
            assert_eq!(house.annals.load::<Abacus>(&id).at(before_last).await.unwrap().position(), expected as u64);
        }

        let unknown: crate::events::Ref = "person:1".parse().unwrap();
        let error = house.annals.json_state(&unknown, None).await.unwrap_err();
        assert_eq!(error.to_string(), "there is no aggregate type `person`: there are `abacus`");
        assert!(house.annals.load::<Abacus>(&AbacusId::new("")).at(1).await.is_err());
        house.annals.close().await;
    });
}

/// A projection of documents that does not say which keys an event touches.
struct Keyless;

#[async_trait]
impl Projection for Keyless {
    fn name(&self) -> &str {
        "keyless"
    }

    fn interest(&self) -> Interest {
        Interest::All
    }

    fn documents(&self) -> bool {
        true
    }

    async fn setup(&self, _: &mut dyn Transaction) -> Result<(), ProjectionError> {
        Ok(())
    }

    async fn apply(&self, _: EventBatch<'_>, _: &mut dyn Transaction) -> Result<(), ProjectionError> {
        Ok(())
    }
}

#[test]
fn only_a_view_with_keys_has_a_past_and_one_aggregate_is_checked() {
    run(async {
        let clock = Arc::new(AtomicI64::new(START));
        let annals = app(&clock).projection(Keyless).view::<Wrong>().open(&stores::empty()).await.unwrap();
        let alice = Context::by("user:alice".parse::<crate::events::Ref>().unwrap());
        annals.execute(Count { abacus: AbacusId::new("a") }, &alice).await.unwrap();
        let receipt = annals.execute(Count { abacus: AbacusId::new("b") }, &alice).await.unwrap();
        let view = annals.json_view("keyless").unwrap();
        let error = view.get_at("a", Moment::Position(1), None, &mut |_, _| {}).await.unwrap_err();
        assert!(error.to_string().contains("which keys an event touches"), "{error}");

        let error = annals.view::<Wrong>(&AbacusId::new("a")).after(receipt).within(PATIENCE).await.unwrap_err();
        assert!(matches!(error, ReadError::Stopped { position: Some(2), .. }), "{error}");
        let status = annals.projections().await.unwrap();
        let reason = format!("{:?}", status.iter().find(|status| status.name == "wrong").unwrap().state);
        assert!(reason.contains("event 2 of abacus:b touches the key `a`"), "{reason}");
        annals.close().await;
    });
}

#[test]
fn a_scan_for_the_past_says_how_far_it_is_and_ends_in_time() {
    run(async {
        let (mut random, mut house) = (random(), House::open().await);
        let lines: Vec<Line> = (0..400).map(|_| line(&mut random, &["abacus:a"])).collect();
        house.append(&lines, 50).await;
        let view = house.annals.json_view("units").unwrap();
        assert!(view.scans_for("all").unwrap() && !house.annals.json_view("own").unwrap().scans_for("a").unwrap());
        let mut seen = Vec::new();
        view.get_at("all", Moment::Position(390), None, &mut |at, until| seen.push((at, until))).await.unwrap();
        assert!(seen.len() > 1 && seen.is_sorted() && seen.last() == Some(&(390, 390)), "{seen:?}");
        let none = Some(std::time::Duration::ZERO);
        let error = view.get_at("all", Moment::Position(390), none, &mut |_, _| {}).await.unwrap_err();
        assert!(matches!(error, ReadError::PastTooLong { until: 390, position: 1..390, .. }), "{error}");
        house.annals.close().await;
    });
}

stores::on_postgres_too!(
    a_state_and_a_document_at_each_position_are_those_of_a_log_that_ends_there,
    a_state_of_the_past_on_snapshots_is_that_of_a_log_that_ends_there,
    a_moment_that_has_not_come_is_an_error_and_one_before_the_first_event_is_empty,
    only_a_view_with_keys_has_a_past_and_one_aggregate_is_checked,
    a_scan_for_the_past_says_how_far_it_is_and_ends_in_time,
);
