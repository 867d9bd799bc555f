//! [`Client`]: the platform as an app sees it: HTTP and a token.

use annals::prelude::*;
use reqwest::{Method, RequestBuilder, Response};
use serde_json::Value;

use crate::apps::AppId;
use crate::manager::{APP, TOKEN, URL};
use crate::sources::{Keeps, OpenStore, RegisterSource, SourceId, StoreId, WriteValue};

/// A client of the platform.
#[derive(Debug)]
pub struct Client {
    http: reqwest::Client,
    url: String,
    token: String,
    app: AppId,
}

impl Client {
    /// The client of a process that the manager started.
    ///
    /// # Errors
    /// When the environment lacks something.
    pub fn of_environment() -> Result<Self, BoxError> {
        let variable = |name: &str| std::env::var(name).map_err(|error| format!("{name}: {error}"));
        Ok(Self::new(variable(URL)?, variable(TOKEN)?, AppId::new(variable(APP)?)))
    }

    /// A client with this token.
    #[must_use]
    pub fn new(url: String, token: String, app: AppId) -> Self {
        Self { http: reqwest::Client::new(), url, token, app }
    }

    /// The name under which the app is installed.
    #[must_use]
    pub fn app(&self) -> &AppId {
        &self.app
    }

    /// Executes a command.
    ///
    /// # Errors
    /// When the platform refuses or denies it, or cannot be reached.
    pub async fn execute<C: Command>(&self, command: &C) -> Result<(), BoxError> {
        checked(self.post(command).send().await?).await?;
        Ok(())
    }

    /// Opens a store of the app, and registers a source in it. If they exist from an earlier run, nothing happens.
    ///
    /// # Errors
    /// As [`execute`](Self::execute).
    pub async fn register(&self, source: &SourceId, keeps: Keeps, what: &str, unit: &str) -> Result<(), BoxError> {
        let id = source.text();
        let store = StoreId::new(id.split_once('/').map_or(&*id, |(store, _)| store));
        self.execute(&OpenStore { store: store.clone() }).await?;
        let (what, unit) = (what.to_owned(), unit.to_owned());
        self.execute(&RegisterSource { source: source.clone(), store, keeps, what, unit }).await
    }

    /// Reads something.
    ///
    /// # Errors
    /// As [`execute`](Self::execute).
    pub async fn get(&self, path: &str) -> Result<Value, BoxError> {
        Ok(checked(self.request(Method::GET, path).send().await?).await?.json().await?)
    }

    /// Follows a stream of Server-Sent Events.
    ///
    /// # Errors
    /// As [`execute`](Self::execute).
    pub async fn follow(&self, path: &str) -> Result<Rows, BoxError> {
        let response = checked(self.request(Method::GET, path).send().await?).await?;
        Ok(Rows { response, received: Vec::new() })
    }

    /// Writes a value that was made of these sources.
    ///
    /// # Errors
    /// As [`execute`](Self::execute).
    pub async fn write(&self, source: &SourceId, value: f64, from: &[&SourceId]) -> Result<(), BoxError> {
        let from = from.iter().map(|source| (*source).clone()).collect();
        self.execute(&WriteValue { source: source.clone(), value, from }).await
    }

    fn post<C: Command>(&self, command: &C) -> RequestBuilder {
        self.request(Method::POST, &format!("/commands/{}", C::NAME)).json(command)
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.url)).bearer_auth(&self.token)
    }
}

/// The rows of a stream.
#[derive(Debug)]
pub struct Rows {
    response: Response,
    received: Vec<u8>,
}

impl Rows {
    /// Returns the next row, as soon as there is one.
    ///
    /// # Errors
    /// When the stream ended, such as by the end of a right: the text says why.
    pub async fn next(&mut self) -> Result<Value, BoxError> {
        loop {
            while let Some(end) = self.received.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.received.drain(..=end).collect();
                let Some(data) = line.strip_prefix(b"data: ") else { continue };
                let data: Value = serde_json::from_slice(data)?;
                match data.get("reason") {
                    Some(reason) => return Err(format!("the stream ended: {reason}").into()),
                    None => return Ok(data),
                }
            }
            match self.response.chunk().await? {
                Some(chunk) => self.received.extend_from_slice(&chunk),
                None => return Err("the stream was cut off".into()),
            }
        }
    }
}

/// Makes an error of what the platform refuses.
async fn checked(response: Response) -> Result<Response, BoxError> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let problem: Value = response.json().await.unwrap_or_default();
    Err(format!("{status}: {}", problem["detail"].as_str().unwrap_or("no reason")).into())
}
