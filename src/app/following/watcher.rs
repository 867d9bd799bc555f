//! [`FollowedReads`]: one task that reads the log for all reads that are followed.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::Depends;
use crate::events::{Ref, Types};
use crate::store::{Interest, LogTime, Page, Store, StoreError, is_full};
use crate::supervise::supervise;

/// A read that was not confirmed for this long ends.
pub(super) const SILENCE: Duration = Duration::from_secs(2);

/// The longest pause between two reads of the log, and of the clock.
const PULSE: Duration = Duration::from_millis(500);

/// The shortest pause between two reads of the log.
const PACE: Duration = Duration::from_millis(20);

/// How long the store may take to answer before it is asked again.
const PATIENCE: Duration = Duration::from_secs(1);

/// The most events that are read at a time, and about their most bytes.
const EVENTS: usize = 1_000;
const BYTES: usize = 1 << 20;

/// The reads that are followed in this process, and depend on access control.
pub(in crate::app) struct FollowedReads {
    store: Arc<dyn Store>,
    types: Arc<Types>,
    time: LogTime,
    state: Mutex<State>,
    opened: Notify,
}

struct State {
    reads: HashMap<u64, OpenRead>,
    next: u64,
    /// The types of the aggregates that answers depend on.
    kinds: BTreeSet<String>,
    /// The position up to which the events of these aggregates were read.
    at: u64,
    /// When the store was last asked for events and answered: nothing before that is missing.
    confirmed: Instant,
    /// The number of the task that runs.
    task: Option<u64>,
    /// How often all answers may have changed.
    #[cfg(feature = "access")]
    rounds: u64,
}

struct OpenRead {
    depends: Depends,
    /// Notified when the answer may have changed.
    outdated: watch::Sender<()>,
}

/// A moment at which access control was asked.
#[derive(Clone, Copy, Debug)]
pub(in crate::app) struct Asked {
    /// The position that the log had reached.
    position: u64,
    at: Instant,
    #[cfg(feature = "access")]
    rounds: u64,
}

/// One read that is watched, until this is dropped.
pub(super) struct Watch {
    reads: Arc<FollowedReads>,
    id: u64,
    /// When it was asked last.
    asked: Instant,
    outdated: watch::Receiver<()>,
}

impl FollowedReads {
    pub(in crate::app) fn new(store: Arc<dyn Store>, types: Arc<Types>, time: LogTime) -> Arc<Self> {
        let state = State {
            reads: HashMap::new(),
            next: 0,
            kinds: BTreeSet::new(),
            at: 0,
            confirmed: Instant::now(),
            task: None,
            #[cfg(feature = "access")]
            rounds: 0,
        };
        Arc::new(Self { store, types, time, state: Mutex::new(state), opened: Notify::new() })
    }

    /// The present moment. What is loaded after this includes the log up to it.
    pub(in crate::app) fn now(&self) -> Asked {
        Asked {
            position: self.store.watch().borrow().position,
            at: Instant::now(),
            #[cfg(feature = "access")]
            rounds: self.lock().rounds,
        }
    }

