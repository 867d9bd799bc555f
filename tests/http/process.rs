//! [`Process`]: `bank serve` in its own process.

use std::process::{Command, Stdio};

use annals::projections::flows::Flows;
use annals::projections::provenance::Agents;
use annals_test_postgres::Place;

use crate::bank::app;
pub use crate::serving::Process;

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
