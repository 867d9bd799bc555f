//! `check`: finds edits made around the store's triggers.

use clap::Args;

use super::output::{self, Format, plain};
use super::{Bar, Open, StoreArgs};
use crate::BoxError;
use crate::app::App;

/// Verify the log: positions, ids, times, sequences, digests, and that every event can be read
#[derive(Args)]
#[command(
    after_help = "Example:\n  check --store sqlite://job_server.db\n\nThe exit code is 0 only if nothing was found."
)]
pub(super) struct Check {
    /// How the report is printed
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    #[command(flatten)]
    store: StoreArgs,
}

impl Check {
    pub(super) async fn run(self, app: App) -> Result<(), BoxError> {
        let store = self.store.clone();
        app.with(&store, Open::AsItIs.flags(), |annals| async move {
            let mut bar = Bar::new("checking", annals.store().head().await?.position);
            let report = annals.check(|position, head| bar.at(position, head)).await?;
            bar.finish();
            let found = report.findings.len() as u64 + report.more;
            match self.format {
                Format::Json => output::json(&report)?,
                Format::Text => {
                    for finding in &report.findings {
                        output::line(&plain(&finding.to_string()))?;
                    }
                    output::line(&format!("{} events checked, {found} findings", report.events))?;
                }
            }
            match report.is_sound() {
                true => Ok(()),
                false => Err(format!("the log is not as it was written: {found} findings").into()),
            }
        })
        .await
    }
}