    /// Watches a read that was asked at this moment.
    pub(super) fn watch(self: &Arc<Self>, asked: Asked, depends: Depends) -> Watch {
        let (outdated, receiver) = watch::channel(());
        let mut state = self.lock();
        let id = state.next;
        state.next += 1;
        if state.task.is_none() {
            (state.at, state.task) = (asked.position, Some(id));
            state.kinds.clear();
            tokio::spawn(Task { reads: self.clone(), number: id }.run());
        }
        state.depend(&depends, asked);
        #[cfg(feature = "access")]
        if state.rounds != asked.rounds {
            outdated.send_replace(());
        }
        state.reads.insert(id, OpenRead { depends, outdated });
        drop(state);
        self.opened.notify_one();
        Watch { reads: self.clone(), id, asked: asked.at, outdated: receiver }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the answer of this moment has not been confirmed for too long.
    async fn unconfirmed(&self, asked: Instant) {
        loop {
            let end = self.lock().confirmed.max(asked) + SILENCE;
            if end <= Instant::now() {
                return;
            }
            sleep_until(end).await;
        }
    }

    /// Reads the log as long as there are reads to watch.
    async fn follow_log(&self, task: u64) {
        let mut head = self.store.watch();
        loop {
            head.borrow_and_update();
            let Some((at, kinds)) = self.next(task) else { return };
            let asked = Instant::now();
            let complete = match timeout(PATIENCE, self.read(at, &kinds)).await {
                Ok(Ok(page)) => self.apply(at, &kinds, &page, asked),
                Ok(Err(StoreError::Closed)) => return,
                Ok(Err(error)) => {
                    tracing::debug!(%error, "cannot read the log for reads that are followed");
                    true
                }
                Err(_) => true,
            };
            let pause = self.expire();
            if complete {
                sleep(PACE).await;
                tokio::select! {
                    changed = head.changed() => if changed.is_err() { return },
                    () = self.opened.notified() => {}
                    () = sleep(pause) => {}
                }
            }
        }
    }

    /// The answer to each read may have changed.
    #[cfg(feature = "access")]
    pub(in crate::app) fn ask_all_again(&self) {
        let mut state = self.lock();
        state.rounds += 1;
        state.reads.values().for_each(|read| read.outdated.send_replace(()));
    }

    /// Where to read, and the types of the aggregates; none without reads, which ends the task.
    fn next(&self, task: u64) -> Option<(u64, BTreeSet<String>)> {
        let mut state = self.lock();
        if state.reads.is_empty() {
            state.task.take_if(|running| *running == task);
            return None;
        }
        Some((state.at, state.kinds.clone()))
    }

    async fn read(&self, at: u64, kinds: &BTreeSet<String>) -> Result<Page, StoreError> {
        let of_kind = self.types.iter().filter(|known| kinds.contains(known.aggregate_type));
        let names = of_kind.flat_map(|known| self.types.names(known.declaration.event_type));
        let interest = Interest::EventTypes(names.map(str::to_owned).collect());
        self.store.read_bounded(at, EVENTS, BYTES, &interest).await
    }

    /// Notifies the reads whose aggregates have new events. Returns whether these were all.
    fn apply(&self, at: u64, kinds: &BTreeSet<String>, page: &Page, asked: Instant) -> bool {
        let mut changed: HashMap<&Ref, u64> = HashMap::new();
        for event in &page.events {
            changed.insert(&event.aggregate, event.sequence);
        }
        // The log is an older one: a backup was restored.
        let shorter = page.to.position < at;
        let mut state = self.lock();
        for read in state.reads.values() {
            let is_newer = |(aggregate, seen): &(Ref, u64)| changed.get(aggregate).is_some_and(|last| last > seen);
            if shorter || read.depends.loaded.iter().any(is_newer) {
                read.outdated.send_replace(());
            }
        }
        let complete = page.events.len() < EVENTS && !is_full(&page.events);
        if complete {
            state.confirmed = asked;
        }
        // Otherwise a read was added that depends on earlier events, or on other types.
        if state.at == at && state.kinds == *kinds {
            state.at = page.to.position;
        }
        complete
    }

    /// Notifies the reads whose answer holds no longer. Returns how long to wait at most before the next time.
    fn expire(&self) -> Duration {
        let now = self.time.now();
        let mut pause = PULSE;
        for read in self.lock().reads.values() {
            match read.depends.valid_until {
                Some(until) if until <= now => read.outdated.send_replace(()),
                Some(until) => pause = pause.min(until.duration_since(now).unsigned_abs()),
                None => {}
            }
        }
        pause
    }
}

impl State {
    /// Has the events read that this answer depends on.
    fn depend(&mut self, depends: &Depends, asked: Asked) {
        self.kinds.extend(depends.loaded.iter().map(|(aggregate, _)| aggregate.kind().to_owned()));
        self.at = self.at.min(asked.position);
    }
}

/// The task. If it is dropped with its runtime, the next read starts another one.
struct Task {
    reads: Arc<FollowedReads>,
    number: u64,
}

impl Task {
    async fn run(self) {
        let follow = || self.reads.follow_log(self.number);
        supervise("watcher of followed reads", follow, std::future::pending, |_, _| {}).await;
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.reads.lock().task.take_if(|running| *running == self.number);
    }
}

impl Watch {
    /// Waits until the answer may have changed. Returns false if that is not certain any more: see
    /// [`unconfirmed`](Self::unconfirmed).
    pub(super) async fn is_outdated(&mut self) -> bool {
        let Self { reads, asked, outdated, .. } = self;
        tokio::select! {
            biased;
            () = reads.unconfirmed(*asked) => false,
            changed = outdated.changed() => changed.is_ok(),
        }
    }

    /// Waits until nothing has confirmed the last answer for too long.
    pub(super) async fn unconfirmed(&self) {
        self.reads.unconfirmed(self.asked).await;
    }

    /// The read was asked again at this moment, and allowed.
    pub(super) fn answered(&mut self, asked: Asked, depends: Depends) {
        self.asked = asked.at;
        let mut state = self.reads.lock();
        state.depend(&depends, asked);
        if let Some(read) = state.reads.get_mut(&self.id) {
            read.depends = depends;
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.reads.lock().reads.remove(&self.id);
    }
}
