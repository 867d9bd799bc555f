//! Child topics.

use std::collections::BTreeSet;

use super::*;
use crate::projections::tests::fixture::stores::on_postgres_too;

on_postgres_too!(the_child_topics_are_those_of_the_events_whatever_their_names);

/// Names that sort between others, and before all others.
const PATHS: [&str; 12] =
    ["a", "a/b", "a-b/c", "a0", "a/b/c", "b/c/d/e", "é/x", "\u{10ffff}/z", "%25", "a b", "a\u{1}/y", "Z"];

/// Mission P10: from whole blocks and later events; each topic once, by segment; if there are more than requested,
/// the first ones in the log.
#[tokio::test]
async fn the_child_topics_are_those_of_the_events_whatever_their_names() {
    let world = World::new().await;
    let wrote = |path: &str| act("alice", "7", ProjectEvent::Wrote { path: path.to_owned() });
    let mut paths: Vec<String> = PATHS.iter().cycle().take(300).map(|path| (*path).to_owned()).collect();
    paths.push("last/of/all".to_owned());
    let receipt = world.append(paths.iter().map(|path| wrote(path)).chain([ring("bob")]).collect()).await;
    let log = world.log().await;
    let types = types();
    // In the order of the log.
    let mut all: Vec<String> = vec![String::new()];
    for stored in &log {
        let known = types.of(stored).unwrap();
        let topics = known.topics(stored, &known.describe(stored).unwrap());
        let topics: BTreeSet<&str> = topics.iter().flat_map(|topic| topic.with_ancestors()).collect();
        all.extend(
            topics
                .into_iter()
                .filter(|topic| !all.iter().any(|other| other == topic))
                .map(str::to_owned)
                .collect::<Vec<_>>(),
        );
    }
    for topic in all.iter().map(String::as_str) {
        let prefix = if topic.is_empty() { String::new() } else { format!("{topic}/") };
        let expected: Vec<&str> = all
            .iter()
            .filter(|other| {
                !other.is_empty() && other.strip_prefix(&prefix).is_some_and(|rest| !rest.contains('/'))
            })
            .map(String::as_str)
            .collect();
        for most in [1, 3, 100] {
            let below = world.metric().topic(topic).after(receipt).child_topics(most).await.unwrap();
            let found: Vec<&str> = below.topics.iter().map(Topic::as_str).collect();
            let mut first = expected[..expected.len().min(most)].to_vec();
            first.sort_unstable();
            assert_eq!(found, first, "{topic}: {most}");
            assert_eq!((below.complete, below.head), (expected.len() <= most, receipt.head));
        }
    }
    assert!(["files/a-b/c", "files/last/of"].iter().all(|topic| all.iter().any(|other| other == topic)), "{all:?}");
    world.close().await;
}
