//! The open requests, with forms to approve and deny them.

use maud::{Markup, html};

use super::View;
use super::fields::Form;
use super::part::Rows;
use super::parties::{bytes, named, party, rights};
use super::place::{After, Place};
use crate::access::OpenRequest;
use crate::events::Ref;
use crate::http::page::site::ACCESS;
use crate::http::page::text::time;
use crate::projections::presenter::plain;

pub(super) fn section(view: &View<'_>) -> Markup {
    let Rows { rows, next } = &view.part.requests;
    let decides = view.part.all || view.place.of.is_some();
    html! {
        section #requests aria-labelledby="requests-title" {
            h2 #requests-title { @if decides { "Requests to decide" } @else { "Your open requests" } }
            div.sheet {
                @for (grantee, request) in rows { (one(view, grantee, request, decides)) }
                @if rows.is_empty() { p.empty { "No open requests." } }
                (pages(view, "requests", &view.place.requests, next.as_ref()))
            }
        }
    }
}

fn one(view: &View<'_>, grantee: &Ref, request: &OpenRequest, decides: bool) -> Markup {
    let OpenRequest { request: id, rights: asked, until, by, why, at } = request;
    let text = id.to_string();
    let on = Some(("request", &*text, grantee));
    let (approve, deny) = (Form::new(view, "approve", on), Form::new(view, "deny", on));
    html! {
        article.entry aria-labelledby={ "for-" (id) } {
            h3 id={ "for-" (id) } { (named(view.site, &view.part.thing(grantee))) @if grantee == view.actor { " (you)" } }
            (bytes(grantee.as_str()))
            (rights(asked))
            dl.facts {
                dt { "Reason" } dd { bdi { (plain(why)) } }
                dt { "Asked by" } dd { @for (n, one) in by.iter().enumerate() { @if n > 0 { ", on behalf of " } (party(view.site, &view.part.thing(one))) } }
                dt { "Asked" } dd { (time(*at, "second")) }
                dt { "Until" } dd { @match until { Some(until) => (time(*until, "second")), None => "without end" } }
            }
            div.acts {
                @if decides {
                    (approve.folded("Approve", &html! {
                        (approve.chosen(asked)) (approve.until("Until, if earlier")) (approve.why()) (approve.delegable())
                    }))
                }
                (deny.folded(if decides { "Deny" } else { "Withdraw" }, &deny.why()))
            }
        }
    }
}

/// Links to the first and the next page of one of the lists. The other list stays where it is.
pub(super) fn pages(view: &View<'_>, list: &'static str, now: &After, next: Option<&After>) -> Markup {
    let link = |after: After| {
        let mut place = view.place.clone();
        match list {
            "requests" => place.requests = after,
            _ => place.grants = after,
        }
        format!("{}#{list}", view.site.link(ACCESS, &Place::address(&place)))
    };
    let begins = *now == After::default();
    html! {
        @if !begins || next.is_some() {
            nav.pages aria-label={ "Pages of " (list) } {
                @if begins { span {} } @else { a.button href=(link(After::default())) { "← First" } }
                @if let Some(next) = next { a.button href=(link(next.clone())) { "Next →" } }
            }
        }
    }
}
