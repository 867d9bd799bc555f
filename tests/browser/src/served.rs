//! [`Served`]: an application on a store of its own, served; stopped and started again at the same address.

use std::io;
use std::net::SocketAddr;

use annals::http::Authentication;
use annals::prelude::*;
use annals_test_postgres::Place;
use axum::Router;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// An application that is served.
pub struct Served {
    url: String,
    /// A store of its own, if it is not a test's.
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
    /// Serves it at its root, on SQLite.
    pub async fn new(make: fn() -> App) -> Self {
        Self::mounted(make, "").await
    }

    /// Serves it at its root, on the store of this place.
    pub async fn on(place: &Place, make: fn() -> App) -> Self {
        Self::begun(place.url().to_owned(), None, make, "", Authentication::trusting(None)).await
    }

    /// Serves it to those who have a token.
    pub async fn guarded(make: fn() -> App, authentication: Authentication) -> Self {
        Self::with(make, "", authentication).await
    }

    /// Serves it under a path.
    pub async fn mounted(make: fn() -> App, mounted: &'static str) -> Self {
        Self::with(make, mounted, Authentication::trusting(None)).await
    }

    async fn with(make: fn() -> App, mounted: &'static str, authentication: Authentication) -> Self {
        let place = Place::sqlite();
        Self::begun(place.url().to_owned(), Some(place), make, mounted, authentication).await
    }

    async fn begun(
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

    /// Starts it again where it was.
    pub async fn start(&mut self) {
        let annals = (self.make)().open(&self.url).await.expect("it opens");
        let door = annals::http::router(annals.clone())
            .name("The library")
            .colour("#7a2e8e")
            .mounted_at(self.mounted)
            .authentication(self.authentication.clone());
        let router = match self.mounted {
            "" => door.into_router(),
            path => Router::new().nest(path, door.into_router()),
        };
        let listener = TcpListener::bind(self.address).await.expect("it listens");
        self.address = listener.local_addr().expect("an address");
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(annals::http::serve(listener, router, async {
            let _ = stopped.await;
        }));
        self.running = Some(Running { annals, stop, task });
    }

    /// Stops it, in order.
    pub async fn stop(&mut self) {
        let Running { annals, stop, task } = self.running.take().expect("it runs");
        let _ = stop.send(());
        task.await.expect("it does not panic").expect("it serves to the end");
        annals.close().await;
    }

    /// The application.
    #[must_use]
    pub fn annals(&self) -> &Annals {
        &self.running.as_ref().expect("it runs").annals
    }

    /// The address of a page.
    #[must_use]
    pub fn at(&self, path: &str) -> String {
        format!("http://{}{}/{path}", self.address, self.mounted)
    }
}
