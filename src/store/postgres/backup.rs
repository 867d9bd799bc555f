//! Backup.

use std::path::Path;

#[cfg(feature = "sqlite")]
use sqlx::Connection;

use super::location::SchemaLocation;
use super::reader::Reader;
use crate::store::StoreError;

/// Writes the log, as of one moment, as a SQLite log: a store that this crate opens.
#[cfg(feature = "sqlite")]
pub(super) async fn backup(
    location: &SchemaLocation,
    reader: &Reader,
    to: &Path,
    mut progress: Box<dyn FnMut(u64, u64) + Send>,
) -> Result<(), StoreError> {
    use super::schema::{State, inspect};
    use crate::store::Interest;
    use crate::store::sqlite::backup_writer::BackupWriter;

    /// Rows of a page.
    const PAGE: usize = 5_000;
    const PAGE_BYTES: usize = 8 << 20;

    async fn write<T: Send + 'static>(
        mut copy: BackupWriter,
        rows: Vec<T>,
        add: fn(&mut BackupWriter, &[T]) -> Result<(), StoreError>,
    ) -> Result<BackupWriter, StoreError> {
        let written = tokio::task::spawn_blocking(move || add(&mut copy, &rows).map(|()| copy));
        written.await.map_err(|error| StoreError::failed("making a backup", error.to_string()))?
    }

    let mut connection = location.connect().await?;
    let mut look = connection.begin().await.map_err(|error| location.fault("making a backup", error))?;
    let found = inspect(location, &mut look).await?;
    drop(look);
    drop(connection);
    let State::Ours { app, log_id, .. } = found else {
        return Err(StoreError::Missing(location.name().to_owned()));
    };
    let head = reader.head().await?;
    let target = to.to_owned();
    let begun = tokio::task::spawn_blocking(move || BackupWriter::begin(&target, app, log_id));
    let mut copy = begun.await.map_err(|error| StoreError::failed("making a backup", error.to_string()))??;
    let info = reader.info().await?;
    if !info.requires.is_empty() {
        copy = write(copy, vec![info.requires], |copy, names: &[String]| {
            names.iter().try_for_each(|names| copy.require(names))
        })
        .await?;
    }
    let mut after = 0;
    while after < head.position {
        let mut page = reader.read(after, PAGE, PAGE_BYTES, &Interest::All).await?;
        page.events.retain(|event| event.position <= head.position);
        let Some(last) = page.events.last() else { break };
        after = last.position;
        copy = write(copy, page.events, BackupWriter::events).await?;
        progress(after.min(head.position - 1), head.position);
    }
    let mut last = None;
    loop {
        let commands = reader.commands_after(last, head.position, PAGE).await?;
        let Some(known) = commands.last() else { break };
        last = Some(known.receipt.command_id);
        copy = write(copy, commands, BackupWriter::commands).await?;
    }
    let finished = tokio::task::spawn_blocking(move || copy.finish());
    finished.await.map_err(|error| StoreError::failed("making a backup", error.to_string()))??;
    progress(head.position, head.position);
    Ok(())
}

#[cfg(not(feature = "sqlite"))]
pub(super) async fn backup(
    location: &SchemaLocation,
    _: &Reader,
    _: &Path,
    _: Box<dyn FnMut(u64, u64) + Send>,
) -> Result<(), StoreError> {
    Err(location.unusable(format!(
        "a backup is a SQLite file, and this program was built without SQLite: use `pg_dump --schema={}`",
        location.plain_schema()
    )))
}
