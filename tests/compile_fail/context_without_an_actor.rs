//! Mission A10: nothing is done by nobody.

use annals::prelude::*;

fn main() {
    let _ = Context::default();
    let _ = Context::by();
}
