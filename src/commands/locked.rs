//! The last attempt at a command: under the log's write lock, so that no other writer can conflict.

use std::sync::Arc;
use std::time::Duration;

use super::admission::{Admission, join};
use super::engine::{ATTEMPTS, Completion, Engine, Executed};
use super::member::Member;
use super::prepared::Prepared;
use super::sealing::Decided;
use super::{ExecuteError, Refusal};
use crate::aggregates::fold;
use crate::store::{Batch, Outcome, Receipt, StoreError};

/// How often the decision is repeated because an aggregate that access control loaded has changed before the lock was taken.
const LOCKED_ATTEMPTS: u32 = 3;
/// How long to wait for the lock, and how long to hold it.
const LOCK_WAIT: Duration = Duration::from_secs(10);
const LOCK_HOLD: Duration = Duration::from_secs(5);

impl Engine {
    /// Decides under the lock: for an aggregate that others write all the time (Guarantee 6).
    pub(super) async fn run_locked(&self, prepared: &Prepared) -> Executed {
        for _ in 0..LOCKED_ATTEMPTS {
            if let Some(executed) = self.try_locked(prepared).await {
                return executed;
            }
        }
        Err(ExecuteError::Conflict { attempts: ATTEMPTS + LOCKED_ATTEMPTS })
    }

    /// Returns `None` if an aggregate that access control loaded has changed before the lock was taken, or its answer has
    /// expired. Access control is
    /// not asked under the lock: it may take longer than the lock may be held.
    async fn try_locked(&self, prepared: &Prepared) -> Option<Executed> {
        let first = &prepared.admission;
        let admission = match first.loaded.is_empty() && first.valid_until.is_none() {
            true => Admission::default(),
            false => self.admit(&prepared.received, true).await,
        };
        self.decide_locked(prepared, &admission).await.transpose()
    }

    async fn decide_locked(&self, prepared: &Prepared, admission: &Admission) -> LockedAttempt {
        let store = |error| ExecuteError::store(prepared.received.id, Arc::new(error));
        let mut members = Vec::with_capacity(prepared.aggregates.len() + admission.loaded.len());
        for (kind, aggregate) in prepared.aggregates.iter().filter(|_| admission.denied.is_none()) {
            let state = self.repository.load(*kind, aggregate).await?;
            members.push(Member::new(*kind, aggregate.clone(), state));
        }
        let scope = members.len();
        let mut subjects = Vec::new();
        self.load_subjects(prepared, &mut subjects, true).await?;
        let mut log = self.store.write_lock(LOCK_WAIT, LOCK_HOLD).await.map_err(store)?;
        for Member { kind, aggregate, before, after, .. } in &mut members {
            let newer = log.load(aggregate, kind.0.sequence(before)).await.map_err(store)?;
            fold(kind.0, aggregate, before, &newer)?;
            *after = before.clone();
        }
        if !join(&mut members, &admission.loaded) {
            return Ok(None);
        }
        subjects.retain(|subject| !members.iter().any(|member| member.aggregate == subject.aggregate));
        members.append(&mut subjects);
        for member in &members[scope..] {
            if !log.load(&member.aggregate, member.sequence_before()).await.map_err(store)?.is_empty() {
                return Ok(None);
            }
        }
        let Decided { commit, rejection } =
            match self.decide_with_keys(prepared, &mut members, scope, admission, None)? {
                Ok(decided) => decided,
                Err(missing) => {
                    // Not under the lock: the key store may take longer than the lock may be held.
                    drop(log);
                    self.provide_keys(prepared, missing).await?;
                    return Ok(None);
                }
            };
        let outcomes = log.append(Batch::new(vec![commit]).knowing(self.known)).await;
        self.queue.forget(&members);
        if let Err(StoreError::Expired(time)) = outcomes {
            self.time.reach(time);
            return Ok(None);
        }
        let outcome = outcomes.map_err(store)?.into_iter().next().unwrap_or(Outcome::Conflict);
        let outcome = self.settled(&prepared.received, outcome).await?;
        let completion = self.answer(prepared, outcome, rejection);
        self.remember(prepared, &completion).await;
        match completion {
            Completion::Done(result) => result.map(Some),
            Completion::Conflict => Err(ExecuteError::Conflict { attempts: ATTEMPTS + 1 }),
        }
    }
}

/// The receipt; `None`: decide again.
type LockedAttempt = Result<Option<Receipt>, ExecuteError<Refusal>>;
