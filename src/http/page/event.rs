//! An event as a row of the feed: its sentence, the values before and after, and all details.

use maud::{Markup, html};
use serde_json::value::RawValue;

use super::address::Address;
use super::reactions;
use super::site::Site;
use super::text::{crumbs, given, number, phrase, reference, time};
use crate::projections::audit::{AuditRow, Detail};
use crate::projections::presenter::{PresentError, Presentation, PresentedChange, Presenter, plain};

/// The most targets, topics and changes of an event that are listed.
const MAX_LISTED: usize = 20;

/// A row and its sentence.
pub(super) struct PresentedRow {
    pub row: AuditRow,
    pub presentation: Presentation,
}

/// Presents rows, in their order, with the least detail that one of them has: the rows of a page have the same.
pub(super) async fn present(presenter: &Presenter, rows: Vec<AuditRow>) -> Result<Vec<PresentedRow>, PresentError> {
    let detail = rows.iter().map(|row| row.detail).min().unwrap_or_default();
    let presenter = presenter.clone().detail(detail);
    let mut positions: Vec<u64> = rows.iter().map(|row| row.position).collect();
    positions.sort_unstable();
    let mut all = presenter.present_at(&positions).await?;
    all.sort_unstable_by_key(|one| one.position);
    let index_of = |position| all.binary_search_by_key(&position, |one| one.position).ok();
    let rows = rows.into_iter().filter_map(|row| {
        let presentation = all[index_of(row.position)?].clone();
        Some(PresentedRow { row, presentation })
    });
    Ok(rows.collect())
}

/// Renders an event. Topics link to the current filters, `asked`, with that topic.
pub(super) fn event(site: &Site, asked: &Address, PresentedRow { row, presentation }: &PresentedRow) -> Markup {
    let topic = |path: &str| site.link("", &asked.filters().with("topic", path));
    let alone = Address::default().with("from", row.position).with("until", row.position + 1);
    // An event is usually recorded moments after it occurs. A larger difference is shown.
    let imported = row.recorded_at.duration_since(row.occurred_at).as_secs().abs() > 60;
    html! {
        li.event id={ "e" (row.position) } data-position=(row.position) {
            span class={ "action " (row.action) } { (row.action) }
            p.sentence lang=(presentation.locale) { (phrase(site, &presentation.sentence)) }
            p.when {
                a href=(site.link("", &alone)) title={ "Event " (row.position) " alone" } { (time(row.occurred_at, "second")) }
            }
            @if !presentation.changes.is_empty() { (changes(&presentation.changes)) }
            div.more {
                (crumbs(&row.topic, topic))
                @if let Some(principal) = &row.on_behalf_of { span { "on behalf of " (reference(site, principal)) } }
                @if imported { span { "recorded " (time(row.recorded_at, "second")) } }
                details {
                    summary { "Details" }
                    (facts(site, asked, row))
                    (payload(&row.payload))
                    (reactions::replay_form(site, row))
                    // Long texts are shortened on the page.
                    p { a href=(site.link("audit", &alone)) { @if row.detail == Detail::Full { "Whole event as JSON" } @else { "As JSON" } } }
                    (proof(site, row))
                }
            }
        }
    }
}

/// The link to the proof that the event is in the log of the last checkpoint.
#[cfg(feature = "proofs")]
fn proof(site: &Site, row: &AuditRow) -> Markup {
    let link = || site.link(&format!("log/proof/{}", row.position), &Address::default());
    html! { @if site.keeps_proofs { p { a href=(link()) { "Proof that it is in the log" } } } }
}

#[cfg(not(feature = "proofs"))]
fn proof(_: &Site, _: &AuditRow) -> Markup {
    html! {}
}

