//! A record is appended even if its id is already in use, and even if the task that appends it panics.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use uuid::Uuid;

use super::commands::RecordDenials;
use super::recorder::AccessRecorder;
use super::{AccessLogId, Read};
use crate::commands::{Context, Engine};
use crate::events::{LogPosition, Ref, Stored};
use crate::projections::audit::{ExportTarget, RecordedFilters};
use crate::projections::tests::fixture::stores::{empty, on_postgres_too};
use crate::store::{Clock, Interest, LogTime, OpenOptions, Store, StoreError};
use crate::supervise::failing::panic_in;
use crate::text::error_chain;

fn by(id: &str) -> Context {
    Context::by(Ref::unchecked("user", id))
}

/// An empty store, its write path, and a recorder.
struct World {
    store: Arc<dyn Store>,
    engine: Arc<Engine>,
    recorder: AccessRecorder,
}

impl World {
    async fn new() -> Self {
        Self::with(async |_| ()).await
    }

    /// `before`: what is appended before the recorder starts.
    async fn with(before: impl AsyncFnOnce(&Engine)) -> Self {
        let clock: Clock = Arc::new(|| "2026-01-01T00:03:00Z".parse::<Timestamp>().unwrap());
        let options = OpenOptions { app: "access_log".to_owned(), clock: clock.clone(), create: true };
        let store: Arc<dyn Store> = crate::store::open(&empty(), options).await.unwrap();
        let repository = Arc::new(crate::aggregates::Repository::new(store.clone()));
        let services = crate::commands::Services::default();
        let engine = Engine::start(
            store.clone(),
            LogTime::new(clock.clone(), &*store),
            None,
            &[],
            Arc::default(),
            repository,
            services,
        );
        let engine = Arc::new(engine);
        before(&engine).await;
        let (recorder, receiver) = AccessRecorder::new(clock, false);
        recorder.start(receiver, &engine);
        Self { store, engine, recorder }
    }

    async fn read(&self, what: &str, export: Option<&ExportTarget>) -> Result<(), StoreError> {
        let of = [Ref::unchecked("projection", "balance")];
        self.recorder.read(&by("bob"), &Read { what, of: &of, asked: RecordedFilters::new(), export }).await
    }

    /// Closes the recorder, and returns the log.
    async fn close(self) -> Vec<Stored> {
        self.recorder.close().await;
        let events = self.store.read(0, 10_000, &Interest::All).await.unwrap().events;
        self.engine.close().await;
        self.store.close().await;
        events
    }
}

/// Returns the log after bob's read is recorded, in a store in which mallory's command has this id.
async fn read_with(in_the_way: Option<Uuid>) -> Vec<Stored> {
    let world = World::with(async |engine| {
        if let Some(id) = in_the_way {
            let other =
                RecordDenials { log: AccessLogId::new("2026-01-01"), reason: "other".to_owned(), denials: 1 };
            engine.execute(Box::new(other), &by("mallory").internal(id)).await.unwrap();
        }
    })
    .await;
    world.read("balance", None).await.unwrap();
    world.close().await
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

/// The recorded reads, in the order of the log.
fn recorded(events: &[Stored]) -> Vec<String> {
    let read = |stored: &Stored| serde_json::from_str::<serde_json::Value>(&stored.payload).unwrap();
    events.iter().map(|stored| read(stored)["what"].as_str().unwrap_or_default().to_owned()).collect()
}

fn texts(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("read {number}")).collect()
}

const TASK: &str = "recorder of reads and refusals";

/// The task panics at its first poll, its second, and so on: while records wait, are appended, and are durable already.
#[tokio::test]
async fn a_recorder_that_panics_at_any_step_is_started_again_and_records_each_read_once() {
    let world = World::new().await;
    let target = ExportTarget { format: "csv".to_owned(), head: LogPosition::default(), to: None };
    for (step, reads) in texts(30).chunks(3).enumerate() {
        panic_in(TASK, step as u32, 1 + step as u32 % 2);
        world.read(&reads[0], None).await.unwrap();
        world.read(&reads[1], None).await.unwrap();
        let export = world.read(&reads[2], Some(&target));
        tokio::time::timeout(Duration::from_secs(20), export).await.expect("the export waits").unwrap();
    }
    panic_in(TASK, 0, 0);
    let mut recorded = recorded(&world.close().await);
    // Only exports are in order: the reads of a batch are appended together.
    recorded.sort_by_key(|read| read.trim_start_matches("read ").parse::<u32>().unwrap());
    assert_eq!(recorded, texts(30));
}

/// The record is durable, and its answer is lost with the panic: when it is appended again, it is no second denial.
#[tokio::test]
async fn a_denial_whose_recorder_panics_at_any_step_is_recorded_once_and_counted_no_second_time() {
    let world = World::new().await;
    for (step, what) in texts(10).iter().enumerate() {
        panic_in(TASK, step as u32, 1);
        world.recorder.refused(&by(what.trim_start_matches("read ")), what, &[], "not allowed", true);
        let appended = async {
            while world.store.head().await.unwrap().position < step as u64 + 1 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), appended).await.expect("the denial is never recorded");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic_in(TASK, 0, 0);
    let events = world.close().await;
    let types: Vec<&str> = events.iter().map(|stored| stored.event_type.as_str()).collect();
    assert_eq!(types, ["annals_refusal.denied"; 10]);
}

/// Nobody waits for a task that keeps panicking: an export fails, and so does a read for which the queue has no room.
/// Records that are queued are written later.
#[tokio::test]
async fn a_read_that_would_wait_for_a_recorder_that_keeps_panicking_fails_with_the_reason() {
    let world = World::new().await;
    let target = ExportTarget { format: "csv".to_owned(), head: LogPosition::default(), to: None };
    panic_in(TASK, 0, u32::MAX);
    let export = tokio::time::timeout(Duration::from_secs(20), world.read("export", Some(&target)));
    let error = error_chain(&export.await.expect("the export waits").unwrap_err());
    assert!(error.contains("panicked 5 times in a row, the last time with `no space left for the log`"), "{error}");
    let mut queued = vec!["export".to_owned()];
    for text in texts(2_000) {
        let read = tokio::time::timeout(Duration::from_secs(20), world.read(&text, None));
        match read.await.expect("the read waits") {
            Ok(()) => queued.push(text),
            Err(error) => {
                assert!(error_chain(&error).contains("panicked"), "{error}");
                break;
            }
        }
    }
    assert!(queued.len() < 2_000, "the queue has no bound");
    panic_in(TASK, 0, 0);
    let mut recorded = recorded(&world.close().await);
    recorded.sort_unstable();
    queued.sort_unstable();
    assert_eq!(recorded, queued);
}

#[tokio::test]
async fn an_application_is_closed_although_its_recorder_keeps_panicking() {
    let world = World::new().await;
    panic_in(TASK, 0, u32::MAX);
    world.read("read 0", None).await.unwrap();
    let closed = tokio::time::timeout(Duration::from_secs(20), world.close()).await;
    panic_in(TASK, 0, 0);
    assert!(closed.expect("closing waits").is_empty());
}

on_postgres_too! {
    a_command_with_the_id_of_a_record_does_not_suppress_the_record,
    a_recorder_that_panics_at_any_step_is_started_again_and_records_each_read_once,
    a_denial_whose_recorder_panics_at_any_step_is_recorded_once_and_counted_no_second_time,
    a_read_that_would_wait_for_a_recorder_that_keeps_panicking_fails_with_the_reason,
    an_application_is_closed_although_its_recorder_keeps_panicking,
}
