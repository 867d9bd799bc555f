//! Access: requests to decide, grants and their tokens, and forms that execute the commands about them.
//!
//! Each form executes its command as the caller, and the command decides by itself whether the caller may. If it does not, the page is
//! shown again with the reason, and with what was filled in.
//!
//! ## Layout
//! - `place`: [`Place`], which part of the lists a page shows
//! - `part`: [`Part`], that part, read as the caller
//! - `sent`: [`SentForm`](sent::SentForm), a form that was sent, and its command
//! - `fields`: [`Form`](fields::Form), a form to fill in
//! - `parties`: parties and rights as HTML
//! - `requests`: the open requests
//! - `grants`: the grants

mod fields;
mod grants;
mod part;
mod parties;
mod place;
mod requests;
mod sent;

use axum::Router;
use axum::response::Response;
use axum::routing::{get, post};
use maud::{Markup, html};

use self::fields::{Failed, Form};
use self::part::Part;
use self::place::Place;
use super::address::Address;
use super::request::PageRequest;
use super::respond;
use super::site::{ACCESS, Section, Site};
use super::text::given;
use crate::events::Ref;
use crate::http::{AppState, Problem};

/// The routes, if the application has rights in its log.
pub(super) fn routes(state: &AppState) -> Router<AppState> {
    if !state.annals().has_rights() {
        return Router::new();
    }
    let routes = Router::new()
        .route("/page/access", get(show))
        .route("/page/access/request", post(sent::request))
        .route("/page/access/grant", post(sent::grant))
        .route("/page/access/approve", post(sent::approve))
        .route("/page/access/deny", post(sent::deny))
        .route("/page/access/confirm", post(sent::confirm))
        .route("/page/access/revoke", post(sent::revoke))
        .route("/page/access/revoke-token", post(sent::revoke_token));
    match signs(state) {
        true => routes.route("/page/access/token", post(sent::token)),
        false => routes,
    }
}

/// Whether the server has a key to sign tokens with.
fn signs(state: &AppState) -> bool {
    state.settings().authentication.access_keys().is_some_and(|keys| keys.signer().is_ok())
}

/// What the parts of the page have in common.
struct View<'a> {
    site: &'a Site,
    place: &'a Place,
    part: &'a Part,
    /// The caller.
    actor: &'a Ref,
    /// The form that was sent last, if its command was not executed.
    failed: Option<&'a Failed>,
    /// Whether tokens can be issued.
    signs: bool,
    /// Whether reads are uses of a grant.
    with_reads: bool,
}

async fn show(request: PageRequest) -> Result<Response, Problem> {
    let place = Place::of(&request.address)?;
    Ok(respond(page(&request, &place, None).await?))
}

async fn page(request: &PageRequest, place: &Place, failed: Option<&Failed>) -> Result<Markup, Problem> {
    let context = request.caller.context()?;
    let part = Part::read(&request.state, &context, place).await?;
    let (site, signs) = (&request.site, signs(&request.state));
    let with_reads = request.state.annals().records_reads();
    let view = View { site, place, part: &part, actor: context.actor(), failed, signs, with_reads };
    let suspended = request.state.annals().rights_suspended();
    let lists = html! { @if let Some(reason) = suspended { (suspension(&view, reason)) } (requests::section(&view)) (grants::section(&view)) (forms(&view)) };
    let title = match &place.of {
        Some(party) => format!("Access of {party}"),
        None => "Access".to_owned(),
    };
    let content = html! {
        div.title {
            div {
                h1 { (given(&title)) }
                p { "Rights are requested, granted and revoked here, each with a reason. All of it stays in the log." }
            }
            @if place.of.is_some() { a.button href=(site.link(ACCESS, &Address::default())) { "Access of all parties" } }
        }
        @if let Some(failed) = failed {
            div.note.bad #failed role="alert" {
                p { "Not done: " (given(&failed.reason)) }
                @if Form::is_in(&lists, &failed.form) { p { a href={ "#" (failed.form) } { "Go to the form" } } }
            }
        }
        @if !part.all && place.of.is_none() {
            p.note #own { "You see your own requests and grants. For those of others, request " code { "read access *" } "." }
        }
        div.stack { (lists) }
    };
    Ok(site.page(Section::Access, &title, &content))
}

/// Says that no grant counts, with a form to confirm those that are in the log.
fn suspension(view: &View<'_>, reason: &str) -> Markup {
    let confirm = Form::new(view, "confirm", None);
    html! {
        section.sheet.block #suspended aria-labelledby="suspended-title" {
            h2 #suspended-title { "Rights are suspended" }
            div.note.bad role="alert" { p { (reason) } }
            p { "An owner checks the grants in the log and confirms them. Then they count again." }
            (confirm.folded("Confirm the rights in the log", &confirm.why()))
        }
    }
}

/// The forms that are about no request and no grant.
fn forms(view: &View<'_>) -> Markup {
    let request = Form::new(view, "request", None);
    let grant = Form::new(view, "grant", None);
    let gives = view.part.all || view.part.grants.rows.iter().any(|(_, held)| held.delegable);
    html! {
        section.sheet.block #ask aria-labelledby="ask-title" {
            h2 #ask-title { "Request rights" }
            p.soft { "For you, " bdi { (crate::projections::presenter::plain(view.actor.as_str())) } ". Somebody else decides." }
            (request.render("Request", &html! { (request.rights()) (request.until("Until, if not without end")) (request.why()) }))
            details {
                summary { "What a right looks like" }
                (examples())
            }
        }
        @if gives {
            section.sheet.block #give aria-labelledby="give-title" {
                h2 #give-title { "Grant rights that nobody requested" }
                details open[grant.has_failed()] {
                    summary { "Grant rights" }
                    (grant.render("Grant", &html! {
                        (grant.line("grantee", "To", "user:bob")) (grant.rights()) (grant.until("Until, if not without end")) (grant.why()) (grant.delegable())
                    }))
                }
            }
        }
    }
}

fn examples() -> Markup {
    let examples = [
        ("execute add_member project:7", "a command on one thing; * means all"),
        ("read roster *", "the documents of a view"),
        ("audit metadata", "who did what to what, and when, without contents"),
        ("audit full target=project:7", "with contents, about one thing"),
        ("metrics project/*", "the metrics of a topic, and of what is below it"),
        ("catalogue", "the names of commands, event types, topics and views"),
        ("operate status", "operations"),
    ];
    html! {
        dl.facts { @for (right, words) in examples { dt { code { (right) } } dd { (words) } } }
        p.soft { "A right to read, audit or metrics may end with " code { "observe" } ": then the answer may be followed live." }
    }
}
