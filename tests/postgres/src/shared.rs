//! The server that all tests share.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::OnceLock;

use crate::cluster::{self, Cluster};
use crate::fresh;
use crate::programs::Programs;

/// The seconds after its last use at which the server is stopped.
const IDLE: u32 = 20;
/// The age in seconds at which schemas and databases of tests on another server count as left by a crash.
const LEFTOVER_SECONDS: u64 = 6 * 3600;

/// Returns the URL of a database on the server of `DATABASE_URL`, or on one that is started.
pub(crate) fn server() -> &'static str {
    static SERVER: OnceLock<(String, Option<Cluster>)> = OnceLock::new();
    let (url, _) = SERVER.get_or_init(|| match std::env::var("DATABASE_URL") {
        Ok(url) => {
            fresh::sweep(&url, LEFTOVER_SECONDS);
            (url, None)
        }
        Err(_) => {
            let (url, cluster) = start();
            (url, Some(cluster))
        }
    });
    url
}

/// Becomes a user of the server of this checkout, and starts it if there is none.
fn start() -> (String, Cluster) {
    let mut checkout = DefaultHasher::new();
    env!("CARGO_MANIFEST_DIR").hash(&mut checkout);
    let name = format!("shared-{}-{:016x}", Programs::get().version(), checkout.finish());
    let cluster = Cluster::join(cluster::base().join(name), Vec::new(), IDLE, false);
    let alone = cluster.alone();
    let port = cluster.running().unwrap_or_else(|| {
        cluster.initialise();
        let port = cluster.start(None).unwrap_or_else(|error| panic!("{error}"));
        // It has no other users, so its schemas and databases were left by crashed tests.
        fresh::sweep(&cluster::url(cluster::LOCAL, port), 0);
        port
    });
    drop(alone);
    (cluster::url(cluster::LOCAL, port), cluster)
}
