//! Each answer, by example.

use annals::prelude::*;
use annals::projections::QueryError;
use annals::projections::flows::{FlowError, OTHERS, Outcome};
use annals::projections::metrics::Width;
use annals_test_postgres::Place;
use jiff::SignedDuration;

use crate::lab::*;

fn minutes(minutes: i64) -> Width {
    Width(SignedDuration::from_mins(minutes))
}

/// Mission D19: one record in ten minutes, and yet the rate of each minute.
pub async fn reads_that_are_repeated_are_counted_by_minute(place: &Place) {
    let clock = HandClock::new();
    let annals = app(&clock).open(place.url()).await.unwrap();
    grant(&annals, "app:one", &["audit full"]).await;
    for (times, seconds) in [(3, 60), (5, 60), (1, 30), (2, 1_200)] {
        for _ in 0..times {
            assert!(read(&annals, "app:one", "store:a").await);
        }
        // The first read has the time of its record.
        settled(&annals).await;
        clock.pass(seconds);
    }
    settled(&annals).await;
    let query = flows(&annals).await.actor("app:one".parse().unwrap());
    let rates: Vec<(String, u64)> = all(query.clone(), 10, true)
        .await
        .iter()
        .map(|flow| (flow.minute.unwrap().to_string()[11..16].to_owned(), flow.count))
        .collect();
    let expected = [("08:00", 3), ("08:01", 5), ("08:02", 3)].map(|(minute, count)| (minute.to_owned(), count));
    assert_eq!(rates, expected);
    let [flow] = &all(query, 10, false).await[..] else { panic!("one flow") };
    assert_eq!(words(flow), "store:a > app:one > -: 11 used");
    assert_eq!(
        (flow.first.to_string(), flow.last.to_string()),
        ("2026-05-04T08:00:00Z".into(), "2026-05-04T08:02:30Z".into())
    );
    let records = annals.audit().topic("annals/read").page().await.unwrap().rows;
    let sentences: Vec<&str> = records.iter().map(|row| row.sentence.as_str()).collect();
    assert_eq!(records.len(), 2, "{sentences:?}");
    assert!(sentences[1].contains("again 10 times"), "{sentences:?}");
    annals.close().await;
}

pub async fn reads_that_are_repeated_are_recorded_before_the_application_is_closed(place: &Place) {
    let clock = HandClock::new();
    let annals = app(&clock).open(place.url()).await.unwrap();
    for _ in 0..4 {
        assert!(read(&annals, "user:ann", "store:a").await);
        assert!(export(&annals, "user:ann", "store:a", Some("host:one")).await);
    }
    annals.close().await;
    let annals = app(&clock).open(place.url()).await.unwrap();
    let counts: Vec<String> = all(flows(&annals).await, 10, false).await.iter().map(words).collect();
    assert_eq!(counts, ["store:a > user:ann > -: 4 used", "store:a > user:ann > host:one: 4 used"]);
    annals.close().await;
}

/// Mission D18.
pub async fn unused_grants_and_denied_uses_are_listed_beside_what_was_used(place: &Place) {
    let clock = HandClock::new();
    let annals = app(&clock).open(place.url()).await.unwrap();
    let used = grant(&annals, "app:one", &["execute * store:a"]).await;
    let unused = grant(&annals, "app:one", &["audit full target=store:b", "metrics store/*"]).await;
    let revoked = grant(&annals, "app:two", &["metrics *"]).await;
    let revoke = annals::access::RevokeAccess::new("app:two".parse().unwrap(), revoked, "no");
    annals.execute(revoke, &by("user:ann")).await.unwrap();
    clock.pass(60);
    let write_two = || command(&[("a", vec![from(&[]), from(&[])])]);
    for _ in 0..3 {
        annals.execute(write_two(), &by("app:one")).await.unwrap();
    }
    assert!(annals.execute(command(&[("b", vec![from(&[])])]), &by("app:one")).await.is_err());
    assert!(!read(&annals, "app:two", "store:a").await);
    settled(&annals).await;
    let query = flows(&annals).await;
    let page = query.clone().grants(false).await.unwrap();
    let listed: Vec<_> = page.grants.iter().map(|it| (it.grant, it.uses, it.revoked.is_some())).collect();
    assert_eq!(listed, [(used, 3, false), (unused, 0, false), (revoked, 0, true)]);
    assert_eq!(page.grants[0].rights, ["execute * store:a"]);
    let page = query.clone().grants(true).await.unwrap();
    assert_eq!(page.grants.iter().map(|it| it.grant).collect::<Vec<_>>(), [unused]);
    // Before they were used, both were unused.
    let page = query.clone().until("2026-05-04T08:01:00Z".parse().unwrap()).limit(1).grants(true).await.unwrap();
    assert_eq!(page.grants[0].grant, used);
    let next = query.clone().until("2026-05-04T08:01:00Z".parse().unwrap()).cursor(page.next.unwrap());
    assert_eq!(next.grants(true).await.unwrap().grants[0].grant, unused);
    let denied: Vec<String> =
        all(query.clone().outcome(Outcome::Denied), 10, false).await.iter().map(words).collect();
    assert_eq!(denied, ["- > app:one > store:b: 1 denied", "store:a > app:two > -: 1 denied"]);
    let of_one = all(query.actor("app:one".parse().unwrap()).outcome(Outcome::Used), 10, false).await;
    assert_eq!(of_one.iter().map(words).collect::<Vec<_>>(), ["- > app:one > store:a: 6 used"]);
    assert_eq!(of_one[0].via, [used]);
    annals.close().await;
}

