//! The feed: what happens, the newest first, as it is asked for; and its rows alone, for those that come live.

use std::time::Duration;

use axum::response::{Html, Response};
use maud::{Markup, html};

use super::asking::Asking;
use super::event::{Told, event, tell};
use super::facets::facets;
use super::form::{chips, form};
use super::question::{About, Question};
use super::sent;
use super::site::Site;
use super::words::{given, number};
use crate::events::{LogPosition, Ref, Topic};
use crate::http::{Problem, Shared};
use crate::projections::audit::{AuditCount, AuditPage, AuditRow, Cursor};
use crate::projections::export::Format;
use crate::projections::presenter::plain;
use crate::store::StoreError;

/// How many rows a page has.
const ROWS: u64 = 50;

/// How many rows of a live feed are sent at a time, and how often it is looked for them at most.
const NEW: usize = 200;
const LOOKS: usize = 20;

/// How long the audit log may be behind: then the script asks again.
const PATIENCE: Duration = Duration::from_secs(5);

/// How many topics are offered.
const TOPICS: usize = 12;

/// How many events are counted where each has to be read.
const COUNTED: u64 = 2_000;

pub(super) async fn activity(asking: Asking) -> Result<Response, Problem> {
    show(&asking, About::Everything).await
}

pub(super) async fn refusals(asking: Asking) -> Result<Response, Problem> {
    show(&asking, About::Refusals).await
}

pub(super) async fn history(asking: Asking) -> Result<Response, Problem> {
    let of = asking.address.get("of");
    let of = of.ok_or_else(|| Problem::malformed("whose history? `of` says it, like of=user:alice"))?;
    let of: Ref = of.parse().map_err(|error: crate::events::InvalidRef| Problem::malformed(error.to_string()))?;
    let about = |did| About::Thing { of: of.clone(), did };
    let did = match asking.address.get("did") {
        Some(did) => did == "true",
        // Of somebody who does more than is done to him, what he does.
        None => {
            let [was, did] = [about(false), about(true)].map(|about| asking.question(about));
            let (was, did) = (counted(&was?).await?, counted(&did?).await?);
            did.events > was.events
        }
    };
    show(&asking, about(did)).await
}

/// The rows since the one at `after`, for a feed that is open; all that the log has up to `data-last` is in it, unless
/// `data-gap` says that it is too much.
pub(super) async fn rows(asking: Asking) -> Result<Html<String>, Problem> {
    let after = asking.address.get("after").and_then(|after| after.parse::<u64>().ok());
    let after = after.ok_or_else(|| Problem::malformed("since which position? `after` says it"))?;
    if let Some(event_id) = asking.address.get("id").and_then(|id| id.parse().ok()) {
        // The rows that are shown may be of a log that was put back to an older state since.
        let shown = LogPosition { position: after, event_id };
        let found = asking.shared.annals().store().read_at(&[after]).await?;
        if after > 0 && !found.iter().any(|stored| stored.head() == shown) {
            return Err(StoreError::Diverged(shown).into());
        }
    }
    let mut question = asking.question(About::Everything)?;
    // Who follows hears of an event before the audit log has it.
    let head = asking.shared.annals().store().head().await?;
    question.query = question.query.after(head).within(PATIENCE);
    let (mut rows, mut last, mut cursor, mut gap): (Vec<AuditRow>, Option<LogPosition>, Option<Cursor>, _) =
        (vec![], None, None, true);
    for _ in 0..LOOKS {
        let query = question.query.clone().limit(ROWS);
        let page = cursor.into_iter().fold(query, |query, cursor| query.cursor(cursor)).page().await?;
        last.get_or_insert(page.head);
        rows.extend(page.rows.into_iter().filter(|row| row.position > after));
        cursor = page.next.filter(|next| next.last().position > after);
        if cursor.is_none() || rows.len() >= NEW {
            gap = cursor.is_some();
            break;
        }
    }
    let told = tell(&asking.presenter(), rows).await?;
    let last = last.unwrap_or_default();
    let list = html! {
        ol data-last=(last.position) data-id=(last.event_id) data-gap=[gap.then_some("1")] {
            @for told in &told { (event(&asking.site, &question.filters, told)) }
        }
    };
    Ok(Html(list.into_string()))
}

