//! Decides with the keys of subjects at hand, and seals what was decided.
//!
//! A decision runs with the keys that are in memory. If some are missing, it is discarded: they are loaded, or created for the
//! subjects of new values, and the command is decided again. So keys are durable before the commit, and a refused command creates
//! none. The commit names the record of each subject whose values it seals: if the subject is erased in between, the commit is a
//! conflict, and then a refusal.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::admission::Admission;
use super::engine::{Engine, Executed};
use super::member::Member;
use super::prepared::{Prepared, Rejection};
use super::received::Received;
use super::subject::{SubjectRecord, is_erased, record_of, subject_of};
use super::{ExecuteError, Refusal};
use crate::aggregates::AggregateType;
use crate::events::Ref;
#[cfg(feature = "personal")]
use crate::events::personal::PersonalKeys;
use crate::events::personal::{Found, KeyError, Sealable, within};
use crate::store::{Commit, EventMetadata, KnownCommand, Outcome};

/// How often the keys of one subject are loaded for one command: they may be dropped from memory in between.
const LOADS: u32 = 3;

/// How often one attempt at a command is decided again because keys are missing.
const ROUNDS: u32 = 16;

/// The subjects of a command, known from its earlier attempts.
#[derive(Default)]
pub(super) struct Subjects(Mutex<State>);

#[derive(Default)]
struct State {
    /// The subjects of new values, and whether the key store says that they are erased.
    sealed: BTreeMap<Ref, bool>,
    /// How often the keys of these were loaded.
    loaded: BTreeMap<Ref, u32>,
    rounds: u32,
}

