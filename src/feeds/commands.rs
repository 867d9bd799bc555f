//! The commands on the record of a feed. They are not registered: no caller can execute them by name.

use std::convert::Infallible;

use annals_macros::Command;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::record::{FeedEvent, FeedId, FeedRecord};
use crate::aggregates::Loaded;
use crate::commands::{Context, Handle, internal_id};
use crate::digest::PartsDigest;

/// The command id of the start of a feed: it is started once, and no caller can use it.
pub(crate) fn start_id(feed: &str) -> Uuid {
    let mut parts = PartsDigest::default();
    parts.add("annals feed");
    parts.add(feed);
    internal_id::derive(&parts.finish(), &[])
}

/// Start a feed
#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[command(name = "annals_start_feed")]
pub(crate) struct StartFeed {
    #[on(FeedRecord)]
    pub(crate) feed: FeedId,
    pub(crate) after: u64,
}

impl Handle for StartFeed {
    fn handle(&self, record: &Loaded<FeedRecord>, _: &Context) -> Result<Vec<FeedEvent>, Infallible> {
        let started = FeedEvent::Started { after: self.after };
        Ok(if record.started.is_none() { vec![started] } else { Vec::new() })
    }
}

/// Pause a feed: it sends nothing until it is resumed
#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[command(name = "annals_pause_feed")]
pub struct PauseFeed {
    #[on(FeedRecord)]
    pub(crate) feed: FeedId,
    pub(crate) why: String,
}

impl Handle for PauseFeed {
    fn handle(&self, _: &Loaded<FeedRecord>, _: &Context) -> Result<Vec<FeedEvent>, Infallible> {
        Ok(vec![FeedEvent::Paused { why: self.why.clone() }])
    }
}

/// Resume a feed that is paused or has stopped, where it is or from an event on
#[derive(Command, Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[command(name = "annals_resume_feed")]
pub struct ResumeFeed {
    #[on(FeedRecord)]
    pub(crate) feed: FeedId,
    pub(crate) from: Option<u64>,
    pub(crate) why: String,
}

impl Handle for ResumeFeed {
    fn handle(&self, _: &Loaded<FeedRecord>, _: &Context) -> Result<Vec<FeedEvent>, Infallible> {
        Ok(vec![FeedEvent::Resumed { from: self.from, why: self.why.clone() }])
    }
}
