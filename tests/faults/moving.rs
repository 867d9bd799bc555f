//! Files of an SQLite store are removed and moved under running programs.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tempfile::TempDir;

use crate::bank::*;
use crate::processes::Process;
use crate::promises::{Answers, assert_kept};
use crate::{random, rounds};

fn file(directory: &TempDir, name: &str) -> PathBuf {
    directory.path().join(name)
}

fn url(directory: &TempDir) -> String {
    format!("sqlite://{}", file(directory, "store.db").display())
}

const VIEWS: [&str; 3] = ["store.views.db", "store.views.db-wal", "store.views.db-shm"];

fn remove(path: &Path) {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => panic!("{error}"),
        _ => {}
    }
}

/// Guarantee 3: the commit is in the log and its answer is lost, so the batch is appended again: the store finds the
/// generated id, and the caller gets its receipt. Without the mark of a resent batch, it would take effect twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_whose_log_is_missing_for_a_moment_takes_effect_once() {
    let directory = TempDir::new().unwrap();
    let (log, aside) = (file(&directory, "store.db"), file(&directory, "aside.db"));
    let armed = Arc::new(AtomicBool::new(false));
    let clock = {
        let armed = armed.clone();
        move || {
            // The transaction is open.
            if std::thread::current().name() == Some("annals-writer") && armed.swap(false, Ordering::SeqCst) {
                std::fs::rename(&log, &aside).unwrap();
                let (log, aside) = (log.clone(), aside.clone());
                std::thread::spawn(move || {
                    std::thread::sleep(Duration::from_millis(50));
                    std::fs::rename(aside, log).unwrap();
                });
            }
            jiff::Timestamp::now()
        }
    };
    let annals = app().clock(clock).open(&url(&directory)).await.unwrap();
    annals.execute(deposit("a", 1), &by("alice")).await.unwrap();
    for _ in 0..rounds(3) {
        armed.store(true, Ordering::SeqCst);
        let before = annals.store().head().await.unwrap().position;
        let receipt = annals.execute(deposit("a", 10), &by("alice")).await.unwrap();
        assert!(!armed.load(Ordering::SeqCst), "the log was missing");
        assert_eq!((receipt.first_position, receipt.repeated), (before + 1, false));
        assert_eq!(annals.store().head().await.unwrap().position, before + 1, "it took effect twice");
    }
    assert_kept(&annals, &Answers::default()).await;
    annals.close().await;
}

/// The views are rebuilt from the log: two programs continue, whichever of the files is removed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_views_file_removed_under_running_programs_is_rebuilt() {
    let directory = TempDir::new().unwrap();
    let here = app().open(&url(&directory)).await.unwrap();
    let mut there = Process::server(&url(&directory));
    for round in 1..=rounds(8) {
        // One of the three files, or all.
        let removed = match round % 4 {
            0 => &VIEWS[..],
            one => &VIEWS[one as usize - 1..one as usize],
        };
        removed.iter().for_each(|name| remove(&file(&directory, name)));
        here.execute(deposit("a", 1), &by("alice")).await.unwrap();
        assert!(there.ask("deposit a 1").starts_with("ok"));
        assert_eq!(there.ask("balance a"), format!("balance {}", 2 * round), "{removed:?}");
        let head = here.store().head().await.unwrap();
        let balance = here.view::<Balance>(&account("a")).after(head).await.unwrap();
        assert_eq!(balance.unwrap().cents, 2 * round as i64, "{removed:?}");
    }
    assert_kept(&here, &Answers::default()).await;
    here.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_that_starts_while_the_views_file_is_being_removed_starts() {
    let directory = TempDir::new().unwrap();
    let annals = app().open(&url(&directory)).await.unwrap();
    annals.execute(deposit("a", 1), &by("alice")).await.unwrap();
    annals.close().await;
    for _ in 0..rounds(20) {
        let paths = VIEWS.map(|name| file(&directory, name));
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let remover = std::thread::spawn(move || {
            for _ in 0..40 {
                paths.iter().for_each(|path| remove(path));
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                std::thread::sleep(Duration::from_micros(random(3_000)));
            }
        });
        let annals = app().open(&url(&directory)).await.unwrap();
        stop.store(true, Ordering::SeqCst);
        remover.join().unwrap();
        annals.execute(deposit("a", 1), &by("alice")).await.unwrap();
        let head = annals.store().head().await.unwrap();
        let balance = annals.view::<Balance>(&account("a")).after(head).await.unwrap();
        assert_eq!(balance.unwrap().events, head.position);
        annals.close().await;
    }
}
