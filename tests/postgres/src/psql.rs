//! SQL by way of psql.

use std::process::Command;

/// Runs SQL on the database that a URL names and gives back what psql prints: a line a row, columns divided by `|`.
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

/// The one beside the server; with `DATABASE_URL` there need be no server here.
fn program() -> std::path::PathBuf {
    match std::env::var_os("DATABASE_URL") {
        Some(_) => "psql".into(),
        None => crate::programs::Programs::get().folder().join("psql"),
    }
}
