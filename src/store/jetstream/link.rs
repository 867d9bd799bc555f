//! [`Link`]: requests to the servers, each of which ends in bounded time.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_nats::{Client, ConnectOptions, Event, HeaderMap, Message, Request, RequestErrorKind, ServerInfo};
use futures::StreamExt;
use futures::future::select_all;
use tokio::time::{Instant, timeout_at};

use super::hosts::Hosts;
use super::location::StreamLocation;
use crate::text::error_chain;

/// How long a server may take to answer a request.
const ANSWER: Duration = Duration::from_secs(2);
/// The same after a request without an answer: a leader may be elected at any moment, and each request can be repeated.
const ANSWER_AGAIN: Duration = Duration::from_secs(1);
/// After this time a request that any server may answer is sent again: the one that got it may be frozen.
const ASK_AGAIN: Duration = Duration::from_millis(100);
/// The bytes that a server is given a millisecond more for.
const BYTES_A_MILLISECOND: usize = 4 << 10;
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
    hosts: Hosts,
    client: Option<Client>,
    /// Whether the last request had no answer.
    missed: bool,
    /// What the server has refused: a missing right. Its requests have no answer.
    refused: Arc<Mutex<Option<String>>>,
    /// How often a connection or an answer was lost.
    disturbances: Arc<AtomicU64>,
}

impl Link {
    pub(super) fn new(location: StreamLocation) -> Self {
        let hosts = Hosts::new(location.servers.clone());
        let (refused, disturbances) = (Arc::default(), Arc::default());
        Self { location, hosts, client: None, missed: false, refused, disturbances }
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
        let client = self.hosts.connect(&options).await.map_err(NoAnswer::Unreachable)?;
        tracing::debug!(server = client.server_info().server_name, "a new connection");
        check_version(&client.server_info().version)?;
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

    /// Makes a new connection for the next request, to another server if there is one.
    pub(super) fn leave(&mut self) {
        if self.client.take().is_some() {
            self.hosts.current_was_silent();
        }
    }

    fn answered(&mut self) {
        self.missed = false;
    }

    /// How long a server may take for a request of so many bytes.
    fn limit(&self, bytes: usize) -> Duration {
        let limit = if self.missed { ANSWER_AGAIN } else { ANSWER };
        limit + Duration::from_millis((bytes / BYTES_A_MILLISECOND) as u64)
    }

    /// A request has no answer, or the answer that the stream is not available: a server that is stopped keeps its connections, and one
    /// that is cut off from the others says that there is no leader for ever. The next request goes to another server. Returns the error.
    pub(super) fn missed(&mut self, subject: &str, why: &str) -> NoAnswer {
        tracing::debug!(subject, why, "no answer");
        self.missed = true;
        self.disturbances.fetch_add(1, Ordering::SeqCst);
        self.leave();
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
        let limit = self.limit(body.len());
        let mut request = Request::new().payload(body.into()).timeout(Some(limit));
        if let Some(headers) = headers {
            request = request.headers(headers);
        }
        // A full queue of the client would wait without a limit.
        let sent = tokio::time::timeout(limit * 2, client.send_request(subject.to_owned(), request)).await;
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
        match received(&client, subject, &body, self.limit(0), &mut messages).await {
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

/// Sends a request, and puts the answers into `messages`. Returns the status of the last one.
///
/// One of the servers that have the stream gets the request, whichever this process is connected to. It may be frozen: so the request is
/// sent again after a moment, and the first server that answers is listened to.
async fn received(
    client: &Client,
    subject: &str,
    body: &[u8],
    limit: Duration,
    messages: &mut Vec<Message>,
) -> Result<u16, String> {
    let lost = |error: &(dyn std::error::Error + 'static)| error_chain(error);
    let until = Instant::now() + limit;
    let mut asked = Vec::new();
    let mut pause = ASK_AGAIN;
    let (first, number) = loop {
        let inbox = client.new_inbox();
        let subscribed = timeout_at(until, client.subscribe(inbox.clone())).await;
        asked.push(subscribed.map_err(|error| lost(&error))?.map_err(|error| lost(&error))?);
        let published = client.publish_with_reply(subject.to_owned(), inbox, body.to_vec().into());
        timeout_at(until, published).await.map_err(|error| lost(&error))?.map_err(|error| lost(&error))?;
        let next = until.min(Instant::now() + pause);
        pause *= 2;
        match timeout_at(next, select_all(asked.iter_mut().map(StreamExt::next))).await {
            Ok((first, number, _)) => break (first, number),
            Err(error) if next == until => return Err(lost(&error)),
            Err(_) => {}
        }
    };
    let mut answers = asked.swap_remove(number);
    drop(asked);
    let mut answer = first;
    loop {
        match answer {
            Some(message) if message.status.is_none() => messages.push(message),
            Some(end) => return Ok(end.status.map_or(0, |status| status.as_u16())),
            None => return Err("the connection was closed".to_owned()),
        }
        answer = timeout_at(Instant::now() + limit, answers.next()).await.map_err(|error| lost(&error))?;
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
