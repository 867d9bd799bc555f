//! [`Eraser`]: follows the log for erasures, and completes them.
//!
//! Each process of an application reads the two events of erasures as they come, and drops the key of an erased subject from memory. One
//! that has not read the log for [`FRESH`] opens nothing. So when this time has passed after the decision, and the key is destroyed, no
//! process opens the subject's values any more: then the second event is recorded. Every process tries to complete what is not
//! complete; the command's id is derived from the decision, so that one of them does.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::sync::{Mutex as AsyncMutex, Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::commands::{CompleteErasure, EraseSubject};
use super::erasures::{Erasure, Erasures};
use super::error::EraseError;
use super::key_store::StoredKey;
use super::ring::{FRESH, KeyRing};
use crate::commands::subject::{record_of, subject_of};
use crate::commands::{Context, Engine, ExecuteError, SubjectId, internal_id};
use crate::events::personal::KeyError;
use crate::events::{LogPosition, Ref};
use crate::store::{Interest, Store, StoreError, is_full};
use crate::supervise::supervise;
use crate::text::error_chain;

/// The events of erasures.
const TYPES: [&str; 2] = ["annals_subject.erasing", "annals_subject.erased"];

/// The longest and the shortest pause between two reads of the log.
const PULSE: Duration = Duration::from_millis(1_000);
const PACE: Duration = Duration::from_millis(50);

/// How long the store may take to answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// The most events that are read at a time, and about their most bytes.
const EVENTS: usize = 1_000;
const BYTES: usize = 1 << 20;

/// How long the caller of an erasure waits until it is complete.
const ANSWER: Duration = Duration::from_secs(30);

/// The longest pause before a key store is asked again to destroy a key.
const PAUSE: Duration = Duration::from_secs(30);

/// The most bytes of a reason.
const REASON: usize = 1_000;

/// The erasures of one open application.
pub(crate) struct Eraser {
    store: Arc<dyn Store>,
    ring: Arc<KeyRing>,
    /// How long other processes may still open values after a decision.
    grace: Duration,
    state: Mutex<State>,
    reading: AsyncMutex<()>,
    read_now: Arc<Notify>,
    changed: watch::Sender<()>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

#[derive(Default)]
struct State {
    erasures: Erasures,
    /// Subjects whose erasures a task of this process completes.
    running: BTreeSet<Ref>,
    /// Why the keys of these subjects are not destroyed yet.
    problems: BTreeMap<Ref, String>,
}

impl Eraser {
    /// Reads all erasures of the log, and destroys the keys that the key store has all the same: it was restored from a backup.
    ///
    /// `is_alone`: no other process can open the log.
    pub(crate) async fn open(
        store: Arc<dyn Store>,
        ring: Arc<KeyRing>,
        is_alone: bool,
    ) -> Result<Arc<Self>, EraseError> {
        let eraser = Arc::new(Self {
            store,
            ring,
            grace: if is_alone { Duration::ZERO } else { FRESH },
            state: Mutex::default(),
            reading: AsyncMutex::default(),
            read_now: Arc::default(),
            changed: watch::Sender::new(()),
            tasks: Mutex::default(),
        });
        eraser.read_log().await?;
        let erased: Vec<Ref> = eraser.lock().erasures.by_subject.keys().cloned().collect();
        for subjects in erased.chunks(EVENTS) {
            eraser.destroy_again(subjects).await?;
        }
        Ok(eraser)
    }

    /// What the log says is erased, stays erased.
    async fn destroy_again(&self, subjects: &[Ref]) -> Result<(), EraseError> {
        let failed = |source| EraseError::Keys { subject: subjects[0].clone(), source };
        let store = self.ring.store();
        let found = self.ring.answer("looking up destroyed keys", store.find(subjects)).await.map_err(failed)?;
        let remaining = subjects.iter().zip(found).filter(|(_, found)| !matches!(found, Some(StoredKey::Erased)));
        let remaining: Vec<Ref> = remaining.map(|(subject, _)| subject.clone()).collect();
        if remaining.is_empty() {
            return Ok(());
        }
        let destroyed =
            self.ring.answer("destroying keys again", store.destroy(&remaining)).await.map_err(failed)?;
        for (subject, _) in remaining.iter().zip(destroyed).filter(|(_, had_key)| *had_key) {
            tracing::warn!(
                %subject, keys = store.describe(),
                "the key store had the key of an erased subject: it is destroyed again. Was the key store restored from a backup?"
            );
        }
        Ok(())
    }

