//! The JSON routes, for programs.
//!
//! ## Layout
//! - `commands`: lists and executes commands
//! - `audit`: pages and counts of the audit log
//! - `erasures`: erasures of personal data, if the application has any (feature `personal`)
//! - `export`: the audit log in other formats
//! - `flows`: what flows from where to where, if the application keeps it
//! - `metrics`: the metrics of topics
//! - `views`: the application's own views
//! - `aggregates`: states of aggregates, now or as of a moment
//! - `log`: stored events, and verification of the log
//! - `access_tokens`: issues access tokens (feature `access`)
//! - `grant_uses`: how often grants were used (feature `access`)
//! - `provenance`: the provenance of a thing, if the application keeps it
//! - `proofs`: the last checkpoint, tiles, entries and proofs of the log, if the application keeps them (feature `proofs`)
//! - `projections`: status, rebuild, resume, skip and replay of projections
//! - `feeds`: status of feeds, pausing and resuming them (feature `feeds`)
//! - `intakes`: status of intakes, pausing and resuming them, replaying dead letters (feature `feeds`)
//! - `reactions`: status and pending steps of reactions, and skipping a step

#[cfg(feature = "access")]
mod access_tokens;
mod aggregates;
mod audit;
mod commands;
#[cfg(feature = "personal")]
mod erasures;
mod export;
#[cfg(feature = "feeds")]
mod feeds;
mod flows;
#[cfg(feature = "access")]
mod grant_uses;
#[cfg(feature = "feeds")]
mod intakes;
mod log;
mod metrics;
mod projections;
#[cfg(feature = "proofs")]
mod proofs;
mod provenance;
mod reactions;
mod views;

use std::fmt::Display;

use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;

pub(super) use self::log::{CHECK, start_check};
pub(super) use self::projections::{RebuildParams, start_rebuild};
pub(super) use self::provenance::ProvenanceParams;

use super::{AppState, Problem};
use crate::events::LogPosition;

/// The routes. They need an authenticated caller.
pub(super) fn routes(state: &AppState) -> OpenApiRouter<AppState> {
    #[cfg(feature = "access")]
    let routes = access_tokens::routes(state).merge(grant_uses::routes(state));
    #[cfg(not(feature = "access"))]
    let routes = OpenApiRouter::new();
    #[cfg(feature = "feeds")]
    let routes = routes.merge(feeds::routes()).merge(intakes::routes());
    #[cfg(feature = "personal")]
    let routes = routes.merge(erasures::routes(state));
    #[cfg(feature = "proofs")]
    let routes = routes.merge(proofs::routes(state));
    routes
        .merge(provenance::routes(state))
        .merge(flows::routes(state))
        .merge(commands::routes())
        .merge(audit::routes())
        .merge(export::routes())
        .merge(metrics::routes())
        .merge(views::routes())
        .merge(aggregates::routes())
        .merge(log::routes())
        .merge(projections::routes())
        .merge(reactions::routes())
}

/// Refuses a parameter above its documented maximum.
fn check_max<N: PartialOrd + Display>(parameter: &str, given: Option<N>, max: N) -> Result<(), Problem> {
    match given {
        Some(given) if given > max => {
            Err(Problem::malformed(format!("`{parameter}` is at most {max}")).with("parameter", parameter))
        }
        _ => Ok(()),
    }
}

/// Which write a response must include.
#[derive(Clone, Copy, Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default)]
pub(super) struct After {
    /// Waits until the response includes this write: the `head` of its receipt, as position:event_id
    #[param(value_type = Option<String>, pattern = "^[0-9]{1,18}:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]
    after: Option<ReceiptHead>,
}

impl After {
    pub fn head(self) -> Option<LogPosition> {
        self.after.map(|head| head.0)
    }
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "String")]
struct ReceiptHead(LogPosition);

impl TryFrom<String> for ReceiptHead {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let head = text.split_once(':').and_then(|(position, id)| {
            Some(LogPosition { position: position.parse().ok()?, event_id: id.parse().ok()? })
        });
        head.map(Self).ok_or_else(|| "expected the head of a receipt: POSITION:EVENT_ID".to_owned())
    }
}
