//! Opening a schema: its application, its version, and migrations to the version of this program.

use sqlx::{Connection, Executor, PgConnection, Postgres, Row, Transaction};

use super::location::SchemaLocation;
use super::{notices, owner};
use crate::store::StoreError;

const DOING: &str = "opening the store";
/// The oldest server that this crate is tested with.
const OLDEST: i32 = 130_000;

/// The SQL files that bring the schema from each version to the next: the first ones make version 1. A new version is a
/// new file at the end of this list; a file that was released is never edited, but for the one that replaces the append
/// function, which each version that edits it runs again.
const MIGRATIONS: &[&[&str]] = &[
    &[LOG, GUARD],
    &[super::views::SCHEMA],
    &[LOCK],
    &[APPEND],
    &[super::views::SNAPSHOT_DIGESTS],
    &[CONSTRAINTS],
    // Another body of the function.
    &[APPEND],
    &[EXPIRY],
    // Another argument of the function.
    &[KNOWING, APPEND, KNOWN],
];

const LOG: &str = include_str!("log.sql");
pub(super) const GUARD: &str = include_str!("guard.sql");
pub(super) const LOCK: &str = include_str!("lock.sql");
pub(super) const APPEND: &str = include_str!("append.sql");
pub(super) const EXPIRY: &str = include_str!("expiry.sql");
const KNOWING: &str = include_str!("knowing.sql");
const KNOWN: &str = include_str!("known.sql");
const CONSTRAINTS: &str = include_str!("constraints.sql");

/// The newest version that this program knows.
pub(super) const VERSION: i64 = MIGRATIONS.len() as i64;

/// The tables that this crate creates.
pub(super) const TABLES: [&str; 8] =
    ["events", "commands", "meta", "head", "projections", "notes", "leases", "aggregate_snapshots"];

/// The columns of postgres-es's `events`, with their types.
const STOCK: [(&str, &str); 7] = [
    ("aggregate_type", "text"),
    ("aggregate_id", "text"),
    ("sequence", "bigint"),
    ("event_type", "text"),
    ("event_version", "text"),
    ("payload", "json"),
    ("metadata", "json"),
];

/// The content of a schema.
#[derive(Debug, PartialEq)]
pub(super) enum State {
    /// No table of a name that this crate uses.
    Empty,
    /// A store.
    Ours { version: i64, app: String, log_id: String },
    /// The `events` of postgres-es, and no other table of this crate's names.
    PostgresEs,
    /// Other tables: the message says which.
    Foreign(String),
}

/// Checks that the schema is this application's, or creates it. Returns the server's version and durability settings.
pub(super) async fn prepare(location: &SchemaLocation, app: &str, create: bool) -> Result<String, StoreError> {
    let mut connection = location.connect().await?;
    let settings = server(location, &mut connection).await?;
    let found = look(location, &mut connection).await?;
    let fits = match usable(location, app, found)? {
        Some(version) => version == VERSION,
        None => false,
    };
    if !fits {
        migrate(location, &mut connection, app, create).await?;
    }
    // Closing is only a courtesy to the server.
    let _ = connection.close().await;
    Ok(settings)
}

/// Begins a transaction in which each statement sees what was committed before it, whatever the default of the role or the
/// database is: after a wait for a lock, what the holder of the lock committed.
pub(super) async fn begin<'c>(
    location: &SchemaLocation,
    connection: &'c mut PgConnection,
) -> Result<Transaction<'c, Postgres>, StoreError> {
    let begun = connection.begin_with("BEGIN ISOLATION LEVEL READ COMMITTED").await;
    begun.map_err(|error| location.fault(DOING, error))
}

/// Returns the content of the schema.
pub(super) async fn look(location: &SchemaLocation, connection: &mut PgConnection) -> Result<State, StoreError> {
    // In a transaction: behind a pooler two statements may otherwise run on two connections.
    let mut look = begin(location, connection).await?;
    let found = inspect(location, &mut look).await?;
    look.rollback().await.map_err(|error| location.fault(DOING, error))?;
    Ok(found)
}

