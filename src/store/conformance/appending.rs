//! Commits, and repeated command ids.

use super::bench::{Bench, append, assert_in_order, commit, committed, duplicate, id, log, receipt, time};
use crate::events::LogPosition;
use crate::store::event_digest::digest_holds;
use crate::store::{Outcome, Receipt};

/// Mission X1: positions 1, 2, 3 … in commit order; sequences by aggregate.
pub(super) async fn positions_have_no_gap_and_sequences_count_by_aggregate(bench: Bench) {
    let store = bench.open().await;
    let one = committed(&*store, commit(1).on("tally:a", 0, 2)).await;
    let outcomes = append(&*store, [commit(2).on("tally:b", 0, 1), commit(3).on("tally:a", 2, 3)]).await;
    let (two, three) = (receipt(outcomes[0]), receipt(outcomes[1]));
    assert_eq!([one.first_position, two.first_position, three.first_position], [1, 3, 4]);
    assert_eq!([one.events, two.events, three.events], [2, 1, 3]);
    assert_eq!([one.head.position, two.head.position, three.head.position], [2, 3, 6]);
    let events = log(&*store).await;
    assert_in_order(&events);
    assert_eq!(events.iter().map(|event| event.sequence).collect::<Vec<_>>(), [1, 2, 1, 3, 4, 5]);
    assert_eq!(store.head().await.unwrap(), three.head);
    for receipt in [one, two, three] {
        let last = &events[receipt.head.position as usize - 1];
        assert_eq!(
            (receipt.head, receipt.recorded_at),
            (last.head(), last.recorded_at),
            "a receipt names its event"
        );
        assert!(!receipt.repeated);
    }
}

/// Guarantee 14: bytes are stored as given.
pub(super) async fn events_are_read_back_byte_for_byte_with_a_matching_digest(bench: Bench) {
    let store = bench.open().await;
    let payload = "{ \"b\" : 1.50,\n\"a\":\"ä \\u0000 \\\"'; DROP TABLE events\" , \"a\":2}";
    let metadata = r#"{ "actor":"user:o'neill", "correlation":"日本" }"#;
    let aggregate = format!("tally:{}", "é/:%_ ".repeat(100));
    let made = commit(1).payload(&aggregate, 0, "7.0", payload).metadata(metadata);
    committed(&*store, made.occurred_at(time(-1))).await;
    let stored = log(&*store).await.remove(0);
    assert_eq!(stored.payload, payload);
    assert_eq!(stored.metadata, metadata);
    assert_eq!(stored.aggregate.as_str(), aggregate);
    assert_eq!((stored.event_type.as_str(), stored.event_version.as_str()), ("tally.counted", "7.0"));
    assert_eq!((stored.command_id, stored.occurred_at), (id(1), time(-1)));
    assert!(digest_holds(&stored), "the digest is that of the given columns");
}

/// Mission X13: all of it or nothing.
pub(super) async fn a_commit_over_several_aggregates_is_appended_as_a_whole_or_not_at_all(bench: Bench) {
    let store = bench.open().await;
    let both = committed(&*store, commit(1).on("tally:a", 0, 1).on("tally:b", 0, 2)).await;
    assert_eq!((both.first_position, both.events), (1, 3));
    let outcomes = append(&*store, [commit(2).on("tally:a", 1, 1).on("tally:b", 1, 1)]).await;
    assert_eq!(outcomes, [Outcome::Conflict], "one of the two has newer events");
    let events = log(&*store).await;
    assert_eq!(events.len(), 3, "nothing of it was written: {events:#?}");
    assert!(events.iter().all(|event| event.command_id == id(1)));
}

/// `Store::append`: each commit is decided on the log as earlier ones leave it.
pub(super) async fn commits_of_a_batch_see_earlier_commits_of_the_batch(bench: Bench) {
    let store = bench.open().await;
    let commits = (0..50).map(|number| commit(number.into()).on("tally:a", number, 1));
    for outcome in append(&*store, commits).await {
        receipt(outcome);
    }
    assert_in_order(&log(&*store).await);
    assert_eq!(store.head().await.unwrap().position, 50);
}

