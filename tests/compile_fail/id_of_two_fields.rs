//! An id is one thing.

use annals::prelude::*;

#[derive(Id, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct DoorId {
    house: String,
    door: u32,
}

fn main() {
    let id = DoorId::new("a");
    println!("{id}");
}
