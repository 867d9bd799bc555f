//! The feed of events, newest first; and its rows alone, for live updates.

use std::time::Duration;

use axum::http::StatusCode;
use axum::response::{Html, Response};
use maud::{Markup, html};

use super::address::Address;
use super::event::{PresentedRow, event, present};
use super::facets::facets;
use super::feed_query::{FeedQuery, FeedScope};
use super::form::{chips, form};
use super::request::PageRequest;
use super::respond;
use super::site::{STATE, Site};
use super::text::{given, number};
use crate::events::{LogPosition, Ref, Topic};
use crate::http::{AppState, Problem};
use crate::projections::audit::{AuditCount, AuditPage, AuditRow, Cursor, Detail};
use crate::projections::export::Format;
use crate::store::{StoreError, named_event};

/// The rows of a page.
const ROWS: u64 = 50;

/// The most new rows of a response, and the most pages that are searched for them.
const MAX_NEW: usize = 200;
const MAX_PAGES: usize = 20;

/// How long a response waits for the audit log to catch up. The script retries after that.
const CATCH_UP_TIMEOUT: Duration = Duration::from_secs(5);

/// The most child topics.
const MAX_TOPICS: usize = 12;

/// The most events that are counted if each must be read.
const MAX_COUNTED: u64 = 2_000;

pub(super) async fn activity(request: PageRequest) -> Result<Response, Problem> {
    answer(&request, FeedScope::Everything).await
}

pub(super) async fn refusals(request: PageRequest) -> Result<Response, Problem> {
    answer(&request, FeedScope::Refusals).await
}

pub(super) async fn history(request: PageRequest) -> Result<Response, Problem> {
    let of = request.address.get("of");
    let of = of.ok_or_else(|| Problem::malformed("the parameter `of` is missing: of=user:alice"))?;
    let of: Ref = of.parse().map_err(|error: crate::events::InvalidRef| Problem::malformed(error.to_string()))?;
    let scope = |did| FeedScope::Thing { of: of.clone(), did };
    let did = match request.address.get("did") {
        Some(did) => did == "true",
        // By default: what it did, if that is more than what happened to it.
        None => {
            match [scope(false), scope(true)].map(|scope| request.feed(scope)) {
                [Ok(was), Ok(did)] => counted(&did).await?.events > counted(&was).await?.events,
                // `answer` shows what is wrong with the filters.
                _ => false,
            }
        }
    };
    answer(&request, scope(did)).await
}

/// Returns the rows after position `after`, for an open feed: all matching rows up to `data-last`, or only the newest ones if
/// `data-gap` is set. `seen` is the cursor of the last event that the feed was notified of.
pub(super) async fn rows(request: PageRequest) -> Result<Html<String>, Problem> {
    let after = request.address.get("after").and_then(|after| after.parse::<u64>().ok());
    let after = after.ok_or_else(|| Problem::malformed("the parameter `after` is missing: a log position"))?;
    if let Some(event_id) = request.address.get("id").and_then(|id| id.parse().ok()) {
        // The log may have been restored to an older state since the page was loaded.
        let shown = LogPosition { position: after, event_id };
        if after > 0 && named_event(&**request.state.annals().store(), shown).await?.is_none() {
            return Err(StoreError::Diverged(shown).into());
        }
    }
    let mut feed = request.feed(FeedScope::Everything)?;
    // Live streams may send an event before the audit log has it; that of another process, before the log has it here.
    let mut head = request.state.annals().store().head().await?;
    if let Some(seen) = request.address.get("seen") {
        let seen = seen.parse::<Cursor>().map_err(|error| Problem::malformed(error.to_string()))?.last();
        head = if seen.position > head.position { seen } else { head };
    }
    feed.query = feed.query.after(head).within(CATCH_UP_TIMEOUT);
    let (mut rows, mut last, mut cursor, mut gap): (Vec<AuditRow>, Option<LogPosition>, Option<Cursor>, _) =
        (vec![], None, None, true);
    for _ in 0..MAX_PAGES {
        let query = feed.query.clone().limit(ROWS);
        let page = cursor.into_iter().fold(query, |query, cursor| query.cursor(cursor)).page().await?;
        last.get_or_insert(page.head);
        rows.extend(page.rows.into_iter().filter(|row| row.position > after));
        cursor = page.next.filter(|next| next.last().position > after);
        if cursor.is_none() || rows.len() >= MAX_NEW {
            gap = cursor.is_some();
            break;
        }
    }
    let presented = present(&request.presenter(), rows).await?;
    let last = last.unwrap_or_default();
    let list = html! {
        ol data-last=(last.position) data-id=(last.event_id) data-gap=[gap.then_some("1")] {
            @for row in &presented { (event(&request.site, &feed.filters, row)) }
        }
    };
    Ok(Html(list.into_string()))
}

