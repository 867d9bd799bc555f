//! Reads the tables of provenance.

use std::collections::HashMap;
use std::fmt::Write;

use uuid::Uuid;

use super::role::Role;
use super::tables::{MAKES, NAMES, READS, USES, VERSIONS};
use crate::projections::audit::Detail;
use crate::projections::dictionary::{self, key};
use crate::store::{Cell, Row, StoreError, Table, ViewSnapshot};

/// The most successors of one version or command that are followed.
pub(super) const MAX_FANOUT: usize = 512;

/// After the last event of every log.
const LAST_POSITION: u64 = u64::MAX >> 1;

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

/// Which of these commands and events others name as their cause, with the numbers of these names.
pub(super) async fn causes(
    ids: &[Uuid],
    snapshot: &mut dyn ViewSnapshot,
) -> Result<HashMap<Uuid, i64>, StoreError> {
    let keys: Vec<_> = ids.iter().map(|id| key(None, &format!("Causation/{id}"))).collect();
    let found = dictionary::numbers(&NAMES, &keys, snapshot).await?;
    Ok(ids.iter().zip(keys).filter_map(|(id, key)| Some((*id, *found.get(&key)?))).collect())
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
    let [names, versions, uses, reads] = [&NAMES, &VERSIONS, &USES, &READS].map(|table| snapshot.table(table.name));
    let mut parameters = Row::new();
    let positions = list(positions, &mut parameters);
    let of = |table| {
        format!(
            "SELECT u.position, u.role, n.name, u.sequence, v.position, v.makes FROM {table} u JOIN {names} n ON n.id = u.thing \
             LEFT JOIN {versions} v ON v.thing = u.thing AND v.sequence = u.sequence WHERE u.position IN ({positions})"
        )
    };
    let rows = snapshot.query(&format!("{} UNION ALL {}", of(uses), of(reads)), parameters).await?;
    let mut used: Vec<UsedRow> = rows.into_iter().filter_map(used_row).collect();
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

/// Where a thing was used: see [`uses_of`].
struct UsesOf {
    thing: i64,
    /// Only uses of this version.
    sequence: Option<u64>,
    after: u64,
    /// The position of the version after it. What uses a version precedes the next one, conflicts with it, or is in the command that
    /// makes it.
    next: Option<u64>,
    bounds: Bounds,
    limit: usize,
}

impl UsesOf {
    /// A statement that selects positions and roles from [`USES`] or [`READS`].
    fn sql(&self, from: &Table, snapshot: &dyn ViewSnapshot, parameters: &mut Row) -> String {
        let mut parameter = |value: Cell| {
            parameters.push(value);
            format!("${}", parameters.len())
        };
        let [thing, after, until] =
            [self.thing.into(), self.after.into(), self.bounds.position.into()].map(&mut parameter);
        let mut filter = String::new();
        if let Some(sequence) = self.sequence {
            filter = format!(" AND sequence = {}", parameter(sequence.into()));
        }
        if let Some(next) = self.next {
            let (versions, next) = (snapshot.table(VERSIONS.name), parameter(next.into()));
            filter = format!(
                "{filter} AND position < COALESCE((SELECT position FROM {versions} WHERE position > {next} AND first > {next} \
                 ORDER BY position LIMIT 1), {LAST_POSITION})"
            );
        }
        // Whether there is one must not depend on what the reader does not see.
        let hidden = if from.name == READS.name { Role::Viewed } else { Role::SourceInPayload };
        if self.bounds.detail == Detail::Metadata {
            filter = format!("{filter} AND role <> {}", hidden.number());
        }
        format!(
            "SELECT position, role FROM {} WHERE thing = {thing} AND position > {after} AND position <= {until}{filter} \
             ORDER BY position, role LIMIT {}",
            snapshot.table(from.name),
            self.limit
        )
    }
}

fn position_and_role(cells: &[Cell]) -> Option<(u64, Role)> {
    Some((number(cells.first()?)?, Role::from_number(cells.get(1)?.integer()?)?))
}

/// Where a thing was used, or shown by a recorded read or export (`from`), in the order of the log: after the position `after`, up to the
/// bound.
pub(super) async fn uses_of(
    from: &Table,
    thing: i64,
    after: u64,
    bounds: Bounds,
    limit: usize,
    snapshot: &mut dyn ViewSnapshot,
) -> Result<Vec<(u64, Role)>, StoreError> {
    let mut parameters = Row::new();
    let all = UsesOf { thing, sequence: None, after, next: None, bounds, limit };
    let sql = all.sql(from, snapshot, &mut parameters);
    let rows = snapshot.query(&sql, parameters).await?;
    Ok(rows.iter().filter_map(|row| position_and_role(row)).collect())
}

/// Where each of these versions was used or shown, as [`uses_of`] has it: at most `limit` uses, and as many reads.
pub(super) async fn uses_of_versions(
    versions: &[VersionRow],
    bounds: Bounds,
    limit: usize,
    snapshot: &mut dyn ViewSnapshot,
) -> Result<Vec<Vec<(u64, Role)>>, StoreError> {
    let arms = |version: &VersionRow, parameters: &mut Row, snapshot: &dyn ViewSnapshot| {
        let VersionRow { thing, sequence, position, next, .. } = *version;
        let until = Some(next.unwrap_or(LAST_POSITION));
        let uses = UsesOf { thing, sequence: Some(sequence), after: position, next: until, bounds, limit };
        // A record of a read may show an older version.
        let reads = UsesOf { next: None, ..uses };
        [uses.sql(&USES, snapshot, parameters), reads.sql(&READS, snapshot, parameters)]
    };
    let rows = each(versions, arms, snapshot).await?;
    Ok(rows.into_iter().map(|rows| rows.iter().filter_map(|row| position_and_role(row)).collect()).collect())
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
) -> Result<Vec<Vec<u64>>, StoreError> {
    let arms = |first: &u64, parameters: &mut Row, snapshot: &dyn ViewSnapshot| {
        // The events of a command are next to each other.
        let end = first.saturating_add(MAX_FANOUT as u64).min(bound);
        parameters.extend([(*first).into(), end.into()]);
        let (table, end) = (snapshot.table(VERSIONS.name), parameters.len());
        let first = end - 1;
        [format!(
            "SELECT position FROM {table} WHERE position >= ${first} AND position <= ${end} AND first = ${first} ORDER BY position"
        )]
    };
    let rows = each(firsts, arms, snapshot).await?;
    Ok(rows.into_iter().map(|rows| rows.iter().filter_map(|row| number(row.first()?)).collect()).collect())
}

/// Selects the rows of some statements for each item, in one query: for each item its rows.
async fn each<T, const N: usize>(
    items: &[T],
    statements: impl Fn(&T, &mut Row, &dyn ViewSnapshot) -> [String; N],
    snapshot: &mut dyn ViewSnapshot,
) -> Result<Vec<Vec<Row>>, StoreError> {
    let mut found: Vec<Vec<Row>> = items.iter().map(|_| Vec::new()).collect();
    let Some(last) = items.last() else { return Ok(found) };
    // As in `list`. The rows of the added ones have a number of their own.
    let added = items.len().next_power_of_two() - items.len();
    let (mut sql, mut parameters) = (String::new(), Row::new());
    for (n, item) in items.iter().chain(std::iter::repeat_n(last, added)).enumerate() {
        for statement in statements(item, &mut parameters, snapshot) {
            let union = if sql.is_empty() { "" } else { " UNION ALL " };
            // Writing to a string does not fail.
            let _ = write!(sql, "{union}SELECT CAST({n} AS bigint) AS n, found.* FROM ({statement}) AS found");
        }
    }
    for mut row in snapshot.query(&sql, parameters).await? {
        let n = row.first().and_then(number).and_then(|n| usize::try_from(n).ok());
        if let Some(rows) = n.and_then(|n| found.get_mut(n)) {
            rows.push(row.split_off(1));
        }
    }
    Ok(found)
}
