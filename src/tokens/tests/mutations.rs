//! Random bytes and random changes of a valid token: never a panic, never accepted, and never more than the biscuit crate allows.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use biscuit_auth::{Algorithm, Biscuit, KeyPair};
use proptest::collection::vec;
use proptest::prelude::*;

use super::meaning::biscuit_allows;
use super::*;

pub(super) fn text_of(bytes: &[u8]) -> String {
    URL_SAFE.encode(bytes)
}

/// A change of some bytes.
#[derive(Clone, Debug)]
enum Change {
    Flip(usize, u8),
    Remove(usize, usize),
    Insert(usize, Vec<u8>),
    Repeat(usize, usize),
    Move(usize, usize, usize),
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        let at = |n: usize, length: usize| n % length.max(1);
        let length = bytes.len();
        match self {
            Self::Flip(n, bits) if length > 0 => bytes[at(*n, length)] ^= bits.max(&1),
            Self::Remove(n, count) => drop(bytes.drain(at(*n, length)..(at(*n, length) + count % 40).min(length))),
            Self::Insert(n, more) => drop(bytes.splice(at(*n, length)..at(*n, length), more.iter().copied())),
            Self::Repeat(n, count) => {
                let part = bytes[at(*n, length)..(at(*n, length) + count % 40).min(length)].to_vec();
                drop(bytes.splice(at(*n, length)..at(*n, length), part));
            }
            Self::Move(from, count, to) => {
                let part: Vec<u8> =
                    bytes.drain(at(*from, length)..(at(*from, length) + count % 40).min(length)).collect();
                let to = at(*to, bytes.len());
                drop(bytes.splice(to..to, part));
            }
            Self::Flip(..) => {}
        }
    }
}

fn change() -> impl Strategy<Value = Change> {
    let n = || 0..4_096usize;
    prop_oneof![
        4 => (n(), any::<u8>()).prop_map(|(n, bits)| Change::Flip(n, bits)),
        1 => (n(), n()).prop_map(|(n, count)| Change::Remove(n, count)),
        2 => (n(), vec(any::<u8>(), 1..8)).prop_map(|(n, more)| Change::Insert(n, more)),
        1 => (n(), n()).prop_map(|(n, count)| Change::Repeat(n, count)),
        1 => (n(), n(), n()).prop_map(|(from, count, to)| Change::Move(from, count, to)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_changed_token_is_never_accepted(changes in vec(change(), 1..4)) {
        let keys = Keys::generate();
        let token = biscuit(&keys, &narrowed(&keys, &minted(&keys), "check if method(\"GET\"); check if observe(false)"));
        let before = token.to_vec().unwrap();
        let mut bytes = before.clone();
        changes.iter().for_each(|change| change.apply(&mut bytes));
        prop_assert_eq!(keys.verify(&text_of(&bytes)).is_ok(), bytes == before, "{:?}", changes);
    }

    #[test]
    fn random_bytes_are_never_accepted(bytes in vec(any::<u8>(), 0..600), text in "\\PC{0,80}") {
        let keys = Keys::generate();
        prop_assert!(keys.verify(&text_of(&bytes)).is_err());
        prop_assert!(keys.verify(&text).is_err());
    }

    /// A holder can sign any bytes as a block.
    #[test]
    fn a_correctly_signed_block_of_changed_bytes_allows_no_more_than_to_the_biscuit_crate(
        changes in vec(change(), 1..3),
    ) {
        let keys = Keys::generate();
        let code = "check if method(\"GET\") or method($m), $m == \"PUT\"; check if time($t), $t < 2029-01-01T00:00:00Z; \
                    check if target($t), $t.starts_with(\"project%3A\"); check if observe(false)";
        let token = biscuit(&keys, &minted(&keys));
        let narrowed = token.append(biscuit_auth::BlockBuilder::new().code(code).unwrap()).unwrap();
        let mut block = narrowed.container().to_proto().blocks[0].block.clone();
        changes.iter().for_each(|change| change.apply(&mut block));
        let next = KeyPair::new_with_algorithm(Algorithm::Ed25519);
        let bytes = token.container().append_serialized(&next, block, None).unwrap().to_vec().unwrap();
        if let Ok(ours) = keys.verify(&text_of(&bytes)) {
            let theirs = Biscuit::from(&bytes, public(&keys)).expect("what is accepted here, is accepted there");
            for method in ["GET", "PUT", "POST"] {
                for (targets, observe) in [(&["project:7"][..], false), (&["user:bob"], false), (&["project:7"], true)] {
                    let request = Request { method, targets, observe, ..request() };
                    let (ours, theirs) = (ours.allows(&request), biscuit_allows(&theirs, &request));
                    prop_assert_eq!(ours.is_ok(), theirs, "{:?}: {:?} {:?}", changes, request, ours);
                }
            }
        }
    }
}