pub(super) async fn an_empty_batch_has_no_outcomes(bench: Bench) {
    let store = bench.open().await;
    assert_eq!(append(&*store, []).await, []);
}

/// Mission X2, Guarantee 2: one effect and the first receipt, also after a restart and for a commit without events.
pub(super) async fn a_known_command_id_gets_its_first_receipt_again(bench: Bench) {
    let store = bench.open().await;
    let write = || commit(1).on("tally:a", 0, 2).on("tally:b", 0, 1);
    let nothing = || commit(2).read("tally:a", 2).keep();
    let first = committed(&*store, write()).await;
    let second = committed(&*store, nothing()).await;
    committed(&*store, commit(3).on("tally:a", 2, 1)).await;
    let repeated = |receipt: Receipt| Receipt { repeated: true, ..receipt };
    for restarted in [false, true] {
        let store = if restarted { bench.open().await } else { store.clone() };
        assert_eq!(duplicate(append(&*store, [write()]).await[0]), repeated(first));
        assert_eq!(duplicate(append(&*store, [nothing()]).await[0]), repeated(second));
        assert_eq!(store.head().await.unwrap().position, 4, "no second effect");
        if restarted {
            store.close().await;
        }
    }
}

/// Mission X2: the same id twice in flight.
pub(super) async fn a_command_id_used_twice_in_one_batch_takes_effect_once(bench: Bench) {
    let store = bench.open().await;
    let outcomes = append(&*store, [commit(1).on("tally:a", 0, 1), commit(1).on("tally:a", 0, 1)]).await;
    let first = receipt(outcomes[0]);
    assert_eq!(outcomes[1], Outcome::Duplicate(Receipt { repeated: true, ..first }));
    assert_eq!(log(&*store).await.len(), 1);
}

/// Guarantee 2.
pub(super) async fn a_command_id_with_another_name_or_body_is_refused(bench: Bench) {
    let store = bench.open().await;
    committed(&*store, commit(1).on("tally:a", 0, 1)).await;
    let body = append(&*store, [commit(1).on("tally:a", 1, 1).body("another")]).await;
    let name = append(&*store, [commit(1).on("tally:a", 1, 1).command("another")]).await;
    let nothing = append(&*store, [commit(1).body("another")]).await;
    assert_eq!([body, name, nothing], [[Outcome::IdReused]; 3]);
    assert_eq!(log(&*store).await.len(), 1);
}

/// Guarantee 1: the id is checked before the sequences, also for a refusal.
pub(super) async fn a_known_command_id_is_answered_before_sequences_are_checked(bench: Bench) {
    let store = bench.open().await;
    let first = committed(&*store, commit(1).on("tally:a", 0, 1)).await;
    for retry in [commit(1).on("tally:a", 0, 1), commit(1).on("tally:a", 7, 1), commit(1).read("tally:a", 1)] {
        assert_eq!(duplicate(append(&*store, [retry]).await[0]).head, first.head);
    }
}

/// Guarantees 1 and 2: a no-op with a caller's id leaves a row, a refusal does not.
pub(super) async fn a_commit_without_events_may_keep_its_id_and_gets_the_head_as_its_position(bench: Bench) {
    let store = bench.open().await;
    let empty = committed(&*store, commit(1).read("tally:a", 0).keep()).await;
    assert_eq!((empty.first_position, empty.events, empty.head), (0, 0, LogPosition::default()));
    let written = committed(&*store, commit(2).on("tally:a", 0, 3)).await;
    let kept = committed(&*store, commit(3).read("tally:a", 3).keep()).await;
    assert_eq!((kept.first_position, kept.events, kept.head), (3, 0, written.head));
    let refused = committed(&*store, commit(4).read("tally:a", 3)).await;
    assert_eq!((refused.events, refused.head), (0, written.head));
    let known = store.find_commands(&[id(1), id(3), id(4)]).await.unwrap();
    assert_eq!(known.iter().map(Option::is_some).collect::<Vec<_>>(), [true, true, false]);
    assert_eq!(log(&*store).await.len(), 3, "none of them is an event");
}