    /// Starts the task that follows the log.
    pub(crate) fn start(self: &Arc<Self>, engine: &Arc<Engine>) {
        let engine = (!self.store.is_read_only()).then(|| Arc::downgrade(engine));
        self.complete_pending(engine.as_ref());
        let (this, read_now, head) = (Arc::downgrade(self), self.read_now.clone(), self.store.watch());
        let task = tokio::spawn(async move {
            let follow = || follow(this.clone(), engine.clone(), read_now.clone(), head.clone());
            supervise("erasures", follow, std::future::pending, |_, _| {}).await;
        });
        self.tasks().push(task);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tasks(&self) -> MutexGuard<'_, Vec<JoinHandle<()>>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads what is new in the log, or all of it if the log was replaced.
    async fn read_log(&self) -> Result<(), StoreError> {
        let _reading = self.reading.lock().await;
        let began = Instant::now();
        let mut at = self.lock().erasures.at;
        if at.position > 0
            && self.store.read_at(&[at.position]).await?.first().is_none_or(|event| event.head() != at)
        {
            // A subject that was erased stays erased in this process.
            self.lock().erasures = Erasures::default();
            at = LogPosition::default();
        }
        let interest = Interest::EventTypes(TYPES.map(str::to_owned).into());
        loop {
            let page = self.store.read_bounded(at.position, EVENTS, BYTES, &interest).await?;
            let is_last = page.events.len() < EVENTS && !is_full(&page.events);
            let mut state = self.lock();
            for event in &page.events {
                match state.erasures.add(event) {
                    Ok(erased) => erased.iter().for_each(|subject| self.ring.erase(subject)),
                    Err(error) => {
                        tracing::error!(position = event.position, error = %error_chain(&error), "an erasure cannot be read");
                        subject_of(&event.aggregate).iter().for_each(|subject| self.ring.erase(subject));
                    }
                }
            }
            at = page.to;
            state.erasures.at = at;
            drop(state);
            if !page.events.is_empty() {
                self.changed.send_replace(());
            }
            if is_last {
                self.ring.confirm(began);
                return Ok(());
            }
        }
    }

    /// Completes each erasure that is not complete, in a task of its own.
    fn complete_pending(self: &Arc<Self>, engine: Option<&Weak<Engine>>) {
        let Some(engine) = engine else {
            return;
        };
        let pending: Vec<Erasure> = {
            let mut state = self.lock();
            let State { erasures, running, .. } = &mut *state;
            let pending = erasures.by_subject.values().filter(|erasure| !erasure.is_complete());
            pending.filter(|erasure| running.insert(erasure.subject.clone())).cloned().collect()
        };
        let mut tasks = self.tasks();
        tasks.retain(|task| !task.is_finished());
        for erasure in pending {
            tasks.push(tokio::spawn(self.clone().complete(erasure, engine.clone())));
        }
    }

    /// Destroys a key, waits until no process opens the subject's values, and records that.
    async fn complete(self: Arc<Self>, erasure: Erasure, engine: Weak<Engine>) {
        let subject = erasure.subject.clone();
        let seen = Instant::now();
        let mut pause = PULSE;
        while let Err(error) = self.destroy(&subject).await {
            tracing::error!(%subject, error = %error_chain(&error), "the key of an erased subject is not destroyed yet");
            self.lock().problems.insert(subject.clone(), error_chain(&error));
            self.changed.send_replace(());
            sleep(pause).await;
            pause = (pause * 2).min(PAUSE);
        }
        self.lock().problems.remove(&subject);
        self.changed.send_replace(());
        sleep((self.grace + PACE).saturating_sub(seen.elapsed())).await;
        let mut pause = PULSE;
        loop {
            let Some(engine) = engine.upgrade() else { return };
            match self.record(&erasure, &engine).await {
                Ok(()) => break,
                Err(ExecuteError::NotExecuted) => return,
                Err(error) => {
                    tracing::warn!(%subject, error = %error_chain(&error), "an erasure cannot be recorded as complete yet");
                }
            }
            drop(engine);
            sleep(pause).await;
            pause = (pause * 2).min(PAUSE);
        }
        // Otherwise another task would complete it again. A store that is closed meanwhile needs none.
        if let Err(error) = self.read_log().await {
            tracing::debug!(error = %error_chain(&error), "cannot read the log for erasures");
        }
        self.lock().running.remove(&subject);
    }

    async fn destroy(&self, subject: &Ref) -> Result<(), KeyError> {
        let destroy = self.ring.store().destroy(std::slice::from_ref(subject));
        self.ring.answer("destroying a key", destroy).await.map(drop)
    }

    /// Records that an erasure is complete, if no other process has done so.
    async fn record(
        &self,
        erasure: &Erasure,
        engine: &Engine,
    ) -> Result<(), ExecuteError<crate::commands::Refusal>> {
        let (subject, store) = (erasure.subject.clone(), self.ring.store());
        let command = CompleteErasure {
            record: SubjectId::of(&subject),
            subject,
            decided: erasure.event_id,
            keys: store.describe(),
            weak: store.weakness(),
        };
        let id = internal_id::derive(&[0; 32], erasure.event_id.as_bytes());
        let context = Context::by(Ref::unchecked("annals", "eraser")).causation(erasure.event_id.to_string());
        match engine.execute(Box::new(command), &context.internal(id)).await {
            // Another process has recorded it, in other words.
            Ok(_) | Err(ExecuteError::CommandIdReused(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Decides to erase a subject, and waits until that is complete.
    pub(crate) async fn erase(
        &self,
        engine: &Engine,
        subject: &Ref,
        reason: &str,
        context: &Context,
    ) -> Result<Erasure, EraseError> {
        let reason = reason.trim();
        if reason.is_empty() || reason.len() > REASON {
            return Err(EraseError::Reason);
        }
        if subject.check_caller().is_err() {
            return Err(EraseError::Reserved(subject.clone()));
        }
        context.check()?;
        record_of(subject).check().map_err(ExecuteError::Reference)?;
        let command =
            EraseSubject { record: SubjectId::of(subject), subject: subject.clone(), reason: reason.to_owned() };
        let executed = engine.execute(Box::new(command), &context.internal(internal_id::random())).await;
        executed.map_err(ExecuteError::typed)?;
        self.completed(subject).await
    }

    /// Waits until the erasure of a subject is complete, or its key cannot be destroyed.
    async fn completed(&self, subject: &Ref) -> Result<Erasure, EraseError> {
        let mut changed = self.changed.subscribe();
        let waiting = async {
            loop {
                changed.borrow_and_update();
                {
                    let state = self.lock();
                    if let Some(erasure) =
                        state.erasures.by_subject.get(subject).filter(|erasure| erasure.is_complete())
                    {
                        return Ok(erasure.clone());
                    }
                    if let Some(problem) = state.problems.get(subject) {
                        let (subject, problem) = (subject.clone(), problem.clone());
                        return Err(EraseError::NotDestroyed { subject, problem });
                    }
                }
                self.read_now.notify_one();
                // The sender is part of `self`.
                let _ = timeout(PULSE, changed.changed()).await;
            }
        };
        timeout(ANSWER, waiting).await.unwrap_or_else(|_| Err(EraseError::Unfinished(subject.clone())))
    }

    /// The erasures of the log, in the order in which they were decided.
    pub(crate) async fn list(&self) -> Result<Vec<Erasure>, EraseError> {
        self.read_log().await?;
        let mut erasures: Vec<Erasure> = self.lock().erasures.by_subject.values().cloned().collect();
        erasures.sort_unstable_by_key(|erasure| erasure.position);
        Ok(erasures)
    }

    /// Why keys are not destroyed yet, by subject.
    pub(crate) fn problems(&self) -> BTreeMap<Ref, String> {
        self.lock().problems.clone()
    }

    /// The keys of this process.
    pub(crate) fn ring(&self) -> &Arc<KeyRing> {
        &self.ring
    }

    /// Ends the tasks. What is not complete continues at the next start.
    pub(crate) async fn end_tasks(&self) {
        let tasks = std::mem::take(&mut *self.tasks());
        for task in tasks {
            task.abort();
            // A task that was aborted or panicked has ended.
            let _ = task.await;
        }
    }
}

/// Reads the log again and again, until the store is closed or the application is dropped.
async fn follow(
    this: Weak<Eraser>,
    engine: Option<Weak<Engine>>,
    read_now: Arc<Notify>,
    mut head: watch::Receiver<LogPosition>,
) {
    loop {
        head.borrow_and_update();
        let Some(eraser) = this.upgrade() else { return };
        match timeout(PATIENCE, eraser.read_log()).await {
            Ok(Ok(())) => eraser.complete_pending(engine.as_ref()),
            Ok(Err(StoreError::Closed)) => return,
            Ok(Err(error)) => tracing::debug!(error = %error_chain(&error), "cannot read the log for erasures"),
            Err(_) => tracing::debug!("cannot read the log for erasures: the store does not answer"),
        }
        drop(eraser);
        sleep(PACE).await;
        tokio::select! {
            changed = head.changed() => if changed.is_err() { return },
            () = read_now.notified() => {}
            () = sleep(PULSE) => {}
        }
    }
}
