//! `backup`: a copy of the log, as of one moment.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use clap::Args;

use super::{Bar, Open, StoreArgs, output};
use crate::BoxError;
use crate::app::App;

/// Copy the log to a new file, while others go on writing
#[derive(Args)]
#[command(
    after_help = "Example:\n  backup job_server-2026-11-21.db\n\nThe views are not copied: they are made again from the log. To restore \
    one, stop every program on the store, put the copy in the log's place, and remove the *.db-wal and *.db-shm files beside it."
)]
pub(super) struct Backup {
    /// The file to make: it must not be there
    file: PathBuf,
    /// How the result is printed
    #[arg(long, value_enum, default_value = "text")]
    format: output::Format,
    #[command(flatten)]
    store: StoreArgs,
}

impl Backup {
    pub(super) async fn run(self, app: App) -> Result<(), BoxError> {
        let store = self.store.clone();
        app.with(&store, Open::AsItIs.flags(), |annals| async move {
            let bar = Arc::new(Mutex::new(Bar::new("copying", 0)));
            let seen = bar.clone();
            annals
                .backup(&self.file, move |done, total| {
                    seen.lock().unwrap_or_else(PoisonError::into_inner).at(done, total)
                })
                .await?;
            let file = self.file.display().to_string();
            match self.format {
                output::Format::Json => output::json(&serde_json::json!({ "file": file })),
                output::Format::Text => output::line(&format!("copied to {}", output::plain(&file))),
            }
        })
        .await
    }
}
