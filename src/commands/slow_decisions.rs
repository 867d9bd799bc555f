//! [`SlowDecisions`]: finds handlers that block the runtime.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A decision that takes longer keeps other tasks waiting for too long.
const LIMIT: Duration = Duration::from_millis(100);

/// The commands whose slow decisions were logged.
#[derive(Default)]
pub(super) struct SlowDecisions(Mutex<HashSet<&'static str>>);

impl SlowDecisions {
    /// Runs a decision. Logs, once for each command, that it took too long.
    pub(super) fn watch<R>(&self, command: &'static str, decide: impl FnOnce() -> R) -> R {
        let began = Instant::now();
        let decided = decide();
        let took = began.elapsed();
        if took > LIMIT {
            self.report(command, took);
        }
        decided
    }

    #[cold]
    fn report(&self, command: &'static str, took: Duration) {
        if self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(command) {
            tracing::warn!(
                command,
                ?took,
                "`handle` of this command blocked a thread of the runtime for over {LIMIT:?}: do in `prepare` what takes long \
                 (logged once for each command)"
            );
        }
    }
}
