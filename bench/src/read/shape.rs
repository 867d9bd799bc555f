//! The application of the log: 500 event types of things.

use std::convert::Infallible;
use std::sync::OnceLock;

use annals::events::{Action, Declaration, Event, Field};
use annals::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Description of the log.
pub const WORDS: &str = "Commands of four events each: by one actor, under one correlation, on four different things. 500 event \
    types in 20 areas (topics `area_N/kind_N`, so each event is in two topics); 10,000 actors; 80,000 things (the aggregates); \
    100,000 users, one of which is the target of each event. Of actors, types and users the n-th of N is drawn by the cube \
    of a uniform number: the most active actor does 4.6 % of all, a tenth of them half, the last tenth 3.5 %. Things are drawn \
    uniformly. Every tenth command happened at some time in the year before; all others when they were recorded. Payloads \
    take about 150 bytes.";

pub const TYPES: u64 = 500;
pub const AREAS: u64 = 20;
pub const ACTORS: u64 = 10_000;
pub const THINGS: u64 = 80_000;
pub const USERS: u64 = 100_000;
/// Events per command.
pub const TOGETHER: u64 = 4;

/// The id of a thing.
#[derive(Id, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ThingId(String);

/// One of 500 events.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Happened {
    kind: u64,
    user: Ref,
    note: String,
}

fn declared() -> &'static [Declaration] {
    static DECLARED: OnceLock<Vec<Declaration>> = OnceLock::new();
    DECLARED.get_or_init(|| {
        let declare = |n: u64| Declaration {
            event_type: format!("kind_{n}.happened").leak(),
            version: 1,
            action: Action::ALL[n as usize % 4],
            sentence: "{actor} did {kind} to {user}",
            topics: vec![&*format!("area_{}/kind_{n}", n % AREAS).leak()].leak(),
            fields: &[
                Field { name: "kind", shape: "u64", target: false, source: false, change: false, personal: false },
                Field { name: "user", shape: "Ref", target: true, source: false, change: false, personal: false },
            ],
            was: &[],
            upcasts: &[],
        };
        (0..TYPES).map(declare).collect()
    })
}

impl annals::cqrs_es::DomainEvent for Happened {
    fn event_type(&self) -> String {
        self.declaration().event_type.to_owned()
    }

    fn event_version(&self) -> String {
        self.declaration().version_text()
    }
}

impl Event for Happened {
    fn declarations() -> Vec<&'static Declaration> {
        declared().iter().collect()
    }

    fn lookup(event_type: &str) -> Option<&'static Declaration> {
        let kind = event_type.strip_prefix("kind_")?.strip_suffix(".happened")?;
        declared().get(kind.parse::<usize>().ok()?)
    }

    fn declaration(&self) -> &'static Declaration {
        &declared()[self.kind as usize]
    }

    fn encode(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }

    fn decode(_: &str, payload: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(payload)
    }

    fn facts(&self) -> Result<Vec<(&'static str, Value)>, serde_json::Error> {
        Ok(vec![("kind", self.kind.into()), ("user", self.user.as_str().into())])
    }

    fn targets(&self) -> Vec<Ref> {
        vec![self.user.clone()]
    }
}

/// Number of its events.
#[derive(Default, Clone, Debug, Serialize, Deserialize)]
pub struct Thing {
    events: u64,
}

impl Aggregate for Thing {
    const TYPE: &'static str = "thing";
    type Id = ThingId;
    type Event = Happened;
    type Error = Infallible;

    fn apply(&mut self, _: &Happened) {
        self.events += 1;
    }
}

/// Change four things
#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Act {
    #[on(Thing)]
    things: Vec<ThingId>,
    number: u64,
}

impl Act {
    /// The command with this number.
    pub fn new(number: u64) -> Self {
        let first = mixed(number) % THINGS;
        // Steps of a prime number, so that the four things differ.
        let things = (0..TOGETHER).map(|n| ThingId::new(((first + n * 7_919) % THINGS).to_string()));
        Self { things: things.collect(), number }
    }

    /// Who gives it, as part of what, when it happened.
    pub fn context(number: u64) -> Result<Context, annals_bench_driver::BoxError> {
        let actor = skewed(mixed(number ^ 0xA11CE), ACTORS);
        let context = Context::by(Ref::new("user", &format!("actor-{actor}"))?).correlation(format!("r-{number}"));
        let earlier = mixed(number ^ 0x0CC) % (365 * 86_400);
        Ok(match number.is_multiple_of(10) {
            true => context.occurred_at(jiff::Timestamp::now() - jiff::SignedDuration::from_secs(earlier as i64)),
            false => context,
        })
    }
}

impl Handle for Act {
    fn handle(&self, _: Vec<&Loaded<Thing>>, _: &Context) -> Result<Vec<Vec<Happened>>, Infallible> {
        let event = |n: u64| {
            let random = mixed(self.number * TOGETHER + n);
            let note = format!("a note about number {random:020}, of the length that a payload usually has or so");
            let user = Ref::new("user", &skewed(mixed(random), USERS).to_string()).ok();
            user.map(|user| Happened { kind: skewed(random, TYPES), user, note }).into_iter().collect()
        };
        Ok((0..TOGETHER).map(event).collect())
    }
}

/// A number that looks drawn at random, and is always the same.
pub fn mixed(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Below `of`: small ones often, large ones seldom.
pub fn skewed(random: u64, of: u64) -> u64 {
    let uniform = (random >> 11) as f64 / (1_u64 << 53) as f64;
    ((uniform.powi(3) * of as f64) as u64).min(of - 1)
}

/// The application, not yet opened.
pub fn app() -> App {
    App::new("bench").command::<Act>()
}