/// Mission D21.
pub async fn the_path_from_a_source_through_an_application_to_a_destination_is_returned(place: &Place) {
    let clock = HandClock::new();
    let annals = app(&clock).open(place.url()).await.unwrap();
    grant(&annals, "app:one", &["execute * *", "audit full"]).await;
    grant(&annals, "app:two", &["audit full"]).await;
    assert!(read(&annals, "app:one", "store:health").await);
    assert!(read(&annals, "app:two", "store:health").await);
    clock.pass(60);
    write(&annals, "app:one", &[("out", vec![sent("host:evil.example")])]).await;
    clock.pass(60);
    assert!(export(&annals, "app:one", "store:a", Some("host:192.0.2.7")).await);
    assert!(export(&annals, "user:ann", "store:a", None).await);
    clock.pass(60);
    assert!(read(&annals, "app:one", "store:later").await);
    settled(&annals).await;
    let query = flows(&annals).await;
    let paths = query.clone().outward().await.unwrap().paths;
    let mut said: Vec<String> = paths
        .iter()
        .map(|path| format!("{} > {} > {}: {}/{}", path.source, path.actor, path.destination, path.sent, path.used))
        .collect();
    said.sort();
    assert_eq!(
        said,
        [
            "store:a > app:one > host:192.0.2.7: 1/1",
            "store:a > user:ann > [not recorded]: 1/1",
            "store:health > app:one > host:192.0.2.7: 0/1",
            "store:health > app:one > host:evil.example: 0/1",
        ]
    );
    // The source and the destination may be asked for, page by page.
    let of_health = query.clone().source("store:health").limit(1);
    let page = of_health.clone().outward().await.unwrap();
    let rest = of_health.cursor(page.next.clone().unwrap()).outward().await.unwrap();
    assert!(rest.next.is_none() && page.paths.len() == 1 && rest.paths.len() == 1);
    assert_ne!(page.paths[0].destination, rest.paths[0].destination);
    let to_evil = query.sink("host:evil.example").outward().await.unwrap().paths;
    assert_eq!(to_evil.iter().map(|path| path.source.as_str()).collect::<Vec<_>>(), ["store:health"]);
    annals.close().await;
}

/// Mission D20, for flows.
pub async fn a_planted_tenfold_shift_is_flagged_and_a_steady_flow_is_not(place: &Place) {
    let clock = HandClock::new();
    let annals = app(&clock).open(place.url()).await.unwrap();
    for minute in 0..40 {
        let of_planted = if minute == 35 { 30 } else { 3 };
        for (store, times) in [("steady", 3), ("planted", of_planted)] {
            let events = vec![from(&["store:source"]); times];
            write(&annals, "user:ann", &[(store, events)]).await;
        }
        clock.pass(60);
    }
    write(&annals, "user:ann", &[("last", vec![from(&[])])]).await;
    let found = flows(&annals).await.unusual(minutes(1)).await.unwrap();
    let [flow] = &found.unusual[..] else { panic!("one is unusual: {:?}", found.unusual) };
    assert_eq!(flow.sink.as_deref(), Some("store:planted"));
    assert_eq!((flow.from.to_string(), flow.count, flow.usual), ("2026-05-04T08:35:00Z".into(), 30, 3.0));
    assert!(flow.score >= 4.0 && flow.past == 30, "{flow:?}");
    assert_eq!((found.slices, found.more), (60, false));
    let steady = flows(&annals).await.sink("store:steady").unusual(minutes(1)).await.unwrap();
    assert!(steady.unusual.is_empty());
    annals.close().await;
}

