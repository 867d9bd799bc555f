//! An id that holds a text is not created from a number: one message says what to write.

use annals::prelude::*;

#[derive(Id, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProjectId(String);

fn main() {
    let _ = ProjectId::new(7);
}
