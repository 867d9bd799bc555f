//! `access keys` and `access token`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use jiff::Timestamp;
use uuid::Uuid;

use super::OfParty;
use crate::BoxError;
use crate::app::App;
use crate::cli::output::{self, TextOrJson};
use crate::cli::session::{Session, actor};
use crate::cli::stderr;
use crate::commands::Context;
use crate::events::Ref;
use crate::tokens::{KeyFile, KeyInfo, Keys};

#[derive(Args)]
pub(super) struct File {
    /// File with the keys of access tokens
    #[arg(long, env = "ANNALS_ACCESS_KEYS", value_name = "FILE")]
    access_keys: PathBuf,
}

/// The key file beside which the last withdrawal of a right is remembered.
#[derive(Args)]
pub(super) struct OptionalFile {
    /// File with the keys of access tokens: the last withdrawal of a right is remembered beside it
    #[arg(long, env = "ANNALS_ACCESS_KEYS", value_name = "FILE")]
    access_keys: Option<PathBuf>,
}

impl OptionalFile {
    /// # Errors
    /// The file cannot be read: nothing is to be written beside a mistyped name.
    pub(super) fn remember(&self, app: &App) -> Result<(), BoxError> {
        if let Some(file) = &self.access_keys {
            KeyFile::open(file)?;
            app.remember_beside(file);
        }
        Ok(())
    }
}

/// The key file of access tokens. It is not part of the store: who can read it can make tokens for everybody
#[derive(Subcommand)]
pub(super) enum KeysCommand {
    /// Create a file with one new key, which only you can read
    Create {
        #[command(flatten)]
        file: File,
    },
    /// List the public keys
    List {
        #[command(flatten)]
        file: File,
        #[command(flatten)]
        format: TextOrJson,
    },
    /// Sign new tokens with a new key. Tokens of the old one are still accepted
    Rotate {
        #[command(flatten)]
        file: File,
    },
    /// Remove an old key: its tokens are not accepted any more, and their streams end
    Remove {
        /// The id of the key
        id: u32,
        #[command(flatten)]
        file: File,
    },
}

impl KeysCommand {
    pub(super) async fn run(self) -> Result<(), BoxError> {
        tokio::task::spawn_blocking(move || self.change()).await?
    }

    fn change(self) -> Result<(), BoxError> {
        match self {
            Self::Create { file } => list(&KeyFile::create(file.access_keys)?.keys().infos(), false),
            Self::List { file, format } => list(&KeyFile::open(file.access_keys)?.keys().infos(), format.is_json()),
            Self::Rotate { file } => {
                let id = KeyFile::open(file.access_keys)?.rotate()?;
                output::line(&format!("new tokens are signed with key {id}"))
            }
            Self::Remove { id, file } => {
                KeyFile::open(file.access_keys)?.remove(id)?;
                output::line(&format!("no token of key {id} is accepted any more"))
            }
        }
    }
}

fn list(keys: &[KeyInfo], json: bool) -> Result<(), BoxError> {
    if json {
        return output::line(&serde_json::to_string_pretty(keys)?);
    }
    keys.iter().try_for_each(|key| {
        let signs = if key.signs { "  signs new tokens" } else { "" };
        output::line(&format!("{:>4}  {}{signs}", key.id, key.key))
    })
}

/// A token to be issued.
#[derive(Args)]
pub(super) struct NewToken {
    /// The id of the grant: it may be left out if the party has only one
    #[arg(value_name = "UUID")]
    grant: Option<Uuid>,
    /// Whose grant, and whose token [default: the actor]
    #[arg(long = "of", value_name = "KIND:ID", value_parser = actor)]
    party: Option<Ref>,
    /// The token expires at this time, like 2026-12-31T00:00:00Z [default: with the grant]
    #[arg(long, value_name = "TIME")]
    until: Option<Timestamp>,
    #[command(flatten)]
    file: File,
}

impl NewToken {
    /// Prints the token alone on stdout.
    pub(super) async fn run(self, session: &Session, why: String, context: &Context) -> Result<(), BoxError> {
        let keys = Keys::from_file(&self.file.access_keys).await?;
        let party = self.party.unwrap_or_else(|| context.actor().clone());
        let of = OfParty { party, id: self.grant };
        let grant = of.grant(session).await?;
        let issued = session.annals.issue_token(&keys, &of.party, grant, self.until, why, context).await?;
        output::line(&issued.text)?;
        stderr::print(format!(
            "keep it like a password: it is shown once. To revoke it: execute revoke_token --grantee {} --block {} --why …",
            of.party, issued.block
        ));
        Ok(())
    }
}
