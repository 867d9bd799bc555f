//! [`CommandAccess`]: access control for commands.

use futures::future::BoxFuture;

use super::Context;
use crate::events::Ref;

/// Decides whether a command may be executed, and records refusals.
pub(crate) trait CommandAccess: Send + Sync {
    /// Returns the reason if the command must not be executed. Called before anything is loaded. It records nothing: a
    /// denial counts only if the log does not have the command's id.
    fn check<'a>(
        &'a self,
        context: &'a Context,
        command: &'static str,
        on: &'a [Ref],
    ) -> BoxFuture<'a, Result<(), String>>;

    /// Records that the handler refused the command, or that [`check`](Self::check) denied it. Never blocks.
    fn record_refusal(&self, context: &Context, command: &'static str, on: &[Ref], reason: &str, denied: bool);
}
