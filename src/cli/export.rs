//! `export`: the audit log as CSV, JSON Lines, CloudEvents or OCEL.

use std::io::{IsTerminal, stdout};
use std::path::{Path, PathBuf};

use super::ending_signals::EndingSignals;
use super::output::counted;
use super::output_file::{self, OutputFile};
use super::session::OpenMode;
use super::{ProgressBar, stderr};
use crate::BoxError;
use crate::app::Annals;
use crate::app::UnopenedApp;
use crate::events::Ref;
use crate::projections::audit::{AuditLog, AuditQueryParams, Detail};
use crate::projections::export::{Export as Exporting, ExportManifest, ExportProgress, Format};
use crate::projections::presenter::PresentationParams;
use clap::Args;

/// Write the audit log to a file in another format: CSV, JSON Lines, CloudEvents or OCEL
#[derive(Args)]
#[command(after_help = "Examples:\n  $ export --format csv --to june.csv --from 2026-06-01 --until 2026-07-01\n  \
    $ export --format jsonl --to - --actor user:alice --locale fr | less\n  $ export --format ocel --to log.json\n\n\
    An export ends with a statement of what it covers: a file without one was cut off. The file is written atomically: \
    a signal or an error leaves no partial file, and with --replace the old one. A device or a FIFO is written to.\n\n\
    --text is compared with the sentences as declared, whatever --locale writes.")]
pub(super) struct Export {
    /// Output format: csv, jsonl, cloudevents (1.0) or ocel (2.0)
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// Output file, or - for stdout
    #[arg(long, value_name = "FILE")]
    #[cfg_attr(feature = "proofs", arg(required_unless_present = "proofs"))]
    #[cfg_attr(not(feature = "proofs"), arg(required = true))]
    to: Option<PathBuf>,
    /// Write the proofs of the log to this folder instead: the last checkpoint, tiles and entries, which hold no values
    #[cfg(feature = "proofs")]
    #[arg(long, value_name = "FOLDER", conflicts_with_all = ["format", "to", "replace", "bom"])]
    proofs: Option<PathBuf>,
    /// Replace the file if it exists; its permissions stay
    #[arg(long)]
    replace: bool,
    /// Begin the CSV file with a byte order mark, by which Excel recognises UTF-8
    #[arg(long)]
    bom: bool,
    #[command(flatten)]
    query: AuditQueryParams,
    #[command(flatten)]
    words: PresentationParams,
}

impl Export {
    pub(super) async fn run(self, app: UnopenedApp) -> Result<(), BoxError> {
        #[cfg(feature = "proofs")]
        if let Some(folder) = self.proofs {
            return super::proofs::export(app, folder).await;
        }
        let format: Format = self.format.as_deref().ok_or("no format: give --format csv, for example")?.parse()?;
        if self.bom && format != Format::Csv {
            return Err(format!("--bom is for --format csv: {format} begins with none").into());
        }
        let to = self.to.clone().ok_or("no output file: give --to")?;
        let to = to.as_path();
        let to_file = to != Path::new("-");
        if to_file {
            output_file::check(to, self.replace)?;
        }
        app.check_reader()?;
        let source = format!("/{}", app.app.name);
        app.with(OpenMode::Read, |session| async move {
            session.catch_up(AuditLog::NAME).await?;
            let annals = &session.annals;
            let export = self.query.apply(session.audit()).export(format).source(source).byte_order_mark(self.bom);
            let export = destination(to).into_iter().fold(export, Exporting::destination);
            let presenter = self.words.apply(annals.presenter())?;
            let export = if presenter.is_as_declared() { export } else { export.presenter(presenter) };
            let statement = match to_file {
                true => self.to_file(to, export, annals).await?,
                false => to_stdout(export).await?,
            };
            stderr::print(format_args!(
                "exported {}{}, complete up to position {}",
                counted(statement.rows, "event"),
                if statement.detail == Detail::Metadata { " (metadata only)" } else { "" },
                statement.head.position
            ));
            Ok(())
        })
        .await
    }

    async fn to_file(&self, to: &Path, export: Exporting, annals: &Annals) -> Result<ExportManifest, BoxError> {
        // One listener for the whole loop: a signal between two iterations must not be lost.
        let mut signals = EndingSignals::listen()?;
        let mut bar = ProgressBar::new("export", annals.store().head().await?.position);
        let (send, mut progress) = tokio::sync::watch::channel(None::<ExportProgress>);
        let export = export.progress(move |progress| {
            send.send_replace(Some(progress));
        });
        let mut output = OutputFile::open(to, self.replace)?;
        let left = output.left_when_dropped();
        let manifest = {
            let mut writer = output.writer();
            let writing = export.to(&mut writer);
            tokio::pin!(writing);
            loop {
                tokio::select! {
                    written = &mut writing => break written?,
                    Ok(()) = progress.changed() => {
                        if let Some(at) = *progress.borrow_and_update() {
                            bar.at(at.position, at.head);
                        }
                    }
                    signal = signals.received() => return Err(format!("ended by {signal}: {left}").into()),
                }
            }
        };
        bar.finish();
        output.finish().await?;
        Ok(manifest)
    }
}