async fn counted(question: &Question) -> Result<AuditCount, Problem> {
    let query = question.query.clone();
    let query = if question.filters.get("text").is_some() { query.limit(COUNTED) } else { query };
    Ok(query.count().await?)
}

/// The topics below the one that is asked for, of the whole log. Only where nothing else is asked, so that who may read
/// the page may read all that is in them.
async fn below(shared: &Shared, question: &Question) -> Result<Vec<Topic>, Problem> {
    let topic = match question.filters.iter().collect::<Vec<_>>()[..] {
        [] => "",
        [("topic", topic)] => topic,
        _ => return Ok(Vec::new()),
    };
    Ok(shared.annals().metric(topic).child_topics(TOPICS).await?.topics)
}

async fn show(asking: &Asking, about: About) -> Result<Response, Problem> {
    let question = asking.question(about)?;
    let Asking { site, shared, .. } = asking;
    let mut query = question.query.clone().limit(ROWS);
    if let Some(cursor) = question.given.get("cursor") {
        let cursor = cursor.parse::<Cursor>().map_err(|error| Problem::malformed(error.to_string()))?;
        query = query.cursor(cursor);
    }
    let AuditPage { rows, next, head } = query.page().await?;
    let count = counted(&question).await?;
    let cursor = if question.is_live() { at(shared, &question, head).await? } else { None };
    let below = below(shared, &question).await?;
    let presenter = asking.presenter();
    let told = tell(&presenter, rows).await?;
    let title = title(&question.about, &told);
    let content = html! {
        div.title {
            div {
                h1 { (given(&title)) }
                p { (summary(&count)) }
            }
            (tools(site, &question, presenter.language()))
        }
        (tabs(site, &question))
        div.sides {
            div {
                (form(site, &question, shared.annals().types(), &count, &below))
                (chips(site, &question))
                div.sheet {
                    ol #feed aria-label="Events"
                        data-last=(head.position)
                        data-id=(head.event_id)
                        data-rows=[question.is_live().then(|| format!("{}/rows{}", site.base, question.filters.open_suffix()))]
                        data-bell=[question.is_live().then(|| bell(site, &question))]
                        data-after=[cursor]
                        data-older=[question.is_live().then(|| older(site, &question))]
                    {
                        @for told in &told { (event(site, &question.filters, told)) }
                    }
                    @if told.is_empty() { (nothing(&question, next.is_some())) }
                    (pages(site, &question, next, !told.is_empty()))
                }
            }
            (facets(site, &question, &count, &told, &below))
        }
    };
    Ok(sent(site.page(question.about.section(), &title, &content)))
}

/// What the page is called: a thing by its name, as the newest event has it.
fn title(about: &About, told: &[Told]) -> String {
    match about {
        About::Everything => "Activity".to_owned(),
        About::Refusals => "Refusals".to_owned(),
        About::Thing { of, .. } => {
            let things = told.iter().flat_map(|told| std::iter::once(&told.told.actor).chain(&told.told.targets));
            let mut named = things.filter(|thing| thing.reference == *of && thing.name.is_some());
            let label = named.next().map(crate::projections::presenter::Thing::label);
            label.map_or_else(|| of.to_string(), |label| format!("{label} ({of})"))
        }
    }
}

fn summary(count: &AuditCount) -> Markup {
    let at_least = if count.complete { "" } else { "at least " };
    html! {
        span.number { (at_least) (number(count.events)) } @if count.events == 1 { " event by " } @else { " events by " }
        span.number { (at_least) (number(count.distinct_actors)) } @if count.distinct_actors == 1 { " actor" } @else { " actors" }
        ", as of position " span.number { (number(count.head.position)) }
    }
}

