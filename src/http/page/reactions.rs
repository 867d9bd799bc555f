//! The reactions: what they have to do, what is blocked or parked, and forms to skip a step and to replay one.

use std::time::Duration;

use axum::response::{IntoResponse, Redirect, Response};
use jiff::Timestamp;
use maud::{Markup, html};
use uuid::Uuid;

use super::address::Address;
use super::request::{FormRequest, PageRequest};
use super::respond;
use super::site::{PROJECTIONS, REACTIONS, Section, Site};
use super::text::{given, many, number, reference, time};
use crate::commands::Context;
use crate::events::Ref;
use crate::http::Problem;
use crate::projections::audit::{AuditLog, AuditRow};
use crate::projections::presenter::plain;
use crate::reactions::{
    MAX_WHY_BYTES, PendingPage, PendingQuery, PendingStep, ReactionStatus, Replay, projection_name,
};
use crate::store::Receipt;

/// How many steps of each reaction the list of all reactions shows.
const FIRST_STEPS: usize = 20;

/// How long the page waits until the list has the skip.
const CATCH_UP_TIMEOUT: Duration = Duration::from_secs(5);

pub(super) async fn show(request: PageRequest) -> Result<Response, Problem> {
    let PageRequest { site, caller, state, address, .. } = &request;
    caller.operate("status", None).await?;
    let annals = state.annals();
    let only = address.get("name");
    let cursor = address.get("cursor").map(str::parse).transpose()?;
    let limit = only.is_none().then_some(FIRST_STEPS);
    let query = PendingQuery { cursor, limit, ..PendingQuery::default() };
    let mut sections = Vec::new();
    for status in annals.reactions().await?.iter().filter(|one| only.is_none_or(|name| one.name == name)) {
        // Nothing is read from a projection of another log.
        let page = match status.stopped {
            Some(_) => None,
            None => {
                caller.operate("status", Some(&projection_name(&status.name))).await?;
                Some(annals.pending_page(&status.name, &query).await?)
            }
        };
        sections.push(reaction(site, status, page.as_ref()));
    }
    if let (Some(name), true) = (only, sections.is_empty()) {
        // The error for an unknown name lists the known ones.
        annals.pending_page(name, &query).await?;
    }
    let content = html! {
        div.title {
            div {
                h1 { "Reactions" }
                p { "A reaction says which commands follow an event, at once or later. Each of these steps takes effect once." }
            }
            @if only.is_some() { a.button href=(site.link(REACTIONS, &Address::default())) { "All reactions" } }
        }
        div.sheet {
            @for section in &sections { (section) }
            @if sections.is_empty() { p.empty { "This application has no reactions." } }
        }
    };
    Ok(respond(site.page(Section::Reactions, "Reactions", &content)))
}

/// Skips a step, for a reason.
pub(super) async fn skip(form: FormRequest) -> Result<Response, Problem> {
    let Asked { name, step, why, context } = asked(&form, "skip_step").await?;
    let receipt = form.state.annals().skip_step(name, step, why, &context).await?;
    show_again(&form, name, receipt).await
}

/// Executes a step after all that was refused or skipped, for a reason.
pub(super) async fn replay(form: FormRequest) -> Result<Response, Problem> {
    let Asked { name, step, why, context } = asked(&form, "replay_step").await?;
    let Replay { receipt, .. } = form.state.annals().replay_step(name, step, why, &context).await?;
    // What came of it. Late is not wrong: the page then has it a moment later.
    let reading = form.state.annals().reading(AuditLog::NAME)?;
    let _ = reading.caught_up(receipt.into(), Some(CATCH_UP_TIMEOUT)).await;
    let to = Address::default().with("from", receipt.first_position).with("until", receipt.head.position + 1);
    Ok(Redirect::to(&form.site.link("", &to)).into_response())
}

/// What a form says.
struct Asked<'f> {
    name: &'f str,
    step: Uuid,
    why: &'f str,
    context: Context,
}

async fn asked<'f>(form: &'f FormRequest, operation: &str) -> Result<Asked<'f>, Problem> {
    let name = form.needed("name")?;
    form.caller.operate(operation, Some(&projection_name(name))).await?;
    let step = form.needed("step")?.parse();
    let step = step.map_err(|_| Problem::malformed("the form field `step` is not the id of a step"))?;
    Ok(Asked { name, step, why: form.fields.get("why").unwrap_or_default(), context: form.caller.context()? })
}

async fn show_again(form: &FormRequest, name: &str, receipt: Receipt) -> Result<Response, Problem> {
    // Late is not wrong: the list then has the step for a moment.
    let reading = form.state.annals().reading(&projection_name(name))?;
    let _ = reading.caught_up(receipt.into(), Some(CATCH_UP_TIMEOUT)).await;
    let to = form.site.link(REACTIONS, &Address::default().with("name", name));
    Ok(Redirect::to(&to).into_response())
}

/// A form to replay a step, beside the event that says that it was refused or skipped.
pub(super) fn replay_form(site: &Site, row: &AuditRow) -> Markup {
    let without_effect = matches!(row.event_type.as_str(), "annals_reaction.refused" | "annals_reaction.skipped");
    html! {
        @if without_effect { (step_form(site, "replay", row.aggregate.id(), row.command_id, "Execute this step after all")) }
    }
}

