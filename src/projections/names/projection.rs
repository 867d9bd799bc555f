//! [`DisplayNames`]: the table of names.

use std::collections::BTreeMap;

use async_trait::async_trait;

use super::Namings;
use crate::digest::{PartsDigest, first_48_bits};
use crate::projections::{Basis, EventBatch, KeptTable, Projection, ProjectionError};
use crate::store::{Cell, Dialect, Interest, Row, Transaction};

/// Raise it when the table changes.
const LAYOUT: u64 = 1;

/// The projection of display names: what each thing was called, from which position on.
///
/// A name is kept as JSON text, so that one with any character whatever can be kept in any store.
#[derive(Clone, Debug)]
pub struct DisplayNames {
    namings: Namings,
    version: u64,
}

impl DisplayNames {
    /// Its name among the projections.
    pub const NAME: &'static str = "names";

    /// The names that these events give.
    #[must_use]
    pub fn new(namings: Namings) -> Self {
        let mut hash = PartsDigest::with_prefix(&LAYOUT.to_le_bytes());
        namings.fingerprint().into_iter().for_each(|part| hash.add(part));
        Self { namings, version: first_48_bits(&hash.finish()) }
    }
}

#[async_trait]
impl Projection for DisplayNames {
    fn name(&self) -> &str {
        Self::NAME
    }

    fn version(&self) -> u64 {
        self.version
    }

    fn basis(&self) -> Option<Basis> {
        let tables = vec![KeptTable { name: "names", key: &["reference", "position"] }];
        Some(Basis { layout: LAYOUT.to_string(), types: self.namings.versions(), tables })
    }

    fn interest(&self) -> Interest {
        Interest::EventTypes(self.namings.event_types().map(str::to_owned).collect())
    }

    async fn setup(&self, transaction: &mut dyn Transaction) -> Result<(), ProjectionError> {
        let (integer, text, end) = match transaction.dialect() {
            Dialect::Sqlite => ("INTEGER", "TEXT", "WITHOUT ROWID"),
            Dialect::Postgres => ("BIGINT", "TEXT COLLATE \"C\"", ""),
        };
        let names = format!(
            "CREATE TABLE {} (reference {text} NOT NULL, position {integer} NOT NULL, name TEXT NOT NULL, \
             PRIMARY KEY (reference, position)) {end}",
            transaction.table("names")
        );
        transaction.execute(&names, Vec::new()).await?;
        Ok(())
    }

    async fn apply(&self, batch: EventBatch<'_>, transaction: &mut dyn Transaction) -> Result<(), ProjectionError> {
        let mut names = BTreeMap::new();
        for stored in batch.events {
            let named = self.namings.names(stored);
            let named = named.map_err(|source| ProjectionError::Decode { position: stored.position, source })?;
            for (reference, name) in named {
                // What is no reference can be no actor and no target: nobody will ask for its name.
                if reference.check().is_ok() {
                    names.insert((reference.as_str().to_owned(), stored.position), name);
                }
            }
        }
        let row = |((reference, position), name): ((String, u64), String)| -> Row {
            vec![reference.into(), position.into(), Cell::Text(serde_json::Value::from(name).to_string())]
        };
        let insert = format!("INSERT INTO {} VALUES ($1, $2, $3)", transaction.table("names"));
        transaction.execute_many(&insert, names.into_iter().map(row).collect()).await?;
        Ok(())
    }
}
