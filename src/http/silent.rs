//! [`Silent`]: connections that have not asked for anything yet.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::task::AbortHandle;

/// Connections that have not asked for anything yet. Whoever opens thousands and says nothing keeps nobody out: the one
/// that has been silent for longest makes room for the next.
#[derive(Clone, Default)]
pub(super) struct Silent(Arc<Mutex<Waiting>>);

#[derive(Default)]
struct Waiting {
    next: u64,
    /// By the order in which they came.
    connections: BTreeMap<u64, AbortHandle>,
}

/// A connection says by this that it has asked for something. When it is gone, so is the connection.
pub(super) struct FirstWord {
    silent: Silent,
    number: u64,
    said: AtomicBool,
}

impl Silent {
    /// Serves a connection in a task of its own.
    pub(super) fn spawn<F>(&self, serve: impl FnOnce(FirstWord) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        // Its first word waits until it is known.
        let mut waiting = self.lock();
        let number = waiting.next;
        waiting.next += 1;
        let task = tokio::spawn(serve(FirstWord { silent: self.clone(), number, said: AtomicBool::new(false) }));
        waiting.connections.insert(number, task.abort_handle());
    }

    /// Ends the one that has been silent for longest, if there is one.
    pub(super) fn let_one_go(&self) -> bool {
        let oldest = self.lock().connections.pop_first();
        // Outside of the lock, which the end of the task may want.
        oldest.inspect(|(_, task)| task.abort()).is_some()
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FirstWord {
    /// It has asked for something.
    pub(super) fn said(&self) {
        if !self.said.swap(true, Ordering::Relaxed) {
            self.silent.lock().connections.remove(&self.number);
        }
    }
}

impl Drop for FirstWord {
    fn drop(&mut self) {
        self.said();
    }
}
