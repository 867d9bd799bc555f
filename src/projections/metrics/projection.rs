//! [`Metrics`]: the tables behind the metrics.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;

use crate::events::{DecodeError, Stored, Types};
use crate::projections::{EventBatch, Projection, ProjectionError, fingerprint};
use crate::store::{Cell, Dialect, Row, Transaction};

/// Raise it when the tables change.
const LAYOUT: u64 = 1;

/// The projection behind the metrics: each event, numbered among those of its type, under each of its topics and
/// all that lie above them.
///
/// How many events of a type lie in a range of the log is then the difference of two numbers, each found by one
/// step into an index: exact at any bound, and as quick for a year as for a minute.
#[derive(Clone, Debug)]
pub struct Metrics {
    types: Arc<Types>,
    version: u64,
}

/// The positions of a batch, by topic and event type.
type Points = BTreeMap<(String, &'static str), Vec<u64>>;

impl Metrics {
    /// Its name among the projections.
    pub const NAME: &'static str = "metrics";

    /// The metrics of an application with these event types. Their version is a fingerprint of their declarations.
    #[must_use]
    pub fn new(types: Arc<Types>) -> Self {
        let version = fingerprint(LAYOUT, &types);
        Self { types, version }
    }

    fn take_in(&self, stored: &Stored, points: &mut Points) -> Result<(), DecodeError> {
        let known = self.types.of(stored)?;
        let described = known.describe(stored)?;
        let topics = known.topics(stored, &described);
        // An event without topics lies below the root, too.
        let prefixes: BTreeSet<&str> =
            std::iter::once("").chain(topics.iter().flat_map(|topic| topic.with_ancestors())).collect();
        for prefix in prefixes {
            points.entry((prefix.to_owned(), known.declaration.event_type)).or_default().push(stored.position);
        }
        Ok(())
    }
}

#[async_trait]
impl Projection for Metrics {
    fn name(&self) -> &str {
        Self::NAME
    }

    fn version(&self) -> u64 {
        self.version
    }

    async fn setup(&self, transaction: &mut dyn Transaction) -> Result<(), ProjectionError> {
        let (integer, text, end) = match transaction.dialect() {
            Dialect::Sqlite => ("INTEGER", "TEXT", "WITHOUT ROWID"),
            Dialect::Postgres => ("BIGINT", "TEXT COLLATE \"C\"", ""),
        };
        let types = format!(
            "CREATE TABLE {} (topic {text} NOT NULL, event_type {text} NOT NULL, \
             PRIMARY KEY (topic, event_type)) {end}",
            transaction.table("types")
        );
        let points = format!(
            "CREATE TABLE {} (topic {text} NOT NULL, event_type {text} NOT NULL, position {integer} NOT NULL, \
             ordinal {integer} NOT NULL, PRIMARY KEY (topic, event_type, position)) {end}",
            transaction.table("points")
        );
        transaction.execute(&types, Vec::new()).await?;
        transaction.execute(&points, Vec::new()).await?;
        Ok(())
    }

    async fn apply(&self, batch: EventBatch<'_>, transaction: &mut dyn Transaction) -> Result<(), ProjectionError> {
        let mut points = Points::new();
        for stored in batch.events {
            self.take_in(stored, &mut points)
                .map_err(|source| ProjectionError::Decode { position: stored.position, source })?;
        }
        let last = format!(
            "SELECT ordinal FROM {} WHERE topic = $1 AND event_type = $2 ORDER BY position DESC LIMIT 1",
            transaction.table("points")
        );
        let keys = points.keys().map(|(topic, event)| vec![topic.as_str().into(), (*event).into()]).collect();
        let lasts = transaction.query_many(&last, keys).await?;
        let (mut new_types, mut rows): (Vec<Row>, Vec<Row>) = Default::default();
        for (((topic, event), positions), last) in points.into_iter().zip(lasts) {
            let key = || vec![Cell::from(topic.as_str()), Cell::from(event)];
            let last = last.first().and_then(|row| row.first()).and_then(Cell::integer);
            if last.is_none() {
                new_types.push(key());
            }
            for (position, ordinal) in positions.into_iter().zip(last.unwrap_or(0) + 1..) {
                rows.push([key(), vec![position.into(), ordinal.into()]].concat());
            }
        }
        let types = format!("INSERT INTO {} VALUES ($1, $2)", transaction.table("types"));
        transaction.execute_many(&types, new_types).await?;
        let points = format!("INSERT INTO {} VALUES ($1, $2, $3, $4)", transaction.table("points"));
        transaction.execute_many(&points, rows).await?;
        Ok(())
    }
}
