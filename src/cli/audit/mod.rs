//! `audit`: the audit log.
//!
//! ## Layout
//! - `rows`: rows and counts as text, JSON, JSON Lines and CSV

mod rows;

use clap::Args;
use futures::StreamExt;

use self::rows::{Format, Rows};
use super::ending_signals::EndingSignals;
use super::session::{OpenMode, Session};
use super::stderr;
use crate::BoxError;
use crate::app::UnopenedApp;
use crate::projections::audit::{AuditError, AuditLog, AuditQuery, AuditQueryParams};
use crate::projections::presenter::{PresentationParams, Presenter};

/// Rows per page that is read.
const PAGE: u64 = 1_000;

/// Print the audit log: who did what, when, to what
#[derive(Args)]
#[command(after_help = "Examples:\n  $ audit --actor user:alice --newest-first --limit 20\n  \
    $ audit --topic project/member --follow\n  $ audit --target user:bob --from 2026-01-01T00:00:00Z --format csv\n  \
    $ audit --refused --count\n\n\
    A filter may be repeated: a row matches if it has any of the values. Different filters must all match. A topic includes \
    the topics below it. Bounds are positions, event ids or times with a zone; --from is inclusive, --until exclusive. An \
    unknown actor or target gives no rows; a topic or event type that the application does not declare is an error. With \
    --limit, the cursor of the next page is printed to stderr.")]
pub(super) struct Audit {
    #[command(flatten)]
    query: AuditQueryParams,
    /// Print existing rows, then follow new ones until Ctrl-C, like `tail -f`
    #[arg(long)]
    follow: bool,
    /// Print counts by actor, action and event type in place of rows; of at most 10,000 events, or --limit
    #[arg(long, conflicts_with = "follow")]
    count: bool,
    /// Output format
    #[arg(long, value_parser = Format::names(), value_name = "FORMAT", default_value = "text")]
    format: String,
    #[command(flatten)]
    words: PresentationParams,
}

impl Audit {
    pub(super) async fn run(self, app: UnopenedApp) -> Result<(), BoxError> {
        app.check_reader()?;
        app.with(OpenMode::Read, |session| async move {
            match (self.follow, self.count) {
                (true, _) => self.follow(&session).await,
                (_, true) => self.print_counts(&session).await,
                _ => self.print(&session).await,
            }
        })
        .await
    }

    async fn print_counts(&self, session: &Session) -> Result<(), BoxError> {
        session.catch_up(AuditLog::NAME).await?;
        rows::count(&self.query.apply(session.audit()).count().await?, Format::from_name(&self.format)?)
    }

    /// Prints existing rows in pages, so that memory does not grow with the log.
    async fn print(&self, session: &Session) -> Result<(), BoxError> {
        session.catch_up(AuditLog::NAME).await?;
        let mut rows = Rows::new(Format::from_name(&self.format)?)?;
        let mut left = self.query.limit.unwrap_or(u64::MAX);
        let mut cursor = self.query.cursor;
        loop {
            let query = self.shortened(self.query.apply_filters(session.audit())).limit(left.min(PAGE));
            let mut page = match cursor {
                Some(cursor) => query.cursor(cursor).page().await?,
                None => query.page().await?,
            };
            self.words.apply_to_rows(self.presenter(session), &mut page.rows).await?;
            page.rows.iter().try_for_each(|row| rows.print(row))?;
            left = left.saturating_sub(page.rows.len() as u64);
            cursor = page.next;
            if left == 0 || cursor.is_none() {
                break;
            }
        }
        rows.end()?;
        if let Some(next) = cursor {
            stderr::print(format_args!("next page: --cursor {next}"));
        }
        Ok(())
    }

    /// Long sentences are shortened as text: the other formats have the whole.
    fn shortened(&self, query: AuditQuery) -> AuditQuery {
        if self.format == "text" { query.shortened() } else { query }
    }

    fn presenter(&self, session: &Session) -> Presenter {
        let presenter = session.annals.presenter();
        if self.format == "text" { presenter.shortened() } else { presenter }
    }

    async fn follow(&self, session: &Session) -> Result<(), BoxError> {
        let mut stream = self.shortened(self.query.apply(session.audit())).follow();
        let mut rows = Rows::new(Format::from_name(&self.format)?)?;
        // One listener for the whole loop: a signal between two iterations must not be lost.
        let mut signals = EndingSignals::listen()?;
        loop {
            tokio::select! {
                row = stream.next() => match row {
                    Some(row) => {
                        let mut row = [row.inspect_err(print_cursor)?];
                        self.words.apply_to_rows(self.presenter(session), &mut row).await?;
                        rows.print(&row[0])?;
                    }
                    None => break,
                },
                _ = signals.received() => break,
            }
        }
        rows.end()
    }
}

/// Prints where to continue after access was denied.
fn print_cursor(error: &AuditError) {
    if let AuditError::Denied { cursor: Some(cursor), .. } | AuditError::Unconfirmed { cursor: Some(cursor) } =
        error
    {
        stderr::print(format_args!("continue: --cursor {cursor}"));
    }
}