pub async fn the_largest_flows_come_first_and_the_others_are_counted(place: &Place) {
    let clock = HandClock::new();
    let annals = app(&clock).open(place.url()).await.unwrap();
    for (store, times) in [("a", 1), ("b", 5), ("c", 2), ("d", 3)] {
        write(&annals, "user:ann", &[(store, vec![from(&[]); times])]).await;
    }
    let largest = flows(&annals).await.limit(2).largest().await.unwrap();
    let said: Vec<String> = largest.flows.iter().map(words).collect();
    assert_eq!(said, ["- > user:ann > store:b: 5 used", "- > user:ann > store:d: 3 used"]);
    assert_eq!((largest.others, largest.others_count), (2, 3));
    annals.close().await;
}

pub async fn an_event_with_many_sources_has_few_rows(place: &Place) {
    let clock = HandClock::new();
    let annals = app(&clock).open(place.url()).await.unwrap();
    let sources: Vec<String> = (0..10_000).map(|n| format!("store:{n:05}")).collect();
    let sources: Vec<&str> = sources.iter().map(String::as_str).collect();
    write(&annals, "user:ann", &[("a", vec![from(&sources)])]).await;
    let found = all(flows(&annals).await, 1_000, false).await;
    assert_eq!(found.len(), 33);
    assert_eq!(found.iter().filter(|flow| flow.source.as_deref() == Some(OTHERS)).count(), 1);
    annals.close().await;
}

pub async fn bad_queries_are_refused_with_the_reason(place: &Place) {
    let clock = HandClock::new();
    let annals = app(&clock).open(place.url()).await.unwrap();
    write(&annals, "user:ann", &[("a", vec![from(&["store:b"])]), ("c", vec![from(&[])])]).await;
    let query = flows(&annals).await;
    for place in ["", ":", "Store:a", "a//b"] {
        let error = query.clone().source(place).page().await.unwrap_err();
        assert!(matches!(error, FlowError::NoPlace(_)), "{place}: {error}");
    }
    let error = query.clone().limit(0).page().await.unwrap_err();
    assert!(matches!(error, FlowError::Query(QueryError::NoLimit)), "{error}");
    let next = query.clone().limit(1).page().await.unwrap().next.unwrap();
    for other in [
        query.clone().cursor(next.clone()).by_minute().await,
        query.clone().sink("store:a").cursor(next).page().await,
    ] {
        assert!(matches!(other, Err(FlowError::Query(QueryError::OtherCursor))), "{other:?}");
    }
    for width in [SignedDuration::ZERO, SignedDuration::from_secs(90), SignedDuration::from_hours(24 * 8)] {
        let error = query.clone().unusual(Width(width)).await.unwrap_err();
        assert!(matches!(error, FlowError::NoWidth), "{error}");
    }
    let long_ago = query.clone().from("2025-01-01T00:00:00Z".parse().unwrap());
    let error = long_ago.unusual(minutes(1)).await.unwrap_err();
    assert!(error.to_string().contains("shorten it"), "{error}");
    annals.close().await;
}

/// An application that does not ask for flows has no projection of them, no counts of reads, and nothing in its metadata.
pub async fn without_flows_nothing_is_kept(place: &Place) {
    let annals = App::new("databox").command::<WriteStores>().record_reads().open(place.url()).await.unwrap();
    assert!(!annals.keeps_flows());
    write(&annals, "user:ann", &[("a", vec![from(&[])])]).await;
    for _ in 0..3 {
        assert!(read(&annals, "user:ann", "store:a").await);
    }
    assert!(matches!(annals.flows().page().await, Err(FlowError::Off)));
    annals.close().await;
    let annals =
        App::new("databox").command::<WriteStores>().flows(Default::default()).open(place.url()).await.unwrap();
    let events = annals.events(0, 10).await.unwrap().events;
    let types: Vec<&str> = events.iter().map(|event| event.event_type.as_str()).collect();
    assert_eq!(types, ["store.written", "annals_read.viewed"]);
    assert!(events[0].metadata().unwrap().decided_on.is_none());
    // What the log has is folded when flows are turned on. Without rights in the log there are no grants.
    let found: Vec<String> = all(flows(&annals).await, 10, false).await.iter().map(words).collect();
    assert_eq!(found, ["- > user:ann > store:a: 1 used", "store:a > user:ann > -: 1 used"]);
    assert!(matches!(annals.flows().grants(false).await, Err(FlowError::NoRights)));
    annals.close().await;
}
