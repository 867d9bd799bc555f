//! The key store in files.

use super::key_file::KeyFile;
use super::{KeyStore, StoredKey};
use crate::events::Ref;

fn subject(number: usize) -> Ref {
    format!("user:{number}").parse().unwrap()
}

/// With so many subjects the pages of the index are split many times.
#[tokio::test]
async fn no_byte_of_a_destroyed_key_is_in_the_files() {
    let folder = tempfile::tempdir().unwrap();
    let keys = KeyFile::open(folder.path().join("a.keys.db"), "log".to_owned()).await.unwrap();
    let all: Vec<Ref> = (0..500).map(subject).collect();
    let mut secrets = Vec::new();
    for subjects in all.chunks(7) {
        for stored in keys.find_or_create(subjects).await.unwrap() {
            let StoredKey::Key(key) = stored else { panic!("erased") };
            secrets.push(*key.secret());
        }
    }
    let files = || -> Vec<u8> {
        let names = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
        names.flat_map(|path| std::fs::read(path).unwrap()).collect()
    };
    let is_in = |bytes: &[u8], secret: &[u8; 32]| bytes.windows(32).any(|window| window == secret);
    assert!(is_in(&files(), &secrets[250]), "the scan finds keys");
    let destroyed: Vec<Ref> = all.iter().step_by(3).cloned().collect();
    assert!(keys.destroy(&destroyed).await.unwrap().into_iter().all(|had_key| had_key));
    assert!(keys.destroy(&destroyed).await.unwrap().into_iter().all(|had_key| !had_key));
    let bytes = files();
    for (number, secret) in secrets.iter().enumerate().step_by(25) {
        assert_eq!(is_in(&bytes, secret), !number.is_multiple_of(3), "user:{number}");
    }
    let found = keys.find(&all).await.unwrap();
    for (number, (stored, secret)) in found.into_iter().zip(&secrets).enumerate() {
        match stored {
            Some(StoredKey::Key(key)) => assert!(key.secret() == secret && !number.is_multiple_of(3)),
            Some(StoredKey::Erased) => assert!(number.is_multiple_of(3)),
            None => panic!("user:{number} is not there"),
        }
    }
}

#[tokio::test]
async fn an_erased_subject_never_gets_a_key_and_logs_do_not_share_keys() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.keys.db");
    let one = KeyFile::open(path.clone(), "one".to_owned()).await.unwrap();
    let other = KeyFile::open(path, "other".to_owned()).await.unwrap();
    let all = [subject(1), subject(2)];
    assert_eq!(one.destroy(&all[..1]).await.unwrap(), [false]);
    let created = one.find_or_create(&all).await.unwrap();
    assert!(matches!(created[..], [StoredKey::Erased, StoredKey::Key(_)]), "{created:?}");
    let created = other.find_or_create(&all).await.unwrap();
    assert!(matches!(created[..], [StoredKey::Key(_), StoredKey::Key(_)]), "{created:?}");
    let listed = one.list(None, 10).await.unwrap();
    assert_eq!(listed.iter().map(|info| info.key.is_some()).collect::<Vec<_>>(), [false, true]);
    assert_eq!(one.list(Some(&all[0]), 10).await.unwrap(), listed[1..]);
}

#[tokio::test]
async fn callers_that_create_one_key_at_once_get_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.keys.db");
    let one = KeyFile::open(path.clone(), "log".to_owned()).await.unwrap();
    let other = KeyFile::open(path, "log".to_owned()).await.unwrap();
    for number in 0..20 {
        let subjects = [subject(number)];
        let (one, same, other) = tokio::join!(
            one.find_or_create(&subjects),
            one.find_or_create(&subjects),
            other.find_or_create(&subjects)
        );
        let id = |stored: &StoredKey| match stored {
            StoredKey::Key(key) => key.id().to_owned(),
            StoredKey::Erased => panic!("erased"),
        };
        let ids = [one, same, other].map(|stored| id(&stored.unwrap()[0]));
        assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    }
}
