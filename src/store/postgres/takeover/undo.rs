//! Puts the table of postgres-es back, as long as nothing was written to the log since.

use sqlx::{PgConnection, Row};

use super::super::location::{SchemaLocation, quoted};
use super::super::schema::{self, State};
use super::super::views;
use super::{COMMAND, DOING, OLD, Takeover, table};
use crate::store::{OpenOptions, StoreError};

/// The result of undoing a migration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Undone {
    /// The number of events in the table of postgres-es.
    pub undone_events: u64,
}

/// Drops the log and gives the table of postgres-es its name again, in one transaction. Possible until the first command was
/// executed, since its events are in the log alone.
///
/// # Errors
/// When the schema is not a store that was taken over from postgres-es, something was written to it since, this user is not
/// its owner, or the database reports an error.
pub async fn undo_migration(url: &str, options: OpenOptions, takeover: &Takeover) -> Result<Undone, StoreError> {
    let location = SchemaLocation::parse(url)?;
    let mut connection = location.connect().await?;
    let wait = takeover.lock_wait();
    let mut transaction = table::begin(&location, &mut connection, wait).await?;
    let on = &mut *transaction;
    table::lock_schema(&location, on, wait).await?;
    let state = schema::inspect(&location, on).await?;
    if !matches!(state, State::Ours { .. }) {
        return Err(location.unusable("it is not a store: there is nothing to undo".to_owned()));
    }
    schema::usable(&location, &options.app, state)?;
    let taken_over: bool =
        table::ask(&location, on, &format!("SELECT to_regclass('{{schema}}.{OLD}') IS NOT NULL")).await?;
    if !taken_over {
        return Err(location.unusable(format!(
            "there is no table `{OLD}`: the store was not taken over from postgres-es, or the old rows were dropped"
        )));
    }
    table::check_rights(&location, on).await?;
    table::lock(&location, on, "events", wait).await?;
    let old = table::count(&location, on, OLD).await?;
    let events = table::count(&location, on, "events").await?;
    let commands: i64 = table::ask(
        &location,
        on,
        &format!("SELECT count(*) FROM {{schema}}.commands WHERE command <> '{COMMAND}'"),
    )
    .await?;
    if events != old || commands > 0 {
        return Err(location.unusable(format!(
            "{commands} commands with {} events were executed since the migration, and undoing it would lose them. It can be \
             undone until the first command (a recorded read or refusal is one too)",
            events.saturating_sub(old)
        )));
    }
    drop_store(&location, on).await?;
    table::put_back(&location, on).await?;
    transaction.commit().await.map_err(|error| location.after_sending(DOING, error))?;
    Ok(Undone { undone_events: old })
}

/// Drops the tables and functions of the store, and the tables of its projections.
async fn drop_store(location: &SchemaLocation, on: &mut PgConnection) -> Result<(), StoreError> {
    // No role has this name: all tables are those of others.
    let projections = views::tables_of_others(location, on, "").await;
    let mut tables: Vec<String> = schema::TABLES.map(str::to_owned).into();
    tables.extend(projections.map_err(|error| location.fault(DOING, error))?);
    let tables: Vec<String> = tables.iter().map(|table| format!("{{schema}}.{}", quoted(table))).collect();
    schema::execute(location, on, &format!("DROP TABLE IF EXISTS {}", tables.join(", "))).await?;
    const FUNCTIONS: &str = "SELECT p.oid::regprocedure::text FROM pg_catalog.pg_proc p \
         JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace \
         WHERE n.nspname = $1 AND p.proname IN ('append', 'expire', 'hold', 'stay', 'unreadable')";
    let found = sqlx::query(FUNCTIONS).persistent(false).bind(location.plain_schema()).fetch_all(&mut *on).await;
    for row in found.map_err(|error| location.fault(DOING, error))? {
        let function: String = row.try_get(0).map_err(|error| location.fault(DOING, error))?;
        schema::execute(location, on, &format!("DROP FUNCTION {function}")).await?;
    }
    Ok(())
}
