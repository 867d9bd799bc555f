//! Reads every old row before anything is written: what cannot be taken over, and what the mappings do not find.

use std::collections::{BTreeMap, HashSet};

use jiff::Timestamp;
use sqlx::PgConnection;

use super::super::location::SchemaLocation;
use super::convert::{Converted, Converter, Reading};
use super::mapping::{OldEvent, Takeover};
use super::order::OrderKeys;
use super::table::Pages;
use super::{DOING, Migrated, Unmapped};
use crate::events::Ref;
use crate::store::StoreError;

/// The most different problems and metadata fields that are reported.
const REPORTED: usize = 50;

/// What one reading of all rows finds.
struct Findings<'a> {
    converter: Converter<'a>,
    report: Migrated,
    problems: Problems,
    /// The aggregate of the last row, and its last sequence; `None` once a row of it was missing.
    last: Option<(String, String, Option<i64>)>,
    /// The latest time of that aggregate.
    latest: Option<Timestamp>,
    /// Aggregates whose id was shortened, by their old type.
    shortened: HashSet<(String, Ref)>,
}

/// Reads the rows of `table` by aggregate. `keys` takes the times, if the order is to be made of them.
///
/// # Errors
/// When a row cannot be taken over: all reasons, with the number of rows of each.
pub(super) async fn examine(
    location: &SchemaLocation,
    connection: &mut PgConnection,
    table: &str,
    (takeover, reading): (&Takeover, Reading<'_>),
    mut keys: Option<&mut OrderKeys>,
) -> Result<Migrated, StoreError> {
    let mut findings = Findings {
        converter: Converter::new(takeover, reading),
        report: Migrated::default(),
        problems: Problems::default(),
        last: None,
        latest: None,
        shortened: HashSet::new(),
    };
    let from = format!(
        "{{schema}}.{table} e ORDER BY e.aggregate_type COLLATE \"C\", e.aggregate_id COLLATE \"C\", e.sequence"
    );
    let mut pages = Pages::open(location, connection, &from).await?;
    loop {
        let page = pages.next(connection).await?;
        if page.is_empty() {
            break;
        }
        let mut times = Vec::with_capacity(page.len());
        for old in &page {
            times.push(findings.row(old));
        }
        if let Some(keys) = keys.as_deref_mut() {
            keys.add(location, connection, &page, &times).await?;
        }
    }
    findings.collisions(location, connection, table).await?;
    let Findings { converter, mut report, problems, .. } = findings;
    if let Some(problems) = problems.into_text() {
        return Err(location.unusable(problems));
    }
    report.event_types = converter.event_types;
    report.kinds = converter.kinds.into_iter().map(|(new, old)| (old, new)).collect();
    Ok(report)
}

impl Findings<'_> {
    /// Examines a row. Returns its time, if it has one.
    fn row(&mut self, old: &OldEvent) -> Option<Timestamp> {
        self.report.events += 1;
        self.sequence(old);
        for field in old.metadata_fields() {
            if let Some(count) = self.report.metadata_fields.get_mut(field) {
                *count += 1;
            } else if self.report.metadata_fields.len() < REPORTED {
                self.report.metadata_fields.insert(field.to_owned(), 1);
            }
        }
        let converted = match self.converter.convert(old) {
            Ok(converted) => converted,
            Err(reason) => {
                self.problems.add(reason, old);
                return None;
            }
        };
        let Converted { aggregate, shortened, time, no_actor, .. } = converted;
        if shortened && self.shortened.insert((old.aggregate_type.clone(), aggregate)) {
            self.report.shortened_ids += 1;
        }
        if let Some(reason) = no_actor {
            self.report.without_actor.add(&reason, old);
        }
        match time? {
            Ok(time) => {
                if self.latest.is_some_and(|latest| time < latest) {
                    self.report.earlier_than_before += 1;
                }
                self.latest = self.latest.max(Some(time));
                Some(time)
            }
            Err(reason) => {
                self.report.without_time.add(&reason, old);
                None
            }
        }
    }

    fn sequence(&mut self, old: &OldEvent) {
        let same =
            |(kind, id, _): &(String, String, Option<i64>)| *kind == old.aggregate_type && *id == old.aggregate_id;
        if !self.last.as_ref().is_some_and(same) {
            self.report.aggregates += 1;
            self.latest = None;
            self.last = Some((old.aggregate_type.clone(), old.aggregate_id.clone(), Some(0)));
        }
        let Some((.., last)) = &mut self.last else { return };
        match last {
            Some(last) if *last + 1 == old.sequence => *last = old.sequence,
            Some(_) => {
                *last = None;
                let OldEvent { aggregate_type, aggregate_id, .. } = old;
                let reason = format!(
                    "the sequences of `{aggregate_type} {aggregate_id}` are not 1, 2, 3 …: events are missing"
                );
                self.problems.add(reason, old);
            }
            None => {}
        }
    }

    /// Reports ids that would be the same as another one once they are shortened.
    async fn collisions(
        &mut self,
        location: &SchemaLocation,
        connection: &mut PgConnection,
        table: &str,
    ) -> Result<(), StoreError> {
        let sql = location.sql(&format!(
            "SELECT EXISTS (SELECT FROM {{schema}}.{table} WHERE aggregate_type = $1 AND aggregate_id = $2)"
        ));
        let mut shortened: Vec<_> = self.shortened.drain().collect();
        shortened.sort();
        for (old_type, aggregate) in shortened {
            if aggregate.id().starts_with(&format!("{}:", aggregate.kind())) {
                continue;
            }
            let asked = sqlx::query_scalar(&sql).persistent(false).bind(&old_type).bind(aggregate.id());
            let there: bool =
                asked.fetch_one(&mut *connection).await.map_err(|error| location.fault(DOING, error))?;
            if there {
                self.problems.add_text(format!(
                    "`{old_type}` has the ids `{aggregate}` and `{}`, which are the same here: rename one in the table",
                    aggregate.id()
                ));
            }
        }
        Ok(())
    }
}

/// Reasons why rows cannot be taken over, with the number of rows and the first one.
#[derive(Default)]
struct Problems {
    reasons: BTreeMap<String, (u64, String)>,
    /// Rows with reasons that are not kept.
    more: u64,
}

impl Problems {
    fn add(&mut self, reason: String, old: &OldEvent) {
        if let Some((rows, _)) = self.reasons.get_mut(&reason) {
            *rows += 1;
        } else if self.reasons.len() < REPORTED {
            self.reasons.insert(reason, (1, old.to_string()));
        } else {
            self.more += 1;
        }
    }

    fn add_text(&mut self, reason: String) {
        if self.reasons.len() < REPORTED {
            self.reasons.insert(reason, (1, String::new()));
        } else {
            self.more += 1;
        }
    }

    fn into_text(self) -> Option<String> {
        if self.reasons.is_empty() {
            return None;
        }
        let mut text = "its events cannot be taken over, and nothing was changed:".to_owned();
        for (reason, (rows, first)) in self.reasons {
            text.push_str(&match (rows, first.as_str()) {
                (_, "") => format!("\n- {reason}"),
                (1, first) => format!("\n- {first}: {reason}"),
                (rows, first) => format!("\n- {rows} events, the first is {first}: {reason}"),
            });
        }
        if self.more > 0 {
            text.push_str(&format!("\n- and {} more", self.more));
        }
        Some(text)
    }
}

impl Unmapped {
    fn add(&mut self, reason: &str, old: &OldEvent) {
        self.events += 1;
        if self.first.is_none() {
            self.first = Some(format!("{old}: {reason}"));
        }
    }
}
