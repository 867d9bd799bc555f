//! The tables of the page. Numbers and times link to the events of the audit log.

use maud::{Markup, html};

use crate::events::Ref;
use crate::http::Problem;
use crate::http::page::address::Address;
use crate::http::page::site::Site;
use crate::http::page::text::{given, number, rate, reference, time};
use crate::projections::flows::{
    Flow, FlowError, FlowPage, GrantFlow, GrantPage, LargestFlows, OutwardPage, UnusualFlows,
};

/// The most unusual slices that are shown.
const MAX_UNUSUAL: usize = 50;

pub(super) fn flows(site: &Site, largest: &LargestFlows) -> Markup {
    html! {
        section.block.sheet #flows {
            h2 { "The same as a table" }
            (rows(site, &largest.flows))
            @if largest.others > 0 {
                p.soft { "and " (number(largest.others)) " further flows, " (number(largest.others_count)) " in all" }
            }
        }
    }
}

pub(super) fn denied(site: &Site, page: &FlowPage) -> Markup {
    html! {
        section.block.sheet #denied {
            h2 { "Denied" }
            @if page.flows.is_empty() { p.soft { "Nothing was denied." } } @else { (rows(site, &page.flows)) }
            @if page.next.is_some() { p.soft { "and more: filter by outcome" } }
        }
    }
}

fn rows(site: &Site, flows: &[Flow]) -> Markup {
    html! {
        div.scroll {
            table.list {
                thead { tr {
                    th scope="col" { "Source" } th scope="col" { "Actor" } th scope="col" { "Sink" } th scope="col" { "Outcome" }
                    th.number scope="col" { "Count" } th scope="col" { "First" } th scope="col" { "Last" }
                } }
                tbody {
                    @for flow in flows {
                        tr {
                            td { (place(site, flow.source.as_deref())) }
                            td { (consumer(site, &flow.actor, flow.on_behalf_of.as_ref())) }
                            td { (place(site, flow.sink.as_deref())) @if flow.leads_out { " " span.outside { "leads out" } } }
                            td { (flow.outcome) }
                            td.number { a href=(site.link("", &events(flow))) { (number(flow.count)) } }
                            td { (time(flow.first, "minute")) }
                            td { a href=(record(site, flow.position)) { (time(flow.last, "minute")) } }
                        }
                    }
                }
            }
        }
    }
}

/// The events of a flow in the audit log: of the actor, about the sink or else the source.
fn events(flow: &Flow) -> Address {
    let things = [flow.sink.as_deref(), flow.source.as_deref()].into_iter().flatten();
    let thing = things.filter_map(|place| place.parse::<Ref>().ok()).find(|thing| thing.kind() != "projection");
    let address = Address::default().with("actor", &flow.actor);
    thing.into_iter().fold(address, |address, thing| address.with("target", thing))
}

/// The record at a position.
fn record(site: &Site, position: u64) -> String {
    site.link("", &Address::default().with("from", position).with("until", position.saturating_add(1)))
}

fn place(site: &Site, place: Option<&str>) -> Markup {
    match place.map(|place| (place, place.parse::<Ref>())) {
        Some((_, Ok(thing))) if thing.kind() != "projection" => reference(site, &thing),
        Some((text, _)) => given(text),
        None => html! { span.soft { "–" } },
    }
}

fn consumer(site: &Site, actor: &Ref, principal: Option<&Ref>) -> Markup {
    html! { (reference(site, actor)) @if let Some(principal) = principal { " for " (reference(site, principal)) } }
}

