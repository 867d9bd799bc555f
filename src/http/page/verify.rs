//! The check of the log, with a progress bar.

use axum::extract::State;
use axum::response::{Html, IntoResponse, Redirect, Response};
use maud::{Markup, html};

use super::address::Address;
use super::respond;
use super::site::{Section, Site};
use super::text::{given, many, number};
use crate::http::api::{CHECK, start_check};
use crate::http::jobs::Job;
use crate::http::{AppState, Caller, Problem};
use crate::store::CheckReport;

/// The most listed findings.
const MAX_LISTED: usize = 200;

pub(super) async fn show(site: Site, caller: Caller, State(state): State<AppState>) -> Result<Response, Problem> {
    caller.operate("check", None).await?;
    #[cfg(feature = "proofs")]
    let proofs = super::proofs::part(&site, &caller, &state).await?;
    #[cfg(not(feature = "proofs"))]
    let proofs = html! {};
    #[cfg(feature = "personal")]
    let erasures = super::erasures::part(&site, &state).await?;
    #[cfg(not(feature = "personal"))]
    let erasures = html! {};
    let content = html! {
        div.title {
            div {
                h1 { "Verify the log" }
                p { "Reads every event and looks for changes that were made outside the application: gaps, edits, missing protection of the log, snapshots that do not match it." }
            }
        }
        div data-watch=(site.link("verify/now", &Address::default())) { (status(&site, &state)) }
        (erasures)
        (proofs)
    };
    Ok(respond(site.page(Section::Check, "Verify the log", &content)))
}

pub(super) async fn now(
    site: Site,
    caller: Caller,
    State(state): State<AppState>,
) -> Result<Html<String>, Problem> {
    caller.operate("check", None).await?;
    Ok(Html(status(&site, &state).into_string()))
}

pub(super) async fn start(site: Site, caller: Caller, State(state): State<AppState>) -> Result<Response, Problem> {
    caller.operate("check", None).await?;
    // The page shows the result.
    let _ = start_check(&state).await;
    Ok(Redirect::to(&site.link("verify", &Address::default())).into_response())
}

fn status(site: &Site, state: &AppState) -> Markup {
    let last = state.checks().last(CHECK);
    let busy = last.as_ref().is_some_and(|job| !job.done);
    let say = match &last {
        Some(Job { result: Some(report), .. }) if report.is_sound() => "The check is complete: no findings",
        Some(Job { result: Some(_), .. }) => "The check is complete: there are findings",
        Some(Job { problem: Some(_), .. }) => "The check failed",
        _ => "",
    };
    html! {
        section.stack data-busy=[busy.then_some("1")] data-say=(say) {
            @match &last {
                None => { p.soft { "The log has not been checked since the server started." } }
                Some(Job { result: Some(report), .. }) => { (findings(report)) }
                Some(Job { problem: Some(problem), .. }) => { div.note.bad { p { "The log could not be checked: " (given(problem.detail())) } } }
                Some(Job { position, head, .. }) => {
                    div {
                        p #progress .number { "Checking: event " (number(*position)) " of " (number(*head)) }
                        progress aria-labelledby="progress" value=(position) max=((*head).max(1)) {}
                    }
                }
            }
            form method="post" action=(site.link("verify", &Address::default())) {
                button.main #check type="submit" disabled[busy] { @if busy { "Checking…" } @else { "Check the whole log" } }
            }
        }
    }
}

fn findings(report: &CheckReport) -> Markup {
    let read = html! { (many(report.events, "event")) " read, up to position " (number(report.head.position)) "." };
    html! {
        @if report.readable.events > 0 {
            div.note.warn {
                p {
                    strong { (many(report.readable.events, "event")) " with readable values of personal fields." }
                    " They were recorded before the fields were personal, and an erasure does not reach them: "
                    @for (field, events) in &report.readable.fields { code { (field) } " (" (number(*events)) ") " }
                }
            }
        }
        @if report.is_sound() {
            div.note.good {
                p { strong { "No findings." } " " (read) }
                (digest(report))
            }
        } @else {
            div.note.bad {
                p { strong { (many(report.count(), "finding")) "." } " " (read) }
                @if let Some(verdict) = report.verdict() { p { (given(&verdict)) } }
                (digest(report))
            }
            div.sheet.block.scroll tabindex="0" role="region" aria-label="Findings" {
                table.list {
                    thead { tr { th scope="col" { "Position" } th scope="col" { "Finding" } } }
                    tbody {
                        @for finding in report.findings.iter().take(MAX_LISTED) {
                            tr {
                                td.number { @if let Some(position) = finding.position { (number(position)) } @else { "–" } }
                                td { (given(&finding.problem)) }
                            }
                        }
                    }
                }
                @if report.findings.len() > MAX_LISTED { p.soft { "The first " (MAX_LISTED) " are listed: the command " code { "check" } " lists more." } }
            }
        }
    }
}

/// The digest, and what the check does not cover.
fn digest(report: &CheckReport) -> Markup {
    html! {
        @if let Some(digest) = &report.digest { p.soft { "Digest of the log " code { (digest.to_string()) } } }
        details {
            summary { "What this check does not cover" }
            ul { @for what in &report.not_covered { li { (what) } } }
        }
    }
}