/// Returns the version of this application's store; `None` if the schema is empty.
pub(super) fn usable(location: &SchemaLocation, app: &str, state: State) -> Result<Option<i64>, StoreError> {
    match state {
        State::Empty => Ok(None),
        State::Ours { version, .. } if version > VERSION => {
            Err(StoreError::Newer { found: version, known: VERSION })
        }
        State::Ours { app: found, .. } if found != app => Err(location.unusable(format!(
            "it belongs to the application `{found}`, this one is `{app}`: name another schema with `?schema=`"
        ))),
        State::Ours { version, .. } => Ok(Some(version)),
        State::PostgresEs => Err(location.unusable(
            "its `events` table is that of postgres-es: run `migrate` to take it over, or name another schema with \
             `?schema=`"
                .to_owned(),
        )),
        State::Foreign(what) => {
            Err(location.unusable(format!("{what}: name another schema with `?schema=`, which will be created")))
        }
    }
}

/// Migrates the schema to [`VERSION`], in one transaction, one process at a time.
pub(super) async fn migrate(
    location: &SchemaLocation,
    connection: &mut PgConnection,
    app: &str,
    create: bool,
) -> Result<(), StoreError> {
    let mut transaction = begin(location, connection).await?;
    if create {
        lock(location, &mut transaction).await?;
    }
    let version = usable(location, app, inspect(location, &mut transaction).await?)?;
    match version {
        Some(VERSION) => return Ok(()),
        None if !create => return Err(StoreError::Missing(location.name().to_owned())),
        Some(found) if !create => {
            return Err(location.unusable(format!(
                "its schema has version {found}, this program needs {VERSION}: run `migrate` as its owner"
            )));
        }
        _ => {}
    }
    owner::may_migrate(location, &mut transaction, version).await?;
    if version.is_none() {
        make_schema(location, &mut transaction).await?;
    }
    run(location, &mut transaction, version.unwrap_or(0), VERSION).await?;
    if version.is_none() {
        sign(location, &mut transaction, app).await?;
    }
    transaction.commit().await.map_err(|error| location.fault(DOING, error))
}

/// Locks the schema against other processes that migrate it.
pub(super) async fn lock(location: &SchemaLocation, connection: &mut PgConnection) -> Result<(), StoreError> {
    sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended('annals ' || $1, 0))")
        .persistent(false)
        .bind(location.plain_schema())
        .execute(connection)
        .await
        .map_err(|error| location.fault(DOING, error))?;
    Ok(())
}

async fn make_schema(location: &SchemaLocation, connection: &mut PgConnection) -> Result<(), StoreError> {
    // Checked first: a user without the right to create schemas may use an existing one.
    let there: bool = sqlx::query("SELECT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = $1)")
        .persistent(false)
        .bind(location.plain_schema())
        .fetch_one(&mut *connection)
        .await
        .and_then(|row| row.try_get(0))
        .map_err(|error| location.fault(DOING, error))?;
    if there { Ok(()) } else { execute(location, connection, "CREATE SCHEMA {schema}").await }
}

/// Runs the migrations from version `from` to version `to`, and stores the version.
pub(super) async fn run(
    location: &SchemaLocation,
    connection: &mut PgConnection,
    from: i64,
    to: i64,
) -> Result<(), StoreError> {
    for (migration, makes) in MIGRATIONS.iter().zip(1..=to) {
        for sql in migration.iter().filter(|_| makes > from) {
            execute(location, connection, sql).await?;
        }
    }
    let sql = location.sql(
        "INSERT INTO {schema}.meta (key, value) VALUES ('version', $1) ON CONFLICT (key) DO UPDATE SET value = $1",
    );
    let noted = sqlx::query(&sql).persistent(false).bind(to.to_string()).execute(connection).await;
    noted.map_err(|error| location.fault(DOING, error))?;
    Ok(())
}

/// Stores the name of the application and a new id of the log.
pub(super) async fn sign(
    location: &SchemaLocation,
    connection: &mut PgConnection,
    app: &str,
) -> Result<(), StoreError> {
    let sql = location.sql("INSERT INTO {schema}.meta (key, value) VALUES ('app', $1), ('log_id', $2)");
    let signed = sqlx::query(&sql).persistent(false).bind(app).bind(uuid::Uuid::new_v4().to_string());
    signed.execute(connection).await.map_err(|error| location.fault(DOING, error))?;
    Ok(())
}

