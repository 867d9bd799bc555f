//! Tests of the engine, with accounts, gates, and a view of both.

mod conditions;
mod dead_letters;
mod documents;
mod editions;
mod failure;
pub(crate) mod fixture;
mod following;
mod keys;
mod leading;
mod lists;
mod log;
#[cfg(target_os = "linux")]
mod memory;
mod once;
mod pages;
mod rebuild;
mod restarting;
mod texts;
mod versions;

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use annals_macros::{Event, Id};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::engine::LeaseTerms;
use super::*;
use crate::events::{Event as _, Id as _, LogPosition, Recorded, Ref, Stored, Types};
use crate::store::{
    Batch, Commit, EventMetadata, Interest, NewEvent, OpenOptions, Outcome, Receipt, Store, StreamAppend,
    Transaction, ViewSnapshot,
};

#[derive(Id, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountId(String);

#[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[event(name = "account")]
pub enum AccountEvent {
    #[event(update, "{actor} put {cents} into an account", was("filled"))]
    Deposited { cents: u64 },
    #[event(delete, "{actor} closed an account")]
    Closed,
}

#[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[event(name = "gate")]
pub enum GateEvent {
    #[event(view, "{actor} let {by} through")]
    Passed {
        #[event(target)]
        by: Vec<AccountId>,
    },
    #[event(update, "{actor} painted the gate")]
    Painted,
}

/// The document of an account.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Balance {
    pub cents: u64,
    pub events: u64,
    pub passed: u64,
    /// The position of the last event: the order matters.
    pub last: u64,
    pub ratio: f64,
}

impl Balance {
    fn count(&mut self, position: u64) {
        self.events += 1;
        self.last = position;
        self.ratio = (self.ratio + self.cents as f64) / 3.7;
    }
}

impl DocumentView for Balance {
    const NAME: &'static str = "balance";
    type Key = AccountId;
    type Events = (AccountEvent, GateEvent);
}

impl On<AccountEvent> for Balance {
    fn keys(event: &Recorded<AccountEvent>) -> Vec<AccountId> {
        event.id().into_iter().collect()
    }

    fn apply(document: &mut Option<Self>, _: &AccountId, event: &Recorded<AccountEvent>) {
        match &event.event {
            AccountEvent::Deposited { cents } => {
                let balance = document.get_or_insert_default();
                balance.cents += cents;
                balance.count(event.position);
            }
            AccountEvent::Closed => *document = None,
        }
    }
}

impl On<GateEvent> for Balance {
    fn keys(event: &Recorded<GateEvent>) -> Vec<AccountId> {
        match &event.event {
            GateEvent::Passed { by } => by.clone(),
            GateEvent::Painted => Vec::new(),
        }
    }

    fn apply(document: &mut Option<Self>, _: &AccountId, event: &Recorded<GateEvent>) {
        if let Some(balance) = document {
            balance.passed += 1;
            balance.count(event.position);
        }
    }
}

/// The expected [`Balance`]s, folded by hand over the whole log.
pub fn by_hand(log: &[Stored]) -> BTreeMap<String, Balance> {
    let mut balances: BTreeMap<String, Balance> = BTreeMap::new();
    for stored in log {
        let id = stored.aggregate.id().to_owned();
        if let Ok(event) = AccountEvent::from_stored(stored) {
            match event {
                AccountEvent::Deposited { cents } => {
                    let balance = balances.entry(id).or_default();
                    balance.cents += cents;
                    balance.count(stored.position);
                }
                AccountEvent::Closed => {
                    balances.remove(&id);
                }
            }
        } else if let Ok(GateEvent::Passed { by }) = GateEvent::from_stored(stored) {
            let by: std::collections::BTreeSet<_> = by.into_iter().collect();
            for account in by {
                if let Some(balance) = balances.get_mut(&*account.text()) {
                    balance.passed += 1;
                    balance.count(stored.position);
                }
            }
        }
    }
    balances
}

/// Wants only comets.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Comets(pub u64);

#[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[event(name = "rare")]
pub enum RareEvent {
    #[event(view, "{actor} saw a comet")]
    Comet,
}

