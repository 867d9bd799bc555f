//! [`Client`]: executes commands at one process, and at another if that one fails, as behind a load balancer.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use annals::prelude::*;
use reqwest::{RequestBuilder, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

/// How long an answer may take, with all attempts, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(150);

/// How long an attempt may take.
const ATTEMPT: Duration = Duration::from_secs(30);

#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    addresses: [SocketAddr; 3],
}

impl Client {
    pub fn of(addresses: &[SocketAddr; 3]) -> Self {
        let http = reqwest::Client::builder().timeout(ATTEMPT).build().expect("a client");
        Self { http, addresses: *addresses }
    }

    pub async fn create_project(&self, process: usize) -> Receipt {
        self.execute(process, "create_project", json!({ "project": "7", "name": "Vaccines" })).await
    }

    pub async fn add_member(&self, process: usize, user: &str) -> Receipt {
        self.execute(process, "add_member", json!({ "project": "7", "user": user, "roles": ["developer"] })).await
    }

    /// Executes a command once, whatever happens to the answers: each attempt has the same id.
    async fn execute(&self, process: usize, name: &str, body: Value) -> Receipt {
        let id = Uuid::new_v4();
        let request = |address| {
            let request = self.http.post(format!("http://{address}/commands/{name}"));
            request.header("Idempotency-Key", id.to_string()).json(&body)
        };
        // "Conflict" after all attempts of the process: nothing was written.
        let again = |status: StatusCode| status.is_server_error() || status == StatusCode::CONFLICT;
        let receipt = self.ask(process, request, again).await;
        let receipt: Receipt = serde_json::from_value(receipt).expect("a receipt");
        assert_eq!((receipt.command_id, receipt.events), (id, 1));
        receipt
    }

    /// Whether a process, or another one if it fails, has the member that this command added.
    pub async fn has_member(&self, process: usize, user: &str, receipt: &Receipt) -> bool {
        self.read(process, "views/roster/7", receipt).await["members"].get(format!("user:{user}")).is_some()
    }

    /// Reads what is there after this command.
    pub async fn read(&self, process: usize, what: &str, receipt: &Receipt) -> Value {
        let joint = if what.contains('?') { '&' } else { '?' };
        let after = format!("{}:{}", receipt.head.position, receipt.head.event_id);
        let request = |address| self.http.get(format!("http://{address}/{what}{joint}after={after}"));
        self.ask(process, request, |status| status.is_server_error()).await
    }

    /// Asks one process after the other until there is an answer.
    async fn ask(
        &self,
        process: usize,
        request: impl Fn(SocketAddr) -> RequestBuilder,
        again: impl Fn(StatusCode) -> bool,
    ) -> Value {
        let began = Instant::now();
        for attempt in process.. {
            let failed = match request(self.addresses[attempt % 3]).send().await {
                Ok(answer) if answer.status().is_success() => match answer.json().await {
                    Ok(value) => return value,
                    // The process was killed before it had sent all.
                    Err(error) => error.to_string(),
                },
                Ok(answer) => {
                    let (status, text) = (answer.status(), answer.text().await.unwrap_or_default());
                    assert!(again(status), "process {}: {status} {text}", attempt % 3);
                    format!("{status} {text}")
                }
                Err(error) => format!("{error:?}"),
            };
            assert!(began.elapsed() < PATIENCE, "no process answers: {failed}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        unreachable!("the attempts have no end")
    }
}
