//! The command line. Without arguments: import the repository that it stands in, say what is in the log, and serve the
//! page; with `--no-serve` alone, all but the last.

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
