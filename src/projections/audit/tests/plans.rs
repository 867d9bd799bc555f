//! How SQLite finds what is asked for: down one index, and no further than the page.

use super::super::page::rarest;
use super::*;
use crate::projections::audit::filters::Filters;
use crate::store::{Cell, ViewSnapshot};

async fn plan(filters: &Filters, driving: usize, snapshot: &mut dyn ViewSnapshot) -> String {
    let mut plans = Vec::new();
    for newest_first in [false, true] {
        let (sql, parameters) = filters.statement(driving, &(5..500), newest_first, 51, snapshot);
        let steps = snapshot.query(&format!("EXPLAIN QUERY PLAN {sql}"), parameters).await.unwrap();
        plans.extend(steps.iter().map(|step| step.last().and_then(Cell::text).unwrap().to_owned()));
    }
    plans.join("\n")
}

fn of(fill: impl FnOnce(&mut Filters)) -> Filters {
    let mut filters = Filters::default();
    fill(&mut filters);
    filters
}

/// Whether a set had it already is of no interest.
fn with(_: bool) {}

/// Mission J12
#[tokio::test]
async fn every_single_filter_is_one_search_in_an_index_without_a_sort() {
    let world = World::new().await;
    world.append((0..600).map(any_act).collect()).await;
    let mut snapshot = world.settled("audit").await.snapshot().await.unwrap();
    let alice: Ref = "user:alice".parse().unwrap();
    let cases = [
        (of(|_| {}), "INTEGER PRIMARY KEY (rowid>? AND rowid<?)"),
        (of(|f| with(f.actors.insert(alice.clone()))), "entries_actor (actor=? AND rowid>? AND rowid<?)"),
        (of(|f| with(f.events.insert("bell.rang"))), "entries_event_type (event_type=? AND rowid>? AND rowid<?)"),
        (of(|f| with(f.actions.insert(Action::View))), "entries_action (action=? AND rowid>? AND rowid<?)"),
        (
            of(|f| with(f.correlations.insert("x".into()))),
            "entries_correlation (correlation=? AND rowid>? AND rowid<?)",
        ),
        (of(|f| with(f.targets.insert(alice.clone()))), "PRIMARY KEY (target=? AND position>? AND position<?)"),
        (of(|f| with(f.aggregates.insert(alice.clone()))), "PRIMARY KEY (target=? AND position>? AND position<?)"),
        (
            of(|f| with(f.topics.insert("files".parse().unwrap()))),
            "PRIMARY KEY (topic=? AND position>? AND position<?)",
        ),
    ];
    for (filters, index) in cases {
        let plan = plan(&filters, 0, &mut *snapshot).await;
        let plain = plan.replace('"', "");
        assert!(plain.contains(index), "{filters:?}\n{plan}");
        assert!(!plain.contains("SCAN") && !plain.contains("TEMP B-TREE"), "{filters:?}\n{plan}");
    }
    drop(snapshot);
    world.close().await;
}

/// Several values are several searches, of which no more than a page each is brought together.
#[tokio::test]
async fn several_values_and_several_filters_search_and_sort_no_more_than_pages() {
    let world = World::new().await;
    world.append((0..600).map(any_act).collect()).await;
    let mut snapshot = world.settled("audit").await.snapshot().await.unwrap();
    let filters = of(|f| {
        f.targets.insert("user:dave".parse().unwrap());
        f.topics.extend(["files".parse().unwrap(), "project/member".parse().unwrap()]);
        f.actors.insert("user:alice".parse().unwrap());
        f.actions.insert(Action::Update);
        f.aggregates.insert("project:1".parse().unwrap());
    });
    for (driving, (index, times)) in [
        ("(target=? AND position>? AND position<?)", 1),
        ("(target=? AND position>? AND position<?)", 1),
        ("(topic=? AND position>? AND position<?)", 2),
        ("(actor=? AND rowid>? AND rowid<?)", 1),
        ("(action=? AND rowid>? AND rowid<?)", 1),
    ]
    .into_iter()
    .enumerate()
    {
        let plan = plan(&filters, driving, &mut *snapshot).await;
        assert_eq!(plan.matches(index).count(), 2 * times, "{driving}\n{plan}");
        let scans = plan.lines().filter(|step| step.starts_with("SCAN"));
        assert_eq!(scans.filter(|step| !step.starts_with("SCAN arm")).count(), 0, "{driving}\n{plan}");
    }
    let (sql, parameters) = filters.census(&(5..500), &*snapshot).unwrap();
    let steps = snapshot.query(&format!("EXPLAIN QUERY PLAN {sql}"), parameters).await.unwrap();
    let searches = steps.iter().filter(|step| step.last().and_then(Cell::text).unwrap().starts_with("SEARCH x"));
    assert_eq!(searches.count(), 5, "{steps:?}");
    drop(snapshot);
    world.close().await;
}

#[tokio::test]
async fn of_several_filters_the_one_that_lets_the_fewest_through_drives() {
    let world = World::new().await;
    let mut acts: Vec<Act> = (0..50).map(|_| act("alice", "1", added("dave"))).collect();
    acts.push(act("bob", "1", added("dave")));
    acts.push(act("alice", "1", ProjectEvent::Seen));
    world.append(acts).await;
    let mut snapshot = world.settled("audit").await.snapshot().await.unwrap();
    for (topic, actor, driving) in
        [("project", "user:bob", 1), ("projectile", "user:alice", 0), ("project", "user:nobody", 1)]
    {
        let filters = of(|f| {
            f.topics.insert(topic.parse().unwrap());
            f.actors.insert(actor.parse().unwrap());
        });
        assert_eq!(rarest(&filters, &(1..99), &mut *snapshot).await.unwrap(), driving, "{actor}");
    }
    drop(snapshot);
    world.close().await;
}
