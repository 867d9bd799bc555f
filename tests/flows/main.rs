//! Flows: what was used, denied and permitted, on both stores.
//!
//! ## Layout
//! - `lab`: the application
//! - `model`: random logs, compared with a fold by hand
//! - `answers`: each answer, by example
//! - `rights`: who sees what
#![cfg(all(feature = "export", feature = "access"))]

mod answers;
mod lab;
mod model;
mod rights;

use annals_test_postgres::{Place, both_stores};

use self::answers::*;
use self::model::*;
use self::rights::*;

both_stores! {
    the_flows_of_a_random_log_are_those_of_a_fold_by_hand,
    what_an_actor_or_a_place_is_asked_for_is_the_whole_answer_filtered,
    rows_and_answers_are_the_same_after_a_rebuild,
    reads_that_are_repeated_are_counted_by_minute,
    reads_that_are_repeated_are_recorded_before_the_application_is_closed,
    unused_grants_and_denied_uses_are_listed_beside_what_was_used,
    the_path_from_a_source_through_an_application_to_a_destination_is_returned,
    a_planted_tenfold_shift_is_flagged_and_a_steady_flow_is_not,
    the_largest_flows_come_first_and_the_others_are_counted,
    an_event_with_many_sources_has_few_rows,
    bad_queries_are_refused_with_the_reason,
    without_flows_nothing_is_kept,
    a_reader_without_the_right_to_the_audit_log_sees_no_flows_and_the_read_is_recorded,
    readers_of_metadata_see_no_source_of_a_payload_and_no_destination,
    a_reader_of_one_actor_sees_the_flows_of_that_actor_alone,
}

/// Random logs: `ANNALS_FLOWS_CASES` of them, 2 by default.
fn seeds() -> Vec<u64> {
    let cases = std::env::var("ANNALS_FLOWS_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(2);
    (0..cases).map(|_| fastrand::u64(..)).inspect(|seed| println!("a log of seed {seed}")).collect()
}

/// A place for another store of the same kind.
fn beside(place: &Place) -> Place {
    if place.schema().is_some() { Place::postgres() } else { Place::sqlite() }
}
