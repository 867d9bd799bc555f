//! The job server's command line.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    job_server::app().main().await
}
