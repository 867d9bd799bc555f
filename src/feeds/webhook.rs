//! [`Webhook`]: a sink that posts each message to a URL, signed.
//!
//! The signature is that of Standard Webhooks: HMAC-SHA256 over the id, the time and the body, so that their libraries verify it.

use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::{Request, Uri};
use jiff::Timestamp;
use sha2::Sha256;

use super::sink::{Connection, FeedPosition, Message, Sent, Sink, SinkError};
use crate::secret_url::SecretUrl;
use crate::text::error_chain;
use crate::web_client::WebClient;

/// How long a receiver may take by default.
const ANSWER: Duration = Duration::from_secs(10);

/// How long all messages of a call may take: then what is confirmed is noted.
const CALL: Duration = Duration::from_secs(20);

/// The prefix of a secret in its usual form.
const PREFIX: &str = "whsec_";

/// A sink that posts each message to a URL, in order, one at a time. Only an answer 2xx is a confirmation; redirects are not followed.
///
/// The headers `webhook-id` (the id of the event), `webhook-timestamp` and `webhook-signature` are those of [Standard
/// Webhooks](https://www.standardwebhooks.com). `annals-position` and `annals-previous` hold the position of the event and of the message
/// before it. A receiver may get a message twice, if its answer was lost: it recognises it by the id.
///
/// ```
/// use annals::feeds::Webhook;
///
/// let webhook = Webhook::new("http://localhost:8080/hooks/T01-secret").secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
/// assert!(!format!("{webhook:?}").contains("secret"));
/// ```
#[derive(Clone)]
#[must_use = "a sink does nothing until it is given to a feed"]
pub struct Webhook {
    url: SecretUrl,
    secrets: Vec<Result<Vec<u8>, String>>,
    authority: Option<PathBuf>,
    time_limit: Duration,
}

impl Webhook {
    /// A URL with `https` or `http`. All but the host is taken as secret; a user and a password in it are sent as basic authentication.
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: SecretUrl::new(url), secrets: Vec::new(), authority: None, time_limit: ANSWER }
    }

    /// Trusts the certificates of a file (PEM) besides those of the machine.
    pub fn certificate_authority(mut self, file: impl Into<PathBuf>) -> Self {
        self.authority = Some(file.into());
        self
    }

    /// A secret for the signature: `whsec_` and 24 to 64 bytes in Base64. While a secret is replaced by another, both are given: each
    /// message then has a signature of each.
    pub fn secret(mut self, secret: &str) -> Self {
        self.secrets.push(key(secret));
        self
    }

    /// How long the receiver may take to answer: 10 seconds by default.
    pub fn time_limit(mut self, limit: Duration) -> Self {
        self.time_limit = limit;
        self
    }

    fn signatures(&self, id: &str, time: i64, body: &str) -> Result<String, SinkError> {
        let mut signatures = Vec::with_capacity(self.secrets.len());
        for secret in &self.secrets {
            let secret = secret.as_ref().map_err(|problem| SinkError::failed(problem.as_str()))?;
            // A key of any length is taken.
            let mac = Hmac::<Sha256>::new_from_slice(secret);
            let mut mac = mac.map_err(|error| SinkError::caused("the secret cannot be used", error))?;
            mac.update(format!("{id}.{time}.{body}").as_bytes());
            signatures.push(format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())));
        }
        Ok(signatures.join(" "))
    }

    fn failed(&self, position: u64, what: &str) -> SinkError {
        SinkError::failed(format!("{} has not confirmed event {position}: {what}", self.url.host()))
    }
}

/// The bytes of a secret.
fn key(secret: &str) -> Result<Vec<u8>, String> {
    let rule = || "a secret of a webhook is `whsec_` and 24 to 64 bytes in Base64".to_owned();
    let encoded = secret.strip_prefix(PREFIX).ok_or_else(rule)?;
    let key = STANDARD.decode(encoded).map_err(|_| rule())?;
    if (24..=64).contains(&key.len()) { Ok(key) } else { Err(rule()) }
}

impl std::fmt::Debug for Webhook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Webhook").field("url", &self.url).finish_non_exhaustive()
    }
}

#[async_trait]
impl Sink for Webhook {
    fn destination(&self) -> String {
        self.url.host()
    }

