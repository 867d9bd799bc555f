//! [`Subscriptions`]: the subscriptions of a connection.

use std::collections::HashMap;

use axum::extract::ws::Message;
use futures::StreamExt;
use serde::Serialize;
use tokio::task::JoinHandle;

use super::super::{Cursor, EndReason, LiveItem, LiveStream, StreamEnd};
use super::error::RpcError;
use super::outgoing::{OutgoingQueue, SendError};
use crate::http::Problem;
use crate::supervise::catch;

/// The most subscriptions of a connection.
const MAX_SUBSCRIPTIONS: usize = 64;

/// The subscriptions of a connection, each a task. Dropping them aborts the tasks.
#[derive(Default)]
pub(super) struct Subscriptions {
    last_number: u64,
    tasks: HashMap<u64, JoinHandle<()>>,
}

impl Subscriptions {
    /// Returns the number of the next subscription; none at the limit.
    pub(super) fn next_number(&mut self) -> Option<u64> {
        self.tasks.retain(|_, task| !task.is_finished());
        if self.tasks.len() >= MAX_SUBSCRIPTIONS {
            return None;
        }
        self.last_number += 1;
        Some(self.last_number)
    }

    /// Starts a task that sends the items.
    pub(super) fn start(&mut self, number: u64, method: &'static str, items: LiveStream, outgoing: OutgoingQueue) {
        let subscription = Subscription { number, method, last: None };
        self.tasks.insert(number, tokio::spawn(subscription.run(items, outgoing)));
    }

    /// Ends a subscription, and returns whether it was running. It sends nothing after this.
    pub(super) async fn unsubscribe(&mut self, number: u64) -> bool {
        let Some(task) = self.tasks.remove(&number) else { return false };
        let running = !task.is_finished();
        task.abort();
        // The result is the abort.
        let _ = task.await;
        running
    }

    /// Returns when all subscriptions have ended.
    pub(super) async fn ended(&mut self) {
        for (_, task) in self.tasks.drain() {
            // A panicked task has ended, too.
            let _ = task.await;
        }
    }
}

impl Drop for Subscriptions {
    fn drop(&mut self) {
        self.tasks.values().for_each(JoinHandle::abort);
    }
}

struct Subscription {
    number: u64,
    method: &'static str,
    last: Option<Cursor>,
}

/// The last notification of a subscription.
#[derive(Serialize)]
struct EndNotification<'a> {
    jsonrpc: &'static str,
    method: &'a str,
    params: EndParams,
}

#[derive(Serialize)]
struct EndParams {
    subscription: u64,
    error: RpcError,
}

impl Subscription {
    async fn run(mut self, items: LiveStream, outgoing: OutgoingQueue) {
        if catch("subscription", self.send_all(items, &outgoing)).await.is_err() {
            let problem = Problem::unavailable(
                "the subscription panicked: resume from the cursor; the server logged the cause",
            );
            self.end(StreamEnd::failed(problem, self.last), &outgoing);
        }
    }

    async fn send_all(&mut self, mut items: LiveStream, outgoing: &OutgoingQueue) {
        while let Some(item) = items.next().await {
            let sent = match item {
                LiveItem::End(end) => return self.end(end, outgoing),
                LiveItem::Rows(rows) => {
                    let mut sent = Ok(());
                    for (cursor, row) in rows.json() {
                        sent = self.send(outgoing, Some(cursor), "row", row).await;
                        if sent.is_err() {
                            break;
                        }
                    }
                    sent
                }
                LiveItem::Metric(metric, cursor) => match serde_json::to_string(&*metric) {
                    Ok(metric) => self.send(outgoing, cursor, "metric", &metric).await,
                    Err(error) => {
                        let problem = Problem::internal(&error);
                        return self.end(StreamEnd::failed(problem, self.last), outgoing);
                    }
                },
            };
            match sent {
                Ok(()) => {}
                Err(SendError::Disconnected) => return,
                Err(SendError::Slow) => return self.end(StreamEnd::new(EndReason::Slow, self.last), outgoing),
            }
        }
    }

    /// Sends a notification. `json` is serialised already, once for all subscribers.
    async fn send(
        &mut self,
        outgoing: &OutgoingQueue,
        cursor: Option<Cursor>,
        name: &str,
        json: &str,
    ) -> Result<(), SendError> {
        let Self { number, method, .. } = self;
        let quoted = cursor.map_or_else(|| "null".to_owned(), |cursor| format!("\"{cursor}\""));
        let text = format!(
            "{{\"jsonrpc\":\"2.0\",\"method\":\"{method}\",\"params\":{{\"subscription\":{number},\
             \"result\":{{\"cursor\":{quoted},\"{name}\":{json}}}}}}}"
        );
        outgoing.send(text).await?;
        self.last = cursor.or(self.last);
        Ok(())
    }

    fn end(&self, end: StreamEnd, outgoing: &OutgoingQueue) {
        let params = EndParams { subscription: self.number, error: end.into() };
        match serde_json::to_string(&EndNotification { jsonrpc: "2.0", method: self.method, params }) {
            Ok(text) => outgoing.send_last(Message::Text(text.into())),
            Err(error) => tracing::error!(%error, "cannot serialise the end of a subscription"),
        }
    }
}
