//! `check`: verifies the store and finds edits that bypassed its triggers.

use clap::Args;

use super::ProgressBar;
use super::output::{self, TextOrJson, counted, plain};
use super::session::OpenMode;
use crate::BoxError;
use crate::app::UnopenedApp;
use crate::store::{CheckReport, LogDigest};

/// Verify the log, its protections, and what is derived from it
///
/// Checks the positions, ids, times, sequences and digests of all events, that this program can decode them, the rows of
/// their commands, the triggers, constraints, functions and privileges in the database, the checkpoints of projections and
/// the snapshots of aggregates.
#[derive(Args)]
#[command(after_help = "Examples:\n  $ check\n  $ check --expect 1042:DIGEST\n\n\
                  The exit code is 0 only if there are no findings.\n\n\
                  The digest covers the position, event id, recording time and content of every event up to the head. Keep \
                  it where nobody with access to the store can change it. A later check with --expect then finds any change \
                  of an event up to that position.")]
pub(super) struct Check {
    /// Digest that an earlier check printed. It is an error if the log up to that position has another one
    #[arg(long, value_name = "POSITION:DIGEST")]
    expect: Option<LogDigest>,
    /// Checkpoint from outside the store, to compare the log with; may be repeated
    #[cfg(feature = "proofs")]
    #[arg(long, value_name = "FILE")]
    checkpoint: Vec<std::path::PathBuf>,
    /// Policy that says whose checkpoints are trusted [default: without one, the signature of a checkpoint is not verified]
    #[cfg(feature = "proofs")]
    #[arg(long, value_name = "FILE", requires = "checkpoint")]
    policy: Option<std::path::PathBuf>,
    /// File of the key that signs checkpoints: the log is compared with the last one beside it
    #[cfg(feature = "proofs")]
    #[arg(long, env = "ANNALS_PROOFS_KEY", value_name = "FILE")]
    proofs_key: Option<std::path::PathBuf>,
    /// Delete all snapshots of aggregates after the check. They are a cache: new ones are made from the log
    #[arg(long)]
    drop_snapshots: bool,
    #[command(flatten)]
    format: TextOrJson,
}

#[derive(serde::Serialize)]
struct Printed<'a> {
    #[serde(flatten)]
    report: &'a CheckReport,
    #[serde(skip_serializing_if = "Option::is_none")]
    dropped_snapshots: Option<u64>,
}

impl Check {
    pub(super) async fn run(self, app: UnopenedApp) -> Result<(), BoxError> {
        app.check_operator()?;
        app.with(OpenMode::Inspect, |session| async move {
            session.operate("check", None).await?;
            let annals = session.annals;
            let mut bar = ProgressBar::new("checking", annals.store().head().await?.position);
            #[cfg(feature = "proofs")]
            let report = {
                let checkpoints = self.checkpoints().await?;
                annals
                    .check_with_checkpoints(self.expect, &checkpoints, |position, head| bar.at(position, head))
                    .await?
            };
            #[cfg(not(feature = "proofs"))]
            let report = annals.check_against(self.expect, |position, head| bar.at(position, head)).await?;
            bar.finish();
            let dropped_snapshots = match self.drop_snapshots {
                true => Some(annals.drop_snapshots().await?),
                false => None,
            };
            match self.format.is_json() {
                true => output::json(&Printed { report: &report, dropped_snapshots })?,
                false => print(&report, dropped_snapshots)?,
            }
            match report.verdict() {
                None => Ok(()),
                Some(verdict) => Err(verdict.into()),
            }
        })
        .await
    }
}

#[cfg(feature = "proofs")]
impl Check {
    /// The checkpoints that the log is compared with, each with where it was found.
    async fn checkpoints(&self) -> Result<Vec<(crate::proofs::Checkpoint, String)>, BoxError> {
        let policy = self.policy.as_deref().map(super::proofs::read_policy).transpose()?;
        let mut found = Vec::new();
        for file in &self.checkpoint {
            let signed = super::proofs::read_checkpoint(file)?;
            if let Some(policy) = &policy {
                policy.check(&signed)?;
            }
            found.push((crate::proofs::Checkpoint::clone(&signed), file.display().to_string()));
        }
        if let Some(file) = &self.proofs_key {
            let key = super::proofs::open_key(file.clone()).await?;
            let last = tokio::task::spawn_blocking(move || key.last()).await??;
            found.push((crate::proofs::Checkpoint::clone(&last), format!("{}.checkpoint", file.display())));
        }
        Ok(found)
    }
}

fn print(report: &CheckReport, dropped_snapshots: Option<u64>) -> Result<(), BoxError> {
    for finding in &report.findings {
        output::line(&plain(&finding.to_string()))?;
    }
    output::line(&format!(
        "{} checked, {}; {} compared",
        counted(report.events, "event"),
        counted(report.count(), "finding"),
        counted(report.snapshots, "snapshot")
    ))?;
    match &report.digest {
        Some(digest) => output::line(&format!("digest {digest}"))?,
        None => output::line("no digest: at least one event cannot be read")?,
    }
    let readable = &report.readable;
    if readable.events > 0 {
        output::line(&format!(
            "readable: {} with values of fields that are personal now, recorded before they were; an erasure does not reach them",
            counted(readable.events, "event")
        ))?;
        for (field, events) in &readable.fields {
            output::line(&format!("- {} in {}", plain(field), counted(*events, "event")))?;
        }
        let positions: Vec<String> = readable.positions.iter().map(u64::to_string).collect();
        let more = readable.events - readable.positions.len() as u64;
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        output::line(&format!("- at {}{more}", positions.join(", ")))?;
    }
    output::line(
        "not covered (--expect with an earlier digest finds changed events; signed checkpoints find the rest):",
    )?;
    for what in &report.not_covered {
        output::line(&format!("- {what}"))?;
    }
    if let Some(count) = dropped_snapshots {
        let dropped = counted(count, "snapshot");
        output::line(&format!("{dropped} dropped: restart programs that may have used a wrong one"))?;
    }
    Ok(())
}
