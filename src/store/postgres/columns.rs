//! A batch as parameters of the append function: columns of commits, streams and events.

use std::collections::HashMap;

use sqlx::Postgres;
use sqlx::postgres::PgArguments;
use sqlx::query::Query;
use uuid::Uuid;

use super::rows::{Micros, signed};
use crate::events::{LogPosition, Ref};
use crate::store::event_ids::next_id;
use crate::store::sequence_cache::SequenceCache;
use crate::store::{Batch, Commit, Known};

/// The parameters of the append function, without the time and the writer's last event: see `append.sql`.
#[derive(Default)]
pub(super) struct Columns<'b> {
    /// Whether a command is stored.
    pub(super) writes: bool,
    /// The time before which the batch must be recorded.
    pub(super) valid_until: Option<Micros>,
    known: Known,
    plain: bool,
    new_ids: bool,
    all_sure: bool,
    chains: i32,
    aggregates: Aggregates<'b>,
    commits: Commits<'b>,
    streams: Streams,
    events: Events<'b>,
    ids: Vec<Uuid>,
}

#[derive(Default)]
struct Aggregates<'b> {
    kinds: Vec<&'b str>,
    ids: Vec<&'b str>,
    last: Vec<i64>,
    sure: Vec<bool>,
}

#[derive(Default)]
struct Commits<'b> {
    ids: Vec<Uuid>,
    commands: Vec<&'b str>,
    body_digests: Vec<&'b [u8]>,
    kept: Vec<bool>,
    written: Vec<i64>,
    till: Vec<i64>,
    streams: Vec<i32>,
    chains: Vec<i32>,
    twins: Vec<i32>,
}

#[derive(Default)]
struct Streams {
    of: Vec<i32>,
    expected: Vec<i64>,
    written: Vec<i64>,
}

#[derive(Default)]
struct Events<'b> {
    numbers: Vec<i64>,
    commits: Vec<i32>,
    kinds: Vec<&'b str>,
    ids: Vec<&'b str>,
    sequences: Vec<i64>,
    types: Vec<&'b str>,
    versions: Vec<&'b str>,
    payloads: Vec<&'b str>,
    metadata: Vec<&'b str>,
    occurred: Vec<Option<Micros>>,
    digests: Vec<&'b [u8]>,
}

/// The numbers of aggregates, order groups and commands in the batch, from 1.
#[derive(Default)]
struct Numbers<'b> {
    /// With the sequence after the last commit that names the aggregate.
    aggregates: HashMap<&'b Ref, (i32, u64)>,
    chains: HashMap<u64, i32>,
    commands: HashMap<Uuid, i32>,
}

impl<'b> Columns<'b> {
    /// Converts a batch, with the sequences that the writer has cached. The events' ids are of this time, or follow the last
    /// known one.
    pub(super) fn from_batch(batch: &'b Batch, sequences: &SequenceCache, now: jiff::Timestamp) -> Self {
        let new_ids = !batch.commits().iter().any(|commit| batch.may_be_stored(commit));
        let valid_until = batch.valid_until().map(Micros::of);
        let known = batch.known();
        let mut columns = Self { valid_until, known, plain: true, new_ids, all_sure: true, ..Self::default() };
        let mut numbers = Numbers::default();
        for (commit, number) in batch.commits().iter().zip(1..) {
            columns.commit(commit, number, &mut numbers, sequences);
        }
        columns.chains = numbers.chains.len().try_into().unwrap_or(i32::MAX);
        let next = |id: &Uuid| Some(next_id(*id, now));
        columns.ids = std::iter::successors(Some(next_id(sequences.head().event_id, now)), next)
            .take(columns.events.types.len())
            .collect();
        columns
    }

    /// Returns the ids of the batch's events, unless the log has later ones.
    pub(super) fn ids(&self) -> &[Uuid] {
        &self.ids
    }

