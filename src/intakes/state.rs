//! [`ReceiverState`]: what a receiver tells others.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use super::status::IntakeProblem;

/// What a receiver tells others.
#[derive(Default)]
pub(super) struct ReceiverState {
    /// Why it receives nothing.
    connection: Mutex<Option<IntakeProblem>>,
    /// The subjects of messages that could not be executed yet, and why.
    subjects: Mutex<BTreeMap<String, IntakeProblem>>,
    received: AtomicU64,
    repeats: AtomicU64,
    in_hand: AtomicU64,
    failures: AtomicU64,
}

/// The counts of this process.
pub(super) struct Counts {
    pub(super) received: u64,
    pub(super) repeats: u64,
    pub(super) in_hand: u64,
    pub(super) failures: u64,
}

impl ReceiverState {
    pub(super) fn counts(&self) -> Counts {
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Counts {
            received: load(&self.received),
            repeats: load(&self.repeats),
            in_hand: load(&self.in_hand),
            failures: load(&self.failures),
        }
    }

    /// Why it receives nothing, or else the first subject whose message cannot be executed.
    pub(super) fn problem(&self) -> Option<IntakeProblem> {
        lock(&self.connection).clone().or_else(|| {
            let subjects = lock(&self.subjects);
            let (subject, problem) = subjects.iter().min_by_key(|(_, problem)| problem.since)?;
            let reason = format!("a message about `{subject}` cannot be executed: {}", problem.reason);
            Some(IntakeProblem { reason, since: problem.since })
        })
    }

    pub(super) fn received(&self) {
        self.received.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn repeated(&self) {
        self.repeats.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn hold(&self, messages: usize) {
        self.in_hand.store(messages as u64, Ordering::Relaxed);
    }

    /// It does not receive. Returns whether that is new.
    pub(super) fn disconnected(&self, reason: &str) -> bool {
        self.failures.fetch_add(1, Ordering::Relaxed);
        note(&mut lock(&self.connection), reason)
    }

    /// It receives. Returns whether that is new.
    pub(super) fn connected(&self) -> bool {
        lock(&self.connection).take().is_some()
    }

    /// A message about this subject cannot be executed yet. Returns whether that is new.
    pub(super) fn blocked(&self, subject: &str, reason: &str) -> bool {
        self.failures.fetch_add(1, Ordering::Relaxed);
        let mut subjects = lock(&self.subjects);
        let mut known = subjects.remove(subject);
        let is_new = note(&mut known, reason);
        subjects.extend(known.map(|problem| (subject.to_owned(), problem)));
        is_new
    }

    pub(super) fn unblocked(&self, subject: &str) {
        lock(&self.subjects).remove(subject);
    }

    /// Nothing is executed any more.
    pub(super) fn forget(&self) {
        lock(&self.subjects).clear();
        self.hold(0);
    }
}

/// Notes a reason, with the time of the first one. Returns whether there was none.
fn note(problem: &mut Option<IntakeProblem>, reason: &str) -> bool {
    let since = problem.as_ref().map(|problem| problem.since);
    let known = IntakeProblem { reason: reason.to_owned(), since: since.unwrap_or_else(Timestamp::now) };
    *problem = Some(known);
    since.is_none()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
