//! `erase`: erases the personal data of a subject. `keys`: what the key store has.

use clap::{Args, FromArgMatches, Subcommand};
use serde_json::json;

use super::output::{self, TextOrJson, counted, name, plain};
use super::session::{OpenMode, Session};
use super::stderr;
use crate::BoxError;
use crate::app::UnopenedApp;
use crate::app::access_log::ExportAccess;
use crate::events::Ref;
use crate::personal::{Erasure, KeyInfo, KeyStoreError};
use crate::text::error_chain;

/// The subjects in a page of the key store.
const PAGE: usize = 1_000;

/// Erase the personal data of a subject, or show erasures
#[derive(Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "Examples:\n  $ erase user:7 --reason 'she asked to' --as user:alice\n  $ erase status\n\n\
    The decision is an event of the log, with the actor and the reason. Then the key of the subject is destroyed, every process drops \
    it, and a second event says that it is done. That takes some five seconds; if it is interrupted, the next program that opens the \
    store continues. From the decision on, new personal data of the subject is refused.\n\n\
    Erased are the fields that the application declares as personal, wherever a copy of them is in the store. Not erased are the id of \
    the subject, values that were recorded before a field was personal (`check` names their positions), and what has left: exports, which \
    are listed, and backups of the keys. Feeds send values sealed."
)]
pub(super) struct Erase {
    #[command(subcommand)]
    command: Option<EraseCommand>,
    /// The subject, like user:7
    #[arg(value_name = "KIND:ID", required = true)]
    subject: Option<Ref>,
    /// The reason, which stays in the log: do not write personal data into it
    #[arg(long, value_name = "TEXT", required = true)]
    reason: Option<String>,
    #[command(flatten)]
    format: TextOrJson,
}

#[derive(Subcommand)]
enum EraseCommand {
    /// List all erasures; the exit code is 0 only if each is complete
    Status {
        #[command(flatten)]
        format: TextOrJson,
    },
}

/// Show what the key store of personal data has, and copy it
#[derive(Args)]
#[command(after_help = "Examples:\n  $ keys status\n  $ keys list\n  $ keys backup /media/safe/people.keys.db\n\n\
    ANNALS_KEYS is the URL of the key store: sqlite://FILE.db or postgres://HOST/DATABASE?schema=NAME. Without it the keys lie where \
    the application says, by default in a file beside the log. `backup` copies the log without its keys: without them, a copy is \
    unreadable where it is personal.\n\n\
    A copy of the keys has the keys of subjects that are erased later. A log that says so destroys them again when it is opened with the \
    copy; keep copies no longer than you must.")]
pub(super) struct KeysCommand {
    #[command(subcommand)]
    command: KeyCommand,
}

#[derive(Subcommand)]
enum KeyCommand {
    /// Show where the keys lie, and how many there are
    Status {
        #[command(flatten)]
        format: TextOrJson,
    },
    /// List the subjects that have or had a key
    List {
        /// Maximum number of subjects
        #[arg(long, value_name = "N")]
        limit: Option<usize>,
        #[command(flatten)]
        format: TextOrJson,
    },
    /// Copy the keys to a new file that only its owner can read
    Backup {
        /// The new file. It must not exist
        file: std::path::PathBuf,
        #[command(flatten)]
        format: TextOrJson,
    },
}

/// The subcommands of an application with personal data.
pub(super) fn commands() -> [clap::Command; 2] {
    [Erase::augment_args(clap::Command::new("erase")), KeysCommand::augment_args(clap::Command::new("keys"))]
}

/// Runs one of them.
pub(super) async fn run(app: UnopenedApp, name: &str, matches: &clap::ArgMatches) -> Result<(), BoxError> {
    app.check_operator()?;
    match name {
        "keys" => {
            let command = KeysCommand::from_arg_matches(matches)?.command;
            app.with(OpenMode::Inspect, |session| async move { command.run(&session).await }).await
        }
        _ => {
            let erase = Erase::from_arg_matches(matches)?;
            // The things that left are found in the audit log.
            let mode = if erase.command.is_some() { OpenMode::Inspect } else { OpenMode::Read };
            app.with(mode, |session| async move { erase.run(&session).await }).await
        }
    }
}

impl Erase {
    async fn run(self, session: &Session) -> Result<(), BoxError> {
        match (self.command, self.subject, self.reason) {
            (Some(EraseCommand::Status { format }), ..) => status(session, &format).await,
            (None, Some(subject), Some(reason)) => erase(session, &subject, &reason, &self.format).await,
            _ => Err("give the subject and --reason".into()),
        }
    }
}

async fn erase(session: &Session, subject: &Ref, reason: &str, format: &TextOrJson) -> Result<(), BoxError> {
    session.operate("erase", None).await?;
    let annals = &session.annals;
    if let Some(weakness) = annals.key_store()?.weakness() {
        stderr::print(format_args!("warning: {weakness}"));
    }
    let erasure = annals.erase(subject, reason, session.context()?).await?;
    let left = match session.lineage(subject).await {
        Ok(left) => left,
        // It is erased all the same.
        Err(error) => {
            stderr::print(format_args!("exports that may have it cannot be listed: {}", error_chain(&error)));
            Vec::new()
        }
    };
    if format.is_json() {
        return output::json(&json!({ "erasure": erasure, "exports": left }));
    }
    output::line(&text(&erasure))?;
    if left.is_empty() {
        return output::line("no recorded export has it");
    }
    output::line("exports that may have it:")?;
    left.iter().try_for_each(|export| output::line(&format!("- {}", export_text(export))))
}

