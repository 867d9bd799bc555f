//! `proofs`: the tree over the log, and its checkpoints. `verify`: verifies a folder or a proof, without any store.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, FromArgMatches, Subcommand};

use super::ProgressBar;
use super::output::{self, TextOrJson, counted, name, shown};
use super::output_file::{self, OutputFile};
use super::session::{OpenMode, Session};
use super::stderr;
use crate::BoxError;
use crate::app::UnopenedApp;
use crate::proofs::{
    Checkpoint, EventProof, Leaf, Policy, ProofKey, ProofTree, Proofs, SignedCheckpoint, Trusted, VerifierKey,
    verify_folder,
};
use crate::text::hex;

/// The largest text file that is read, in bytes.
const MAX_BYTES: u64 = 8 << 20;

/// Sign checkpoints of the log, and prove that an event is in it
#[derive(Args)]
#[command(after_help = "Examples:\n  $ proofs init --proofs-key proofs.key --origin example.org/job_server\n  \
    $ proofs checkpoint --proofs-key proofs.key\n  $ proofs prove 4712 --to 4712.tlog-proof\n  $ proofs status\n  \
    $ export --proofs /srv/proofs\n  $ verify 4712.tlog-proof --log-key 'example.org/job_server+a8f31c02+AX…'\n\n\
    Position n of the log is leaf n - 1 of a SHA-256 tree (RFC 6962). Checkpoints, tiles, proofs and policies have the formats of C2SP, \
    so that programs of others verify them.\n\n\
    The last checkpoint that was signed lies beside the key, in FILE.checkpoint: nothing that contradicts it is signed. Keep both on a \
    disk that is not restored together with the log.")]
pub(super) struct ProofsCommand {
    #[command(subcommand)]
    command: ProofCommand,
}

/// The file of the key.
#[derive(Args)]
pub(super) struct KeyArg {
    /// File of the key that signs checkpoints: `proofs init` makes one
    #[arg(long, env = "ANNALS_PROOFS_KEY", value_name = "FILE")]
    proofs_key: PathBuf,
}

#[derive(Subcommand)]
enum ProofCommand {
    /// Show how far the tree and the checkpoints are
    Status {
        #[command(flatten)]
        format: TextOrJson,
    },
    /// Make a key that signs checkpoints, and print its public key
    Init {
        #[command(flatten)]
        key: KeyArg,
        /// Name of the log, which stays: a domain of yours and a path
        #[arg(long, value_name = "NAME")]
        origin: String,
    },
    /// Sign a checkpoint of the current log, and print it
    Checkpoint {
        #[command(flatten)]
        key: KeyArg,
        /// Ask the witnesses of this policy for cosignatures
        #[arg(long, value_name = "FILE")]
        policy: Option<PathBuf>,
    },
    /// Print the proof that an event is in the log of the last checkpoint
    Prove {
        /// The event's position
        #[arg(value_name = "POSITION", value_parser = clap::value_parser!(u64).range(1..))]
        position: u64,
        /// Output file [default: stdout]
        #[arg(long, value_name = "FILE")]
        to: Option<PathBuf>,
        /// Replace the file if it exists
        #[arg(long, requires = "to")]
        replace: bool,
    },
    /// Begin a log of another name that names this one: after an older backup was restored, nothing else is signed
    Fork {
        #[command(flatten)]
        key: KeyArg,
        /// Name of the new log
        #[arg(long, value_name = "NAME")]
        origin: String,
    },
}

/// Verify a folder of proofs, or the proof of an event, without any store
///
/// A folder, as `export --proofs` writes it, has to have the whole log of its checkpoint: each event in its place, none changed, added or
/// left out. A file NAME.tlog-proof has to show that its event is in the log of its checkpoint.
#[derive(Args)]
#[command(after_help = "Examples:\n  $ verify /srv/proofs --policy auditors.policy --earlier last.checkpoint\n  \
    $ verify 4712.tlog-proof --log-key 'example.org/job_server+a8f31c02+AX…'\n\n\
    Get the public key of the log, or the policy, from somewhere else than the folder. A policy has lines `log VKEY`, `witness NAME VKEY \
    [URL]`, `group NAME all|any|NUMBER NAME…` and `quorum NAME` (or `quorum none`).\n\n\
    With --earlier, the checkpoint of an earlier verification, it is verified too that the log continues from there.")]
pub(super) struct Verify {
    /// Folder of proofs, or file of a proof
    #[arg(value_name = "FOLDER|FILE")]
    what: PathBuf,
    #[command(flatten)]
    trust: TrustArgs,
    /// Earlier checkpoint of the same log, for a folder
    #[arg(long, value_name = "FILE")]
    earlier: Option<PathBuf>,
    #[command(flatten)]
    format: TextOrJson,
}

