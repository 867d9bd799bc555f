//! [`Client`]: executes commands at one process, and at another if that one fails, as behind a load balancer.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use annals::prelude::*;
use annals::projections::audit::AuditRow;
use job_server::projects::{CreateProject, ProjectId};
use job_server::users::UserId;
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
    /// Another log, for the cursors that a stream sends.
    queries: Annals,
    /// Its row.
    row: AuditRow,
}

impl Client {
    pub async fn of(addresses: &[SocketAddr; 3]) -> Self {
        let http = reqwest::Client::builder().timeout(ATTEMPT).build().expect("a client");
        let queries = job_server::app().open("sqlite::memory:").await.expect("the store opens");
        let create = CreateProject { project: ProjectId::new("7"), name: "Vaccines".to_owned() };
        let receipt =
            queries.execute(create, &Context::by(UserId::new("alice"))).await.expect("the command is executed");
        let page = queries.audit().after(receipt).page().await.expect("a page");
        let row = page.rows.into_iter().next().expect("a row");
        Self { http, addresses: *addresses, queries, row }
    }

    pub async fn create_project(&self, process: usize) -> Receipt {
        self.execute(process, "create_project", json!({ "project": "7", "name": "Vaccines" })).await
    }

    pub async fn add_member(&self, process: usize, user: &str) -> Receipt {
        self.execute(process, "add_member", of_member(user)).await
    }

    /// The same, where the command reaches two processes at once, as when a load balancer repeats a request.
    pub async fn add_member_by_two(&self, process: usize, user: &str) -> Receipt {
        let (id, body) = (Uuid::new_v4(), of_member(user));
        let attempt = |process| self.attempt(process, "add_member", id, &body);
        let (one, other) = tokio::join!(attempt(process), attempt(process + 1));
        assert_eq!(one.head, other.head, "the command took effect twice");
        one
    }

    /// Executes a command once, whatever happens to the answers: each attempt has the same id.
    async fn execute(&self, process: usize, name: &str, body: Value) -> Receipt {
        self.attempt(process, name, Uuid::new_v4(), &body).await
    }

    async fn attempt(&self, process: usize, name: &str, id: Uuid, body: &Value) -> Receipt {
        let request = |address| {
            let request = self.http.post(format!("http://{address}/commands/{name}"));
            request.header("Idempotency-Key", id.to_string()).json(body)
        };
        // "Conflict" after all attempts of the process: nothing was written.
        let again = |status: StatusCode| status.is_server_error() || status == StatusCode::CONFLICT;
        let receipt = self.ask(process, request, again).await;
        let receipt: Receipt = serde_json::from_str(&receipt).expect("a receipt");
        assert_eq!((receipt.command_id, receipt.events), (id, 1));
        receipt
    }

    /// Whether a process, or another one if it fails, has the member that this command added.
    pub async fn has_member(&self, process: usize, user: &str, receipt: &Receipt) -> bool {
        self.read(process, "views/roster/7", receipt).await["members"].get(format!("user:{user}")).is_some()
    }

    /// Whether a process has the row of this event for a page that another process has notified of it, just now.
    pub async fn has_row(&self, process: usize, receipt: &Receipt) -> bool {
        let position = receipt.first_position;
        let row = AuditRow { position, event_id: receipt.head.event_id, ..self.row.clone() };
        let seen = self.queries.audit().cursor_after(&row).expect("a cursor");
        let rows = self.get(process, &format!("rows?after={}&seen={seen}", position - 1)).await;
        rows.contains(&format!("id=\"e{position}\""))
    }

    /// Reads the rows of a page at a process that may not have what the page shows. It must not say that the log was restored.
    pub async fn continues(&self, process: usize, receipt: &Receipt) {
        let shown = receipt.head;
        self.get(process, &format!("rows?after={}&id={}", shown.position, shown.event_id)).await;
    }

    /// Reads a document that has the event of this command.
    pub async fn read(&self, process: usize, what: &str, receipt: &Receipt) -> Value {
        let joint = if what.contains('?') { '&' } else { '?' };
        let after = format!("{}:{}", receipt.head.position, receipt.head.event_id);
        let document = self.get(process, &format!("{what}{joint}after={after}")).await;
        serde_json::from_str(&document).expect("JSON")
    }

    async fn get(&self, process: usize, what: &str) -> String {
        let request = |address| self.http.get(format!("http://{address}/{what}"));
        self.ask(process, request, |status| status.is_server_error()).await
    }

    /// Asks one process after the other until there is an answer.
    async fn ask(
        &self,
        process: usize,
        request: impl Fn(SocketAddr) -> RequestBuilder,
        again: impl Fn(StatusCode) -> bool,
    ) -> String {
        let began = Instant::now();
        for attempt in process.. {
            let failed = match request(self.addresses[attempt % 3]).send().await {
                Ok(answer) if answer.status().is_success() => match answer.text().await {
                    Ok(text) => return text,
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

fn of_member(user: &str) -> Value {
    json!({ "project": "7", "user": user, "roles": ["developer"] })
}
