//! An actor is a reference, which a text may not be: one message says what to write.

use annals::prelude::*;

fn main() {
    let _ = Context::by("user:alice");
}
