//! A record is appended even if its id is already in use.

use std::sync::Arc;

use jiff::Timestamp;
use uuid::Uuid;

use super::commands::RecordDenials;
use super::recorder::AccessRecorder;
use super::{AccessLogId, Read};
use crate::commands::{Context, Engine};
use crate::events::{Ref, Stored};
use crate::projections::audit::RecordedFilters;
use crate::projections::tests::fixture::stores::{empty, on_postgres_too};
use crate::store::{Clock, Interest, OpenOptions, Store};

fn by(id: &str) -> Context {
    Context::by(Ref::unchecked("user", id))
}

/// Returns the log after bob's read is recorded, in a store in which mallory's command has this id.
async fn read_with(in_the_way: Option<Uuid>) -> Vec<Stored> {
    let clock: Clock = Arc::new(|| "2026-01-01T00:03:00Z".parse::<Timestamp>().unwrap());
    let options = OpenOptions { app: "access_log".to_owned(), clock: clock.clone(), create: true };
    let store: Arc<dyn Store> = crate::store::open(&empty(), options).await.unwrap();
    let repository = Arc::new(crate::aggregates::Repository::new(store.clone()));
    let services = crate::commands::Services::default();
    let engine = Engine::start(store.clone(), clock.clone(), None, Arc::default(), repository, services);
    let engine = Arc::new(engine);
    if let Some(id) = in_the_way {
        let other = RecordDenials { log: AccessLogId::new("2026-01-01"), reason: "other".to_owned(), denials: 1 };
        engine.execute(Box::new(other), &by("mallory").internal(id)).await.unwrap();
    }
    let (recorder, receiver) = AccessRecorder::new(clock);
    recorder.start(receiver, &engine);
    let of = [Ref::unchecked("projection", "balance")];
    let read = Read { what: "balance", of: &of, asked: RecordedFilters::new(), export: None };
    recorder.read(&by("bob"), &read).await.unwrap();
    recorder.close().await;
    let events = store.read(0, 10, &Interest::All).await.unwrap().events;
    engine.close().await;
    store.close().await;
    events
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// A caller cannot use such an id, but an old log may have it.
#[test]
fn a_command_with_the_id_of_a_record_does_not_suppress_the_record() {
    runtime().block_on(async {
        let [read] = &read_with(None).await[..] else { panic!("one record") };
        let id = read.command_id;
        let [other, recorded] = &read_with(Some(id)).await[..] else { panic!("the read is not recorded") };
        assert_eq!((other.command_id, other.event_type.as_str()), (id, "annals_refusal.repeated"));
        assert_eq!(recorded.event_type, "annals_read.viewed");
        assert_eq!(recorded.payload, read.payload);
        assert_ne!(recorded.command_id, id);
        assert_eq!(recorded.metadata().unwrap().actor.as_str(), "user:bob");
    });
}

on_postgres_too! { a_command_with_the_id_of_a_record_does_not_suppress_the_record }
