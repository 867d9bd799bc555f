//! Metrics by when events occurred.

use std::sync::Arc;

use super::*;
use crate::projections::audit::AuditLog;

const OCCURRED: &[&str] = &["names", "entries", "blocks", "running", "crowds", "moments", "slots"];

/// A world that keeps metrics by occurrence.
async fn world() -> World {
    let types = types();
    let built_in: Vec<Arc<dyn crate::projections::Projection>> =
        vec![Arc::new(AuditLog::new(types.clone())), Arc::new(Metrics::new(types.clone()).by_occurrence())];
    World::open_of(&stores::empty(), types, built_in).await
}

/// A time in which several events share an instant, a second, an hour, and some are far from all others.
fn occurred(n: u64) -> Option<Timestamp> {
    let begin = BEGIN.parse::<Timestamp>().unwrap().as_microsecond();
    let micros = match n % 9 {
        // When it was recorded.
        0 => return None,
        // The same instant, a whole second.
        1 => begin - 86_400_000_000,
        2 => begin - 86_400_000_000 + (n as i64 % 5),
        // Within a minute, an hour, some years, before 1970.
        3 => begin - 30_000_000 + (n as i64 * 7_919_113 % 60_000_000),
        4 => begin - (n as i64 * 7_919_113 % 3_600_000_000),
        5 => begin - (n as i64 * 104_729 % 200_000) * 1_000_000_000,
        6 => -(n as i64 * 104_729 % 200_000) * 1_000_000_000,
        // Later than now, and at the ends of time: PostgreSQL begins in 4713 BC.
        7 => begin + (n as i64 % 4) * 3_600_000_000,
        _ if n.is_multiple_of(2) => return Some(Timestamp::MAX),
        _ => return "-004000-01-01T00:00:00Z".parse().ok(),
    };
    Some(Timestamp::from_microsecond(micros).unwrap())
}

fn acts(numbers: std::ops::Range<u64>) -> Vec<Act> {
    numbers.map(|n| Act { occurred: occurred(n), ..any_act(n * 5 + n % 3) }).collect()
}

/// The metric by occurrence, counted by hand.
fn by_hand_occurred(
    log: &[Stored],
    topic: &str,
    from: Option<Timestamp>,
    until: Option<Timestamp>,
    now: Timestamp,
) -> Metric {
    let within = |stored: &&Stored| {
        let at = stored.occurred_at;
        from.is_none_or(|from| at >= from) && until.map_or(at <= now, |until| at < until)
    };
    let mut within: Vec<&Stored> = log.iter().filter(within).collect();
    within.sort_by_key(|stored| stored.occurred_at);
    tally(log, topic, &within, |stored| stored.occurred_at, from, until.unwrap_or(now))
}