/// The changed fields, before and after.
pub(super) fn changes(changes: &[PresentedChange]) -> Markup {
    html! {
        table.changes {
            thead.hidden { tr { th scope="col" { "Field" } th scope="col" { "Before" } th scope="col" { "After" } } }
            tbody {
                @for change in changes.iter().take(MAX_LISTED) {
                    tr {
                        th scope="row" { (plain(&change.label)) }
                        td.was { del { (given(&change.from)) } }
                        td.is { ins { (given(&change.to)) } }
                    }
                }
                (more(changes.len(), |words| html! { tr { td colspan="3" { (words) } } }))
            }
        }
    }
}

/// How many entries of a list are not shown.
fn more(entries: usize, render: impl Fn(Markup) -> Markup) -> Markup {
    html! { @if entries > MAX_LISTED { (render(html! { "and " (number((entries - MAX_LISTED) as u64)) " more" })) } }
}

fn facts(site: &Site, asked: &Address, row: &AuditRow) -> Markup {
    let narrowed = |name: &str, value: &str| site.link("", &asked.filters().with(name, value));
    html! {
        dl.facts {
            dt { "Position" } dd.number { (row.position) }
            dt { "Event" } dd { a href=(narrowed("event", &row.event_type)) { code { (plain(&row.event_type)) } } " " span.soft { "version " (plain(&row.event_version)) } }
            dt { "Actor" } dd { (reference(site, &row.actor)) }
            dt { "Targets" } dd { @for (n, target) in row.targets.iter().take(MAX_LISTED).enumerate() { @if n > 0 { ", " } (reference(site, target)) } (more(row.targets.len(), |words| html! { ", " (words) })) }
            dt { "Sequence" }
            dd.number {
                // The state after it, for readers of values.
                @if row.detail == Detail::Full { a href=(site.version(&row.aggregate, row.sequence)) { (row.sequence) } } @else { (row.sequence) }
                " of " (reference(site, &row.aggregate))
            }
            @if row.topics.len() > 1 {
                dt { "Topics" } dd { @for (n, topic) in row.topics.iter().take(MAX_LISTED).enumerate() { @if n > 0 { ", " } (crumbs(topic, |path| narrowed("topic", path))) } }
            }
            dt { "Occurred" } dd { (time(row.occurred_at, "second")) }
            dt { "Recorded" } dd { (time(row.recorded_at, "second")) }
            @if let Some(correlation) = &row.correlation { dt { "Correlation" } dd { a href=(narrowed("correlation", correlation)) { (given(correlation)) } } }
            @if let Some(causation) = &row.causation { dt { "Causation" } dd { (given(causation)) } }
            @if let Some(origin) = &row.origin {
                dt { "Origin" }
                dd { (given(&[&origin.method, &origin.host, &origin.path, &origin.format].into_iter().flatten().map(String::as_str).collect::<Vec<_>>().join(" "))) }
            }
            dt { "Event id" } dd { code { (row.event_id) } }
            dt { "Command id" } dd { code { (row.command_id) } }
        }
    }
}

/// The stored payload, indented. Invalid JSON is shown unchanged.
fn payload(payload: &RawValue) -> Markup {
    let indented = serde_json::from_str::<serde_json::Value>(payload.get())
        .and_then(|value| serde_json::to_string_pretty(&value))
        .unwrap_or_else(|_| payload.get().to_owned());
    let lines: Vec<_> = indented.lines().map(plain).collect();
    html! { @if !matches!(payload.get(), "{}" | "null") { pre tabindex="0" aria-label="Stored payload" { (lines.join("\n")) } } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_is_indented_and_escaped() {
        let of = |text: &str| payload(&RawValue::from_string(text.to_owned()).unwrap()).into_string();
        let shown = of("{\"a\":\"</pre><script>\u{202e}\\u001b\u{9b}\",\"b\":1}");
        assert!(
            shown.contains("\n  &quot;a&quot;: &quot;&lt;/pre&gt;&lt;script&gt;\\u{202e}\\u001b\\u{9b}&quot;,"),
            "{shown}"
        );
        assert_eq!(of("{}"), "");
    }
}
