//! The audit log compared with a list in memory.

use std::sync::Arc;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::events::{Stored, Topic};
use crate::projections::presenter::{Presented, present};
use crate::projections::tests::fixture::places::*;

#[derive(Clone, Debug)]
struct Query {
    actors: Vec<&'static str>,
    targets: Vec<&'static str>,
    topics: Vec<&'static str>,
    actions: Vec<Action>,
    events: Vec<&'static str>,
    aggregates: Vec<&'static str>,
    correlations: Vec<&'static str>,
    texts: Vec<&'static str>,
    occurred: [Option<u64>; 2],
    by_occurrence: bool,
    from: Option<Place>,
    until: Option<Place>,
    newest_first: bool,
    limit: Option<u64>,
    page: u64,
}

fn some(of: &'static [&'static str]) -> impl Strategy<Value = Vec<&'static str>> {
    prop_oneof![7 => Just(vec![]), 2 => vec(select(of), 1..5)]
}

fn queries() -> impl Strategy<Value = Query> {
    const TOPICS: &[&str] = &[
        "",
        "project",
        "project/member",
        "projectile",
        "files",
        "files/src",
        "files/src/a",
        "files/written",
        "all",
    ];
    let filters = (
        some(&["user:alice", "user:bob", "user:nobody"]),
        some(&["user:dave", "user:alice", "project:1", "tower:1"]),
        some(TOPICS),
        prop_oneof![7 => Just(vec![]), 2 => vec(select(&Action::ALL[..]), 1..3)],
        some(&["member.added", "member.removed", "project.seen", "bell.rang"]),
        some(&["project:1", "project:2", "tower:1"]),
        some(&["request-0", "request-1"]),
        some(&["WROTE src/a", "member", "as DEV", "user:DAVE", "\"user:dave\"", "roles\"", "Nowhere"]),
        prop_oneof![3 => Just([None, None]), 2 => [option::of(0_u64..70), option::of(0_u64..70)]],
        any::<bool>(),
    );
    let range = (option::of(places()), option::of(places()), any::<bool>(), option::of(1_u64..200), 1_u64..90);
    (filters, range).prop_map(|(filters, (from, until, newest_first, limit, page))| {
        let (actors, targets, topics, actions, events, aggregates, correlations, texts, occurred, by_occurrence) =
            filters;
        Query {
            actors,
            targets,
            topics,
            actions,
            events,
            aggregates,
            correlations,
            texts,
            occurred,
            by_occurrence,
            from,
            until,
            newest_first,
            limit,
            page,
        }
    })
}

/// The string values of a payload.
fn strings(value: &serde_json::Value, found: &mut Vec<String>) {
    match value {
        serde_json::Value::String(text) => found.push(text.clone()),
        serde_json::Value::Array(items) => items.iter().for_each(|item| strings(item, found)),
        serde_json::Value::Object(fields) => fields.values().for_each(|value| strings(value, found)),
        _ => {}
    }
}

impl Query {
    fn query(&self, world: &World, log: &[Stored]) -> AuditQuery {
        let mut query = world.audit();
        query = self.actors.iter().fold(query, |query, actor| query.actor(actor));
        query = self.targets.iter().fold(query, |query, target| query.target(target));
        query = self.topics.iter().fold(query, |query, topic| query.topic(topic));
        query = self.actions.iter().fold(query, |query, action| query.action(*action));
        query = self.events.iter().fold(query, |query, event| query.event(event));
        query = self.aggregates.iter().fold(query, |query, aggregate| query.aggregate(aggregate));
        query = self.correlations.iter().fold(query, |query, text| query.correlation(*text));
        query = self.texts.iter().fold(query, |query, text| query.text(*text));
        let [from, until] = self.occurred.map(|minutes| minutes.map(before_the_log));
        query = from.into_iter().fold(query, AuditQuery::occurred_from);
        query = until.into_iter().fold(query, AuditQuery::occurred_until);
        query = if self.by_occurrence { query.by_occurrence() } else { query };
        query = self.from.iter().fold(query, |query, from| query.from(from.bound(log)));
        query = self.until.iter().fold(query, |query, until| query.until(until.bound(log)));
        if self.newest_first { query.newest_first() } else { query }
    }

