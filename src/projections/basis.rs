//! [`Basis`]: the declarations from which a projection's rows were made, and the table that stores them beside the
//! rows.
//!
//! The version of a projection is derived from declarations, so a program that declares one more event type has
//! another version. By the basis such a program recognises that the rows of an older version equal its own: see
//! `adopt`.

use std::collections::{BTreeMap, BTreeSet};

use super::ProjectionError;
use crate::digest::PartsDigest;
use crate::events::Types;
use crate::store::{Cell, Column, OnConflict, Row, StoreError, Table, Transaction, ViewSnapshot};
use crate::text::hex;

/// The table of each generation: the fingerprint of each event type of which the rows were made, by the type's name
/// in the log; and the layout, under [`LAYOUT`].
const TABLE: Table =
    Table::new("made_of", &[Column::text("event_type"), Column::text("fingerprint")], &["event_type"]);

/// No event type has this name.
const LAYOUT: &str = "";

/// Everything besides the events on which a projection's rows depend: see
/// [`Projection::basis`](super::Projection::basis).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Basis {
    /// Everything but the event types: the layout of the tables, the projection's own version. Rows of another
    /// layout are not used.
    pub layout: String,
    /// For each name that a wanted event may have in the log, a fingerprint of the declaration on which its rows
    /// depend.
    pub types: BTreeMap<String, String>,
    /// The tables that hold all rows: a newer version copies them. Empty if programs of different versions can
    /// share rows, because the projection wants events of every type: a program that meets an unknown event type
    /// waits for one that knows it.
    pub tables: Vec<Table>,
}

impl Basis {
    /// The basis of a projection of all events: a type's fingerprint covers its name, aggregate, payload version,
    /// topics and targets, and with `actions` its action. It does not cover sentences, which are made on read.
    #[must_use]
    pub fn of_all(layout: u64, types: &Types, actions: bool) -> Self {
        let mut fingerprints = BTreeMap::new();
        for known in types.iter() {
            let declaration = known.declaration;
            let mut hash = PartsDigest::default();
            let mut part = |text: &str| hash.add(text);
            part(known.aggregate_type);
            part(declaration.event_type);
            part(&declaration.version_text());
            part(if actions { declaration.action.as_str() } else { "" });
            declaration.topics.iter().for_each(|topic| part(topic));
            part("targets");
            declaration.fields.iter().filter(|field| field.target).for_each(|field| part(field.name));
            let fingerprint = hex(&hash.finish()[..8]);
            for name in types.names(declaration.event_type) {
                fingerprints.insert(name.to_owned(), fingerprint.clone());
            }
        }
        Self { layout: layout.to_string(), types: fingerprints, tables: Vec::new() }
    }

    /// Whether programs of different versions share rows.
    pub(super) fn is_shared(&self) -> bool {
        self.tables.is_empty()
    }

    /// Creates the table in a generation without rows. Where rows are shared, an event type is added with its first
    /// event.
    pub(super) async fn set_up(&self, transaction: &mut dyn Transaction) -> Result<(), StoreError> {
        let none = BTreeMap::new();
        self.keep(if self.is_shared() { &none } else { &self.types }, transaction).await
    }

    /// Stores the layout and the fingerprints of these types.
    pub(super) async fn keep(
        &self,
        types: &BTreeMap<String, String>,
        transaction: &mut dyn Transaction,
    ) -> Result<(), StoreError> {
        transaction.create_table(&TABLE).await?;
        let layout = (LAYOUT, self.layout.as_str());
        let types = types.iter().map(|(name, fingerprint)| (name.as_str(), fingerprint.as_str()));
        insert(std::iter::once(layout).chain(types), transaction).await
    }

    /// Records that events of these types are applied; returns the types that were recorded before.
    pub(super) async fn record<'a>(
        &self,
        names: &BTreeSet<&'a str>,
        transaction: &mut dyn Transaction,
    ) -> Result<Vec<&'a str>, ProjectionError> {
        transaction.create_table(&TABLE).await?;
        let sql = format!("SELECT event_type, fingerprint FROM {}", transaction.table(TABLE.name));
        let kept = StoredBasis::from_rows(transaction.query(&sql, Vec::new()).await?);
        let (mut before, mut new) = (Vec::new(), Vec::new());
        for name in names {
            // The projection itself reports an unknown type.
            let Some(own) = self.types.get(*name) else { continue };
            match kept.types.get(*name) {
                Some(fingerprint) if fingerprint == own => before.push(*name),
                Some(_) => {
                    let error = MadeOtherwise { event_type: (*name).to_owned() };
                    return Err(ProjectionError::Other(Box::new(error)));
                }
                None => new.push((*name, own.as_str())),
            }
        }
        insert(new.into_iter(), transaction).await?;
        Ok(before)
    }
}

/// The basis stored in a generation.
#[derive(Debug, Default)]
pub(super) struct StoredBasis {
    /// The layout; `None` if an older version of this crate made the rows.
    pub layout: Option<String>,
    /// The fingerprints of the event types, by their names in the log.
    pub types: BTreeMap<String, String>,
}

impl StoredBasis {
    /// Reads the basis; `None` if an older version of this crate, which stored none, made the generation.
    pub async fn read(snapshot: &mut dyn ViewSnapshot) -> Result<Option<Self>, StoreError> {
        if !snapshot.has_table(TABLE.name).await? {
            return Ok(None);
        }
        let sql = format!("SELECT event_type, fingerprint FROM {}", snapshot.table(TABLE.name));
        let rows = snapshot.query(&sql, Vec::new()).await?;
        Ok(Some(Self::from_rows(rows)))
    }

    fn from_rows(rows: Vec<Row>) -> Self {
        let mut kept = Self::default();
        for row in rows {
            let [Cell::Text(name), Cell::Text(fingerprint)] = row.as_slice() else { continue };
            match name.as_str() {
                LAYOUT => kept.layout = Some(fingerprint.clone()),
                name => drop(kept.types.insert(name.to_owned(), fingerprint.clone())),
            }
        }
        kept
    }
}

async fn insert(
    types: impl Iterator<Item = (&str, &str)>,
    transaction: &mut dyn Transaction,
) -> Result<(), StoreError> {
    let rows: Vec<Row> = types.map(|(name, fingerprint)| vec![name.into(), fingerprint.into()]).collect();
    transaction.insert_rows(&TABLE, rows, OnConflict::Keep).await
}

/// Another program with a different declaration of an event type has applied events of this type.
#[derive(Debug, thiserror::Error)]
#[error(
    "another program with a different declaration of event type `{event_type}` has applied events of this type: \
     restart this program, so that it builds a projection of its own"
)]
struct MadeOtherwise {
    event_type: String,
}
