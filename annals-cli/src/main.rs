//! The program `annals`: `annals new my_app` writes a new application.
//!
//! ## Layout
//! - `new`: `annals new`

mod new;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Tools for applications on annals
#[derive(Parser)]
#[command(
    name = "annals",
    version,
    after_help = "Example:\n  annals new my_app",
    subcommand_required = true,
    arg_required_else_help = true
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    New(new::New),
}

fn main() -> ExitCode {
    let Command::New(new) = Cli::parse().command;
    match new.run() {
        Ok(steps) => {
            println!("{steps}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!(
                "error: {error}{}",
                std::error::Error::source(&error).map_or(String::new(), |cause| format!(": {cause}"))
            );
            ExitCode::FAILURE
        }
    }
}