/// Whose checkpoints are trusted.
#[derive(Args)]
#[group(required = true, multiple = false)]
struct TrustArgs {
    /// Policy: the logs and witnesses that are trusted
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Public key of the log, in place of a policy without witnesses
    #[arg(long, value_name = "NAME+ID+KEY")]
    log_key: Option<VerifierKey>,
}

/// The subcommands of an application that keeps proofs.
pub(super) fn commands() -> [clap::Command; 2] {
    [ProofsCommand::augment_args(clap::Command::new("proofs")), Verify::augment_args(clap::Command::new("verify"))]
}

/// Runs one of them.
pub(super) async fn run(app: UnopenedApp, name: &str, matches: &clap::ArgMatches) -> Result<(), BoxError> {
    match name {
        "verify" => Verify::from_arg_matches(matches)?.run().await,
        _ => ProofsCommand::from_arg_matches(matches)?.command.run(app).await,
    }
}

/// Opens the file of a key.
pub(super) async fn open_key(file: PathBuf) -> Result<ProofKey, BoxError> {
    Ok(tokio::task::spawn_blocking(move || ProofKey::open(file)).await??)
}

impl ProofCommand {
    async fn run(self, app: UnopenedApp) -> Result<(), BoxError> {
        match self {
            Self::Init { key: KeyArg { proofs_key }, origin } => {
                let key = tokio::task::spawn_blocking(move || ProofKey::create(proofs_key, &origin)).await??;
                output::line(&key.public().to_string())
            }
            Self::Fork { key, origin } => {
                let key = open_key(key.proofs_key).await?;
                let forked = tokio::task::spawn_blocking(move || key.fork(&origin)).await??;
                output::line(&forked.public().to_string())
            }
            Self::Status { format } => {
                app.check_reader()?;
                app.with(OpenMode::Read, |session| async move { status(&session, &format).await }).await
            }
            Self::Checkpoint { key, policy } => checkpoint(app, key, policy).await,
            Self::Prove { position, to, replace } => {
                if let Some(file) = &to {
                    output_file::check(file, replace)?;
                }
                app.check_reader()?;
                app.with(OpenMode::Read, |session| async move {
                    let proof = session.proofs().await?.prove(position).await?.to_string();
                    match &to {
                        None => output::bytes(proof.as_bytes()),
                        Some(file) => write(file, replace, &proof).await,
                    }
                })
                .await
            }
        }
    }
}

async fn write(file: &Path, replace: bool, text: &str) -> Result<(), BoxError> {
    let mut output = OutputFile::open(file, replace)?;
    tokio::io::AsyncWriteExt::write_all(output.writer(), text.as_bytes()).await?;
    output.finish().await
}

async fn checkpoint(app: UnopenedApp, key: KeyArg, policy: Option<PathBuf>) -> Result<(), BoxError> {
    let key = open_key(key.proofs_key).await?;
    let policy = match policy {
        Some(file) => Some(read_policy(&file)?),
        None => None,
    };
    app.check_operator()?;
    app.with(OpenMode::Read, |session| async move {
        session.operate("checkpoint", Some(ProofTree::NAME)).await?;
        session.catch_up(ProofTree::NAME).await?;
        let proofs = session.annals.proofs()?;
        let signed = sign(&proofs, key, policy).await?;
        output::bytes(signed.to_string().as_bytes())
    })
    .await
}

async fn sign(proofs: &Proofs, key: ProofKey, policy: Option<Policy>) -> Result<SignedCheckpoint, BoxError> {
    let key = Arc::new(key);
    Ok(match policy {
        Some(policy) => proofs.sign_with_witnesses(&key, &policy).await?,
        None => proofs.sign(&key).await?,
    })
}

async fn status(session: &Session, format: &TextOrJson) -> Result<(), BoxError> {
    let status = session.proofs().await?.status().await?;
    if format.is_json() {
        return output::json(&status);
    }
    output::line(&format!("tree of {} of {}", status.tree, counted(status.head, "event")))?;
    output::line(&match &status.checkpoint {
        Some(Checkpoint { origin, size, root, fork_of }) => {
            let fork =
                fork_of.as_ref().map(|fork| format!(", forked from {} at {}", name(&fork.origin), fork.size));
            let fork = fork.unwrap_or_default();
            let cosigned = match &*status.witnesses {
                [] => "by no witness".to_owned(),
                witnesses => format!("by {}", shown(&witnesses.join(", "))),
            };
            format!("checkpoint of {} at {size}{fork}, root {root}, cosigned {cosigned}", name(origin))
        }
        None => "no checkpoint: make a key with `proofs init`, then sign with `proofs checkpoint`".to_owned(),
    })
}

