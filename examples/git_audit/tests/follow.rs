//! What the provenance of a file says, against what `git log --follow` says, for every file that a history ever had.

mod common;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use annals::prelude::*;
use annals::projections::provenance::{AttributeValue, Statement, StatementKind};
use annals_test_postgres::Place;
use common::{Sandbox, git, open};
use git_audit::git::Repository;
use git_audit::git::text::bytes;
use git_audit::import::import;
use tokio::sync::watch;

annals_test_postgres::both_stores!(provenance_says_what_git_log_follow_says, a_merge_is_one_commit_of_the_log);

/// How long the projection may take for a large history.
const PATIENCE: Duration = Duration::from_secs(600);

/// An event of a file, as provenance states it.
#[derive(Debug, Default)]
struct Step {
    commit: String,
    /// The version of another file that it was made of.
    source: Option<(Ref, u64)>,
    /// Whether it continues from the event before it: it revises that version, or ends it.
    continues: bool,
}

/// An imported history, asked through its provenance.
struct History {
    annals: Annals,
    files: BTreeSet<Ref>,
    commits: HashMap<String, String>,
    known: BTreeMap<Ref, Vec<Step>>,
}

impl History {
    async fn import(path: &Path, annals: Annals) -> Self {
        let (_running, stop) = watch::channel(false);
        let repository = Repository::open(path).unwrap().with_copies(true);
        import(&annals, &repository, stop, |_, _| {}).await.unwrap();
        let (mut files, mut commits, mut after) = (BTreeSet::new(), HashMap::new(), 0);
        loop {
            let page = annals.events(after, 10_000).await.unwrap();
            let Some(last) = page.events.last() else { break };
            after = last.position;
            for event in &page.events {
                let commit = event.metadata().unwrap().correlation.unwrap();
                commits.insert(format!("log:Command/{}", event.command_id), commit);
                files.insert(event.aggregate.clone());
            }
        }
        Self { annals, files, commits, known: BTreeMap::new() }
    }

    /// The events of a file, oldest first.
    async fn steps(&mut self, file: &Ref) -> &[Step] {
        if !self.known.contains_key(file) {
            let (head, mut cursor) = (self.annals.store().head().await.unwrap(), None);
            let mut steps: BTreeMap<u64, Step> = BTreeMap::new();
            loop {
                let query = self.annals.provenance(file).after(head).within(PATIENCE).depth(1).limit(1_000);
                let page = match cursor.take() {
                    Some(cursor) => query.cursor(cursor).page().await.unwrap(),
                    None => query.page().await.unwrap(),
                };
                assert_eq!(page.document.problems(), [""; 0]);
                for statement in &page.document.statements {
                    self.read(file, statement, &mut steps);
                }
                cursor = page.next;
                if cursor.is_none() {
                    break;
                }
            }
            let numbers: Vec<u64> = steps.keys().copied().collect();
            assert_eq!(numbers, (1..=steps.len() as u64).collect::<Vec<_>>(), "each event of {file} is stated");
            self.known.insert(file.clone(), steps.into_values().collect());
        }
        &self.known[file]
    }

    fn read(&self, file: &Ref, statement: &Statement, steps: &mut BTreeMap<u64, Step>) {
        let arguments: Vec<&str> = statement.arguments.iter().flatten().map(String::as_str).collect();
        let version = arguments.first().and_then(|name| version(name)).filter(|(thing, _)| thing == file);
        let Some((_, number)) = version else { return };
        let commit = || self.commits[arguments[1]].clone();
        match statement.kind {
            StatementKind::WasGeneratedBy => steps.entry(number).or_default().commit = commit(),
            StatementKind::WasInvalidatedBy => {
                steps.insert(number + 1, Step { commit: commit(), source: None, continues: true });
            }
            StatementKind::WasDerivedFrom => {
                let step = steps.entry(number).or_default();
                match statement.attributes.contains(&("prov:type", AttributeValue::Name("annals:Source"))) {
                    true => step.source = Some(version_of(arguments[1])),
                    false => step.continues = true,
                }
            }
            _ => {}
        }
    }

