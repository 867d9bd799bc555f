//! Checks in the database: rows that contradict each other, and changes of the schema.

use futures::TryStreamExt;
use sqlx::{Connection, Executor, PgConnection};

use super::functions;
use super::location::SchemaLocation;
use crate::store::{Finding, FindingKind, StoreError};

pub(super) const DOING: &str = "checking the store";

/// Finds the tables in which row security hides rows from this role, a row for each.
const HIDDEN: &str = "SELECT 'row security is active for the role ' || current_user || ' on the table ' || t.name || ': it \
         hides rows, so this check does not see all; run it as the owner of the tables, or as a role with BYPASSRLS' \
     FROM unnest(ARRAY['events', 'commands', 'meta', 'projections', 'aggregate_snapshots']) AS t (name) \
     WHERE pg_catalog.row_security_active(to_regclass(format('%I.%I', $1::text, t.name))::oid)";

/// Returns all findings, as of one moment.
pub(super) async fn integrity(location: &SchemaLocation) -> Result<Vec<Finding>, StoreError> {
    let mut connection = location.connect().await?;
    let mut transaction = connection.begin().await.map_err(|error| location.fault(DOING, error))?;
    // Definitions are compared as text, so a setting of the role or the database must not change how they are quoted.
    let settings =
        "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL quote_all_identifiers = off";
    transaction.execute(settings).await.map_err(|error| location.fault(DOING, error))?;
    let mut findings = texts(location, &mut transaction, FindingKind::Unseen, HIDDEN).await?;
    let sees_all = findings.is_empty();
    findings.extend(functions::differences(location, &mut transaction).await?);
    findings
        .extend(texts(location, &mut transaction, FindingKind::Protection, include_str!("protection.sql")).await?);
    if sees_all {
        findings.extend(texts(location, &mut transaction, FindingKind::Log, include_str!("integrity.sql")).await?);
    }
    Ok(findings)
}

async fn texts(
    location: &SchemaLocation,
    on: &mut PgConnection,
    kind: FindingKind,
    sql: &str,
) -> Result<Vec<Finding>, StoreError> {
    let sql = location.sql(sql);
    let query = sqlx::query_scalar::<_, String>(&sql).persistent(false);
    let query = if sql.contains("$1") { query.bind(location.plain_schema()) } else { query };
    let rows = query.fetch(on);
    let findings = rows.map_ok(|problem| Finding::new(kind, problem)).try_collect().await;
    findings.map_err(|error| location.fault(DOING, error))
}
