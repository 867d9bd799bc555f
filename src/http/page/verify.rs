//! The check of the log, started by a button, watched by a bar.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::{Extension, State};
use axum::response::{Html, IntoResponse, Redirect, Response};
use jiff::Timestamp;
use maud::{Markup, html};

use super::address::Address;
use super::site::{Section, Site};
use super::words::{given, many, number, time};
use super::{may_read_all, sent};
use crate::app::Annals;
use crate::http::{Asker, Problem, Shared};
use crate::store::CheckReport;

/// How many findings are listed.
const LISTED: usize = 200;

/// The check that was started last from here, if there was one.
#[derive(Clone, Default)]
pub(super) struct Checks(Arc<Mutex<Check>>);

#[derive(Default)]
enum Check {
    #[default]
    Never,
    Running {
        at: u64,
        head: u64,
    },
    Done {
        report: CheckReport,
        ended: Timestamp,
    },
    Failed {
        why: String,
    },
}

impl Checks {
    fn now(&self) -> MutexGuard<'_, Check> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins to check, unless that is under way.
    fn start(&self, annals: &Annals) {
        let mut now = self.now();
        if matches!(*now, Check::Running { .. }) {
            return;
        }
        *now = Check::Running { at: 0, head: 0 };
        let (checks, annals) = (self.clone(), annals.clone());
        tokio::spawn(async move {
            let tell = checks.clone();
            let checked = annals.check(move |at, head| *tell.now() = Check::Running { at, head }).await;
            *checks.now() = match checked {
                Ok(report) => Check::Done { report, ended: Timestamp::now() },
                Err(error) => {
                    tracing::error!(%error, "the log could not be checked");
                    Check::Failed { why: error.to_string() }
                }
            };
        });
    }
}

pub(super) async fn show(
    site: Site,
    asker: Asker,
    Extension(checks): Extension<Checks>,
) -> Result<Response, Problem> {
    may_read_all(&asker).await?;
    let content = html! {
        div.title { h1 { "Verify the log" } }
        p { "Reads every event and looks for what was changed around the application: gaps, edits, what does not fit together." }
        br;
        div data-watch=(site.link("verify/now", &Address::default())) { (state(&site, &checks)) }
    };
    Ok(sent(site.page(Section::Check, "Verify the log", &content)))
}

pub(super) async fn now(
    site: Site,
    asker: Asker,
    Extension(checks): Extension<Checks>,
) -> Result<Html<String>, Problem> {
    may_read_all(&asker).await?;
    Ok(Html(state(&site, &checks).into_string()))
}

pub(super) async fn start(
    site: Site,
    asker: Asker,
    State(shared): State<Shared>,
    Extension(checks): Extension<Checks>,
) -> Result<Response, Problem> {
    may_read_all(&asker).await?;
    checks.start(shared.annals());
    Ok(Redirect::to(&site.link("verify", &Address::default())).into_response())
}

fn state(site: &Site, checks: &Checks) -> Markup {
    let now = checks.now();
    let busy = matches!(*now, Check::Running { .. });
    let say = match &*now {
        Check::Never | Check::Running { .. } => "",
        Check::Done { report, .. } if report.is_sound() => "The check ended: nothing is wrong",
        Check::Done { .. } => "The check ended: something is wrong",
        Check::Failed { .. } => "The check failed",
    };
    html! {
        section.stack data-busy=[busy.then_some("1")] data-say=(say) {
            @match &*now {
                Check::Never => { p.soft { "The log has not been checked from here since the program was started." } }
                Check::Running { at, head } => {
                    div {
                        p #progress { "Checking: event " (number(*at)) " of " (number(*head)) }
                        progress aria-labelledby="progress" value=(at) max=((*head).max(1)) {}
                    }
                }
                Check::Done { report, ended } => { (findings(report, *ended)) }
                Check::Failed { why } => { div.note.bad { p { "The log could not be checked: " (given(why)) } } }
            }
            form method="post" action=(site.link("verify", &Address::default())) {
                button.main #check type="submit" disabled[busy] { @if busy { "Checking…" } @else { "Check the whole log" } }
            }
        }
    }
}

fn findings(report: &CheckReport, ended: Timestamp) -> Markup {
    let read = many(report.events, "event");
    html! {
        @if report.is_sound() {
            div.note.good {
                p { strong { "Nothing is wrong." } " " (read) " read, up to position " (number(report.head.position)) "." }
                p.soft { (time(ended, "second")) " · head " code { (report.head.event_id) } }
            }
        } @else {
            div.note.bad {
                p { strong { (many(report.findings.len() as u64 + report.more, "finding")) "." } " " (read) " read, up to position " (number(report.head.position)) "." }
                p.soft { (time(ended, "second")) }
            }
            div.sheet.block.scroll {
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
