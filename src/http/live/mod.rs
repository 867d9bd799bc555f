//! Live streams: Server-Sent Events, and JSON-RPC 2.0 over WebSocket. Stored items first, then live ones, each exactly once.
//!
//! All subscribers share one reader of the log. A slow subscriber reads stored rows at its own pace and delays no other.
//!
//! | route | what it sends |
//! |---|---|
//! | `GET /live/audit` | Server-Sent Events: rows of the audit log, with the parameters of `/audit` |
//! | `GET /live/metrics/{topic}` | Server-Sent Events: the metric of a topic, now and at each change |
//! | `GET /live` | JSON-RPC over WebSocket: both, and commands |
//!
//! The id of each event is a cursor: `Last-Event-ID`, or `?after=`, resumes after it. The last event of a stream, `end`,
//! has the reason and the cursor to resume from.
//!
//! ## Layout
//! - `audit_broadcast`: [`AuditBroadcast`], the one reader task of the log
//! - `row_batch`: rows that are read and serialised once for all subscribers
//! - `audit_subscription`: [`AuditSubscription`], sends rows of the audit log
//! - `metric_watchers`: [`MetricWatchers`], one watcher task for each metric with subscribers
//! - `metric_subscription`: [`MetricSubscription`], sends a metric and its changes
//! - `stream`: [`LiveStream`], the items of a stream, and why it ends
//! - `lifetime`: [`StreamLifetime`], how long a stream may stay open
//! - `sse`: Server-Sent Events
//! - `rpc`: JSON-RPC over WebSocket

mod audit_broadcast;
mod audit_subscription;
mod lifetime;
mod metric_subscription;
mod metric_watchers;
mod row_batch;
mod rpc;
mod sse;
mod stream;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::Router;
use axum::routing::get;

use self::audit_broadcast::AuditBroadcast;
use self::audit_subscription::AuditSubscription;
use self::metric_subscription::{MetricParams, MetricSubscription};
use self::metric_watchers::MetricWatchers;
use self::stream::{EndReason, LiveItem, LiveStream, StreamEnd, Subscription};
use super::limits::{ConcurrencyLimit, RequestLimits, StreamTimeouts};
use super::{AppState, Caller, Problem};
use crate::projections::audit::{AuditQueryParams, Cursor};
use crate::projections::presenter::PresentationParams;

pub(super) use lifetime::StreamLifetime;

/// What all streams share.
struct Live {
    state: AppState,
    requests: RequestLimits,
    broadcast: Arc<AuditBroadcast>,
    watchers: Arc<MetricWatchers>,
    /// Streams and WebSockets: the server's connection limit does not count upgraded connections.
    streams: ConcurrencyLimit,
}

/// The most open streams and WebSockets.
const MAX_STREAMS: usize = 4_096;

/// The routes of live streams. They need an authenticated caller.
pub(super) fn routes(state: &AppState, requests: RequestLimits) -> Router<AppState> {
    let annals = state.annals();
    let live = Live {
        state: state.clone(),
        requests,
        broadcast: AuditBroadcast::new(annals.clone()),
        watchers: MetricWatchers::new(annals.clone()),
        streams: ConcurrencyLimit::new("streams", MAX_STREAMS),
    };
    Router::new()
        .route("/live", get(rpc::upgrade))
        .route("/live/audit", get(sse::audit))
        .route("/live/metrics", get(sse::all_metrics))
        .route("/live/metrics/", get(sse::all_metrics))
        .route("/live/metrics/{*topic}", get(sse::metrics))
        .with_state(Arc::new(live))
}

impl Live {
    fn timeouts(&self) -> StreamTimeouts {
        self.state.settings().limits.streams
    }

    /// A path below the one that the router is mounted at.
    fn path(&self, path: &str) -> String {
        format!("{}{path}", self.state.settings().base)
    }

    /// Opens a subscription of the audit log. Errors are returned before the stream begins.
    async fn audit(
        &self,
        caller: &Caller,
        asked: &AuditQueryParams,
        words: PresentationParams,
        lifetime: StreamLifetime,
    ) -> Result<LiveStream, Problem> {
        self.requests.count(caller.key())?;
        let query = asked.apply_filters(caller.audit()?);
        Ok(AuditSubscription::open(self.broadcast.clone(), query, asked, words, lifetime).await?.items())
    }

    /// Opens a subscription of a metric. Errors are returned before the stream begins.
    async fn metric(
        &self,
        caller: &Caller,
        params: MetricParams,
        cursor: Option<Cursor>,
        lifetime: StreamLifetime,
    ) -> Result<LiveStream, Problem> {
        self.requests.count(caller.key())?;
        let watchers = self.watchers.clone();
        Ok(MetricSubscription::open(watchers, caller, params, cursor, lifetime).await?.items())
    }
}
