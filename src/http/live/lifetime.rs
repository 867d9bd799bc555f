//! [`StreamLifetime`]: how long a stream may stay open.

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use tokio::sync::watch;

use super::{Caller, EndReason};
use crate::http::authentication::{TokenEnd, TokenValidity};

/// How long a stream may stay open: until the server stops, or the caller's token is not accepted any more.
///
/// [`serve`](crate::http::serve) adds it to each request. If an application serves the router in another way, streams end
/// when the application is closed.
#[derive(Clone, Debug)]
pub(in crate::http) struct StreamLifetime {
    stopping: watch::Receiver<bool>,
    token: Option<Arc<TokenValidity>>,
}

impl StreamLifetime {
    /// Ends when `true` is sent. The sender knows by its receivers whether streams are still open.
    pub(in crate::http) fn new(stopping: watch::Receiver<bool>) -> Self {
        Self { stopping, token: None }
    }

    /// Waits for the end of the lifetime, and returns its reason.
    pub(super) async fn ended(&mut self) -> EndReason {
        let Self { stopping, token } = self;
        let stopping = async {
            if stopping.wait_for(|stopping| *stopping).await.is_err() {
                // Without a sender, the server never stops streams.
                std::future::pending::<()>().await;
            }
        };
        let Some(token) = token else {
            stopping.await;
            return EndReason::Shutdown;
        };
        tokio::select! {
            biased;
            () = stopping => EndReason::Shutdown,
            end = token.ended() => match end {
                TokenEnd::Expired => EndReason::Expired,
                TokenEnd::Revoked => EndReason::Revoked,
            },
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for StreamLifetime {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let lifetime = parts.extensions.get::<Self>().cloned();
        let lifetime = lifetime.unwrap_or_else(|| Self::new(watch::channel(false).1));
        let token = parts.extensions.get::<Caller>().and_then(Caller::token).cloned();
        Ok(Self { token, ..lifetime })
    }
}
