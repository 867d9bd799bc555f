//! Editions of one application: what a new program rebuilds of the rows of an older one, and which rows it keeps
//! (issue 16, fault 15; Guarantee 22).

mod adopting;

use std::collections::HashMap;
use std::sync::OnceLock;

use futures::TryStreamExt;
use serde_json::Value;

use super::*;
use crate::events::{Declaration, Event};
use crate::projections::audit::{AuditError, AuditLog, AuditQuery};
use crate::projections::display_names::{DisplayNames, Names, Namings};
use crate::projections::metrics::{MetricQuery, Metrics};

#[derive(Id, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct PersonId(String);

#[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[event(name = "bulb", topic = "house/bulb")]
enum BulbEvent {
    #[event(update, "{actor} lit a bulb for {who}")]
    Lit {
        #[event(target)]
        who: PersonId,
    },
    #[event(update, "{actor} dimmed a bulb to {level}")]
    Dimmed { level: u64 },
    #[event(delete, "{actor} broke a bulb")]
    Broke,
}

/// Does not know that a bulb can break.
const FIRST: usize = 0;
/// Declares one more event type than the first.
const MORE: usize = 1;
/// As the first, with other sentences.
const REWORDED: usize = 2;
/// As the first, with another topic for dimming.
const MOVED: usize = 3;
/// As the one with the additional type, with another topic for it.
const RARE_MOVED: usize = 4;
/// As the first, with another name for dimming.
const RENAMED: usize = 5;
/// As the first, with another action for dimming.
const ACTED: usize = 6;

/// The same events, as this edition declares them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
struct Edition<const N: usize>(BulbEvent);

fn declared(edition: usize, declaration: &Declaration) -> Option<Declaration> {
    let mut declared = *declaration;
    match (edition, declared.event_type) {
        (FIRST | REWORDED | MOVED | RENAMED | ACTED, "bulb.broke") => return None,
        (REWORDED, _) => declared.sentence = "{actor} did it",
        (MOVED, "bulb.dimmed") => declared.topics = &["house/light"],
        (RARE_MOVED, "bulb.broke") => declared.topics = &["house/waste"],
        (RENAMED, "bulb.dimmed") => (declared.event_type, declared.was) = ("bulb.turned_down", &["bulb.dimmed"]),
        (ACTED, "bulb.dimmed") => declared.action = crate::events::Action::View,
        _ => {}
    }
    Some(declared)
}

fn original(event_type: &str) -> &str {
    if event_type == "bulb.turned_down" { "bulb.dimmed" } else { event_type }
}

impl<const N: usize> cqrs_es::DomainEvent for Edition<N> {
    fn event_type(&self) -> String {
        self.declaration().event_type.to_owned()
    }

    fn event_version(&self) -> String {
        self.declaration().version_text()
    }
}

impl<const N: usize> Event for Edition<N> {
    fn declarations() -> Vec<&'static Declaration> {
        static ALL: [OnceLock<Vec<Declaration>>; 7] = [const { OnceLock::new() }; 7];
        let all = ALL[N].get_or_init(|| {
            BulbEvent::declarations().into_iter().filter_map(|declaration| declared(N, declaration)).collect()
        });
        all.iter().collect()
    }

    fn lookup(event_type: &str) -> Option<&'static Declaration> {
        let is = |declaration: &&Declaration| {
            declaration.event_type == event_type || declaration.was.contains(&event_type)
        };
        Self::declarations().into_iter().find(is)
    }

    fn declaration(&self) -> &'static Declaration {
        Self::lookup(self.0.declaration().event_type).expect("the edition knows it")
    }

    fn encode(&self) -> Result<String, serde_json::Error> {
        self.0.encode()
    }

    fn decode(event_type: &str, payload: &str) -> Result<Self, serde_json::Error> {
        <BulbEvent as Event>::decode(original(event_type), payload).map(Self)
    }

    fn facts(&self) -> Result<Vec<(&'static str, Value)>, serde_json::Error> {
        self.0.facts()
    }

    fn targets(&self) -> Vec<Ref> {
        self.0.targets()
    }
}

impl<const N: usize> Names for Edition<N> {
    fn names(event: &Recorded<Self>) -> Vec<(Ref, String)> {
        match &event.event.0 {
            BulbEvent::Lit { who } => vec![(event.aggregate.clone(), format!("the bulb of {who} \0"))],
            _ => Vec::new(),
        }
    }
}

