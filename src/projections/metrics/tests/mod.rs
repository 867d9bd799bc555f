//! The metrics on a real store.

mod anomalies;
mod child_topics;
mod frequencies;
mod occurred;
mod plans;

use std::collections::BTreeMap;
use std::time::Duration;

use futures::StreamExt;
use jiff::{SignedDuration, Timestamp};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::events::{Action, Stored, Topic};
use crate::projections::presenter::present;
use crate::projections::tests::fixture::places::*;
use crate::projections::tests::fixture::*;
use crate::projections::{QueryError, RangeBound};
use crate::store::{Cell, ViewSnapshot};

const TABLES: &[&str] = &["names", "entries", "blocks", "running", "crowds"];

fn seconds(seconds: i64) -> SignedDuration {
    SignedDuration::from_secs(seconds)
}

/// The metric, counted by hand.
fn by_hand(
    log: &[Stored],
    topic: &str,
    from: Option<RangeBound>,
    until: Option<RangeBound>,
    now: Timestamp,
) -> Metric {
    let reached =
        |bound: Option<RangeBound>, stored: &Stored| bound.is_some_and(|at| Place::is_reached_by(at, stored));
    let within: Vec<&Stored> = log
        .iter()
        .filter(|stored| from.is_none() || reached(from, stored))
        .filter(|stored| !reached(until, stored))
        .collect();
    let at = |bound| log.iter().find(|stored| reached(Some(bound), stored)).map(|stored| stored.recorded_at);
    let until_time = match until {
        None => now,
        Some(RangeBound::Time(time)) => time.min(now),
        Some(bound) => at(bound).unwrap_or(now),
    };
    let from_time = match from {
        None => None,
        Some(RangeBound::Time(time)) => Some(time),
        Some(bound) => Some(at(bound).unwrap_or(until_time)),
    };
    tally(log, topic, &within, |stored| stored.recorded_at, from_time, until_time)
}

/// The metric of the events of a topic among `within`, in the order of the times `at`.
fn tally(
    log: &[Stored],
    topic: &str,
    within: &[&Stored],
    at: impl Fn(&Stored) -> Timestamp,
    from: Option<Timestamp>,
    until: Timestamp,
) -> Metric {
    let types = types();
    let topic: Topic = topic.parse().unwrap();
    let mut metric = Metric {
        topic: topic.clone(),
        head: log.last().unwrap().head(),
        from,
        until,
        total: 0,
        by_action: Action::ALL.into_iter().map(|action| (action, 0)).collect(),
        by_event: BTreeMap::new(),
        per_minute: None,
        per_hour: None,
        per_day: None,
        rates: Rates::default(),
        rolling: Rolling::default(),
    };
    for &stored in within {
        let shown = present(&types, stored).unwrap();
        if topic != Topic::root() && !shown.topics.iter().any(|other| topic.contains(other)) {
            continue;
        }
        metric.total += 1;
        *metric.by_action.get_mut(&shown.action).unwrap() += 1;
        *metric.by_event.entry(shown.event_type.to_owned()).or_default() += 1;
        metric.from.get_or_insert(at(stored));
        let since =
            |length| u64::from(at(stored) >= metric.until.checked_sub(seconds(length)).unwrap_or(Timestamp::MIN));
        metric.rates.last_minute += since(60);
        metric.rates.last_hour += since(3_600);
        metric.rates.last_day += since(86_400);
        let age = metric.until.duration_since(at(stored)).as_secs_f64();
        metric.rolling.per_minute += (-age / 60.0).exp();
        metric.rolling.per_hour += (-age / 3_600.0).exp();
        metric.rolling.per_day += (-age / 86_400.0).exp();
    }
    let length = metric.from.map_or(0.0, |from| metric.until.duration_since(from).as_secs_f64());
    let per = |unit: f64| (length >= unit).then(|| metric.total as f64 * unit / length);
    (metric.per_minute, metric.per_hour, metric.per_day) = (per(60.0), per(3_600.0), per(86_400.0));
    metric
}

fn topics() -> impl Strategy<Value = &'static str> {
    select(
        &["", "project", "project/member", "projectile", "files", "files/src/a", "files/written", "all", "tower"][..],
    )
}

fn ask(world: &World, topic: &str, from: Option<RangeBound>, until: Option<RangeBound>) -> MetricQuery {
    let query = world.metric().topic(topic);
    let query = from.into_iter().fold(query, |query, from| query.from(from));
    until.into_iter().fold(query, |query, until| query.until(until))
}

