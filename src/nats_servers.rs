//! [`NatsServers`]: how a NATS server is reached.

use std::path::PathBuf;
use std::time::Duration;

use async_nats::{Client, ConnectErrorKind, ConnectOptions};

use crate::secret_url::SecretUrl;
use crate::text::error_chain;

/// How long the server of a feed or an intake may take to answer.
#[cfg(feature = "nats")]
const ANSWER: Duration = Duration::from_secs(5);

/// The servers of a cluster, with credentials, and the certificates to trust.
#[derive(Clone, Debug)]
pub(crate) struct NatsServers {
    urls: Vec<SecretUrl>,
    authority: Option<PathBuf>,
}

impl NatsServers {
    /// URLs with commas between.
    #[cfg(feature = "nats")]
    pub(crate) fn new(urls: &str) -> Self {
        Self::of(urls.split(','))
    }

    /// Some URLs.
    pub(crate) fn of<'a>(urls: impl Iterator<Item = &'a str>) -> Self {
        Self { urls: urls.map(|url| SecretUrl::new(url.trim())).collect(), authority: None }
    }

    /// Trusts the certificates of a file (PEM) besides those of the machine.
    pub(crate) fn trust(&mut self, file: PathBuf) {
        self.authority = Some(file);
    }

    /// Checks the URLs. The error says what to correct.
    #[cfg(feature = "nats")]
    pub(crate) fn check(&self) -> Result<(), String> {
        match self.urls.iter().all(|url| ["nats", "tls"].contains(&url.scheme())) {
            true => Ok(()),
            false => Err("a NATS server has a URL like nats://host:4222 or tls://host:4222".to_owned()),
        }
    }

    /// The hosts, without credentials.
    pub(crate) fn hosts(&self) -> String {
        let hosts: Vec<String> = self.urls.iter().map(SecretUrl::host).collect();
        hosts.join(", ")
    }

    /// The text of an error, without credentials.
    pub(crate) fn failed(&self, what: &str, error: &(dyn std::error::Error + 'static)) -> String {
        let why = self.urls.iter().fold(error_chain(error), |text, url| url.scrub(&text));
        format!("{} {what}: {why}", self.hosts())
    }

    /// Connects, or says why not.
    #[cfg(feature = "nats")]
    pub(crate) async fn connect(&self, options: ConnectOptions) -> Result<Client, String> {
        self.connect_among(&self.urls, options, ANSWER).await
    }

    /// The number of servers.
    #[cfg(feature = "jetstream")]
    pub(crate) fn count(&self) -> usize {
        self.urls.len()
    }

    /// Connects to the server of this number if it answers within this time, or says why not.
    #[cfg(feature = "jetstream")]
    pub(crate) async fn connect_to(
        &self,
        number: usize,
        options: ConnectOptions,
        answer: Duration,
    ) -> Result<Client, String> {
        self.connect_among(&self.urls[number..=number], options, answer).await
    }

    async fn connect_among(
        &self,
        urls: &[SecretUrl],
        options: ConnectOptions,
        answer: Duration,
    ) -> Result<Client, String> {
        let mut options = options.connection_timeout(answer).max_reconnects(urls.len());
        if let Some(file) = &self.authority {
            options = options.add_root_certificates(file.clone());
        }
        options = match self.urls.iter().find_map(SecretUrl::credentials) {
            Some((user, Some(password))) => options.user_and_password(user, password),
            Some((token, None)) => options.token(token),
            None => options,
        };
        let servers: Vec<&str> = urls.iter().map(SecretUrl::whole).collect();
        options.connect(servers).await.map_err(|error| {
            let what = match error.kind() {
                ConnectErrorKind::AuthorizationViolation | ConnectErrorKind::Authentication => {
                    "refuses the credentials"
                }
                ConnectErrorKind::Tls => "offers no TLS connection that is trusted",
                _ => "cannot be reached",
            };
            self.failed(what, &error)
        })
    }
}