/// The state of a bulb.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Bulb<const N: usize> {
    lit: u64,
    level: u64,
    broken: bool,
    last: Option<String>,
}

impl<const N: usize> DocumentView for Bulb<N> {
    const NAME: &'static str = "bulbs";
    const FIELDS: &'static [Field<Self>] =
        &[Field::number("lit", |bulb| i64::try_from(bulb.lit).ok()), Field::text("last", |bulb| bulb.last.clone())];
    type Key = Ref;
    type Events = Edition<N>;
}

impl<const N: usize> On<Edition<N>> for Bulb<N> {
    fn keys(event: &Recorded<Edition<N>>) -> Vec<Ref> {
        vec![event.aggregate.clone()]
    }

    fn apply(document: &mut Option<Self>, _: &Ref, event: &Recorded<Edition<N>>) {
        let bulb = document.get_or_insert_default();
        match &event.event.0 {
            BulbEvent::Lit { who } => (bulb.lit, bulb.last) = (bulb.lit + 1, Some(who.to_string())),
            BulbEvent::Dimmed { level } => bulb.level = *level,
            BulbEvent::Broke => bulb.broken = true,
        }
    }
}

/// Counts the events that a projection applies.
struct Counted(Arc<dyn Projection>, Arc<AtomicU64>);

#[async_trait]
impl Projection for Counted {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn version(&self) -> u64 {
        self.0.version()
    }

    fn basis(&self) -> Option<Basis> {
        self.0.basis()
    }

    fn interest(&self) -> Interest {
        self.0.interest()
    }

    fn documents(&self) -> bool {
        self.0.documents()
    }

    fn fields(&self) -> Vec<FieldInfo> {
        self.0.fields()
    }

    fn keys(&self, stored: &Stored) -> Result<Option<Vec<String>>, ProjectionError> {
        self.0.keys(stored)
    }

    fn fold(&self, base: FoldBase) -> Option<Box<dyn Fold>> {
        Some(Box::new(CountedFold(self.0.fold(base)?, self.1.clone())))
    }

    async fn setup(&self, transaction: &mut dyn Transaction) -> Result<(), ProjectionError> {
        self.0.setup(transaction).await
    }

    async fn indexes(&self, transaction: &mut dyn Transaction) -> Result<(), ProjectionError> {
        self.0.indexes(transaction).await
    }

    async fn apply(&self, batch: EventBatch<'_>, transaction: &mut dyn Transaction) -> Result<(), ProjectionError> {
        self.1.fetch_add(batch.events.len() as u64, Ordering::Relaxed);
        self.0.apply(batch, transaction).await
    }
}

struct CountedFold(Box<dyn Fold>, Arc<AtomicU64>);

#[async_trait]
impl Fold for CountedFold {
    fn gather(&mut self, events: &[Stored], keys: KeyFilter<'_>) -> Result<(), ProjectionError> {
        self.1.fetch_add(events.len() as u64, Ordering::Relaxed);
        self.0.gather(events, keys)
    }

    fn lacks(&self) -> bool {
        self.0.lacks()
    }

    async fn load(&mut self, transaction: &mut dyn Transaction) -> Result<(), ProjectionError> {
        self.0.load(transaction).await
    }

    fn fold(&mut self) {
        self.0.fold();
    }

    fn position(&self) -> u64 {
        self.0.position()
    }

    fn bytes(&self) -> usize {
        self.0.bytes()
    }

    async fn write(&mut self, transaction: &mut dyn Transaction) -> Result<(), ProjectionError> {
        self.0.write(transaction).await
    }
}

const ALL: [&str; 4] = [AuditLog::NAME, "bulbs", Metrics::NAME, DisplayNames::NAME];

/// A running program of some edition.
struct Program {
    store: Arc<dyn Store>,
    projections: Projections,
    counts: HashMap<&'static str, Arc<AtomicU64>>,
}

async fn program<const N: usize>(directory: &std::path::Path) -> Program {
    let mut types = Types::default();
    types.add::<Edition<N>>("bulb").unwrap();
    let types = Arc::new(types);
    let mut namings = Namings::default();
    namings.add::<Edition<N>>();
    let all: [Arc<dyn Projection>; 4] = [
        Arc::new(AuditLog::new(types.clone())),
        Arc::new(Documents::<Bulb<N>>::new()),
        Arc::new(Metrics::new(types.clone())),
        Arc::new(DisplayNames::new(namings)),
    ];
    let counts: HashMap<_, _> = ALL.into_iter().map(|name| (name, Arc::new(AtomicU64::new(0)))).collect();
    let counted = |(projection, name)| Arc::new(Counted(projection, counts[name].clone())) as Arc<dyn Projection>;
    let counted = all.into_iter().zip(ALL).map(counted).collect();
    let store = file(directory).await;
    let projections = Projections::start(store.clone(), types, counted, true).await.unwrap();
    Program { store, projections, counts }
}

