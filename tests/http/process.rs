//! [`Process`]: `bank serve` in its own process.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use annals::projections::flows::Flows;
use annals::projections::provenance::Agents;
use annals_test_postgres::Place;

use crate::bank::app;

/// Set in the started process: its arguments, one a line.
const ARGUMENTS: &str = "ANNALS_TEST_SERVE";

/// Set in a started process that has rights in its log.
pub const GUARDED: &str = "ANNALS_TEST_GUARDED";

/// Set in a started process that keeps provenance and flows.
pub const PROVENANCE: &str = "ANNALS_TEST_PROVENANCE";

/// Set in a started process that keeps proofs.
pub const PROOFS: &str = "ANNALS_TEST_PROOFS";

/// The environment variables that a started process does not inherit.
const VARIABLES: [&str; 22] = [
    "ANNALS_ACCESS_KEYS",
    "ANNALS_ACTOR",
    "ANNALS_AUDIENCE",
    "ANNALS_ISSUER",
    "ANNALS_JWKS",
    "ANNALS_LISTEN",
    "ANNALS_PROOFS_DELAY",
    "ANNALS_PROOFS_EVERY",
    "ANNALS_PROOFS_KEY",
    "ANNALS_PROOFS_POLICY",
    "ANNALS_PROOFS_CHECKPOINT",
    "ANNALS_RATE",
    "ANNALS_SECRET_FILE",
    "ANNALS_STORE",
    "ANNALS_LOG",
    "ANNALS_LOG_FORMAT",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_RESOURCE_ATTRIBUTES",
    "OTEL_SDK_DISABLED",
    "OTEL_SERVICE_NAME",
    "OTEL_TRACES_EXPORTER",
];

/// A serving process.
pub struct Process {
    child: Child,
    pub url: String,
    out: JoinHandle<Vec<String>>,
    /// None if stderr goes elsewhere.
    err: Option<JoinHandle<Vec<String>>>,
}

/// The result of a process.
#[derive(Debug)]
pub struct Ended {
    pub status: ExitStatus,
    pub took: Duration,
    /// The lines of stdout, without those of the test harness.
    pub out: Vec<String>,
    pub err: Vec<String>,
}

impl Process {
    /// The command that serves, with the default actor user:alice.
    pub fn command(place: &Place, arguments: &[&str], environment: &[(&str, &str)]) -> Command {
        let all = ["serve", "--listen", "127.0.0.1:0", "--actor", "user:alice", "--store", place.url()];
        let arguments: Vec<&str> = all.iter().chain(arguments).copied().collect();
        Self::bank(&arguments, environment)
    }

    /// The command `bank` with these arguments.
    pub fn bank(arguments: &[&str], environment: &[(&str, &str)]) -> Command {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "process::serves", "--nocapture", "--include-ignored"]);
        VARIABLES.iter().for_each(|name| _ = command.env_remove(name));
        let arguments: Vec<&str> = std::iter::once(&"bank").chain(arguments).copied().collect();
        command.env(ARGUMENTS, arguments.join("\n")).envs(environment.iter().copied());
        command
    }

    pub fn serve(place: &Place, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        Self::start(Self::command(place, arguments, environment), Stdio::piped())
    }

    /// Starts a command, and waits until it serves.
    pub fn start(mut command: Command, stderr: Stdio) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(stderr).spawn().unwrap();
        drop(command);
        let (send_url, url) = mpsc::channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let out = std::thread::spawn(move || {
            // The test harness may have written the test's name on the same line.
            let lines = stdout.lines().map(|line| line.unwrap());
            let lines =
                lines.map(|line| line.find("listening on ").map_or(line.clone(), |at| line[at..].to_owned()));
            let lines = lines.inspect(|line| {
                if let Some(url) = line.strip_prefix("listening on ") {
                    let _ = send_url.send(url.to_owned());
                }
            });
            let own = |line: &String| line.is_empty() || line.starts_with("running ") || line.starts_with("test ");
            lines.filter(|line| !own(line)).collect()
        });
        let err = child.stderr.take().map(|stderr| {
            let stderr = BufReader::new(stderr);
            std::thread::spawn(move || stderr.lines().map(Result::unwrap).collect())
        });
        let url = url.recv_timeout(Duration::from_secs(60)).expect("the process serves");
        Self { child, url, out, err }
    }

    /// The number of its open sockets.
    pub fn sockets(&self) -> usize {
        let open = std::fs::read_dir(format!("/proc/{}/fd", self.child.id())).unwrap();
        // A file that is closed meanwhile is skipped.
        let kinds = open.filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok());
        kinds.filter(|kind| kind.to_string_lossy().starts_with("socket:")).count()
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Stops it with SIGTERM.
    pub async fn stop(self) -> Ended {
        let id = self.id().to_string();
        self.stop_by(&["-TERM", &id]).await
    }

    /// Stops it with `kill` and these arguments.
    pub async fn stop_by(self, kill: &[&str]) -> Ended {
        let Self { mut child, out, err, .. } = self;
        let began = Instant::now();
        let sent = Command::new("kill").args(kill).status().unwrap();
        assert!(sent.success());
        let ended = tokio::task::spawn_blocking(move || {
            let status = child.wait().unwrap();
            Ended {
                status,
                took: began.elapsed(),
                out: out.join().unwrap(),
                err: err.map(|err| err.join().unwrap()).unwrap_or_default(),
            }
        });
        tokio::time::timeout(Duration::from_secs(60), ended).await.expect("the process stops").unwrap()
    }
}

/// What the started process runs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a process of another test"]
async fn serves() {
    let Ok(arguments) = std::env::var(ARGUMENTS) else { return };
    let app = if std::env::var_os(GUARDED).is_some() { crate::access_tokens::guarded() } else { app() };
    let app = match std::env::var_os(PROVENANCE) {
        Some(_) => app.provenance(Agents::default()).flows(Flows::default()),
        None => app,
    };
    let app = if std::env::var_os(PROOFS).is_some() { app.proofs() } else { app };
    // `bank`, and notes of any size.
    let code = app.command::<crate::large_events::Write>().main_with(arguments.lines()).await;
    assert_eq!(format!("{code:?}"), format!("{:?}", std::process::ExitCode::SUCCESS));
}
