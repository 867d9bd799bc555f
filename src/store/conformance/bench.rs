//! [`Bench`], commits and assertions for the cases.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::Fixture;
use crate::events::{Ref, Stored};
use crate::store::{
    Batch, Commit, Interest, NewEvent, OpenOptions, Outcome, Receipt, Store, StoreError, StreamAppend,
};

pub(crate) const APP: &str = "conformance";
/// 2025-01-01T00:00:00Z.
pub(crate) const START: i64 = 1_735_689_600_000_000;
/// A timeout longer than any step on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A new log, and a clock that changes only when it is set.
pub(crate) struct Bench {
    fixture: Box<dyn Fixture>,
    clock: Arc<AtomicI64>,
}

impl Bench {
    pub(crate) fn new(fixture: Box<dyn Fixture>) -> Self {
        Self { fixture, clock: Arc::new(AtomicI64::new(START)) }
    }

    /// Sets the clock, in microseconds since 1970.
    pub(crate) fn set_clock(&self, microseconds: i64) {
        self.clock.store(microseconds, Ordering::SeqCst);
    }

    pub(crate) fn fixture(&self) -> &dyn Fixture {
        &*self.fixture
    }

    pub(crate) async fn open(&self) -> Arc<dyn Store> {
        self.try_open(APP, true).await.unwrap_or_else(|error| panic!("the store must open: {error:?}"))
    }

    pub(crate) async fn try_open(&self, app: &str, create: bool) -> Result<Arc<dyn Store>, StoreError> {
        let clock = self.clock.clone();
        let clock = Arc::new(move || time(clock.load(Ordering::SeqCst)));
        self.fixture.open(OpenOptions { app: app.to_owned(), clock, create }).await
    }
}

/// Returns the time of these microseconds since 1970.
pub(crate) fn time(microseconds: i64) -> Timestamp {
    Timestamp::from_microsecond(microseconds).expect("a time in range")
}

/// Returns the command id for a number.
pub(crate) fn id(number: u128) -> Uuid {
    Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0000 + number)
}

pub(crate) fn aggregate(text: &str) -> Ref {
    text.parse().expect("a reference")
}

/// A builder of a commit.
pub(crate) struct Make {
    id: Uuid,
    command: &'static str,
    body: String,
    metadata: String,
    occurred_at: Option<Timestamp>,
    streams: Vec<StreamAppend>,
    keep: bool,
    order_group: Option<u64>,
    valid_until: Option<Timestamp>,
    fresh: bool,
}

/// Begins a commit whose number gives its command id and its body.
pub(crate) fn commit(number: u128) -> Make {
    Make {
        id: id(number),
        command: "count",
        body: number.to_string(),
        metadata: r#"{"actor":"user:alice"}"#.to_owned(),
        occurred_at: None,
        streams: Vec::new(),
        keep: false,
        order_group: None,
        valid_until: None,
        fresh: false,
    }
}

impl Make {
    /// Writes events to an aggregate that is expected at a sequence.
    pub(crate) fn on(self, aggregate: &str, expected: u64, events: usize) -> Self {
        let types = vec!["tally.counted"; events];
        self.events(aggregate, expected, &types)
    }

