//! [`Server`]: a server for one test alone, which it may stop, freeze and start again.

use std::path::PathBuf;

use crate::cluster::{self, Cluster, LOCAL};
use crate::fresh::{self, Fresh};
use crate::network::Host;

/// A PostgreSQL server of one test, with an empty database `postgres` and durable commits. Dropping it removes the server.
#[derive(Debug)]
pub struct Server {
    cluster: Cluster,
    port: u16,
}

impl Server {
    /// Starts a server, also if `DATABASE_URL` is set.
    ///
    /// # Panics
    /// When PostgreSQL is not installed, or the server does not start.
    #[must_use]
    pub fn own() -> Self {
        Self::with(&[])
    }

    /// Starts a server with settings such as `max_connections=5`.
    ///
    /// # Panics
    /// As [`Server::own`].
    #[must_use]
    pub fn with(settings: &[&str]) -> Self {
        let settings = settings.iter().map(|&setting| setting.to_owned()).collect();
        let cluster = Cluster::own(settings);
        cluster.initialise();
        let port = cluster.start(None).unwrap_or_else(|error| panic!("{error}"));
        Self { cluster, port }
    }

    /// Starts a server that accepts only connections with TLS. Its certificate, for `127.0.0.1`, is [`Server::certificate`].
    ///
    /// # Panics
    /// As [`Server::own`], and when the program `openssl` is not installed.
    #[must_use]
    pub fn with_tls() -> Self {
        let files = ["ssl=on", "ssl_cert_file=../server.crt", "ssl_key_file=../server.key", "hba_file=tls.conf"];
        let cluster = Cluster::own(files.map(str::to_owned).into());
        cluster.initialise();
        cluster.make_certificate();
        let port = cluster.start(None).unwrap_or_else(|error| panic!("{error}"));
        Self { cluster, port }
    }

    /// Returns the file of the certificate of a server with TLS.
    #[must_use]
    pub fn certificate(&self) -> PathBuf {
        self.cluster.folder().join("server.crt")
    }

    /// Returns the folder of all its files: data, write-ahead log, server log.
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        self.cluster.folder().to_owned()
    }

    /// Starts a standby, which replicates this server.
    ///
    /// # Panics
    /// As [`Server::own`].
    #[must_use]
    pub fn standby(&self) -> Self {
        Self::standby_of(self.port, &[])
    }

    /// Starts a standby with settings such as `recovery_min_apply_delay=1s`, which replicates the server that a port leads to.
    ///
    /// # Panics
    /// As [`Server::own`].
    #[must_use]
    pub fn standby_of(port: u16, settings: &[&str]) -> Self {
        let cluster = Cluster::own(settings.iter().map(|&setting| setting.to_owned()).collect());
        cluster.follow(LOCAL, port);
        let port = cluster.start(None).unwrap_or_else(|error| panic!("{error}"));
        Self { cluster, port }
    }

    /// Starts a server on a host of its own, which clients of the host's network reach.
    ///
    /// # Panics
    /// As [`Server::own`].
    #[must_use]
    pub fn on(host: &Host) -> Self {
        let cluster = Cluster::own_on(host);
        cluster.initialise();
        cluster.trust_network();
        let port = cluster.start(None).unwrap_or_else(|error| panic!("{error}"));
        Self { cluster, port }
    }

    /// Starts a standby on a host of its own, on the port of this server.
    ///
    /// # Panics
    /// As [`Server::own`].
    #[must_use]
    pub fn standby_on(&self, host: &Host) -> Self {
        let cluster = Cluster::own_on(host);
        cluster.follow(self.cluster.address(), self.port);
        let port = cluster.start(Some(self.port)).unwrap_or_else(|error| panic!("{error}"));
        Self { cluster, port }
    }

    /// Makes commits wait until a standby has flushed them, and waits until one is there; or ends that.
    ///
    /// # Panics
    /// When no standby streams within a minute.
    pub fn wait_for_standbys(&self, wait: bool) {
        self.sql(&format!("ALTER SYSTEM SET synchronous_standby_names = '{}'", if wait { "*" } else { "" }));
        self.sql("SELECT pg_reload_conf()");
        let count = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync' AND state = 'streaming'";
        for _ in 0..600 {
            if !wait || self.sql(count) != "0" {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        panic!("no standby streams from the server at port {}", self.port);
    }

    /// Promotes a standby to a primary.
    ///
    /// # Panics
    /// When this server is not a standby.
    pub fn promote(&self) {
        self.cluster.promote();
    }

    /// Waits until a standby has replicated everything.
    ///
    /// # Panics
    /// When that takes more than a minute.
    pub fn wait_for_standby(&self, standby: &Self) {
        let at = self.sql("SELECT pg_current_wal_lsn()");
        let there = format!("SELECT pg_last_wal_replay_lsn() >= '{at}'");
        for _ in 0..600 {
            if standby.sql(&there) == "t" {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        panic!("the standby stays behind {at}");
    }

    /// Returns the URL of its database `postgres`.
    #[must_use]
    pub fn url(&self) -> String {
        cluster::url(self.cluster.address(), self.port)
    }

    /// Returns its port on 127.0.0.1, which stays the same after a restart.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns a new name of a schema on it.
    #[must_use]
    pub fn schema(&self) -> Fresh {
        Fresh::schema_on(&self.url())
    }

    /// Runs SQL with psql as superuser. Returns a line for each row, with columns separated by `|`.
    ///
    /// # Panics
    /// When the statement fails.
    pub fn sql(&self, text: &str) -> String {
        fresh::sql(&self.url(), text)
    }

    /// Stops it at once, like a power cut: without finishing or flushing anything.
    ///
    /// # Panics
    /// When it does not run.
    pub fn stop_immediately(&self) {
        self.cluster.stop("immediate");
    }

    /// Kills all of its processes (SIGKILL).
    pub fn kill(&self) {
        self.cluster.signal("-KILL");
    }

    /// Starts it again, on the same port.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start(&self) {
        self.cluster.start(Some(self.port)).unwrap_or_else(|error| panic!("{error}"));
    }

    /// Saves a copy of its data, in place of an older copy. Stops and starts the server.
    ///
    /// # Panics
    /// When it does not run, or the disk is full.
    pub fn save(&self) {
        self.cluster.stop("fast");
        self.cluster.copy("data", "saved");
        self.start();
    }

    /// Restores the saved copy. Clients lose their connections and then see the old data.
    ///
    /// # Panics
    /// When nothing was saved.
    pub fn restore(&self) {
        self.cluster.stop("immediate");
        self.cluster.copy("saved", "data");
        self.start();
    }

    /// Freezes all of its processes (SIGSTOP): connections stay open, and get no answers.
    pub fn freeze(&self) {
        self.cluster.signal("-STOP");
    }

    /// Continues its processes (SIGCONT).
    pub fn thaw(&self) {
        self.cluster.signal("-CONT");
    }

    /// Returns the text of the server's log.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.cluster.folder().join("server.log")).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.cluster.destroy();
    }
}
