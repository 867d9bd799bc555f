//! [`Served`]: a served application that can be stopped and started again at the same address.

use std::io;
use std::net::SocketAddr;

use annals::http::Authentication;
use annals::prelude::*;
use annals_test_postgres::Place;
use axum::Router;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// A served application.
pub struct Served {
    url: String,
    /// The store, unless the test owns it.
    _place: Option<Place>,
    make: fn() -> App,
    mounted: &'static str,
    authentication: Authentication,
    address: SocketAddr,
    running: Option<Running>,
}

struct Running {
    annals: Annals,
    stop: oneshot::Sender<()>,
    task: JoinHandle<io::Result<()>>,
}

impl Served {
    /// Serves at the root, on SQLite.
    pub async fn new(make: fn() -> App) -> Self {
        Self::mounted(make, "").await
    }

    /// Serves at the root, on this store.
    pub async fn on(place: &Place, make: fn() -> App) -> Self {
        Self::started(place.url().to_owned(), None, make, "", Authentication::trusting(None)).await
    }

    /// Serves a store there to this actor.
    pub async fn on_as(place: &Place, make: fn() -> App, actor: Ref) -> Self {
        Self::started(place.url().to_owned(), None, make, "", Authentication::trusting(Some(actor))).await
    }

    /// Serves with this authentication.
    pub async fn guarded(make: fn() -> App, authentication: Authentication) -> Self {
        Self::with(make, "", authentication).await
    }

    /// Serves below a path.
    pub async fn mounted(make: fn() -> App, mounted: &'static str) -> Self {
        Self::with(make, mounted, Authentication::trusting(None)).await
    }

    async fn with(make: fn() -> App, mounted: &'static str, authentication: Authentication) -> Self {
        let place = Place::sqlite();
        Self::started(place.url().to_owned(), Some(place), make, mounted, authentication).await
    }

    async fn started(
        url: String,
        place: Option<Place>,
        make: fn() -> App,
        mounted: &'static str,
        authentication: Authentication,
    ) -> Self {
        let address = "127.0.0.1:0".parse().expect("an address");
        let mut served = Self { url, _place: place, make, mounted, authentication, address, running: None };
        served.start().await;
        served
    }

    /// Starts at the same address.
    pub async fn start(&mut self) {
        let annals = (self.make)().open(&self.url).await.expect("the store opens");
        let builder = annals::http::router(annals.clone())
            .name("The library")
            .colour("#7a2e8e")
            .mounted_at(self.mounted)
            .authentication(self.authentication.clone());
        let router = Router::new().merge(builder.into_router());
        let listener = TcpListener::bind(self.address).await.expect("the port is free");
        self.address = listener.local_addr().expect("an address");
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(annals::http::serve(listener, router, async {
            let _ = stopped.await;
        }));
        self.running = Some(Running { annals, stop, task });
    }

    /// Stops the server and closes the application.
    pub async fn stop(&mut self) {
        let Running { annals, stop, task } = self.running.take().expect("the server runs");
        let _ = stop.send(());
        task.await.expect("the server does not panic").expect("the listener works");
        annals.close().await;
    }

    /// The application.
    #[must_use]
    pub fn annals(&self) -> &Annals {
        &self.running.as_ref().expect("the server runs").annals
    }

    /// The URL of a page.
    #[must_use]
    pub fn at(&self, path: &str) -> String {
        format!("http://{}{}/{path}", self.address, self.mounted)
    }
}
