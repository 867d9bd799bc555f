//! [`Pending`]: a step that is to be done, as a row; the tables of the projection.

use jiff::Timestamp;
use uuid::Uuid;

use crate::commands::internal_id;
use crate::digest::PartsDigest;
use crate::events::Ref;
use crate::store::{Cell, Column, Index, Row, StoreError, Table, Transaction};

/// The steps that are to be done.
pub(super) const STEPS: Table = Table::new(
    "steps",
    &[
        Column::bytes("id"),
        // When it is due, in microseconds: for a command at once, when its event was recorded.
        Column::integer("due"),
        // The position of its event, and its number among the steps of the event.
        Column::integer("position"),
        Column::integer("number"),
        Column::text("aggregate"),
        // The name of the timer; empty for a command at once.
        Column::text("timer"),
        Column::text("command"),
        Column::text("body"),
        Column::bytes("event"),
        Column::text("principal"),
        Column::text("correlation").nullable(),
        Column::integer("depth"),
    ],
    &["id"],
);

/// The state of each aggregate that it reacts to, after its last event.
pub(super) const STATES: Table = Table::new(
    "states",
    &[Column::text("aggregate"), Column::integer("sequence"), Column::text("state")],
    &["aggregate"],
);

/// The aggregates to which it does not react any more, since the event at this position, and why.
pub(super) const PARKED: Table = Table::new(
    "parked",
    &[Column::text("aggregate"), Column::integer("position"), Column::text("reason")],
    &["aggregate"],
);

/// The versions that were started, with the position of the start.
pub(super) const STARTS: Table =
    Table::new("starts", &[Column::integer("version"), Column::integer("position")], &["version"]);

/// Creates the tables.
pub(super) async fn create(transaction: &mut dyn Transaction) -> Result<(), StoreError> {
    for table in [&STEPS, &STATES, &PARKED, &STARTS] {
        transaction.create_table(table).await?;
    }
    let due = Index::new("steps_due", &["due", "position", "number", "aggregate"]);
    transaction.create_index(&STEPS, &due).await?;
    let aggregate = Index::new("steps_aggregate", &["aggregate", "due", "position", "number"]);
    transaction.create_index(&STEPS, &aggregate).await
}

/// A step that is to be done.
#[derive(Clone, Debug)]
pub(super) struct Pending {
    /// The command id.
    pub(super) id: Uuid,
    pub(super) due: i64,
    pub(super) position: u64,
    pub(super) number: u64,
    /// The aggregate whose event led to it.
    pub(super) aggregate: Ref,
    /// The name of the timer; empty for a command at once.
    pub(super) timer: String,
    pub(super) command: String,
    pub(super) body: String,
    /// The id of the event.
    pub(super) event: Uuid,
    /// The principal of the event, or else its actor.
    pub(super) principal: Ref,
    pub(super) correlation: Option<String>,
    /// How many reactions have led to each other up to this one.
    pub(super) depth: u32,
}

/// The columns that [`Pending::from_row`] reads, in order.
pub(super) const PENDING_COLUMNS: &str =
    "id, due, position, number, aggregate, timer, command, body, event, principal, correlation, depth";

/// The place of the body among [`PENDING_COLUMNS`].
pub(super) const BODY: usize = 7;

/// The command id of a step: the same whenever and wherever it is derived, and one that no caller can use.
pub(super) fn step_id(reaction: &str, event: Uuid, number: u64) -> Uuid {
    let mut parts = PartsDigest::default();
    parts.add("annals reaction");
    parts.add(reaction);
    parts.add(event.as_bytes());
    parts.add(number.to_le_bytes());
    internal_id::derive(&parts.finish(), &[])
}

/// The command id of a replay of a step, from its number.
pub(super) fn replay_id(step: Uuid, number: u64) -> Uuid {
    let mut parts = PartsDigest::default();
    parts.add("annals replay");
    parts.add(step.as_bytes());
    parts.add(number.to_le_bytes());
    internal_id::derive(&parts.finish(), &[])
}

impl Pending {
    pub(super) fn into_row(self) -> Row {
        vec![
            uuid_cell(self.id),
            self.due.into(),
            self.position.into(),
            self.number.into(),
            self.aggregate.as_str().into(),
            self.timer.into(),
            self.command.into(),
            self.body.into(),
            uuid_cell(self.event),
            self.principal.as_str().into(),
            self.correlation.map_or(Cell::Null, Cell::Text),
            i64::from(self.depth).into(),
        ]
    }

    /// The step of a row with [`PENDING_COLUMNS`]; `None` if the row is not as this module writes it.
    pub(super) fn from_row(row: &[Cell]) -> Option<Self> {
        let [id, due, position, number, aggregate, timer, command, body, event, principal, correlation, depth] =
            row
        else {
            return None;
        };
        Some(Self {
            id: uuid(id)?,
            due: due.integer()?,
            position: position.integer()?.try_into().ok()?,
            number: number.integer()?.try_into().ok()?,
            aggregate: aggregate.text()?.parse().ok()?,
            timer: timer.text()?.to_owned(),
            command: command.text()?.to_owned(),
            body: body.text()?.to_owned(),
            event: uuid(event)?,
            principal: principal.text()?.parse().ok()?,
            correlation: correlation.text().map(ToOwned::to_owned),
            depth: depth.integer()?.try_into().ok()?,
        })
    }
}

pub(super) fn uuid_cell(id: Uuid) -> Cell {
    Cell::Bytes(id.as_bytes().to_vec())
}

pub(super) fn uuid(cell: &Cell) -> Option<Uuid> {
    match cell {
        Cell::Bytes(bytes) => Uuid::from_slice(bytes).ok(),
        _ => None,
    }
}

/// A time in microseconds, as in the column `due`.
pub(super) fn time(due: i64) -> Timestamp {
    Timestamp::from_microsecond(due).unwrap_or(if due < 0 { Timestamp::MIN } else { Timestamp::MAX })
}
