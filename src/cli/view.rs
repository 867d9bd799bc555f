//! `view`: the documents of a view.

use clap::Args;
use serde_json::{Value, json};

use super::output::{self, Format, plain};
use super::{Open, ReaderArgs, StoreArgs};
use crate::BoxError;
use crate::app::App;

/// Documents are read in pages of this size.
const PAGE: usize = 1_000;

/// Print one document of a view, or all of them in the order of their keys
#[derive(Args)]
#[command(after_help = "Examples:\n  view roster\n  view roster 7 --format json")]
pub(super) struct View {
    /// The view's name: see `projections status`
    name: String,
    /// The document's key
    key: Option<String>,
    /// How they are printed: text has a line for each, its key, a tab and the document
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    #[command(flatten)]
    reader: ReaderArgs,
    #[command(flatten)]
    store: StoreArgs,
}

impl View {
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
            let mut after: Option<String> = None;
            let mut all = Vec::new();
            loop {
                let page = view.page(PAGE, after.as_deref()).await?;
                after = page.documents.last().map(|(key, _)| key.clone());
                for (key, document) in page.documents {
                    match self.format {
                        Format::Text => output::line(&format!("{}\t{document}", plain(&key)))?,
                        Format::Json => all.push(json!({ "key": key, "document": document })),
                    }
                }
                if !page.more {
                    break;
                }
            }
            match self.format {
                Format::Text => Ok(()),
                Format::Json => output::json(&Value::from(all)),
            }
        })
        .await
    }
}
