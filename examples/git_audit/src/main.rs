//! The command line. Without arguments it imports the repository in the working directory, prints a summary and serves the
//! page; with `--no-serve` as the only argument it does not serve.

use std::ffi::OsString;
use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    let mut arguments: Vec<OsString> = std::env::args_os().collect();
    let all = ["git_audit", "import", ".", "--summary", "--serve"].map(OsString::from);
    match arguments.get(1) {
        None => arguments = all.into(),
        Some(only) if only == "--no-serve" && arguments.len() == 2 => arguments = all[..4].into(),
        Some(_) => {}
    }
    git_audit::app().main_with(arguments).await
}
