//! The command line of the job server.

use std::process::ExitCode;

/// With the default allocator, threads that handle requests at the same time wait for each other.
#[cfg(all(feature = "server", not(target_env = "msvc")))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

#[tokio::main]
async fn main() -> ExitCode {
    #[cfg(feature = "server")]
    let app = match job_server::access::app_of_environment() {
        Ok(app) => app,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::FAILURE;
        }
    };
    #[cfg(not(feature = "server"))]
    let app = job_server::app();
    app.main().await
}
