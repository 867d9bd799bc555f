//! Statements of projections: cells as parameters, one row or many, and rows as cells.

use std::collections::HashMap;

use futures::TryStreamExt;
use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::types::Oid;
use sqlx::postgres::{PgArgumentBuffer, PgArguments, PgRow, PgTypeInfo};
use sqlx::{Arguments, Encode, Executor, PgConnection, Postgres, Type};

use super::super::location::SchemaLocation;
use super::{DOING, LOCK_WAIT, decode, escape};
use crate::BoxError;
use crate::store::{Cell, Column, ColumnType, OnConflict, Row, StoreError, Table, sql};

/// The most that one statement sends.
const ROWS_AT_ONCE: usize = 10_000;
const BYTES_AT_ONCE: usize = 4 << 20;

/// Postgres's type `unknown`: the statement decides.
const UNKNOWN: Oid = Oid(705);

/// Returns the error of a statement.
pub(super) fn fault(location: &SchemaLocation, sql: &str, error: sqlx::Error) -> StoreError {
    match &error {
        sqlx::Error::Database(said) if matches!(said.code().as_deref(), Some("55P03" | "40P01")) => {
            StoreError::Busy(LOCK_WAIT)
        }
        sqlx::Error::Database(said) if matches!(said.code().as_deref(), Some("42501" | "25006")) => {
            location.fault(DOING, error)
        }
        sqlx::Error::Database(said) if said.message().starts_with("cannot insert multiple commands") => {
            sql::fault(sql, "the text holds several statements: run them one by one")
        }
        sqlx::Error::Database(_) | sqlx::Error::Encode(_) | sqlx::Error::Decode(_) | sqlx::Error::Protocol(_) => {
            sql::fault(sql, error)
        }
        _ => location.fault(DOING, error),
    }
}

/// NULL, of the type that the statement wants.
struct Null;

impl Type<Postgres> for Null {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(UNKNOWN)
    }
}

impl Encode<'_, Postgres> for Null {
    fn encode_by_ref(&self, _: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        Ok(IsNull::Yes)
    }
}

/// Binds each cell as its own type. The text is the statement with these types behind it: a connection keeps the types
/// that a text was first prepared with.
fn bind(sql: &str, parameters: &[Cell]) -> Result<(String, PgArguments), StoreError> {
    let (mut text, mut arguments) = (format!("{sql}\n--"), PgArguments::default());
    for cell in parameters {
        let (name, added) = match cell {
            Cell::Null => (" null", arguments.add(Null)),
            Cell::Integer(number) => (" bigint", arguments.add(*number)),
            Cell::Real(number) => (" float8", arguments.add(*number)),
            Cell::Text(text) => (" text", arguments.add(escape::escaped(text))),
            Cell::Bytes(bytes) => (" bytea", arguments.add(bytes.as_slice())),
        };
        added.map_err(|error| sql::fault(sql, error))?;
        text.push_str(name);
    }
    Ok((text, arguments))
}

async fn run(
    location: &SchemaLocation,
    on: &mut PgConnection,
    sql: &str,
    arguments: PgArguments,
    keep: bool,
) -> Result<u64, StoreError> {
    let done = on.execute(sqlx::query_with(sql, arguments).persistent(keep && !location.pooler())).await;
    Ok(done.map_err(|error| fault(location, sql, error))?.rows_affected())
}

async fn fetch(
    location: &SchemaLocation,
    on: &mut PgConnection,
    sql: &str,
    arguments: PgArguments,
    mut take: impl FnMut(&PgRow) -> Result<(), BoxError> + Send,
) -> Result<(), StoreError> {
    let mut rows = on.fetch(sqlx::query_with(sql, arguments).persistent(!location.pooler()));
    while let Some(row) = rows.try_next().await.map_err(|error| fault(location, sql, error))? {
        take(&row).map_err(|error| sql::fault(sql, error))?;
    }
    Ok(())
}

/// Runs a statement; returns how many rows it changed.
pub(super) async fn execute(
    location: &SchemaLocation,
    on: &mut PgConnection,
    sql: &str,
    parameters: &[Cell],
) -> Result<u64, StoreError> {
    sql::check(sql)?;
    let (text, arguments) = bind(sql, parameters)?;
    // A statement without parameters is mostly run once.
    run(location, on, &text, arguments, !parameters.is_empty()).await
}

