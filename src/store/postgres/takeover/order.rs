//! The order of the old rows. Known is the order within an aggregate, by its sequences. postgres-es stores no order between
//! aggregates and no time.

use jiff::Timestamp;
use sqlx::PgConnection;

use super::super::location::SchemaLocation;
use super::super::rows::Micros;
use super::super::schema;
use super::mapping::{OldEvent, Takeover};
use super::{DOING, Migrated, OLD, table};
use crate::store::StoreError;

/// A table of this name exists during the transaction.
const KEYS: &str = "postgres_es_order";

/// The times of the rows, in a table.
pub(super) struct OrderKeys;

impl OrderKeys {
    pub(super) async fn create(location: &SchemaLocation, on: &mut PgConnection) -> Result<Self, StoreError> {
        let sql = format!(
            "CREATE UNLOGGED TABLE {{schema}}.{KEYS} (aggregate_type text COLLATE \"C\" NOT NULL, \
             aggregate_id text COLLATE \"C\" NOT NULL, sequence bigint NOT NULL, at timestamptz)"
        );
        schema::execute(location, on, &sql).await.map(|()| Self)
    }

    pub(super) async fn add(
        &mut self,
        location: &SchemaLocation,
        on: &mut PgConnection,
        page: &[OldEvent],
        times: &[Option<Timestamp>],
    ) -> Result<(), StoreError> {
        let sql = location.sql(&format!(
            "INSERT INTO {{schema}}.{KEYS} SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::timestamptz[])"
        ));
        let kinds: Vec<&str> = page.iter().map(|old| old.aggregate_type.as_str()).collect();
        let ids: Vec<&str> = page.iter().map(|old| old.aggregate_id.as_str()).collect();
        let sequences: Vec<i64> = page.iter().map(|old| old.sequence).collect();
        let times: Vec<Option<Micros>> = times.iter().map(|time| time.map(Micros::of)).collect();
        let query = sqlx::query(&sql).persistent(false).bind(kinds).bind(ids).bind(sequences).bind(times);
        query.execute(on).await.map_err(|error| location.fault(DOING, error))?;
        Ok(())
    }

    pub(super) async fn drop(self, location: &SchemaLocation, on: &mut PgConnection) -> Result<(), StoreError> {
        schema::execute(location, on, &format!("DROP TABLE {{schema}}.{KEYS}")).await
    }
}

/// How the rows are ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// By the times of [`OrderKeys`].
    Time,
    /// As the rows lie in the table.
    Physical,
    /// One aggregate after another.
    Aggregates,
}

impl Order {
    /// Chooses the order of the rows of `of`.
    pub(super) async fn choose(
        location: &SchemaLocation,
        on: &mut PgConnection,
        takeover: &Takeover,
        of: &str,
    ) -> Result<Self, StoreError> {
        if takeover.takes_time() {
            return Ok(Self::Time);
        }
        let agrees: bool = table::ask(
            location,
            on,
            &format!(
                "SELECT NOT EXISTS (SELECT FROM (SELECT sequence, lag(sequence) OVER \
                 (PARTITION BY aggregate_type, aggregate_id ORDER BY ctid) AS before FROM {{schema}}.{of}) o \
                 WHERE before > sequence)"
            ),
        )
        .await?;
        Ok(if agrees { Self::Physical } else { Self::Aggregates })
    }

    /// The old table with its order, for [`table::Pages`].
    pub(super) fn from(self) -> String {
        match self {
            // An event is not before an earlier one of its aggregate, whatever its time is. One without a time is with the
            // event before it, or with the first of its aggregate that has one; aggregates without any time come first.
            Self::Time => format!(
                "{{schema}}.{OLD} e JOIN (SELECT aggregate_type, aggregate_id, sequence, coalesce(max(at) OVER (PARTITION BY \
                 aggregate_type, aggregate_id ORDER BY sequence), min(at) OVER (PARTITION BY aggregate_type, aggregate_id)) \
                 AS at FROM {{schema}}.{KEYS}) k USING (aggregate_type, aggregate_id, sequence) ORDER BY k.at NULLS FIRST, \
                 e.aggregate_type COLLATE \"C\", e.aggregate_id COLLATE \"C\", e.sequence"
            ),
            Self::Physical => format!("{{schema}}.{OLD} e ORDER BY e.ctid"),
            Self::Aggregates => format!(
                "{{schema}}.{OLD} e ORDER BY e.aggregate_type COLLATE \"C\", e.aggregate_id COLLATE \"C\", e.sequence"
            ),
        }
    }

    /// The part of the order that is known, and the part that was assumed.
    pub(super) fn words(self, takeover: &Takeover, report: &Migrated) -> String {
        let between = match self {
            Self::Time => {
                let mut words = format!("between aggregates by {}", takeover.time_source());
                let (without, earlier) = (report.without_time.events, report.earlier_than_before);
                if without > 0 {
                    words.push_str(&format!(
                        "; assumed: {without} without a time happened with the event before them in their aggregate"
                    ));
                }
                if earlier > 0 {
                    words.push_str(&format!(
                        "; assumed: {earlier} with a time before that of an earlier event of their aggregate happened after it"
                    ));
                }
                words
            }
            Self::Physical => {
                "between aggregates as the rows lie in the table, which is an assumption: postgres-es stores no \
                               time, and rows lie elsewhere after an update, a rollback or VACUUM"
                    .to_owned()
            }
            Self::Aggregates => {
                "aggregate after aggregate, because the order between aggregates is not known: the rows lie in \
                                 the table in an order that contradicts the sequences"
                    .to_owned()
            }
        };
        format!("within each aggregate by its sequences; {between}")
    }
}
