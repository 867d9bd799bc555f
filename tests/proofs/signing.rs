//! Checkpoints, forks, witnesses.

use std::collections::BTreeMap;
use std::time::Duration;

use annals::proofs::{Policy, PolicyError, ProofError, ProofKey, Signing, TreeHash};
use annals_test_postgres::Place;

use crate::beside;
use crate::lab::*;
use crate::witness::Witness;

/// Guarantee 34.
pub async fn a_checkpoint_is_signed_once_for_a_size_and_continues_from_the_last(place: &Place) {
    let (annals, key) = (app().open(place.url()).await.unwrap(), Key::new("example.org/notary"));
    let proofs = annals.proofs().unwrap();
    let empty = proofs.sign(&key.key).await.unwrap();
    assert_eq!((empty.size, empty.root), (0, TreeHash::of_empty_tree()));
    write(&annals, "a", 5).await;
    let first = sign(&annals, &key).await;
    assert_eq!(first.to_string(), sign(&annals, &key).await.to_string(), "it has not grown");
    assert_eq!(std::fs::read_to_string(key.checkpoint()).unwrap(), first.to_string());
    assert_eq!(proofs.checkpoint().await.unwrap().as_ref(), Some(&first));
    first.verify(&key.key.public()).unwrap();
    annals.close().await;

    // The tree is rebuilt from nothing: meanwhile nothing contradicts the last checkpoint, and nothing is signed.
    let annals = app().open(place.url()).await.unwrap();
    write(&annals, "a", 2).await;
    annals.rebuild("proofs").unwrap().await.unwrap();
    assert_eq!(sign(&annals, &key).await.size, 7);
    let status = annals.proofs().unwrap().status().await.unwrap();
    assert_eq!((status.head, status.tree, status.checkpoint.map(|last| last.size)), (7, 7, Some(7)));
    annals.close().await;
}

/// Guarantee 34.
pub async fn threads_and_applications_with_one_key_never_sign_two_roots_of_one_size(place: &Place) {
    let key = Key::new("example.org/notary");
    let writer = app().open(place.url()).await.unwrap();
    let mut signers = Vec::new();
    for _ in 0..3 {
        let (annals, key) = (app().open(place.url()).await.unwrap(), key.opened());
        signers.push(tokio::spawn(async move {
            let (proofs, mut signed) = (annals.proofs().unwrap(), Vec::new());
            while signed.last().is_none_or(|(size, _, _)| *size < 120) {
                match proofs.sign(&key).await {
                    Ok(one) => signed.push((one.size, one.root, one.to_string())),
                    // This process has not noticed the last events yet.
                    Err(ProofError::Behind { .. }) => {}
                    Err(error) => panic!("{error}: {error:?}"),
                }
            }
            annals.close().await;
            signed
        }));
    }
    for _ in 0..40 {
        write(&writer, "a", 3).await;
        tokio::time::sleep(Duration::from_millis(15)).await;
    }
    let mut all = BTreeMap::new();
    for signer in signers {
        for (size, root, text) in signer.await.unwrap() {
            assert_eq!(all.entry(size).or_insert((root, text.clone())), &(root, text), "two checkpoints of {size}");
        }
    }
    assert!(all.len() > 3, "{all:?}");
    writer.close().await;
}

/// Guarantee 34.
pub async fn a_log_that_lost_its_tail_is_not_signed_until_it_is_forked(place: &Place) {
    let (annals, key) = (app().open(place.url()).await.unwrap(), Key::new("example.org/notary"));
    write(&annals, "a", 4).await;
    let first = annals.store().head().await.unwrap();
    write(&annals, "b", 3).await;
    let signed = sign(&annals, &key).await;
    annals.close().await;
    // As if an older backup of everything was put back.
    let older = beside(place);
    let annals = app().open(older.url()).await.unwrap();
    write(&annals, "a", 4).await;
    caught_up(&annals).await;
    let proofs = annals.proofs().unwrap();
    let refused = proofs.sign(&key.opened()).await.unwrap_err();
    assert!(matches!(refused, ProofError::Forked { size: 7, .. }), "{refused}");
    assert!(refused.to_string().contains("proofs fork"), "{refused}");
    write(&annals, "b", 30).await;
    caught_up(&annals).await;
    let refused = proofs.sign(&key.opened()).await.unwrap_err();
    assert!(matches!(refused, ProofError::Forked { size: 7, .. }), "{refused}");
    assert_eq!(std::fs::read_to_string(key.checkpoint()).unwrap(), signed.to_string(), "it is as it was");
    assert!(proofs.checkpoint().await.unwrap().is_none());

    let forked = ProofKey::open(key.path()).unwrap().fork("example.org/notary/2").unwrap();
    let next = proofs.sign(&key.opened()).await.unwrap();
    next.verify(&forked.public()).unwrap();
    let of = next.fork_of.clone().unwrap();
    assert_eq!((of.origin.as_str(), of.size, of.root), ("example.org/notary", 7, signed.root));
    assert_eq!((next.origin.as_str(), next.size), ("example.org/notary/2", 34));
    write(&annals, "b", 1).await;
    assert_eq!(sign(&annals, &key).await.fork_of, Some(of));
    annals.close().await;
    assert_eq!(first.position, 4);
}

