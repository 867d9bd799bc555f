//! The command line.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    my_app::app().main().await
}
