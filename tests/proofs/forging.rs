//! Edits by SQL as the owner of the database: found by `check` with the last checkpoint, and by `verify` from outside.

use annals::app::Annals;
use annals::events::Stored;
use annals::proofs::{Checkpoint, Policy, SignedCheckpoint, verify_folder};
use annals::store::CheckReport;
use annals_test_postgres::Place;
use sha2::{Digest, Sha256};

use crate::beside;
use crate::lab::*;

/// What finds an edit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    /// The check with the checkpoint, and `verify` with it on an export of the current log.
    ByBoth,
    /// The check alone: it is not in the tree.
    ByCheck,
    /// Nothing: nothing was changed.
    Not,
}
use Found::{ByBoth, ByCheck, Not};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The log of each case: 7 events in 5 commands.
async fn filled(place: &Place) -> Annals {
    let annals = app().open(place.url()).await.unwrap();
    for (note, events) in [("a", 1), ("b", 1), ("a", 3), ("b", 1), ("c", 1)] {
        write(&annals, note, events).await;
    }
    annals
}

/// The digest that the writer would have made for an event with another payload or metadata.
fn forged(place: &Place, stored: &Stored, payload: &str, metadata: &str) -> String {
    let mut hash = Sha256::new();
    let (sequence, command_id) = (stored.sequence.to_le_bytes(), stored.command_id);
    for part in [
        stored.aggregate.kind().as_bytes(),
        stored.aggregate.id().as_bytes(),
        &sequence,
        stored.event_type.as_bytes(),
        stored.event_version.as_bytes(),
        payload.as_bytes(),
        metadata.as_bytes(),
        command_id.as_bytes(),
        &[],
    ] {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    let digest: [u8; 32] = hash.finalize().into();
    bytes(place, &digest)
}

fn bytes(place: &Place, bytes: &[u8]) -> String {
    match place.schema() {
        Some(_) => format!("'\\x{}'::bytea", hex(bytes)),
        None => format!("x'{}'", hex(bytes)),
    }
}

fn id(place: &Place, id: uuid::Uuid) -> String {
    match place.schema() {
        Some(_) => format!("'{id}'::uuid"),
        None => bytes(place, id.as_bytes()),
    }
}

const COLUMNS: &str = "event_id, aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata, command_id, \
                       occurred_at, recorded_at, digest";

/// The edits of the last section of issue 21.
fn edits(place: &Place, log: &[Stored]) -> Vec<(&'static str, String, Found)> {
    let at = |position: usize| &log[position - 1];
    let payload = r#"{"text":"another"}"#;
    let metadata = at(4).metadata.replace("user:ann", "user:eve");
    let other = uuid::Uuid::from_u128(at(3).event_id.as_u128() + 1);
    let command = id(place, uuid::Uuid::new_v4());
    vec![
        (
            "an update with a recomputed digest",
            format!(
                "UPDATE events SET payload = '{payload}', digest = {} WHERE position = 4",
                forged(place, at(4), payload, &at(4).metadata)
            ),
            ByBoth,
        ),
        (
            "a deleted tail",
            "DELETE FROM events WHERE position = 7; DELETE FROM commands WHERE head_position = 7".to_owned(),
            ByBoth,
        ),
        (
            "a deleted middle closed by renumbering",
            "DELETE FROM events WHERE position = 2; DELETE FROM commands WHERE head_position = 2; \
             UPDATE events SET sequence = 1 WHERE position = 6; \
             UPDATE events SET position = 2 WHERE position = 3; UPDATE events SET position = 3 WHERE position = 4; \
             UPDATE events SET position = 4 WHERE position = 5; UPDATE events SET position = 5 WHERE position = 6; \
             UPDATE events SET position = 6 WHERE position = 7; \
             UPDATE commands SET first_position = first_position - 1, head_position = head_position - 1 WHERE head_position > 2"
                .to_owned(),
            ByBoth,
        ),
        (
            "two rows swapped",
            // Their ids, times and all else change places with the positions.
            "UPDATE events SET position = 100 WHERE position = 6; UPDATE events SET position = 6 WHERE position = 7; \
             UPDATE events SET position = 7 WHERE position = 100"
                .to_owned(),
            ByBoth,
        ),
        (
            "a row inserted in the past",
            format!(
                "UPDATE events SET position = position + 100 WHERE position > 3; UPDATE events SET position = position - 99 WHERE \
                 position > 100; INSERT INTO events (position, {COLUMNS}) SELECT 4, {}, aggregate_type, 'z', 1, event_type, \
                 event_version, payload, metadata, {command}, occurred_at, recorded_at, digest FROM events WHERE position = 3; \
                 UPDATE commands SET first_position = first_position + 1, head_position = head_position + 1 WHERE head_position > 5; \
                 INSERT INTO commands (command_id, command, body_digest, first_position, events, head_position, head_event_id, \
                 recorded_at) SELECT {command}, command, body_digest, 4, 1, 4, {}, recorded_at FROM commands WHERE head_position = 1",
                id(place, other),
                id(place, other)
            ),
            ByBoth,
        ),
        ("an edited name of a command", "UPDATE commands SET command = 'other' WHERE head_position = 5".to_owned(), ByCheck),
        (
            "an edited digest of a body",
            format!("UPDATE commands SET body_digest = {} WHERE head_position = 5", bytes(place, &[7; 32])),
            ByCheck,
        ),
        ("a deleted row of a command", "DELETE FROM commands WHERE head_position = 5".to_owned(), ByCheck),
        (
            "metadata changed with a recomputed digest",
            format!(
                "UPDATE events SET metadata = '{metadata}', digest = {} WHERE position = 4",
                forged(place, at(4), &at(4).payload, &metadata)
            ),
            ByBoth,
        ),
        ("triggers dropped and made again", "SELECT 1".to_owned(), Not),
    ]
}

async fn check(annals: &Annals, checkpoint: &SignedCheckpoint) -> CheckReport {
    let checkpoints = [(Checkpoint::clone(checkpoint), "a safe".to_owned())];
    annals.check_with_checkpoints(None, &checkpoints, |_, _| ()).await.unwrap()
}

/// Guarantee 36, issue 21.
pub async fn each_edit_is_found_by_check_with_a_checkpoint_and_by_verify(first: &Place) {
    let cases = edits(first, &vec![stored_like(first).await; 7]).len();
    for case in 0..cases {
        let place = &beside(first);
        let (annals, key) = (filled(place).await, Key::new("example.org/notary"));
        let signed = sign(&annals, &key).await;
        let before = check(&annals, &signed).await;
        assert!(before.is_sound(), "{before:#?}");
        let log = annals.events(0, 100).await.unwrap().events;
        annals.close().await;
        let (name, sql, found) = edits(place, &log).swap_remove(case);
        edit(place, &sql);

        let annals = app().open(place.url()).await.unwrap();
        let report = check(&annals, &signed).await;
        assert_eq!(report.is_sound(), found == Not, "{name}: {report:#?}");
        let by_checkpoint = report.findings.iter().any(|finding| finding.problem.contains("in a safe"));
        assert_eq!(by_checkpoint, found == ByBoth, "{name}: {report:#?}");

        // The forger builds the tree again, has a key, and gives an export to an auditor, who has the checkpoint from before.
        if found == ByBoth {
            annals.rebuild("proofs").unwrap().await.unwrap();
            let proofs = annals.proofs().unwrap();
            assert!(proofs.sign(&key.opened()).await.is_err(), "{name}: it is signed");
            // The forger has the private key too, and the last checkpoint is gone.
            let stolen = key.copied();
            std::fs::write(stolen.checkpoint(), empty_of(&key)).unwrap();
            let forged = proofs.sign(&stolen.opened()).await.unwrap();
            forged.verify(&key.key.public()).unwrap();
            let folder = exported(&proofs).await;
            let verified =
                verify_folder(folder.path(), &Policy::of_log(key.key.public()), Some(&signed), |_, _| ());
            assert!(verified.is_err(), "{name}: {verified:?}");
        }
        annals.close().await;
    }
}

/// The first checkpoint of a key, of the empty tree.
fn empty_of(key: &Key) -> String {
    std::fs::read_to_string(key.folder.path().join("first")).unwrap()
}

/// An event like those of the cases, to count these.
async fn stored_like(place: &Place) -> Stored {
    let annals = filled(place).await;
    let stored = annals.events(0, 1).await.unwrap().events.swap_remove(0);
    annals.close().await;
    stored
}

/// Guarantee 36.
pub async fn an_older_backup_is_found_by_check_with_a_checkpoint_alone(place: &Place) {
    let (annals, key) = (filled(place).await, Key::new("example.org/notary"));
    let signed = sign(&annals, &key).await;
    annals.close().await;
    // An older copy of everything: log, tree and views.
    let older = beside(place);
    let annals = app().open(older.url()).await.unwrap();
    write(&annals, "a", 1).await;
    write(&annals, "b", 1).await;
    caught_up(&annals).await;
    let alone = annals.check(|_, _| ()).await.unwrap();
    assert!(alone.is_sound(), "{alone:#?}");
    assert!(alone.not_covered.iter().any(|what| what.contains("an older backup of everything")), "{alone:#?}");
    let report = check(&annals, &signed).await;
    assert!(report.findings.iter().any(|finding| finding.problem.contains("has 2 events, ")), "{report:#?}");
    annals.close().await;
}

/// Guarantee 36.
pub async fn a_checkpoint_of_another_log_is_found(place: &Place) {
    let (annals, key) = (filled(place).await, Key::new("example.org/notary"));
    sign(&annals, &key).await;
    let elsewhere = beside(place);
    let other = app().open(elsewhere.url()).await.unwrap();
    write(&other, "x", 5).await;
    let strange = Key::new("example.org/other");
    let signed = sign(&other, &strange).await;
    other.close().await;
    let report = check(&annals, &signed).await;
    let named = |words: &str| report.findings.iter().any(|finding| finding.problem.contains(words));
    assert!(named("the checkpoint of example.org/other") && named("another log"), "{report:#?}");
    assert!(!report.not_covered.iter().any(|what| what.contains("older backup")), "{report:#?}");
    assert!(report.not_covered.iter().any(|what| what.contains("commands without events (0)")), "{report:#?}");
    annals.close().await;
}
