//! Reads the tables of provenance.

use std::collections::HashMap;
use std::fmt::Write;

use super::role::Role;
use super::tables::{MAKES, NAMES, READS, USES, VERSIONS};
use crate::projections::audit::Detail;
use crate::projections::dictionary::{self, key};
use crate::store::{Cell, Row, StoreError, ViewSnapshot};

/// The most successors of one version or command that are followed.
pub(super) const MAX_FANOUT: usize = 512;

/// The last position that exists for a query, and what its reader may see.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub position: u64,
    pub detail: Detail,
}

/// An event as a version.
#[derive(Clone, Copy, Debug)]
pub(super) struct VersionRow {
    pub thing: i64,
    pub sequence: u64,
    pub position: u64,
    /// The position of the first event of its command.
    pub first: u64,
    /// Whether it made a version: it did not delete its aggregate.
    pub makes: bool,
    /// The position of the event before it, if that made a version.
    pub previous: Option<u64>,
    /// The position of the next event of the aggregate.
    pub next: Option<u64>,
}

/// Something that an event or its command used.
#[derive(Clone, Debug)]
pub(super) struct UsedRow {
    pub position: u64,
    pub role: Role,
    /// The thing; for a causation, the name of a command or an event.
    pub name: String,
    pub sequence: u64,
    /// The position of the event that made the version; `None` if there is no such version.
    pub version: Option<u64>,
}

/// `$1, $2, $4 …` for these values. The last one is repeated up to a power of two, so that a database prepares few statements.
fn list(values: &[u64], parameters: &mut Row) -> String {
    let mut text = String::new();
    let padded = values
        .iter()
        .chain(std::iter::repeat_n(values.last().unwrap_or(&0), values.len().next_power_of_two() - values.len()));
    for value in padded {
        parameters.push((*value).into());
        // Writing to a string does not fail.
        let _ = write!(text, "{}${}", if text.is_empty() { "" } else { ", " }, parameters.len());
    }
    text
}

fn number(cell: &Cell) -> Option<u64> {
    u64::try_from(cell.integer()?).ok()
}

/// The number of a name.
pub(super) async fn number_of(name: &str, snapshot: &mut dyn ViewSnapshot) -> Result<Option<i64>, StoreError> {
    let found = dictionary::numbers(&NAMES, &[key(None, name)], snapshot).await?;
    Ok(found.into_values().next())
}

/// The versions that the events at these positions made or ended.
pub(super) async fn versions_at(
    positions: &[u64],
    snapshot: &mut dyn ViewSnapshot,
) -> Result<HashMap<u64, VersionRow>, StoreError> {
    if positions.is_empty() {
        return Ok(HashMap::new());
    }
    let (table, mut parameters) = (snapshot.table(VERSIONS.name), Row::new());
    let sql = format!(
        "SELECT v.thing, v.sequence, v.position, v.first, v.makes, p.position, p.makes, n.position FROM {table} v \
         LEFT JOIN {table} p ON p.thing = v.thing AND p.sequence = v.sequence - 1 \
         LEFT JOIN {table} n ON n.thing = v.thing AND n.sequence = v.sequence + 1 WHERE v.position IN ({})",
        list(positions, &mut parameters)
    );
    let rows = snapshot.query(&sql, parameters).await?;
    let version = |row: Row| match row.as_slice() {
        [thing, sequence, position, first, makes, previous, previous_makes, next] => {
            let previous = number(previous).filter(|_| previous_makes.integer() == Some(MAKES));
            let version = VersionRow {
                thing: thing.integer()?,
                sequence: number(sequence)?,
                position: number(position)?,
                first: number(first)?,
                makes: makes.integer() == Some(MAKES),
                previous,
                next: number(next),
            };
            Some((version.position, version))
        }
        _ => None,
    };
    Ok(rows.into_iter().filter_map(version).collect())
}

/// What the events at these positions used, and the commands that begin there: in the order of positions, roles and names.
pub(super) async fn uses_at(
    positions: &[u64],
    detail: Detail,
    snapshot: &mut dyn ViewSnapshot,
) -> Result<Vec<UsedRow>, StoreError> {
    if positions.is_empty() {
        return Ok(Vec::new());
    }
    let (names, versions) = (snapshot.table(NAMES.name), snapshot.table(VERSIONS.name));
    let mut used = Vec::new();
    for table in [&USES, &READS] {
        let mut parameters = Row::new();
        let sql = format!(
            "SELECT u.position, u.role, n.name, u.sequence, v.position, v.makes FROM {} u JOIN {names} n ON n.id = u.thing \
             LEFT JOIN {versions} v ON v.thing = u.thing AND v.sequence = u.sequence WHERE u.position IN ({})",
            snapshot.table(table.name),
            list(positions, &mut parameters)
        );
        used.extend(snapshot.query(&sql, parameters).await?.into_iter().filter_map(used_row));
    }
    used.retain(|used| detail == Detail::Full || used.role.is_metadata());
    used.sort_by(|a, b| (a.position, a.role, &a.name).cmp(&(b.position, b.role, &b.name)));
    Ok(used)
}

fn used_row(row: Row) -> Option<UsedRow> {
    match row.as_slice() {
        [position, role, Cell::Text(name), sequence, version, makes] => Some(UsedRow {
            position: number(position)?,
            role: Role::from_number(role.integer()?)?,
            name: name.clone(),
            sequence: number(sequence)?,
            version: number(version).filter(|_| makes.integer() == Some(MAKES)),
        }),
        _ => None,
    }
}