async fn counted(feed: &FeedQuery) -> Result<AuditCount, Problem> {
    let query = feed.query.clone();
    let query = if feed.filters.get("text").is_some() { query.limit(MAX_COUNTED) } else { query };
    Ok(query.count().await?)
}

/// The child topics in the whole log. Only without other filters: the caller may read the page, and so everything that the
/// topics reveal.
async fn below(state: &AppState, feed: &FeedQuery) -> Result<Vec<Topic>, Problem> {
    let topic = match feed.filters.iter().collect::<Vec<_>>()[..] {
        [] => "",
        [("topic", topic)] => topic,
        _ => return Ok(Vec::new()),
    };
    Ok(state.annals().metric(topic).child_topics(MAX_TOPICS).await?.topics)
}

/// The page; if a filter is wrong, what is wrong with it above the form as it was filled in.
async fn answer(request: &PageRequest, scope: FeedScope) -> Result<Response, Problem> {
    match show(request, scope.clone()).await {
        Err(problem) if problem.status() == StatusCode::BAD_REQUEST && request.wants_page() => {
            Ok(wrong_filter(request, &scope, &problem))
        }
        answer => answer,
    }
}

fn wrong_filter(request: &PageRequest, scope: &FeedScope, problem: &Problem) -> Response {
    let PageRequest { site, address, .. } = request;
    let title = title(scope, &[]);
    let content = html! {
        div.title { h1 { (given(&title)) } }
        div.note.bad role="alert" { p { (given(problem.detail())) } }
        (form(site, scope, address, Detail::Full, None, &[], &[]))
        (chips(site, scope, address))
    };
    let mut response = respond(site.page(scope.section(), &title, &content));
    *response.status_mut() = StatusCode::BAD_REQUEST;
    response
}

async fn show(request: &PageRequest, scope: FeedScope) -> Result<Response, Problem> {
    let feed = request.feed(scope)?;
    let PageRequest { site, state, .. } = request;
    let mut query = feed.query.clone().limit(ROWS);
    if let Some(cursor) = feed.given.get("cursor") {
        let cursor = cursor.parse::<Cursor>().map_err(|error| Problem::malformed(error.to_string()))?;
        query = query.cursor(cursor);
    }
    let AuditPage { rows, next, head, detail } = query.page().await?;
    let count = counted(&feed).await?;
    let cursor = if feed.is_live() { newest_cursor(state, &feed, head).await? } else { None };
    let below = below(state, &feed).await?;
    let presenter = request.presenter();
    let presented = present(&presenter, rows).await?;
    let types = if request.caller.may_read_catalogue().await? { Some(&**state.annals().types()) } else { None };
    let title = title(&feed.scope, &presented);
    let state = state_link(request, &feed).await?;
    let content = html! {
        div.title {
            div {
                h1 { (given(&title)) }
                p { (summary(&count)) @if let Some(state) = state { ". " a href=(state) { "Its state and versions" } } }
            }
            (tools(site, &feed, presenter.language()))
        }
        @if detail == Detail::Metadata {
            p.note #detail { "You see metadata: who, when, and what was done to what. Values are [redacted]." }
        }
        (tabs(site, &feed))
        div.sides {
            div {
                (form(site, &feed.scope, &feed.given, detail, types, &count.actors, &below))
                (chips(site, &feed.scope, &feed.given))
                div.sheet {
                    ol #feed aria-label="Events"
                        data-last=(head.position)
                        data-id=(head.event_id)
                        data-rows=[feed.is_live().then(|| format!("{}/rows{}", site.base, feed.filters.open_suffix()))]
                        data-stream=[feed.is_live().then(|| stream_url(site, &feed))]
                        data-after=[cursor]
                        data-older=[feed.is_live().then(|| older(site, &feed))]
                    {
                        @for row in &presented { (event(site, &feed.filters, row)) }
                    }
                    @if presented.is_empty() { (empty(&feed, next.is_some())) }
                    (pages(site, &feed, next, !presented.is_empty()))
                }
            }
            (facets(site, &feed, &count, &presented, &below))
        }
    };
    Ok(respond(site.page(feed.scope.section(), &title, &content)))
}

/// The URL of the newest version of the object, if it is an aggregate and the caller may read its state.
async fn state_link(request: &PageRequest, feed: &FeedQuery) -> Result<Option<String>, Problem> {
    let FeedScope::Thing { of, .. } = &feed.scope else { return Ok(None) };
    let may = request.caller.may_read_state(of).await?;
    Ok(may.then(|| request.site.link(STATE, &Address::default().with("of", of))))
}

