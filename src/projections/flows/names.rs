//! [`Names`]: the names of numbers, for an answer.

use std::collections::{BTreeSet, HashMap};

use crate::events::Ref;
use crate::projections::dictionary::{self, key};
use crate::store::{Cell, StoreError, ViewSnapshot};

use super::tables::NAMES;

/// How many names one statement looks up.
const CHUNK: usize = 500;

/// Names by number.
#[derive(Default)]
pub(super) struct Names(HashMap<i64, String>);

impl Names {
    /// Reads the names of these numbers.
    pub(super) async fn read(numbers: BTreeSet<i64>, snapshot: &mut dyn ViewSnapshot) -> Result<Self, StoreError> {
        let numbers: Vec<i64> = numbers.into_iter().filter(|number| *number > 0).collect();
        let mut names = HashMap::with_capacity(numbers.len());
        for some in numbers.chunks(CHUNK) {
            let wanted: Vec<String> = (1..=some.len()).map(|number| format!("${number}")).collect();
            let table = snapshot.table(NAMES.name);
            let sql = format!("SELECT id, name FROM {table} WHERE id IN ({})", wanted.join(", "));
            let parameters = some.iter().map(|number| Cell::Integer(*number)).collect();
            for row in snapshot.query(&sql, parameters).await? {
                if let [Cell::Integer(id), Cell::Text(name)] = row.as_slice() {
                    names.insert(*id, name.clone());
                }
            }
        }
        Ok(Self(names))
    }

    /// The name of a number; none for 0.
    pub(super) fn text(&self, number: i64) -> Option<&str> {
        self.0.get(&number).map(String::as_str)
    }

    /// The reference of a number.
    pub(super) fn reference(&self, number: i64) -> Option<Ref> {
        self.text(number)?.parse().ok()
    }
}

/// The number of each of these names; -1 is for a name that no row has.
pub(super) async fn numbers_of(names: &[&str], snapshot: &mut dyn ViewSnapshot) -> Result<Vec<i64>, StoreError> {
    let keys: Vec<_> = names.iter().map(|name| key(None, name)).collect();
    let found = dictionary::numbers(&NAMES, &keys, snapshot).await?;
    Ok(keys.iter().map(|key| found.get(key).copied().unwrap_or(-1)).collect())
}
