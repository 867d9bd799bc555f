//! Streams of stored and then live rows, and how they end.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use jiff::SignedDuration;
use tokio::time::timeout;

use super::*;

/// All rows of a stream that has to end by itself.
async fn ended(query: AuditQuery) -> Vec<u64> {
    let rows = query.follow().try_collect::<Vec<_>>();
    positions(&timeout(Duration::from_secs(20), rows).await.expect("the stream does not end").unwrap())
}

/// Mission P15
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stored_then_live_events_come_once_and_in_order_while_others_write() {
    let world = Arc::new(World::new().await);
    let writers: Vec<_> = (0..4)
        .map(|part| {
            let world = world.clone();
            tokio::spawn(async move {
                for n in 0..60 {
                    let mut acts: Vec<Act> = (0..3).map(|m| any_act(n * 7 + m)).collect();
                    // Each writer has aggregates of its own.
                    for act in &mut acts {
                        act.on = format!("{}:of-{part}", act.on.kind()).parse().unwrap();
                    }
                    world.append(acts).await;
                }
            })
        })
        .collect();
    let followers: Vec<_> = (0..5_u64)
        .map(|n| {
            let query = world.audit().limit(720);
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(n * 30)).await;
                ended(query).await
            })
        })
        .collect();
    let quiet = tokio::spawn(ended(world.audit().topic("projectile").topic("project/member").limit(100)));
    for writer in writers {
        writer.await.unwrap();
    }
    for follower in followers {
        assert_eq!(follower.await.unwrap(), (1..=720).collect::<Vec<_>>());
    }
    // Mission P18: a silent topic delays no other.
    let wanted = all(world.audit().topic("projectile").topic("project/member").limit(100)).await;
    assert_eq!((quiet.await.unwrap(), wanted.len()), (wanted, 100));
    Arc::into_inner(world).unwrap().close().await;
}

/// Mission P18: a silent topic in the same stream, and in another one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_topic_delays_no_other() {
    let world = World::new().await;
    let mut silent = world.audit().topic("files").follow();
    let mut both = world.audit().topic("files").topic("projectile").follow();
    let mut silent_metric = world.metric().topic("files").watch();
    assert_eq!(silent_metric.next().await.unwrap().unwrap().total, 0);
    for round in 1..=5 {
        // The silent stream is polled meanwhile.
        let waits = timeout(Duration::from_millis(20), silent.next());
        let acts = world.append(vec![ring("alice"), act("bob", "1", ProjectEvent::Seen)]);
        assert!(tokio::join!(waits, acts).0.is_err(), "no event has this topic");
        let row = timeout(Duration::from_secs(10), both.next()).await.expect("the silent topic delays it");
        assert_eq!(row.unwrap().unwrap().position, 2 * round);
    }
    // An event on the silent topic arrives.
    world.append(vec![act("bob", "1", ProjectEvent::Wrote { path: "a".into() })]).await;
    for stream in [&mut silent, &mut both] {
        let row = timeout(Duration::from_secs(10), stream.next()).await.expect("no row within 10 seconds");
        assert_eq!(row.unwrap().unwrap().position, 11);
    }
    let metric = timeout(Duration::from_secs(10), silent_metric.next()).await.expect("no row within 10 seconds");
    assert_eq!(metric.unwrap().unwrap().total, 1);
    world.close().await;
}

/// Mission P1: the buffer of a slow reader is bounded, and no event is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_reader_gets_all_ten_thousand_events() {
    let world = World::new().await;
    let mut stream = world.audit().limit(10_000).follow();
    for n in 0..10 {
        world.append((0..1_000).map(|m| any_act(n * 1_000 + m)).collect()).await;
        assert_eq!(stream.next().await.unwrap().unwrap().position, n + 1);
    }
    let rest: Vec<AuditRow> = stream.try_collect().await.unwrap();
    assert_eq!(positions(&rest), (11..=10_000).collect::<Vec<_>>());
    world.close().await;
}

