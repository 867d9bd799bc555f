//! An application with abacuses and views of them, and logs of the same events.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use annals_macros::{Command, Event, Id};
use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::BoxError;
use crate::aggregates::{Aggregate, Loaded};
use crate::app::{Annals, App};
use crate::commands::{Context, Handle};
use crate::events::{Id as _, Recorded};
use crate::projections::tests::fixture::stores;
use crate::projections::{DocumentView, On};
use crate::store::conformance::bench::{START, batch, commit, log, time};

#[derive(Id, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AbacusId(String);

#[derive(Event, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[event(name = "abacus", on = Abacus)]
pub enum AbacusEvent {
    #[event(update, "{actor} counted {amount}", version = 2, from(1 = amount_of_by))]
    Counted { amount: u64, unit: String },
}

pub fn amount_of_by(payload: Value) -> Result<Value, BoxError> {
    let by = payload["by"].as_u64().ok_or("`by` is not a number")?;
    Ok(json!({ "amount": by, "unit": "old" }))
}

/// Not a sum alone: the order of its events counts.
#[derive(Default, Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Abacus {
    total: u64,
    mixed: u64,
    units: BTreeMap<String, u64>,
}

impl Aggregate for Abacus {
    const TYPE: &'static str = "abacus";
    type Id = AbacusId;
    type Event = AbacusEvent;
    type Error = std::convert::Infallible;

    fn apply(&mut self, AbacusEvent::Counted { amount, unit }: &AbacusEvent) {
        self.total += amount;
        self.mixed = self.mixed.wrapping_mul(31).wrapping_add(*amount);
        *self.units.entry(unit.clone()).or_default() += 1;
    }
}

/// Count
#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Count {
    #[on(Abacus)]
    pub abacus: AbacusId,
}

impl Handle for Count {
    fn handle(&self, _: &Loaded<Abacus>, _: &Context) -> Result<Vec<AbacusEvent>, std::convert::Infallible> {
        Ok(vec![AbacusEvent::Counted { amount: 1, unit: "one".to_owned() }])
    }
}

macro_rules! view {
    ($view:ident, $name:literal, $key:ty, $one:literal, $keys:expr) => {
        #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
        pub struct $view {
            mixed: u64,
        }

        impl DocumentView for $view {
            const NAME: &'static str = $name;
            const ONE_AGGREGATE: bool = $one;
            type Key = $key;
            type Events = AbacusEvent;
        }

        impl On<AbacusEvent> for $view {
            fn keys(event: &Recorded<AbacusEvent>) -> Vec<$key> {
                $keys(event)
            }

            /// An amount of 7 deletes the document.
            fn apply(document: &mut Option<Self>, _: &$key, event: &Recorded<AbacusEvent>) {
                let AbacusEvent::Counted { amount, .. } = &event.event;
                let mixed = document.take().unwrap_or_default().mixed.wrapping_mul(31).wrapping_add(*amount);
                *document = (*amount != 7).then_some(Self { mixed });
            }
        }
    };
}

pub fn of_unit(event: &Recorded<AbacusEvent>) -> Vec<String> {
    let AbacusEvent::Counted { unit, .. } = &event.event;
    vec![unit.clone(), "all".to_owned()]
}

view!(Own, "own", AbacusId, true, |event: &Recorded<AbacusEvent>| event.id().into_iter().collect());
view!(Units, "units", String, false, of_unit);
// It says what is not true.
view!(Wrong, "wrong", AbacusId, true, |_: &Recorded<AbacusEvent>| vec![AbacusId::new("a")]);

/// One event of a log, to be appended to several.
#[derive(Clone, Debug)]
pub struct Line {
    pub on: &'static str,
    pub version: &'static str,
    pub payload: String,
    pub occurred: i64,
    /// How much later than the one before it is recorded, in microseconds.
    pub later: i64,
}

