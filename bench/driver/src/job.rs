//! The job of a process and its reply, both as JSON.

use serde::{Deserialize, Serialize};

/// A task for one competitor.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Job {
    /// The name of the competitor.
    pub competitor: String,
    /// The place of its data: `postgres://…?schema=NAME`, or a directory for SQLite files.
    pub place: String,
    /// A task.
    pub task: Task,
}

/// A task.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Task {
    /// Execute commands from concurrent callers.
    Append(Load),
    /// Fill an empty log for a rebuild.
    Fill {
        /// Number of events.
        events: u64,
        /// Number of accounts.
        accounts: u64,
    },
    /// Rebuild the view from the log; stop after a number of seconds.
    Rebuild {
        /// Time limit in seconds.
        seconds: u64,
    },
    /// Execute commands one after the other, and read each from the view.
    Follow {
        /// Time in seconds.
        seconds: u64,
    },
}

/// The load of a measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Load {
    /// Number of concurrent callers, each of which waits for a receipt before its next command.
    pub callers: usize,
    /// Number of accounts.
    pub accounts: u64,
    /// Number of events per command.
    pub events: usize,
    /// Measured time in seconds.
    pub seconds: u64,
    /// Warm-up in seconds.
    pub warm_up: u64,
    /// Commands per second over all callers; without it, as many as possible.
    pub rate: Option<u32>,
}

/// The reply of a process.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Reply {
    /// The result of [`Task::Append`].
    Appended(Appended),
    /// The result of [`Task::Fill`].
    Filled(Filled),
    /// The result of [`Task::Rebuild`].
    Rebuilt(Rebuilt),
    /// The result of [`Task::Follow`].
    Followed(Followed),
    /// The competitor cannot run here, with the reason.
    LeftOut(String),
    /// The task failed, with the reason.
    Failed(String),
}

/// The result of commands.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Appended {
    /// Acknowledged commands per second of the measured time.
    pub commands_per_second: f64,
    /// Median latency in milliseconds.
    pub p50: f64,
    /// 99th percentile of the latency in milliseconds.
    pub p99: f64,
    /// Number of retries after conflicts.
    pub retries: u64,
    /// Number of failed commands.
    pub errors: u64,
    /// Message of the first error.
    pub first_error: Option<String>,
    /// Number of acknowledged events, including the warm-up.
    pub acknowledged: u64,
    /// Number of events in the table at the end.
    pub found: u64,
    /// Lag of the projections in events when the last caller got its receipt.
    pub lag: Option<u64>,
    /// A remark, for example about lost view updates.
    pub note: Option<String>,
}

/// The result of filling a log.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Filled {
    /// Number of events in the log.
    pub events: u64,
    /// Duration in seconds.
    pub seconds: f64,
}

/// The result of a rebuild.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Rebuilt {
    /// Number of processed events.
    pub events: u64,
    /// Duration in seconds.
    pub seconds: f64,
    /// Whether it completed within the time limit.
    pub whole: bool,
    /// Number of events in the view, summed over its documents.
    pub counted: u64,
    /// Peak memory of the process before the view was read, in megabytes.
    pub peak_mb: f64,
}

/// The delay until a view shows a write.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Followed {
    /// Number of writes.
    pub commands: u64,
    /// Median time from the receipt until a read that waits for it returns, in milliseconds.
    pub p50: f64,
    /// The 99th percentile of the same.
    pub p99: f64,
    /// Median time from the receipt until the view contains the event, while more commands follow and no read waits.
    pub unasked_p50: f64,
    /// The 99th percentile of the same.
    pub unasked_p99: f64,
}
