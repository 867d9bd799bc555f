//! [`AppState`]: the state that all routes share.

use std::sync::Arc;

use super::authentication::Authentication;
use super::colour::Colour;
use super::command_schemas::CommandSchemas;
use super::http_metrics::HttpMetrics;
use super::jobs::Jobs;
use super::limits::{ConcurrencyLimit, Limits};
use crate::app::Annals;
use crate::projections::Progress;
use crate::store::CheckReport;

/// The most exports in progress at a time.
const MAX_EXPORTS: usize = 16;

/// What the router's builder configures.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    /// The application's name on the page.
    pub name: String,
    pub colour: Colour,
    /// The path that the router is mounted at, without a slash at the end; empty at the root.
    pub base: String,
    pub authentication: Authentication,
    pub limits: Limits,
    /// Whether the application's own routes may look at the claims of tokens.
    pub with_claims: bool,
}

/// The application, the settings, and what requests share: schemas, metrics, limits and background jobs.
#[derive(Clone)]
pub(super) struct AppState(Arc<Inner>);

struct Inner {
    annals: Annals,
    settings: Settings,
    schemas: CommandSchemas,
    metrics: HttpMetrics,
    exports: ConcurrencyLimit,
    rebuilds: Jobs<Progress>,
    checks: Jobs<CheckReport>,
}

impl AppState {
    pub fn new(annals: Annals, settings: Settings) -> Self {
        Self(Arc::new(Inner {
            schemas: CommandSchemas::new(&annals),
            metrics: HttpMetrics::default(),
            exports: ConcurrencyLimit::new("exports", MAX_EXPORTS),
            rebuilds: Jobs::default(),
            checks: Jobs::default(),
            annals,
            settings,
        }))
    }

    /// The application. Reads through it are neither authorised nor recorded: a route reads through its
    /// `Caller`.
    pub fn annals(&self) -> &Annals {
        &self.0.annals
    }

    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }

    pub fn schemas(&self) -> &CommandSchemas {
        &self.0.schemas
    }

    pub fn metrics(&self) -> &HttpMetrics {
        &self.0.metrics
    }

    pub fn exports(&self) -> &ConcurrencyLimit {
        &self.0.exports
    }

    pub fn rebuilds(&self) -> &Jobs<Progress> {
        &self.0.rebuilds
    }

    pub fn checks(&self) -> &Jobs<CheckReport> {
        &self.0.checks
    }
}
