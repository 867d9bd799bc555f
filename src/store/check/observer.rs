//! [`LogObserver`]: reads the log along while it is checked.

use super::Finding;
use crate::events::Stored;

/// Reads the log along while it is checked, event by event. What it returns are findings.
pub(crate) trait LogObserver: Send {
    /// Before the first event.
    fn begin(&mut self) -> Vec<Finding>;

    /// The next event. One may be missing before it.
    fn event(&mut self, stored: &Stored) -> Vec<Finding>;

    /// The next event cannot be read.
    fn unreadable(&mut self);

    /// After the last event.
    fn end(&mut self) -> Vec<Finding>;
}

/// Compares nothing.
impl LogObserver for () {
    fn begin(&mut self) -> Vec<Finding> {
        Vec::new()
    }

    fn event(&mut self, _: &Stored) -> Vec<Finding> {
        Vec::new()
    }

    fn unreadable(&mut self) {}

    fn end(&mut self) -> Vec<Finding> {
        Vec::new()
    }
}
