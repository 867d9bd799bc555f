//! Signers of checkpoints that are killed with -9 while processes write.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use annals::prelude::*;
use annals::proofs::{ProofError, ProofKey, ProofKeyError, ProofTree, verify_consistency};
use annals_test_postgres::Place;

use crate::bank::app;
use crate::processes::{Process, say};
use crate::{random, rounds};

annals_test_postgres::both_stores!(killed_signers_never_sign_two_checkpoints_of_one_size);

/// The code of a signer: signs without a pause, and prints each checkpoint that is new since it began, after it was published.
pub async fn sign(annals: &Annals, key: &str) {
    let (proofs, key) = (annals.proofs().unwrap(), Arc::new(ProofKey::open(key).unwrap()));
    let mut last = key.last().map_or(0, |signed| signed.size);
    say("ready");
    loop {
        match proofs.sign(&key).await {
            Ok(signed) if signed.size == last => tokio::time::sleep(Duration::from_millis(1)).await,
            Ok(signed) => {
                last = signed.size;
                say(format!("signed {} {}", signed.size, signed.root));
            }
            // The other process leads the tree, and this one has not noticed its last batch; or it had the key in each moment when this
            // one tried.
            Err(ProofError::Behind { .. } | ProofError::Key(ProofKeyError::Busy(_))) => {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            Err(error) => panic!("{error}: {error:?}"),
        }
    }
}

/// Guarantee 34: two signers with one key, and a writer; one of the signers or the writer is killed in each round. Whatever was printed or
/// is beside the key is one checkpoint for each size, and each continues from the one before.
async fn killed_signers_never_sign_two_checkpoints_of_one_size(place: &Place) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("proofs.key");
    let key = ProofKey::create(&file, "example.org/bank").unwrap();
    // Creates the store.
    app().proofs().open(place.url()).await.unwrap().close().await;
    let mut signed = BTreeMap::new();
    let (mut killed, mut numbers) = (0_u64, 0);
    for round in 0..rounds(3) {
        let roles =
            [format!("sign {}", file.display()), format!("sign {}", file.display()), format!("write {round} 0")];
        let mut processes: Vec<Process> = roles.iter().map(|role| Process::start(place.url(), role)).collect();
        processes.iter_mut().for_each(Process::wait_until_it_speaks);
        // Until both have signed something new: the lease of a killed one has to expire first.
        processes[..2].iter_mut().for_each(Process::wait_until_it_speaks);
        tokio::time::sleep(Duration::from_millis(random(400))).await;
        // One is killed while the others run, then these.
        let first = processes.swap_remove(usize::try_from(random(3)).unwrap());
        let mut lines = first.kill();
        killed += 1;
        tokio::time::sleep(Duration::from_millis(300)).await;
        processes.into_iter().for_each(|process| lines.extend(process.kill()));
        for line in lines {
            let Some((size, root)) = line.strip_prefix("signed ").and_then(|rest| rest.split_once(' ')) else {
                continue;
            };
            numbers += 1;
            let size: u64 = size.parse().unwrap();
            assert_eq!(signed.entry(size).or_insert_with(|| root.to_owned()), root, "two checkpoints of {size}");
        }
        let last = key.last().unwrap();
        assert_eq!(signed.entry(last.size).or_insert_with(|| last.root.to_string()), &last.root.to_string());
    }
    let annals = app().proofs().open(place.url()).await.unwrap();
    let head = annals.store().head().await.unwrap();
    annals.reading(ProofTree::NAME).unwrap().caught_up(head, None).await.unwrap();
    let proofs = annals.proofs().unwrap();
    let sizes: Vec<(u64, String)> = signed.into_iter().collect();
    for pair in sizes.windows(2) {
        let [old, new] = pair else { continue };
        let proof = proofs.prove_consistency(old.0, new.0).await.unwrap();
        let parsed = |one: &(u64, String)| (one.0, one.1.parse().unwrap());
        assert!(verify_consistency(&proof, parsed(old), parsed(new)), "{old:?} {new:?}");
    }
    println!("{killed} kills, {numbers} checkpoints printed, {} sizes, {} events", sizes.len(), head.position);
    assert!(sizes.len() as u64 >= rounds(3), "few checkpoints: {sizes:?}");
    annals.close().await;
}
