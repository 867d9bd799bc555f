//! The versions of an aggregate: its state after each of its events, and what the event changed.

use axum::response::Response;
use maud::{Markup, html};
use serde_json::Value;

use super::address::Address;
use super::difference::differences;
use super::event::{changes, event, present};
use super::request::PageRequest;
use super::respond;
use super::site::{STATE, Section, Site};
use super::text::{given, number, reference};
use crate::events::Ref;
use crate::http::Problem;
use crate::projections::audit::{AuditRow, Detail};
use crate::projections::presenter::{plain, short_value};
use crate::store::Moment;

/// The parameters: the aggregate, and one of its versions or a moment. Without both: its newest version.
const PARAMETERS: [&str; 3] = ["of", "version", "at"];

/// Which version is shown.
enum Shown {
    /// The one after this many events.
    Version(u64),
    /// The one at a moment.
    At(Option<Moment>),
}

pub(super) async fn show(request: PageRequest) -> Result<Response, Problem> {
    let PageRequest { site, caller, state, address, .. } = &request;
    if let Some((name, _)) = address.iter().find(|(name, _)| !PARAMETERS.contains(name)) {
        let name = name.escape_debug();
        return Err(Problem::malformed(format!(
            "there is no parameter `{name}`: the parameters are `of`, `version` and `at`"
        )));
    }
    let of = address.get("of").ok_or_else(|| Problem::malformed("the parameter `of` is missing: of=project:7"))?;
    let of: Ref = of.parse().map_err(|error: crate::events::InvalidRef| Problem::malformed(error.to_string()))?;
    let shown = shown(address)?;
    let sequence = match shown {
        Shown::Version(sequence) => sequence,
        Shown::At(at) => {
            let found = caller.state(&of, at).await?;
            if found.sequence == 0 {
                return Ok(respond(site.page(Section::Other, &title(&of, 0), &none(site, &of, found.position))));
            }
            found.sequence
        }
    };
    let version = caller.version(&of, sequence).await?;
    let missing = || Problem::not_found(format!("{} has no version {sequence}", of.as_str().escape_debug()));
    let version = version.ok_or_else(missing)?;
    let types = state.annals().types();
    types.load_keys(std::slice::from_ref(&version.event)).await;
    let row = types.opened(|| AuditRow::with_detail(Detail::Full, types, version.event.clone()))?;
    let position = row.position;
    let mut row = row;
    row.shorten();
    let presented = present(&request.presenter(), vec![row]).await?;
    let changed = differences(&version.before, &version.after);
    let content = html! {
        div.title {
            div {
                h1 { (given(&title(&of, sequence))) }
                p { "As of position " span.number { (number(position)) } ", after " (many_events(sequence)) " of " (reference(site, &of)) }
            }
        }
        (steps(site, &of, sequence, position, version.has_next))
        div.sheet { ol aria-label="The event of this version" { @for row in &presented { (event(site, &Address::default(), row)) } } }
        h2 { "What changed" }
        @if changed.is_empty() { p.soft { "Nothing in the state." } } @else { div.sheet { (changes(&changed)) } }
        h2 { "State" }
        (state_text(version.after))
        p { a href=(json_link(site, &of, position)) { "Whole state as JSON" } }
    };
    Ok(respond(site.page(Section::Other, &title(&of, sequence), &content)))
}

fn shown(address: &Address) -> Result<Shown, Problem> {
    match (address.get("version"), address.get("at")) {
        (Some(_), Some(_)) => Err(Problem::malformed("`version` and `at` exclude each other")),
        (Some(version), None) => {
            let version = version.parse().ok().filter(|version| (1..=i64::MAX as u64).contains(version));
            Ok(Shown::Version(version.ok_or_else(|| Problem::malformed("`version` is a number from 1"))?))
        }
        (None, at) => {
            let malformed = |error: crate::store::InvalidMoment| Problem::malformed(error.to_string());
            Ok(Shown::At(at.map(str::parse).transpose().map_err(malformed)?))
        }
    }
}

fn title(of: &Ref, sequence: u64) -> String {
    format!("{of}, version {}", number(sequence))
}

fn many_events(sequence: u64) -> String {
    super::text::many(sequence, "event")
}

/// Links to the versions beside this one.
fn steps(site: &Site, of: &Ref, sequence: u64, position: u64, has_next: bool) -> Markup {
    html! {
        nav.pages aria-label="Versions" {
            @if sequence > 1 {
                a.button rel="prev" href=(site.version(of, sequence - 1)) { "← Version " (number(sequence - 1)) }
            } @else { span {} }
            a href=(site.history(of)) { "History" }
            @if site.keeps_provenance { a href=(site.provenance(of, &Address::default().with("at", position))) { "Provenance" } }
            @if has_next {
                a.button rel="next" href=(site.version(of, sequence + 1)) { "Version " (number(sequence + 1)) " →" }
                a href=(site.link(STATE, &Address::default().with("of", of))) { "Newest" }
            } @else { span.soft { "This is the newest version." } }
        }
    }
}

/// An aggregate without events at the moment.
fn none(site: &Site, of: &Ref, position: u64) -> Markup {
    html! {
        div.title { h1 { (given(of.as_str())) } }
        div.note { p { "It had no events as of position " (number(position)) "." } }
        p { a href=(site.history(of)) { "History" } }
    }
}

/// The state, indented. Long texts and lists in it are shortened.
fn state_text(mut state: Value) -> Markup {
    short_value(&mut state);
    let indented = serde_json::to_string_pretty(&state).unwrap_or_else(|_| state.to_string());
    let lines: Vec<_> = indented.lines().map(plain).collect();
    html! { pre #state tabindex="0" aria-label="State" { (lines.join("\n")) } }
}

fn json_link(site: &Site, of: &Ref, position: u64) -> String {
    site.link(&Site::path("aggregates", of), &Address::default().with("at", Moment::Position(position)))
}