pub(super) fn outward(site: &Site, page: &OutwardPage) -> Markup {
    html! {
        section.block.sheet #outward {
            h2 { "What leads out" }
            p.soft { "Each source that an actor used before something led out from it. “Sent” counts what led out and names the source itself; 0 may have been sent along." }
            @if page.paths.is_empty() { p { "Nothing leads out." } } @else {
                div.scroll {
                    table.list {
                        thead { tr {
                            th scope="col" { "Source" } th scope="col" { "Actor" } th scope="col" { "Destination" }
                            th.number scope="col" { "Sent" } th.number scope="col" { "Used" } th scope="col" { "Last out" }
                        } }
                        tbody {
                            @for path in &page.paths {
                                tr {
                                    td { (place(site, Some(&path.source))) }
                                    td { (consumer(site, &path.actor, path.on_behalf_of.as_ref())) }
                                    td { (place(site, Some(&path.destination))) }
                                    td.number { (number(path.sent)) }
                                    td.number { (number(path.used)) }
                                    td { a href=(record(site, path.position)) { (time(path.last, "minute")) } }
                                }
                            }
                        }
                    }
                }
                @if page.next.is_some() { p.soft { "and more: give a source, an actor or a sink" } }
            }
        }
    }
}

pub(super) fn unusual(site: &Site, found: Result<UnusualFlows, FlowError>) -> Result<Markup, Problem> {
    let found = match found {
        Ok(found) => found,
        Err(error @ (FlowError::TooManySlices { .. } | FlowError::TooMuch { .. })) => {
            let reason = error.to_string();
            return Ok(html! { section.block.sheet #unusual { h2 { "Unusual" } p.soft { (given(&reason)) } } });
        }
        Err(error) => return Err(error.into()),
    };
    Ok(html! {
        section.block.sheet #unusual {
            h2 { "Unusual" }
            p.soft { "Minutes in which a flow was far from its own past of 30 minutes. " (number(found.slices)) " minutes examined." }
            @if found.unusual.is_empty() { p { "Nothing unusual." } } @else {
                div.scroll {
                    table.list {
                        thead { tr {
                            th scope="col" { "When" } th scope="col" { "Source" } th scope="col" { "Actor" } th scope="col" { "Sink" }
                            th.number scope="col" { "Count" } th.number scope="col" { "Usual" } th scope="col" { "Change" }
                        } }
                        tbody {
                            @for flow in found.unusual.iter().rev().take(MAX_UNUSUAL) {
                                @let slice = Address::default().with("actor", &flow.actor).with("from", flow.from).with("until", flow.until);
                                tr {
                                    td { a href=(site.link("", &slice)) { (time(flow.from, "minute")) } }
                                    td { (place(site, flow.source.as_deref())) }
                                    td { (consumer(site, &flow.actor, flow.on_behalf_of.as_ref())) }
                                    td { (place(site, flow.sink.as_deref())) }
                                    td.number { (number(flow.count)) }
                                    td.number { (rate(flow.usual)) }
                                    td { @if flow.score > 0.0 { "↑ far more" } @else { "↓ far fewer" } " " span.soft.number { "(" (format!("{:+.1}", flow.score)) ")" } }
                                }
                            }
                        }
                    }
                }
            }
        }
    })
}

pub(super) fn grants(site: &Site, page: &GrantPage) -> Markup {
    html! {
        section.block.sheet #permitted {
            h2 { "Permitted and used" }
            @if page.grants.is_empty() { p { "There are no grants." } } @else {
                div.scroll {
                    table.list {
                        thead { tr {
                            th scope="col" { "Holder" } th scope="col" { "Rights" } th.number scope="col" { "Uses" }
                            th scope="col" { "Last" } th scope="col" { "Given" } th scope="col" { "State" }
                        } }
                        tbody { @for grant in &page.grants { (grant_row(site, grant)) } }
                    }
                }
                @if page.next.is_some() { p.soft { "and more: filter by actor" } }
            }
        }
    }
}

fn grant_row(site: &Site, grant: &GrantFlow) -> Markup {
    html! {
        tr {
            td { (reference(site, &grant.grantee)) }
            td { @for right in &grant.rights { div { (given(right)) } } }
            td.number { (number(grant.uses)) }
            td { @if let Some(last) = grant.last { (time(last, "minute")) } @else { span.soft { "never" } } }
            td { a href=(record(site, grant.position)) { (time(grant.at, "minute")) } }
            td {
                @if let Some(revoked) = grant.revoked { "revoked " (time(revoked, "minute")) }
                @else if let Some(until) = grant.until { "until " (time(until, "minute")) }
                @else if grant.uses == 0 { span.outside { "unused" } }
            }
        }
    }
}
