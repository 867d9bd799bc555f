//! The job server's command line.

use std::process::ExitCode;

/// Threads that answer requests at once do not wait for each other when they need memory.
#[cfg(all(feature = "server", not(target_env = "msvc")))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

#[tokio::main]
async fn main() -> ExitCode {
    job_server::app().main().await
}
