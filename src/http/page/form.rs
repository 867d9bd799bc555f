//! The filter form, and the active filters with links that remove them.

use maud::{Markup, html};

use super::address::{Address, label_of};
use super::feed_query::FeedScope;
use super::site::Site;
use super::text::utc;
use crate::events::{Action, Ref, Topic, Types};
use crate::projections::RangeBound;
use crate::projections::audit::{Detail, Facet};
use crate::projections::presenter::plain;

/// The form as `given` fills it in. It offers the actors and topics that are known to be in the log; without `types`, no names
/// of the catalogue. Metadata cannot be filtered by text.
pub(super) fn form(
    site: &Site,
    scope: &FeedScope,
    given: &Address,
    detail: Detail,
    types: Option<&Types>,
    actors: &[Facet<Ref>],
    below: &[Topic],
) -> Markup {
    let fixed = scope.fixed().map(|(name, _)| name);
    let offered = |name: &str| fixed != Some(name);
    let asked = |name: &str| given.get(name).unwrap_or_default().to_owned();
    html! {
        form.filter.sheet role="search" aria-label="Filter the events" method="get" action=(site.link(scope.path(), &Address::default())) autocomplete="off" {
            (hidden(scope, given))
            div.fields.first {
                @if detail == Detail::Full {
                    div.wide { label for="text" { "Text" } input #text type="search" name="text" value=(asked("text")) placeholder="sentence or value"; }
                }
                @if offered("actor") {
                    div { label for="actor" { "Actor" } input #actor name="actor" value=(asked("actor")) placeholder="user:alice" list="actors" spellcheck="false" autocapitalize="none"; }
                }
                @if offered("target") {
                    div { label for="target" { "Target" } input #target name="target" value=(asked("target")) placeholder="project:7" spellcheck="false" autocapitalize="none"; }
                }
                @if offered("action") {
                    div {
                        label for="action" { "Action" }
                        select #action name="action" {
                            option value="" { "any" }
                            @for action in Action::ALL { option value=(action) selected[asked("action") == action.as_str()] { (action) } }
                            @if given.get("action").is_some_and(|action| Action::ALL.iter().all(|known| known.as_str() != action)) {
                                option value=(asked("action")) selected { (plain(&asked("action"))) }
                            }
                        }
                    }
                }
                div.go { button.main type="submit" { "Filter" } }
            }
            details {
                summary { "More filters" }
                div.fields {
                    div { label for="topic" { "Topic and subtopics" } input #topic name="topic" value=(asked("topic")) placeholder="project/member" list="topics" spellcheck="false" autocapitalize="none"; }
                    (moment("occurred_from", "occurred_from", "Occurred from", &asked("occurred_from")))
                    (moment("occurred_until", "occurred_until", "Occurred until", &asked("occurred_until")))
                    div { label for="event" { "Event type" } input #event name="event" value=(asked("event")) list="events" spellcheck="false" autocapitalize="none"; }
                    div { label for="aggregate" { "Aggregate" } input #aggregate name="aggregate" value=(asked("aggregate")) spellcheck="false" autocapitalize="none"; }
                    div { label for="correlation" { "Correlation" } input #correlation name="correlation" value=(asked("correlation")) spellcheck="false"; }
                    (moment("from", "from", "Recorded from", &asked("from")))
                    (moment("until", "until", "Recorded until", &asked("until")))
                    div {
                        label for="by_occurrence" { "Order" }
                        select #by_occurrence name="by_occurrence" {
                            option value="" { "by time recorded" }
                            option value="true" selected[asked("by_occurrence") == "true"] { "by time of occurrence" }
                        }
                    }
                }
            }
            datalist #actors { @for actor in actors { option value=(actor.value) {} } }
            datalist #topics { @for topic in types.map(|types| topics(types, below)).unwrap_or_default() { option value=(topic) {} } }
            datalist #events { @for known in types.into_iter().flat_map(Types::iter) { option value=(known.declaration.event_type) {} } }
        }
    }
}

/// Hidden fields: the page's own parameters, and further values of filters with several values.
fn hidden(scope: &FeedScope, given: &Address) -> Markup {
    let mut seen = std::collections::BTreeSet::new();
    let fixed = scope.fixed().map(|(name, _)| name);
    let filters = given.filters();
    let further: Vec<(&str, &str)> =
        filters.iter().filter(|(name, _)| fixed != Some(name) && !seen.insert((*name).to_owned())).collect();
    html! {
        @for (name, value) in scope.own() { input type="hidden" name=(name) value=(value); }
        @if let Some(detail) = given.get("detail") { input type="hidden" name="detail" value=(detail); }
        @for (name, value) in further { input type="hidden" name=(name) value=(value); }
    }
}

/// A field for a time; a text field if the current value is a position or an id.
pub(super) fn moment(id: &str, name: &str, words: &str, asked: &str) -> Markup {
    let time = match asked.parse::<RangeBound>() {
        Ok(RangeBound::Time(time)) => Some(time),
        _ => None,
    };
    html! {
        div {
            label for=(id) { (words) }
            @if time.is_some() || asked.is_empty() {
                input id=(id) type="datetime-local" name=(name) step="1" data-utc=[time] value=(time.map(|time| utc(time, "%Y-%m-%dT%H:%M:%S")).unwrap_or_default());
            } @else {
                input id=(id) name=(name) value=(asked);
            }
        }
    }
}

/// Suggested topics: the constant prefixes of declared topics, and the child topics in the log.
fn topics(types: &Types, below: &[Topic]) -> Vec<String> {
    let declared = types.iter().flat_map(|known| known.patterns().iter().map(|pattern| pattern.root()));
    let declared: Vec<Topic> = declared.collect();
    let all = declared.iter().flat_map(|topic| topic.with_ancestors().skip(1).map(str::to_owned));
    let mut all: Vec<String> = all
        .chain(types.topic_roots())
        .chain(below.iter().map(Topic::to_string))
        .filter(|topic| !topic.is_empty())
        .collect();
    all.sort();
    all.dedup();
    all
}

/// The active filters.
pub(super) fn chips(site: &Site, scope: &FeedScope, given: &Address) -> Markup {
    let fixed = scope.fixed().map(|(name, _)| name);
    let filters = given.filters();
    let asked: Vec<(&str, &str)> = filters.iter().filter(|(name, _)| fixed != Some(name)).collect();
    if asked.is_empty() {
        return html! {};
    }
    html! {
        ul.chips aria-label="Active filters" {
            @for (name, value) in &asked {
                li.chip {
                    @let without = scope.link(site, &filters.without_one(name, value));
                    span { (chip(name, value)) }
                    a.off href=(without) aria-label={ "Remove filter: " (label_of(name)) " " (plain(value)) } { "✕" }
                }
            }
            @if asked.len() > 1 {
                li.chip { a.all href=(scope.link(site, &Address::default())) { "Clear all" } }
            }
        }
    }
}

/// A filter with its value.
fn chip(name: &str, value: &str) -> Markup {
    let time = match value.parse::<RangeBound>() {
        Ok(RangeBound::Time(time)) if name.ends_with("from") || name.ends_with("until") => Some(time),
        _ => None,
    };
    html! {
        (label_of(name))
        @if let Some(time) = time { " " b { (super::text::time(time, "second")) } }
        @else if let (true, Ok(path)) = (name == "topic", value.parse()) { " " b { (super::text::topic(&path)) } }
        @else if name != "by_occurrence" { " " b { (super::text::given(value)) } }
    }
}