/// Where the data goes, for the record: the file with its whole path, or `file:-` for stdout. None if the path is too long.
fn destination(to: &Path) -> Option<Ref> {
    let file = if to == Path::new("-") { to.to_owned() } else { std::path::absolute(to).ok()? };
    Ref::new("file", &file.to_string_lossy()).ok()
}

async fn to_stdout(export: Exporting) -> Result<ExportManifest, BoxError> {
    let export = match stdout().is_terminal() {
        true => export,
        false => {
            let mut bar = ProgressBar::new("export", 0);
            export.progress(move |at| bar.at(at.position, at.head))
        }
    };
    let mut out = tokio::io::stdout();
    tokio::select! {
        written = export.to(&mut out) => Ok(written?),
        stop = tokio::signal::ctrl_c() => {
            stop?;
            Err("interrupted: the output is incomplete".into())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::ExitCode;
    use std::time::Duration;

    use futures::{StreamExt, stream};

    use crate::commands::{Context, Envelope};
    use crate::projections::tests::fixture::guild::*;

    /// Each signal that ends a program leaves no partial file, and with `--replace` the old one.
    #[cfg(unix)]
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn an_export_that_a_signal_ends_leaves_no_part() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("log.db").display());
        let out = tempfile::tempdir().unwrap();
        let annals = guild().open(&url).await.unwrap();
        let event = serde_json::to_string(&TeamEvent::Said { words: "so".repeat(500) }).unwrap();
        let context = || Context::by(crate::events::Ref::new("user", "1").unwrap());
        let tell = move |n: u64| TellTeam { on: TeamId::new((n % 9).to_string()), event: event.clone() };
        let commands = stream::iter(0..4_000).map(move |n| Envelope::new(tell(n), context()));
        annals.execute_all(commands, 64).for_each(async |receipt| assert!(receipt.is_ok())).await;
        annals.close().await;
        let file = out.path().join("audit.jsonl");
        let arguments = ["guild", "export", "--format", "jsonl", "--store", &url, "--to", file.to_str().unwrap()];
        let left = || -> Vec<u64> {
            let files = std::fs::read_dir(out.path()).unwrap();
            files.map(|file| file.unwrap().metadata().map_or(0, |file| file.len())).collect()
        };
        for signal in ["-INT", "-TERM", "-HUP", "-QUIT"] {
            let old = if signal == "-HUP" { vec![3] } else { Vec::new() };
            let mut arguments = arguments.to_vec();
            if !old.is_empty() {
                std::fs::write(&file, "old").unwrap();
                arguments.push("--replace");
            }
            let exporting = guild().main_with(arguments);
            let ending = async {
                for _ in 0..60_000 {
                    if left().iter().any(|written| *written > 3) {
                        break;
                    }
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                assert_eq!(file.exists(), !old.is_empty(), "only a complete file gets the name");
                let this = std::process::id().to_string();
                assert!(std::process::Command::new("kill").args([signal, &this]).status().unwrap().success());
            };
            let (done, ()) = tokio::join!(exporting, ending);
            assert_eq!(format!("{done:?}"), format!("{:?}", ExitCode::FAILURE), "{signal}");
            assert_eq!(left(), old, "{signal}");
            let _ = std::fs::remove_file(&file);
        }
    }

    /// Written atomically; overwrites only with `--replace`; an error leaves no partial file.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn an_export_leaves_a_complete_file_or_none() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("log.db").display());
        let out = tempfile::tempdir().unwrap();
        let file = out.path().join("audit.csv");
        let annals = guild().open(&url).await.unwrap();
        user(&annals, "1", "1", named("Ada")).await;
        team(&annals, "1", "7", joined(&["2"], &["dev"])).await;
        annals.close().await;
        let export = async |more: &[&str]| {
            let to = file.to_str().unwrap();
            let begin = ["guild", "export", "--store", &url, "--to", to];
            let done = guild().main_with(begin.iter().chain(more).copied()).await;
            let left = std::fs::read_dir(out.path()).unwrap().count();
            (format!("{done:?}") == format!("{:?}", ExitCode::SUCCESS), left)
        };
        for mistake in [
            &["--format", "xml"][..],
            &["--format", "csv", "--locale", "de"],
            &["--format", "csv", "--topic", "teem"],
            &["--format", "csv", "--event", "team.join"],
            &["--format", "csv", "--from", "2026-01-01T00:00:00"],
            &["--format", "csv", "--actor", "nobody"],
            &["--format", "csv", "--from", "2", "--until", "1"],
        ] {
            assert_eq!(export(mistake).await, (false, 0), "{mistake:?}");
        }
        assert_eq!(export(&["--format", "csv", "--locale", "fr-CA"]).await, (true, 1));
        let whole = std::fs::read_to_string(&file).unwrap();
        assert!(whole.contains("Ada a ajouté user:2 à l’équipe team:7"), "{whole}");
        assert!(whole.lines().last().unwrap().starts_with("#export"), "{whole}");
        assert_eq!(export(&["--format", "jsonl"]).await, (false, 1), "the file exists");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), whole);
        assert_eq!(export(&["--format", "jsonl", "--replace", "--names", "none", "--limit", "1"]).await, (true, 1));
        assert_eq!(std::fs::read_to_string(&file).unwrap().lines().count(), 2);
    }
}
