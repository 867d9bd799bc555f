//! [`Progress`]: how far a rebuild is.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How far a rebuild is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
pub struct Progress {
    /// Up to where the log is taken in.
    pub position: u64,
    /// The log's head.
    pub head: u64,
    /// How many events of the log it passes in a second, over the whole of this run.
    pub events_per_second: f64,
    /// How long it will take yet, at that rate.
    #[cfg_attr(feature = "http", schema(value_type = Option<Object>))]
    pub eta: Option<Duration>,
}
