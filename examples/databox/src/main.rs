//! The command line of databox.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    databox::app().main().await
}
