//! Backup, and what the database itself finds wrong.

use std::path::Path;

use futures::TryStreamExt;
use sqlx::{Connection, Executor, Row};

use super::place::Place;
use super::reader::Reader;
use super::schema::{APPEND, GUARD, LOCK};
use crate::store::StoreError;

const CHECK: &str = "checking the schema";

/// What is missing of the schema or was changed, and where events and commands disagree.
pub(super) async fn integrity(place: &Place) -> Result<Vec<String>, StoreError> {
    let mut connection = place.connect().await?;
    let mut transaction = connection.begin().await.map_err(|error| place.fault(CHECK, error))?;
    let mut findings = Vec::new();
    // One moment for all of it.
    let snapshot = transaction.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY").await;
    snapshot.map_err(|error| place.fault(CHECK, error))?;
    let sql = "SELECT proname::text, prosrc, prosecdef FROM pg_catalog.pg_proc p \
         JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = $1";
    let rows = sqlx::query(sql).persistent(false).bind(place.plain_schema()).fetch_all(&mut *transaction).await;
    let mut found = Vec::new();
    for row in rows.map_err(|error| place.fault(CHECK, error))? {
        let function =
            || Ok((row.try_get::<String, _>(0)?, row.try_get::<String, _>(1)?, row.try_get::<bool, _>(2)?));
        found.push(function().map_err(|error| place.fault(CHECK, error))?);
    }
    for (name, body) in bodies(place) {
        let same = |(other, text, definer): &&(String, String, bool)| {
            *other == name && *text == body && *definer == !matches!(name.as_str(), "stay" | "unreadable")
        };
        if found.iter().filter(same).count() != 1 || found.iter().filter(|(other, ..)| *other == name).count() != 1
        {
            findings.push(format!("the function {name} is missing or was changed"));
        }
    }
    let sql = place.sql(include_str!("integrity.sql"));
    let mut rows =
        sqlx::query_scalar::<_, String>(&sql).persistent(false).bind(place.plain_schema()).fetch(&mut *transaction);
    while let Some(finding) = rows.try_next().await.map_err(|error| place.fault(CHECK, error))? {
        findings.push(finding);
    }
    Ok(findings)
}

/// The functions that the migrations make, with what is in them.
fn bodies(place: &Place) -> Vec<(String, String)> {
    let mut bodies = Vec::new();
    for file in [GUARD, LOCK, APPEND] {
        let sql = place.sql(file).replace("CREATE OR REPLACE FUNCTION", "CREATE FUNCTION");
        let mut parts = sql.split("$annals$");
        while let (Some(before), Some(body)) = (parts.next(), parts.next()) {
            let start = format!("CREATE FUNCTION {}.", place.schema());
            let name = before.rsplit_once(&start).and_then(|(_, rest)| rest.split('(').next());
            bodies.extend(name.map(|name| (name.to_owned(), body.to_owned())));
        }
    }
    bodies
}

/// Writes the log, as of one moment, as a SQLite log: a store that this crate opens.
#[cfg(feature = "sqlite")]
pub(super) async fn backup(
    place: &Place,
    reader: &Reader,
    to: &Path,
    mut progress: Box<dyn FnMut(u64, u64) + Send>,
) -> Result<(), StoreError> {
    use super::schema::{State, inspect};
    use crate::store::Interest;
    use crate::store::sqlite::copy::Copy;

    /// Rows of a page.
    const PAGE: usize = 5_000;

    async fn write<T: Send + 'static>(
        mut copy: Copy,
        rows: Vec<T>,
        add: fn(&mut Copy, &[T]) -> Result<(), StoreError>,
    ) -> Result<Copy, StoreError> {
        let written = tokio::task::spawn_blocking(move || add(&mut copy, &rows).map(|()| copy));
        written.await.map_err(|error| super::fault::told("making a backup", error.to_string()))?
    }

    let mut connection = place.connect().await?;
    let mut look = connection.begin().await.map_err(|error| place.fault(CHECK, error))?;
    let found = inspect(place, &mut look).await?;
    drop(look);
    drop(connection);
    let State::Ours { app, log_id, .. } = found else {
        return Err(StoreError::Missing(place.name().to_owned()));
    };
    let head = reader.head().await?;
    let target = to.to_owned();
    let begun = tokio::task::spawn_blocking(move || Copy::begin(&target, app, log_id));
    let mut copy = begun.await.map_err(|error| super::fault::told("making a backup", error.to_string()))??;
    let mut after = 0;
    while after < head.position {
        let mut page = reader.read(after, PAGE, &Interest::All).await?;
        page.events.retain(|event| event.position <= head.position);
        let Some(last) = page.events.last() else { break };
        after = last.position;
        copy = write(copy, page.events, Copy::events).await?;
        progress(after.min(head.position - 1), head.position);
    }
    let mut last = None;
    loop {
        let commands = reader.commands_after(last, head.position, PAGE).await?;
        let Some((known, _)) = commands.last() else { break };
        last = Some(known.receipt.command_id);
        copy = write(copy, commands, Copy::commands).await?;
    }
    let finished = tokio::task::spawn_blocking(move || copy.finish());
    finished.await.map_err(|error| super::fault::told("making a backup", error.to_string()))??;
    progress(head.position, head.position);
    Ok(())
}

#[cfg(not(feature = "sqlite"))]
pub(super) async fn backup(
    place: &Place,
    _: &Reader,
    _: &Path,
    _: Box<dyn FnMut(u64, u64) + Send>,
) -> Result<(), StoreError> {
    Err(place.unusable(format!(
        "a backup is a SQLite file, and this program was built without SQLite: use `pg_dump --schema={}`",
        place.plain_schema()
    )))
}