    fn wants(&self, stored: &Stored, shown: &Presented) -> bool {
        fn any<T>(wanted: &[T], has: impl Fn(&T) -> bool) -> bool {
            wanted.is_empty() || wanted.iter().any(has)
        }
        any(&self.actors, |actor| shown.metadata.actor.as_str() == *actor)
            && any(&self.targets, |target| shown.targets.iter().any(|other| other.as_str() == *target))
            && any(&self.topics, |topic| {
                let topic: Topic = topic.parse().unwrap();
                shown.topics.iter().any(|other| topic.contains(other))
            })
            && any(&self.actions, |action| shown.action == *action)
            && any(&self.events, |event| shown.event_type == *event)
            && any(&self.aggregates, |aggregate| stored.aggregate.as_str() == *aggregate)
            && any(&self.texts, |text| {
                let mut said = vec![shown.sentence.clone()];
                strings(&serde_json::from_str(&stored.payload).unwrap(), &mut said);
                said.iter().any(|said| said.to_lowercase().contains(&text.to_lowercase()))
            })
            && self.occurred[0].is_none_or(|from| stored.occurred_at >= before_the_log(from))
            && self.occurred[1].is_none_or(|until| stored.occurred_at < before_the_log(until))
            && any(&self.correlations, |text| shown.metadata.correlation.as_deref() == Some(text))
    }

    /// The expected positions; `None` if the range ends before it begins.
    fn expected(&self, log: &[Stored], types: &crate::events::Types) -> Option<Vec<u64>> {
        let first = |bound: RangeBound| {
            log.iter()
                .find(|stored| Place::is_reached_by(bound, stored))
                .map_or(EVENTS + 1, |stored| stored.position)
        };
        let (from, until) = (self.from.map(|from| from.bound(log)), self.until.map(|until| until.bound(log)));
        if let [Some(from), Some(until)] = self.occurred
            && from < until
        {
            // Minutes before the log: the larger number is the earlier time.
            return None;
        }
        if let (Some(from), Some(until)) = (from, until)
            && (from.is_after(&until) || first(until) <= EVENTS && first(from) > first(until))
        {
            return None;
        }
        let within = |stored: &&Stored| {
            from.is_none_or(|from| Place::is_reached_by(from, stored))
                && until.is_none_or(|until| !Place::is_reached_by(until, stored))
        };
        let wanted =
            log.iter().filter(within).filter(|stored| self.wants(stored, &present(types, stored).unwrap()));
        let mut wanted: Vec<&Stored> = wanted.collect();
        if self.by_occurrence {
            wanted.sort_by_key(|stored| stored.occurred_at);
        }
        let mut positions: Vec<u64> = wanted.into_iter().map(|stored| stored.position).collect();
        if self.newest_first {
            positions.reverse();
        }
        Some(positions)
    }
}

