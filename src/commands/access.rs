//! [`CommandAccess`]: who stands at the door that commands come through.

use futures::future::BoxFuture;

use super::Context;
use crate::events::Ref;

/// Decides whether a command may come in, and hears of those that were refused.
pub(crate) trait CommandAccess: Send + Sync {
    /// Whether the command may be executed, before anything is loaded; else why not. It records nothing: a denial counts
    /// only when the log does not know the command's id.
    fn admit<'a>(
        &'a self,
        context: &'a Context,
        command: &'static str,
        on: &'a [Ref],
    ) -> BoxFuture<'a, Result<(), String>>;

    /// Records that the command was refused, or denied by [`admit`](Self::admit). It waits for nothing.
    fn refused(&self, context: &Context, command: &'static str, on: &[Ref], reason: &str, denied: bool);
}
