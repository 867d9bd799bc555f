//! The check of the log, started by a button, watched by a bar.

use axum::extract::State;
use axum::response::{Html, IntoResponse, Redirect, Response};
use maud::{Markup, html};

use super::address::Address;
use super::sent;
use super::site::{Section, Site};
use super::words::{given, many, number};
use crate::http::api::{CHECK, Job, checking};
use crate::http::{Asker, Problem, Shared};
use crate::store::CheckReport;

/// How many findings are listed.
const LISTED: usize = 200;

pub(super) async fn show(site: Site, asker: Asker, State(shared): State<Shared>) -> Result<Response, Problem> {
    asker.operate("check", None).await?;
    let content = html! {
        div.title {
            div {
                h1 { "Verify the log" }
                p { "Reads every event and looks for what was changed around the application: gaps, edits, what no longer protects the log, snapshots that are not what the log says." }
            }
        }
        div data-watch=(site.link("verify/now", &Address::default())) { (state(&site, &shared)) }
    };
    Ok(sent(site.page(Section::Check, "Verify the log", &content)))
}

pub(super) async fn now(site: Site, asker: Asker, State(shared): State<Shared>) -> Result<Html<String>, Problem> {
    asker.operate("check", None).await?;
    Ok(Html(state(&site, &shared).into_string()))
}

pub(super) async fn start(site: Site, asker: Asker, State(shared): State<Shared>) -> Result<Response, Problem> {
    asker.operate("check", None).await?;
    // What came of it stands on the page.
    let _ = checking(&shared).await;
    Ok(Redirect::to(&site.link("verify", &Address::default())).into_response())
}

fn state(site: &Site, shared: &Shared) -> Markup {
    let last = shared.checks().last(CHECK);
    let busy = last.as_ref().is_some_and(|job| !job.done);
    let say = match &last {
        Some(Job { result: Some(report), .. }) if report.is_sound() => "The check ended: nothing is wrong",
        Some(Job { result: Some(_), .. }) => "The check ended: something is wrong",
        Some(Job { problem: Some(_), .. }) => "The check failed",
        _ => "",
    };
    html! {
        section.stack data-busy=[busy.then_some("1")] data-say=(say) {
            @match &last {
                None => { p.soft { "The log has not been checked since the program was started." } }
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
        @if report.is_sound() {
            div.note.good {
                p { strong { "Nothing is wrong." } " " (read) }
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
                    thead { tr { th scope="col" { "Position" } th scope="col" { "What is wrong" } } }
                    tbody {
                        @for finding in report.findings.iter().take(LISTED) {
                            tr {
                                td.number { @if let Some(position) = finding.position { (number(position)) } @else { "–" } }
                                td { (given(&finding.problem)) }
                            }
                        }
                    }
                }
                @if report.findings.len() > LISTED { p.soft { "The first " (LISTED) " are listed: the command " code { "check" } " lists more." } }
            }
        }
    }
}

/// What can be kept elsewhere, and what the check does not show.
fn digest(report: &CheckReport) -> Markup {
    html! {
        @if let Some(digest) = &report.digest { p.soft { "Digest of the log " code { (digest.to_string()) } } }
        details {
            summary { "What this check does not cover" }
            ul { @for what in report.not_covered { li { (what) } } }
        }
    }
}
