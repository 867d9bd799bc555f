//! The form that a question is put with, and what is asked for already, each part of which can be left out again.

use maud::{Markup, html};

use super::feed::filter_words;
use super::question::Question;
use super::site::Site;
use super::words::{given, utc};
use crate::events::{Action, Topic, Types};
use crate::projections::RangeBound;
use crate::projections::audit::AuditCount;
use crate::projections::presenter::plain;

pub(super) fn form(site: &Site, question: &Question, types: &Types, count: &AuditCount, below: &[Topic]) -> Markup {
    let fixed = question.about.fixed().map(|(name, _)| name);
    let offered = |name: &str| fixed != Some(name);
    let asked = |name: &str| question.given.get(name).unwrap_or_default().to_owned();
    html! {
        form.filter.sheet role="search" aria-label="Filter the events" method="get" action=(site.link(question.about.path(), &Default::default())) autocomplete="off" {
            (hidden(question))
            div.fields.first {
                div.wide { label for="text" { "Text" } input #text type="search" name="text" value=(asked("text")) placeholder="said or stored"; }
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
                        }
                    }
                }
                div.go { button.main type="submit" { "Filter" } }
            }
            details {
                summary { "More filters" }
                div.fields {
                    div { label for="topic" { "Topic and below" } input #topic name="topic" value=(asked("topic")) placeholder="project/member" list="topics" spellcheck="false" autocapitalize="none"; }
                    (moment("occurred_from", "From", &asked("occurred_from")))
                    (moment("occurred_until", "Until", &asked("occurred_until")))
                    div { label for="event" { "Event type" } input #event name="event" value=(asked("event")) list="events" spellcheck="false" autocapitalize="none"; }
                    div { label for="aggregate" { "Happened to" } input #aggregate name="aggregate" value=(asked("aggregate")) spellcheck="false" autocapitalize="none"; }
                    div { label for="correlation" { "Belongs to" } input #correlation name="correlation" value=(asked("correlation")) spellcheck="false"; }
                    (moment("from", "Recorded from", &asked("from")))
                    (moment("until", "Recorded until", &asked("until")))
                    div {
                        label for="by_occurrence" { "Order" }
                        select #by_occurrence name="by_occurrence" {
                            option value="" { "as it was recorded" }
                            option value="true" selected[asked("by_occurrence") == "true"] { "as it happened" }
                        }
                    }
                }
            }
            datalist #actors { @for actor in &count.actors { option value=(actor.value) {} } }
            datalist #topics { @for topic in topics(types, below) { option value=(topic) {} } }
            datalist #events { @for known in types.iter() { option value=(known.declaration.event_type) {} } }
        }
    }
}

/// What has no field: what the page is about, and further values of filters that have several.
fn hidden(question: &Question) -> Markup {
    let mut seen = std::collections::BTreeSet::new();
    let fixed = question.about.fixed().map(|(name, _)| name);
    let filters = question.given.filters();
    let further: Vec<(&str, &str)> =
        filters.iter().filter(|(name, _)| fixed != Some(name) && !seen.insert((*name).to_owned())).collect();
    html! {
        @for (name, value) in question.about.own() { input type="hidden" name=(name) value=(value); }
        @for (name, value) in further { input type="hidden" name=(name) value=(value); }
    }
}

/// A field for a time; for a position or an id, where that is what was asked for.
fn moment(name: &str, words: &str, asked: &str) -> Markup {
    let time = match asked.parse::<RangeBound>() {
        Ok(RangeBound::Time(time)) => Some(time),
        _ => None,
    };
    html! {
        div {
            label for=(name) { (words) }
            @if time.is_some() || asked.is_empty() {
                input id=(name) type="datetime-local" name=(name) step="1" data-utc=[time] value=(time.map(|time| utc(time, "%Y-%m-%dT%H:%M:%S")).unwrap_or_default());
            } @else {
                input id=(name) name=(name) value=(asked);
            }
        }
    }
}

/// The topics that the declarations name, up to where they depend on an event, and those that the log has here.
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

/// What is asked for already.
pub(super) fn chips(site: &Site, question: &Question) -> Markup {
    let fixed = question.about.fixed().map(|(name, _)| name);
    let filters = question.given.filters();
    let asked: Vec<(&str, &str)> = filters.iter().filter(|(name, _)| fixed != Some(name)).collect();
    if asked.is_empty() {
        return html! {};
    }
    html! {
        ul.chips aria-label="Asked for" {
            @for (name, value) in &asked {
                li.chip {
                    @let without = question.link(site, &filters.without_one(name, value));
                    span { (words(name, value)) }
                    a.off href=(without) aria-label={ "Leave out: " (filter_words(name, value)) } { "✕" }
                }
            }
            @if asked.len() > 1 {
                li.chip { a.all href=(question.link(site, &Default::default())) { "Leave out all" } }
            }
        }
    }
}

fn words(name: &str, value: &str) -> Markup {
    let label =
        super::address::FILTERS.iter().find(|(filter, _)| *filter == name).map_or(name, |(_, label)| *label);
    let time = match value.parse::<RangeBound>() {
        Ok(RangeBound::Time(time)) if name.ends_with("from") || name.ends_with("until") => Some(time),
        _ => None,
    };
    html! {
        (plain(label))
        @if let Some(time) = time { " " b { (super::words::time(time, "second")) } }
        @else if name != "by_occurrence" { " " b { (given(value)) } }
    }
}
