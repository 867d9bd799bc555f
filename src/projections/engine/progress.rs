//! [`Progress`]: the progress of a rebuild.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The progress of a rebuild.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
pub struct Progress {
    /// The position up to which the log is processed.
    pub position: u64,
    /// The position of the log's head.
    pub head: u64,
    /// Events of the log processed a second, averaged over this run.
    pub events_per_second: f64,
    /// Estimated time left at that rate.
    #[cfg_attr(feature = "http", schema(value_type = Option<Object>))]
    pub eta: Option<Duration>,
}