/// Mission P16
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_ends_at_its_limit_at_the_end_of_its_range_and_with_the_application() {
    let world = World::new().await;
    world.append((0..9).map(any_act).collect()).await;
    assert_eq!(ended(world.audit().limit(4)).await, [1, 2, 3, 4]);
    assert_eq!(ended(world.audit().until(4)).await, [1, 2, 3]);
    assert_eq!(ended(world.audit().from(8).until(10)).await, [8, 9], "all events before 10 are stored");
    let third = world.log().await[2].event_id;
    assert_eq!(ended(world.audit().until(third)).await, [1, 2]);

    let mut dropped = world.audit().follow();
    dropped.next().await.unwrap().unwrap();
    drop(dropped);

    world.settled("metrics").await;
    let following = tokio::spawn(ended(world.audit()));
    let waiting = tokio::spawn(ended(world.audit().from(100)));
    let metric = tokio::spawn(world.metric().watch().count());
    tokio::time::sleep(Duration::from_millis(200)).await;
    world.close().await;
    assert_eq!(following.await.unwrap().len(), 9);
    assert_eq!(waiting.await.unwrap().len(), 0);
    assert_eq!(metric.await.unwrap(), 1);
}

/// Mission P16, on a log without new events.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_range_that_ends_at_a_time_ends_then_although_no_event_comes() {
    let world = World::new().await;
    let end = world.now() + SignedDuration::from_secs(60);
    world.append((0..3).map(any_act).collect()).await;
    let by_time = tokio::spawn(ended(world.audit().until(end)));
    let id = uuid::Builder::from_unix_timestamp_millis(end.as_millisecond() as u64, &[0; 10]).into_uuid();
    let by_id = tokio::spawn(ended(world.audit().until(id)));
    let begins_later =
        tokio::spawn(ended(world.audit().from(world.now() + SignedDuration::from_secs(30)).until(end)));
    world.pass(SignedDuration::from_secs(40));
    world.append((0..2).map(any_act).collect()).await;
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert!(!by_time.is_finished() && !by_id.is_finished());
    world.pass(SignedDuration::from_secs(25));
    for stream in [by_time, by_id] {
        assert_eq!(stream.await.unwrap(), [1, 2, 3, 4, 5]);
    }
    assert_eq!(begins_later.await.unwrap(), [4, 5]);
    // Later events are not in the range. An event after its end shows the end as well as the clock does.
    let receipt = world.append((0..2).map(any_act).collect()).await;
    assert_eq!(ended(world.audit().from(4).until(end).after(receipt)).await, [4, 5]);
    world.close().await;
}

/// Mission P17
#[tokio::test]
async fn one_query_serves_pages_and_streams_and_following_backwards_is_an_error() {
    let world = World::new().await;
    let receipt = world.append((0..40).map(any_act).collect()).await;
    let query = || world.audit().after(receipt).actor("user:alice").until(30);
    assert_eq!(ended(query()).await, all(query()).await);
    let error = query().by_occurrence().follow().next().await.unwrap().unwrap_err();
    assert!(matches!(error, AuditError::Query(QueryError::FollowByOccurrence)), "{error}");
    let error = query().newest_first().follow().next().await.unwrap().unwrap_err();
    assert!(matches!(error, AuditError::Query(QueryError::FollowNewestFirst)), "{error}");

    // Stopped in the middle of a page, it continues after the last row.
    let first = query().follow().next().await.unwrap().unwrap();
    let cursor = query().cursor_after(&first).unwrap().to_string().parse().unwrap();
    assert_eq!(ended(query().cursor(cursor)).await, all(query()).await[1..]);
    world.close().await;
}

crate::projections::tests::fixture::stores::on_postgres_too! {
    stored_then_live_events_come_once_and_in_order_while_others_write,
    a_silent_topic_delays_no_other,
    a_slow_reader_gets_all_ten_thousand_events,
    a_stream_ends_at_its_limit_at_the_end_of_its_range_and_with_the_application,
    a_range_that_ends_at_a_time_ends_then_although_no_event_comes,
    one_query_serves_pages_and_streams_and_following_backwards_is_an_error,
}
