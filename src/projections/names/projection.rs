//! [`DisplayNames`]: the table of names.

use std::collections::BTreeMap;

use async_trait::async_trait;

use super::Namings;
use crate::digest::{PartsDigest, first_48_bits};
use crate::projections::{Basis, EventBatch, Projection, ProjectionError};
use crate::store::{Cell, Column, Interest, OnConflict, Row, Table, Transaction};

/// Raise it when the table changes.
const LAYOUT: u64 = 1;

/// The name that each event gives to a reference.
const NAMES: Table = Table::new(
    "names",
    &[Column::text("reference"), Column::integer("position"), Column::text("name")],
    &["reference", "position"],
);

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
        Some(Basis { layout: LAYOUT.to_string(), types: self.namings.versions(), tables: vec![NAMES] })
    }

    fn interest(&self) -> Interest {
        Interest::EventTypes(self.namings.event_types().map(str::to_owned).collect())
    }

    async fn setup(&self, transaction: &mut dyn Transaction) -> Result<(), ProjectionError> {
        Ok(transaction.create_table(&NAMES).await?)
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
        let rows = names.into_iter().map(row).collect();
        Ok(transaction.insert_rows(&NAMES, rows, OnConflict::Fail).await?)
    }
}
