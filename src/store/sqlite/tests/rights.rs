//! Permissions of a store's files, and abandoned backups.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::Path;

use super::{TestDirectory, open_at, reason};
use crate::private_file::find_untrusted;
use crate::store::conformance::bench::{batch, commit, committed};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
}

/// The names of all files of a directory.
fn names(dir: &TestDirectory) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(dir.0.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn all_files_of_a_store_and_its_backup_are_private_to_their_owner() {
    let dir = TestDirectory::new();
    let store = dir.open().await;
    committed(&*store, commit(1).on("tally:a", 0, 1)).await;
    store.views().live("roster", 1).await.unwrap();
    store.backup(&dir.0.path().join("copy.db"), Box::new(|_, _| {})).await.unwrap();
    let expected = [
        "copy.db",
        "log.db",
        "log.db-shm",
        "log.db-wal",
        "log.db.lock",
        "log.db.lock-next",
        "log.views.db",
        "log.views.db-shm",
        "log.views.db-wal",
    ];
    assert_eq!(names(&dir), expected);
    for name in expected {
        assert_eq!(mode(&dir.0.path().join(name)), 0o600, "{name}");
    }
}

/// Like SQLite's -wal and -shm files.
#[tokio::test]
async fn users_who_can_write_the_log_can_write_the_files_beside_it() {
    let dir = TestDirectory::new();
    dir.open().await.close().await;
    let lock = dir.0.path().join("log.db.lock");
    for (log, beside) in [(0o660, 0o660), (0o644, 0o600), (0o640, 0o600)] {
        set_mode(&dir.log(), log);
        fs::remove_file(dir.views()).unwrap();
        fs::remove_file(&lock).unwrap();
        let store = dir.open().await;
        append_one(&*store).await;
        store.close().await;
        assert_eq!((mode(&lock), mode(&dir.views())), (beside, beside), "{log:o}");
    }
}

async fn append_one(store: &dyn crate::store::Store) {
    let next = store.head().await.unwrap().position;
    committed(store, commit(next.into()).on(&format!("tally:{next}"), 0, 1)).await;
}

/// Earlier releases created them like this. A user who can open a lock file can lock it and block all writers.
#[tokio::test]
async fn a_lock_file_that_all_users_can_open_becomes_private() {
    let dir = TestDirectory::new();
    dir.open().await.close().await;
    let locks = ["log.db.lock", "log.db.lock-next"].map(|name| dir.0.path().join(name));
    locks.iter().for_each(|lock| set_mode(lock, 0o644));
    append_one(&*dir.open().await).await;
    assert_eq!(locks.map(|lock| mode(&lock)), [0o600, 0o600]);
}

#[tokio::test]
async fn a_symbolic_link_instead_of_a_lock_file_is_not_followed() {
    let dir = TestDirectory::new();
    dir.open().await.close().await;
    let (lock, elsewhere) = (dir.0.path().join("log.db.lock"), dir.0.path().join("elsewhere"));
    fs::remove_file(&lock).unwrap();
    symlink(&elsewhere, &lock).unwrap();
    let store = dir.open().await;
    let refused = reason(store.append(batch([commit(1).on("tally:a", 0, 1)])).await);
    assert!(refused.contains("log.db.lock") && refused.contains("remove it"), "{refused}");
    assert!(!elsewhere.exists(), "no file is created at the target of a link");
    fs::remove_file(&lock).unwrap();
    append_one(&*store).await;
}

/// Only root can change a file's owner. Run by another user, the test checks only that the user's own files are
/// accepted.
#[tokio::test]
async fn files_of_another_user_are_refused_in_a_directory_that_others_can_write() {
    const STRANGER: u32 = 12_345;
    let dir = TestDirectory::new();
    dir.open().await.close().await;
    let files = [dir.log(), dir.views(), dir.0.path().join("log.db.lock"), dir.0.path().join("log.db-wal")];
    fs::write(&files[3], "").unwrap();
    let root = chown(&files[3], Some(STRANGER), Some(STRANGER)).is_ok();
    let own = fs::metadata(dir.0.path()).unwrap();
    for file in &files {
        for (mode, refused) in [(0o777, root), (0o775, root), (0o755, false)] {
            set_mode(dir.0.path(), mode);
            if root {
                chown(file, Some(STRANGER), Some(STRANGER)).unwrap();
            }
            let found = find_untrusted(file, Some(&dir.log())).unwrap();
            assert_eq!(found.is_some(), refused, "{} in {mode:o}: {found:?}", file.display());
            if refused && mode == 0o777 {
                let appended = match open_at(&dir.log(), true).await {
                    Ok(store) => store.append(batch([commit(1).on("tally:a", 0, 1)])).await.map(drop),
                    Err(error) => Err(error),
                };
                let reason = reason(appended);
                assert!(reason.contains("12345") && reason.contains("chown"), "{reason}");
            }
        }
        chown(file, Some(own.uid()), Some(own.gid())).unwrap();
    }
    fs::remove_file(&files[3]).unwrap();
    set_mode(dir.0.path(), 0o777);
    append_one(&*dir.open().await).await;
}

#[tokio::test]
async fn the_next_backup_removes_files_of_a_killed_one_and_keeps_those_of_a_running_one() {
    let dir = TestDirectory::new();
    let store = dir.open().await;
    let part = |digit: &str| dir.0.path().join(format!("old.db.{}.part", digit.repeat(32)));
    for digit in ["a", "b", "c"] {
        fs::create_dir(part(digit)).unwrap();
    }
    for digit in ["a", "b"] {
        fs::write(part(digit).join("annals-backup.lock"), "").unwrap();
        fs::write(part(digit).join("copy.db"), "half of it").unwrap();
    }
    let under_way = fs::File::open(part("b").join("annals-backup.lock")).unwrap();
    under_way.lock().unwrap();
    let copy = dir.0.path().join("copy.db");
    let inside = dir.0.path().to_owned();
    let look = move |_, _| {
        let is_part = |name: &str| name.starts_with("copy.db.") && name.ends_with(".part");
        let parts = fs::read_dir(&inside).unwrap().map(|entry| entry.unwrap());
        let mine: Vec<_> = parts.filter(|entry| is_part(entry.file_name().to_str().unwrap())).collect();
        assert_eq!(mine.len(), 1);
        assert_eq!(mode(&mine[0].path()), 0o700, "only this user can enter it");
    };
    store.backup(&copy, Box::new(look)).await.unwrap();
    let left: Vec<_> = names(&dir).into_iter().filter(|name| name.ends_with(".part")).collect();
    assert_eq!(left, [part("b").file_name().unwrap().to_str().unwrap()]);
    let refused = store.backup(&copy, Box::new(|_, _| {})).await.unwrap_err();
    assert!(format!("{refused:?}").contains("exists already"), "{refused:?}");
    drop(under_way);
    store.backup(&dir.0.path().join("next.db"), Box::new(|_, _| {})).await.unwrap();
    assert!(!names(&dir).iter().any(|name| name.ends_with(".part")));
}
