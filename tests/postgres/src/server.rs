//! [`Server`]: a server for one test alone, which it may stop, freeze and start again.

use std::path::PathBuf;

use crate::cluster::{self, Cluster};
use crate::fresh::{self, Fresh};

/// A PostgreSQL server of one test's own: an empty database `postgres`, durable as any; gone when this is dropped.
#[derive(Debug)]
pub struct Server {
    cluster: Cluster,
    port: u16,
}

impl Server {
    /// Starts one, whatever `DATABASE_URL` says.
    ///
    /// # Panics
    /// When PostgreSQL is not installed, or the server does not start.
    #[must_use]
    pub fn own() -> Self {
        Self::with(&[])
    }

    /// Starts one with these settings: `max_connections=5`.
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

    /// Starts one that takes connections with TLS alone; its certificate, for `127.0.0.1`, is at [`Server::certificate`].
    ///
    /// # Panics
    /// As [`Server::own`], and when the program `openssl` is not installed.
    #[must_use]
    pub fn with_tls() -> Self {
        let files = ["ssl=on", "ssl_cert_file=../server.crt", "ssl_key_file=../server.key", "hba_file=../tls.conf"];
        let cluster = Cluster::own(files.map(str::to_owned).into());
        cluster.initialise();
        cluster.make_certificate();
        let port = cluster.start(None).unwrap_or_else(|error| panic!("{error}"));
        Self { cluster, port }
    }

    /// The file with the certificate of a server with TLS.
    #[must_use]
    pub fn certificate(&self) -> PathBuf {
        self.cluster.folder().join("server.crt")
    }

    /// Starts a standby, which takes over all that this one writes.
    ///
    /// # Panics
    /// As [`Server::own`].
    #[must_use]
    pub fn standby(&self) -> Self {
        let cluster = Cluster::own(Vec::new());
        cluster.follow(self.port);
        let port = cluster.start(None).unwrap_or_else(|error| panic!("{error}"));
        Self { cluster, port }
    }

    /// Makes a standby a primary, which can be written.
    ///
    /// # Panics
    /// When it is none.
    pub fn promote(&self) {
        self.cluster.promote();
    }

    /// Waits until a standby has all that this server has written.
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

    /// Its database `postgres`.
    #[must_use]
    pub fn url(&self) -> String {
        cluster::url(self.port)
    }

    /// Its port, on 127.0.0.1; the same after a restart.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// A name for a schema on it.
    #[must_use]
    pub fn schema(&self) -> Fresh {
        Fresh::schema_on(&self.url())
    }

    /// Runs SQL by psql, as its superuser: a line a row, columns divided by `|`.
    ///
    /// # Panics
    /// When the server says no.
    pub fn sql(&self, text: &str) -> String {
        fresh::sql(&self.url(), text)
    }

    /// Stops it at once, as a power cut would: nothing is finished, nothing is flushed.
    ///
    /// # Panics
    /// When it does not run.
    pub fn stop_immediately(&self) {
        self.cluster.stop("immediate");
    }

    /// Starts it again, on the same port.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start(&self) {
        self.cluster.start(Some(self.port)).unwrap_or_else(|error| panic!("{error}"));
    }

    /// Puts a copy of all that is in it aside, in place of an older one. The server is stopped and started for it.
    ///
    /// # Panics
    /// When it does not run, or the disk is full.
    pub fn save(&self) {
        self.cluster.stop("fast");
        self.cluster.copy("data", "saved");
        self.start();
    }

    /// Puts what was saved back: whoever uses the server loses the connection, and finds the past.
    ///
    /// # Panics
    /// When nothing was saved.
    pub fn restore(&self) {
        self.cluster.stop("immediate");
        self.cluster.copy("saved", "data");
        self.start();
    }

    /// Freezes all of its processes (SIGSTOP): connections stay open, and nobody answers.
    pub fn freeze(&self) {
        self.cluster.signal("-STOP");
    }

    /// Lets them go on.
    pub fn thaw(&self) {
        self.cluster.signal("-CONT");
    }

    /// What the server has written to its log.
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
