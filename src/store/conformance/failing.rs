//! Conflicts and dependent commits.

use super::bench::{Bench, START, append, batch, commit, committed, duplicate, id, log, receipt, time};
use crate::store::{Outcome, StoreError};

/// `Store::append`, rule 3. A unique index alone would not detect a sequence that is too high.
pub(super) async fn an_expected_sequence_that_is_too_low_or_too_high_is_a_conflict(bench: Bench) {
    let store = bench.open().await;
    assert_eq!(append(&*store, [commit(1).on("tally:a", 1, 1)]).await, [Outcome::Conflict]);
    committed(&*store, commit(2).on("tally:a", 0, 2)).await;
    for (number, expected) in [(3, 0), (4, 1), (5, 3), (6, 1_000_000)] {
        assert_eq!(append(&*store, [commit(number).on("tally:a", expected, 1)]).await, [Outcome::Conflict]);
    }
    assert_eq!(log(&*store).await.len(), 2);
}

/// Mission X13: the sequence of an aggregate that was only read must not have changed.
pub(super) async fn the_sequence_of_an_aggregate_that_was_only_read_is_checked_too(bench: Bench) {
    let store = bench.open().await;
    committed(&*store, commit(1).on("tally:a", 0, 1)).await;
    let outcomes = append(&*store, [commit(2).read("tally:a", 0).on("tally:b", 0, 1)]).await;
    assert_eq!(outcomes, [Outcome::Conflict]);
    committed(&*store, commit(3).read("tally:a", 1).on("tally:b", 0, 1)).await;
}

/// Guarantee 1: an outdated refusal is not returned.
pub(super) async fn a_refusal_on_an_outdated_state_is_a_conflict(bench: Bench) {
    let store = bench.open().await;
    let other = bench.open().await;
    committed(&*store, commit(1).on("tally:a", 0, 1)).await;
    committed(&*other, commit(2).on("tally:a", 1, 1)).await;
    assert_eq!(append(&*store, [commit(3).read("tally:a", 1)]).await, [Outcome::Conflict]);
    committed(&*store, commit(3).read("tally:a", 2)).await;
}

/// Guarantee 5: a later sequence may match by chance on a state that never existed.
pub(super) async fn a_failed_commit_fails_dependent_commits_transitively(bench: Bench) {
    let store = bench.open().await;
    let outcomes = append(
        &*store,
        [
            commit(1).on("tally:a", 5, 1).on("tally:b", 0, 1),
            commit(2).read("tally:b", 0).on("tally:c", 0, 1),
            commit(3).on("tally:c", 0, 1),
            commit(4).on("tally:d", 0, 1),
            commit(5).read("tally:a", 0),
            commit(6).read("tally:d", 1).on("tally:e", 0, 1),
        ],
    )
    .await;
    assert_eq!(outcomes[..3], [Outcome::Conflict; 3], "each sequence matches, and none may be committed");
    receipt(outcomes[3]);
    assert_eq!(outcomes[4], Outcome::Conflict, "a refusal too");
    receipt(outcomes[5]);
    assert_eq!(log(&*store).await.len(), 2);
}

/// What a failed commit only read has the state that it had before: one caller who repeats an id must not make the
/// commands of all who read the same aggregate be decided again.
pub(super) async fn what_a_failed_commit_only_read_fails_no_other_commit(bench: Bench) {
    let store = bench.open().await;
    committed(&*store, commit(1).on("tally:grant", 0, 1).keep()).await;
    let outcomes = append(
        &*store,
        [
            commit(1).read("tally:grant", 1).on("tally:a", 0, 1),
            commit(2).read("tally:grant", 0).on("tally:b", 0, 1),
            commit(3).read("tally:grant", 1).on("tally:c", 0, 1),
            commit(4).on("tally:grant", 1, 1),
            commit(5).read("tally:grant", 2).on("tally:d", 0, 1),
        ],
    )
    .await;
    duplicate(outcomes[0]);
    assert_eq!(outcomes[1], Outcome::Conflict);
    outcomes[2..].iter().for_each(|outcome| _ = receipt(*outcome));
}

