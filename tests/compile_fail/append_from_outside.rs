//! Mission J8: only commands append.

use annals::store::{Batch, Commit};

fn append(mut commit: Commit) -> Batch {
    commit.keep = true;
    Batch::new(vec![commit])
}

fn main() {}
