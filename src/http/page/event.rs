//! An event, as a row of the feed: who did what to which thing, what it was before and is after, and all else that is known.

use maud::{Markup, html};
use serde_json::value::RawValue;

use super::address::Address;
use super::site::Site;
use super::words::{crumbs, given, phrase, reference, time};
use crate::projections::audit::AuditRow;
use crate::projections::presenter::{ChangeInWords, PresentError, Presentation, Presenter, plain};

/// An event and how it is told.
pub(super) struct Told {
    pub row: AuditRow,
    pub told: Presentation,
}

/// Tells rows, in their order.
pub(super) async fn tell(presenter: &Presenter, rows: Vec<AuditRow>) -> Result<Vec<Told>, PresentError> {
    let mut positions: Vec<u64> = rows.iter().map(|row| row.position).collect();
    positions.sort_unstable();
    let mut told = presenter.present_at(&positions).await?;
    told.sort_unstable_by_key(|told| told.position);
    let told_at = |position| told.binary_search_by_key(&position, |told| told.position).ok();
    let rows = rows.into_iter().filter_map(|row| {
        let told = told[told_at(row.position)?].clone();
        Some(Told { row, told })
    });
    Ok(rows.collect())
}

/// The row of an event. Topics lead to the same question, `asked`, of that topic.
pub(super) fn event(site: &Site, asked: &Address, Told { row, told }: &Told) -> Markup {
    let topic = |path: &str| site.link("", &asked.filters().with("topic", path));
    let alone = Address::default().with("from", row.position).with("until", row.position + 1);
    // Moments pass between what happens and its record; more than that is told.
    let imported = row.recorded_at.duration_since(row.occurred_at).as_secs().abs() > 60;
    html! {
        li.event id={ "e" (row.position) } data-position=(row.position) {
            span class={ "action " (row.action) } { (row.action) }
            p.sentence lang=(told.locale) { (phrase(site, &told.sentence)) }
            p.when {
                a href=(site.link("", &alone)) title={ "Event " (row.position) " alone" } { (time(row.occurred_at, "second")) }
            }
            @if !told.changes.is_empty() { (changes(&told.changes)) }
            div.more {
                (crumbs(&row.topic, topic))
                @if let Some(principal) = &row.on_behalf_of { span { "for " (reference(site, principal)) } }
                @if imported { span { "recorded " (time(row.recorded_at, "second")) } }
                details { summary { "Details" } (facts(site, asked, row)) (payload(&row.payload)) }
            }
        }
    }
}

/// What was, and what is.
fn changes(changes: &[ChangeInWords]) -> Markup {
    html! {
        table.changes {
            thead.hidden { tr { th scope="col" { "Field" } th scope="col" { "Before" } th scope="col" { "After" } } }
            tbody {
                @for change in changes {
                    tr {
                        th scope="row" { (plain(&change.label)) }
                        td.was { del { (given(&change.from)) } }
                        td.is { ins { (given(&change.to)) } }
                    }
                }
            }
        }
    }
}

fn facts(site: &Site, asked: &Address, row: &AuditRow) -> Markup {
    let narrowed = |name: &str, value: &str| site.link("", &asked.filters().with(name, value));
    html! {
        dl.facts {
            dt { "Position" } dd.number { (row.position) }
            dt { "Event" } dd { a href=(narrowed("event", &row.event_type)) { code { (plain(&row.event_type)) } } " " span.soft { "version " (plain(&row.event_version)) } }
            dt { "Actor" } dd { (reference(site, &row.actor)) }
            dt { "Targets" } dd { @for (n, target) in row.targets.iter().enumerate() { @if n > 0 { ", " } (reference(site, target)) } }
            dt { "Number" } dd.number { (row.sequence) " of " (reference(site, &row.aggregate)) }
            @if row.topics.len() > 1 {
                dt { "Topics" } dd { @for (n, topic) in row.topics.iter().enumerate() { @if n > 0 { ", " } (crumbs(topic, |path| narrowed("topic", path))) } }
            }
            dt { "Happened" } dd { (time(row.occurred_at, "second")) }
            dt { "Recorded" } dd { (time(row.recorded_at, "second")) }
            @if let Some(correlation) = &row.correlation { dt { "Belongs to" } dd { a href=(narrowed("correlation", correlation)) { (given(correlation)) } } }
            @if let Some(causation) = &row.causation { dt { "Caused by" } dd { (given(causation)) } }
            @if let Some(origin) = &row.origin {
                dt { "Came by" }
                dd { (given(&[&origin.method, &origin.host, &origin.path, &origin.format].into_iter().flatten().map(String::as_str).collect::<Vec<_>>().join(" "))) }
            }
            dt { "Event id" } dd { code { (row.event_id) } }
            dt { "Command id" } dd { code { (row.command_id) } }
        }
    }
}

/// What is stored, laid out in lines. What cannot be laid out stays as it is.
fn payload(payload: &RawValue) -> Markup {
    let laid_out = serde_json::from_str::<serde_json::Value>(payload.get())
        .and_then(|value| serde_json::to_string_pretty(&value))
        .unwrap_or_else(|_| payload.get().to_owned());
    let lines: Vec<_> = laid_out.lines().map(plain).collect();
    html! { @if !matches!(payload.get(), "{}" | "null") { pre tabindex="0" aria-label="What is stored" { (lines.join("\n")) } } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_is_laid_out_and_does_nothing() {
        let of = |text: &str| payload(&RawValue::from_string(text.to_owned()).unwrap()).into_string();
        let shown = of("{\"a\":\"</pre><script>\u{202e}\\u001b\u{9b}\",\"b\":1}");
        assert!(
            shown.contains("\n  &quot;a&quot;: &quot;&lt;/pre&gt;&lt;script&gt;\\u{202e}\\u001b\\u{9b}&quot;,"),
            "{shown}"
        );
        assert_eq!(of("{}"), "");
    }
}
