//! [`GrantFlow`]: what is permitted, and how it was used.

use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use super::sql::{PAGE_BYTES, Plan, Statement};
use super::tables::{GRANT_MINUTES, GRANTS, REVOKED};
use super::{FlowCursor, FlowError};
use crate::events::{LogPosition, Ref};
use crate::store::{Cell, StoreError};

/// A grant, and its use in the window of the query.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
pub struct GrantFlow {
    /// The id of the grant.
    pub grant: Uuid,
    /// Who holds it.
    pub grantee: Ref,
    /// What it allows, as text: `read balance *`.
    pub rights: Vec<String>,
    /// When it was given.
    pub at: Timestamp,
    /// The position of that.
    pub position: u64,
    /// It ends at this time.
    pub until: Option<Timestamp>,
    /// When it was revoked, or a grant that it was given by.
    pub revoked: Option<Timestamp>,
    /// How many commands and recorded reads it allowed. Reads that only count in a record count each.
    pub uses: u64,
    /// The time of the first one.
    pub first: Option<Timestamp>,
    /// The time of the last one.
    pub last: Option<Timestamp>,
}

/// A page of grants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "http", derive(utoipa::ToSchema))]
pub struct GrantPage {
    /// The grants, the oldest first.
    pub grants: Vec<GrantFlow>,
    /// Where the next page begins; `null` on the last page.
    pub next: Option<FlowCursor>,
    /// The head of the log that the page covers.
    pub head: LogPosition,
}

pub(super) async fn page(plan: &Plan, unused: bool) -> Result<GrantPage, FlowError> {
    let mut snapshot = plan.snapshot().await?;
    let head = snapshot.head();
    let mut statement = Statement::default();
    let mut window = vec!["1 = 1".to_owned()];
    let (from, until) = plan.minutes();
    if let Some(from) = from {
        window.push(format!("minute >= {}", statement.parameter(from)));
    }
    if let Some(until) = until {
        window.push(format!("minute < {}", statement.parameter(until)));
    }
    let mut conditions = vec!["1 = 1".to_owned()];
    if let Some(actor) = &plan.filter.actor {
        conditions.push(format!("g.grantee = {}", statement.parameter(actor.as_str())));
    }
    if let Some(position) = plan.cursor.as_ref().and_then(|cursor| cursor.key.first()) {
        conditions.push(format!("g.position > {}", statement.parameter(*position)));
    }
    // A grant is passed on twice at most.
    let revoked = "COALESCE(r.at, rp.at, rpp.at)";
    if unused && head.position > 0 {
        let newest = plan.reading.log().read_at(&[head.position]).await?.pop().ok_or(StoreError::Diverged(head))?;
        let now = statement.parameter(newest.recorded_at.as_microsecond());
        conditions.push(format!("u.uses IS NULL AND {revoked} IS NULL AND (g.until IS NULL OR g.until > {now})"));
    }
    let (all, withdrawn) = (snapshot.table(GRANTS.name), snapshot.table(REVOKED.name));
    let minutes = snapshot.table(GRANT_MINUTES.name);
    let sql = format!(
        "SELECT g.grant_id, g.position, g.at, g.grantee, g.rights, g.until, {revoked}, u.uses, u.first, u.last \
         FROM {all} AS g \
         LEFT JOIN {all} AS p ON p.grant_id = g.under \
         LEFT JOIN {withdrawn} AS r ON r.grant_id = g.grant_id \
         LEFT JOIN {withdrawn} AS rp ON rp.grant_id = g.under \
         LEFT JOIN {withdrawn} AS rpp ON rpp.grant_id = p.under \
         LEFT JOIN (SELECT grant_id, CAST(sum(count) AS BIGINT) AS uses, min(first) AS first, max(last) AS last \
         FROM {minutes} WHERE {window} GROUP BY grant_id) AS u ON u.grant_id = g.grant_id \
         WHERE {conditions} ORDER BY g.position LIMIT {limit}",
        window = window.join(" AND "),
        conditions = conditions.join(" AND "),
        limit = plan.limit + 1
    );
    let rows = snapshot.query(&sql, statement.parameters).await?;
    let (mut grants, mut bytes, mut next): (Vec<GrantFlow>, usize, _) = (Vec::new(), 0, None);
    for row in &rows {
        let Some(grant) = grant(row) else { continue };
        bytes += grant.rights.iter().map(String::len).sum::<usize>() + 400;
        if grants.len() == plan.limit || bytes > PAGE_BYTES && !grants.is_empty() {
            let last = grants.last().and_then(|last| i64::try_from(last.position).ok());
            next = last.map(|position| plan.cursor_at(vec![position], head));
            break;
        }
        grants.push(grant);
    }
    Ok(GrantPage { grants, next, head })
}

fn grant(row: &[Cell]) -> Option<GrantFlow> {
    let [Cell::Bytes(grant), position, at, grantee, rights, until, revoked, uses, first, last] = row else {
        return None;
    };
    let time = |cell: &Cell| cell.integer().and_then(|micros| Timestamp::from_microsecond(micros).ok());
    Some(GrantFlow {
        grant: Uuid::from_slice(grant).ok()?,
        grantee: grantee.text()?.parse().ok()?,
        rights: rights.text()?.lines().map(str::to_owned).collect(),
        at: time(at)?,
        position: u64::try_from(position.integer()?).ok()?,
        until: time(until),
        revoked: time(revoked),
        uses: uses.integer().and_then(|uses| u64::try_from(uses).ok()).unwrap_or(0),
        first: time(first),
        last: time(last),
    })
}
