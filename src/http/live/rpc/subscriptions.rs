//! What a connection follows.

use std::collections::HashMap;

use axum::extract::ws::Message;
use futures::StreamExt;
use serde::Serialize;
use tokio::task::JoinHandle;

use super::super::{Cursor, Ending, Reason, Step, Steps};
use super::code::Fault;
use super::outgoing::{Outgoing, Unsent};

/// How many things a connection may follow.
const MOST_SUBSCRIPTIONS: usize = 64;

/// The subscriptions of a connection, each a task. They end with it.
#[derive(Default)]
pub(super) struct Subscriptions {
    next: u64,
    running: HashMap<u64, JoinHandle<()>>,
}

impl Subscriptions {
    /// A number for one more, if there may be one more.
    pub(super) fn number(&mut self) -> Option<u64> {
        self.running.retain(|_, task| !task.is_finished());
        if self.running.len() >= MOST_SUBSCRIPTIONS {
            return None;
        }
        self.next += 1;
        Some(self.next)
    }

    /// Sends what comes, from now on.
    pub(super) fn start(&mut self, number: u64, method: &'static str, steps: Steps, outgoing: Outgoing) {
        let subscription = Subscription { number, method, last: None };
        self.running.insert(number, tokio::spawn(subscription.run(steps, outgoing)));
    }

    /// Ends one; nothing of it is sent after this. Answers whether there was one.
    pub(super) async fn leave(&mut self, number: u64) -> bool {
        let Some(task) = self.running.remove(&number) else { return false };
        let running = !task.is_finished();
        task.abort();
        // What it comes to is known: it was told to end.
        let _ = task.await;
        running
    }

    /// Returns when all have ended.
    pub(super) async fn ended(&mut self) {
        for (_, task) in self.running.drain() {
            // One that panicked has ended too.
            let _ = task.await;
        }
    }
}

impl Drop for Subscriptions {
    fn drop(&mut self) {
        self.running.values().for_each(JoinHandle::abort);
    }
}

struct Subscription {
    number: u64,
    method: &'static str,
    last: Option<Cursor>,
}

/// The last notification.
#[derive(Serialize)]
struct Last<'a> {
    jsonrpc: &'static str,
    method: &'a str,
    params: Params,
}

#[derive(Serialize)]
struct Params {
    subscription: u64,
    error: Fault,
}

impl Subscription {
    async fn run(mut self, mut steps: Steps, outgoing: Outgoing) {
        while let Some(step) = steps.next().await {
            let sent = match step {
                Step::End(ending) => return self.end(ending, &outgoing),
                Step::Rows(rows) => {
                    let mut sent = Ok(());
                    for (cursor, row) in rows.texts() {
                        sent = self.send(&outgoing, Some(cursor), "row", row).await;
                        if sent.is_err() {
                            break;
                        }
                    }
                    sent
                }
                Step::Metric(metric, cursor) => match serde_json::to_string(&*metric) {
                    Ok(metric) => self.send(&outgoing, cursor, "metric", &metric).await,
                    Err(error) => {
                        let problem = super::Problem::internal(&error);
                        return self.end(Ending::failed(problem, self.last), &outgoing);
                    }
                },
            };
            match sent {
                Ok(()) => {}
                Err(Unsent::Gone) => return,
                Err(Unsent::Slow) => return self.end(Ending::new(Reason::Slow, self.last), &outgoing),
            }
        }
    }

    /// The value is JSON already, made once for all who want it.
    async fn send(
        &mut self,
        outgoing: &Outgoing,
        cursor: Option<Cursor>,
        name: &str,
        value: &str,
    ) -> Result<(), Unsent> {
        let Self { number, method, .. } = self;
        let at = cursor.map_or_else(|| "null".to_owned(), |cursor| format!("\"{cursor}\""));
        let text = format!(
            "{{\"jsonrpc\":\"2.0\",\"method\":\"{method}\",\"params\":{{\"subscription\":{number},\
             \"result\":{{\"cursor\":{at},\"{name}\":{value}}}}}}}"
        );
        outgoing.send(text).await?;
        self.last = cursor.or(self.last);
        Ok(())
    }

    fn end(&self, ending: Ending, outgoing: &Outgoing) {
        let params = Params { subscription: self.number, error: ending.into() };
        match serde_json::to_string(&Last { jsonrpc: "2.0", method: self.method, params }) {
            Ok(text) => outgoing.end(Message::Text(text.into())),
            Err(error) => tracing::error!(%error, "the end of a subscription cannot be written as JSON"),
        }
    }
}
