//! `check`: finds edits made around the store's triggers.

use clap::Args;

use super::output::{self, Format, plain};
use super::{Bar, Open, StoreArgs};
use crate::BoxError;
use crate::app::App;
use crate::store::{CheckReport, LogDigest};

/// Verify the log, what protects it, and what was made of it
///
/// Checks positions, ids, times, sequences and digests of all events, that this program can read them, the rows of their
/// commands, triggers, constraints, functions and rights in the database, the checkpoints of projections and the
/// snapshots of aggregates.
#[derive(Args)]
#[command(after_help = "Example:\n  check --store sqlite://job_server.db\n\n\
                  The exit code is 0 only if nothing was found.\n\n\
                  The digest covers position, event id, time of recording and content of every event up to the head. Keep \
                  it where nobody who may change the store can change it, and compare later with --expect: then a change of \
                  any event up to there is found.")]
pub(super) struct Check {
    /// Digest of the log that an earlier check printed: the log up to that position must still have it
    #[arg(long, value_name = "POSITION:DIGEST")]
    expect: Option<LogDigest>,
    /// Delete all snapshots of aggregates after the check (a cache: new ones are made from the log)
    #[arg(long)]
    drop_snapshots: bool,
    /// How the report is printed
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    #[command(flatten)]
    store: StoreArgs,
}

#[derive(serde::Serialize)]
struct Printed<'a> {
    #[serde(flatten)]
    report: &'a CheckReport,
    #[serde(skip_serializing_if = "Option::is_none")]
    dropped_snapshots: Option<u64>,
}

impl Check {
    pub(super) async fn run(self, app: App) -> Result<(), BoxError> {
        let store = self.store.clone();
        app.with(&store, Open::AsItIs.flags(), |annals| async move {
            let mut bar = Bar::new("checking", annals.store().head().await?.position);
            let report = annals.check_against(self.expect, |position, head| bar.at(position, head)).await?;
            bar.finish();
            let dropped_snapshots = match self.drop_snapshots {
                true => Some(annals.store().delete_snapshots().await?),
                false => None,
            };
            match self.format {
                Format::Json => output::json(&Printed { report: &report, dropped_snapshots })?,
                Format::Text => text(&report, dropped_snapshots)?,
            }
            match report.verdict() {
                None => Ok(()),
                Some(verdict) => Err(verdict.into()),
            }
        })
        .await
    }
}

fn text(report: &CheckReport, dropped_snapshots: Option<u64>) -> Result<(), BoxError> {
    for finding in &report.findings {
        output::line(&plain(&finding.to_string()))?;
    }
    output::line(&format!(
        "{} events checked, {} findings; {} snapshots compared",
        report.events,
        report.count(),
        report.snapshots
    ))?;
    match &report.digest {
        Some(digest) => output::line(&format!("digest {digest}"))?,
        None => output::line("no digest: an event cannot be read")?,
    }
    output::line(
        "not covered (an earlier digest, with --expect, shows changed events; only signed checkpoints could show the rest):",
    )?;
    for what in report.not_covered {
        output::line(&format!("- {what}"))?;
    }
    if let Some(count) = dropped_snapshots {
        output::line(&format!("{count} snapshots dropped: restart programs that may have decided on a wrong one"))?;
    }
    Ok(())
}
