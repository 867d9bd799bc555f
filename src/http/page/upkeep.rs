//! The projections: how far each is, making one anew, letting one that stopped try again.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::{Extension, RawForm, State};
use axum::response::{Html, IntoResponse, Redirect, Response};
use maud::{Markup, html};

use super::address::Address;
use super::site::{Section, Site};
use super::words::{given, many, number, time};
use super::{may_read_all, sent};
use crate::app::Annals;
use crate::http::{Asker, Problem, Shared};
use crate::projections::presenter::plain;
use crate::projections::{ProjectionState, ProjectionStatus, Rebuild, RebuildError, Stop};

/// What came of the rebuilds that were started from here: nothing while one is under way.
#[derive(Clone, Default)]
pub(super) struct Rebuilds(Arc<Mutex<BTreeMap<String, Outcome>>>);

#[derive(Clone)]
enum Outcome {
    Running,
    Done(u64),
    Failed(String),
}

impl Rebuilds {
    fn all(&self) -> MutexGuard<'_, BTreeMap<String, Outcome>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a rebuild going to its end, whoever looks.
    fn keep(&self, name: &str, begun: Result<Rebuild, RebuildError>) {
        let outcome = |outcome: Result<u64, RebuildError>| match outcome {
            Ok(position) => Outcome::Done(position),
            Err(error) => Outcome::Failed(super::in_words(&error)),
        };
        let rebuild = match begun {
            Ok(rebuild) => rebuild,
            Err(error) => {
                self.all().insert(name.to_owned(), outcome(Err(error)));
                return;
            }
        };
        self.all().insert(name.to_owned(), Outcome::Running);
        let (rebuilds, name) = (self.clone(), name.to_owned());
        tokio::spawn(async move {
            let ended = outcome(rebuild.await.map(|progress| progress.position));
            rebuilds.all().insert(name, ended);
        });
    }
}

pub(super) async fn show(
    site: Site,
    asker: Asker,
    State(shared): State<Shared>,
    Extension(rebuilds): Extension<Rebuilds>,
) -> Result<Response, Problem> {
    let list = list(&site, &asker, shared.annals(), &rebuilds).await?;
    let content = html! {
        div.title { h1 { "Projections" } }
        p { "Everything that is read is made from the log. Each projection can be made anew, beside the one that answers meanwhile." }
        br;
        div data-watch=(site.link("upkeep/now", &Address::default())) { (list) }
    };
    Ok(sent(site.page(Section::Projections, "Projections", &content)))
}

pub(super) async fn now(
    site: Site,
    asker: Asker,
    State(shared): State<Shared>,
    Extension(rebuilds): Extension<Rebuilds>,
) -> Result<Html<String>, Problem> {
    Ok(Html(list(&site, &asker, shared.annals(), &rebuilds).await?.into_string()))
}

pub(super) async fn rebuild(
    site: Site,
    asker: Asker,
    State(shared): State<Shared>,
    Extension(rebuilds): Extension<Rebuilds>,
    RawForm(form): RawForm,
) -> Result<Response, Problem> {
    may_read_all(&asker).await?;
    let name = name(&form)?;
    match shared.annals().rebuild(&name) {
        Err(RebuildError::Unknown(error)) => return Err(error.into()),
        // It is under way, which is what was wanted.
        Err(RebuildError::Running { .. }) => {}
        begun => rebuilds.keep(&name, begun),
    }
    Ok(back(&site, &name))
}

pub(super) async fn resume(
    site: Site,
    asker: Asker,
    State(shared): State<Shared>,
    RawForm(form): RawForm,
) -> Result<Response, Problem> {
    may_read_all(&asker).await?;
    let name = name(&form)?;
    shared.annals().resume(&name).await?;
    Ok(back(&site, &name))
}

fn name(form: &[u8]) -> Result<String, Problem> {
    let asked = Address::parse(std::str::from_utf8(form).ok());
    asked.get("name").map(str::to_owned).ok_or_else(|| Problem::malformed("which projection? `name` says it"))
}

fn back(site: &Site, name: &str) -> Response {
    let anchor = form_urlencoded::byte_serialize(name.as_bytes()).collect::<String>();
    Redirect::to(&format!("{}#p-{anchor}", site.link("upkeep", &Address::default()))).into_response()
}

async fn list(site: &Site, asker: &Asker, annals: &Annals, rebuilds: &Rebuilds) -> Result<Markup, Problem> {
    may_read_all(asker).await?;
    let statuses = annals.projections().await?;
    let outcomes = rebuilds.all().clone();
    let running = |status: &ProjectionStatus| {
        status.rebuild.is_some() || matches!(outcomes.get(&status.name), Some(Outcome::Running))
    };
    let busy = statuses.iter().any(running);
    let said: Vec<String> = outcomes.iter().filter_map(|(name, outcome)| said(name, outcome)).collect();
    Ok(html! {
        div.sheet data-busy=[busy.then_some("1")] data-say=(said.join("; ")) {
            @for status in &statuses {
                (projection(site, status, running(status), outcomes.get(&status.name)))
            }
        }
    })
}

/// What is told when it has ended.
fn said(name: &str, outcome: &Outcome) -> Option<String> {
    match outcome {
        Outcome::Running => None,
        Outcome::Done(position) => Some(format!("{} is rebuilt, up to {position}", plain(name))),
        Outcome::Failed(_) => Some(format!("the rebuild of {} failed", plain(name))),
    }
}

fn projection(site: &Site, status: &ProjectionStatus, running: bool, outcome: Option<&Outcome>) -> Markup {
    let ProjectionStatus { name, position, head, lag, dead_letters, .. } = status;
    let form = |action: &str, words: &str, main: bool, disabled: bool| {
        html! {
            form method="post" action=(site.link(&format!("upkeep/{action}"), &Address::default())) {
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
            div.tools {
                @if status.is_stopped() { (form("resume", "Resume", true, false)) }
                (form("rebuild", if running { "Rebuilding…" } else { "Rebuild" }, false, running))
            }
            p.full {
                span class={ "state " (words) } { (state) }
                span.soft.number {
                    " · at " (number(*position)) " of " (number(*head))
                    @if *lag > 0 { ", " strong { (many(*lag, "event")) " behind" } }
                    @if *dead_letters > 0 { ", " (number(*dead_letters)) " left out" }
                    " · generation " (status.generation) ", version " (format!("{:x}", status.version))
                }
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
                @match outcome {
                    Some(Outcome::Failed(why)) => { div.full.note.bad { p { (given(why)) } } }
                    Some(Outcome::Done(position)) => { p.full.soft { "Rebuilt from here, up to position " span.number { (number(*position)) } "." } }
                    _ => {}
                }
            }
        }
    }
}

fn stopped(site: &Site, stop: &Stop) -> Markup {
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