/// Missions P11, P12 and D22, also where each page reaches the bound of its work, which is low in unit tests. The filter
/// matches the same rows one by one, also after it was recorded.
#[test]
fn any_query_returns_what_a_list_in_memory_does_as_a_stream_and_page_by_page() {
    let runtime = runtime();
    let (world, log) = runtime.block_on(filled());
    let rows: Vec<AuditRow> =
        log.iter().map(|stored| AuditRow::new(&world.types, stored.clone()).unwrap()).collect();
    proptest!(ProptestConfig::with_cases(200), |(input in queries())| runtime.block_on(async {
        let query = || input.query(&world, &log);
        let Some(expected) = input.expected(&log, &world.types) else {
            let error = query().page().await.unwrap_err();
            prop_assert!(matches!(error, AuditError::Query(QueryError::EndBeforeStart { .. })), "{error}");
            return Ok(());
        };
        let limit = input.limit.map_or(expected.len(), |limit| expected.len().min(limit as usize));
        let streamed = input.limit.into_iter().fold(query(), AuditQuery::limit);
        prop_assert_eq!(&all(streamed).await, &expected[..limit], "as a stream");
        let mut paged = Vec::new();
        let mut cursor = None;
        for pages in 0.. {
            prop_assert!(pages <= expected.len() as u64 + EVENTS, "the pages do not end");
            let page = cursor.into_iter().fold(query().limit(input.page), AuditQuery::cursor).page().await.unwrap();
            prop_assert!(page.rows.len() as u64 <= input.page);
            paged.extend(positions(&page.rows));
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        prop_assert_eq!(&paged, &expected, "page by page");
        let live = Query { by_occurrence: false, newest_first: false, ..input.clone() };
        let live_query = live.query(&world, &log);
        let recorded = live_query.filter.recorded();
        let read_back = AuditFilter::from_recorded(&recorded, &world.types);
        prop_assert_eq!(&read_back, &live_query.filter, "recorded and read back");
        let plan = live_query.live_plan().unwrap();
        let matching = rows.iter().filter(|row| plan.matches(row)).map(|row| row.position);
        let mut in_order = expected.clone();
        in_order.sort_unstable();
        prop_assert_eq!(matching.collect::<Vec<_>>(), in_order, "row by row");
        let count = query().count().await.unwrap();
        prop_assert_eq!((count.events, count.complete), (expected.len() as u64, true));
        let by = |actor: &str| {
            let mut events = expected.iter().map(|position| log[*position as usize - 1].metadata().unwrap());
            events.by_ref().filter(|metadata| metadata.actor.as_str() == actor).count() as u64
        };
        prop_assert_eq!(count.actors.len() as u64, count.distinct_actors);
        prop_assert_eq!(count.actors.iter().map(|facet| facet.events).sum::<u64>(), count.events);
        prop_assert_eq!(count.actions.iter().map(|facet| facet.events).sum::<u64>(), count.events);
        prop_assert_eq!(count.event_types.iter().map(|facet| facet.events).sum::<u64>(), count.events);
        for facet in count.actors {
            prop_assert_eq!(facet.events, by(facet.value.as_str()));
        }
        let few = query().limit(input.page).count().await.unwrap();
        prop_assert!(few.events <= count.events && (!few.complete || few.events == count.events));
        Ok(())
    })?);
    runtime.block_on(world.close());
}

/// Mission P13
#[test]
fn adjacent_ranges_are_together_one_range() {
    let runtime = runtime();
    let (world, log) = runtime.block_on(filled());
    proptest!(ProptestConfig::with_cases(60), |(mut places in vec(places(), 3))| runtime.block_on(async {
        let first = |place: &Place| {
            let bound = place.bound(&log);
            log.iter().position(|stored| Place::is_reached_by(bound, stored)).unwrap_or(log.len())
        };
        // Bounds of one kind at the same event may be in either order: ranges that run backwards are skipped.
        places.sort_by_key(|place| (first(place), matches!(place, Place::Time(..)), format!("{place:?}")));
        let [a, b, c] = [places[0].bound(&log), places[1].bound(&log), places[2].bound(&log)];
        prop_assume!(!a.is_after(&b) && !b.is_after(&c) && !a.is_after(&c));
        let range = |from, until| all(world.audit().from(from).until(until));
        let both = [range(a, b).await, range(b, c).await].concat();
        prop_assert_eq!(both, range(a, c).await);
        Ok(())
    })?);
    runtime.block_on(world.close());
}

/// Mission P12, in both orders.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_return_each_event_once_while_others_write() {
    let world = Arc::new(World::new().await);
    world.append((0..200).map(any_act).collect()).await;
    world.settled("audit").await;
    let writer = tokio::spawn({
        let world = world.clone();
        async move {
            for n in 0..200 {
                world.append(vec![any_act(n)]).await;
            }
        }
    });
    for newest_first in [false, true] {
        let query = || {
            let query = world.audit().topic("project").topic("files").limit(7);
            if newest_first { query.newest_first() } else { query }
        };
        let mut page = query().page().await.unwrap();
        let first = page.head.position;
        let mut seen = positions(&page.rows);
        while let Some(cursor) = page.next {
            page = query().cursor(cursor).page().await.unwrap();
            seen.extend(positions(&page.rows));
        }
        if newest_first {
            seen.reverse();
        }
        let last = if newest_first { first } else { *seen.last().unwrap() };
        assert_eq!(seen, all(world.audit().topic("project").topic("files").until(last + 1)).await);
    }
    writer.await.unwrap();
    Arc::into_inner(world).unwrap().close().await;
}

crate::projections::tests::fixture::stores::on_postgres_too! {
    any_query_returns_what_a_list_in_memory_does_as_a_stream_and_page_by_page,
    adjacent_ranges_are_together_one_range,
    pages_return_each_event_once_while_others_write,
}
