//! Facets: how many events each actor, action, type and topic has. Each value links to that filter.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::address::Address;
use super::chart::share;
use super::event::PresentedRow;
use super::feed_query::{FeedQuery, FeedScope};
use super::site::Site;
use super::text::{given, number, reference};
use crate::events::Topic;
use crate::projections::audit::{AuditCount, Facet};

/// The most values of a facet.
const MAX_VALUES: usize = 8;

/// Renders the facets. `below` has the child topics in the whole log; empty if they are unknown.
pub(super) fn facets(
    site: &Site,
    feed: &FeedQuery,
    count: &AuditCount,
    presented: &[PresentedRow],
    below: &[Topic],
) -> Markup {
    let narrowed = |name: &str, value: &str| {
        let filters = feed.given.filters().with(name, value);
        feed.link(site, &filters)
    };
    let total = count.events;
    let one_actor = matches!(feed.scope, FeedScope::Thing { did: true, .. });
    html! {
        aside.aside aria-label="Summary of these events" {
            // The script shows it when the list has newer events.
            p #counted .soft hidden { "Counted as of position " (number(count.head.position)) ". Reload to count again." }
            @if count.actors.len() > 1 && !one_actor {
                (list("Actors", &count.actors, total, |actor| narrowed("actor", actor)))
            }
            @if count.actions.len() > 1 { (list("Actions", &count.actions, total, |action| narrowed("action", action))) }
            @if count.event_types.len() > 1 { (list("Event types", &count.event_types, total, |event| narrowed("event", event))) }
            @let topics = topics(&feed.filters, presented);
            @if !below.is_empty() {
                section #below {
                    h2 { "Topics" }
                    ul.bars { @for topic in below { li { a href=(narrowed("topic", topic.as_str())) { (super::text::topic(topic)) } } } }
                }
            } @else if topics.len() > 1 {
                section {
                    h2 { "Topics on this page" }
                    ul.bars {
                        @for (topic, events) in topics.iter().take(MAX_VALUES) {
                            li { a href=(narrowed("topic", topic.as_str())) { (super::text::topic(topic)) } span.number { (number(*events)) } (share(*events, presented.len() as u64)) }
                        }
                    }
                }
            }
            @if let FeedScope::Thing { of, .. } = &feed.scope {
                section { h2 { "Reference" } p { (reference(site, of)) } }
            }
        }
    }
}

fn list<T: ToString>(title: &str, facets: &[Facet<T>], total: u64, link: impl Fn(&str) -> String) -> Markup {
    html! {
        section {
            h2 { (title) }
            ul.bars {
                @for facet in facets.iter().take(MAX_VALUES) {
                    @let value = facet.value.to_string();
                    li { a href=(link(&value)) { (given(&value)) } span.number { (number(facet.events)) } (share(facet.events, total)) }
                }
            }
            @if facets.len() > MAX_VALUES { p.soft { "and " (facets.len() - MAX_VALUES) " more" } }
        }
    }
}

/// The child topics of the requested topic in these rows, by number of events.
fn topics(filters: &Address, presented: &[PresentedRow]) -> Vec<(Topic, u64)> {
    let asked = filters.get("topic").and_then(|topic| topic.parse::<Topic>().ok()).unwrap_or_default();
    let depth = asked.segments().count();
    let mut topics: BTreeMap<Topic, u64> = BTreeMap::new();
    for topic in presented.iter().flat_map(|one| &one.row.topics).filter(|topic| asked.contains(topic)) {
        if let Some(below) = topic.with_ancestors().nth(depth + 1).and_then(|below| below.parse().ok()) {
            *topics.entry(below).or_default() += 1;
        }
    }
    let mut topics: Vec<(Topic, u64)> = topics.into_iter().collect();
    topics.sort_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(&other.0)));
    topics
}
