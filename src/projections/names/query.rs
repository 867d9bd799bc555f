//! [`NameQuery`]: the names of many things in one go.

use std::collections::{BTreeSet, HashMap};

use crate::events::{LogPosition, Ref};
use crate::projections::{ReadError, Reading};
use crate::store::{Cell, ViewSnapshot};

/// How many names one statement looks up.
const AT_ONCE: usize = 500;

/// How long the names are waited for.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);

/// Which of the names that a thing had.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AsKnown {
    /// The one that it had when the event happened; an event that gives a name tells it by that.
    #[default]
    Then,
    /// The one that it has now, or had last.
    Now,
}

/// A question for the names of things.
#[derive(Clone, Debug)]
pub struct NameQuery {
    names: Reading,
    known: AsKnown,
    wanted: BTreeSet<(Ref, u64)>,
}

/// The names that were found.
#[derive(Clone, Debug)]
pub struct Found {
    known: AsKnown,
    names: HashMap<(Ref, u64), String>,
}

impl NameQuery {
    /// Asks the projection of names.
    #[must_use]
    pub fn new(names: Reading, known: AsKnown) -> Self {
        Self { names, known, wanted: BTreeSet::new() }
    }

    /// Asks for the name of a thing, in an event at this position.
    pub fn want(&mut self, thing: &Ref, position: u64) {
        self.wanted.insert((thing.clone(), at(self.known, position)));
    }

    /// The names, once they hold all that the log has up to `with`.
    ///
    /// # Errors
    /// When the names cannot be read, or are not that far in half a minute.
    pub async fn after(self, with: LogPosition) -> Result<Found, ReadError> {
        self.names.caught_up(with, Some(PATIENCE)).await?;
        let mut snapshot = self.names.snapshot().await?;
        let wanted: Vec<(Ref, u64)> = self.wanted.into_iter().collect();
        let mut names = HashMap::with_capacity(wanted.len());
        for some in wanted.chunks(AT_ONCE) {
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
        Ok(Found { known: self.known, names })
    }
}

impl Found {
    /// The name of a thing, in an event at this position.
    #[must_use]
    pub fn name(&self, thing: &Ref, position: u64) -> Option<String> {
        self.names.get(&(thing.clone(), at(self.known, position))).cloned()
    }
}

/// The position up to which names count.
fn at(known: AsKnown, position: u64) -> u64 {
    match known {
        AsKnown::Then => position,
        AsKnown::Now => i64::MAX as u64,
    }
}

/// For each thing that is wanted, its number and its last name up to its position: one search each.
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