/// Runs the statements of a file.
pub(super) async fn execute(
    location: &SchemaLocation,
    connection: &mut PgConnection,
    sql: &str,
) -> Result<(), StoreError> {
    let sql = location.sql(sql);
    connection.execute(sql.as_str()).await.map_err(|error| location.fault(DOING, error))?;
    Ok(())
}

/// Checks the server's version and encoding. Returns its settings as text, with a warning if it may lose acknowledged
/// commits.
async fn server(location: &SchemaLocation, connection: &mut PgConnection) -> Result<String, StoreError> {
    let sql = "SELECT current_setting('server_version_num'), current_setting('server_version'), \
         current_setting('server_encoding'), current_setting('fsync'), current_setting('synchronous_commit'), \
         current_setting('full_page_writes'), current_setting('synchronous_standby_names')";
    let row = connection.fetch_one(sql).await.map_err(|error| location.fault(DOING, error))?;
    let text = |index| row.try_get::<String, _>(index).map_err(|error| location.fault(DOING, error));
    let (version, fsync, synchronous, full) = (text(1)?, text(3)?, text(4)?, text(5)?);
    if let Some(reason) = fitness(text(0)?.parse().unwrap_or(0), &version, &text(2)?) {
        return Err(location.unusable(reason));
    }
    // The append function sets it to on.
    let synchronous = if synchronous == "off" { "on" } else { &synchronous };
    let mut words = format!("PostgreSQL {version}, fsync={fsync}, synchronous_commit={synchronous}");
    for (name, value) in [("fsync", fsync), ("full_page_writes", full)] {
        if value == "off" {
            let weakness = format!("{name}=off: a crash of the server's machine may lose or damage the log");
            tracing::warn!(store = location.name(), "acknowledged commands may be lost: {weakness}");
            words.push_str(&format!(" (NOT DURABLE: {weakness})"));
        }
    }
    let standbys = text(6)?;
    if !standbys.is_empty() {
        words.push_str(&format!(", synchronous_standby_names='{standbys}'"));
        // A harmless statement that PostgreSQL warns of.
        let (_, warned) = notices::watch(connection.execute("ROLLBACK")).await;
        if !warned {
            let weakness = "this program does not see warnings of the server: it would not notice a cancelled wait for a standby";
            tracing::warn!(store = location.name(), "acknowledged commands may be lost in a failover: {weakness}");
            words.push_str(&format!(" (NOT VERIFIED: {weakness})"));
        }
    }
    Ok(words)
}

/// Returns why a server cannot be used, if it cannot.
fn fitness(number: i32, version: &str, encoding: &str) -> Option<String> {
    if number < OLDEST {
        let oldest = OLDEST / 10_000;
        return Some(format!("the server is PostgreSQL {version}: version {oldest} or later is needed"));
    }
    (encoding != "UTF8").then(|| {
        format!(
            "the database's encoding is {encoding}: make one with `createdb --encoding=UTF8 --template=template0`"
        )
    })
}

/// Returns the content of the schema. Runs in a transaction.
pub(super) async fn inspect(location: &SchemaLocation, connection: &mut PgConnection) -> Result<State, StoreError> {
    let sql = "SELECT c.relname::text, a.attname::text, pg_catalog.format_type(a.atttypid, a.atttypmod) \
         FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped \
         WHERE n.nspname = $1 AND c.relkind NOT IN ('i', 'I', 't') AND c.relname::text = ANY ($2) \
         ORDER BY c.relname, a.attnum";
    let rows = sqlx::query(sql)
        .persistent(false)
        .bind(location.plain_schema())
        .bind(TABLES)
        .fetch_all(&mut *connection)
        .await
        .map_err(|error| location.fault(DOING, error))?;
    let mut columns: Vec<(String, String, String)> = Vec::with_capacity(rows.len());
    for row in rows {
        let column = |index| row.try_get::<Option<String>, _>(index).map(Option::unwrap_or_default);
        columns.push((
            column(0).map_err(|error| location.fault(DOING, error))?,
            column(1).map_err(|error| location.fault(DOING, error))?,
            column(2).map_err(|error| location.fault(DOING, error))?,
        ));
    }
    if columns.iter().any(|(table, column, _)| table == "meta" && column == "value")
        && columns.iter().any(|(table, column, _)| table == "meta" && column == "key")
        && let Some(ours) = meta(location, connection).await?
    {
        return Ok(ours);
    }
    Ok(judge(&columns))
}

