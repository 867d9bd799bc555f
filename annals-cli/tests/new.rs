//! `annals new`: the application that it writes compiles, passes its tests and runs its first audited command.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn annals(directory: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_annals")).args(arguments).current_dir(directory).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

#[test]
fn a_new_application_passes_its_tests_and_runs_an_audited_command() {
    let directory = tempfile::tempdir().unwrap();
    let workspace = workspace();
    let made = annals(directory.path(), &["new", "my_shop", "--path", workspace.to_str().unwrap()]);
    assert!(made.status.success(), "{}", text(&made.stderr));
    let app = directory.path().join("my_shop");
    // The versions and the built dependencies of this workspace: nothing is downloaded, little is built.
    std::fs::copy(workspace.join("Cargo.lock"), app.join("Cargo.lock")).unwrap();
    let target = Path::new(env!("CARGO_BIN_EXE_annals")).parent().unwrap().parent().unwrap();
    let cargo = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO"));
        command.arg(arguments[0]).args(["--offline", "--quiet"]).args(&arguments[1..]);
        command.current_dir(&app).env("CARGO_TARGET_DIR", target);
        command.env_remove("ANNALS_STORE").env_remove("ANNALS_ACTOR").env_remove("CI");
        let ended = command.output().unwrap();
        assert!(ended.status.success(), "{arguments:?}: {}{}", text(&ended.stdout), text(&ended.stderr));
        text(&ended.stdout)
    };
    let tests = cargo(&["test"]);
    assert!(tests.contains("2 passed"), "{tests}");
    assert!(app.join("events.lock.json").exists());

    let steps = text(&made.stdout);
    let execute = "cargo run -- execute add_task --task 1 --title 'Write the report' --actor user:alice";
    assert!(steps.contains(execute), "{steps}");
    cargo(&[
        "run",
        "--",
        "execute",
        "add_task",
        "--task",
        "1",
        "--title",
        "Write the report",
        "--actor",
        "user:alice",
    ]);
    let audit = cargo(&["run", "--", "audit"]);
    assert!(audit.trim_end().ends_with("user:alice added task:1: Write the report"), "{audit}");
    let commands = cargo(&["run", "--", "commands"]);
    assert!(commands.contains("my_shop execute complete_task --task 1 --actor user:alice"), "{commands}");
}

#[test]
fn a_wrong_name_or_an_existing_directory_writes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let refused = |arguments: &[&str], words: &str| {
        let ended = annals(directory.path(), arguments);
        assert!(
            !ended.status.success() && text(&ended.stderr).contains(words),
            "{arguments:?}: {}",
            text(&ended.stderr)
        );
    };
    for name in ["My-App", "1st", "", "../shop", "std", "a b"] {
        refused(&["new", name], "cannot be the name of an application");
    }
    refused(&["new", "shop", "--path", "nowhere"], "is not a checkout of annals");
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    std::fs::create_dir(directory.path().join("shop")).unwrap();
    refused(&["new", "shop"], "`shop` exists");
    assert_eq!(std::fs::read_dir(directory.path().join("shop")).unwrap().count(), 0);
}

#[test]
fn the_published_version_is_the_default_dependency() {
    let directory = tempfile::tempdir().unwrap();
    assert!(annals(directory.path(), &["new", "shop"]).status.success());
    let manifest = std::fs::read_to_string(directory.path().join("shop/Cargo.toml")).unwrap();
    let dependency = format!("annals = {{ version = \"{}\"", env!("CARGO_PKG_VERSION"));
    assert!(manifest.contains(&dependency) && !manifest.contains("my_app"), "{manifest}");
}
