//! `backup`: a copy of the log as of one position.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use clap::Args;

use super::ProgressBar;
use super::ending_signals::EndingSignals;
use super::output::{self, TextOrJson, plain};
use super::session::OpenMode;
use crate::BoxError;
use crate::app::UnopenedApp;

/// Copy the log to a new file; other programs may write meanwhile
#[derive(Args)]
#[command(
    after_help = "Example:\n  $ backup log-2026-11-21.db\n\nOnly for SQLite; on PostgreSQL use pg_dump. Views are not copied: they \
    are rebuilt from the log. To restore a backup, stop every program on the store, replace the log by the copy, and remove \
    the *.db-wal and *.db-shm files beside it."
)]
pub(super) struct Backup {
    /// The new file. It must not exist
    file: PathBuf,
    #[command(flatten)]
    format: TextOrJson,
}

impl Backup {
    pub(super) async fn run(self, app: UnopenedApp) -> Result<(), BoxError> {
        let mut signals = EndingSignals::listen()?;
        app.check_reader()?;
        app.with(OpenMode::Inspect, |session| async move {
            let bar = Arc::new(Mutex::new(ProgressBar::new("copying", 0)));
            let seen = bar.clone();
            let copying = session.backup(&self.file, move |done, total| {
                seen.lock().unwrap_or_else(PoisonError::into_inner).at(done, total)
            });
            tokio::select! {
                copied = copying => copied?,
                signal = signals.received() => return Err(format!("ended by {signal}: no file was written").into()),
            }
            let file = self.file.display().to_string();
            match self.format.is_json() {
                true => output::json(&serde_json::json!({ "file": file })),
                false => output::line(&format!("copied to {}", plain(&file))),
            }
        })
        .await
    }
}