/// Missions P2, P13 and P19
#[test]
fn a_metric_equals_a_count_by_hand_over_any_range() {
    let runtime = runtime();
    let (world, log) = runtime.block_on(filled());
    world.pass(SignedDuration::from_micros(777));
    runtime.block_on(world.settled("metrics"));
    let questions = (topics(), option::of(places()), option::of(places()));
    proptest!(ProptestConfig::with_cases(150), |((topic, from, until) in questions)| runtime.block_on(async {
        let (from, until) = (from.map(|place| place.bound(&log)), until.map(|place| place.bound(&log)));
        match ask(&world, topic, from, until).await {
            Ok(mut metric) => {
                let expected = by_hand(&log, topic, from, until, world.now());
                let [given, wanted] = [metric.rolling, expected.rolling].map(|r| [r.per_minute, r.per_hour, r.per_day]);
                for (given, wanted) in given.into_iter().zip(wanted) {
                    prop_assert!((given - wanted).abs() <= 1e-9 * wanted.max(1.0), "{given} for {wanted}");
                }
                metric.rolling = expected.rolling;
                prop_assert_eq!(&metric, &expected);
                let averages = [metric.per_minute, metric.per_hour, metric.per_day];
                prop_assert!(averages.iter().flatten().all(|average| average.is_finite() && *average >= 0.0));
                if let Some(until) = until {
                    let rest = ask(&world, topic, Some(until), None).await.unwrap().total;
                    let whole = ask(&world, topic, from, None).await.unwrap().total;
                    prop_assert_eq!(metric.total + rest, whole, "two ranges that meet are one");
                }
            }
            Err(MetricError::Query(QueryError::EndBeforeStart { .. })) => {
                prop_assert_eq!(by_hand(&log, topic, from, until, world.now()).total, 0);
            }
            Err(error) => prop_assert!(false, "{}", error),
        }
        Ok(())
    })?);
    runtime.block_on(world.close());
}

/// Missions P20 and P21
#[tokio::test]
async fn the_tables_are_the_same_after_a_rebuild_and_in_batches_of_any_size() {
    let (whole, pieces) = (World::new().await, World::new().await);
    let acts: Vec<Act> = (0..500).map(any_act).collect();
    whole.append(acts.clone()).await;
    let expected = whole.dump("metrics", TABLES).await;
    let mut rest = acts.as_slice();
    for size in (1..40).cycle() {
        let (piece, after) = rest.split_at(rest.len().min(size));
        pieces.append(piece.to_vec()).await;
        pieces.settled("metrics").await;
        rest = after;
        if rest.is_empty() {
            break;
        }
    }
    assert_eq!(pieces.dump("metrics", TABLES).await, expected);
    pieces.projections.rebuild("metrics").unwrap().await.unwrap();
    assert_eq!(pieces.dump("metrics", TABLES).await, expected);
    whole.close().await;
    pieces.close().await;
}

/// Mission P22
#[tokio::test]
async fn rolling_counts_decay_with_the_clock_and_never_exceed_the_total() {
    let world = World::new().await;
    let empty = world.metric().topic("tower").await.unwrap();
    assert_eq!((empty.total, empty.per_minute, empty.from, empty.rates), (0, None, None, Rates::default()));
    let receipt = world.append((0..6).map(|_| ring("alice")).collect()).await;
    let rates = async || world.metric().after(receipt).await.unwrap().rates;
    let first = world.metric().after(receipt).await.unwrap();
    assert_eq!((first.total, first.per_minute), (6, None), "a window without length has no mean");
    for (pass, last_minute, last_hour, last_day) in
        [(0, 6, 6, 6), (60, 6, 6, 6), (1, 0, 6, 6), (3_539, 0, 6, 6), (1, 0, 0, 6), (82_799, 0, 0, 6), (1, 0, 0, 0)]
    {
        world.pass(seconds(pass));
        assert_eq!(rates().await, Rates { last_minute, last_hour, last_day }, "{}", world.now());
    }
    let metric = world.metric().await.unwrap();
    let length = 86_401.0;
    assert_eq!((metric.per_minute, metric.per_day), (Some(6.0 * 60.0 / length), Some(6.0 * 86_400.0 / length)));
    assert_eq!(metric.from.unwrap().to_string(), BEGIN);
    assert_eq!(metric.head, receipt.head, "each value names its place in the log");

    // The clock is set back: no event may be after now.
    world.pass(seconds(-7_200 - 86_401));
    let metric = world.metric().await.unwrap();
    assert_eq!((metric.total, metric.until, metric.rates.last_minute), (6, BEGIN.parse().unwrap(), 6));
    world.close().await;
}

/// Mission P19: a window bounds the count and the time by which it is divided.
#[tokio::test]
async fn a_window_bounds_the_count_and_the_average() {
    let world = World::new().await;
    for _ in 0..10 {
        world.append(vec![ring("alice"), ring("bob")]).await;
        world.pass(seconds(60));
    }
    world.settled("metrics").await;
    let begin: Timestamp = BEGIN.parse().unwrap();
    let between = |from, until| world.metric().topic("bell").between(begin + seconds(from), begin + seconds(until));
    let metric = between(120, 300).await.unwrap();
    assert_eq!((metric.total, metric.per_minute, metric.rates.last_minute), (6, Some(2.0), 2));
    assert_eq!((metric.per_hour, metric.per_day), (None, None), "three minutes have no mean an hour");
    assert_eq!((metric.from, metric.until), (Some(begin + seconds(120)), begin + seconds(300)));
    assert_eq!(metric.by_event, BTreeMap::from([("bell.rang".to_owned(), 6)]));
    assert_eq!(metric.by_action[&Action::View], 6);
    // A window that ends tomorrow ends now.
    let metric = between(0, 86_400).await.unwrap();
    assert_eq!((metric.total, metric.until, metric.per_minute), (20, world.now(), Some(2.0)));
    let empty = between(-600, 0).await.unwrap();
    assert_eq!((empty.total, empty.per_day, empty.rates), (0, None, Rates::default()));
    world.close().await;
}

