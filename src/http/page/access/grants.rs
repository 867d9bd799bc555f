//! The grants and their tokens, with forms to revoke them and to issue a token.

use axum::http::{HeaderValue, header};
use axum::response::Response;
use jiff::Timestamp;
use maud::{Markup, html};
use uuid::Uuid;

use super::View;
use super::fields::Form;
use super::part::Rows;
use super::parties::{bytes, named, party, rights};
use super::place::Place;
use super::requests::pages;
use crate::access::{GrantUse, HeldGrant, TokenOfGrant};
use crate::events::Ref;
use crate::http::page::respond;
use crate::http::page::site::{ACCESS, Section, Site};
use crate::http::page::text::{many, time};
use crate::projections::presenter::plain;

/// The most tokens of a grant that are listed.
const MAX_LISTED: usize = 20;

pub(super) fn section(view: &View<'_>) -> Markup {
    let Rows { rows, next } = &view.part.grants;
    let all = view.part.all || view.place.of.is_some();
    html! {
        section #grants aria-labelledby="grants-title" {
            h2 #grants-title { @if all { "Grants" } @else { "Your grants" } }
            div.sheet {
                @for (grantee, held) in rows { (one(view, grantee, held)) }
                @if rows.is_empty() { p.empty { "No grants." } }
                (pages(view, "grants", &view.place.grants, next.as_ref()))
            }
        }
    }
}

fn one(view: &View<'_>, grantee: &Ref, held: &HeldGrant) -> Markup {
    let HeldGrant { grant: id, rights: granted, until, delegable, by, under, why, at, tokens, .. } = held;
    let text = id.to_string();
    let on = Some(("grant", &*text, grantee));
    let (revoke, token) = (Form::new(view, "revoke", on), Form::new(view, "token", on));
    html! {
        article.entry aria-labelledby={ "of-" (id) } {
            h3 id={ "of-" (id) } { (named(view.site, &view.part.thing(grantee))) @if grantee == view.actor { " (you)" } }
            (bytes(grantee.as_str()))
            (rights(granted))
            dl.facts {
                dt { "Reason" } dd { bdi { (plain(why)) } }
                dt { "Granted by" } dd { (party(view.site, &view.part.thing(by))) }
                @if let Some(under) = under {
                    dt { "Passed on by" } dd { (party(view.site, &view.part.thing(&under.holder))) ", from its grant " code { (under.grant) } }
                }
                dt { "Granted" } dd { (time(*at, "second")) }
                dt { "Until" } dd { (end(*until, view.part.now)) }
                dt { "Used" } dd { (used(view, *id)) }
                dt { "May be passed on" } dd { @if *delegable { "yes" } @else { "no" } }
                dt { "Grant" } dd { code { (id) } }
                @if !tokens.is_empty() { dt { "Tokens" } dd { (list(view, grantee, tokens)) } }
            }
            div.acts {
                (revoke.folded("Revoke", &revoke.why()))
                @if view.signs { (token.folded("Issue a token", &html! { (token.until("Until, if before the grant ends")) (token.why()) })) }
            }
        }
    }
}

/// How often the grant was used, and when last.
fn used(view: &View<'_>, grant: Uuid) -> Markup {
    html! {
        @match view.part.uses.get(&grant) {
            Some(GrantUse { uses, last, .. }) => { (many(*uses, "time")) ", last " (time(*last, "second")) },
            None => strong { "never" },
        }
        @if !view.with_reads { span.soft { " (reads are not recorded, and do not count)" } }
    }
}

fn end(until: Option<Timestamp>, now: Timestamp) -> Markup {
    html! {
        @match until {
            Some(until) => { (time(until, "second")) @if until <= now { " " strong { "ended" } } }
            None => "without end",
        }
    }
}

/// The newest tokens, the newest first.
fn list(view: &View<'_>, grantee: &Ref, tokens: &[TokenOfGrant]) -> Markup {
    let revoke = |block: &str| {
        let form = Form::new(view, "revoke-token", Some(("block", block, grantee)));
        form.folded("Revoke the token", &form.why())
    };
    html! {
        ul.tokens {
            @for TokenOfGrant { block, until, by, why, at } in tokens.iter().rev().take(MAX_LISTED) {
                li {
                    bdi { (plain(why)) } ", issued by " (party(view.site, &view.part.thing(by))) " " (time(*at, "second")) ", until "
                    @match until { Some(_) => (end(*until, view.part.now)), None => "the grant ends" }
                    details { summary { "Revocation id" } code { (block) } }
                    (revoke(block))
                }
            }
            @if tokens.len() > MAX_LISTED { li { "and " (many((tokens.len() - MAX_LISTED) as u64, "more token")) } }
        }
    }
}

/// The page that shows a new token. It is shown nowhere else, and nothing stores it.
pub(super) fn issued(site: &Site, place: &Place, text: &str) -> Response {
    let content = html! {
        div.title { h1 { "Access token" } }
        div.note.warn { p { "Copy it now: it is shown once, and stored nowhere. With it, everybody can act by the grant." } }
        pre #token tabindex="0" aria-label="The token" { (text) }
        p { a.button href=(site.link(ACCESS, &place.address())) { "Back to access" } }
    };
    let mut response = respond(site.page(Section::Access, "Access token", &content));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