pub fn line(random: &mut fastrand::Rng, on: &[&'static str]) -> Line {
    let (amount, unit) = (random.u64(0..10), ["even", "odd"][random.usize(0..2)]);
    let (version, payload) = match random.bool() {
        true => ("1.0", json!({ "by": amount })),
        false => ("2.0", json!({ "amount": amount, "unit": unit })),
    };
    // Long before and long after it is recorded.
    let occurred = START + random.i64(-1_000_000_000..1_000_000_000);
    // Some are recorded at the same time.
    let later = if random.bool() { 0 } else { random.i64(0..5_000_000) };
    Line { on: on[random.usize(0..on.len())], version, payload: payload.to_string(), occurred, later }
}

pub struct House {
    pub annals: Annals,
    pub clock: Arc<AtomicI64>,
    sequences: HashMap<&'static str, u64>,
    pub appended: usize,
}

pub fn app(clock: &Arc<AtomicI64>) -> App {
    let clock = clock.clone();
    App::new("house").command::<Count>().clock(move || time(clock.load(Ordering::SeqCst)))
}

impl House {
    pub async fn open() -> Self {
        let clock = Arc::new(AtomicI64::new(START));
        let annals = app(&clock).view::<Own>().view::<Units>().open(&stores::empty()).await.unwrap();
        Self { annals, clock, sequences: HashMap::new(), appended: 0 }
    }

    /// Appends these lines, so many at a time.
    pub async fn append(&mut self, lines: &[Line], at_once: usize) {
        for lines in lines.chunks(at_once) {
            self.clock.fetch_add(lines[0].later, Ordering::SeqCst);
            let mut commits = Vec::new();
            for line in lines {
                let sequence = self.sequences.entry(line.on).or_default();
                let number = self.appended as u128 + 1;
                let made =
                    commit(number).event(line.on, *sequence, ("abacus.counted", line.version), &line.payload);
                commits.push(made.occurred_at(time(line.occurred)));
                *sequence += 1;
                self.appended += 1;
            }
            self.annals.store().append(batch(commits)).await.unwrap();
        }
    }

    /// Compares what this log had at the position with what the other one, which ends there, has.
    pub async fn compare(&self, position: u64, other: &Self, views: bool) {
        for id in ["a", "b", "none"].map(AbacusId::new) {
            let then = self.annals.load::<Abacus>(&id).at(position).await.unwrap();
            let now = other.annals.load::<Abacus>(&id).await.unwrap();
            assert_eq!((then.sequence(), then.state()), (now.sequence(), now.state()), "{id} at {position}");
            assert_eq!(then.position(), position);
            let json = self.annals.json_state(&id.reference(), Some(position.into())).await.unwrap();
            assert_eq!((json.sequence, json.position), (now.sequence(), position));
            assert_eq!(json.state, serde_json::to_value(now.state()).unwrap());
            if views {
                let then = self.annals.view::<Own>(&id).at(position).await.unwrap();
                let head = other.annals.store().head().await.unwrap();
                assert_eq!(*then, other.annals.view::<Own>(&id).after(head).await.unwrap(), "{id} at {position}");
            }
        }
        for key in ["even", "odd", "old", "all", "none"].map(str::to_owned).iter().filter(|_| views) {
            let then = self.annals.view::<Units>(key).at(position).await.unwrap();
            let head = other.annals.store().head().await.unwrap();
            assert_eq!(*then, other.annals.view::<Units>(key).after(head).await.unwrap(), "{key} at {position}");
            assert_eq!(then.position(), position);
        }
    }

    /// Compares the past of times with that of positions.
    pub async fn compare_times(&self, random: &mut fastrand::Rng) {
        let events = log(&**self.annals.store()).await;
        let (first, last) = (events[0].recorded_at, events[events.len() - 1].recorded_at);
        self.clock.fetch_add(1_000_000, Ordering::SeqCst);
        let mut times: Vec<Timestamp> = vec![first, last, first - SignedDuration::from_micros(1)];
        for _ in 0..20 {
            let event = &events[random.usize(0..events.len())];
            times.push(event.recorded_at + SignedDuration::from_micros(random.i64(-1..=1)));
            times.push(time(random.i64(first.as_microsecond()..=last.as_microsecond() + 1_000)));
        }
        let id = AbacusId::new("a");
        for asked in times {
            let position = events.iter().filter(|event| event.recorded_at <= asked).count() as u64;
            let by_time = self.annals.load::<Abacus>(&id).at(asked).await.unwrap();
            assert_eq!(by_time.position(), position, "at {asked}");
            let recorded = events.get(position.wrapping_sub(1) as usize).map(|event| event.recorded_at);
            assert_eq!(by_time.recorded_at(), recorded);
            let by_position = self.annals.load::<Abacus>(&id).at(position).await.unwrap();
            assert_eq!((by_time.sequence(), by_time.state()), (by_position.sequence(), by_position.state()));
            let unit = self.annals.view::<Units>(&"all".to_owned()).at(asked).await.unwrap();
            assert_eq!((unit.position(), unit.recorded_at()), (position, recorded));
        }
    }
}
