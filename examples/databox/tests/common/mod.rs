//! A box that is served to apps with tokens, as the manager gives them.
#![allow(dead_code, reason = "each test program uses a part")]

use annals::access::GrantAccess;
use annals::http::Authentication;
use annals::prelude::*;
use annals::tokens::Keys;
use annals_test_postgres::Place;
use databox::apps::{AppId, InstallApp};
use databox::owner;
use databox::packages::{Kind, PackageId, PublishPackage};
use databox::programs::Client;
use databox::sources::{Keeps, SourceId};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// The package that is in the shop.
pub const PACKAGE: &str = "hearth/comfort";

pub struct Served {
    pub annals: Annals,
    pub url: String,
    keys: Keys,
    serving: JoinHandle<std::io::Result<()>>,
}

impl Served {
    pub async fn new(place: &Place) -> Self {
        let annals = databox::app().open(place.url()).await.unwrap();
        let keys = Keys::generate();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        // Both at one address: the owner is who says so, an app has a token.
        let authentication = Authentication::trusting(Some(owner().reference())).access_tokens(keys.clone());
        let router = annals::http::router(annals.clone()).authentication(authentication).into_router();
        let serving = tokio::spawn(annals::http::serve(listener, router, std::future::pending()));
        let served = Self { annals, url, keys, serving };
        let (package, summary) = (PackageId::new(PACKAGE), "Says how comfortable it is".to_owned());
        let publish = PublishPackage { package, kind: Kind::App, summary, asks: Vec::new(), hosts: Vec::new() };
        let hearth: Ref = "organisation:hearth".parse().unwrap();
        let right = vec!["execute publish_package *".parse().unwrap()];
        served.annals.execute(GrantAccess::new(hearth.clone(), right, "for a test"), &ann()).await.unwrap();
        served.annals.execute(publish, &Context::by(hearth)).await.unwrap();
        served
    }

    /// Installs an app with these rights. Returns the text of a token for them.
    pub async fn token(&self, app: &str, rights: &[&str]) -> String {
        let (app, package) = (AppId::new(app), PackageId::new(PACKAGE));
        self.annals.execute(InstallApp { app: app.clone(), package }, &ann()).await.unwrap();
        let rights = rights.iter().map(|right| right.parse().unwrap()).collect();
        self.annals.execute(GrantAccess::new(app.reference(), rights, "for a test"), &ann()).await.unwrap();
        let grant = *self.annals.access_of(&app.reference()).await.unwrap().grants().keys().next().unwrap();
        let (party, itself) = (app.reference(), Context::by(&app));
        self.annals.issue_token(&self.keys, &party, grant, None, "for a test", &itself).await.unwrap().text
    }

    pub async fn client(&self, app: &str, rights: &[&str]) -> Client {
        Client::new(self.url.clone(), self.token(app, rights).await, AppId::new(app))
    }

    /// A driver that may do everything with its store.
    pub async fn driver(&self) -> Client {
        let rights = [
            "execute open_store store:home",
            "execute register_source store:home",
            "execute register_source source:home/*",
            "execute write_value source:home/*",
        ];
        self.client("thermostat", &rights).await
    }

    /// A request of the owner. Returns the status and the answer.
    pub async fn owner(&self, method: Method, path: &str, body: Option<Value>) -> (u16, Value) {
        let request = reqwest::Client::new().request(method, format!("{}{path}", self.url));
        let request = body.into_iter().fold(request, |request, body| request.json(&body));
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap_or(json!(null)))
    }

    /// The sentences of the events with this type, the oldest first.
    pub async fn sentences(&self, event: &str) -> Vec<String> {
        let head = self.annals.store().head().await.unwrap();
        let page = self.annals.audit().event(event).after(head).oldest_first().limit(100).page().await.unwrap();
        page.rows.into_iter().map(|row| row.sentence).collect()
    }

    pub async fn close(self) {
        self.serving.abort();
        self.annals.close().await;
    }
}

pub fn ann() -> Context {
    Context::by(owner())
}

pub fn temperature() -> SourceId {
    SourceId::new("home/temperature")
}

/// Registers a source of the driver.
pub async fn register(driver: &Client, source: &SourceId) {
    driver.register(source, Keeps::Series, "Temperature of the living room", "°C").await.unwrap();
}
