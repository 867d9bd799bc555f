//! What a process is asked to do, and what it answers: JSON on both ways.

use serde::{Deserialize, Serialize};

/// One thing to do with one competitor.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Job {
    /// The competitor's name.
    pub competitor: String,
    /// Where its data lies: `postgres://…?schema=NAME`, or a directory for SQLite files.
    pub place: String,
    /// What to do.
    pub task: Task,
}

/// What to do.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Task {
    /// Execute commands from concurrent callers.
    Append(Load),
    /// Fill an empty log for a rebuild.
    Fill {
        /// How many events.
        events: u64,
        /// Over how many accounts.
        accounts: u64,
    },
    /// Make the view anew from the log; stop after so many seconds.
    Rebuild {
        /// The bound.
        seconds: u64,
    },
    /// Execute commands one after the other, and see each in the view.
    Follow {
        /// For how long.
        seconds: u64,
    },
}

/// How commands come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Load {
    /// How many callers at the same time, each waiting for its answer before it asks again.
    pub callers: usize,
    /// Over how many accounts the commands spread.
    pub accounts: u64,
    /// How many events a command appends.
    pub events: usize,
    /// How long it is measured.
    pub seconds: u64,
    /// How long it runs before that, unmeasured.
    pub warm_up: u64,
    /// Commands a second over all callers; without it, as many as they can.
    pub rate: Option<u32>,
}

/// What a process answers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Reply {
    /// To [`Task::Append`].
    Appended(Appended),
    /// To [`Task::Fill`].
    Filled(Filled),
    /// To [`Task::Rebuild`].
    Rebuilt(Rebuilt),
    /// To [`Task::Follow`].
    Followed(Followed),
    /// It cannot take part here, and why.
    LeftOut(String),
    /// It went wrong, and why.
    Failed(String),
}

/// What came of commands.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Appended {
    /// Commands acknowledged in a second of the measured time.
    pub commands_per_second: f64,
    /// Half of them took at most this long, in milliseconds.
    pub p50: f64,
    /// 99 of 100 took at most this long.
    pub p99: f64,
    /// Conflicts, each followed by another attempt.
    pub retries: u64,
    /// Commands that failed.
    pub errors: u64,
    /// What the first of them said.
    pub first_error: Option<String>,
    /// Events acknowledged, those of the warm-up among them.
    pub acknowledged: u64,
    /// Events that the table holds at the end.
    pub found: u64,
    /// How far the projections were behind the log when the last caller was answered, in events.
    pub lag: Option<u64>,
    /// What else must be said: view updates that were lost, say.
    pub note: Option<String>,
}

/// What came of filling a log.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Filled {
    /// Events in the log.
    pub events: u64,
    /// How long it took.
    pub seconds: f64,
}

/// What came of a rebuild.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Rebuilt {
    /// Events taken in.
    pub events: u64,
    /// How long it took.
    pub seconds: f64,
    /// Whether it came to its end within the bound.
    pub whole: bool,
    /// Events that the view counts, summed over its documents.
    pub counted: u64,
    /// The most memory that the process ever held before the view was read, in megabytes.
    pub peak_mb: f64,
}

/// How soon a write is seen in a view.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Followed {
    /// Writes seen.
    pub commands: u64,
    /// From the command's answer until the view shows it to its caller, who asks for it, in milliseconds.
    pub p50: f64,
    /// The same for 99 of 100.
    pub p99: f64,
    /// From a command's answer until the view has taken it in, while more follow and nobody asks.
    pub unasked_p50: f64,
    /// The same for 99 of 100.
    pub unasked_p99: f64,
}
