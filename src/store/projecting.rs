//! Marks a projection's own code: it must not execute commands.

use std::future::Future;

tokio::task_local! {
    static PROJECTING: ();
}

/// Runs a projection's own asynchronous code.
pub(crate) async fn project<T>(code: impl Future<Output = T>) -> T {
    PROJECTING.scope((), code).await
}

/// Runs a projection's own synchronous code.
pub(crate) fn project_at_once<T>(code: impl FnOnce() -> T) -> T {
    PROJECTING.sync_scope((), code)
}

/// Returns whether a projection's code is running in this task. Tasks that it spawned are not detected.
pub(crate) fn is_projecting() -> bool {
    PROJECTING.try_with(|()| ()).is_ok()
}
