//! [`Folding`]: folds a batch of events into the steps that are to be done.

use std::collections::{HashMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};

use uuid::Uuid;

use super::AnyReaction;
use super::reaction::{Due, MAX_TIMER_BYTES, Since, Step, Then};
use super::record::STARTED;
use super::steps::{PARKED, Pending, STARTS, STATES, STEPS, step_id, uuid_cell};
use crate::aggregates::AnyState;
use crate::commands::internal_id;
use crate::events::{DecodeError, Metadata, Ref, Stored};
use crate::projections::ProjectionError;
use crate::store::{OnConflict, Row, StoreError, Transaction};
use crate::text::{error_chain, panic_message};

/// A batch of events, folded in memory.
pub(super) struct Folding<'r> {
    reaction: &'r dyn AnyReaction,
    record: Ref,
    /// The versions that were started, each with the position of its start.
    starts: Vec<(u32, u64)>,
    new_starts: Vec<Row>,
    /// The states of the aggregates in the batch.
    states: HashMap<Ref, AnyState>,
    changed: HashSet<Ref>,
    parked: HashSet<Ref>,
    new_parked: Vec<Row>,
    /// The steps that the batch adds, in order.
    added: Vec<Pending>,
    /// The command ids in the batch that may be those of steps.
    done: Vec<Uuid>,
    /// The timers that are cancelled or set again.
    cancelled: Vec<(Ref, String)>,
}

impl<'r> Folding<'r> {
    /// Loads what these events need.
    pub(super) async fn load(
        reaction: &'r dyn AnyReaction,
        events: &[Stored],
        transaction: &mut dyn Transaction,
    ) -> Result<Self, ProjectionError> {
        let (kind, record) = (reaction.on(), reaction.actor());
        let mut wanted: Vec<&Ref> =
            events.iter().map(|stored| &stored.aggregate).filter(|on| on.kind() == kind.name()).collect();
        wanted.sort_unstable();
        wanted.dedup();
        let keys: Vec<Row> = wanted.iter().map(|aggregate| vec![aggregate.as_str().into()]).collect();
        let by = ["aggregate"];
        let rows = transaction.select_by_keys(&STATES, &by, &["sequence", "state"], keys.clone()).await?;
        let mut states = HashMap::new();
        for (aggregate, row) in wanted.iter().zip(rows) {
            let Some(row) = row else { continue };
            states.insert((*aggregate).clone(), restored(reaction, aggregate, &row)?);
        }
        let rows = transaction.select_by_keys(&PARKED, &by, &["position"], keys).await?;
        let parked =
            wanted.iter().zip(rows).filter(|(_, row)| row.is_some()).map(|(on, _)| (*on).clone()).collect();
        let sql = format!("SELECT version, position FROM {}", transaction.table(STARTS.name));
        let starts = transaction.query(&sql, Row::new()).await?;
        let start = |row: &Row| {
            let [version, position] = row.as_slice() else { return None };
            Some((version.integer()?.try_into().ok()?, position.integer()?.try_into().ok()?))
        };
        Ok(Self {
            reaction,
            record,
            starts: starts.iter().filter_map(start).collect(),
            new_starts: Vec::new(),
            states,
            changed: HashSet::new(),
            parked,
            new_parked: Vec::new(),
            added: Vec::new(),
            done: Vec::new(),
            cancelled: Vec::new(),
        })
    }

    /// Adds an event.
    pub(super) fn add(&mut self, stored: &Stored) -> Result<(), ProjectionError> {
        if internal_id::is_reserved(stored.command_id) {
            self.added.retain(|step| step.id != stored.command_id);
            self.done.push(stored.command_id);
        }
        if stored.aggregate == self.record && stored.event_type == STARTED {
            self.started(stored);
        }
        if stored.aggregate.kind() == self.reaction.on().name() && !self.parked.contains(&stored.aggregate) {
            match self.react(stored) {
                Ok(()) => {}
                Err(Unreacted::Unknown(source)) => {
                    return Err(ProjectionError::Decode { position: stored.position, source });
                }
                Err(Unreacted::Parked(reason)) => self.park(stored, reason),
            }
        }
        Ok(())
    }

    fn started(&mut self, stored: &Stored) {
        let payload: Option<serde_json::Value> = serde_json::from_str(&stored.payload).ok();
        let version = payload.and_then(|payload| payload.get("version")?.as_u64()?.try_into().ok());
        if let Some(version) = version {
            self.starts.push((version, stored.position));
            self.new_starts.push(vec![i64::from(version).into(), stored.position.into()]);
        }
    }

    /// Whether it reacts to events now.
    fn is_started(&self) -> bool {
        match self.reaction.since() {
            Since::Beginning => true,
            Since::FirstStart => !self.starts.is_empty(),
            Since::ThisVersion => self.starts.iter().any(|(version, _)| *version == self.reaction.version()),
        }
    }

    fn react(&mut self, stored: &Stored) -> Result<(), Unreacted> {
        let (on, aggregate) = (self.reaction.on(), &stored.aggregate);
        let mut state = match self.states.get(aggregate) {
            Some(state) => state.clone(),
            None => on.0.fresh(aggregate).map_err(|error| Unreacted::Parked(error_chain(&error)))?,
        };
        let reaction = self.reaction;
        let is_started = self.is_started();
        let reacted = catch_unwind(AssertUnwindSafe(|| {
            on.0.fold(&mut state, std::slice::from_ref(stored))?;
            if is_started { reaction.react(stored, &state) } else { Ok(Then::nothing()) }
        }));
        let then = match reacted {
            Ok(Ok(then)) => then,
            Ok(Err(error @ DecodeError::UnknownType(_))) => return Err(Unreacted::Unknown(error)),
            Ok(Err(error)) => return Err(Unreacted::Parked(error_chain(&error))),
            Err(panic) => return Err(Unreacted::Parked(format!("it panicked: {}", panic_message(&*panic)))),
        };
        self.states.insert(aggregate.clone(), state);
        self.changed.insert(aggregate.clone());
        if then.steps.is_empty() {
            return Ok(());
        }
        let metadata = stored.metadata().map_err(|error| Unreacted::Parked(error_chain(&error)))?;
        self.take(stored, &metadata, then)
    }

