//! [`Closing`]: until when something may stay open.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::{Asker, Reason};

/// Until when something may stay open: until the server stops, or the token expires of who asked for it.
///
/// It is beside each request that [`serve`](crate::http::serve) hands on. Where an application serves the router by other
/// means, what stays open ends when the application is closed.
#[derive(Clone, Debug)]
pub(in crate::http) struct Closing {
    stopping: watch::Receiver<bool>,
    known_until: Option<Instant>,
}

impl Closing {
    /// It closes when `true` is sent. The sender sees by its receivers whether somebody has still to say goodbye.
    pub(in crate::http) fn new(stopping: watch::Receiver<bool>) -> Self {
        Self { stopping, known_until: None }
    }

    /// Returns when it is over, and why.
    pub(super) async fn closed(&mut self) -> Reason {
        let Self { stopping, known_until } = self;
        let stopping = async {
            if stopping.wait_for(|stopping| *stopping).await.is_err() {
                // Nobody can say it any more.
                std::future::pending::<()>().await;
            }
        };
        let Some(known_until) = *known_until else {
            stopping.await;
            return Reason::Shutdown;
        };
        tokio::select! {
            biased;
            () = stopping => Reason::Shutdown,
            () = sleep_until(known_until) => Reason::Expired,
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Closing {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let closing = parts.extensions.get::<Self>().cloned();
        let closing = closing.unwrap_or_else(|| Self::new(watch::channel(false).1));
        let known_until = parts.extensions.get::<Asker>().and_then(Asker::known_until);
        Ok(Self { known_until, ..closing })
    }
}
