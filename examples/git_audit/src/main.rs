//! The command line. Without arguments: import the repository that it stands in, then say what is in the log.

use std::ffi::OsString;
use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    let mut arguments: Vec<OsString> = std::env::args_os().collect();
    if arguments.len() <= 1 {
        arguments = ["git_audit", "import", ".", "--summary"].map(OsString::from).into();
    }
    git_audit::app().main_with(arguments).await
}
