//! Busiest actors and targets, buckets, and decaying rates.

use std::collections::HashMap;

use super::*;
use crate::events::Ref;

/// The references that `of` finds in each event, most frequent first; of equal counts, the first in the log.
pub(super) fn ranked(log: &[Stored], within: &[Stored], of: impl Fn(&Stored) -> Vec<Ref>) -> Vec<Busy> {
    let mut firsts: HashMap<Ref, usize> = HashMap::new();
    log.iter().flat_map(&of).enumerate().for_each(|(n, reference)| _ = firsts.entry(reference).or_insert(n));
    let mut counts: HashMap<Ref, u64> = HashMap::new();
    within.iter().flat_map(of).for_each(|reference| *counts.entry(reference).or_default() += 1);
    let mut ranked: Vec<Busy> = counts.into_iter().map(|(reference, events)| Busy { reference, events }).collect();
    ranked.sort_by_key(|busy| (std::cmp::Reverse(busy.events), firsts[&busy.reference]));
    ranked
}

/// Distinct counts, busiest and slices that add up, exact at any bound.
#[test]
fn busiest_and_buckets_equal_a_count_by_hand_over_any_range() {
    let runtime = runtime();
    let world = runtime.block_on(World::new());
    let log = runtime.block_on(async {
        for n in 0..43 {
            world.append((n * 100..n * 100 + 100).map(|m| any_act(m * 7 + m % 5)).collect()).await;
            world.pass(SignedDuration::from_millis([0, 700, 13][n as usize % 3]));
        }
        world.settled("metrics").await;
        world.log().await
    });
    assert_eq!(log.len(), 4_300, "beyond a block of the second level");
    let types = types();
    let ranges = (topics(), 1..4_400_u64, 0..4_400_u64, 1..40_usize);
    proptest!(ProptestConfig::with_cases(60), |((topic, start, length, slices) in ranges)| runtime.block_on(async {
        let parsed: Topic = topic.parse().unwrap();
        let within: Vec<Stored> = log
            .iter()
            .filter(|stored| stored.position >= start && stored.position < start + length)
            .filter(|stored| {
                let topics = present(&types, stored).unwrap().topics;
                parsed == Topic::root() || topics.iter().any(|other| parsed.contains(other))
            })
            .cloned()
            .collect();
        let query = world.metric().topic(topic).between(start, start + length);
        let busiest = query.clone().busiest(2).await.unwrap();
        let mut actors = ranked(&log, &within, |stored| vec![stored.metadata().unwrap().actor]);
        let mut targets = ranked(&log, &within, |stored| present(&types, stored).unwrap().targets);
        let distinct = [busiest.distinct_actors, busiest.distinct_targets];
        prop_assert_eq!(distinct, [actors.len() as u64, targets.len() as u64]);
        actors.truncate(2);
        targets.truncate(2);
        prop_assert_eq!((busiest.actors, busiest.targets), (actors, targets));
        prop_assert_eq!(busiest.head, log.last().unwrap().head());

        let metric = query.clone().await.unwrap();
        prop_assert_eq!((busiest.from, busiest.until), (metric.from, metric.until));
        let buckets = query.buckets(slices).await.unwrap().buckets;
        prop_assert_eq!(buckets.len(), slices);
        prop_assert_eq!(buckets.iter().map(|bucket| bucket.total).sum::<u64>(), metric.total);
        prop_assert_eq!((buckets[0].from, buckets[slices - 1].until), (metric.from.unwrap(), metric.until));
        prop_assert!(buckets.windows(2).all(|pair| pair[0].until == pair[1].from));
        for bucket in &buckets[..slices - 1] {
            let slice = |stored: &&Stored| stored.recorded_at >= bucket.from && stored.recorded_at < bucket.until;
            prop_assert_eq!(bucket.total, within.iter().filter(slice).count() as u64);
        }
        Ok(())
    })?);
    runtime.block_on(world.close());
}

