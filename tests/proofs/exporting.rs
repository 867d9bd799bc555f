//! Folders and files of proofs, and the command line.

use std::fs;
use std::path::{Path, PathBuf};

use annals::proofs::{Policy, ProofError, verify_folder};
use annals_test_postgres::Place;

use crate::lab::*;

/// All files below a folder, by their paths from there.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

/// Guarantee 35, Mission X8.
pub async fn a_folder_is_verified_and_each_change_of_a_file_is_found(place: &Place) {
    let (annals, key) = (app().open(place.url()).await.unwrap(), Key::new("example.org/notary"));
    write(&annals, "a", 100).await;
    let earlier = sign(&annals, &key).await;
    write(&annals, "a\nb", 170).await;
    let signed = sign(&annals, &key).await;
    let folder = exported(&annals.proofs().unwrap()).await;
    annals.close().await;
    let policy = Policy::of_log(key.key.public());
    let verify = |earlier| verify_folder(folder.path(), &policy, earlier, |_, _| ());
    let verified = verify(Some(&earlier)).unwrap();
    assert_eq!((verified.checkpoint.size, verified.continues_from), (270, Some(100)));
    assert_eq!(verify(None).unwrap().checkpoint, *signed);
    let all = files(folder.path());
    let names: Vec<String> =
        all.iter().map(|path| path.strip_prefix(folder.path()).unwrap().display().to_string()).collect();
    let expected = [
        "checkpoint",
        "tile/0/000",
        "tile/0/001.p/14",
        "tile/1/000.p/1",
        "tile/entries/000",
        "tile/entries/001.p/14",
    ];
    assert_eq!(names, expected);
    for (path, name) in all.iter().zip(&names) {
        let content = fs::read(path).unwrap();
        let mut changed = content.clone();
        let at = fastrand::usize(..changed.len());
        changed[at] ^= 1;
        for wrong in [changed, content[..content.len() - 1].to_vec(), [&content[..], b"x"].concat(), Vec::new()] {
            fs::write(path, wrong).unwrap();
            assert!(verify(None).is_err(), "{name} was changed at {at}");
        }
        fs::remove_file(path).unwrap();
        assert!(verify(None).is_err(), "{name} was removed");
        fs::write(path, content).unwrap();
    }
    verify(Some(&signed)).unwrap();
    let stranger = Policy::of_log(Key::new("example.org/notary").key.public());
    assert!(verify_folder(folder.path(), &stranger, None, |_, _| ()).is_err());
}

pub async fn an_export_continues_from_an_earlier_one_and_keeps_full_tiles(place: &Place) {
    let (annals, key) = (app().open(place.url()).await.unwrap(), Key::new("example.org/notary"));
    let proofs = annals.proofs().unwrap();
    write(&annals, "a", 300).await;
    sign(&annals, &key).await;
    let folder = exported(&proofs).await;
    let first = folder.path().join("tile/0/000");
    let made = fs::metadata(&first).unwrap().modified().unwrap();
    write(&annals, "a", 300).await;
    let signed = sign(&annals, &key).await;
    proofs.export(folder.path(), |_, _| ()).await.unwrap();
    assert_eq!(fs::metadata(&first).unwrap().modified().unwrap(), made, "a full tile is not written again");
    let verified = verify_folder(folder.path(), &Policy::of_log(key.key.public()), None, |_, _| ()).unwrap();
    assert_eq!(verified.checkpoint, *signed);
    fs::write(folder.path().join("checkpoint"), "something else").unwrap();
    let refused = proofs.export(folder.path(), |_, _| ()).await.unwrap_err();
    assert!(matches!(refused, ProofError::OtherFolder { .. }), "{refused}");
    let other = tempfile::tempdir().unwrap();
    fs::write(other.path().join("letter"), "dear").unwrap();
    assert!(matches!(proofs.export(other.path(), |_, _| ()).await, Err(ProofError::OtherFolder { .. })));
    annals.close().await;
}

/// Guarantee 35.
pub async fn the_command_line_signs_proves_exports_and_verifies(place: &Place) {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (key, proof, tree, policy) = (path("proofs.key"), path("5.tlog-proof"), path("tree"), path("policy"));
    let annals = app().open(place.url()).await.unwrap();
    write(&annals, "a", 20).await;
    annals.close().await;
    assert!(!succeeds(place, &["proofs", "checkpoint", "--proofs-key", &key]).await, "there is no key");
    assert!(succeeds(place, &["proofs", "init", "--proofs-key", &key, "--origin", "example.org/notary"]).await);
    assert!(!succeeds(place, &["proofs", "init", "--proofs-key", &key, "--origin", "example.org/notary"]).await);
    assert!(!succeeds(place, &["proofs", "prove", "5"]).await, "no checkpoint was signed");
    assert!(succeeds(place, &["proofs", "checkpoint", "--proofs-key", &key]).await);
    assert!(succeeds(place, &["proofs", "status"]).await);
    assert!(succeeds(place, &["proofs", "prove", "5", "--to", &proof]).await);
    assert!(!succeeds(place, &["proofs", "prove", "21", "--to", &path("21")]).await);
    assert!(succeeds(place, &["export", "--proofs", &tree]).await);
    let public = annals::proofs::ProofKey::open(&key).unwrap().public().to_string();
    fs::write(&policy, format!("log {public}\nquorum none\n")).unwrap();
    // Without a store: there is none here.
    let offline = async |arguments: &[&str]| {
        let arguments = [&["notary", "verify", "--store", "sqlite:///nowhere/at/all.db"], arguments].concat();
        format!("{:?}", app().main_with(arguments).await) == format!("{:?}", std::process::ExitCode::SUCCESS)
    };
    assert!(offline(&[&proof, "--policy", &policy]).await);
    assert!(offline(&[&tree, "--log-key", &public, "--format", "json"]).await);
    assert!(offline(&[&tree, "--policy", &policy, "--earlier", &path("proofs.key.checkpoint")]).await);
    assert!(!offline(&[&tree]).await, "the trusted key is not guessed");
    let text = fs::read_to_string(&proof).unwrap();
    fs::write(&proof, text.replace("index 4", "index 3")).unwrap();
    assert!(!offline(&[&proof, "--policy", &policy]).await);
    let entries = PathBuf::from(&tree).join("tile/entries/000.p/20");
    let mut changed = fs::read(&entries).unwrap();
    let at = changed.windows(12).position(|part| part == b"note.written").unwrap();
    changed[at] = b'N';
    fs::write(entries, changed).unwrap();
    assert!(!offline(&[&tree, "--policy", &policy]).await);

    assert!(succeeds(place, &["check", "--proofs-key", &key]).await);
    assert!(succeeds(place, &["check", "--checkpoint", &path("tree/checkpoint"), "--policy", &policy]).await);
    edit(place, "UPDATE commands SET command = 'other' WHERE head_position = 20");
    assert!(!succeeds(place, &["check", "--proofs-key", &key]).await);
    assert!(succeeds(place, &["proofs", "fork", "--proofs-key", &key, "--origin", "example.org/notary/2"]).await);
    assert!(succeeds(place, &["proofs", "checkpoint", "--proofs-key", &key]).await);
}
