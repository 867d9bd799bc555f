//! `export`: the audit log in other formats.

use std::io::{IsTerminal, stdout};
use std::path::{Path, PathBuf};

use clap::Args;
use tokio::io::AsyncWriteExt;

use super::asking::Asking;
use super::output::plain;
use super::words::Words;
use super::{Bar, Open, StoreArgs, caught_up};
use crate::BoxError;
use crate::app::{Annals, App};
use crate::projections::audit::AuditLog;
use crate::projections::export::{Export as Exporting, ExportProgress, Format, Statement};

/// Write the audit log to a file in another format: CSV, JSON Lines, CloudEvents or OCEL
#[derive(Args)]
#[command(after_help = "Examples:\n  export --format csv --to june.csv --from 2026-06-01 --until 2026-07-01\n  \
    export --format jsonl --to - --actor user:alice --locale fr | less\n  export --format ocel --to log.json\n\n\
    Each ends with what it covers: a file without that was cut off. A file appears when it is whole; Ctrl-C leaves none.")]
pub(super) struct Export {
    /// In which format: csv, jsonl, cloudevents (1.0) or ocel (2.0)
    #[arg(long, value_name = "FORMAT")]
    format: Format,
    /// Where it goes: a file, or - for stdout
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    /// Replace the file if it is there
    #[arg(long)]
    replace: bool,
    #[command(flatten)]
    asking: Asking,
    #[command(flatten)]
    words: Words,
    #[command(flatten)]
    store: StoreArgs,
}

impl Export {
    pub(super) async fn run(self, app: App) -> Result<(), BoxError> {
        let store = self.store.clone();
        let to_file = self.to != Path::new("-");
        if to_file && !self.replace && self.to.exists() {
            let file = plain(&self.to.to_string_lossy()).into_owned();
            return Err(format!("`{file}` is there already: give --replace, or another name").into());
        }
        let source = format!("/{}", app.name);
        app.with(&store, Open::ToRead.flags(), |annals| async move {
            caught_up(&annals, AuditLog::NAME).await?;
            let export = self.asking.ask(annals.audit()).export(self.format).source(source);
            let presenter = self.words.presenter(&annals)?;
            let export = if presenter.tells_as_declared() { export } else { export.presenter(presenter) };
            let statement = match to_file {
                true => self.to_file(export, &annals).await?,
                false => to_stdout(export).await?,
            };
            eprintln!("{} events, all that there were at position {}", statement.rows, statement.head.position);
            Ok(())
        })
        .await
    }

    /// Into a file beside it, which takes the name when it is whole.
    async fn to_file(&self, export: Exporting, annals: &Annals) -> Result<Statement, BoxError> {
        let mut bar = Bar::new("export", annals.store().head().await?.position);
        let (send, mut progress) = tokio::sync::watch::channel(None::<ExportProgress>);
        let export = export.progress(move |progress| drop(send.send_replace(Some(progress))));
        let folder = self.to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let part = tempfile::Builder::new().prefix(".export-").tempfile_in(folder)?;
        let mut file = tokio::fs::File::from_std(part.reopen()?);
        let writing = async {
            let statement = export.to(&mut file).await?;
            file.shutdown().await?;
            file.sync_all().await?;
            Ok::<_, BoxError>(statement)
        };
        tokio::pin!(writing);
        let statement = loop {
            tokio::select! {
                written = &mut writing => break written?,
                Ok(()) = progress.changed() => {
                    if let Some(at) = *progress.borrow_and_update() {
                        bar.at(at.position, at.head);
                    }
                }
                stop = tokio::signal::ctrl_c() => {
                    stop?;
                    return Err("interrupted: no file was written".into());
                }
            }
        };
        bar.finish();
        match self.replace {
            true => drop(part.persist(&self.to)?),
            false => drop(part.persist_noclobber(&self.to)?),
        }
        Ok(statement)
    }
}

async fn to_stdout(export: Exporting) -> Result<Statement, BoxError> {
    let export = match stdout().is_terminal() {
        true => export,
        false => {
            let mut bar = Bar::new("export", 0);
            export.progress(move |at| bar.at(at.position, at.head))
        }
    };
    let mut out = tokio::io::stdout();
    tokio::select! {
        written = export.to(&mut out) => Ok(written?),
        stop = tokio::signal::ctrl_c() => {
            stop?;
            Err("interrupted: what is written is only a part".into())
        }
    }
}
