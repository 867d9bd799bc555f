//! [`DisplayNames`]: the projection of display names.

use std::collections::BTreeMap;

use async_trait::async_trait;

use super::Namings;
use crate::digest::{PartsDigest, first_48_bits};
use crate::projections::{Basis, EventBatch, Projection, ProjectionError};
use crate::store::{Cell, Column, Interest, OnConflict, Row, Table, Transaction};

/// The version of the table: raise it when it changes.
const LAYOUT: u64 = 1;

/// The name that each event gives to a reference.
const NAMES: Table = Table::new(
    "names",
    &[Column::text("reference"), Column::integer("position"), Column::text("name")],
    &["reference", "position"],
);

/// The projection of display names: the names of each thing, each with the position from which it counts.
///
/// A name is stored as JSON text, so that every store can hold every character.
#[derive(Clone, Debug)]
pub struct DisplayNames {
    namings: Namings,
    version: u64,
}

impl DisplayNames {
    /// The name of the projection.
    pub const NAME: &'static str = "names";

    /// The display names that these events give.
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
                // An invalid reference can be neither actor nor target, so its name is never looked up.
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
