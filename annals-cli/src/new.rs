//! `annals new`: writes an application from the template in `template/`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::Args;

/// The name that the template has in place of the application's.
const PLACEHOLDER: &str = "my_app";

/// The line of the template's `Cargo.toml` that is replaced by the dependency.
const DEPENDENCY: &str = "annals = \"DEPENDENCY\"";

/// Features of annals that the template uses.
const FEATURES: &str = "features = [\"cli\"]";

/// Path and text of each file. `Cargo.toml` has another name in the template: with its own name, Cargo would take the template
/// for a package and leave it out of this one.
const FILES: [(&str, &str); 11] = [
    ("Cargo.toml", include_str!("../template/Cargo.toml.template")),
    (".gitignore", include_str!("../template/gitignore.template")),
    ("README.md", include_str!("../template/README.md")),
    ("src/lib.rs", include_str!("../template/src/lib.rs")),
    ("src/main.rs", include_str!("../template/src/main.rs")),
    ("src/tasks/mod.rs", include_str!("../template/src/tasks/mod.rs")),
    ("src/tasks/events.rs", include_str!("../template/src/tasks/events.rs")),
    ("src/tasks/task.rs", include_str!("../template/src/tasks/task.rs")),
    ("src/tasks/add_task.rs", include_str!("../template/src/tasks/add_task.rs")),
    ("src/tasks/complete_task.rs", include_str!("../template/src/tasks/complete_task.rs")),
    ("tests/declarations.rs", include_str!("../template/tests/declarations.rs")),
];

/// Write a new application that compiles, runs an audited command and passes its tests
#[derive(Args)]
#[command(after_help = "Examples:\n  annals new my_app\n  annals new my_app --path ../annals\n\n\
    The directory my_app is created in the working directory. It must not exist.")]
pub struct New {
    /// Name of the application and of its directory: lower-case letters, digits and _
    name: String,
    /// Directory of a checkout of annals, to depend on in place of the published crate
    #[arg(long, value_name = "DIRECTORY")]
    path: Option<PathBuf>,
}

/// Why no application was written.
#[derive(Debug, thiserror::Error)]
pub enum NewError {
    /// The name cannot be the name of a package.
    #[error(
        "`{0}` cannot be the name of an application: use lower-case letters, digits and _, beginning with a letter, like my_app"
    )]
    Name(String),
    /// The directory exists.
    #[error("`{0}` exists: choose another name")]
    Exists(String),
    /// The checkout is not one.
    #[error("`{}` is not a checkout of annals: --path needs the directory with its Cargo.toml", .0.display())]
    NoCheckout(PathBuf),
    /// A file could not be written. Nothing is left of the application.
    #[error("cannot write `{}`", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
}

impl New {
    /// Writes the application and returns the next steps.
    pub fn run(&self) -> Result<String, NewError> {
        let name = &self.name;
        let dependency = self.dependency()?;
        check(name)?;
        let directory = Path::new(name);
        if directory.exists() {
            return Err(NewError::Exists(name.clone()));
        }
        if let Err(error) = write_all(directory, name, &dependency) {
            let _ = fs::remove_dir_all(directory);
            return Err(error);
        }
        Ok(format!(
            "created {name}. Next:\n  cd {name}\n  cargo test\n  cargo run -- commands\n  \
             cargo run -- execute add_task --task 1 --title 'Write the report' --actor user:alice\n  cargo run -- audit"
        ))
    }

    /// The dependency on annals.
    fn dependency(&self) -> Result<String, NewError> {
        let Some(path) = &self.path else {
            return Ok(format!("annals = {{ version = \"{}\", {FEATURES} }}", env!("CARGO_PKG_VERSION")));
        };
        let no_checkout = || NewError::NoCheckout(path.clone());
        let manifest = fs::read_to_string(path.join("Cargo.toml")).map_err(|_| no_checkout())?;
        let whole = path.canonicalize().map_err(|_| no_checkout())?;
        match (manifest.contains("name = \"annals\""), whole.to_str()) {
            (true, Some(whole)) => Ok(format!("annals = {{ path = {whole:?}, {FEATURES} }}")),
            _ => Err(no_checkout()),
        }
    }
}

fn check(name: &str) -> Result<(), NewError> {
    let letters = name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    // Cargo refuses these names, or the template uses them.
    let taken = [
        "annals",
        "test",
        "core",
        "std",
        "alloc",
        "proc_macro",
        "tasks",
        "serde",
        "schemars",
        "thiserror",
        "tokio",
    ];
    match letters
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.len() <= 64
        && !taken.contains(&name)
    {
        true => Ok(()),
        false => Err(NewError::Name(name.to_owned())),
    }
}

fn write_all(directory: &Path, name: &str, dependency: &str) -> Result<(), NewError> {
    for (file, text) in FILES {
        let path = directory.join(file);
        let text = text.replace(PLACEHOLDER, name).replace(DEPENDENCY, dependency);
        let folder = path.parent().unwrap_or(directory);
        fs::create_dir_all(folder)
            .and_then(|()| fs::write(&path, text))
            .map_err(|source| NewError::Write { path, source })?;
    }
    Ok(())
}
