//! The provenance of a thing: a drawing, and a table of the same relations.

use std::collections::HashMap;

use axum::response::Response;
use maud::{Markup, PreEscaped, html};

use super::address::Address;
use super::request::PageRequest;
use super::respond;
use super::site::{Section, Site};
use super::text::{given, number};
use crate::events::Ref;
use crate::http::api::{After, ProvenanceParams};
use crate::http::{PathParams, Problem, QueryParams};
use crate::projections::audit::Detail;
use crate::projections::provenance::{Direction, Drawing, ProvenancePage, Relation, Statement};

/// The most rows of the table, and its approximate size in bytes.
const MAX_ROWS: usize = 1_000;
const MAX_BYTES: usize = 1 << 20;

/// The approximate size of a row, without names.
const ROW_BYTES: usize = 400;

/// The greatest depth that the form offers.
const DEPTHS: [u8; 7] = [1, 2, 3, 5, 10, 20, 64];
const DEFAULT_DEPTH: u8 = 3;

pub(super) async fn show(
    PathParams((kind, id)): PathParams<(String, String)>,
    request: PageRequest,
) -> Result<Response, Problem> {
    let PageRequest { site, caller, state, address, .. } = &request;
    let thing = Ref::new(&kind, &id).map_err(|error| Problem::malformed(error.to_string()))?;
    let QueryParams(params, after, _): QueryParams<ProvenanceParams, After> = QueryParams::read(&address.query())?;
    let (direction, is_first) = (params.direction, params.cursor.is_none());
    let page = params.page(state, caller, &thing, after).await?;
    let title = format!("Provenance of {thing}");
    let links = Links { site, positions: page.document.positions(), head: page.head.position };
    let content = html! {
        div.title {
            div {
                h1 { (given(&title)) }
                p {
                    @if direction == Direction::Backwards { "What it is made of" } @else { "What came of it" }
                    ", as of position " span.number { (number(page.head.position)) } ". " a href=(site.history(&thing)) { "History" }
                }
            }
            (downloads(site, &thing, address))
        }
        (directions(site, &thing, address, direction))
        (form(site, &thing, address, direction))
        (notes(&page, address))
        @if page.document.statements.is_empty() {
            div.sheet { p #nothing .empty { @if is_first { "The log names nothing that it is made of, and nothing that came of it." } @else { "Nothing more." } } }
        } @else {
            (drawing(&page, direction, &links))
            (table(&page, &links))
        }
        (pages(site, &thing, address, &page, is_first))
    };
    Ok(respond(site.page(Section::Other, &title, &content)))
}

/// The addresses of nodes.
struct Links<'a> {
    site: &'a Site,
    positions: HashMap<&'a str, u64>,
    head: u64,
}

impl Links<'_> {
    /// The event that made a version or by which a command, an export or a read is known; the history of a thing or an agent; the
    /// provenance of a version of which only the name is on the page.
    fn of(&self, node: &Statement) -> Option<String> {
        let position = node.id.as_deref().and_then(|id| self.positions.get(id));
        if let Some(position) = position.filter(|position| **position <= self.head) {
            let alone = Address::default().with("from", position).with("until", position + 1);
            return Some(self.site.link("", &alone));
        }
        Some(match node.thing()? {
            (thing, Some(_)) => self.site.provenance(&thing, &Address::default()),
            (thing, None) => self.site.history(&thing),
        })
    }

    fn linked(&self, node: &Statement) -> Markup {
        let label = given(node.label().or(node.id.as_deref()).unwrap_or_default());
        html! { @if let Some(link) = self.of(node) { a href=(link) { (label) } } @else { (label) } }
    }
}

/// The tabs: backwards and forwards.
fn directions(site: &Site, thing: &Ref, address: &Address, now: Direction) -> Markup {
    let kept = address.without("cursor");
    html! {
        nav.tabs aria-label="Direction" {
            @for (direction, words) in [(Direction::Backwards, "What it is made of"), (Direction::Forwards, "What came of it")] {
                a href=(site.provenance(thing, &kept.with("direction", direction.as_str()))) aria-current=[(direction == now).then_some("true")] { (words) }
            }
        }
    }
}