fn step_form(site: &Site, operation: &str, reaction: &str, step: Uuid, button: &str) -> Markup {
    html! {
        form.act method="post" action=(site.link(&format!("{REACTIONS}/{operation}"), &Address::default())) autocomplete="off" {
            input type="hidden" name="name" value=(reaction);
            input type="hidden" name="step" value=(step);
            div { label for={ "why-" (step) } { "Reason" } input id={ "why-" (step) } name="why" required maxlength=(MAX_WHY_BYTES); }
            div { button.main type="submit" { (button) } }
        }
    }
}

/// The state in words, with its class.
fn state_of(status: &ReactionStatus) -> (&'static str, String) {
    match status {
        ReactionStatus { stopped: Some(_), .. } => ("stopped", "stopped".to_owned()),
        ReactionStatus { version, started, .. } if started > version => {
            ("stopped", format!("superseded by version {started}"))
        }
        ReactionStatus { leader: None, .. } => ("behind", "no process executes it".to_owned()),
        ReactionStatus { blocked, .. } if !blocked.is_empty() => {
            ("behind", format!("{} blocked", many(blocked.len() as u64, "aggregate")))
        }
        ReactionStatus { position, head, .. } if position < head => ("behind", "catching up".to_owned()),
        _ => ("live-on", "running".to_owned()),
    }
}

fn reaction(site: &Site, status: &ReactionStatus, page: Option<&PendingPage>) -> Markup {
    let ReactionStatus { name, position, head, pending, timers, blocked, parked, .. } = status;
    let (class, state) = state_of(status);
    let lag = head.saturating_sub(*position);
    html! {
        section.projection.reaction id={ "r-" (name) } aria-labelledby={ "r-" (name) "-name" } {
            h2 id={ "r-" (name) "-name" } { (given(name)) }
            p.line.full {
                span class={ "state " (class) } { (state) }
                span.soft.number {
                    " · " (many(*pending, "pending step")) ", " (many(*timers, "timer"))
                    @if let Some(next) = status.next_timer { ", the next due " (time(next, "second")) }
                    @if lag > 0 { ", " strong { (many(lag, "event")) " behind" } }
                    @if status.failures > 0 { ", " (many(status.failures, "failed attempt")) }
                    " · version " (status.version)
                }
            }
            @if let Some(reason) = &status.stopped {
                div.full.note.bad { p { (given(reason)) } p { "Resume or rebuild it among the " (projections(site)) "." } }
            }
            @if let Some(reason) = &status.superseded { div.full.note.warn { p { (given(reason)) } } }
            @if !blocked.is_empty() {
                div.full.note.warn {
                    p { "Blocked: the next step fails and is tried again. Later steps of the same aggregate wait." }
                    ul {
                        @for one in blocked {
                            li { (failing(site, &one.aggregate, &one.reason)) " (" (many(u64::from(one.attempts), "attempt")) " since " (time(one.since, "second")) ")" }
                        }
                    }
                }
            }
            @if !parked.is_empty() {
                div.full.note.bad {
                    p { "Parked: further events of these aggregates are ignored. Correct the program, then rebuild " code { (projection_name(name)) } " among the " (projections(site)) "." }
                    ul { @for one in parked { li { (failing(site, &one.aggregate, &one.reason)) ", at " (event(site, one.position)) } } }
                }
            }
            @if let Some(page) = page { (steps(site, name, page)) }
        }
    }
}

fn projections(site: &Site) -> Markup {
    html! { a href=(site.link(PROJECTIONS, &Address::default())) { "projections" } }
}

fn failing(site: &Site, aggregate: &Ref, reason: &str) -> Markup {
    html! { (reference(site, aggregate)) ": " (given(reason)) }
}

fn event(site: &Site, position: u64) -> Markup {
    let alone = Address::default().with("from", position).with("until", position.saturating_add(1));
    html! { a href=(site.link("", &alone)) { "event " (number(position)) } }
}

fn steps(site: &Site, reaction: &str, page: &PendingPage) -> Markup {
    let now = Timestamp::now();
    html! {
        @if !page.steps.is_empty() {
            ol.full.steps { @for one in &page.steps { (step(site, reaction, one, now)) } }
        }
        @if let Some(next) = page.next {
            @let more = Address::default().with("name", reaction).with("cursor", next);
            p.full { a.button rel="next" href=(site.link(REACTIONS, &more)) { "More steps" span.hidden { " of " (plain(reaction)) } } }
        }
    }
}

fn step(site: &Site, reaction: &str, step: &PendingStep, now: Timestamp) -> Markup {
    let PendingStep { id, due, aggregate, position, timer, command, .. } = step;
    html! {
        li id={ "s-" (id) } {
            p {
                strong { (given(command)) } " for " (reference(site, aggregate))
                span.soft {
                    @if *due <= now { ", due since " } @else { ", due " } (time(*due, "second"))
                    @if let Some(timer) = timer { ", timer " (given(timer)) }
                    ", after " (event(site, *position))
                }
            }
            details {
                summary { "Skip" span.hidden { " " (plain(command)) " for " (plain(aggregate.as_str())) } }
                (step_form(site, "skip", reaction, *id, "Skip this step"))
            }
        }
    }
}