    /// Writes events of these types.
    pub(crate) fn events(mut self, name: &str, expected: u64, types: &[&'static str]) -> Self {
        let payload = |(index, event_type): (usize, &&'static str)| {
            NewEvent::new(*event_type, "1.0", format!(r#"{{"by":{index}}}"#))
        };
        let events = types.iter().enumerate().map(payload).collect();
        self.streams.push(StreamAppend::new(aggregate(name), expected, events));
        self
    }

    /// Writes one event with this payload.
    pub(crate) fn payload(self, name: &str, expected: u64, version: &'static str, payload: &str) -> Self {
        self.event(name, expected, ("tally.counted", version), payload)
    }

    /// Writes one event of this type and version.
    pub(crate) fn event(
        mut self,
        name: &str,
        expected: u64,
        (event_type, version): (&'static str, &'static str),
        payload: &str,
    ) -> Self {
        let event = NewEvent::new(event_type, version, payload.to_owned());
        self.streams.push(StreamAppend::new(aggregate(name), expected, vec![event]));
        self
    }

    /// Reads an aggregate without writing to it.
    pub(crate) fn read(self, aggregate: &str, expected: u64) -> Self {
        self.on(aggregate, expected, 0)
    }

    pub(crate) fn body(mut self, body: &str) -> Self {
        body.clone_into(&mut self.body);
        self
    }

    pub(crate) fn command(mut self, command: &'static str) -> Self {
        self.command = command;
        self
    }

    pub(crate) fn metadata(mut self, metadata: &str) -> Self {
        metadata.clone_into(&mut self.metadata);
        self
    }

    pub(crate) fn occurred_at(mut self, time: Timestamp) -> Self {
        self.occurred_at = Some(time);
        self
    }

    pub(crate) fn keep(mut self) -> Self {
        self.keep = true;
        self
    }

    pub(crate) fn order_group(mut self, order_group: u64) -> Self {
        self.order_group = Some(order_group);
        self
    }

    /// Sets the time before which it must be recorded, in microseconds since 1970.
    pub(crate) fn valid_until(mut self, microseconds: i64) -> Self {
        self.valid_until = Some(time(microseconds));
        self
    }

    /// Marks its id as newly generated.
    pub(crate) fn fresh(mut self) -> Self {
        self.fresh = true;
        self
    }

    pub(crate) fn done(self) -> Commit {
        let digest = Sha256::digest(format!("{} {}", self.command, self.body)).into();
        let command = self.command.to_owned();
        let Self { id, metadata, occurred_at, streams, keep, order_group, valid_until, fresh, .. } = self;
        let commit = Commit::new(
            id,
            command,
            digest,
            crate::store::EventMetadata::same(metadata.into()),
            occurred_at,
            streams,
            keep,
            order_group,
        );
        let commit = commit.until(valid_until);
        if fresh { commit.fresh() } else { commit }
    }
}

pub(crate) fn batch(commits: impl IntoIterator<Item = Make>) -> Batch {
    Batch::new(commits.into_iter().map(Make::done).collect())
}

/// Appends commits in one batch.
pub(crate) async fn append(store: &dyn Store, commits: impl IntoIterator<Item = Make>) -> Vec<Outcome> {
    let batch = batch(commits);
    let count = batch.commits().len();
    let outcomes = store.append(batch).await.expect("an answered batch");
    assert_eq!(outcomes.len(), count, "every commit of a batch has an outcome");
    outcomes
}

/// Appends a commit that must succeed.
pub(crate) async fn committed(store: &dyn Store, commit: Make) -> Receipt {
    receipt(append(store, [commit]).await[0])
}

/// Returns the receipt of a commit that must have succeeded.
pub(crate) fn receipt(outcome: Outcome) -> Receipt {
    match outcome {
        Outcome::Committed(receipt) => receipt,
        other => panic!("expected a commit, got {other:?}"),
    }
}

/// Returns the receipt of a commit that must be a duplicate.
pub(crate) fn duplicate(outcome: Outcome) -> Receipt {
    match outcome {
        Outcome::Duplicate(receipt) => receipt,
        other => panic!("expected a duplicate, got {other:?}"),
    }
}

/// Reads the whole log.
pub(crate) async fn log(store: &dyn Store) -> Vec<Stored> {
    let mut events: Vec<Stored> = Vec::new();
    loop {
        let after = events.last().map_or(0, |last| last.position);
        let page = store.read(after, 100, &Interest::All).await.expect("a page");
        if page.events.is_empty() {
            return events;
        }
        events.extend(page.events);
    }
}

/// Asserts that positions and sequences have no gap, and that ids and times increase.
pub(crate) fn assert_in_order(events: &[Stored]) {
    let mut sequences = std::collections::HashMap::new();
    for (index, stored) in events.iter().enumerate() {
        assert_eq!(stored.position, index as u64 + 1, "positions have no gap");
        let sequence = sequences.entry(stored.aggregate.clone()).or_insert(0);
        *sequence += 1;
        assert_eq!(stored.sequence, *sequence, "sequences of {} have no gap", stored.aggregate);
    }
    for pair in events.windows(2) {
        assert!(pair[0].event_id < pair[1].event_id, "ids increase: {pair:#?}");
        assert!(pair[0].recorded_at <= pair[1].recorded_at, "times never decrease: {pair:#?}");
    }
}
