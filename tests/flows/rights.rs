//! Who sees what.

use annals::prelude::*;
use annals::projections::audit::Detail;
use annals::projections::flows::FlowError;
use annals_test_postgres::Place;

use crate::lab::*;

async fn head(annals: &Annals) -> annals::events::LogPosition {
    annals.store().head().await.unwrap()
}

pub async fn a_reader_without_the_right_to_the_audit_log_sees_no_flows_and_the_read_is_recorded(place: &Place) {
    let clock = HandClock::new();
    let annals = app(&clock).open(place.url()).await.unwrap();
    write(&annals, "user:ann", &[("a", vec![from(&["store:b"])])]).await;
    grant(&annals, "user:eve", &["execute * *", "metrics *", "catalogue"]).await;
    let eve = annals.read_as(&by("user:eve")).flows().after(head(&annals).await);
    assert!(matches!(eve.clone().page().await, Err(FlowError::Denied(_))));
    assert!(matches!(eve.clone().by_minute().await, Err(FlowError::Denied(_))));
    assert!(matches!(eve.clone().largest().await, Err(FlowError::Denied(_))));
    assert!(matches!(eve.clone().outward().await, Err(FlowError::Denied(_))));
    let width = "1m".parse().unwrap();
    assert!(matches!(eve.clone().unusual(width).await, Err(FlowError::Denied(_))));
    assert!(matches!(eve.clone().grants(false).await, Err(FlowError::Denied(_))));
    // With the right to the audit log, but not to the grants.
    grant(&annals, "user:eve", &["audit metadata"]).await;
    assert!(eve.clone().page().await.is_ok());
    assert!(matches!(eve.clone().grants(false).await, Err(FlowError::Denied(_))));
    grant(&annals, "user:eve", &["read access *"]).await;
    assert!(!eve.clone().grants(false).await.unwrap().grants.is_empty());
    settled(&annals).await;
    let reads = annals.audit().topic("annals/read").page().await.unwrap().rows;
    let sentences: Vec<&str> = reads.iter().map(|row| row.sentence.as_str()).collect();
    assert_eq!(sentences, ["user:eve read metadata of flows", "user:eve read metadata of grants and their use"]);
    assert!(annals.audit().refused().page().await.unwrap().rows.len() >= 6);
    annals.close().await;
}

/// Mission D19. Nothing that an answer to a reader of metadata shows depends on a value of a payload.
pub async fn readers_of_metadata_see_no_source_of_a_payload_and_no_destination(place: &Place) {
    let mut answers = Vec::new();
    for (sources, host) in [(&["store:x"][..], "host:one"), (&["store:y", "store:z"], "host:two")] {
        let place = crate::beside(place);
        let clock = HandClock::new();
        let annals = app(&clock).open(place.url()).await.unwrap();
        grant(&annals, "user:meta", &["audit metadata"]).await;
        write(&annals, "user:ann", &[("a", vec![from(sources)])]).await;
        assert!(export(&annals, "user:ann", "store:a", Some(host)).await);
        let full = annals.flows().after(head(&annals).await);
        let all_full: Vec<String> = all(full.clone(), 10, false).await.iter().map(words).collect();
        assert!(all_full.contains(&format!("store:a > user:ann > {host}: 1 used")), "{all_full:?}");
        assert!(all_full.contains(&format!("{} > user:ann > store:a: 1 used", sources[0])), "{all_full:?}");
        let metadata = annals.read_as(&by("user:meta")).flows().after(head(&annals).await);
        let page = metadata.clone().page().await.unwrap();
        assert_eq!(page.detail, Detail::Metadata);
        // Filters find nothing of it either.
        for hidden in [sources[0], host] {
            let asked = annals.read_as(&by("user:meta")).flows();
            assert!(asked.clone().source(hidden).page().await.unwrap().flows.is_empty());
            assert!(asked.sink(hidden).page().await.unwrap().flows.is_empty());
        }
        let paths = metadata.clone().outward().await.unwrap().paths;
        let paths =
            paths.into_iter().map(|path| format!("{} > {} > {}", path.source, path.actor, path.destination));
        let shown: Vec<String> = page.flows.iter().map(words).chain(paths).collect();
        answers.push(shown);
        annals.close().await;
    }
    assert_eq!(answers[0], answers[1]);
    assert_eq!(
        answers[0].iter().filter(|it| it.contains("store:")).cloned().collect::<Vec<_>>(),
        [
            "- > user:ann > store:a: 1 used",
            "store:a > user:ann > [redacted]: 1 used",
            "store:a > user:ann > [redacted]",
        ]
    );
}

pub async fn a_reader_of_one_actor_sees_the_flows_of_that_actor_alone(place: &Place) {
    let clock = HandClock::new();
    let annals = app(&clock).open(place.url()).await.unwrap();
    grant(&annals, "app:one", &["execute * *", "audit full actor=app:one"]).await;
    write(&annals, "app:one", &[("a", vec![from(&["store:b"])])]).await;
    write(&annals, "user:ann", &[("a", vec![from(&["store:c"])])]).await;
    let own = annals.read_as(&by("app:one")).flows().after(head(&annals).await);
    assert!(matches!(own.clone().page().await, Err(FlowError::Denied(_))), "the whole platform");
    let scoped = own.actor("app:one".parse().unwrap()).page().await.unwrap().flows;
    let whole = all(annals.flows().after(head(&annals).await), 100, false).await;
    let filtered: Vec<_> = whole.into_iter().filter(|flow| flow.actor.as_str() == "app:one").collect();
    assert!(!scoped.is_empty());
    // The read itself may be recorded in between.
    let written = |flows: Vec<annals::projections::flows::Flow>| -> Vec<_> {
        flows.into_iter().filter(|flow| flow.sink.is_some()).collect()
    };
    assert_eq!(written(scoped), written(filtered));
    annals.close().await;
}
