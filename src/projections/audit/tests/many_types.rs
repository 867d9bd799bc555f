//! The cost of a page of the audit log of an application with many event types.

use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::*;
use crate::events::{Declaration, Event, Field, LogPosition, Types};
use crate::store::{Dialect, Row, ViewSnapshot};

pub const TYPES: usize = 500;

/// One of 500 events.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Many {
    kind: usize,
    recipient: Ref,
    note: String,
}

fn declared() -> &'static [Declaration] {
    static DECLARED: OnceLock<Vec<Declaration>> = OnceLock::new();
    DECLARED.get_or_init(|| {
        let declare = |n| Declaration {
            event_type: format!("kind_{n}.happened").leak(),
            version: 1,
            action: Action::ALL[n % 4],
            sentence: "{actor} did {kind} to {recipient}",
            topics: vec![&*format!("area_{}/kind_{n}", n % 20).leak()].leak(),
            fields: &[
                Field {
                    name: "kind",
                    shape: "usize",
                    target: false,
                    source: false,
                    change: false,
                    personal: false,
                },
                Field {
                    name: "recipient",
                    shape: "Ref",
                    target: true,
                    source: false,
                    change: false,
                    personal: false,
                },
            ],
            was: &[],
            upcasts: &[],
        };
        (0..TYPES).map(declare).collect()
    })
}

impl cqrs_es::DomainEvent for Many {
    fn event_type(&self) -> String {
        self.declaration().event_type.to_owned()
    }

    fn event_version(&self) -> String {
        self.declaration().version_text()
    }
}

impl Event for Many {
    fn declarations() -> Vec<&'static Declaration> {
        declared().iter().collect()
    }

    fn lookup(event_type: &str) -> Option<&'static Declaration> {
        let kind = event_type.strip_prefix("kind_")?.strip_suffix(".happened")?;
        declared().get(kind.parse::<usize>().ok()?)
    }

    fn declaration(&self) -> &'static Declaration {
        &declared()[self.kind]
    }

    fn encode(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }

    fn decode(_: &str, payload: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(payload)
    }

    fn facts(&self) -> Result<Vec<(&'static str, Value)>, serde_json::Error> {
        Ok(vec![("kind", self.kind.into()), ("recipient", self.recipient.as_str().into())])
    }

    fn targets(&self) -> Vec<Ref> {
        vec![self.recipient.clone()]
    }
}

pub fn many_types() -> Arc<Types> {
    let mut types = Types::default();
    types.add::<Many>("thing").unwrap();
    Arc::new(types)
}

/// The event with this number: a few actors cause most, 100,000 aggregates, half of the types are rare.
pub fn act_of_many(n: u64) -> Act {
    let random = n.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 16;
    let actor = if random.is_multiple_of(2) { random / 2 % 10 } else { random / 2 % 2_000 };
    let kind = if random.is_multiple_of(16) { random / 16 % 500 } else { random / 16 % 250 };
    let event = Many {
        kind: kind as usize,
        recipient: format!("user:{}", random / 64 % 20_000).parse().unwrap(),
        note: format!("a note of some length about number {random}, to have an event of a usual size"),
    };
    stored_as(&format!("actor-{actor}"), &format!("thing:{}", random / 128 % 100_000), &event)
}

/// A snapshot that counts its statements.
struct Counting(Box<dyn ViewSnapshot>, usize);

#[async_trait]
impl ViewSnapshot for Counting {
    fn dialect(&self) -> Dialect {
        self.0.dialect()
    }

    fn head(&self) -> LogPosition {
        self.0.head()
    }

    fn table(&self, table: &str) -> String {
        self.0.table(table)
    }

    async fn has_table(&mut self, table: &str) -> Result<bool, StoreError> {
        self.0.has_table(table).await
    }

    async fn query(&mut self, sql: &str, parameters: Row) -> Result<Vec<Row>, StoreError> {
        self.1 += 1;
        self.0.query(sql, parameters).await
    }
}

/// Mission J12, for 500 event types.
#[tokio::test]
async fn a_page_is_a_constant_number_of_statements() {
    let world = World::open_with(&stores::empty(), many_types()).await;
    type Ask = fn(AuditQuery) -> AuditQuery;
    let all_types: Ask = |query| (0..64).fold(query, |query, n| query.event(format_args!("kind_{n}.happened")));
    let cases: [(Ask, usize); 6] = [
        (|query| query, 1),
        (|query| query.actor("user:actor-1"), 2),
        (all_types, 2),
        (|query| query.topic("area_1").actor("user:actor-1").action(Action::Update), 6),
        (|query| query.topic("area_1").text("about NUMBER 1").newest_first(), 5),
        (|query| query.actor("user:actor-1").by_occurrence(), 6),
    ];
    for _ in 0..2 {
        world.append((0..1_500).map(act_of_many).collect()).await;
        for (n, (ask, most)) in cases.iter().enumerate() {
            let snapshot = world.settled("audit").await.snapshot().await.unwrap();
            let mut counting = Counting(snapshot, 0);
            let page = ask(world.audit()).limit(50).page_in(&mut counting).await.unwrap();
            assert!(!page.rows.is_empty() || page.next.is_some(), "case {n}");
            assert!((1..=*most).contains(&counting.1), "case {n}: {} statements", counting.1);
        }
    }
    world.close().await;
}

crate::projections::tests::fixture::stores::on_postgres_too! {
    a_page_is_a_constant_number_of_statements,
}