/// Mission X22: metrics by occurrence equal a count by hand, whatever the order in which events are recorded.
#[test]
fn a_metric_by_occurrence_equals_a_count_by_hand_over_any_range() {
    let runtime = runtime();
    let (world, log) = runtime.block_on(async {
        let world = world().await;
        for n in 0..70 {
            world.append(acts(n * 7..n * 7 + 7)).await;
            world.pass(SignedDuration::from_micros([0, 1, 1_500, 40_000_000][n as usize % 4]));
        }
        world.settled("metrics").await;
        let log = world.log().await;
        (world, log)
    });
    let types = types();
    let time = (0..log.len(), select(&[-1_i64, 0, 0, 1, 999_999, 61_000_000, 4_000_000_000_000][..]));
    let questions = (topics(), option::of(time.clone()), option::of(time), 1..40_usize);
    proptest!(ProptestConfig::with_cases(150), |((topic, from, until, slices) in questions)| runtime.block_on(async {
        let time = |(n, micros): (usize, i64)| {
            log[n].occurred_at.checked_add(SignedDuration::from_micros(micros)).unwrap_or(log[n].occurred_at)
        };
        let (from, until) = (from.map(time), until.map(time));
        let query = ask(&world, topic, from.map(RangeBound::Time), until.map(RangeBound::Time)).by_occurrence();
        let expected = by_hand_occurred(&log, topic, from, until, world.now());
        let mut metric = match query.clone().await {
            Err(MetricError::Query(QueryError::EndBeforeStart { .. })) => {
                prop_assert_eq!(expected.total, 0);
                return Ok(());
            }
            metric => metric.unwrap(),
        };
        let [given, wanted] = [metric.rolling, expected.rolling].map(|r| [r.per_minute, r.per_hour, r.per_day]);
        for (given, wanted) in given.into_iter().zip(wanted) {
            prop_assert!((given - wanted).abs() <= 1e-6 * wanted.max(1.0), "{given} for {wanted}");
        }
        metric.rolling = expected.rolling;
        prop_assert_eq!(&metric, &expected);

        let parsed: Topic = topic.parse().unwrap();
        let counts = |stored: &&Stored| {
            let at = stored.occurred_at;
            from.is_none_or(|from| at >= from)
                && until.map_or(at <= world.now(), |until| at < until)
                && (parsed == Topic::root()
                    || present(&types, stored).unwrap().topics.iter().any(|other| parsed.contains(other)))
        };
        let within: Vec<Stored> = log.iter().filter(counts).cloned().collect();
        let busiest = query.clone().busiest(2).await.unwrap();
        let mut actors = frequencies::ranked(&log, &within, |stored| vec![stored.metadata().unwrap().actor]);
        let mut targets = frequencies::ranked(&log, &within, |stored| present(&types, stored).unwrap().targets);
        let distinct = [busiest.distinct_actors, busiest.distinct_targets];
        prop_assert_eq!(distinct, [actors.len() as u64, targets.len() as u64]);
        actors.truncate(2);
        targets.truncate(2);
        prop_assert_eq!((busiest.actors, busiest.targets, busiest.from), (actors, targets, metric.from));

        let buckets = query.buckets(slices).await.unwrap().buckets;
        prop_assert_eq!(buckets.iter().map(|bucket| bucket.total).sum::<u64>(), metric.total);
        prop_assert!(buckets.windows(2).all(|pair| pair[0].until == pair[1].from));
        let Some((last, first)) = buckets.split_last() else {
            prop_assert_eq!(metric.from, None);
            return Ok(());
        };
        prop_assert_eq!((buckets[0].from, last.until), (metric.from.unwrap(), metric.until.max(metric.from.unwrap())));
        for bucket in first {
            let slice = |stored: &&Stored| stored.occurred_at >= bucket.from && stored.occurred_at < bucket.until;
            prop_assert_eq!(bucket.total, within.iter().filter(slice).count() as u64);
        }
        Ok(())
    })?);
    runtime.block_on(world.close());
}

/// Where every event occurred when it was recorded, both axes have the same numbers.
#[tokio::test]
async fn both_axes_agree_on_events_that_occurred_when_they_were_recorded() {
    let world = world().await;
    for n in 0..60 {
        let many = if n == 50 { 80 } else { 4 };
        world.append((0..many).map(|m| Act { occurred: None, ..any_act(n * 7 + m) }).collect()).await;
        world.pass(SignedDuration::from_millis(59_321));
    }
    world.settled("metrics").await;
    let begin: Timestamp = BEGIN.parse().unwrap();
    for topic in ["", "project", "files/src/a", "bell", "tower"] {
        for (from, until) in [(0, 3_500), (59, 3_541), (60, 61), (100, 101), (1_800, 3_542)] {
            let recorded = world.metric().topic(topic).between(begin + seconds(from), begin + seconds(until));
            let occurred = recorded.clone().by_occurrence();
            let (one, other) = (recorded.clone().await.unwrap(), occurred.clone().await.unwrap());
            assert_eq!(
                (one.total, &one.by_event, one.rates),
                (other.total, &other.by_event, other.rates),
                "{topic}"
            );
            let (one, other) =
                (recorded.clone().busiest(3).await.unwrap(), occurred.clone().busiest(3).await.unwrap());
            assert_eq!((one.actors, one.targets), (other.actors, other.targets), "{topic}");
            let width = seconds(60);
            let (one, other) =
                (recorded.anomalies(width).await.unwrap(), occurred.anomalies(width).await.unwrap().anomalies);
            let one: Vec<_> = one.anomalies.into_iter().filter(|one| one.until <= world.now()).collect();
            assert_eq!(one, other, "{topic}");
        }
    }
    let odd = world.metric().by_occurrence().anomalies(seconds(60)).await.unwrap();
    assert!(odd.anomalies.iter().any(|one| one.actor.is_none() && one.count >= 80), "{odd:?}");
    world.close().await;
}

