//! [`ReadLoads`]: what the answer of access control about a read depends on.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use crate::aggregates::{Aggregate, LoadError, Loaded};
use crate::events::{Id, Ref};

/// What an answer depends on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::app) struct Depends {
    /// The aggregates that were loaded, each with its last sequence.
    pub loaded: Vec<(Ref, u64)>,
    /// The time until which the answer holds.
    pub valid_until: Option<Timestamp>,
    /// Whether the store failed: then a denial says nothing about rights.
    pub failed: bool,
}

impl Depends {
    /// Whether neither an event nor the time can change the answer.
    pub(super) fn is_nothing(&self) -> bool {
        self.loaded.is_empty() && self.valid_until.is_none()
    }
}

/// Notes what access control loads for an answer about a read.
#[derive(Default)]
pub(in crate::app) struct ReadLoads {
    follows: bool,
    depends: Mutex<Depends>,
}

impl ReadLoads {
    /// For a read that is followed live, or not.
    pub(in crate::app) fn new(follows: bool) -> Self {
        Self { follows, depends: Mutex::default() }
    }

    /// Whether the read is followed live.
    pub(in crate::app) fn follows(&self) -> bool {
        self.follows
    }

    /// Notes what was loaded.
    pub(in crate::app) fn note<A: Aggregate>(&self, id: &A::Id, loaded: &Result<Arc<Loaded<A>>, LoadError>) {
        let mut depends = self.lock();
        match loaded {
            Ok(loaded) => {
                if let Ok(aggregate) = Ref::new(A::TYPE, &id.text()) {
                    depends.loaded.push((aggregate, loaded.sequence()));
                }
            }
            Err(error) => depends.failed |= matches!(error, LoadError::Store(_)),
        }
    }

    /// The answer holds only before this time.
    pub(in crate::app) fn valid_until(&self, time: Timestamp) {
        let mut depends = self.lock();
        depends.valid_until = Some(depends.valid_until.map_or(time, |earlier| earlier.min(time)));
    }

    pub(in crate::app) fn into_depends(self) -> Depends {
        self.depends.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, Depends> {
        self.depends.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
