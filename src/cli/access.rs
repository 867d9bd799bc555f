//! `access`: requests, grants and owners.

use clap::{Args, FromArgMatches, Subcommand};
use jiff::Timestamp;
use serde_json::json;
use uuid::Uuid;

use super::output::{self, TextOrJson, counted, name, shown};
use super::session::{OpenMode, Session, actor, context};
use super::stderr;
use crate::BoxError;
use crate::access::{
    AccessRecord, AccessView, ApproveAccess, DenyAccess, GrantAccess, HeldGrant, InvalidRight, OpenRequest,
    RequestAccess, RevokeAccess, Right,
};
use crate::aggregates::Loaded;
use crate::app::UnopenedApp;
use crate::commands::{Command, Context, ExecuteError, Handle};
use crate::events::Ref;
use crate::projections::{DocumentView, Listing};
use crate::store::Receipt;

/// The most parties that are read at once.
const PAGE: usize = 100;

/// Request, grant and revoke rights
#[derive(Args)]
#[command(after_help = "Examples:\n  $ access init user:alice --why 'she runs it' --as user:root\n  \
    $ access request 'execute add_member project:7' --why 'I coordinate it' --as user:bob\n  \
    $ access list --open --as user:alice\n  \
    $ access approve user:bob --why 'she does' --as user:alice\n  \
    $ access revoke user:bob 01890c5e-0000-7000-8000-000000000000 --why 'it is over' --as user:alice\n\n\
    A right is `execute COMMAND AGGREGATE`, `read VIEW KEY`, `audit metadata|full [actor=A] [target=T] [topic=P/*]`, \
    `metrics TOPIC`, `catalogue` or `operate OPERATION`; read, audit and metrics may end with `observe`. A name is exact, or ends \
    with a * behind : or /, or is *.")]
pub(super) struct Access {
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
pub(super) fn command() -> clap::Command {
    Access::augment_args(clap::Command::new("access").about("Request, grant and revoke rights"))
        .subcommand_required(true)
        .arg_required_else_help(true)
}

/// Runs the subcommand.
pub(super) async fn run(app: UnopenedApp, matches: &clap::ArgMatches) -> Result<(), BoxError> {
    let Access { command } = Access::from_arg_matches(matches)?;
    let Some(actor) = app.actor.clone() else {
        return Err("no actor: give --as KIND:ID or set ANNALS_ACTOR".into());
    };
    let mode = match &command {
        AccessCommand::List { .. } => OpenMode::Read,
        AccessCommand::Init { .. } => OpenMode::Write,
        _ => OpenMode::Inspect,
    };
    app.with(mode, |session| async move { command.run(&session, &context(actor)).await }).await
}

impl AccessCommand {
    async fn run(self, session: &Session, context: &Context) -> Result<(), BoxError> {
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
            Self::List { party, open, format } => list(session, party, open, &format).await,
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

async fn list(session: &Session, party: Option<Ref>, open: bool, format: &TextOrJson) -> Result<(), BoxError> {
    let head = session.annals.store().head().await?;
    let key = party.as_ref().map(Ref::as_str);
    let view = session.json_view(AccessView::NAME, key).await?.after(head);
    let mut found = 0;
    let mut print = |party: &str, document: serde_json::Value| -> Result<(), BoxError> {
        let shown = match format.is_json() {
            true => output::item(&json!({ "party": party, "access": document }), found == 0),
            false => print_party(party, &serde_json::from_value(document)?),
        };
        found += 1;
        shown
    };
    match key {
        Some(key) => {
            if let Some(document) = view.get(key).await? {
                print(key, document)?;
            }
        }
        None => {
            let mut listing = Listing::default().limit(PAGE);
            if open {
                listing = listing.from("requests", 1);
            }
            loop {
                let page = view.list(&listing).await?;
                for (party, document) in page.documents {
                    print(&party, document)?;
                }
                let Some(next) = page.next else { break };
                listing = listing.cursor(&next);
            }
        }
    }
    match (format.is_json(), found) {
        (true, 0) => output::line("[]"),
        (true, _) => output::line("\n]"),
        (false, 0) => {
            stderr::print("no requests or grants");
            Ok(())
        }
        (false, _) => Ok(()),
    }
}

fn print_party(party: &str, view: &AccessView) -> Result<(), BoxError> {
    output::line(&format!("{}{}", name(party), if view.owner { "  (owner)" } else { "" }))?;
    for OpenRequest { request, rights, until, by, why, .. } in &view.requests {
        let by: Vec<_> = by.iter().map(|party| name(party.as_str())).collect();
        output::line(&format!("  request {request}  by {}{}: {}", by.join(" for "), ending(*until), shown(why)))?;
        print_rights(rights)?;
    }
    for HeldGrant { grant, rights, until, delegable, by, under, why, .. } in &view.grants {
        let passed_on = if *delegable { "  may be passed on" } else { "" };
        let by_grant = under.as_ref().map(|under| format!(" by grant {}", under.grant)).unwrap_or_default();
        let by = name(by.as_str());
        output::line(&format!(
            "  grant {grant}  from {by}{by_grant}{}{passed_on}: {}",
            ending(*until),
            shown(why)
        ))?;
        print_rights(rights)?;
    }
    Ok(())
}

fn ending(until: Option<Timestamp>) -> String {
    until.map(|until| format!("  until {until}")).unwrap_or_default()
}

fn print_rights(rights: &[Right]) -> Result<(), BoxError> {
    rights.iter().try_for_each(|right| output::line(&format!("    {}", shown(&right.to_string()))))
}