/// The page's title. An object has its display name from the newest event.
fn title(scope: &FeedScope, presented: &[PresentedRow]) -> String {
    match scope {
        FeedScope::Everything => "Activity".to_owned(),
        FeedScope::Refusals => "Refusals".to_owned(),
        FeedScope::Thing { of, .. } => {
            let presentations = presented.iter().map(|row| &row.presentation);
            let things = presentations.flat_map(|one| std::iter::once(&one.actor).chain(&one.targets));
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
        // The script says how many newer events the list has.
        span #newer {}
    }
}

/// The URL of the stream that notifies the script of new events.
fn stream_url(site: &Site, feed: &FeedQuery) -> String {
    format!("{}/live/audit{}", site.base, feed.filters.open_suffix())
}

/// The cursor after the newest event. It fixes the query, whenever the stream is opened.
async fn newest_cursor(state: &AppState, feed: &FeedQuery, head: LogPosition) -> Result<Option<Cursor>, Problem> {
    let Some(stored) = state.annals().store().read_at(&[head.position]).await?.pop() else { return Ok(None) };
    // Its position and id are needed, no values.
    let newest = AuditRow::with_detail(Detail::Metadata, state.annals().types(), stored)?;
    Ok(Some(feed.query.clone().oldest_first().cursor_after(&newest)?))
}

/// The URL of older rows, to which the script appends their first position.
fn older(site: &Site, feed: &FeedQuery) -> String {
    let link = feed.link(site, &feed.given);
    let joint = if link.contains('?') { '&' } else { '?' };
    format!("{link}{joint}")
}

fn tools(site: &Site, feed: &FeedQuery, language: &str) -> Markup {
    let all = feed.filters.with("newest_first", true).with("locale", language);
    html! {
        div.tools {
            @if feed.is_live() {
                span #live .live data-state="off" { "Not live" }
                button #pause type="button" hidden { "Pause" }
            }
            details.download {
                summary.button { "Download" }
                ul {
                    @for &format in Format::ALL {
                        li { a href=(site.link("audit/export", &all.with("format", format))) download { (format_words(format)) } }
                    }
                    li { a href=(site.link("audit/export", &all.with("format", Format::Csv).with("bom", true))) download { "CSV for Excel" } }
                }
            }
        }
    }
}

fn format_words(format: Format) -> &'static str {
    match format {
        Format::Csv => "CSV",
        Format::Jsonl => "JSON Lines",
        #[cfg(feature = "cloudevents")]
        Format::CloudEvents => "CloudEvents",
        Format::Ocel => "OCEL 2.0",
    }
}

fn tabs(site: &Site, feed: &FeedQuery) -> Markup {
    let FeedScope::Thing { of, did: now } = &feed.scope else { return html! {} };
    let link = |did: bool| {
        let same = feed.given.filters().with("of", of).with("did", did);
        site.link("history", &same)
    };
    html! {
        nav.tabs aria-label="History" {
            @for (did, words) in [(false, "What happened to it"), (true, "What it did")] {
                a href=(link(did)) aria-current=[(did == *now).then_some("true")] { (words) }
            }
            // Its reader may have no right to it: then the page says so.
            @if site.keeps_provenance { a href=(site.provenance(of, &Address::default())) { "Provenance" } }
        }
    }
}

/// The text for an empty list.
fn empty(feed: &FeedQuery, more: bool) -> Markup {
    html! {
        div #nothing .empty {
            p {
                @if more { "No match among the events searched so far." }
                @else if feed.scope == FeedScope::Refusals && feed.given.filters().is_empty() {
                    "No refusals are recorded. An application records them with " code { "App::record_refusals" } "."
                }
                @else if feed.filters.is_empty() { "No events yet." }
                @else { "No matching events." }
            }
        }
    }
}

fn pages(site: &Site, feed: &FeedQuery, next: Option<Cursor>, any: bool) -> Markup {
    let given = feed.given.without("cursor").without("until");
    let on = next.map(|next| {
        let own = feed.scope.own();
        let address = own.iter().fold(feed.given.filters(), |address, (name, value)| address.with(name, value));
        site.link(feed.scope.path(), &address.with("cursor", next))
    });
    html! {
        nav.pages aria-label="Pages" {
            @if feed.given.get("cursor").is_some() || feed.given.get("until").is_some() {
                a.button href=(feed.link(site, &given)) { "← Newest" }
            } @else { span {} }
            // The script shows it when it removes rows from the end.
            a #older .button href=(on.clone().unwrap_or_default()) hidden[on.is_none()] {
                @if any { "Older →" } @else { "Search older events →" }
            }
        }
    }
}