/// Runs a query.
pub(super) async fn query(
    location: &SchemaLocation,
    on: &mut PgConnection,
    sql: &str,
    parameters: &[Cell],
) -> Result<Vec<Row>, StoreError> {
    sql::check(sql)?;
    let (text, arguments) = bind(sql, parameters)?;
    let mut found = Vec::new();
    let take = |row: &PgRow| {
        found.push(decode::cells(row, 0)?);
        Ok(())
    };
    fetch(location, on, &text, arguments, take).await?;
    Ok(found)
}

/// Inserts rows into the table called `name`.
pub(super) async fn insert(
    location: &SchemaLocation,
    on: &mut PgConnection,
    (name, table): (&str, &Table),
    rows: &[Row],
    conflict: OnConflict,
) -> Result<(), StoreError> {
    let columns: Vec<&Column> = table.columns.iter().collect();
    let sql = table.insert_sql(name, &format!("SELECT * FROM {}", unnest(&columns)), conflict);
    check_lengths(&sql, rows, columns.len())?;
    let last = (conflict == OnConflict::Replace).then(|| last_of_each_key(table, rows)).flatten();
    let rows = last.as_deref().unwrap_or(rows);
    for rows in pieces(rows) {
        run(location, on, &sql, arrays(&sql, &columns, rows)?, true).await?;
    }
    Ok(())
}

/// Deletes the rows with these keys from the table called `name`.
pub(super) async fn delete(
    location: &SchemaLocation,
    on: &mut PgConnection,
    (name, table): (&str, &Table),
    keys: &[Row],
) -> Result<(), StoreError> {
    let columns = columns_of(table, table.key)?;
    let using = format!(" USING {} AS k ({})", unnest(&columns), aliases(columns.len()));
    let sql = table.delete_sql(name, &using, alias);
    check_lengths(&sql, keys, columns.len())?;
    for keys in pieces(keys) {
        run(location, on, &sql, arrays(&sql, &columns, keys)?, true).await?;
    }
    Ok(())
}

/// Selects the row of each key from the table called `name`.
pub(super) async fn select(
    location: &SchemaLocation,
    on: &mut PgConnection,
    (name, table): (&str, &Table),
    by: &[&str],
    selected: &[&str],
    keys: &[Row],
) -> Result<Vec<Option<Row>>, StoreError> {
    let columns = columns_of(table, by)?;
    let sql = format!(
        "SELECT k.n, f.* FROM {} WITH ORDINALITY AS k ({}, n) CROSS JOIN LATERAL ({}) AS f",
        unnest(&columns),
        aliases(columns.len()),
        table.select_sql(name, by, selected, alias)
    );
    check_lengths(&sql, keys, columns.len())?;
    let mut found: Vec<Option<Row>> = vec![None; keys.len()];
    let mut before = 0;
    for keys in pieces(keys) {
        let answers = &mut found[before..before + keys.len()];
        let take = |row: &PgRow| {
            let number: i64 = sqlx::Row::try_get(row, 0)?;
            let answer = usize::try_from(number - 1).ok().and_then(|index| answers.get_mut(index));
            *answer.ok_or("a row of no key")? = Some(decode::cells(row, 1)?);
            Ok(())
        };
        fetch(location, on, &sql, arrays(&sql, &columns, keys)?, take).await?;
        before += keys.len();
    }
    Ok(found)
}

fn columns_of<'t>(table: &'t Table, names: &[&str]) -> Result<Vec<&'t Column>, StoreError> {
    let column = |name: &&str| {
        table.column(name).ok_or_else(|| sql::fault(table.name, format!("the table has no column `{name}`")))
    };
    names.iter().map(column).collect()
}

/// `UNNEST($1::bigint[], $2::text[])`
fn unnest(columns: &[&Column]) -> String {
    let arrays = (1..).zip(columns).map(|(n, column)| format!("${n}::{}[]", type_name(column.column_type)));
    format!("UNNEST({})", arrays.collect::<Vec<_>>().join(", "))
}

/// The name of a column of `k`, which holds the keys.
fn alias(number: usize) -> String {
    format!("k.c{number}")
}

fn aliases(columns: usize) -> String {
    (1..=columns).map(|number| format!("c{number}")).collect::<Vec<_>>().join(", ")
}

/// The type of a column, as it is called in SQL.
pub(super) fn type_name(column_type: ColumnType) -> &'static str {
    match column_type {
        ColumnType::Integer => "bigint",
        ColumnType::Real => "double precision",
        ColumnType::Text => "text",
        ColumnType::Bytes => "bytea",
    }
}

