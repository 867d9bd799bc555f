//! [`Batch`]: events to be written to the tables of flows; [`FlowFold`]: the fold that fills empty tables in large batches.
//!
//! The rows depend on the log alone, not on where batches begin and end.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use uuid::Uuid;

use super::stating::{Count, Decision, GrantChange, Layer, Statement, statement};
use super::tables::{FLOWS, GRANT_MINUTES, GRANTS, LAST, MINUTES, NAMES, REVOKED, TOTALS};
use super::{Flows, Outcome};
use crate::events::{Metadata, Ref, Stored, Types};
use crate::projections::dictionary::{BatchNames, Key, NumberCache, Numbering};
use crate::projections::{Fold, KeyFilter, ProjectionError};
use crate::store::{Cell, OnConflict, Row, StoreError, Table, Transaction};

/// The approximate memory of a flow, and of a count of a minute, until they are written.
const FLOW_BYTES: usize = 500;
const COUNT_BYTES: usize = 120;

const MICROS_OF_MINUTE: i64 = 60_000_000;

/// A flow, by the places of its names in the batch.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct FlowKey {
    layer: Layer,
    outcome: Outcome,
    source: Option<usize>,
    actor: usize,
    principal: Option<usize>,
    sink: Option<usize>,
    via: Option<usize>,
}

/// How many, the times of the first and the last one in microseconds, and the position of the last record.
#[derive(Clone, Copy)]
struct Sum {
    count: u64,
    first: i64,
    last: i64,
    position: u64,
}

impl Sum {
    fn of(count: &Count, position: u64) -> Self {
        let (first, last) = (count.first.as_microsecond(), count.last.as_microsecond());
        Self { count: count.count, first, last, position }
    }

    fn add(&mut self, other: Self) {
        self.count = self.count.saturating_add(other.count);
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
        self.position = self.position.max(other.position);
    }

    fn row(self, key: Row) -> Row {
        let counts = [self.count.into(), self.first.into(), self.last.into(), self.position.into()];
        key.into_iter().chain(counts).collect()
    }

    fn of_row(row: &[Cell]) -> Option<Self> {
        let [count, first, last, position] = row else { return None };
        let number = |cell: &Cell| u64::try_from(cell.integer()?).ok();
        Some(Self {
            count: number(count)?,
            first: first.integer()?,
            last: last.integer()?,
            position: number(position)?,
        })
    }
}

fn minute_of(time: Timestamp) -> i64 {
    time.as_microsecond().div_euclid(MICROS_OF_MINUTE)
}

/// A grant as its row has it, without its id.
struct Granted {
    position: u64,
    at: Timestamp,
    grantee: String,
    rights: String,
    until: Option<Timestamp>,
    under: Option<Uuid>,
}

/// Events to be written to the tables.
#[derive(Default)]
pub(super) struct Batch {
    names: BatchNames,
    flows: Vec<FlowKey>,
    flow_places: HashMap<FlowKey, usize>,
    totals: BTreeMap<usize, Sum>,
    minutes: HashMap<(i64, usize), Sum>,
    grants: BTreeMap<Uuid, Granted>,
    revoked: BTreeMap<Uuid, (u64, Timestamp)>,
    grant_minutes: BTreeMap<(Uuid, i64), Sum>,
    /// The command of the last event, and what it was decided on.
    last: Option<(Uuid, Decision)>,
}

impl Batch {
    /// A batch after what the tables hold.
    pub(super) async fn after(transaction: &mut dyn Transaction) -> Result<Self, StoreError> {
        let key: Vec<Row> = vec![vec![1_i64.into()]];
        let found = transaction.select_by_keys(&LAST, &["id"], &["command", "decided_on"], key).await?;
        let last = found.into_iter().next().flatten().and_then(|row| match row.as_slice() {
            [Cell::Bytes(command), Cell::Text(decision)] => {
                Some((Uuid::from_slice(command).ok()?, serde_json::from_str(decision).ok()?))
            }
            _ => None,
        });
        Ok(Self { last, ..Self::default() })
    }

