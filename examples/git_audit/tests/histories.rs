//! Real repositories, imported: every row an accepted command, and the live tree git's own.

mod common;

use annals::events::Action;
use annals::prelude::*;
use annals::testing::{app_is_sound, assert_shapes_locked};
use annals_test_postgres::Place;
use common::{Sandbox, open, paths, sentences, tree};
use git_audit::files::{Actors, Directories};
use git_audit::git::{Commit, GitError, Repository, Row};
use git_audit::import::{ImportError, import_commits};
use tokio::sync::watch;

annals_test_postgres::both_stores!(
    each_row_is_a_command_with_its_author_time_commit_and_directory,
    paths_of_any_bytes_are_imported_without_loss,
    symbolic_links_submodules_and_changes_of_type_are_rows_like_others,
    files_that_change_places_end_where_git_has_them,
    swaps_rings_chains_and_copies_leave_the_tree_that_the_commit_says,
    a_refusal_stops_the_import_and_names_commit_and_path,
    a_history_that_ends_in_an_error_is_imported_up_to_there,
    merges_count_against_their_first_parent_and_empty_commits_have_no_rows,
    no_configuration_changes_what_is_imported,
    authors_without_an_address_are_unknown,
    what_was_committed_later_is_added_and_another_history_is_refused,
    an_import_that_is_stopped_finishes_what_it_began_and_can_go_on,
);

/// Imports and compares rows with commands and the tree with the view; a second import adds nothing.
async fn import_and_compare(sandbox: &Sandbox, place: &Place) -> Annals {
    let annals = open(place.url()).await;
    let done = sandbox.import(&annals).await.unwrap();
    assert_eq!(done.commands, sandbox.rows(), "a command for each row");
    assert_eq!(done.repeated, 0);
    assert_eq!(paths(&annals).await, sandbox.tree(), "the live tree is git's");
    let again = sandbox.import(&annals).await.unwrap();
    assert_eq!((again.commands, again.repeated, again.events), (done.commands, done.commands, 0));
    assert_eq!(annals.store().head().await.unwrap().position, done.events, "nothing was added twice");
    annals
}

#[test]
fn the_application_is_sound_and_its_shapes_are_locked() {
    let app = git_audit::app();
    app_is_sound(&app);
    assert_shapes_locked(&app, concat!(env!("CARGO_MANIFEST_DIR"), "/events.lock.json"));
}

/// Missions A3 and A4: a filter by actor or target returns all matching rows and no others.
async fn each_row_is_a_command_with_its_author_time_commit_and_directory(place: &Place) {
    let sandbox = Sandbox::new();
    sandbox.write("README", "read me");
    sandbox.write("src/lib.rs", "a library, long enough to be known again when it moves\n");
    sandbox.commit();
    sandbox.write("README", "read me twice");
    sandbox.commit_by("bob@example.org");
    sandbox.rename("src/lib.rs", "src/deep/lib.rs");
    sandbox.remove("README");
    sandbox.commit();
    let annals = import_and_compare(&sandbox, place).await;
    assert_eq!(
        sentences(&annals).await,
        [
            "user:ann@example.org added file:README",
            "user:ann@example.org added file:src/lib.rs",
            "user:bob@example.org changed file:README",
            "user:ann@example.org deleted file:README",
            "user:ann@example.org renamed file:src/lib.rs to file:src/deep/lib.rs",
            "user:ann@example.org renamed file:src/lib.rs to file:src/deep/lib.rs",
        ]
    );
    let bob: Ref = "user:bob@example.org".parse().unwrap();
    let page = annals.audit().actor(bob.clone()).limit(10).page().await.unwrap();
    assert_eq!(page.rows.len(), 1);
    assert_eq!(page.rows[0].action, Action::Update);
    assert_eq!(page.rows[0].occurred_at.as_second(), 1_600_000_000 + 2 * 60);
    let commit = String::from_utf8(sandbox.git(["rev-parse", "HEAD~1"])).unwrap();
    assert_eq!(page.rows[0].correlation.as_deref(), Some(commit.trim()));
    // The old path has its creation and its rename; the new one is a target of the rename and has its own creation.
    for (target, rows) in [("file:src/lib.rs", 3), ("file:src/deep/lib.rs", 2), ("file:README", 3), ("file:src", 0)]
    {
        let page = annals.audit().target(target.parse::<Ref>().unwrap()).limit(10).page().await.unwrap();
        assert_eq!(page.rows.len(), rows, "{target}");
    }
    for (topic, rows) in [("", 6), ("src", 3), ("src/deep", 1)] {
        let page = annals.audit().topic(topic).limit(10).page().await.unwrap();
        assert_eq!(page.rows.len(), rows, "{topic}");
    }
    assert_eq!(annals.view::<Actors>(&bob).await.unwrap().unwrap().events, 1);
    assert_eq!(annals.view::<Directories>(&"src".to_owned()).await.unwrap().unwrap().events, 2);
    assert_eq!(annals.view::<Directories>(&"/".to_owned()).await.unwrap().unwrap().events, 3);
    annals.close().await;
}

