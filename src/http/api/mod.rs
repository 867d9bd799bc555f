//! The JSON routes, for programs.
//!
//! ## Layout
//! - `commands`: lists and executes commands
//! - `audit`: pages and counts of the audit log
//! - `export`: the audit log in other formats
//! - `metrics`: the metrics of topics
//! - `views`: the application's own views
//! - `log`: stored events, and verification of the log
//! - `projections`: status, rebuild, resume, skip and replay of projections

mod audit;
mod commands;
mod export;
mod log;
mod metrics;
mod projections;
mod views;

use std::fmt::Display;

use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;

pub(super) use self::log::{CHECK, start_check};
pub(super) use self::projections::{RebuildParams, start_rebuild};

use super::{AppState, Problem};
use crate::events::LogPosition;

/// The routes. They need an authenticated caller.
pub(super) fn routes() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .merge(commands::routes())
        .merge(audit::routes())
        .merge(export::routes())
        .merge(metrics::routes())
        .merge(views::routes())
        .merge(log::routes())
        .merge(projections::routes())
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