    fn check(&self) -> Result<(), String> {
        match self.url.scheme() {
            "http" | "https" => {}
            _ => return Err("a webhook has a URL with https or http".to_owned()),
        }
        if self.url.whole().parse::<Uri>().is_err() {
            return Err(format!("the URL of the webhook at {} is not valid", self.url.host()));
        }
        match self.secrets.iter().find_map(|secret| secret.as_ref().err()) {
            Some(problem) => Err(problem.clone()),
            None if self.secrets.is_empty() => Err("a webhook is signed: say `.secret(\"whsec_…\")`".to_owned()),
            None => Ok(()),
        }
    }

    async fn connect(&self, _: &FeedPosition) -> Result<Box<dyn Connection>, SinkError> {
        let client = WebClient::new(self.authority.clone(), self.time_limit).await;
        let client = client.map_err(|error| SinkError::caused("the HTTP client cannot be made", error))?;
        Ok(Box::new(WebhookConnection { client, webhook: self.clone() }))
    }
}

struct WebhookConnection {
    client: WebClient,
    webhook: Webhook,
}

impl WebhookConnection {
    async fn post(&self, message: &Message) -> Result<(), SinkError> {
        let (webhook, position) = (&self.webhook, message.position);
        let (id, time) = (message.event_id.to_string(), Timestamp::now().as_second());
        let mut request = Request::post(webhook.url.whole())
            .header("user-agent", concat!("annals/", env!("CARGO_PKG_VERSION")))
            .header("content-type", "application/cloudevents+json")
            .header("webhook-signature", webhook.signatures(&id, time, &message.body)?)
            .header("webhook-timestamp", time)
            .header("webhook-id", id)
            .header("annals-position", position)
            .header("annals-previous", message.previous);
        if let Some((user, password)) = webhook.url.credentials() {
            let both = format!("{user}:{}", password.unwrap_or_default());
            request = request.header("authorization", format!("Basic {}", STANDARD.encode(both)));
        }
        let request = request.body(Full::new(Bytes::from(message.body.clone())));
        let request =
            request.map_err(|error| webhook.failed(position, &webhook.url.scrub(&error_chain(&error))))?;
        match self.client.send(request).await {
            Ok(answer) if answer.status().is_success() => Ok(()),
            Ok(answer) => Err(webhook.failed(position, &format!("it answered {}", answer.status()))),
            Err(error) => Err(webhook.failed(position, &webhook.url.scrub(&error_chain(&*error)))),
        }
    }
}

#[async_trait]
impl Connection for WebhookConnection {
    async fn send(&mut self, messages: &[Message]) -> Sent {
        let began = tokio::time::Instant::now();
        for (confirmed, message) in messages.iter().enumerate() {
            if let Err(error) = self.post(message).await {
                return Sent::only(confirmed, error);
            }
            if began.elapsed() > CALL {
                return Sent { confirmed: confirmed + 1, failure: None };
            }
        }
        Sent::all(messages)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification of Standard Webhooks.
    #[test]
    fn a_signature_is_that_of_standard_webhooks() {
        let webhook = Webhook::new("http://localhost").secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let body = r#"{"test": 2432232314}"#;
        let signed = webhook.signatures("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body).unwrap();
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        let both = webhook.secret("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
        assert_eq!(both.signatures("msg", 1, body).unwrap().split(' ').count(), 2);
    }

    #[test]
    fn a_webhook_needs_a_url_and_a_secret() {
        let url = "http://localhost/hook";
        assert!(Webhook::new(url).check().unwrap_err().contains("whsec_"));
        for secret in ["secret", "whsec_", "whsec_AAAA", "whsec_!", &format!("whsec_{}", "AAAA".repeat(30))] {
            assert!(Webhook::new(url).secret(secret).check().is_err(), "{secret}");
        }
        let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        for url in [url, "https://localhost/hook", "https://user:word@localhost:8443/hook?key=1"] {
            assert_eq!(Webhook::new(url).secret(secret).check(), Ok(()), "{url}");
        }
        for url in ["localhost", "ftp://localhost", "http://", "http://[::1"] {
            assert!(Webhook::new(url).secret(secret).check().is_err(), "{url}");
        }
    }
}
