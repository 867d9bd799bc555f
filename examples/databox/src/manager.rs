//! The container manager: it follows the log, asks the owner for the rights of what is installed, and runs it.
//!
//! It compares what shall run with what runs, after each change. So it needs no memory: what it missed while it was not running, it does
//! when it is started again.

use std::collections::{BTreeMap, BTreeSet};

use annals::access::{AccessView, RequestAccess, RevokeAccess, RevokeToken};
use annals::prelude::*;
use annals::projections::RangeBound;
use annals::tokens::Keys;
use futures::StreamExt;
use tokio::process::{Child, Command};
use uuid::Uuid;

use crate::apps::{AppId, Apps};
use crate::packages::{Package, PackageId};

/// The environment of a process: where the platform is, the token to use, and the name under which it is installed.
pub const URL: &str = "DATABOX_URL";
/// See [`URL`].
pub const TOKEN: &str = "DATABOX_TOKEN";
/// See [`URL`].
pub const APP: &str = "DATABOX_APP";

/// The most installed apps. Others are not run.
const MOST: usize = 1_000;

/// Returns the program of a package, if this machine has it.
pub type Programs = fn(&PackageId) -> Option<Command>;

/// Runs installed apps and drivers, each with a token for the rights that the owner approved.
pub struct Manager {
    annals: Annals,
    keys: Keys,
    url: String,
    programs: Programs,
    running: BTreeMap<AppId, Running>,
}

/// A process.
struct Running {
    /// Killed when it is dropped.
    _child: Child,
    since: u64,
    restarts: u64,
    /// The revocation id of its token.
    block: String,
}

impl Manager {
    /// A manager that starts processes which find the platform at `url`.
    #[must_use]
    pub fn new(annals: Annals, keys: Keys, url: String, programs: Programs) -> Self {
        Self { annals, keys, url, programs, running: BTreeMap::new() }
    }

    /// Runs until the application is closed. All processes end with it.
    ///
    /// # Errors
    /// When the log cannot be read or written, or a program cannot be started.
    pub async fn run(mut self) -> Result<(), BoxError> {
        let head = self.annals.store().head().await?;
        self.compare().await?;
        let changes = self.annals.audit().topic("databox/app").topic("annals/access");
        let mut changes = changes.from(RangeBound::Position(head.position + 1)).follow();
        while let Some(change) = changes.next().await {
            change?;
            self.compare().await?;
        }
        Ok(())
    }

    /// Compares what shall run with what runs.
    async fn compare(&mut self) -> Result<(), BoxError> {
        let head = self.annals.store().head().await?;
        let installed = self.annals.views::<Apps>().after(head).page(MOST, None).await?.documents;
        for (app, status) in &installed {
            self.look_after(app, status).await?;
        }
        let installed: BTreeSet<AppId> = installed.into_iter().map(|(app, _)| app).collect();
        let gone: Vec<AppId> = self.running.keys().filter(|app| !installed.contains(*app)).cloned().collect();
        for app in gone {
            self.stop(&app).await?;
        }
        // What is not installed has no rights either.
        for (party, access) in self.annals.views::<AccessView>().after(head).page(MOST, None).await?.documents {
            if party.as_str().parse().is_ok_and(|app: AppId| !installed.contains(&app)) {
                for grant in access.grants {
                    let revoke = RevokeAccess::new(party.clone(), grant.grant, "it is not installed");
                    self.annals.execute(revoke, &Context::by(party.clone())).await?;
                }
            }
        }
        Ok(())
    }

    async fn look_after(&mut self, app: &AppId, status: &Apps) -> Result<(), BoxError> {
        let access = self.annals.access_of(&app.reference()).await?;
        let grant = access.grants().keys().next().copied();
        let running = self.running.get(app).map(|running| (running.since, running.restarts));
        let wanted = grant.map(|_| (status.since, status.restarts));
        if running.is_some() && running != wanted {
            self.stop(app).await?;
        }
        match grant {
            Some(grant) if running != wanted => self.start(app, status, grant).await,
            Some(_) => Ok(()),
            None => self.ask(app, status).await,
        }
    }

    /// Asks the owner for what the package asks for, once for each installation.
    async fn ask(&self, app: &AppId, status: &Apps) -> Result<(), BoxError> {
        let package = self.annals.load::<Package>(&status.package).await?;
        let once = format!("{app} installed at {}", status.since);
        // A repeated command has no second effect.
        let context = Context::by(app).command_id(Uuid::new_v5(&Uuid::NAMESPACE_URL, once.as_bytes()));
        let why = format!("{} asks for it", status.package);
        self.annals.execute(RequestAccess::new(app.reference(), package.asks.clone(), why), &context).await?;
        Ok(())
    }

    async fn start(&mut self, app: &AppId, status: &Apps, grant: Uuid) -> Result<(), BoxError> {
        let Some(mut program) = (self.programs)(&status.package) else { return Ok(()) };
        let (itself, party) = (Context::by(app), app.reference());
        // The log has who, what for and until when. The token itself is in the environment of the process and nowhere else.
        let token = self.annals.issue_token(&self.keys, &party, grant, None, "for its process", &itself).await?;
        program.env(URL, &self.url).env(TOKEN, token.text).env(APP, app.text().as_ref());
        let child = program.stdin(std::process::Stdio::null()).kill_on_drop(true).spawn()?;
        let Apps { since, restarts, .. } = *status;
        self.running.insert(app.clone(), Running { _child: child, since, restarts, block: token.block });
        Ok(())
    }

    async fn stop(&mut self, app: &AppId) -> Result<(), BoxError> {
        if let Some(running) = self.running.remove(app) {
            let revoke = RevokeToken::new(app.reference(), running.block.clone(), "its process was ended");
            drop(running);
            self.annals.execute(revoke, &Context::by(app)).await?;
        }
        Ok(())
    }
}
