//! Leader election: of all processes that could run a projection, one holds its lease.
//!
//! Leases only save work. If two processes both believe that they lead, the checkpoint fences one off, because each
//! transaction moves it first: see [`Views::begin`](crate::store::Views::begin).

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

use super::handle::{EngineContext, ProjectionHandle, RunState};
use crate::store::StoreError;

/// Duration and renewal of leases.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LeaseTerms {
    /// Duration of a lease. After a leader dies, nobody runs its projections for at most this long.
    pub term: Duration,
    /// Interval of renewals: three in a term, so that one late or failed renewal loses no lease.
    pub renew: Duration,
    /// Grace period in which a new process acquires only free leases, so that short-lived processes do not trigger
    /// rebalancing.
    pub settle: Duration,
}

impl Default for LeaseTerms {
    fn default() -> Self {
        Self { term: Duration::from_secs(5), renew: Duration::from_millis(1_500), settle: Duration::from_secs(5) }
    }
}

/// The two identities under which a process holds leases.
#[derive(Clone, Copy, Debug)]
pub(super) struct LeaseOwner {
    /// Owns the leases of the projections that this process runs.
    runs: Uuid,
    /// Owns the leases of projections that this process reads but cannot run: see [`waiting_for`].
    waits: Uuid,
}

impl LeaseOwner {
    pub fn new() -> Self {
        Self { runs: Uuid::new_v4(), waits: Uuid::new_v4() }
    }

    pub fn both(self) -> [Uuid; 2] {
        [self.runs, self.waits]
    }
}

/// The key of a lease that marks a projection as in use by a process that reads it but cannot run it, so that
/// nobody prunes it.
pub(super) fn waiting_for((name, version): &(String, u64)) -> (String, u64) {
    (format!("waiting for {name}"), *version)
}

/// The task that acquires and renews the leases of this process.
#[derive(Clone)]
pub(super) struct Leader {
    context: Arc<EngineContext>,
    all: Vec<Arc<ProjectionHandle>>,
    owner: LeaseOwner,
    terms: LeaseTerms,
    since: Instant,
    /// When the leases expire that the last renewal granted.
    until: Instant,
    /// Whether this process waits for projections that it gave up.
    waited: bool,
}

impl Leader {
    pub fn new(
        context: Arc<EngineContext>,
        all: Vec<Arc<ProjectionHandle>>,
        owner: LeaseOwner,
        terms: LeaseTerms,
    ) -> Self {
        let now = Instant::now();
        Self { context, all, owner, terms, since: now, until: now, waited: false }
    }

    /// Acquires or renews leases and tells each runner whether this process leads its projection.
    pub async fn call(&mut self) -> Result<(), StoreError> {
        let views = &*self.context.views;
        let until = Instant::now() + self.terms.term;
        let settled = self.since.elapsed() >= self.terms.settle;
        let careful = !settled || self.all.iter().any(|handle| handle.yielded().is_some());
        let taken: HashSet<(String, u64)> = match careful {
            false => HashSet::new(),
            true => {
                let others = views.generations().await?.into_iter();
                let others =
                    others.filter(|generation| generation.leader.is_some_and(|leader| leader != self.owner.runs));
                others.map(|generation| (generation.id.name, generation.id.version)).collect()
            }
        };
        let (mut wanted, mut waiting) = (Vec::with_capacity(self.all.len()), Vec::new());
        for handle in &self.all {
            let key = handle.key();
            if let Some(position) = handle.yielded() {
                handle.refresh(views).await?;
                if handle.head().position < position {
                    // The process that leads it now knows the event; if none leads, it waits for one that does.
                    handle.wait_elsewhere(taken.contains(&key));
                    waiting.push(waiting_for(&key));
                    continue;
                }
                handle.set_run_state(RunState::Away);
            }
            if settled || !taken.contains(&key) {
                wanted.push(key);
            }
        }
        let led: HashSet<_> =
            views.acquire_leases(self.owner.runs, &wanted, self.terms.term).await?.into_iter().collect();
        if self.waited || !waiting.is_empty() {
            views.acquire_leases(self.owner.waits, &waiting, self.terms.term).await?;
            self.waited = !waiting.is_empty();
        }
        self.until = until;
        for handle in &self.all {
            handle.lead(led.contains(&handle.key()));
        }
        Ok(())
    }

    /// Renews the leases until the application closes.
    pub async fn run(mut self) {
        loop {
            tokio::select! {
                () = self.context.closed() => return,
                () = tokio::time::sleep(self.terms.renew) => {}
                () = self.context.yielded.notified() => {}
            }
            // However long the call takes, leadership ends when the term ends.
            let (context, all, until) = (self.context.clone(), self.all.clone(), self.until);
            let called = tokio::select! {
                () = context.closed() => return,
                called = async {
                    tokio::select! {
                        biased;
                        called = self.call() => called,
                        () = expire(&all, until) => Ok(()),
                    }
                } => called,
            };
            match called {
                Ok(()) => {}
                Err(StoreError::Closed) => return,
                Err(error) => tracing::warn!(%error, "the leases could not be renewed"),
            }
            if Instant::now() >= self.until {
                all.iter().for_each(|handle| handle.lead(false));
            }
        }
    }
}

/// Ends the leadership of all projections at `until`; never returns.
async fn expire(all: &[Arc<ProjectionHandle>], until: Instant) {
    tokio::time::sleep_until(until).await;
    all.iter().for_each(|handle| handle.lead(false));
    std::future::pending().await
}