impl DocumentView for Comets {
    const NAME: &'static str = "comets";
    type Key = String;
    type Events = RareEvent;
}

impl On<RareEvent> for Comets {
    fn keys(_: &Recorded<RareEvent>) -> Vec<String> {
        vec!["all".to_owned()]
    }

    fn apply(document: &mut Option<Self>, _: &String, _: &Recorded<RareEvent>) {
        document.get_or_insert_default().0 += 1;
    }
}

/// How a call of a [`Flaky`] projection fails.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fault {
    Never,
    /// Before any write.
    Before,
    /// After all writes, before the commit.
    After,
    PanicAfter,
}

/// A projection of which some calls fail: the hook gets the number of the call and the batch.
pub struct Flaky {
    pub inner: Arc<dyn Projection>,
    pub calls: AtomicU64,
    pub hook: Hook,
    pub interval: Duration,
}

pub type Hook = Box<dyn Fn(u64, EventBatch<'_>) -> Fault + Send + Sync>;

pub fn flaky(
    inner: impl Projection,
    hook: impl Fn(u64, EventBatch<'_>) -> Fault + Send + Sync + 'static,
) -> Arc<Flaky> {
    let (inner, interval) = (Arc::new(inner), Duration::ZERO);
    Arc::new(Flaky { inner, calls: AtomicU64::new(0), hook: Box::new(hook), interval })
}

#[async_trait]
impl Projection for Flaky {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn version(&self) -> u64 {
        self.inner.version()
    }

    fn interest(&self) -> Interest {
        self.inner.interest()
    }

    fn interval(&self) -> Duration {
        self.interval
    }

    fn documents(&self) -> bool {
        self.inner.documents()
    }

    async fn setup(&self, transaction: &mut dyn Transaction) -> Result<(), ProjectionError> {
        self.inner.setup(transaction).await
    }

    async fn apply(&self, batch: EventBatch<'_>, transaction: &mut dyn Transaction) -> Result<(), ProjectionError> {
        let fault = (self.hook)(self.calls.fetch_add(1, Ordering::Relaxed), batch);
        if fault == Fault::Before {
            return Err(ProjectionError::Other("as the test wants it".into()));
        }
        self.inner.apply(batch, transaction).await?;
        match fault {
            Fault::After => Err(ProjectionError::Other("as the test wants it".into())),
            Fault::PanicAfter => panic!("as the test wants it"),
            _ => Ok(()),
        }
    }
}

pub fn options() -> OpenOptions {
    OpenOptions { app: "test".to_owned(), clock: Arc::new(jiff::Timestamp::now), create: true }
}

pub async fn memory() -> Arc<dyn Store> {
    crate::store::open(&fixture::stores::empty(), options()).await.unwrap()
}

pub async fn file(directory: &std::path::Path) -> Arc<dyn Store> {
    crate::store::open(&fixture::stores::of(directory), options()).await.unwrap()
}

/// Appends to a store and tracks the sequences that it wrote.
pub struct Writer {
    store: Arc<dyn Store>,
    sequences: Mutex<HashMap<Ref, u64>>,
}

/// An event and its aggregate.
pub type Happening = (Ref, NewEvent);

pub fn deposit(account: impl ToString, cents: u64) -> Happening {
    happening(AccountId::new(account.to_string()).reference(), &AccountEvent::Deposited { cents })
}

pub fn close(account: impl ToString) -> Happening {
    happening(AccountId::new(account.to_string()).reference(), &AccountEvent::Closed)
}

pub fn pass(accounts: &[u64]) -> Happening {
    let by = accounts.iter().map(|account| AccountId::new(account.to_string())).collect();
    happening("gate:west".parse().unwrap(), &GateEvent::Passed { by })
}

pub fn paint() -> Happening {
    happening("gate:west".parse().unwrap(), &GateEvent::Painted)
}

pub fn comet() -> Happening {
    happening("sky:night".parse().unwrap(), &RareEvent::Comet)
}

pub fn happening<E: crate::events::Event>(on: Ref, event: &E) -> Happening {
    let declaration = event.declaration();
    (on, NewEvent::new(declaration.event_type, declaration.version_text(), event.encode().unwrap()))
}

impl Writer {
    /// The same writer on another handle of the store.
    pub fn through(self, store: &Arc<dyn Store>) -> Self {
        Self { store: store.clone(), ..self }
    }

    pub fn new(store: &Arc<dyn Store>) -> Self {
        Self { store: store.clone(), sequences: Mutex::default() }
    }

    /// Appends each event as a separate commit, all in one batch.
    pub async fn append(&self, happenings: Vec<Happening>) -> Receipt {
        let commits = happenings.into_iter().map(|(on, event)| {
            let mut sequences = self.sequences.lock().unwrap();
            let sequence = sequences.entry(on.clone()).or_default();
            let stream = StreamAppend::new(on, *sequence, vec![event]);
            *sequence += 1;
            let metadata = EventMetadata::same(r#"{"actor":"user:tester"}"#.into());
            Commit::new(Uuid::new_v4(), "test".to_owned(), [0; 32], metadata, None, vec![stream], false, None)
        });
        let batch = Batch::new(commits.collect());
        match self.store.append(batch).await.unwrap().last() {
            Some(Outcome::Committed(receipt)) => *receipt,
            other => panic!("{other:?}"),
        }
    }
}

/// A mix of all events, the same for the same seed.
pub fn medley(seed: u64, count: u64) -> Vec<Happening> {
    let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = move |below: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % below
    };
    (0..count)
        .map(|_| match next(12) {
            0 => close(next(9)),
            1 => paint(),
            2 | 3 => pass(&[next(9), next(9)]),
            4 => comet(),
            _ => deposit(next(9), next(1_000)),
        })
        .collect()
}

pub fn types() -> Arc<Types> {
    let mut types = Types::default();
    types.add::<AccountEvent>("account").unwrap();
    types.add::<GateEvent>("gate").unwrap();
    types.add::<RareEvent>("sky").unwrap();
    Arc::new(types)
}

pub async fn engine(store: &Arc<dyn Store>, projections: Vec<Arc<dyn Projection>>) -> Projections {
    Projections::start(store.clone(), types(), projections, true).await.unwrap()
}

pub fn balances() -> Arc<dyn Projection> {
    Arc::new(Documents::<Balance>::new())
}

pub fn comets() -> Arc<dyn Projection> {
    Arc::new(Documents::<Comets>::new())
}

/// The whole log.
pub async fn whole(store: &Arc<dyn Store>) -> Vec<Stored> {
    store.read(0, usize::MAX >> 2, &Interest::All).await.unwrap().events
}

/// The bodies of a view, byte for byte.
pub async fn bytes(reading: &Reading) -> Vec<(String, String)> {
    bodies(&mut *reading.snapshot().await.unwrap()).await
}

pub async fn bodies(snapshot: &mut dyn ViewSnapshot) -> Vec<(String, String)> {
    let sql = format!("SELECT key, body FROM {} ORDER BY key", snapshot.table("documents"));
    let rows = snapshot.query(&sql, vec![]).await.unwrap();
    rows.iter().map(|row| (row[0].text().unwrap().to_owned(), row[1].text().unwrap().to_owned())).collect()
}

pub fn as_bytes(balances: &BTreeMap<String, Balance>) -> Vec<(String, String)> {
    balances.iter().map(|(key, balance)| (key.clone(), serde_json::to_string(balance).unwrap())).collect()
}

/// Waits until the view has processed the log, then compares it with the expected documents.
pub async fn compare(store: &Arc<dyn Store>, projections: &Projections) {
    let reading = projections.reading("balance").unwrap();
    let head = store.head().await.unwrap();
    reading.caught_up(head, Some(Duration::from_secs(20))).await.unwrap();
    assert_eq!(bytes(&reading).await, as_bytes(&by_hand(&whole(store).await)));
}

/// Polls until the condition holds.
pub async fn until<F: Future<Output = bool>>(what: &str, mut is: impl FnMut() -> F) {
    for _ in 0..3_000 {
        if is().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{what}: not in half a minute");
}
