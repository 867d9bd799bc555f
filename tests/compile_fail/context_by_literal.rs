//! Mission A10: nothing is done by nobody, nor in another's name.

use annals::events::Metadata;
use annals::prelude::*;

fn as_another(context: Context, metadata: std::sync::Arc<Metadata>) -> Context {
    Context { metadata, ..context }
}

fn main() {}
