//! The table of postgres-es: rights to change it, its lock, its rows in pages, its names.

use std::time::Duration;

use sqlx::postgres::PgRow;
use sqlx::{Connection, Executor, PgConnection, Row, Transaction};

use super::super::location::{SchemaLocation, quoted};
use super::super::schema;
use super::mapping::OldEvent;
use super::{DOING, OLD};
use crate::store::StoreError;

/// How long the lock is tried before the wait is reported.
const AT_ONCE: Duration = Duration::from_millis(200);
/// The most rows of a page, and about how many bytes it has.
const PAGE: usize = 1_000;
const PAGE_BYTES: usize = 8 << 20;
/// What the indexes of the old table are called, so that the new table can have their names.
const PREFIX: &str = "postgres_es_";
/// Postgres cuts longer names.
const LONGEST_NAME: usize = 63;

/// Begins a transaction that sees what was committed before each of its statements, whatever the default of the role or the
/// database is: rows that others commit while it waits for a lock are not missed. Policies that hide rows become errors.
pub(super) async fn begin<'c>(
    location: &SchemaLocation,
    connection: &'c mut PgConnection,
    wait: Duration,
) -> Result<Transaction<'c, sqlx::Postgres>, StoreError> {
    let mut transaction = schema::begin(location, connection).await?;
    let settings = "SET LOCAL row_security = off; SET LOCAL statement_timeout = 0; \
         SET LOCAL idle_in_transaction_session_timeout = 0";
    transaction.execute(settings).await.map_err(|error| location.fault(DOING, error))?;
    limit_waits(location, &mut transaction, wait).await?;
    Ok(transaction)
}

/// Sets how long each later statement of the transaction waits for a lock.
async fn limit_waits(
    location: &SchemaLocation,
    connection: &mut PgConnection,
    wait: Duration,
) -> Result<(), StoreError> {
    let sql = format!("SET LOCAL lock_timeout = {}", milliseconds(wait));
    connection.execute(sql.as_str()).await.map(drop).map_err(|error| location.fault(DOING, error))
}

/// At least one, since zero means no limit.
fn milliseconds(wait: Duration) -> u64 {
    u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).clamp(1, i32::MAX as u64)
}

/// Checks that this user may take the table over, or put it back.
pub(super) async fn check_rights(
    location: &SchemaLocation,
    connection: &mut PgConnection,
) -> Result<(), StoreError> {
    match lacking(location, connection).await? {
        Some(lacking) => Err(location.unusable(lacking)),
        None => Ok(()),
    }
}

/// Returns the rights that this user lacks, and how to get them.
pub(super) async fn lacking(
    location: &SchemaLocation,
    connection: &mut PgConnection,
) -> Result<Option<String>, StoreError> {
    const ASK: &str = "SELECT current_user::text, pg_get_userbyid(c.relowner)::text, pg_has_role(c.relowner, 'USAGE'), \
             has_schema_privilege(n.oid, 'CREATE'), pg_get_userbyid(n.nspowner)::text \
         FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         WHERE n.nspname = $1 AND c.relname = 'events'";
    let asked = sqlx::query(ASK).persistent(false).bind(location.plain_schema()).fetch_one(connection).await;
    let read = |row: PgRow| {
        Ok((
            row.try_get::<String, _>(0)?,
            row.try_get::<String, _>(1)?,
            row.try_get::<bool, _>(2)?,
            row.try_get::<bool, _>(3)?,
            row.try_get::<String, _>(4)?,
        ))
    };
    let (user, owner, owns, creates, schema_owner) =
        asked.and_then(read).map_err(|error| location.fault(DOING, error))?;
    let mut steps = Vec::new();
    if !owns {
        steps.push(format!("connect as `{owner}`, who owns the table `events`"));
    }
    if !creates {
        // The owner needs it too, also if another user connects.
        let role = if owns { &user } else { &owner };
        let schema = location.schema();
        steps.push(format!("as `{schema_owner}`, run GRANT CREATE, USAGE ON SCHEMA {schema} TO {}", quoted(role)));
    }
    Ok((!steps.is_empty()).then(|| {
        format!(
            "the user `{user}` lacks a right: it has to own the table `events` and to have the right CREATE on the schema: {}",
            steps.join("; ")
        )
    }))
}

