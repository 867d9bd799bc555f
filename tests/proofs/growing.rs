//! The tree and its proofs, over restarts, rebuilds and several processes.

use std::collections::BTreeSet;

use annals::proofs::{Leaf, Policy, ProofError, TreeHash, verify_consistency};
use annals_test_postgres::Place;

use crate::lab::*;

/// The root of leaves, as RFC 6962 defines it.
pub fn naive(leaves: &[TreeHash]) -> TreeHash {
    match leaves {
        [] => TreeHash::of_empty_tree(),
        [one] => *one,
        many => {
            let (left, right) = many.split_at(many.len().next_power_of_two() / 2);
            TreeHash::of_children(naive(left), naive(right))
        }
    }
}

async fn leaves(annals: &annals::app::Annals) -> Vec<TreeHash> {
    let (mut leaves, mut after) = (Vec::new(), 0);
    loop {
        let page = annals.events(after, 1_000).await.unwrap();
        let Some(last) = page.events.last() else { return leaves };
        after = last.position;
        leaves.extend(page.events.iter().map(|stored| Leaf::of(stored).hash().unwrap()));
    }
}

/// Guarantee 32.
pub async fn the_stored_tree_is_that_of_a_naive_tree_of_the_leaves(place: &Place) {
    let (annals, key) = (app().open(place.url()).await.unwrap(), Key::new("example.org/notary"));
    let mut sizes = vec![(0, TreeHash::of_empty_tree())];
    for events in [1, 1, fastrand::u64(1..600), fastrand::u64(1..600)] {
        write(&annals, "a", events).await;
        let signed = sign(&annals, &key).await;
        let leaves = leaves(&annals).await;
        assert_eq!((signed.size, signed.root), (leaves.len() as u64, naive(&leaves)));
        sizes.push((signed.size, signed.root));
    }
    let proofs = annals.proofs().unwrap();
    for old in &sizes {
        for new in sizes.iter().filter(|new| new.0 >= old.0) {
            let proof = proofs.prove_consistency(old.0, new.0).await.unwrap();
            assert!(verify_consistency(&proof, *old, *new), "{old:?} {new:?}");
        }
    }
    annals.close().await;
}

/// Guarantee 32.
pub async fn tiles_are_the_same_after_a_rebuild_a_restart_and_from_several_processes(place: &Place) {
    let annals = app().open(place.url()).await.unwrap();
    let other = app().open(place.url()).await.unwrap();
    for (note, events) in [("a", 200), ("b", 130), ("c", 1), ("d", 300)] {
        let of = if events % 2 == 0 { &annals } else { &other };
        write(of, note, events).await;
    }
    assert_eq!(caught_up(&annals).await, 631);
    caught_up(&other).await;
    let before = tiles(&annals).await;
    let widths: Vec<usize> = before.iter().map(|(_, hashes)| hashes.len() / 32).collect();
    assert_eq!(widths, [256, 256, 119, 2]);
    annals.rebuild("proofs").unwrap().await.unwrap();
    assert_eq!(tiles(&annals).await, before, "after a rebuild");
    annals.close().await;
    other.close().await;

    let annals = app().open(place.url()).await.unwrap();
    write(&annals, "e", 137).await;
    caught_up(&annals).await;
    let grown = tiles(&annals).await;
    assert_eq!((grown.len(), &grown[..2]), (4, &before[..2]), "768 events: three full tiles, and their roots");
    annals.rebuild("proofs").unwrap().await.unwrap();
    assert_eq!(tiles(&annals).await, grown);
    annals.close().await;
}

/// Guarantee 33.
pub async fn each_event_has_a_salt_of_its_own_and_the_first_one_names_its_command(place: &Place) {
    let annals = app().open(place.url()).await.unwrap();
    write(&annals, "a", 3).await;
    write(&annals, "a", 2).await;
    let events = annals.events(0, 10).await.unwrap().events;
    let salts: BTreeSet<String> = events.iter().filter_map(|stored| stored.metadata().unwrap().salt).collect();
    assert_eq!((salts.len(), events.len()), (5, 5));
    assert!(salts.iter().all(|salt| salt.len() == 32 && salt.bytes().all(|digit| digit.is_ascii_hexdigit())));
    for (index, stored) in events.iter().enumerate() {
        let decided_on = stored.metadata().unwrap().decided_on;
        assert_eq!(decided_on.is_some(), index == 0 || index == 3, "{index}");
        let Some(decided_on) = decided_on else { continue };
        let known = annals.store().find_commands(&[stored.command_id]).await.unwrap().pop().flatten().unwrap();
        let digest: String = known.body_digest.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!((decided_on.command.as_deref(), decided_on.body_digest), (Some("write_note"), Some(digest)));
        assert_eq!(known.command, "write_note");
    }
    // The proof of an event does not show it.
    let key = Key::new("example.org/notary");
    sign(&annals, &key).await;
    let proof = annals.proofs().unwrap().prove(1).await.unwrap();
    let leaf = String::from_utf8(proof.leaf).unwrap();
    assert!(!salts.iter().any(|salt| leaf.contains(salt.as_str())), "{leaf}");
    annals.close().await;
}

/// Guarantee 32, Mission X8.
pub async fn the_proof_of_an_event_holds_for_that_event_alone(place: &Place) {
    let (annals, key) = (app().open(place.url()).await.unwrap(), Key::new("example.org/notary"));
    let proofs = annals.proofs().unwrap();
    assert!(matches!(proofs.prove(1).await, Err(ProofError::NoCheckpoint)));
    write(&annals, "a", 300).await;
    sign(&annals, &key).await;
    write(&annals, "a", 1).await;
    let policy = Policy::of_log(key.key.public());
    for position in [1, 2, 255, 256, 257, 300] {
        let proof = proofs.prove(position).await.unwrap();
        let again: annals::proofs::EventProof = proof.to_string().parse().unwrap();
        assert_eq!(again, proof);
        let (leaf, trusted) = again.verify(&policy).unwrap();
        let stored = annals.store().read_at(&[position]).await.unwrap().pop().unwrap();
        assert_eq!((leaf, trusted.log), (Leaf::of(&stored), key.key.public()));

        let mut other = proof.clone();
        let text = String::from_utf8(other.leaf).unwrap().replace("note.written", "note.deleted");
        other.leaf = text.into_bytes();
        assert!(other.verify(&policy).unwrap_err().to_string().contains("does not hold"));
        let mut moved = proof.clone();
        moved.index ^= 1;
        assert!(moved.verify(&policy).is_err());
        let mut short = proof.clone();
        short.hashes.pop();
        assert!(short.verify(&policy).is_err());
        assert!(proof.verify(&Policy::of_log(Key::new("example.org/notary").key.public())).is_err());
    }
    for position in [0, 301, 302, u64::MAX] {
        assert!(
            matches!(proofs.prove(position).await, Err(ProofError::NotCovered { size: 300, .. })),
            "{position}"
        );
    }
    annals.close().await;
}
