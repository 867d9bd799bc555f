//! A directory with a server: created, started, stopped, and watched by a process that outlives its users.

use std::fs::File;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::certificate;
use crate::network::Host;
use crate::port::free_port;
use crate::programs::{Programs, text};
use crate::psql;

/// The prefix of the folders of servers of a single test.
const OWN: &str = "own-";

/// The address of a server that has no host of its own.
pub(crate) const LOCAL: &str = "127.0.0.1";

/// A data directory with its files. While this value exists, the watcher does not stop the server.
#[derive(Debug)]
pub(crate) struct Cluster {
    folder: PathBuf,
    settings: Vec<String>,
    /// Where the server listens.
    address: String,
    /// The network namespace in which it runs, if not in that of this process.
    namespace: Option<String>,
    _user: Option<File>,
}

impl Cluster {
    /// Becomes a user of a cluster, which need not exist yet. The watcher stops the server `idle` seconds after its last user
    /// has ended, and with `remove` deletes the folder.
    pub(crate) fn join(folder: PathBuf, settings: Vec<String>, idle: u32, remove: bool) -> Self {
        let programs = Programs::get();
        programs.make_folder(&base());
        programs.make_folder(&folder);
        let user = lock_file(&folder, "users.lock");
        // Waits for a watcher that is stopping the server.
        user.lock_shared().expect("a lock on a file");
        let cluster = Self { folder, settings, address: LOCAL.to_owned(), namespace: None, _user: Some(user) };
        cluster.watch(idle, remove);
        cluster
    }

    /// Returns a cluster for this process alone, which ends with it. Removes clusters whose process and watcher have ended.
    pub(crate) fn own(settings: Vec<String>) -> Self {
        Programs::get().make_folder(&base());
        let alone = lock_file(&base(), "own.lock");
        alone.lock().expect("a lock on a file");
        for entry in std::fs::read_dir(base()).into_iter().flatten().flatten() {
            let folder = entry.path();
            let unlocked = |name| File::open(folder.join(name)).map_or(true, |file| file.try_lock().is_ok());
            if entry.file_name().to_string_lossy().starts_with(OWN)
                && unlocked("users.lock")
                && unlocked("watcher.lock")
            {
                Self { folder, settings: Vec::new(), address: LOCAL.to_owned(), namespace: None, _user: None }
                    .destroy();
            }
        }
        Self::join(base().join(format!("{OWN}{}", uuid::Uuid::now_v7().simple())), settings, 1, true)
    }

    /// As [`Cluster::own`], with a server on a host of its own.
    pub(crate) fn own_on(host: &Host) -> Self {
        let (address, namespace) = (host.address().to_owned(), Some(host.namespace().to_owned()));
        // It also listens on addresses that it is given later.
        Self { address, namespace, ..Self::own(vec!["listen_addresses=*".to_owned()]) }
    }

    /// Lets clients from the server's own network connect.
    pub(crate) fn trust_network(&self) {
        let mut rules = File::options().append(true).open(self.data().join("pg_hba.conf")).expect("a file");
        rules
            .write_all(b"host all all samenet trust\nhost replication all samenet trust\n")
            .expect("a file is written");
    }

