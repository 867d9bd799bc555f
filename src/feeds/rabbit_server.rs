//! [`RabbitServer`]: how a RabbitMQ broker is reached.

use std::io;
use std::path::PathBuf;

use lapin::tcp::OwnedTLSConfig;
use lapin::uri::AMQPUri;
use lapin::{Connection, ConnectionBuilder, ConnectionProperties};
use tokio::task::spawn_blocking;

use crate::secret_url::SecretUrl;
use crate::text::error_chain;

/// The interval of heartbeats in seconds, if the URL says none: a connection that is cut without a word is noticed within two.
const HEARTBEAT: u16 = 10;

/// A broker, with credentials, and the certificates to trust.
#[derive(Clone, Debug)]
pub(crate) struct RabbitServer {
    url: SecretUrl,
    authority: Option<PathBuf>,
}

impl RabbitServer {
    pub(crate) fn new(url: impl Into<String>) -> Self {
        Self { url: SecretUrl::new(url), authority: None }
    }

    /// Trusts the certificates of a file (PEM) besides those of the machine.
    pub(crate) fn trust(&mut self, file: PathBuf) {
        self.authority = Some(file);
    }

    /// Checks the URL. The error says what to correct.
    pub(crate) fn check(&self) -> Result<(), String> {
        match ["amqp", "amqps"].contains(&self.url.scheme()) {
            true => Ok(()),
            false => {
                Err("a RabbitMQ broker has a URL like amqp://host:5672/%2f or amqps://host:5671/%2f".to_owned())
            }
        }
    }

    /// Returns whether an exchange or a queue of an application may have this name.
    pub(crate) fn is_name(name: &str) -> bool {
        !name.is_empty() && name.len() <= 255 && !name.starts_with("amq.")
    }

    /// The scheme, the host and the port, without credentials.
    pub(crate) fn host(&self) -> String {
        self.url.host()
    }

    /// The text of an error, without credentials.
    pub(crate) fn failed(&self, what: &str, error: &lapin::Error) -> String {
        format!("{} {what}: {}", self.host(), self.url.scrub(&error_chain(error)))
    }

    /// Connects under a name that the broker shows, or says why not.
    pub(crate) async fn connect(&self, name: String) -> Result<Connection, String> {
        let parsed = self.url.whole().parse::<AMQPUri>();
        let mut uri =
            parsed.map_err(|error| format!("the URL of the broker is wrong: {}", self.url.scrub(&error)))?;
        uri.query.heartbeat.get_or_insert(HEARTBEAT);
        let cert_chain = match self.authority.clone() {
            Some(file) => Some(read(file).await?),
            None => None,
        };
        let properties = ConnectionProperties::default().with_connection_name(name.into());
        let tls = OwnedTLSConfig { identity: None, cert_chain };
        let unreachable = |error| self.failed("cannot be reached", &error);
        let builder = ConnectionBuilder::new().map_err(unreachable)?;
        builder.with_uri(uri).with_properties(properties).with_tls_config(tls).connect().await.map_err(unreachable)
    }
}

/// The certificates of a file.
async fn read(file: PathBuf) -> Result<String, String> {
    let name = file.display().to_string();
    let read = spawn_blocking(move || std::fs::read_to_string(file)).await.map_err(io::Error::other);
    read.flatten().map_err(|error| format!("the file of certificates {name} cannot be read: {error}"))
}
