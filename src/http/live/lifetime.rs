//! [`StreamLifetime`]: how long a stream may stay open.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::{Caller, EndReason};

/// How long a stream may stay open: until the server stops, or the caller's token expires.
///
/// [`serve`](crate::http::serve) adds it to each request. If an application serves the router in another way, streams end
/// when the application is closed.
#[derive(Clone, Debug)]
pub(in crate::http) struct StreamLifetime {
    stopping: watch::Receiver<bool>,
    token_expires: Option<Instant>,
}

impl StreamLifetime {
    /// Ends when `true` is sent. The sender knows by its receivers whether streams are still open.
    pub(in crate::http) fn new(stopping: watch::Receiver<bool>) -> Self {
        Self { stopping, token_expires: None }
    }

    /// Waits for the end of the lifetime, and returns its reason.
    pub(super) async fn ended(&mut self) -> EndReason {
        let Self { stopping, token_expires } = self;
        let stopping = async {
            if stopping.wait_for(|stopping| *stopping).await.is_err() {
                // Without a sender, the server never stops streams.
                std::future::pending::<()>().await;
            }
        };
        let Some(token_expires) = *token_expires else {
            stopping.await;
            return EndReason::Shutdown;
        };
        tokio::select! {
            biased;
            () = stopping => EndReason::Shutdown,
            () = sleep_until(token_expires) => EndReason::Expired,
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for StreamLifetime {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let lifetime = parts.extensions.get::<Self>().cloned();
        let lifetime = lifetime.unwrap_or_else(|| Self::new(watch::channel(false).1));
        let token_expires = parts.extensions.get::<Caller>().and_then(Caller::token_expires);
        Ok(Self { token_expires, ..lifetime })
    }
}