/// Locks the schema against other programs that create or migrate it.
pub(super) async fn lock_schema(
    location: &SchemaLocation,
    connection: &mut PgConnection,
    wait: Duration,
) -> Result<(), StoreError> {
    schema::lock(location, connection).await.map_err(|error| match error {
        StoreError::Busy(_) => location.unusable(format!(
            "another program creates, migrates or opens it for the first time, and had not finished within {wait:?}: try again"
        )),
        other => other,
    })
}

/// Locks a table against all other transactions. It waits for those that use it, and says so.
pub(super) async fn lock(
    location: &SchemaLocation,
    connection: &mut PgConnection,
    table: &str,
    wait: Duration,
) -> Result<(), StoreError> {
    let (first, rest) = (wait.min(AT_ONCE), wait.saturating_sub(AT_ONCE));
    if try_lock(location, connection, table, first).await? {
        return limit_waits(location, connection, wait).await;
    }
    let users = users(location, connection, table).await?;
    if !rest.is_zero() {
        tracing::warn!(store = location.name(), "waiting up to {wait:?} for the table `{table}`, used by {users}");
        if try_lock(location, connection, table, rest).await? {
            return limit_waits(location, connection, wait).await;
        }
    }
    let users = self::users(location, connection, table).await?;
    Err(location.unusable(format!(
        "the table `{table}` was not free within {wait:?}, and nothing was changed. It is used by {users}: stop every program \
         that uses it, then run this again"
    )))
}

async fn try_lock(
    location: &SchemaLocation,
    connection: &mut PgConnection,
    table: &str,
    wait: Duration,
) -> Result<bool, StoreError> {
    let mut attempt = connection.begin().await.map_err(|error| location.fault(DOING, error))?;
    limit_waits(location, &mut attempt, wait).await?;
    let sql = location.sql(&format!("LOCK TABLE {{schema}}.{table} IN ACCESS EXCLUSIVE MODE"));
    match attempt.execute(sql.as_str()).await {
        Ok(_) => attempt.commit().await.map(|()| true).map_err(|error| location.fault(DOING, error)),
        Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some("55P03") => {
            attempt.rollback().await.map(|()| false).map_err(|error| location.fault(DOING, error))
        }
        Err(error) => Err(location.fault(DOING, error)),
    }
}

/// Returns the sessions that hold a lock of the table, in words.
async fn users(
    location: &SchemaLocation,
    connection: &mut PgConnection,
    table: &str,
) -> Result<String, StoreError> {
    let sql = location.sql(&format!(
        "SELECT DISTINCT a.pid, coalesce(a.usename::text, ''), coalesce(a.application_name, ''), coalesce(a.state, '') \
         FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid \
         WHERE l.locktype = 'relation' AND l.relation = '{{schema}}.{table}'::regclass AND l.granted \
         AND l.pid <> pg_backend_pid() ORDER BY a.pid LIMIT 10"
    ));
    let rows = connection.fetch_all(sql.as_str()).await.map_err(|error| location.fault(DOING, error))?;
    let mut users = Vec::new();
    for row in &rows {
        let read = || -> Result<String, sqlx::Error> {
            let (pid, user): (i32, String) = (row.try_get(0)?, row.try_get(1)?);
            let (program, state): (String, String) = (row.try_get(2)?, row.try_get(3)?);
            let program = if program.is_empty() { String::new() } else { format!(" with the program `{program}`") };
            Ok(format!("session {pid} of `{user}`{program} ({state})"))
        };
        users.push(read().map_err(|error| location.fault(DOING, error))?);
    }
    Ok(match users.is_empty() {
        // It has ended, or another one waits before this one.
        true => "a session that has ended since".to_owned(),
        false => users.join(", "),
    })
}