impl Subjects {
    /// The subjects of a command's own fields are likely those of its values.
    pub(super) fn of(subjects: Vec<Ref>) -> Self {
        let sealed = subjects.into_iter().map(|subject| (subject, false)).collect();
        Self(Mutex::new(State { sealed, ..State::default() }))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The result of a decision: a commit, or a rejection.
pub(super) struct Decided {
    pub(super) commit: Commit,
    /// Why it has no events, if it was rejected.
    pub(super) rejection: Option<Rejection>,
}

impl Engine {
    /// Loads the records of the subjects whose values the command seals, as far as they are known.
    pub(super) async fn load_subjects(
        &self,
        prepared: &Prepared,
        members: &mut Vec<Member>,
        durable: bool,
    ) -> Result<(), ExecuteError<Refusal>> {
        let subjects: Vec<Ref> = prepared.subjects.lock().sealed.keys().cloned().collect();
        for subject in subjects {
            let record = record_of(&subject);
            record.check()?;
            if !members.iter().any(|member| member.aggregate == record) {
                let kind = AggregateType::for_aggregate::<SubjectRecord>();
                members.push(self.load_for_access(kind, &record, durable).await?);
            }
        }
        Ok(())
    }

    /// Decides on the first `scope` of the members. Returns what is missing if keys are not in memory: see
    /// [`provide_keys`](Self::provide_keys).
    pub(super) fn decide_with_keys(
        &self,
        prepared: &Prepared,
        members: &mut [Member],
        scope: usize,
        admission: &Admission,
        order_group: Option<u64>,
    ) -> Result<Result<Decided, Box<Found>>, ExecuteError<Refusal>> {
        let done = |(commit, rejection)| Ok(Decided { commit, rejection });
        let Some(keys) = self.keys.as_ref().filter(|_| admission.denied.is_none()) else {
            return self.decide(prepared, members, scope, admission, order_group).map(done);
        };
        let sealable = sealable(prepared, &members[scope..]);
        let (decided, mut found) =
            within(keys, sealable, || self.decide(prepared, members, scope, admission, order_group));
        if found.opened {
            prepared.received.opened.store(true, Ordering::Relaxed);
        }
        if let Some(problem) = found.problem.take() {
            return Err(problem.into());
        }
        if !found.open.is_empty() {
            return Ok(Err(Box::new(found)));
        }
        if let Some(subject) = found.erased {
            for member in &mut *members {
                member.events.clear();
                member.after = member.before.clone();
            }
            let received = &prepared.received;
            let appends = members.iter_mut().map(Member::take_append).collect();
            let metadata = EventMetadata::same("".into());
            let empty = received.commit(metadata, received.digest, appends, false, None, order_group);
            return Ok(done((empty.until(admission.valid_until), Some(Rejection::Erased(subject)))));
        }
        match found.is_missing_keys() {
            true => Ok(Err(Box::new(found))),
            false => decided.map(done),
        }
    }

    /// Loads the keys that a decision needs, and creates those of new values.
    pub(super) async fn provide_keys(
        &self,
        prepared: &Prepared,
        found: Box<Found>,
    ) -> Result<(), ExecuteError<Refusal>> {
        let Some(keys) = &self.keys else { return Ok(()) };
        let Found { open, seal, .. } = *found;
        {
            let mut state = prepared.subjects.lock();
            state.rounds += 1;
            if state.rounds > ROUNDS {
                return Err(KeyError::Unsettled.into());
            }
            for subject in &open {
                let times = state.loaded.entry(subject.clone()).or_default();
                *times += 1;
                if *times > LOADS {
                    return Err(keys.lost(subject.clone()).into());
                }
            }
        }
        if !open.is_empty() {
            return Ok(keys.load(open.into_iter().collect()).await?);
        }
        let erased = keys.provide(seal.iter().cloned().collect()).await?;
        let sealed = seal.into_iter().map(|subject| {
            let is_erased = erased.contains(&subject);
            (subject, is_erased)
        });
        prepared.subjects.lock().sealed.extend(sealed);
        Ok(())
    }

    /// Loads the keys with which the digest of a command with personal fields is made, and makes it.
    pub(super) async fn digest_with_keys(&self, received: &mut Received) -> Result<(), ExecuteError<Refusal>> {
        if let Some(keys) = self.keys.as_ref().filter(|_| received.command.is_personal()) {
            keys.load(received.command.subjects()).await?;
            let digest = || received.command.digest(&received.context);
            let (digest, _) = within(keys, Sealable::Nothing, digest);
            received.digest = digest.map_err(ExecuteError::Body)?;
        }
        Ok(())
    }

    /// Answers a command whose id the log has.
    pub(super) async fn answer_known(&self, received: &Received, known: KnownCommand) -> Executed {
        match received.command.is_personal() && self.is_same(received, &known).await? {
            true => Ok(known.receipt),
            false => received.answer_known(known),
        }
    }

    /// An id that was reused may be that of the same command: its digest was made when its subject had no key, or has none any more.
    pub(super) async fn settled(
        &self,
        received: &Received,
        outcome: Outcome,
    ) -> Result<Outcome, ExecuteError<Refusal>> {
        if !matches!(outcome, Outcome::IdReused) || !received.command.is_personal() {
            return Ok(outcome);
        }
        let store = |error| ExecuteError::store(received.id, Arc::new(error));
        let known = self.store.find_commands(&[received.id]).await.map_err(store)?.pop().flatten();
        match known {
            Some(known) if self.is_same(received, &known).await? => Ok(Outcome::Duplicate(known.receipt)),
            _ => Ok(outcome),
        }
    }

    /// Whether a known command is the one that was received. The digest of an erased subject's command cannot be made again: then
    /// the name and the actor decide.
    async fn is_same(&self, received: &Received, known: &KnownCommand) -> Result<bool, ExecuteError<Refusal>> {
        let without_keys = received.command.digest(&received.context).map_err(ExecuteError::Body)?;
        if [received.digest, without_keys].contains(&known.body_digest) {
            return Ok(true);
        }
        let is_erased = |subject: &Ref| self.keys.as_ref().is_some_and(|keys| keys.is_erased(subject));
        if known.command != received.command.name() || !received.command.subjects().iter().any(is_erased) {
            return Ok(false);
        }
        if known.receipt.events == 0 {
            return Ok(true);
        }
        let store = |error| ExecuteError::store(received.id, Arc::new(error));
        let found = self.store.read_at(&[known.receipt.first_position]).await.map_err(store)?;
        let metadata = found.first().and_then(|event| event.metadata().ok());
        let given = received.context.metadata();
        Ok(metadata.is_some_and(|by| by.actor == given.actor && by.on_behalf_of == given.on_behalf_of))
    }

    /// The same engine, with the keys of subjects.
    #[cfg(feature = "personal")]
    pub(crate) fn with_keys(mut self, keys: Option<Arc<dyn PersonalKeys>>) -> Self {
        self.keys = keys;
        self
    }
}

/// The subjects whose records are among the members, and those of them that are erased.
fn sealable(prepared: &Prepared, others: &[Member]) -> Sealable {
    let state = prepared.subjects.lock();
    let (mut present, mut erased) = (BTreeSet::new(), BTreeSet::new());
    for member in others {
        let Some(subject) = subject_of(&member.aggregate) else { continue };
        let tombstone = state.sealed.get(&subject).copied().unwrap_or_default();
        match tombstone || is_erased(&member.before) {
            true => erased.insert(subject),
            false => present.insert(subject),
        };
    }
    Sealable::Of(present, erased)
}
