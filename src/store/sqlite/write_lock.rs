//! The writer thread's end of a write lock.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::append::{append_and_commit, panicked, roll_back};
use super::file_connection::FileConnection;
use super::location::FileLocation;
use super::log_end::BoundedClock;
use super::reader;
use super::writer::check_files_after_commit;
use crate::events::LogPosition;
use crate::store::write_lock::{LockRequest, WriteLockHandle};

/// The requests of the caller that holds the lock.
pub(super) struct HeldLock {
    requests: mpsc::Receiver<LockRequest>,
    until: Instant,
}

impl HeldLock {
    pub(super) fn new(hold: Duration) -> (WriteLockHandle, Self) {
        let (sender, requests) = mpsc::channel();
        let handle = WriteLockHandle::new(hold, move |request| drop(sender.send(request)));
        (handle, Self { requests, until: Instant::now() + hold })
    }

    /// Serves requests in the open transaction until the caller appends, drops its handle, or its time is over. Returns
    /// the new head if the log has grown.
    pub(super) fn serve(
        self,
        location: &FileLocation,
        connection: &FileConnection,
        clock: &BoundedClock,
    ) -> Option<LogPosition> {
        let check = || connection.files().check().map_err(|reason| location.moved(reason));
        loop {
            let left = self.until.saturating_duration_since(Instant::now());
            match self.requests.recv_timeout(left).ok()? {
                LockRequest::Load { aggregate, after, reply } => {
                    let load = |()| reader::load(location, connection, &aggregate, after, i64::MAX);
                    reply.send(check().and_then(load));
                }
                LockRequest::Append { batch, reply } => {
                    let reply = reply.begin();
                    let append = || {
                        check()?;
                        let appended = append_and_commit(location, connection, &batch, clock)?;
                        check_files_after_commit(location, connection.files())?;
                        Ok(appended)
                    };
                    // The caller's answer says that nothing was written, where that is known.
                    let appended = catch_unwind(AssertUnwindSafe(append))
                        .unwrap_or_else(|panic| Err(panicked(connection, &*panic)));
                    roll_back(connection);
                    let (result, head) = match appended {
                        Ok((outcomes, head)) => (Ok(outcomes), head),
                        Err(error) => (Err(error), None),
                    };
                    // The caller may no longer wait.
                    let _ = reply.map(|reply| reply.send(result));
                    return head;
                }
            }
        }
    }
}
