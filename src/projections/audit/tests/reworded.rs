//! Another sentence for an event, in the next version of a program.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::*;
use crate::events::{Declaration, Event, Field, Types};
use crate::projections::metrics::Metrics;
use crate::projections::{Projection, Projections};

/// One event as two versions of a program declare it, with different sentences.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Lit<const NEWER: bool> {
    by: String,
}

const fn declared(sentence: &'static str) -> Declaration {
    Declaration {
        event_type: "lamp.lit",
        version: 1,
        action: Action::Update,
        sentence,
        topics: &["house"],
        fields: &[Field {
            name: "by",
            shape: "String",
            target: false,
            source: false,
            change: false,
            personal: false,
        }],
        was: &[],
        upcasts: &[],
    }
}

static OLDER: Declaration = declared("{actor} lit the lamp by {by}");
static NEWER: Declaration = declared("the lamp was lit by {actor}, who had {by}");

impl<const NEWER: bool> cqrs_es::DomainEvent for Lit<NEWER> {
    fn event_type(&self) -> String {
        OLDER.event_type.to_owned()
    }

    fn event_version(&self) -> String {
        OLDER.version_text()
    }
}

impl<const IS_NEWER: bool> Event for Lit<IS_NEWER> {
    fn declarations() -> Vec<&'static Declaration> {
        vec![if IS_NEWER { &NEWER } else { &OLDER }]
    }

    fn lookup(event_type: &str) -> Option<&'static Declaration> {
        Self::declarations().into_iter().find(|declared| declared.event_type == event_type)
    }

    fn declaration(&self) -> &'static Declaration {
        if IS_NEWER { &NEWER } else { &OLDER }
    }

    fn encode(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }

    fn decode(_: &str, payload: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(payload)
    }

    fn facts(&self) -> Result<Vec<(&'static str, Value)>, serde_json::Error> {
        Ok(vec![("by", self.by.as_str().into())])
    }

    fn targets(&self) -> Vec<Ref> {
        Vec::new()
    }
}

fn types<const IS_NEWER: bool>() -> Arc<Types> {
    let mut types = Types::default();
    types.add::<Lit<IS_NEWER>>("lamp").unwrap();
    Arc::new(types)
}

fn built_in(types: &Arc<Types>) -> Vec<Arc<dyn Projection>> {
    vec![Arc::new(AuditLog::new(types.clone())), Arc::new(Metrics::new(types.clone()))]
}

/// Mission J11: sentences are made on read. A program with another sentence finds its projections up to date: it applies no
/// event again, and creates no generation.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_sentence_for_an_event_replays_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let url = stores::of(directory.path());
    let world = World::open_with(&url, types::<false>()).await;
    let lit = Lit::<false> { by: "a match".to_owned() };
    world.append((0..300).map(|_| stored_as("alice", "lamp:1", &lit)).collect()).await;
    for name in ["audit", "metrics"] {
        world.settled(name).await;
    }
    let store = world.store.clone();
    let generations = async || store.views().generations().await.unwrap();
    world.projections.close().await;
    let before: Vec<_> = generations().await.into_iter().map(|it| (it.id, it.head, it.live)).collect();

    // Without following: no task applies events.
    let types = types::<true>();
    let reworded = Projections::start(store.clone(), types.clone(), built_in(&types), false).await.unwrap();
    for status in reworded.statuses().await.unwrap() {
        assert_eq!((status.position, status.lag), (300, 0), "{status:?}");
    }
    let page = AuditQuery::new(reworded.reading("audit").unwrap()).limit(1).page().await.unwrap();
    assert_eq!(page.rows[0].sentence, "the lamp was lit by user:alice, who had a match");
    let after: Vec<_> = generations().await.into_iter().map(|it| (it.id, it.head, it.live)).collect();
    assert_eq!(after, before);
    reworded.close().await;
    store.close().await;
}

crate::projections::tests::fixture::stores::on_postgres_too! {
    another_sentence_for_an_event_replays_nothing,
}
