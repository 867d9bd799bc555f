//! Mission X12: the JetStream store passes the conformance suite, run like a store of another crate.
//!
//! Each case has a server of its own, and handles that share a local file, as processes of one machine do. The cases about the log run
//! again with a local file for each handle, as processes of several machines have. A part of them runs on a cluster of three servers: all
//! of them with `JETSTREAM_CLUSTER=all`, as `scripts/faults` has it.
#![cfg(all(feature = "conformance", feature = "jetstream"))]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use annals::store::conformance::Fixture;
use annals::store::{OpenOptions, Store, StoreError};

#[allow(dead_code, reason = "shared with the tests of feeds, which use the rest")]
#[path = "feeds/brokers.rs"]
mod brokers;

use brokers::NatsServer;

/// A stream on a server of its own.
struct OnServer {
    server: NatsServer,
    folder: tempfile::TempDir,
    /// Whether each handle has a local file of its own.
    apart: bool,
    opened: AtomicU32,
}

impl OnServer {
    fn new(apart: bool) -> Option<Self> {
        let folder = tempfile::tempdir().expect("a folder");
        Some(Self { server: NatsServer::start()?, folder, apart, opened: AtomicU32::new(0) })
    }
}

#[async_trait::async_trait]
impl Fixture for OnServer {
    async fn open(&self, options: OpenOptions) -> Result<Arc<dyn Store>, StoreError> {
        let number = if self.apart { self.opened.fetch_add(1, Ordering::SeqCst) } else { 0 };
        let file = self.folder.path().join(format!("{number}.db"));
        annals::store::open(&format!("{}/LOG?file={}", self.server.url(), file.display()), options).await
    }

    fn has_its_own_clock(&self) -> bool {
        true
    }
}

/// The views are in the local file: handles that have one each do not share them.
///
/// Four cases read what one handle has written through another one at once: here it is read a moment later, and known to each append.
macro_rules! test_apart {
    (sharing a_dropped_write_lock_writes_nothing_and_is_released) => {};
    (sharing a_write_lock_ends_when_its_time_is_over) => {};
    (reading a_reader_of_few_event_types_skips_none_during_appends) => {};
    (requiring what_a_log_requires_is_kept_with_the_first_commit_that_needs_it) => {};
    (projecting $case:ident) => {};
    (leading $case:ident) => {};
    ($module:ident $case:ident) => {
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $case() {
            let Some(fixture) = super::OnServer::new(true) else { return };
            annals::store::conformance::case(stringify!($case), fixture).await;
        }
    };
}
macro_rules! tests {
    ([] $($module:ident: $case:ident,)*) => {
        mod one_file {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    let Some(fixture) = super::OnServer::new(false) else { return };
                    annals::store::conformance::case(stringify!($case), fixture).await;
                }
            )*
        }

        mod a_file_each {
            $(test_apart!($module $case);)*
        }
    };
}

annals::__store_conformance_cases!(tests,);

/// A stream of three replicas.
struct OnCluster {
    url: String,
    folder: tempfile::TempDir,
}

#[async_trait::async_trait]
impl Fixture for OnCluster {
    async fn open(&self, options: OpenOptions) -> Result<Arc<dyn Store>, StoreError> {
        let file = self.folder.path().join("copy.db");
        annals::store::open(&format!("{}?file={}", self.url, file.display()), options).await
    }

    fn has_its_own_clock(&self) -> bool {
        true
    }
}

/// Every so many-th case, in a short run.
const PART: usize = 7;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_of_three_servers_passes_the_suite() {
    let Some(servers) = NatsServer::cluster() else { return };
    let hosts: Vec<String> = servers.iter().map(|server| format!("127.0.0.1:{}", server.port)).collect();
    let all = std::env::var("JETSTREAM_CLUSTER").is_ok();
    let cases = annals::store::conformance::CASES.iter().enumerate();
    for (number, case) in cases.filter(|(number, _)| all || number % PART == 0) {
        let name = format!("LOG{number}");
        let url = format!("nats://{}/{name}", hosts.join(","));
        annals::store::conformance::case(case, OnCluster { url, folder: tempfile::tempdir().expect("a folder") })
            .await;
        // A case that opens nothing leaves no stream.
        let _ = servers[0].context().await.delete_stream(&name).await;
    }
}