    /// The commits that made a file, newest first: from each version to the one that it was made of.
    ///
    /// With `as_git` it also continues where there is none, but a file was at the same path before: git cannot tell the two apart.
    async fn commits_of(&mut self, file: &Ref, as_git: bool) -> Vec<String> {
        let mut at = (file.clone(), self.steps(file).await.len() as u64);
        let mut commits = Vec::new();
        while at.1 > 0 {
            let step = &self.steps(&at.0).await[at.1 as usize - 1];
            commits.push(step.commit.clone());
            at = match &step.source {
                Some(source) => source.clone(),
                None if as_git || step.continues => (at.0, at.1 - 1),
                None => break,
            };
        }
        commits
    }

    /// Compares every file with git. Returns the number of files, and those for which git says something else.
    async fn compare(&mut self, path: &Path, order: &[&str]) -> (usize, Vec<(Ref, Vec<String>, Vec<String>)>) {
        let mut other = Vec::new();
        for file in self.files.clone() {
            let (ours, gits) = (self.commits_of(&file, true).await, follow(path, order, &file));
            if ours != gits {
                other.push((file, ours, gits));
            }
        }
        (self.files.len(), other)
    }
}

/// The thing and the number of a version: `log:file/src%2Flib%2Ers@3`.
fn version(name: &str) -> Option<(Ref, u64)> {
    let (file, number) = name.strip_prefix("log:file/")?.split_once('@')?;
    let mut id = Vec::new();
    let mut left = file.as_bytes();
    while let Some((first, rest)) = left.split_first() {
        let hex = (*first == b'%').then(|| std::str::from_utf8(&rest[..2]).unwrap());
        id.push(hex.map_or(*first, |hex| u8::from_str_radix(hex, 16).unwrap()));
        left = if hex.is_some() { &rest[2..] } else { rest };
    }
    Some((Ref::new("file", &String::from_utf8(id).unwrap()).unwrap(), number.parse().unwrap()))
}

fn version_of(name: &str) -> (Ref, u64) {
    version(name).unwrap_or_else(|| panic!("{name} is no version of a file"))
}