async fn paths_of_any_bytes_are_imported_without_loss(place: &Place) {
    let sandbox = Sandbox::new();
    let long: String = std::iter::repeat_n("日本語のとても長い名前/", 60).collect();
    let odd: [&[u8]; 14] = [
        b"with space",
        b" leading",
        b"tab\there",
        b"new\nline",
        b"\"quoted\"",
        b"back\\slash",
        b"50%",
        b"%41%2F",
        "ünïcödé/日本/файл".as_bytes(),
        b"caf\xe9",
        b"caf%E9",
        b"\xff\xfe/inner/\x80",
        b"-dash:colon|pipe",
        b"trailing./\x1b[31mred",
    ];
    for path in odd {
        sandbox.write_bytes(path, &String::from_utf8_lossy(path));
    }
    sandbox.write(format!("{long}a"), "one");
    sandbox.write(format!("{long}b"), "two, which is another file with another content");
    sandbox.commit();
    for path in odd {
        sandbox.write_bytes(path, &format!("{} again", String::from_utf8_lossy(path)));
    }
    sandbox.commit();
    sandbox.rename(&format!("{long}b"), &format!("{long}c"));
    sandbox.remove("50%");
    sandbox.commit();
    let annals = import_and_compare(&sandbox, place).await;
    let keys: Vec<String> = tree(&annals).await.into_keys().map(|key| key.text().into_owned()).collect();
    for path in odd.into_iter().filter(|path| *path != b"50%") {
        if let Ok(valid) = std::str::from_utf8(path) {
            assert!(keys.iter().any(|key| key == valid), "{valid:?} is its own key");
        }
    }
    assert!(keys.contains(&"/caf%E9".to_owned()) && keys.contains(&"caf%E9".to_owned()));
    assert!(keys.contains(&"/%FF%FE/inner//%80".to_owned()));
    annals.close().await;
}

async fn symbolic_links_submodules_and_changes_of_type_are_rows_like_others(place: &Place) {
    let module = Sandbox::new();
    module.write("inside", "inside");
    module.commit();
    let sandbox = Sandbox::new();
    sandbox.write("a", "a file");
    sandbox.commit();
    sandbox.remove("a");
    std::os::unix::fs::symlink("nowhere", sandbox.path().join("a")).unwrap();
    std::os::unix::fs::symlink("a", sandbox.path().join("b")).unwrap();
    sandbox.commit();
    let url = module.path();
    sandbox.git(["submodule", "--quiet", "add", url.to_str().unwrap(), "module"]);
    sandbox.commit();
    module.write("inside", "more");
    module.commit();
    sandbox.git(["-C", "module", "pull", "-q", "origin", "main"]);
    sandbox.commit();
    let annals = import_and_compare(&sandbox, place).await;
    let said = sentences(&annals).await;
    assert!(said.contains(&"user:ann@example.org changed the type of file:a".to_owned()), "{said:?}");
    assert!(said.contains(&"user:ann@example.org changed file:module".to_owned()), "{said:?}");
    sandbox.git(["rm", "-q", "-f", "module"]);
    sandbox.write("module/now", "a directory in its place");
    sandbox.commit();
    assert_eq!(sandbox.import(&annals).await.unwrap().commands, sandbox.rows());
    assert_eq!(paths(&annals).await, sandbox.tree());
    annals.close().await;
}

async fn files_that_change_places_end_where_git_has_them(place: &Place) {
    let sandbox = Sandbox::new();
    let content = |what: &str| format!("{what}\n").repeat(20);
    for name in ["a", "b", "c", "d"] {
        sandbox.write(name, &content(name));
    }
    sandbox.commit();
    // A swap; a chain; a rename onto a deleted file; a file that becomes a directory, and a directory that becomes a file.
    sandbox.rename("a", "x");
    sandbox.rename("b", "a");
    sandbox.rename("x", "b");
    sandbox.commit();
    sandbox.rename("c", "e");
    sandbox.rename("b", "c");
    sandbox.commit();
    sandbox.remove("a");
    sandbox.rename("d", "a");
    sandbox.commit();
    sandbox.rename("a", "x");
    sandbox.rename("x", "a/inner");
    sandbox.commit();
    sandbox.rename("a/inner", "x");
    std::fs::remove_dir(sandbox.path().join("a")).unwrap();
    sandbox.rename("x", "a");
    sandbox.commit();
    import_and_compare(&sandbox, place).await.close().await;
}

