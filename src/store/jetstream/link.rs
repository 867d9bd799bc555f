//! [`Link`]: requests to the servers, each of which ends in bounded time.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_nats::{Client, ConnectOptions, Event, HeaderMap, Message, Request, RequestErrorKind, ServerInfo};
use futures::StreamExt;
use tokio::time::{Instant, timeout_at};

use super::location::StreamLocation;
use crate::text::error_chain;

/// How long a server may take to answer a request, or to accept a connection.
pub(super) const ANSWER: Duration = Duration::from_secs(2);
/// How long the servers together may take to accept a connection.
const CONNECTING: Duration = Duration::from_secs(10);
/// After so many requests in a row without an answer there is a new connection, perhaps to another server: a server that is
/// stopped keeps its connections.
const MISSED: u32 = 2;
/// The oldest server that keeps the rules of the fence in all that was tried.
const OLDEST: [u64; 3] = [2, 15, 1];

/// Why a request has no answer. The server may have done what it asks for.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoAnswer {
    /// No server can be reached: nothing was sent.
    #[error("{0}")]
    Unreachable(String),
    /// The answer was lost.
    #[error("{0}")]
    Lost(String),
    /// The servers cannot be used as they are.
    #[error("{0}")]
    Unfit(String),
    /// The server does not accept a message of this size. Nothing was sent.
    #[error("the message has more bytes than the servers accept (max_payload)")]
    TooLarge,
}

/// A connection that is made again when it is lost.
pub(super) struct Link {
    pub(super) location: StreamLocation,
    client: Option<Client>,
    missed: u32,
    /// What the server has refused: a missing right. Its requests have no answer.
    refused: Arc<Mutex<Option<String>>>,
    /// How often a connection or an answer was lost.
    disturbances: Arc<AtomicU64>,
}

impl Link {
    pub(super) fn new(location: StreamLocation) -> Self {
        Self { location, client: None, missed: 0, refused: Arc::default(), disturbances: Arc::default() }
    }