fn export_text(ExportAccess { at, actor, what, to, .. }: &ExportAccess) -> String {
    let to = to.as_ref().map(|to| format!(" to {}", name(to.as_str()))).unwrap_or_default();
    format!("{at:.0} {} exported {}{to}", name(actor.as_str()), plain(what))
}

fn text(erasure: &Erasure) -> String {
    let Erasure { subject, actor, reason, decided_at, keys, weak, completed_at, position, .. } = erasure;
    let (subject, actor) = (name(subject.as_str()), name(actor.as_str()));
    let decided = format!("decided at {position}, {decided_at:.0}, by {actor}: {}", plain(reason));
    match (completed_at, keys) {
        (Some(at), Some(keys)) => {
            let weak =
                weak.as_ref().map(|weak| format!("\n  copies of the key may remain: {weak}")).unwrap_or_default();
            format!("{subject} is erased since {at:.0}; its key was destroyed in {}; {decided}{weak}", plain(keys))
        }
        _ => format!("{subject} is not erased yet; {decided}"),
    }
}

async fn status(session: &Session, format: &TextOrJson) -> Result<(), BoxError> {
    session.operate("status", None).await?;
    let erasures = session.annals.erasures().await?;
    let problems = session.annals.erasure_problems()?;
    match format.is_json() {
        true => output::json(&json!({ "erasures": erasures, "problems": problems }))?,
        false if erasures.is_empty() => output::line("nothing was erased")?,
        false => erasures.iter().try_for_each(|erasure| output::line(&text(erasure)))?,
    }
    let pending = erasures.iter().filter(|erasure| !erasure.is_complete()).count() as u64;
    match pending {
        0 => Ok(()),
        _ => {
            let problems: Vec<String> =
                problems.iter().map(|(subject, problem)| format!("{subject}: {problem}")).collect();
            Err(format!("{} not complete yet {}", counted(pending, "erasure"), problems.join("; "))
                .trim_end()
                .into())
        }
    }
}

impl KeyCommand {
    async fn run(self, session: &Session) -> Result<(), BoxError> {
        let annals = &session.annals;
        match self {
            Self::Status { format } => {
                session.operate("status", None).await?;
                let store = annals.key_store()?;
                let (mut keys, mut erased) = (0_u64, 0_u64);
                each(session, usize::MAX, |subject| {
                    if subject.key.is_some() {
                        keys += 1
                    } else {
                        erased += 1
                    }
                    Ok(())
                })
                .await?;
                let (place, weakness) = (store.describe(), store.weakness());
                if format.is_json() {
                    return output::json(
                        &json!({ "place": place, "keys": keys, "erased": erased, "weakness": weakness }),
                    );
                }
                output::line(&format!("{} and {} erased in {}", counted(keys, "key"), erased, plain(&place)))?;
                weakness.map_or(Ok(()), |weakness| output::line(&format!("weak: {weakness}")))
            }
            Self::List { limit, format } => {
                session.operate("keys", None).await?;
                let mut printed = 0;
                each(session, limit.unwrap_or(usize::MAX), |subject| {
                    printed += 1;
                    match format.is_json() {
                        true => output::item(&subject, printed == 1),
                        false => output::line(&line(&subject)),
                    }
                })
                .await?;
                match format.is_json() {
                    true if printed == 0 => output::line("[]"),
                    true => output::line("\n]"),
                    false => Ok(()),
                }
            }
            Self::Backup { file, format } => {
                session.operate("keys", None).await?;
                annals.key_store()?.backup(&file).await.map_err(|KeyStoreError(error)| error)?;
                let file = file.display().to_string();
                match format.is_json() {
                    true => output::json(&json!({ "file": file })),
                    false => output::line(&format!("copied to {}", plain(&file))),
                }
            }
        }
    }
}

fn line(subject: &KeyInfo) -> String {
    let KeyInfo { subject, key, created_at, erased_at } = subject;
    let state = match (key, erased_at) {
        (Some(key), _) => format!("key {key}, created {created_at:.0}"),
        (None, Some(at)) => format!("erased {at:.0}"),
        (None, None) => "erased".to_owned(),
    };
    format!("{}\t{state}", name(subject.as_str()))
}

/// Calls `with` for each subject of the key store, at most `limit`.
async fn each(
    session: &Session,
    limit: usize,
    mut with: impl FnMut(KeyInfo) -> Result<(), BoxError>,
) -> Result<(), BoxError> {
    let (mut after, mut left) = (None, limit);
    while left > 0 {
        let page = session.annals.subjects(after.as_ref(), left.min(PAGE)).await?;
        let is_last = page.len() < left.min(PAGE);
        left -= page.len();
        for subject in page {
            after = Some(subject.subject.clone());
            with(subject)?;
        }
        if is_last {
            break;
        }
    }
    Ok(())
}
