//! Mission J8: only commands append.

use annals::store::{Batch, Commit};

fn append(commits: Vec<Commit>) -> Batch {
    Batch { 0: commits }
}

fn main() {}
