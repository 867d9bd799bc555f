//! [`GrantUses`]: how often each grant was used, and when last.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use crate::app::Annals;
use crate::events::{DecidedOn, LogPosition, Stored};
use crate::projections::{EventBatch, Projection, ProjectionError, ReadError};
use crate::store::{Cell, Column, OnConflict, Row, Table, Transaction};

/// How long a query waits for the projection to catch up.
const TIMEOUT: Duration = Duration::from_secs(30);

/// How many grants one statement looks up.
const CHUNK: usize = 500;

const USES: Table = Table::new(
    "uses",
    &[Column::text("grant_id"), Column::integer("uses"), Column::integer("last"), Column::integer("position")],
    &["grant_id"],
);

/// The projection `access_uses`: the commands that each grant allowed, and the recorded reads.
pub(super) struct GrantUses;

impl GrantUses {
    pub(super) const NAME: &'static str = "access_uses";
}

/// How often a grant was used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct GrantUse {
    /// How many commands it allowed, and how many recorded reads: equal reads of ten minutes are one.
    pub uses: u64,
    /// When the last one was recorded.
    pub last: Timestamp,
    /// The position of the last one.
    pub position: u64,
}

#[async_trait]
impl Projection for GrantUses {
    fn name(&self) -> &str {
        Self::NAME
    }

    async fn setup(&self, transaction: &mut dyn Transaction) -> Result<(), ProjectionError> {
        Ok(transaction.create_table(&USES).await?)
    }

    async fn apply(&self, batch: EventBatch<'_>, transaction: &mut dyn Transaction) -> Result<(), ProjectionError> {
        let mut used: BTreeMap<Uuid, GrantUse> = BTreeMap::new();
        for stored in batch.events {
            for grant in grants_of(stored)? {
                let uses = used.get(&grant).map_or(0, |earlier| earlier.uses) + 1;
                used.insert(grant, GrantUse { uses, last: stored.recorded_at, position: stored.position });
            }
        }
        let keys: Vec<Row> = used.keys().map(|grant| vec![grant.to_string().into()]).collect();
        let earlier = transaction.select_by_keys(&USES, &["grant_id"], &["uses"], keys).await?;
        let rows = used.into_iter().zip(earlier).map(|((grant, GrantUse { uses, last, position }), earlier)| {
            let earlier = earlier.as_deref().and_then(|row| row.first()?.integer()).unwrap_or(0);
            let uses = uses.saturating_add(u64::try_from(earlier).unwrap_or(0));
            vec![grant.to_string().into(), uses.into(), last.as_microsecond().into(), position.into()]
        });
        Ok(transaction.insert_rows(&USES, rows.collect(), OnConflict::Replace).await?)
    }
}

/// The grants by which the command of this event was allowed, if it is the command's first event.
fn grants_of(stored: &Stored) -> Result<Vec<Uuid>, ProjectionError> {
    // Most events have none: a search costs less than to parse each. Quotes inside a text are escaped.
    if !stored.metadata.contains("\"grants\":[") {
        return Ok(Vec::new());
    }
    let metadata = stored.metadata();
    let metadata = metadata.map_err(|source| ProjectionError::Decode { position: stored.position, source })?;
    Ok(metadata.decided_on.map(|DecidedOn { grants, .. }| grants).unwrap_or_default())
}

impl Annals {
    /// Returns how often these grants were used, once the log up to `after` is counted. A grant that was never used is not in the
    /// result. Reads count only if the application [records](crate::app::App::record_reads) them.
    ///
    /// # Errors
    /// When the application has no rights in its log, the counts cannot be read, or they do not catch up within 30 seconds.
    pub async fn grant_uses(
        &self,
        grants: &[Uuid],
        after: LogPosition,
    ) -> Result<BTreeMap<Uuid, GrantUse>, ReadError> {
        let reading = self.reading(GrantUses::NAME)?;
        reading.caught_up(after, Some(TIMEOUT)).await?;
        let mut snapshot = reading.snapshot().await?;
        let mut found = BTreeMap::new();
        for some in grants.chunks(CHUNK) {
            let wanted: Vec<String> = (1..=some.len()).map(|number| format!("${number}")).collect();
            let sql = format!(
                "SELECT grant_id, uses, last, position FROM {} WHERE grant_id IN ({})",
                snapshot.table(USES.name),
                wanted.join(", ")
            );
            let parameters = some.iter().map(|grant| grant.to_string().into()).collect();
            found.extend(snapshot.query(&sql, parameters).await?.iter().filter_map(|row| use_in(row)));
        }
        Ok(found)
    }
}

fn use_in(row: &[Cell]) -> Option<(Uuid, GrantUse)> {
    let [grant, uses, last, position] = row else { return None };
    let number = |cell: &Cell| u64::try_from(cell.integer()?).ok();
    let last = Timestamp::from_microsecond(last.integer()?).ok()?;
    Some((grant.text()?.parse().ok()?, GrantUse { uses: number(uses)?, last, position: number(position)? }))
}