fn check_lengths(sql: &str, rows: &[Row], columns: usize) -> Result<(), StoreError> {
    match rows.iter().find(|row| row.len() != columns) {
        Some(row) => Err(sql::fault(sql, format!("it takes {columns} values a row, a row has {}", row.len()))),
        None => Ok(()),
    }
}

/// A value of one column, apart from every other value of that column.
#[derive(PartialEq, Eq, Hash)]
enum KeyPart<'r> {
    Null,
    Number(u64),
    Bytes(&'r [u8]),
}

/// Returns the last row of each key, because an upsert may not meet a row twice; `None` if every row has its own key.
fn last_of_each_key(table: &Table, rows: &[Row]) -> Option<Vec<Row>> {
    let part = |cell| match cell {
        &Cell::Null => KeyPart::Null,
        &Cell::Integer(number) => KeyPart::Number(number.cast_unsigned()),
        &Cell::Real(number) => KeyPart::Number(number.to_bits()),
        Cell::Text(text) => KeyPart::Bytes(text.as_bytes()),
        Cell::Bytes(bytes) => KeyPart::Bytes(bytes),
    };
    let mut last: HashMap<Vec<KeyPart<'_>>, usize> = HashMap::with_capacity(rows.len());
    for (number, row) in rows.iter().enumerate() {
        last.insert(table.key_of(row).into_iter().map(part).collect(), number);
    }
    if last.len() == rows.len() {
        return None;
    }
    let mut kept: Vec<usize> = last.into_values().collect();
    kept.sort_unstable();
    Some(kept.into_iter().map(|number| rows[number].clone()).collect())
}

/// The rows in pieces of what one statement sends.
fn pieces(mut rows: &[Row]) -> impl Iterator<Item = &[Row]> {
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fits = |row: &&Row| {
            bytes += row.iter().map(size).sum::<usize>();
            bytes <= BYTES_AT_ONCE
        };
        let length = rows.iter().take(ROWS_AT_ONCE).take_while(fits).count().max(1).min(rows.len());
        let (piece, rest) = rows.split_at(length);
        rows = rest;
        (!piece.is_empty()).then_some(piece)
    })
}

fn size(cell: &Cell) -> usize {
    match cell {
        Cell::Null => 4,
        Cell::Integer(_) | Cell::Real(_) => 12,
        Cell::Text(text) => text.len() + 4,
        Cell::Bytes(bytes) => bytes.len() + 4,
    }
}

/// One array for each column.
fn arrays(sql: &str, columns: &[&Column], rows: &[Row]) -> Result<PgArguments, StoreError> {
    let mut arguments = PgArguments::default();
    for (index, column) in columns.iter().enumerate() {
        let cells = rows.iter().map(|row| &row[index]);
        let added = match column.column_type {
            ColumnType::Integer => array(&mut arguments, cells, |cell| cell.integer()),
            ColumnType::Real => array(&mut arguments, cells, |cell| match cell {
                Cell::Real(number) => Some(*number),
                Cell::Integer(number) => Some(*number as f64),
                _ => None,
            }),
            ColumnType::Text => array(&mut arguments, cells, |cell| cell.text().map(escape::escaped)),
            ColumnType::Bytes => array(&mut arguments, cells, |cell| match cell {
                Cell::Bytes(bytes) => Some(bytes.as_slice()),
                _ => None,
            }),
        };
        added.map_err(|error| sql::fault(sql, format!("column `{}`: {error}", column.name)))?;
    }
    Ok(arguments)
}

/// Adds the values of one column. `value` returns `None` for a cell of another type.
fn array<'r, T>(
    arguments: &mut PgArguments,
    cells: impl Iterator<Item = &'r Cell>,
    value: impl Fn(&'r Cell) -> Option<T>,
) -> Result<(), BoxDynError>
where
    Vec<Option<T>>: Encode<'r, Postgres> + Type<Postgres>,
    T: 'r,
{
    let mut values = Vec::new();
    for cell in cells {
        values.push(match cell {
            Cell::Null => None,
            cell => Some(value(cell).ok_or_else(|| format!("it takes no {}", kind(cell)))?),
        });
    }
    arguments.add(values)
}

fn kind(cell: &Cell) -> &'static str {
    match cell {
        Cell::Null => "NULL",
        Cell::Integer(_) => "whole number",
        Cell::Real(_) => "floating-point number",
        Cell::Text(_) => "text",
        Cell::Bytes(_) => "bytes",
    }
}