/// Where the script is told that there is something new; the browser keeps it open.
fn bell(site: &Site, question: &Question) -> String {
    format!("{}/live/audit{}", site.base, question.filters.open_suffix())
}

/// From where on there is something new: a cursor, so that it is the same question whenever it is asked.
async fn at(shared: &Shared, question: &Question, head: LogPosition) -> Result<Option<Cursor>, Problem> {
    let Some(stored) = shared.annals().store().read_at(&[head.position]).await?.pop() else { return Ok(None) };
    let newest = AuditRow::new(shared.annals().types(), stored)?;
    Ok(Some(question.query.clone().oldest_first().cursor_after(&newest)?))
}

/// Where older rows are, to which the script adds where they begin.
fn older(site: &Site, question: &Question) -> String {
    let link = question.link(site, &question.given);
    let joint = if link.contains('?') { '&' } else { '?' };
    format!("{link}{joint}")
}

fn tools(site: &Site, question: &Question, language: &str) -> Markup {
    let all = question.filters.with("newest_first", true).with("locale", language);
    html! {
        div.tools {
            @if question.is_live() {
                span #live .live data-state="off" { "As of now" }
                button #pause type="button" hidden { "Pause" }
            }
            details.download {
                summary.button { "Download" }
                ul {
                    @for &format in Format::ALL {
                        li { a href=(site.link("audit/export", &all.with("format", format))) download { (format_words(format)) } }
                    }
                }
            }
        }
    }
}

fn format_words(format: Format) -> &'static str {
    match format {
        Format::Csv => "CSV, a table",
        Format::Jsonl => "JSON Lines",
        Format::CloudEvents => "CloudEvents",
        Format::Ocel => "OCEL 2.0",
    }
}

fn tabs(site: &Site, question: &Question) -> Markup {
    let About::Thing { of, did: now } = &question.about else { return html! {} };
    let link = |did: bool| {
        let same = question.given.filters().with("of", of).with("did", did);
        site.link("history", &same)
    };
    html! {
        nav.tabs aria-label="Which history" {
            @for (did, words) in [(false, "What happened to it"), (true, "What it did")] {
                a href=(link(did)) aria-current=[(did == *now).then_some("true")] { (words) }
            }
        }
    }
}

/// In place of rows where there are none.
fn nothing(question: &Question, more: bool) -> Markup {
    html! {
        div #nothing .empty {
            p {
                @if more { "Nothing among the events that were looked at here." }
                @else if question.about == About::Refusals && question.given.filters().is_empty() {
                    "No refusal is recorded. They are where the application asks for it, by " code { "App::record_refusals" } "."
                }
                @else if question.filters.is_empty() { "Nothing has happened yet." }
                @else { "Nothing like this has happened." }
            }
        }
    }
}

fn pages(site: &Site, question: &Question, next: Option<Cursor>, any: bool) -> Markup {
    let given = question.given.without("cursor").without("until");
    let on = next.map(|next| {
        let own = question.about.own();
        let address = own.iter().fold(question.given.filters(), |address, (name, value)| address.with(name, value));
        site.link(question.about.path(), &address.with("cursor", next))
    });
    html! {
        nav.pages aria-label="Pages" {
            @if question.given.get("cursor").is_some() || question.given.get("until").is_some() {
                a.button href=(question.link(site, &given)) { "← Newest" }
            } @else { span {} }
            // The script shows it when rows fall off the end.
            a #older .button href=(on.clone().unwrap_or_default()) hidden[on.is_none()] {
                @if any { "Older →" } @else { "Look further back →" }
            }
        }
    }
}

/// A filter in words.
pub(super) fn filter_words(name: &str, value: &str) -> String {
    let label =
        super::address::FILTERS.iter().find(|(filter, _)| *filter == name).map_or(name, |(_, label)| *label);
    format!("{label} {}", plain(value))
}
