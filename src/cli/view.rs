//! `view`: the documents of a view.

use clap::Args;
use serde_json::{Value, json};

use super::output::{self, Format, plain};
use super::{Open, ReaderArgs, StoreArgs, stderr};
use crate::BoxError;
use crate::app::App;
use crate::projections::{Listing, ViewCursor};

/// Documents are read in pages of this size.
const PAGE: usize = 1_000;

/// Print one document of a view, or all of them in the order of their keys
#[derive(Args)]
#[command(after_help = "Examples:\n  view roster\n  view roster 7 --format json\n  \
    view roster --filter name=annals --order members --descending --limit 20\n\n\
    Filters and orders go by the fields that the view declares. With --limit, the cursor of the next page is printed to \
    stderr: give it with --cursor.")]
pub(super) struct View {
    /// The view's name: see `projections status`
    name: String,
    /// The document's key
    key: Option<String>,
    /// Only documents of which this field has this value; several: all of them
    #[arg(long, value_name = "FIELD=VALUE", conflicts_with = "key")]
    filter: Vec<String>,
    /// In the order of this field
    #[arg(long, value_name = "FIELD", conflicts_with = "key")]
    order: Option<String>,
    /// The other way round
    #[arg(long, conflicts_with = "key")]
    descending: bool,
    /// At most so many
    #[arg(long, conflicts_with = "key")]
    limit: Option<usize>,
    /// Go on from a page: the same filters and order again
    #[arg(long, conflicts_with = "key")]
    cursor: Option<ViewCursor>,
    /// How they are printed: text has a line for each, its key, a tab and the document
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    #[command(flatten)]
    reader: ReaderArgs,
    #[command(flatten)]
    store: StoreArgs,
}

impl View {
    fn listing(&self) -> Result<Listing, BoxError> {
        if self.limit == Some(0) {
            return Err("a limit of 0 asks for nothing: give 1 or more, or leave it out".into());
        }
        let mut listing = Listing::default();
        for filter in &self.filter {
            let (field, value) = filter
                .split_once('=')
                .ok_or_else(|| format!("`{}` is no filter: write FIELD=VALUE", plain(filter)))?;
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

    pub(super) async fn run(self, app: App) -> Result<(), BoxError> {
        let store = self.store.clone();
        self.reader.check(&app)?;
        app.with(&store, Open::ToRead.flags(), |annals| async move {
            let head = annals.store().head().await?;
            let view = match self.reader.of(&annals) {
                Some(reader) => reader.json_view(&self.name, self.key.as_deref()).await?,
                None => annals.json_view(&self.name)?,
            };
            let view = view.after(head);
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
                    match self.format {
                        Format::Text => output::line(&format!("{}\t{document}", plain(&key)))?,
                        Format::Json => all.push(json!({ "key": key, "document": document })),
                    }
                }
                match page.next {
                    Some(next) if left > 0 => listing = listing.cursor(&next),
                    next => break next,
                }
            };
            if let Some(next) = next {
                stderr::say(format_args!("more: --cursor {next}"));
            }
            match self.format {
                Format::Text => Ok(()),
                Format::Json => output::json(&Value::from(all)),
            }
        })
        .await
    }
}
