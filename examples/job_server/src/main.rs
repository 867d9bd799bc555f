//! The command line of the job server.

use std::process::ExitCode;

/// With the default allocator, threads that handle requests at the same time wait for each other.
#[cfg(all(feature = "server", not(target_env = "msvc")))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

#[tokio::main]
async fn main() -> ExitCode {
    job_server::app().main().await
}