/// Nothing is written by a right that has ended, by the time that the log records, even if the clock is set back.
pub(super) async fn a_batch_with_a_right_that_has_ended_is_not_written(bench: Bench) {
    let store = bench.open().await;
    let end = START + 1_000;
    committed(&*store, commit(1).on("tally:a", 0, 1).valid_until(end)).await;
    let late = || batch([commit(2).on("tally:b", 0, 1), commit(3).on("tally:c", 0, 1).valid_until(end)]);
    for clock in [end, end + 5, START] {
        bench.set_clock(clock);
        match store.append(late()).await {
            Err(StoreError::Expired(time)) => assert!(time.as_microsecond() >= end, "{time}"),
            other => panic!("at {clock}: {other:?}"),
        }
        assert_eq!(log(&*store).await.len(), if clock == end { 1 } else { 2 }, "nothing of the batch is written");
        if clock == end {
            committed(&*store, commit(4).on("tally:d", 0, 1)).await;
        }
    }
    let rest = late().without_expired(time(end)).expect("one has expired");
    let outcomes = store.append(rest).await.expect("the rest is appended");
    receipt(outcomes[0]);
    assert_eq!(outcomes[1], Outcome::Conflict);
    let again = late().without_expired(time(end)).expect("one has expired").resent();
    duplicate(store.append(again).await.expect("an answer")[0]);
}

/// Guarantee 5: a commit that depends on a duplicate was decided on a second effect that does not exist.
pub(super) async fn a_duplicate_and_a_reused_id_fail_dependent_commits(bench: Bench) {
    let store = bench.open().await;
    committed(&*store, commit(1).on("tally:a", 0, 1)).await;
    let outcomes = append(
        &*store,
        [
            commit(1).on("tally:a", 0, 1),
            commit(2).on("tally:a", 1, 1),
            commit(1).body("another").on("tally:b", 0, 1),
            commit(3).on("tally:b", 0, 1),
            commit(4).on("tally:c", 0, 1),
        ],
    )
    .await;
    duplicate(outcomes[0]);
    assert_eq!(outcomes[1..4], [Outcome::Conflict, Outcome::IdReused, Outcome::Conflict]);
    receipt(outcomes[4]);
}

/// Guarantee 5, for commits of one order group without a common aggregate.
pub(super) async fn an_order_group_fails_from_its_first_failure_on(bench: Bench) {
    let store = bench.open().await;
    let outcomes = append(
        &*store,
        [
            commit(1).on("tally:a", 0, 1).order_group(7),
            commit(2).on("tally:b", 9, 1).order_group(7),
            commit(3).on("tally:c", 0, 1).order_group(7),
            commit(4).on("tally:c", 0, 1).order_group(8),
            commit(5).on("tally:d", 0, 1).order_group(8),
            commit(6).on("tally:e", 0, 1).order_group(9),
            commit(7).on("tally:f", 0, 1),
        ],
    )
    .await;
    receipt(outcomes[0]);
    assert_eq!(outcomes[1..5], [Outcome::Conflict; 4], "group 8 fails by the aggregate of group 7");
    receipt(outcomes[5]);
    receipt(outcomes[6]);
}

pub(super) async fn conflicts_end_with_their_batch(bench: Bench) {
    let store = bench.open().await;
    append(&*store, [commit(1).on("tally:a", 5, 1).order_group(7)]).await;
    committed(&*store, commit(2).on("tally:a", 0, 1).order_group(7)).await;
}

/// One failed commit of a batch does not affect independent ones.
pub(super) async fn a_failed_commit_leaves_nothing_behind(bench: Bench) {
    let store = bench.open().await;
    let outcomes = append(
        &*store,
        [commit(1).on("tally:a", 0, 1), commit(2).on("tally:b", 3, 2), commit(3).on("tally:c", 0, 1)],
    )
    .await;
    assert_eq!(outcomes[1], Outcome::Conflict);
    assert_eq!(receipt(outcomes[2]).first_position, receipt(outcomes[0]).first_position + 1, "no gap");
    assert_eq!(store.find_commands(&[id(2)]).await.unwrap(), [None], "its id can be used again");
    let again = committed(&*store, commit(2).on("tally:b", 0, 2)).await;
    assert_eq!(again.first_position, 3);
}
