//! `view`: the documents of a view.

use clap::Args;
use serde_json::{Value, json};

use super::output::{self, TextOrJson, name, plain, plain_json};
use super::session::{OpenMode, Session};
use super::{ProgressBar, stderr};
use crate::BoxError;
use crate::app::UnopenedApp;
use crate::projections::presenter::short_value;
use crate::projections::{JsonView, Listing, ViewCursor, ViewFilterParams};
use crate::store::Moment;

/// Documents per page that is read.
const PAGE: usize = 1_000;

/// Print one document of a view, a list of documents, or their number
#[derive(Args)]
#[command(after_help = "Examples:\n  $ view roster\n  $ view roster 7 --format json\n  \
    $ view roster --filter name=annals --order members --descending --limit 20\n  \
    $ view roster --from members=2 --until members=10 --prefix name=an\n  \
    $ view roster 7 --at 1234\n  $ view roster --any name=annals --any name=other --count\n  $ view roster --count-by name\n\n\
    The conditions and --order take the fields that the view declares; all conditions must be met. --from is inclusive, --until \
    exclusive. Texts are compared by their bytes. With --at, the document is made of the log's events up to that moment. With --limit, the cursor of the next page is printed to stderr.")]
pub(super) struct View {
    /// Name of the view: `projections status` lists them
    name: String,
    /// Key of the document
    key: Option<String>,
    /// The document as of this moment: a position of the log, or a time with its zone
    #[arg(long, value_name = "POSITION|TIME", requires = "key")]
    at: Option<Moment>,
    #[command(flatten)]
    filters: ViewFilterParams,
    /// Print the number of documents
    #[arg(long, conflicts_with_all = ["key", "order", "descending", "limit", "cursor"])]
    count: bool,
    /// Print the number of documents with each value of this field
    #[arg(long, value_name = "FIELD", conflicts_with_all = ["key", "order", "descending", "limit", "cursor", "count"])]
    count_by: Option<String>,
    /// Sort by this field
    #[arg(long, value_name = "FIELD", conflicts_with = "key")]
    order: Option<String>,
    /// Descending order
    #[arg(long, conflicts_with = "key")]
    descending: bool,
    /// Maximum number of documents
    #[arg(long, conflicts_with = "key")]
    limit: Option<usize>,
    /// Cursor that an earlier page printed; repeat its filters and order
    #[arg(long, conflicts_with = "key")]
    cursor: Option<ViewCursor>,
    #[command(flatten)]
    format: TextOrJson,
}

impl View {
    fn listing(&self) -> Result<Listing, BoxError> {
        if self.limit == Some(0) {
            return Err("--limit must be at least 1".into());
        }
        let mut listing = self.filters.listing()?;
        if let Some(order) = &self.order {
            listing = listing.order(order);
        }
        if self.descending {
            listing = listing.descending();
        }
        if let Some(cursor) = &self.cursor {
            listing = listing.cursor(cursor);
        }
        Ok(listing)
    }

    pub(super) async fn run(self, app: UnopenedApp) -> Result<(), BoxError> {
        app.check_reader()?;
        app.with(OpenMode::Read, |session| async move {
            if let (Some(key), Some(at)) = (&self.key, self.at) {
                return self.past(&session, key, at).await;
            }
            let head = session.annals.store().head().await?;
            let view = session.json_view(&self.name, self.key.as_deref()).await?.after(head);
            if let Some(key) = &self.key {
                if self.filters != ViewFilterParams::default() {
                    return Err("a key cannot be combined with conditions: leave out one of the two".into());
                }
                let found = view.get(key).await?;
                let found = found.ok_or_else(|| format!("`{}` has no document `{}`", self.name, plain(key)))?;
                return output::json(&found);
            }
            let mut listing = self.listing()?;
            if self.count || self.count_by.is_some() {
                return self.counts(&view, listing).await;
            }
            let mut left = self.limit.unwrap_or(usize::MAX);
            let mut printed = 0_u64;
            let next = loop {
                let page = view.list(&listing.clone().limit(left.min(PAGE))).await?;
                left -= page.documents.len().min(left);
                for (key, document) in page.documents {
                    match self.format.is_json() {
                        true => output::item(&json!({ "key": key, "document": document }), printed == 0)?,
                        false => output::line(&format!("{}\t{}", name(&key), short_document(document)))?,
                    }
                    printed += 1;
                }
                match page.next {
                    Some(next) if left > 0 => listing = listing.cursor(&next),
                    next => break next,
                }
            };
            if let Some(next) = next {
                stderr::print(format_args!("next page: --cursor {next}"));
            }
            match self.format.is_json() {
                true if printed == 0 => output::line("[]"),
                true => output::line("\n]"),
                false => Ok(()),
            }
        })
        .await
    }

    /// Prints a document as of a moment.
    async fn past(&self, session: &Session, key: &str, at: Moment) -> Result<(), BoxError> {
        if self.filters != ViewFilterParams::default() {
            return Err("a key cannot be combined with conditions: leave out one of the two".into());
        }
        let view = session.json_view_at(&self.name, key, at).await?;
        let mut bar = match view.scans_for(key)? {
            true => Some(ProgressBar::new(format!("scanning the log for `{}` of {}", plain(key), self.name), 0)),
            false => None,
        };
        let mut progress = |position, until| bar.iter_mut().for_each(|bar| bar.at(position, until));
        let found = view.get_at(key, at, None, &mut progress).await;
        if let Some(bar) = bar {
            bar.finish();
        }
        let found = found?;
        let position = found.position();
        let missing = || format!("`{}` had no document `{}` as of position {position}", self.name, plain(key));
        let document = (*found).clone().ok_or_else(missing)?;
        if self.format.is_json() {
            return output::json(&json!({
                "key": key,
                "position": position,
                "event_id": found.head().event_id,
                "recorded_at": found.recorded_at(),
                "document": document,
            }));
        }
        let time = found.recorded_at().map(|time| format!(", recorded {time:.6}")).unwrap_or_default();
        output::line(&format!("{} as of position {position}{time}", name(key)))?;
        output::json(&document)
    }

    async fn counts(&self, view: &JsonView, listing: Listing) -> Result<(), BoxError> {
        let by = self.count_by.as_deref();
        let mut listing = listing.limit(PAGE);
        let mut counts = view.count(&listing, by).await?;
        while let Some(next) = counts.next.take() {
            listing = listing.cursor(&next);
            let more = view.count(&listing, by).await?;
            counts.values.extend(more.values);
            counts.next = more.next;
        }
        match (self.format.is_json(), by) {
            (true, _) => output::json(&counts),
            (false, None) => output::line(&counts.count.to_string()),
            (false, Some(_)) => counts.values.iter().try_for_each(|one| {
                let value = match (one.value.text(), one.value.number()) {
                    (Some(text), _) => plain(text).to_string(),
                    (None, number) => number.unwrap_or_default().to_string(),
                };
                output::line(&format!("{value}\t{}", one.count))
            }),
        }
    }
}

/// A document on one line: long texts and lists in it are shortened.
fn short_document(mut document: Value) -> String {
    short_value(&mut document);
    plain_json(&document.to_string()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_on_one_line_is_short_and_nothing_in_it_acts_on_a_terminal() {
        let document = json!({ "title": "a\u{202e}b\u{9b}\n", "text": "n".repeat(10_000) });
        let shown = short_document(document);
        assert!(shown.contains(r"a\u202eb\u009b\n") && shown.contains("n… (10,000 characters)"), "{shown}");
        assert!(shown.len() < 1_000 && !shown.contains(char::is_control), "{shown}");
    }
}
