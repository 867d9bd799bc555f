//! Statements of projections: binding cells, and reading rows.

use rusqlite::types::{ToSqlOutput, Value, ValueRef};
use rusqlite::{CachedStatement, Connection, ToSql};

use crate::BoxError;
use crate::store::sql::{check, fault};
use crate::store::{Cell, Row, StoreError};

/// A prepared statement, with the index of the parameter of each placeholder.
pub(super) struct Statement<'c> {
    statement: CachedStatement<'c>,
    places: Vec<usize>,
}

impl<'c> Statement<'c> {
    pub(super) fn prepare(connection: &'c Connection, sql: &str) -> Result<Self, StoreError> {
        check(sql)?;
        one_statement(connection, sql)?;
        let statement = connection.prepare_cached(sql).map_err(|error| fault(sql, error))?;
        let places = (1..=statement.parameter_count())
            .map(|index| {
                statement
                    .parameter_name(index)
                    .and_then(|name| name.strip_prefix('$'))
                    .and_then(|number| number.parse::<usize>().ok())
                    .and_then(|number| number.checked_sub(1))
                    .ok_or_else(|| fault(sql, "placeholders are `$1`, `$2`, …"))
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { statement, places })
    }

    fn bind(&mut self, sql: &str, parameters: &Row) -> Result<(), StoreError> {
        let named = self.places.iter().max().map_or(0, |last| last + 1);
        if named != parameters.len() {
            return Err(fault(sql, format!("it has {named} parameters, {} were given", parameters.len())));
        }
        for (index, place) in self.places.iter().enumerate() {
            self.statement.raw_bind_parameter(index + 1, &parameters[*place]).map_err(|error| fault(sql, error))?;
        }
        Ok(())
    }

    pub(super) fn execute(&mut self, sql: &str, parameters: &Row) -> Result<u64, StoreError> {
        self.bind(sql, parameters)?;
        let changed = self.statement.raw_execute().map_err(|error| fault(sql, error))?;
        Ok(changed as u64)
    }

    pub(super) fn query(&mut self, sql: &str, parameters: &Row) -> Result<Vec<Row>, StoreError> {
        self.bind(sql, parameters)?;
        let columns = self.statement.column_count();
        let mut rows = self.statement.raw_query();
        let mut result = Vec::new();
        while let Some(row) = rows.next().map_err(|error| fault(sql, error))? {
            let cells = (0..columns).map(|column| {
                let value = row.get_ref(column).map_err(|error| fault(sql, error))?;
                cell(value).map_err(|error| fault(sql, error))
            });
            result.push(cells.collect::<Result<Row, _>>()?);
        }
        Ok(result)
    }
}

/// Refuses several statements in one text: SQLite would run only the first.
fn one_statement(connection: &Connection, sql: &str) -> Result<(), StoreError> {
    if !sql.trim_end().trim_end_matches(';').contains(';') {
        return Ok(());
    }
    let mut batch = rusqlite::Batch::new(connection, sql);
    let first = batch.next().map_err(|error| fault(sql, error))?.is_some();
    // An error means a second statement too, which may need what the first would create.
    if first && !matches!(batch.next(), Ok(None)) {
        return Err(fault(sql, "the text holds several statements: run them one by one"));
    }
    Ok(())
}

impl ToSql for Cell {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Self::Null => ToSqlOutput::Owned(Value::Null),
            Self::Integer(number) => ToSqlOutput::Owned(Value::Integer(*number)),
            Self::Real(number) => ToSqlOutput::Owned(Value::Real(*number)),
            Self::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
            Self::Bytes(bytes) => ToSqlOutput::Borrowed(ValueRef::Blob(bytes)),
        })
    }
}

fn cell(value: ValueRef<'_>) -> Result<Cell, BoxError> {
    Ok(match value {
        ValueRef::Null => Cell::Null,
        ValueRef::Integer(number) => Cell::Integer(number),
        ValueRef::Real(number) => Cell::Real(number),
        ValueRef::Text(text) => Cell::Text(std::str::from_utf8(text)?.to_owned()),
        ValueRef::Blob(bytes) => Cell::Bytes(bytes.to_vec()),
    })
}