/// `git log --follow` of a file.
fn follow(path: &Path, order: &[&str], file: &Ref) -> Vec<String> {
    let name = bytes(file.id()).unwrap();
    let mut command = git(path, 0);
    command.args(["--literal-pathspecs", "log", "--follow", "--format=%H"]).args(order).arg("--");
    let output = command.arg(OsStr::from_bytes(&name)).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

fn file(path: &str) -> Ref {
    Ref::new("file", path).unwrap()
}

/// Lines that no other file has.
fn lines(what: &str) -> String {
    (0..40).map(|line| format!("{what} has line {line}\n")).collect()
}

/// Files that are changed, renamed, copied, deleted and made again, in each way that git can tell.
fn eventful() -> Sandbox {
    let sandbox = Sandbox::new();
    for name in ["a", "b", "kept", "src/lib", "src/with space", "gone"] {
        sandbox.write(name, &lines(name));
    }
    sandbox.commit();
    sandbox.write("a", &(lines("a") + "one more\n"));
    sandbox.commit();
    sandbox.rename("b", "moved/é%41");
    sandbox.commit();
    // Renamed and changed at once.
    sandbox.rename("a", "c");
    sandbox.write("c", &(lines("a") + "one more\nand another\n"));
    sandbox.commit();
    sandbox.write("copy", &(lines("kept") + "in a copy\n"));
    sandbox.commit();
    // A copy of a file that changes in the same commit, and so does the one that is renamed and copied.
    sandbox.write("copy of the old", &lines("kept"));
    sandbox.write("kept", &("changed\n".to_owned() + &lines("kept")));
    sandbox.rename("gone", "went/to one");
    sandbox.write("went/to another", &(lines("gone") + "and more\n"));
    sandbox.commit();
    sandbox.remove("src/lib");
    sandbox.commit();
    sandbox.write("src/lib", &lines("quite another library"));
    sandbox.commit();
    // Renamed over another one, a folder renamed, a file back at its first path.
    sandbox.rename("c", "moved/é%41");
    sandbox.rename("src", "lib");
    sandbox.commit();
    sandbox.rename("copy", "b");
    sandbox.write("b", &(lines("kept") + "in a copy\nat the path of b\n"));
    sandbox.commit();
    sandbox
}

/// Mission X13, D26: a rename is of the version that git says, and so is a copy.
async fn provenance_says_what_git_log_follow_says(place: &Place) {
    let sandbox = eventful();
    let mut history = History::import(&sandbox.path(), open(place.url()).await).await;
    let (files, other) = history.compare(&sandbox.path(), &[]).await;
    assert_eq!((files, other), (14, Vec::new()));
    // The version that it was before the commit, not the one that the commit made.
    let source = async |history: &mut History, path: &str| history.steps(&file(path)).await[0].source.clone();
    for (path, made_of) in [("c", ("a", 2)), ("copy of the old", ("kept", 1)), ("went/to one", ("gone", 1))] {
        assert_eq!(source(&mut history, path).await, Some((file(made_of.0), made_of.1)), "{path}");
    }
    // Git continues with a file that was at the path before; the log knows that it is another one.
    let library = history.commits_of(&file("lib/lib"), true).await;
    assert_eq!(library.len(), 4, "renamed, made again, deleted, made");
    assert_eq!(history.commits_of(&file("lib/lib"), false).await, library[..2]);
    history.annals.close().await;
}

async fn a_merge_is_one_commit_of_the_log(place: &Place) {
    let sandbox = eventful();
    sandbox.git(["checkout", "-q", "-b", "side"]);
    sandbox.rename("kept", "side/kept");
    sandbox.commit();
    sandbox.write("side/kept", &("again\n".to_owned() + &lines("kept")));
    sandbox.commit();
    sandbox.git(["checkout", "-q", "main"]);
    sandbox.write("on main", &lines("main"));
    sandbox.commit();
    sandbox.git(["merge", "-q", "--no-ff", "--no-edit", "side"]);
    let mut history = History::import(&sandbox.path(), open(place.url()).await).await;
    let (files, other) = history.compare(&sandbox.path(), &["--first-parent", "-m"]).await;
    assert_eq!((files, other), (16, Vec::new()));
    let merge = String::from_utf8(sandbox.git(["rev-parse", "HEAD"])).unwrap();
    let ours = history.commits_of(&file("side/kept"), true).await;
    assert_eq!(ours[0], merge.trim());
    let all = follow(&sandbox.path(), &[], &file("side/kept"));
    assert_eq!(all.len(), ours.len() + 1, "git names the two commits of the branch in place of the merge");
    history.annals.close().await;
}

/// For a repository of your own: prints for how many files git says something else, and the first of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs the path of a repository in GIT_AUDIT_HISTORY"]
async fn a_given_history_is_compared() {
    let path = PathBuf::from(std::env::var_os("GIT_AUDIT_HISTORY").unwrap());
    let mut history = History::import(&path, open("sqlite::memory:").await).await;
    let (files, other) = history.compare(&path, &["--first-parent", "-m"]).await;
    println!("{files} files, git says something else of {}", other.len());
    for (file, ours, gits) in &other {
        let first = ours.iter().zip(gits).position(|(ours, git)| ours != git);
        let at = first.unwrap_or(ours.len().min(gits.len()));
        println!(
            "{file}: {} and {} commits, of which {at} agree; then {:?} and {:?}",
            ours.len(),
            gits.len(),
            ours.get(at),
            gits.get(at)
        );
    }
    history.annals.close().await;
}
