//! Which projections this process runs: of all the processes that would, one leads each.
//!
//! A lease only saves work. Two that believe to lead are told apart by the checkpoint, which each transaction moves
//! first: see [`Views::begin`](crate::store::Views::begin).

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

use super::handle::{EngineContext, ProjectionHandle, RunState};
use crate::store::StoreError;

/// How leases are kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LeaseTerms {
    /// How long a lease holds: so long nobody runs what a process led that died.
    pub term: Duration,
    /// How often it is renewed: three times in a term, so that one late or failed call costs no lease.
    pub renew: Duration,
    /// How long a new process takes only what nobody leads: one that just looks something up takes nothing away.
    pub settle: Duration,
}

impl Default for LeaseTerms {
    fn default() -> Self {
        Self { term: Duration::from_secs(5), renew: Duration::from_millis(1_500), settle: Duration::from_secs(5) }
    }
}

/// As what a process is known to the others.
#[derive(Clone, Copy, Debug)]
pub(super) struct LeaseOwner {
    /// Of what it runs, or would run.
    runs: Uuid,
    /// Of what it reads and cannot run: see [`waiting_for`].
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

/// The lease of a process that reads a projection which it must leave to others: so that nobody drops it.
pub(super) fn waiting_for((name, version): &(String, u64)) -> (String, u64) {
    (format!("waiting for {name}"), *version)
}

/// One process among those that keep projections up with the log.
pub(super) struct Leader {
    context: Arc<EngineContext>,
    all: Vec<Arc<ProjectionHandle>>,
    owner: LeaseOwner,
    terms: LeaseTerms,
    since: Instant,
    /// Until when the leases hold that it was told of last.
    until: Instant,
    /// It has had to leave a projection to others.
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

    /// Asks which projections this process leads, and lets their runners know.
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
                    // Whoever leads it now knows the event; else it waits for one that does.
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

    /// Renews until the application closes.
    pub async fn run(mut self) {
        loop {
            tokio::select! {
                () = self.context.closed() => return,
                () = tokio::time::sleep(self.terms.renew) => {}
                () = self.context.yielded.notified() => {}
            }
            // However long the call takes: what was led is so no longer than its term.
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
                Err(error) => tracing::warn!(%error, "it could not be asked which projections this process leads"),
            }
            if Instant::now() >= self.until {
                all.iter().for_each(|handle| handle.lead(false));
            }
        }
    }
}

/// Lets all runners stop when their leases have run out; does not return.
async fn expire(all: &[Arc<ProjectionHandle>], until: Instant) {
    tokio::time::sleep_until(until).await;
    all.iter().for_each(|handle| handle.lead(false));
    std::future::pending().await
}
