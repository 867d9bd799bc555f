//! `access`: requests, grants, owners and tokens.
//!
//! ## Layout
//! - `listing`: open requests and grants as text or JSON
//! - `tokens`: tokens and their keys

mod listing;
mod tokens;

use clap::{Args, FromArgMatches, Subcommand};
use jiff::Timestamp;
use uuid::Uuid;

use crate::BoxError;
use crate::access::{
    AccessRecord, AccessView, ApproveAccess, ConfirmAccess, DenyAccess, GrantAccess, InvalidRight, RequestAccess,
    RevokeAccess, Right,
};
use crate::aggregates::Loaded;
use crate::app::UnopenedApp;
use crate::cli::output::{self, TextOrJson, counted};
use crate::cli::session::{OpenMode, Session, actor, context};
use crate::commands::{Command, Context, ExecuteError, Handle};
use crate::events::Ref;
use crate::projections::DocumentView;
use crate::store::Receipt;

/// Request, grant and revoke rights
#[derive(Args)]
#[command(after_help = "Examples:\n  $ access init user:alice --why 'she runs it' --as user:root\n  \
    $ access request 'execute add_member project:7' --why 'I coordinate it' --as user:bob\n  \
    $ access list --open --as user:alice\n  \
    $ access approve user:bob --why 'she does' --as user:alice\n  \
    $ access revoke user:bob 01890c5e-0000-7000-8000-000000000000 --why 'it is over' --as user:alice\n  \
    $ access keys create --access-keys tokens.keys\n  \
    $ access token --access-keys tokens.keys --until 2026-12-31T00:00:00Z --why 'the nightly report' --as user:bob\n\n\
    A right is `execute COMMAND AGGREGATE`, `read VIEW KEY`, `audit metadata|full [actor=A] [target=T] [topic=P/*]`, \
    `metrics TOPIC`, `catalogue` or `operate OPERATION`; read, audit and metrics may end with `observe`. A name is exact, or ends \
    with a * behind : or /, or is *.")]
pub(in crate::cli) struct Access {
    #[command(subcommand)]
    command: AccessCommand,
}

#[derive(Subcommand)]
enum AccessCommand {
    /// Name the first owner. Needs no right: a program that can open the store can do it, once
    Init {
        /// The owner
        #[arg(value_name = "KIND:ID", value_parser = actor)]
        owner: Ref,
        #[command(flatten)]
        why: Why,
    },
    /// Request rights for the actor
    Request {
        #[command(flatten)]
        rights: Rights,
        #[command(flatten)]
        until: Until,
        #[command(flatten)]
        why: Why,
    },
    /// Grant rights that nobody requested
    Grant {
        /// The party that gets the rights
        #[arg(value_name = "KIND:ID", value_parser = actor)]
        grantee: Ref,
        #[command(flatten)]
        rights: Rights,
        #[command(flatten)]
        until: Until,
        /// Let the party grant the same or less to others
        #[arg(long)]
        delegable: bool,
        #[command(flatten)]
        why: Why,
    },
    /// Approve a request, as a whole or less
    Approve {
        #[command(flatten)]
        request: OfParty,
        /// Only this right; may be repeated [default: the whole request]
        #[arg(long, value_name = "RIGHT", value_parser = right)]
        only: Vec<Right>,
        #[command(flatten)]
        until: Until,
        /// Let the party grant the same or less to others
        #[arg(long)]
        delegable: bool,
        #[command(flatten)]
        why: Why,
    },
    /// Deny a request
    Deny {
        #[command(flatten)]
        request: OfParty,
        #[command(flatten)]
        why: Why,
    },
    /// Revoke a grant
    Revoke {
        #[command(flatten)]
        grant: OfParty,
        #[command(flatten)]
        why: Why,
    },
    /// Confirm the rights in a log that was restored from a backup: they were suspended. For owners
    Confirm {
        #[command(flatten)]
        file: tokens::OptionalFile,
        #[command(flatten)]
        why: Why,
    },
    /// Issue an access token for a grant, and print it once
    Token {
        #[command(flatten)]
        token: tokens::NewToken,
        #[command(flatten)]
        why: Why,
    },
    /// Create, list and change the key file of access tokens. Needs no right in the log
    #[command(subcommand)]
    Keys(tokens::KeysCommand),
    /// List open requests and grants, of one party or of all
    List {
        /// The party
        #[arg(value_name = "KIND:ID")]
        party: Option<Ref>,
        /// Only parties with open requests
        #[arg(long, conflicts_with = "party")]
        open: bool,
        #[command(flatten)]
        format: TextOrJson,
    },
}

#[derive(Args)]
struct Why {
    /// The reason, which stays in the log
    #[arg(long, value_name = "TEXT")]
    why: String,
}

#[derive(Args)]
struct Until {
    /// The rights end at this time, like 2026-12-31T00:00:00Z
    #[arg(long, value_name = "TIME")]
    until: Option<Timestamp>,
}

#[derive(Args)]
struct Rights {
    /// A right, in quotes: 'execute add_member project:7'
    #[arg(value_name = "RIGHT", required = true, value_parser = right)]
    rights: Vec<Right>,
}

