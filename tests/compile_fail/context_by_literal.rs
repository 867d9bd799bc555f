//! Mission A10: a context cannot be built without an actor, nor as internal.

use annals::events::Metadata;
use annals::prelude::*;

fn as_another(context: Context, metadata: std::sync::Arc<Metadata>) -> Context {
    Context { metadata, ..context }
}

fn main() {}
