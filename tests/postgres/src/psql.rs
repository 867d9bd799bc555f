//! Running SQL with psql.

use std::process::Command;

/// Runs SQL with psql on the database of a URL. Returns a line for each row, with columns separated by `|`.
pub(crate) fn run(url: &str, sql: &str) -> Result<String, String> {
    let output = Command::new(program())
        .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", url, "-c", sql])
        .env("PGCONNECT_TIMEOUT", "10")
        .output()
        .map_err(|error| format!("psql cannot be run ({error}): install Debian's package `postgresql-client`"))?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

/// Returns the psql of the server's programs, or the one on the PATH: with `DATABASE_URL` no server need be installed.
fn program() -> std::path::PathBuf {
    match std::env::var_os("DATABASE_URL") {
        Some(_) => "psql".into(),
        None => crate::programs::Programs::get().folder().join("psql"),
    }
}
