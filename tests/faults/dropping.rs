//! Applications that are dropped without `close`, and applications whose runtime has ended.

use std::time::Duration;

use annals::prelude::*;
use annals_test_postgres::{Fresh, Place};

use crate::bank::*;
use crate::lines::wait_for;
use crate::processes::PATIENCE;

/// Returns the number of threads of this process with this name prefix.
fn threads(begin: &str) -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten();
    let names = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok());
    names.filter(|name| name.starts_with(begin)).count()
}

/// Returns the number of files of a directory that this process has open.
fn files(directory: &str) -> usize {
    let open = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
    let paths = open.filter_map(|file| std::fs::read_link(file.path()).ok());
    paths.filter(|path| path.to_string_lossy().contains(directory)).count()
}

async fn use_it(url: &str) -> Annals {
    let annals = app().record_reads().record_refusals().open(url).await.unwrap();
    let receipt = annals.execute(deposit("a", 1), &by("alice")).await.unwrap();
    let reader = annals.read_as(&by("bob"));
    reader.view::<Balance>(&account("a")).after(receipt).await.unwrap();
    annals
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_application_leaves_no_threads_and_no_files() {
    let place = Place::sqlite();
    let directory = place.url().trim_start_matches("sqlite://").rsplit_once('/').unwrap().0.to_owned();
    let annals = use_it(place.url()).await;
    let clone = annals.clone();
    assert!(threads("annals-") > 0 && files(&directory) > 0);
    drop(annals);
    clone.execute(deposit("a", 1), &by("alice")).await.expect("a clone");
    drop(clone);
    wait_for("the end of all threads", async || threads("annals-") == 0).await;
    wait_for("the end of all files", async || files(&directory) == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_application_leaves_no_connections() {
    let database = Fresh::database();
    let annals = use_it(database.url()).await;
    let count = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'annals' \
         AND datname = current_database()";
    assert!(database.sql(count) != "0");
    drop(annals);
    wait_for("the end of all connections", async || database.sql(count) == "0").await;
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

fn an_application_without_its_runtime_still_answers(place: &Place) {
    let first = runtime();
    let annals = first.block_on(open(place));
    first.block_on(annals.execute(deposit("a", 1), &by("alice"))).unwrap();
    first.shutdown_timeout(Duration::from_secs(10));
    let second = runtime();
    second.block_on(async {
        for command in ["a", "b"] {
            let context = by("alice");
            let call = annals.execute(deposit(command, 1), &context);
            let answer = tokio::time::timeout(PATIENCE, call).await.expect("an answer");
            answer.expect_err("the writer is gone");
        }
        let read = tokio::time::timeout(PATIENCE, annals.store().head()).await.expect("an answer");
        assert_eq!(read.expect("the store itself can be read").position, 1);
        // A connection of the first runtime may answer with an error once; then it is replaced.
        wait_for("views that can be read", async || annals.store().views().generations().await.is_ok()).await;
        tokio::time::timeout(PATIENCE, annals.close()).await.expect("a closed application");
    });
}

mod without_its_runtime {
    use super::*;

    #[test]
    fn sqlite() {
        an_application_without_its_runtime_still_answers(&Place::sqlite());
    }

    #[test]
    fn postgres() {
        an_application_without_its_runtime_still_answers(&Place::postgres());
    }
}