/// Where a thing was used, in the order of the log: after the position `after`, up to the bound; only uses of one version, if it is
/// given.
pub(super) async fn uses_of(
    thing: i64,
    sequence: Option<u64>,
    after: u64,
    bounds: Bounds,
    limit: usize,
    snapshot: &mut dyn ViewSnapshot,
) -> Result<Vec<(u64, Role)>, StoreError> {
    // Whether there is one must not depend on what the reader does not see.
    let mut filter = match bounds.detail {
        Detail::Full => String::new(),
        Detail::Metadata => format!(" AND role <> {}", Role::SourceInPayload.number()),
    };
    let mut parameters = vec![thing.into(), after.into(), bounds.position.into(), (limit as u64).into()];
    if let Some(sequence) = sequence {
        parameters.push(sequence.into());
        filter.push_str(" AND sequence = $5");
    }
    let sql = format!(
        "SELECT position, role FROM {} WHERE thing = $1 AND position > $2 AND position <= $3{filter} \
         ORDER BY position, role LIMIT $4",
        snapshot.table(USES.name)
    );
    let rows = snapshot.query(&sql, parameters).await?;
    let used = |row: Row| Some((number(row.first()?)?, Role::from_number(row.get(1)?.integer()?)?));
    Ok(rows.into_iter().filter_map(used).collect())
}

/// The positions of the recorded reads and exports that showed a thing, in the order of the log; only those of one version, if it is
/// given.
pub(super) async fn reads_of(
    thing: i64,
    sequence: Option<u64>,
    after: u64,
    bounds: Bounds,
    limit: usize,
    snapshot: &mut dyn ViewSnapshot,
) -> Result<Vec<u64>, StoreError> {
    let mut filter = match bounds.detail {
        Detail::Full => String::new(),
        Detail::Metadata => format!(" AND role <> {}", Role::Viewed.number()),
    };
    let mut parameters = vec![thing.into(), after.into(), bounds.position.into(), (limit as u64).into()];
    if let Some(sequence) = sequence {
        parameters.push(sequence.into());
        filter.push_str(" AND sequence = $5");
    }
    let sql = format!(
        "SELECT position FROM {} WHERE thing = $1 AND position > $2 AND position <= $3{filter} ORDER BY position LIMIT $4",
        snapshot.table(READS.name)
    );
    let rows = snapshot.query(&sql, parameters).await?;
    Ok(rows.into_iter().filter_map(|row| number(row.first()?)).collect())
}

/// The events of a thing with sequences in a range, as pairs of sequence and position: at most `limit` of the lowest or the highest.
pub(super) async fn events_of(
    thing: i64,
    sequences: std::ops::Range<u64>,
    descending: bool,
    limit: usize,
    snapshot: &mut dyn ViewSnapshot,
) -> Result<Vec<(u64, u64)>, StoreError> {
    let sql = format!(
        "SELECT sequence, position FROM {} WHERE thing = $1 AND sequence >= $2 AND sequence < $3 \
         ORDER BY sequence {} LIMIT $4",
        snapshot.table(VERSIONS.name),
        if descending { "DESC" } else { "ASC" }
    );
    let parameters = vec![thing.into(), sequences.start.into(), sequences.end.into(), (limit as u64).into()];
    let rows = snapshot.query(&sql, parameters).await?;
    Ok(rows.into_iter().filter_map(|row| Some((number(row.first()?)?, number(row.get(1)?)?))).collect())
}

/// The number of events of a thing up to a position: found by halving, since its positions rise with its sequences.
pub(super) async fn count_up_to(
    thing: i64,
    position: u64,
    snapshot: &mut dyn ViewSnapshot,
) -> Result<u64, StoreError> {
    let newest = events_of(thing, 0..u64::MAX, true, 1, snapshot).await?;
    let (mut low, mut high) = match newest.first() {
        Some((sequence, at)) if *at > position => (0, sequence - 1),
        newest => return Ok(newest.map_or(0, |(sequence, _)| *sequence)),
    };
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        let found = events_of(thing, middle..middle + 1, false, 1, snapshot).await?;
        match found.first().is_some_and(|(_, at)| *at <= position) {
            true => low = middle,
            false => high = middle - 1,
        }
    }
    Ok(low)
}

/// The positions of the events of each command that begins at one of these positions, at most one more than [`MAX_FANOUT`].
pub(super) async fn events_of_commands(
    firsts: &[u64],
    bound: u64,
    snapshot: &mut dyn ViewSnapshot,
) -> Result<HashMap<u64, Vec<u64>>, StoreError> {
    let mut events: HashMap<u64, Vec<u64>> = HashMap::new();
    let sql = format!(
        "SELECT position FROM {} WHERE position >= $1 AND position <= $2 AND first = $3 ORDER BY position",
        snapshot.table(VERSIONS.name)
    );
    for first in firsts {
        // The events of a command are next to each other.
        let end = first.saturating_add(MAX_FANOUT as u64).min(bound);
        let rows = snapshot.query(&sql, vec![(*first).into(), end.into(), (*first).into()]).await?;
        events.insert(*first, rows.into_iter().filter_map(|row| number(row.first()?)).collect());
    }
    Ok(events)
}
