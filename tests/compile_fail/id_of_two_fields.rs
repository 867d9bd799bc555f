//! An id has one field.

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
