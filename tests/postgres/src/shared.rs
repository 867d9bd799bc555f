//! The server that all tests share.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::OnceLock;

use crate::cluster::{self, Cluster};
use crate::fresh;
use crate::programs::Programs;

/// Seconds for which nobody must have used it before it is stopped.
const IDLE: u32 = 20;
/// How old something of a test must be on a server that is not ours to be what a crash left behind.
const LEFTOVER_SECONDS: u64 = 6 * 3600;

/// The URL of a database on the server that `DATABASE_URL` names, else on one that is started.
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

/// Joins the server of this checkout; the first one starts it.
fn start() -> (String, Cluster) {
    let mut checkout = DefaultHasher::new();
    env!("CARGO_MANIFEST_DIR").hash(&mut checkout);
    let name = format!("shared-{}-{:016x}", Programs::get().version(), checkout.finish());
    let cluster = Cluster::join(cluster::base().join(name), Vec::new(), IDLE, false);
    let alone = cluster.alone();
    let port = cluster.running().unwrap_or_else(|| {
        cluster.initialise();
        let port = cluster.start(None).unwrap_or_else(|error| panic!("{error}"));
        // Nobody uses it yet: whatever is there was left by tests that crashed.
        fresh::sweep(&cluster::url(port), 0);
        port
    });
    drop(alone);
    (cluster::url(port), cluster)
}
