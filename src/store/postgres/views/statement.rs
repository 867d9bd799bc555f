//! Statements of projections: cells in and out, one row of parameters or many.

use std::collections::HashSet;
use std::sync::Arc;

use futures::TryStreamExt;
use moka::sync::Cache;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::{Arguments, Executor, PgConnection, Row as _};

use super::super::place::Place;
use super::bulk::{self, Bulk};
use super::decode;
use super::encode::{Many, One};
use super::stated::{Stated, fault, wrong};
use super::types::{Kind, Type};
use crate::BoxError;
use crate::store::{Cell, Row, StoreError};

/// The most that is sent in one statement.
const ROWS_AT_ONCE: usize = 10_000;
const BYTES_AT_ONCE: usize = 4 << 20;
/// Of so many statements it is known how to run them.
const KNOWN: u64 = 2_000;

/// Runs statements, and remembers what it had to ask about them.
pub(super) struct Statements {
    place: Place,
    /// The types of a statement's parameters.
    types: Cache<String, Arc<[Type]>>,
    /// How a statement takes many rows at once; `None` if it does not.
    many: Cache<String, Option<Arc<Bulk>>>,
    answers: Cache<String, Option<Arc<(String, usize)>>>,
}

impl Statements {
    pub(super) fn new(place: Place) -> Self {
        Self { place, types: Cache::new(KNOWN), many: Cache::new(KNOWN), answers: Cache::new(KNOWN) }
    }

    fn fault(&self, sql: &str, error: sqlx::Error) -> StoreError {
        fault(&self.place, sql, error)
    }

    /// Asks what types the parameters are of. `PREPARE` in SQL leaves nothing behind on a pooler's connection.
    async fn types(&self, on: &mut PgConnection, sql: &str, named: usize) -> Result<Arc<[Type]>, StoreError> {
        if named == 0 {
            return Ok(Arc::from([]));
        }
        if let Some(types) = self.types.get(sql) {
            return Ok(types);
        }
        let ask = format!(
            "PREPARE annals_asked AS {}\n; SELECT parameter_types::oid[]::text FROM pg_catalog.pg_prepared_statements \
             WHERE name = 'annals_asked'; DEALLOCATE annals_asked",
            sql.trim_end().trim_end_matches(';')
        );
        let row = on.fetch_one(ask.as_str()).await.map_err(|error| self.fault(sql, error))?;
        let told: String = row.try_get(0).map_err(|error| self.fault(sql, error))?;
        let numbers = told.trim_matches(['{', '}']).split(',').map(str::parse::<u32>);
        let types: Arc<[Type]> = numbers
            .map(|number| number.map(Type::of))
            .collect::<Result<_, _>>()
            .map_err(|error| wrong(sql, error))?;
        if types.len() != named {
            return Err(wrong(sql, format!("it names {named} parameters, Postgres sees {}", types.len())));
        }
        self.types.insert(sql.to_owned(), types.clone());
        Ok(types)
    }

    /// Whether the database takes a statement that was written anew; if not, the transaction goes on all the same.
    async fn takes(&self, on: &mut PgConnection, sql: &str, types: &[Type]) -> Result<bool, StoreError> {
        let names: Vec<String> = types.iter().map(|known| format!("{}[]", known.name)).collect();
        let ask = format!(
            "SAVEPOINT annals_asked; PREPARE annals_asked ({}) AS {sql}\n; DEALLOCATE annals_asked; \
             RELEASE SAVEPOINT annals_asked",
            names.join(", ")
        );
        match on.execute(ask.as_str()).await {
            Ok(_) => return Ok(true),
            Err(sqlx::Error::Database(error)) => tracing::debug!(sql, %error, "run row by row"),
            Err(error) => return Err(self.fault(sql, error)),
        }
        const BACK: &str = "ROLLBACK TO SAVEPOINT annals_asked; RELEASE SAVEPOINT annals_asked";
        on.execute(BACK).await.map_err(|error| self.fault(sql, error))?;
        Ok(false)
    }