    /// Returns the connection; makes one if there is none.
    async fn client(&mut self) -> Result<Client, NoAnswer> {
        if let Some(client) = &self.client {
            return Ok(client.clone());
        }
        let (refused, disturbances) = (self.refused.clone(), self.disturbances.clone());
        let options = ConnectOptions::new().name(format!("annals log {}", self.location.name));
        let options = options.request_timeout(Some(ANSWER)).event_callback(move |event| {
            match event {
                Event::ServerError(error) => {
                    *refused.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.to_string());
                }
                Event::Disconnected | Event::Closed => _ = disturbances.fetch_add(1, Ordering::SeqCst),
                _ => {}
            }
            std::future::ready(())
        });
        let connecting = self.location.servers.connect_within(options, ANSWER);
        let client = match tokio::time::timeout(CONNECTING, connecting).await {
            Ok(connected) => connected.map_err(NoAnswer::Unreachable)?,
            Err(_) => {
                let hosts = self.location.servers.hosts();
                return Err(NoAnswer::Unreachable(format!(
                    "{hosts}: no server has answered within {CONNECTING:?}"
                )));
            }
        };
        check_version(&client.server_info().version)?;
        self.missed = 0;
        self.client = Some(client.clone());
        Ok(client)
    }

    /// What the server says about itself.
    pub(super) async fn server(&mut self) -> Result<ServerInfo, NoAnswer> {
        Ok(self.client().await?.server_info())
    }

    /// How often a connection or an answer was lost so far.
    pub(super) fn disturbances(&self) -> u64 {
        self.disturbances.load(Ordering::SeqCst)
    }

    /// Returns the error for an answer that the stream is not available, and makes a new connection for the next request: a server that
    /// is cut off from the others answers so for ever.
    pub(super) fn unavailable(&mut self, subject: &str, why: &str) -> NoAnswer {
        self.reconnect();
        self.missed(subject, why)
    }

    /// Makes a new connection for the next request, perhaps to another server.
    pub(super) fn reconnect(&mut self) {
        self.client = None;
    }

    fn answered(&mut self) {
        self.missed = 0;
    }

    /// Counts a request without an answer. Returns the error for it.
    fn missed(&mut self, subject: &str, why: &str) -> NoAnswer {
        self.missed += 1;
        self.disturbances.fetch_add(1, Ordering::SeqCst);
        if self.missed >= MISSED {
            self.client = None;
        }
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner).take();
        let hosts = self.location.servers.hosts();
        match refused {
            Some(refused) => NoAnswer::Unfit(format!(
                "{hosts} refuses `{subject}` ({refused}): give this user the right to publish on it, and to subscribe to `_INBOX.>`"
            )),
            None => NoAnswer::Lost(format!("{hosts}: no answer to `{subject}` ({why})")),
        }
    }

    /// Sends a request and returns the answer.
    pub(super) async fn request(
        &mut self,
        subject: &str,
        headers: Option<HeaderMap>,
        body: Vec<u8>,
    ) -> Result<Message, NoAnswer> {
        let client = self.client().await?;
        let mut request = Request::new().payload(body.into()).timeout(Some(ANSWER));
        if let Some(headers) = headers {
            request = request.headers(headers);
        }
        // A full queue of the client would wait without a limit.
        let sent = tokio::time::timeout(ANSWER * 2, client.send_request(subject.to_owned(), request)).await;
        match sent {
            Ok(Ok(message)) => {
                self.answered();
                Ok(message)
            }
            Ok(Err(error)) if error.kind() == RequestErrorKind::MaxPayloadExceeded => Err(NoAnswer::TooLarge),
            Ok(Err(error)) => Err(self.missed(subject, &error_chain(&error))),
            Err(_) => Err(self.missed(subject, "the connection takes nothing")),
        }
    }

    /// Sends a request that has several answers, and returns them up to the one with a status, which is the last.
    pub(super) async fn request_many(&mut self, subject: &str, body: Vec<u8>) -> Result<Vec<Message>, NoAnswer> {
        let client = self.client().await?;
        let mut messages = Vec::new();
        let received = async {
            let inbox = client.new_inbox();
            let lost = |error: &(dyn std::error::Error + 'static)| error_chain(error);
            let first = Instant::now() + ANSWER;
            let subscribed = timeout_at(first, client.subscribe(inbox.clone())).await;
            let mut answers = subscribed.map_err(|error| lost(&error))?.map_err(|error| lost(&error))?;
            let published = client.publish_with_reply(subject.to_owned(), inbox, body.into());
            timeout_at(first, published).await.map_err(|error| lost(&error))?.map_err(|error| lost(&error))?;
            loop {
                let answer = timeout_at(Instant::now() + ANSWER, answers.next()).await;
                match answer.map_err(|error| lost(&error))? {
                    Some(message) if message.status.is_none() => messages.push(message),
                    Some(end) => return Ok(end.status.map_or(0, |status| status.as_u16())),
                    None => return Err("the connection was closed".to_owned()),
                }
            }
        };
        let received: Result<u16, String> = received.await;
        match received {
            Ok(204 | 404) => {
                self.answered();
                Ok(messages)
            }
            // A part of an answer is one too: what was not received is asked for again.
            Ok(_) | Err(_) if !messages.is_empty() => {
                self.answered();
                Ok(messages)
            }
            Ok(503) => Err(self.missed(subject, "no server serves the stream")),
            Ok(status) => Err(self.missed(subject, &format!("status {status}"))),
            Err(why) => Err(self.missed(subject, &why)),
        }
    }
}

/// Checks that a server is recent enough.
fn check_version(version: &str) -> Result<(), NoAnswer> {
    let plain = version.split(['-', '+']).next().unwrap_or_default();
    let numbers: Vec<u64> = plain.split('.').map_while(|number| number.parse().ok()).collect();
    if numbers.len() == 3 && numbers.as_slice() >= OLDEST.as_slice() {
        return Ok(());
    }
    let [major, minor, patch] = OLDEST;
    Err(NoAnswer::Unfit(format!(
        "the server has version {version}, and a log needs {major}.{minor}.{patch} or later on each server: upgrade it"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_before_the_oldest_version_is_refused() {
        for version in ["2.15.1", "2.15.2", "2.16.0-RC.1", "3.0.0"] {
            check_version(version).unwrap();
        }
        for version in ["2.15.0", "2.11.9", "2.9", "", "x"] {
            assert!(matches!(check_version(version), Err(NoAnswer::Unfit(_))), "{version}");
        }
    }
}
