//! Builds the programs that measure other frameworks. They are a separate workspace with its own lock file.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

use crate::catalogue::{Entry, Role};

/// The programs by package, or why one is missing.
#[derive(Debug, Default)]
pub struct Peers(BTreeMap<&'static str, Result<PathBuf, String>>);

impl Peers {
    /// The program of a package.
    ///
    /// # Errors
    /// When it could not be built.
    pub fn program(&self, package: &str) -> Result<PathBuf, String> {
        self.0.get(package).cloned().unwrap_or_else(|| Err(format!("{package} was not built")))
    }
}

/// Builds the programs of the selected competitors. The first build takes minutes.
pub async fn build(entries: &[Entry]) -> Peers {
    let package = |entry: &Entry| match entry.role {
        Role::Peer(package) => Some(package),
        Role::Annals | Role::Following | Role::Access | Role::Floor => None,
    };
    let packages: BTreeSet<_> = entries.iter().filter_map(package).collect();
    let mut peers = Peers::default();
    for package in packages {
        eprintln!("building {package}");
        let built = build_one(package).await;
        if let Err(why) = &built {
            eprintln!("  {why}");
        }
        peers.0.insert(package, built);
    }
    peers
}

async fn build_one(package: &str) -> Result<PathBuf, String> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers");
    let target = workspace.join("target");
    let status = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["build", "--release", "--locked", "--quiet", "--package", package, "--manifest-path"])
        .arg(workspace.join("Cargo.toml"))
        .arg("--target-dir")
        .arg(&target)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .status()
        .await
        .map_err(|error| format!("cannot start cargo: {error}"))?;
    match status.success() {
        true => Ok(target.join("release").join(package)),
        false => Err(format!("cannot build {package} ({status})")),
    }
}
