//! `audit`: who did what, when, to what.

use std::io::{Write, stdout};

use clap::{Args, ValueEnum};
use futures::StreamExt;

use super::output::plain;
use super::words::Words;
use super::{Open, StoreArgs, caught_up};
use crate::BoxError;
use crate::app::{Annals, App};
use crate::events::Action;
use crate::projections::Bound;
use crate::projections::audit::{AuditLog, AuditQuery, AuditRow, Cursor};

/// Rows are read in pages of this size.
const PAGE: u64 = 1_000;

/// Print the audit log: who did what, when, to what
#[derive(Args)]
#[command(after_help = "Examples:\n  audit --actor user:alice --order desc --limit 20\n  \
    audit --topic project/member --follow\n  audit --target user:bob --from 2026-01-01T00:00:00Z --format csv\n\n\
    A topic takes in everything below it; several topics are merged. Bounds are positions, event ids or times with a \
    zone; --from is inclusive, --until exclusive. When there is more, the cursor for the next page is printed on stderr.")]
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
    /// At most so many rows in all [default: all of them]
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
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
    words: Words,
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
    /// One JSON list with an object a row.
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
                false => self.print(&annals).await,
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
        match self.order {
            Order::Asc => query.oldest_first(),
            Order::Desc => query.newest_first(),
        }
    }

    /// What is there: in pages, so that a log of any length takes the same memory.
    async fn print(&self, annals: &Annals) -> Result<(), BoxError> {
        caught_up(annals, AuditLog::NAME).await?;
        let mut rows = Rows::new(self.format)?;
        let mut left = self.limit.unwrap_or(u64::MAX);
        let mut cursor = self.cursor;
        loop {
            let query = self.query(annals).limit(left.min(PAGE));
            let mut page = match cursor {
                Some(cursor) => query.cursor(cursor).page().await?,
                None => query.page().await?,
            };
            self.words.tell(annals, &mut page.rows).await?;
            page.rows.iter().try_for_each(|row| rows.print(row))?;
            left = left.saturating_sub(page.rows.len() as u64);
            cursor = page.next;
            if left == 0 || cursor.is_none() {
                break;
            }
        }
        rows.end()?;
        if let Some(next) = cursor {
            eprintln!("there is more: --cursor {next}");
        }
        Ok(())
    }

    async fn follow(&self, annals: &Annals) -> Result<(), BoxError> {
        let mut query = self.query(annals);
        if let Some(limit) = self.limit {
            query = query.limit(limit);
        }
        if let Some(cursor) = &self.cursor {
            query = query.cursor(*cursor);
        }
        let mut stream = query.follow();
        let mut rows = Rows::new(self.format)?;
        loop {
            tokio::select! {
                row = stream.next() => match row {
                    Some(row) => {
                        let mut row = [row?];
                        self.words.tell(annals, &mut row).await?;
                        rows.print(&row[0])?;
                    }
                    None => break,
                },
                stop = tokio::signal::ctrl_c() => {
                    stop?;
                    break;
                }
            }
        }
        rows.end()
    }
}

/// Prints rows one by one.
struct Rows {
    format: Format,
    printed: u64,
}

impl Rows {
    fn new(format: Format) -> Result<Self, BoxError> {
        match format {
            Format::Csv => csv(&CSV_HEAD.map(str::to_owned))?,
            Format::Json => write!(stdout().lock(), "[")?,
            Format::Text | Format::Jsonl => {}
        }
        Ok(Self { format, printed: 0 })
    }

    fn print(&mut self, row: &AuditRow) -> Result<(), BoxError> {
        let mut out = stdout().lock();
        match self.format {
            Format::Text => writeln!(out, "{} {} {}", row.position, row.recorded_at, plain(&row.sentence))?,
            Format::Json => {
                let comma = if self.printed == 0 { "" } else { "," };
                write!(out, "{comma}\n{}", serde_json::to_string(row)?)?;
            }
            Format::Jsonl => writeln!(out, "{}", serde_json::to_string(row)?)?,
            Format::Csv => csv(&[
                row.position.to_string(),
                row.event_id.to_string(),
                row.recorded_at.to_string(),
                row.actor.to_string(),
                row.action.to_string(),
                row.targets.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
                row.topic.to_string(),
                row.event_type.clone(),
                row.aggregate.to_string(),
                row.sentence.clone(),
                serde_json::to_string(&row.changes)?,
                row.payload.get().to_owned(),
            ])?,
        }
        self.printed += 1;
        Ok(())
    }

    fn end(&self) -> Result<(), BoxError> {
        if self.format == Format::Json {
            writeln!(stdout().lock(), "{}]", if self.printed == 0 { "" } else { "\n" })?;
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