#[tokio::test]
async fn an_invalid_query_is_refused_with_advice() {
    let world = World::new().await;
    world.append(vec![ring("alice")]).await;
    for (query, words) in [
        (world.metric().topic("bel"), "`bell`"),
        (world.metric().topic("a//b"), "separated by slashes"),
        (world.metric().between(3, 2), "swap them"),
    ] {
        let error = query.clone().await.unwrap_err();
        assert!(matches!(error, MetricError::Query(_)) && error.to_string().contains(words), "{error}");
        assert_eq!(query.watch().next().await.unwrap().unwrap_err().to_string(), error.to_string());
    }
    world.close().await;
}

/// Missions P4 and P6
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watcher_gets_the_current_value_then_each_change_also_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", directory.path().join("log.db").display());
    let world = World::open(&url).await;
    let receipt = world.append(vec![ring("alice"), ring("bob")]).await;
    let mut watch = world.metric().topic("bell").after(receipt).watch();
    assert_eq!(watch.next().await.unwrap().unwrap().total, 2);
    world.append(vec![act("alice", "7", ProjectEvent::Begun)]).await;
    world.append(vec![ring("carol")]).await;
    assert_eq!(watch.next().await.unwrap().unwrap().total, 3, "what is of another topic is no change");
    world.pass(seconds(61));
    assert_eq!(watch.next().await.unwrap().unwrap().rates.last_minute, 0, "time alone is a change");
    drop(watch);
    world.close().await;

    let world = World::open(&url).await;
    assert_eq!(world.metric().topic("bell").watch().next().await.unwrap().unwrap().total, 3);
    world.close().await;
}

#[tokio::test]
async fn a_read_in_a_snapshot_sees_only_the_snapshot() {
    let world = World::new().await;
    world.append(vec![ring("alice")]).await;
    let mut snapshot = world.settled("metrics").await.snapshot().await.unwrap();
    world.append(vec![ring("alice")]).await;
    world.settled("metrics").await;
    let metric = world.metric().read_in(&mut *snapshot).await.unwrap();
    assert_eq!((metric.total, metric.head.position), (1, 1));
    assert_eq!(world.metric().await.unwrap().total, 2);
    drop(snapshot);
    world.close().await;
}

/// However long the log: one search for the sums at a bound, and one for the entries after it.
#[tokio::test]
async fn a_count_takes_one_search_at_each_end_of_its_range() {
    let world = World::new().await;
    world.append((0..600).map(any_act).collect()).await;
    let mut snapshot: Box<dyn ViewSnapshot> = world.settled("metrics").await.snapshot().await.unwrap();
    let (sql, parameters) = super::block_reader::last_blocks(1, &[0, 3, 9].into(), &*snapshot);
    let steps = snapshot.query(&format!("EXPLAIN QUERY PLAN {sql}"), parameters).await.unwrap();
    let plan: Vec<&str> = steps.iter().filter_map(|step| step.last().and_then(Cell::text)).collect();
    assert!(plan.iter().any(|step| step.contains("PRIMARY KEY (topic=? AND block<?)")), "{plan:#?}");
    assert!(!plan.iter().any(|step| step.contains("SCAN r") || step.contains("TEMP B-TREE")), "{plan:#?}");
    drop(snapshot);
    world.close().await;
}

/// A slow store must not block a test for ever.
#[tokio::test]
async fn waiting_for_a_write_has_a_time_limit() {
    let world = World::new().await;
    let mut strange = ring("alice");
    strange.event = crate::store::NewEvent::new("bell.melted", "1.0", "{}".to_owned());
    let receipt = world.append(vec![strange]).await;
    let error = world.metric().after(receipt).within(Duration::from_secs(5)).await.unwrap_err();
    assert!(matches!(error, MetricError::Read(_)) && error.to_string().contains("bell.melted"), "{error}");
    world.close().await;
}

crate::projections::tests::fixture::stores::on_postgres_too! {
    a_metric_equals_a_count_by_hand_over_any_range,
    the_tables_are_the_same_after_a_rebuild_and_in_batches_of_any_size,
    rolling_counts_decay_with_the_clock_and_never_exceed_the_total,
    a_window_bounds_the_count_and_the_average,
    an_invalid_query_is_refused_with_advice,
    a_read_in_a_snapshot_sees_only_the_snapshot,
    waiting_for_a_write_has_a_time_limit,
}
