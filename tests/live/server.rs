//! [`Server`]: an application that is served, stopped and served again.

use std::net::SocketAddr;

use annals::app::App;
use annals::http::{Authentication, RouterBuilder};
use annals::prelude::*;
use annals::store::Receipt;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::bank::{app, by, deposit};
use crate::in_time;

/// An address that a server gets back after it was stopped.
pub fn free_address() -> String {
    format!("127.0.0.1:{}", annals_test_postgres::free_port())
}

pub struct Server {
    pub annals: Annals,
    pub address: SocketAddr,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<std::io::Result<()>>,
}

impl Server {
    pub async fn start(url: &str) -> Self {
        Self::start_at(url, app(), &free_address()).await
    }

    /// Serves on this address, possibly the one of a stopped server.
    pub async fn start_at(url: &str, app: App, address: &str) -> Self {
        let annals = app.open(url).await.unwrap();
        Self::serve(annals, address, Authentication::trusting(Some("user:reader".parse().unwrap()))).await
    }

    pub async fn serve(annals: Annals, address: &str, authentication: Authentication) -> Self {
        Self::with(annals, address, |builder| builder.authentication(authentication)).await
    }

    pub async fn with(
        annals: Annals,
        address: &str,
        configure: impl FnOnce(RouterBuilder) -> RouterBuilder,
    ) -> Self {
        let router = configure(annals::http::router(annals.clone())).into_router();
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let serving = tokio::spawn(annals::http::serve(listener, router, async {
            let _ = stopped.await;
        }));
        Self { annals, address, stop, serving }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Stops like a supervisor: no new connections, streams get an end, the application is closed.
    pub async fn stop(self) {
        let _ = self.stop.send(());
        in_time(self.serving).await.unwrap().unwrap();
        in_time(self.annals.close()).await;
    }

    /// Pays into an account, as this user.
    pub async fn pay(&self, user: &str, account: &str, cents: i64) -> Receipt {
        self.annals.execute(deposit(account, cents), &by(user)).await.unwrap()
    }
}
