//! Query plans on SQLite: one index, and no more rows than a page needs.

use super::super::plan::ReadProgress;
use super::super::scan::{driver, find};
use super::super::sql::{Driver, Sql, Window};
use super::*;
use crate::store::{Cell, Row, ViewSnapshot};

fn window(newest_first: bool) -> Window {
    Window { positions: 5..500, moments: None, newest_first }
}

async fn explain(sql: (String, Row), snapshot: &mut dyn ViewSnapshot) -> String {
    let steps = snapshot.query(&format!("EXPLAIN QUERY PLAN {}", sql.0), sql.1).await.unwrap();
    steps.iter().map(|step| step.last().and_then(Cell::text).unwrap().to_owned() + "\n").collect()
}

async fn plan(filter: &AuditFilter, driver: Driver, snapshot: &mut dyn ViewSnapshot) -> String {
    let asked = filter.resolved(snapshot).await.unwrap().unwrap();
    let mut plans = String::new();
    for newest_first in [false, true] {
        let window = window(newest_first);
        let sql = Sql::new(&asked, &window, snapshot).page(driver, 51);
        plans += &explain(sql, snapshot).await;
    }
    plans
}

const FIRST: Driver = Driver::Filter { index: 0, rare: false };

fn of(fill: impl FnOnce(&mut AuditFilter)) -> AuditFilter {
    let mut filter = AuditFilter::default();
    fill(&mut filter);
    filter
}

/// Ignores whether the set had the value already.
fn with(_: bool) {}

/// Mission J12
#[tokio::test]
async fn every_single_filter_is_one_search_in_an_index_without_a_sort() {
    let world = World::new().await;
    world.append((0..700).map(any_act).collect()).await;
    let mut snapshot = world.settled("audit").await.snapshot().await.unwrap();
    let alice: Ref = "user:alice".parse().unwrap();
    let cases = [
        (of(|_| {}), "INTEGER PRIMARY KEY (rowid>? AND rowid<?)"),
        (of(|f| with(f.actors.insert(alice.clone()))), "entries_actor (actor=? AND rowid>? AND rowid<?)"),
        (
            of(|f| with(f.events.insert("bell.rang".into()))),
            "entries_event_type (event_type=? AND rowid>? AND rowid<?)",
        ),
        (of(|f| with(f.actions.insert(Action::View))), "entries_action (action=? AND rowid>? AND rowid<?)"),
        (
            of(|f| with(f.correlations.insert("request-0".into()))),
            "entries_correlation (correlation=? AND rowid>? AND rowid<?)",
        ),
        (of(|f| with(f.targets.insert(alice.clone()))), "PRIMARY KEY (target=? AND position>? AND position<?)"),
        (
            of(|f| with(f.aggregates.insert("project:1".parse().unwrap()))),
            "PRIMARY KEY (target=? AND position>? AND position<?)",
        ),
        (
            of(|f| with(f.topics.insert("files".parse().unwrap()))),
            "PRIMARY KEY (topic=? AND position>? AND position<?)",
        ),
    ];
    for (filter, index) in cases {
        let driver = if filter == AuditFilter::default() { Driver::Order } else { FIRST };
        let plan = plan(&filter, driver, &mut *snapshot).await;
        let plain = plan.replace('"', "");
        assert!(plain.contains(index), "{filter:?}\n{plan}");
        // The candidates are scanned in the order of the index.
        let plain = plain.replace("SCAN d\n", "");
        assert!(!plain.contains("SCAN") && !plain.contains("TEMP B-TREE"), "{filter:?}\n{plan}");
    }
    drop(snapshot);
    world.close().await;
}

/// Most events with an aggregate as a target are its own: no more are examined than a page needs.
#[tokio::test]
async fn a_page_of_an_aggregate_examines_one_page_of_candidates() {
    let world = World::new().await;
    world.append((0..700).map(any_act).collect()).await;
    let mut snapshot = world.settled("audit").await.snapshot().await.unwrap();
    let plan = world.audit().aggregate("project:1").newest_first().plan().unwrap();
    let candidates = find(&plan, &mut ReadProgress::default(), &mut *snapshot, 2).await.unwrap();
    assert_eq!(candidates.found.len(), 3);
    let found = candidates.read(&plan, 2).await.unwrap();
    assert_eq!((found.rows.len(), found.examined, found.exhausted), (2, 2, false));
    drop(snapshot);
    world.close().await;
}

