//! The worked answer to "what do I touch for one more event type?".

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn run(command: &mut Command) -> Output {
    let output = command.output().expect("the program is there");
    assert!(output.status.success(), "{command:?}\n{}", String::from_utf8_lossy(&output.stderr));
    output
}

fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("text")
}

/// Copies the sources of the workspace.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name();
        if ["target", ".git"].iter().any(|left_out| name == *left_out) {
            continue;
        }
        let (from, to) = (entry.path(), to.join(&name));
        match entry.file_type().unwrap() {
            kind if kind.is_dir() => copy(&from, &to),
            kind if kind.is_file() => drop(std::fs::copy(&from, &to).unwrap()),
            _ => {}
        }
    }
}

/// Mission J1: the diff in the README changes one file by at most 12 lines. With it, the new event is in the audit log with a
/// sentence, and in the metrics.
#[test]
fn one_more_event_type_is_one_file_and_twelve_lines() {
    let example = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let workspace = example.join("../..").canonicalize().unwrap();
    let diff = std::fs::read_to_string(example.join("one_more_event.diff")).unwrap();
    assert_eq!(diff.lines().filter(|line| line.starts_with("+++ ")).count(), 1, "one file");
    let added = diff.lines().filter(|line| line.starts_with('+') && !line.starts_with("+++")).count();
    assert!(added <= 12, "{added} lines");
    let readme = std::fs::read_to_string(example.join("README.md")).unwrap();
    let body = diff.split_once("@@\n").unwrap().1;
    assert!(readme.contains(body.trim_end()), "the README must show this diff");

    let directory = tempfile::tempdir().unwrap();
    let tree = directory.path().join("tree");
    copy(&workspace, &tree);
    run(Command::new("git")
        .args(["apply", "--directory", "tree"])
        .arg(example.join("one_more_event.diff"))
        .current_dir(&directory));
    // A target directory beside this one, so that the dependencies are built only once.
    let built = Path::new(env!("CARGO_BIN_EXE_job_server")).parent().unwrap().parent().unwrap().to_owned();
    run(Command::new(env!("CARGO"))
        .args(["build", "--locked", "--offline", "-p", "job_server", "--target-dir"])
        .arg(built.join("one-more-event"))
        .current_dir(&tree));
    let program = built.join("one-more-event/debug/job_server");
    let job_server = |arguments: &[&str]| {
        text(&run(Command::new(&program).args(arguments).current_dir(&directory).env_remove("ANNALS_STORE")))
    };
    job_server(&["execute", "create_project", r#"{"project":"7","name":"Vaccines"}"#, "--actor", "user:alice"]);
    job_server(&[
        "execute",
        "add_member",
        r#"{"project":"7","user":"bob","roles":["coordinator"]}"#,
        "--actor",
        "user:alice",
    ]);
    let audit = job_server(&["audit", "--event", "project_member.put_in_charge"]);
    assert!(audit.contains("user:alice put user:bob in charge of project:7"), "{audit}");
    let metrics = job_server(&["metrics", "project/member", "--format", "json"]);
    assert!(metrics.contains(r#""project_member.put_in_charge": 1"#), "{metrics}");

    // This program is built without features: a URL that needs one says which.
    for (url, feature) in [("nats://n1,n2,n3/JOBS", "`jetstream`"), ("postgres://db/jobs", "`postgres`")] {
        let output =
            Command::new(&program).args(["audit", "--store", url]).current_dir(&directory).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(url) && said.contains(feature), "{said}");
    }
}
