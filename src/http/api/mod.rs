//! The routes for programs.
//!
//! ## Layout
//! - `commands`: the commands, and executing one; `schemas`: what their bodies are checked against; `body`: reading one
//! - `audit`: pages and counts of the audit log; `export`: the audit log in other formats
//! - `metrics`, `views`: the other projections that are read
//! - `log`: the log as it lies there, and verifying it
//! - `projections`: looking after projections; `jobs`: work that takes longer than a request

mod audit;
mod body;
mod commands;
mod export;
mod jobs;
mod log;
mod metrics;
mod projections;
mod schemas;
mod views;

use std::fmt::Display;

use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;

pub(super) use self::body::read;
pub(super) use self::jobs::{Job, Jobs};
pub(super) use self::log::{CHECK, checking};
pub(super) use self::projections::{Wanted, rebuilding};
pub(super) use self::schemas::Schemas;

use super::{Problem, Shared};
use crate::events::LogPosition;

/// All of them. Who asks is known to them.
pub(super) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .merge(commands::routes())
        .merge(audit::routes())
        .merge(export::routes())
        .merge(metrics::routes())
        .merge(views::routes())
        .merge(log::routes())
        .merge(projections::routes())
}

/// An error if a parameter is beyond what is published of it.
fn at_most<N: PartialOrd + Display>(parameter: &str, given: Option<N>, most: N) -> Result<(), Problem> {
    match given {
        Some(given) if given > most => {
            Err(Problem::malformed(format!("`{parameter}` is {most} at most")).with("parameter", parameter))
        }
        _ => Ok(()),
    }
}

/// What an answer has to hold.
#[derive(Clone, Copy, Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default)]
pub(super) struct After {
    /// The answer holds this write: the `head` of its receipt, as position:event_id. It is waited for
    #[param(value_type = Option<String>, pattern = "^[0-9]{1,18}:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]
    after: Option<Place>,
}

impl After {
    pub fn head(self) -> Option<LogPosition> {
        self.after.map(|place| place.0)
    }
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "String")]
struct Place(LogPosition);

impl TryFrom<String> for Place {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let place = text.split_once(':').and_then(|(position, id)| {
            Some(LogPosition { position: position.parse().ok()?, event_id: id.parse().ok()? })
        });
        place.map(Self).ok_or_else(|| "write the receipt's head: its position, a colon, its event_id".to_owned())
    }
}