/// The depth and the time.
fn form(site: &Site, thing: &Ref, address: &Address, direction: Direction) -> Markup {
    let depth = address.get("depth").and_then(|depth| depth.parse().ok()).unwrap_or(DEFAULT_DEPTH);
    let mut depths = DEPTHS.to_vec();
    if !depths.contains(&depth) {
        depths.push(depth);
    }
    html! {
        form.filter.sheet method="get" action=(site.provenance(thing, &Address::default())) {
            input type="hidden" name="direction" value=(direction.as_str());
            div.fields.first {
                div {
                    label for="depth" { "Depth" }
                    select #depth name="depth" { @for one in &depths { option value=(one) selected[*one == depth] { (one) @if *one == 1 { " step" } @else { " steps" } } } }
                }
                div.wide {
                    label for="at" { "As of a position, a date or a time" }
                    input #at name="at" value=(address.get("at").unwrap_or_default()) placeholder="now" maxlength="64" autocomplete="off";
                }
                div.go { span.label aria-hidden="true" { "\u{a0}" } button.main type="submit" { "Show" } }
            }
        }
    }
}

/// What the page leaves out.
fn notes(page: &ProvenancePage, address: &Address) -> Markup {
    let notes = [
        (
            page.detail == Detail::Metadata,
            "You see metadata: sources that only a payload names, and who read what, are left out.",
        ),
        (page.deeper, "Some of it is deeper: choose a greater depth."),
        (
            page.unfollowed,
            "Some of it is named and not followed: a node has too many relations. Open the provenance of what it names.",
        ),
        (page.withheld, "Some of it is left out: you may not read the audit log of these things."),
    ];
    let all: Vec<&str> = notes.into_iter().filter(|(is, _)| *is).map(|(_, words)| words).collect();
    html! {
        @if !all.is_empty() { div.note #limits { @for words in all { p { (words) } } } }
        @if address.get("cursor").is_some() { p.note { "This page continues an earlier one." } }
    }
}

fn drawing(page: &ProvenancePage, direction: Direction, links: &Links<'_>) -> Markup {
    let drawing = Drawing::of(&page.document, direction, |node| links.of(node));
    let side = match direction {
        Direction::Backwards => "Newest on the left.",
        Direction::Forwards => "Oldest on the left.",
    };
    html! {
        figure.drawing.sheet {
            div.scroll tabindex="0" role="group" aria-label="Drawing; the table below has the same relations" { (PreEscaped(drawing.in_page())) }
            figcaption {
                "An arrow points to what was before. Rounded: a version, a thing, a plan or a file. Rectangle: a command, an export or a read. House: "
                "who did it. Dashed: stated on another page, or elsewhere in this drawing. " (side)
                @if drawing.left_out > 0 { " " strong { (number(drawing.left_out as u64)) " arrows have no place in the drawing." } }
            }
        }
    }
}

/// The relations as a table.
fn table(page: &ProvenancePage, links: &Links<'_>) -> Markup {
    let (mut rows, mut bytes, mut left_out): (Vec<Relation<'_>>, usize, u64) = (Vec::new(), 0, 0);
    for relation in page.document.relations() {
        let names = [relation.from, relation.to].into_iter().filter_map(|node| node.id.as_deref());
        bytes += ROW_BYTES + names.map(str::len).sum::<usize>();
        match rows.len() < MAX_ROWS && bytes < MAX_BYTES {
            true => rows.push(relation),
            false => left_out += 1,
        }
    }
    html! {
        div.sheet.block.relations {
            h2 { "Relations" }
            div.scroll {
                table.list {
                    thead { tr { th scope="col" { "From" } th scope="col" { "Relation" } th scope="col" { "To" } } }
                    tbody {
                        @for Relation { from, words, to } in &rows {
                            tr { td { (links.linked(from)) } td { (words) } td { (links.linked(to)) } }
                        }
                    }
                }
            }
            @if left_out > 0 { p.soft { "and " (number(left_out)) " more: the document as JSON has all." } }
        }
    }
}

/// The document in other formats.
fn downloads(site: &Site, thing: &Ref, address: &Address) -> Markup {
    html! {
        div.tools {
            details.download {
                summary.button { "Download" }
                ul {
                    @for (format, words) in [("json", "PROV-JSON"), ("provn", "PROV-N"), ("svg", "SVG"), ("dot", "Graphviz")] {
                        li { a href=(site.link(&Site::path("provenance", thing), &address.with("format", format))) { (words) } }
                    }
                }
            }
        }
    }
}

fn pages(site: &Site, thing: &Ref, address: &Address, page: &ProvenancePage, is_first: bool) -> Markup {
    html! {
        nav.pages aria-label="Pages" {
            @if is_first { span {} } @else { a.button href=(site.provenance(thing, &address.without("cursor"))) { "← First page" } }
            @if let Some(next) = &page.next {
                a.button rel="next" #next href=(site.provenance(thing, &address.with("cursor", next))) { "Next page →" }
            }
        }
    }
}