    fn commit(&mut self, commit: &'b Commit, number: i32, numbers: &mut Numbers<'b>, sequences: &SequenceCache) {
        self.writes |= commit.keeps_command();
        let commits = &mut self.commits;
        commits.ids.push(commit.command_id());
        commits.commands.push(commit.command());
        commits.body_digests.push(commit.body_digest());
        commits.kept.push(commit.keeps_command());
        commits.written.push(long(commit.event_count()));
        commits.till.push(long(self.events.types.len() + commit.event_count()));
        commits.streams.push(short(commit.streams().len()));
        let next = short(numbers.chains.len()) + 1;
        commits.chains.push(commit.order_group().map_or(0, |chain| *numbers.chains.entry(chain).or_insert(next)));
        let twin = numbers.commands.insert(commit.command_id(), number).unwrap_or(0);
        self.plain &= twin == 0;
        commits.twins.push(twin);
        let mut index = 0;
        for stream in commit.streams() {
            let next = short(numbers.aggregates.len()) + 1;
            let written = stream.events().len();
            let entry = numbers.aggregates.entry(stream.aggregate());
            let (of, last) = entry.or_insert_with(|| {
                self.aggregates.kinds.push(stream.aggregate().kind());
                self.aggregates.ids.push(stream.aggregate().id());
                self.aggregates.last.push(signed(stream.expected()));
                let sure = sequences.matches(stream.aggregate(), stream.expected());
                self.aggregates.sure.push(sure);
                self.all_sure &= sure;
                (next, stream.expected())
            });
            self.plain &= *last == stream.expected();
            *last = stream.expected() + written as u64;
            self.streams.of.push(*of);
            self.streams.expected.push(signed(stream.expected()));
            self.streams.written.push(long(written));
            self.events.push(commit, number, stream, index);
            index += written;
        }
    }

    /// Binds all parameters, in the order of the function's declaration.
    pub(super) fn bind<'q>(
        &'q self,
        query: Query<'q, Postgres, PgArguments>,
        seen: LogPosition,
        now: jiff::Timestamp,
    ) -> Query<'q, Postgres, PgArguments> {
        let query = query.bind(self.writes).bind(signed(seen.position)).bind(seen.event_id);
        let query = query.bind(Micros::of(now)).bind(self.plain).bind(self.new_ids);
        let query = query.bind(self.all_sure).bind(self.chains);
        let Aggregates { kinds, ids, last, sure } = &self.aggregates;
        let query = query.bind(kinds).bind(ids).bind(last).bind(sure);
        let Commits { ids, commands, body_digests, kept, written, till, streams, chains, twins } = &self.commits;
        let query = query.bind(ids).bind(commands).bind(body_digests).bind(kept);
        let query = query.bind(written).bind(till).bind(streams).bind(chains).bind(twins);
        let Streams { of, expected, written } = &self.streams;
        let query = query.bind(of).bind(expected).bind(written);
        let Events { numbers, commits, kinds, ids, sequences, types, versions, .. } = &self.events;
        let query =
            query.bind(numbers).bind(commits).bind(kinds).bind(ids).bind(sequences).bind(types).bind(versions);
        let Events { payloads, metadata, occurred, digests, .. } = &self.events;
        query.bind(payloads).bind(metadata).bind(occurred).bind(digests).bind(&self.ids).bind(self.known)
    }
}

/// How many parameters [`Columns::bind`] binds.
pub(super) const PARAMETERS: usize = 37;

impl<'b> Events<'b> {
    /// Adds the events of a stream of a commit that has added `index` events before.
    fn push(&mut self, commit: &'b Commit, number: i32, stream: &'b crate::store::StreamAppend, index: usize) {
        let mut sequence = signed(stream.expected());
        for (index, (event, digest)) in (index..).zip(stream.events().iter().zip(stream.digests())) {
            sequence += 1;
            self.numbers.push(long(self.numbers.len() + 1));
            self.commits.push(number);
            self.kinds.push(stream.aggregate().kind());
            self.ids.push(stream.aggregate().id());
            self.sequences.push(sequence);
            self.types.push(event.event_type());
            self.versions.push(event.event_version());
            self.payloads.push(event.payload());
            self.metadata.push(commit.metadata(index));
            self.occurred.push(commit.occurred_at().map(Micros::of));
            self.digests.push(digest);
        }
    }
}

fn short(number: usize) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

fn long(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
