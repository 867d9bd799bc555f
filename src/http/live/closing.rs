//! [`Closing`]: that the server is about to stop, for what would stay open.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use tokio::sync::watch;

/// Beside each request that [`serve`](crate::http::serve) hands on. Where an application serves the router by other
/// means, what stays open ends when the application is closed.
#[derive(Clone, Debug)]
pub(in crate::http) struct Closing(watch::Receiver<bool>);

impl Closing {
    /// It closes when `true` is sent. The sender sees by its receivers whether somebody has still to say goodbye.
    pub(in crate::http) fn new(closing: watch::Receiver<bool>) -> Self {
        Self(closing)
    }

    /// Returns when the server is about to stop.
    pub(super) async fn closed(&mut self) {
        if self.0.wait_for(|closing| *closing).await.is_err() {
            // Nobody can say it any more.
            std::future::pending::<()>().await;
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Closing {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let closing = parts.extensions.get::<Self>().cloned();
        Ok(closing.unwrap_or_else(|| Self::new(watch::channel(false).1)))
    }
}
