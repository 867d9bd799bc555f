//! Anomalies.

use super::*;

/// Appends so many events by each actor in each minute.
async fn minute(world: &World, acts: &[(&str, u64)]) {
    let acts = acts.iter().flat_map(|(actor, events)| (0..*events).map(|_| ring(actor)));
    let acts: Vec<Act> = acts.collect();
    if !acts.is_empty() {
        world.append(acts).await;
    }
    world.pass(seconds(60));
}

fn found(anomalies: &Anomalies) -> Vec<(Option<&str>, u64)> {
    anomalies
        .anomalies
        .iter()
        .map(|anomaly| (anomaly.actor.as_ref().map(|actor| actor.as_str()), anomaly.count))
        .collect()
}

/// Mission D20: a tenfold change is reported with its numbers, a steady rate is not; a query of the past gives the
/// same result, in pieces of any size.
#[tokio::test]
async fn a_tenfold_change_is_an_anomaly_and_a_steady_rate_is_not() {
    let world = World::new().await;
    for n in 0..40 {
        minute(&world, &[("alice", 10 + n % 3), ("bob", 4 + n % 2), ("carol", u64::from(n > 35))]).await;
    }
    world.settled("metrics").await;
    let all = async || world.metric().topic("bell").anomalies(seconds(60)).await.unwrap();
    let steady = all().await;
    assert_eq!((found(&steady), steady.slices), (vec![], 40));

    minute(&world, &[("alice", 10), ("bob", 40), ("dave", 90)]).await;
    for _ in 0..10 {
        minute(&world, &[("alice", 10), ("bob", 4)]).await;
    }
    minute(&world, &[("alice", 0), ("bob", 4)]).await;
    world.settled("metrics").await;
    let anomalies = all().await;
    let expected = [(None, 140), (Some("user:bob"), 40), (Some("user:alice"), 0)];
    assert_eq!(found(&anomalies), expected, "dave has no past to be far from");
    let bob = &anomalies.anomalies[1];
    assert_eq!((bob.usual, bob.past, bob.from), (4.5, 30, BEGIN.parse::<Timestamp>().unwrap() + seconds(40 * 60)));
    assert!(bob.score > 4.0 && anomalies.anomalies[2].score < -4.0);
    assert_eq!((anomalies.slices, anomalies.head), (52, world.log().await.last().unwrap().head()));

    // Queried again in pieces, and after a rebuild.
    world.projections.rebuild("metrics").unwrap().await.unwrap();
    let begin: Timestamp = BEGIN.parse().unwrap();
    let mut pieces = Vec::new();
    for (from, until) in [(0, 35), (35, 41), (41, 45), (45, 52)] {
        let piece = world.metric().topic("bell").between(begin + seconds(from * 60), begin + seconds(until * 60));
        pieces.extend(piece.anomalies(seconds(60)).await.unwrap().anomalies);
    }
    assert_eq!(pieces, anomalies.anomalies);
    // An unfinished slice is not examined.
    world.append((0..500).map(|_| ring("alice")).collect()).await;
    world.settled("metrics").await;
    assert_eq!(all().await.anomalies, anomalies.anomalies);
    world.close().await;
}

crate::projections::tests::fixture::stores::on_postgres_too! {
    a_tenfold_change_is_an_anomaly_and_a_steady_rate_is_not,
}
