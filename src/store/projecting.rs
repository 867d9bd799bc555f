//! Whether a task is inside a projection: what runs there records, and executes no commands.

use std::future::Future;

tokio::task_local! {
    static PROJECTING: ();
}

/// Runs a projection's own code.
pub(crate) async fn project<T>(code: impl Future<Output = T>) -> T {
    PROJECTING.scope((), code).await
}

/// The same for code that does not wait.
pub(crate) fn project_at_once<T>(code: impl FnOnce() -> T) -> T {
    PROJECTING.sync_scope((), code)
}

/// Whether a projection's code runs now. Another task that it spawned is not seen.
pub(crate) fn is_projecting() -> bool {
    PROJECTING.try_with(|()| ()).is_ok()
}
