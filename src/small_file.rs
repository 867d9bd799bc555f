//! Reads files that must be small, like those of keys.

use std::fs::File;
use std::io::{self, Read};

/// The largest file, in bytes.
const MAX_BYTES: u64 = 1024 * 1024;

/// Reads a file of limited size, and returns whether it is a regular file.
#[cfg(feature = "http")]
pub(crate) fn read(path: &std::path::Path) -> io::Result<(Vec<u8>, bool)> {
    let file = File::open(path)?;
    let is_regular = file.metadata()?.is_file();
    Ok((read_open(&file)?, is_regular))
}

/// Reads an open file of limited size.
pub(crate) fn read_open(file: &File) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut content)?;
    match content.len() as u64 {
        too_long if too_long > MAX_BYTES => Err(io::Error::other(format!("it has more than {MAX_BYTES} bytes"))),
        _ => Ok(content),
    }
}
