//! Health checks and Prometheus metrics, for operators.
//!
//! ## Layout
//! - `prometheus`: the metrics of the process
//! - `feed_metrics`, `intake_metrics`: those of feeds and intakes (feature `feeds`)

#[cfg(feature = "feeds")]
mod feed_metrics;
#[cfg(feature = "feeds")]
mod intake_metrics;
mod prometheus;

use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::routing::get;

use super::{AppState, Problem};
use crate::store::StoreError;

/// How long the store may take to report that it is ready.
const READY_TIMEOUT: Duration = Duration::from_secs(2);

pub(super) fn routes() -> Router<AppState> {
    Router::new().route("/metrics", get(prometheus::metrics))
}

/// The routes without authentication. They reveal nothing of the log.
pub(super) fn open_routes() -> Router<AppState> {
    Router::new().route("/healthz", get(healthz)).route("/readyz", get(readyz))
}

/// The process responds.
async fn healthz() -> &'static str {
    "ok\n"
}

/// Requests can be served: the store responds and accepts writes of this program, and reads and refusals can be recorded.
async fn readyz(State(state): State<AppState>) -> Result<String, Problem> {
    if let Some(why) = state.annals().unready() {
        return Err(Problem::unavailable(why));
    }
    match tokio::time::timeout(READY_TIMEOUT, state.annals().ready()).await {
        Ok(Ok(())) => {
            Ok(std::iter::once("ready".to_owned()).chain(state.annals().notes()).map(|line| line + "\n").collect())
        }
        Ok(Err(error @ StoreError::Requires(_))) => Err(error.into()),
        Ok(Err(error)) => {
            tracing::warn!(%error, "not ready");
            Err(Problem::unavailable("the store failed; the server logged the cause"))
        }
        Err(_) => Err(Problem::unavailable(format!("the store did not respond within {READY_TIMEOUT:?}"))),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use axum::body::Body;
    use axum::extract::Request;
    use tower::ServiceExt;

    use crate::app::App;
    use crate::commands::Context;
    use crate::events::Ref;
    use crate::http::Authentication;
    use crate::projections::tests::fixture::stores::{empty, on_postgres_too};
    use crate::supervise::failing::panic_in;

    /// Without its recorder, a process that has to record reads is not ready.
    #[tokio::test]
    async fn a_process_whose_recorder_of_reads_panics_is_not_ready_until_it_records_again() {
        let annals = App::new("operations").record_reads().open(&empty()).await.unwrap();
        let trusting = Authentication::trusting("user:ann".parse().ok());
        let router = crate::http::router(annals.clone()).authentication(trusting).into_router();
        let until = async |status: u16| {
            let asking = async {
                loop {
                    let request = Request::get("/readyz").body(Body::empty()).unwrap();
                    let response = router.clone().oneshot(request).await.unwrap();
                    if response.status().as_u16() == status {
                        break;
                    }
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            };
            tokio::time::timeout(Duration::from_secs(20), asking).await.expect("the status never changes");
        };
        until(200).await;
        panic_in("recorder of reads and refusals", 0, u32::MAX);
        let reader = annals.read_as(&Context::by(Ref::unchecked("user", "bob")));
        reader.events(0, 1).await.unwrap();
        until(503).await;
        panic_in("recorder of reads and refusals", 0, 0);
        until(200).await;
        annals.close().await;
    }

    on_postgres_too! { a_process_whose_recorder_of_reads_panics_is_not_ready_until_it_records_again }
}
