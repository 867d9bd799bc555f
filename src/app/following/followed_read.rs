//! [`FollowedRead`]: one read that is followed live.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::watcher::{SILENCE, Watch};
use super::{Asked, Depends, ReadLoads};
use crate::app::access_log::AccessControl;
use crate::app::authorise::Ask;
use crate::commands::Context;
use crate::events::{Ref, Topic};
use crate::projections::audit::Detail;
use crate::projections::{FollowEnd, FollowRight};

/// The shortest pause after an answer before the same read is asked again.
const PAUSE: Duration = Duration::from_millis(200);

/// The delay before access control is asked again when the store has failed.
const RETRY: Duration = Duration::from_millis(100);

/// A question to access control that is asked again while its answer is followed live.
#[derive(Clone, Debug)]
pub(in crate::app) enum FollowedAsk {
    Audit { actors: Vec<Ref>, targets: Vec<Ref>, topics: Vec<Topic>, detail: Detail },
    Metric { topic: String },
}

impl FollowedAsk {
    pub(in crate::app) fn ask(&self) -> Ask<'_> {
        match self {
            Self::Audit { actors, targets, topics, detail } => {
                Ask::Audit { actors, targets, topics, detail: *detail }
            }
            Self::Metric { topic } => Ask::Metric { topic },
        }
    }
}

/// A read that is followed live: what is asked again, and how its end is recorded.
pub(in crate::app) struct FollowedRead {
    pub access_control: Arc<AccessControl>,
    pub context: Context,
    pub ask: FollowedAsk,
    /// The read as text, and what it is about.
    pub what: String,
    pub of: Vec<Ref>,
}

impl FollowedRead {
    /// Watches a read that was asked at this moment, and allowed. A denial is recorded when the reader receives it.
    pub(in crate::app) fn watch(self, asked: Asked, depends: Depends) -> FollowRight {
        if depends.is_nothing() && !self.has_token() {
            return FollowRight::unlimited();
        }
        let watch = self.access_control.followed().watch(asked, depends);
        let read = Arc::new(self);
        let mut task = AbortOnDrop(tokio::spawn(read.clone().until_denied(watch)));
        FollowRight::until(async move {
            // The task ends with a panic or with its runtime only, else with an answer.
            let end = (&mut task.0).await.unwrap_or(FollowEnd::Unconfirmed);
            if let FollowEnd::Denied(reason) = &end {
                read.access_control.refused(&read.context, &read.what, &read.of, reason, true);
            }
            end
        })
    }

    /// Asks again whenever the answer may have changed.
    async fn until_denied(self: Arc<Self>, mut watch: Watch) -> FollowEnd {
        loop {
            tokio::select! {
                biased;
                () = self.key_withdrawn() => {
                    return FollowEnd::Denied("the key of the token was withdrawn".to_owned());
                }
                is_outdated = watch.is_outdated() => if !is_outdated { return FollowEnd::Unconfirmed },
            }
            let asked = tokio::select! {
                biased;
                () = watch.unconfirmed() => return FollowEnd::Unconfirmed,
                asked = timeout(SILENCE, self.ask_again()) => asked,
            };
            match asked {
                Ok(Ok((at, depends))) => watch.answered(at, depends),
                Ok(Err(reason)) => return FollowEnd::Denied(reason),
                Err(_) => return FollowEnd::Unconfirmed,
            }
            sleep(PAUSE).await;
        }
    }

    fn has_token(&self) -> bool {
        #[cfg(feature = "access")]
        return self.context.presented_token().is_some();
        #[cfg(not(feature = "access"))]
        false
    }

    /// Waits until the key of the access token is not accepted any more, if there is a token.
    async fn key_withdrawn(&self) {
        #[cfg(feature = "access")]
        if let Some(presented) = self.context.presented_token() {
            return presented.key_withdrawn().await;
        }
        std::future::pending().await
    }

    /// Returns when it was asked, and what the answer depends on; or the reason of the denial.
    async fn ask_again(&self) -> Result<(Asked, Depends), String> {
        loop {
            let (asked, loads) = (self.access_control.followed().now(), ReadLoads::new(true));
            let answer = self.access_control.decide(&self.context, &self.ask.ask(), (&loads).into()).await;
            let depends = loads.into_depends();
            match answer {
                Ok(_) => return Ok((asked, depends)),
                Err(_) if depends.failed => sleep(RETRY).await,
                Err(denial) => return Err(denial.reason().to_owned()),
            }
        }
    }
}

/// A task that ends when this is dropped.
struct AbortOnDrop(JoinHandle<FollowEnd>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