#[tokio::test]
async fn a_topic_without_an_event_has_no_busiest_no_buckets_and_no_anomalies() {
    let world = World::new().await;
    let query = || world.metric().topic("bell");
    let busiest = query().busiest(5).await.unwrap();
    assert_eq!((busiest.distinct_actors, busiest.actors, busiest.from), (0, vec![], None));
    assert_eq!(query().buckets(5).await.unwrap().buckets, []);
    assert_eq!(query().anomalies(seconds(60)).await.unwrap().anomalies, []);
    assert!(matches!(query().anomalies(seconds(0)).await, Err(MetricError::NoWidth)));
    world.append(vec![ring("alice")]).await;
    world.pass(seconds(3_600));
    world.settled("metrics").await;
    let error = query().anomalies(seconds(1)).await.unwrap_err();
    assert!(error.to_string().contains("3600 slices"), "{error}");
    world.close().await;
}

/// Mission P22: under a fake clock the rolling rates decay to zero, each by its own window, and are never NaN or
/// infinite.
#[tokio::test]
async fn rolling_rates_decay_and_are_always_numbers() {
    let world = World::new().await;
    let receipt = world.append((0..6).map(|_| ring("alice")).collect()).await;
    let first = world.metric().after(receipt).await.unwrap().rolling;
    assert_eq!(first, Rolling { per_minute: 6.0, per_hour: 6.0, per_day: 6.0 });
    world.pass(seconds(60));
    let after = world.metric().await.unwrap().rolling;
    assert!((after.per_minute - 6.0 / std::f64::consts::E).abs() < 1e-9, "{after:?}");
    assert!(after.per_hour > after.per_minute && after.per_day > after.per_hour && after.per_day < 6.0);
    let mut last = after;
    for _ in 0..40 {
        world.pass(SignedDuration::from_hours(9));
        let now = world.metric().await.unwrap().rolling;
        for (now, last) in
            [(now.per_minute, last.per_minute), (now.per_hour, last.per_hour), (now.per_day, last.per_day)]
        {
            assert!(now.is_finite() && now >= 0.0 && now <= last);
        }
        last = now;
    }
    assert!(last.per_hour < 1e-100 && last.per_day < 1e-5, "{last:?}");
    // A thousand years ahead, and back again.
    world.pass(SignedDuration::from_hours(24 * 365 * 1_000));
    assert_eq!(world.metric().await.unwrap().rolling.per_day, 0.0);
    world.pass(SignedDuration::from_hours(-24 * 365 * 2_000));
    assert_eq!(world.metric().await.unwrap().rolling.per_day, 6.0, "no event is after now");
    world.close().await;
}

/// A steady stream: each rate tends to the number of events in its window, also across blocks.
#[tokio::test]
async fn a_steady_stream_has_its_rate() {
    let world = World::new().await;
    for _ in 0..1_200 {
        world.append(vec![ring("alice")]).await;
        world.pass(seconds(1));
    }
    world.settled("metrics").await;
    let whole = world.metric().topic("bell").await.unwrap();
    assert!((whole.rolling.per_minute - 60.0).abs() < 1.0, "{:?}", whole.rolling);
    let begin: Timestamp = BEGIN.parse().unwrap();
    let window =
        world.metric().topic("bell").between(begin + seconds(1_140), begin + seconds(1_200)).await.unwrap();
    let expected = 60.0 * (1.0 - (-1.0_f64).exp());
    assert!((window.rolling.per_minute - expected).abs() < 1.0, "only what is in the window: {:?}", window.rolling);
    assert_eq!(whole.total, 1_200);
    world.close().await;
}

crate::projections::tests::fixture::stores::on_postgres_too! {
    busiest_and_buckets_equal_a_count_by_hand_over_any_range,
    a_topic_without_an_event_has_no_busiest_no_buckets_and_no_anomalies,
    rolling_rates_decay_and_are_always_numbers,
    a_steady_stream_has_its_rate,
}
