//! Mission A10: there is no context without an actor.

use annals::prelude::*;

fn main() {
    let _ = Context::default();
    let _ = Context::by();
}
