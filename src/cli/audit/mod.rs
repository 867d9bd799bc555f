//! `audit`: who did what, when, to what.

mod rows;

use clap::Args;
use futures::StreamExt;

use self::rows::{Format, Rows};
use super::asking::Asking;
use super::{Open, StoreArgs, caught_up, stderr};
use crate::BoxError;
use crate::app::{Annals, App};
use crate::projections::audit::AuditLog;
use crate::projections::presenter::Words;

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
    #[command(flatten)]
    asking: Asking,
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
    words: Words,
    #[command(flatten)]
    store: StoreArgs,
}

impl Audit {
    pub(super) async fn run(self, app: App) -> Result<(), BoxError> {
        let store = self.store.clone();
        self.asking.check(&app)?;
        app.with(&store, Open::ToRead.flags(), |annals| async move {
            match (self.follow, self.count) {
                (true, _) => self.follow(&annals).await,
                (_, true) => self.tally(&annals).await,
                _ => self.print(&annals).await,
            }
        })
        .await
    }

    /// How many there are.
    async fn tally(&self, annals: &Annals) -> Result<(), BoxError> {
        caught_up(annals, AuditLog::NAME).await?;
        rows::count(&self.asking.bounded(annals).count().await?, self.format)
    }

    /// What is there: in pages, so that a log of any length takes the same memory.
    async fn print(&self, annals: &Annals) -> Result<(), BoxError> {
        caught_up(annals, AuditLog::NAME).await?;
        let mut rows = Rows::new(self.format)?;
        let mut left = self.asking.limit().unwrap_or(u64::MAX);
        let mut cursor = self.asking.cursor();
        loop {
            let query = self.asking.of(annals).limit(left.min(PAGE));
            let mut page = match cursor {
                Some(cursor) => query.cursor(cursor).page().await?,
                None => query.page().await?,
            };
            self.words.tell(annals.presenter(), &mut page.rows).await?;
            page.rows.iter().try_for_each(|row| rows.print(row))?;
            left = left.saturating_sub(page.rows.len() as u64);
            cursor = page.next;
            if left == 0 || cursor.is_none() {
                break;
            }
        }
        rows.end()?;
        if let Some(next) = cursor {
            stderr::say(format_args!("there is more: --cursor {next}"));
        }
        Ok(())
    }

    async fn follow(&self, annals: &Annals) -> Result<(), BoxError> {
        let mut stream = self.asking.bounded(annals).follow();
        let mut rows = Rows::new(self.format)?;
        // One listener for all turns of the loop: a signal between two of them must not be lost.
        let interrupted = tokio::signal::ctrl_c();
        tokio::pin!(interrupted);
        loop {
            tokio::select! {
                row = stream.next() => match row {
                    Some(row) => {
                        let mut row = [row?];
                        self.words.tell(annals.presenter(), &mut row).await?;
                        rows.print(&row[0])?;
                    }
                    None => break,
                },
                stop = &mut interrupted => {
                    stop?;
                    break;
                }
            }
        }
        rows.end()
    }
}