    /// Takes the steps that follow an event.
    fn take(&mut self, stored: &Stored, metadata: &Metadata, then: Then) -> Result<(), Unreacted> {
        let recorded = stored.recorded_at.as_microsecond();
        // In whole milliseconds, as an event id has the time of the last event.
        let at_once = recorded.div_euclid(1_000).saturating_mul(1_000);
        for (number, step) in (0..).zip(then.steps) {
            let (timer, due, body) = match step {
                Step::Execute(body) => (String::new(), at_once, body),
                Step::Arm { timer, due, body } => {
                    self.cancel(&stored.aggregate, &timer)?;
                    let due = match due {
                        Due::After(delay) => {
                            recorded.saturating_add(i64::try_from(delay.as_micros()).unwrap_or(i64::MAX))
                        }
                        Due::At(time) => time.as_microsecond(),
                    };
                    (timer, due, body)
                }
                Step::Cancel { timer } => {
                    self.cancel(&stored.aggregate, &timer)?;
                    continue;
                }
            };
            let wrong = |error| Unreacted::Parked(format!("`{}` cannot be written as JSON: {error}", body.command));
            self.added.push(Pending {
                id: step_id(self.reaction.name(), stored.event_id, number),
                due,
                position: stored.position,
                number,
                aggregate: stored.aggregate.clone(),
                timer,
                command: body.command.to_owned(),
                body: body.json.map_err(wrong)?,
                event: stored.event_id,
                principal: metadata.on_behalf_of.as_ref().unwrap_or(&metadata.actor).clone(),
                correlation: metadata.correlation.clone(),
                depth: metadata.depth.saturating_add(1),
            });
        }
        Ok(())
    }

    fn cancel(&mut self, aggregate: &Ref, timer: &str) -> Result<(), Unreacted> {
        if timer.is_empty() || timer.len() > MAX_TIMER_BYTES {
            let length = timer.len();
            let reason = format!("a timer's name has {length} bytes: it must have 1 to {MAX_TIMER_BYTES}");
            return Err(Unreacted::Parked(reason));
        }
        self.added.retain(|step| step.aggregate != *aggregate || step.timer != timer);
        self.cancelled.push((aggregate.clone(), timer.to_owned()));
        Ok(())
    }

    /// Reacts to no further event of an aggregate; what was to be done for its earlier events is still done.
    fn park(&mut self, stored: &Stored, reason: String) {
        let aggregate = &stored.aggregate;
        self.added.retain(|step| step.position != stored.position);
        self.parked.insert(aggregate.clone());
        self.new_parked.push(vec![aggregate.as_str().into(), stored.position.into(), reason.into()]);
    }

    /// Writes the changes.
    pub(super) async fn write(self, transaction: &mut dyn Transaction) -> Result<(), StoreError> {
        let on = self.reaction.on();
        let mut states = Vec::with_capacity(self.changed.len());
        let mut parked = self.new_parked;
        for aggregate in &self.changed {
            let Some(state) = self.states.get(aggregate) else { continue };
            let sequence = on.0.sequence(state);
            match on.0.snapshot(state) {
                Ok(text) => states.push(vec![aggregate.as_str().into(), sequence.into(), text.into()]),
                // Its next event could not be folded.
                Err(error) => parked.push(vec![
                    aggregate.as_str().into(),
                    0_u64.into(),
                    format!("its state cannot be stored: {}", error_chain(&error)).into(),
                ]),
            }
        }
        transaction.insert_rows(&STARTS, self.new_starts, OnConflict::Keep).await?;
        transaction.insert_rows(&STATES, states, OnConflict::Replace).await?;
        transaction.insert_rows(&PARKED, parked, OnConflict::Keep).await?;
        let done = self.done.into_iter().map(|id| vec![uuid_cell(id)]).collect();
        transaction.delete_keys(&STEPS, done).await?;
        let cancel = format!("DELETE FROM {} WHERE aggregate = $1 AND timer = $2", transaction.table(STEPS.name));
        for (aggregate, timer) in self.cancelled {
            transaction.execute(&cancel, vec![aggregate.as_str().into(), timer.into()]).await?;
        }
        let added = self.added.into_iter().map(Pending::into_row).collect();
        transaction.insert_rows(&STEPS, added, OnConflict::Replace).await
    }
}

/// Why there are no steps for an event.
enum Unreacted {
    /// The program does not know the event: the projection waits for one that does.
    Unknown(DecodeError),
    /// It reacts to no further event of the aggregate.
    Parked(String),
}

fn restored(reaction: &dyn AnyReaction, aggregate: &Ref, row: &Row) -> Result<AnyState, ProjectionError> {
    let state = match row.as_slice() {
        [sequence, state] => sequence.integer().and_then(|at| u64::try_from(at).ok()).zip(state.text()),
        _ => None,
    };
    let restored = state.and_then(|(sequence, state)| reaction.on().0.restore(aggregate, sequence, state));
    restored.ok_or_else(|| {
        let reason = format!("the stored state of `{aggregate}` cannot be read: rebuild the projection");
        ProjectionError::Other(reason.into())
    })
}