    /// Returns the address at which the server listens.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Stops the server, if it runs, and removes the folder.
    pub(crate) fn destroy(&self) {
        self.signal("-CONT");
        let mut pg_ctl = Programs::get().command("pg_ctl", &self.folder);
        let _ = pg_ctl.args(["-D", "data", "-w", "-m", "immediate", "stop"]).output();
        let _ = std::fs::remove_dir_all(&self.folder);
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Waits for the lock with which one process at a time changes the server's state.
    pub(crate) fn alone(&self) -> File {
        let file = lock_file(&self.folder, "start.lock");
        file.lock().expect("a lock on a file");
        file
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// Creates the data directory, if it does not exist.
    pub(crate) fn initialise(&self) {
        let (data, half) = (self.data(), self.folder.join("data.new"));
        if data.exists() {
            return;
        }
        let _ = std::fs::remove_dir_all(&half);
        let mut initdb = Programs::get().command("initdb", &self.folder);
        initdb.args(["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "-D"]).arg(&half);
        text(initdb.output().expect("initdb runs"));
        std::fs::rename(half, data).expect("a folder is renamed");
    }

    /// Creates a key, a certificate for 127.0.0.1, and the rule that the server accepts only connections with TLS.
    pub(crate) fn make_certificate(&self) {
        certificate::make(&mut Programs::get().as_user("openssl", &self.folder));
        let rules = self.folder.join("tls.conf");
        std::fs::write(&rules, "hostssl all all 127.0.0.1/32 trust\n").expect("a file is written");
        Programs::get().give(&rules);
    }

    /// Copies the server at an address and a port to the data directory, to be started as its standby.
    pub(crate) fn follow(&self, address: &str, port: u16) {
        let mut copy = Programs::get().command("pg_basebackup", &self.folder);
        copy.args(["-h", address, "-U", "postgres", "-p", &port.to_string(), "-D", "data", "-R", "-X", "stream"]);
        text(copy.args(["-c", "fast", "--no-sync"]).output().expect("pg_basebackup runs"));
    }

    /// Promotes a standby to a primary.
    pub(crate) fn promote(&self) {
        let mut pg_ctl = Programs::get().command("pg_ctl", &self.folder);
        text(pg_ctl.args(["-D", "data", "-w", "promote"]).output().expect("pg_ctl runs"));
    }

    /// Starts the server on a port, or on a free one. Returns the port.
    pub(crate) fn start(&self, port: Option<u16>) -> Result<u16, String> {
        let mut failure = String::new();
        // Another process may take a free port before the server does.
        for _ in 0..3 {
            let port = port.unwrap_or_else(free_port);
            let mut options = format!("-c listen_addresses={LOCAL} -c port={port} -c unix_socket_directories=");
            let mut settings = vec!["max_connections=300"];
            if Programs::get().version().parse().is_ok_and(|version: u32| version >= 14) {
                // After a crash all files are flushed first: one by one that takes ten times as long.
                settings.push("recovery_init_sync_method=syncfs");
            }
            for setting in settings.into_iter().chain(self.settings.iter().map(String::as_str)) {
                options.push_str(&format!(" -c {setting}"));
            }
            let mut pg_ctl = match &self.namespace {
                Some(namespace) => Programs::get().command_in(namespace, "pg_ctl", &self.folder),
                None => Programs::get().command("pg_ctl", &self.folder),
            };
            pg_ctl.args(["-D", "data", "-l", "server.log", "-w", "-t", "120", "-o", &options, "start"]);
            pg_ctl.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            if pg_ctl.status().expect("pg_ctl runs").success() {
                return Ok(port);
            }
            failure = std::fs::read_to_string(self.folder.join("server.log")).unwrap_or_default();
        }
        Err(format!("the PostgreSQL server in {} does not start:\n{failure}", self.folder.display()))
    }

    /// Returns the port of the running server, if there is one.
    pub(crate) fn running(&self) -> Option<u16> {
        let file = std::fs::read_to_string(self.data().join("postmaster.pid")).ok()?;
        let port = file.lines().nth(3)?.trim().parse().ok()?;
        // After a crash the file is outdated, and another process may listen on the port.
        let data = psql::run(&url(LOCAL, port), "SHOW data_directory").ok()?;
        (Path::new(&data) == self.data()).then_some(port)
    }

    pub(crate) fn stop(&self, mode: &str) {
        let mut pg_ctl = Programs::get().command("pg_ctl", &self.folder);
        text(pg_ctl.args(["-D", "data", "-w", "-m", mode, "stop"]).output().expect("pg_ctl runs"));
    }

    /// Replaces a directory within this one by a copy of another.
    pub(crate) fn copy(&self, from: &str, to: &str) {
        let _ = std::fs::remove_dir_all(self.folder.join(to));
        let mut copy = Programs::get().as_user("cp", &self.folder);
        text(copy.args(["-a", from, to]).output().expect("cp runs"));
    }

    /// Sends a signal to the server and its child processes.
    pub(crate) fn signal(&self, signal: &str) {
        let Ok(file) = std::fs::read_to_string(self.data().join("postmaster.pid")) else { return };
        let server = file.lines().next().unwrap_or_default();
        let children = std::fs::read_to_string(format!("/proc/{server}/task/{server}/children"));
        let children = children.unwrap_or_default();
        // A backend may have ended in the meantime.
        let processes = std::iter::once(server).chain(children.split_whitespace());
        let _ = Command::new("kill").arg(signal).args(processes).stderr(Stdio::null()).status();
    }

    /// Starts the watcher, if there is none.
    fn watch(&self, idle: u32, remove: bool) {
        let programs = Programs::get();
        if lock_file(&self.folder, "watcher.lock").try_lock().is_err() {
            return;
        }
        let mut watcher = programs.as_user("sh", &self.folder);
        watcher.args(["-c", include_str!("watch.sh"), "watch"]).arg(programs.folder()).arg(idle.to_string());
        watcher.arg(if remove { "remove" } else { "keep" });
        watcher.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        // In its own group, so that neither Ctrl-C nor the time-out of a test ends it.
        watcher.process_group(0).status().expect("a shell runs");
    }
}

/// Returns the folder of all clusters. The server's user must be able to reach it, and home folders are often closed.
pub(crate) fn base() -> PathBuf {
    std::env::temp_dir().join("annals-test-postgres")
}

pub(crate) fn url(address: &str, port: u16) -> String {
    format!("postgres://postgres@{address}:{port}/postgres")
}

fn lock_file(folder: &Path, name: &str) -> File {
    let path = folder.join(name);
    let mut options = File::options();
    let file = options.read(true).write(true).create(true).truncate(false).open(&path);
    let file = file.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    Programs::get().give(&path);
    file
}
