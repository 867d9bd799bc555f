//! [`certificate`]: a certificate for a server of a test.

use std::path::Path;
use std::process::Command;

use crate::programs::text;

/// Writes a certificate for `127.0.0.1` that signs itself, and its key, into a folder. Returns the two files.
///
/// # Panics
/// When `openssl` is not installed.
#[must_use]
pub fn certificate(folder: &Path) -> [String; 2] {
    let mut openssl = Command::new("openssl");
    make(openssl.current_dir(folder));
    ["server.crt", "server.key"].map(|name| folder.join(name).display().to_string())
}

/// Lets `openssl` write both into its folder.
pub(crate) fn make(openssl: &mut Command) {
    openssl.args(["req", "-new", "-x509", "-days", "2", "-nodes", "-subj", "/CN=127.0.0.1"]);
    openssl.args(["-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE"]);
    openssl.args(["-out", "server.crt", "-keyout", "server.key"]);
    text(openssl.output().expect("openssl runs: install Debian's package `openssl`"));
}