/// A request or a grant of a party.
#[derive(Args)]
struct OfParty {
    /// The party
    #[arg(value_name = "KIND:ID", value_parser = actor)]
    party: Ref,
    /// The id of the request or grant: it may be left out if the party has only one
    #[arg(value_name = "UUID")]
    id: Option<Uuid>,
}

fn right(text: &str) -> Result<Right, InvalidRight> {
    text.parse()
}

/// The subcommand as the command line has it.
pub(in crate::cli) fn command() -> clap::Command {
    Access::augment_args(clap::Command::new("access").about("Request, grant and revoke rights"))
        .subcommand_required(true)
        .arg_required_else_help(true)
}

/// Runs the subcommand.
pub(in crate::cli) async fn run(app: UnopenedApp, matches: &clap::ArgMatches) -> Result<(), BoxError> {
    let Access { command } = Access::from_arg_matches(matches)?;
    let command = match command {
        AccessCommand::Keys(keys) => return keys.run().await,
        other => other,
    };
    let Some(actor) = app.actor.clone() else {
        return Err("no actor: give --as KIND:ID or set ANNALS_ACTOR".into());
    };
    let mode = match &command {
        AccessCommand::List { .. } => OpenMode::Read,
        AccessCommand::Init { .. } => OpenMode::Write,
        _ => OpenMode::Inspect,
    };
    if let AccessCommand::Confirm { file, .. } = &command {
        file.remember(&app.app)?;
    }
    let with_reads = app.app.records_reads();
    app.with(mode, |session| async move { command.run(&session, &context(actor), with_reads).await }).await
}

impl AccessCommand {
    async fn run(self, session: &Session, context: &Context, with_reads: bool) -> Result<(), BoxError> {
        let own = context.actor().clone();
        match self {
            Self::Init { owner, why } => said(session.annals.init_access(owner, why.why, context).await),
            Self::Request { rights, until, why } => {
                let mut command = RequestAccess::new(own, rights.rights, why.why);
                command.until = until.until;
                execute(session, command, context).await
            }
            Self::Grant { grantee, rights, until, delegable, why } => {
                let mut command = GrantAccess::new(grantee, rights.rights, why.why);
                (command.until, command.delegable) = (until.until, delegable);
                execute(session, command, context).await
            }
            Self::Approve { request, only, until, delegable, why } => {
                let id = request.request(session).await?;
                let mut command = ApproveAccess::new(request.party, id, why.why);
                command.rights = (!only.is_empty()).then_some(only);
                (command.until, command.delegable) = (until.until, delegable);
                execute(session, command, context).await
            }
            Self::Deny { request, why } => {
                let id = request.request(session).await?;
                execute(session, DenyAccess::new(request.party, id, why.why), context).await
            }
            Self::Revoke { grant, why } => {
                let id = grant.grant(session).await?;
                execute(session, RevokeAccess::new(grant.party, id, why.why), context).await
            }
            Self::Confirm { why, .. } => execute(session, ConfirmAccess::new(why.why), context).await,
            Self::Token { token, why } => token.run(session, why.why, context).await,
            Self::Keys(keys) => keys.run().await,
            Self::List { party, open, format } => listing::list(session, party, open, &format, with_reads).await,
        }
    }
}

async fn execute<C: Command + Handle>(session: &Session, command: C, context: &Context) -> Result<(), BoxError> {
    said(session.annals.execute(command, context).await)
}

/// Prints the position of the event, or returns the error.
fn said<E: std::error::Error + Send + Sync + 'static>(
    done: Result<Receipt, ExecuteError<E>>,
) -> Result<(), BoxError> {
    let receipt = done?;
    output::line(&format!("recorded at position {}", receipt.head.position))
}

impl OfParty {
    /// The id of the request: the only open one, if none is given.
    async fn request(&self, session: &Session) -> Result<Uuid, BoxError> {
        match self.id {
            Some(id) => Ok(id),
            None => self.only(self.record(session).await?.requests().keys(), "open request"),
        }
    }

    /// The id of the grant: the only one, if none is given.
    async fn grant(&self, session: &Session) -> Result<Uuid, BoxError> {
        match self.id {
            Some(id) => Ok(id),
            None => self.only(self.record(session).await?.grants().keys(), "grant"),
        }
    }

    /// The party's record, if the actor may read it.
    async fn record(&self, session: &Session) -> Result<Loaded<AccessRecord>, BoxError> {
        session.json_view(AccessView::NAME, Some(self.party.as_str())).await?;
        Ok(session.annals.access_of(&self.party).await?)
    }

    fn only<'a>(&self, ids: impl Iterator<Item = &'a Uuid>, what: &str) -> Result<Uuid, BoxError> {
        let ids: Vec<_> = ids.collect();
        match ids.as_slice() {
            [id] => Ok(**id),
            ids => {
                let has = counted(ids.len() as u64, what);
                Err(format!("{} has {has}: name one by its id (`access list {0}` shows them)", self.party).into())
            }
        }
    }
}
