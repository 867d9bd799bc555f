//! [`IdleConnections`]: connections that have not sent a request yet.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::task::AbortHandle;

/// Connections that have not sent a request yet. When the server is full, the oldest of them is closed for a new
/// connection, so that a client with thousands of idle connections blocks nobody.
#[derive(Clone, Default)]
pub(super) struct IdleConnections(Arc<Mutex<Idle>>);

#[derive(Default)]
struct Idle {
    next: u64,
    /// By order of arrival.
    connections: BTreeMap<u64, AbortHandle>,
}

/// Removes a connection from the idle ones: at its first request, or on drop.
pub(super) struct ActivityGuard {
    idle: IdleConnections,
    number: u64,
    active: AtomicBool,
}

impl IdleConnections {
    /// Serves a connection in its own task.
    pub(super) fn spawn<F>(&self, serve: impl FnOnce(ActivityGuard) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        // Locked until the connection is inserted: its first request waits for that.
        let mut idle = self.lock();
        let number = idle.next;
        idle.next += 1;
        let task =
            tokio::spawn(serve(ActivityGuard { idle: self.clone(), number, active: AtomicBool::new(false) }));
        idle.connections.insert(number, task.abort_handle());
    }

    /// Closes the oldest idle connection. Returns whether there was one.
    pub(super) fn close_oldest(&self) -> bool {
        let oldest = self.lock().connections.pop_first();
        // Outside the lock, which the task's end may acquire.
        oldest.inspect(|(_, task)| task.abort()).is_some()
    }

    fn lock(&self) -> MutexGuard<'_, Idle> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ActivityGuard {
    /// Marks the connection as active.
    pub(super) fn activate(&self) {
        if !self.active.swap(true, Ordering::Relaxed) {
            self.idle.lock().connections.remove(&self.number);
        }
    }
}

impl Drop for ActivityGuard {
    fn drop(&mut self) {
        self.activate();
    }
}