impl Program {
    /// The number of events each projection has applied since the last call.
    fn applied(&self) -> [u64; 4] {
        ALL.map(|name| self.counts[name].swap(0, Ordering::Relaxed))
    }

    /// Waits until all projections have processed the log.
    async fn settled(&self) {
        self.has_settled(&ALL).await;
    }

    async fn has_settled(&self, names: &[&str]) {
        let head = self.store.head().await.unwrap();
        for name in names {
            let reading = self.projections.reading(name).unwrap();
            reading.caught_up(head, Some(Duration::from_secs(20))).await.unwrap();
        }
    }

    /// The checkpoints of the audit log and the metrics, as far as this program knows.
    fn at(&self) -> [u64; 2] {
        [AuditLog::NAME, Metrics::NAME]
            .map(|name| self.projections.reading(name).unwrap().progress().borrow().position)
    }

    fn audit(&self) -> AuditQuery {
        AuditQuery::new(self.projections.reading(AuditLog::NAME).unwrap())
    }

    async fn metric(&self, topic: &str) -> u64 {
        let metrics = MetricQuery::new(self.projections.reading(Metrics::NAME).unwrap());
        metrics.topic(topic).await.unwrap().total
    }

    /// The number of events of this topic in the audit log and the metrics.
    async fn counted(&self, topic: &str) -> [u64; 2] {
        let rows: Vec<_> = self.audit().topic(topic).stream().try_collect().await.unwrap();
        [rows.len() as u64, self.metric(topic).await]
    }

    /// Everything readable: it must be the same after a rebuild.
    async fn answers(&self) -> Vec<String> {
        self.settled().await;
        let mut answers = Vec::new();
        for (name, tables) in [
            (AuditLog::NAME, &["entries", "names", "targets", "topics"][..]),
            ("bulbs", &["documents"]),
            (Metrics::NAME, &["names", "entries", "blocks", "running", "crowds"]),
            (DisplayNames::NAME, &["names"]),
        ] {
            let mut snapshot = self.projections.reading(name).unwrap().snapshot().await.unwrap();
            for table in tables {
                let rows = format!("SELECT * FROM {}", snapshot.table(table));
                let rows = snapshot.query(&rows, Vec::new()).await.unwrap();
                let mut rows: Vec<String> = rows.iter().map(|row| format!("{row:?}")).collect();
                rows.sort_unstable();
                answers.push(format!("{name} {table}: {rows:?}"));
            }
        }
        answers
    }

    async fn close(self) {
        self.projections.close().await;
        self.store.close().await;
    }
}

fn bulb(number: u64, event: &BulbEvent) -> Happening {
    happening(format!("bulb:{number}").parse().unwrap(), event)
}

fn broke(number: u64) -> Happening {
    bulb(number, &BulbEvent::Broke)
}

/// Lights and dims so many bulbs.
fn evening(bulbs: u64) -> Vec<Happening> {
    let who = |number: u64| PersonId::new(format!("p\u{301}{}", number % 7));
    let both = |number| {
        [bulb(number, &BulbEvent::Lit { who: who(number) }), bulb(number, &BulbEvent::Dimmed { level: number })]
    };
    (0..bulbs).flat_map(both).collect()
}

/// A log of lit and dimmed bulbs that the first edition has processed.
async fn first(directory: &std::path::Path, bulbs: u64) -> Writer {
    let old = program::<FIRST>(directory).await;
    let writer = Writer::new(&old.store);
    writer.append(evening(bulbs)).await;
    old.settled().await;
    assert_eq!(old.applied(), [2 * bulbs; 4], "the count counts");
    old.close().await;
    writer.through(&file(directory).await)
}

/// Rebuilds everything and compares the result.
async fn compare_with_a_rebuild(program: &Program) {
    let answers = program.answers().await;
    for (_, rebuild) in program.projections.rebuild_all(SkipPolicy::Refuse) {
        rebuild.unwrap().await.unwrap();
    }
    for (now, before) in program.answers().await.iter().zip(&answers) {
        assert_eq!(now, before);
    }
}