fn commit(number: u64, rows: Vec<Row>) -> Result<Commit, GitError> {
    let authored = "2024-01-01T00:00:00Z".parse().unwrap();
    Ok(Commit { hash: format!("{number:040}"), email: b"ann@example.org".to_vec(), authored, rows })
}

fn renamed(from: &str, to: &str) -> Row {
    Row::Renamed { from: from.into(), to: to.into() }
}

fn added(path: &str) -> Row {
    Row::Added(path.into())
}

/// Mission X13. Git prints such rows with `-B` (break rewrites), and copies with `-C`.
async fn swaps_rings_chains_and_copies_leave_the_tree_that_the_commit_says(place: &Place) {
    let annals = open(place.url()).await;
    let copied = Row::Copied { from: "b".into(), to: "f".into() };
    let history = [
        commit(1, vec![added("a"), added("b"), added("c"), added("d")]),
        commit(2, vec![renamed("a", "b"), renamed("b", "a")]),
        commit(3, vec![renamed("a", "b"), renamed("b", "c"), renamed("c", "a")]),
        commit(4, vec![renamed("a", "b"), renamed("b", "c"), renamed("c", "e"), added("a")]),
        commit(5, vec![renamed("a", "d"), Row::Deleted("d".into()), copied.clone(), Row::Changed("b".into())]),
        commit(6, vec![renamed("b", "d"), renamed("d", "b")]),
        commit(7, vec![renamed("d", "g")]),
    ];
    let rows = history.iter().flatten().map(|commit| commit.rows.len() as u64).sum::<u64>();
    let (_running, stop) = watch::channel(false);
    let done = import_commits(&annals, history.into_iter(), stop, |_| {}).await.unwrap();
    assert_eq!((done.commits, done.commands), (7, rows));
    let live: Vec<String> = tree(&annals).await.into_keys().map(|file| file.text().into_owned()).collect();
    assert_eq!(live, ["b", "c", "e", "f", "g"]);
    annals.close().await;
}

async fn a_refusal_stops_the_import_and_names_commit_and_path(place: &Place) {
    let annals = open(place.url()).await;
    let (_running, stop) = watch::channel(false);
    let history =
        [commit(1, vec![added("a")]), commit(2, vec![added("b"), added("a\n")]), commit(3, vec![added("a")])];
    let error = import_commits(&annals, history.into_iter(), stop, |_| {}).await.unwrap_err();
    let ImportError::NotAccepted { commit, path, source } = &error else { panic!("{error}") };
    assert_eq!((commit.as_str(), path.as_str()), (format!("{:040}", 3).as_str(), "a"));
    assert!(source.to_string().contains("file:a already exists since commit 000"), "{source}");
    annals.close().await;
}

async fn a_history_that_ends_in_an_error_is_imported_up_to_there(place: &Place) {
    let annals = open(place.url()).await;
    let (_running, stop) = watch::channel(false);
    let history = [commit(1, vec![added("a")]), Err(GitError::NoCommits("x".into())), commit(2, vec![added("b")])];
    let error = import_commits(&annals, history.into_iter(), stop, |_| {}).await.unwrap_err();
    assert!(matches!(error, ImportError::Git(GitError::NoCommits(_))), "{error}");
    assert_eq!(annals.store().head().await.unwrap().position, 1);
    annals.close().await;
}

async fn merges_count_against_their_first_parent_and_empty_commits_have_no_rows(place: &Place) {
    let sandbox = Sandbox::new();
    sandbox.write("a", "a");
    sandbox.commit();
    sandbox.git(["checkout", "-q", "-b", "side"]);
    for step in 0..3 {
        sandbox.write("side", &format!("{step}"));
        sandbox.commit_by("side@example.org");
    }
    sandbox.git(["checkout", "-q", "main"]);
    sandbox.write("b", "b");
    sandbox.commit();
    sandbox.git(["merge", "-q", "--no-ff", "--no-edit", "side"]);
    sandbox.commit();
    let annals = import_and_compare(&sandbox, place).await;
    assert_eq!(sentences(&annals).await.last().unwrap(), "user:ann@example.org added file:side");
    annals.close().await;
}

