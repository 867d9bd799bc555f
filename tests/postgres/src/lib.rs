//! PostgreSQL for tests: an empty schema or database for a test, or a server of its own.
//!
//! If `DATABASE_URL` is set, tests use that server. Otherwise they start one: on a free port, in a directory of its own, not
//! as root, with fsync on. All test processes of a checkout share it, and it stops soon after the last one ends.
//!
//! ## Layout
//! - `fresh`: [`Fresh`], an empty schema or database, dropped with its test
//! - `server`: [`Server`], a server for one test alone, which it may stop, freeze and start again
//! - `shared`: the server that all tests share
//! - `cluster`: a directory with a server: created, started, stopped, and watched by a process that outlives its users
//! - `place`: [`Place`], an empty place for a store of either kind; [`both_stores!`], tests that run on both
//! - `certificate`: [`certificate`], for a server with TLS
//! - `network`: [`Network`], hosts of their own, whose links can be taken down
//! - `port`: [`free_port`], for a server that is stopped and started again
//! - `programs`: PostgreSQL's own programs, and the user that runs them
//! - `psql`: running SQL with psql
//!
//! Errors panic: this crate is for tests.

mod certificate;
mod cluster;
mod fresh;
mod network;
mod place;
mod port;
mod programs;
mod psql;
mod server;
mod shared;

pub use certificate::certificate;
pub use fresh::Fresh;
pub use network::{Host, Network};
pub use place::Place;
pub use port::free_port;
pub use server::Server;

/// Fails a test whose tools are missing, unless `ANNALS_MAY_SKIP` is set: a test that passes because it did nothing proves
/// nothing.
///
/// # Panics
/// Unless the variable is set.
pub fn skip(missing: &str) {
    assert!(
        std::env::var_os("ANNALS_MAY_SKIP").is_some(),
        "{missing}: install it (scripts/test does), or set ANNALS_MAY_SKIP=1 to leave such tests out"
    );
    eprintln!("skipped: {missing}");
}
