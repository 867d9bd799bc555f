//! Flows: a drawing of where things flow, a table of the same, what leads out, what is unusual, and what is permitted.
//!
//! ## Layout
//! - `sankey`: the drawing
//! - `tables`: the tables

mod sankey;
mod tables;

use axum::extract::{RawQuery, State};
use axum::response::Response;
use jiff::SignedDuration;
use maud::{Markup, html};

use super::address::Address;
use super::form::moment;
use super::respond;
use super::site::{FLOWS, Section, Site};
use super::text::{given, number};
use crate::http::{AppState, Caller, Problem, QueryParams};
use crate::projections::audit::Detail;
use crate::projections::flows::{FlowError, FlowQuery, FlowQueryParams, Outcome};
use crate::projections::metrics::Width;
use crate::text::name_list;

/// The flows of the drawing; the others are one.
const DRAWN: usize = 24;
/// The rows of the other tables.
const ROWS: usize = 50;

/// The parameters of the page.
const PARAMETERS: [&str; 6] = ["actor", "source", "sink", "outcome", "from", "until"];

pub(super) async fn show(
    site: Site,
    caller: Caller,
    State(state): State<AppState>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let asked = Address::parse(query.as_deref());
    if let Some((name, _)) = asked.iter().find(|(name, _)| !PARAMETERS.contains(name)) {
        let (name, known) = (name.escape_debug(), name_list(PARAMETERS));
        return Err(Problem::malformed(format!("there is no parameter `{name}`; there are {known}")));
    }
    let QueryParams(params, ..) = QueryParams::<FlowQueryParams>::read(&asked.query())?;
    let query = match caller.reader()? {
        Some(reader) => reader.flows(),
        None => state.annals().flows(),
    };
    let query = params.clone().apply(query);
    let largest = query.clone().limit(DRAWN).largest().await?;
    let outward = query.clone().limit(ROWS).outward().await?;
    let unusual = query.clone().unusual(Width(SignedDuration::from_mins(1))).await;
    let denied = match params.outcome {
        None => Some(query.clone().outcome(Outcome::Denied).limit(ROWS).page().await?),
        Some(_) => None,
    };
    let content = html! {
        div.title {
            div {
                h1 { "Flows" }
                p { "What is read, written and exported, by which actor, and where to. As of position " span.number { (number(largest.head.position)) } "." }
            }
        }
        (form(&site, &asked))
        @if largest.detail == Detail::Metadata {
            div.note { p { "Metadata only: sources that only a payload names are left out, and destinations of exports are redacted." } }
        }
        div.stack {
            (sankey::draw(&site, &asked, &largest))
            (tables::flows(&site, &largest))
            (tables::outward(&site, &outward))
            (tables::unusual(&site, unusual)?)
            @if let Some(denied) = &denied { (tables::denied(&site, denied)) }
            @if state.annals().has_rights() { (grants(&site, query).await?) }
        }
    };
    Ok(respond(site.page(Section::Flows, "Flows", &content)))
}

/// The grants with their use, if the caller may read them.
async fn grants(site: &Site, query: FlowQuery) -> Result<Markup, Problem> {
    Ok(match query.limit(ROWS).grants(false).await {
        Ok(page) => tables::grants(site, &page),
        Err(FlowError::Denied(reason)) => html! {
            section.block.sheet { h2 { "Permitted and used" } p.soft { (given(&reason)) } }
        },
        Err(error) => return Err(error.into()),
    })
}

fn form(site: &Site, asked: &Address) -> Markup {
    let value = |name: &str| asked.get(name).unwrap_or_default().to_owned();
    let place = |name: &str, words: &str, example: &str| {
        html! { div { label for=(name) { (words) } input id=(name) name=(name) value=(value(name)) placeholder=(example) spellcheck="false" autocapitalize="none"; } }
    };
    html! {
        form.filter.sheet role="search" aria-label="Filter the flows" method="get" action=(site.link(FLOWS, &Address::default())) autocomplete="off" {
            div.fields.first {
                (place("source", "Source", "account:7 or account:*"))
                (place("actor", "Actor", "app:planner"))
                (place("sink", "Sink", "host:*"))
                div {
                    label for="outcome" { "Outcome" }
                    select #outcome name="outcome" {
                        option value="" { "any" }
                        @for outcome in [Outcome::Used, Outcome::Denied, Outcome::Refused] {
                            option value=(outcome) selected[value("outcome") == outcome.as_str()] { (outcome) }
                        }
                    }
                }
                div.go { button.main type="submit" { "Filter" } }
            }
            details open[asked.get("from").is_some() || asked.get("until").is_some()] {
                summary { "Time" }
                div.fields {
                    (moment("from", "from", "From", &value("from")))
                    (moment("until", "until", "Until", &value("until")))
                    @if !asked.is_empty() { div.go { a.button href=(site.link(FLOWS, &Address::default())) { "Clear all" } } }
                }
            }
        }
    }
}
