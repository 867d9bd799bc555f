//! An application that is served in its own process, and its memory and open files.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use annals::http::Authentication;
use annals_bench_driver::BoxError;
use sqlx::{Connection, PgConnection};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};

use crate::bank;

/// The place of a store.
pub enum Place {
    Directory { url: String, directory: TempDir },
    Schema { url: String, server: String, name: String },
}

impl Place {
    /// Creates an empty place: a schema on a server, or a directory on the disk of the target directory.
    pub async fn new(server: Option<&str>) -> Result<Self, BoxError> {
        let Some(server) = server else {
            let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target");
            let directory = tempfile::Builder::new().prefix("annals-bench-http-").tempdir_in(target)?;
            let url = format!("sqlite://{}", directory.path().join("bench.db").display());
            return Ok(Self::Directory { url, directory });
        };
        let name = format!("bench_http_{}", uuid::Uuid::now_v7().simple());
        let mut connection = PgConnection::connect(server).await?;
        sqlx::query(&format!("CREATE SCHEMA {name}")).execute(&mut connection).await?;
        connection.close().await?;
        let joint = if server.contains('?') { '&' } else { '?' };
        Ok(Self::Schema { url: format!("{server}{joint}schema={name}"), server: server.to_owned(), name })
    }

    pub fn url(&self) -> &str {
        match self {
            Self::Directory { url, .. } | Self::Schema { url, .. } => url,
        }
    }

    pub async fn remove(self) {
        let removed: Result<(), BoxError> = async {
            match self {
                Self::Directory { directory, .. } => directory.close()?,
                Self::Schema { server, name, .. } => {
                    let mut connection = PgConnection::connect(&server).await?;
                    sqlx::query(&format!("DROP SCHEMA {name} CASCADE")).execute(&mut connection).await?;
                }
            }
            Ok(())
        }
        .await;
        if let Err(error) = removed {
            eprintln!("  something was left behind: {error}");
        }
    }
}

/// Runs in the process: serves the store on a free port until SIGTERM.
pub async fn serve(store: &str) -> Result<(), BoxError> {
    let annals = bank::app().open(store).await?;
    let trusting = Authentication::trusting(Some("user:client".parse()?));
    // All callers are one actor, which may use a quarter of these.
    let door = annals::http::router(annals.clone()).authentication(trusting).at_most(4_096);
    let router = door.into_router();
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    let mut terminated = signal(SignalKind::terminate())?;
    annals::http::serve(listener, router, async move {
        terminated.recv().await;
    })
    .await?;
    annals.close().await;
    Ok(())
}

/// The process, seen from outside.
pub struct Server {
    pub address: SocketAddr,
    child: Child,
}

impl Server {
    pub async fn start(store: &str) -> Result<Self, BoxError> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["server", store])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let output = child.stdout.take().ok_or("the server has no output")?;
        let line = BufReader::new(output).lines().next_line().await?.ok_or("the server did not start")?;
        Ok(Self { address: line.parse()?, child })
    }

    /// Its memory in bytes.
    pub fn memory(&self) -> Result<u64, BoxError> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id()?))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
        Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1_024)
    }

    /// Number of its open files and sockets.
    pub fn files(&self) -> Result<usize, BoxError> {
        Ok(std::fs::read_dir(format!("/proc/{}/fd", self.id()?))?.count())
    }

    /// Its process id.
    pub fn process(&self) -> Result<String, BoxError> {
        Ok(self.id()?.to_string())
    }

    fn id(&self) -> Result<u32, BoxError> {
        Ok(self.child.id().ok_or("the server is not there any more")?)
    }

    /// Stops it with SIGTERM, as a supervisor does.
    pub async fn stop(mut self) -> Result<(), BoxError> {
        let id = self.id()?.to_string();
        Command::new("kill").args(["-TERM", &id]).status().await?;
        let status = tokio::time::timeout(Duration::from_secs(30), self.child.wait()).await??;
        match status.success() {
            true => Ok(()),
            false => Err(format!("the server ended with {status}").into()),
        }
    }
}
