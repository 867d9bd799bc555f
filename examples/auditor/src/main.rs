//! The command line of the auditor.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    let settings = auditor::settings::Settings::new(std::env::args(), |name| std::env::var(name).ok());
    match auditor::app(settings.broker.as_deref()) {
        Ok(app) => app.main_with(settings.arguments).await,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