/// Several values are several searches, each of which contributes at most a page.
#[tokio::test]
async fn several_values_and_filters_search_and_sort_at_most_a_page_each() {
    let world = World::new().await;
    world.append((0..700).map(any_act).collect()).await;
    let mut snapshot = world.settled("audit").await.snapshot().await.unwrap();
    let filter = of(|f| {
        f.targets.insert("user:dave".parse().unwrap());
        f.topics.extend(["files".parse().unwrap(), "project/member".parse().unwrap()]);
        f.actors.insert("user:alice".parse().unwrap());
        f.actions.insert(Action::Update);
        f.aggregates.insert("project:1".parse().unwrap());
    });
    for (index, (search, times)) in [
        ("(target=? AND position>? AND position<?)", 1),
        ("(target=? AND position>? AND position<?)", 1),
        ("(topic=? AND position>? AND position<?)", 2),
        ("(actor=? AND rowid>? AND rowid<?)", 1),
        ("(action=? AND rowid>? AND rowid<?)", 1),
    ]
    .into_iter()
    .enumerate()
    {
        let plan = plan(&filter, Driver::Filter { index, rare: false }, &mut *snapshot).await;
        assert_eq!(plan.matches(search).count(), 2 * times, "{search}\n{plan}");
        let scans = plan.lines().filter(|step| step.starts_with("SCAN"));
        let own = |step: &&str| !step.starts_with("SCAN arm") && *step != "SCAN d";
        assert_eq!(scans.filter(own).count(), 0, "{search}\n{plan}");
    }
    let asked = filter.resolved(&mut *snapshot).await.unwrap().unwrap();
    let window = window(false);
    let counts = Sql::new(&asked, &window, &*snapshot).count_by_filter();
    let steps = explain(counts, &mut *snapshot).await;
    // One for each value.
    assert_eq!(steps.lines().filter(|step| step.starts_with("SEARCH d")).count(), 6, "{steps}");
    assert!(!steps.contains("TEMP B-TREE"), "{steps}");
    drop(snapshot);
    world.close().await;
}

/// The order of occurrence walks its own index, from any time; a rare filter is sorted instead.
#[tokio::test]
async fn the_order_of_occurrence_is_one_search_in_its_index() {
    let world = World::new().await;
    world.append((0..700).map(any_act).collect()).await;
    let mut snapshot = world.settled("audit").await.snapshot().await.unwrap();
    let filter = of(|f| with(f.actors.insert("user:alice".parse().unwrap())));
    let asked = filter.resolved(&mut *snapshot).await.unwrap().unwrap();
    for newest_first in [false, true] {
        let moments = Some((3, 0)..(1 << 60, 7));
        let window = Window { positions: 1..700, moments, newest_first };
        let steps = explain(Sql::new(&asked, &window, &*snapshot).page(Driver::Order, 51), &mut *snapshot).await;
        let rest = if newest_first { "(occurred=? AND rowid<?)" } else { "(occurred=? AND rowid>?)" };
        for search in [rest, "(occurred>? AND occurred<?)"] {
            assert!(steps.contains(search), "{search}\n{steps}");
        }
        assert!(!steps.lines().any(|step| step.starts_with("SCAN") && step.contains("entries")), "{steps}");
        let rare = Driver::Filter { index: 0, rare: true };
        let steps = explain(Sql::new(&asked, &window, &*snapshot).page(rare, 51), &mut *snapshot).await;
        assert!(steps.contains("_actor (actor=? AND rowid>? AND rowid<?)"), "{steps}");
    }
    drop(snapshot);
    world.close().await;
}

#[tokio::test]
async fn the_filter_that_matches_the_fewest_events_drives() {
    let world = World::new().await;
    let mut acts: Vec<Act> = (0..50).map(|_| act("alice", "1", added("dave"))).collect();
    acts.push(act("bob", "1", added("dave")));
    acts.push(act("alice", "1", ProjectEvent::Seen));
    world.append(acts).await;
    let mut snapshot = world.settled("audit").await.snapshot().await.unwrap();
    for (topic, actor, driving) in [("project", "user:bob", 1), ("projectile", "user:alice", 0)] {
        let filter = of(|f| {
            f.topics.insert(topic.parse().unwrap());
            f.actors.insert(actor.parse().unwrap());
        });
        let asked = filter.resolved(&mut *snapshot).await.unwrap().unwrap();
        let window = Window { positions: 1..99, ..window(false) };
        let found = driver(&asked, &window, &mut *snapshot).await.unwrap();
        assert_eq!(found, Driver::Filter { index: driving, rare: true }, "{actor}");
    }
    drop(snapshot);
    world.close().await;
}
