//! The last checkpoint of the log, and the proof of an event.

use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use serde::Deserialize;

use super::address::Address;
use super::site::Site;
use super::text::{given, many, number};
use crate::http::{AppState, Caller, Problem, QueryParams};
use crate::proofs::{ProofError, ProofStatus};

#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(default)]
pub(super) struct ProofParams {
    /// Position of the event
    position: Option<u64>,
}

/// Leads to the proof of the event of a position.
pub(super) async fn find(site: Site, QueryParams(params, ..): QueryParams<ProofParams>) -> Response {
    let position = params.position.unwrap_or_default();
    Redirect::to(&site.link(&format!("log/proof/{position}"), &Address::default())).into_response()
}

/// The part of the page "Verify", if the application keeps proofs.
pub(super) async fn part(site: &Site, caller: &Caller, state: &AppState) -> Result<Markup, Problem> {
    if !site.keeps_proofs {
        return Ok(html! {});
    }
    let proofs = match caller.reader()? {
        Some(reader) => reader.proofs().await,
        None => state.annals().proofs(),
    };
    let shown = match proofs {
        Ok(proofs) => checkpoint(site, &proofs.status().await?),
        Err(ProofError::Denied(reason)) => html! { p.soft { "The proofs are not shown: " (given(&reason)) } },
        Err(error) => return Err(error.into()),
    };
    Ok(html! { section.stack #proofs { h2 { "Proofs" } (shown) } })
}

fn checkpoint(site: &Site, status: &ProofStatus) -> Markup {
    let Some(checkpoint) = &status.checkpoint else {
        return html! { p.soft { "No checkpoint was signed yet: make a key with " code { "proofs init" } "." } };
    };
    html! {
        p {
            "The last signed checkpoint of " (given(&checkpoint.origin)) " covers " (many(checkpoint.size, "event"))
            " of " (number(status.head)) ". Save it elsewhere: a later log has to continue from it."
        }
        dl.facts {
            dt { "Root of the tree" } dd { code { (checkpoint.root.to_string()) } }
            dt { "Witnesses" }
            dd { @if status.witnesses.is_empty() { "none have cosigned it" } @else { (given(&status.witnesses.join(", "))) } }
            @if let Some(fork) = &checkpoint.fork_of {
                dt { "Forked from" } dd { (given(&fork.origin)) " at " (number(fork.size)) }
            }
        }
        p { a href=(site.link("log/checkpoint", &Address::default())) { "Signed checkpoint" } }
        form method="get" action=(site.link("page/proof", &Address::default())) {
            label { "Position of an event " input type="number" name="position" min="1" max=(checkpoint.size) required; }
            " " button type="submit" { "Get its proof" }
        }
    }
}
