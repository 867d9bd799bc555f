//! The file of the keys: its permissions, rotation, and how it is followed.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::super::{InvalidKeys, KeyFile, KeyFileError, MintError};
use super::*;
use crate::text::error_chain;

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("tokens.keys")
    }
}

fn error(path: &Path) -> String {
    error_chain(&KeyFile::open(path).unwrap_err())
}

#[cfg(unix)]
#[test]
fn a_key_file_is_its_owners_alone() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let folder = Folder::new();
    let path = folder.file();
    KeyFile::create(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    KeyFile::open(&path).unwrap().rotate().unwrap();
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600, "after a rotation");
    let set = |mode| fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    for mode in [0o640, 0o604, 0o620, 0o602, 0o610, 0o644, 0o666] {
        set(mode);
        let error = error(&path);
        assert!(error.contains(&format!("mode {mode:04o}")) && error.contains("chmod 600"), "{error}");
    }
    for mode in [0o600, 0o400] {
        set(mode);
        KeyFile::open(&path).unwrap();
    }
}

/// Only root can change the owner of a file: run by another user, the test checks its own files only.
#[cfg(unix)]
#[test]
fn a_key_file_of_another_user_is_refused_in_a_directory_that_others_can_write() {
    use std::os::unix::fs::{PermissionsExt, chown};
    let folder = Folder::new();
    let path = folder.file();
    KeyFile::create(&path).unwrap();
    let root = chown(&path, Some(12_345), None).is_ok();
    for (mode, refused) in [(0o777, root), (0o775, root), (0o755, false)] {
        fs::set_permissions(folder.0.path(), fs::Permissions::from_mode(mode)).unwrap();
        let opened = KeyFile::open(&path);
        assert_eq!(opened.is_err(), refused, "{mode:o}: {opened:?}");
        if let Err(error) = opened {
            assert!(error_chain(&error).contains("12345"), "{error:?}");
        }
    }
}

#[test]
fn tokens_of_an_old_key_are_accepted_until_it_is_removed() {
    let folder = Folder::new();
    let mut file = KeyFile::create(folder.file()).unwrap();
    let token = |file: &KeyFile| file.keys().signer().unwrap().mint(&bob(), GRANT, None).unwrap();
    let old = token(&file);
    assert_eq!(file.rotate().unwrap(), 2);
    let new = token(&file);
    let infos = file.keys().infos();
    assert_eq!(infos.iter().map(|key| (key.id, key.signs)).collect::<Vec<_>>(), [(2, true), (1, false)]);
    let again = KeyFile::open(folder.file()).unwrap();
    assert_eq!(again.keys().infos(), infos);
    for token in [&old, &new] {
        again.keys().verify(token).unwrap();
    }
    assert!(matches!(file.remove(2), Err(KeyFileError::NotRemovable(2))), "it signs");
    assert!(matches!(file.remove(3), Err(KeyFileError::NotRemovable(3))));
    file.remove(1).unwrap();
    assert_eq!(file.keys().verify(&old), Err(TokenError::UnknownKey(Some(1))));
    file.keys().verify(&new).unwrap();
    assert_eq!(file.rotate().unwrap(), 3, "an id is never used twice");
    assert!(!folder.0.path().join("tokens.keys.new").exists());
}

#[test]
fn a_file_that_cannot_be_created_or_changed_is_as_it_was() {
    let folder = Folder::new();
    let mut file = KeyFile::create(folder.file()).unwrap();
    let before = fs::read(folder.file()).unwrap();
    assert!(matches!(KeyFile::create(folder.file()), Err(KeyFileError::Create { .. })));
    let lock = folder.0.path().join("tokens.keys.new");
    fs::write(&lock, "").unwrap();
    let error = error_chain(&file.rotate().unwrap_err());
    assert!(error.contains("another program is changing the keys"), "{error}");
    assert_eq!(fs::read(folder.file()).unwrap(), before);
    fs::remove_file(lock).unwrap();
    file.rotate().unwrap();
}

