//! `audit`: who did what, when, to what.

mod rows;

use clap::{Args, ValueEnum};
use futures::StreamExt;
use jiff::Timestamp;

use self::rows::{Format, Rows};
use super::{Open, ReaderArgs, StoreArgs, caught_up};
use crate::BoxError;
use crate::app::{Annals, App};
use crate::events::{Action, Ref};
use crate::projections::Bound;
use crate::projections::audit::{AuditLog, AuditQuery, Cursor};

/// Rows are read in pages of this size.
const PAGE: u64 = 1_000;

/// Print the audit log: who did what, when, to what
#[derive(Args)]
#[command(after_help = "Examples:\n  audit --actor user:alice --newest-first --limit 20\n  \
    audit --topic project/member --follow\n  audit --target user:bob --from 2026-01-01T00:00:00Z --format csv\n  \
    audit --refused --count\n\n\
    Every filter may be given several times: any of its values will do; different filters must all agree. A topic takes \
    in everything below it. Bounds are positions, event ids or times with a zone; --from is inclusive, --until \
    exclusive. Who and what nobody has heard of gives an empty answer; a topic or event type that the application does \
    not have is an error. When there is more, the cursor for the next page is printed on stderr.")]
pub(super) struct Audit {
    /// Only what this actor did: a reference like user:alice
    #[arg(long = "actor", value_name = "KIND:ID")]
    actors: Vec<Ref>,
    /// Only what was done to this: a reference like project:7
    #[arg(long = "target", value_name = "KIND:ID")]
    targets: Vec<Ref>,
    /// Only this topic and what is below it
    #[arg(long = "topic", value_name = "PATH")]
    topics: Vec<String>,
    /// Only this kind of change: create, update, delete, view or refuse
    #[arg(long = "action", value_name = "ACTION")]
    actions: Vec<Action>,
    /// Only what was refused or denied
    #[arg(long)]
    refused: bool,
    /// Only this event type: project_member.added
    #[arg(long = "event", value_name = "TYPE")]
    events: Vec<String>,
    /// Only the events of this aggregate, not of others that name it: project:7
    #[arg(long = "aggregate", value_name = "KIND:ID")]
    aggregates: Vec<Ref>,
    /// Only what belongs to this request, import or commit
    #[arg(long = "correlation", value_name = "TEXT")]
    correlations: Vec<String>,
    /// Only where the sentence or the payload holds this text, in upper or lower case
    #[arg(long = "text", value_name = "TEXT")]
    texts: Vec<String>,
    /// Only what was recorded at or after this position, event id or time
    #[arg(long, value_name = "BOUND")]
    from: Option<Bound>,
    /// Only what was recorded before this position, event id or time
    #[arg(long, value_name = "BOUND")]
    until: Option<Bound>,
    /// Only what happened at or after this time, whenever it was recorded
    #[arg(long, value_name = "TIME", value_parser = time)]
    occurred_from: Option<Timestamp>,
    /// Only what happened before this time, whenever it was recorded
    #[arg(long, value_name = "TIME", value_parser = time)]
    occurred_until: Option<Timestamp>,
    /// In the order in which it happened, not in which it was recorded
    #[arg(long)]
    by_occurrence: bool,
    /// At most so many rows in all [default: all of them]
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    /// The newest first
    #[arg(long)]
    newest_first: bool,
    /// Oldest first (asc) or newest first (desc)
    #[arg(long, value_enum, hide = true, conflicts_with = "newest_first")]
    order: Option<Order>,
    /// Go on behind an earlier page of the same query
    #[arg(long, value_name = "CURSOR")]
    cursor: Option<Cursor>,
    /// Print what is there, then what comes, until Ctrl-C
    #[arg(long)]
    follow: bool,
    /// Print how many there are, by whom, of which action and type, in place of the rows; of 10,000 events, or --limit
    #[arg(long, conflicts_with = "follow")]
    count: bool,
    /// How rows are printed
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    #[command(flatten)]
    reader: ReaderArgs,
    #[command(flatten)]
    store: StoreArgs,
}

/// A time with its zone, or a date: its midnight in UTC.
fn time(text: &str) -> Result<Timestamp, String> {
    match text.parse::<Bound>() {
        Ok(Bound::Time(time)) => Ok(time),
        Ok(_) => {
            Err("what happened is found by its time: write one with its zone (2026-01-31T10:00:00Z)".to_owned())
        }
        Err(error) => Err(error.to_string()),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Order {
    Asc,
    Desc,
}

impl Audit {
    pub(super) async fn run(self, app: App) -> Result<(), BoxError> {
        let store = self.store.clone();
        self.reader.check(&app)?;
        app.with(&store, Open::ToRead.flags(), |annals| async move {
            match (self.follow, self.count) {
                (true, _) => self.follow(&annals).await,
                (_, true) => self.tally(&annals).await,
                _ => self.print(&annals).await,
            }
        })
        .await
    }

    fn query(&self, annals: &Annals) -> AuditQuery {
        let mut query = match self.reader.of(annals) {
            Some(reader) => reader.audit(),
            None => annals.audit(),
        };
        query = self.actors.iter().fold(query, |query, actor| query.actor(actor));
        query = self.targets.iter().fold(query, |query, target| query.target(target));
        query = self.topics.iter().fold(query, |query, topic| query.topic(topic));
        query = self.actions.iter().fold(query, |query, action| query.action(*action));
        query = self.events.iter().fold(query, |query, event| query.event(event));
        query = self.aggregates.iter().fold(query, |query, aggregate| query.aggregate(aggregate));
        query = self.correlations.iter().fold(query, |query, correlation| query.correlation(correlation));
        query = self.texts.iter().fold(query, |query, text| query.text(text));
        query = self.from.into_iter().fold(query, AuditQuery::from);
        query = self.until.into_iter().fold(query, AuditQuery::until);
        query = self.occurred_from.into_iter().fold(query, AuditQuery::occurred_from);
        query = self.occurred_until.into_iter().fold(query, AuditQuery::occurred_until);
        query = if self.refused { query.refused() } else { query };
        query = if self.by_occurrence { query.by_occurrence() } else { query };
        match self.newest_first || self.order == Some(Order::Desc) {
            true => query.newest_first(),
            false => query.oldest_first(),
        }
    }

    /// How many there are.
    async fn tally(&self, annals: &Annals) -> Result<(), BoxError> {
        caught_up(annals, AuditLog::NAME).await?;
        let mut query = self.query(annals);
        query = self.limit.into_iter().fold(query, AuditQuery::limit);
        query = self.cursor.into_iter().fold(query, AuditQuery::cursor);
        rows::count(&query.count().await?, self.format)
    }

    /// What is there: in pages, so that a log of any length takes the same memory.
    async fn print(&self, annals: &Annals) -> Result<(), BoxError> {
        caught_up(annals, AuditLog::NAME).await?;
        let mut rows = Rows::new(self.format)?;
        let mut left = self.limit.unwrap_or(u64::MAX);
        let mut cursor = self.cursor;
        loop {
            let query = self.query(annals).limit(left.min(PAGE));
            let page = match cursor {
                Some(cursor) => query.cursor(cursor).page().await?,
                None => query.page().await?,
            };
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
                    Some(row) => rows.print(&row?)?,
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
