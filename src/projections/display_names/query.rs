//! [`NameQuery`]: looks up the display names of many things at once.

use std::collections::{BTreeSet, HashMap};

use crate::events::{LogPosition, Ref};
use crate::projections::{ReadError, Reading};
use crate::store::{Cell, ViewSnapshot};

/// The names that one statement looks up.
const CHUNK: usize = 500;

/// How long a query waits for the projection to catch up.
const TIMEOUT: std::time::Duration = std::time::Duration::from_secs(30);

/// Which of the names that a thing has had.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NamesAsOf {
    /// Its name when the event occurred. An event that names the thing uses the new name.
    #[default]
    Event,
    /// Its current name, or its last one.
    Now,
}

/// A query for the display names of things.
#[derive(Clone, Debug)]
pub struct NameQuery {
    names: Reading,
    as_of: NamesAsOf,
    wanted: BTreeSet<(Ref, u64)>,
}

/// The display names that a query found.
#[derive(Clone, Debug)]
pub struct FoundNames {
    as_of: NamesAsOf,
    names: HashMap<(Ref, u64), String>,
}

impl NameQuery {
    /// An empty query of the projection.
    #[must_use]
    pub fn new(names: Reading, as_of: NamesAsOf) -> Self {
        Self { names, as_of, wanted: BTreeSet::new() }
    }

    /// Adds the name of a thing, as used by an event at this position.
    pub fn add(&mut self, thing: &Ref, position: u64) {
        self.wanted.insert((thing.clone(), at(self.as_of, position)));
    }

    /// Runs the query once the projection has applied the log up to `head`.
    ///
    /// # Errors
    /// When the names cannot be read, or the projection does not catch up within 30 seconds.
    pub async fn after(self, head: LogPosition) -> Result<FoundNames, ReadError> {
        self.names.caught_up(head, Some(TIMEOUT)).await?;
        let mut snapshot = self.names.snapshot().await?;
        let wanted: Vec<(Ref, u64)> = self.wanted.into_iter().collect();
        let mut names = HashMap::with_capacity(wanted.len());
        for some in wanted.chunks(CHUNK) {
            let (sql, parameters) = statement(some, &*snapshot);
            for row in snapshot.query(&sql, parameters).await? {
                let number = row.first().and_then(Cell::integer).and_then(|number| usize::try_from(number).ok());
                let (Some(wanted), Some(name)) =
                    (number.and_then(|number| some.get(number)), row.get(1).and_then(Cell::text))
                else {
                    continue;
                };
                let name = serde_json::from_str(name).map_err(|source| ReadError::Document {
                    name: self.names.name().to_owned(),
                    key: wanted.0.to_string(),
                    source,
                })?;
                names.insert(wanted.clone(), name);
            }
        }
        Ok(FoundNames { as_of: self.as_of, names })
    }
}

impl FoundNames {
    /// The name of a thing, as used by an event at this position.
    #[must_use]
    pub fn name(&self, thing: &Ref, position: u64) -> Option<String> {
        self.names.get(&(thing.clone(), at(self.as_of, position))).cloned()
    }
}

/// The last position at which a name counts.
fn at(as_of: NamesAsOf, position: u64) -> u64 {
    match as_of {
        NamesAsOf::Event => position,
        NamesAsOf::Now => i64::MAX as u64,
    }
}

/// For each thing, its index and its last name up to its position: one search each.
fn statement(wanted: &[(Ref, u64)], snapshot: &dyn ViewSnapshot) -> (String, Vec<Cell>) {
    let mut parameters: Vec<Cell> = Vec::with_capacity(2 * wanted.len());
    let mut values: Vec<String> = Vec::with_capacity(wanted.len());
    for (number, (thing, position)) in wanted.iter().enumerate() {
        parameters.extend([thing.as_str().into(), (*position).into()]);
        let last = parameters.len();
        values.push(format!("(CAST({number} AS BIGINT), CAST(${} AS TEXT), CAST(${last} AS BIGINT))", last - 1));
    }
    let sql = format!(
        "SELECT w.column1, (SELECT n.name FROM {} n WHERE n.reference = w.column2 AND n.position <= w.column3 \
         ORDER BY n.position DESC LIMIT 1) FROM (VALUES {}) AS w",
        snapshot.table("names"),
        values.join(", ")
    );
    (sql, parameters)
}
