//! [`Bed`]: a server, and stores on it.

use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;

use super::brokers::NatsServer;
use crate::store::jetstream::location::StreamLocation;
use crate::store::jetstream::stream::Stream;
use crate::store::{Clock, OpenOptions, Store, StoreError, open};

pub(super) const APP: &str = "conformance";

pub(super) struct Bed {
    pub(super) server: NatsServer,
    folder: tempfile::TempDir,
}

impl Bed {
    /// None if there is no server, and such tests may be left out.
    pub(super) fn new() -> Option<Self> {
        Self::with("")
    }

    pub(super) fn with(configuration: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        Some(Self { server: NatsServer::start_with(configuration)?, folder })
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(format!("{name}.db"))
    }

    pub(super) fn url(&self, port: u16, name: &str) -> String {
        format!("nats://127.0.0.1:{port}/LOG?file={}", self.file(name).display())
    }

    /// A store on the server, as in a process of its own, with the local file of this name.
    pub(super) async fn store(&self, name: &str) -> Arc<dyn Store> {
        self.at(self.server.port, name).await.unwrap()
    }

    /// The same through a port.
    pub(super) async fn at(&self, port: u16, name: &str) -> Result<Arc<dyn Store>, StoreError> {
        open_with_clock(&self.url(port, name), Arc::new(Timestamp::now)).await
    }

    /// The stream, as another program uses it.
    pub(super) fn stream(&self) -> Stream {
        Stream::new(StreamLocation::from_url(&self.url(self.server.port, "none")).unwrap())
    }
}

pub(super) async fn open_with_clock(url: &str, clock: Clock) -> Result<Arc<dyn Store>, StoreError> {
    open(url, OpenOptions { app: APP.to_owned(), clock, create: true }).await
}

/// Returns the reason why a store is not usable.
pub(super) fn reason<T>(result: Result<T, StoreError>) -> String {
    match result {
        Err(StoreError::Unusable { reason, .. }) => reason,
        Err(other) => panic!("another error: {other:?}"),
        Ok(_) => panic!("it must be refused"),
    }
}
