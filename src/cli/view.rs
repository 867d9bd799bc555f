//! `view`: the documents of a view.

use clap::Args;
use serde_json::{Value, json};

use super::output::{self, TextOrJson, plain};
use super::session::OpenMode;
use super::stderr;
use crate::BoxError;
use crate::app::UnopenedApp;
use crate::projections::{Listing, ViewCursor};

/// Documents per page that is read.
const PAGE: usize = 1_000;

/// Print one document of a view, or all of them ordered by key
#[derive(Args)]
#[command(after_help = "Examples:\n  $ view roster\n  $ view roster 7 --format json\n  \
    $ view roster --filter name=annals --order members --descending --limit 20\n\n\
    --filter and --order take the fields that the view declares. With --limit, the cursor of the next page is printed to \
    stderr.")]
pub(super) struct View {
    /// Name of the view: `projections status` lists them
    name: String,
    /// Key of the document
    key: Option<String>,
    /// Only documents whose field has this value; repeat it for several fields
    #[arg(long, value_name = "FIELD=VALUE", conflicts_with = "key")]
    filter: Vec<String>,
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
        let mut listing = Listing::default();
        for filter in &self.filter {
            let (field, value) = filter
                .split_once('=')
                .ok_or_else(|| format!("`{}` is not a filter: write FIELD=VALUE", plain(filter)))?;
            listing = listing.filter(field, value);
        }
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
            let head = session.annals.store().head().await?;
            let view = session.json_view(&self.name, self.key.as_deref()).await?.after(head);
            if let Some(key) = &self.key {
                let found = view.get(key).await?;
                let found = found.ok_or_else(|| format!("`{}` has no document `{}`", self.name, plain(key)))?;
                return output::json(&found);
            }
            let mut listing = self.listing()?;
            let mut left = self.limit.unwrap_or(usize::MAX);
            let mut all = Vec::new();
            let next = loop {
                let page = view.list(&listing.clone().limit(left.min(PAGE))).await?;
                left -= page.documents.len().min(left);
                for (key, document) in page.documents {
                    match self.format.is_json() {
                        true => all.push(json!({ "key": key, "document": document })),
                        false => output::line(&format!("{}\t{document}", plain(&key)))?,
                    }
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
                true => output::json(&Value::from(all)),
                false => Ok(()),
            }
        })
        .await
    }
}
