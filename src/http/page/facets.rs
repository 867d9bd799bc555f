//! What the events of a page have in common: by whom, which action, of which type, in which topics. Each leads to fewer.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::address::Address;
use super::chart::share;
use super::event::Told;
use super::question::{About, Question};
use super::site::Site;
use super::words::{given, number, reference};
use crate::events::Topic;
use crate::projections::audit::{AuditCount, Facet};

/// How many values of each.
const MOST: usize = 8;

/// `below`: the topics below the one that is asked for, where they are known of the whole log.
pub(super) fn facets(
    site: &Site,
    question: &Question,
    count: &AuditCount,
    told: &[Told],
    below: &[Topic],
) -> Markup {
    let narrowed = |name: &str, value: &str| {
        let filters = question.given.filters().with(name, value);
        question.link(site, &filters)
    };
    let whole = count.events;
    let by_whom = !matches!(question.about, About::Thing { did: true, .. });
    html! {
        aside.aside aria-label="What these events have in common" {
            @if count.actors.len() > 1 && by_whom {
                (list("By whom", &count.actors, whole, |actor| narrowed("actor", actor)))
            }
            @if count.actions.len() > 1 { (list("What was done", &count.actions, whole, |action| narrowed("action", action))) }
            @if count.event_types.len() > 1 { (list("Which events", &count.event_types, whole, |event| narrowed("event", event))) }
            @let topics = topics(&question.filters, told);
            @if !below.is_empty() {
                section #below {
                    h2 { "Topics" }
                    ul.bars { @for topic in below { li { a href=(narrowed("topic", topic.as_str())) { (given(topic.as_str())) } } } }
                }
            } @else if topics.len() > 1 {
                section {
                    h2 { "Topics on this page" }
                    ul.bars {
                        @for (topic, events) in topics.iter().take(MOST) {
                            li { a href=(narrowed("topic", topic)) { (given(topic)) } span.number { (number(*events)) } (share(*events, told.len() as u64)) }
                        }
                    }
                }
            }
            @if let About::Thing { of, .. } = &question.about {
                section { h2 { "Reference" } p { (reference(site, of)) } }
            }
        }
    }
}

fn list<T: ToString>(title: &str, facets: &[Facet<T>], whole: u64, link: impl Fn(&str) -> String) -> Markup {
    html! {
        section {
            h2 { (title) }
            ul.bars {
                @for facet in facets.iter().take(MOST) {
                    @let value = facet.value.to_string();
                    li { a href=(link(&value)) { (given(&value)) } span.number { (number(facet.events)) } (share(facet.events, whole)) }
                }
            }
            @if facets.len() > MOST { p.soft { "and " (facets.len() - MOST) " more" } }
        }
    }
}

/// The topics one step below the one that is asked for, as often as they occur; those of most events first.
fn topics(filters: &Address, told: &[Told]) -> Vec<(String, u64)> {
    let asked = filters.get("topic").and_then(|topic| topic.parse::<Topic>().ok()).unwrap_or_default();
    let depth = asked.segments().count();
    let mut topics: BTreeMap<String, u64> = BTreeMap::new();
    for topic in told.iter().flat_map(|told| &told.row.topics).filter(|topic| asked.contains(topic)) {
        if let Some(below) = topic.with_ancestors().nth(depth + 1) {
            *topics.entry(below.to_owned()).or_default() += 1;
        }
    }
    let mut topics: Vec<(String, u64)> = topics.into_iter().collect();
    topics.sort_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(&other.0)));
    topics
}
