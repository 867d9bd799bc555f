//! The program `job_server`, run in a directory of its own.
#![allow(dead_code, reason = "each test program uses a part")]

use std::path::Path;
use std::process::{Command, Output};

use annals_test_postgres::Place;
use serde_json::Value;
use tempfile::TempDir;

pub struct Server {
    directory: TempDir,
    /// The value of `ANNALS_STORE`; `None` for the default, a SQLite file in the working directory.
    store: Option<String>,
}

pub struct Answer {
    pub ok: bool,
    pub out: String,
    pub err: String,
}

impl From<Output> for Answer {
    fn from(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Self { ok: output.status.success(), out: text(output.stdout), err: text(output.stderr) }
    }
}

impl Server {
    pub fn new(place: &Place) -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
            store: place.schema().map(|schema| schema.url().to_owned()),
        }
    }

    /// A server with a project, two members, a change of roles and a removal.
    pub fn with_history(place: &Place) -> Self {
        let server = Self::new(place);
        server.execute("create_project", r#"{"project":"7","name":"Vaccines"}"#, "user:alice");
        server.execute("add_member", r#"{"project":"7","user":"bob","roles":["developer"]}"#, "user:alice");
        server.execute("add_member", r#"{"project":"7","user":"eve","roles":["collaborator"]}"#, "user:alice");
        server.execute(
            "update_member_roles",
            r#"{"project":"7","user":"bob","roles":["coordinator"]}"#,
            "user:carol",
        );
        server.execute("remove_member", r#"{"project":"7","user":"eve"}"#, "user:carol");
        server
    }

    /// The program with these arguments.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_job_server"));
        command.args(arguments);
        self.here(command)
    }

    /// A command line for a shell that finds the program by its name.
    pub fn shell(&self, line: &str) -> Answer {
        let programs = Path::new(env!("CARGO_BIN_EXE_job_server")).parent().unwrap().to_str().unwrap();
        let path = format!("{programs}:{}", std::env::var("PATH").unwrap());
        let mut command = Command::new("bash");
        command.args(["-c", line]).env("PATH", path);
        self.here(command).output().unwrap().into()
    }

    fn here(&self, mut command: Command) -> Command {
        command
            .current_dir(&self.directory)
            .env_remove("ANNALS_STORE")
            .env_remove("ANNALS_ACTOR")
            .env_remove("JOB_SERVER_OWNERS");
        command.envs(self.store.iter().map(|store| ("ANNALS_STORE", store)));
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Answer {
        self.command(arguments).output().unwrap().into()
    }

    pub fn ok(&self, arguments: &[&str]) -> String {
        let answer = self.run(arguments);
        assert!(answer.ok, "{arguments:?}: {}", answer.err);
        answer.out
    }

    pub fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.ok(&[arguments, &["--format", "json"]].concat())).unwrap()
    }

    pub fn execute(&self, name: &str, body: &str, actor: &str) -> String {
        self.ok(&["execute", name, body, "--actor", actor])
    }

    /// Asserts that the program fails with these words on stderr and nothing on stdout.
    pub fn refused(&self, arguments: &[&str], words: &str) {
        let answer = self.run(arguments);
        assert!(!answer.ok, "{arguments:?} succeeded");
        assert!(answer.err.contains(words), "{arguments:?}: {}", answer.err);
        assert_eq!(answer.out, "", "{arguments:?}");
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }
}