async fn no_configuration_changes_what_is_imported(place: &Place) {
    let sandbox = Sandbox::new();
    let content = "the same again and again\n".repeat(30);
    sandbox.write("src/a", &content);
    sandbox.write("src/b", "another");
    sandbox.commit();
    sandbox.write("src/c", &content);
    sandbox.rename("src/b", "b");
    sandbox.commit();
    let (rows, there) = (sandbox.rows(), sandbox.tree());
    for (key, value) in [
        ("diff.renames", "copies"),
        ("diff.renameLimit", "1"),
        ("diff.relative", "true"),
        ("diff.orderFile", "nowhere"),
        ("diff.external", "false"),
        ("diff.ignoreSubmodules", "all"),
        ("log.showRoot", "false"),
        ("log.showSignature", "true"),
        ("log.diffMerges", "combined"),
        ("log.date", "raw"),
        ("log.mailmap", "true"),
        ("color.ui", "always"),
        ("core.pager", "false"),
        ("format.pretty", "fuller"),
        ("i18n.logOutputEncoding", "UTF-16"),
    ] {
        sandbox.git(["config", key, value]);
    }
    let annals = open(place.url()).await;
    assert_eq!(sandbox.import(&annals).await.unwrap().commands, rows);
    assert_eq!(paths(&annals).await, there);
    // A directory in the repository selects the whole repository.
    let inside = Repository::open(sandbox.path().join("src")).unwrap();
    assert_eq!(inside.history().unwrap().map(|commit| commit.unwrap().rows.len() as u64).sum::<u64>(), rows);
    annals.close().await;
}

async fn authors_without_an_address_are_unknown(place: &Place) {
    let sandbox = Sandbox::new();
    sandbox.write("a", "a");
    sandbox.commit_by("");
    sandbox.write("b", "b");
    sandbox.commit_by("  odd:address with spaces ");
    let annals = import_and_compare(&sandbox, place).await;
    let said = sentences(&annals).await;
    assert_eq!(said[0], "user:unknown added file:a");
    let email = String::from_utf8(sandbox.git(["log", "-1", "--format=%ae"])).unwrap();
    assert_eq!(said[1], format!("user:{} added file:b", email.trim_end_matches('\n')));
    annals.close().await;
}

async fn what_was_committed_later_is_added_and_another_history_is_refused(place: &Place) {
    let sandbox = Sandbox::new();
    let annals = open(place.url()).await;
    sandbox.write("a", "a");
    sandbox.commit();
    sandbox.import(&annals).await.unwrap();
    sandbox.write("b", "b");
    sandbox.commit();
    let done = sandbox.import(&annals).await.unwrap();
    assert_eq!((done.commits, done.commands, done.repeated, done.events), (2, 2, 1, 1));
    sandbox.git(["commit", "-q", "--amend", "-m", "rewritten"]);
    let error = sandbox.import(&annals).await.unwrap_err();
    assert!(matches!(error, ImportError::OtherHistory { .. }), "{error}");
    let other = Sandbox::new();
    other.write("z", "z");
    other.commit();
    assert!(matches!(other.import(&annals).await.unwrap_err(), ImportError::OtherHistory { .. }));
    assert_eq!(annals.store().head().await.unwrap().position, 2);
    annals.close().await;
}

async fn an_import_that_is_stopped_finishes_what_it_began_and_can_go_on(place: &Place) {
    let annals = open(place.url()).await;
    let (running, stop) = watch::channel(false);
    let history = || (1..=2_000u64).map(|number| commit(number, vec![added(&format!("f{number}"))]));
    let mut last = 0;
    let done = import_commits(&annals, history(), stop, |so_far| {
        last = so_far.commands;
        if last >= 200 {
            running.send(true).unwrap();
        }
    });
    let done = done.await.unwrap();
    assert!(done.stopped && done.commands < 2_000, "{done:?}");
    assert_eq!(annals.store().head().await.unwrap().position, done.commands);
    let (_running, stop) = watch::channel(false);
    let whole = import_commits(&annals, history(), stop, |_| {}).await.unwrap();
    assert_eq!((whole.commands, whole.repeated), (2_000, done.commands));
    annals.close().await;
}

#[test]
fn a_missing_or_incomplete_history_gives_a_clear_error() {
    let nowhere = tempfile::TempDir::new().unwrap();
    assert!(matches!(Repository::open(nowhere.path()).unwrap_err(), GitError::NotARepository { .. }));
    assert!(matches!(Repository::open(nowhere.path().join("x")).unwrap_err(), GitError::NotARepository { .. }));
    let sandbox = Sandbox::new();
    assert!(matches!(Repository::open(sandbox.path()).unwrap_err(), GitError::NoCommits(_)));
    for content in ["one", "two"] {
        sandbox.write("a", content);
        sandbox.commit();
    }
    assert!(Repository::open(sandbox.path()).is_ok());
    let url = format!("file://{}", sandbox.path().display());
    sandbox.git(["clone", "-q", "--depth=1", &url, "shallow"]);
    assert!(matches!(Repository::open(sandbox.path().join("shallow")).unwrap_err(), GitError::Shallow(_)));
}