    /// Adds an event.
    pub(super) fn add(&mut self, types: &Types, flows: &Flows, stored: &Stored) -> Result<(), ProjectionError> {
        let decode = |source| ProjectionError::Decode { position: stored.position, source };
        let known = types.of(stored).map_err(decode)?;
        let metadata = stored.metadata().map_err(decode)?;
        let is_first = self.last.as_ref().is_none_or(|(command, _)| *command != stored.command_id);
        if is_first {
            self.last = Some((stored.command_id, Decision::of(&metadata)));
        }
        let decision = self.last.as_ref().map(|(_, decision)| decision.clone()).unwrap_or_default();
        let said = statement(known, stored, &decision, flows.kinds()).map_err(decode)?;
        // A grant allowed the command once, not each of its events.
        let grants = if is_first { &decision.grants[..] } else { &[] };
        for count in &said.counts {
            let sum = Sum::of(count, stored.position);
            for grant in grants {
                add(
                    self.grant_minutes.entry((*grant, minute_of(count.first))).or_insert(Sum { count: 0, ..sum }),
                    sum,
                );
            }
        }
        self.count(&said, &decision.grants, &metadata, stored.position);
        match said.grant {
            Some(GrantChange::Granted { grant, grantee, rights, until, under }) => {
                let (position, at) = (stored.position, stored.recorded_at);
                self.grants.insert(grant, Granted { position, at, grantee, rights, until, under });
            }
            Some(GrantChange::Revoked { grant }) => {
                self.revoked.insert(grant, (stored.position, stored.recorded_at));
            }
            None => {}
        }
        Ok(())
    }

    fn count(&mut self, said: &Statement, grants: &[Uuid], metadata: &Metadata, position: u64) {
        let actor = self.names.place(metadata.actor.as_str());
        let principal = metadata.on_behalf_of.as_ref().map(|principal| self.names.place(principal.as_str()));
        let via: Vec<String> = grants.iter().map(Uuid::to_string).collect();
        let via = (!via.is_empty()).then(|| self.names.place(&via.join(" ")));
        for (layer, source, sink) in &said.pairs {
            let source = source.as_deref().map(|source| self.names.place(source));
            let sink = sink.as_deref().map(|sink| self.names.place(sink));
            let key = FlowKey { layer: *layer, outcome: said.outcome, source, actor, principal, sink, via };
            let flow = *self.flow_places.entry(key).or_insert_with(|| {
                self.flows.push(key);
                self.flows.len() - 1
            });
            for count in &said.counts {
                let sum = Sum::of(count, position);
                let none = Sum { count: 0, ..sum };
                add(self.totals.entry(flow).or_insert(none), sum);
                add(self.minutes.entry((minute_of(count.first), flow)).or_insert(none), sum);
            }
        }
    }

    /// Writes all events.
    pub(super) async fn write(
        self,
        name_cache: &mut NumberCache,
        flow_cache: &mut NumberCache,
        transaction: &mut dyn Transaction,
    ) -> Result<(), StoreError> {
        let Some((command, decision)) = self.last else { return Ok(()) };
        let row = |name: &str, key: &Key, id: i64, _: &NumberCache| {
            let kind = name.parse::<Ref>().map_or(String::new(), |name| name.kind().to_owned());
            vec![id.into(), Cell::Bytes(key.to_vec()), name.into(), kind.into()]
        };
        let numbering = Numbering { table: &NAMES, kind: None, row: &row };
        let numbers = self.names.numbers(numbering, name_cache, transaction).await?;
        let number = |place: Option<usize>| place.and_then(|place| numbers.get(place)).copied().unwrap_or(0);
        let mut flows = BatchNames::default();
        for key in &self.flows {
            let FlowKey { layer, outcome, source, actor, principal, sink, via } = *key;
            let parts = [
                layer as i64,
                outcome.number(),
                number(source),
                number(Some(actor)),
                number(principal),
                number(sink),
                number(via),
            ];
            flows.place(&parts.map(|part| part.to_string()).join(" "));
        }
        let row = |parts: &str, key: &Key, id: i64, _: &NumberCache| {
            let parts = parts.split(' ').map(|part| Cell::Integer(part.parse().unwrap_or(0)));
            [id.into(), Cell::Bytes(key.to_vec())].into_iter().chain(parts).collect()
        };
        let ids =
            flows.numbers(Numbering { table: &FLOWS, kind: None, row: &row }, flow_cache, transaction).await?;
        let id = |flow: usize| ids.get(flow).copied().unwrap_or(0);
        let totals = self.totals.into_iter().map(|(flow, sum)| (vec![id(flow).into()], sum));
        add_to(&TOTALS, totals.collect(), transaction).await?;
        let mut minutes: Vec<((i64, i64), Sum)> =
            self.minutes.into_iter().map(|((minute, flow), sum)| ((minute, id(flow)), sum)).collect();
        minutes.sort_unstable_by_key(|(key, _)| *key);
        let minutes = minutes.into_iter().map(|((minute, flow), sum)| (vec![minute.into(), flow.into()], sum));
        add_to(&MINUTES, minutes.collect(), transaction).await?;
        let of_grants = self.grant_minutes.into_iter();
        let of_grants = of_grants.map(|((grant, minute), sum)| (vec![bytes(&grant), minute.into()], sum));
        add_to(&GRANT_MINUTES, of_grants.collect(), transaction).await?;
        let granted = self.grants.into_iter().map(|(grant, granted)| {
            let Granted { position, at, grantee, rights, until, under } = granted;
            let until = until.map_or(Cell::Null, |until| until.as_microsecond().into());
            let under = under.map_or(Cell::Null, |under| bytes(&under));
            let at = at.as_microsecond().into();
            vec![bytes(&grant), position.into(), at, grantee.into(), rights.into(), until, under]
        });
        transaction.insert_rows(&GRANTS, granted.collect(), OnConflict::Replace).await?;
        let revoked = self
            .revoked
            .into_iter()
            .map(|(grant, (position, at))| vec![bytes(&grant), position.into(), at.as_microsecond().into()]);
        transaction.insert_rows(&REVOKED, revoked.collect(), OnConflict::Replace).await?;
        let decision = serde_json::to_string(&decision).unwrap_or_default();
        let row = vec![1_i64.into(), bytes(&command), decision.into()];
        transaction.insert_rows(&LAST, vec![row], OnConflict::Replace).await
    }

