//! The projections: status, rebuild and resume.

use axum::extract::State;
use axum::response::{Html, IntoResponse, Redirect, Response};
use maud::{Markup, html};

use super::address::Address;
use super::request::FormRequest;
use super::respond;
use super::site::{PROJECTIONS, Section, Site};
use super::text::{given, many, number, time};
use crate::http::api::{RebuildParams, start_rebuild};
use crate::http::jobs::Job;
use crate::http::{AppState, Caller, Problem};
use crate::projections::presenter::plain;
use crate::projections::{Progress, ProjectionState, ProjectionStatus, StopInfo};

pub(super) async fn show(site: Site, caller: Caller, State(state): State<AppState>) -> Result<Response, Problem> {
    let list = list(&site, &caller, &state).await?;
    let standby = state.annals().store().standby().await?;
    let content = html! {
        div.title {
            div {
                h1 { "Projections" }
                p { "Projections are derived from the log. A rebuild replaces the data of a projection; reads use the old data until it is complete." }
            }
        }
        div data-watch=(site.link(&format!("{PROJECTIONS}/now"), &Address::default())) { (list) }
        @if let Some(standby) = &standby {
            p.soft {
                "Read from the standby " (given(&standby.name)) ", which "
                @if let Some(lag) = standby.lag { "lacks " (many(lag, "event")) "." }
                @else { "does not answer: the primary is read." }
            }
        }
    };
    Ok(respond(site.page(Section::Projections, "Projections", &content)))
}

/// Redirects from the former address, `/upkeep`.
pub(super) async fn moved(site: Site) -> Response {
    Redirect::permanent(&site.link(PROJECTIONS, &Address::default())).into_response()
}

pub(super) async fn now(
    site: Site,
    caller: Caller,
    State(state): State<AppState>,
) -> Result<Html<String>, Problem> {
    Ok(Html(list(&site, &caller, &state).await?.into_string()))
}

pub(super) async fn rebuild(form: FormRequest) -> Result<Response, Problem> {
    let name = form.needed("name")?;
    form.caller.operate("rebuild", Some(name)).await?;
    form.state.annals().reading(name)?;
    // The page shows the result.
    let started = start_rebuild(&form.state, name, &RebuildParams::default()).await;
    match started {
        Err(problem) if form.state.rebuilds().last(name).is_none() => Err(problem),
        _ => Ok(redirect(&form.site, name)),
    }
}

pub(super) async fn resume(form: FormRequest) -> Result<Response, Problem> {
    let name = form.needed("name")?;
    form.caller.operate("resume", Some(name)).await?;
    form.state.annals().resume(name).await?;
    Ok(redirect(&form.site, name))
}

fn redirect(site: &Site, name: &str) -> Response {
    let anchor = form_urlencoded::byte_serialize(name.as_bytes()).collect::<String>();
    Redirect::to(&format!("{}#p-{anchor}", site.link(PROJECTIONS, &Address::default()))).into_response()
}

async fn list(site: &Site, caller: &Caller, state: &AppState) -> Result<Markup, Problem> {
    caller.operate("status", None).await?;
    let statuses = state.annals().projections().await?;
    let statuses: Vec<(ProjectionStatus, Option<Job<Progress>>)> = statuses
        .into_iter()
        .map(|status| {
            let last = state.rebuilds().last(&status.name);
            (status, last)
        })
        .collect();
    let busy = statuses.iter().any(|(status, last)| is_running(status, last.as_ref()));
    let announcements: Vec<String> =
        statuses.iter().filter_map(|(status, last)| announcement(&status.name, last.as_ref()?)).collect();
    Ok(html! {
        div.sheet data-busy=[busy.then_some("1")] data-say=(announcements.join("; ")) {
            @for (status, last) in &statuses { (projection(site, status, last.as_ref())) }
        }
    })
}

/// Whether it is being rebuilt, by this process or another.
fn is_running(status: &ProjectionStatus, last: Option<&Job<Progress>>) -> bool {
    status.rebuild.is_some() || last.is_some_and(|last| !last.done)
}

/// The announcement of a rebuild's end.
fn announcement(name: &str, last: &Job<Progress>) -> Option<String> {
    match (&last.result, &last.problem) {
        (Some(progress), _) => {
            Some(format!("{} is rebuilt up to position {}", plain(name), number(progress.position)))
        }
        (_, Some(_)) => Some(format!("the rebuild of {} failed", plain(name))),
        _ => None,
    }
}

fn projection(site: &Site, status: &ProjectionStatus, last: Option<&Job<Progress>>) -> Markup {
    let running = is_running(status, last);
    let ProjectionStatus { name, position, head, lag, dead_letters, .. } = status;
    let form = |action: &str, words: &str, main: bool, disabled: bool| {
        html! {
            form method="post" action=(site.link(&format!("{PROJECTIONS}/{action}"), &Address::default())) {
                input type="hidden" name="name" value=(name);
                button.main[main] id={ (action) "-" (plain(name)) } type="submit" disabled[disabled] {
                    (words) span.hidden { " " (plain(name)) }
                }
            }
        }
    };
    let words = match status.state {
        ProjectionState::Live => "live-on",
        ProjectionState::CatchingUp | ProjectionState::Waiting(_) => "behind",
        ProjectionState::Stopped(_) => "stopped",
    };
    let state = match &status.state {
        ProjectionState::Stopped(_) => "stopped".to_owned(),
        other => plain(&other.to_string()).into_owned(),
    };
    html! {
        section.projection id={ "p-" (name) } {
            h2 { (given(name)) }
            p.line {
                span class={ "state " (words) } { (state) }
                span.soft.number {
                    " · at " (number(*position)) " of " (number(*head))
                    @if *lag > 0 { ", " strong { (many(*lag, "event")) " behind" } }
                    @if *dead_letters > 0 { ", " (many(*dead_letters, "dead letter")) }
                    " · generation " (status.generation) ", version " (format!("{:x}", status.version))
                }
            }
            div.tools {
                @if status.is_stopped() { (form("resume", "Resume", true, false)) }
                (form("rebuild", if running { "Rebuilding…" } else { "Rebuild" }, false, running))
            }
            @if let ProjectionState::Stopped(stop) = &status.state { (stopped(site, stop)) }
            @if let Some(progress) = status.rebuild {
                div.full {
                    p.soft.number id={ "far-" (name) } {
                        "Rebuilding: " (number(progress.position)) " of " (number(progress.head))
                        @if progress.events_per_second > 0.0 { ", " (number(progress.events_per_second as u64)) " events a second" }
                        @if let Some(eta) = progress.eta { ", " (many(eta.as_secs(), "second")) " left" }
                    }
                    progress aria-labelledby={ "far-" (name) } value=(progress.position) max=(progress.head.max(1)) {}
                }
            } @else {
                @match last {
                    Some(Job { problem: Some(problem), .. }) => { div.full.note.bad { p { (given(problem.detail())) } } }
                    Some(Job { result: Some(progress), .. }) => { p.full.soft { "Rebuilt up to position " span.number { (number(progress.position)) } "." } }
                    _ => {}
                }
            }
        }
    }
}

fn stopped(site: &Site, stop: &StopInfo) -> Markup {
    html! {
        div.full.note.bad {
            p {
                "Stopped " (time(stop.since, "second"))
                @if let Some(event) = stop.position {
                    @let alone = Address::default().with("from", event).with("until", event + 1);
                    " at " a href=(site.link("", &alone)) { "event " (number(event)) }
                }
                ", after " (many(u64::from(stop.attempts), "attempt")) "."
            }
            p { (given(&stop.reason)) }
        }
    }
}
