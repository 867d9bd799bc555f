//! What stays open: Server-Sent Events, and JSON-RPC 2.0 over WebSocket. Stored, then live; each event once.
//!
//! Everybody who follows shares one reader of the log. Who is slow is given what is stored at its own pace, and holds
//! nobody up.
//!
//! | route | what it is |
//! |---|---|
//! | `GET /live/audit` | Server-Sent Events: rows of the audit log, in the words of `/audit` |
//! | `GET /live/metrics/{topic}` | Server-Sent Events: the numbers of a topic, at once and at each change |
//! | `GET /live` | JSON-RPC over WebSocket: both, and commands |
//!
//! The id of each event is a cursor: `Last-Event-ID`, or `?after=`, goes on behind it. The last event of a stream, `end`,
//! says why it ends and where to go on.
//!
//! ## Layout
//! - `hub`: [`Hub`], the one reader of the log; `batch`: [`Batch`], rows that it made once for all
//! - `follower`: [`Follower`], one who follows the audit log
//! - `counts`: [`Counts`], the watchers of metrics that all share; `teller`: one who follows a metric
//! - `step`: [`Step`], what a stream brings next, and how it ends
//! - `closing`: [`Closing`], until when something may stay open
//! - `sse`: Server-Sent Events
//! - `rpc`: JSON-RPC over WebSocket

mod batch;
mod closing;
mod counts;
mod follower;
mod hub;
mod rpc;
mod sse;
mod step;
mod teller;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;

use self::counts::Counts;
use self::follower::Follower;
use self::hub::Hub;
use self::step::{Ending, Reason, Step, Steps};
use self::teller::{Asking, Teller};
use super::limits::{Bounds, Places};
use super::{Asker, Problem, Shared};
use crate::projections::audit::{Asked, Cursor};
use crate::projections::presenter::Words;

pub(super) use closing::Closing;

/// What all who follow share.
struct Live {
    shared: Shared,
    /// How often who asks may.
    bounds: Bounds,
    hub: Arc<Hub>,
    counts: Arc<Counts>,
    /// Room for streams and WebSockets: the server does not count what was upgraded.
    open: Places,
    pace: Pace,
}

/// How many streams and WebSockets are open at a time.
const OPEN: usize = 4_096;

/// How long things may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// A stream on which nothing happens says so this often.
    heartbeat: Duration,
    /// Who takes nothing of what is there for him for so long is told to come back.
    patience: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self { heartbeat: Duration::from_secs(15), patience: Duration::from_secs(30) }
    }
}

/// The routes of what stays open: who asks is known to them.
pub(super) fn routes(shared: &Shared, bounds: Bounds) -> Router<Shared> {
    let annals = shared.annals();
    let (hub, counts) = (Hub::new(annals.clone()), Counts::new(annals.clone()));
    let open = Places::new("streams", OPEN);
    let live = Live { shared: shared.clone(), bounds, hub, counts, open, pace: shared.pace() };
    Router::new()
        .route("/live", get(rpc::upgrade))
        .route("/live/audit", get(sse::audit))
        .route("/live/metrics", get(sse::all_metrics))
        .route("/live/metrics/", get(sse::all_metrics))
        .route("/live/metrics/{*topic}", get(sse::metrics))
        .with_state(Arc::new(live))
}

impl Live {
    /// Follows the audit log: what is wrong with the question, or denied, is said at once.
    async fn audit(&self, asker: &Asker, asked: &Asked, words: Words, closing: Closing) -> Result<Steps, Problem> {
        self.bounds.count(asker)?;
        let query = asked.of_all(asker.audit()?);
        let follower = Follower::open(self.hub.clone(), query, asked, words, closing).await?;
        Ok(follower.steps())
    }

    /// Follows the numbers of a topic.
    async fn metric(
        &self,
        asker: &Asker,
        asking: Asking,
        cursor: Option<Cursor>,
        closing: Closing,
    ) -> Result<Steps, Problem> {
        self.bounds.count(asker)?;
        Ok(Teller::open(self.counts.clone(), asker, asking, cursor, closing).await?.steps())
    }
}
