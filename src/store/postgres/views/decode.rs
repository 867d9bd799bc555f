//! Decoding result columns into cells.

use jiff::civil::{DateTime, date};
use jiff::{SignedDuration, Timestamp};
use sqlx::postgres::{PgRow, PgValueRef};
use sqlx::{Row as _, TypeInfo, ValueRef};
use uuid::Uuid;

use super::escape;
use crate::BoxError;
use crate::store::{Cell, Row};

/// Microseconds from 1970 to 2000, the epoch of Postgres.
const SINCE_1970: i64 = 946_684_800_000_000;

/// Returns the columns of a row, from the one with the index `from` on.
pub(super) fn cells(row: &PgRow, from: usize) -> Result<Row, BoxError> {
    (from..row.len()).map(|column| cell(&row.try_get_raw(column)?)).collect()
}

fn cell(value: &PgValueRef<'_>) -> Result<Cell, BoxError> {
    if value.is_null() {
        return Ok(Cell::Null);
    }
    let bytes = value.as_bytes()?;
    let kind = value.type_info();
    Ok(match kind.oid().map_or(0, |oid| oid.0) {
        // text, varchar, character, name, "char", unknown
        25 | 1043 | 1042 | 19 | 18 | 705 => Cell::Text(escape::unescaped(std::str::from_utf8(bytes)?).into_owned()),
        // json, xml
        114 | 142 => text(bytes)?,
        // jsonb: a byte for its version before it
        3802 => text(bytes.get(1..).unwrap_or_default())?,
        20 => Cell::Integer(i64::from_be_bytes(bytes.try_into()?)),
        23 => Cell::Integer(i32::from_be_bytes(bytes.try_into()?).into()),
        21 => Cell::Integer(i16::from_be_bytes(bytes.try_into()?).into()),
        26 => Cell::Integer(u32::from_be_bytes(bytes.try_into()?).into()),
        16 => Cell::Integer(i64::from(bytes == [1])),
        701 => Cell::Real(f64::from_be_bytes(bytes.try_into()?)),
        700 => Cell::Real(f32::from_be_bytes(bytes.try_into()?).into()),
        17 => Cell::Bytes(bytes.to_vec()),
        2950 => Cell::Text(Uuid::from_slice(bytes)?.to_string()),
        1700 => numeric(bytes)?,
        1184 => instant(i64::from_be_bytes(bytes.try_into()?))?,
        1114 => moment(i64::from_be_bytes(bytes.try_into()?))?,
        1082 => day(i32::from_be_bytes(bytes.try_into()?))?,
        2278 => Cell::Null,
        _ => match kind.kind() {
            sqlx::postgres::PgTypeKind::Enum(_) => text(bytes)?,
            _ => {
                return Err(format!(
                    "columns of type {} are not supported: cast it, for example to text",
                    kind.name()
                )
                .into());
            }
        },
    })
}

fn text(bytes: &[u8]) -> Result<Cell, BoxError> {
    Ok(Cell::Text(std::str::from_utf8(bytes)?.to_owned()))
}

/// Decodes a `timestamptz`: `2026-01-31T12:00:00.5Z`.
fn instant(micros: i64) -> Result<Cell, BoxError> {
    let since = micros.checked_add(SINCE_1970).ok_or("the time is out of range")?;
    Ok(Cell::Text(Timestamp::from_microsecond(since)?.to_string()))
}

/// Decodes a `timestamp`: `2026-01-31T12:00:00.5`.
fn moment(micros: i64) -> Result<Cell, BoxError> {
    let begin: DateTime = date(2000, 1, 1).at(0, 0, 0, 0);
    Ok(Cell::Text(begin.checked_add(SignedDuration::from_micros(micros))?.to_string()))
}

fn day(days: i32) -> Result<Cell, BoxError> {
    let day = date(2000, 1, 1).checked_add(SignedDuration::from_hours(i64::from(days) * 24))?;
    Ok(Cell::Text(day.to_string()))
}

/// Decodes a `numeric`: digits of base 10,000, the first of weight `weight`. One without decimal places that fits becomes an
/// integer (a sum of integers is of this type), another one a floating-point number, as on SQLite.
fn numeric(bytes: &[u8]) -> Result<Cell, BoxError> {
    let word = |at: usize| -> Result<i16, BoxError> {
        let pair = bytes.get(at..at + 2).ok_or("the number is truncated")?;
        Ok(i16::from_be_bytes(pair.try_into()?))
    };
    let (digits, weight, sign, scale) = (word(0)?, i32::from(word(2)?), word(4)?.cast_unsigned(), word(6)?);
    let negative = match sign {
        0x0000 => false,
        0x4000 => true,
        0xC000 => return Ok(Cell::Real(f64::NAN)),
        0xD000 => return Ok(Cell::Real(f64::INFINITY)),
        _ => return Ok(Cell::Real(f64::NEG_INFINITY)),
    };
    let mut decimal = String::from(if negative { "-0" } else { "0" });
    let last = -(i32::from(scale) + 3) / 4;
    for location in (last..=weight.max(0)).rev() {
        if location == -1 {
            decimal.push('.');
        }
        let index = weight - location;
        let digit = if (0..i32::from(digits)).contains(&index) { word(8 + 2 * index as usize)? } else { 0 };
        decimal.push_str(&format!("{digit:04}"));
    }
    if scale == 0
        && let Ok(whole) = decimal.parse::<i64>()
    {
        return Ok(Cell::Integer(whole));
    }
    Ok(Cell::Real(decimal.parse()?))
}