    fn one(&self, sql: &str, types: &[Type], parameters: &Row) -> Result<PgArguments, StoreError> {
        let mut arguments = PgArguments::default();
        for (number, (kind, cell)) in types.iter().zip(parameters).enumerate() {
            arguments
                .add(One(*kind, cell))
                .map_err(|error| wrong(sql, format!("parameter ${}: {error}", number + 1)))?;
        }
        Ok(arguments)
    }

    fn arrays(&self, sql: &str, types: &[Type], rows: &[Row]) -> Result<PgArguments, StoreError> {
        let mut arguments = PgArguments::default();
        for (column, kind) in types.iter().enumerate() {
            arguments
                .add(Many { kind: *kind, rows, column })
                .map_err(|error| wrong(sql, format!("parameter ${}: {error}", column + 1)))?;
        }
        Ok(arguments)
    }

    async fn run(&self, on: &mut PgConnection, sql: &str, arguments: PgArguments) -> Result<u64, StoreError> {
        // What is run without parameters is mostly run once.
        let keep = !self.place.pooler() && arguments.len() > 0;
        let done = on.execute(sqlx::query_with(sql, arguments).persistent(keep)).await;
        Ok(done.map_err(|error| self.fault(sql, error))?.rows_affected())
    }

    async fn fetch(
        &self,
        on: &mut PgConnection,
        sql: &str,
        arguments: PgArguments,
        mut take: impl FnMut(&PgRow) -> Result<(), BoxError> + Send,
    ) -> Result<(), StoreError> {
        let mut rows = on.fetch(sqlx::query_with(sql, arguments).persistent(!self.place.pooler()));
        while let Some(row) = rows.try_next().await.map_err(|error| self.fault(sql, error))? {
            take(&row).map_err(|error| wrong(sql, error))?;
        }
        Ok(())
    }

    pub(super) async fn execute(
        &self,
        on: &mut PgConnection,
        sql: &str,
        parameters: &Row,
    ) -> Result<u64, StoreError> {
        let Stated { sql, rows, named } = &Stated::of(sql, std::slice::from_ref(parameters))?;
        let types = self.types(on, sql, *named).await?;
        self.run(on, sql, self.one(sql, &types, &rows[0])?).await
    }

    pub(super) async fn query(
        &self,
        on: &mut PgConnection,
        sql: &str,
        parameters: &Row,
    ) -> Result<Vec<Row>, StoreError> {
        let Stated { sql, rows, named } = &Stated::of(sql, std::slice::from_ref(parameters))?;
        let types = self.types(on, sql, *named).await?;
        let mut found = Vec::new();
        let take = |row: &PgRow| {
            found.push(decode::cells(row, 0)?);
            Ok(())
        };
        self.fetch(on, sql, self.one(sql, &types, &rows[0])?, take).await?;
        Ok(found)
    }

    pub(super) async fn execute_many(
        &self,
        on: &mut PgConnection,
        sql: &str,
        rows: &[Row],
    ) -> Result<(), StoreError> {
        if rows.is_empty() {
            return Ok(());
        }
        let Stated { sql, rows, named } = &Stated::of(sql, rows)?;
        let types = self.types(on, sql, *named).await?;
        let bulk = if rows.len() > 1 { self.bulk(on, sql, &types).await? } else { None };
        let Some(bulk) = bulk else {
            for row in rows.iter() {
                self.run(on, sql, self.one(sql, &types, row)?).await?;
            }
            return Ok(());
        };
        let mut rest: &[Row] = rows;
        while !rest.is_empty() {
            let (chunk, after) = rest.split_at(at_once(rest, &bulk.unique));
            self.run(on, &bulk.sql, self.arrays(sql, &types, chunk)?).await?;
            rest = after;
        }
        Ok(())
    }

    async fn bulk(
        &self,
        on: &mut PgConnection,
        sql: &str,
        types: &[Type],
    ) -> Result<Option<Arc<Bulk>>, StoreError> {
        if let Some(known) = self.many.get(sql) {
            return Ok(known);
        }
        let exact = |bulk: &Bulk| bulk.unique.iter().all(|column| types[*column].is_exact());
        let bulk = match can_be_rows(types) {
            true => bulk::execute_many(sql, types.len()).filter(exact),
            false => None,
        };
        let bulk = match bulk {
            Some(bulk) if self.takes(on, &bulk.sql, types).await? => Some(Arc::new(bulk)),
            _ => None,
        };
        self.many.insert(sql.to_owned(), bulk.clone());
        Ok(bulk)
    }

