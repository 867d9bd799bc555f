//! How SQLite finds what is asked for: down one index, and no further than the page.

use super::*;
use crate::projections::audit::filters::Filters;
use crate::store::{Cell, ViewSnapshot};

async fn plan(filters: &Filters, snapshot: &mut dyn ViewSnapshot) -> String {
    let mut plans = Vec::new();
    for newest_first in [false, true] {
        let (sql, parameters) = filters.statement(&(5..500), newest_first, 51, snapshot);
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
        let plan = plan(&filters, &mut *snapshot).await;
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
        f.topics.extend(["files".parse().unwrap(), "project/member".parse().unwrap()]);
        f.actors.insert("user:alice".parse().unwrap());
        f.actions.insert(Action::Update);
    });
    let plan = plan(&filters, &mut *snapshot).await.replace('"', "");
    assert_eq!(plan.matches("PRIMARY KEY (topic=? AND position>? AND position<?)").count(), 4, "{plan}");
    let scans = plan.lines().filter(|step| step.starts_with("SCAN") && !step.starts_with("SCAN arm"));
    assert_eq!(scans.filter(|step| !step.contains("SUBQUERY")).count(), 0, "{plan}");
    drop(snapshot);
    world.close().await;
}
