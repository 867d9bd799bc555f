//! Cells on their way into the database, as the type that a statement wants.

use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgArgumentBuffer, PgTypeInfo};
use sqlx::{Encode, Postgres};
use uuid::Uuid;

use super::escape;
use super::types::{Kind, Type};
use crate::BoxError;
use crate::store::{Cell, Row};

/// One cell.
pub(super) struct One<'c>(pub Type, pub &'c Cell);

/// One column of many rows, as an array.
pub(super) struct Many<'r> {
    pub kind: Type,
    pub rows: &'r [Row],
    pub column: usize,
}

/// What Postgres would call a value of this cell, and where it does not go.
#[derive(Debug, thiserror::Error)]
#[error("{cell} does not go where the statement wants {wanted}: give what it wants, or cast it in the statement")]
struct Misfit {
    cell: &'static str,
    wanted: &'static str,
}

/// Writes a cell that is not NULL.
fn write(cell: &Cell, wanted: Type, buffer: &mut Vec<u8>) -> Result<(), BoxError> {
    let misfit = |cell| Misfit { cell, wanted: wanted.name };
    match (cell, wanted.kind) {
        (Cell::Text(text), Kind::Text) => buffer.extend_from_slice(escape::escaped(text).as_bytes()),
        (Cell::Text(text), Kind::Json) => buffer.extend_from_slice(text.as_bytes()),
        (Cell::Text(text), Kind::Jsonb) => {
            buffer.push(1);
            buffer.extend_from_slice(text.as_bytes());
        }
        (Cell::Text(text), Kind::Uuid) => buffer.extend_from_slice(Uuid::parse_str(text)?.as_bytes()),
        (Cell::Bytes(bytes), Kind::Bytes) => buffer.extend_from_slice(bytes),
        (Cell::Integer(number), Kind::Integer(8)) => buffer.extend_from_slice(&number.to_be_bytes()),
        (Cell::Integer(number), Kind::Integer(4)) => {
            buffer.extend_from_slice(&i32::try_from(*number)?.to_be_bytes())
        }
        (Cell::Integer(number), Kind::Integer(_)) => {
            buffer.extend_from_slice(&i16::try_from(*number)?.to_be_bytes())
        }
        (Cell::Integer(number @ (0 | 1)), Kind::Bool) => buffer.push(u8::from(*number == 1)),
        (Cell::Integer(number), Kind::Real(size)) => write_real(*number as f64, size, buffer),
        (Cell::Real(number), Kind::Real(size)) => write_real(*number, size, buffer),
        (Cell::Null, _) => return Err(misfit("NULL").into()),
        (Cell::Integer(_), _) => return Err(misfit("a whole number").into()),
        (Cell::Real(_), _) => return Err(misfit("a floating-point number").into()),
        (Cell::Text(_), _) => return Err(misfit("a text").into()),
        (Cell::Bytes(_), _) => return Err(misfit("bytes").into()),
    }
    Ok(())
}

fn write_real(number: f64, size: u8, buffer: &mut Vec<u8>) {
    match size {
        8 => buffer.extend_from_slice(&number.to_be_bytes()),
        _ => buffer.extend_from_slice(&(number as f32).to_be_bytes()),
    }
}

impl sqlx::Type<Postgres> for One<'_> {
    /// Each value says its own: see `produces`.
    fn type_info() -> PgTypeInfo {
        <str as sqlx::Type<Postgres>>::type_info()
    }
}

impl<'q> Encode<'q, Postgres> for One<'_> {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        if *self.1 == Cell::Null {
            return Ok(IsNull::Yes);
        }
        write(self.1, self.0, buffer)?;
        Ok(IsNull::No)
    }

    fn produces(&self) -> Option<PgTypeInfo> {
        Some(PgTypeInfo::with_oid(self.0.oid))
    }
}

impl sqlx::Type<Postgres> for Many<'_> {
    /// Each value says its own: see `produces`.
    fn type_info() -> PgTypeInfo {
        <[String] as sqlx::Type<Postgres>>::type_info()
    }
}

impl<'q> Encode<'q, Postgres> for Many<'_> {
    /// One dimension, counted from 1; then each element's length (-1: NULL) and bytes.
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        let cells = || self.rows.iter().map(|row| &row[self.column]);
        let nulls = i32::from(cells().any(|cell| *cell == Cell::Null));
        for part in [1, nulls, self.kind.oid.0.cast_signed(), i32::try_from(self.rows.len())?, 1] {
            buffer.extend_from_slice(&part.to_be_bytes());
        }
        for cell in cells() {
            if *cell == Cell::Null {
                buffer.extend_from_slice(&(-1_i32).to_be_bytes());
                continue;
            }
            let at = buffer.len();
            buffer.extend_from_slice(&[0; 4]);
            write(cell, self.kind, buffer)?;
            let length = i32::try_from(buffer.len() - at - 4)?;
            buffer[at..at + 4].copy_from_slice(&length.to_be_bytes());
        }
        Ok(IsNull::No)
    }

    fn produces(&self) -> Option<PgTypeInfo> {
        Some(PgTypeInfo::with_oid(self.kind.array))
    }
}
