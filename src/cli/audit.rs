//! `audit`: who did what, when, to what.

use std::io::{Write, stdout};

use clap::{Args, ValueEnum};
use futures::StreamExt;

use super::output::plain;
use super::{Open, StoreArgs, caught_up};
use crate::BoxError;
use crate::app::{Annals, App};
use crate::events::Action;
use crate::projections::audit::{AuditPage, AuditQuery, AuditRow, Bound, Cursor};

/// Rows printed when no limit is given and the log is not followed.
const DEFAULT_LIMIT: usize = 50;

/// Print the audit log: who did what, when, to what
#[derive(Args)]
#[command(after_help = "Examples:\n  audit --actor user:alice --order desc --limit 20\n  \
    audit --topic project/member --follow\n  audit --target user:bob --from 2026-01-01T00:00:00Z --format csv\n\n\
    A topic takes in everything below it; several topics are merged. Bounds are positions, event ids or times with a \
    zone; --from is inclusive, --until exclusive. When there is more, the cursor for the next page is printed on stderr \
    (in JSON it is part of the page).")]
pub(super) struct Audit {
    /// Only what this actor did: a reference like user:alice
    #[arg(long, value_name = "KIND:ID")]
    actor: Option<crate::events::Ref>,
    /// Only what was done to this: a reference like project:7
    #[arg(long, value_name = "KIND:ID")]
    target: Option<crate::events::Ref>,
    /// Only this topic and what is below it; may be given several times
    #[arg(long = "topic", value_name = "PATH")]
    topics: Vec<String>,
    /// Only this kind of change: create, update, delete or view
    #[arg(long = "action", value_name = "ACTION")]
    actions: Vec<Action>,
    /// Only this event type: project_member.added
    #[arg(long, value_name = "TYPE")]
    event: Option<String>,
    /// Only what was recorded at or after this position, event id or time
    #[arg(long, value_name = "BOUND")]
    from: Option<Bound>,
    /// Only what was recorded before this position, event id or time
    #[arg(long, value_name = "BOUND")]
    until: Option<Bound>,
    /// At most so many rows in all [default: 50, or no limit with --follow]
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Oldest first (asc) or newest first (desc)
    #[arg(long, value_enum, default_value = "asc")]
    order: Order,
    /// Go on behind an earlier page of the same query
    #[arg(long, value_name = "CURSOR")]
    cursor: Option<Cursor>,
    /// Print what is there, then what comes, until Ctrl-C
    #[arg(long)]
    follow: bool,
    /// How rows are printed
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    #[command(flatten)]
    store: StoreArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Order {
    Asc,
    Desc,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Sentences.
    Text,
    /// One JSON document: rows, cursor and the position they are true at.
    Json,
    /// One JSON object a row.
    Jsonl,
    /// A table with a head row.
    Csv,
}

impl Audit {
    pub(super) async fn run(self, app: App) -> Result<(), BoxError> {
        let store = self.store.clone();
        app.with(&store, Open::ToRead.flags(), |annals| async move {
            match self.follow {
                true => self.follow(&annals).await,
                false => self.page(&annals).await,
            }
        })
        .await
    }

    fn query(&self, annals: &Annals) -> AuditQuery {
        let mut query = annals.audit();
        if let Some(actor) = &self.actor {
            query = query.actor(actor.clone());
        }
        if let Some(target) = &self.target {
            query = query.target(target.clone());
        }
        query = self.topics.iter().fold(query, |query, topic| query.topic(topic));
        query = self.actions.iter().fold(query, |query, action| query.action(*action));
        if let Some(event_type) = &self.event {
            query = query.event(event_type);
        }
        if let Some(from) = self.from {
            query = query.from(from);
        }
        if let Some(until) = self.until {
            query = query.until(until);
        }
        if let Some(limit) = self.limit {
            query = query.limit(limit);
        }
        if let Some(cursor) = &self.cursor {
            query = query.cursor(cursor.clone());
        }
        match self.order {
            Order::Asc => query.oldest_first(),
            Order::Desc => query.newest_first(),
        }
    }

    async fn page(&self, annals: &Annals) -> Result<(), BoxError> {
        caught_up(annals, crate::projections::audit::NAME).await?;
        let query = match self.limit {
            Some(_) => self.query(annals),
            None => self.query(annals).limit(DEFAULT_LIMIT),
        };
        let page: AuditPage = query.page().await?;
        if self.format == Format::Json {
            return super::output::json(&page);
        }
        let mut rows = Rows::new(self.format)?;
        page.rows.iter().try_for_each(|row| rows.print(row))?;
        if let Some(next) = &page.next {
            eprintln!("there is more: --cursor {next}");
        }
        Ok(())
    }

    async fn follow(&self, annals: &Annals) -> Result<(), BoxError> {
        let mut stream = std::pin::pin!(self.query(annals).follow()?);
        // A stream has no end to close a document at: one object a row.
        let mut rows = Rows::new(if self.format == Format::Json { Format::Jsonl } else { self.format })?;
        loop {
            tokio::select! {
                row = stream.next() => match row {
                    Some(row) => rows.print(&row?)?,
                    None => return Ok(()),
                },
                stop = tokio::signal::ctrl_c() => return Ok(stop?),
            }
        }
    }
}

/// Prints rows one by one.
struct Rows {
    format: Format,
}

impl Rows {
    fn new(format: Format) -> Result<Self, BoxError> {
        if format == Format::Csv {
            csv(&CSV_HEAD.map(str::to_owned))?;
        }
        Ok(Self { format })
    }

    fn print(&mut self, row: &AuditRow) -> Result<(), BoxError> {
        match self.format {
            Format::Text => writeln!(stdout().lock(), "{} {} {}", row.position, row.recorded_at, plain(&row.sentence))?,
            Format::Json | Format::Jsonl => writeln!(stdout().lock(), "{}", serde_json::to_string(row)?)?,
            Format::Csv => csv(&[
                row.position.to_string(),
                row.event_id.to_string(),
                row.recorded_at.to_string(),
                row.actor.to_string(),
                row.action.to_string(),
                row.targets.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
                row.topics.first().map(ToString::to_string).unwrap_or_default(),
                row.event_type.clone(),
                row.aggregate.to_string(),
                row.sentence.clone(),
                serde_json::to_string(&row.changes)?,
                row.payload.get().to_owned(),
            ])?,
        }
        Ok(())
    }
}

const CSV_HEAD: [&str; 12] = [
    "position",
    "event_id",
    "recorded_at",
    "actor",
    "action",
    "targets",
    "topic",
    "event_type",
    "aggregate",
    "sentence",
    "changes",
    "payload",
];

/// A CSV line. A cell that a spreadsheet would take for a formula gets a quote in front.
fn csv(cells: &[String]) -> Result<(), BoxError> {
    let inert = cells.iter().map(|cell| match cell.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        true => format!("'{cell}"),
        false => cell.clone(),
    });
    let mut line = csv::Writer::from_writer(Vec::new());
    line.write_record(inert)?;
    stdout().lock().write_all(&line.into_inner()?)?;
    Ok(())
}
