//! Encoding and decoding of values and rows of the log.

use jiff::Timestamp;
use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::types::Oid;
use sqlx::postgres::{PgArgumentBuffer, PgHasArrayType, PgRow, PgTypeInfo, PgValueFormat, PgValueRef};
use sqlx::{Decode, Encode, Postgres, Row, Type};
use uuid::Uuid;

use super::location::SchemaLocation;
use crate::events::{LogPosition, Ref, Stored};
use crate::store::{KnownCommand, Receipt, StoreError, time_of_micros};

/// 2000-01-01, the epoch of Postgres, in microseconds since 1970.
const EPOCH: i64 = 946_684_800_000_000;

/// A `timestamptz`: microseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Micros(pub(super) i64);

impl Micros {
    pub(super) fn of(time: Timestamp) -> Self {
        Self(time.as_microsecond())
    }

    /// Returns the time. A value out of range, which this crate did not write, becomes the nearest time in range.
    pub(super) fn time(self) -> Timestamp {
        let nearest = if self.0 < 0 { Timestamp::MIN } else { Timestamp::MAX };
        time_of_micros(self.0).unwrap_or(nearest)
    }
}

impl Type<Postgres> for Micros {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(Oid(1184))
    }
}

impl PgHasArrayType for Micros {
    fn array_type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(Oid(1185))
    }
}

impl Encode<'_, Postgres> for Micros {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        // The largest and smallest values are `infinity`; the server refuses times out of range.
        Encode::<Postgres>::encode(self.0.saturating_sub(EPOCH), buffer)
    }
}

impl<'r> Decode<'r, Postgres> for Micros {
    fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        if value.format() != PgValueFormat::Binary {
            return Err("a time is read in binary form".into());
        }
        let since_2000 = i64::from_be_bytes(value.as_bytes()?.try_into()?);
        Ok(Self(since_2000.saturating_add(EPOCH)))
    }
}

/// The columns of an event, in the order in which [`stored`] reads them.
pub(super) const COLUMNS: &str = "position, event_id, aggregate_type, aggregate_id, sequence, event_type, \
     event_version, payload, metadata, command_id, occurred_at, recorded_at, digest";

/// One row of [`COLUMNS`].
pub(super) fn stored(row: &PgRow) -> Result<Stored, StoreError> {
    let position = Columns { row, position: 0 }.unsigned(0, "position")?;
    let columns = Columns { row, position };
    let aggregate = Ref::new(columns.text(2, "aggregate_type")?, columns.text(3, "aggregate_id")?)
        .map_err(|error| columns.corrupt("aggregate", &error))?;
    Ok(Stored {
        position,
        event_id: columns.get(1, "event_id")?,
        aggregate,
        sequence: columns.unsigned(4, "sequence")?,
        event_type: columns.text(5, "event_type")?.to_owned(),
        event_version: columns.text(6, "event_version")?.to_owned(),
        payload: columns.text(7, "payload")?.to_owned(),
        metadata: columns.text(8, "metadata")?.to_owned(),
        command_id: columns.get(9, "command_id")?,
        occurred_at: columns.time(10, "occurred_at")?,
        recorded_at: columns.time(11, "recorded_at")?,
        digest: columns.bytes(12, "digest")?,
    })
}

struct Columns<'r> {
    row: &'r PgRow,
    position: u64,
}

impl<'r> Columns<'r> {
    fn corrupt(&self, column: &str, reason: &dyn std::fmt::Display) -> StoreError {
        StoreError::Corrupt { position: self.position, reason: format!("{column}: {reason}") }
    }

    fn get<T: Decode<'r, Postgres>>(&self, index: usize, column: &str) -> Result<T, StoreError> {
        let value = self.row.try_get_raw(index).map_err(|error| self.corrupt(column, &error))?;
        T::decode(value).map_err(|error| self.corrupt(column, &error))
    }

    fn unsigned(&self, index: usize, column: &str) -> Result<u64, StoreError> {
        u64::try_from(self.get::<i64>(index, column)?).map_err(|error| self.corrupt(column, &error))
    }

    /// Returns a column of text or `json`, which is sent as text.
    fn text(&self, index: usize, column: &str) -> Result<&'r str, StoreError> {
        let value = self.row.try_get_raw(index).map_err(|error| self.corrupt(column, &error))?;
        value.as_str().map_err(|error| self.corrupt(column, &error))
    }

    fn bytes<const N: usize>(&self, index: usize, column: &str) -> Result<[u8; N], StoreError> {
        self.get::<&[u8]>(index, column)?.try_into().map_err(|error| self.corrupt(column, &error))
    }

    fn time(&self, index: usize, column: &str) -> Result<Timestamp, StoreError> {
        let Micros(time) = self.get(index, column)?;
        time_of_micros(time).map_err(|error| self.corrupt(column, &error))
    }
}

/// The head, of a row of `position` and `event_id`.
pub(super) fn head(row: &PgRow) -> Result<LogPosition, sqlx::Error> {
    Ok(LogPosition { position: unsigned(row.try_get(0)?), event_id: row.try_get(1)? })
}

/// The columns of a command, in the order in which [`known`] reads them.
pub(super) const COMMAND: &str =
    "command_id, body_digest, first_position, events, head_position, head_event_id, recorded_at, command";

/// One row of [`COMMAND`].
pub(super) fn known(location: &SchemaLocation, row: &PgRow) -> Result<KnownCommand, StoreError> {
    let read = || {
        let command_id: Uuid = row.try_get(0)?;
        let receipt = Receipt {
            command_id,
            first_position: unsigned(row.try_get(2)?),
            events: unsigned(row.try_get(3)?),
            head: LogPosition { position: unsigned(row.try_get(4)?), event_id: row.try_get(5)? },
            recorded_at: row.try_get::<Micros, _>(6)?.time(),
            repeated: true,
        };
        let body_digest = <[u8; 32]>::try_from(row.try_get::<&[u8], _>(1)?);
        let body_digest = body_digest.map_err(|error| sqlx::Error::Decode(error.into()))?;
        Ok(KnownCommand { body_digest, receipt, command: row.try_get(7)? })
    };
    read().map_err(|error| location.fault("reading commands", error))
}

/// A position or count that this crate wrote, and the database holds to be no less than 0.
pub(super) fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// A position or count, for the database.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