    fn bytes(&self) -> usize {
        self.flows.len() * FLOW_BYTES + (self.minutes.len() + self.grant_minutes.len()) * COUNT_BYTES
    }
}

fn add(to: &mut Sum, sum: Sum) {
    to.add(sum);
}

fn bytes(id: &Uuid) -> Cell {
    Cell::Bytes(id.as_bytes().to_vec())
}

/// Adds to the counts of a table.
async fn add_to(table: &Table, sums: Vec<(Row, Sum)>, transaction: &mut dyn Transaction) -> Result<(), StoreError> {
    if sums.is_empty() {
        return Ok(());
    }
    let keys = sums.iter().map(|(key, _)| key.clone()).collect();
    let counts = ["count", "first", "last", "position"];
    let earlier = transaction.select_by_keys(table, table.key, &counts, keys).await?;
    let rows = sums.into_iter().zip(earlier).map(|((key, mut sum), earlier)| {
        if let Some(earlier) = earlier.as_deref().and_then(Sum::of_row) {
            sum.add(earlier);
        }
        sum.row(key)
    });
    transaction.insert_rows(table, rows.collect(), OnConflict::Replace).await
}

/// Fills empty tables.
pub(super) struct FlowFold {
    types: Arc<Types>,
    flows: Arc<Flows>,
    names: NumberCache,
    numbers: NumberCache,
    batch: Batch,
    position: u64,
}

impl FlowFold {
    pub(super) fn new(types: Arc<Types>, flows: Arc<Flows>) -> Self {
        let (names, numbers) = (NumberCache::of_empty_table(), NumberCache::of_empty_table());
        Self { types, flows, names, numbers, batch: Batch::default(), position: 0 }
    }
}

#[async_trait]
impl Fold for FlowFold {
    fn gather(&mut self, events: &[Stored], _: KeyFilter<'_>) -> Result<(), ProjectionError> {
        for stored in events {
            self.position = stored.position;
            self.batch.add(&self.types, &self.flows, stored)?;
        }
        Ok(())
    }

    fn position(&self) -> u64 {
        self.position
    }

    fn bytes(&self) -> usize {
        self.batch.bytes()
    }

    async fn write(&mut self, transaction: &mut dyn Transaction) -> Result<(), ProjectionError> {
        let next = Batch { last: self.batch.last.clone(), ..Batch::default() };
        let batch = std::mem::replace(&mut self.batch, next);
        Ok(batch.write(&mut self.names, &mut self.numbers, transaction).await?)
    }
}