/// Missions P20, P21 and X22: the tables depend on the events alone.
#[tokio::test]
async fn the_tables_by_occurrence_are_the_same_after_a_rebuild_and_in_batches_of_any_size() {
    let (whole, pieces) = (world().await, world().await);
    let all = acts(0..400);
    whole.append(all.clone()).await;
    let expected = whole.dump("metrics", OCCURRED).await;
    assert!(expected.iter().all(|rows| !rows.is_empty()));
    let mut rest = all.as_slice();
    for size in (1..40).cycle() {
        let (piece, after) = rest.split_at(rest.len().min(size));
        pieces.append(piece.to_vec()).await;
        pieces.settled("metrics").await;
        rest = after;
        if rest.is_empty() {
            break;
        }
    }
    assert_eq!(pieces.dump("metrics", OCCURRED).await, expected);
    pieces.projections.rebuild("metrics").unwrap().await.unwrap();
    assert_eq!(pieces.dump("metrics", OCCURRED).await, expected);
    whole.close().await;
    pieces.close().await;
}

#[tokio::test]
async fn metrics_by_occurrence_are_declared_and_bounded_by_times() {
    let (without, with) = (World::new().await, world().await);
    without.append(vec![ring("alice")]).await;
    without.settled("metrics").await;
    let error = without.metric().by_occurrence().await.unwrap_err().to_string();
    assert!(error.contains("App::metrics_by_occurrence"), "{error}");
    for query in [with.metric().from(1), with.metric().until(9)] {
        let error = query.by_occurrence().buckets(3).await.unwrap_err().to_string();
        assert!(error.contains("give a time as bound"), "{error}");
    }
    without.close().await;
    with.close().await;
}

/// Mission P4: an import of old events is a change for a watcher.
#[tokio::test]
async fn a_watcher_by_occurrence_sees_old_events_as_they_are_imported() {
    let world = world().await;
    let since = |date: &str| world.metric().topic("bell").by_occurrence().from(date.parse::<RangeBound>().unwrap());
    let mut watch = since("1999-01-01").until("2000-01-01".parse::<RangeBound>().unwrap()).watch();
    assert_eq!(watch.next().await.unwrap().unwrap().total, 0);
    let old = Act { occurred: "1999-12-31T23:59:59.999999Z".parse().ok(), ..ring("alice") };
    let late = Act { occurred: "2000-01-01T00:00:00Z".parse().ok(), ..ring("bob") };
    world.append(vec![ring("alice"), late, old]).await;
    let metric = watch.next().await.unwrap().unwrap();
    assert_eq!(
        (metric.total, metric.rates.last_minute, metric.until.to_string().as_str()),
        (1, 1, "2000-01-01T00:00:00Z")
    );
    assert_eq!(since("2000-01-01").await.unwrap().total, 2);
    drop(watch);
    world.close().await;
}

crate::projections::tests::fixture::stores::on_postgres_too! {
    a_metric_by_occurrence_equals_a_count_by_hand_over_any_range,
    both_axes_agree_on_events_that_occurred_when_they_were_recorded,
    the_tables_by_occurrence_are_the_same_after_a_rebuild_and_in_batches_of_any_size,
    metrics_by_occurrence_are_declared_and_bounded_by_times,
    a_watcher_by_occurrence_sees_old_events_as_they_are_imported,
}