    pub(super) async fn query_many(
        &self,
        on: &mut PgConnection,
        sql: &str,
        rows: &[Row],
    ) -> Result<Vec<Vec<Row>>, StoreError> {
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let Stated { sql, rows, named } = &Stated::of(sql, rows)?;
        let types = self.types(on, sql, *named).await?;
        let mut found: Vec<Vec<Row>> = vec![Vec::new(); rows.len()];
        let bulk = if rows.len() > 1 { self.answers(on, sql, &types).await? } else { None };
        let Some(bulk) = bulk else {
            for (row, found) in rows.iter().zip(&mut found) {
                let take = |row: &PgRow| {
                    found.push(decode::cells(row, 0)?);
                    Ok(())
                };
                self.fetch(on, sql, self.one(sql, &types, row)?, take).await?;
            }
            return Ok(found);
        };
        let (bulk, before) = &*bulk;
        let mut done = 0;
        while done < rows.len() {
            let chunk = &rows[done..done + at_once(&rows[done..], &[])];
            let answers = &mut found[done..done + chunk.len()];
            let take = |row: &PgRow| {
                let number: i64 = row.try_get(0)?;
                let answer = usize::try_from(number - 1).ok().and_then(|index| answers.get_mut(index));
                answer.ok_or("an answer to no question")?.push(decode::cells(row, *before)?);
                Ok(())
            };
            self.fetch(on, bulk, self.arrays(sql, &types, chunk)?, take).await?;
            done += chunk.len();
        }
        Ok(found)
    }

    async fn answers(
        &self,
        on: &mut PgConnection,
        sql: &str,
        types: &[Type],
    ) -> Result<Option<Arc<(String, usize)>>, StoreError> {
        if let Some(known) = self.answers.get(sql) {
            return Ok(known);
        }
        let bulk = if can_be_rows(types) { bulk::query_many(sql, types.len()) } else { None };
        let bulk = match bulk {
            Some(bulk) if self.takes(on, &bulk.0, types).await? => Some(Arc::new(bulk)),
            _ => None,
        };
        self.answers.insert(sql.to_owned(), bulk.clone());
        Ok(bulk)
    }
}

fn can_be_rows(types: &[Type]) -> bool {
    !types.is_empty() && types.iter().all(|known| known.kind != Kind::Other)
}

/// How many of the rows go into one statement: not too many, not too large, and no two that are alike in `unique`.
fn at_once(rows: &[Row], unique: &[usize]) -> usize {
    #[derive(PartialEq, Eq, Hash)]
    enum Part<'r> {
        Null,
        Integer(i64),
        Text(&'r str),
        Bytes(&'r [u8]),
        Real(u64),
    }
    let part = |cell| match cell {
        &Cell::Null => Part::Null,
        &Cell::Integer(number) => Part::Integer(number),
        &Cell::Real(number) => Part::Real(number.to_bits()),
        Cell::Text(text) => Part::Text(text),
        Cell::Bytes(bytes) => Part::Bytes(bytes),
    };
    let mut seen: HashSet<Vec<Part<'_>>> = HashSet::new();
    let mut bytes = 0;
    for (index, row) in rows.iter().enumerate().take(ROWS_AT_ONCE) {
        bytes += row.iter().map(size).sum::<usize>();
        let again = !unique.is_empty() && !seen.insert(unique.iter().map(|column| part(&row[*column])).collect());
        if index > 0 && (again || bytes > BYTES_AT_ONCE) {
            return index;
        }
    }
    rows.len().min(ROWS_AT_ONCE)
}

fn size(cell: &Cell) -> usize {
    match cell {
        Cell::Null => 4,
        Cell::Integer(_) | Cell::Real(_) => 12,
        Cell::Text(text) => text.len() + 4,
        Cell::Bytes(bytes) => bytes.len() + 4,
    }
}