/// Returns what a `meta` table of this crate contains; `None` if it is another application's.
async fn meta(location: &SchemaLocation, connection: &mut PgConnection) -> Result<Option<State>, StoreError> {
    let sql = location
        .sql("SELECT key::text, value::text FROM {schema}.meta WHERE key::text IN ('app', 'log_id', 'version')");
    let rows = sqlx::query(&sql)
        .persistent(false)
        .fetch_all(connection)
        .await
        .map_err(|error| location.fault(DOING, error))?;
    let (mut app, mut log_id, mut version) = (None, None, None);
    for row in rows {
        let (key, value): (String, String) = (
            row.try_get(0).map_err(|error| location.fault(DOING, error))?,
            row.try_get(1).map_err(|error| location.fault(DOING, error))?,
        );
        match key.as_str() {
            "app" => app = Some(value),
            "log_id" => log_id = Some(value),
            _ => version = value.parse().ok(),
        }
    }
    let ours = |((app, log_id), version)| State::Ours { version, app, log_id };
    Ok(app.zip(log_id).zip(version).map(ours))
}

/// Returns what a schema with these tables, columns and types contains.
fn judge(columns: &[(String, String, String)]) -> State {
    if columns.is_empty() {
        return State::Empty;
    }
    if let Some((table, ..)) = columns.iter().find(|(table, ..)| table != "events") {
        return State::Foreign(format!("it holds a table `{table}` that is not this crate's"));
    }
    for (name, kind) in STOCK {
        match columns.iter().find(|(_, column, _)| column == name) {
            None => {
                return State::Foreign(format!(
                    "its table `events` has no column `{name}`: it is not this crate's"
                ));
            }
            Some((.., found)) if found != kind => {
                return State::Foreign(format!(
                    "the column `{name}` of its table `events` is {found}, not {kind}: it is not this crate's"
                ));
            }
            Some(_) => {}
        }
    }
    match columns.iter().find(|(_, column, _)| STOCK.iter().all(|(name, _)| name != column)) {
        Some((_, column, _)) => State::Foreign(format!(
            "its table `events` has a column `{column}` that is neither postgres-es's nor this crate's"
        )),
        None => State::PostgresEs,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_server_or_another_encoding_is_refused_with_what_to_do() {
        assert_eq!(fitness(130_000, "13.0", "UTF8"), None);
        assert_eq!(fitness(170_002, "17.2", "UTF8"), None);
        assert!(fitness(120_019, "12.19", "UTF8").unwrap().contains("PostgreSQL 12.19: version 13 or later"));
        assert!(fitness(150_018, "15.18", "SQL_ASCII").unwrap().contains("--encoding=UTF8"));
    }

    fn columns(all: &[(&str, &str)]) -> Vec<(String, String, String)> {
        all.iter().map(|(name, kind)| ("events".to_owned(), (*name).to_owned(), (*kind).to_owned())).collect()
    }

    #[test]
    fn only_a_table_with_exactly_the_columns_of_postgres_es_is_recognised_as_its() {
        assert_eq!(judge(&[]), State::Empty);
        assert_eq!(judge(&columns(&STOCK)), State::PostgresEs);
        let named = |columns: &[(String, String, String)]| match judge(columns) {
            State::Foreign(what) => what,
            other => panic!("it is {other:?}"),
        };
        assert!(named(&columns(&STOCK[1..])).contains("no column `aggregate_type`"));
        let mut other = STOCK;
        other[5].1 = "jsonb";
        assert!(named(&columns(&other)).contains("`payload` of its table `events` is jsonb, not json"));
        let more: Vec<_> = STOCK.into_iter().chain([("tenant", "text")]).collect();
        assert!(named(&columns(&more)).contains("`tenant`"));
        let beside = ("commands".to_owned(), "id".to_owned(), "uuid".to_owned());
        assert!(named(&[columns(&STOCK), vec![beside]].concat()).contains("`commands`"));
    }
}