/// Guarantee 34.
pub async fn a_log_with_another_history_is_not_signed(place: &Place) {
    let key = Key::new("example.org/notary");
    for place in [place, &beside(place)] {
        let annals = app().open(place.url()).await.unwrap();
        write(&annals, "a", 9).await;
        caught_up(&annals).await;
        match annals.proofs().unwrap().sign(&key.opened()).await {
            Ok(signed) => assert_eq!(signed.size, 9),
            Err(error) => {
                assert!(matches!(error, ProofError::Forked { size: 9, .. }), "{error}");
                annals.close().await;
                return;
            }
        }
        annals.close().await;
    }
    panic!("both histories were signed");
}

pub async fn a_task_signs_what_is_old_enough(place: &Place) {
    let (annals, key) = (app().open(place.url()).await.unwrap(), Key::new("example.org/notary"));
    write(&annals, "a", 2).await;
    let every = Duration::from_millis(20);
    let signing = |delay| Signing::new(ProofKey::open(key.path()).unwrap()).every(every).delay(delay);
    annals.start_signing(signing(Duration::from_secs(3_600))).unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    let proofs = annals.proofs().unwrap();
    assert!(proofs.checkpoint().await.unwrap().is_none(), "nothing is an hour old");
    annals.close().await;
    let annals = app().open(place.url()).await.unwrap();
    annals.start_signing(signing(Duration::from_millis(50))).unwrap();
    let proofs = annals.proofs().unwrap();
    let signed = async {
        while !matches!(proofs.checkpoint().await.unwrap(), Some(last) if last.size == 2) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), signed).await.unwrap();
    annals.close().await;
}

/// Guarantee 35, Mission X20.
pub async fn witnesses_cosign_and_a_forked_log_is_refused_by_its_witness(place: &Place) {
    let key = Key::new("example.org/notary");
    let copy = key.copied();
    let (first, second) = (Witness::start("w.example/1", &key).await, Witness::start("w.example/2", &key).await);
    let text = format!(
        "# Two of them\nlog {}\nwitness one {} {}\nwitness two {} {}\ngroup both all one two\nquorum both\n",
        key.key.public(),
        first.key(),
        first.url(),
        second.key(),
        second.url()
    );
    let policy: Policy = text.parse().unwrap();
    let annals = app().open(place.url()).await.unwrap();
    let proofs = annals.proofs().unwrap();
    for events in [3, 300] {
        write(&annals, "a", events).await;
        caught_up(&annals).await;
        let signed = proofs.sign_with_witnesses(&key.opened(), &policy).await.unwrap();
        let trusted = policy.check(&signed).unwrap();
        assert_eq!(trusted.witnesses.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["one", "two"]);
        assert_eq!(proofs.checkpoint().await.unwrap(), Some(signed.clone()), "it is published with them");
        assert_eq!(proofs.status().await.unwrap().witnesses, ["w.example/1", "w.example/2"]);
        let kept = std::fs::read_to_string(key.checkpoint()).unwrap();
        assert_eq!(kept, signed.to_string());
    }
    assert_eq!(first.sizes(), [3, 303]);
    assert_eq!(proofs.sign_with_witnesses(&key.opened(), &policy).await.unwrap().size, 303);
    assert_eq!(first.sizes(), [3, 303], "a witness that has cosigned is not asked again");

    // Without one of them, the quorum is missing; it is asked again next time.
    second.stop().await;
    write(&annals, "a", 1).await;
    caught_up(&annals).await;
    let signed = proofs.sign_with_witnesses(&key.opened(), &policy).await.unwrap();
    let missing = policy.check(&signed).unwrap_err();
    assert!(matches!(&missing, PolicyError::NoQuorum { cosigned, .. } if cosigned == &["one"]), "{missing}");
    annals.close().await;

    // Another history of the same name and key, by who has a copy of both files from before.
    let other = beside(place);
    let annals = app().open(other.url()).await.unwrap();
    write(&annals, "a", 400).await;
    caught_up(&annals).await;
    let signed = annals.proofs().unwrap().sign_with_witnesses(&copy.opened(), &policy).await.unwrap();
    signed.verify(&key.key.public()).unwrap();
    let missing = policy.check(&signed).unwrap_err();
    assert!(matches!(&missing, PolicyError::NoQuorum { cosigned, .. } if cosigned.is_empty()), "{missing}");
    assert_eq!((first.sizes(), first.refused()), (vec![3, 303, 304], 1));
    annals.close().await;
}