/// Renames the table and its indexes, whose names the store needs.
pub(super) async fn set_aside(location: &SchemaLocation, connection: &mut PgConnection) -> Result<(), StoreError> {
    schema::execute(location, connection, &format!("ALTER TABLE {{schema}}.events RENAME TO {OLD}")).await?;
    for name in indexes(location, connection).await? {
        let new = format!("{PREFIX}{name}");
        // The names that the store needs are short.
        if new.len() <= LONGEST_NAME {
            rename_index(location, connection, &name, &new).await?;
        }
    }
    Ok(())
}

/// Gives the table and its indexes their old names.
pub(super) async fn put_back(location: &SchemaLocation, connection: &mut PgConnection) -> Result<(), StoreError> {
    for name in indexes(location, connection).await? {
        if let Some(old) = name.strip_prefix(PREFIX) {
            rename_index(location, connection, &name, old).await?;
        }
    }
    schema::execute(location, connection, &format!("ALTER TABLE {{schema}}.{OLD} RENAME TO events")).await
}

async fn indexes(location: &SchemaLocation, connection: &mut PgConnection) -> Result<Vec<String>, StoreError> {
    let sql = location.sql(&format!(
        "SELECT i.relname::text FROM pg_catalog.pg_index x JOIN pg_catalog.pg_class i ON i.oid = x.indexrelid \
         WHERE x.indrelid = '{{schema}}.{OLD}'::regclass"
    ));
    let rows = connection.fetch_all(sql.as_str()).await.map_err(|error| location.fault(DOING, error))?;
    rows.iter().map(|row| row.try_get(0).map_err(|error| location.fault(DOING, error))).collect()
}

async fn rename_index(
    location: &SchemaLocation,
    connection: &mut PgConnection,
    from: &str,
    to: &str,
) -> Result<(), StoreError> {
    let sql = format!("ALTER INDEX {{schema}}.{} RENAME TO {}", quoted(from), quoted(to));
    schema::execute(location, connection, &sql).await
}

/// Returns one value about the tables.
pub(super) async fn ask<T>(
    location: &SchemaLocation,
    connection: &mut PgConnection,
    sql: &str,
) -> Result<T, StoreError>
where
    T: for<'r> sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres>,
{
    let sql = location.sql(sql);
    let row = connection.fetch_one(sql.as_str()).await.map_err(|error| location.fault(DOING, error))?;
    row.try_get(0).map_err(|error| location.fault(DOING, error))
}

/// The number of rows of a table.
pub(super) async fn count(
    location: &SchemaLocation,
    connection: &mut PgConnection,
    table: &str,
) -> Result<u64, StoreError> {
    let rows: i64 = ask(location, connection, &format!("SELECT count(*) FROM {{schema}}.{table}")).await?;
    Ok(rows.cast_unsigned())
}

/// The old rows in an order, in pages of bounded size.
pub(super) struct Pages<'a> {
    location: &'a SchemaLocation,
    rows: usize,
}

impl<'a> Pages<'a> {
    /// `from` is the table, called `e`, with what is joined to it, and the order.
    pub(super) async fn open(
        location: &'a SchemaLocation,
        connection: &mut PgConnection,
        from: &str,
    ) -> Result<Self, StoreError> {
        let columns = OldEvent::COLUMNS;
        let sql = format!("DECLARE old NO SCROLL CURSOR FOR SELECT {columns} FROM {from}");
        schema::execute(location, connection, &sql).await?;
        Ok(Self { location, rows: 64 })
    }

    /// Returns the next rows; none at the end.
    pub(super) async fn next(&mut self, connection: &mut PgConnection) -> Result<Vec<OldEvent>, StoreError> {
        let fault = |error| self.location.fault(DOING, error);
        let fetch = format!("FETCH {} FROM old", self.rows);
        let rows = connection.fetch_all(fetch.as_str()).await.map_err(fault)?;
        let page = rows.iter().map(OldEvent::read).collect::<Result<Vec<_>, _>>().map_err(fault)?;
        if let Some(mean) = page.iter().map(OldEvent::bytes).sum::<usize>().checked_div(page.len()) {
            self.rows = (PAGE_BYTES / mean.max(1)).clamp(1, PAGE.min(self.rows * 2));
        } else {
            connection.execute("CLOSE old").await.map_err(fault)?;
        }
        Ok(page)
    }
}
