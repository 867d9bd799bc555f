//! The application of these tests: stores of data, which apps derive from each other and send to hosts.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use annals::access::{Access, GrantAccess, Right};
use annals::prelude::*;
use annals::projections::export::Format;
use annals::projections::flows::{Flow, FlowQuery, Flows};
use annals::store::Receipt;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

#[derive(Id, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StoreId(String);

#[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[event(name = "store", on = Store)]
pub enum StoreEvent {
    #[event(update, "{actor} wrote {store} from {from}")]
    Written {
        #[event(source)]
        from: Vec<Ref>,
        /// A source that readers of metadata see, since it is a target.
        #[event(source, target)]
        shown: Option<StoreId>,
    },
    #[event(view, "{actor} sent {store} to {to}")]
    Sent {
        #[event(target)]
        to: Ref,
    },
}

#[derive(Default, Clone, Debug, Serialize, Deserialize)]
pub struct Store {}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no")]
pub struct No;

impl Aggregate for Store {
    const TYPE: &'static str = "store";
    type Id = StoreId;
    type Event = StoreEvent;
    type Error = No;

    fn apply(&mut self, _: &StoreEvent) {}
}

/// Write stores: for each a list of events, perhaps none. Without any event it is refused
#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct WriteStores {
    #[on(Store)]
    pub stores: Vec<StoreId>,
    #[schemars(with = "serde_json::Value")]
    pub events: Vec<Vec<StoreEvent>>,
}

impl Handle for WriteStores {
    fn handle(&self, _: Vec<&Loaded<Store>>, _: &Context) -> Result<Vec<Vec<StoreEvent>>, No> {
        if self.events.iter().all(Vec::is_empty) { Err(No) } else { Ok(self.events.clone()) }
    }
}

/// A clock that is set by hand.
#[derive(Clone)]
pub struct HandClock(Arc<AtomicI64>);

impl HandClock {
    pub fn new() -> Self {
        let begin: Timestamp = "2026-05-04T08:00:00Z".parse().unwrap();
        Self(Arc::new(AtomicI64::new(begin.as_second())))
    }

    pub fn pass(&self, seconds: i64) {
        self.0.fetch_add(seconds, Ordering::SeqCst);
    }

    pub fn now(&self) -> Timestamp {
        Timestamp::from_second(self.0.load(Ordering::SeqCst)).unwrap()
    }
}

/// The application, which records everything, owned by user:ann.
pub fn app(clock: &HandClock) -> App {
    let clock = clock.clone();
    App::new("databox")
        .command::<WriteStores>()
        .access(Access::new().owner("user:ann".parse::<Ref>().unwrap()))
        .record_reads()
        .record_refusals()
        .clock(move || clock.now())
        .flows(Flows::default())
}

pub fn by(actor: &str) -> Context {
    Context::by(actor.parse::<Ref>().unwrap())
}

pub fn from(sources: &[&str]) -> StoreEvent {
    StoreEvent::Written { from: sources.iter().map(|source| source.parse().unwrap()).collect(), shown: None }
}

pub fn sent(to: &str) -> StoreEvent {
    StoreEvent::Sent { to: to.parse().unwrap() }
}

pub fn command(stores: &[(&str, Vec<StoreEvent>)]) -> WriteStores {
    WriteStores {
        stores: stores.iter().map(|(id, _)| StoreId::new(*id)).collect(),
        events: stores.iter().map(|(_, events)| events.clone()).collect(),
    }
}

pub async fn write(annals: &Annals, actor: &str, stores: &[(&str, Vec<StoreEvent>)]) -> Receipt {
    annals.execute(command(stores), &by(actor)).await.unwrap()
}

pub async fn grant(annals: &Annals, to: &str, rights: &[&str]) -> Uuid {
    let rights: Vec<Right> = rights.iter().map(|right| right.parse().unwrap()).collect();
    let command = GrantAccess::new(to.parse().unwrap(), rights, "for a test");
    let receipt = annals.execute(command, &by("user:ann")).await.unwrap();
    let event = &annals.events(receipt.first_position - 1, 1).await.unwrap().events[0];
    let payload: serde_json::Value = serde_json::from_str(&event.payload).unwrap();
    payload["grant"].as_str().unwrap().parse().unwrap()
}

/// A read of the audit log about a thing. Whether it was allowed.
pub async fn read(annals: &Annals, actor: &str, thing: &str) -> bool {
    annals.read_as(&by(actor)).audit().target(thing).page().await.is_ok()
}

/// An export of the audit log about a thing. Whether it was allowed.
pub async fn export(annals: &Annals, actor: &str, thing: &str, to: Option<&str>) -> bool {
    let export = annals.read_as(&by(actor)).audit().target(thing).export(Format::Jsonl);
    let export = to.iter().fold(export, |export, to| export.destination(to.parse().unwrap()));
    export.to(&mut Vec::new()).await.is_ok()
}

/// Waits until the records of reads and refusals are in the log: until its head does not move in three looks after all that was queued.
pub async fn settled(annals: &Annals) {
    let (mut head, mut same) = (0, 0);
    while same < 8 {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        let now = annals.store().head().await.unwrap().position;
        same = if now == head { same + 1 } else { 0 };
        head = now;
    }
}

/// The caught-up query.
pub async fn flows(annals: &Annals) -> FlowQuery {
    annals.flows().after(annals.store().head().await.unwrap())
}

/// All rows of a query, in pages of this many.
pub async fn all(query: FlowQuery, limit: usize, by_minute: bool) -> Vec<Flow> {
    let (mut rows, mut next) = (Vec::new(), None);
    loop {
        let query = next.into_iter().fold(query.clone().limit(limit), FlowQuery::cursor);
        let page = if by_minute { query.by_minute().await } else { query.page().await }.unwrap();
        assert!(page.flows.len() <= limit);
        rows.extend(page.flows);
        next = page.next;
        if next.is_none() {
            return rows;
        }
        assert!(rows.len() < 100_000, "the pages do not end");
    }
}

/// `source -> actor -> sink: count`, without what is not there.
pub fn words(flow: &Flow) -> String {
    let part = |part: &Option<String>| part.clone().unwrap_or_else(|| "-".to_owned());
    format!("{} > {} > {}: {} {}", part(&flow.source), flow.actor, part(&flow.sink), flow.count, flow.outcome)
}