#[test]
fn a_file_without_usable_keys_is_refused_and_no_error_shows_a_private_key() {
    let folder = Folder::new();
    let path = folder.file();
    KeyFile::create(&path).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    let line = text.lines().last().unwrap();
    let private = line.split_once('/').unwrap().1;
    let two = format!("{line}\n2 {}\n", line.split_once(' ').unwrap().1);
    for (content, reason) in [
        (String::new(), "there is no key"),
        ("# only a comment\n".to_owned(), "there is no key"),
        (line.replace("1 ", "one "), "line 1"),
        (line.replace(' ', ""), "line 1"),
        (line[..line.len() - 1].to_owned(), "line 1"),
        (line.replace("ed25519-private", "secp256r1-private"), "line 1"),
        (format!("{line}\n{line}"), "the id 1"),
        (two, "two private keys"),
    ] {
        fs::write(&path, &content).unwrap();
        let error = error(&path);
        assert!(error.contains(reason) && !error.contains(private), "{error}");
    }
    fs::write(&path, [0xff, 0xfe]).unwrap();
    assert!(error(&path).contains("UTF-8"));
    fs::write(&path, format!("{line}\n")).unwrap();
    let file = KeyFile::open(&path).unwrap();
    assert!(!format!("{file:?} {:?}", file.keys().signer()).contains(private));
    // A server that only verifies has public keys only.
    fs::write(&path, format!("1 {}\n", file.keys().infos()[0].key)).unwrap();
    let public = KeyFile::open(&path).unwrap();
    let token = file.keys().signer().unwrap().mint(&bob(), GRANT, None).unwrap();
    public.keys().verify(&token).unwrap();
    assert!(matches!(public.keys().signer(), Err(MintError::NoKey)));
    let many: String = (1..40).map(|id| format!("{id} {}\n", file.keys().infos()[0].key)).collect();
    assert_eq!(super::super::KeySet::parse(many.as_bytes()).unwrap_err(), InvalidKeys::TooMany);
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < Duration::from_secs(20), "{what}");
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn keys_follow_their_file_and_stay_when_it_cannot_be_used() {
    let folder = Folder::new();
    let path = folder.file();
    let mut file = KeyFile::create(&path).unwrap();
    let keys = Keys::from_file(&path).await.unwrap();
    let first = keys.infos()[0].clone();
    let (old, another) = (minted(&keys), keys.clone());
    let withdrawn = tokio::spawn(async move { another.withdrawn(&first).await });
    file.rotate().unwrap();
    until("the new key is not used", || keys.signer().unwrap().id() == 2).await;
    keys.verify(&old).unwrap();
    assert!(!withdrawn.is_finished());
    file.remove(1).unwrap();
    until("the old key is still accepted", || keys.verify(&old).is_err()).await;
    tokio::time::timeout(Duration::from_secs(5), withdrawn).await.expect("it is not reported").unwrap();
    let new = minted(&keys);
    fs::write(&path, "half a fi").unwrap();
    until("it is not stale", || keys.stale_for() > Duration::ZERO).await;
    keys.verify(&new).unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mut other = KeyFile::create(folder.0.path().join("other.keys")).unwrap();
        other.rotate().unwrap();
        fs::copy(folder.0.path().join("other.keys"), &path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        sleep(Duration::from_millis(1_600)).await;
        assert_eq!(keys.infos().len(), 1, "keys that others could have written are used");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        until("the file can be used again", || keys.infos().len() == 2 && keys.stale_for().is_zero()).await;
    }
}

#[tokio::test]
async fn a_missing_file_is_an_error() {
    let folder = Folder::new();
    assert!(matches!(Keys::from_file(folder.file()).await, Err(KeyFileError::Read { .. })));
    fs::write(folder.file(), "").unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(folder.file(), fs::Permissions::from_mode(0o600)).unwrap();
    }
    assert!(matches!(Keys::from_file(folder.file()).await, Err(KeyFileError::Content { .. })));
}