/// `export --proofs`
pub(super) async fn export(app: UnopenedApp, folder: PathBuf) -> Result<(), BoxError> {
    app.check_reader()?;
    app.with(OpenMode::Read, |session| async move {
        let proofs = session.proofs().await?;
        let mut bar = ProgressBar::new("export", 0);
        let checkpoint = proofs.export(&folder, |at, size| bar.at(at, size)).await?;
        bar.finish();
        stderr::print(format_args!("exported the proofs of {}", counted(checkpoint.size, "event")));
        Ok(())
    })
    .await
}

fn read_text(file: &Path) -> Result<String, BoxError> {
    let read = || {
        use std::io::Read;
        let mut text = String::new();
        std::fs::File::open(file)?.take(MAX_BYTES).read_to_string(&mut text)?;
        Ok(text)
    };
    read()
        .map_err(|error: std::io::Error| format!("cannot read {} ({error})", shown(&file.to_string_lossy())).into())
}

/// Reads a policy.
pub(super) fn read_policy(file: &Path) -> Result<Policy, BoxError> {
    Ok(read_text(file)?.parse()?)
}

/// Reads a checkpoint.
pub(super) fn read_checkpoint(file: &Path) -> Result<SignedCheckpoint, BoxError> {
    Ok(read_text(file)?.parse()?)
}

impl Verify {
    async fn run(self) -> Result<(), BoxError> {
        tokio::task::spawn_blocking(move || self.verify()).await?
    }

    fn verify(self) -> Result<(), BoxError> {
        let policy = match (self.trust.policy, self.trust.log_key) {
            (Some(file), _) => read_policy(&file)?,
            (None, Some(key)) => Policy::of_log(key),
            (None, None) => return Err("give --policy or --log-key".into()),
        };
        if self.what.is_dir() {
            let earlier = self.earlier.as_deref().map(read_checkpoint).transpose()?;
            let mut bar = ProgressBar::new("verify", 0);
            let verified = verify_folder(&self.what, &policy, earlier.as_ref(), |at, size| bar.at(at, size))?;
            bar.finish();
            if self.format.is_json() {
                return output::json(&verified);
            }
            let continues = verified.continues_from.map(|size| format!(", and continues from that of {size}"));
            let (size, origin) = (counted(verified.checkpoint.size, "event"), name(&verified.checkpoint.origin));
            output::line(&format!("the log of {origin} is whole: {size}{}", continues.unwrap_or_default()))?;
            return vouching(&verified.trusted);
        }
        let proof: EventProof = read_text(&self.what)?.parse()?;
        let (leaf, trusted) = proof.verify(&policy)?;
        if self.format.is_json() {
            return output::json(&VerifiedProof::new(&leaf, &trusted, &proof.checkpoint));
        }
        let Leaf { position, event_id, recorded_at, aggregate_type, aggregate_id, sequence, event_type, digest } =
            &leaf;
        let origin = name(&proof.checkpoint.origin);
        output::line(&format!("event {position} is in the log of {origin} of {} events", proof.checkpoint.size))?;
        output::line(&format!(
            "{event_id}  {recorded_at:.6}  {}  #{sequence}  {}  digest {}",
            name(&format!("{aggregate_type}:{aggregate_id}")),
            output::plain(event_type),
            hex(digest)
        ))?;
        vouching(&trusted)
    }
}

/// Says who vouches for a checkpoint.
fn vouching(trusted: &Trusted) -> Result<(), BoxError> {
    output::line(&format!("signed with {}", output::plain(&trusted.log.to_string())))?;
    trusted
        .witnesses
        .iter()
        .try_for_each(|(witness, at)| output::line(&format!("cosigned by {} at {at:.0}", name(witness))))
}

/// The proof of an event that was verified, as JSON.
#[derive(serde::Serialize)]
struct VerifiedProof<'a> {
    position: u64,
    event_id: uuid::Uuid,
    recorded_at: jiff::Timestamp,
    aggregate_type: &'a str,
    aggregate_id: &'a str,
    sequence: u64,
    event_type: &'a str,
    digest: String,
    checkpoint: &'a Checkpoint,
    trusted: &'a Trusted,
}

impl<'a> VerifiedProof<'a> {
    fn new(leaf: &'a Leaf, trusted: &'a Trusted, checkpoint: &'a Checkpoint) -> Self {
        let Leaf { position, event_id, recorded_at, aggregate_type, aggregate_id, sequence, event_type, digest } =
            leaf;
        Self {
            position: *position,
            event_id: *event_id,
            recorded_at: *recorded_at,
            aggregate_type,
            aggregate_id,
            sequence: *sequence,
            event_type,
            digest: hex(digest),
            checkpoint,
            trusted,
        }
    }
}
