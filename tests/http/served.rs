//! [`Served`]: an application served on its own port, and its client.

use std::net::SocketAddr;
use std::time::Duration;

use annals::app::App;
use annals::http::{Authentication, RouterBuilder};
use annals::prelude::*;
use annals_test_postgres::Place;
use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub struct Served {
    pub annals: Annals,
    pub address: SocketAddr,
    pub client: Client,
    stop: oneshot::Sender<()>,
    task: JoinHandle<std::io::Result<()>>,
}

/// A response, read to the end.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: reqwest::header::HeaderMap,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// Asserts that it is this problem (RFC 9457), and returns its detail.
    pub fn problem(&self, status: u16, kind: &str) -> String {
        assert_eq!(self.status.as_u16(), status, "{self:?}");
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        let problem = self.json();
        assert_eq!(problem["type"], format!("urn:annals:{kind}"), "{problem}");
        assert_eq!(problem["status"], status, "{problem}");
        assert!(problem["title"].as_str().is_some_and(|title| !title.is_empty()), "{problem}");
        problem["detail"].as_str().unwrap_or_default().to_owned()
    }
}

impl Served {
    /// Trusts callers. The default actor is user:alice.
    pub async fn alice(app: App, place: &Place) -> Self {
        let alice = "user:alice".parse().unwrap();
        Self::with(app, place, |builder| builder.authentication(Authentication::trusting(Some(alice)))).await
    }

    pub async fn with(app: App, place: &Place, configure: impl FnOnce(RouterBuilder) -> RouterBuilder) -> Self {
        let annals = app.open(place.url()).await.expect("a sound application");
        Self::opened(annals, configure).await
    }

    pub async fn opened(annals: Annals, configure: impl FnOnce(RouterBuilder) -> RouterBuilder) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = configure(annals::http::router(annals.clone())).into_router();
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(annals::http::serve(listener, router, async {
            let _ = stopped.await;
        }));
        // The client closes idle connections before the server does: otherwise the server could close one just when the next
        // request is sent.
        let client = Client::builder().pool_idle_timeout(Duration::from_secs(5)).build().unwrap();
        Self { annals, address, client, stop, task }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, self.url(path))
    }

    pub async fn get(&self, path: &str) -> Answer {
        answer(self.request(Method::GET, path)).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        answer(self.request(Method::POST, path).json(body)).await
    }

    /// Without a body.
    pub async fn do_it(&self, method: Method, path: &str) -> Answer {
        answer(self.request(method, path)).await
    }

    pub async fn deposit(&self, account: &str, cents: i64) -> Value {
        let answer = self.post("/commands/deposit", &json!({ "account": account, "cents": cents })).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }

    /// Stops the server and closes the application.
    pub async fn stop(self) {
        let _ = self.stop.send(());
        self.task.await.expect("no panic").expect("a listener");
        self.annals.close().await;
    }
}

pub async fn answer(request: RequestBuilder) -> Answer {
    let response = request.send().await.expect("an answer");
    let (status, headers) = (response.status(), response.headers().clone());
    Answer { status, headers, text: response.text().await.expect("text") }
}

/// The `after` of a receipt.
pub fn after(receipt: &Value) -> String {
    let head = &receipt["head"];
    format!("after={}:{}", head["position"], head["event_id"].as_str().unwrap())
}
